//! The grammar of fields (RFC 9110 section 5), the same for requests and responses.

use core::{fmt, iter::FusedIterator, str};

use super::error::{HandshakeError, SingleField};
use crate::part::part;

/// The field lines of a head in their order, each with its name and its value without outer white space.
///
/// The iterator finds them in the head as it goes and stores nothing. A name is a token in the case that the peer
/// wrote; a value may hold bytes that are not UTF-8.
#[derive(Clone, Copy)]
pub struct Fields<'h> {
    rest: &'h [u8],
}

impl<'h> Fields<'h> {
    /// Returns the fields of `head`, which a parser has found valid.
    pub(super) fn of_head(head: &'h [u8]) -> Self {
        Self::of_lines(split_line(head).1)
    }

    /// Returns the fields in `lines`: the bytes of such a head after its start line.
    pub(super) const fn of_lines(lines: &'h [u8]) -> Self {
        Self { rest: lines }
    }

    /// Returns the value of the first line with this name, in any case.
    pub(super) fn value(mut self, name: &str) -> Option<&'h [u8]> {
        self.find(|(candidate, _)| candidate.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

impl<'h> Iterator for Fields<'h> {
    type Item = (&'h str, &'h [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (line, rest) = split_line(self.rest);
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = line.split_at_checked(colon)?;
        self.rest = rest;
        Some((str::from_utf8(name).ok()?, trim(value.get(1..)?)))
    }
}

impl FusedIterator for Fields<'_> {}

impl fmt::Debug for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Cookies and credentials do not belong in a log.
        f.debug_list().entries(self.map(|(name, _)| name)).finish()
    }
}

/// Returns the first line without its end, and the bytes after it. A CR stands only at the end of a line of a
/// valid head.
pub(super) fn split_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|&byte| byte == b'\r').unwrap_or(bytes.len());
    (part(bytes, ..end), bytes.get(end + 2..).unwrap_or_default())
}

/// Returns `value` without the white space around it, which is SP and HTAB only (RFC 9110 section 5.6.3).
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Returns fields of another library, whose values may have white space around them, without it.
pub(super) fn trimmed<'h, I: Iterator<Item = (&'h str, &'h [u8])>>(
    fields: I,
) -> impl Iterator<Item = (&'h str, &'h [u8])> + use<'h, I> {
    fields.map(|(name, value)| (name, trim(value)))
}

/// Returns whether `bytes` are a token (RFC 9110 section 5.6.2).
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().copied().all(is_token_byte)
}

/// Returns whether `byte` may stand in a token.
pub(super) const fn is_token_byte(byte: u8) -> bool {
    const TOKEN: ByteSet = ByteSet::alphanumeric().with(b"!#$%&'*+-.^_`|~");
    TOKEN.contains(byte)
}

/// A set of bytes with a fast test, since every byte of a head is tested.
pub(super) struct ByteSet(Members);

/// A mark for each byte, which is the faster one.
#[cfg(target_pointer_width = "64")]
type Members = [bool; 256];
/// A bit for each byte, which is the smaller one.
#[cfg(not(target_pointer_width = "64"))]
type Members = [u32; 8];

impl ByteSet {
    /// Creates the set of the letters and digits of ASCII.
    pub(super) const fn alphanumeric() -> Self {
        #[cfg(target_pointer_width = "64")]
        let none = Self([false; 256]);
        #[cfg(not(target_pointer_width = "64"))]
        let none = Self([0; 8]);
        none.with(b"0123456789").with(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ").with(b"abcdefghijklmnopqrstuvwxyz")
    }

    /// Adds `bytes` to the set.
    pub(super) const fn with(mut self, mut bytes: &[u8]) -> Self {
        while let [byte, rest @ ..] = bytes {
            #[cfg(target_pointer_width = "64")]
            {
                self.0[*byte as usize] = true;
            }
            #[cfg(not(target_pointer_width = "64"))]
            {
                self.0[(*byte >> 5) as usize] |= 1 << (*byte & 31);
            }
            bytes = rest;
        }
        self
    }

    /// Returns whether `byte` is in the set.
    #[inline]
    pub(super) const fn contains(&self, byte: u8) -> bool {
        #[cfg(target_pointer_width = "64")]
        return self.0[byte as usize];
        #[cfg(not(target_pointer_width = "64"))]
        return self.0[(byte >> 5) as usize] >> (byte & 31) & 1 == 1;
    }
}

/// Returns whether a field or a token has the name `known`, in any case. `known` has small letters and hyphens.
#[inline(always)]
pub(super) fn is_name<const N: usize>(name: impl AsRef<[u8]>, known: &[u8; N]) -> bool {
    let name = name.as_ref();
    name.len() == N && begins_with_name(name, known)
}

/// Returns whether fields of this name belong to the handshake (RFC 6455 section 11.3).
#[inline]
pub(super) fn is_websocket_name(name: &str) -> bool {
    // Few names have a hyphen at this place, so most are decided by one comparison.
    let name = name.as_bytes();
    name.get(13) == Some(&b'-') && begins_with_name(name, b"sec-websocket-")
}

/// Returns whether `name` begins with `known`, in any case. There is no branch for a byte.
#[inline(always)]
fn begins_with_name<const N: usize>(name: &[u8], known: &[u8; N]) -> bool {
    let Some(start) = name.first_chunk::<N>() else { return false };
    let case = |known: u8| if known.is_ascii_lowercase() { 0x20 } else { 0 };
    start.iter().zip(known).fold(0, |differs, (byte, known)| differs | (byte | case(*known)) ^ known) == 0
}

/// Returns whether `byte` may stand in the value of a field (RFC 9110 section 5.5).
pub(super) fn is_value_byte(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

/// Returns the elements of a list without quoted strings; empty ones are dropped (RFC 9110 section 5.6.1).
pub(super) fn elements(list: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    list.split(|&byte| byte == b',').map(trim).filter(|element| !element.is_empty())
}

/// Returns whether the list of tokens has `token`, in any case, or `None` if an element is not a token. `token` has small
/// letters.
pub(super) fn list_names<const N: usize>(list: &[u8], token: &[u8; N]) -> Option<bool> {
    // Most lists are that.
    if is_name(list, token) {
        return Some(true);
    }
    let mut found = false;
    for element in elements(list) {
        if !is_token(element) {
            return None;
        }
        found |= is_name(element, token);
    }
    Some(found)
}

/// Returns whether `value` announces a content of length 0 (RFC 9110 section 8.6).
pub(super) fn is_zero(value: &[u8]) -> bool {
    !value.is_empty() && value.iter().all(|&byte| byte == b'0')
}

/// The occurrences of a field that may come once.
#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Once<'h> {
    #[default]
    Absent,
    One(&'h [u8]),
    Repeated,
}

impl<'h> Once<'h> {
    /// Records an occurrence.
    pub(super) fn add(&mut self, value: &'h [u8]) {
        *self = match self {
            Self::Absent => Self::One(value),
            Self::One(_) | Self::Repeated => Self::Repeated,
        };
    }

    /// Returns the value of `field`, or `None` if it is absent.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::DuplicateField`] if it is repeated.
    pub(super) fn optional(self, field: SingleField) -> Result<Option<&'h [u8]>, HandshakeError> {
        match self {
            Self::Absent => Ok(None),
            Self::One(value) => Ok(Some(value)),
            Self::Repeated => Err(HandshakeError::DuplicateField(field)),
        }
    }

    /// Returns the value of `field`.
    ///
    /// # Errors
    ///
    /// `missing` if it is absent, [`HandshakeError::DuplicateField`] if it is repeated.
    pub(super) fn required(self, field: SingleField, missing: HandshakeError) -> Result<&'h [u8], HandshakeError> {
        self.optional(field)?.ok_or(missing)
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn fields_come_in_order() {
        // R9110-2, R9110-4
        let fields = Fields::of_head(b"GET / HTTP/1.1\r\nHost:a\r\nX: \t b c\xFF:\t\r\nEmpty: \r\n\r\n");
        let expected: [(&str, &[u8]); 3] = [("Host", b"a"), ("X", b"b c\xFF:"), ("Empty", b"")];
        assert_eq!(fields.collect::<Vec<_>>(), expected);
        assert_eq!(fields.value("x"), Some(&b"b c\xFF:"[..]));
        assert_eq!(fields.value("y"), None);
        assert_eq!(Fields::of_head(b"HTTP/1.1 200 OK\r\n\r\n").next(), None);
    }

    #[test]
    fn names_are_the_same_in_any_case() {
        for byte in 0..=u8::MAX {
            let name = [b'a', byte, b'z'];
            let Ok(name) = str::from_utf8(&name) else { continue };
            assert_eq!(is_name(name, b"a-z"), name.eq_ignore_ascii_case("a-z"), "{byte:02x}");
            assert_eq!(is_name(name, b"akz"), name.eq_ignore_ascii_case("akz"), "{byte:02x}");
        }
        assert!(!is_name("a-", b"a-z") && !is_name("a-zz", b"a-z"));
        assert!(["Sec-WebSocket-Key", "SEC-WEBSOCKET-"].into_iter().all(is_websocket_name));
        assert!(!["Sec-WebSocket", "Sec-WebSocket+Key", "Xec-WebSocket-Key"].into_iter().any(is_websocket_name));
    }

    #[test]
    fn white_space_is_space_and_tab_only() {
        assert_eq!(trim(b" \t a b\t "), b"a b");
        assert_eq!(trim(b" \t "), b"");
        assert_eq!(trim(b"\x0Ca\x0B"), b"\x0Ca\x0B");
    }

    #[test]
    fn lists_drop_empty_elements_and_name_tokens() {
        // R9110-2
        assert_eq!(elements(b" a ,, b,\t").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(list_names(b"keep-alive, UPGRADE", b"upgrade"), Some(true));
        assert_eq!(list_names(b"upgrades", b"upgrade"), Some(false));
        assert_eq!(list_names(b"", b"upgrade"), Some(false));
        assert_eq!(list_names(b"upgrade, a b", b"upgrade"), None);
        assert_eq!(list_names(b"\"upgrade\"", b"upgrade"), None);
    }
}
