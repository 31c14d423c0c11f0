use core::{
    fmt,
    future::{Future, poll_fn},
    task::{Context, Poll, ready},
};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use ws_proto::{
    CloseCode, Closed, Event, Message, MessageKind, Part, Server, State,
    driver::{ControlPayload, Counters, Error, Result, TrySendError},
    endpoint::Prepared,
    message::{Data, OwnedMessage},
    role::Role,
};

use crate::{
    NetStream,
    incoming::{Incoming, Unit},
    message_writer::MessageWriter,
    outgoing::{Meanwhile, Outgoing},
    output::Core,
    shared::{Half, Link, Owned, Shared},
    timer::Timer,
    websocket::WebSocket,
};

/// The reading half of a connection, from [`WebSocket::split`].
///
/// It answers Pings and completes the closing handshake, also while the other half waits to write. Output that is waiting never
/// keeps it from reading.
pub struct Reader<R: Role, S = NetStream> {
    link: Arc<Shared<R, S>>,
    pub(crate) incoming: Box<Incoming>,
    subprotocol: Option<Arc<str>>,
}

/// The writing half of a connection, from [`WebSocket::split`]: `Writer<role::Client>`, or `Writer<role::Server>` in a server.
///
/// Clones write to the same connection, each message whole. The task that reads runs the timers; a writing half waits only for
/// the peer to take bytes, and in [`close`](Self::close).
pub struct Writer<R: Role, S = NetStream> {
    link: Arc<Shared<R, S>>,
    /// Counts the clones of this half, by its references.
    writers: Arc<()>,
    subprotocol: Option<Arc<str>>,
    timer: Timer,
}

impl<R: Role, S> WebSocket<R, S> {
    /// Splits the connection into halves for two tasks: one reads while the other writes, and neither waits for the other.
    ///
    /// A single task that waits for the peer and for other events in one `select!` does not need to split.
    ///
    /// Keep the reading half in use for as long as the connection: it answers Pings, runs the timers and completes the closing
    /// handshake. Writing halves may be dropped at any time; the connection is dropped with the last half.
    #[must_use]
    pub fn split(self) -> (Reader<R, S>, Writer<R, S>) {
        let (link, incoming, subprotocol) = self.into_parts();
        let shared = link.into_shared();
        let subprotocol: Option<Arc<str>> = subprotocol.map(Arc::from);
        let writer = Writer {
            link: Arc::clone(&shared),
            writers: Arc::new(()),
            subprotocol: subprotocol.clone(),
            timer: Timer::new(),
        };
        (Reader { link: shared, incoming, subprotocol }, writer)
    }
}

impl<R: Role, S> Reader<R, S> {
    /// Returns the subprotocol that both sides have agreed on in the opening handshake, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Returns the state of the connection: open, closing or closed.
    #[must_use]
    pub fn state(&self) -> State {
        self.link.with(|core| core.endpoint.state())
    }

    /// Returns the code and the reason of the peer's Close, once it has come.
    #[must_use]
    pub fn close_frame(&self) -> Option<(CloseCode, String)> {
        self.link.with(|core| core.close_frame())
    }

    /// Returns the payload of the Ping or Pong that [`read_event`](Self::read_event) returned last. The next call that
    /// reads replaces it.
    #[must_use]
    pub fn control_payload(&self) -> ControlPayload {
        self.link.with(|core| ControlPayload::new(core.endpoint.control_payload()))
    }

    /// Returns the number of bytes of output that are waiting to be written.
    #[must_use]
    pub fn pending_len(&self) -> usize {
        self.link.with(|core| core.pending_len())
    }

    /// Returns whether the opening handshake has agreed on compression (RFC 7692).
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.link.with(|core| core.is_compressed())
    }

    /// Returns the numbers of messages, frames and bytes that have come and been sent, and the last round trip of a keepalive
    /// Ping.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.link.with(|core| core.counters())
    }

    /// Looks at the stream, by `look`. `None`: it has been handed out.
    pub fn with_stream<X>(&self, look: impl FnOnce(&S) -> X) -> Option<X> {
        self.link.with(|core| core.stream().map(look))
    }

    pub(crate) fn with_core<X>(&self, act: impl FnOnce(&mut Core<R, S>) -> X) -> X {
        self.link.with(act)
    }

    /// Puts the halves of one connection together again.
    ///
    /// # Errors
    ///
    /// The halves are of two connections, or `writer` has clones. The error returns both halves.
    pub fn reunite(self, writer: Writer<R, S>) -> core::result::Result<WebSocket<R, S>, ReuniteError<R, S>> {
        if !Arc::ptr_eq(&self.link, &writer.link) || Arc::strong_count(&writer.writers) > 1 {
            return Err(ReuniteError(Box::new((self, writer))));
        }
        drop(writer);
        let Self { link, incoming, subprotocol } = self;
        Ok(WebSocket::from_parts(Owned::from_shared(link), incoming, subprotocol.as_deref().map(Box::from)))
    }
}

impl<R: Role, S: AsyncRead + AsyncWrite + Unpin> Reader<R, S> {
    /// Reads the next message. `None`: both sides have closed.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::read`].
    pub async fn read(&mut self) -> Result<Option<Message<'_>>> {
        let found = poll_fn(|cx| self.poll_message(cx)).await?;
        Ok(found.and_then(|()| self.incoming.message()))
    }

    /// Reads the next message or control frame; see [`WebSocket::read_event`].
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub async fn read_event(&mut self) -> Result<Option<Event<Message<'_>>>> {
        let event = poll_fn(|cx| self.poll_event(Unit::Message, cx)).await?;
        let incoming = &self.incoming;
        Ok(event.and_then(|event| event.fetch(|| incoming.message())))
    }

    /// Reads the next part of a message as soon as it has come; see [`WebSocket::read_part`].
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub async fn read_part(&mut self) -> Result<Option<Data<'_>>> {
        loop {
            match poll_fn(|cx| self.poll_event(Unit::Part, cx)).await? {
                Some(Event::Data(())) => return Ok(self.incoming.take_part()),
                Some(Event::Control(_)) => {}
                None => return Ok(None),
            }
        }
    }

    /// Reads the next part of a message or control frame; see [`WebSocket::read_part_event`].
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub async fn read_part_event(&mut self) -> Result<Option<Event<Data<'_>>>> {
        let event = poll_fn(|cx| self.poll_event(Unit::Part, cx)).await?;
        let incoming = &mut self.incoming;
        Ok(event.and_then(|event| event.fetch(|| incoming.take_part())))
    }

    /// Reads the next message, which owns its payload; see [`WebSocket::read_owned`].
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

    pub(crate) fn poll_event(&mut self, unit: Unit, cx: &mut Context<'_>) -> Poll<Result<Option<Event<()>>>> {
        let Self { link, incoming, .. } = self;
        Link::poll(link, Half::Reader, cx, |core, cx| incoming.poll_event(core, unit, cx))
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<()>>> {
        loop {
            match ready!(self.poll_event(Unit::Message, cx))? {
                Some(Event::Data(())) => return Poll::Ready(Ok(Some(()))),
                Some(Event::Control(_)) => {}
                None => return Poll::Ready(Ok(None)),
            }
        }
    }

    /// Closes the connection; see [`WebSocket::close`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::close`].
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<Closed> {
        self.link.with(|core| core.queue_close(code, reason))?;
        let Self { link, incoming, .. } = self;
        poll_fn(|cx| Link::poll(link, Half::Reader, cx, |core, cx| incoming.poll_to_end(core, cx))).await
    }
}

impl<R: Role, S> Writer<R, S> {
    /// Returns the subprotocol that both sides have agreed on in the opening handshake, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Returns the state of the connection: open, closing or closed.
    #[must_use]
    pub fn state(&self) -> State {
        self.link.with(|core| core.endpoint.state())
    }

    /// Returns the number of bytes of output that are waiting to be written.
    #[must_use]
    pub fn pending_len(&self) -> usize {
        self.link.with(|core| core.pending_len())
    }

    /// Returns whether the opening handshake has agreed on compression (RFC 7692).
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.link.with(|core| core.is_compressed())
    }

    /// Returns the numbers of messages, frames and bytes that have come and been sent, and the last round trip of a keepalive
    /// Ping.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.link.with(|core| core.counters())
    }

    /// Looks at the stream, by `look`. `None`: it has been handed out.
    pub fn with_stream<X>(&self, look: impl FnOnce(&S) -> X) -> Option<X> {
        self.link.with(|core| core.stream().map(look))
    }

    /// Ends the connection at once, without the closing handshake, for a peer that is too slow to wait for.
    ///
    /// Calls that read or write on this connection, in any task, return and report an end without the closing handshake, as if the
    /// peer had left. The stream is dropped, so that the peer sees it end.
    pub fn abort(&self) {
        let stream = self.link.with(|core| {
            core.abort(std::io::ErrorKind::ConnectionAborted);
            core.take_stream()
        });
        // After the lock.
        drop(stream);
    }
}

impl<R: Role, S: AsyncRead + AsyncWrite + Unpin> Writer<R, S> {
    pub(crate) const fn outgoing(&mut self) -> Outgoing<'_, Arc<Shared<R, S>>> {
        Outgoing::new(&mut self.link, Meanwhile::Wait(&mut self.timer))
    }

    /// Sends a message and all output queued before it.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`]. If the peer has refused a message, [`Reader::close_frame`] returns the reason.
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> impl Future<Output = Result<()>> {
        let message = message.into();
        self.outgoing().send_by(message.as_bytes().len(), move |core, cx| core.write_message(message, cx))
    }

    /// Queues a message; waits only while 64 KiB or more of output are waiting. It is written by the next [`flush`](Self::flush),
    /// by the next call that reads, or when 64 KiB have come together.
    ///
    /// A read that waits already does not write it. Call `flush` after the last message, or use [`send`](Self::send), or
    /// [`try_send`](Self::try_send), which wakes the task that reads.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send).
    pub fn queue<'m>(&mut self, message: impl Into<Message<'m>>) -> impl Future<Output = Result<()>> {
        let message = message.into();
        self.outgoing().queue(message)
    }

    /// Queues a message unless the call would have to wait, and wakes the task that reads, which writes it. For senders that must
    /// not wait for a slow peer, such as those to the members of a room.
    ///
    /// [`Full`](TrySendError::Full) means that 64 KiB are waiting, not that the peer is slow: a burst of messages is enough, such as
    /// the replies to all messages of one read. Keep the message then and try again later; [`abort`](Self::abort) a connection that
    /// stays full for too long.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::try_send`].
    pub fn try_send<'m>(&mut self, message: impl Into<Message<'m>>) -> core::result::Result<(), TrySendError> {
        let message = message.into();
        self.outgoing().try_queue_by(|core| core.queue(message))
    }

    /// Sends part of a message as a frame of its own.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_part`].
    pub async fn send_part(&mut self, kind: MessageKind, part: Part, payload: &[u8]) -> Result<()> {
        self.outgoing().send_by(payload.len(), |core, _| core.queue_part(kind, part, payload)).await
    }

    /// Returns a writer for a message that does not fit in memory; see [`WebSocket::message_writer`].
    pub fn message_writer(&mut self, kind: MessageKind) -> MessageWriter<'_>
    where
        R: Send,
        S: Send,
    {
        MessageWriter::new(self.outgoing(), kind)
    }

    /// Sends a Ping; see [`WebSocket::ping`].
    ///
    /// # Errors
    ///
    /// As [`WebSocket::ping`].
    pub async fn ping(&mut self, payload: &[u8]) -> Result<()> {
        self.outgoing().ping(payload).await
    }

    /// Writes all queued output.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::flush`].
    pub async fn flush(&mut self) -> Result<()> {
        self.outgoing().flush().await
    }

    /// Begins the closing handshake: sends a Close and returns. The task that reads completes it. Without effect if the
    /// connection is closing already.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send_close`].
    pub async fn send_close(&mut self, code: CloseCode, reason: &str) -> Result<()> {
        self.outgoing().send_close(code, reason).await
    }

    /// Sends a Close and waits until the task that reads has seen the connection end. The reason in the peer's Close is in
    /// [`Reader::close_frame`].
    ///
    /// A task that reads itself calls [`Reader::close`]: here it would wait for itself.
    ///
    /// If the timeouts of the endpoint pass first, the call [aborts](Self::abort) the connection, so that a
    /// [`Reader::read`] that still waits returns.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::close`]. The connection has ended then, except after a code or a reason that cannot be sent.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<Closed> {
        self.link.with(|core| core.queue_close(code, reason))?;
        let Self { link, timer, .. } = self;
        let closed = poll_fn(|cx| {
            Link::poll(link, Half::Writer, cx, |core, cx| {
                loop {
                    match core.poll_flush(cx) {
                        // The reading half reports the failure of the stream.
                        Poll::Ready(Ok(()) | Err(Error::Send(_))) | Poll::Pending => {}
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    }
                    if let Some(closed) = core.ended() {
                        return Poll::Ready(Ok(closed));
                    }
                    let deadline = core.poll_timeout().and_then(|deadline| core.clock.to_tokio(deadline));
                    ready!(timer.poll(deadline, cx));
                    core.handle_timeout(core.clock.now())?;
                }
            })
        })
        .await;
        if closed.as_ref().map_or(true, |closed| !closed.clean) {
            self.abort();
        }
        closed
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Writer<Server, S> {
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

    /// Queues a message that was encoded once, unless the call would have to wait; see [`try_send`](Self::try_send).
    ///
    /// # Errors
    ///
    /// As [`WebSocket::try_send`].
    pub fn try_send_prepared<B: AsRef<[u8]>>(
        &mut self,
        prepared: &Prepared<B>,
    ) -> core::result::Result<(), TrySendError> {
        self.outgoing().try_queue_by(|core| core.queue_prepared(prepared))
    }
}

/// The error of [`Reader::reunite`], which returns both halves.
pub struct ReuniteError<R: Role, S = NetStream>(pub Box<(Reader<R, S>, Writer<R, S>)>);

impl<R: Role, S> fmt::Debug for ReuniteError<R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReuniteError").finish_non_exhaustive()
    }
}

impl<R: Role, S> fmt::Display for ReuniteError<R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("halves are of two connections, or there are more writers")
    }
}

impl<R: Role, S> std::error::Error for ReuniteError<R, S> {}

impl<R: Role, S> Clone for Writer<R, S> {
    fn clone(&self) -> Self {
        Self {
            link: Arc::clone(&self.link),
            writers: Arc::clone(&self.writers),
            subprotocol: self.subprotocol.clone(),
            timer: Timer::new(),
        }
    }
}

impl<R: Role, S> fmt::Debug for Reader<R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("incoming", &self.incoming).finish_non_exhaustive()
    }
}

impl<R: Role, S> fmt::Debug for Writer<R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}
