//! Fields of a request, written to a buffer or passed to an HTTP library.

use core::fmt;

/// A field of a request: its name in the case of RFC 6455, its name in small letters for HTTP/2, and its value.
pub(super) type RequestField<'a> = (&'a str, &'a str, FieldValue<'a>);

/// The value of a field, as its `Display` writes it.
#[derive(Clone, Copy)]
pub struct FieldValue<'a>(ValueForm<'a>);

#[derive(Clone, Copy)]
enum ValueForm<'a> {
    /// A list whose elements are separated by commas, with at least one.
    List(&'a str, &'a [&'a str]),
    #[cfg(feature = "deflate")]
    Deflate(&'a crate::deflate::Settings),
}

impl<'a> FieldValue<'a> {
    /// Creates the value of one text.
    pub(super) const fn text(text: &'a str) -> Self {
        Self::list(text, &[])
    }

    /// Creates the value of a list.
    pub(super) const fn list(first: &'a str, others: &'a [&'a str]) -> Self {
        Self(ValueForm::List(first, others))
    }

    /// Creates the offer of compression by `settings`.
    #[cfg(feature = "deflate")]
    pub(super) const fn deflate(settings: &'a crate::deflate::Settings) -> Self {
        Self(ValueForm::Deflate(settings))
    }

    /// Writes the value; for text, without the cost of a formatter.
    pub(super) fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
        match self.0 {
            ValueForm::List(first, others) => {
                out.write_str(first)?;
                others.iter().try_for_each(|other| {
                    out.write_str(", ")?;
                    out.write_str(other)
                })
            }
            #[cfg(feature = "deflate")]
            ValueForm::Deflate(settings) => write!(out, "{settings}"),
        }
    }
}

impl fmt::Display for FieldValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f)
    }
}

impl fmt::Debug for FieldValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A value may be a secret.
        f.debug_struct("FieldValue").finish_non_exhaustive()
    }
}
