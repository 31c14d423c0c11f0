use core::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
#[cfg(feature = "rustls")]
use tokio::net::TcpStream;
use ws_proto::{
    Server,
    driver::{AcceptError, AcceptSettings, HeadBuffer},
    server::{Acceptance, Handshake, OriginPolicy},
};
#[cfg(feature = "rustls")]
use ws_proto::{driver::ServerTls, handshake::HandshakeError};

use crate::{
    Agreed, Config, WebSocket,
    clock::Clock,
    exchange::Exchange,
    opening::{after, farewell, read_head, write_by},
};
#[cfg(feature = "rustls")]
use crate::{
    NetStream,
    opening::{by, deadline},
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
        Box::pin(self.begin().read_request(stream)).await
    }

    /// Reads a request from a stream of TCP, after the TLS handshake if there are settings for it.
    #[cfg(feature = "rustls")]
    pub(crate) async fn receive_from_net(
        &self,
        stream: TcpStream,
        tls: Option<&ServerTls>,
    ) -> Result<Exchange, AcceptError> {
        let receiving = self.begin();
        let stream = match tls {
            None => stream.into(),
            Some(tls) => receiving.protect(stream, tls).await?,
        };
        receiving.read_request(stream).await
    }

    fn begin(&self) -> Receiving<'_> {
        let clock = Clock::new();
        let handshake = Handshake::new(clock.now(), &self.settings.config);
        Receiving { clock, settings: &self.settings, handshake }
    }
}

/// An opening handshake that has begun.
struct Receiving<'s> {
    clock: Clock,
    settings: &'s AcceptSettings<'s>,
    handshake: Handshake,
}

impl Receiving<'_> {
    /// Does the TLS handshake.
    #[cfg(feature = "rustls")]
    async fn protect(&self, stream: TcpStream, tls: &ServerTls) -> Result<NetStream, AcceptError> {
        let handshake = async {
            // A peer that leaves without a byte is no fault of TLS.
            Ok(match stream.peek(&mut [0]).await {
                Ok(0) | Err(_) => None,
                Ok(_) => Some(NetStream::accept_tls(stream, tls).await),
            })
        };
        match by(deadline(&self.handshake, self.clock), handshake).await {
            Ok(None) => Err(AcceptError::NoRequest),
            Ok(Some(handshake)) => handshake.map_err(AcceptError::Tls),
            Err(_) => Err(AcceptError::Handshake(HandshakeError::Timeout)),
        }
    }

    async fn read_request<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        mut stream: S,
    ) -> Result<Exchange<S>, AcceptError> {
        let Self { clock, settings, mut handshake } = self;
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
