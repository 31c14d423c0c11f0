use core::time::Duration;
use std::{sync::Arc, time::Instant};

use ws_proto::{
    driver::{AcceptError, AcceptSettings, Answer, HeadBuffer, Page},
    handshake::HandshakeError,
    server::{Handshake, Head, OriginPolicy, PlainRequest, Request},
};

use crate::{
    Config, NetStream, Socket, WebSocket,
    clock::Clock,
    exchange::Exchange,
    opening::{farewell, read_head, system_deadline, write_within},
    role::Server,
    transport::Transport,
};

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
    settings: AcceptSettings<'a>,
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
        Self { settings: AcceptSettings::new() }
    }

    /// Sets limits and timeouts.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.settings.config = config;
        self
    }

    /// Sets the pages that may connect, by their origin (RFC 6455 section 10.2).
    #[must_use]
    pub const fn origin(mut self, origin: OriginPolicy<'a>) -> Self {
        self.settings.origin = origin;
        self
    }

    /// Sets [`Config::write_timeout`]: the time in which the peer has to take some of our bytes. Call it after
    /// [`config`](Self::config), which replaces it.
    #[must_use]
    pub fn write_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.settings.config.write_timeout = timeout;
        self
    }

    /// Compresses messages as far as the client agrees (RFC 7692); [`deflate`](crate::deflate) lists the costs.
    ///
    /// With settings without context takeover, the connections of this acceptor and of its clones share a pool of
    /// compressors, and an idle connection holds none.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, settings: crate::deflate::Settings) -> Self {
        self.settings.set_deflate(settings);
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
        self.receive(NetStream::from(stream.try_into()?))?.accept()
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
        match exchange.head() {
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
        self.receive_after(Arc::new(transport), |_, _| Ok(()))
    }

    /// Reads a request like [`receive`](Self::receive), over a transport that the server can end during that, and that
    /// `prepare` makes ready until a deadline.
    pub(crate) fn receive_after<T: Transport>(
        &self,
        transport: Arc<T>,
        prepare: impl FnOnce(&T, Option<Instant>) -> Result<(), AcceptError>,
    ) -> Result<Exchange<T>, AcceptError> {
        let clock = Clock::new();
        let settings = &self.settings;
        let mut handshake = Handshake::new(clock.now(), &settings.config);
        prepare(&transport, system_deadline(&handshake, clock))?;
        let mut head = HeadBuffer::new();
        let read = read_head(&mut head, &*transport, clock, &mut handshake);
        match settings.receive(handshake, head, read) {
            Ok(request) => Ok(Exchange::new(transport, request, settings.answer_timeout(), clock)),
            Err((error, response)) => {
                if let Some(response) = response {
                    // An error means that the peer has gone, and then no answer is needed.
                    if write_within(&*transport, &response, settings.answer_timeout()).is_ok() {
                        farewell(&*transport);
                    }
                }
                Err(error)
            }
        }
    }
}
