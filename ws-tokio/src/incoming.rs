//! The reading side of a connection: one function reads, writes what waits and runs timers.
//!
//! All progress is in [`Incoming`] and [`Core`], none in a future, so any future of a caller can be dropped at any time.

use core::{
    fmt,
    task::{Context, Poll, ready},
};
use std::io;

use bytes::BytesMut;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::coop,
};
use ws_proto::{
    Closed, Control, Event, Message, MessageBuffer, ReceiveError, State,
    driver::{Compression, Error, Opened, Result},
    message::{Data, OwnedMessage},
    role::Role,
};

use crate::{memory, output::Core, timer::Timer};

/// The input of a connection, and the state of the calls that read it.
pub(crate) struct Incoming {
    buffer: MessageBuffer<BytesMut>,
    compression: Compression,
    /// Time of the last read, at which all input in the buffer is taken to have arrived.
    now: ws_proto::Instant,
    timer: Timer,
    /// An event that was found while the connection waited for room to write.
    held: Option<Event<()>>,
    /// The form in which the last call looked for payload.
    unit: Unit,
    /// The buffer has memory of the thread's.
    attached: bool,
    /// The last event was the first of two that are a step of the task.
    half_step: bool,
    /// The application has been told that the connection has ended.
    told: bool,
}

/// The most input, in bytes, that a task whose turn is over still takes before it yields.
const LAST_LEN: usize = 4 * 1024;

/// The form in which payload is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Message,
    Part,
}

impl Incoming {
    pub(crate) fn new<R: Role>(opened: &Opened<R>, now: ws_proto::Instant) -> Self {
        let received = BytesMut::from(opened.buffer.unread());
        let len = received.len();
        let buffer = MessageBuffer::with_received(received, 0..len);
        Self {
            buffer: opened.compression.limit(buffer).keeping(memory::LARGEST_KEPT),
            compression: opened.compression.other(),
            now,
            timer: Timer::new(),
            held: None,
            unit: Unit::Message,
            attached: false,
            half_step: false,
            told: false,
        }
    }

    /// Returns whether the application has been told that the connection has ended.
    pub(crate) const fn is_told(&self) -> bool {
        self.told
    }

    /// Returns the message that has been found last, until the next call that reads.
    pub(crate) fn message(&self) -> Option<Message<'_>> {
        self.buffer.message()
    }

    /// Takes the message that has been found last.
    pub(crate) fn take_message(&mut self) -> Option<OwnedMessage> {
        self.buffer.take_message()
    }

    /// Takes the part that has been found last, until the next call that reads.
    pub(crate) fn take_part(&mut self) -> Option<Data<'_>> {
        self.buffer.take_part()
    }

    pub(crate) fn unread(&self) -> &[u8] {
        self.buffer.unread()
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.buffer.held_bytes()
    }

    /// Reads until the buffer has payload to lend, or a control frame has come. `None` is the end of the connection.
    pub(crate) fn poll_event<R: Role, S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        core: &mut Core<R, S>,
        unit: Unit,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Event<()>>>> {
        if let Some(event) = self.held.take() {
            return Poll::Ready(Ok(Some(event)));
        }
        // One read may bring thousands of messages, and two of them are a step of this task. The last ones of a read are taken
        // when its turn is over too: then the memory that they lie in is free for other connections.
        let is_last = (1..=LAST_LEN).contains(&self.buffer.unread().len()) && !coop::has_budget_remaining();
        if core::mem::take(&mut self.half_step) || is_last {
            return self.poll_next(core, unit, cx);
        }
        let step = ready!(coop::poll_proceed(cx));
        let polled = self.poll_next(core, unit, cx);
        if polled.is_ready() {
            step.made_progress();
            self.half_step = true;
        }
        polled
    }

    fn poll_next<R: Role, S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        core: &mut Core<R, S>,
        unit: Unit,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Event<()>>>> {
        loop {
            match self.look(core, unit) {
                Ok(Some(event)) => return Poll::Ready(Ok(Some(event))),
                Ok(None) => {}
                Err(error) if !self.told => {
                    self.told = true;
                    // The Close that tells the peer. Output that the stream does not take now is written by a later call.
                    let _ = core.poll_flush(cx);
                    return Poll::Ready(Err(error.into()));
                }
                // The same error again, until the connection is over.
                Err(_) => {}
            }
            // Input that the peer sent before it went away can still be read; after that the read fails.
            let _ = core.poll_flush(cx);
            if let Some(end) = self.end(core) {
                return Poll::Ready(end);
            }
            ready!(self.poll_read(core, cx))?;
        }
    }

    /// Looks for an event in the buffer.
    #[inline]
    fn look<R: Role, S>(
        &mut self,
        core: &mut Core<R, S>,
        unit: Unit,
    ) -> core::result::Result<Option<Event<()>>, ReceiveError> {
        self.unit = unit;
        self.compression.lend(&mut self.buffer);
        let found = match unit {
            Unit::Message => {
                self.buffer.next(&mut core.endpoint, self.now).map(|event| event.map(|event| event.map(drop)))
            }
            Unit::Part => self.buffer.next_part(&mut core.endpoint, self.now),
        };
        // The protocol owes no frame for payload.
        if !matches!(found, Ok(Some(Event::Data(())))) {
            core.drain();
        }
        found
    }

    /// Returns how the connection has ended, if the application is to be told now.
    ///
    /// The end is told once as soon as it is certain. Later calls first drain the stream, then tell it again.
    fn end<R: Role, S>(&mut self, core: &mut Core<R, S>) -> Option<Result<Option<Event<()>>>> {
        let closed = if core.is_over() { core.endpoint.closed() } else { core.ended().filter(|_| !self.told) }?;
        self.told = true;
        core.note_progress();
        Some(match core.endpoint.failure() {
            Some(failure) => Err(failure.into()),
            None if closed.clean => Ok(None),
            None => Err(Error::Unclean(closed)),
        })
    }

    /// Reads once, or waits for input, room for output or a deadline, whichever comes first.
    fn poll_read<R: Role, S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        core: &mut Core<R, S>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        // However much there is to read.
        if core.poll_timeout().is_some_and(|deadline| deadline <= self.now) {
            core.handle_timeout(self.now)?;
            return Poll::Ready(Ok(()));
        }
        if !matches!(core.endpoint.state(), State::Closed(_)) {
            self.attach();
            let room = self.buffer.unfilled(&core.endpoint);
            match core.poll_read(cx, room) {
                Poll::Ready(Ok(0)) => {
                    core.receive_eof();
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(len)) => {
                    self.now = core.clock.now();
                    self.buffer.filled(len);
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(self.stream_failed(core, error)),
                Poll::Pending => self.detach(core),
            }
        }
        let deadline = core.poll_timeout().and_then(|deadline| core.clock.to_tokio(deadline));
        ready!(self.timer.poll(deadline, cx));
        let now = core.clock.now();
        if core.poll_timeout().is_some_and(|deadline| deadline <= now) {
            core.handle_timeout(now)?;
            // No input came before a deadline: the connection is idle and needs no memory.
            self.buffer.release();
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the connection after `error` of the stream: a clean end if the closing handshake was complete.
    fn stream_failed<R: Role, S>(&mut self, core: &mut Core<R, S>, error: io::Error) -> Result<()> {
        core.fail(error.kind());
        core.receive_eof();
        if core.ended().is_some_and(|closed| closed.clean) {
            return Ok(());
        }
        self.told = true;
        Err(Error::Io(error))
    }

    /// Gives the buffer memory to read to, unless it has some.
    fn attach(&mut self) {
        if !self.attached && self.buffer.is_empty() {
            self.attached = true;
            memory::give_input(self.buffer.swap_storage(memory::take_input()));
        }
    }

    /// Gives back all memory that a connection does not need while it waits.
    fn detach<R: Role, S>(&mut self, core: &mut Core<R, S>) {
        self.compression.take_back(&mut self.buffer);
        core.detach_output();
        if self.attached && self.buffer.is_empty() {
            self.attached = false;
            memory::give_input(self.buffer.swap_storage(BytesMut::new()));
        }
    }

    /// Waits while output does not leave. Messages that come meanwhile are read up to the first one, which is held for the
    /// application: otherwise two sides that both send could wait for each other for ever. Pings that come meanwhile are
    /// answered and not held.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] with [`TimedOut`](io::ErrorKind::TimedOut) if the peer has taken too little output for too long. All else is
    /// for the next call that reads.
    pub(crate) fn poll_while_writing<R: Role, S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        core: &mut Core<R, S>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        let has_ended = core.endpoint.closed().is_some() || core.endpoint.failure().is_some();
        if self.unit == Unit::Part || self.held.is_some() || has_ended {
            return poll_write_deadline(core, &mut self.timer, cx);
        }
        match ready!(self.poll_next(core, Unit::Message, cx)) {
            Ok(Some(Event::Control(Control::Ping))) => {}
            Ok(Some(event)) => self.held = Some(event),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::TimedOut => {
                return Poll::Ready(Err(error.into()));
            }
            Ok(None) | Err(_) => self.told = false,
        }
        Poll::Ready(Ok(()))
    }

    /// Reads until the connection is over and its stream is drained. Messages that still come are dropped.
    pub(crate) fn poll_to_end<R: Role, S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        core: &mut Core<R, S>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Closed>> {
        while !core.is_over() {
            match ready!(self.poll_event(core, self.unit, cx)) {
                Ok(_) | Err(Error::Unclean(_)) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let closed = core.endpoint.closed();
        Poll::Ready(closed.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected).into()))
    }
}

/// Waits until the peer has been too slow to take our output.
pub(crate) fn poll_write_deadline<R: Role, S>(
    core: &mut Core<R, S>,
    timer: &mut Timer,
    cx: &mut Context<'_>,
) -> Poll<Result<()>> {
    let deadline = core.write_deadline().and_then(|deadline| core.clock.to_tokio(deadline));
    ready!(timer.poll(deadline, cx));
    Poll::Ready(core.check_write_deadline(core.clock.now()))
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("buffer", &self.buffer).finish_non_exhaustive()
    }
}
