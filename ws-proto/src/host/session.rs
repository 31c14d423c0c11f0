//! A server's connection from its first byte to its last, for hosts on a heap.

use core::{fmt, mem};

use alloc::boxed::Box;

use crate::{
    config::Config,
    connection::MessageBuffer,
    connection::{Output, Pending},
    endpoint::Endpoint,
    endpoint::State,
    error::SendError,
    event::Event,
    message::Message,
    role::Server,
    server::{Accept, Opening, OriginPolicy, Request},
    time::Instant,
};

/// A connection of a server, whatever it is at: for event loops with many of them.
///
/// It owns no buffer. What it takes to receive and to send is a [`Memory`], which a host lends it while it has
/// something to do, and leaves with it only while that [is not empty](Memory::is_empty).
///
/// A host reads, gives what it has read to [`receive`](Self::receive) or tells the end by
/// [`receive_eof`](Self::receive_eof), calls [`handle_timeout`](Self::handle_timeout) in any case, writes what
/// [`Memory::output`] has pending, tells by [`written`](Self::written) how much the transport has taken, and waits no longer than
/// [`poll_timeout`](Self::poll_timeout). A session that [is over](Self::is_over) is dropped with its transport.
#[allow(clippy::large_enum_variant, reason = "nearly all connections are open")]
pub enum Session<'a> {
    /// Its opening handshake is not complete.
    Opening(Box<Opening<'a>>),
    /// Open, or closing.
    Open(Endpoint<Server>),
    /// Over: to be dropped when the output is written.
    Closed,
}

/// What a [`Session`] needs while it has something to do.
#[derive(Debug)]
pub struct Memory {
    /// What has been received of a message.
    pub buffer: MessageBuffer<alloc::vec::Vec<u8>>,
    /// What is to be written.
    pub output: Output,
    /// What compresses; with one, a client's offer of compression is accepted as its settings say.
    #[cfg(feature = "deflate")]
    pub deflater: Option<crate::deflate::Deflater>,
}

/// What is kept of a message's room while it is lent on.
const KEPT: usize = 1 << 20;

impl Default for Memory {
    /// Memory for sessions with [`Config::default`].
    fn default() -> Self {
        Self::new(&Config::new())
    }
}

impl Memory {
    /// Creates memory for sessions with this configuration.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            buffer: MessageBuffer::default().keeping(KEPT),
            output: Output::with_config(config),
            #[cfg(feature = "deflate")]
            deflater: None,
        }
    }

    /// Whether nothing is unfinished, so that another session can have it. Output that is [lent](Output::lend_bytes) is
    /// unfinished until it is put back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        #[cfg(feature = "deflate")]
        if self.deflater.as_ref().is_some_and(|deflater| !deflater.is_idle()) {
            return false;
        }
        self.buffer.is_empty() && self.output.is_written()
    }
}

/// Where to send while a message is looked at.
pub struct Reply<'r> {
    endpoint: &'r mut Endpoint<Server>,
    output: &'r mut Output,
    #[cfg(feature = "deflate")]
    deflater: &'r mut Option<crate::deflate::Deflater>,
}

impl Reply<'_> {
    /// Queues a message, compressed if that has been agreed on. It goes out with the host's next write.
    ///
    /// # Errors
    ///
    /// As [`Endpoint::write_to`]; mostly [`SendError::Closing`].
    pub fn queue<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), SendError> {
        #[cfg(feature = "deflate")]
        if let Some(deflater) = self.deflater {
            return self.output.send_deflated(self.endpoint, message.into(), deflater);
        }
        self.output.send(self.endpoint, message.into())
    }

    /// The endpoint, for everything else.
    pub const fn endpoint(&mut self) -> &mut Endpoint<Server> {
        self.endpoint
    }
}

impl fmt::Debug for Reply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply").field("output", &self.output).finish_non_exhaustive()
    }
}

impl<'a> Session<'a> {
    /// Begins to wait for a request at `now`.
    #[must_use]
    pub fn new(config: &Config, origin: OriginPolicy<'a>, now: Instant) -> Self {
        Self::Opening(Box::new(Opening::new(config, origin, now)))
    }

    /// Takes what has been received. `answer` is asked once, as by [`Opening::receive`]; `on_message` sees each message,
    /// and replies.
    ///
    /// What the peer does wrong is answered; nothing is to be done about it.
    pub fn receive<'s>(
        &mut self,
        now: Instant,
        mut input: &mut [u8],
        memory: &mut Memory,
        answer: impl FnOnce(&Request<'_>) -> Result<Accept<'s>, u16>,
        mut on_message: impl FnMut(Message<'_>, Reply<'_>),
    ) {
        #[cfg(feature = "deflate")]
        let settings = memory.deflater.as_ref().map(crate::deflate::Deflater::settings);
        #[cfg(feature = "deflate")]
        let answer = |request: &Request<'_>| Ok(request.compress(answer(request)?, settings));
        let Memory { buffer, output, .. } = memory;
        if let Self::Opening(opening) = self {
            let Some((endpoint, received)) = opening.receive(now, &*mem::take(&mut input), output, answer) else {
                return;
            };
            *self = Self::Open(endpoint);
            // The first frames may have come with the request.
            *buffer = MessageBuffer::from(received).keeping(KEPT);
        }
        #[cfg(feature = "deflate")]
        buffer.set_inflate_limits(settings.map(|settings| settings.inflate).unwrap_or_default());
        let Self::Open(endpoint) = self else { return };
        while let Ok(Some(incoming)) = buffer.next_in(endpoint, now, &mut input) {
            let Event::Data(message) = incoming else {
                output.drain(endpoint);
                continue;
            };
            let reply = Reply {
                endpoint,
                output,
                #[cfg(feature = "deflate")]
                deflater: &mut memory.deflater,
            };
            on_message(message, reply);
        }
        output.drain(endpoint);
    }

    /// Tells that the peer has ended its direction of the transport.
    pub fn receive_eof(&mut self) {
        match self {
            Self::Opening(_) => *self = Self::Closed,
            Self::Open(endpoint) => endpoint.receive_eof(),
            Self::Closed => {}
        }
    }

    /// Takes note of an attempt to write: at `now` the transport took the first `len` bytes of the output.
    ///
    /// Call it after every attempt, with 0 after one that took nothing: see [`Output::written`].
    pub fn written(&mut self, now: Instant, len: usize, memory: &mut Memory) {
        let tell = memory.output.advance(now, len);
        if let (Self::Open(endpoint), true) = (self, tell) {
            endpoint.written(now);
        }
    }

    /// Writes all that is pending, through `write`: it returns how many bytes the transport has taken, and for
    /// [`Pending::Shutdown`] any number. Includes [`written`](Self::written).
    ///
    /// # Errors
    ///
    /// Those of `write`: when a transport takes no more for now, that is one.
    pub fn flush<E>(
        &mut self,
        now: Instant,
        memory: &mut Memory,
        mut write: impl FnMut(Pending<'_>) -> Result<usize, E>,
    ) -> Result<(), E> {
        while let Some(pending) = memory.output.pending() {
            let is_shutdown = pending == Pending::Shutdown;
            let result = write(pending);
            if is_shutdown {
                memory.output.shut_down();
            } else {
                // From an attempt that takes nothing on, the peer's time to take it counts.
                self.written(now, *result.as_ref().unwrap_or(&0), memory);
            }
            result?;
        }
        Ok(())
    }

    /// Takes output back that was [lent](Output::lend_bytes), of which the transport took the first `len` bytes at `now`: see
    /// [`Output::put_back`].
    pub fn put_back(&mut self, now: Instant, bytes: alloc::vec::Vec<u8>, len: usize, memory: &mut Memory) {
        let tell = memory.output.restore(now, bytes, len);
        if let (Self::Open(endpoint), true) = (self, tell) {
            endpoint.written(now);
        }
    }

    /// Runs timers and completes a close. Call it on every turn of the loop, after [`receive`](Self::receive).
    ///
    /// A peer that has taken [too little output for too long](Output::is_overdue) is given up: the output is dropped and the
    /// session is over.
    pub fn handle_timeout(&mut self, now: Instant, memory: &mut Memory) {
        if memory.output.is_overdue(now) {
            memory.output.abandon();
            *self = Self::Closed;
        }
        if let Self::Opening(_) = self {
            // Without bytes only the time can decide.
            self.receive(now, &mut [], memory, |_| Err(500), |_, _| {});
        }
        if let Self::Open(endpoint) = self {
            memory.output.handle_timeout(endpoint, now);
            if matches!(endpoint.state(), State::Closed(_)) {
                *self = Self::Closed;
            }
        }
    }

    /// Returns when to call [`handle_timeout`](Self::handle_timeout) at the latest.
    #[must_use]
    pub fn poll_timeout(&self, memory: &Memory) -> Option<Instant> {
        let own = match self {
            Self::Opening(opening) => opening.poll_timeout(),
            Self::Open(endpoint) => endpoint.poll_timeout(),
            Self::Closed => None,
        };
        [own, memory.output.poll_timeout()].into_iter().flatten().min()
    }

    /// Returns whether all is done: the session is closed and its output written.
    #[must_use]
    pub fn is_over(&self, memory: &Memory) -> bool {
        matches!(self, Self::Closed) && memory.output.is_written()
    }
}

impl fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opening(opening) => f.debug_tuple("Opening").field(opening).finish(),
            Self::Open(endpoint) => f.debug_tuple("Open").field(endpoint).finish(),
            Self::Closed => f.write_str("Closed"),
        }
    }
}
