mod address;
mod error;
mod refused;

use core::time::Duration;
use std::{io, net::TcpStream, time::Instant};

use url::{Position, Url};
use ws_proto::{
    Entropy,
    client::{Answer, Handshake, Refusal, Request, Response},
    handshake::{HandshakeError, WriteError},
};

#[cfg(feature = "deflate")]
use std::sync::Arc;

#[cfg(feature = "deflate")]
use crate::compression::Pool;
use crate::{
    Client, Config, OsEntropy, Socket, WebSocket,
    clock::Clock,
    compression::Compression,
    opening::{HeadBuffer, HeadError, is_gone, system_deadline, write_by},
    transport::Transport,
    websocket::Opened,
};
use address::{alternate, connect_any};
pub use error::ConnectError;
use refused::RefusalBody;
pub use refused::Refused;

/// Opens a connection to `url`, which is `ws://host[:port][/path][?query]`, with all defaults.
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
    subprotocols: &'a [&'a str],
    headers: Vec<(&'a str, &'a str)>,
    origin: Option<&'a str>,
    config: Config,
    connect_timeout: Option<Duration>,
    #[cfg(feature = "deflate")]
    pool: Option<Arc<Pool>>,
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
        Self {
            subprotocols: &[],
            headers: Vec::new(),
            origin: None,
            config: Config::new(),
            connect_timeout: Some(Duration::from_secs(30)),
            #[cfg(feature = "deflate")]
            pool: None,
        }
    }

    /// Sets the subprotocols to offer, the preferred one first (RFC 6455 section 1.9).
    #[must_use]
    pub fn subprotocols(self, subprotocols: &'a [&'a str]) -> Self {
        Self { subprotocols, ..self }
    }

    /// Adds a header field to the request. Added fields are sent in the order of the calls, exactly as given.
    #[must_use]
    pub fn header(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Sets the field Origin, which only browsers have to send (RFC 6455 section 10.2).
    #[must_use]
    pub fn origin(self, origin: &'a str) -> Self {
        Self { origin: Some(origin), ..self }
    }

    /// Sets limits and timeouts. The [handshake timeout](Config::handshake_timeout) covers the request and the answer
    /// together.
    #[must_use]
    pub fn config(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// Sets the time for all attempts to connect the transport together: 30 s by default. It does not cover name
    /// resolution, for which the system has a timeout of its own.
    #[must_use]
    pub fn connect_timeout(self, timeout: Option<Duration>) -> Self {
        Self { connect_timeout: timeout, ..self }
    }

    /// Sets [`Config::write_timeout`]: the time in which the peer has to take some of our bytes. Call it after
    /// [`config`](Self::config), which replaces it.
    #[must_use]
    pub fn write_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.config.write_timeout = timeout;
        self
    }

    /// Offers to compress messages (RFC 7692); [`deflate`](crate::deflate) lists the costs.
    ///
    /// The offer has a second form without demands on the server's compressor, for servers that do not know these
    /// demands; see [`require_server_parameters`](crate::deflate::Settings::require_server_parameters).
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(self, settings: crate::deflate::Settings) -> Self {
        Self { pool: Some(Pool::new(settings)), ..self }
    }

    /// Opens a connection over TCP to the host in `url`, trying all its addresses, IPv6 and IPv4 in turn.
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
        let target = ServerUrl::parse(url)?;
        if target.url.scheme() == "wss" {
            return Err(ConnectError::NeedsTls);
        }
        // A request that cannot be sent is an error before any address is tried.
        self.handshake(&target, [0; 16], Clock::new())?;
        let addresses = alternate(target.url.socket_addrs(|| None).map_err(ConnectError::Resolve)?);
        let stream = connect_any(&addresses, self.connect_timeout, Instant::now, |address, share| match share {
            None => TcpStream::connect(address),
            Some(share) => TcpStream::connect_timeout(&address, share),
        });
        let stream = stream.map_err(|failure| match failure {
            Some((address, error)) => ConnectError::Connect { address, error },
            None => ConnectError::Resolve(io::ErrorKind::NotFound.into()),
        })?;
        self.open(&target, Socket::new(stream)?, response)
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
        self.open(&ServerUrl::parse(url)?, transport, response)
    }

    fn handshake<'s>(
        &'s self,
        target: &'s ServerUrl,
        nonce: [u8; 16],
        clock: Clock,
    ) -> Result<Handshake<'s>, ConnectError> {
        let request = Request::new(target.host(), target.resource());
        let request = request.subprotocols(self.subprotocols).headers(&self.headers);
        let request = self.origin.map_or(request, |origin| request.origin(origin));
        #[cfg(feature = "deflate")]
        let request = request.deflate(self.pool.as_ref().map(|pool| pool.settings));
        Handshake::new(request, nonce, clock.now(), &self.config).map_err(|error| self.at_fault(error))
    }

    /// Converts an error in the request. It names the added header field that is at fault, if one is.
    fn at_fault(&self, error: WriteError) -> ConnectError {
        let is_refused = |header: &&(&str, &str)| {
            let request = Request::new("localhost", "/").headers(std::slice::from_ref(*header));
            Handshake::new(request, [0; 16], ws_proto::Instant::ZERO, &self.config).is_err()
        };
        match error {
            WriteError::InvalidHeader => match self.headers.iter().find(is_refused) {
                Some((name, _)) => ConnectError::Header((*name).to_owned()),
                None => error.into(),
            },
            _ => error.into(),
        }
    }

    fn open<T: Transport>(
        &self,
        target: &ServerUrl,
        transport: T,
        seen: impl FnOnce(&Response<'_, '_>),
    ) -> Result<WebSocket<Client, T>, ConnectError> {
        let clock = Clock::new();
        let mut nonce = [0; 16];
        OsEntropy.fill(&mut nonce)?;
        let mut handshake = self.handshake(target, nonce, clock)?;
        // One deadline covers the request, the answer and the body of a refusal.
        let deadline = system_deadline(&handshake, clock);
        let mut request = Vec::new();
        handshake.write_request_to(&mut request);
        write_request(&transport, &request, deadline)?;
        let mut head = HeadBuffer::new();
        let len = head.read(&transport, clock, &mut handshake).map_err(|error| match error {
            HeadError::BeforeFirstByte(error) => ConnectError::Closed(error),
            HeadError::Io(error) => ConnectError::Io(error),
            HeadError::Handshake(error) => ConnectError::Handshake(error),
        })?;
        let (endpoint, subprotocol) = match handshake.answer(head.received())? {
            Answer::Open(response) => {
                seen(&response);
                let role = Client::new(OsEntropy);
                (response.open(role, &self.config, clock.now()), response.subprotocol())
            }
            Answer::Refused(refusal) => {
                let after_head = head.received().get(len..).unwrap_or_default();
                let body = read_body(&transport, &refusal, after_head, deadline);
                return Err(ConnectError::Refused(Refused::new(&refusal).with_body(body)));
            }
        };
        let buffer = head.into_buffer(len);
        #[cfg(feature = "deflate")]
        let compression = Compression::new(&endpoint, self.pool.as_ref());
        #[cfg(not(feature = "deflate"))]
        let compression = Compression::default();
        let ws = WebSocket::new(Opened { endpoint, compression, transport, buffer, clock }, &self.config);
        Ok(ws.with_subprotocol(subprotocol))
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

/// Reads the start of a refusal's body, up to `deadline`. `received` holds the bytes that came with the head.
fn read_body(
    transport: &impl Transport,
    refusal: &Refusal<'_>,
    received: &[u8],
    deadline: Option<Instant>,
) -> Vec<u8> {
    let mut body = RefusalBody::of(refusal);
    body.push(received);
    let mut buffer = [0; 1_024];
    while !body.is_complete() {
        match transport.read(&mut buffer, deadline) {
            Ok(len @ 1..) => body.push(buffer.get(..len).unwrap_or_default()),
            Ok(0) | Err(_) => break,
        }
    }
    body.into_bytes()
}

/// The URL of a server (RFC 6455 section 3).
struct ServerUrl {
    url: Url,
}

impl ServerUrl {
    fn parse(url: &str) -> Result<Self, ConnectError> {
        let url = Url::parse(url).map_err(|_| ConnectError::InvalidUrl("it does not parse"))?;
        if !matches!(url.scheme(), "ws" | "wss") {
            return Err(ConnectError::InvalidUrl("its scheme is neither ws nor wss"));
        }
        if url.fragment().is_some() {
            return Err(ConnectError::InvalidUrl("it has a fragment; write %23 for a literal #"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ConnectError::InvalidUrl("it has credentials; send them in a header field"));
        }
        Ok(Self { url })
    }

    /// Returns the host, and the port unless it is the default of the scheme.
    fn host(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    fn resource(&self) -> &str {
        &self.url[Position::BeforePath..Position::AfterQuery]
    }
}
