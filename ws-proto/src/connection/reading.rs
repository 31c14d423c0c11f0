//! A buffer of the host's, attached to a connection for the time of a read.

use core::{fmt, mem};

use super::{
    Connection,
    memory::{Allocation, Holder},
    message_buffer::MessageBuffer,
    next::{Next, Reply, to_next},
    opening::{Opens, Phase},
};
use crate::{
    endpoint::Endpoint,
    event::{Control, Event},
    message::Message,
    part::part_mut,
    time::Instant,
};

/// A connection that reads into a buffer which the host lends it for the time of a read: many connections share one.
///
/// Messages that lie whole in the buffer are lent from there. The beginning of a message that is not complete moves to the
/// connection's own storage, and so do the bytes that have not been taken when this is dropped. The rest of a big message is
/// read straight into its place there, without another copy.
///
/// ```
/// use std::io::{self, Read};
/// use ws_proto::{Connection, Instant, Next, Server};
///
/// fn read(
///     mut socket: impl Read,
///     now: Instant,
///     connection: &mut Connection<'_, Server>,
///     buffer: &mut [u8],
/// ) -> io::Result<()> {
///     let mut reading = connection.reading(buffer);
///     let len = socket.read(reading.room())?;
///     reading.received(now, len);
///     while let Some(next) = reading.next() {
///         if let Next::Data(message, mut reply) = next {
///             reply.send(message).map_err(io::Error::other)?;
///         }
///     }
///     Ok(())
/// }
/// ```
pub struct Reading<'r, 'a, R: Opens, S: Allocation = super::DefaultStorage> {
    connection: &'r mut Connection<'a, R, S>,
    /// The buffer; once it has been read into, what has not been taken of that.
    input: &'r mut [u8],
    is_read: bool,
}

impl<'a, R: Opens, S: Allocation> Connection<'a, R, S> {
    /// Attaches `buffer` to the connection for the time of one read.
    pub const fn reading<'r>(&'r mut self, buffer: &'r mut [u8]) -> Reading<'r, 'a, R, S> {
        Reading { connection: self, input: buffer, is_read: false }
    }

    /// Takes what the host has read by itself at `now`, into a buffer of its own: a kernel's choice of a group, a frame of
    /// HTTP/2. Empty `bytes` are not the end of the transport.
    ///
    /// The opening handshake, and the beginning of a message that `bytes` does not complete, move to the connection's own
    /// storage.
    pub fn received_in<'r>(&'r mut self, now: Instant, bytes: &'r mut [u8]) -> Reading<'r, 'a, R, S> {
        let memory = self.memory.get();
        memory.now = now;
        let mut input = bytes;
        if let Phase::Opening(_) = self.phase {
            // Before the connection is open all that comes is collected.
            let kept = memory.incoming.keep_head(input);
            input = part_mut(input, kept..);
        }
        self.heard(now);
        Reading { connection: self, input, is_read: true }
    }
}

impl<'r, 'a, R: Opens, S: Allocation> Reading<'r, 'a, R, S> {
    /// Returns the room for the read: the buffer, or a place in the connection's own storage. It is not empty unless the
    /// buffer is, it has been read into, or the connection [is over](Connection::is_over).
    pub fn room(&mut self) -> &mut [u8] {
        match &self.connection.phase {
            Phase::Open(endpoint) => {
                let input = if self.is_read { &mut [] } else { &mut *self.input };
                self.connection.memory.get().incoming.unfilled_or(endpoint, input)
            }
            Phase::Opening(_) | Phase::Over => self.connection.room(),
        }
    }

    /// Takes note of the read at `now`, of `len` bytes into [`room`](Self::room); see [`Connection::received`].
    pub fn received(&mut self, now: Instant, len: usize) {
        if len == 0 {
            if !self.room().is_empty() {
                self.connection.receive_eof(now);
            }
            return;
        }
        let memory = self.connection.memory.get();
        let input = mem::take(&mut self.input);
        let was_read = mem::replace(&mut self.is_read, true);
        if !was_read && matches!(self.connection.phase, Phase::Open(_)) {
            memory.now = now;
            self.input = memory.incoming.filled_or(len, input);
            self.connection.heard(now);
        } else {
            self.connection.received(now, len);
        }
    }

    /// Returns the next thing that has happened; see [`Connection::next`].
    #[inline(always)]
    #[allow(clippy::should_implement_trait, reason = "what it returns borrows the buffer")]
    pub fn next(&mut self) -> Option<Next<'_, 'a, R, Message<'_>, S>> {
        if let Some(message) = self.next_whole() {
            let memory = self.connection.memory.get();
            let Phase::Open(endpoint) = &mut self.connection.phase else { return None };
            return Some(Next::Data(message, Reply { endpoint, sending: &mut memory.sending }));
        }
        self.next_slowly()
    }

    /// Hands each message that comes next to `on_message`, with the way to reply, and returns the first thing that is none; `None`
    /// if more must be read. Call it until then.
    ///
    /// It does what a loop around [`next`](Self::next) does, in fewer instructions a message.
    #[inline(always)]
    pub fn each_message(
        &mut self,
        mut on_message: impl FnMut(Message<'_>, &mut Reply<'_, R, S>),
    ) -> Option<Next<'_, 'a, R, Message<'_>, S>> {
        if !self.is_read || !matches!(self.connection.phase, Phase::Open(_)) {
            return self.connection.next();
        }
        let memory = self.connection.memory.get();
        let Phase::Open(endpoint) = &mut self.connection.phase else { return None };
        let mut input = mem::take(&mut self.input);
        let mut reply = Reply { endpoint, sending: &mut memory.sending };
        let now = memory.now;
        let found = loop {
            let message = match memory.incoming.next_whole_in(reply.endpoint, now, &mut input) {
                Some(message) => message,
                None => {
                    let other = other(&mut memory.incoming, reply.endpoint, now, mem::take(&mut input));
                    input = other.rest;
                    let Some(message) = other.message else { break other.control };
                    message
                }
            };
            on_message(message, &mut reply);
        };
        self.input = input;
        let Reply { endpoint, sending } = reply;
        to_next(Ok(found.map(Event::Control)), endpoint, sending, &mut memory.ending)
    }

    /// Takes a whole message that comes next and lies in the buffer; `None`, and nothing has changed, if anything else does.
    #[inline(always)]
    fn next_whole(&mut self) -> Option<Message<'r>> {
        let Phase::Open(endpoint) = &mut self.connection.phase else { return None };
        if !self.is_read {
            return None;
        }
        let memory = self.connection.memory.get();
        memory.incoming.next_whole_in(endpoint, memory.now, &mut self.input)
    }

    /// [`next`](Self::next), whatever comes.
    #[cold]
    #[inline(never)]
    fn next_slowly(&mut self) -> Option<Next<'_, 'a, R, Message<'_>, S>> {
        if !self.is_read || !matches!(self.connection.phase, Phase::Open(_)) {
            return self.connection.next();
        }
        let memory = self.connection.memory.get();
        let Phase::Open(endpoint) = &mut self.connection.phase else { return None };
        let found = memory.incoming.next_in(endpoint, memory.now, &mut self.input);
        to_next(found, endpoint, &mut memory.sending, &mut memory.ending)
    }

    /// Returns the connection, to look at: the payload of a control frame, its state.
    #[must_use]
    pub const fn connection(&self) -> &Connection<'a, R, S> {
        self.connection
    }
}

/// An event other than a whole message in the buffer. Its parts are apart, so that a message is not moved byte by byte.
struct Other<'s, 'b> {
    message: Option<Message<'s>>,
    control: Option<Control>,
    rest: &'b mut [u8],
}

#[cold]
#[inline(never)]
fn other<'s, 'b: 's, R: Opens, S: Allocation>(
    incoming: &'s mut MessageBuffer<S>,
    endpoint: &mut Endpoint<R>,
    now: Instant,
    input: &'b mut [u8],
) -> Other<'s, 'b> {
    let (found, rest) = incoming.next_in_slowly(endpoint, now, input);
    match found {
        Ok(Some(Event::Data(message))) => Other { message: Some(message), control: None, rest },
        Ok(Some(Event::Control(control))) => Other { message: None, control: Some(control), rest },
        Ok(None) | Err(_) => Other { message: None, control: None, rest },
    }
}

/// Bytes that have not been taken move to the connection's own storage.
impl<R: Opens, S: Allocation> Drop for Reading<'_, '_, R, S> {
    fn drop(&mut self) {
        if !self.is_read || self.input.is_empty() {
            return;
        }
        if let Phase::Open(endpoint) = &mut self.connection.phase {
            let memory = self.connection.memory.get();
            memory.incoming.keep_unread(self.input, endpoint, memory.now);
        }
    }
}

impl<R: Opens, S: Allocation> fmt::Debug for Reading<'_, '_, R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("connection", &self.connection).field("is_read", &self.is_read).finish()
    }
}
