//! The sending half of a connection.

use core::fmt;

use super::{
    message_buffer::MessageBuffer,
    output::{DefaultQueue, Output, Pending},
    queue::Queue,
    storage::Storage,
};
use crate::{
    close::CloseCode,
    endpoint::{Closed, Endpoint, State},
    error::{ReceiveError, SendError},
    event::Event,
    message::Message,
    role::Role,
    time::{Instant, earliest},
};

/// The sending half of a [`Connection`](super::Connection), from `Connection::split`: its endpoint and its
/// output.
///
/// For hosts whose tasks or threads read and write at once. This half is shared under a lock; the other one, a
/// [`MessageBuffer`], belongs to the reader alone.
pub struct Outgoing<R: Role, Q: Queue = DefaultQueue> {
    endpoint: Endpoint<R>,
    output: Output<Q>,
}

impl<R: Role, Q: Queue> Outgoing<R, Q> {
    /// Creates the sending half of a connection that is open, with output that may hold bytes which go first.
    pub const fn new(endpoint: Endpoint<R>, output: Output<Q>) -> Self {
        Self { endpoint, output }
    }

    /// Returns the next message or control frame in `buffer`, which was read into at `now`; `None` if more must be read. What it
    /// calls for is queued.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol, and is told so by the Close that is queued.
    #[inline]
    pub fn next<'b, S: Storage>(
        &mut self,
        buffer: &'b mut MessageBuffer<S>,
        now: Instant,
    ) -> Result<Option<Event<Message<'b>>>, ReceiveError> {
        let found = buffer.next(&mut self.endpoint, now);
        if !matches!(found, Ok(Some(Event::Data(_)))) {
            self.output.drain(&mut self.endpoint);
        }
        found
    }

    /// Returns the room for the next read, in `buffer`.
    pub fn room<'b, S: Storage>(&self, buffer: &'b mut MessageBuffer<S>) -> &'b mut [u8] {
        buffer.unfilled(&self.endpoint)
    }

    /// Takes note that the transport has ended, or failed.
    pub fn receive_eof(&mut self) {
        self.endpoint.receive_eof();
        self.output.drain(&mut self.endpoint);
    }

    /// Queues a message.
    ///
    /// # Errors
    ///
    /// As [`Reply::send`](super::Reply::send).
    pub fn send(&mut self, message: Message<'_>) -> Result<(), SendError> {
        self.output.send(&mut self.endpoint, message)
    }

    /// Queues our Close at `now` and begins the closing handshake.
    ///
    /// # Errors
    ///
    /// As [`Reply::close`](super::Reply::close).
    pub fn close(&mut self, now: Instant, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.output.close(&mut self.endpoint, now, code, reason)
    }

    /// Returns what is to be done next with the transport; `None` if there is nothing.
    #[must_use]
    pub fn pending(&self) -> Option<Pending<'_>> {
        self.output.pending()
    }

    /// Returns how many bytes are waiting to be written.
    #[must_use]
    pub fn pending_len(&self) -> usize {
        self.output.len()
    }

    /// Takes note of an attempt to write at `now`, of which the transport took `len` bytes; see [`Output::written`].
    pub fn written(&mut self, now: Instant, len: usize) {
        self.output.written(&mut self.endpoint, now, len);
    }

    /// Takes note that the transport is half-closed, and returns whether that was asked for; see [`Output::shut_down`].
    pub const fn shut_down(&mut self) -> bool {
        self.output.shut_down()
    }

    /// Drops what is pending: the transport has failed.
    pub fn abandon(&mut self) {
        self.output.abandon();
    }

    /// Returns when to call [`handle_timeout`](Self::handle_timeout) at the latest; `None` if no call is needed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        earliest(self.endpoint.poll_timeout(), self.output.poll_timeout())
    }

    /// Does what is due at `now`. Returns `false` if the peer has taken too little output for too long: the output is dropped
    /// and the connection has ended.
    #[must_use]
    pub fn handle_timeout(&mut self, now: Instant) -> bool {
        let in_time = !self.output.is_overdue(now);
        if in_time {
            // The memory goes first: a Ping that becomes due now would keep it.
            self.output.release();
            self.output.handle_timeout(&mut self.endpoint, now);
        } else {
            self.output.abandon();
            // A frame may have been cut: anything after it would be taken for its payload.
            self.endpoint.receive_eof();
        }
        in_time
    }

    /// Returns how the connection has ended, as soon as that is certain and all output is written.
    #[must_use]
    pub fn closed(&self) -> Option<Closed> {
        self.endpoint.closed().filter(|_| self.output.is_written())
    }

    /// Returns whether the transport is drained too: drop it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.endpoint.state(), State::Closed(_)) && self.output.is_written()
    }

    /// Returns the endpoint.
    #[must_use]
    pub const fn endpoint(&self) -> &Endpoint<R> {
        &self.endpoint
    }
}

impl<R: Role, Q: Queue> fmt::Debug for Outgoing<R, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("endpoint", &self.endpoint).field("output", &self.output).finish()
    }
}
