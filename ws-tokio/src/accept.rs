use core::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use ws_proto::{
    Server,
    driver::{AcceptError, AcceptSettings, HeadBuffer},
    server::{Acceptance, Handshake, OriginPolicy},
};

use crate::{
    Agreed, Config, WebSocket,
    clock::Clock,
    exchange::Exchange,
    opening::{after, farewell, read_head, write_by},
};

/// Accepts the WebSocket connection that a client opens on `stream`, with all defaults.
///
/// Pages of other hosts are refused; use [`Acceptor::origin`] to admit them.
///
/// # Errors
///
/// See [`AcceptError`]. The client has been sent an answer.
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
) -> Result<WebSocket<Server, S>, AcceptError> {
    Box::pin(async { Acceptor::new().accept(stream).await }).await
}

/// Settings for accepting connections. One acceptor serves all connections of a server.
///
/// The futures of its methods own the stream: if one is dropped, the stream is too, and the peer sees its end.
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
    pub const fn write_timeout(mut self, timeout: Option<Duration>) -> Self {
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

    /// Accepts the connection that a client opens on any stream.
    ///
    /// # Errors
    ///
    /// See [`AcceptError`]. The client has been sent an answer.
    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
    ) -> Result<WebSocket<Server, S>, AcceptError> {
        // A future of its own: the memory of the opening is freed when that is complete.
        Box::pin(async { self.receive(stream).await?.accept().await }).await
    }

    /// Returns the connection that an HTTP library's response opens, with what `acceptance` says. Its stream follows.
    #[must_use]
    pub fn agree(&self, acceptance: &Acceptance<'_>) -> Agreed<Server> {
        Agreed::new(|now| self.settings.open(acceptance, now))
    }

    /// Reads a request from a stream, and leaves the answer to the caller.
    ///
    /// # Errors
    ///
    /// See [`AcceptError`]. The client has been sent an answer if its request is not valid or its page may not connect.
    pub async fn receive<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
    ) -> Result<Exchange<S>, AcceptError> {
        Box::pin(self.read_request(stream)).await
    }

    async fn read_request<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        mut stream: S,
    ) -> Result<Exchange<S>, AcceptError> {
        let clock = Clock::new();
        let settings = &self.settings;
        let mut handshake = Handshake::new(clock.now(), &settings.config);
        let mut head = HeadBuffer::new();
        let read = read_head(&mut head, &mut stream, clock, &mut handshake).await;
        match settings.receive(handshake, head, read) {
            Ok(request) => Ok(Exchange::new(stream, request, settings.answer_timeout(), clock)),
            Err((error, response)) => {
                if let Some(response) = response {
                    // An error means that the peer has gone, and then no answer is needed.
                    if write_by(&mut stream, &response, after(settings.answer_timeout())).await.is_ok() {
                        farewell(&mut stream).await;
                    }
                }
                Err(error)
            }
        }
    }
}
