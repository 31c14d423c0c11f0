//! Fields of a request, which are written to a buffer or handed to an HTTP library.

use core::fmt;

/// A field of a request: its name in the case that RFC 6455 uses, in small letters for HTTP/2, and its value.
pub(super) type Field<'a> = (&'a str, &'a str, FieldValue<'a>);

/// The value of a field, as its `Display` writes it.
#[derive(Clone, Copy)]
pub struct FieldValue<'a>(Content<'a>);

#[derive(Clone, Copy)]
enum Content<'a> {
    /// A list whose elements are separated by commas. It has one at least.
    List(&'a str, &'a [&'a str]),
    #[cfg(feature = "deflate")]
    Deflate(&'a crate::deflate::Settings),
}

impl<'a> FieldValue<'a> {
    pub(super) const fn text(text: &'a str) -> Self {
        Self::list(text, &[])
    }

    pub(super) const fn list(first: &'a str, others: &'a [&'a str]) -> Self {
        Self(Content::List(first, others))
    }

    #[cfg(feature = "deflate")]
    pub(super) const fn deflate(settings: &'a crate::deflate::Settings) -> Self {
        Self(Content::Deflate(settings))
    }

    /// Writes the value without the weight of a formatter where it is text.
    pub(super) fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
        match self.0 {
            Content::List(first, others) => {
                out.write_str(first)?;
                others.iter().try_for_each(|other| {
                    out.write_str(", ")?;
                    out.write_str(other)
                })
            }
            #[cfg(feature = "deflate")]
            Content::Deflate(settings) => write!(out, "{settings}"),
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
