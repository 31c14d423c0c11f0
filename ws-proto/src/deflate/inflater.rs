//! Inflating (RFC 7692 section 7.2.2), never further than there is room for.

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

/// What the state of an [`Inflater`] takes, in bytes, once it has inflated something; the message that it holds is not
/// counted.
///
/// The window has its full size whatever has been agreed on, so that peers may use any.
pub const INFLATER_BYTES: usize = 48 * 1024;

/// What remains of a message's end when a sender has cut it off, and the first byte of another block, which is not
/// taken if the message ends where a block does.
const TAIL: &[u8] = &[0x00, 0x00, 0xFF, 0xFF, 0x00];
/// A message grows by at most this much at a time.
const PIECE: usize = 64 * 1024;
/// The least room worth inflating to.
const SMALLEST_PIECE: usize = 4 * 1024;
/// What is kept of a message's room when it has been taken.
const KEPT: usize = 16 * 1024;

/// Inflates the messages of one peer, or those of many that don't take their context over.
///
/// It takes no memory before the first compressed message. A [`MessageBuffer`](crate::MessageBuffer) makes one when it
/// needs it; hosts that use [`Endpoint::receive`](crate::Endpoint::receive) call [`begin`](Self::begin),
/// [`inflate`](Self::inflate) for each part, and [`finish`](Self::finish) behind the last.
pub struct Inflater {
    state: Option<Inflate>,
    /// Whether the state remembers what it has inflated.
    has_history: bool,
    /// The message in progress may end here: it has no byte yet, or its last block said that it is the last, and nothing
    /// has come after it.
    ended: bool,
    /// The message in progress, or the piece told last, in `message[..len]`.
    message: Vec<u8>,
    len: usize,
    /// What that is.
    held: Held,
    progress: Progress,
}

/// What has been inflated of the message in progress.
#[derive(Clone, Copy, Debug)]
struct Progress {
    kind: MessageKind,
    limit: u64,
    limits: InflateLimits,
    /// Bytes on the wire so far, and inflated.
    taken: u64,
    total: u64,
    purpose: Use,
    /// Whether a piece has been told.
    begun: bool,
    by_itself: bool,
    text: Validator,
}

/// What the bytes are that an inflater holds for its user to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    Nothing,
    /// A whole message.
    Message,
    /// This part of one.
    Piece(Part),
}

/// What is done with what is inflated of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// There is none in progress.
    Nothing,
    /// It is put together.
    Whole,
    /// It is told in pieces.
    Pieces,
}

impl Progress {
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

impl Progress {
    /// Whether the message is within its limits.
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
    /// An inflater that has seen nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: None,
            has_history: false,
            ended: false,
            message: Vec::new(),
            len: 0,
            held: Held::Nothing,
            progress: Progress::NONE,
        }
    }

    /// Begins a message; what came before it is forgotten if that has been agreed on.
    pub fn begin(&mut self, no_context_takeover: bool) {
        if no_context_takeover {
            self.forget();
        }
        self.ended = true;
    }

    /// Forgets all that it has inflated: it can serve another connection.
    pub fn forget(&mut self) {
        if let Some(state) = self.state.as_mut().filter(|_| self.has_history) {
            state.reset(false);
        }
        self.has_history = false;
    }

    /// Whether it remembers nothing, and so can serve any connection.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        !self.has_history && matches!(self.progress.purpose, Use::Nothing)
    }

    /// The memory that it holds now, in bytes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.message.capacity() + if self.state.is_some() { INFLATER_BYTES } else { 0 }
    }

    /// Inflates from the front of `input`, which shrinks by what was taken, to the front of `output`; how much that is.
    ///
    /// If `output` is filled there may be more: call again. Else all of `input` is taken.
    ///
    /// # Errors
    ///
    /// [`Fault::InvalidPayload`]: this is not what a compressor makes. Hand it to [`fail`](crate::Endpoint::fail).
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

    /// Ends a message, all of which has been inflated.
    ///
    /// A message without a byte is empty, though a compressor makes one byte of it (RFC 7692 section 7.2.3.6): some send an
    /// empty frame, and it can mean nothing else.
    ///
    /// # Errors
    ///
    /// [`Fault::InvalidPayload`]: the message ends where no compressor ends one. So does one that still has the four bytes
    /// which its sender was to remove (RFC 7692 section 7.2.1): with what is put back here, the begin of a stored block would
    /// follow them, and what comes in later messages would be read as that block.
    pub fn finish(&mut self) -> Result<(), Fault> {
        if self.ended {
            return Ok(());
        }
        let mut tail = TAIL;
        let mut nothing = [0; 1];
        while tail.len() > 1 {
            match self.step(&mut tail, &mut nothing, InflateFlush::Block)? {
                (1.., 0, Status::Ok | Status::BufError) => {}
                // The empty block was the last of its stream.
                (1.., 0, Status::StreamEnd) if tail.len() == 1 => self.begin_stream(),
                _ => return Err(Fault::InvalidPayload),
            }
        }
        if tail.is_empty() {
            return Err(Fault::InvalidPayload);
        }
        // The end of a stream may not have been told yet.
        if let (_, _, Status::StreamEnd) = self.step(&mut &[][..], &mut nothing, InflateFlush::NoFlush)? {
            self.begin_stream();
        }
        Ok(())
    }

    /// One call of the library; what it has taken and made.
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

    /// A block was the last of its stream; another stream may follow, even in this message (RFC 7692 section 7.2.3.5). It
    /// begins anew, as compressors do.
    fn begin_stream(&mut self) {
        self.ended = true;
        if let Some(state) = &mut self.state {
            state.reset(false);
        }
    }

    /// Begins a message that is assembled or told in pieces here.
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
        self.progress = Progress { kind, limit, limits, purpose, by_itself, ..Progress::NONE };
        self.len = 0;
        self.held = Held::Nothing;
    }

    /// A part is for what the message was begun for: hosts can mix up endpoints, inflaters, and ways to receive.
    fn check_purpose(&self, purpose: Use) -> Result<(), Fault> {
        if self.progress.purpose == purpose { Ok(()) } else { Err(Fault::Internal) }
    }

    /// Adds a part to the message; [`message`](Self::message) has it if the part is the last.
    pub(crate) fn add(&mut self, mut payload: &[u8], last: bool) -> Result<(), Fault> {
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

    /// Inflates the next piece of a part, in the place of the piece before; whether there is one, for
    /// [`piece`](Self::piece), and whether there are more. Nothing is told of a piece without content.
    pub(crate) fn next_piece(&mut self, payload: &mut &[u8], last: bool) -> Result<(bool, bool), Fault> {
        self.check_purpose(Use::Pieces)?;
        self.len = 0;
        self.held = Held::Nothing;
        if self.message.len() < PIECE {
            self.message.resize(PIECE, 0);
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

    /// More room for the message: twice as much, but no more than shows that it is too big.
    fn grow(&mut self) {
        let most = to_usize(self.progress.limit).saturating_add(1);
        let len = (self.len + SMALLEST_PIECE).max(self.len.saturating_mul(2)).min(most);
        self.message.reserve_exact(len.saturating_sub(self.len));
        self.message.resize(len, 0);
    }

    /// Inflates to the room behind the message, at most a piece; whether there may be more.
    fn fill(&mut self, payload: &mut &[u8]) -> Result<bool, Fault> {
        let Progress { kind, limit, total, .. } = self.progress;
        let left = to_usize(limit - total).saturating_add(1);
        let end = self.message.len().min(self.len + left.min(PIECE));
        // Taken for the moment of the call.
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

    fn end(&mut self) -> Result<(), Fault> {
        self.finish()?;
        self.progress.purpose = Use::Nothing;
        if self.progress.by_itself {
            self.forget();
        }
        if self.progress.text.is_complete() { Ok(()) } else { Err(Fault::InvalidPayload) }
    }

    /// The message that [`add`](Self::add) has completed, if nothing has been done since.
    pub(crate) fn message(&self) -> Option<Message<'_>> {
        if self.held != Held::Message {
            return None;
        }
        let payload = part(&self.message, ..self.len);
        // SAFETY: a message is held: `message[..len]` is what `fill` has appended since `begin_message`, each piece validated
        // from the state that the one before it ended in, and `add` has found that state complete. Whatever changes these
        // bytes ends that.
        #[allow(unsafe_code)]
        Some(unsafe { Message::new_validated(self.progress.kind, payload) })
    }

    /// The piece that [`next_piece`](Self::next_piece) has told, once.
    pub(crate) fn piece(&mut self) -> Option<Data<'_>> {
        let Held::Piece(part) = core::mem::replace(&mut self.held, Held::Nothing) else {
            return None;
        };
        let payload = part_mut(&mut self.message, ..self.len);
        // SAFETY: as of `message`, if the piece is the whole of a text; a part need not be valid by itself.
        #[allow(unsafe_code)]
        Some(unsafe { Data::new(Content::of(self.progress.kind), part, payload) })
    }

    /// The message has been taken; what a big one needed is given back.
    pub(crate) fn release(&mut self) {
        self.len = 0;
        self.held = Held::Nothing;
        if self.message.len() > KEPT {
            self.message.truncate(KEPT);
            self.message.shrink_to(KEPT);
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

    /// A whole message of these bytes, inflated through room for `room` bytes at a time.
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
                // What came before is referred to.
                (&[0xF2, 0x00, 0x11, 0x00, 0x00], b"Hello"),
                // A stored block.
                (&[0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00], b"Hello"),
                // A final block, and an empty one behind it.
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
            // No byte at all and a single zero are empty messages.
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
