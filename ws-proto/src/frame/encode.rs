use core::{fmt, mem::MaybeUninit};

use super::{FrameHeader, Opcode, Rsv};
use crate::{
    error::SendError,
    mask::{Mask, MaskingKey},
    part::{narrow, part, to_u64},
};

/// A frame ready for the wire: its header, and its payload in the caller's buffer.
#[derive(Clone)]
pub struct Frame<'p> {
    header: EncodedHeader,
    payload: &'p [u8],
}

impl<'p> Frame<'p> {
    /// Creates the frame. `payload` is as long as `header` says, and masked if `header` has a key.
    pub(crate) fn new(header: &FrameHeader, payload: &'p [u8]) -> Self {
        Self { header: EncodedHeader::new(header), payload }
    }

    /// Returns header and payload, to be written in this order.
    #[must_use]
    pub fn slices(&self) -> [&[u8]; 2] {
        self.remaining(0)
    }

    /// Returns the rest of [`slices`](Self::slices) after `written` bytes. Both slices are empty once all is
    /// written.
    #[must_use]
    pub fn remaining(&self, written: usize) -> [&[u8]; 2] {
        self.header.remaining(self.payload, written)
    }
}

impl fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.slices()).finish()
    }
}

/// The encoded bytes of a header.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EncodedHeader {
    bytes: [u8; FrameHeader::MAX_LEN],
    len: u8,
}

impl EncodedHeader {
    /// No bytes.
    #[cfg(feature = "alloc")]
    pub(crate) const EMPTY: Self = Self { bytes: [0; FrameHeader::MAX_LEN], len: 0 };

    pub(crate) fn new(header: &FrameHeader) -> Self {
        let mut bytes = [0; FrameHeader::MAX_LEN];
        // A header has at most 14 bytes.
        let len = narrow(header.encode(&mut bytes));
        Self { bytes, len }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        part(&self.bytes, ..usize::from(self.len))
    }

    /// Returns the rest of this header and of the `payload` that follows it after `written` bytes.
    pub(crate) fn remaining<'a>(&'a self, payload: &'a [u8], written: usize) -> [&'a [u8]; 2] {
        let header = self.as_bytes();
        let of_payload = written.saturating_sub(header.len());
        [header.get(written..).unwrap_or_default(), payload.get(of_payload..).unwrap_or_default()]
    }
}

/// Returns the header of an unfragmented frame without reserved bits.
#[inline]
pub(crate) fn header(opcode: Opcode, masking_key: Option<MaskingKey>, payload_len: usize) -> FrameHeader {
    // No target has a usize of more than 64 bits.
    let payload_len = to_u64(payload_len);
    FrameHeader { fin: true, rsv: Rsv::NONE, opcode, masking_key, payload_len }
}

/// Returns `plain` as the header of a compressed message's first frame.
#[cfg(feature = "deflate")]
pub(crate) fn compressed(plain: FrameHeader) -> FrameHeader {
    FrameHeader { rsv: Rsv::RSV1, ..plain }
}

/// Writes a frame to the start of `out`, masking while copying. Returns its length.
///
/// # Errors
///
/// [`SendError::BufferTooSmall`].
#[inline]
pub(crate) fn encode_frame(header: &FrameHeader, payload: &[u8], out: &mut [u8]) -> Result<usize, SendError> {
    let encoded = EncodedHeader::new(header);
    let head = encoded.as_bytes();
    let needed = head.len().saturating_add(payload.len());
    let Some((to_head, to_payload)) = out.get_mut(..needed).and_then(|out| out.split_at_mut_checked(head.len()))
    else {
        return Err(SendError::BufferTooSmall { needed });
    };
    to_head.copy_from_slice(head);
    mask(header).apply_copy(payload, to_payload);
    Ok(needed)
}

/// Returns the mask of the payload.
#[inline(always)]
fn mask(header: &FrameHeader) -> Mask {
    header.masking_key.map_or(Mask::NONE, Mask::new)
}

/// Writes a frame to the start of `out`, as [`encode_frame`] does. Returns the frame.
#[inline]
pub(crate) fn encode_frame_uninit<'o>(
    header: &FrameHeader,
    payload: &[u8],
    out: &'o mut [MaybeUninit<u8>],
) -> Result<&'o mut [u8], SendError> {
    let encoded = EncodedHeader::new(header);
    let head = encoded.as_bytes();
    let needed = head.len().saturating_add(payload.len());
    let frame = out.get_mut(..needed).ok_or(SendError::BufferTooSmall { needed })?;
    let (to_head, to_payload) = frame.split_at_mut(head.len());
    Mask::NONE.fill(head, to_head);
    mask(header).fill(payload, to_payload);
    // SAFETY: all of it has been written: the header, then the payload.
    #[allow(unsafe_code)]
    Ok(unsafe { &mut *(core::ptr::from_mut(frame) as *mut [u8]) })
}

/// Appends a frame to `out`, masking while copying.
#[cfg(feature = "alloc")]
#[inline(always)]
pub(crate) fn append_frame(header: &FrameHeader, payload: &[u8], out: &mut alloc::vec::Vec<u8>) {
    out.reserve(2 * size_of::<u64>() + payload.len());
    let room = out.spare_capacity_mut();
    debug_assert!(room.len() >= 2 * size_of::<u64>() + payload.len());
    let Some((to_first, to_second)) = room.split_first_chunk_mut() else { return };
    let Some(to_second) = to_second.first_chunk_mut() else { return };
    // Whole words have a constant length, so each is a store and not a call.
    let ([first, second], header_len) = header.to_words();
    *to_first = first.to_le_bytes().map(MaybeUninit::new);
    if header_len > to_first.len() {
        *to_second = second.to_le_bytes().map(MaybeUninit::new);
    }
    let end = header_len + payload.len();
    let Some(to) = room.get_mut(header_len..end) else { return };
    mask(header).fill(payload, to);
    // SAFETY: the first `end` bytes of the reserved room have been written: the header, then the payload.
    #[allow(unsafe_code)]
    unsafe {
        out.set_len(out.len() + end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_after_a_short_write_starts_where_it_stopped() {
        let frame = Frame::new(&header(Opcode::Binary, None, 3), &[7, 8, 9]);
        assert_eq!(frame.slices(), [&[0x82, 3][..], &[7, 8, 9]]);
        assert_eq!(frame.remaining(1), [&[3][..], &[7, 8, 9]]);
        assert_eq!(frame.remaining(4), [&[][..], &[9]]);
        assert_eq!(frame.remaining(5), [&[][..], &[]]);
        assert_eq!(frame.remaining(6), [&[][..], &[]]);
    }

    #[cfg(feature = "alloc")]
    #[test]
    fn appending_equals_writing() {
        let payload: alloc::vec::Vec<u8> = (0..20_000_u32).map(|i| i.to_le_bytes()[0]).collect();
        for masking_key in [None, Some(MaskingKey::new([9, 8, 7, 6]))] {
            let header = header(Opcode::Binary, masking_key, payload.len());
            let mut written = alloc::vec![0; payload.len() + FrameHeader::MAX_LEN];
            let len = encode_frame(&header, &payload, &mut written).unwrap();
            let mut appended = alloc::vec![0xEE];
            append_frame(&header, &payload, &mut appended);
            assert_eq!(appended[1..], written[..len]);
        }
    }
}
