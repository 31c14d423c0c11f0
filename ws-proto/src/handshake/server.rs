//! The server's side of the opening handshake (RFC 6455 section 4.2).
//!
//! ```
//! use ws_proto::{Config, Endpoint, Instant, Server};
//! use ws_proto::server::{Accept, Handshake, Head, OriginPolicy};
//!
//! /// Stands for a transport: gives the next bytes, takes the answer.
//! # struct Socket(Vec<&'static [u8]>, Vec<u8>);
//! # impl Socket {
//! #     fn read(&mut self, buf: &mut [u8]) -> usize {
//! #         let bytes = self.0.remove(0);
//! #         buf[..bytes.len()].copy_from_slice(bytes);
//! #         bytes.len()
//! #     }
//! #     fn write(&mut self, bytes: &[u8]) { self.1.extend_from_slice(bytes); }
//! # }
//! # fn now() -> Instant { Instant::ZERO }
//! fn accept(socket: &mut Socket, config: &Config) -> Result<Endpoint<Server>, Box<dyn std::error::Error>> {
//!     let mut buf = [0; 4096];
//!     let mut out = [0; 512];
//!     let mut received = 0;
//!     let mut handshake = Handshake::new(now(), config);
//!     let head_len = loop {
//!         match handshake.poll_head(now(), &buf[..received]) {
//!             Ok(Some(len)) => break len,
//!             // A driver waits no longer than `handshake.poll_timeout()`, and refuses when the buffer is full.
//!             Ok(None) => received += socket.read(&mut buf[received..]),
//!             Err(error) => {
//!                 let len = error.write_response(&buf[..received], &mut out)?;
//!                 socket.write(&out[..len]);
//!                 return Err(error.into());
//!             }
//!         }
//!     };
//!     let request = match handshake.request(&buf[..received], OriginPolicy::SameHost) {
//!         Ok(Head::Upgrade(request)) => request,
//!         Ok(Head::Plain(request)) => return Err(format!("a page is asked for: {}", request.path()).into()),
//!         Err(error) => {
//!             let len = error.write_response(&buf[..received], &mut out)?;
//!             socket.write(&out[..len]);
//!             return Err(error.into());
//!         }
//!     };
//!     let answer = Accept::new().subprotocol(request.select(&["chat.v2", "chat.v1"]));
//!     let (len, endpoint) = request.upgrade().accept(&answer, config, now(), &mut out)?;
//!     socket.write(&out[..len]);
//!     // `buf[head_len..received]` are the first bytes for `endpoint.receive`.
//!     assert_eq!(&buf[head_len..received], b"\x81\x80....");
//!     Ok(endpoint)
//! }
//!
//! let mut socket = Socket(vec![
//!     b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConn",
//!     b"ection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n",
//!     b"Sec-WebSocket-Protocol: chat.v1\r\nOrigin: https://example.com\r\n\r\n\x81\x80....",
//! ], Vec::new());
//! accept(&mut socket, &Config::default())?;
//! let answer = String::from_utf8(socket.1)?;
//! assert!(answer.starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
//! assert!(answer.contains("\r\nSec-WebSocket-Protocol: chat.v1\r\n"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod answer;
mod negotiate;
mod offer;
mod reject;

use core::fmt;

use super::{
    Fields, HandshakeError,
    extension::{self, Extension},
    head::{Message, NO_LINES, RequestHead, split},
    progress::Progress,
    target::Target,
};
use crate::{config::Config, time::Instant};

pub use super::{
    head::HttpVersion,
    mismatch::OriginMismatch,
    origin::{AllowList, InvalidEntry, OriginPolicy},
};
pub use answer::{Accept, Subprotocol, Upgrade};
pub use negotiate::{Acceptance, Offer, Rejection, negotiate, negotiate_extended_connect};
use offer::{Facts, check_method};
#[cfg(feature = "alloc")]
pub use reject::reject_to;
pub use reject::{Reject, reject};

/// Waits for the head of a request. Small, and holds no bytes.
#[derive(Clone, Debug)]
pub struct Handshake {
    progress: Progress,
}

impl Handshake {
    /// Begins to wait at `now`, for at most [`handshake_timeout`](Config::handshake_timeout).
    #[must_use]
    pub fn new(now: Instant, config: &Config) -> Self {
        Self { progress: Progress::new(Message::Request, now, config) }
    }

    /// Looks for the end of the head in `received`: all bytes received so far, from the first on.
    ///
    /// `Some(len)`: the head is `received[..len]`, for [`Request::parse`]; what follows are the first bytes
    /// of frames, for the endpoint. `None`: more bytes are needed. Each byte is looked at once, however often
    /// this is called.
    ///
    /// # Errors
    ///
    /// The peer's bytes can't become a head, whatever follows, or its time is over. Answer with
    /// [`HandshakeError::write_response`]; a later call gives the same error.
    pub fn poll_head(&mut self, now: Instant, received: &[u8]) -> Result<Option<usize>, HandshakeError> {
        self.progress.poll_head(now, received)
    }

    /// Parses the head that [`poll_head`](Self::poll_head) has found at the start of `received`, which have to be the same
    /// bytes: they are not looked through once more, as [`Request::parse`] would.
    ///
    /// # Errors
    ///
    /// As [`Request::parse`]; [`HandshakeError::Syntax`] as long as no head has been found.
    pub fn request<'h>(&self, received: &'h [u8], origin: OriginPolicy<'_>) -> Result<Head<'h>, HandshakeError> {
        Request::parse_found(self.progress.finder.head(received)?, origin)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); `None` once the head has been found, or with
    /// the timeout off.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.progress.poll_timeout()
    }

    /// Tells that it is `now`.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Timeout`] if the head is not complete and the deadline has passed: one for the whole
    /// head, that no byte prolongs.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), HandshakeError> {
        self.progress.handle_timeout(now)
    }
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub enum Head<'h> {
    /// A WebSocket, in good order.
    Upgrade(Request<'h>),
    /// Something else: serve a page, or refuse with [`HandshakeError::UpgradeRequired`].
    Plain(PlainRequest<'h>),
}

impl<'h> Head<'h> {
    /// The request for a WebSocket, where nothing else is served.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::UpgradeRequired`] if something else is asked for.
    pub const fn into_request(self) -> Result<Request<'h>, HandshakeError> {
        match self {
            Self::Upgrade(request) => Ok(request),
            Self::Plain(_) => Err(HandshakeError::UpgradeRequired),
        }
    }
}

/// A valid GET or HEAD of HTTP/1.1 or HTTP/1.0 without a body that does not ask for a WebSocket.
///
/// Other methods are refused with [`HandshakeError::MethodNotAllowed`]. The answer to HEAD is that to GET without its
/// body (RFC 9110 section 9.3.2).
#[derive(Clone)]
pub struct PlainRequest<'h> {
    method: &'h str,
    target: Target<'h>,
    host: &'h str,
    fields: Fields<'h>,
}

impl<'h> PlainRequest<'h> {
    /// The method: `GET` or `HEAD`.
    #[must_use]
    pub fn method(&self) -> &'h str {
        self.method
    }

    /// The request target as it was sent: visible ASCII without a fragment, but not always a path.
    #[must_use]
    pub fn target(&self) -> &'h str {
        self.target.text
    }

    /// The path of the target as it was sent, with its percent-encoding; it begins with a slash.
    #[must_use]
    pub fn path(&self) -> &'h str {
        self.target.path
    }

    /// The query of the target, without its question mark.
    #[must_use]
    pub fn query(&self) -> Option<&'h str> {
        self.target.query
    }

    /// The host that the request is for, with the port if it was sent: of a target in absolute form its own,
    /// else Host (RFC 9112 section 3.2.2). Empty if a request of HTTP/1.0 names none.
    #[must_use]
    pub fn host(&self) -> &'h str {
        self.host
    }

    /// The value of the first field line called `name`, in whatever case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'h [u8]> {
        self.fields.value(name)
    }

    /// All field lines.
    #[must_use]
    pub fn headers(&self) -> Fields<'h> {
        self.fields
    }
}

impl fmt::Debug for PlainRequest<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The query may hold a secret.
        f.debug_struct("PlainRequest")
            .field("method", &self.method())
            .field("host", &self.host())
            .field("path", &self.path())
            .field("headers", &self.fields)
            .finish()
    }
}

/// A request for a WebSocket that is valid in every part.
#[derive(Clone, Debug)]
pub struct Request<'h> {
    head: PlainRequest<'h>,
    origin: Option<&'h str>,
    upgrade: Upgrade,
}

impl<'h> Request<'h> {
    /// Parses the head that `head` begins with, within the default limits; what follows it is not looked at.
    ///
    /// [`Handshake::request`] does so within the limits of a [`Config`].
    ///
    /// # Errors
    ///
    /// The request breaks a rule, or `origin` does not admit the page it comes from. Answer with
    /// [`HandshakeError::write_response`].
    pub fn parse(head: &'h [u8], origin: OriginPolicy<'_>) -> Result<Head<'h>, HandshakeError> {
        Self::parse_found(split(head)?, origin)
    }

    /// [`parse`](Self::parse) of a head that a finder has found.
    fn parse_found(head: &'h [u8], origin: OriginPolicy<'_>) -> Result<Head<'h>, HandshakeError> {
        let mut room = NO_LINES;
        let RequestHead { version, method, target, lines, fields } = RequestHead::parse(head, &mut room)?;
        check_method(method)?;
        let target = Target::parse(method, target)?;
        let facts = Facts::gather(lines.iter().map(|line| (line.name, line.value)))?;
        let authority = facts.authority(version, target.authority)?;
        let host = authority.map_or("", |authority| authority.text);
        let head = PlainRequest { method, target, host, fields };
        if facts.is_plain(version, method)? {
            return Ok(Head::Plain(head));
        }
        let upgrade = facts.upgrade(method)?;
        let origin = facts.admit(&authority.ok_or(HandshakeError::Host)?, origin)?;
        Ok(Head::Upgrade(Self { head, origin, upgrade }))
    }

    /// The request target as it was sent: visible ASCII without a fragment, but not always a path.
    #[must_use]
    pub fn target(&self) -> &'h str {
        self.head.target()
    }

    /// The path of the target as it was sent, with its percent-encoding; it begins with a slash.
    #[must_use]
    pub fn path(&self) -> &'h str {
        self.head.path()
    }

    /// The query of the target, without its question mark.
    #[must_use]
    pub fn query(&self) -> Option<&'h str> {
        self.head.query()
    }

    /// The host that the request is for, with the port if it was sent: of a target in absolute form its own,
    /// else Host (RFC 9112 section 3.2.2).
    #[must_use]
    pub fn host(&self) -> &'h str {
        self.head.host()
    }

    /// The value of the first field line called `name`, in whatever case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'h [u8]> {
        self.head.header(name)
    }

    /// All field lines.
    #[must_use]
    pub fn headers(&self) -> Fields<'h> {
        self.head.headers()
    }

    /// The origin of the page that asks; `None` if it is not a browser that asks (RFC 6455 section 4.2.1).
    #[must_use]
    pub const fn origin(&self) -> Option<&'h str> {
        self.origin
    }

    /// The subprotocols that the client speaks, its favourite first.
    pub fn subprotocols(&self) -> impl Iterator<Item = &'h str> + use<'h> {
        offer::subprotocols(self.headers())
    }

    /// The first of `ours` that the client speaks too.
    #[must_use]
    pub fn select<'s>(&self, ours: &[&'s str]) -> Option<Subprotocol<'s>> {
        offer::select(ours, || self.subprotocols())
    }

    /// Returns the subprotocol that the client likes best, for a server that speaks any.
    #[must_use]
    pub fn favourite(&self) -> Option<Subprotocol<'h>> {
        self.subprotocols().next().map(Subprotocol::of_client)
    }

    /// The extensions that the client offers, its favourite first (RFC 6455 section 9.1).
    pub fn extensions(&self) -> impl Iterator<Item = Extension<'h>> + use<'h> {
        extension::extensions(self.headers())
    }

    /// How messages are compressed if the server wants it as `settings` say: what it makes of the first offer that it
    /// can accept, for [`Accept::deflate`] (RFC 7692 section 7).
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(&self, settings: &crate::deflate::Settings) -> Option<crate::deflate::Parameters> {
        super::compression::accept(settings, self.extensions())
    }

    /// Returns `answer` with the subprotocol that this client likes best, if that is how it is chosen.
    pub(crate) fn resolve<'r>(&self, answer: Accept<'r>) -> Accept<'r>
    where
        'h: 'r,
    {
        if answer.any_subprotocol { answer.subprotocol(self.favourite()) } else { answer }
    }

    /// Returns `answer` with messages compressed as `settings` say, unless the application has decided that already.
    #[cfg(feature = "deflate")]
    pub(crate) fn compress<'r>(
        &self,
        answer: Accept<'r>,
        settings: Option<crate::deflate::Settings>,
    ) -> Accept<'r> {
        match settings {
            Some(settings) if answer.negotiated.deflate.is_none() => answer.deflate(self.deflate(&settings)),
            _ => answer,
        }
    }

    /// What it takes to accept; it outlives the head.
    #[must_use]
    pub fn upgrade(&self) -> Upgrade {
        self.upgrade
    }
}
