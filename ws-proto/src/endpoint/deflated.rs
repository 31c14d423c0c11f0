//! Compressed messages (RFC 7692 section 6).

use alloc::vec::Vec;

use super::Endpoint;
use super::{prepared::Prepared, trace::Trace};
use crate::{
    deflate::{Deflater, Parameters, WindowBits},
    error::SendError,
    frame::{EncodedHeader, FrameHeader, append_frame, compressed},
    mask::Mask,
    message::{Content, Message, MessageKind, Part},
    part::{part_mut, to_u64},
    role::{Role, Server, Side},
};

impl<R: Role, T: Trace> Endpoint<R, T> {
    /// Returns the parameters of compression; `None`: messages are not compressed.
    #[must_use]
    pub const fn deflate(&self) -> Option<Parameters> {
        self.receiver.negotiated().deflate
    }

    /// Appends a whole message as one frame to `out`, compressed if that has been agreed on and makes it shorter.
    ///
    /// # Errors
    ///
    /// As [`write_to`](Self::write_to). `out` is as before then.
    pub fn write_deflated_to(
        &mut self,
        message: Message<'_>,
        deflater: &mut Deflater,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let payload = message.as_bytes();
        let Some(bits) = self.window_bits(deflater).filter(|_| deflater.is_worth(payload.len())) else {
            return self.write_to(message, out);
        };
        let plain = self.admit_message(message)?;
        let start = out.len();
        // Leaves room for the longest header that the frame can have; a shorter payload may have a shorter header.
        let at = start + EncodedHeader::new(&plain).as_bytes().len();
        out.resize(at + Deflater::room(payload.len()), 0);
        let Some(len) = deflater.compress_whole(payload, bits, part_mut(out, at..)) else {
            out.truncate(start);
            append_frame(&plain, payload, out);
            self.commit_message(&plain);
            return Ok(());
        };
        let header = compressed(FrameHeader { payload_len: to_u64(len), ..plain });
        let encoded = EncodedHeader::new(&header);
        let payload_at = start + encoded.as_bytes().len();
        out.copy_within(at..at + len, payload_at);
        out.truncate(payload_at + len);
        part_mut(out, start..payload_at).copy_from_slice(encoded.as_bytes());
        mask_behind(&header, out, payload_at);
        self.commit_message(&header);
        self.end_deflated(deflater);
        Ok(())
    }

    /// Appends part of a message as one frame to `out`, compressed if that has been agreed on; then all parts of a
    /// message are compressed. Each part can be inflated as soon as it arrives.
    ///
    /// # Errors
    ///
    /// As [`write_part_to`](Self::write_part_to). `out` is as before then.
    pub fn write_part_deflated_to(
        &mut self,
        kind: MessageKind,
        part: Part,
        payload: &[u8],
        deflater: &mut Deflater,
        out: &mut Vec<u8>,
    ) -> Result<(), SendError> {
        let Some(bits) = self.window_bits(deflater) else {
            return self.write_part_to(kind, part, payload, out);
        };
        self.check_part(part)?;
        let (sender, opcode) = self.sender.admit(Content::compressed(kind), part, payload)?;
        let mut header = self.data_header(opcode, part, 0)?;
        if part.is_first() {
            header = compressed(header);
        }
        let start = out.len();
        let room = FrameHeader::MAX_LEN;
        out.resize(start + room, 0);
        deflater.compress_part(payload, bits, part.is_last(), out);
        let len = out.len() - start - room;
        header.payload_len = to_u64(len);
        let encoded = EncodedHeader::new(&header);
        out.splice(start..start + room, encoded.as_bytes().iter().copied());
        mask_behind(&header, out, start + encoded.as_bytes().len());
        self.commit(sender, &header);
        if part.is_last() {
            self.end_deflated(deflater);
        }
        Ok(())
    }

    /// Ends a message: the compressor forgets it if the sides agreed on no context takeover.
    fn end_deflated(&self, deflater: &mut Deflater) {
        if self.deflate().is_some_and(|agreed| agreed.no_context_takeover(R::SIDE)) {
            deflater.forget();
        }
    }

    /// Returns the window to compress with, if messages may be compressed.
    fn window_bits(&self, deflater: &Deflater) -> Option<WindowBits> {
        self.deflate().map(|agreed| agreed.max_window_bits(R::SIDE)).filter(|bits| deflater.can_keep_to(*bits))
    }

    /// Returns the limit of a message that is being inflated, and whether it is inflated without the context of earlier
    /// ones.
    pub(crate) fn inflate_limits(&self) -> (u64, bool) {
        let by_itself = self.deflate().is_none_or(|agreed| agreed.no_context_takeover(R::SIDE.peer()));
        (self.receiver.max_message_len(), by_itself)
    }
}

impl<T: Trace> Endpoint<Server, T> {
    /// Checks that a message that was encoded once may go to this peer.
    pub(super) fn check_compression<B: AsRef<[u8]>>(&self, prepared: &Prepared<B>) -> Result<(), SendError> {
        let Some(bits) = prepared.window_bits() else {
            return Ok(());
        };
        let fits = self.deflate().is_some_and(|agreed| {
            agreed.no_context_takeover(Side::Server) && agreed.max_window_bits(Side::Server) >= bits
        });
        if fits { Ok(()) } else { Err(SendError::NotNegotiated) }
    }
}

/// Masks the bytes from `at` on, if the frame is masked.
fn mask_behind(header: &FrameHeader, out: &mut [u8], at: usize) {
    if let Some(key) = header.masking_key {
        Mask::new(key).apply(part_mut(out, at..));
    }
}
