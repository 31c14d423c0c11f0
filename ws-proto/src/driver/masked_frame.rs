//! A frame of a client that is masked on its way to the transport.

use std::vec::Vec;

use crate::{
    frame::{EncodedHeader, FrameHeader},
    mask::Mask,
};

/// A long frame of a client: its header, and its payload in the caller's memory, which is masked a piece at a time. So each
/// piece is still in the processor's cache when it is written, and the whole frame never lies in memory a second time.
///
/// Nothing else may be sent before all of it has been appended.
#[derive(Debug)]
pub struct MaskedFrame<'p> {
    header: Option<EncodedHeader>,
    mask: Mask,
    payload: &'p [u8],
}

impl<'p> MaskedFrame<'p> {
    /// Length in bytes of the pieces in which a longer frame is masked and written: those of three records of TLS. A piece is still
    /// in the processor's cache when the transport takes it, or encrypts it.
    pub const PIECE: usize = 48 * 1024;

    pub(super) fn new(header: &FrameHeader, payload: &'p [u8]) -> Self {
        let mask = header.masking_key.map_or(Mask::NONE, Mask::new);
        Self { header: Some(EncodedHeader::new(header)), mask, payload }
    }

    /// Returns the number of bytes that have not been appended.
    #[must_use]
    pub fn len(&self) -> usize {
        self.header.map_or(0, |header| header.as_bytes().len()) + self.payload.len()
    }

    /// Returns whether all of the frame has been appended.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.header.is_none() && self.payload.is_empty()
    }

    /// Appends the header, if it has not been appended, and as much of the payload, masked, as fits in the first `len` bytes of
    /// `out`.
    pub fn fill(&mut self, out: &mut Vec<u8>, len: usize) {
        if let Some(header) = self.header.take() {
            out.extend_from_slice(header.as_bytes());
        }
        let room = len.saturating_sub(out.len());
        let (piece, rest) = self.payload.split_at_checked(room).unwrap_or((self.payload, &[]));
        self.payload = rest;
        self.mask.append(piece, out);
    }
}

#[cfg(test)]
mod tests {
    use std::{vec, vec::Vec};

    use super::*;
    use crate::{
        frame::{Opcode, append_frame, header},
        mask::MaskingKey,
    };

    #[test]
    fn pieces_are_the_frame() {
        let payload: Vec<u8> = (0..100_000_u32).map(|index| index.to_le_bytes()[1]).collect();
        let header = header(Opcode::Binary, Some(MaskingKey::new([1, 2, 3, 4])), payload.len());
        let mut whole = Vec::new();
        append_frame(&header, &payload, &mut whole);
        for len in [1_001, 65_536, usize::MAX] {
            let (mut frame, mut out) = (MaskedFrame::new(&header, &payload), vec![]);
            while !frame.is_empty() {
                let mut piece = vec![];
                assert_eq!(out.len() + frame.len(), whole.len());
                frame.fill(&mut piece, len);
                assert!(piece.len() == len || frame.is_empty());
                out.append(&mut piece);
            }
            assert!(out == whole, "in pieces of {len} bytes");
        }
        let (mut frame, mut out) = (MaskedFrame::new(&header, &[]), vec![]);
        frame.fill(&mut out, 1);
        assert!(frame.is_empty() && out.len() == whole.len() - payload.len());
    }
}
