//! Whole messages, assembled where they lie.

#[cfg(feature = "deflate")]
mod inflated;
#[cfg(feature = "bytes")]
mod owned;
mod shared;

use core::{fmt, ops::Range};

use super::{
    assembly::{Assembly, Found},
    storage::Storage,
};

use crate::{
    endpoint::{Endpoint, Trace},
    error::{Fault, ReceiveError},
    event::{Control, Event},
    message::{Data, Message, MessageKind, Part},
    part::{part, to_usize},
    role::Role,
    time::Instant,
};

/// Turns what an [`Endpoint`] receives into whole messages, on storage of the caller's.
///
/// A message that arrived in one frame is lent from where it was read, however many reads that took;
/// fragments are moved together while they are unmasked. `Vec<u8>` storage starts empty and grows with the
/// bytes that arrive, never with a length that is only announced; the room of a big message is freed
/// when the message has been taken. `&mut [u8]` storage holds messages up to its own length; a longer one
/// fails with [`Fault::StorageFull`] (1009) as soon as a header announces it.
///
/// `bytes::BytesMut` storage (feature `bytes`) grows like a vector, and messages can be taken out of it without a copy:
/// `take_message`.
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
    assembly: Assembly<S>,
    /// The next read is to the storage although the host has a buffer for all connections.
    direct: bool,
    /// `true` if this buffer is known to be empty; `false` means unknown.
    clear: bool,
    #[cfg(feature = "deflate")]
    inflated: inflated::Inflated,
}

impl<S: Storage> MessageBuffer<S> {
    /// Creates an empty buffer on `storage`, whose content does not matter.
    pub const fn new(storage: S) -> Self {
        Self::on(Assembly::new(storage, 0..0))
    }

    const fn on(assembly: Assembly<S>) -> Self {
        Self {
            assembly,
            direct: false,
            clear: false,
            #[cfg(feature = "deflate")]
            inflated: inflated::Inflated::new(),
        }
    }

    /// Returns this buffer, keeping up to `len` bytes of its storage when a message has been taken, for the next one.
    ///
    /// Otherwise the room of a big message is freed as [`Retention`](super::Retention) says, which is right for a connection
    /// that may be idle next. A buffer that an event loop lends to one connection after the other should keep it.
    #[must_use]
    pub const fn keeping(mut self, len: usize) -> Self {
        self.assembly.room_mut().keep(len);
        self
    }

    /// Creates a buffer whose storage holds, at `received`, bytes that came after the opening handshake's head.
    ///
    /// So the buffer that the head was read into stays in use, and no byte is copied or lost. The part of `received`
    /// beyond the storage is ignored.
    pub fn with_received(storage: S, received: Range<usize>) -> Self {
        let end = received.end.min(storage.bytes().len());
        Self::on(Assembly::new(storage, received.start.min(end)..end))
    }

    /// Returns the room for the next read. It is never empty once [`next`](Self::next) has returned `None`. After
    /// [`next_in`](Self::next_in) it is empty only if `&mut [u8]` storage is full of a message that can still end
    /// with an empty frame: go on with `next_in` then.
    ///
    /// Within a big frame it ends where the frame does, so that the next message begins at the start of
    /// the storage again. In a stream of frames of 16 KiB and more that are equally long, each read has room for one.
    pub fn unfilled<R: Role, T: Trace>(&mut self, endpoint: &Endpoint<R, T>) -> &mut [u8] {
        self.forget_inflated();
        self.assembly.unfilled(to_usize(endpoint.payload_remaining()))
    }

    /// Returns the room for more of the opening handshake's head, which grows as that arrives.
    pub(super) fn head_room(&mut self) -> &mut [u8] {
        self.assembly.head_room()
    }

    /// Copies bytes of the opening handshake to the storage, as many as it has room for; returns their number.
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
        self.assembly.is_full()
    }

    /// Returns what has been read of the opening handshake, and where in the storage it begins, which is moved on by what
    /// is taken of it.
    pub(super) fn head(&mut self) -> (&[u8], &mut usize) {
        self.clear = false;
        self.assembly.head()
    }

    /// Takes note of a read of `len` bytes into [`unfilled`](Self::unfilled).
    pub fn filled(&mut self, len: usize) {
        self.clear = false;
        self.assembly.filled(len);
    }

    /// Frees the storage, unless anything is unfinished: for a connection that has become idle, as when its
    /// [`poll_timeout`](Endpoint::poll_timeout) passes.
    pub fn release(&mut self) {
        if self.is_empty() {
            self.forget_told();
            self.assembly.clear();
        }
    }

    /// Returns the bytes that have been read and not been received yet.
    #[must_use]
    pub fn unread(&self) -> &[u8] {
        part(self.assembly.bytes(), self.assembly.unreceived())
    }

    /// Returns whether nothing is unfinished: the buffer holds neither part of a message nor bytes that have been read but
    /// not received. An event loop needs such a buffer only while it reads.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        #[cfg(feature = "deflate")]
        if !self.inflated.is_idle() {
            return false;
        }
        self.assembly.is_empty()
    }

    /// Returns the memory that it holds now, in bytes: the storage, and its inflater if it has one.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        #[cfg(feature = "deflate")]
        let inflater = self.inflated.held_bytes();
        #[cfg(not(feature = "deflate"))]
        let inflater = 0;
        self.assembly.held_bytes() + inflater
    }

    /// Returns the storage, and where in it the bytes lie that have not been received.
    ///
    /// Bytes that wait for the rest of their frame have been received, and lie before that range: a connection cannot go on without
    /// them.
    #[must_use]
    pub fn into_storage(self) -> (S, Range<usize>) {
        self.assembly.into_parts()
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
        self.forget_inflated();
        self.clear = false;
        if !self.has_pieces() && self.assembly.next_whole(endpoint, now) {
            return Ok(self.assembly.message().map(Event::Data));
        }
        if self.assembly.next_deferred(endpoint, now) {
            return Ok(self.assembly.message().map(Event::Data));
        }
        if self.assembly.may_leave_here() && self.leave_here(endpoint, now) {
            return Ok(None);
        }
        self.next_slowly(endpoint, now, true)
    }

    /// Leaves what is unread where it is, if that is the beginning of a frame that waits for its rest; returns whether it is.
    ///
    /// Most reads of a stream of binary messages end with this, which is short since it is not part of `next_slowly`.
    #[inline(never)]
    fn leave_here<R: Role, T: Trace>(&mut self, endpoint: &mut Endpoint<R, T>, now: Instant) -> bool {
        let is_left = !self.has_pieces() && self.assembly.leave_here(endpoint, now);
        if is_left {
            self.assembly.rewind();
        }
        is_left
    }

    /// Takes a message that comes next, and has been read whole in one frame without compression; [`message`](Self::message) lends
    /// it. Otherwise it returns `false` and takes nothing: call [`next`](Self::next), which takes anything, a message whose beginning
    /// it has seen before among it.
    ///
    /// A loop that finds many small messages is faster if it asks this first.
    #[inline(always)]
    pub fn next_whole<R: Role, T: Trace>(&mut self, endpoint: &mut Endpoint<R, T>, now: Instant) -> bool {
        self.forget_inflated();
        self.clear = false;
        !self.has_pieces() && self.assembly.next_whole(endpoint, now)
    }

    /// [`next`](Self::next), whatever comes. If reads go to this storage, a byte of room has to be left if more must be read.
    #[inline(never)]
    fn next_slowly<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        reads_here: bool,
    ) -> Result<Option<Event<Message<'_>>>, ReceiveError> {
        match self.advance(endpoint, now, reads_here) {
            Ok(None) => Ok(None),
            Ok(Some(Event::Control(control))) => Ok(Some(Event::Control(control))),
            Ok(Some(Event::Data(()))) => Ok(self.message().map(Event::Data)),
            Err(error) => Err(self.give_up(endpoint, error)),
        }
    }

    #[cfg_attr(not(feature = "deflate"), expect(clippy::never_loop, reason = "only compressed parts loop"))]
    #[inline(always)]
    fn advance<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        reads_here: bool,
    ) -> Result<Option<Event<()>>, ReceiveError> {
        self.check_pieces(endpoint, now)?;
        if reads_here {
            // Without a heap flash counts for more than speed.
            if cfg!(feature = "alloc") && self.assembly.take_middle_here(endpoint, now) {
                self.assembly.rewind();
                return Ok(None);
            }
            self.assembly.check_deferred(endpoint, now)?;
        }
        loop {
            match self.assembly.advance(endpoint, now, None::<&mut Assembly<S>>)? {
                None => {
                    self.assembly.rewind();
                    if reads_here {
                        self.check_room(endpoint, now, 1)?;
                    }
                    return Ok(None);
                }
                Some(Event::Data(Found::Here | Found::Home)) => return Ok(Some(Event::Data(()))),
                #[cfg(feature = "deflate")]
                Some(Event::Data(Found::Compressed(taken, at))) => {
                    let payload = part(self.assembly.bytes(), at);
                    if self.inflated.add(endpoint, now, taken, payload)? {
                        return Ok(Some(Event::Data(())));
                    }
                }
                Some(Event::Control(control)) => return Ok(Some(self.control(control))),
            }
        }
    }

    /// Takes note of a control frame.
    fn control(&mut self, control: Control) -> Event<()> {
        if control == Control::Close {
            self.assembly.forget_message();
        }
        Event::Control(control)
    }

    /// Returns the message that [`next`](Self::next) has returned last, until this buffer is used again.
    ///
    /// For functions that loop until there is a message and then return it: the borrow of `next` can't leave such a
    /// loop.
    #[must_use]
    pub fn message(&self) -> Option<Message<'_>> {
        #[cfg(feature = "deflate")]
        if let Some(message) = self.inflated.message() {
            return Some(message);
        }
        self.assembly.message()
    }

    /// Takes input like [`next`](Self::next), for messages too big to be held: payload comes in parts, as it arrives.
    ///
    /// May be called between messages, and where it was called before in a message. A message that [`next`](Self::next) has
    /// begun to assemble comes whole, as one part.
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
        if self.is_assembling(endpoint) {
            return self.next(endpoint, now).map(|event| event.map(|event| event.map(drop)));
        }
        self.advance_part(endpoint, now).map_err(|error| self.give_up(endpoint, error))
    }

    #[cfg_attr(not(feature = "deflate"), expect(clippy::never_loop, reason = "only compressed parts loop"))]
    fn advance_part<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
    ) -> Result<Option<Event<()>>, ReceiveError> {
        loop {
            #[cfg(feature = "deflate")]
            if self.inflated.next_piece(endpoint, now, self.assembly.bytes())? {
                return Ok(Some(Event::Data(())));
            }
            match self.assembly.next_part(endpoint, now)? {
                None => {
                    self.assembly.rewind();
                    return Ok(None);
                }
                Some(Event::Data(Found::Here | Found::Home)) => return Ok(Some(Event::Data(()))),
                #[cfg(feature = "deflate")]
                Some(Event::Data(Found::Compressed(taken, at))) => self.inflated.add_pieces(endpoint, taken, at),
                Some(Event::Control(control)) => return Ok(Some(self.control(control))),
            }
        }
    }

    /// Returns whether [`next`](Self::next) has begun to assemble a message.
    fn is_assembling<R: Role, T: Trace>(&self, endpoint: &Endpoint<R, T>) -> bool {
        #[cfg(feature = "deflate")]
        if self.inflated.is_assembling() {
            return true;
        }
        self.assembly.has_message() || (self.assembly.is_deferring() && endpoint.is_in_message())
    }

    /// Returns whether [`next_part`](Self::next_part) has not returned all of what has been received.
    #[inline(always)]
    const fn has_pieces(&self) -> bool {
        #[cfg(feature = "deflate")]
        return self.inflated.has_pieces();
        #[cfg(not(feature = "deflate"))]
        false
    }

    /// Fails if there are pieces left: they would be lost.
    #[inline(always)]
    fn check_pieces<R: Role, T: Trace>(
        &self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
    ) -> Result<(), ReceiveError> {
        if self.has_pieces() {
            return Err(endpoint.fail(now, Fault::Internal));
        }
        Ok(())
    }

    /// Takes the payload that [`next_part`](Self::next_part) returned last, or the message that [`next`](Self::next) did, as a
    /// whole part; it is lent until this buffer is used again.
    pub fn take_part(&mut self) -> Option<Data<'_>> {
        #[cfg(feature = "deflate")]
        if let Some(piece) = self.inflated.piece() {
            return Some(piece);
        }
        self.assembly.take_part()
    }

    /// Returns the kind, the place in its message and the payload of what [`take_part`](Self::take_part) would return, and
    /// leaves it: for hosts that hand a part out in pieces.
    #[must_use]
    pub fn part(&self) -> Option<(MessageKind, Part, &[u8])> {
        #[cfg(feature = "deflate")]
        if let Some(piece) = self.inflated.part() {
            return Some(piece);
        }
        self.assembly.part()
    }

    /// Fails unless the message in progress fits, as far as headers have announced it, and at least `spare` bytes more.
    #[inline(always)]
    fn check_room<R: Role, T: Trace>(
        &self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        spare: usize,
    ) -> Result<(), ReceiveError> {
        let announced = to_usize(endpoint.payload_remaining()).max(spare);
        // A compressed payload does not stay in the storage.
        if self.assembly.has_room(announced)
            || (endpoint.is_receiving_compressed() && self.assembly.has_room(spare))
        {
            return Ok(());
        }
        Err(endpoint.fail(now, Fault::StorageFull))
    }

    /// Forgets the last message or part, which has been returned.
    #[inline(always)]
    fn forget_told(&mut self) {
        self.forget_inflated();
        self.assembly.forget_told();
    }

    #[inline(always)]
    fn forget_inflated(&mut self) {
        #[cfg(feature = "deflate")]
        self.inflated.forget_told();
    }

    /// Takes note that the connection has failed: what else has been read is discarded, and nothing is kept.
    #[cold]
    fn give_up<R: Role, T: Trace>(&mut self, endpoint: &mut Endpoint<R, T>, error: ReceiveError) -> ReceiveError {
        let _ = endpoint.discard(self.unread().len());
        self.assembly.clear();
        #[cfg(feature = "deflate")]
        self.inflated.clear();
        error
    }
}

/// Creates a buffer that holds bytes which came after the opening handshake.
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
            .field("unread", &self.unread().len())
            .finish_non_exhaustive()
    }
}
