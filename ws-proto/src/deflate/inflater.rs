//! Inflating (RFC 7692 section 7.2.2), never further than there is room for.
//!
//! # Theory of operation
//!
//! *Three users.* A host that receives parts calls `begin`, `inflate` and `finish`, with output of its own. A
//! message buffer calls `begin_message`, then either `add` for each part, which assembles the whole message here
//! ([`Use::Whole`]), or `next_piece` until there are no more, which inflates piece after piece to the same place
//! ([`Use::Pieces`]). `message` and `piece` lend the result. [`MessageProgress`] has the state of one message,
//! `Inflater` what outlives it: the library's state with the window.
//!
//! *A message on the wire* is a part of an endless stream of deflate blocks. Its sender flushes the stream at the
//! end of the message, which appends an empty stored block, and removes the last four bytes of that, `00 00 FF
//! FF`. The receiver puts them back (RFC 7692 section 7.2.2). `finish` does so, and then knows whether the message
//! ended between two blocks:
//!
//! - It feeds [`RESTORED_END`], the four bytes and a fifth one that would begin another block, and asks the
//!   library to stop after each block. If the message is well-formed, the library stops after the four bytes and
//!   leaves the fifth.
//! - If the fifth byte is taken, the message ended inside a block, and the bytes served as its content: the message is
//!   corrupt. A message whose sender did not remove the four bytes fails in the same way.
//!
//! *Final blocks.* A sender may also end a message by a final block, which ends the stream (RFC 7692 section
//! 7.2.3.4). More blocks may follow, even in the same message (section 7.2.3.5), so the library's state is reset
//! and the next block begins a new stream. A message may end there without the four bytes. The flag `ended` is set
//! in two places: before the first byte of a message, since an empty message is valid, and after a final block.
//! Any further byte clears it, and `finish` has work only if it is clear.
//!
//! *Bounds.* Output is made in pieces of at most [`LARGEST_PIECE`], and the limits of the message are checked
//! after each. `add` doubles the room when it is full, so the memory is at most twice the inflated bytes so far, or
//! 4 KiB. It never grows further than one byte over the limit, enough to notice that the message is too big.
//! Text is validated piece by piece as it is made, so `message` need not look at it again.
//!
//! *Context takeover.* With it, the window is kept from message to message, and the inflater belongs to one
//! connection. Without it, the inflater forgets the window at the beginning of a message and at its end, and any
//! connection may use it in between (`is_idle`). The window has its full size whatever has been agreed on, so that
//! peers may use any.

use core::fmt;

use alloc::vec::Vec;

use zlib_rs::{Inflate, InflateFlush, Status};

use super::InflateLimits;
use crate::{
    error::Fault,
    message::{Content, Data, Message, MessageKind, Part},
    part::{narrow, part, part_mut, to_u64, to_usize},
    utf8::Validator,
};

/// The memory of the state of an [`Inflater`], in bytes, once it has inflated a message. The message that it holds
/// is not counted.
///
/// The window has its full size whatever has been agreed on, so that peers may use any.
pub const INFLATER_BYTES: usize = 48 * 1024;

/// The bytes that a sender has removed from the end of a message, and one more, which begins another block. The
/// library does not take it if the message ends between two blocks.
const RESTORED_END: &[u8] = &[0x00, 0x00, 0xFF, 0xFF, 0x00];
/// The greatest number of bytes inflated at a time.
const LARGEST_PIECE: usize = 64 * 1024;
/// The least room to inflate to.
const LEAST_ROOM: usize = 4 * 1024;
/// The room for messages that is kept after a message has been taken.
const ROOM_KEPT: usize = 16 * 1024;

/// An inflater of the messages of one peer, or of many peers without context takeover.
///
/// It takes no memory before the first compressed message. A [`MessageBuffer`](crate::MessageBuffer) creates one
/// when it needs it. Hosts that use [`Endpoint::receive`](crate::Endpoint::receive) call [`begin`](Self::begin),
/// [`inflate`](Self::inflate) for each part, and [`finish`](Self::finish) after the last.
pub struct Inflater {
    state: Option<Inflate>,
    /// Set while the state remembers bytes that it has inflated.
    has_history: bool,
    /// Set while the message in progress may end: it has no byte yet, or a final block was its last.
    ended: bool,
    /// The bytes of the message in progress, or of the current piece, in `message[..len]`.
    message: Vec<u8>,
    len: usize,
    /// The state of these bytes.
    held: Held,
    progress: MessageProgress,
}

/// The state of the message in progress.
#[derive(Clone, Copy, Debug)]
struct MessageProgress {
    kind: MessageKind,
    limit: u64,
    limits: InflateLimits,
    /// Bytes taken from the wire so far, and bytes inflated.
    taken: u64,
    total: u64,
    purpose: Use,
    /// Set once a piece has been returned.
    begun: bool,
    /// Set if the message is compressed by itself, without context takeover.
    by_itself: bool,
    text: Validator,
}

/// The state of the bytes that an inflater holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Nothing,
    /// A whole message.
    Message,
    /// A piece, which is this part of a message.
    Piece(Part),
}

impl Held {
    /// Returns which part of its message the bytes are, if there are some.
    const fn part(self) -> Option<Part> {
        match self {
            Self::Nothing => None,
            Self::Message => Some(Part::Whole),
            Self::Piece(part) => Some(part),
        }
    }
}

/// The use of the inflated bytes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// No message is in progress.
    Nothing,
    /// The message is assembled.
    Whole,
    /// The message is returned in pieces.
    Pieces,
}

impl MessageProgress {
    const NONE: Self = Self {
        kind: MessageKind::Binary,
        limit: 0,
        limits: InflateLimits::new(),
        taken: 0,
        total: 0,
        purpose: Use::Nothing,
        begun: false,
        by_itself: false,
        text: Validator::new(),
    };
}

impl MessageProgress {
    /// Checks the limits of the message.
    fn check(&self) -> Result<(), Fault> {
        if self.total > self.limit {
            return Err(Fault::MessageTooBig);
        }
        let Some(ratio) = self.limits.max_ratio.filter(|_| self.total > InflateLimits::RATIO_FROM) else {
            return Ok(());
        };
        let most = self.taken.saturating_mul(ratio.get().into());
        if self.total > most { Err(Fault::InflatesTooMuch) } else { Ok(()) }
    }
}

impl Inflater {
    /// Creates an inflater without a history.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: None,
            has_history: false,
            ended: false,
            message: Vec::new(),
            len: 0,
            held: Held::Nothing,
            progress: MessageProgress::NONE,
        }
    }

    /// Begins a message. With `no_context_takeover`, the inflater first forgets the messages before it.
    pub fn begin(&mut self, no_context_takeover: bool) {
        if no_context_takeover {
            self.forget();
        }
        self.ended = true;
    }

    /// Forgets all inflated bytes. The inflater can then serve another connection.
    pub fn forget(&mut self) {
        if let Some(state) = self.state.as_mut().filter(|_| self.has_history) {
            state.reset(false);
        }
        self.has_history = false;
    }

    /// Returns whether the inflater remembers nothing, and so can serve any connection.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        !self.has_history && matches!(self.progress.purpose, Use::Nothing)
    }

    /// Returns the memory that the inflater holds now, in bytes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.message.capacity() + if self.state.is_some() { INFLATER_BYTES } else { 0 }
    }

    /// Inflates from the front of `input`, which shrinks by the bytes taken, to the front of `output`. Returns the
    /// number of bytes inflated.
    ///
    /// If `output` is full, there may be more: call again. Otherwise all of `input` has been taken.
    ///
    /// # Errors
    ///
    /// [`Fault::InvalidPayload`] if the input is corrupt. Pass it to [`fail`](crate::Endpoint::fail).
    pub fn inflate(&mut self, input: &mut &[u8], output: &mut [u8]) -> Result<usize, Fault> {
        let mut len = 0;
        while len < output.len() {
            let room = part_mut(output, len..);
            let (taken, made, status) = self.step(input, room, InflateFlush::NoFlush)?;
            self.ended &= taken == 0;
            len += made;
            if status == Status::StreamEnd {
                self.begin_stream();
            } else if taken == 0 && made == 0 {
                break;
            }
        }
        Ok(len)
    }

    /// Ends a message after all of it has been inflated.
    ///
    /// A message without a byte is an empty message. A compressor makes one byte of it (RFC 7692 section 7.2.3.6),
    /// but some senders send an empty frame, which can have no other meaning.
    ///
    /// # Errors
    ///
    /// [`Fault::InvalidPayload`] if the message ends inside a block, or still has the four bytes that its sender
    /// was to remove (RFC 7692 section 7.2.1). In the second case, the bytes put back here would begin a stored
    /// block, and later messages would be read as its content.
    pub fn finish(&mut self) -> Result<(), Fault> {
        if self.ended {
            return Ok(());
        }
        let mut tail = RESTORED_END;
        let mut nothing = [0; 1];
        while tail.len() > 1 {
            match self.step(&mut tail, &mut nothing, InflateFlush::Block)? {
                (1.., 0, Status::Ok | Status::BufError) => {}
                // The empty block was final and ended its stream.
                (1.., 0, Status::StreamEnd) if tail.len() == 1 => self.begin_stream(),
                _ => return Err(Fault::InvalidPayload),
            }
        }
        if tail.is_empty() {
            return Err(Fault::InvalidPayload);
        }
        // The library may not have reported the end of a stream yet.
        if let (_, _, Status::StreamEnd) = self.step(&mut &[][..], &mut nothing, InflateFlush::NoFlush)? {
            self.begin_stream();
        }
        Ok(())
    }

    /// Calls the library once. Returns the number of bytes taken and made.
    fn step(
        &mut self,
        input: &mut &[u8],
        output: &mut [u8],
        flush: InflateFlush,
    ) -> Result<(usize, usize, Status), Fault> {
        let state = self.state.get_or_insert_with(|| Inflate::new(false, super::WindowBits::MAX.get()));
        let before = (state.total_in(), state.total_out());
        let status = state.decompress(input, output, flush).map_err(|_| Fault::InvalidPayload)?;
        self.has_history = true;
        let moved = |after: u64, before: u64| narrow(after - before);
        let taken = moved(state.total_in(), before.0);
        *input = part(input, taken..);
        Ok((taken, moved(state.total_out(), before.1), status))
    }

    /// Begins another stream after a final block, even in the same message (RFC 7692 section 7.2.3.5). It begins
    /// without a history, as compressors begin it.
    fn begin_stream(&mut self) {
        self.ended = true;
        if let Some(state) = &mut self.state {
            state.reset(false);
        }
    }

    /// Begins a message that is assembled here or returned in pieces.
    pub(crate) fn begin_message(
        &mut self,
        kind: MessageKind,
        purpose: Use,
        limits: InflateLimits,
        (limit, no_context_takeover): (u64, bool),
    ) {
        self.begin(no_context_takeover);
        let limit = limits.max_len.map_or(limit, |own| own.min(limit));
        let by_itself = no_context_takeover;
        self.progress = MessageProgress { kind, limit, limits, purpose, by_itself, ..MessageProgress::NONE };
        self.len = 0;
        self.held = Held::Nothing;
    }

    /// Returns whether a message is being assembled.
    pub(crate) const fn is_assembling(&self) -> bool {
        matches!(self.progress.purpose, Use::Whole)
    }

    /// Checks that the message was begun for `purpose`: a host can mix up endpoints, inflaters, and ways to
    /// receive.
    fn check_purpose(&self, purpose: Use) -> Result<(), Fault> {
        if self.progress.purpose == purpose { Ok(()) } else { Err(Fault::Internal) }
    }

    /// Adds a part to the message. After the last part, [`message`](Self::message) returns it.
    pub(crate) fn add(&mut self, mut payload: &[u8], last: bool) -> Result<(), Fault> {
        if self.progress.purpose == Use::Pieces && !self.progress.begun {
            // No piece of the message has been returned: all of it is still to come.
            self.progress.purpose = Use::Whole;
        }
        self.check_purpose(Use::Whole)?;
        loop {
            if self.len == self.message.len() {
                self.grow();
            }
            if !self.fill(&mut payload)? {
                break;
            }
        }
        if last {
            self.end()?;
            self.held = Held::Message;
        }
        Ok(())
    }

    /// Inflates the next piece of a part, in the place of the piece before it. Returns whether there is a piece,
    /// for [`piece`](Self::piece), and whether there are more. A piece without content is skipped unless it ends
    /// the message.
    pub(crate) fn next_piece(&mut self, payload: &mut &[u8], last: bool) -> Result<(bool, bool), Fault> {
        self.check_purpose(Use::Pieces)?;
        self.len = 0;
        self.held = Held::Nothing;
        if self.message.len() < LARGEST_PIECE {
            self.message.resize(LARGEST_PIECE, 0);
        }
        let more = self.fill(payload)?;
        let ends = last && !more;
        if ends {
            self.end()?;
        }
        if self.len == 0 && !ends {
            return Ok((false, more));
        }
        let first = !core::mem::replace(&mut self.progress.begun, true);
        self.held = Held::Piece(Part::new(first, ends));
        Ok((true, more))
    }

    /// Doubles the room for the message, up to one byte over its limit.
    fn grow(&mut self) {
        let most = to_usize(self.progress.limit).saturating_add(1);
        let len = (self.len + LEAST_ROOM).max(self.len.saturating_mul(2)).min(most);
        self.message.reserve_exact(len.saturating_sub(self.len));
        self.message.resize(len, 0);
    }

    /// Inflates at most a piece to the room after the message. Returns whether there may be more.
    fn fill(&mut self, payload: &mut &[u8]) -> Result<bool, Fault> {
        let MessageProgress { kind, limit, total, .. } = self.progress;
        let left = to_usize(limit - total).saturating_add(1);
        let end = self.message.len().min(self.len + left.min(LARGEST_PIECE));
        // The buffer is moved out during the call, which borrows the whole inflater.
        let mut message = core::mem::take(&mut self.message);
        let room = part_mut(&mut message, self.len..end);
        let before = payload.len();
        let result = self.inflate(payload, room).and_then(|made| {
            if kind == MessageKind::Text {
                let text = part(room, ..made);
                self.progress.text.update(text).map_err(|_| Fault::InvalidPayload)?;
            }
            Ok((made, made == room.len()))
        });
        self.message = message;
        let (made, more) = result?;
        self.len += made;
        self.progress.taken += to_u64(before - payload.len());
        self.progress.total += to_u64(made);
        self.progress.check()?;
        Ok(more)
    }

    /// Ends the message: checks its last block and its text, and forgets it without context takeover.
    fn end(&mut self) -> Result<(), Fault> {
        self.finish()?;
        self.progress.purpose = Use::Nothing;
        if self.progress.by_itself {
            self.forget();
        }
        if self.progress.text.is_complete() { Ok(()) } else { Err(Fault::InvalidPayload) }
    }

    /// Returns the message that [`add`](Self::add) has completed, until the next call that changes the bytes.
    pub(crate) fn message(&self) -> Option<Message<'_>> {
        if self.held != Held::Message {
            return None;
        }
        let payload = part(&self.message, ..self.len);
        // SAFETY: `held` is `Message`. `message[..len]` is then what `fill` has appended since `begin_message`,
        // each piece validated from the state in which the one before it ended, and `add` has found the last state
        // complete. Every call that changes these bytes resets `held`.
        #[allow(unsafe_code)]
        Some(unsafe { Message::new_validated(self.progress.kind, payload) })
    }

    /// Returns the piece that [`next_piece`](Self::next_piece) has made, or the message that [`add`](Self::add) has completed,
    /// once.
    pub(crate) fn piece(&mut self) -> Option<Data<'_>> {
        let part = core::mem::replace(&mut self.held, Held::Nothing).part()?;
        let payload = part_mut(&mut self.message, ..self.len);
        // SAFETY: as for `message` if the piece is a whole text; a part of a text need not be valid by itself.
        #[allow(unsafe_code)]
        Some(unsafe { Data::new(Content::of(self.progress.kind), part, payload) })
    }

    /// Returns what [`piece`](Self::piece) would, and leaves it.
    pub(crate) fn part(&self) -> Option<(MessageKind, Part, &[u8])> {
        let place = self.held.part()?;
        Some((self.progress.kind, place, part(&self.message, ..self.len)))
    }

    /// Drops the message, and gives back the room that a big one needed.
    pub(crate) fn release(&mut self) {
        self.len = 0;
        self.held = Held::Nothing;
        if self.message.len() > ROOM_KEPT {
            self.message.truncate(ROOM_KEPT);
            self.message.shrink_to(ROOM_KEPT);
        }
    }
}

impl Default for Inflater {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Inflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inflater")
            .field("has_history", &self.has_history)
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a whole message of these bytes, inflated through room for `room` bytes at a time.
    fn inflated(inflater: &mut Inflater, payload: &[u8], room: usize) -> Result<Vec<u8>, Fault> {
        let (mut input, mut message, mut out) = (payload, Vec::new(), alloc::vec![0; room]);
        inflater.begin(false);
        loop {
            let len = inflater.inflate(&mut input, &mut out)?;
            message.extend_from_slice(&out[..len]);
            if len < room {
                break;
            }
        }
        assert!(input.is_empty());
        inflater.finish().map(|()| message)
    }

    #[test]
    fn the_examples_of_the_rfc_inflate() {
        // R7692-7.2.2
        for room in [1, 3, 100] {
            let mut inflater = Inflater::new();
            for (payload, message) in [
                (&[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00][..], &b"Hello"[..]),
                // A reference to the message before.
                (&[0xF2, 0x00, 0x11, 0x00, 0x00], b"Hello"),
                // A stored block.
                (&[0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00], b"Hello"),
                // A final block, and an empty one after it.
                (&[0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00], b"Hello"),
                // Two blocks.
                (&[0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00], b"Hello"),
                (&[0x00], b""),
                // A final block that ends the message.
                (&[0x03, 0x00], b""),
                // A final block whose end was cut off.
                (&[0x01], b""),
                (&[0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x01], b"Hello"),
                (&[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00], b"Hello"),
            ] {
                assert_eq!(inflated(&mut inflater, payload, room).as_deref(), Ok(message), "{payload:02X?}");
            }
        }
    }

    #[test]
    fn a_message_that_ends_inside_a_block_is_none() {
        let hello = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];
        let stored = [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00];
        for whole in [&hello[..], &stored] {
            // No byte and a single zero byte are empty messages.
            for end in (1..whole.len()).filter(|end| whole[..*end] != [0x00]) {
                let cut = inflated(&mut Inflater::new(), &whole[..end], 100);
                assert_eq!(cut, Err(Fault::InvalidPayload), "{:02X?}", &whole[..end]);
            }
        }
        let mut inflater = Inflater::new();
        assert_eq!(inflated(&mut inflater, &[0x01], 9).as_deref(), Ok(&b""[..]));
        assert_eq!(inflated(&mut inflater, &[], 9).as_deref(), Ok(&b""[..]));
        for corrupt in [&[0x07][..], &[0xFF, 0xFF], &[0xF2, 0x00, 0x11, 0x00, 0x00], b"Hello, world"] {
            assert_eq!(inflated(&mut Inflater::new(), corrupt, 100), Err(Fault::InvalidPayload), "{corrupt:02X?}");
        }
    }
}
