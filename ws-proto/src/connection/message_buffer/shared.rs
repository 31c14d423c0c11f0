//! Messages from reads into a buffer that many connections share.

use core::mem;

use super::MessageBuffer;
#[cfg(feature = "deflate")]
use crate::part::part;
use crate::{
    connection::{
        assembly::{Assembly, Found, whole_in},
        storage::Storage,
    },
    endpoint::{Endpoint, Trace},
    error::ReceiveError,
    event::{Control, Event},
    message::Message,
    part::{part_mut, to_usize},
    role::Role,
    time::Instant,
};

/// The rest of a frame is read into its place, not into a shared buffer first, from this length on, or if it would fill the
/// shared buffer.
const DIRECT_READ: usize = 16 * 1024;

impl<S: Storage> MessageBuffer<S> {
    /// Takes from `input`, a buffer that the host shares among connections, what [`next`](Self::next) would take.
    ///
    /// `input` shrinks from its front by what was taken; `None` means that all of it was. The message lies
    /// in `input` if it began and ended there, otherwise in this buffer's own storage.
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
        let mut buffer = mem::take(input);
        if self.clear {
            match whole_in(endpoint, now, buffer) {
                Ok((message, rest)) => {
                    *input = rest;
                    return Ok(Some(Event::Data(message)));
                }
                Err(unchanged) => buffer = unchanged,
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
        let found = whole_in(endpoint, now, mem::take(input));
        let (message, rest) = found.map_or_else(|rest| (None, rest), |(message, rest)| (Some(message), rest));
        *input = rest;
        message
    }

    /// Returns whether nothing is left of what has been received, or will be once the message that was found last has been lent.
    const fn is_clear(&self) -> bool {
        #[cfg(feature = "deflate")]
        if self.inflated.has_told() {
            return false;
        }
        self.assembly.is_empty() && !self.has_pieces()
    }

    /// [`next_in`](Self::next_in), whatever comes; what is left of `input` is returned, so that the loop around it can keep
    /// that in registers. Cold, so that this loop is laid out for the other way.
    #[cold]
    #[inline(never)]
    pub(in super::super) fn next_in_slowly<'s, 'b: 's, R: Role, T: Trace>(
        &'s mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        buffer: &'b mut [u8],
    ) -> (Result<Option<Event<Message<'s>>>, ReceiveError>, &'b mut [u8]) {
        self.forget_told();
        // All of the read has been taken, as when most reads end.
        if buffer.is_empty() && self.clear && endpoint.failure().is_none() {
            self.assembly.rewind_shared();
            return (Ok(None), buffer);
        }
        self.clear = false;
        // Without a heap flash counts for more than speed.
        if cfg!(feature = "alloc") && !self.has_pieces() && self.assembly.take_middle(endpoint, now, buffer) {
            return (Ok(None), &mut []);
        }
        self.next_in_slowest(endpoint, now, buffer)
    }

    /// [`next_in_slowly`](Self::next_in_slowly) for a read that is not the middle of a frame; apart, since it would slow that down.
    #[cfg_attr(feature = "alloc", inline(never))]
    fn next_in_slowest<'s, 'b: 's, R: Role, T: Trace>(
        &'s mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        mut buffer: &'b mut [u8],
    ) -> (Result<Option<Event<Message<'s>>>, ReceiveError>, &'b mut [u8]) {
        // Without a heap flash counts for more than speed.
        if cfg!(feature = "alloc") {
            match self.take_cut(endpoint, now, &mut buffer) {
                Ok(Some(true)) => return (Ok(self.assembly.take_message().map(Event::Data)), buffer),
                Ok(Some(false)) if buffer.is_empty() => return (Ok(None), buffer),
                Ok(_) => {}
                Err(error) => return (Err(self.give_up_in(endpoint, error, buffer.len())), &mut []),
            }
        }
        let read = buffer.len();
        let mut input = Assembly::new(buffer, 0..read);
        let found = match self.advance_in(endpoint, now, &mut input) {
            Ok(found) => found,
            Err(error) => {
                let unread = input.unread().len();
                return (Err(self.give_up_in(endpoint, error, unread)), &mut []);
            }
        };
        let (message, rest) = input.into_message();
        let found = match found {
            None => None,
            Some(Event::Control(control)) => Some(Event::Control(control)),
            Some(Event::Data(())) => message.or_else(|| self.found_message()).map(Event::Data),
        };
        (Ok(found), rest)
    }

    /// Takes payload of a message at home, or the beginning of one that goes on after `input`, if that comes next. Returns whether the
    /// message is complete then; `None` if anything else comes.
    ///
    /// # Errors
    ///
    /// As [`next_in`](Self::next_in).
    #[inline(always)]
    fn take_cut<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        input: &mut &mut [u8],
    ) -> Result<Option<bool>, ReceiveError> {
        if self.has_pieces() || (self.assembly.has_unread() && self.assembly.has_message()) {
            return Ok(None);
        }
        if !self.assembly.has_message() {
            let mut unread = &**input;
            let deferred = self.assembly.take_deferred(endpoint, now, &mut unread)?;
            let taken = input.len() - unread.len();
            *input = part_mut(mem::take(input), taken..);
            if let Some(is_whole) = deferred {
                self.clear = is_whole && self.is_clear();
                return Ok(Some(is_whole));
            }
            if self.assembly.has_unread() {
                return Ok(None);
            }
        }
        let mut unread = &**input;
        let begins = !self.assembly.has_message();
        let announced =
            if begins { endpoint.begin_cut(now, &mut unread) } else { endpoint.pending(now, !unread.is_empty()) };
        let Some(announced) = announced else { return Ok(None) };
        if begins {
            self.assembly.room_mut().cut(R::SIDE, announced, unread.len());
        }
        let taken = self.assembly.take_across(endpoint, now, announced, &mut unread);
        let at = input.len() - unread.len();
        *input = part_mut(mem::take(input), at..);
        let is_whole = taken?;
        self.clear = is_whole && self.is_clear();
        Ok(Some(is_whole))
    }

    /// Gives up, where `unread` bytes of what was read are left: they are discarded, and counted as discarded.
    #[cold]
    fn give_up_in<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        error: ReceiveError,
        unread: usize,
    ) -> ReceiveError {
        let _ = endpoint.discard(unread);
        self.give_up(endpoint, error)
    }

    /// The message that has been found last and does not lie in the input.
    fn found_message(&mut self) -> Option<Message<'_>> {
        #[cfg(feature = "deflate")]
        if self.inflated.has_told() {
            return self.inflated.message();
        }
        self.assembly.take_message()
    }

    /// Takes what is unread here, and then what has been read into `input`.
    #[cfg_attr(not(feature = "deflate"), expect(clippy::never_loop, reason = "only compressed parts loop"))]
    fn advance_in<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        input: &mut Assembly<&mut [u8]>,
    ) -> Result<Option<Event<()>>, ReceiveError> {
        if self.assembly.has_unread() {
            if let Some(found) = self.next_slowly(endpoint, now, false)? {
                return Ok(Some(found.map(drop)));
            }
        }
        self.check_pieces(endpoint, now)?;
        let found = loop {
            match input.advance(endpoint, now, Some(&mut self.assembly))? {
                None => {
                    input.go_home(endpoint, now, &mut self.assembly)?;
                    self.assembly.rewind_shared();
                    self.check_room(endpoint, now, 0)?;
                    break None;
                }
                Some(Event::Data(Found::Here | Found::Home)) => break Some(Event::Data(())),
                #[cfg(feature = "deflate")]
                Some(Event::Data(Found::Compressed(taken, at))) => {
                    if self.inflated.add(endpoint, now, taken, part(input.bytes(), at))? {
                        break Some(Event::Data(()));
                    }
                }
                Some(Event::Control(control)) => {
                    // The part of a message that has come would be out of reach once the input has moved on. After a Close
                    // it will never be complete.
                    if control != Control::Close {
                        input.go_home(endpoint, now, &mut self.assembly)?;
                    }
                    break Some(self.control(control));
                }
            }
        };
        self.clear = self.is_clear();
        Ok(found)
    }

    /// Returns the room for the next read of a host with one buffer, `shared`, for all its connections. It is `shared`, or, if
    /// the rest of the frame at hand is big or would fill `shared`, room where the message lies. In a stream of long frames it is
    /// the front of `shared`, see [`unfilled`](Self::unfilled). It is never empty if `shared` is not.
    ///
    /// ```
    /// # use ws_proto::{Config, Endpoint, Instant, MessageBuffer, Server};
    /// # use ws_proto::endpoint::Negotiated;
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
        if !self.direct {
            let len = shared.len().min(self.assembly.room_mut().longest_read(remaining));
            return part_mut(shared, ..len);
        }
        self.forget_inflated();
        self.assembly.unfilled_to(remaining, remaining)
    }

    /// Takes note of a read of `len` bytes into [`unfilled_or`](Self::unfilled_or), and returns the input for
    /// [`next_in`](Self::next_in).
    pub fn filled_or<'a>(&mut self, len: usize, shared: &'a mut [u8]) -> &'a mut [u8] {
        if mem::take(&mut self.direct) {
            self.filled(len);
            return &mut [];
        }
        let len = len.min(shared.len());
        self.assembly.room_mut().read_elsewhere(len);
        part_mut(shared, ..len)
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
        if let Err(fault) = self.assembly.keep_unread(rest) {
            let error = endpoint.fail(now, fault);
            self.give_up(endpoint, error);
        }
    }
}
