use core::{fmt, time::Duration};

use ws_proto::{
    CloseCode, Closed, Config, Endpoint, Event, Message, MessageBuffer, MessageKind, Part, Server, State,
    endpoint::Prepared, message::Data,
};

use crate::{
    Role,
    clock::Clock,
    compression::Compression,
    control_payload::ControlPayload,
    error::Result,
    incoming::Incoming,
    message_writer::MessageWriter,
    outgoing,
    remote::Remote,
    shared::{Link, Owned, Shared},
    socket::Socket,
    transport::Transport,
};

/// One side of a WebSocket connection, driven by the thread that calls it.
///
/// Pings are answered, silence is probed and the closing handshake is completed inside [`read`](Self::read):
/// a program that keeps reading has nothing else to do. What a program sends is written at once; replies to a
/// received message wait for their like, see [`Reply`].
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ws = ws_std::accept(std::net::TcpListener::bind("127.0.0.1:0")?.accept()?.0)?;
/// while let Some(mut received) = ws.read()? {
///     received.reply.queue(received.message)?;
/// }
/// # Ok(()) }
/// ```
pub struct WebSocket<R: Role, T: Transport = Socket> {
    link: Owned<R, T>,
    incoming: Incoming,
    subprotocol: Option<Box<str>>,
}

/// A message, and the way to answer it while it is borrowed.
#[derive(Debug)]
pub struct Received<'a, R: Role, T: Transport = Socket> {
    /// The message, where it was read to.
    pub message: Message<'a>,
    /// Sends on the connection that the message came from.
    pub reply: Reply<'a, R, T>,
}

/// Part of a message, and the way to answer it while it is borrowed.
#[derive(Debug)]
pub struct ReceivedPart<'a, R: Role, T: Transport = Socket> {
    /// The payload, where it was read to.
    pub data: Data<'a>,
    /// Sends on the connection that the part came from.
    pub reply: Reply<'a, R, T>,
}

/// Sends on a connection whose received message is still borrowed.
///
/// [`queue`](Self::queue) is for replies that are written together, which is many times faster where messages follow one
/// another: at the latest before the next [`read`](WebSocket::read) waits for the peer, and whenever 64 KiB have come
/// together. [`send`](Self::send) writes at once: for a thread that does something long in between, or that drops the
/// connection without another `read` or [`close`](WebSocket::close), which drops what is queued.
pub struct Reply<'a, R: Role, T: Transport = Socket> {
    link: &'a mut Owned<R, T>,
}

/// A connection as its opening handshake leaves it.
pub(crate) struct Opened<R: Role, T> {
    pub(crate) endpoint: Endpoint<R>,
    pub(crate) compression: Compression,
    pub(crate) transport: T,
    /// May hold bytes that came after the handshake.
    pub(crate) buffer: MessageBuffer<Vec<u8>>,
    /// The clock of `endpoint`.
    pub(crate) clock: Clock,
}

impl<R: Role, T: Transport> WebSocket<R, T> {
    /// Creates a connection whose opening handshake is complete.
    pub(crate) fn new(opened: Opened<R, T>, config: &Config) -> Self {
        let Opened { endpoint, compression, transport, buffer, clock } = opened;
        let buffer = compression.limit(buffer);
        let incoming = Incoming::new(buffer, compression.other(), clock.now());
        let link = Owned::alone(Shared::new(endpoint, compression, transport, clock, config));
        Self { link, incoming, subprotocol: None }
    }

    pub(crate) fn with_subprotocol(self, subprotocol: Option<&str>) -> Self {
        Self { subprotocol: subprotocol.map(Into::into), ..self }
    }

    /// Takes over a connection whose opening handshake was made by someone else (RFC 6455 section 4).
    ///
    /// `received` is what has been read behind the handshake. Timeouts are those of `config`, and 30 s
    /// for a peer that takes none of our bytes.
    pub fn from_handshake(role: R, transport: T, received: Vec<u8>, config: &Config) -> Self {
        let clock = Clock::new();
        let endpoint = Endpoint::new(role, config, ws_proto::endpoint::Negotiated::default(), clock.now());
        let buffer = MessageBuffer::from(received);
        Self::new(Opened { endpoint, compression: Compression::default(), transport, buffer, clock }, config)
    }

    /// Reads the next message; `None` once both sides have closed.
    ///
    /// Before it waits for the peer it writes what is queued.
    ///
    /// # Errors
    ///
    /// [`Error::Receive`](crate::Error::Receive) if the peer broke the protocol, [`Error::Fault`](crate::Error::Fault) if this side failed, [`Error::Unclean`](crate::Error::Unclean) and [`Error::Io`](crate::Error::Io) if the connection was
    /// lost: it has ended then. [`Error::TimedOut`](crate::Error::TimedOut) once the [read timeout](Self::set_read_timeout) has passed: the
    /// call may be repeated, no byte is lost.
    pub fn read(&mut self) -> Result<Option<Received<'_, R, T>>> {
        let message = self.incoming.read(&mut self.link)?;
        let reply = Reply { link: &mut self.link };
        Ok(message.map(|message| Received { message, reply }))
    }

    /// Reads the next message or control frame; `None` once both sides have closed. A Ping has been answered then.
    ///
    /// [`control_payload`](Self::control_payload) has the payload of a Ping or a Pong.
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

    /// Reads the next part of a message as it comes, for messages too big to be held.
    ///
    /// Between messages one may go over from here to [`read`](Self::read) and back.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_part(&mut self) -> Result<Option<ReceivedPart<'_, R, T>>> {
        let data = self.incoming.read_part(&mut self.link)?;
        let reply = Reply { link: &mut self.link };
        Ok(data.map(|data| ReceivedPart { data, reply }))
    }

    /// Sends a message and everything queued before it.
    ///
    /// # Errors
    ///
    /// [`Error::Send`](crate::Error::Send) if the connection is closing or a streamed message is in progress,
    /// [`Error::TimedOut`](crate::Error::TimedOut) if 64 KiB wait and the peer takes none of them: nothing has been
    /// queued. [`Error::Io`](crate::Error::Io) if the transport fails; if that is a timeout, the message has
    /// been queued, and what is unwritten goes with the next call.
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<()> {
        self.queue(message)?;
        self.flush()
    }

    /// Queues a message, to be written with the next [`flush`](Self::flush), [`read`](Self::read) or
    /// [`close`](Self::close), or as soon as 64 KiB have come together; dropping the connection drops it.
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
    /// As [`send`](Self::send), and [`SendError::NoMessage`](ws_proto::SendError::NoMessage) or [`SendError::KindMismatch`](ws_proto::SendError::KindMismatch) for parts that make
    /// no message.
    pub fn send_part(&mut self, kind: MessageKind, part: Part, payload: &[u8]) -> Result<()> {
        outgoing::queue_part(&mut self.link, kind, part, payload)?;
        self.flush()
    }

    /// A writer for a message that is too big to be held, or not known yet as a whole.
    pub fn message_writer(&mut self, kind: MessageKind) -> MessageWriter<'_> {
        MessageWriter::new(&mut self.link, kind)
    }

    /// Sends a Ping; the answer comes as [`Control::Pong`](ws_proto::Control::Pong) with the same payload, of at most 125 bytes.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`SendError::ControlTooLong`](ws_proto::SendError::ControlTooLong).
    pub fn ping(&mut self, payload: &[u8]) -> Result<()> {
        outgoing::ping(&mut self.link, payload)
    }

    /// Writes what is queued.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io); if that is a timeout, what is unwritten goes with the next call.
    pub fn flush(&mut self) -> Result<()> {
        outgoing::flush(&mut self.link)
    }

    /// Begins the closing handshake and returns; [`read`](Self::read) still delivers what the peer sends until it
    /// closes too. Without effect if the connection is closing already.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`SendError::InvalidCloseCode`](ws_proto::SendError::InvalidCloseCode).
    pub fn send_close(&mut self, code: CloseCode, reason: &str) -> Result<()> {
        outgoing::send_close(&mut self.link, code, reason)
    }

    /// Closes the connection: sends a Close (unless there was one), waits for the peer's, and ends the
    /// transport in the order that loses nothing. Messages that still come are dropped.
    ///
    /// It takes as long as the timeouts in [`Config`](ws_proto::Config) allow at most; whether the end was clean is in what is returned.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), but an unclean end is none.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<Closed> {
        self.incoming.close(&mut self.link, code, reason)
    }

    /// The subprotocol that both sides have agreed on in the opening handshake, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Where the connection is in its life.
    #[must_use]
    pub fn state(&mut self) -> State {
        self.link.core().endpoint.state()
    }

    /// The code and the reason of the peer's Close, once it has come.
    #[must_use]
    pub fn close_frame(&mut self) -> Option<(CloseCode, String)> {
        self.link.core().close_frame()
    }

    /// How long a call of [`read`](Self::read) and its like may wait for the peer; for ever by default.
    pub const fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.incoming.timeout = timeout;
    }

    /// How long the peer may take none of the bytes that we write; 30 s by default.
    pub fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.link.core().set_write_timeout(timeout);
    }

    /// The memory that this connection holds now for input and output, in bytes, besides this value itself.
    #[must_use]
    pub fn held_bytes(&mut self) -> usize {
        self.incoming.buffer.held_bytes() + self.link.core().held_bytes()
    }

    /// The transport.
    #[must_use]
    pub fn transport(&self) -> &T {
        self.link.shared().transport()
    }

    /// Ends the driving of this connection: the transport, and bytes that were read and not been taken.
    ///
    /// What is queued is not written; [`flush`](Self::flush) first. Part of a message that
    /// [`read`](Self::read) has begun to put together is lost.
    #[must_use]
    pub fn into_inner(self) -> (T, Vec<u8>) {
        let unread = self.incoming.buffer.unread().to_vec();
        (self.link.into_transport(), unread)
    }

    pub(crate) const fn from_parts(link: Owned<R, T>, incoming: Incoming, subprotocol: Option<Box<str>>) -> Self {
        Self { link, incoming, subprotocol }
    }

    pub(crate) fn into_parts(self) -> (Owned<R, T>, Incoming, Option<Box<str>>) {
        (self.link, self.incoming, self.subprotocol)
    }

    /// This connection, and a way for another thread to close it.
    pub(crate) fn with_remote(self) -> (Self, Remote)
    where
        R: 'static,
        T: 'static,
    {
        let shared = self.link.into_shared();
        let remote = Remote::new(&shared);
        (Self { link: Owned::Watched(shared), ..self }, remote)
    }
}

impl<T: Transport> WebSocket<Server, T> {
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

impl<R: Role, T: Transport> Reply<'_, R, T> {
    /// Sends a message and everything queued before it.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`].
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<()> {
        self.queue(message)?;
        self.flush()
    }

    /// Queues a message, to be written with others: see [`Reply`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`].
    pub fn queue<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<()> {
        outgoing::queue(self.link, message.into())
    }

    /// Sends part of a message as a frame of its own.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_part`].
    pub fn send_part(&mut self, kind: MessageKind, part: Part, payload: &[u8]) -> Result<()> {
        self.queue_part(kind, part, payload)?;
        self.flush()
    }

    /// Queues part of a message, to be written with others: see [`Reply`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_part`].
    pub fn queue_part(&mut self, kind: MessageKind, part: Part, payload: &[u8]) -> Result<()> {
        outgoing::queue_part(self.link, kind, part, payload)
    }

    /// A writer for a message that is too big to be held; see [`WebSocket::message_writer`].
    pub fn message_writer(&mut self, kind: MessageKind) -> MessageWriter<'_> {
        MessageWriter::new(self.link, kind)
    }

    /// Writes what is queued.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::flush`].
    pub fn flush(&mut self) -> Result<()> {
        outgoing::flush(self.link)
    }

    /// Begins the closing handshake; see [`WebSocket::send_close`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_close`].
    pub fn send_close(&mut self, code: CloseCode, reason: &str) -> Result<()> {
        outgoing::send_close(self.link, code, reason)
    }
}

impl<R: Role, T: Transport> fmt::Debug for WebSocket<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("buffer", &self.incoming.buffer).finish_non_exhaustive()
    }
}

impl<R: Role, T: Transport> fmt::Debug for Reply<'_, R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}
