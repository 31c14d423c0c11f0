//! The reading side of a connection: one function reads, writes what waits and runs timers.
//!
//! All progress of reading is in [`Incoming`] and [`Core`], none in a future, so any future of a caller can be dropped at any
//! time.

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
    Closed, Control, Event, Message, MessageKind, Part, ReceiveError, State,
    driver::{Decompression, Error, Opened, Result},
    message::{Data, OwnedMessage},
    role::Role,
};

use crate::{
    memory::{self, Input},
    output::Core,
    timer::Timer,
};

/// The input of a connection, and the state of the calls that read it.
pub(crate) struct Incoming {
    /// `None` while the connection is idle.
    buffer: Option<Box<Input>>,
    decompression: Decompression,
    /// Time of the last read.
    now: ws_proto::Instant,
    /// Messages have a time in which they have to be complete.
    is_limited: bool,
    timer: Timer,
    /// An event that was found while the connection waited for room to write.
    held: Option<Event<()>>,
    /// The last Ping or Pong that came before that event while the connection waited for room to write.
    held_control: Option<Control>,
    /// The form in which the last call looked for payload.
    unit: Unit,
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
        let received = opened.buffer.unread();
        let decompression = opened.compression.decompression();
        let buffer = (!received.is_empty()).then(|| {
            let mut buffer = Box::new(Input::with_received(BytesMut::from(received), 0..received.len()));
            decompression.limit(&mut buffer);
            buffer
        });
        Self {
            buffer,
            decompression,
            now,
            is_limited: opened.config.message_timeout.is_some(),
            timer: Timer::new(),
            held: None,
            held_control: None,
            unit: Unit::Message,
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
        self.buffer.as_ref()?.message()
    }

    /// Takes the message that has been found last.
    pub(crate) fn take_message(&mut self) -> Option<OwnedMessage> {
        self.buffer.as_mut()?.take_message()
    }

    /// Takes the part that has been found last, until the next call that reads.
    pub(crate) fn take_part(&mut self) -> Option<Data<'_>> {
        self.buffer.as_mut()?.take_part()
    }

    /// Returns the part that has been found last, and leaves it, until the next call that reads.
    pub(crate) fn part(&self) -> Option<(MessageKind, Part, &[u8])> {
        self.buffer.as_ref()?.part()
    }

    pub(crate) fn unread(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], |buffer| buffer.unread())
    }

    pub(crate) fn held_bytes(&self) -> usize {
        self.buffer.as_ref().map_or(0, |buffer| buffer.held_bytes())
    }

    /// Reads until the buffer has payload to lend, or a control frame has come. `None` is the end of the connection.
    pub(crate) fn poll_event<R: Role, S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        core: &mut Core<R, S>,
        unit: Unit,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Event<()>>>> {
        if let Some(event) = self.held_control.take().map(Event::Control).or_else(|| self.held.take()) {
            return Poll::Ready(Ok(Some(event)));
        }
        self.poll_turn(core, unit, cx)
    }

    /// Takes a message that has been read whole, if nothing else comes first and the turn of the task goes on; otherwise
    /// [`poll_event`](Self::poll_event) does what is to be done. The result of `poll_event` does not fit registers, which costs more
    /// than to take a small message.
    #[inline]
    pub(crate) fn next_whole<R: Role, S>(&mut self, core: &mut Core<R, S>, cx: &mut Context<'_>) -> bool {
        let (None, None, Some(buffer)) = (&self.held, &self.held_control, &mut self.buffer) else {
            return false;
        };
        let step = if self.half_step {
            None
        } else {
            let Poll::Ready(step) = coop::poll_proceed(cx) else { return false };
            Some(step)
        };
        self.unit = Unit::Message;
        if !buffer.next_whole(&mut core.endpoint, self.now) {
            return false;
        }
        self.half_step = step.is_some();
        if let Some(step) = step {
            step.made_progress();
        }
        true
    }

    /// Reads as [`poll_event`](Self::poll_event) does, as far as the task's turn goes.
    fn poll_turn<R: Role, S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        core: &mut Core<R, S>,
        unit: Unit,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Event<()>>>> {
        // One read may bring thousands of messages, and two of them are a step of this task. The last ones of a read are taken
        // when its turn is over too: then the memory that they lie in is free for other connections.
        let is_last = (1..=LAST_LEN).contains(&self.unread().len()) && !coop::has_budget_remaining();
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
                    core.note_progress();
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
        // The time of a message begins only when the application looks for it, which may have let it lie for long.
        let now = if self.is_limited { core.clock.now() } else { self.now };
        let buffer = self.buffer.get_or_insert_with(|| attach(&self.decompression));
        self.decompression.lend(buffer);
        let found = match unit {
            Unit::Message => buffer.next(&mut core.endpoint, now).map(|event| event.map(|event| event.map(drop))),
            Unit::Part => buffer.next_part(&mut core.endpoint, now),
        };
        // The protocol owes no frame for payload.
        if !matches!(found, Ok(Some(Event::Data(())))) {
            core.drain();
        }
        if let Ok(Some(Event::Control(Control::Close))) = found {
            // The end may be certain now.
            core.note_progress();
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
            let buffer = self.buffer.get_or_insert_with(|| attach(&self.decompression));
            let room = buffer.unfilled(&core.endpoint);
            match core.poll_read(cx, room) {
                Poll::Ready(Ok(0)) => {
                    core.receive_eof();
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(len)) => {
                    self.now = core.clock.now();
                    buffer.filled(len);
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

    /// Gives back all memory that a connection does not need while it waits.
    fn detach<R: Role, S>(&mut self, core: &mut Core<R, S>) {
        core.detach_output();
        if let Some(buffer) = &mut self.buffer {
            self.decompression.take_back(buffer);
        }
        if let Some(buffer) = self.buffer.take_if(|buffer| buffer.is_empty()) {
            memory::give_input(buffer);
        }
    }

    /// Waits while output does not leave. Messages that come meanwhile are read up to the first one, which is held for the
    /// application: otherwise two sides that both send could wait for each other for ever. Of the Pings and Pongs that come
    /// before it the last one is held.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] with [`TimedOut`](io::ErrorKind::TimedOut) if the peer has taken too little output for too long. The error
    /// with which the connection has failed, which the next call that reads returns too. All else is for that call alone.
    pub(crate) fn poll_while_writing<R: Role, S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        core: &mut Core<R, S>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<()>> {
        if let Some(failure) = core.endpoint.failure() {
            // The peer may wait for us to read what it sends: there is nothing left to wait for.
            return Poll::Ready(Err(failure.into()));
        }
        let has_ended = core.endpoint.closed().is_some();
        if self.unit == Unit::Part || self.held.is_some() || has_ended {
            return poll_write_deadline(core, &mut self.timer, cx);
        }
        match ready!(self.poll_turn(core, Unit::Message, cx)) {
            // In a place of its own: it must not keep the message that follows from being read.
            Ok(Some(Event::Control(control @ (Control::Ping | Control::Pong)))) => {
                self.held_control = Some(control);
            }
            Ok(Some(event)) => {
                // The endpoint has one place for the payload of a control frame, and a Close has taken it.
                self.held_control.take_if(|_| event == Event::Control(Control::Close));
                self.held = Some(event);
            }
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

/// Returns a buffer of the thread's, for a connection with this decompression.
fn attach(decompression: &Decompression) -> Box<Input> {
    let mut buffer = memory::take_input();
    decompression.limit(&mut buffer);
    buffer
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
