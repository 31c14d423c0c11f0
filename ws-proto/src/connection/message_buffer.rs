//! Whole messages, assembled where they lie.

#[cfg(feature = "deflate")]
mod inflated;
mod shared;

#[cfg(feature = "deflate")]
use alloc::boxed::Box;
use core::{fmt, ops::Range};

#[cfg(feature = "deflate")]
use crate::deflate::{Inflater, Use};
use crate::{
    connection::retention::Retention,
    connection::storage::Storage,
    endpoint::Endpoint,
    endpoint::Trace,
    endpoint::receive::{DataStep, ToCome, Whole},
    error::{Fault, ReceiveError},
    event::{Control, Event},
    frame::FrameHeader,
    message::{Content, Data, Message, MessageKind, Part},
    part::{part, part_mut, to_usize},
    role::Role,
    time::Instant,
    utf8::Validator,
};

/// Turns what an [`Endpoint`] receives into whole messages, on storage of the caller's.
///
/// A message that arrived in one frame is lent from where it was read to, however many reads that took;
/// fragments are moved together while they are unmasked. `Vec<u8>` storage starts empty and grows with the
/// bytes that arrive, never with a length that is only announced; what a big message needed is given back
/// when the message has been taken. `&mut [u8]` storage holds messages up to its own length; a longer one
/// fails with [`Fault::StorageFull`] (1009) as soon as a header announces it.
///
/// There are two ways to feed it:
///
/// - [`unfilled`](Self::unfilled), [`filled`](Self::filled), [`next`](Self::next): each connection reads into
///   its own storage.
/// - [`next_in`](Self::next_in): many connections read into one buffer of the host's; only what is
///   unfinished at the end of a read moves to the connection's own storage, and an idle connection has none.
///
/// The two may alternate whenever everything received has been taken: a host with a shared buffer can read
/// the rest of a big message straight into the connection's own storage.
///
/// One buffer goes with one endpoint. A host that streams big messages uses [`Endpoint::receive`] instead.
pub struct MessageBuffer<S> {
    storage: S,
    /// The message in progress, if any of it lies in `storage`.
    message: Option<Assembly>,
    /// What has been read to `storage` and not been received.
    unread: Range<usize>,
    /// What was told last and lies in `storage`.
    told: Option<Told>,
    /// How much of the storage is kept for the next message, in any case.
    keep: usize,
    /// What else of it is kept for big messages.
    retention: Retention,
    /// And for reads that are full of small ones.
    reads: Retention,
    /// The last read took all the room that there was: more is probably waiting.
    flooded: bool,
    /// The next read is to the storage although the host has a buffer for all connections.
    direct: bool,
    /// Nothing that has been told or received is left, as far as that has been looked at.
    clear: bool,
    #[cfg(feature = "deflate")]
    inflater: Option<Box<Inflater>>,
    #[cfg(feature = "deflate")]
    inflate_limits: crate::deflate::InflateLimits,
    /// What lies in the storage of a part that is being inflated piece by piece, and whether it is the last.
    #[cfg(feature = "deflate")]
    deflated: Option<(Range<usize>, bool)>,
}

/// The parts of a message that have been put together.
#[derive(Clone, Debug)]
struct Assembly {
    kind: MessageKind,
    at: Range<usize>,
    /// The state of the text validator at the end.
    text: Validator,
}

/// What lies in the storage for its user to look at.
#[derive(Clone, Debug)]
enum Told {
    Message(Whole),
    Part(Content, Part, Range<usize>),
    /// A message in the inflater.
    #[cfg(feature = "deflate")]
    Inflated,
    /// A piece of one there.
    #[cfg(feature = "deflate")]
    InflatedPart,
}

impl Whole {
    /// The message in `buffer`, which it was received in or its parts were put together in.
    #[inline]
    fn message<'m>(&self, buffer: &'m [u8]) -> Message<'m> {
        let payload = part(buffer, self.at.clone());
        // SAFETY: either the receiver has taken this payload as a whole text, or `Assembly::add` and `go_on` have taken these
        // parts one behind the other, each validated from the state that the one before it ended in, the first from a new
        // one; the receiver ends a text only where that state is complete.
        #[allow(unsafe_code)]
        unsafe {
            Message::new_validated(self.kind, payload)
        }
    }
}

/// A part does not continue the message that was begun here.
struct Foreign;

impl Assembly {
    /// Adds a part to the message in progress, which it must directly follow.
    fn add(progress: &mut Option<Self>, part: DataStep) -> Result<Option<Whole>, Foreign> {
        let DataStep { content, part, at, text: [before, after] } = part;
        let kind = content.kind();
        let at = match progress.take() {
            None if part.is_first() && before == Validator::new() => at,
            Some(begun)
                if !part.is_first() && begun.kind == kind && begun.text == before && begun.at.end == at.start =>
            {
                begun.at.start..at.end
            }
            _ => return Err(Foreign),
        };
        if part.is_last() {
            return Ok(Some(Whole { kind, at }));
        }
        *progress = Some(Self { kind, at, text: after });
        Ok(None)
    }
}

/// A read is worth its system call from this size on; `Vec` storage starts with it.
const SMALLEST_READ: usize = 4 * 1024;
/// What `Vec` storage keeps while no message is in progress.
const KEPT: usize = 16 * 1024;
/// What it may grow to because reads fill it: beyond that a system call is cheap beside its bytes.
const LARGEST_READ: usize = 64 * 1024;

impl<S: Storage> MessageBuffer<S> {
    /// An empty buffer on `storage`; what that holds does not matter.
    pub const fn new(storage: S) -> Self {
        Self {
            storage,
            message: None,
            unread: 0..0,
            told: None,
            keep: 0,
            retention: Retention::new(),
            reads: Retention::new(),
            flooded: false,
            direct: false,
            clear: false,
            #[cfg(feature = "deflate")]
            inflater: None,
            #[cfg(feature = "deflate")]
            inflate_limits: crate::deflate::InflateLimits::new(),
            #[cfg(feature = "deflate")]
            deflated: None,
        }
    }

    /// This buffer, keeping up to `len` bytes of its storage when a message has been taken, for the next one.
    ///
    /// Otherwise what a big message took is given back as [`Retention`] says, which is right for a connection that may be
    /// idle next. In a buffer that an event loop lends to whichever connection has something to do it is better kept.
    #[must_use]
    pub const fn keeping(mut self, len: usize) -> Self {
        // A message of that length comes with its header.
        self.keep = if len == 0 { 0 } else { len.saturating_add(FrameHeader::MAX_LEN) };
        self
    }

    /// A buffer whose storage holds, in `received`, bytes that came behind the opening handshake's head.
    ///
    /// So the buffer that the head was read to serves on, and nothing is copied or lost. What `received`
    /// has beyond the storage is ignored.
    pub fn with_received(storage: S, received: Range<usize>) -> Self {
        let end = received.end.min(storage.bytes().len());
        Self { unread: received.start.min(end)..end, ..Self::new(storage) }
    }

    /// The room for the next read. Never empty once [`next`](Self::next) gave `None`; after
    /// [`next_in`](Self::next_in), empty only if `&mut [u8]` storage is full of a message that can still end
    /// with an empty frame: go on with `next_in` then.
    ///
    /// Within a big frame it ends where the frame does, so that the next message begins at the start of
    /// the storage again.
    pub fn unfilled<R: Role, T: Trace>(&mut self, endpoint: &Endpoint<R, T>) -> &mut [u8] {
        let remaining = to_usize(endpoint.payload_remaining());
        self.room(remaining, if remaining < SMALLEST_READ { usize::MAX } else { remaining })
    }

    /// At most `most` bytes of room, where `remaining` bytes of a frame are to come, or whatever comes next.
    fn room(&mut self, remaining: usize, most: usize) -> &mut [u8] {
        self.forget_told();
        self.make_room(remaining);
        let room = part_mut(self.storage.bytes_mut(), self.unread.end..);
        let len = room.len().min(most);
        part_mut(room, ..len)
    }

    /// Returns the room for more of the opening handshake's head, which grows as that arrives.
    pub(super) fn head_room(&mut self) -> &mut [u8] {
        let len = self.storage.bytes().len();
        if self.unread.end == len {
            self.storage.grow(len.saturating_mul(2).max(SMALLEST_READ).min(self.storage.limit()));
        }
        part_mut(self.storage.bytes_mut(), self.unread.end..)
    }

    /// Copies bytes of the opening handshake to the storage, as many as it has room for; how many.
    pub(super) fn keep_head(&mut self, bytes: &[u8]) -> usize {
        let mut kept = 0;
        while kept < bytes.len() {
            let room = self.head_room();
            let len = room.len().min(bytes.len() - kept);
            if len == 0 {
                break;
            }
            room.iter_mut().zip(bytes.iter().skip(kept)).for_each(|(to, from)| *to = *from);
            self.filled(len);
            kept += len;
        }
        kept
    }

    /// Returns whether all of the storage is full, and it cannot grow.
    pub(super) fn is_full(&self) -> bool {
        self.unread.end >= self.storage.limit()
    }

    /// Returns what has been read of the opening handshake, and where in the storage it begins, which is moved on by what
    /// is taken of it.
    pub(super) fn head(&mut self) -> (&[u8], &mut usize) {
        self.clear = false;
        let unread = part(self.storage.bytes(), self.unread.clone());
        (unread, &mut self.unread.start)
    }

    /// Tells that the first `len` bytes of [`unfilled`](Self::unfilled) have been read to.
    pub fn filled(&mut self, len: usize) {
        let room = self.storage.bytes().len().saturating_sub(self.unread.end);
        self.unread.end += len.min(room);
        self.flooded = len >= room;
        self.clear = false;
    }

    /// Gives back what the storage has grown by, unless a message is in progress: for a connection that has become idle,
    /// as when its [`poll_timeout`](Endpoint::poll_timeout) passes.
    pub fn release(&mut self) {
        if self.is_empty() {
            self.forget_told();
            self.unread = 0..0;
            self.retention = Retention::new();
            self.reads = Retention::new();
            self.storage.shrink(KEPT.max(self.keep));
        }
    }

    /// What has been read and not been received yet.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        part(self.storage.bytes(), self.unread.clone())
    }

    /// Whether nothing is unfinished: there is neither part of a message nor anything that has been read and not
    /// been received. An event loop needs such a buffer only while it reads.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        #[cfg(feature = "deflate")]
        if self.inflater.as_ref().is_some_and(|inflater| !inflater.is_idle()) {
            return false;
        }
        self.message.is_none() && self.unread.is_empty()
    }

    /// The memory that it holds now, in bytes: the storage, and its inflater if it has one.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        #[cfg(feature = "deflate")]
        let inflater = self.inflater.as_ref().map_or(0, |inflater| inflater.held_bytes());
        #[cfg(not(feature = "deflate"))]
        let inflater = 0;
        self.storage.bytes().len() + inflater
    }

    /// The storage, and where in it the bytes lie that have not been received.
    #[must_use]
    pub fn into_storage(self) -> (S, Range<usize>) {
        (self.storage, self.unread)
    }

    /// Takes what has been read up to the next message or control frame; `None` if more must be read.
    ///
    /// # Errors
    ///
    /// Those of [`Endpoint::receive`]. Drain [`Endpoint::poll_transmit`], write, then give up.
    #[inline(always)]
    pub fn next<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
    ) -> Result<Option<Event<Message<'_>>>, ReceiveError> {
        self.forget_told();
        self.clear = false;
        if self.message.is_none() && !self.has_pieces() {
            let start = self.unread.start;
            if let Some(input) = self.storage.bytes_mut().get_mut(self.unread.clone()) {
                if let Some(Whole { kind, at }) = endpoint.whole_message(now, input) {
                    let whole = Whole { kind, at: start + at.start..start + at.end };
                    self.unread.start = whole.at.end;
                    self.told = Some(Told::Message(whole.clone()));
                    return Ok(Some(Event::Data(whole.message(self.storage.bytes()))));
                }
            }
        }
        // The next read needs a byte of room, whatever it brings.
        self.next_slowly(endpoint, now, 1)
    }

    /// [`next`](Self::next), whatever comes; `spare` bytes of room have to be left if more must be read.
    #[inline(never)]
    fn next_slowly<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        spare: usize,
    ) -> Result<Option<Event<Message<'_>>>, ReceiveError> {
        self.check_pieces(endpoint, now)?;
        self.begin(endpoint, now)?;
        match self.go_on(endpoint, now, None)? {
            Some(ToCome::Nothing) => {
                self.told = self.finished().map(Told::Message);
                return Ok(self.message().map(Event::Data));
            }
            Some(ToCome::Payload) => {
                self.rewind();
                return Ok(None);
            }
            Some(ToCome::Frames) | None => {}
        }
        let whole = loop {
            let gather_to = self.message.as_ref().map(|message| message.at.end);
            let step = match endpoint.advance_slowly(now, self.storage.bytes_mut(), &mut self.unread, gather_to) {
                Ok(Some(step)) => step,
                Ok(None) => {
                    self.rewind();
                    return self.check_room(endpoint, now, spare).map(|()| None);
                }
                Err(error) => return Err(self.give_up(error)),
            };
            match step {
                Event::Control(control) => {
                    if control == Control::Close {
                        self.message = None;
                    }
                    return Ok(Some(Event::Control(control)));
                }
                #[cfg(feature = "deflate")]
                Event::Data(step) if step.content.is_compressed() => {
                    let payload = part(self.storage.bytes(), step.at.clone());
                    match inflated::inflate(&mut self.inflater, self.inflate_limits, endpoint, &step, payload) {
                        Ok(true) => {
                            self.told = Some(Told::Inflated);
                            return Ok(self.message().map(Event::Data));
                        }
                        Ok(false) => {}
                        Err(fault) => return Err(self.fail(endpoint, now, fault)),
                    }
                }
                Event::Data(part) => match Assembly::add(&mut self.message, part) {
                    Ok(Some(whole)) => break whole,
                    Ok(None) => {}
                    Err(Foreign) => return Err(self.fail(endpoint, now, Fault::Internal)),
                },
            }
        };
        self.told = Some(Told::Message(whole));
        Ok(self.message().map(Event::Data))
    }

    /// Takes the header of a message that the end of what has been read cuts.
    fn begin<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
    ) -> Result<(), ReceiveError> {
        if self.message.is_some() {
            return Ok(());
        }
        let Some((kind, header_len)) = endpoint.begin_message(self.unread()) else {
            return Ok(());
        };
        self.unread.start += header_len;
        self.begin_at(self.unread.start, kind, endpoint, now)
    }

    /// A message begins in the storage at `start`, of which nothing has been taken yet.
    fn begin_at<R: Role, T: Trace>(
        &mut self,
        start: usize,
        kind: MessageKind,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
    ) -> Result<(), ReceiveError> {
        self.message = Some(Assembly { kind, at: start..start, text: Validator::new() });
        self.check_room(endpoint, now, 0)
    }

    /// Takes what has been read of the frame at hand, if that is more of the message in progress and belongs right where it
    /// lies; otherwise `None`. A message of which nothing is to come is [`finished`](Self::finished).
    #[inline(always)]
    fn go_on<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        from: Option<&[u8]>,
    ) -> Result<Option<ToCome>, ReceiveError> {
        let Some(message) = self.message.as_mut().filter(|begun| begun.at.end == self.unread.start) else {
            return Ok(None);
        };
        let payload = part_mut(self.storage.bytes_mut(), self.unread.clone());
        let (len, to_come) = match endpoint.go_on(now, message.kind, &mut message.text, from, payload) {
            Ok(Some(gone)) => gone,
            Ok(None) => return Ok(None),
            Err(error) => return Err(self.give_up(error)),
        };
        self.unread.start += len;
        message.at.end += len;
        Ok(Some(to_come))
    }

    /// The message in progress, of which nothing is to come.
    fn finished(&mut self) -> Option<Whole> {
        self.message.take().map(|Assembly { kind, at, .. }| Whole { kind, at })
    }

    /// The message that [`next`](Self::next) told last, until this buffer is used again.
    ///
    /// For functions that loop until there is a message and then return it: the borrow that `next` gives
    /// can't leave such a loop.
    #[must_use]
    pub fn message(&self) -> Option<Message<'_>> {
        match &self.told {
            Some(Told::Message(whole)) => Some(whole.message(self.storage.bytes())),
            #[cfg(feature = "deflate")]
            Some(Told::Inflated) => self.inflater.as_ref().and_then(|inflater| inflater.message()),
            _ => None,
        }
    }

    /// Like [`next`](Self::next), for messages too big to be held: payload is told as it comes, in parts.
    ///
    /// May be called between messages, and where it was called before in a message.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub fn next_part<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
    ) -> Result<Option<Event<()>>, ReceiveError> {
        self.forget_told();
        self.clear = false;
        if self.message.is_some() {
            return Err(self.fail(endpoint, now, Fault::Internal));
        }
        loop {
            #[cfg(feature = "deflate")]
            if let Some(piece) = self.next_piece(endpoint, now)? {
                return Ok(Some(piece));
            }
            let step = match endpoint.advance(now, self.storage.bytes_mut(), &mut self.unread, None) {
                Ok(Some(step)) => step,
                Ok(None) => {
                    self.rewind();
                    return Ok(None);
                }
                Err(error) => return Err(self.give_up(error)),
            };
            if let Some(told) = self.tell_part(endpoint, step) {
                return Ok(Some(told));
            }
        }
    }

    /// Whether [`next_part`](Self::next_part) has not told all of what has been received.
    #[inline(always)]
    const fn has_pieces(&self) -> bool {
        #[cfg(feature = "deflate")]
        return self.deflated.is_some();
        #[cfg(not(feature = "deflate"))]
        false
    }

    /// Fails if there are pieces left: they would be lost.
    #[inline(always)]
    fn check_pieces<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
    ) -> Result<(), ReceiveError> {
        if self.has_pieces() {
            return Err(self.fail(endpoint, now, Fault::Internal));
        }
        Ok(())
    }

    /// What a step is to a host that takes parts; `None` if it has to be inflated first.
    fn tell_part<R: Role, T: Trace>(
        &mut self,
        endpoint: &Endpoint<R, T>,
        step: Event<DataStep>,
    ) -> Option<Event<()>> {
        match step {
            Event::Data(step) if step.content.is_compressed() => {
                #[cfg(feature = "deflate")]
                {
                    if step.part.is_first() {
                        inflated::begin(
                            &mut self.inflater,
                            self.inflate_limits,
                            endpoint,
                            step.content.kind(),
                            Use::Pieces,
                        );
                    }
                    self.deflated = Some((step.at, step.part.is_last()));
                }
                let _ = endpoint;
                None
            }
            Event::Data(DataStep { content, part, at, .. }) => {
                self.told = Some(Told::Part(content, part, at));
                Some(Event::Data(()))
            }
            Event::Control(control) => Some(Event::Control(control)),
        }
    }

    /// Takes the payload that [`next_part`](Self::next_part) told last; it is lent until this buffer is
    /// used again.
    pub fn take_part(&mut self) -> Option<Data<'_>> {
        #[cfg(feature = "deflate")]
        if let Some(Told::InflatedPart) = self.told {
            self.told = None;
            return self.inflater.as_mut().and_then(|inflater| inflater.piece());
        }
        let Some(Told::Part(content, part, at)) = self.told.take() else {
            return None;
        };
        let payload = self.storage.bytes_mut().get_mut(at)?;
        // SAFETY: the receiver has taken this part through its validator, a whole text from a new one to a
        // complete one, and nobody has had the storage since: `told` is taken, and every other method that
        // lends it ends `told`.
        #[allow(unsafe_code)]
        Some(unsafe { Data::new(content, part, payload) })
    }

    /// All that was read has been taken: what follows is read right behind the message in progress.
    fn rewind(&mut self) {
        // What lay before the message in progress is finished.
        let (finished, start) = match &self.message {
            None => (self.unread.end, 0),
            Some(message) => (message.at.start, message.at.end),
        };
        self.unread = start..start;
        let between = self.message.is_none();
        let reads = if between || finished > KEPT { self.reads.kept(finished, KEPT) } else { KEPT };
        let len = self.storage.bytes().len();
        if core::mem::take(&mut self.flooded) && len < LARGEST_READ {
            self.storage.grow((2 * len).min(LARGEST_READ));
        } else if between {
            let messages = self.retention.kept(finished, KEPT);
            self.storage.shrink(messages.max(reads.min(LARGEST_READ)).max(self.keep));
        }
    }

    /// Whether the message in progress can fit, as far as headers have announced it, and at least `spare`
    /// bytes more.
    fn check_room<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        spare: usize,
    ) -> Result<(), ReceiveError> {
        let held = self.message.as_ref().map_or(0, |message| message.at.len());
        // What is inflated does not stay in the storage.
        let remaining = if endpoint.is_receiving_compressed() { 0 } else { endpoint.payload_remaining() };
        let remaining = to_usize(remaining).max(spare);
        if held.saturating_add(remaining) <= self.storage.limit() {
            return Ok(());
        }
        Err(self.fail(endpoint, now, Fault::StorageFull))
    }

    /// Sees to room behind `unread`, for `remaining` bytes of a frame or for whatever comes next.
    fn make_room(&mut self, remaining: usize) {
        let len = self.storage.bytes().len();
        if len < SMALLEST_READ {
            self.storage.grow(SMALLEST_READ.min(self.storage.limit()));
        }
        let len = self.storage.bytes().len();
        let room = len.saturating_sub(self.unread.end);
        // An eighth of the storage left is a read of its own only if it completes the frame.
        if self.message.is_none() || room > len / 8 || (remaining > 0 && remaining <= room) {
            return;
        }
        self.compact();
        if self.unread.end > len / 2 {
            // Exactly for the frame if that is a good step, else double: each byte is moved O(1) times.
            let frame_end = self.unread.end.saturating_add(remaining);
            let doubled = self.unread.end.saturating_mul(2);
            let grown = if (len + len / 4..doubled).contains(&frame_end) { frame_end } else { doubled };
            self.storage.grow(grown.min(self.storage.limit()));
        }
    }

    /// Moves the message in progress to the start of the storage.
    fn compact(&mut self) {
        let Some(message) = &mut self.message else {
            return;
        };
        if !self.unread.is_empty() || message.at.start == 0 {
            return;
        }
        let len = message.at.len();
        self.storage.bytes_mut().copy_within(message.at.clone(), 0);
        message.at = 0..len;
        self.unread = len..len;
    }

    /// What was told last has been seen.
    #[inline]
    fn forget_told(&mut self) {
        #[cfg(feature = "deflate")]
        if matches!(self.told, Some(Told::Inflated)) {
            self.inflater.iter_mut().for_each(|inflater| inflater.release());
        }
        self.told = None;
    }

    /// Fails the connection; what else has been read is discarded, and counts as that.
    #[cold]
    fn fail<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        fault: Fault,
    ) -> ReceiveError {
        let error = endpoint.fail(now, fault);
        let mut unread = part_mut(self.storage.bytes_mut(), self.unread.clone());
        let _ = endpoint.receive(now, &mut unread);
        self.give_up(error)
    }

    /// The connection has failed: nothing is kept of it.
    fn give_up(&mut self, error: ReceiveError) -> ReceiveError {
        self.message = None;
        self.told = None;
        self.unread = 0..0;
        self.storage.shrink(0);
        #[cfg(feature = "deflate")]
        {
            self.inflater = None;
            self.deflated = None;
        }
        error
    }
}

/// A buffer that holds bytes which came behind the opening handshake.
#[cfg(feature = "alloc")]
impl From<alloc::vec::Vec<u8>> for MessageBuffer<alloc::vec::Vec<u8>> {
    fn from(received: alloc::vec::Vec<u8>) -> Self {
        let len = received.len();
        Self::with_received(received, 0..len)
    }
}

impl<S: Storage + Default> Default for MessageBuffer<S> {
    fn default() -> Self {
        Self::new(S::default())
    }
}

impl<S: Storage> fmt::Debug for MessageBuffer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageBuffer")
            .field("held_bytes", &self.held_bytes())
            .field("message", &self.message)
            .field("unread", &self.unread)
            .finish_non_exhaustive()
    }
}
