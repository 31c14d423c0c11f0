use core::fmt;
use std::{io, sync::Arc, time::Duration};

use ws_proto::{
    CloseCode, Closed, Event, Message, MessageKind, Part, SendError, Server, endpoint::Prepared, message::Data,
};

use crate::{
    Role,
    control_payload::ControlPayload,
    error::{Error, Result},
    incoming::Incoming,
    message_writer::MessageWriter,
    outgoing,
    output::Writing,
    shared::{Link, Owned, Shared},
    socket::Socket,
    transport::{Duplex, Transport, abort},
    websocket::WebSocket,
};

/// The reading half of a connection, from [`WebSocket::split`].
///
/// It answers pings and completes the closing handshake, also while the other half is inside a long write.
pub struct Reader<R: Role, T: Transport = Socket> {
    link: Arc<Shared<R, T>>,
    incoming: Incoming,
    subprotocol: Option<Box<str>>,
}

/// The writing half of a connection, from [`WebSocket::split`].
///
/// It never waits for the peer to send anything; timeouts are kept by the thread that reads. Clones write to the
/// same connection, each message whole.
pub struct Writer<R: Role, T: Transport = Socket> {
    link: Arc<Shared<R, T>>,
    /// Has one reference for each writer.
    writers: Arc<()>,
}

impl<R: Role, T: Transport> WebSocket<R, T> {
    /// Two halves for two threads: one reads while the other writes, and neither waits for the other.
    #[must_use]
    pub fn split(self) -> (Reader<R, T>, Writer<R, T>)
    where
        T: Duplex,
    {
        let (link, incoming, subprotocol) = self.into_parts();
        let shared = link.into_shared();
        let writer = Writer { link: Arc::clone(&shared), writers: Arc::new(()) };
        (Reader { link: shared, incoming, subprotocol }, writer)
    }
}

impl<R: Role, T: Transport> Reader<R, T> {
    /// Reads the next message; `None` once both sides have closed.
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

    /// Returns the payload of the Ping or Pong that [`read_event`](Self::read_event) returned last, until the next call that
    /// reads.
    #[must_use]
    pub fn control_payload(&mut self) -> ControlPayload {
        ControlPayload::new(self.link.core().endpoint.control_payload())
    }

    /// Reads the next part of a message as it comes; see [`WebSocket::read_part`].
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_part(&mut self) -> Result<Option<Data<'_>>> {
        self.incoming.read_part(&mut self.link)
    }

    /// Closes the connection; see [`WebSocket::close`].
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), but an unclean end is none.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<Closed> {
        self.incoming.close(&mut self.link, code, reason)
    }

    /// The code and the reason of the peer's Close, once it has come.
    #[must_use]
    pub fn close_frame(&mut self) -> Option<(CloseCode, String)> {
        self.link.core().close_frame()
    }

    /// How long a call of [`read`](Self::read) may wait for the peer; for ever by default.
    pub const fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.incoming.timeout = timeout;
    }

    /// Puts the halves of one connection together again.
    ///
    /// # Errors
    ///
    /// They are halves of two connections, or there are more writers; both are given back.
    pub fn reunite(self, writer: Writer<R, T>) -> core::result::Result<WebSocket<R, T>, ReuniteError<R, T>> {
        if !Arc::ptr_eq(&self.link, &writer.link) {
            return Err(ReuniteError(Box::new((self, writer))));
        }
        if Arc::strong_count(&writer.writers) > 1 {
            return Err(ReuniteError(Box::new((self, writer))));
        }
        drop(writer);
        let Self { link, incoming, subprotocol } = self;
        // Only a remote refers to the connection now, if a server keeps one.
        let link = if Arc::weak_count(&link) == 0 {
            Arc::try_unwrap(link).map_or_else(Owned::Watched, Owned::Alone)
        } else {
            Owned::Watched(link)
        };
        Ok(WebSocket::from_parts(link, incoming, subprotocol))
    }
}

impl<R: Role, T: Transport> Writer<R, T> {
    /// Sends a message and everything queued before it. If another clone is writing just now, that takes the
    /// message along.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`].
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<()> {
        self.queue(message)?;
        self.flush()
    }

    /// Queues a message, to be written with the next [`flush`](Self::flush), or as soon as 64 KiB have come
    /// together.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn queue<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<()> {
        outgoing::queue(&mut self.link, message.into())
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

    /// A writer for a message that is too big to be held; see
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

    /// Writes what is queued.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::flush`].
    pub fn flush(&mut self) -> Result<()> {
        outgoing::flush(&mut self.link)
    }

    /// Begins the closing handshake and returns; the thread that reads completes it. Without effect if the
    /// connection is closing already.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_close`].
    pub fn send_close(&mut self, code: CloseCode, reason: &str) -> Result<()> {
        outgoing::send_close(&mut self.link, code, reason)
    }

    /// Ends the transport at once, without the closing handshake: for a peer that is too slow to be waited for.
    ///
    /// Whoever reads or writes on this connection, in any thread, is woken and told that it has ended.
    pub fn abort(&self) {
        abort(self.link.transport());
    }

    /// Sends a Close and waits until the thread that reads has seen the connection end.
    ///
    /// Should that take longer than the timeouts of the endpoint allow, the transport is ended, which wakes
    /// a [`Reader::read`] that is still waiting.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::close`]. The transport has been ended then, too.
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
                // The reading half sees the transport fail as well.
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
        outgoing::queue_prepared(&mut self.link, prepared)?;
        self.flush()
    }
}

/// The halves can't be [put together](Reader::reunite); here they are.
pub struct ReuniteError<R: Role, T: Transport = Socket>(pub Box<(Reader<R, T>, Writer<R, T>)>);

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
        Self { link: Arc::clone(&self.link), writers: Arc::clone(&self.writers) }
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
