//! The endpoint of a connection, the output that waits, and the stream: all that two halves share.

use core::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use std::io::{self, IoSlice};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ws_proto::{
    CloseCode, Closed, Config, Endpoint, Message, MessageKind, Part, Pending, SendError, Server, State,
    config::CloseReply,
    connection::{Output, joins_write, write_len},
    driver::{Compression, Counters, Error, MaskedFrame, Observer, Result, WriteFront},
    endpoint::Prepared,
    error::Fault,
    frame::FrameHeader,
    role::{Role, Side},
};

use crate::{clock::Clock, long_frame::LongFrame, memory};

/// The length of waiting output, in bytes, from which calls that queue more wait first. Beyond it come only the message that
/// crosses the mark, and frames of a closing connection.
pub(crate) const OUTPUT_MARK: usize = 64 * 1024;
/// Length in bytes from which a server writes a payload from the caller's memory instead of copying it to the output.
const SHARED_PAYLOAD: usize = 16 * 1024;

/// Returns whether a side of this role writes a message from the caller's memory to its end, unless it compresses it.
pub(crate) fn is_long<R: Role>(message: Message<'_>) -> bool {
    let len = message.as_bytes().len();
    match R::SIDE {
        Side::Client => len > MaskedFrame::PIECE,
        Side::Server => len >= SHARED_PAYLOAD,
    }
}

/// How much of the output a stream is given at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writes {
    /// All that waits.
    Whole,
    /// Its front, as is best for a socket: see [`WriteFront`].
    Parts,
}

/// A connection without its buffer for input.
pub(crate) struct Core<R: Role, S> {
    pub(crate) endpoint: Endpoint<R, Observer>,
    output: Output,
    compression: Compression,
    /// `None` after the stream has been handed out.
    stream: Option<S>,
    pub(crate) writes: Writes,
    /// Ends the stream of a connection that is dropped before all has been said. `None`: it is only dropped.
    pub(crate) linger: Option<fn(S, Vec<u8>)>,
    pub(crate) clock: Clock,
    /// The stream has taken bytes that it may still hold.
    unflushed: bool,
    /// The time by which the stream has to pass on bytes that it holds, if the last attempt has left some in it.
    flush_by: Option<ws_proto::Instant>,
    /// The error with which the stream has failed.
    broken: Option<io::ErrorKind>,
    /// The stream has taken output since [`take_progress`](Self::take_progress), or will take no more.
    progress: bool,
    /// There is news for the task that reads: output that no other task writes, the end.
    reader_news: bool,
}

impl<R: Role, S> Core<R, S> {
    pub(crate) fn new(
        endpoint: Endpoint<R, Observer>,
        compression: Compression,
        stream: S,
        clock: Clock,
        config: &Config,
    ) -> Self {
        let output = Output::with_config(config);
        Self {
            endpoint,
            output,
            compression,
            stream: Some(stream),
            writes: Writes::Whole,
            linger: None,
            clock,
            unflushed: false,
            flush_by: None,
            broken: None,
            progress: false,
            reader_news: false,
        }
    }

    /// Queues the frames that the protocol owes. Call it after every event.
    ///
    /// While [`OUTPUT_MARK`] bytes wait, the frames of an open connection stay in the endpoint, which keeps the answer to the
    /// latest Ping only (RFC 6455 section 5.5.3): a peer that sends Pings and takes no Pongs must not make the output grow. The
    /// frames of a closing connection are queued always: there are few of them.
    #[inline]
    pub(crate) fn drain(&mut self) {
        if self.output.len() < OUTPUT_MARK || self.endpoint.state() != State::Open {
            self.output.drain(&mut self.endpoint);
        }
    }

    /// Returns the number of bytes that wait to be written.
    pub(crate) fn pending_len(&self) -> usize {
        self.output.len()
    }

    /// Returns whether compression has been negotiated.
    pub(crate) const fn is_compressed(&self) -> bool {
        self.compression.is_on()
    }

    /// Returns the counters of the connection.
    pub(crate) fn counters(&self) -> Counters {
        self.endpoint.trace().counters()
    }

    /// Returns whether more may be queued at once.
    pub(crate) fn has_room(&self) -> bool {
        self.output.len() < OUTPUT_MARK
    }

    /// Returns whether a message of `len` bytes is best written together with the output before it.
    pub(crate) fn joins_write(&self, len: usize) -> bool {
        joins_write(self.output.len(), len + FrameHeader::MAX_LEN)
    }

    /// Returns whether all output has been written, or can never be.
    pub(crate) fn is_written(&self) -> bool {
        self.output.is_written() || self.broken.is_some()
    }

    /// Queues a whole message, compressed if that has been negotiated. See [`write_message`](Self::write_message).
    #[inline]
    pub(crate) fn queue(&mut self, message: Message<'_>) -> Result<()> {
        self.encode(|endpoint, compression, out| compression.write(endpoint, message, out))
    }

    /// Queues a small message if it leaves room for more; otherwise, and where there is an error to report, it is not queued.
    #[inline]
    pub(crate) fn queue_at_once(&mut self, message: Message<'_>) -> bool {
        self.drain();
        let len = message.as_bytes().len();
        if len >= SHARED_PAYLOAD || !self.joins_write(len) || self.broken.is_some() {
            return false;
        }
        self.attach_output();
        self.compression.write(&mut self.endpoint, message, self.output.buffer()).is_ok()
    }

    /// Queues part of a message as a frame of its own, compressed if that has been negotiated.
    pub(crate) fn queue_part(&mut self, kind: MessageKind, part: Part, payload: &[u8]) -> Result<()> {
        self.encode(|endpoint, compression, out| compression.write_part(endpoint, kind, part, payload, out))
    }

    pub(crate) fn queue_ping(&mut self, payload: &[u8]) -> Result<()> {
        self.check()?;
        self.attach_output();
        Ok(self.output.ping(&mut self.endpoint, payload)?)
    }

    /// Queues a Close. Without effect if the connection is closing already.
    pub(crate) fn queue_close(&mut self, code: CloseCode, reason: &str) -> Result<()> {
        self.attach_output();
        match self.output.close(&mut self.endpoint, self.clock.now(), code, reason) {
            Ok(()) => {
                // Every task that waits has a new deadline, and one of them has to write the Close.
                (self.progress, self.reader_news) = (true, true);
                Ok(())
            }
            Err(SendError::Closing) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Chooses the answer to the peer's Close.
    pub(crate) fn set_close_reply(&mut self, reply: CloseReply) {
        self.endpoint.set_close_reply(self.clock.now(), reply);
        self.drain();
    }

    /// Fails the connection because of a message that the application does not take.
    pub(crate) fn refuse(&mut self, fault: Fault) {
        self.endpoint.fail(self.clock.now(), fault);
        self.drain();
    }

    #[inline]
    fn encode(
        &mut self,
        encode: impl FnOnce(
            &mut Endpoint<R, Observer>,
            &mut Compression,
            &mut Vec<u8>,
        ) -> core::result::Result<(), SendError>,
    ) -> Result<()> {
        self.check()?;
        self.drain();
        self.attach_output();
        Ok(encode(&mut self.endpoint, &mut self.compression, self.output.buffer())?)
    }

    #[inline]
    fn attach_output(&mut self) {
        if self.output.buffer().capacity() == 0 {
            self.output.swap_memory(memory::take_output());
        }
    }

    /// Gives the memory of an empty output back.
    pub(crate) fn detach_output(&mut self) {
        memory::give_output(self.output.swap_memory(Vec::new()));
    }

    /// Returns the bytes of memory that are held for output and for compressing it.
    pub(crate) fn held_bytes(&mut self) -> usize {
        self.output.buffer().capacity() + self.compression.held_bytes()
    }

    /// Checks that output can be written.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the stream has failed, or [`SendError::Closing`] if closing had begun: then the application can send no
    /// more anyway.
    fn check(&self) -> Result<()> {
        match self.broken {
            None => Ok(()),
            Some(_) if self.endpoint.state() != State::Open => Err(SendError::Closing.into()),
            Some(kind) => Err(io::Error::from(kind).into()),
        }
    }

    /// Returns how the connection has ended, as soon as that is certain and all output is written or can never be.
    pub(crate) fn ended(&self) -> Option<Closed> {
        self.endpoint.closed().filter(|_| self.is_written())
    }

    /// Returns whether the connection has ended and its stream is drained too.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.endpoint.state(), State::Closed(_)) && self.is_written()
    }

    /// Returns the code and the reason of the peer's Close, once it has come.
    pub(crate) fn close_frame(&self) -> Option<(CloseCode, String)> {
        self.endpoint.close_frame().map(|(code, reason)| (code, reason.to_owned()))
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(crate) fn poll_timeout(&self) -> Option<ws_proto::Instant> {
        [self.endpoint.poll_timeout(), self.write_deadline()].into_iter().flatten().min()
    }

    /// Returns when the output that waits must have been taken.
    pub(crate) fn write_deadline(&self) -> Option<ws_proto::Instant> {
        [self.output.poll_timeout(), self.flush_by].into_iter().flatten().min()
    }

    /// Does what is due at `now`.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] with [`TimedOut`](io::ErrorKind::TimedOut) if the peer has taken too little output for too long.
    pub(crate) fn handle_timeout(&mut self, now: ws_proto::Instant) -> Result<()> {
        self.check_write_deadline(now)?;
        self.output.handle_timeout(&mut self.endpoint, now);
        Ok(())
    }

    /// Fails if the peer has taken too little output for too long. The output stays, with its whole time again.
    pub(crate) fn check_write_deadline(&mut self, now: ws_proto::Instant) -> Result<()> {
        if self.write_deadline().is_some_and(|deadline| deadline <= now) {
            self.output.restart_deadline();
            self.flush_by = None;
            return Err(io::Error::from(io::ErrorKind::TimedOut).into());
        }
        Ok(())
    }

    /// Takes note that the stream has failed, and returns the error for the caller.
    fn fail_writing(&mut self, error: io::Error) -> Error {
        let is_open = self.endpoint.state() == State::Open;
        self.fail(error.kind());
        // A peer that has closed may end the stream before it has taken our output.
        if is_open { error.into() } else { SendError::Closing.into() }
    }

    /// Takes note that the stream has failed: no output can be written any more.
    pub(crate) fn fail(&mut self, kind: io::ErrorKind) {
        self.broken = Some(kind);
        self.output.abandon();
        self.flush_by = None;
        self.progress = true;
    }

    /// Ends the connection without a farewell.
    pub(crate) fn abort(&mut self, kind: io::ErrorKind) {
        self.fail(kind);
        self.receive_eof();
        self.reader_news = true;
    }

    /// Takes note that the peer has ended the stream, or that it has failed.
    pub(crate) fn receive_eof(&mut self) {
        self.endpoint.receive_eof();
        self.drain();
        self.progress = true;
    }

    /// Returns the stream; `None` after it has been handed out, as the connection has by then.
    pub(crate) const fn stream(&self) -> Option<&S> {
        self.stream.as_ref()
    }

    /// Takes the stream out, and the output that waits.
    pub(crate) fn take_stream(&mut self) -> Option<(S, Vec<u8>)> {
        Some((self.stream.take()?, self.output.take_bytes()))
    }

    /// Takes note of news for those that wait, such as the end of the connection.
    pub(crate) const fn note_progress(&mut self) {
        self.progress = true;
    }

    /// Lets the task that reads write the output.
    pub(crate) const fn leave_output_to_reader(&mut self) {
        self.reader_news = true;
    }

    /// Returns whether there is news for those that wait for output to be written.
    pub(crate) fn take_progress(&mut self) -> bool {
        core::mem::take(&mut self.progress)
    }

    /// Returns whether there is news for the task that reads.
    pub(crate) fn take_reader_news(&mut self) -> bool {
        core::mem::take(&mut self.reader_news)
    }

    pub(crate) fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.output.set_write_timeout(timeout);
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Core<Server, S> {
    /// Queues or writes a message that was encoded once, as [`write_message`](Self::write_message) does.
    pub(crate) fn write_prepared<B: AsRef<[u8]>>(
        &mut self,
        prepared: &Prepared<B>,
        cx: &mut Context<'_>,
    ) -> Result<()> {
        let [_, payload] = prepared.slices();
        if payload.len() < SHARED_PAYLOAD {
            return self.queue_prepared(prepared);
        }
        self.check()?;
        self.drain();
        self.endpoint.send_prepared(prepared)?;
        self.write_shared(|written| prepared.remaining(written), cx)
    }
}

impl<S> Core<Server, S> {
    /// Queues a message that was encoded once.
    pub(crate) fn queue_prepared<B: AsRef<[u8]>>(&mut self, prepared: &Prepared<B>) -> Result<()> {
        self.encode(|endpoint, _, out| {
            endpoint.send_prepared(prepared)?;
            prepared.slices().iter().for_each(|slice| out.extend_from_slice(slice));
            Ok(())
        })
    }
}

impl<R: Role, S: AsyncRead + AsyncWrite + Unpin> Core<R, S> {
    /// Queues a whole message, or writes it: as much of a big one as the stream takes at once goes there from the caller's
    /// memory, if it is neither masked nor compressed.
    #[inline]
    pub(crate) fn write_message(&mut self, message: Message<'_>, cx: &mut Context<'_>) -> Result<()> {
        if message.as_bytes().len() < SHARED_PAYLOAD { self.queue(message) } else { self.write_big(message, cx) }
    }

    fn write_big(&mut self, message: Message<'_>, cx: &mut Context<'_>) -> Result<()> {
        self.check()?;
        self.drain();
        match self.compression.frame_shared(&mut self.endpoint, message) {
            None => self.queue(message),
            Some(frame) => {
                let frame = frame?;
                self.write_shared(|written| frame.remaining(written), cx)
            }
        }
    }

    /// Writes a frame that the endpoint counts as sent, as far as the stream takes it at once, and queues the rest. `remaining`
    /// returns its slices after some bytes.
    fn write_shared<'p>(
        &mut self,
        remaining: impl Fn(usize) -> [&'p [u8]; 2],
        cx: &mut Context<'_>,
    ) -> Result<()> {
        let written = self.write_slices(&remaining, cx)?;
        let rest = remaining(written);
        if rest.iter().any(|slice| !slice.is_empty()) {
            self.attach_output();
            rest.iter().for_each(|slice| self.output.buffer().extend_from_slice(slice));
            self.output.written(&mut self.endpoint, self.clock.now(), 0);
        }
        Ok(())
    }

    /// Returns how many bytes the stream has taken, after all output that waits.
    fn write_slices<'p>(
        &mut self,
        remaining: impl Fn(usize) -> [&'p [u8]; 2],
        cx: &mut Context<'_>,
    ) -> Result<usize> {
        // A stream that cannot write two slices at once would get the header by itself.
        let is_vectored = self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored);
        if !is_vectored || (!self.output.is_written() && self.poll_flush(cx)?.is_pending()) {
            return Ok(0);
        }
        let mut written = 0;
        loop {
            let slices = remaining(written);
            if slices.iter().all(|slice| slice.is_empty()) {
                break;
            }
            match self.poll_write_slices(slices, cx)? {
                Poll::Ready(len) => written += len,
                Poll::Pending => break,
            }
        }
        Ok(written)
    }

    /// Writes some of the slices, which are not both empty, and returns how many bytes: never 0.
    fn poll_write_slices(&mut self, slices: [&[u8]; 2], cx: &mut Context<'_>) -> Poll<Result<usize>> {
        let (slices, mut front) = (slices.map(IoSlice::new), WriteFront::default());
        let slices = if self.writes == Writes::Parts { front.of(&slices) } else { &slices };
        let polled = match &mut self.stream {
            Some(stream) => ready!(Pin::new(stream).poll_write_vectored(cx, slices)),
            None => Err(io::ErrorKind::NotConnected.into()),
        };
        Poll::Ready(match polled {
            Ok(0) => Err(self.fail_writing(io::ErrorKind::WriteZero.into())),
            Ok(len) => {
                (self.unflushed, self.flush_by, self.progress) = (true, None, true);
                Ok(len)
            }
            Err(error) => Err(self.fail_writing(error)),
        })
    }

    /// Begins to write a [long](is_long) message from the caller's memory, after all other output is written; see
    /// [`poll_write_long`](Self::poll_write_long). `None`: it has to be queued, or is refused then.
    pub(crate) fn poll_begin_long<'p>(
        &mut self,
        message: Message<'p>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Box<LongFrame<'p>>>>> {
        let is_vectored = self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored);
        if !is_vectored || self.is_compressed() || self.endpoint.state() != State::Open {
            return Poll::Ready(Ok(None));
        }
        ready!(self.poll_flush(cx))?;
        let frame = if let Some(frame) = self.compression.frame_shared(&mut self.endpoint, message) {
            LongFrame::shared(frame?)
        } else if let Some(frame) = self.compression.frame_masked(&mut self.endpoint, message, MaskedFrame::PIECE)
        {
            LongFrame::masked(frame?)
        } else {
            return Poll::Ready(Ok(None));
        };
        self.output.lend_elsewhere(frame.len());
        Poll::Ready(Ok(Some(Box::new(frame))))
    }

    /// Writes a long frame. All other output waits for it.
    pub(crate) fn poll_write_long(&mut self, frame: &mut LongFrame<'_>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.check()?;
        loop {
            let slices = frame.slices();
            if slices.iter().all(|slice| slice.is_empty()) {
                return Poll::Ready(Ok(()));
            }
            let polled = self.poll_write_slices(slices, cx)?;
            let taken = if let Poll::Ready(len) = polled { len } else { 0 };
            frame.advance(taken);
            // The peer's time begins to count with an attempt that takes no byte.
            self.output.written_elsewhere(&mut self.endpoint, self.clock.now(), taken);
            ready!(polled);
        }
    }

    /// Queues the rest of a long frame, which nobody writes any more, before all other output.
    pub(crate) fn put_back_long(&mut self, frame: LongFrame<'_>) {
        self.output.put_back(&mut self.endpoint, self.clock.now(), frame.into_rest(), 0);
    }

    /// Writes all output, and then ends our direction of the stream if that is due.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the stream has failed, [`SendError::Closing`] if it fails while the connection is closing.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.check()?;
        self.drain();
        if self.output.is_lent() {
            // The task that writes the frame is woken by the stream.
            return Poll::Pending;
        }
        if self.output.is_empty() && !self.unflushed {
            return Poll::Ready(Ok(()));
        }
        let written = ready!(self.poll_write_out(cx));
        if let Err(error) = written {
            return Poll::Ready(Err(self.fail_writing(error)));
        }
        self.unflushed = false;
        Poll::Ready(Ok(()))
    }

    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        let mut stream = Pin::new(stream);
        while let Some(pending) = self.output.pending() {
            match pending {
                Pending::Bytes(bytes) => {
                    let len = if self.writes == Writes::Parts { write_len(bytes.len()) } else { bytes.len() };
                    let polled = stream.as_mut().poll_write(cx, bytes.get(..len).unwrap_or(bytes));
                    let taken = if let Poll::Ready(Ok(len)) = polled { len } else { 0 };
                    // The peer's time begins to count with an attempt that takes no byte.
                    self.output.written(&mut self.endpoint, self.clock.now(), taken);
                    if ready!(polled)? == 0 {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    (self.unflushed, self.flush_by, self.progress) = (true, None, true);
                }
                Pending::Shutdown => {
                    // An error means that the peer has gone, and then no end has to be sent.
                    let _ = ready!(stream.as_mut().poll_shutdown(cx));
                    self.output.shut_down();
                    self.progress = true;
                }
            }
        }
        let flushed = stream.poll_flush(cx);
        self.flush_by = match flushed {
            Poll::Ready(_) => None,
            Poll::Pending => {
                self.flush_by.or_else(|| Some(self.clock.now().saturating_add(self.output.write_timeout()?)))
            }
        };
        flushed
    }

    /// Reads to `room`. `Ok(0)`: the peer has ended the stream.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, room: &mut [u8]) -> Poll<io::Result<usize>> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Err(io::ErrorKind::NotConnected.into())) };
        let mut room = ReadBuf::new(room);
        ready!(Pin::new(stream).poll_read(cx, &mut room))?;
        Poll::Ready(Ok(room.filled().len()))
    }
}
