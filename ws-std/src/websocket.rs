use core::{fmt, time::Duration};

use ws_proto::{
    CloseCode, Closed, Config, Event, Message, MessageKind, Part, Server, State,
    driver::{ControlPayload, Counters, Observer, Opened, Result, TrySendError},
    endpoint::{Negotiated, Prepared},
    message::Data,
};

use crate::{
    Role,
    clock::Clock,
    incoming::Incoming,
    message_writer::MessageWriter,
    net_stream::NetStream,
    outgoing,
    remote::Remote,
    shared::{Link, Owned, Shared},
    transport::Transport,
};

/// One side of a WebSocket connection, driven by the thread that calls it.
///
/// [`read`](Self::read) answers Pings, probes a silent peer and completes the closing handshake: a program that keeps
/// reading has nothing else to do. [`send`](Self::send) writes at once. Replies to received messages can be written
/// together, see [`Reply`].
///
/// The types of the two sides are `WebSocket<role::Server>` and `WebSocket<role::Client>`, with the module
/// [`role`](crate::role); [`Server`](crate::Server) is the one that accepts connections.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ws = ws_std::accept(std::net::TcpListener::bind("127.0.0.1:0")?.accept()?.0)?;
/// while let Some(mut received) = ws.read()? {
///     received.reply.queue(received.message)?;
/// }
/// # Ok(()) }
/// ```
pub struct WebSocket<R: Role, T: Transport = NetStream> {
    link: Owned<R, T>,
    incoming: Incoming,
    subprotocol: Option<Box<str>>,
}

/// A received message, and a [`Reply`] to answer it while it is borrowed.
///
/// The connection can be used again after the last use of either field.
#[derive(Debug)]
pub struct Received<'a, R: Role, T: Transport = NetStream> {
    /// The message, borrowed from the buffer that it was read into.
    pub message: Message<'a>,
    /// The way to send on the connection that the message came from.
    pub reply: Reply<'a, R, T>,
}

/// A received part of a message, and a [`Reply`] to answer it while it is borrowed.
///
/// The connection can be used again after the last use of either field.
#[derive(Debug)]
pub struct ReceivedPart<'a, R: Role, T: Transport = NetStream> {
    /// The payload, borrowed from the buffer that it was read into.
    pub data: Data<'a>,
    /// The way to send on the connection that the part came from.
    pub reply: Reply<'a, R, T>,
}

/// The way to send on a connection while a message received from it is still borrowed.
///
/// [`queue`](Self::queue) collects replies, which are written together: before the next [`read`](WebSocket::read) waits
/// for the peer, and whenever 64 KiB have come together. For many messages in a row, this is many times faster than a write
/// for each of them.
///
/// [`send`](Self::send) writes at once. Use it before long work, and before the connection is dropped without another
/// `read` or [`close`](WebSocket::close): dropping it discards queued replies.
pub struct Reply<'a, R: Role, T: Transport = NetStream> {
    link: &'a mut Owned<R, T>,
}

impl<R: Role, T: Transport> WebSocket<R, T> {
    /// Creates a connection whose opening handshake is complete. `clock` is that of its endpoint.
    pub(crate) fn new(opened: Opened<R>, transport: T, clock: Clock) -> Self {
        let Opened { endpoint, compression, mut buffer, subprotocol, config } = opened;
        let endpoint = Observer::observe(endpoint, subprotocol.as_deref());
        let decompression = compression.decompression();
        decompression.limit(&mut buffer);
        let incoming = Incoming::new(buffer, decompression, clock.now(), &config);
        let link = Owned::alone(Shared::new(endpoint, compression, transport, clock, &config));
        Self { link, incoming, subprotocol }
    }

    /// Takes over a connection after an opening handshake that other code has made (RFC 6455 section 4, RFC 8441), with the
    /// extensions that it has agreed on.
    ///
    /// `received` holds the bytes that were read after the handshake. Limits and timeouts are those of `config`. If compression
    /// has been agreed on, messages that come are inflated, and those that are sent are not compressed, which is allowed.
    pub fn from_handshake(
        role: R,
        transport: T,
        received: Vec<u8>,
        negotiated: Negotiated,
        config: &Config,
    ) -> Self {
        let clock = Clock::new();
        let opened = Opened::from_handshake(role, negotiated, received, config.clone(), clock.now());
        Self::new(opened, transport, clock)
    }

    /// Reads the next message. `None`: both sides have closed.
    ///
    /// It writes queued output before it waits for the peer.
    ///
    /// # Errors
    ///
    /// - [`Error::TimedOut`](crate::Error::TimedOut): the [read timeout](Self::set_read_timeout) has passed. No byte is
    ///   lost and the call may be repeated.
    /// - [`Error::Receive`](crate::Error::Receive): the peer broke the protocol or exceeded a limit.
    /// - [`Error::Fault`](crate::Error::Fault): this side failed, for want of memory for instance.
    /// - [`Error::Unclean`](crate::Error::Unclean): the connection ended without the closing handshake.
    /// - [`Error::Io`](crate::Error::Io): the transport failed, or the peer took too little of our output for the write
    ///   timeout.
    ///
    /// After any error but the first the connection has ended, or is of no further use.
    pub fn read(&mut self) -> Result<Option<Received<'_, R, T>>> {
        let message = self.incoming.read(&mut self.link)?;
        let reply = Reply { link: &mut self.link };
        Ok(message.map(|message| Received { message, reply }))
    }

    /// Reads the next message or control frame. `None`: both sides have closed.
    ///
    /// A Ping is answered by the connection itself. [`control_payload`](Self::control_payload) returns the payload of a
    /// Ping or a Pong.
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

    /// Reads the next part of a message as soon as it has come, for messages that do not fit in memory. `None`: both
    /// sides have closed.
    ///
    /// A program may change between this and [`read`](Self::read) after the last part of a message.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_part(&mut self) -> Result<Option<ReceivedPart<'_, R, T>>> {
        let data = self.incoming.read_part(&mut self.link)?;
        let reply = Reply { link: &mut self.link };
        Ok(data.map(|data| ReceivedPart { data, reply }))
    }

    /// Reads the next part of a message or control frame: [`read_event`](Self::read_event) with parts.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_part_event(&mut self) -> Result<Option<Event<Data<'_>>>> {
        self.incoming.read_part_event(&mut self.link)
    }

    /// Sends a message and all output queued before it.
    ///
    /// Takes a [`Message`], `&str` or `&String` for a text, and `&[u8]`, `&[u8; N]` or `&Vec<u8>` for bytes. All of them
    /// borrow: pass `&*text` for an `Arc<str>`.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`](crate::Error::Send): the connection is closing, or a message in parts is in progress. The
    ///   message has not been queued.
    /// - [`Error::TimedOut`](crate::Error::TimedOut): 64 KiB of output are waiting and the peer has taken none of it for
    ///   the write timeout. The message has not been queued.
    /// - [`Error::Io`](crate::Error::Io): the transport has failed, or, with the kind
    ///   [`TimedOut`](std::io::ErrorKind::TimedOut), the peer has taken too little for the write timeout. After a timeout
    ///   the message stays queued, and the next call writes the rest of it.
    ///
    /// After [`Error::Io`](crate::Error::Io) and [`Error::Send`](crate::Error::Send), [`read`](Self::read) still returns
    /// what the peer has sent. Read on until `None` or an error: if the peer has refused a message,
    /// [`close_frame`](Self::close_frame) then returns the reason, such as 1009 for one that is too long.
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<()> {
        outgoing::send(&mut self.link, message.into())
    }

    /// Queues a message. It is written by the next [`flush`](Self::flush), [`read`](Self::read) or
    /// [`close`](Self::close), or as soon as 64 KiB have come together. Dropping the connection discards it.
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
    /// [`TrySendError::Full`]: 64 KiB or more of output are waiting. Otherwise as [`send`](Self::send).
    pub fn try_send<'m>(&mut self, message: impl Into<Message<'m>>) -> core::result::Result<(), TrySendError> {
        let message = message.into();
        outgoing::try_queue(&mut self.link, |core| core.append(message))
    }

    /// Sends part of a message as a frame of its own.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`SendError::NoMessage`](ws_proto::SendError::NoMessage) or
    /// [`SendError::KindMismatch`](ws_proto::SendError::KindMismatch) for a part that does not continue the message in
    /// progress.
    pub fn send_part(&mut self, kind: MessageKind, part: Part, payload: &[u8]) -> Result<()> {
        outgoing::queue_part(&mut self.link, kind, part, payload)?;
        self.flush()
    }

    /// Returns a writer for a message that does not fit in memory or is not complete yet.
    pub fn message_writer(&mut self, kind: MessageKind) -> MessageWriter<'_> {
        MessageWriter::new(&mut self.link, kind)
    }

    /// Sends a Ping with a payload of at most 125 bytes. [`read_event`](Self::read_event) returns the answer as
    /// [`Control::Pong`](ws_proto::Control::Pong), with the same payload.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`SendError::ControlTooLong`](ws_proto::SendError::ControlTooLong) for a payload of
    /// more than 125 bytes.
    pub fn ping(&mut self, payload: &[u8]) -> Result<()> {
        outgoing::ping(&mut self.link, payload)
    }

    /// Writes all queued output.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) if the transport has failed, or, with the kind
    /// [`TimedOut`](std::io::ErrorKind::TimedOut), if the peer has taken too little for the write timeout; after a timeout
    /// the next call writes the rest.
    /// [`Error::Send`](crate::Error::Send) if the transport has failed while the connection was closing.
    pub fn flush(&mut self) -> Result<()> {
        outgoing::flush(&mut self.link)
    }

    /// Begins the closing handshake: sends a Close and returns. [`read`](Self::read) still returns messages until the
    /// peer has closed too. Without effect if the connection is closing already.
    ///
    /// With [`CloseReply::ByHost`](crate::CloseReply::ByHost) and [`HalfClose`](crate::CloseReply::HalfClose) it also
    /// answers the peer's Close, which [`read_event`](Self::read_event) returns.
    ///
    /// A reason of more than 123 bytes is cut at the end of a character.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`SendError::InvalidCloseCode`](ws_proto::SendError::InvalidCloseCode).
    pub fn send_close(&mut self, code: CloseCode, reason: &str) -> Result<()> {
        outgoing::send_close(&mut self.link, code, reason)
    }

    /// Closes the connection: sends a Close unless the connection is closing already, waits for the peer's, and ends
    /// the transport so that no data is lost. Messages that still come are dropped.
    ///
    /// The timeouts in [`Config`] bound the wait. The result says whether the end was clean.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), but an unclean end is not an error.
    /// [`SendError::InvalidCloseCode`](ws_proto::SendError::InvalidCloseCode) as [`send_close`](Self::send_close).
    pub fn close(&mut self, code: CloseCode, reason: &str) -> Result<Closed> {
        self.incoming.close(&mut self.link, code, reason)
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

    /// Returns the code and the reason of the peer's Close, once it has come.
    #[must_use]
    pub fn close_frame(&mut self) -> Option<(CloseCode, String)> {
        self.link.core().close_frame()
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

    /// Sets how long a call of [`read`](Self::read), [`read_event`](Self::read_event) or [`read_part`](Self::read_part)
    /// may wait for the peer: for ever by default (`None`).
    pub const fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.incoming.timeout = timeout;
    }

    /// Sets the time after which a write fails if the peer has taken none of our bytes: 30 s by default. `None`: never.
    pub fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.link.core().set_write_timeout(timeout);
    }

    /// Returns the bytes of memory that this connection holds now for input and output, besides this value itself.
    #[must_use]
    pub fn held_bytes(&mut self) -> usize {
        self.incoming.buffer.held_bytes() + self.link.core().held_bytes()
    }

    /// Returns the transport.
    #[must_use]
    pub fn transport(&self) -> &T {
        self.link.shared().transport()
    }

    /// Takes the connection apart, and returns its transport and the bytes that were read but not processed.
    ///
    /// Queued output is discarded: [`flush`](Self::flush) first. The received parts of an unfinished message are lost.
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

    /// Returns this connection, and a way for another thread to close it.
    pub(crate) fn with_remote(self) -> (Self, Remote)
    where
        R: Send + 'static,
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
}

impl<R: Role, T: Transport> Reply<'_, R, T> {
    /// Sends a message and all output queued before it.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`].
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<()> {
        outgoing::send(self.link, message.into())
    }

    /// Queues a message, which is written together with others: see [`Reply`].
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

    /// Queues part of a message, which is written together with others: see [`Reply`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_part`].
    pub fn queue_part(&mut self, kind: MessageKind, part: Part, payload: &[u8]) -> Result<()> {
        outgoing::queue_part(self.link, kind, part, payload)
    }

    /// Returns a writer for a message that does not fit in memory; see [`WebSocket::message_writer`].
    pub fn message_writer(&mut self, kind: MessageKind) -> MessageWriter<'_> {
        MessageWriter::new(self.link, kind)
    }

    /// Writes all queued output.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::flush`].
    pub fn flush(&mut self) -> Result<()> {
        outgoing::flush(self.link)
    }

    /// Begins the closing handshake and returns; see [`WebSocket::send_close`].
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
