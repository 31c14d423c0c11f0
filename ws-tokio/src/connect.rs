use core::{future::Future, time::Duration};
use std::{io, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    time::Instant,
};
#[cfg(feature = "rustls")]
use ws_proto::driver::ClientTls;
use ws_proto::{
    client::{Acceptance, Offer, Response},
    driver::{
        Answered, Client, ConnectError, ConnectSettings, Connecting, HeadBuffer, Proxy, RefusalBody, Route,
        ServerUrl, Target, is_gone,
    },
    handshake::HandshakeError,
};

use crate::{
    Agreed, Config, NetStream, WebSocket,
    clock::Clock,
    dial::Dialer,
    opening::{by, deadline, read_head, write_by},
    route::open,
};

/// Opens a connection to `url`, which is `ws://host[:port][/path][?query]`, with all defaults. The scheme is `ws` or `wss`, or
/// `http` or `https` in place of them.
///
/// Characters that a URL cannot contain, such as spaces, are percent-encoded; the caller encodes `%`, `#`, `&` and `+` inside of
/// values. [`ServerUrl`] has the rest.
///
/// # Errors
///
/// See [`ConnectError`].
pub async fn connect(url: &str) -> Result<WebSocket<Client>, ConnectError> {
    Connector::new().connect(url).await
}

/// Settings for opening connections.
///
/// The futures of its methods own the stream: if one is dropped, the stream is too, and the server sees its end.
#[derive(Clone, Debug)]
pub struct Connector<'a> {
    settings: ConnectSettings<'a>,
    dialer: Dialer,
}

impl Default for Connector<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Connector<'a> {
    /// Creates a connector with all defaults: 30 s to connect the stream, and [`Config::default`].
    #[must_use]
    pub const fn new() -> Self {
        let dialer = Dialer { timeout: Some(Duration::from_secs(30)), hook: None };
        Self { settings: ConnectSettings::new(), dialer }
    }

    /// Sets the subprotocols to offer, the preferred one first (RFC 6455 section 1.9).
    #[must_use]
    pub const fn subprotocols(mut self, subprotocols: &'a [&'a str]) -> Self {
        self.settings.set_subprotocols(subprotocols);
        self
    }

    /// Sets whether the server has to choose one of the [subprotocols](Self::subprotocols), if some are offered; it may choose
    /// none by default. If it has to and does not, the error is [`ConnectError::NoSubprotocol`].
    #[must_use]
    pub const fn require_subprotocol(mut self, required: bool) -> Self {
        self.settings.set_requires_subprotocol(required);
        self
    }

    /// Sets the field Host, which is that of the URL by default. It does not change which server is connected to, nor the name
    /// in its certificate.
    #[must_use]
    pub const fn host(mut self, host: &'a str) -> Self {
        self.settings.set_host(host);
        self
    }

    /// Adds a header field to the request, such as User-Agent, Authorization or Cookie; there are none by default. Added fields are
    /// sent in the order of the calls, exactly as given.
    #[must_use]
    pub fn header(mut self, name: &'a str, value: &'a str) -> Self {
        self.settings.add_header(name, value);
        self
    }

    /// Sets the field Origin, which only browsers have to send (RFC 6455 section 10.2).
    #[must_use]
    pub const fn origin(mut self, origin: &'a str) -> Self {
        self.settings.set_origin(origin);
        self
    }

    /// Sets limits and timeouts. The [handshake timeout](Config::handshake_timeout) covers the tunnel of a proxy, the TLS
    /// handshake, the request and the answer together.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.settings.config = config;
        self
    }

    /// Sets the time for name resolution and all attempts to connect the stream together: 30 s by default.
    #[must_use]
    pub const fn connect_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.dialer.timeout = timeout;
        self
    }

    /// Sets a function that opens the stream to a server or a proxy: for a resolver of your own, a socket that is bound to an
    /// interface, or a server that stands for another one. Proxies and TLS go over what it returns. Its future is dropped when
    /// [`connect_timeout`](Self::connect_timeout) has passed.
    ///
    /// ```no_run
    /// use tokio::net::lookup_host;
    /// use ws_tokio::{ConnectError, Connector, NetStream, Target};
    ///
    /// # async fn example() -> Result<(), ConnectError> {
    /// let connector = Connector::new().dial(|target| async move {
    ///     let Target::Host { port, .. } = target else {
    ///         return Err(ConnectError::InvalidUrl("it names no host"));
    ///     };
    ///     // The staging server has the name of the real one, and its certificate.
    ///     let addresses = lookup_host(("staging.example.com", port)).await.map_err(ConnectError::Resolve)?;
    ///     NetStream::connect(addresses.collect(), None).await
    /// });
    /// let ws = connector.connect("wss://example.com/").await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn dial<D, F>(mut self, dial: D) -> Self
    where
        D: Fn(Target) -> F + Send + Sync + 'static,
        F: Future<Output = Result<NetStream, ConnectError>> + Send + 'static,
    {
        self.dialer.hook = Some(Arc::new(move |target| Box::pin(dial(target))));
        self
    }

    /// Sets [`Config::write_timeout`]: the time in which the peer has to take some of our bytes. Call it after
    /// [`config`](Self::config), which replaces it.
    #[must_use]
    pub const fn write_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.settings.config.write_timeout = timeout;
        self
    }

    /// Offers to compress messages (RFC 7692); [`deflate`](crate::deflate) lists the costs.
    ///
    /// The offer has a second form without demands on the server's compressor, for servers that do not know these
    /// demands; see [`require_server_parameters`](crate::deflate::Settings::require_server_parameters).
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(mut self, settings: crate::deflate::Settings) -> Self {
        self.settings.set_deflate(settings);
        self
    }

    /// Sets the roots and certificates for `wss`: those of the platform, and none of the client, by default.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn tls(mut self, tls: impl Into<ClientTls>) -> Self {
        self.settings.set_tls(tls.into());
        self
    }

    /// Sets the proxy for all servers; `None`: servers are reached without one. By default the environment decides, as curl reads
    /// it; see [`ProxyEnvironment`](ws_proto::driver::ProxyEnvironment).
    #[must_use]
    pub fn proxy(mut self, proxy: Option<Proxy>) -> Self {
        self.settings.set_proxy(proxy);
        self
    }

    /// Sets the maximum number of redirects that are followed: 0 by default, with which a redirect is [`ConnectError::Refused`].
    ///
    /// They lead to `ws`, `wss`, `http` and `https` only, and never from TLS to a plain transport. Authorization, Cookie and
    /// Host of [`header`](Self::header) are not sent to another origin.
    #[must_use]
    pub const fn max_redirects(mut self, most: u16) -> Self {
        self.settings.set_max_redirects(most);
        self
    }

    /// Opens a connection to the server of `url`, over TCP for `ws` and TLS for `wss`, by a [proxy](Self::proxy) if there is one.
    /// Of the server's addresses, the first that answers is taken (RFC 8305).
    ///
    /// [`ServerUrl`] says which URLs are accepted.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    pub async fn connect(&self, url: &str) -> Result<WebSocket<Client>, ConnectError> {
        self.connect_with(url, |_| ()).await
    }

    /// Opens a connection like [`connect`](Self::connect), and calls `response` with the answer that opens it.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    pub async fn connect_with(
        &self,
        url: &str,
        response: impl FnOnce(&Response<'_, '_>),
    ) -> Result<WebSocket<Client>, ConnectError> {
        Box::pin(self.follow(ServerUrl::parse(url)?, response)).await
    }

    /// Opens a connection, and follows redirects as far as they are allowed.
    async fn follow(
        &self,
        mut url: ServerUrl,
        response: impl FnOnce(&Response<'_, '_>),
    ) -> Result<WebSocket<Client>, ConnectError> {
        let (mut settings, mut redirects) = (self.settings.clone(), self.settings.redirects());
        let mut response = Some(response);
        loop {
            let seen = |answer: &Response<'_, '_>| {
                if let Some(response) = response.take() {
                    response(answer);
                }
            };
            match self.dial_and_open(&settings.for_url(&url), &url, seen).await {
                Err(ConnectError::Refused(refused)) => url = settings.follow(&mut redirects, &url, refused)?,
                result => return result,
            }
        }
    }

    async fn dial_and_open(
        &self,
        settings: &ConnectSettings<'_>,
        url: &ServerUrl,
        response: impl FnOnce(&Response<'_, '_>),
    ) -> Result<WebSocket<Client>, ConnectError> {
        // A request that cannot be sent, and settings that cannot be used, are errors before any address is tried.
        settings.begin(url, ws_proto::Instant::ZERO)?;
        let route = Route::new(settings, url)?;
        let stream = self.dialer.dial(route.target()).await?;
        let opening = Opening::begin(settings, url)?;
        let stream = open(&route, stream, opening.deadline).await?;
        opening.complete(stream, response).await
    }

    /// Opens a connection over any stream, such as a Unix socket, a TLS stream or a proxy's tunnel.
    ///
    /// The host and the resource of the request are those of `url`, whose scheme is `ws` or `wss`. `response` is called
    /// with the answer that opens the connection.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    pub async fn connect_over<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        url: &str,
        stream: S,
        response: impl FnOnce(&Response<'_, '_>),
    ) -> Result<WebSocket<Client, S>, ConnectError> {
        let url = ServerUrl::parse(url)?;
        let settings = self.settings.for_url(&url);
        Box::pin(Opening::begin(&settings, &url)?.complete(stream, response)).await
    }

    /// Returns the fields of a GET request of HTTP/1.1 that an HTTP library sends, and the check of its answer. Each request
    /// needs another one, whose key is new.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Header`], [`ConnectError::Request`]: a field cannot be sent. [`ConnectError::Entropy`].
    pub fn offer(&self) -> Result<Offer<'_>, ConnectError> {
        self.settings.offer()
    }

    /// Returns the fields of an extended CONNECT request of HTTP/2 or HTTP/3 that an HTTP library sends, and the check of its
    /// answer (RFC 8441 section 5, RFC 9220).
    ///
    /// # Errors
    ///
    /// As for [`offer`](Self::offer).
    pub fn extended_connect(&self) -> Result<Offer<'_>, ConnectError> {
        self.settings.extended_connect()
    }

    /// Returns the connection that an answer opens which an HTTP library has read, with what `acceptance` says. Its stream
    /// follows.
    #[must_use]
    pub fn agree(&self, acceptance: &Acceptance<'_>) -> Agreed<Client> {
        Agreed::new(|now| self.settings.open(acceptance, now))
    }
}

/// An opening handshake that has begun, with its deadline.
struct Opening<'s> {
    clock: Clock,
    connecting: Connecting<'s>,
    /// The deadline of TLS, the request, the answer and the body of a refusal together.
    deadline: Option<Instant>,
}

impl<'s> Opening<'s> {
    fn begin(settings: &'s ConnectSettings<'_>, url: &'s ServerUrl) -> Result<Self, ConnectError> {
        let clock = Clock::new();
        let connecting = settings.begin(url, clock.now())?;
        let deadline = deadline(&connecting.handshake, clock);
        Ok(Self { clock, connecting, deadline })
    }

    /// Writes the request to `stream` and reads the answer.
    async fn complete<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        self,
        mut stream: S,
        seen: impl FnOnce(&Response<'_, '_>),
    ) -> Result<WebSocket<Client, S>, ConnectError> {
        let Self { clock, mut connecting, deadline } = self;
        match write_by(&mut stream, &connecting.request(), deadline).await {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(HandshakeError::Timeout.into()),
            Err(error) if !is_gone(&error) => return Err(error.into()),
            // The server may have closed after its answer, which can still be read.
            Ok(()) | Err(_) => {}
        }
        let mut head = HeadBuffer::new();
        let read = read_head(&mut head, &mut stream, clock, &mut connecting.handshake).await;
        match connecting.answer(head, read?, clock.now(), seen)? {
            Answered::Open(opened) => Ok(WebSocket::new(opened, stream, clock)),
            Answered::Refused(refused, mut body) => {
                // The part of the body that comes in time is kept.
                let _ = by(deadline, read_body(&mut stream, &mut body)).await;
                Err(ConnectError::Refused(refused.with_body(body)))
            }
        }
    }
}

/// Reads more of a refusal's body.
async fn read_body(stream: &mut (impl AsyncRead + Unpin), body: &mut RefusalBody) -> io::Result<()> {
    let mut buffer = [0; 1_024];
    while !body.is_complete() {
        match stream.read(&mut buffer).await? {
            0 => break,
            len => body.push(buffer.get(..len).unwrap_or_default()),
        }
    }
    Ok(())
}
