mod error;

use core::time::Duration;
use std::sync::Arc;

use ws_proto::{
    handshake::HandshakeError,
    server::{Handshake, Head, OriginMismatch, OriginPolicy, PlainRequest, Request},
};

#[cfg(feature = "deflate")]
use crate::compression::Pool;
use crate::{
    Config, Socket, WebSocket,
    answer::{Answer, Page},
    clock::Clock,
    exchange::{Exchange, Terms},
    opening::{HeadBuffer, HeadError, farewell, write_within},
    role::Server,
    transport::Transport,
};
pub use error::AcceptError;

/// Accepts the WebSocket connection that a client opens on `stream`, with all defaults.
///
/// Pages of other hosts are refused; [`Acceptor::origin`] lets them in.
///
/// # Errors
///
/// See [`AcceptError`]. The client has been answered.
pub fn accept<S>(stream: S) -> Result<WebSocket<Server>, AcceptError>
where
    S: TryInto<Socket>,
    AcceptError: From<S::Error>,
{
    Acceptor::new().accept(stream)
}

/// Accepts connections. One acceptor serves for all connections of a server.
#[derive(Clone, Debug)]
pub struct Acceptor<'a> {
    origin: OriginPolicy<'a>,
    terms: Terms,
}

impl Default for Acceptor<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Acceptor<'a> {
    /// Takes all defaults: pages of the same host only, [`Config::default`], 30 s for a peer that takes no bytes.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            origin: OriginPolicy::SameHost,
            terms: Terms {
                config: Config::new(),
                #[cfg(feature = "deflate")]
                pool: None,
            },
        }
    }

    /// Sets limits and timeouts.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.terms.config = config;
        self
    }

    /// Sets which pages may connect (RFC 6455 section 10.2).
    #[must_use]
    pub fn origin(self, origin: OriginPolicy<'a>) -> Self {
        Self { origin, ..self }
    }

    /// Sets [`Config::write_timeout`]: how long the peer may take none of the bytes that we write. Call it after
    /// [`config`](Self::config).
    #[must_use]
    pub fn write_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.terms.config.write_timeout = timeout;
        self
    }

    /// Compresses messages as far as the client agrees (RFC 7692); see [`deflate`](crate::deflate) for what that takes.
    ///
    /// With a profile without context takeover, the connections of this acceptor and its clones share a pool of
    /// compressors, so that an idle one has none.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, settings: crate::deflate::Settings) -> Self {
        self.terms.pool = Some(Pool::new(settings));
        self
    }

    /// Accepts the connection that a client opens on a socket: a `TcpStream`, a `UnixStream`, a [`Socket`] or a
    /// [`socket2::Socket`].
    ///
    /// # Errors
    ///
    /// See [`AcceptError`]. The client has been answered.
    pub fn accept<S>(&self, stream: S) -> Result<WebSocket<Server>, AcceptError>
    where
        S: TryInto<Socket>,
        AcceptError: From<S::Error>,
    {
        self.receive(stream.try_into()?)?.accept()
    }

    /// Accepts the connection that a client opens on any transport, if `answer` says so.
    ///
    /// # Errors
    ///
    /// See [`AcceptError`]. The client has been answered.
    pub fn accept_over<T: Transport>(
        &self,
        transport: T,
        answer: impl FnOnce(&Request<'_>) -> Answer,
    ) -> Result<WebSocket<Server, T>, AcceptError> {
        self.serve(transport, answer, |_| None)?.ok_or(AcceptError::Handshake(HandshakeError::UpgradeRequired))
    }

    /// [`accept_over`](Self::accept_over) that also serves pages; `None` if it has served one.
    ///
    /// Where `page` has none, the client is told to ask for a connection (426).
    ///
    /// # Errors
    ///
    /// See [`AcceptError`]. The client has been answered.
    pub fn serve<T: Transport>(
        &self,
        transport: T,
        answer: impl FnOnce(&Request<'_>) -> Answer,
        page: impl FnOnce(&PlainRequest<'_>) -> Option<Page>,
    ) -> Result<Option<WebSocket<Server, T>>, AcceptError> {
        let exchange = self.receive(transport)?;
        match exchange.request() {
            Some(Head::Upgrade(request)) => {
                let answer = answer(&request);
                exchange.accept_with(answer).map(Some)
            }
            Some(Head::Plain(request)) => match page(&request) {
                Some(page) => exchange.page(&page).map(|()| None),
                None => exchange.accept().map(Some),
            },
            None => exchange.accept().map(Some),
        }
    }

    /// Reads a request from a transport, and leaves the answer to the caller.
    ///
    /// # Errors
    ///
    /// See [`AcceptError`]. A request that is not valid, or of a page that may not connect, has been answered.
    pub fn receive<T: Transport>(&self, transport: T) -> Result<Exchange<T>, AcceptError> {
        self.receive_over(Arc::new(transport))
    }

    /// [`receive`](Self::receive) over a transport that its server can end meanwhile.
    pub(crate) fn receive_over<T: Transport>(&self, transport: Arc<T>) -> Result<Exchange<T>, AcceptError> {
        let clock = Clock::new();
        let mut handshake = Handshake::new(clock.now(), &self.terms.config);
        let mut head = HeadBuffer::new();
        let len = match head.read(&*transport, clock, &mut handshake) {
            Ok(len) => len,
            Err(HeadError::BeforeFirstByte(_)) => return Err(AcceptError::NoRequest),
            Err(HeadError::Io(error)) => return Err(error.into()),
            Err(HeadError::Handshake(error)) => return Err(self.refuse(&*transport, &head, error)),
        };
        if let Err(error) = handshake.request(head.received(), self.origin) {
            return Err(self.refuse(&*transport, &head, error));
        }
        Ok(Exchange::new(transport, self.terms.clone(), clock, handshake, (head, len)))
    }

    /// Tells the client that its request is at fault.
    fn refuse(&self, transport: &impl Transport, head: &HeadBuffer, error: HandshakeError) -> AcceptError {
        let mut response = Vec::new();
        error.write_response_to(head.received(), &mut response);
        // A peer that is gone needs no answer.
        if write_within(transport, &response, self.terms.answer_timeout()).is_ok() {
            farewell(transport);
        }
        match error {
            HandshakeError::Origin => {
                AcceptError::Origin(OriginMismatch::of_head(head.received()).to_string().into())
            }
            error => AcceptError::Handshake(error),
        }
    }
}
