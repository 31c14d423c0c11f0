use core::{convert::Infallible, fmt, time::Duration};
use std::{io, sync::Arc};

use ws_proto::{
    handshake::{HandshakeError, WriteError},
    server::{Handshake, Head as Parsed, OriginMismatch, OriginPolicy, PlainRequest, Request},
};

#[cfg(feature = "deflate")]
use crate::compression::Pool;
use crate::{
    Config, Socket, WebSocket,
    answer::{Answer, Page},
    clock::Clock,
    exchange::Exchange,
    opening::{Head, HeadError, farewell, write_within},
    role::Server,
    transport::Transport,
};

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

/// Settings of an acceptor that its exchanges need too.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(crate) config: Config,
    #[cfg(feature = "deflate")]
    pub(crate) pool: Option<Arc<Pool>>,
}

impl Terms {
    /// How long the peer may take to take an answer without a page.
    pub(crate) fn answer_timeout(&self) -> Option<Duration> {
        [self.config.write_timeout, self.config.handshake_timeout].into_iter().flatten().min()
    }
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
            Some(Parsed::Upgrade(request)) => {
                let answer = answer(&request);
                exchange.accept_with(answer).map(Some)
            }
            Some(Parsed::Plain(request)) => match page(&request) {
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
        let mut head = Head::new();
        let len = match head.read(&*transport, clock, &mut handshake) {
            Ok(len) => len,
            Err(HeadError::Nothing(_)) => return Err(AcceptError::NoRequest),
            Err(HeadError::Io(error)) => return Err(error.into()),
            Err(HeadError::Handshake(error)) => return Err(self.refuse(&*transport, &head, error)),
        };
        if let Err(error) = handshake.request(head.received(), self.origin) {
            return Err(self.refuse(&*transport, &head, error));
        }
        Ok(Exchange::new(transport, self.terms.clone(), clock, handshake, (head, len)))
    }

    /// Tells the client that its request is at fault.
    fn refuse(&self, transport: &impl Transport, head: &Head, error: HandshakeError) -> AcceptError {
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

/// Why no connection came of a transport.
///
/// Every client that sent a request has been answered. The answer of a refusal is followed by the end of our output; what the
/// client still sends is drained, up to 64 KiB and for 1 s, so that the answer is not lost to a reset.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcceptError {
    /// The peer connected and left without a byte: a health check, or a browser's spare connection. No fault of either side.
    NoRequest,
    /// The transport failed or ended.
    Io(io::Error),
    /// The request was not one for a connection, or was not accepted.
    Handshake(HandshakeError),
    /// The [`OriginPolicy`] does not admit the page. The text names the page's origin and the host that it asked, bounded and
    /// escaped.
    Origin(Box<str>),
    /// The application refused, with this status.
    Refused(u16),
    /// The application's answer has a field, a status or a subprotocol that cannot be sent; the client was told 500.
    Answer(WriteError),
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRequest => f.write_str("peer left without a request"),
            Self::Io(_) => f.write_str("transport failed before the connection was open"),
            Self::Handshake(_) => f.write_str("no opening handshake"),
            Self::Origin(mismatch) => write!(f, "refused: {mismatch}"),
            Self::Refused(status) => write!(f, "refused with status {status}"),
            Self::Answer(_) => f.write_str("answer cannot be sent"),
        }
    }
}

impl std::error::Error for AcceptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Handshake(error) => Some(error),
            Self::Answer(error) => Some(error),
            Self::NoRequest | Self::Origin(_) | Self::Refused(_) => None,
        }
    }
}

impl From<io::Error> for AcceptError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

// A `Socket` is one already, which cannot fail.
impl From<Infallible> for AcceptError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
