use core::{fmt, time::Duration};
use std::{borrow::Cow, io};

use ws_proto::{
    HandshakeError, Server,
    handshake::WriteError,
    server::{
        Accept, Handshake, Head as Parsed, OriginPolicy, PlainRequest, Reject, Request, Subprotocol, reject_to,
    },
};

#[cfg(feature = "deflate")]
use std::sync::Arc;

#[cfg(feature = "deflate")]
use crate::compression::Pool;
use crate::{
    Config, Socket, WebSocket,
    clock::Clock,
    compression::Compression,
    opening::{Head, HeadError, farewell, write_within},
    transport::Transport,
};

/// Accepts the WebSocket connection that a client opens on `stream`, with all defaults.
///
/// Pages of other hosts are refused; [`Acceptor::origin`] lets them in.
///
/// # Errors
///
/// See [`AcceptError`]. Whoever asked has been answered.
pub fn accept(stream: impl TryInto<Socket, Error = io::Error>) -> Result<WebSocket<Server>, AcceptError> {
    Acceptor::new().accept(stream)
}

/// Accepts connections; one serves for all of a server's.
#[derive(Clone, Debug)]
pub struct Acceptor<'a> {
    config: Config,
    origin: OriginPolicy<'a>,
    write_timeout: Option<Duration>,
    #[cfg(feature = "deflate")]
    pool: Option<Arc<Pool>>,
}

/// What a server says to a request that asks for a connection.
#[derive(Clone, Debug)]
pub struct Answer<'s> {
    verdict: Verdict<'s>,
    headers: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
enum Verdict<'s> {
    Accept(Option<Subprotocol<'s>>),
    Refuse(u16),
}

/// A page for a request that does not ask for a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    status: &'static str,
    content_type: &'static str,
    body: Cow<'static, [u8]>,
}

impl Page {
    /// An HTML page in UTF-8.
    pub fn html(body: impl Into<Cow<'static, str>>) -> Self {
        let body = match body.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        Self::new("text/html; charset=utf-8", body)
    }

    /// Anything else.
    pub fn new(content_type: &'static str, body: impl Into<Cow<'static, [u8]>>) -> Self {
        Self { status: "200 OK", content_type, body: body.into() }
    }

    /// What is told to those who ask for a page that there isn't.
    #[must_use]
    pub fn not_found() -> Self {
        Self { status: "404 Not Found", ..Self::new("text/plain", b"Not Found".as_slice()) }
    }

    fn head(&self) -> String {
        format!(
            "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            self.status,
            self.content_type,
            self.body.len(),
        )
    }
}

impl<'s> Answer<'s> {
    /// Yes.
    #[must_use]
    pub const fn accept() -> Self {
        Self { verdict: Verdict::Accept(None), headers: Vec::new() }
    }

    /// No, with a status from 300 to 599: 401, 403, 404, 503, a redirect.
    #[must_use]
    pub const fn refuse(status: u16) -> Self {
        Self { verdict: Verdict::Refuse(status), headers: Vec::new() }
    }

    /// With this subprotocol, chosen by [`Request::select`]; without effect on a refusal.
    #[must_use]
    pub fn subprotocol(mut self, subprotocol: Option<Subprotocol<'s>>) -> Self {
        if let Verdict::Accept(chosen) = &mut self.verdict {
            *chosen = subprotocol;
        }
        self
    }

    /// With this header field too.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

impl Default for Acceptor<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Acceptor<'a> {
    /// All defaults: pages of the same host only, [`Config::default`], 30 s for a peer that takes no bytes.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            config: Config::new(),
            origin: OriginPolicy::SameHost,
            write_timeout: crate::DEFAULT_WRITE_TIMEOUT,
            #[cfg(feature = "deflate")]
            pool: None,
        }
    }

    /// Limits and timeouts.
    #[must_use]
    pub fn config(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// Which pages may connect (RFC 6455 section 10.2).
    #[must_use]
    pub fn origin(self, origin: OriginPolicy<'a>) -> Self {
        Self { origin, ..self }
    }

    /// How long the peer may take none of the bytes that we write.
    #[must_use]
    pub fn write_timeout(self, timeout: Option<Duration>) -> Self {
        Self { write_timeout: timeout, ..self }
    }

    /// Compresses messages as far as the client agrees (RFC 7692); see [`deflate`](crate::deflate) for what that takes.
    ///
    /// With a profile without context takeover, the connections of this acceptor and its clones share a pool of
    /// compressors, so that an idle one has none.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(self, settings: crate::deflate::Settings) -> Self {
        Self { pool: Some(Pool::new(settings)), ..self }
    }

    /// Accepts the connection that a client opens on a socket.
    ///
    /// # Errors
    ///
    /// See [`AcceptError`]. Whoever asked has been answered.
    pub fn accept(
        &self,
        stream: impl TryInto<Socket, Error = io::Error>,
    ) -> Result<WebSocket<Server>, AcceptError> {
        self.accept_over(stream.try_into()?, |_| Answer::accept())
    }

    /// Accepts the connection that a client opens on any transport, if `answer` says so.
    ///
    /// # Errors
    ///
    /// See [`AcceptError`]. Whoever asked has been answered.
    pub fn accept_over<'s, T: Transport>(
        &self,
        transport: T,
        answer: impl FnOnce(&Request<'_>) -> Answer<'s>,
    ) -> Result<WebSocket<Server, T>, AcceptError> {
        self.serve(transport, answer, |_| None)?.ok_or(AcceptError::Handshake(HandshakeError::UpgradeRequired))
    }

    /// [`accept_over`](Self::accept_over) that also serves pages; `None` if it has served one.
    ///
    /// Where `page` has none, whoever asked is told to ask for a connection (426).
    ///
    /// # Errors
    ///
    /// See [`AcceptError`]. Whoever asked has been answered.
    pub fn serve<'s, T: Transport>(
        &self,
        transport: T,
        answer: impl FnOnce(&Request<'_>) -> Answer<'s>,
        page: impl FnOnce(&PlainRequest<'_>) -> Option<Page>,
    ) -> Result<Option<WebSocket<Server, T>>, AcceptError> {
        let clock = Clock::new();
        let mut handshake = Handshake::new(clock.now(), &self.config);
        let mut head = Head::new();
        let len = match head.read(&transport, clock, &mut handshake) {
            Ok(len) => len,
            Err(HeadError::Io(error)) => return Err(error.into()),
            Err(HeadError::Handshake(error)) => return Err(self.refuse(&transport, &head, error)),
        };
        let request = match handshake.request(head.received(), self.origin) {
            Ok(Parsed::Upgrade(request)) => request,
            Ok(Parsed::Plain(plain)) => {
                let Some(page) = page(&plain) else {
                    return Err(self.refuse(&transport, &head, HandshakeError::UpgradeRequired));
                };
                self.write_page(&transport, &plain, &page)?;
                return Ok(None);
            }
            Err(error) => return Err(self.refuse(&transport, &head, error)),
        };
        let answer = answer(&request);
        let upgrade = request.upgrade();
        let headers: Vec<_> = answer.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let subprotocol = match answer.verdict {
            Verdict::Accept(subprotocol) => subprotocol,
            Verdict::Refuse(status) => {
                let mut response = Vec::new();
                reject_to(&Reject::new(status).headers(&headers), head.received(), &mut response)?;
                self.write_last(&transport, &response)?;
                return Err(AcceptError::Refused(status));
            }
        };
        let accept = Accept::new().subprotocol(subprotocol).headers(&headers);
        #[cfg(feature = "deflate")]
        let accept = accept.deflate(self.pool.as_ref().and_then(|pool| request.deflate(&pool.settings)));
        let mut response = Vec::new();
        let endpoint = upgrade.accept_to(&accept, &self.config, clock.now(), &mut response)?;
        write_within(&transport, &response, self.write_timeout)?;
        let buffer = head.into_buffer(len);
        #[cfg(feature = "deflate")]
        let compression = Compression::new(&endpoint, self.pool.as_ref());
        #[cfg(not(feature = "deflate"))]
        let compression = Compression::default();
        let ws = WebSocket::new(endpoint, compression, transport, buffer, clock, self.write_timeout);
        Ok(Some(ws.with_subprotocol(subprotocol.map(|chosen| chosen.as_str()))))
    }

    fn write_page(
        &self,
        transport: &impl Transport,
        request: &PlainRequest<'_>,
        page: &Page,
    ) -> Result<(), AcceptError> {
        write_within(transport, page.head().as_bytes(), self.write_timeout)?;
        let body = if request.method() == "HEAD" { &[] } else { &*page.body };
        self.write_last(transport, body)
    }

    /// Tells whoever asked what is wrong.
    fn refuse(&self, transport: &impl Transport, head: &Head, error: HandshakeError) -> AcceptError {
        let mut response = Vec::new();
        error.write_response_to(head.received(), &mut response);
        // A peer that is gone needs no answer.
        let _ = self.write_last(transport, &response);
        AcceptError::Handshake(error)
    }

    fn write_last(&self, transport: &impl Transport, response: &[u8]) -> Result<(), AcceptError> {
        write_within(transport, response, self.write_timeout)?;
        farewell(transport);
        Ok(())
    }
}

/// Why no connection came of a stream; there is nothing left to do with it.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcceptError {
    /// The transport failed or ended.
    Io(io::Error),
    /// The request was not one for a connection, or was not accepted; it was answered accordingly.
    Handshake(HandshakeError),
    /// The application refused, with this status.
    Refused(u16),
    /// The application's answer can't be written; nothing was.
    Answer(WriteError),
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "transport failed: {error}"),
            Self::Handshake(error) => write!(f, "no opening handshake: {error}"),
            Self::Refused(status) => write!(f, "refused with status {status}"),
            Self::Answer(error) => write!(f, "answer can't be written: {error}"),
        }
    }
}

impl std::error::Error for AcceptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Handshake(error) => Some(error),
            Self::Answer(error) => Some(error),
            Self::Refused(_) => None,
        }
    }
}

impl From<io::Error> for AcceptError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<WriteError> for AcceptError {
    fn from(error: WriteError) -> Self {
        Self::Answer(error)
    }
}
