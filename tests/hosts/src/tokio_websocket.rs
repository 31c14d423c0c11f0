//! A WebSocket over any stream of `tokio`, as two halves for two tasks.
//!
//! All progress is in the halves, none in a future: any future of theirs can be dropped at any time, and the
//! next call goes on where it stopped. Who reads also keeps the connection alive and closes it in good order,
//! so somebody must.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadHalf, WriteHalf},
    sync::Notify,
    time::{Instant, Sleep, sleep_until},
};
use ws_proto::{
    CloseCode, Endpoint, Event, Message, MessageBuffer, Pending, SendError,
    connection::{Outgoing, Output},
    role::Role,
};

/// With more output than this, the peer is not read from.
const OUTPUT_MARK: usize = 64 * 1024;

/// The half that receives.
pub struct Reader<R: Role, S> {
    shared: Arc<Shared<R, S>>,
    source: ReadHalf<S>,
    buffer: MessageBuffer<Vec<u8>>,
    /// The time of the last turn's end.
    now: ws_proto::Instant,
    /// Wakes the task at the next deadline or before.
    timer: Pin<Box<Sleep>>,
    /// The end has been told; another read drains the stream.
    told: bool,
}

/// The half that sends; each task can have its own.
pub struct Writer<R: Role, S>(Arc<Shared<R, S>>);

struct Shared<R: Role, S> {
    outgoing: Mutex<Outgoing<R>>,
    sink: tokio::sync::Mutex<WriteHalf<S>>,
    /// The deadline has changed.
    rearm: Notify,
    epoch: Instant,
}

/// The halves of a connection that is open. `epoch` is when its time is zero.
pub fn split<R: Role, S: AsyncRead + AsyncWrite>(
    stream: S,
    outgoing: Outgoing<R>,
    buffer: MessageBuffer<Vec<u8>>,
    epoch: Instant,
) -> (Reader<R, S>, Writer<R, S>) {
    let (source, sink) = tokio::io::split(stream);
    let (outgoing, sink) = (Mutex::new(outgoing), tokio::sync::Mutex::new(sink));
    let shared = Arc::new(Shared { outgoing, sink, rearm: Notify::new(), epoch });
    let timer = Box::pin(sleep_until(epoch));
    (
        Reader { shared: shared.clone(), source, buffer, now: since(epoch), timer, told: false },
        Writer(shared),
    )
}

/// The halves of a connection whose opening handshake an HTTP library has made. `epoch` is when the endpoint's time is zero.
pub fn split_open<R: Role, S: AsyncRead + AsyncWrite>(
    stream: S,
    endpoint: Endpoint<R>,
    epoch: Instant,
) -> (Reader<R, S>, Writer<R, S>) {
    split(stream, Outgoing::new(endpoint, Output::new()), MessageBuffer::default(), epoch)
}

impl<R: Role, S: AsyncRead + AsyncWrite> Reader<R, S> {
    /// The next message; `None` after a clean end. Control frames are answered on the way.
    ///
    /// The end is told as soon as it is certain; [`drain`](Self::drain) follows.
    ///
    /// # Errors
    ///
    /// The stream failed, the peer broke the protocol (and has been told so), or the connection ended
    /// without a closing handshake.
    pub async fn read(&mut self) -> io::Result<Option<Message<'_>>> {
        loop {
            let (full, ended) = {
                let outgoing = &mut *self.shared.outgoing();
                let full = outgoing.pending_len() >= OUTPUT_MARK;
                if !full {
                    match outgoing.next(&mut self.buffer, self.now) {
                        Ok(Some(Event::Data(_))) => break,
                        Ok(Some(Event::Control(_))) => continue,
                        // An error is told at the end; until then the peer gets to read what is wrong.
                        Ok(None) | Err(_) => {}
                    }
                }
                let ended = outgoing.closed().filter(|_| outgoing.is_over() || !self.told);
                (full, ended.map(|closed| (closed, outgoing.endpoint().failure())))
            };
            if let Some((closed, failure)) = ended {
                self.told = true;
                return match failure {
                    Some(failure) => Err(io::Error::other(failure)),
                    None if closed.clean => Ok(None),
                    None => Err(io::Error::other(format!("no closing handshake: {:?}", closed.cause))),
                };
            }
            self.turn(full).await?;
        }
        Ok(self.buffer.message())
    }

    /// Hands each message to `on_message` until the end, and [drains](Self::drain) the stream.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub async fn read_to_end(mut self, mut on_message: impl FnMut(Message<'_>)) -> io::Result<()> {
        let result = loop {
            match self.read().await {
                Ok(Some(message)) => on_message(message),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.drain().await;
        result
    }

    /// Takes what the peer still sends after the end, so that it gets to read our last words: a stream that is dropped
    /// with input unread may take them back. Bounded by the timeouts of the endpoint.
    pub async fn drain(&mut self) {
        while !self.shared.outgoing().is_over() && self.read().await.is_ok() {}
    }

    /// The code and the reason of the peer's Close, once it has come.
    pub fn close_frame(&self) -> Option<(CloseCode, String)> {
        self.shared.outgoing().endpoint().close_frame().map(|(code, reason)| (code, reason.to_owned()))
    }

    /// Waits for whatever comes first: input, room for output, or a deadline.
    async fn turn(&mut self, full: bool) -> io::Result<()> {
        let Self { shared, source, buffer, now, timer, .. } = self;
        let (room, deadline, empty, over) = {
            let outgoing = &mut *shared.outgoing();
            let deadline = outgoing.poll_timeout();
            // However much there is to read.
            if deadline.is_some_and(|deadline| deadline <= *now) {
                if !outgoing.handle_timeout(*now) {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "the peer takes our output too slowly"));
                }
                // Whatever is due, the connection has been idle.
                buffer.release();
                return Ok(());
            }
            (outgoing.room(buffer), deadline, outgoing.pending().is_none(), outgoing.is_over())
        };
        let full = full || over;
        if let Some(deadline) = deadline.map(|deadline| shared.epoch + Duration::from(deadline)) {
            // One that moves on is caught up with when the timer has run out.
            if timer.is_elapsed() || timer.deadline() > deadline {
                timer.as_mut().reset(deadline);
            }
        }
        // What needs no waiting comes first.
        tokio::select! {
            biased;
            flushed = shared.flush(), if !empty => flushed.or_else(|error| lost(&mut shared.outgoing(), error))?,
            read = source.read(room), if !full => match read {
                Ok(0) => shared.outgoing().receive_eof(),
                Ok(len) => buffer.filled(len),
                Err(error) => lost(&mut shared.outgoing(), error)?,
            },
            () = timer, if deadline.is_some() => {}
            () = shared.rearm.notified() => {}
        }
        *now = since(shared.epoch);
        Ok(())
    }
}

impl<R: Role, S: AsyncWrite> Writer<R, S> {
    /// Queues a message; it is written with the next read or flush, together with others.
    ///
    /// # Errors
    ///
    /// The connection is closing.
    pub fn queue(&self, message: Message<'_>) -> Result<(), SendError> {
        self.0.outgoing().send(message)
    }

    /// Sends a message. If the future is dropped the message may have been queued; it is never cut.
    ///
    /// # Errors
    ///
    /// The connection is closing, or the stream failed.
    pub async fn send(&self, message: Message<'_>) -> io::Result<()> {
        if self.0.outgoing().pending_len() >= OUTPUT_MARK {
            self.flush().await?;
        }
        self.queue(message).map_err(io::Error::other)?;
        self.flush().await
    }

    /// Writes all that is queued.
    ///
    /// # Errors
    ///
    /// The stream failed.
    pub async fn flush(&self) -> io::Result<()> {
        self.0.flush().await
    }

    /// Begins to close; the reader ends when the peer has answered, or has not in time.
    ///
    /// # Errors
    ///
    /// The code can't be sent, or the connection is closing already.
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<(), SendError> {
        self.0.outgoing().close(since(self.0.epoch), code, reason)?;
        self.0.rearm.notify_one();
        Ok(())
    }
}

/// The stream has failed. After the peer's Close that is its end, however it comes: a reset, a stream error of HTTP/2.
fn lost<R: Role>(outgoing: &mut Outgoing<R>, error: io::Error) -> io::Result<()> {
    if outgoing.endpoint().close_frame().is_none() {
        return Err(error);
    }
    outgoing.abandon();
    outgoing.receive_eof();
    Ok(())
}

impl<R: Role, S> Clone for Writer<R, S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<R: Role, S: AsyncWrite> Shared<R, S> {
    fn outgoing(&self) -> MutexGuard<'_, Outgoing<R>> {
        self.outgoing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes all that waits.
    async fn flush(&self) -> io::Result<()> {
        let mut sink = self.sink.lock().await;
        let mut sink = Pin::new(&mut *sink);
        poll_fn(|cx| {
            let outgoing = &mut *self.outgoing();
            while let Some(pending) = outgoing.pending() {
                match pending {
                    Pending::Bytes(bytes) => {
                        let polled = sink.as_mut().poll_write(cx, bytes);
                        let taken = if let Poll::Ready(Ok(len)) = polled { len } else { 0 };
                        // From an attempt that takes nothing on, the peer's time to take it counts.
                        outgoing.written(since(self.epoch), taken);
                        ready!(polled)?;
                    }
                    Pending::Shutdown => {
                        // A peer that is gone needs no farewell.
                        let _ = ready!(sink.as_mut().poll_shutdown(cx));
                        outgoing.shut_down();
                    }
                }
            }
            sink.as_mut().poll_flush(cx)
        })
        .await
    }
}

/// The endpoint's time, which is zero at `epoch`.
pub(crate) fn since(epoch: Instant) -> ws_proto::Instant {
    epoch.elapsed().into()
}
