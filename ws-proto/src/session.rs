//! A server's connection from its first byte to its last, for hosts on a heap.

use core::{fmt, mem, time::Duration};

use alloc::boxed::Box;

use crate::{
    closing::State,
    config::Config,
    endpoint::Endpoint,
    error::SendError,
    message::Message,
    message_buffer::{Incoming, MessageBuffer},
    output::Output,
    role::Server,
    server::{Accept, Opening, OriginPolicy, Request},
    time::Instant,
};

/// How long a peer has to take what is left when its connection is closed.
const FLUSH_TIME: Duration = Duration::from_secs(10);

/// A connection of a server, whatever it is at: for event loops with many of them.
///
/// It owns no buffer. What it takes to receive and to send is a [`Memory`], which a host lends it while it has
/// something to do, and leaves with it only while that [is not empty](Memory::is_empty).
///
/// A host reads, gives what it has read to [`receive`](Self::receive) or tells the end by
/// [`receive_eof`](Self::receive_eof), calls [`handle_timeout`](Self::handle_timeout) in any case, writes what
/// [`Memory::output`] has pending, and waits no longer than [`poll_timeout`](Self::poll_timeout). A session that is
/// [`Closed`](Self::Closed) is dropped with its transport once the output is written.
#[allow(clippy::large_enum_variant, reason = "nearly all connections are open")]
pub enum Session<'a> {
    /// Its opening handshake is not complete.
    Opening(Box<Opening<'a>>),
    /// Open, or closing.
    Open(Endpoint<Server>),
    /// Over: to be dropped when the output is written, or at this time.
    Closed(Instant),
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
    fn default() -> Self {
        Self {
            buffer: MessageBuffer::default().keeping(KEPT),
            output: Output::new(),
            #[cfg(feature = "deflate")]
            deflater: None,
        }
    }
}

impl Memory {
    /// Whether nothing is unfinished, so that another session can have it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        #[cfg(feature = "deflate")]
        if self.deflater.as_ref().is_some_and(|deflater| !deflater.is_idle()) {
            return false;
        }
        self.buffer.is_empty() && self.output.is_empty()
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
    /// Queues a message, compressed if that has been agreed on.
    ///
    /// # Errors
    ///
    /// As [`Endpoint::write_to`]; mostly [`SendError::Closing`].
    pub fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> Result<(), SendError> {
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
        let answer = |request: &Request<'_>| Ok(answer(request)?.deflate_as(settings, request));
        let Memory { buffer, output, .. } = memory;
        if let Self::Opening(opening) = self {
            let Some((endpoint, received)) = opening.receive(now, &*mem::take(&mut input), output, answer) else {
                return;
            };
            *self = Self::Open(endpoint);
            // The first frames may have come with the request.
            *buffer = MessageBuffer::from(received).keeping(KEPT);
        }
        let Self::Open(endpoint) = self else { return };
        while let Ok(Some(incoming)) = buffer.next_in(endpoint, now, &mut input) {
            let Incoming::Message(message) = incoming else {
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
    pub fn receive_eof(&mut self, now: Instant) {
        match self {
            Self::Opening(_) => *self = Self::Closed(now),
            Self::Open(endpoint) => endpoint.receive_eof(),
            Self::Closed(_) => {}
        }
    }

    /// Does what is due, behind all that has been received; also what follows from it without time.
    pub fn handle_timeout(&mut self, now: Instant, memory: &mut Memory) {
        if let Self::Opening(_) = self {
            // Without bytes only the time can decide.
            self.receive(now, &mut [], memory, |_| Err(500), |_, _| {});
        }
        if let Self::Open(endpoint) = self {
            endpoint.handle_timeout(now);
            memory.output.drain(endpoint);
            if matches!(endpoint.state(), State::Closed(_)) {
                *self = Self::Closed(now.saturating_add(FLUSH_TIME));
            }
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Self::Opening(opening) => opening.poll_timeout(),
            Self::Open(endpoint) => endpoint.poll_timeout(),
            Self::Closed(end) => Some(*end),
        }
    }
}

impl fmt::Debug for Session<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opening(opening) => f.debug_tuple("Opening").field(opening).finish(),
            Self::Open(endpoint) => f.debug_tuple("Open").field(endpoint).finish(),
            Self::Closed(end) => f.debug_tuple("Closed").field(end).finish(),
        }
    }
}
