//! A buffer of the host's, attached to a connection for the time of a read.

use core::{fmt, ops::Range};

use super::{
    Connection, end,
    memory::{Allocation, Holder},
    next::{Next, Reply},
    opening::{Opens, Phase},
    told,
};
use crate::{event::Event, message::Message, time::Instant};

/// A connection that reads to a buffer which the host lends it for the time of a read: many connections share one.
///
/// Messages that lie whole in the buffer are lent from there. The beginning of a message that the read has cut moves to the
/// connection's own storage, as does what has not been asked for when this is dropped; the rest of a big message is read
/// straight to its place there, without another copy.
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
    buffer: &'r mut [u8],
    /// `unread.start <= unread.end <= buffer.len()`
    unread: Range<usize>,
}

impl<'a, R: Opens, S: Allocation> Connection<'a, R, S> {
    /// Attaches `buffer` to the connection for the time of a read.
    pub const fn reading<'r>(&'r mut self, buffer: &'r mut [u8]) -> Reading<'r, 'a, R, S> {
        Reading { connection: self, buffer, unread: 0..0 }
    }

    /// Takes what the host has read by itself at `now`, to a buffer of its own: a kernel's choice of a group, a frame of HTTP/2.
    /// Empty `bytes` are not the end of the transport.
    ///
    /// The opening handshake and the beginning of a message that `bytes` cuts move to the connection's own storage.
    pub fn received_in<'r>(&'r mut self, now: Instant, bytes: &'r mut [u8]) -> Reading<'r, 'a, R, S> {
        let memory = self.memory.get();
        memory.now = now;
        let len = bytes.len();
        let mut reading = Reading { connection: self, buffer: bytes, unread: 0..len };
        reading.keep_head();
        reading
    }
}

impl<'a, R: Opens, S: Allocation> Reading<'_, 'a, R, S> {
    /// Before the connection is open all that comes is collected in its storage.
    fn keep_head(&mut self) {
        if let Phase::Opening(_) = self.connection.phase {
            let memory = self.connection.memory.get();
            let bytes = self.buffer.get(self.unread.clone()).unwrap_or_default();
            let kept = memory.incoming.keep_head(bytes);
            self.unread.start += kept;
        }
    }

    /// Returns the room for the next read: the buffer, or a place in the connection's own storage. It is not empty unless the
    /// buffer is, or the connection [is over](Connection::is_over).
    pub fn room(&mut self) -> &mut [u8] {
        match &self.connection.phase {
            Phase::Open(endpoint) => {
                let incoming = &mut self.connection.memory.get().incoming;
                incoming.unfilled_or(endpoint, self.buffer)
            }
            Phase::Opening(_) | Phase::Over => self.connection.room(),
        }
    }

    /// Takes note of a read at `now`, of `len` bytes to [`room`](Self::room); see [`Connection::received`].
    pub fn received(&mut self, now: Instant, len: usize) {
        let memory = self.connection.memory.get();
        if len > 0 && matches!(self.connection.phase, Phase::Open(_)) {
            memory.now = now;
            self.unread = 0..memory.incoming.filled_or(len, self.buffer).len();
        } else {
            self.connection.received(now, len);
        }
    }

    /// Returns the next thing that has happened; see [`Connection::next`].
    #[inline]
    #[allow(clippy::should_implement_trait, reason = "what it returns borrows the buffer")]
    pub fn next(&mut self) -> Option<Next<'_, 'a, R, Message<'_>, S>> {
        if !matches!(self.connection.phase, Phase::Open(_)) {
            return self.connection.next();
        }
        let memory = self.connection.memory.get();
        let Phase::Open(endpoint) = &mut self.connection.phase else { return None };
        let mut input = self.buffer.get_mut(self.unread.clone()).unwrap_or_default();
        let found = memory.incoming.next_in(endpoint, memory.now, &mut input);
        self.unread.start = self.unread.end - input.len();
        match found {
            Ok(Some(Event::Data(message))) => Some(Next::Data(
                message,
                Reply {
                    endpoint,
                    output: &mut memory.output,
                    #[cfg(feature = "deflate")]
                    deflater: &mut memory.deflater,
                },
            )),
            Ok(Some(Event::Control(control))) => Some(told(endpoint, &mut memory.output, control)),
            Ok(None) | Err(_) => end(endpoint, &mut memory.output, &mut memory.ended),
        }
    }
}

/// What has not been asked for moves to the connection's own storage.
impl<R: Opens, S: Allocation> Drop for Reading<'_, '_, R, S> {
    fn drop(&mut self) {
        let rest = self.buffer.get(self.unread.clone()).unwrap_or_default();
        if let (Phase::Open(endpoint), false) = (&mut self.connection.phase, rest.is_empty()) {
            let memory = self.connection.memory.get();
            memory.incoming.keep_unread(rest, endpoint, memory.now);
        }
    }
}

impl<R: Opens, S: Allocation> fmt::Debug for Reading<'_, '_, R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reading").field("connection", &self.connection).field("unread", &self.unread).finish()
    }
}
