use core::fmt;
use std::{io, sync::Arc, time::Duration};

use ws_proto::{
    CloseCode, Closed, Event, Message, MessageKind, Part, SendError, Server, State,
    driver::{ControlPayload, Counters, Error, Result, TrySendError},
    endpoint::Prepared,
    message::Data,
};

use crate::{
    Role,
    incoming::Incoming,
    message_writer::MessageWriter,
    net_stream::NetStream,
    outgoing,
    output::Writing,
    shared::{Link, Owned, Shared},
    transport::{Duplex, Transport, abort},
    websocket::WebSocket,
};

/// The reading half of a connection, from [`WebSocket::split`].
///
/// It answers Pings and completes the closing handshake, also while the other half is inside a long write.
pub struct Reader<R: Role, T: Transport = NetStream> {
    link: Arc<Shared<R, T>>,
    incoming: Incoming,
    subprotocol: Option<Arc<str>>,
}

/// The writing half of a connection, from [`WebSocket::split`]: `Writer<role::Client>`, or `Writer<role::Server>` in a server.
///
/// Clones write to the same connection, each message whole. The thread that reads runs the timers; a writing half waits
/// only for the peer to take bytes, and in [`close`](Self::close).
pub struct Writer<R: Role, T: Transport = NetStream> {
    link: Arc<Shared<R, T>>,
    /// Counts the clones of this half, by its references.
    writers: Arc<()>,
    subprotocol: Option<Arc<str>>,
}

impl<R: Role, T: Transport> WebSocket<R, T> {
    /// Splits the connection into halves for two threads: one reads while the other writes, and neither waits for the
    /// other.
    #[must_use]
    pub fn split(self) -> (Reader<R, T>, Writer<R, T>)
    where
        T: Duplex,
    {
        let (link, incoming, subprotocol) = self.into_parts();
        let shared = link.into_shared();
        let subprotocol: Option<Arc<str>> = subprotocol.map(Arc::from);
        let writer = Writer { link: Arc::clone(&shared), writers: Arc::new(()), subprotocol: subprotocol.clone() };
        (Reader { link: shared, incoming, subprotocol }, writer)
    }
}

impl<R: Role, T: Transport> Reader<R, T> {
    /// Reads the next message. `None`: both sides have closed.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::read`].
    pub fn read(&mut self) -> Result<Option<Message<'_>>> {
        self.incoming.read(&mut self.link)
    }

    /// Reads the next message or control frame; see [`WebSocket::read_event`].
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_event(&mut self) -> Result<Option<Event<Message<'_>>>> {
        self.incoming.read_event(&mut self.link)
    }

    /// Returns the payload of the Ping or Pong that [`read_event`](Self::read_event) returned last. The next call that
    /// reads replaces it.
    #[must_use]
    pub fn control_payload(&mut self) -> ControlPayload {
        ControlPayload::new(self.link.core().endpoint.control_payload())
    }

    /// Reads the next part of a message as soon as it has come; see [`WebSocket::read_part`].
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_part(&mut self) -> Result<Option<Data<'_>>> {
        self.incoming.read_part(&mut self.link)
    }

    /// Reads the next part of a message or control frame; see [`WebSocket::read_part_event`].
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_part_event(&mut self) -> Result<Option<Event<Data<'_>>>> {
        self.incoming.read_part_event(&mut self.link)
    }

    /// Returns the subprotocol that both sides have agreed on in the opening handshake, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Returns the state of the connection: open, closing or closed.
    #[must_use]
    pub fn state(&mut self) -> State {
        self.link.core().endpoint.state()
    }

    /// Returns the number of bytes of output that are waiting to be written.
    #[must_use]
    pub fn pending_len(&mut self) -> usize {
        self.link.core().waiting_len()
    }

    /// Returns whether the opening handshake has agreed on compression (RFC 7692).
    #[must_use]
    pub fn is_compressed(&mut self) -> bool {
        self.link.core().compression.is_on()
    }

    /// Returns the numbers of messages, frames and bytes that have come and been sent, and the last round trip of a keepalive
    /// Ping.
    #[must_use]
    pub fn counters(&mut self) -> Counters {
        self.link.core().endpoint.trace().counters()
    }

    /// Returns the transport, which knows the peer's address for instance.
    #[must_use]
    pub fn transport(&self) -> &T {
        self.link.transport()
    }

    /// Closes the connection; see [`WebSocket::close`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::close`].
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<Closed> {
        self.incoming.close(&mut self.link, code, reason)
    }

    /// Returns the code and the reason of the peer's Close, once it has come.
    #[must_use]
    pub fn close_frame(&mut self) -> Option<(CloseCode, String)> {
        self.link.core().close_frame()
    }

    /// Sets how long a call of [`read`](Self::read), [`read_event`](Self::read_event) or [`read_part`](Self::read_part)
    /// may wait for the peer: for ever by default (`None`).
    pub const fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.incoming.timeout = timeout;
    }

    /// Puts the halves of one connection together again.
    ///
    /// # Errors
    ///
    /// The halves are of two connections, or `writer` has clones. The error returns both halves.
    pub fn reunite(self, writer: Writer<R, T>) -> core::result::Result<WebSocket<R, T>, ReuniteError<R, T>> {
        if !Arc::ptr_eq(&self.link, &writer.link) {
            return Err(ReuniteError(Box::new((self, writer))));
        }
        if Arc::strong_count(&writer.writers) > 1 {
            return Err(ReuniteError(Box::new((self, writer))));
        }
        drop(writer);
        let Self { link, incoming, subprotocol } = self;
        // A server may still refer to the connection, by a weak reference of a `Remote`.
        let link = if Arc::weak_count(&link) == 0 {
            Arc::try_unwrap(link).map_or_else(Owned::Watched, Owned::Alone)
        } else {
            Owned::Watched(link)
        };
        Ok(WebSocket::from_parts(link, incoming, subprotocol.as_deref().map(Box::from)))
    }
}

impl<R: Role, T: Transport> Writer<R, T> {
    /// Sends a message and all output queued before it. If another clone is writing at that moment, it writes the
    /// message too, and this call returns at once.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`]. If the peer has refused a message, [`Reader::close_frame`] returns the reason.
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<()> {
        outgoing::send(&mut self.link, message.into())
    }

    /// Queues a message. It is written by the next [`flush`](Self::flush), by the next call that reads, or as soon as
    /// 64 KiB have come together. A read that waits already does not write it: call `flush` after the last message, or use
    /// [`send`](Self::send).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn queue<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<()> {
        outgoing::queue(&mut self.link, message.into())
    }

    /// Queues a message unless the call would have to wait; [`queue`](Self::queue) says when it is written.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::try_send`].
    pub fn try_send<'m>(&mut self, message: impl Into<Message<'m>>) -> core::result::Result<(), TrySendError> {
        let message = message.into();
        outgoing::try_queue(&mut self.link, |core| core.append(message))
    }

    /// Returns the subprotocol that both sides have agreed on in the opening handshake, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Returns the state of the connection: open, closing or closed.
    #[must_use]
    pub fn state(&mut self) -> State {
        self.link.core().endpoint.state()
    }

    /// Returns the number of bytes of output that are waiting to be written.
    #[must_use]
    pub fn pending_len(&mut self) -> usize {
        self.link.core().waiting_len()
    }

    /// Returns whether the opening handshake has agreed on compression (RFC 7692).
    #[must_use]
    pub fn is_compressed(&mut self) -> bool {
        self.link.core().compression.is_on()
    }

    /// Returns the numbers of messages, frames and bytes that have come and been sent, and the last round trip of a keepalive
    /// Ping.
    #[must_use]
    pub fn counters(&mut self) -> Counters {
        self.link.core().endpoint.trace().counters()
    }

    /// Returns the transport, which knows the peer's address for instance.
    #[must_use]
    pub fn transport(&self) -> &T {
        self.link.transport()
    }

    /// Sends part of a message as a frame of its own.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_part`].
    pub fn send_part(&mut self, kind: MessageKind, part: Part, payload: &[u8]) -> Result<()> {
        outgoing::queue_part(&mut self.link, kind, part, payload)?;
        self.flush()
    }

    /// Returns a writer for a message that does not fit in memory; see
    /// [`WebSocket::message_writer`].
    pub fn message_writer(&mut self, kind: MessageKind) -> MessageWriter<'_> {
        MessageWriter::new(&mut self.link, kind)
    }

    /// Sends a Ping; see [`WebSocket::ping`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::ping`].
    pub fn ping(&mut self, payload: &[u8]) -> Result<()> {
        outgoing::ping(&mut self.link, payload)
    }

    /// Writes all queued output.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::flush`].
    pub fn flush(&mut self) -> Result<()> {
        outgoing::flush(&mut self.link)
    }

    /// Begins the closing handshake: sends a Close and returns. The thread that reads completes it. Without effect if
    /// the connection is closing already.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_close`].
    pub fn send_close(&mut self, code: CloseCode, reason: &str) -> Result<()> {
        outgoing::send_close(&mut self.link, code, reason)
    }

    /// Ends the transport at once, without the closing handshake, for a peer that is too slow to wait for.
    ///
    /// Calls that read or write on this connection, in any thread, return and report an end without the closing handshake, as if the
    /// peer had left.
    pub fn abort(&self) {
        abort(self.link.transport());
    }

    /// Sends a Close and waits until the thread that reads has seen the connection end. The reason in the peer's Close is in
    /// [`Reader::close_frame`].
    ///
    /// If the timeouts of the endpoint pass first, the call ends the transport, so that a [`Reader::read`] that still
    /// waits returns.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::close`]. The transport has been ended then, except after a code or a reason that cannot be sent.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<Closed> {
        outgoing::queue_close(&mut self.link, code, reason)?;
        let closed = self.wait_for_end();
        if closed.is_err() {
            self.abort();
        }
        closed
    }

    fn wait_for_end(&mut self) -> Result<Closed> {
        let clock = self.link.clock;
        loop {
            let deadline = self.link.core().endpoint.poll_timeout().and_then(|at| clock.to_system(at));
            match outgoing::flush_as(Writing::Writer, &mut self.link, deadline) {
                // The reading half reports the failure of the transport.
                Ok(()) | Err(Error::Send(SendError::Closing)) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::TimedOut && deadline.is_some() => {}
                Err(error) => return Err(error),
            }
            self.link.wait(deadline, |core| core.endpoint.closed().is_some());
            let mut core = self.link.core();
            if let Some(closed) = core.endpoint.closed() {
                return Ok(closed);
            }
            core.handle_timeout(clock.now());
            let closed = core.closed();
            drop(core);
            if let Some(closed) = closed {
                self.abort();
                return Ok(closed);
            }
        }
    }
}

impl<T: Transport> Writer<Server, T> {
    /// Sends a message that was encoded once for many connections.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn send_prepared<B: AsRef<[u8]>>(&mut self, prepared: &Prepared<B>) -> Result<()> {
        outgoing::send_prepared(&mut self.link, prepared)
    }

    /// Queues a message that was encoded once for many connections; see [`queue`](Self::queue).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn queue_prepared<B: AsRef<[u8]>>(&mut self, prepared: &Prepared<B>) -> Result<()> {
        outgoing::queue_prepared(&mut self.link, prepared)
    }

    /// Queues a message that was encoded once, unless the call would have to wait; see [`WebSocket::try_send`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::try_send`].
    pub fn try_send_prepared<B: AsRef<[u8]>>(
        &mut self,
        prepared: &Prepared<B>,
    ) -> core::result::Result<(), TrySendError> {
        outgoing::try_queue(&mut self.link, |core| outgoing::append_prepared(core, prepared))
    }
}

/// The error of [`Reader::reunite`], which returns both halves.
pub struct ReuniteError<R: Role, T: Transport = NetStream>(pub Box<(Reader<R, T>, Writer<R, T>)>);

impl<R: Role, T: Transport> fmt::Debug for ReuniteError<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReuniteError").finish_non_exhaustive()
    }
}

impl<R: Role, T: Transport> fmt::Display for ReuniteError<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("halves are of two connections, or there are more writers")
    }
}

impl<R: Role, T: Transport> std::error::Error for ReuniteError<R, T> {}

impl<R: Role, T: Transport> Clone for Writer<R, T> {
    fn clone(&self) -> Self {
        Self {
            link: Arc::clone(&self.link),
            writers: Arc::clone(&self.writers),
            subprotocol: self.subprotocol.clone(),
        }
    }
}

impl<R: Role, T: Transport> fmt::Debug for Reader<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("buffer", &self.incoming.buffer).finish_non_exhaustive()
    }
}

impl<R: Role, T: Transport> fmt::Debug for Writer<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}
