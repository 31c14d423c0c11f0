use core::time::Duration;
use std::{io, sync::Arc, time::Instant};

use ws_proto::{
    client::Response,
    driver::{
        Answered, ConnectError, ConnectSettings, Connecting, HeadBuffer, Proxy, RefusalBody, Route, ServerUrl,
        Target, is_gone,
    },
    handshake::HandshakeError,
};

#[cfg(feature = "rustls")]
use crate::ClientTls;
use crate::{
    Config, NetStream, WebSocket,
    clock::Clock,
    dial::Dialer,
    opening::{read_head, system_deadline, write_by},
    role::Client,
    route::open,
    transport::Transport,
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
pub fn connect(url: &str) -> Result<WebSocket<Client>, ConnectError> {
    Connector::new().connect(url)
}

/// Settings for opening connections.
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
    /// Creates a connector with all defaults: 30 s to connect the transport, and [`Config::default`].
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

    /// Sets the time for name resolution and all attempts to connect the transport together: 30 s by default.
    #[must_use]
    pub const fn connect_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.dialer.timeout = timeout;
        self
    }

    /// Sets a function that opens the transport to a server or a proxy, until a deadline: for a resolver of your own, a socket
    /// that is bound to an interface, or a server that stands for another one. Proxies and TLS go over what it returns.
    /// Only the function itself can end its work at the deadline: name resolution by the standard library knows none.
    ///
    /// ```no_run
    /// use std::net::ToSocketAddrs;
    /// use ws_std::{ConnectError, Connector, NetStream, Target};
    ///
    /// let connector = Connector::new().dial(|target, deadline| match target {
    ///     // The staging server has the name of the real one, and its certificate.
    ///     Target::Host { port, .. } => {
    ///         let addresses = ("staging.example.com", *port).to_socket_addrs().map_err(ConnectError::Resolve)?;
    ///         NetStream::connect(addresses.collect(), deadline)
    ///     }
    ///     _ => Err(ConnectError::InvalidUrl("it names no host")),
    /// });
    /// let ws = connector.connect("wss://example.com/")?;
    /// # Ok::<(), ConnectError>(())
    /// ```
    #[must_use]
    pub fn dial<F>(mut self, dial: F) -> Self
    where
        F: Fn(&Target, Option<Instant>) -> Result<NetStream, ConnectError> + Send + Sync + 'static,
    {
        self.dialer.hook = Some(Arc::new(dial));
        self
    }

    /// Sets [`Config::write_timeout`]: the time in which the peer has to take some of our bytes. Call it after
    /// [`config`](Self::config), which replaces it.
    #[must_use]
    pub fn write_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.settings.config.write_timeout = timeout;
        self
    }

    /// Sets TLS for `wss` URLs: roots, a certificate of the client, or a configuration of rustls. By default the server's
    /// certificate is verified as the platform does it.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn tls(mut self, tls: impl Into<ClientTls>) -> Self {
        self.settings.set_tls(tls.into());
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

    /// Sets the proxy for all servers; `None`: servers are reached without one. By default the environment decides, as curl
    /// reads it; see [`ProxyEnvironment`](ws_proto::driver::ProxyEnvironment).
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
    pub fn connect(&self, url: &str) -> Result<WebSocket<Client>, ConnectError> {
        self.connect_with(url, |_| ())
    }

    /// Opens a connection like [`connect`](Self::connect), and calls `response` with the answer that opens it.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    pub fn connect_with(
        &self,
        url: &str,
        response: impl FnOnce(&Response<'_, '_>),
    ) -> Result<WebSocket<Client>, ConnectError> {
        let mut url = ServerUrl::parse(url)?;
        let (mut settings, mut redirects) = (self.settings.clone(), self.settings.redirects());
        let mut response = Some(response);
        loop {
            let seen = |answer: &Response<'_, '_>| {
                if let Some(response) = response.take() {
                    response(answer);
                }
            };
            match self.dial_and_open(&settings.for_url(&url), &url, seen) {
                Err(ConnectError::Refused(refused)) => url = settings.follow(&mut redirects, &url, refused)?,
                result => return result,
            }
        }
    }

    fn dial_and_open(
        &self,
        settings: &ConnectSettings<'_>,
        url: &ServerUrl,
        response: impl FnOnce(&Response<'_, '_>),
    ) -> Result<WebSocket<Client>, ConnectError> {
        // A request that cannot be sent, and settings that cannot be used, are errors before any address is tried.
        settings.begin(url, ws_proto::Instant::ZERO)?;
        let route = Route::new(settings, url)?;
        let stream = self.dialer.dial(&route.target())?;
        let opening = Opening::begin(settings, url)?;
        let stream = open(&route, stream, opening.deadline)?;
        opening.complete(stream, response)
    }

    /// Opens a connection over any transport, such as a Unix socket, a TLS stream or a proxy's tunnel.
    ///
    /// The host and the resource of the request are those of `url`, whose scheme is `ws` or `wss`. `response` is called
    /// with the answer that opens the connection.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    pub fn connect_over<T: Transport>(
        &self,
        url: &str,
        transport: T,
        response: impl FnOnce(&Response<'_, '_>),
    ) -> Result<WebSocket<Client, T>, ConnectError> {
        let url = ServerUrl::parse(url)?;
        Opening::begin(&self.settings.for_url(&url), &url)?.complete(transport, response)
    }
}

/// An opening handshake that has begun, with its deadline.
struct Opening<'s> {
    clock: Clock,
    connecting: Connecting<'s>,
    /// The deadline of a tunnel, TLS, the request, the answer and the body of a refusal together.
    deadline: Option<Instant>,
}

impl<'s> Opening<'s> {
    fn begin(settings: &'s ConnectSettings<'_>, url: &'s ServerUrl) -> Result<Self, ConnectError> {
        let clock = Clock::new();
        let connecting = settings.begin(url, clock.now())?;
        let deadline = system_deadline(&connecting.handshake, clock);
        Ok(Self { clock, connecting, deadline })
    }

    /// Writes the request to `transport` and reads the answer.
    fn complete<T: Transport>(
        self,
        transport: T,
        seen: impl FnOnce(&Response<'_, '_>),
    ) -> Result<WebSocket<Client, T>, ConnectError> {
        let Self { clock, mut connecting, deadline } = self;
        write_request(&transport, &connecting.request(), deadline)?;
        let mut head = HeadBuffer::new();
        let read = read_head(&mut head, &transport, clock, &mut connecting.handshake);
        match connecting.answer(head, read?, clock.now(), seen)? {
            Answered::Open(opened) => Ok(WebSocket::new(opened, transport, clock)),
            Answered::Refused(refused, body) => {
                Err(ConnectError::Refused(refused.with_body(read_body(&transport, body, deadline))))
            }
        }
    }
}

/// Writes the request. An error that means that the server has closed is ignored: its answer may lie in the transport.
fn write_request(
    transport: &impl Transport,
    request: &[u8],
    deadline: Option<Instant>,
) -> Result<(), ConnectError> {
    match write_by(transport, request, deadline) {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(HandshakeError::Timeout.into()),
        Err(error) if !is_gone(&error) => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Reads more of a refusal's body, up to `deadline`.
fn read_body(transport: &impl Transport, mut body: RefusalBody, deadline: Option<Instant>) -> RefusalBody {
    let mut buffer = [0; 1_024];
    while !body.is_complete() {
        match transport.read(&mut buffer, deadline) {
            Ok(len @ 1..) => body.push(buffer.get(..len).unwrap_or_default()),
            Ok(0) | Err(_) => break,
        }
    }
    body
}
