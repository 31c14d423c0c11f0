//! Messages from reads to a buffer that many connections share.

use core::ops::Range;

#[cfg(feature = "deflate")]
use super::Told;
#[cfg(feature = "deflate")]
use super::inflated::inflate;
use super::{Assembly, Foreign, KEPT, MessageBuffer};
use crate::{
    connection::storage::Storage,
    endpoint::Endpoint,
    endpoint::Trace,
    endpoint::receive::{DataStep, ToCome, Whole},
    error::{Fault, ReceiveError},
    event::{Control, Event},
    message::Message,
    part::{part, part_mut, to_usize},
    role::Role,
    time::Instant,
};

/// What is left of a frame from this size on is not read to a shared buffer first, nor what would fill one that is smaller.
const DIRECT_READ: usize = 16 * 1024;

impl<S: Storage> MessageBuffer<S> {
    /// Like [`next`](Self::next), from `input`, a buffer that the host shares among connections.
    ///
    /// `input` shrinks from its front by what was taken; `None` means that all of it was. The message lies
    /// in `input` if it began and ended there, else in this buffer's own storage.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    #[inline(always)]
    pub fn next_in<'s, 'b: 's, R: Role, T: Trace>(
        &'s mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        input: &mut &'b mut [u8],
    ) -> Result<Option<Event<Message<'s>>>, ReceiveError> {
        let buffer = core::mem::take(input);
        if self.clear {
            if let Some(whole) = endpoint.whole_message(now, buffer) {
                let (taken, rest) = buffer.split_at_mut(whole.at.end);
                *input = rest;
                return Ok(Some(Event::Data(whole.message(taken))));
            }
        }
        let (found, rest) = self.next_in_slowly(endpoint, now, buffer);
        *input = rest;
        found
    }

    /// Takes a whole message that lies at the start of `input`, if nothing else comes first; otherwise nothing has changed.
    #[inline(always)]
    pub(in super::super) fn next_whole_in<'b, R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        input: &mut &'b mut [u8],
    ) -> Option<Message<'b>> {
        if !self.clear {
            return None;
        }
        let whole = endpoint.whole_message(now, input)?;
        let (taken, rest) = core::mem::take(input).split_at_mut(whole.at.end);
        *input = rest;
        Some(whole.message(taken))
    }

    /// Whether nothing that has been told or received is left.
    const fn is_clear(&self) -> bool {
        self.told.is_none() && self.message.is_none() && self.unread.start >= self.unread.end && !self.has_pieces()
    }

    /// [`next_in`](Self::next_in), whatever comes; what is left of `input` is returned, so that the loop around it can keep
    /// that in registers. Cold, so that this loop is laid out for the other way.
    #[cold]
    #[inline(never)]
    pub(in super::super) fn next_in_slowly<'s, 'b: 's, R: Role, T: Trace>(
        &'s mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        mut input: &'b mut [u8],
    ) -> (Result<Option<Event<Message<'s>>>, ReceiveError>, &'b mut [u8]) {
        let found = self.next_in_any(endpoint, now, &mut input);
        if found.is_err() {
            // What else has been read is discarded, and counts as that.
            let _ = endpoint.receive(now, &mut input);
        }
        (found, input)
    }

    fn next_in_any<'s, 'b: 's, R: Role, T: Trace>(
        &'s mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        input: &mut &'b mut [u8],
    ) -> Result<Option<Event<Message<'s>>>, ReceiveError> {
        self.clear = false;
        self.forget_told();
        if !self.unread.is_empty() {
            match self.next_slowly(endpoint, now, 0)?.map(|event| event.control()) {
                Some(None) => return Ok(self.message().map(Event::Data)),
                Some(control) => return Ok(control.map(Event::Control)),
                None => {}
            }
        }
        self.check_pieces(endpoint, now)?;
        self.begin_in(endpoint, now, input)?;
        match self.go_on_in(endpoint, now, input)? {
            Some(ToCome::Nothing) => {
                let whole = self.finished();
                self.clear = self.is_clear();
                return Ok(whole.map(|whole| Event::Data(whole.message(self.storage.bytes()))));
            }
            Some(ToCome::Payload) => return Ok(None),
            Some(ToCome::Frames) | None => {}
        }
        let buffer = core::mem::take(input);
        let mut unread = 0..buffer.len();
        // The message in progress, if it began in this input.
        let mut local: Option<Assembly> = None;
        let found = loop {
            // What belongs to a message in the storage is put together here, to be copied there at once.
            let gather_to = match &local {
                None => self.message.is_some().then_some(unread.start),
                Some(Assembly { at, .. }) => Some(at.end),
            };
            let step = match endpoint.advance_slowly(now, buffer, &mut unread, gather_to) {
                Ok(step) => step,
                Err(error) => break Err(self.give_up(error)),
            };
            let kept = match step {
                None => {
                    self.keep(local.take(), buffer, endpoint, now)?;
                    self.rewind_shared();
                    self.clear = self.is_clear();
                    return self.check_room(endpoint, now, 0).map(|()| None);
                }
                #[cfg(feature = "deflate")]
                Some(Event::Data(step)) if step.content.is_compressed() => {
                    let payload = part(buffer, step.at.clone());
                    inflate(&mut self.inflater, self.inflate_limits, endpoint, &step, payload)
                        .map(|whole| whole.then_some(Found::Inflated))
                }
                Some(Event::Data(part)) if self.message.is_some() => self.append(part, buffer),
                Some(Event::Data(part)) => {
                    Assembly::add(&mut local, part).map(|found| found.map(Found::InInput)).map_err(Into::into)
                }
                Some(Event::Control(Control::Close)) => {
                    self.message = None;
                    break Ok(Found::Control(Control::Close));
                }
                Some(Event::Control(control)) => {
                    // What has come of a message would be out of reach once the input has moved on.
                    break self.keep(local.take(), buffer, endpoint, now).map(|()| Found::Control(control));
                }
            };
            match kept {
                Ok(Some(found)) => break Ok(found),
                Ok(None) => {}
                Err(fault) => break Err(self.fail(endpoint, now, fault)),
            }
        };
        let (taken, rest) = buffer.split_at_mut(unread.start);
        *input = rest;
        let found = found?;
        self.clear = self.is_clear();
        Ok(Some(match found {
            Found::InInput(whole) => Event::Data(whole.message(taken)),
            Found::InStorage(whole) => Event::Data(whole.message(self.storage.bytes())),
            #[cfg(feature = "deflate")]
            Found::Inflated => {
                self.told = Some(Told::Inflated);
                self.clear = false;
                return Ok(self.message().map(Event::Data));
            }
            Found::Control(control) => Event::Control(control),
        }))
    }

    /// The room for the next read where the host has one buffer for all its connections, `shared`: that, or, if what is left of
    /// the frame at hand is big or would fill `shared`, room for it where its message lies. Never empty if `shared` is not.
    ///
    /// ```
    /// # use ws_proto::{Config, Endpoint, Instant, MessageBuffer, Negotiated, Server};
    /// # use std::io::Read;
    /// # fn read(mut socket: impl Read, now: Instant, endpoint: &mut Endpoint<Server>,
    /// #     buffer: &mut MessageBuffer<Vec<u8>>, shared: &mut [u8]) -> Result<(), Box<dyn std::error::Error>> {
    /// let len = socket.read(buffer.unfilled_or(endpoint, shared))?;
    /// let mut input = buffer.filled_or(len, shared);
    /// while let Some(incoming) = buffer.next_in(endpoint, now, &mut input)? {
    ///     // ...
    /// }
    /// # Ok(()) }
    /// ```
    pub fn unfilled_or<'a, R: Role, T: Trace>(
        &'a mut self,
        endpoint: &Endpoint<R, T>,
        shared: &'a mut [u8],
    ) -> &'a mut [u8] {
        let remaining = to_usize(endpoint.payload_remaining());
        // Less would be a system call for little, where `shared` may take what follows as well. And what is inflated does not
        // stay in the storage.
        let big = remaining > 0 && remaining >= DIRECT_READ.min(shared.len());
        self.direct = big && !endpoint.is_receiving_compressed();
        if self.direct { self.room(remaining, remaining) } else { shared }
    }

    /// Tells that the first `len` bytes of [`unfilled_or`](Self::unfilled_or) have been read to; the input
    /// for [`next_in`](Self::next_in).
    pub fn filled_or<'a>(&mut self, len: usize, shared: &'a mut [u8]) -> &'a mut [u8] {
        if core::mem::take(&mut self.direct) {
            self.filled(len);
            return &mut [];
        }
        let len = len.min(shared.len());
        part_mut(shared, ..len)
    }

    /// [`begin`](Self::begin) where the read is a shared input.
    fn begin_in<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        input: &mut &mut [u8],
    ) -> Result<(), ReceiveError> {
        if self.message.is_some() {
            return Ok(());
        }
        let Some((kind, header_len)) = endpoint.begin_message(input) else {
            return Ok(());
        };
        *input = part_mut(core::mem::take(input), header_len..);
        self.give_back(to_usize(endpoint.payload_remaining()));
        self.begin_at(0, kind, endpoint, now)
    }

    /// [`go_on`](Self::go_on) with what a shared input holds of the frame at hand, which is unmasked to the storage.
    fn go_on_in<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        input: &mut &mut [u8],
    ) -> Result<Option<ToCome>, ReceiveError> {
        let going_on = self.message.as_ref().map_or(0, |message| endpoint.going_on(message.kind, message.text));
        let len = going_on.min(input.len());
        if len == 0 {
            return Ok(None);
        }
        match self.room_behind(len) {
            Ok(at) => self.unread = at,
            Err(fault) => return Err(self.fail(endpoint, now, fault)),
        }
        let (payload, rest) = core::mem::take(input).split_at_mut(len);
        *input = rest;
        self.go_on(endpoint, now, Some(payload))
    }

    /// Moves the rest of a shared input, which has not been received yet, to the storage. The connection fails if that is full.
    pub(in super::super) fn keep_unread<R: Role, T: Trace>(
        &mut self,
        rest: &[u8],
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
    ) {
        self.forget_told();
        self.clear = false;
        match self.copy_behind(rest) {
            Ok(at) => self.unread = at,
            Err(fault) => _ = self.fail(endpoint, now, fault),
        }
    }

    /// Moves the unfinished message at the end of a shared input to the storage.
    fn keep<R: Role, T: Trace>(
        &mut self,
        message: Option<Assembly>,
        input: &[u8],
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
    ) -> Result<(), ReceiveError> {
        let Some(message) = message else {
            return Ok(());
        };
        self.give_back(message.at.len());
        match self.copy_behind(part(input, message.at.clone())) {
            Ok(at) => {
                self.unread = at.end..at.end;
                self.message = Some(Assembly { at, ..message });
                Ok(())
            }
            Err(fault) => Err(self.fail(endpoint, now, fault)),
        }
    }

    /// A message that needs `len` bytes begins in the storage, where nothing else is any more: what a bigger one took is given
    /// back, also if every read cuts a message.
    fn give_back(&mut self, len: usize) {
        let least = KEPT.max(self.keep);
        if self.storage.bytes().len() > least {
            let kept = self.retention.kept(len, KEPT);
            self.storage.shrink(kept.max(least).max(len));
        }
    }

    /// Adds a part that lies in a shared input to the message in the storage.
    fn append(&mut self, step: DataStep, input: &[u8]) -> Result<Option<Found>, Fault> {
        let at = self.copy_behind(part(input, step.at.clone()))?;
        self.unread = at.end..at.end;
        let whole = Assembly::add(&mut self.message, DataStep { at, ..step })?;
        Ok(whole.map(Found::InStorage))
    }

    /// Copies `bytes` to the storage, right behind the message in progress; where they lie then.
    fn copy_behind(&mut self, bytes: &[u8]) -> Result<Range<usize>, Fault> {
        let at = self.room_behind(bytes.len())?;
        self.storage.bytes_mut().get_mut(at.clone()).ok_or(Fault::StorageFull)?.copy_from_slice(bytes);
        Ok(at)
    }

    /// Sees to room for `len` bytes right behind the message in progress; where it is.
    fn room_behind(&mut self, len: usize) -> Result<Range<usize>, Fault> {
        let behind = |this: &Self| {
            let start = this.message.as_ref().map_or(0, |message| message.at.end);
            start..start.saturating_add(len)
        };
        if behind(self).end > self.storage.bytes().len() {
            self.compact();
        }
        let at = behind(self);
        let held = self.storage.bytes().len();
        if held < at.end && !self.storage.grow(at.end.max(held.saturating_mul(2).min(self.storage.limit()))) {
            return Err(Fault::StorageFull);
        }
        Ok(at)
    }

    /// [`rewind`](Self::rewind) where the storage is only for what is unfinished.
    fn rewind_shared(&mut self) {
        if self.message.is_none() {
            self.unread = 0..0;
            self.storage.shrink(self.keep);
        }
    }
}

/// What the loop of [`MessageBuffer::next_in`] ends with.
enum Found {
    InInput(Whole),
    InStorage(Whole),
    #[cfg(feature = "deflate")]
    Inflated,
    Control(Control),
}

impl From<Foreign> for Fault {
    /// Parts of the message went elsewhere: the host mixed endpoints, or this with `receive`.
    fn from(_: Foreign) -> Self {
        Self::Internal
    }
}
