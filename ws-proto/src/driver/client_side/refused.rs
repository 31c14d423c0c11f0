//! An answer that opens no connection, with the start of its body (RFC 9112 section 6.3).

use core::fmt;
use std::{
    borrow::ToOwned,
    str,
    string::{String, ToString},
    vec::Vec,
};

use crate::client::Refusal;

/// Bytes of a body that are kept: enough for a sentence or an error page.
const MAX_BODY_LEN: usize = 8 * 1024;

/// An answer other than 101: the server speaks HTTP, but did not open a connection.
#[derive(Clone, PartialEq, Eq)]
pub struct Refused {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Refused {
    pub(super) fn new(refusal: &Refusal<'_>) -> Self {
        let headers = refusal.headers().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
        Self { status: refusal.status(), headers, body: Vec::new() }
    }

    /// Creates a refusal without fields.
    #[cfg(test)]
    pub(super) const fn with_status(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a field.
    #[cfg(test)]
    pub(super) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// Adds the body, as far as it has been read.
    #[must_use]
    pub fn with_body(self, body: RefusalBody) -> Self {
        Self { body: body.bytes, ..self }
    }

    /// Returns the status code, such as 401, 403 or that of a redirect.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Returns the value of the first field called `name`, which is compared without regard to case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let mut headers = self.headers.iter();
        headers.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
    }

    /// Returns all fields in their order, each with its name and its value.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// Returns the first 8 KiB of the body, without the framing of Transfer-Encoding: chunked. It is incomplete if the
    /// rest did not arrive within the [handshake timeout](crate::Config::handshake_timeout).
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The values of fields may be secret.
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        let body = self.body.escape_ascii().to_string();
        f.debug_struct("Refused")
            .field("status", &self.status)
            .field("headers", &names)
            .field("body", &body)
            .finish()
    }
}

/// Returns whether a status means that the same request may succeed later (RFC 9110 section 15, RFC 6585).
///
/// 408, 425 and 429 say so. Of 5xx all do except 501 and 505, which are about the kind of the request, and 511, which
/// wants a user to log in.
pub(super) const fn is_transient_status(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502..=504 | 506..=510 | 512..=599)
}

/// The body of a refusal while it arrives.
#[derive(Debug)]
pub struct RefusalBody {
    framing: Framing,
    bytes: Vec<u8>,
}

/// The position in the framing of a body, which says where the body ends and which bytes are not content.
#[derive(Clone, Copy, Debug)]
enum Framing {
    /// This many bytes of content remain.
    Length(u64),
    /// The body ends with the transport.
    Close,
    /// In the line with the size of a chunk.
    ChunkSize { size: u64, digits_ended: bool },
    /// This many bytes of a chunk remain, and the line end after it.
    Chunk(u64),
    /// In the line end after a chunk.
    ChunkEnd,
    /// The body is complete, or the bytes are not HTTP.
    Ended,
}

const SIZE_LINE: Framing = Framing::ChunkSize { size: 0, digits_ended: false };

impl RefusalBody {
    pub(super) fn of(refusal: &Refusal<'_>) -> Self {
        let encodings = || refusal.headers().filter(|(name, _)| name.eq_ignore_ascii_case("transfer-encoding"));
        let is_chunked = |value: &[u8]| {
            value
                .rsplit(|&byte| byte == b',')
                .next()
                .is_some_and(|last| last.trim_ascii().eq_ignore_ascii_case(b"chunked"))
        };
        let framing = match refusal.status() {
            204 | 304 => Framing::Ended,
            _ if encodings().last().is_some_and(|(_, value)| is_chunked(value)) => SIZE_LINE,
            _ if encodings().next().is_some() => Framing::Close,
            _ => match refusal.header("content-length") {
                None => Framing::Close,
                Some(len) => str::from_utf8(len)
                    .ok()
                    .and_then(|len| len.parse().ok())
                    .map_or(Framing::Ended, Framing::Length),
            },
        };
        Self { framing, bytes: Vec::new() }
    }

    /// Returns whether the body has ended or enough of it is kept.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        matches!(self.framing, Framing::Ended | Framing::Length(0)) || self.bytes.len() >= MAX_BODY_LEN
    }

    /// Adds bytes that have arrived.
    pub fn push(&mut self, mut received: &[u8]) {
        while let (Some((first, after_first)), false) = (received.split_first(), self.is_complete()) {
            received = match self.framing {
                Framing::Close => self.take(received, u64::MAX).1,
                Framing::Length(left) => {
                    let (left, rest) = self.take(received, left);
                    self.framing = Framing::Length(left);
                    rest
                }
                Framing::Chunk(left) => {
                    let (left, rest) = self.take(received, left);
                    self.framing = if left == 0 { Framing::ChunkEnd } else { Framing::Chunk(left) };
                    rest
                }
                framing => {
                    self.framing = framing.after(*first);
                    after_first
                }
            };
        }
    }

    /// Takes at most `left` bytes of content, and keeps them up to [`MAX_BODY_LEN`]. Returns how many bytes of content
    /// are left after them, and the rest of `received`.
    fn take<'r>(&mut self, received: &'r [u8], left: u64) -> (u64, &'r [u8]) {
        let len = received.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let (taken, rest) = received.split_at(len);
        let room = MAX_BODY_LEN.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(taken.get(..room).unwrap_or(taken));
        (left - u64::try_from(len).unwrap_or(left), rest)
    }
}

impl Framing {
    /// Returns the position after a byte between the contents of chunks (RFC 9112 section 7.1).
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::ChunkSize { size, digits_ended: false }, byte) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                let size = size.checked_mul(16).map(|size| size | u64::from(digit));
                size.map_or(Self::Ended, |size| Self::ChunkSize { size, digits_ended: false })
            }
            // The last chunk. Trailer fields after it are ignored.
            (Self::ChunkSize { size: 0, .. }, b'\n') => Self::Ended,
            (Self::ChunkSize { size, .. }, b'\n') => Self::Chunk(size),
            (Self::ChunkSize { size, .. }, _) => Self::ChunkSize { size, digits_ended: true },
            (Self::ChunkEnd, b'\r') => Self::ChunkEnd,
            (Self::ChunkEnd, b'\n') => SIZE_LINE,
            _ => Self::Ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    fn body(framing: Framing, pieces: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut body = RefusalBody { framing, bytes: Vec::new() };
        pieces.iter().for_each(|piece| body.push(piece));
        let complete = body.is_complete();
        (body.bytes, complete)
    }

    #[test]
    fn chunks_are_joined_however_they_are_cut() {
        let wire = b"5\r\nHello\r\n00D;name=\"x\"\r\n, World\r\nand!\r\n0\r\nTrailer: x\r\n\r\nHTTP/1.1";
        let expected = b"Hello, World\r\nand!".to_vec();
        for cut in 0..=wire.len() {
            let (head, tail) = wire.split_at(cut);
            assert_eq!(body(SIZE_LINE, &[head, tail]), (expected.clone(), true), "{cut}");
        }
        let bytes: Vec<_> = wire.chunks(1).collect();
        assert_eq!(body(SIZE_LINE, &bytes), (expected, true));
    }

    #[test]
    fn what_is_no_chunk_ends_the_body() {
        for (wire, expected, complete) in [
            (&b"5\r\nHel"[..], &b"Hel"[..], false),
            (b"5\r\nHelloX5\r\nHello", b"Hello", true),
            (b"10000000000000000\r\nHello", b"", true),
            (b"\r\nHello", b"", true),
        ] {
            assert_eq!(body(SIZE_LINE, &[wire]), (expected.to_vec(), complete), "{}", wire.escape_ascii());
        }
    }

    #[test]
    fn a_length_ends_the_body_and_so_does_the_limit() {
        assert_eq!(body(Framing::Length(5), &[b"Hel", b"lo, World"]), (b"Hello".to_vec(), true));
        assert_eq!(body(Framing::Length(5), &[b"Hel"]), (b"Hel".to_vec(), false));
        assert_eq!(body(Framing::Length(0), &[b"Hello"]), (Vec::new(), true));
        assert_eq!(body(Framing::Close, &[b"Hel", b"lo"]), (b"Hello".to_vec(), false));
        assert_eq!(body(Framing::Ended, &[b"Hello"]), (Vec::new(), true));
        let long = vec![b'x'; 3 * MAX_BODY_LEN];
        for framing in [Framing::Close, Framing::Length(u64::MAX), Framing::Chunk(u64::MAX)] {
            let (kept, complete) = body(framing, &[b"y", &long, &long]);
            assert_eq!((kept.len(), complete), (MAX_BODY_LEN, true), "{framing:?}");
        }
    }
}
