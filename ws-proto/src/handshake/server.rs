//! The server's side of the opening handshake (RFC 6455 section 4.2).
//!
//! ```
//! use ws_proto::{Config, Endpoint, Instant, Server};
//! use ws_proto::server::{Accept, Handshake, Head, OriginPolicy};
//!
//! /// A stand-in for a transport: returns the next bytes, takes the answer.
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
    head::{HeadKind, NO_LINES, RequestHead, split},
    head_wait::HeadWait,
    key::KEY_LEN,
    target::RequestTarget,
};
use crate::{config::Config, time::Instant};

pub use super::{
    head::HttpVersion,
    mismatch::OriginMismatch,
    origin::{AllowList, InvalidEntry, OriginPolicy},
};
pub use answer::{Accept, Subprotocol, Upgrade};
pub use negotiate::{Acceptance, Offer, Rejection, negotiate, negotiate_extended_connect};
use offer::{RequestFacts, check_method};
#[cfg(feature = "alloc")]
pub use reject::reject_to;
pub use reject::{Reject, reject};

/// The wait of a server for the head of a request. Small; keeps no bytes.
#[derive(Clone, Debug)]
pub struct Handshake {
    wait: HeadWait,
}

impl Handshake {
    /// Begins to wait at `now`, for at most [`handshake_timeout`](Config::handshake_timeout).
    #[must_use]
    pub fn new(now: Instant, config: &Config) -> Self {
        Self { wait: HeadWait::new(HeadKind::Request, now, config) }
    }

    /// Looks for the end of the head in `received`: all bytes received so far, from the first on.
    ///
    /// Returns `Some(len)` once it is there: the head is `received[..len]`, for [`request`](Self::request). The
    /// bytes after it are the first bytes of frames, for the endpoint. Returns `None` if more bytes are needed.
    /// Each byte is examined once, however often this is called.
    ///
    /// # Errors
    ///
    /// The received bytes cannot become a head, whatever follows, or the time for it is over. Answer with
    /// [`HandshakeError::write_response`]; later calls return the same error.
    pub fn poll_head(&mut self, now: Instant, received: &[u8]) -> Result<Option<usize>, HandshakeError> {
        self.wait.poll_head(now, received)
    }

    /// Parses the head that [`poll_head`](Self::poll_head) has found at the start of `received`, which must be the
    /// same bytes. They are not searched again, unlike by [`Request::parse`].
    ///
    /// # Errors
    ///
    /// As for [`Request::parse`]; [`HandshakeError::Syntax`] until a head has been found.
    pub fn request<'h>(&self, received: &'h [u8], origin: OriginPolicy<'_>) -> Result<Head<'h>, HandshakeError> {
        Request::parse_found(self.wait.finder.head(received)?, origin)
    }

    /// Returns the time to call [`handle_timeout`](Self::handle_timeout), or `None` once the head has been found,
    /// or with the timeout off.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.wait.poll_timeout()
    }

    /// Checks the deadline at `now`.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Timeout`] if the head is not complete and the deadline has passed. The deadline is for
    /// the whole head; received bytes do not prolong it.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), HandshakeError> {
        self.wait.handle_timeout(now)
    }
}

/// The kind of a valid request.
#[derive(Clone, Debug)]
pub enum Head<'h> {
    /// A valid request for a WebSocket.
    Upgrade(Request<'h>),
    /// A request for something else: serve a page, or refuse with [`HandshakeError::UpgradeRequired`].
    Plain(PlainRequest<'h>),
}

impl<'h> Head<'h> {
    /// Returns the request for a WebSocket, for servers that serve nothing else.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::UpgradeRequired`] if the request is for something else.
    pub const fn into_request(self) -> Result<Request<'h>, HandshakeError> {
        match self {
            Self::Upgrade(request) => Ok(request),
            Self::Plain(_) => Err(HandshakeError::UpgradeRequired),
        }
    }
}

/// A valid GET or HEAD request of HTTP/1.1 or HTTP/1.0, without a body, that is not for a WebSocket.
///
/// Other methods are refused with [`HandshakeError::MethodNotAllowed`]. The answer to HEAD is that to GET without
/// its body (RFC 9110 section 9.3.2).
#[derive(Clone)]
pub struct PlainRequest<'h> {
    method: &'h str,
    target: RequestTarget<'h>,
    host: &'h str,
    fields: Fields<'h>,
}

impl<'h> PlainRequest<'h> {
    /// Returns the method: `GET` or `HEAD`.
    #[must_use]
    pub fn method(&self) -> &'h str {
        self.method
    }

    /// Returns the request target as it was sent: visible ASCII without a fragment, but not always a path.
    #[must_use]
    pub fn target(&self) -> &'h str {
        self.target.text
    }

    /// Returns the path of the target as it was sent, with its percent-encoding. It begins with a slash.
    #[must_use]
    pub fn path(&self) -> &'h str {
        self.target.path
    }

    /// Returns the query of the target as it was sent, with its percent-encoding and without its question mark, or `None` if
    /// there is none.
    #[must_use]
    pub fn query(&self) -> Option<&'h str> {
        self.target.query
    }

    /// Returns the host that the request is for, with the port if it was sent: that of a target in absolute form,
    /// otherwise the field Host (RFC 9112 section 3.2.2). It is empty if a request of HTTP/1.0 names none.
    #[must_use]
    pub fn host(&self) -> &'h str {
        self.host
    }

    /// Returns the value of the first field line called `name`, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'h [u8]> {
        self.fields.value(name)
    }

    /// Returns all field lines.
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

/// A request for a WebSocket, valid in every part.
#[derive(Clone, Debug)]
pub struct Request<'h> {
    head: PlainRequest<'h>,
    origin: Option<&'h str>,
    key: &'h [u8; KEY_LEN],
}

impl<'h> Request<'h> {
    /// Parses the head at the start of `head`, within the default limits. Bytes after it are ignored.
    ///
    /// [`Handshake::request`] uses the limits of a [`Config`] instead.
    ///
    /// # Errors
    ///
    /// The request breaks a rule, or `origin` does not admit the page that sent it. Answer with
    /// [`HandshakeError::write_response`].
    pub fn parse(head: &'h [u8], origin: OriginPolicy<'_>) -> Result<Head<'h>, HandshakeError> {
        Self::parse_found(split(head)?, origin)
    }

    /// Parses a head that a finder has found; see [`parse`](Self::parse).
    fn parse_found(head: &'h [u8], origin: OriginPolicy<'_>) -> Result<Head<'h>, HandshakeError> {
        let mut room = NO_LINES;
        let RequestHead { version, method, target, lines, fields } = RequestHead::parse(head, &mut room)?;
        check_method(method)?;
        let target = RequestTarget::parse(method, target)?;
        let facts = RequestFacts::gather(lines.iter().map(|line| (line.name, line.value)))?;
        let authority = facts.authority(version, target.authority)?;
        let host = authority.map_or("", |authority| authority.text);
        let head = PlainRequest { method, target, host, fields };
        if facts.is_plain(version, method)? {
            return Ok(Head::Plain(head));
        }
        let key = facts.key(method)?;
        let origin = facts.admit(&authority.ok_or(HandshakeError::Host)?, origin)?;
        Ok(Head::Upgrade(Self { head, origin, key }))
    }

    /// Returns the request target as it was sent: visible ASCII without a fragment, but not always a path.
    #[must_use]
    pub fn target(&self) -> &'h str {
        self.head.target()
    }

    /// Returns the path of the target as it was sent, with its percent-encoding. It begins with a slash.
    #[must_use]
    pub fn path(&self) -> &'h str {
        self.head.path()
    }

    /// Returns the query of the target as it was sent, with its percent-encoding and without its question mark, or `None` if
    /// there is none.
    #[must_use]
    pub fn query(&self) -> Option<&'h str> {
        self.head.query()
    }

    /// Returns the host that the request is for, with the port if it was sent: that of a target in absolute form,
    /// otherwise the field Host (RFC 9112 section 3.2.2).
    #[must_use]
    pub fn host(&self) -> &'h str {
        self.head.host()
    }

    /// Returns the value of the first field line called `name`, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'h [u8]> {
        self.head.header(name)
    }

    /// Returns all field lines.
    #[must_use]
    pub fn headers(&self) -> Fields<'h> {
        self.head.headers()
    }

    /// Returns the origin of the page that sent the request, or `None` if it has no Origin and so no browser sent
    /// it (RFC 6455 section 4.2.1).
    #[must_use]
    pub const fn origin(&self) -> Option<&'h str> {
        self.origin
    }

    /// Returns the subprotocols that the client offers, its favourite first.
    pub fn subprotocols(&self) -> impl Iterator<Item = &'h str> + use<'h> {
        offer::subprotocols(self.headers())
    }

    /// Returns the first of `ours` that the client offers too.
    #[must_use]
    pub fn select<'s>(&self, ours: &[&'s str]) -> Option<Subprotocol<'s>> {
        offer::select(ours, || self.subprotocols())
    }

    /// Returns the client's favourite subprotocol, for a server that speaks any.
    #[must_use]
    pub fn favourite(&self) -> Option<Subprotocol<'h>> {
        self.subprotocols().next().map(Subprotocol::of_client)
    }

    /// Returns the extensions that the client offers, its favourite first (RFC 6455 section 9.1).
    pub fn extensions(&self) -> impl Iterator<Item = Extension<'h>> + use<'h> {
        extension::extensions(self.headers())
    }

    /// Returns the answer to the first offer of compression that `settings` allow, for [`Accept::deflate`], or
    /// `None` if there is no such offer (RFC 7692 section 7).
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(&self, settings: &crate::deflate::Settings) -> Option<crate::deflate::Parameters> {
        super::compression::accept(settings, self.extensions())
    }

    /// Returns `answer` with the client's favourite subprotocol if `answer` leaves the choice to the client.
    pub(crate) fn resolve<'r>(&self, answer: Accept<'r>) -> Accept<'r>
    where
        'h: 'r,
    {
        if answer.any_subprotocol { answer.subprotocol(self.favourite()) } else { answer }
    }

    /// Returns `answer` with messages compressed by `settings`, unless the application has decided that already.
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

    /// Returns the part of the request that accepting it needs. It outlives the head.
    #[must_use]
    pub fn upgrade(&self) -> Upgrade {
        Upgrade::new(self.key)
    }
}
