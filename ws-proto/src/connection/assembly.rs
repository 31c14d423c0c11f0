//! Whole messages, put together where they lie.
//!
//! # Theory of operation
//!
//! An [`Assembly`] is a buffer that bytes are read into, and at most one message that is being put together in it:
//!
//! ```text
//! 0            message.start   message.end      unread.start    unread.end      len
//! | taken before | payload of the message | a gap | read, not looked at | room to read into |
//! ```
//!
//! The endpoint says what comes next in the unread bytes: a control frame, or payload of so many bytes. Payload is then taken
//! in one pass that unmasks, moves and validates it, and there are three ways for it to go:
//!
//! - It *stays* where it was read. The payload of a frame that is cut by a read is taken as far as it has come; the next
//!   read goes to the place right after it, so that the rest lies where it belongs. There is no gap, and a message of one
//!   frame is moved only if there is not enough room after it, however many reads it takes.
//! - It moves *down*. Between fragments there are headers (and control frames may be); each fragment after the first moves
//!   down over them, to the end of the message.
//! - It goes *across* to another assembly. A host may read for many connections into one buffer; that is then an assembly
//!   without memory of its own, which lives for the time of a read, and the connection's is its *home*. A message that begins
//!   and ends within the read stays in it. One that the end of the read cuts goes on at home: if its frame is cut, its payload
//!   goes home at once; if it is cut between fragments, what has been put together is copied there at the end of the read.
//!   From then on its payload goes across until it is complete.
//!
//! So the same code serves a connection that reads into its own storage (an assembly without a home) and one that reads into a
//! shared buffer.
//!
//! One kind of frame is not taken as it comes, since that would take longer: a short one of a binary message, which waits unread until
//! all of it is there (`deferred`).
//!
//! Whole continuations are put together by an accelerator, many in one call; and a whole message in one frame is not put
//! together at all: `MessageBuffer` asks the endpoint for one first. Payload of a message that a read into a shared buffer cuts, or goes on
//! with, goes home without an assembly of the read, if it comes first (`MessageBuffer::take_cut`).
//!
//! Room: a frame that does not fit the limit of the storage fails as soon as its header has been read. Otherwise the storage
//! grows with what arrives, never with what is announced. When all is taken, the policy ([`Room`]) says what is kept.
//!
//! Reads: a read may bring many small frames, and the beginning of one more. What follows a long frame would have to be moved
//! later, so the last read of one ends where it does. And while long frames of one length follow one another, each read is as
//! long as one of them ([`Room::longest_read`]).
//!
//! A complete message can be taken out of storage that is a `BytesMut`: the storage is split at the end of the message, and goes on
//! with the unread bytes, so that nothing is copied and nothing of the message can be written to again.
//!
//! Text: the validator at the end of the message belongs to the assembly, not to the endpoint, so that a message which is
//! handed out as text depends on nothing but the code of this file and the contract of [`Endpoint::take`].

mod deferred;
mod reads;

use core::ops::Range;

#[cfg(feature = "bytes")]
use bytes::{Buf, Bytes};

use super::{
    room::{LONG_FRAME, Moment, Room},
    storage::Storage,
};
#[cfg(feature = "bytes")]
use crate::message::OwnedMessage;
use crate::{
    endpoint::{Endpoint, Trace, fragments::Gather, payload::Run, receive::Taken, whole::Whole},
    error::{Fault, ReceiveError},
    event::Event,
    message::{Content, Data, Message, MessageKind, Part},
    part::{part, part_mut, some_part_mut},
    role::Role,
    time::Instant,
    utf8::Validator,
};

/// A buffer that bytes are read into, and the message that is put together in it.
///
/// Invariant: `message.at.start <= message.at.end <= unread.start <= unread.end <= storage.bytes().len()`.
#[derive(Debug)]
pub(super) struct Assembly<S> {
    storage: S,
    /// The message in progress, if any of it lies here.
    message: Option<Begun>,
    /// The bytes that have been read and not been taken.
    unread: Range<usize>,
    told: Option<Told>,
    /// The frame at hand, if a read has cut its payload.
    cut_frame: Option<CutFrame>,
    /// The frame at the start of the unread bytes, if it waits there; then there is no message.
    deferred: Option<Deferred>,
    room: Room,
}

/// A frame that a read has cut.
#[derive(Clone, Copy, Debug)]
struct CutFrame {
    /// Length of the message before it.
    before: usize,
    /// Whether it is so long that its reads end where it does.
    is_big: bool,
}

/// A frame at the start of the unread bytes that waits until all of it is there.
#[derive(Clone, Copy, Debug)]
struct Deferred {
    /// How many bytes of it there must be before it is looked at again.
    needed: usize,
    /// How many bytes of it have been received.
    received: usize,
}

/// The beginning of a message: all parts of it so far.
#[derive(Clone, Debug)]
struct Begun {
    kind: MessageKind,
    at: Range<usize>,
    /// The state of the text at the end, to which all bytes have been taken through the validator; a new one for binary.
    text: Validator,
}

/// Payload found in what was read.
#[derive(Debug)]
pub(super) enum Found {
    /// A message or part of one, which [`Assembly::message`] or [`Assembly::take_part`] lends.
    Here,
    /// A message, which the home of this assembly lends.
    Home,
    /// Payload of a compressed message, here.
    #[cfg(feature = "deflate")]
    Compressed(Taken, Range<usize>),
}

/// Something to lend, in bytes that have not been lent or read into since it was found.
#[derive(Debug)]
enum Told {
    Message(Whole),
    Part(Taken, Range<usize>),
}

impl Told {
    /// Returns the content, its place in its message, and where its bytes lie.
    fn place(&self) -> (Content, Part, &Range<usize>) {
        match self {
            Self::Message(whole) => (Content::of(whole.kind), Part::Whole, &whole.at),
            Self::Part(taken, at) => (taken.content, taken.part(), at),
        }
    }
}

/// The message at `whole` in `buffer`, which is unchanged since it was found there.
#[inline]
fn lend<'m>(whole: &Whole, buffer: &'m [u8]) -> Message<'m> {
    let payload = part(buffer, whole.at.clone());
    // SAFETY: this function is private, and its callers have a `Whole` of this buffer from one of two places. The endpoint makes
    // one of a message that it has checked as a whole. And `Begun::take` makes one when the last part of a message has been
    // taken: each part was taken through the validator of the one before it, the first through a new one, and the endpoint
    // takes the last part of a text only if that validator is complete then. The parts lie one after the other, in `at`. What
    // writes to the buffer again ends `told` first.
    #[allow(unsafe_code)]
    unsafe {
        Message::new_validated(whole.kind, payload)
    }
}

impl Begun {
    /// Takes a run of payload that goes to `at`, and adds it to `message`, which ends there; the message, if it is complete.
    #[inline(always)]
    fn take<R: Role, T: Trace>(
        message: &mut Option<Self>,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        run: Run<'_>,
        at: Range<usize>,
    ) -> Result<Option<Whole>, ReceiveError> {
        let is_new = message.is_none();
        let nothing = || Self { kind: MessageKind::Binary, at: at.start..at.start, text: Validator::new() };
        let begun = message.get_or_insert_with(nothing);
        debug_assert!(begun.at.end == at.start, "parts follow one another");
        let Taken { content, first, last } = endpoint.take(now, run, &mut begun.text)?;
        if first {
            begun.kind = content.kind();
        }
        if first != is_new || content != Content::of(begun.kind) {
            return Err(endpoint.fail(now, FOREIGN));
        }
        begun.at.end = at.end;
        if !last {
            return Ok(None);
        }
        let whole = Whole { kind: begun.kind, at: begun.at.clone() };
        *message = None;
        Ok(Some(whole))
    }
}

/// Other parts of the message went elsewhere: the host mixes endpoints, or this with [`Endpoint::receive`].
const FOREIGN: Fault = Fault::Internal;

impl<S: Storage> Assembly<S> {
    /// The assembly on `storage`, in which `unread` has been read.
    pub(super) const fn new(storage: S, unread: Range<usize>) -> Self {
        Self { storage, message: None, unread, told: None, cut_frame: None, deferred: None, room: Room::new() }
    }

    pub(super) const fn room_mut(&mut self) -> &mut Room {
        &mut self.room
    }

    /// Returns the memory that is held now, in bytes.
    pub(super) fn held_bytes(&self) -> usize {
        self.storage.held()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.storage.bytes()
    }

    pub(super) fn unread(&self) -> &[u8] {
        part(self.bytes(), self.unread.clone())
    }

    /// Returns where the bytes lie that have been read and not been received: those of a deferred frame have been.
    pub(super) fn unreceived(&self) -> Range<usize> {
        let received = match self.deferred {
            Some(deferred) if self.is_deferring() => deferred.received,
            Some(_) | None => 0,
        };
        self.unread.start + received..self.unread.end
    }

    #[inline(always)]
    pub(super) const fn has_message(&self) -> bool {
        self.message.is_some()
    }

    #[inline(always)]
    pub(super) const fn has_unread(&self) -> bool {
        self.unread.start < self.unread.end
    }

    /// Whether neither part of a message nor anything unread is here.
    #[inline(always)]
    pub(super) const fn is_empty(&self) -> bool {
        self.message.is_none() && !self.has_unread()
    }

    pub(super) fn into_parts(self) -> (S, Range<usize>) {
        let unreceived = self.unreceived();
        (self.storage, unreceived)
    }

    /// Takes a whole message in one frame, if that is what comes next and lies here whole; where it does.
    #[inline(always)]
    fn whole_message<R: Role, T: Trace>(&mut self, endpoint: &mut Endpoint<R, T>, now: Instant) -> Option<Whole> {
        let start = self.unread.start;
        let input = some_part_mut(self.storage.bytes_mut(), self.unread.clone())?;
        let Whole { kind, at } = endpoint.whole_message(now, input)?;
        let at = start + at.start..start + at.end;
        self.unread.start = at.end;
        Some(Whole { kind, at })
    }

    /// Takes a whole message in one frame, if that is what comes next and lies here whole; whether it is.
    #[inline(always)]
    pub(super) fn next_whole<R: Role, T: Trace>(&mut self, endpoint: &mut Endpoint<R, T>, now: Instant) -> bool {
        self.told = None;
        if self.has_message() {
            return false;
        }
        let Some(whole) = self.whole_message(endpoint, now) else {
            return false;
        };
        self.told = Some(Told::Message(whole));
        true
    }

    /// The message that has been found last, if nothing has been done here since.
    #[inline(always)]
    pub(super) fn message(&self) -> Option<Message<'_>> {
        match &self.told {
            Some(Told::Message(whole)) => Some(lend(whole, self.storage.bytes())),
            Some(Told::Part(..)) | None => None,
        }
    }

    /// [`message`](Self::message), once.
    #[inline(always)]
    pub(super) fn take_message(&mut self) -> Option<Message<'_>> {
        match self.told.take() {
            Some(Told::Message(whole)) => Some(lend(&whole, self.storage.bytes())),
            Some(Told::Part(..)) | None => None,
        }
    }

    /// The part that [`next_part`](Self::next_part) has found last, or the message that [`next_whole`](Self::next_whole) or
    /// [`advance`](Self::advance) has, if nothing has been done here since.
    pub(super) fn take_part(&mut self) -> Option<Data<'_>> {
        let told = self.told.take()?;
        let (content, part, at) = told.place();
        let payload = part_mut(self.storage.bytes_mut(), at.clone());
        // SAFETY: the endpoint has taken this part through its validator, a whole text from a new one to a complete one, and
        // what writes to the storage again ends `told` first. A message is valid as in `lend`.
        #[allow(unsafe_code)]
        Some(unsafe { Data::new(content, part, payload) })
    }

    /// Returns what [`take_part`](Self::take_part) would, and leaves it.
    pub(super) fn part(&self) -> Option<(MessageKind, Part, &[u8])> {
        let (content, place, at) = self.told.as_ref()?.place();
        Some((content.kind(), place, part(self.storage.bytes(), at.clone())))
    }

    /// Forgets what has been told.
    #[inline(always)]
    pub(super) fn forget_told(&mut self) {
        self.told = None;
    }

    /// Takes what is unread up to something that is found, `None` if more must be read. A message that the end of what was
    /// read cuts goes on at `home` if there is one.
    ///
    /// # Errors
    ///
    /// Those of [`Endpoint::receive`], and of a message too long for the storage. The caller discards what is unread.
    #[inline(always)]
    pub(super) fn advance<R: Role, T: Trace, H: Storage>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        mut home: Option<&mut Assembly<H>>,
    ) -> Result<Option<Event<Found>>, ReceiveError> {
        self.told = None;
        if let Some(home) = &mut home {
            home.told = None;
        }
        loop {
            let announced = match endpoint.pending(now, self.has_unread()) {
                Some(announced) => announced,
                None => match self.gather(endpoint, now)? {
                    Some(true) => return Ok(Some(Event::Data(Found::Here))),
                    Some(false) => continue,
                    None => match self.next(endpoint, now)? {
                        None => return Ok(None),
                        Some(Event::Control(control)) => return Ok(Some(Event::Control(control))),
                        Some(Event::Data(announced)) => {
                            let here = self.unread.len();
                            if here < announced {
                                let room = home.as_deref_mut().map_or(&mut self.room, |home| &mut home.room);
                                room.cut(R::SIDE, announced, here);
                            }
                            announced
                        }
                    },
                },
            };
            if let Some(found) = self.take_payload(endpoint, now, announced, home.as_deref_mut())? {
                return Ok(Some(Event::Data(found)));
            }
            if !self.has_unread() {
                return Ok(None);
            }
        }
    }

    /// Has the endpoint look at what is unread.
    #[inline(always)]
    fn next<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
    ) -> Result<Option<Event<usize>>, ReceiveError> {
        let mut input = part(self.storage.bytes(), self.unread.clone());
        let next = endpoint.next(now, &mut input);
        self.unread.start = self.unread.end - input.len();
        next
    }

    /// Takes whole fragments, if these come next, and returns whether the message ends with them.
    #[inline(always)]
    fn gather<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
    ) -> Result<Option<bool>, ReceiveError> {
        let Some(Begun { kind, at, text }) = &mut self.message else {
            return Ok(None);
        };
        let kind = *kind;
        let (buffer, unread) = (self.storage.bytes_mut(), &mut self.unread);
        let Some(last) = endpoint.fragments(now, Gather { buffer, unread, kind, end: &mut at.end, text })? else {
            return Ok(None);
        };
        if last {
            self.told = Some(Told::Message(Whole { kind, at: at.clone() }));
            self.message = None;
        }
        Ok(Some(last))
    }

    /// Takes what has been read of a frame's payload to where it belongs.
    #[inline(always)]
    fn take_payload<R: Role, T: Trace, H: Storage>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        announced: usize,
        home: Option<&mut Assembly<H>>,
    ) -> Result<Option<Found>, ReceiveError> {
        let len = announced.min(self.unread.end - self.unread.start);
        let from = self.unread.start..self.unread.start + len;
        #[cfg(feature = "deflate")]
        if !self.has_message() && endpoint.is_receiving_compressed() {
            // It is inflated elsewhere, and takes no room here.
            self.unread.start = from.end;
            let taken = endpoint.take_part(now, part_mut(self.storage.bytes_mut(), from.clone()))?;
            return Ok(Some(Found::Compressed(taken, from)));
        }
        let is_cut = len < announced;
        if let Some(home) = home {
            if is_cut {
                self.go_home(endpoint, now, home)?;
            }
            if is_cut || home.has_message() {
                let mut input = part(self.storage.bytes(), self.unread.clone());
                let taken = home.take_across(endpoint, now, announced, &mut input);
                self.unread.start = self.unread.end - input.len();
                return Ok(taken?.then_some(Found::Home));
            }
        } else if is_cut && !self.has_message() {
            self.check_limit(endpoint, now, announced)?;
        }
        self.cut_frame = is_cut.then(|| self.cut(announced >= LONG_FRAME));
        self.unread.start = from.end;
        let to = self.message.as_ref().map_or(from.start, |message| message.at.end);
        let run = Run::within(self.storage.bytes_mut(), from, to);
        let Some(whole) = Begun::take(&mut self.message, endpoint, now, run, to..to + len)? else {
            return Ok(None);
        };
        self.told = Some(Told::Message(whole));
        Ok(Some(Found::Here))
    }

    /// Returns what is known of the frame at hand, whose payload a read has cut.
    fn cut(&self, is_big: bool) -> CutFrame {
        let was = self.cut_frame.unwrap_or(CutFrame { before: self.message_len(), is_big });
        CutFrame { is_big: is_big || was.is_big, ..was }
    }

    /// Sees to room for the first `len` of `announced` bytes of a frame, right after the message in progress.
    #[inline(always)]
    fn prepare<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        announced: usize,
        len: usize,
    ) -> Result<(), ReceiveError> {
        if !self.has_message() {
            self.check_limit(endpoint, now, announced)?;
            self.fit(Moment::Begins(announced));
        }
        self.room_after_message(len, announced).map_err(|fault| endpoint.fail(now, fault))
    }

    /// Takes payload from another buffer, of which `announced` bytes are to come in the frame at hand and some are in `input`, to
    /// the room after the message in progress; whether the message is complete, which [`message`](Self::message) lends then.
    ///
    /// # Errors
    ///
    /// As [`advance`](Self::advance); what is in `input` then has not been taken.
    #[inline(always)]
    pub(super) fn take_across<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        announced: usize,
        input: &mut &[u8],
    ) -> Result<bool, ReceiveError> {
        self.told = None;
        let len = announced.min(input.len());
        self.prepare(endpoint, now, announced, len)?;
        let from = part(input, ..len);
        *input = part(input, len..);
        self.cut_frame = (len < announced).then(|| self.cut(false));
        let start = self.message_end();
        let at = start..start + len;
        self.unread = at.end..at.end;
        let run = Run::Across { from, to: part_mut(self.storage.bytes_mut(), at.clone()) };
        let Some(whole) = Begun::take(&mut self.message, endpoint, now, run, at)? else {
            return Ok(false);
        };
        self.told = Some(Told::Message(whole));
        Ok(true)
    }

    /// Takes all of `input` as [`take_deferred`](Self::take_deferred) or [`take_across`](Self::take_across) do, if it is the middle of
    /// a frame, for which there is room, and that is as simple as most are. Otherwise it returns `false`, and nothing has changed.
    ///
    /// A frame that comes in many reads is mostly such bytes.
    #[inline(always)]
    pub(super) fn take_middle<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        input: &[u8],
    ) -> bool {
        if input.is_empty() || self.has_unread() {
            return self.leave_deferred(endpoint, now, input);
        }
        let (Some(Begun { kind, at, text }), Some(_)) = (&mut self.message, self.cut_frame) else {
            return false;
        };
        let end = at.end + input.len();
        let Some(to) = self.storage.bytes_mut().get_mut(at.end..end) else { return false };
        if !endpoint.take_middle(now, Run::Across { from: input, to }, *kind, text) {
            return false;
        }
        self.told = None;
        at.end = end;
        self.unread = end..end;
        true
    }

    /// Takes what is unread, where it is, if it is the middle of a frame as in [`take_middle`](Self::take_middle). Otherwise it returns
    /// `false`, and nothing has changed.
    #[inline(always)]
    pub(super) fn take_middle_here<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
    ) -> bool {
        let (Some(Begun { kind, at, text }), Some(_)) = (&mut self.message, self.cut_frame) else {
            return false;
        };
        if at.end != self.unread.start || self.unread.is_empty() {
            return false;
        }
        let payload = part_mut(self.storage.bytes_mut(), self.unread.clone());
        if !endpoint.take_middle(now, Run::Stay(payload), *kind, text) {
            return false;
        }
        self.told = None;
        at.end = self.unread.end;
        self.unread.start = self.unread.end;
        true
    }

    /// Moves the message in progress, if there is one, from here to `home`, where there is none.
    #[inline(always)]
    pub(super) fn go_home<R: Role, T: Trace, H: Storage>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        home: &mut Assembly<H>,
    ) -> Result<(), ReceiveError> {
        match self.message.take() {
            None => Ok(()),
            Some(message) => home.move_in(endpoint, now, message, self.storage.bytes()),
        }
    }

    /// Copies the message in progress at `message.at` in `bytes` to here, where there is none.
    #[inline(never)]
    fn move_in<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        message: Begun,
        bytes: &[u8],
    ) -> Result<(), ReceiveError> {
        let Begun { kind, at, text } = message;
        let to = 0..at.len();
        self.prepare(endpoint, now, to.end, to.end)?;
        part_mut(self.storage.bytes_mut(), to.clone()).copy_from_slice(part(bytes, at));
        self.unread = to.end..to.end;
        self.message = Some(Begun { kind, at: to, text });
        Ok(())
    }

    /// Takes the next part of a message that is told as it comes, or what else is found; `None` if more must be read.
    ///
    /// # Errors
    ///
    /// As [`advance`](Self::advance).
    pub(super) fn next_part<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
    ) -> Result<Option<Event<Found>>, ReceiveError> {
        self.told = None;
        if !self.end_deferral(endpoint, now)? {
            return Ok(None);
        }
        if let Some(Whole { kind, at }) = self.whole_message(endpoint, now) {
            self.told = Some(Told::Part(Taken { content: Content::of(kind), first: true, last: true }, at));
            return Ok(Some(Event::Data(Found::Here)));
        }
        let announced = match self.next(endpoint, now)? {
            None => return Ok(None),
            Some(Event::Control(control)) => return Ok(Some(Event::Control(control))),
            Some(Event::Data(announced)) => announced,
        };
        let at = self.unread.start..self.unread.start + announced.min(self.unread.len());
        self.unread.start = at.end;
        let taken = endpoint.take_part(now, part_mut(self.storage.bytes_mut(), at.clone()))?;
        #[cfg(feature = "deflate")]
        if taken.content.is_compressed() {
            return Ok(Some(Event::Data(Found::Compressed(taken, at))));
        }
        self.told = Some(Told::Part(taken, at));
        Ok(Some(Event::Data(Found::Here)))
    }

    /// Ends the message in progress, of which nothing more comes.
    pub(super) fn forget_message(&mut self) {
        self.message = None;
    }

    /// Has what is read next follow the message in progress, if nothing is unread.
    fn close_gap(&mut self) {
        if self.unread.start >= self.unread.end {
            self.unread = self.message_end()..self.message_end();
        }
    }
}

#[cfg(feature = "bytes")]
impl Assembly<bytes::BytesMut> {
    /// Takes the message that has been found last out of the storage, which goes on with what follows it.
    pub(super) fn take_out(&mut self) -> Option<OwnedMessage> {
        let Some(Told::Message(Whole { kind, at })) = self.told.take_if(|told| matches!(told, Told::Message(_)))
        else {
            return None;
        };
        // By the invariant nothing before the end of a complete message is in use.
        debug_assert!(self.message.is_none() && at.end <= self.unread.start && at.end <= self.storage.len());
        let end = at.end.min(self.storage.len());
        let mut payload = self.storage.split_to(end);
        payload.advance(at.start.min(end));
        self.unread = self.unread.start - end..self.unread.end - end;
        self.room.take_out(end);
        // An empty message holds no memory.
        let payload = if payload.is_empty() { Bytes::new() } else { payload.freeze() };
        // SAFETY: as in `lend`, the message lies at `at` in the storage, which is unchanged since it was found there.
        #[allow(unsafe_code)]
        Some(unsafe { OwnedMessage::new_validated(kind, payload) })
    }
}

impl<'b> Assembly<&'b mut [u8]> {
    /// The message that has been found last, if one has been, for as long as the buffer is there, and what is unread.
    pub(super) fn into_message(self) -> (Option<Message<'b>>, &'b mut [u8]) {
        let at = self.unread.start.min(self.storage.len());
        let (taken, rest) = self.storage.split_at_mut(at);
        let message = match self.told {
            Some(Told::Message(whole)) => Some(lend(&whole, taken)),
            Some(Told::Part(..)) | None => None,
        };
        (message, rest)
    }
}

/// Takes a whole message in one frame from the front of `buffer`, if that is what comes next and lies there whole, and returns
/// it and what follows it; otherwise the buffer, in which nothing has changed.
#[inline(always)]
pub(super) fn whole_in<'b, R: Role, T: Trace>(
    endpoint: &mut Endpoint<R, T>,
    now: Instant,
    buffer: &'b mut [u8],
) -> Result<(Message<'b>, &'b mut [u8]), &'b mut [u8]> {
    let Some(whole) = endpoint.whole_message(now, buffer) else {
        return Err(buffer);
    };
    let (taken, rest) = buffer.split_at_mut(whole.at.end);
    Ok((lend(&whole, taken), rest))
}
