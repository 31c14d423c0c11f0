use core::{
    fmt,
    future::{Future, poll_fn},
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite};
use ws_proto::{
    CloseCode, Closed, Config, Event, Message, MessageKind, Part, Server, State,
    driver::{ControlPayload, Counters, Observer, Opened, Result, TrySendError},
    endpoint::{Negotiated, Prepared},
    message::{Data, OwnedMessage},
    role::Role,
};

use crate::{
    NetStream,
    clock::Clock,
    incoming::{Incoming, Unit},
    linger,
    message_writer::MessageWriter,
    net_stream,
    outgoing::{Meanwhile, Outgoing},
    output::{Core, Writes},
    remote::Remote,
    shared::{Half, Link, Owned},
    timer::Timer,
};

/// One side of a WebSocket connection, driven by the task that calls it.
///
/// [`read`](Self::read) answers Pings, probes a silent peer and completes the closing handshake: a program that keeps
/// reading has nothing else to do. [`send`](Self::send) writes at once. Replies to received messages can be written
/// together, see [`Reply`]. It is also a `Stream` of [`OwnedMessage`]s and a `Sink` for them.
///
/// The types of the two sides are `WebSocket<role::Server>` and `WebSocket<role::Client>`, with the module
/// [`role`](crate::role); [`Server`](crate::Server) is the one that accepts connections.
///
/// ```no_run
/// # async fn echo() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:9001").await?;
/// let mut ws = ws_tokio::accept(listener.accept().await?.0).await?;
/// while let Some(mut received) = ws.read().await? {
///     received.reply.queue(received.message).await?;
/// }
/// # Ok(()) }
/// ```
///
/// # Cancel safety
///
/// A future of any method can be dropped at any time: all progress is in the connection, or is put there. No byte is
/// lost and no frame is cut. A message whose [`send`](Self::send) is dropped has been queued whole or not at all. The one
/// exception is [`MessageWriter::finish`], which owns its writer.
///
/// # Memory
///
/// An idle connection holds no buffer. Otherwise it holds what has come of one message, at most twice
/// [`Config::max_message_len`] for uncompressed messages, up to 64 KiB of input after that, and up to 64 KiB and one message of
/// output.
pub struct WebSocket<R: Role, S = NetStream> {
    pub(crate) link: Owned<R, S>,
    pub(crate) incoming: Box<Incoming>,
    subprotocol: Option<Box<str>>,
}

/// A received message, and a [`Reply`] to answer it while it is borrowed.
///
/// The connection can be used again after the last use of either field.
#[derive(Debug)]
pub struct Received<'a, R: Role, S = NetStream> {
    /// The message, borrowed from the buffer that it was read into.
    pub message: Message<'a>,
    /// The way to send on the connection that the message came from.
    pub reply: Reply<'a, R, S>,
}

/// A received part of a message, and a [`Reply`] to answer it while it is borrowed.
///
/// The connection can be used again after the last use of either field.
#[derive(Debug)]
pub struct ReceivedPart<'a, R: Role, S = NetStream> {
    /// The payload, borrowed from the buffer that it was read into.
    pub data: Data<'a>,
    /// The way to send on the connection that the part came from.
    pub reply: Reply<'a, R, S>,
}

/// The way to send on a connection while a message received from it is still borrowed.
///
/// [`queue`](Self::queue) collects replies, which are written together: before the next [`read`](WebSocket::read) waits
/// for the peer, and whenever 64 KiB have come together. For many messages in a row, this is many times faster than a write
/// for each of them.
///
/// [`send`](Self::send) writes at once. Use it before long work, and before the connection is dropped without another
/// `read` or [`close`](WebSocket::close): dropping it discards queued replies.
pub struct Reply<'a, R: Role, S = NetStream> {
    link: &'a mut Owned<R, S>,
    timer: Timer,
}

impl<R: Role, S> WebSocket<R, S> {
    /// Creates a connection whose opening handshake is complete. `clock` is that of its endpoint.
    pub(crate) fn new(opened: Opened<R>, stream: S, clock: Clock) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let incoming = Box::new(Incoming::new(&opened, clock.now()));
        let Opened { endpoint, compression, subprotocol, config, .. } = opened;
        let endpoint = Observer::observe(endpoint, subprotocol.as_deref());
        let mut core = Box::new(Core::new(endpoint, compression, stream, clock, &config));
        core.writes = if net_stream::is_socket::<S>() { Writes::Parts } else { Writes::Whole };
        core.linger = Some(linger::spawn);
        Self { link: Owned::alone(core), incoming, subprotocol }
    }

    pub(crate) const fn from_parts(
        link: Owned<R, S>,
        incoming: Box<Incoming>,
        subprotocol: Option<Box<str>>,
    ) -> Self {
        Self { link, incoming, subprotocol }
    }

    /// Returns this connection, and a way for another task to close it.
    pub(crate) fn with_remote(self) -> (Self, Remote)
    where
        R: Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let shared = self.link.into_shared();
        let remote = Remote::new(&shared);
        (Self { link: Owned::Watched(shared), ..self }, remote)
    }

    pub(crate) fn into_parts(self) -> (Owned<R, S>, Box<Incoming>, Option<Box<str>>) {
        (self.link, self.incoming, self.subprotocol)
    }

    /// Takes over a connection after an opening handshake that other code has made (RFC 6455 section 4, RFC 8441), with the
    /// extensions that it has agreed on.
    ///
    /// `received` holds the bytes that were read after the handshake. Limits and timeouts are those of `config`. If compression
    /// has been agreed on, messages that come are inflated, and those that are sent are not compressed, which is allowed;
    /// [`Acceptor::agree`](crate::Acceptor::agree) and [`Connector::agree`](crate::Connector::agree) have compressors.
    pub fn from_handshake(role: R, stream: S, received: Vec<u8>, negotiated: Negotiated, config: &Config) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let clock = Clock::new();
        Self::new(Opened::from_handshake(role, negotiated, received, config.clone(), clock.now()), stream, clock)
    }

    /// Returns the subprotocol that both sides have agreed on in the opening handshake, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Returns the state of the connection: open, closing or closed.
    #[must_use]
    pub fn state(&mut self) -> State {
        self.link.act(|core| core.endpoint.state())
    }

    /// Returns the code and the reason of the peer's Close, once it has come.
    #[must_use]
    pub fn close_frame(&mut self) -> Option<(CloseCode, String)> {
        self.link.act(|core| core.close_frame())
    }

    /// Returns the payload of the Ping or Pong that [`read_event`](Self::read_event) returned last. The next call that
    /// reads replaces it. So does a call that waits for the peer to take output, which reads meanwhile.
    ///
    /// It is empty for a Pong that came while the answer to a Ping waited, and for a Ping or Pong that came while a call waited
    /// to write and the next one has begun to come.
    #[must_use]
    pub fn control_payload(&mut self) -> ControlPayload {
        self.link.act(|core| ControlPayload::new(core.endpoint.control_payload()))
    }

    /// Returns the number of bytes of output that are waiting to be written.
    #[must_use]
    pub fn pending_len(&mut self) -> usize {
        self.link.act(|core| core.pending_len())
    }

    /// Returns whether the opening handshake has agreed on compression (RFC 7692).
    #[must_use]
    pub fn is_compressed(&mut self) -> bool {
        self.link.act(|core| core.is_compressed())
    }

    /// Returns the numbers of messages, frames and bytes that have come and been sent, and the last round trip of a keepalive
    /// Ping.
    #[must_use]
    pub fn counters(&mut self) -> Counters {
        self.link.act(|core| core.counters())
    }

    /// Sets the time after which a write fails if the peer has taken none of our bytes: 30 s by default. `None`: never.
    pub fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.link.act(|core| core.set_write_timeout(timeout));
    }

    /// Returns the bytes of memory that this connection holds now for input and output, besides its fixed size.
    #[must_use]
    pub fn held_bytes(&mut self) -> usize {
        self.incoming.held_bytes() + self.link.act(|core| core.held_bytes())
    }

    /// Looks at the stream, by `look`. `None`: it has been handed out.
    pub fn with_stream<X>(&mut self, look: impl FnOnce(&S) -> X) -> Option<X> {
        self.link.act(|core| core.stream().map(look))
    }

    /// Takes the connection apart, and returns its stream and the bytes that were read but not processed.
    ///
    /// Queued output is discarded: [`flush`](Self::flush) first. The received parts of an unfinished message are lost.
    ///
    /// # Errors
    ///
    /// The connection belongs to a server that is closing it at this moment.
    pub fn into_inner(self) -> core::result::Result<(S, Vec<u8>), Self> {
        let Self { link, incoming, subprotocol } = self;
        match link.into_core() {
            Ok(mut core) => match core.take_stream() {
                Some((stream, _)) => Ok((stream, incoming.unread().to_vec())),
                None => Err(Self { link: Owned::alone(Box::new(core)), incoming, subprotocol }),
            },
            Err(shared) => Err(Self { link: Owned::Watched(shared), incoming, subprotocol }),
        }
    }
}

impl<R: Role, S: AsyncRead + AsyncWrite + Unpin> WebSocket<R, S> {
    /// Reads the next message. `None`: both sides have closed.
    ///
    /// It writes queued output before it waits for the peer.
    ///
    /// # Errors
    ///
    /// - [`Error::Receive`](crate::Error::Receive): the peer broke the protocol or exceeded a limit.
    /// - [`Error::Fault`](crate::Error::Fault): this side failed, for want of memory for instance.
    /// - [`Error::Unclean`](crate::Error::Unclean): the connection ended without the closing handshake.
    /// - [`Error::Io`](crate::Error::Io): the stream failed, or the peer took too little of our output for the write timeout.
    ///
    /// After an error the connection has ended, or is of no further use.
    pub async fn read(&mut self) -> Result<Option<Received<'_, R, S>>> {
        let Some(()) = poll_fn(|cx| self.poll_message(cx)).await? else { return Ok(None) };
        let reply = Reply { link: &mut self.link, timer: Timer::new() };
        Ok(self.incoming.message().map(|message| Received { message, reply }))
    }

    /// Reads the next message or control frame. `None`: both sides have closed.
    ///
    /// A Ping is answered by the connection itself. [`control_payload`](Self::control_payload) returns the payload of a
    /// Ping or a Pong.
    ///
    /// Of the Pings and Pongs that arrive while a call waits for the peer to take output, the last one is returned, before the
    /// message that follows it; after a Close none is. The others are dropped, their Pings answered as ever.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub async fn read_event(&mut self) -> Result<Option<Event<Message<'_>>>> {
        let event = poll_fn(|cx| self.poll_event(Unit::Message, cx)).await?;
        let incoming = &self.incoming;
        Ok(event.and_then(|event| event.fetch(|| incoming.message())))
    }

    /// Reads the next part of a message as soon as it has come, for messages that do not fit in memory. `None`: both
    /// sides have closed.
    ///
    /// A program may change between this and [`read`](Self::read) after the last part of a message.
    ///
    /// From the first call of this until one reads a whole message again, calls that send do not read while they wait for the
    /// peer to take output: the next message may not fit in memory. If the peer sends meanwhile more than the transport holds
    /// and does not read either, both wait until the write timeout. [Split](Self::split) the connection then, and read in a
    /// task of its own.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub async fn read_part(&mut self) -> Result<Option<ReceivedPart<'_, R, S>>> {
        loop {
            match poll_fn(|cx| self.poll_event(Unit::Part, cx)).await? {
                Some(Event::Data(())) => break,
                Some(Event::Control(_)) => {}
                None => return Ok(None),
            }
        }
        let reply = Reply { link: &mut self.link, timer: Timer::new() };
        Ok(self.incoming.take_part().map(|data| ReceivedPart { data, reply }))
    }

    /// Reads the next part of a message or control frame: [`read_event`](Self::read_event) with parts.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub async fn read_part_event(&mut self) -> Result<Option<Event<Data<'_>>>> {
        let event = poll_fn(|cx| self.poll_event(Unit::Part, cx)).await?;
        let incoming = &mut self.incoming;
        Ok(event.and_then(|event| event.fetch(|| incoming.take_part())))
    }

    fn poll_event(&mut self, unit: Unit, cx: &mut Context<'_>) -> Poll<Result<Option<Event<()>>>> {
        let Self { link, incoming, .. } = self;
        link.poll(Half::Reader, cx, |core, cx| incoming.poll_event(core, unit, cx))
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<()>>> {
        if self.link.at_once(Half::Reader, |core| self.incoming.next_whole(core, cx)) {
            return Poll::Ready(Ok(Some(())));
        }
        loop {
            match ready!(self.poll_event(Unit::Message, cx))? {
                Some(Event::Data(())) => return Poll::Ready(Ok(Some(()))),
                Some(Event::Control(_)) => {}
                None => return Poll::Ready(Ok(None)),
            }
        }
    }

    /// Reads the next message, which owns its payload; see [`OwnedMessage`] for its memory. `None`: both sides have closed.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub async fn read_owned(&mut self) -> Result<Option<OwnedMessage>> {
        poll_fn(|cx| self.poll_owned(cx)).await
    }

    pub(crate) fn poll_owned(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<OwnedMessage>>> {
        let found = ready!(self.poll_message(cx))?;
        Poll::Ready(Ok(found.and_then(|()| self.incoming.take_message())))
    }

    pub(crate) fn outgoing(&mut self) -> Outgoing<'_, Owned<R, S>> {
        Outgoing::new(&mut self.link, Meanwhile::Read(&mut self.incoming))
    }

    /// Sends a message and all output queued before it.
    ///
    /// Takes a [`Message`] or `&OwnedMessage`, `&str` or `&String` for a text, and `&[u8]`, `&[u8; N]` or `&Vec<u8>` for bytes. All of
    /// them borrow: pass `&*text` for an `Arc<str>` or a [`Utf8Bytes`](crate::Utf8Bytes).
    ///
    /// A message of more than 48 KiB, of a server of 16 KiB and more, that is not compressed is written from where it lies, by a
    /// client masked in pieces, so that no copy of it is in memory, if the stream takes vectored writes. If the future is dropped before the end, the rest is queued. Do not leak the future of such a message
    /// (`mem::forget`): the connection could not send any more.
    ///
    /// While the peer takes no output, a message that it sends meanwhile is read, and held for the next [`read`](Self::read): one,
    /// so a program whose peer sends several before it takes any reads in a task of its own ([`split`](Self::split)). So does
    /// one that [reads in parts](Self::read_part), for which nothing is read meanwhile.
    ///
    /// # Errors
    ///
    /// - [`Error::Send`](crate::Error::Send): the connection is closing, or a message in parts is in progress. The
    ///   message has not been queued.
    /// - [`Error::Receive`](crate::Error::Receive), [`Error::Fault`](crate::Error::Fault): the connection has failed while the
    ///   call waited; [`read`](Self::read) returns that too.
    /// - [`Error::Io`](crate::Error::Io): the stream has failed, or, with the kind [`TimedOut`](std::io::ErrorKind::TimedOut), the
    ///   peer has taken too little for the write timeout. After a timeout a queued message stays so, and the next call writes the
    ///   rest of it.
    ///
    /// After [`Error::Io`](crate::Error::Io) and [`Error::Send`](crate::Error::Send), [`read`](Self::read) still returns what the
    /// peer has sent. Read on until `None` or an error: if the peer has refused a message, [`close_frame`](Self::close_frame) then
    /// returns the reason, such as 1009 for one that is too long.
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> impl Future<Output = Result<()>> {
        self.outgoing().send(message.into())
    }

    /// Queues a message; waits only while 64 KiB or more of output are waiting. It is written by the next [`flush`](Self::flush),
    /// [`read`](Self::read) or [`close`](Self::close), or when 64 KiB have come together. Dropping the connection discards it.
    ///
    /// In a loop over `select!`, a later `read` writes it when it is polled, also if another branch wins. `select!` polls `read` at
    /// the latest when no other branch is ready.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn queue<'m>(&mut self, message: impl Into<Message<'m>>) -> impl Future<Output = Result<()>> {
        let message = message.into();
        self.outgoing().queue(message)
    }

    /// Queues a message unless the call would have to wait. It is written by the next [`flush`](Self::flush) or call that reads.
    ///
    /// # Errors
    ///
    /// [`TrySendError::Full`]: 64 KiB or more of output are waiting. Otherwise as [`send`](Self::send).
    pub fn try_send<'m>(&mut self, message: impl Into<Message<'m>>) -> core::result::Result<(), TrySendError> {
        let message = message.into();
        self.outgoing().try_queue_by(|core| core.queue(message))
    }

    /// Sends part of a message as a frame of its own.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`SendError::NoMessage`](ws_proto::SendError::NoMessage) or
    /// [`SendError::KindMismatch`](ws_proto::SendError::KindMismatch) for a part that does not continue the message in
    /// progress.
    pub async fn send_part(&mut self, kind: MessageKind, part: Part, payload: &[u8]) -> Result<()> {
        self.outgoing().send_by(payload.len(), |core, _| core.queue_part(kind, part, payload)).await
    }

    /// Returns a writer for a message that does not fit in memory or is not complete yet.
    pub fn message_writer(&mut self, kind: MessageKind) -> MessageWriter<'_>
    where
        R: Send,
        S: Send,
    {
        MessageWriter::new(self.outgoing(), kind)
    }

    /// Sends a Ping with a payload of at most 125 bytes. [`read_event`](Self::read_event) returns the answer as
    /// [`Control::Pong`](ws_proto::Control::Pong), with the same payload.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`SendError::ControlTooLong`](ws_proto::SendError::ControlTooLong) for a payload of
    /// more than 125 bytes.
    pub async fn ping(&mut self, payload: &[u8]) -> Result<()> {
        self.outgoing().ping(payload).await
    }

    /// Writes all queued output.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) if the stream has failed, or, with the kind [`TimedOut`](std::io::ErrorKind::TimedOut), if
    /// the peer has taken too little for the write timeout; after a timeout the next call writes the rest.
    /// [`Error::Send`](crate::Error::Send) if the stream has failed while the connection was closing.
    pub async fn flush(&mut self) -> Result<()> {
        self.outgoing().flush().await
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
    pub async fn send_close(&mut self, code: CloseCode, reason: &str) -> Result<()> {
        self.outgoing().send_close(code, reason).await
    }

    /// Closes the connection: sends a Close unless the connection is closing already, waits for the peer's, and ends
    /// the stream so that no data is lost. Messages that still come are dropped.
    ///
    /// The timeouts in [`Config`] bound the wait. The result says whether the end was clean.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), but an unclean end is not an error.
    /// [`SendError::InvalidCloseCode`](ws_proto::SendError::InvalidCloseCode) as [`send_close`](Self::send_close).
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<Closed> {
        self.link.act(|core| core.queue_close(code, reason))?;
        let Self { link, incoming, .. } = self;
        poll_fn(|cx| link.poll(Half::Reader, cx, |core, cx| incoming.poll_to_end(core, cx))).await
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<Server, S> {
    /// Sends a message that was encoded once for many connections.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn send_prepared<B: AsRef<[u8]>>(&mut self, prepared: &Prepared<B>) -> Result<()> {
        self.outgoing().send_by(prepared.encoded_len(), |core, cx| core.write_prepared(prepared, cx)).await
    }

    /// Queues a message that was encoded once for many connections; see [`queue`](Self::queue).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub async fn queue_prepared<B: AsRef<[u8]>>(&mut self, prepared: &Prepared<B>) -> Result<()> {
        self.outgoing().queue_by(prepared.encoded_len(), |core, cx| core.write_prepared(prepared, cx)).await
    }
}

impl<R: Role, S: AsyncRead + AsyncWrite + Unpin> Reply<'_, R, S> {
    fn outgoing(&mut self) -> Outgoing<'_, Owned<R, S>> {
        Outgoing::new(self.link, Meanwhile::Wait(&mut self.timer))
    }

    /// Sends a message and all output queued before it.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`].
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> impl Future<Output = Result<()>> {
        self.outgoing().send(message.into())
    }

    /// Queues a message, which is written together with others: see [`Reply`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`].
    pub fn queue<'m>(&mut self, message: impl Into<Message<'m>>) -> impl Future<Output = Result<()>> {
        let message = message.into();
        self.outgoing().queue(message)
    }

    /// Sends part of a message as a frame of its own.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_part`].
    pub async fn send_part(&mut self, kind: MessageKind, part: Part, payload: &[u8]) -> Result<()> {
        self.outgoing().send_by(payload.len(), |core, _| core.queue_part(kind, part, payload)).await
    }

    /// Queues part of a message, which is written together with others: see [`Reply`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_part`].
    pub async fn queue_part(&mut self, kind: MessageKind, part: Part, payload: &[u8]) -> Result<()> {
        self.outgoing().queue_by(payload.len(), |core, _| core.queue_part(kind, part, payload)).await
    }

    /// Returns a writer for a message that does not fit in memory; see [`WebSocket::message_writer`].
    pub fn message_writer(&mut self, kind: MessageKind) -> MessageWriter<'_>
    where
        R: Send,
        S: Send,
    {
        MessageWriter::new(self.outgoing(), kind)
    }

    /// Writes all queued output.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::flush`].
    pub async fn flush(&mut self) -> Result<()> {
        self.outgoing().flush().await
    }

    /// Begins the closing handshake and returns; see [`WebSocket::send_close`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_close`].
    pub async fn send_close(&mut self, code: CloseCode, reason: &str) -> Result<()> {
        self.outgoing().send_close(code, reason).await
    }
}

impl<R: Role, S> fmt::Debug for WebSocket<R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket").field("incoming", &self.incoming).finish_non_exhaustive()
    }
}

impl<R: Role, S> fmt::Debug for Reply<'_, R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").finish_non_exhaustive()
    }
}
