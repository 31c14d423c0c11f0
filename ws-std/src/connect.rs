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
};
use address::{alternate, connect_any};
pub use error::ConnectError;
use refused::Body;
pub use refused::Refused;

/// Opens a connection to `url`, which is `ws://host[:port][/path][?query]`, with all defaults.
///
/// # Errors
///
/// See [`ConnectError`].
pub fn connect(url: &str) -> Result<WebSocket<Client>, ConnectError> {
    Connector::new().connect(url)
}

/// Opens connections.
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
    /// All defaults: 30 s for the transport to connect, [`Config::default`], 30 s for a peer that takes no bytes.
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

    /// Subprotocols to offer, the preferred one first (RFC 6455 section 1.9).
    #[must_use]
    pub fn subprotocols(self, subprotocols: &'a [&'a str]) -> Self {
        Self { subprotocols, ..self }
    }

    /// A header field to send besides those of the handshake; sent in this order, as it is written here.
    #[must_use]
    pub fn header(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The origin to claim; only browsers must (RFC 6455 section 10.2).
    #[must_use]
    pub fn origin(self, origin: &'a str) -> Self {
        Self { origin: Some(origin), ..self }
    }

    /// Limits and timeouts. The [handshake timeout](Config::handshake_timeout) holds for the request and the answer
    /// together.
    #[must_use]
    pub fn config(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// How long all attempts to connect the transport may take together, name resolution excluded: the
    /// system has its own timeout for that.
    #[must_use]
    pub fn connect_timeout(self, timeout: Option<Duration>) -> Self {
        Self { connect_timeout: timeout, ..self }
    }

    /// Sets [`Config::write_timeout`]: how long the peer may take none of the bytes that we write. Call it after
    /// [`config`](Self::config).
    #[must_use]
    pub fn write_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.config.write_timeout = timeout;
        self
    }

    /// Offers to compress messages (RFC 7692); see [`deflate`](crate::deflate) for what that takes.
    ///
    /// Servers that can't be asked to save memory are offered to do without that; see
    /// [`require_server_parameters`](crate::deflate::Settings::require_server_parameters).
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

    /// [`connect`](Self::connect) where `response` sees the answer that opens the connection.
    ///
    /// # Errors
    ///
    /// See [`ConnectError`].
    pub fn connect_with(
        &self,
        url: &str,
        response: impl FnOnce(&Response<'_, '_>),
    ) -> Result<WebSocket<Client>, ConnectError> {
        let target = Target::parse(url)?;
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

    /// Opens a connection over any transport: a Unix socket, TLS, a proxy's tunnel. `url`, `ws` or `wss`, says
    /// what to ask for; `response` sees the answer that opens the connection.
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
        self.open(&Target::parse(url)?, transport, response)
    }

    fn handshake<'s>(
        &'s self,
        target: &'s Target,
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

    /// The error, with the name of the header field if it is about one.
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
        target: &Target,
        transport: T,
        seen: impl FnOnce(&Response<'_, '_>),
    ) -> Result<WebSocket<Client, T>, ConnectError> {
        let clock = Clock::new();
        let mut nonce = [0; 16];
        OsEntropy.fill(&mut nonce)?;
        let mut handshake = self.handshake(target, nonce, clock)?;
        // One for all that is written and read.
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
        let ws = WebSocket::new(endpoint, compression, transport, buffer, clock, &self.config);
        Ok(ws.with_subprotocol(subprotocol))
    }
}

/// Writes the request. A server that has closed may have answered before.
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

/// The begin of a refusal's body, as far as it comes in time; `received` is what has come with the head.
fn read_body(
    transport: &impl Transport,
    refusal: &Refusal<'_>,
    received: &[u8],
    deadline: Option<Instant>,
) -> Vec<u8> {
    let mut body = Body::of(refusal);
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

/// What a URL asks for (RFC 6455 section 3).
struct Target {
    url: Url,
}

impl Target {
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

    /// The host, and the port unless it is the scheme's own.
    fn host(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    fn resource(&self) -> &str {
        &self.url[Position::BeforePath..Position::AfterQuery]
    }
}
