//! The reading side of a connection: one loop that obeys the one law, whoever holds the link.

use core::time::Duration;
use std::{io, time::Instant};

use ws_proto::{CloseCode, Closed, Event, Message, MessageBuffer, ReceiveError, message::Data};

use crate::{
    compression::Compression,
    error::{Error, Result},
    outgoing::{flush, flush_before_read, queue_close},
    output::Core,
    shared::Link,
    transport::Transport,
};

/// What has been read of a connection, and when.
pub(crate) struct Incoming {
    pub(crate) buffer: MessageBuffer<Vec<u8>>,
    compression: Compression,
    /// The time of the last read: all that it held arrived then.
    now: ws_proto::Instant,
    /// How long a call may wait for the peer.
    pub(crate) timeout: Option<Duration>,
    /// When the wait of the call at hand is over, once it waits.
    deadline: Option<Instant>,
    /// Whether the call before looked for parts rather than whole messages.
    in_parts: bool,
    /// Whether the transport has been looked at since a timeout of the endpoint passed.
    looked: bool,
    /// Whether the application knows that the connection has ended.
    told: bool,
}

/// The least that a read may wait: what has arrived already is seen however late it is.
const LOOK: Duration = Duration::from_millis(1);

impl Incoming {
    /// `buffer` may hold bytes that came behind the opening handshake.
    pub(crate) const fn new(
        buffer: MessageBuffer<Vec<u8>>,
        compression: Compression,
        now: ws_proto::Instant,
    ) -> Self {
        Self {
            buffer,
            compression,
            now,
            timeout: None,
            deadline: None,
            in_parts: true,
            looked: false,
            told: false,
        }
    }

    /// Reads until there is a message, which the buffer lends, or a control frame; `None` is the end.
    fn next<L: Link>(&mut self, link: &mut L) -> Result<Option<Event<()>>> {
        self.in_parts = false;
        self.until(link, |this, core| {
            let event = this.buffer.next(&mut core.endpoint, this.now)?;
            Ok(event.map(|event| event.map(|_| ())))
        })
    }

    /// Reads until there is part of a message, which the buffer lends, or a control frame; `None` is the end.
    fn next_part<L: Link>(&mut self, link: &mut L) -> Result<Option<Event<()>>> {
        self.in_parts = true;
        self.until(link, |this, core| this.buffer.next_part(&mut core.endpoint, this.now))
    }

    /// Reads the next message; `None` is the end.
    pub(crate) fn read<L: Link>(&mut self, link: &mut L) -> Result<Option<Message<'_>>> {
        self.deadline = None;
        loop {
            match self.next(link)? {
                Some(Event::Data(())) => return Ok(self.buffer.message()),
                Some(Event::Control(_)) => {}
                None => return Ok(None),
            }
        }
    }

    /// Reads the next message or control frame; `None` is the end.
    pub(crate) fn read_event<L: Link>(&mut self, link: &mut L) -> Result<Option<Event<Message<'_>>>> {
        self.deadline = None;
        Ok(match self.next(link)? {
            Some(Event::Data(())) => self.buffer.message().map(Event::Data),
            Some(Event::Control(control)) => Some(Event::Control(control)),
            None => None,
        })
    }

    /// Reads the next part of a message; `None` is the end.
    pub(crate) fn read_part<L: Link>(&mut self, link: &mut L) -> Result<Option<Data<'_>>> {
        self.deadline = None;
        loop {
            match self.next_part(link)? {
                Some(Event::Data(())) => return Ok(self.buffer.take_part()),
                Some(Event::Control(_)) => {}
                None => return Ok(None),
            }
        }
    }

    /// Reads until `look` finds something in what has been read.
    fn until<L: Link>(
        &mut self,
        link: &mut L,
        look: impl Fn(&mut Self, &mut Core<L::Role>) -> core::result::Result<Option<Event<()>>, ReceiveError>,
    ) -> Result<Option<Event<()>>> {
        loop {
            self.compression.lend(&mut self.buffer);
            let mut core = link.core();
            let found = look(self, &mut core);
            // A message leaves nothing to be said.
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
            // What has been read already takes no time.
            let limit = |timeout: Duration| Instant::now().checked_add(timeout.max(LOOK));
            self.deadline = self.deadline.or_else(|| self.timeout.and_then(limit));
            if let Some(closed) = self.wait(link, self.deadline)? {
                return if closed.clean { Ok(None) } else { Err(Error::Unclean(closed)) };
            }
        }
    }

    /// Writes what waits, then reads once; how the connection has ended, if it has.
    ///
    /// The end is told once as soon as it is certain. Later calls drain the transport, and tell it again after that.
    fn wait<L: Link>(&mut self, link: &mut L, limit: Option<Instant>) -> Result<Option<Closed>> {
        let pause = self.flush(link)?;
        if let Some(closed) = self.ended(link, pause) {
            return Ok(Some(closed));
        }
        let clock = link.shared().clock;
        let now = Instant::now();
        let mut core = link.core();
        let timeout = core.endpoint.poll_timeout().and_then(|at| clock.to_system(at));
        let overdue = timeout.is_some_and(|timeout| timeout <= now);
        if overdue && self.looked {
            self.looked = false;
            core.handle_timeout(clock.now());
            return Ok(None);
        }
        self.looked = overdue;
        self.compression.take_back(&mut self.buffer);
        let room = self.buffer.unfilled(&core.endpoint);
        drop(core);
        let timeout = timeout.map(|timeout| timeout.max(now + LOOK));
        let retry = pause.and_then(|pause| now.checked_add(pause));
        let look_again = if link.is_shared() { link.shared().look_again(now) } else { None };
        let deadline = [timeout, limit, retry, look_again].into_iter().flatten().min();
        let result = link.shared().transport().read(room, deadline);
        self.now = clock.now();
        match result {
            Ok(0) => link.core().endpoint.receive_eof(),
            Ok(len) => self.buffer.filled(len),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                link.core().handle_timeout(self.now);
                if timeout.is_some_and(|timeout| timeout <= Instant::now()) {
                    // Whatever is due, the connection has been idle.
                    link.core().release();
                    self.buffer.release();
                }
                if limit.is_some_and(|limit| limit <= Instant::now()) {
                    // A Ping that has become due goes out all the same.
                    self.flush(link)?;
                    return Err(Error::TimedOut);
                }
            }
            Err(error) => return self.transport_failed(link, error).map(Some),
        }
        Ok(None)
    }

    /// How the connection has ended, if that is to be told now.
    fn ended<L: Link>(&mut self, link: &mut L, pause: Option<Duration>) -> Option<Closed> {
        let core = link.core();
        let (closed, certain) = (core.closed(), core.ended());
        drop(core);
        if closed.is_some() && pause.is_some() {
            // No input is left, so that the last words may take their time.
            let _ = flush(link);
        }
        let told = closed.or_else(|| certain.filter(|_| !self.told))?;
        self.told = true;
        link.shared().notify();
        Some(told)
    }

    /// Writes what waits; how long to read before the next try, if some of it has to wait longer.
    fn flush<L: Link>(&self, link: &mut L) -> Result<Option<Duration>> {
        match flush_before_read(link) {
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::TimedOut => Err(Error::Io(error)),
            // What the peer sent before it went away can still be read; the read tells when there is no more.
            Err(_) => Ok(None),
            Ok(pause) => Ok(pause),
        }
    }

    /// The transport has failed. After a complete closing handshake that is a clean end.
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

    /// The connection has failed: the peer is told at once, and the application. Later calls let the connection end in its
    /// own time, within the endpoint's timeouts.
    fn failed<L: Link>(&mut self, link: &mut L) {
        if !self.told {
            self.told = true;
            // Output that takes longer goes out later, or when the connection is dropped.
            let _ = self.flush(link);
            link.shared().notify();
            return;
        }
        while let Ok(None) = self.wait(link, None) {
            let mut core = link.core();
            // The error is known; what matters is that the input is taken.
            let _ = self.buffer.next_part(&mut core.endpoint, self.now);
            core.drain();
        }
    }

    /// Sends a Close, unless there was one, and waits for the end. Messages that still come are dropped.
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
