//! The opening handshake as a phase of a connection, for both roles (RFC 6455 section 4).

use core::{fmt, mem, ops::Deref};

use super::{
    failure::Failure,
    memory::{Allocation, Ending, Sending},
};
use crate::{
    client,
    config::Config,
    endpoint::Endpoint,
    handshake::{HandshakeError, WriteError},
    role::{Client, Entropy, Role, Server},
    server::{self, Accept, Head, OriginPolicy, Reject},
    time::Instant,
};

/// Heap memory for the state of a phase, if there is a heap: most connections are open, and need none of it.
#[cfg(feature = "alloc")]
pub(super) type Held<T> = alloc::boxed::Box<T>;
#[cfg(not(feature = "alloc"))]
pub(super) type Held<T> = T;

#[cfg(feature = "alloc")]
pub(super) fn hold<T>(state: T) -> Held<T> {
    alloc::boxed::Box::new(state)
}

#[cfg(not(feature = "alloc"))]
pub(super) const fn hold<T>(state: T) -> Held<T> {
    state
}

/// The phase of a connection.
#[allow(clippy::large_enum_variant, reason = "nearly all connections are open")]
pub(super) enum Phase<'a, R: Opens> {
    /// The opening handshake is not complete.
    Opening(Held<R::State<'a>>),
    /// Open, closing, or draining the transport.
    Open(Endpoint<R>),
    /// The connection has ended; only the output that waits is still to be written.
    Over,
}

/// The role of a [`Connection`](super::Connection), from its opening handshake on: [`Server`] or [`Client`].
pub trait Opens: Role + Sized {
    /// The state of the handshake.
    #[doc(hidden)]
    type State<'a>;
    /// The content of [`Next::Opening`](super::Next::Opening): for a server the [`Request`] to answer, for a client the
    /// server's [`Answer`](client::Answer).
    type Opening<'c, 'a: 'c, S: Allocation + 'c>
    where
        Self: 'c;

    #[doc(hidden)]
    fn poll_head(
        state: &mut Self::State<'_>,
        now: Instant,
        received: &[u8],
    ) -> Result<Option<usize>, HandshakeError>;

    #[doc(hidden)]
    fn poll_timeout(state: &Self::State<'_>) -> Option<Instant>;

    /// Takes the head at the start of the received bytes; an error is to [end](Self::fail) the handshake.
    #[doc(hidden)]
    fn open<'c, 'a, S: Allocation + 'c>(
        parts: Parts<'c, 'a, Self, S>,
        head_len: usize,
    ) -> Result<Self::Opening<'c, 'a, S>, (Parts<'c, 'a, Self, S>, HandshakeError)>;

    /// Ends the handshake by `error`.
    #[doc(hidden)]
    fn fail<S: Allocation>(parts: Parts<'_, '_, Self, S>, error: HandshakeError);
}

/// The parts of a connection that opens.
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "never seen outside")]
pub struct Parts<'c, 'a, R: Opens, S: Allocation> {
    pub(super) phase: &'c mut Phase<'a, R>,
    pub(super) received: &'c [u8],
    /// The position of `received` in the storage; moved on past bytes that have been taken.
    pub(super) start: &'c mut usize,
    pub(super) sending: &'c mut Sending<S::Queue>,
    pub(super) ending: &'c mut Ending,
    pub(super) now: Instant,
}

/// The state of a server's handshake.
#[doc(hidden)]
#[derive(Debug)]
pub struct Accepting<'a> {
    handshake: server::Handshake,
    config: Config,
    origin: OriginPolicy<'a>,
}

impl<'a> Accepting<'a> {
    pub(super) fn new(config: &Config, origin: OriginPolicy<'a>, now: Instant) -> Self {
        Self { handshake: server::Handshake::new(now, config), config: config.clone(), origin }
    }
}

impl Opens for Server {
    type State<'a> = Accepting<'a>;
    type Opening<'c, 'a: 'c, S: Allocation + 'c> = Request<'c, 'a, S>;

    fn poll_head(
        state: &mut Accepting<'_>,
        now: Instant,
        received: &[u8],
    ) -> Result<Option<usize>, HandshakeError> {
        state.handshake.poll_head(now, received)
    }

    fn poll_timeout(state: &Accepting<'_>) -> Option<Instant> {
        state.handshake.poll_timeout()
    }

    fn open<'c, 'a, S: Allocation + 'c>(
        parts: Parts<'c, 'a, Self, S>,
        head_len: usize,
    ) -> Result<Self::Opening<'c, 'a, S>, (Parts<'c, 'a, Self, S>, HandshakeError)> {
        let found = match &*parts.phase {
            Phase::Opening(state) => state.handshake.request(parts.received, state.origin),
            Phase::Open(_) | Phase::Over => Err(HandshakeError::Syntax),
        };
        match found.and_then(Head::into_request) {
            Ok(request) => Ok(Request { request, parts, head_len }),
            Err(error) => Err((parts, error)),
        }
    }

    fn fail<S: Allocation>(mut parts: Parts<'_, '_, Self, S>, error: HandshakeError) {
        let received = parts.received;
        // A queue without room for a refusal sends none.
        let _ = parts.sending.output.append_head(|out| Ok((error.write_response(received, out)?, ())));
        if let Some(mut endpoint) = parts.refused() {
            // The failure is returned instead.
            endpoint.take_end();
            *parts.phase = Phase::Open(endpoint);
        }
    }
}

impl<S: Allocation> Parts<'_, '_, Server, S> {
    /// Returns the endpoint that ends the transport once the answer is written. Received bytes are ignored from then
    /// on.
    fn refused(&mut self) -> Option<Endpoint<Server>> {
        *self.start += self.received.len();
        match self.phase {
            Phase::Opening(state) => Some(Endpoint::refused(&state.config, self.now)),
            Phase::Open(_) | Phase::Over => None,
        }
    }
}

/// A request for a WebSocket that is to be answered; its parts are those of [`server::Request`].
///
/// If it is dropped without an answer, the next call of [`next`](super::Connection::next) returns it again.
pub struct Request<'c, 'a, S: Allocation> {
    request: server::Request<'c>,
    parts: Parts<'c, 'a, Server, S>,
    head_len: usize,
}

impl<S: Allocation> Request<'_, '_, S> {
    /// Opens the connection: queues the response.
    ///
    /// # Errors
    ///
    /// A further field of `answer` cannot be sent, or the queue has no room. On an error everything is unchanged, and
    /// the request can still be refused. A second answer is ignored.
    pub fn accept(&mut self, answer: &Accept<'_>) -> Result<(), WriteError> {
        let Phase::Opening(state) = &*self.parts.phase else {
            return Ok(());
        };
        let answer = self.request.resolve(*answer);
        #[cfg(feature = "deflate")]
        let answer = self
            .request
            .compress(answer, self.parts.sending.deflater.as_ref().map(|deflater| deflater.settings()));
        let (upgrade, now) = (self.request.upgrade(), self.parts.now);
        let endpoint =
            self.parts.sending.output.append_head(|out| upgrade.accept(&answer, &state.config, now, out))?;
        *self.parts.start += self.head_len;
        *self.parts.phase = Phase::Open(endpoint);
        Ok(())
    }

    /// Refuses the request: queues the response. The connection ends, by [`Cause::Refused`](super::Cause::Refused),
    /// when the peer has had time to read it.
    ///
    /// # Errors
    ///
    /// A field of `answer` cannot be sent, its status does not refuse, or the queue has no room. On an error everything
    /// is unchanged. A second answer is ignored.
    pub fn reject(&mut self, answer: &Reject<'_>) -> Result<(), WriteError> {
        if !matches!(self.parts.phase, Phase::Opening(_)) {
            return Ok(());
        }
        let received = self.parts.received;
        self.parts.sending.output.append_head(|out| Ok((server::reject(answer, received, out)?, ())))?;
        if let Some(endpoint) = self.parts.refused() {
            *self.parts.phase = Phase::Open(endpoint);
        }
        Ok(())
    }
}

impl<'c, S: Allocation> Deref for Request<'c, '_, S> {
    type Target = server::Request<'c>;

    fn deref(&self) -> &server::Request<'c> {
        &self.request
    }
}

impl<S: Allocation> fmt::Debug for Request<'_, '_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.request.fmt(f)
    }
}

/// The state of a client's handshake.
#[doc(hidden)]
#[allow(missing_debug_implementations, reason = "never seen outside")]
pub struct Connecting<'a, E> {
    handshake: client::Handshake<'a>,
    config: Config,
    role: Client<E>,
}

impl<'a, E: Entropy> Connecting<'a, E> {
    pub(super) const fn new(handshake: client::Handshake<'a>, config: Config, role: Client<E>) -> Self {
        Self { handshake, config, role }
    }
}

impl<E: Entropy> Opens for Client<E> {
    type State<'a> = Connecting<'a, E>;
    type Opening<'c, 'a: 'c, S: Allocation + 'c>
        = client::Answer<'c, 'a>
    where
        E: 'c;

    fn poll_head(
        state: &mut Connecting<'_, E>,
        now: Instant,
        received: &[u8],
    ) -> Result<Option<usize>, HandshakeError> {
        state.handshake.poll_head(now, received)
    }

    fn poll_timeout(state: &Connecting<'_, E>) -> Option<Instant> {
        state.handshake.poll_timeout()
    }

    fn open<'c, 'a, S: Allocation + 'c>(
        parts: Parts<'c, 'a, Self, S>,
        head_len: usize,
    ) -> Result<Self::Opening<'c, 'a, S>, (Parts<'c, 'a, Self, S>, HandshakeError)> {
        let found = match &*parts.phase {
            Phase::Opening(state) => state.handshake.answer(parts.received),
            Phase::Open(_) | Phase::Over => Err(HandshakeError::Syntax),
        };
        match found {
            Ok(answer) => {
                *parts.start += head_len;
                parts.opened(&answer);
                Ok(answer)
            }
            Err(error) => Err((parts, error)),
        }
    }

    fn fail<S: Allocation>(parts: Parts<'_, '_, Self, S>, _error: HandshakeError) {
        *parts.start += parts.received.len();
        // Even if the request has not left: its answer would not be read.
        parts.sending.output.abandon();
        *parts.phase = Phase::Over;
    }
}

impl<'a, E: Entropy, S: Allocation> Parts<'_, 'a, Client<E>, S> {
    /// Moves on to the phase that the server's answer leads to: an open connection, or the end.
    fn opened(self, answer: &client::Answer<'_, 'a>) {
        let Phase::Opening(state) = mem::replace(self.phase, Phase::Over) else {
            return;
        };
        #[cfg(feature = "alloc")]
        let state = *state;
        let Connecting { config, role, .. } = state;
        *self.phase = match answer {
            client::Answer::Open(response) => Phase::Open(response.open(role, &config, self.now)),
            client::Answer::Refused(refusal) => {
                self.ending.result = Some(Err(Failure::Refused(refusal.status())));
                self.sending.output.abandon();
                Phase::Over
            }
        };
    }
}
