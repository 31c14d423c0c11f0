use core::{fmt, time::Duration};
use std::{
    io,
    net::{SocketAddr, TcpStream},
    time::Instant,
};

use url::{Position, Url};
use ws_proto::{
    Entropy, EntropyError, HandshakeError,
    client::{Answer, Handshake, Refusal, Request, Response},
    handshake::WriteError,
};

#[cfg(feature = "deflate")]
use std::sync::Arc;

#[cfg(feature = "deflate")]
use crate::compression::Pool;
use crate::{
    Client, Config, OsEntropy, Socket, WebSocket,
    clock::Clock,
    compression::Compression,
    opening::{Head, HeadError, write_within},
    transport::Transport,
};

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

    /// Limits and timeouts.
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
        let target = Target::parse(url)?;
        if target.url.scheme() == "wss" {
            return Err(ConnectError::NeedsTls);
        }
        // What can't be asked is told before anybody is bothered.
        self.handshake(&target, [0; 16], Clock::new())?;
        let stream = connect_any(&alternate(target.url.socket_addrs(|| None)?), self.connect_timeout)?;
        self.open(&target, Socket::new(stream)?, |_| ())
    }

    /// Opens a connection over any transport: a Unix socket, TLS, a proxy's tunnel. `url`, `ws` or `wss`, says
    /// what to ask for; `response` sees the answer.
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
        Ok(Handshake::new(request, nonce, clock.now(), &self.config)?)
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
        let mut request = Vec::new();
        handshake.write_request_to(&mut request);
        write_within(&transport, &request, self.config.write_timeout)?;
        let mut head = Head::new();
        let len = head.read(&transport, clock, &mut handshake).map_err(|error| match error {
            HeadError::Nothing(error) | HeadError::Io(error) => ConnectError::Io(error),
            HeadError::Handshake(error) => ConnectError::Handshake(error),
        })?;
        let (endpoint, subprotocol) = match handshake.answer(head.received())? {
            Answer::Open(response) => {
                seen(&response);
                let role = Client::new(OsEntropy);
                (response.open(role, &self.config, clock.now()), response.subprotocol())
            }
            Answer::Refused(refusal) => return Err(ConnectError::Refused(Refused::new(&refusal))),
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

/// The addresses with IPv6 and IPv4 in turn, otherwise in their order.
fn alternate(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut second = second.into_iter();
    let mut alternating: Vec<_> =
        first.into_iter().flat_map(|address| [Some(address), second.next()]).flatten().collect();
    alternating.extend(second);
    alternating
}

/// Connects to the first of `addresses` that answers; each gets its share of what is left of the time.
fn connect_any(addresses: &[SocketAddr], timeout: Option<Duration>) -> io::Result<TcpStream> {
    let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "host has no address");
    for (tried, address) in addresses.iter().enumerate() {
        let result = match deadline {
            None => TcpStream::connect(address),
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                let attempts = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
                if left.is_zero() {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                TcpStream::connect_timeout(address, (left / attempts).max(Duration::from_millis(1)))
            }
        };
        match result {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// Any answer but 101: the server speaks HTTP, but did not open a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    status: u16,
    headers: Vec<(String, Vec<u8>)>,
}

impl Refused {
    fn new(refusal: &Refusal<'_>) -> Self {
        let headers = refusal.headers().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
        Self { status: refusal.status(), headers }
    }

    /// The status code: 401, 403, a redirect, ….
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The first field with this name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let mut headers = self.headers.iter();
        headers.find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
    }

    /// All fields in their order.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }
}

/// Why no connection was opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is not one of a WebSocket, and what is wrong with it.
    InvalidUrl(&'static str),
    /// `wss` over plain TCP: make the TLS connection first and use [`Connector::connect_over`].
    NeedsTls,
    /// The host has no address, no address answered, or the transport failed.
    Io(io::Error),
    /// What we ask for can't be asked.
    Request(WriteError),
    /// The server's answer is not one to an opening handshake.
    Handshake(HandshakeError),
    /// The server answered with another status than 101.
    Refused(Refused),
    /// The operating system has no random numbers for us.
    Entropy(EntropyError),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidUrl(what) => write!(f, "not a WebSocket URL: {what} (RFC 6455 section 3)"),
            Self::NeedsTls => f.write_str("wss needs TLS: connect it first, then use connect_over"),
            Self::Io(error) => write!(f, "can't connect: {error}"),
            Self::Request(error) => write!(f, "can't ask for this: {error}"),
            Self::Handshake(error) => write!(f, "server's answer is invalid: {error}"),
            Self::Refused(refused) => {
                write!(f, "server answered with status {} and opened no connection", refused.status())
            }
            Self::Entropy(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Request(error) => Some(error),
            Self::Handshake(error) => Some(error),
            Self::Entropy(error) => Some(error),
            Self::InvalidUrl(_) | Self::NeedsTls | Self::Refused(_) => None,
        }
    }
}

macro_rules! from {
    ($error:ty => $variant:ident) => {
        impl From<$error> for ConnectError {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        }
    };
}

from!(io::Error => Io);
from!(WriteError => Request);
from!(HandshakeError => Handshake);
from!(EntropyError => Entropy);
