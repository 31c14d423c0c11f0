//! The grammar of Sec-WebSocket-Extensions (RFC 6455 section 9.1), the same for offers and answers.

use core::{fmt, iter::FusedIterator, str};

use super::field::{is_name, is_token_byte};
use crate::{part::sure, utf8::to_str};

/// An extension of an offer or an answer, with its parameters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Extension<'h> {
    name: &'h str,
    parameters: &'h [u8],
}

impl<'h> Extension<'h> {
    /// Returns the name of the extension.
    #[must_use]
    pub const fn name(&self) -> &'h str {
        self.name
    }

    /// Returns the parameters in their order. A name may come more than once.
    #[must_use]
    pub const fn parameters(&self) -> Parameters<'h> {
        Parameters { cursor: Cursor { rest: self.parameters } }
    }
}

impl fmt::Debug for Extension<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Extension").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The parameters of an [`Extension`], each with its value if it has one.
#[derive(Clone)]
pub struct Parameters<'h> {
    cursor: Cursor<'h>,
}

impl<'h> Iterator for Parameters<'h> {
    type Item = (&'h str, Option<Value<'h>>);

    fn next(&mut self) -> Option<Self::Item> {
        self.cursor.take(b';').then(|| self.cursor.take_parameter())?
    }
}

impl FusedIterator for Parameters<'_> {}

impl fmt::Debug for Parameters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clone().map(|(name, _)| name)).finish()
    }
}

/// The value of a parameter: a token, with or without quotes on the wire.
#[derive(Clone, Copy)]
pub struct Value<'h> {
    /// The value without quotes, but with backslashes.
    quoted: &'h [u8],
}

impl<'h> Value<'h> {
    /// Returns the bytes of the token.
    pub fn bytes(self) -> impl Iterator<Item = u8> + use<'h> {
        // A token has no backslash, so each one here is an escape.
        self.quoted.iter().copied().filter(|&byte| byte != b'\\')
    }
}

impl PartialEq<&str> for Value<'_> {
    fn eq(&self, token: &&str) -> bool {
        self.bytes().eq(token.bytes())
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(sure(str::from_utf8(self.quoted).ok()))
    }
}

/// The extensions of one field line, up to the first malformed one.
#[derive(Clone, Debug)]
pub(super) struct Extensions<'h> {
    cursor: Cursor<'h>,
    found: bool,
}

/// The parsed bytes do not follow the grammar.
#[derive(Debug)]
pub(super) struct Malformed;

impl<'h> Extensions<'h> {
    /// Begins to parse the value of a field line.
    pub(super) const fn of_value(value: &'h [u8]) -> Self {
        Self { cursor: Cursor { rest: value }, found: false }
    }

    /// Parses the next element of the list that is not empty. Returns `None` at the end of a list that has at
    /// least one.
    fn parse(&mut self) -> Result<Option<Extension<'h>>, Malformed> {
        self.cursor.skip_space();
        while self.cursor.take(b',') {
            self.cursor.skip_space();
        }
        if self.cursor.rest.is_empty() {
            return if self.found { Ok(None) } else { Err(Malformed) };
        }
        self.found = true;
        let extension = self.cursor.take_extension().ok_or(Malformed)?;
        // The end of the list or a comma follows.
        if self.cursor.rest.is_empty() || self.cursor.take(b',') { Ok(Some(extension)) } else { Err(Malformed) }
    }
}

impl<'h> Iterator for Extensions<'h> {
    type Item = Result<Extension<'h>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.parse();
        if next.is_err() {
            *self = Self { cursor: Cursor { rest: &[] }, found: true };
        }
        next.transpose()
    }
}

/// Returns all extensions in `fields`.
pub(super) fn all<'h, I: Iterator<Item = (&'h str, &'h [u8])>>(
    fields: I,
) -> impl Iterator<Item = Result<Extension<'h>, Malformed>> + use<'h, I> {
    fields
        .filter(|(name, _)| is_name(name, b"sec-websocket-extensions"))
        .flat_map(|(_, value)| Extensions::of_value(value))
}

/// Returns the extensions in `fields`, without those that are malformed.
pub(super) fn extensions<'h, I: Iterator<Item = (&'h str, &'h [u8])>>(
    fields: I,
) -> impl Iterator<Item = Extension<'h>> + use<'h, I> {
    all(fields).filter_map(Result::ok)
}

/// Returns the extensions of one well-formed field line.
#[cfg(all(test, feature = "deflate"))]
pub(crate) fn extensions_of(value: &[u8]) -> impl Iterator<Item = Extension<'_>> {
    Extensions::of_value(value).map(Result::unwrap)
}

/// Returns whether `value` is a well-formed list of at least one extension.
pub(super) fn is_extension_list(value: &[u8]) -> bool {
    // Browsers send one of these two, and a comparison is faster than the parser. Without an allocator flash counts for more.
    cfg!(feature = "alloc")
        && matches!(value, b"permessage-deflate" | b"permessage-deflate; client_max_window_bits")
        || Extensions::of_value(value).all(|extension| extension.is_ok())
}

/// The bytes that are still to be parsed.
#[derive(Clone, Debug)]
struct Cursor<'h> {
    rest: &'h [u8],
}

impl<'h> Cursor<'h> {
    /// Takes `token *( ";" token [ "=" ( token / quoted-string ) ] )` with white space between the parts.
    fn take_extension(&mut self) -> Option<Extension<'h>> {
        let name = self.take_token()?;
        let parameters = self.rest;
        while self.take(b';') {
            self.take_parameter()?;
        }
        let len = parameters.len() - self.rest.len();
        Some(Extension { name, parameters: parameters.get(..len)? })
    }

    /// Takes a parameter after its semicolon: a name, and a value if there is one.
    fn take_parameter(&mut self) -> Option<(&'h str, Option<Value<'h>>)> {
        self.skip_space();
        let name = self.take_token()?;
        let value = if self.take(b'=') { Some(self.take_value()?) } else { None };
        Some((name, value))
    }

    /// Takes the value of a parameter after its equals sign: a token or a quoted token.
    fn take_value(&mut self) -> Option<Value<'h>> {
        self.skip_space();
        if self.take(b'"') {
            return self.take_quoted_token();
        }
        self.take_token().map(|token| Value { quoted: token.as_bytes() })
    }

    /// Takes the rest of a quoted string after its opening quote, and the white space after it. Its content must
    /// be a token once the backslashes are removed.
    fn take_quoted_token(&mut self) -> Option<Value<'h>> {
        let quoted = self.rest;
        loop {
            self.rest = match self.rest {
                [b'"', rest @ ..] => {
                    let quoted = quoted.get(..quoted.len() - self.rest.len())?;
                    self.rest = rest;
                    self.skip_space();
                    return (!quoted.is_empty()).then_some(Value { quoted });
                }
                [b'\\', byte, rest @ ..] | [byte, rest @ ..] if is_token_byte(*byte) => rest,
                _ => return None,
            };
        }
    }

    /// Takes a token and the white space after it.
    fn take_token(&mut self) -> Option<&'h str> {
        let len = self.rest.iter().position(|&byte| !is_token_byte(byte)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        self.skip_space();
        to_str(token).ok().filter(|token| !token.is_empty())
    }

    /// Takes `byte` if it comes next. Returns whether it does.
    fn take(&mut self, byte: u8) -> bool {
        match self.rest {
            [first, rest @ ..] if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Takes any number of spaces and tabs.
    fn skip_space(&mut self) {
        while let [b' ' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{string::String, vec::Vec};

    use super::*;

    #[test]
    fn parameters_come_in_order_and_without_quotes() {
        // R9.1-1
        let value = b"a ; b = \"1\\5\" ;c\t, d,, e;f=g; f";
        let found: Vec<_> = Extensions::of_value(value)
            .map(Result::unwrap)
            .map(|extension| {
                let text = |value: Value<'_>| String::from_utf8(value.bytes().collect()).unwrap();
                let parameters = extension.parameters().map(|(name, value)| (name, value.map(text)));
                (extension.name(), parameters.collect::<Vec<_>>())
            })
            .collect();
        let some = |text: &str| Some(text.into());
        let expected = [
            ("a", [("b", some("15")), ("c", None)].to_vec()),
            ("d", [].to_vec()),
            ("e", [("f", some("g")), ("f", None)].to_vec()),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn extension_lists_follow_the_grammar() {
        // R9.1-1, R4.3-1
        for list in [
            "a",
            "a, b",
            ",a,,b ,",
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate;client_max_window_bits=15;x , foo",
            "a; b=\"c\"",
            "a ; b = \"1\\5\" ; c\t, d",
            "a; b=c; b=d",
        ] {
            assert!(is_extension_list(list.as_bytes()), "{list}");
        }
        for list in [
            "",
            " ",
            ",",
            ", ,",
            "a b",
            "a;",
            "a;;b",
            "a; b=",
            "a; =c",
            "a; b=\"\"",
            "a; b=\"c",
            "a; b=\"c d\"",
            "a; b=\"c\\\"",
            "a; b=\"c\"d",
            "a; b=\"c,d\"",
            "a=b",
            ";a",
            "a/b",
            "a; b=c d",
            "a; b=\"c\\\\\"",
            "ä",
            "a;ä",
        ] {
            assert!(!is_extension_list(list.as_bytes()), "{list}");
        }
        assert!(!is_extension_list(b"a; b=\"\xFF\""));
    }
}
