//! The grammar of Sec-WebSocket-Extensions (RFC 6455 section 9.1), the same for offers and answers.

use core::{fmt, iter::FusedIterator, str};

use super::field::is_token_byte;
use crate::{part::sure, utf8::to_str};

/// An extension that a field names, with its parameters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Extension<'h> {
    name: &'h str,
    parameters: &'h [u8],
}

impl<'h> Extension<'h> {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'h str {
        self.name
    }

    /// Its parameters in their order; a name may come more than once.
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

/// The value of a parameter: a token, however it was quoted.
#[derive(Clone, Copy)]
pub struct Value<'h> {
    /// Without quotes, but with backslashes.
    quoted: &'h [u8],
}

impl<'h> Value<'h> {
    /// The bytes of the token.
    pub fn bytes(self) -> impl Iterator<Item = u8> + use<'h> {
        // A token has no backslash of its own.
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

/// The extensions that one field line names, up to the first that is malformed.
#[derive(Clone, Debug)]
pub(super) struct Extensions<'h> {
    cursor: Cursor<'h>,
    found: bool,
}

/// What has been parsed does not follow the grammar.
#[derive(Debug)]
pub(super) struct Malformed;

impl<'h> Extensions<'h> {
    pub(super) const fn of_value(value: &'h [u8]) -> Self {
        Self { cursor: Cursor { rest: value }, found: false }
    }

    /// An element of the list, its empty ones aside; `None` at the end of a list that has some.
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
        // What follows is the end or another element.
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

/// All extensions that `fields` name.
pub(super) fn all<'h, I: Iterator<Item = (&'h str, &'h [u8])>>(
    fields: I,
) -> impl Iterator<Item = Result<Extension<'h>, Malformed>> + use<'h, I> {
    fields
        .filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-extensions"))
        .flat_map(|(_, value)| Extensions::of_value(value))
}

/// The extensions that `fields` name, which are well-formed.
pub(super) fn extensions<'h, I: Iterator<Item = (&'h str, &'h [u8])>>(
    fields: I,
) -> impl Iterator<Item = Extension<'h>> + use<'h, I> {
    all(fields).filter_map(Result::ok)
}

/// The extensions of one field line, which is well-formed.
#[cfg(all(test, feature = "deflate"))]
pub(crate) fn extensions_of(value: &[u8]) -> impl Iterator<Item = Extension<'_>> {
    Extensions::of_value(value).map(Result::unwrap)
}

/// Whether `value` is a list of extensions, with at least one.
pub(super) fn is_extension_list(value: &[u8]) -> bool {
    Extensions::of_value(value).all(|extension| extension.is_ok())
}

/// What is left to parse.
#[derive(Clone, Debug)]
struct Cursor<'h> {
    rest: &'h [u8],
}

impl<'h> Cursor<'h> {
    /// `token *( ";" token [ "=" ( token / quoted-string ) ] )` with white space between the parts.
    fn take_extension(&mut self) -> Option<Extension<'h>> {
        let name = self.take_token()?;
        let parameters = self.rest;
        while self.take(b';') {
            self.take_parameter()?;
        }
        let len = parameters.len() - self.rest.len();
        Some(Extension { name, parameters: parameters.get(..len)? })
    }

    fn take_parameter(&mut self) -> Option<(&'h str, Option<Value<'h>>)> {
        self.skip_space();
        let name = self.take_token()?;
        let value = if self.take(b'=') { Some(self.take_value()?) } else { None };
        Some((name, value))
    }

    fn take_value(&mut self) -> Option<Value<'h>> {
        self.skip_space();
        if self.take(b'"') {
            return self.take_quoted_token();
        }
        self.take_token().map(|token| Value { quoted: token.as_bytes() })
    }

    /// Takes what is behind the opening quote of a string that is a token once its quotes and backslashes are
    /// gone, and the white space behind it.
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

    /// Takes a token and the white space behind it.
    fn take_token(&mut self) -> Option<&'h str> {
        let len = self.rest.iter().position(|&byte| !is_token_byte(byte)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        self.skip_space();
        to_str(token).ok().filter(|token| !token.is_empty())
    }

    /// Takes `byte` if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        match self.rest {
            [first, rest @ ..] if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

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
    fn parameters_are_walked_over_and_quotes_are_gone() {
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
