//! Writing of heads, and the check of the fields that callers add.

use super::{
    WriteError,
    field::{is_token, is_value_byte, is_websocket_name},
};
use crate::part::{narrow, part};

/// A writer to the caller's buffer. Once the buffer is full it only counts, so that the length needed is known.
pub(super) struct HeadWriter<'o> {
    out: &'o mut [u8],
    len: usize,
}

impl<'o> HeadWriter<'o> {
    /// Creates a writer to `out`.
    pub(super) const fn new(out: &'o mut [u8]) -> Self {
        Self { out, len: 0 }
    }

    /// Writes `bytes`.
    pub(super) fn put(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        if let Some(room) = self.out.get_mut(self.len..end) {
            room.copy_from_slice(bytes);
        }
        self.len = end;
    }

    /// Writes a field line.
    pub(super) fn put_field(&mut self, name: &str, value: &[u8]) {
        self.put(name.as_bytes());
        self.put(b": ");
        self.put(value);
        self.put(b"\r\n");
    }

    /// Writes `number` in decimal.
    pub(super) fn put_number(&mut self, number: usize) {
        // A number of 64 bits has up to 20 digits.
        let mut digits = [b'0'; 20];
        let mut rest = number;
        let mut len = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + narrow::<_, u8>(rest % 10);
            rest /= 10;
            len += 1;
            if rest == 0 {
                break;
            }
        }
        self.put(part(&digits, digits.len() - len..));
    }

    /// Writes a field line with the text of `value`.
    #[cfg(feature = "deflate")]
    pub(super) fn put_displayed(&mut self, name: &str, value: &impl core::fmt::Display) {
        self.put(name.as_bytes());
        self.put(b": ");
        // The writer counts when it is full, so this cannot fail.
        let _ = core::fmt::write(self, format_args!("{value}\r\n"));
    }

    /// Writes a field line for each of `headers`.
    pub(super) fn put_headers(&mut self, headers: &[(&str, &str)]) {
        for (name, value) in headers {
            self.put_field(name, value.as_bytes());
        }
    }

    /// Returns the number of bytes written.
    ///
    /// # Errors
    ///
    /// [`WriteError::BufferTooSmall`] with the length needed.
    pub(super) const fn finish(self) -> Result<usize, WriteError> {
        if self.len > self.out.len() {
            return Err(WriteError::BufferTooSmall { needed: self.len });
        }
        Ok(self.len)
    }
}

impl core::fmt::Write for HeadWriter<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.put(text.as_bytes());
        Ok(())
    }
}

/// Appends the output of `write` to `out`, with as much room as it needs. If `write` fails, `out` is as before.
#[cfg(feature = "alloc")]
pub(crate) fn append<X>(
    out: &mut alloc::vec::Vec<u8>,
    mut write: impl FnMut(&mut [u8]) -> Result<(usize, X), WriteError>,
) -> Result<X, WriteError> {
    const USUAL: usize = 256;
    let start = out.len();
    out.resize(start + USUAL, 0);
    loop {
        match write(crate::part::part_mut(out, start..)) {
            Ok((len, result)) => {
                out.truncate(start + len);
                return Ok(result);
            }
            Err(WriteError::BufferTooSmall { needed }) if needed > out.len() - start => {
                out.resize(start + needed, 0);
            }
            Err(error) => {
                out.truncate(start);
                return Err(error);
            }
        }
    }
}

/// Checks that the caller may add these fields: each is a single field, and the handshake neither writes nor reads
/// it.
///
/// # Errors
///
/// [`WriteError::InvalidHeader`].
pub(super) fn check_headers(headers: &[(&str, &str)]) -> Result<(), WriteError> {
    let valid = headers.iter().all(|(name, value)| {
        is_token(name.as_bytes()) && value.bytes().all(is_value_byte) && !belongs_to_handshake(name)
    });
    if valid { Ok(()) } else { Err(WriteError::InvalidHeader) }
}

/// Returns whether the handshake writes or reads the field.
fn belongs_to_handshake(name: &str) -> bool {
    const NAMES: [&str; 6] = ["host", "upgrade", "connection", "origin", "content-length", "transfer-encoding"];
    is_websocket_name(name) || NAMES.iter().any(|own| name.eq_ignore_ascii_case(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_is_too_small_gives_the_length_needed() {
        let mut out = [0; 7];
        for (room, expected) in [(7, Ok(7)), (6, Err(WriteError::BufferTooSmall { needed: 7 }))] {
            let mut writer = HeadWriter::new(&mut out[..room]);
            writer.put_field("a", b"bc");
            assert_eq!(writer.finish(), expected);
        }
        assert_eq!(&out, b"a: bc\r\n");
    }

    #[test]
    fn numbers_have_no_leading_zeros() {
        for (number, text) in [(0, "0"), (7, "7"), (40, "40"), (101, "101"), (505, "505"), (1_234_567, "1234567")]
        {
            let mut out = [0; 7];
            let mut writer = HeadWriter::new(&mut out);
            writer.put_number(number);
            assert_eq!(writer.finish().map(|len| &out[..len]), Ok(text.as_bytes()));
        }
    }

    #[test]
    fn injected_headers_are_refused() {
        for header in [
            ("", "v"),
            ("a b", "v"),
            ("a:", "v"),
            ("a\r\nb", "v"),
            ("a", "v\r\nb: c"),
            ("a", "v\n"),
            ("a", "\r"),
            ("a", "\0"),
            ("a", "\x7F"),
            ("ä", "v"),
            ("Host", "v"),
            ("UPGRADE", "v"),
            ("connection", "v"),
            ("Origin", "v"),
            ("Content-Length", "0"),
            ("Transfer-Encoding", "v"),
            ("Sec-WebSocket-Key", "v"),
            ("sec-websocket-anything", "v"),
        ] {
            assert_eq!(check_headers(&[("ok", "v"), header]), Err(WriteError::InvalidHeader), "{header:?}");
        }
        assert_eq!(check_headers(&[("X-A", "ü\t1"), ("Set-Cookie", ""), ("sec-fetch", "v")]), Ok(()));
    }
}
