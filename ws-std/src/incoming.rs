//! The reading side of a connection: one loop reads, writes what the protocol owes and runs timers, over any [`Link`].

use core::time::Duration;
use std::{io, time::Instant};

use ws_proto::{
    CloseCode, Closed, Config, Event, Message, MessageBuffer, ReceiveError, State,
    driver::{Decompression, Error, Result},
    message::Data,
};

use crate::{
    clock::{self, Clock},
    outgoing::{flush, flush_before_read, queue_close},
    output::Core,
    shared::Link,
    transport::Transport,
};

/// The input of a connection, and the state of the calls that read it.
pub(crate) struct Incoming {
    pub(crate) buffer: MessageBuffer<Vec<u8>>,
    decompression: Decompression,
    arrival: Arrival,
    /// The longest wait of one call for the peer.
    pub(crate) timeout: Option<Duration>,
    /// Deadline of the current call, from its first wait on.
    deadline: Option<Instant>,
    /// The last call looked for parts rather than whole messages.
    in_parts: bool,
    /// A timer of the endpoint is overdue, and the transport has been read since.
    looked: bool,
    /// The application has been told that the connection has ended.
    told: bool,
}

/// The arrival of input.
#[derive(Clone, Copy)]
struct Arrival {
    /// The time of the last read that could wait.
    now: ws_proto::Instant,
    /// Messages have a time in which they have to be complete.
    is_limited: bool,
    /// The bytes that lay in the transport and have been taken since the last wait.
    taken: usize,
}

impl Arrival {
    /// Returns the time at which input in the buffer is taken to have arrived: that of the last read. If a message has a limit of
    /// time, that begins only when the application looks for the message, which it may have let lie for long.
    fn time(self, clock: Clock) -> ws_proto::Instant {
        if self.is_limited { clock.now() } else { self.now }
    }
}

/// The shortest wait of a read, so that bytes that have already arrived are noticed before a timeout.
const SHORTEST_READ: Duration = Duration::from_millis(1);
/// The most bytes that lie in the transport and are taken without a look at timers: more than a TLS connection has.
const MOST_TAKEN: usize = 128 * 1024;

impl Incoming {
    /// Creates the reading side. `buffer` may hold bytes that came after the opening handshake.
    pub(crate) const fn new(
        buffer: MessageBuffer<Vec<u8>>,
        decompression: Decompression,
        now: ws_proto::Instant,
        config: &Config,
    ) -> Self {
        Self {
            buffer,
            decompression,
            arrival: Arrival { now, is_limited: config.message_timeout.is_some(), taken: 0 },
            timeout: None,
            deadline: None,
            in_parts: true,
            looked: false,
            told: false,
        }
    }

    /// Reads until the buffer has a message to lend, or a control frame has come. `None` is the end of the connection.
    fn next<L: Link>(&mut self, link: &mut L) -> Result<Option<Event<()>>> {
        self.in_parts = false;
        self.until(link, |this, core, now| {
            let event = this.buffer.next(&mut core.endpoint, now)?;
            Ok(event.map(|event| event.map(|_| ())))
        })
    }

    /// Reads until the buffer has part of a message to lend, or a control frame has come. `None` is the end of the
    /// connection.
    fn next_part<L: Link>(&mut self, link: &mut L) -> Result<Option<Event<()>>> {
        self.in_parts = true;
        self.until(link, |this, core, now| this.buffer.next_part(&mut core.endpoint, now))
    }

    /// Reads the next message. `None` is the end of the connection.
    pub(crate) fn read<L: Link>(&mut self, link: &mut L) -> Result<Option<Message<'_>>> {
        self.deadline = None;
        loop {
            match self.next(link)? {
                Some(Event::Data(())) => return Ok(self.buffer.message()),
                Some(Event::Control(_)) => self.check_limit(link, self.deadline)?,
                None => return Ok(None),
            }
        }
    }

    /// Reads the next message or control frame. `None` is the end of the connection.
    pub(crate) fn read_event<L: Link>(&mut self, link: &mut L) -> Result<Option<Event<Message<'_>>>> {
        self.deadline = None;
        let event = self.next(link)?;
        Ok(event.and_then(|event| event.fetch(|| self.buffer.message())))
    }

    /// Reads the next part of a message. `None` is the end of the connection.
    pub(crate) fn read_part<L: Link>(&mut self, link: &mut L) -> Result<Option<Data<'_>>> {
        self.deadline = None;
        loop {
            match self.next_part(link)? {
                Some(Event::Data(())) => return Ok(self.buffer.take_part()),
                Some(Event::Control(_)) => self.check_limit(link, self.deadline)?,
                None => return Ok(None),
            }
        }
    }

    /// Reads the next part of a message or control frame. `None` is the end of the connection.
    pub(crate) fn read_part_event<L: Link>(&mut self, link: &mut L) -> Result<Option<Event<Data<'_>>>> {
        self.deadline = None;
        let event = self.next_part(link)?;
        Ok(event.and_then(|event| event.fetch(|| self.buffer.take_part())))
    }

    /// Fails if the time of the call is over, which control frames do not prolong.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] at `limit`, and those of [`flush`](Self::flush).
    fn check_limit<L: Link>(&self, link: &mut L, limit: Option<Instant>) -> Result<()> {
        if limit.is_some_and(|limit| limit <= clock::now()) {
            // A Ping that has become due by now, and the Pong to one that has come, are written before the call returns.
            self.flush(link)?;
            return Err(Error::TimedOut);
        }
        Ok(())
    }

    /// Reads until `look` finds an event in the buffer. `None` is the end of the connection.
    fn until<L: Link>(
        &mut self,
        link: &mut L,
        look: impl Fn(
            &mut Self,
            &mut Core<L::Role>,
            ws_proto::Instant,
        ) -> core::result::Result<Option<Event<()>>, ReceiveError>,
    ) -> Result<Option<Event<()>>> {
        loop {
            self.decompression.lend(&mut self.buffer);
            let now = self.arrival.time(link.shared().clock);
            let mut core = link.core();
            let found = look(self, &mut core, now);
            // The protocol owes no frame for a message.
            if !matches!(found, Ok(Some(Event::Data(())))) {
                core.drain();
            }
            drop(core);
            match found {
                Ok(Some(event)) => return Ok(Some(event)),
                Ok(None) => {}
                Err(error) => {
                    self.failed(link);
                    return Err(error.into());
                }
            }
            let ended = match self.take_ready(link) {
                Ok(0) => {
                    // The timeout begins here, after the buffer has been searched.
                    let limit = |timeout: Duration| clock::now().checked_add(timeout.max(SHORTEST_READ));
                    self.deadline = self.deadline.or_else(|| self.timeout.and_then(limit));
                    self.wait(link, self.deadline)?
                }
                Ok(_) => None,
                Err(error) => Some(self.transport_failed(link, error)?),
            };
            if let Some(closed) = ended {
                return if closed.clean { Ok(None) } else { Err(Error::Unclean(closed)) };
            }
        }
    }

    /// Takes bytes that lie in the transport, unless output or a timer may be due. They are taken to have come with the last read that
    /// could wait. Returns how many they are.
    fn take_ready<L: Link>(&mut self, link: &mut L) -> io::Result<usize> {
        if self.arrival.taken >= MOST_TAKEN || !link.shared().transport().is_ready() {
            return Ok(0);
        }
        let core = link.core();
        if core.endpoint.state() != State::Open || !core.is_written() {
            return Ok(0);
        }
        let room = self.buffer.unfilled(&core.endpoint);
        drop(core);
        let past = link.shared().clock.epoch();
        let len = match link.read(room, Some(past)) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => 0,
            // The next read finds an end again.
            read => read?,
        };
        if len > 0 {
            self.buffer.filled(len);
            self.arrival.taken += len;
        }
        Ok(len)
    }

    /// Writes output, then reads once. Returns how the connection has ended, if it has.
    ///
    /// The end is returned once as soon as it is certain. Later calls first drain the transport, then return it again.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] at `limit`, and [`Error::Io`] if the transport fails or the write deadline has passed.
    fn wait<L: Link>(&mut self, link: &mut L, limit: Option<Instant>) -> Result<Option<Closed>> {
        let pause = self.flush(link)?;
        if let Some(closed) = self.ended(link, pause) {
            return Ok(Some(closed));
        }
        let clock = link.shared().clock;
        let now = clock::now();
        let mut core = link.core();
        let timeout = core.endpoint.poll_timeout().and_then(|at| clock.to_system(at));
        let overdue = timeout.is_some_and(|timeout| timeout <= now);
        if overdue && self.looked {
            self.looked = false;
            core.handle_timeout(clock.now());
            return Ok(None);
        }
        self.looked = overdue;
        self.decompression.take_back(&mut self.buffer);
        let room = self.buffer.unfilled(&core.endpoint);
        drop(core);
        let timeout = timeout.map(|timeout| timeout.max(now + SHORTEST_READ));
        let retry = pause.and_then(|pause| now.checked_add(pause));
        let look_again = if link.is_shared() { link.shared().look_again(now) } else { None };
        let deadline = [timeout, limit, retry, look_again].into_iter().flatten().min();
        let result = link.read(room, deadline);
        self.arrival = Arrival { now: clock.now(), taken: 0, ..self.arrival };
        match result {
            Ok(0) => link.core().endpoint.receive_eof(),
            Ok(len) => self.buffer.filled(len),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                link.core().handle_timeout(self.arrival.now);
                if timeout.is_some_and(|timeout| timeout <= clock::now()) {
                    // No input came before the endpoint's timeout: the connection is idle and needs no memory.
                    link.core().release();
                    self.buffer.release();
                }
                self.check_limit(link, limit)?;
            }
            Err(error) => return self.transport_failed(link, error).map(Some),
        }
        Ok(None)
    }

    /// Returns how the connection has ended, if the application is to be told now.
    fn ended<L: Link>(&mut self, link: &mut L, pause: Option<Duration>) -> Option<Closed> {
        let core = link.core();
        let (closed, certain) = (core.closed(), core.ended());
        drop(core);
        if closed.is_some() && pause.is_some() {
            // No input is left to read, so the last output is written with the whole write timeout.
            let _ = flush(link);
        }
        let told = closed.or_else(|| certain.filter(|_| !self.told))?;
        self.told = true;
        link.shared().notify();
        Some(told)
    }

    /// Writes output. If some of it has to wait, returns how long to read before the next attempt.
    fn flush<L: Link>(&self, link: &mut L) -> Result<Option<Duration>> {
        match flush_before_read(link) {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::TimedOut => Err(Error::Io(error)),
            // Input that the peer sent before it went away can still be read; after that the read fails.
            Err(_) => Ok(None),
            Ok(pause) => Ok(pause),
        }
    }

    /// Ends the connection after `error` of the transport: a clean end if the closing handshake was complete.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] with `error` if the end is not clean.
    fn transport_failed<L: Link>(&mut self, link: &mut L, error: io::Error) -> Result<Closed> {
        let mut core = link.core();
        core.endpoint.receive_eof();
        core.drain();
        let closed = core.closed();
        drop(core);
        self.told = true;
        link.shared().notify();
        match closed {
            Some(closed) if closed.clean => Ok(closed),
            _ => Err(Error::Io(error)),
        }
    }

    /// Handles an error of the endpoint. The first call writes the Close that tells the peer, and returns at once.
    /// Later calls wait for the end of the connection, within the endpoint's timeouts.
    fn failed<L: Link>(&mut self, link: &mut L) {
        if !self.told {
            self.told = true;
            // Output that the transport does not take now is written by a later call, or when the connection is
            // dropped.
            let _ = self.flush(link);
            link.shared().notify();
            return;
        }
        while let Ok(None) = self.wait(link, None) {
            let mut core = link.core();
            // The endpoint returns the same error again, and discards the input.
            let _ = self.buffer.next_part(&mut core.endpoint, self.arrival.now);
            core.drain();
        }
    }

    /// Sends a Close, unless the connection is closing already, and waits for the end. Messages that still come are
    /// dropped.
    pub(crate) fn close<L: Link>(&mut self, link: &mut L, code: CloseCode, reason: &str) -> Result<Closed> {
        queue_close(link, code, reason)?;
        if let (true, Some(closed)) = (self.told, link.core().endpoint.closed()) {
            return Ok(closed);
        }
        let timeout = self.timeout.take();
        self.deadline = None;
        let ended = loop {
            let told = if self.in_parts { self.next_part(link) } else { self.next(link) };
            match told {
                Ok(None) | Err(Error::Unclean(_)) => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        self.timeout = timeout;
        ended?;
        link.core().endpoint.closed().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected).into())
    }
}
