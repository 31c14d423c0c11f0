use super::{FrameError, FrameHeader};
use crate::part::{narrow, part};

/// Decodes a frame header from bytes that arrive in any pieces.
///
/// The struct keeps the bytes of an incomplete header, at most 13.
#[derive(Clone, Debug, Default)]
pub struct Decoder {
    bytes: [u8; FrameHeader::MAX_LEN],
    len: u8,
}

impl Decoder {
    /// Creates a decoder at the start of a header.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; FrameHeader::MAX_LEN], len: 0 }
    }

    /// Returns whether no byte of a header has been taken.
    pub(crate) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes the next bytes of the header. Returns the header and the number of bytes of `input` that belong to
    /// it.
    ///
    /// Returns `None` if all of `input` was taken and more is needed. After a header the decoder is at the start
    /// of the next one.
    ///
    /// # Errors
    ///
    /// As for [`FrameHeader::decode`]. The stream cannot be read any further.
    #[inline]
    pub fn decode(&mut self, input: &[u8]) -> Result<Option<(FrameHeader, usize)>, FrameError> {
        if self.is_empty() {
            if let Some(found) = FrameHeader::decode(input)? {
                return Ok(Some(found));
            }
        }
        self.decode_kept(input)
    }

    /// Decodes a header that is not all in `input`: keeps the bytes, together with those kept before.
    #[cold]
    fn decode_kept(&mut self, input: &[u8]) -> Result<Option<(FrameHeader, usize)>, FrameError> {
        let kept = usize::from(self.len);
        let mut end = kept;
        for (slot, byte) in self.bytes.iter_mut().skip(kept).zip(input) {
            *slot = *byte;
            end += 1;
        }
        let Some((header, len)) = FrameHeader::decode(part(&self.bytes, ..end))? else {
            // An incomplete header has at most 13 bytes.
            self.len = narrow(end);
            return Ok(None);
        };
        self.len = 0;
        Ok(Some((header, len - kept)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{frame::Opcode, frame::Rsv, mask::MaskingKey};

    #[test]
    fn a_header_cut_anywhere_decodes_the_same() {
        for payload_len in [0, 125, 126, 65_535, 65_536, u64::MAX >> 1] {
            let header = FrameHeader {
                fin: true,
                rsv: Rsv::RSV1 | Rsv::RSV3,
                opcode: Opcode::Binary,
                masking_key: Some(MaskingKey::new([1, 2, 3, 4])),
                payload_len,
            };
            let mut bytes = [0xEE; FrameHeader::MAX_LEN + 1];
            let len = header.encode(bytes.first_chunk_mut().unwrap());
            for cut in 0..len {
                let mut decoder = Decoder::new();
                assert_eq!(decoder.decode(&bytes[..cut]), Ok(None));
                assert_eq!(decoder.decode(&bytes[cut..=len]), Ok(Some((header, len - cut))));
                assert_eq!(decoder.decode(&bytes[..len]), Ok(Some((header, len))));
            }
        }
    }
}
