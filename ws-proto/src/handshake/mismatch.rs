//! The origin and the host of a refused request, for a log.

use core::fmt;

use super::{Fields, field::trim, target::RequestTarget};
use crate::part::sure;

/// The page and the host of a request that was refused with
/// [`HandshakeError::Origin`](super::HandshakeError::Origin).
///
/// Both are bytes as the client sent them. `Display` writes a line for a log: bytes that are not visible ASCII are
/// escaped, and at most the first 100 bytes of each value are shown.
///
/// ```
/// use ws_proto::server::OriginMismatch;
///
/// let received = b"GET / HTTP/1.1\r\nHost: example.com\r\nOrigin: https://evil.example\r\n\r\n";
/// let mismatch = OriginMismatch::of_head(received);
/// assert_eq!(mismatch.origin(), b"https://evil.example");
/// assert_eq!(mismatch.to_string(), r#"origin "https://evil.example" is not admitted at host "example.com""#);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OriginMismatch<'h> {
    origin: &'h [u8],
    host: &'h [u8],
}

impl<'h> OriginMismatch<'h> {
    /// Finds both in the head that `received` begins with.
    #[must_use]
    pub fn of_head(received: &'h [u8]) -> Self {
        let head = received.strip_prefix(b"\r\n").unwrap_or(received);
        let mut line = sure(head.split(|&byte| byte == b'\r').next()).split(|&byte| byte == b' ');
        let target = line.nth(1).and_then(|target| core::str::from_utf8(target).ok());
        let authority = target.and_then(|target| RequestTarget::parse("GET", target).ok()?.authority);
        Self::of_fields(authority.map(|authority| authority.text), Fields::of_head(head))
    }

    /// Finds both in the fields that an HTTP library has parsed. `authority` is the host of a target in absolute form, or
    /// the value of `:authority`; with `None` the field Host counts.
    #[must_use]
    pub fn of_fields(authority: Option<&'h str>, fields: impl Iterator<Item = (&'h str, &'h [u8])>) -> Self {
        let (mut origin, mut host) = (None, authority.map(str::as_bytes));
        for (name, value) in fields {
            let field = match name.len() {
                4 if name.eq_ignore_ascii_case("host") => &mut host,
                6 if name.eq_ignore_ascii_case("origin") => &mut origin,
                _ => continue,
            };
            field.get_or_insert(trim(value));
        }
        Self { origin: origin.unwrap_or_default(), host: host.unwrap_or_default() }
    }

    /// Returns the value of the first field Origin, or an empty slice.
    #[must_use]
    pub const fn origin(&self) -> &'h [u8] {
        self.origin
    }

    /// Returns the host that the request is for, or an empty slice.
    #[must_use]
    pub const fn host(&self) -> &'h [u8] {
        self.host
    }
}

impl fmt::Display for OriginMismatch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (origin, host) = (Shown(self.origin), Shown(self.host));
        write!(f, "origin {origin} is not admitted at host {host}")
    }
}

/// The start of a value, quoted and escaped.
struct Shown<'h>(&'h [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 100;
        let end = if self.0.len() > MOST { "..." } else { "" };
        let begin = self.0.get(..MOST).unwrap_or(self.0);
        write!(f, "\"{}\"{end}", begin.escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use std::{string::ToString, vec};

    use super::*;

    #[test]
    fn origin_and_host_are_found_where_a_server_looks_for_them() {
        for (head, origin, host) in [
            ("GET / HTTP/1.1\r\nhost: a\r\norigin: http://b \r\nOrigin: c\r\n\r\nHost: d", "http://b", "a"),
            ("\r\nGET http://a:81/x HTTP/1.1\r\nHost: b\r\nOrigin: null\r\n\r\n", "null", "a:81"),
            ("GET / HTTP/1.1\r\n\r\nHost: a", "", ""),
            ("", "", ""),
        ] {
            let found = OriginMismatch::of_head(head.as_bytes());
            assert_eq!((found.origin(), found.host()), (origin.as_bytes(), host.as_bytes()), "{head:?}");
        }
    }

    #[test]
    fn a_line_for_a_log_is_bounded_and_escaped() {
        let long = vec![b'\n'; 9_000];
        let mismatch = OriginMismatch { origin: &long, host: b"a\x1B[31m\"\xFF" };
        let line = mismatch.to_string();
        assert!(line.len() < 300 && line.contains("...") && line.contains(r#""a\x1b[31m\"\xff""#), "{line}");
        assert!(line.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{line}");
    }
}
