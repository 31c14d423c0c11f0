//! Frames whose length is announced first and whose payload follows in pieces (RFC 6455 section 5.2).
//!
//! Such a frame holds up all others, since nothing can stand inside a frame: control frames that are owed wait until it is
//! complete, and so does the half-close. No Ping becomes due meanwhile. A connection that has to end gives the host
//! `close_timeout` to complete the frame, so that a Close can still follow it.

use super::{Endpoint, send::Ends, trace::Trace};
use crate::{
    error::SendError,
    frame::{EncodedHeader, FrameHeader},
    mask::Mask,
    message::{Content, MessageKind, Part},
    role::Role,
    time::Instant,
};

/// A frame in progress: its header has been written, and its payload follows in pieces.
///
/// Made by [`Endpoint::begin_frame`], for pieces on that endpoint alone. If it is dropped before it is complete, the
/// connection can send nothing more: end it by [`fail`](Endpoint::fail).
#[derive(Debug)]
#[must_use = "the payload of the frame has to follow"]
pub struct OpenFrame {
    mask: Option<Mask>,
    part: Part,
    remaining: u64,
}

impl OpenFrame {
    /// Returns how many bytes of the payload are still to come; 0 if the frame is complete.
    #[must_use]
    pub const fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Returns whether the frame or the message ends with a piece of `len` bytes, and the length that is still to come.
    fn after(&self, len: usize) -> Result<(Ends, u64), SendError> {
        let len = u64::try_from(len).map_err(|_| SendError::PayloadTooLong)?;
        let remaining = self.remaining.checked_sub(len).ok_or(SendError::PayloadTooLong)?;
        let ends = match (remaining, self.part.is_last()) {
            (1.., _) => Ends::Nothing,
            (0, false) => Ends::Frame,
            (0, true) => Ends::Message,
        };
        Ok((ends, remaining))
    }
}

impl<R: Role, T: Trace> Endpoint<R, T> {
    /// Begins a frame of `len` bytes of payload, which is a whole message or part of one, and writes its header to `out`
    /// (14 bytes always suffice); returns the header's length and the frame.
    ///
    /// Its payload follows by [`send_piece`](Self::send_piece) and [`write_piece`](Self::write_piece), in order, right after the
    /// header. Until it is complete nothing else can be sent, and what [`poll_transmit`](Self::poll_transmit) owes waits,
    /// Pongs and Close included. A frame without payload is complete at once.
    ///
    /// ```
    /// use ws_proto::{Config, Endpoint, Instant, MessageKind, Part, Server};
    /// use ws_proto::endpoint::Negotiated;
    ///
    /// let mut endpoint = Endpoint::new(Server, &Config::default(), Negotiated::default(), Instant::ZERO);
    /// let mut out = vec![0; 14];
    /// let (len, mut frame) = endpoint.begin_frame(MessageKind::Binary, Part::Whole, 70_000, &mut out)?;
    /// out.truncate(len);
    /// let mut piece = [7; 10_000];
    /// while frame.remaining() > 0 {
    ///     endpoint.send_piece(Instant::ZERO, &mut frame, &mut piece)?;
    ///     out.extend_from_slice(&piece);
    /// }
    /// assert_eq!(out.len(), 10 + 70_000);
    /// # Ok::<(), ws_proto::SendError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`write_part`](Self::write_part), and [`SendError::PayloadTooLong`] for 2^63 bytes and more. Nothing has changed
    /// then.
    pub fn begin_frame(
        &mut self,
        kind: MessageKind,
        part: Part,
        len: u64,
        out: &mut [u8],
    ) -> Result<(usize, OpenFrame), SendError> {
        self.check_part(part)?;
        // §5.2: the most significant bit is 0.
        if i64::try_from(len).is_err() {
            return Err(SendError::PayloadTooLong);
        }
        let (sender, opcode) = self.sender.begin_frame(Content::of(kind), part, len)?;
        let header = FrameHeader { payload_len: len, ..self.data_header(opcode, part, 0)? };
        let encoded = EncodedHeader::new(&header);
        let bytes = encoded.as_bytes();
        let Some(room) = out.get_mut(..bytes.len()) else {
            return Err(SendError::BufferTooSmall { needed: bytes.len() });
        };
        room.copy_from_slice(bytes);
        self.commit(sender, &header);
        Ok((bytes.len(), OpenFrame { mask: header.masking_key.map(Mask::new), part, remaining: len }))
    }

    /// Takes the next piece of a frame's payload in place: a client masks `piece`, a server leaves it as it is. Write it next.
    ///
    /// Pieces may have any length, up to what [remains](OpenFrame::remaining). Text is checked across pieces. At `now` the waits
    /// begin that a complete frame has held up.
    ///
    /// # Errors
    ///
    /// [`SendError::NoFrame`] if the endpoint is in no frame, [`SendError::PayloadTooLong`], [`SendError::InvalidUtf8`], or
    /// [`SendError::Closing`] if the connection has ended. Nothing has changed then, `piece` included.
    pub fn send_piece(&mut self, now: Instant, frame: &mut OpenFrame, piece: &mut [u8]) -> Result<(), SendError> {
        self.take_piece(now, frame, piece)?;
        if let Some(mask) = &mut frame.mask {
            mask.apply(piece);
        }
        Ok(())
    }

    /// Writes the next piece of a frame's payload to `out`, which needs as many bytes, masked as it is copied; returns its
    /// length. See [`send_piece`](Self::send_piece).
    ///
    /// # Errors
    ///
    /// As [`send_piece`](Self::send_piece), and [`SendError::BufferTooSmall`]. Nothing has changed then.
    pub fn write_piece(
        &mut self,
        now: Instant,
        frame: &mut OpenFrame,
        piece: &[u8],
        out: &mut [u8],
    ) -> Result<usize, SendError> {
        let needed = piece.len();
        let out = out.get_mut(..needed).ok_or(SendError::BufferTooSmall { needed })?;
        self.take_piece(now, frame, piece)?;
        match &mut frame.mask {
            Some(mask) => {
                mask.apply_copy(piece, out);
            }
            None => out.copy_from_slice(piece),
        }
        Ok(needed)
    }

    /// Admits a piece, and enters the state after it.
    fn take_piece(&mut self, now: Instant, frame: &mut OpenFrame, piece: &[u8]) -> Result<(), SendError> {
        if self.closing.is_closed() {
            return Err(SendError::Closing);
        }
        let (ends, remaining) = frame.after(piece.len())?;
        let sender = self.sender.admit_piece(ends, piece)?;
        self.sender = sender;
        frame.remaining = remaining;
        if ends != Ends::Nothing && !self.closing.is_open() && !self.closing.is_left_to_host() {
            self.clock.wait(now);
        }
        Ok(())
    }
}
