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
/// Pages of other hosts are refused; use [`Acceptor::origin`] to admit them.
///
/// # Errors
///
/// See [`AcceptError`]. The client has been sent an answer.
pub fn accept<S>(stream: S) -> Result<WebSocket<Server>, AcceptError>
where
    S: TryInto<Socket>,
    AcceptError: From<S::Error>,
{
    Acceptor::new().accept(stream)
}

/// Settings for accepting connections. One acceptor serves all connections of a server.
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
    /// Creates an acceptor with all defaults: pages of the same host only, and [`Config::default`].
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

    /// Sets the pages that may connect, by their origin (RFC 6455 section 10.2).
    #[must_use]
    pub fn origin(self, origin: OriginPolicy<'a>) -> Self {
        Self { origin, ..self }
    }

    /// Sets [`Config::write_timeout`]: the time in which the peer has to take some of our bytes. Call it after
    /// [`config`](Self::config), which replaces it.
    #[must_use]
    pub fn write_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.terms.config.write_timeout = timeout;
        self
    }

    /// Compresses messages as far as the client agrees (RFC 7692); [`deflate`](crate::deflate) lists the costs.
    ///
    /// With settings without context takeover, the connections of this acceptor and of its clones share a pool of
    /// compressors, and an idle connection holds none.
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
    /// See [`AcceptError`]. The client has been sent an answer.
    pub fn accept<S>(&self, stream: S) -> Result<WebSocket<Server>, AcceptError>
    where
        S: TryInto<Socket>,
        AcceptError: From<S::Error>,
    {
        self.receive(stream.try_into()?)?.accept()
    }

    /// Answers the request for a connection that comes over any transport as `answer` decides: it accepts or refuses.
    ///
    /// # Errors
    ///
    /// See [`AcceptError`]. The client has been sent an answer.
    pub fn accept_over<T: Transport>(
        &self,
        transport: T,
        answer: impl FnOnce(&Request<'_>) -> Answer,
    ) -> Result<WebSocket<Server, T>, AcceptError> {
        self.serve(transport, answer, |_| None)?.ok_or(AcceptError::Handshake(HandshakeError::UpgradeRequired))
    }

    /// Answers like [`accept_over`](Self::accept_over), and other requests with a page. `None`: a page has been sent.
    ///
    /// Where `page` returns `None`, the client is sent 426 (Upgrade Required).
    ///
    /// # Errors
    ///
    /// See [`AcceptError`]. The client has been sent an answer.
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
    /// See [`AcceptError`]. The client has been sent an answer if its request is not valid or its page may not connect.
    pub fn receive<T: Transport>(&self, transport: T) -> Result<Exchange<T>, AcceptError> {
        self.receive_over(Arc::new(transport))
    }

    /// Reads a request like [`receive`](Self::receive), over a transport that the server can end during that.
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

    /// Sends the answer to a request that is at fault, and returns the error for the application.
    fn refuse(&self, transport: &impl Transport, head: &HeadBuffer, error: HandshakeError) -> AcceptError {
        let mut response = Vec::new();
        error.write_response_to(head.received(), &mut response);
        // An error means that the peer has gone, and then no answer is needed.
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
