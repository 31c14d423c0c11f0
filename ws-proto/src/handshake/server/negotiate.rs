//! Negotiation with the fields that another HTTP library has parsed, and the responses for it to send.

use core::{fmt, str};

use super::{
    super::{
        HandshakeError, WriteError,
        extension::{self, Extension},
        field::trimmed,
        head::HttpVersion,
        write::{HeadWriter, check_headers},
    },
    Accept, OriginPolicy, Subprotocol, Upgrade,
    offer::{self, RequestFacts, check_method, parse_authority},
    reject::{Carrier, fixed_fields},
};
use crate::{
    config::Config,
    endpoint::Endpoint,
    endpoint::Negotiated,
    part::{part, sure},
    role::Server,
    time::Instant,
};

/// The offer of a client: its subprotocols and extensions, and the page that sent it.
///
/// `F` returns a new iterator over the fields of an HTTP library's request.
#[derive(Clone)]
pub struct Offer<'h, F> {
    fields: F,
    origin: Option<&'h str>,
    /// The key's answer; `None` for an extended CONNECT, which has no key.
    upgrade: Option<Upgrade>,
}

impl<'h, F: Fn() -> I, I: Iterator<Item = (&'h str, &'h [u8])>> Offer<'h, F> {
    /// Returns the origin of the page that sent the request, or `None` if it has no Origin and so no browser sent
    /// it (RFC 6455 section 4.2.1).
    #[must_use]
    pub const fn origin(&self) -> Option<&'h str> {
        self.origin
    }

    /// Returns the subprotocols that the client offers, its favourite first.
    pub fn subprotocols(&self) -> impl Iterator<Item = &'h str> + use<'h, F, I> {
        offer::subprotocols((self.fields)())
    }

    /// Returns the client's favourite subprotocol, for a server that speaks any.
    #[must_use]
    pub fn favourite(&self) -> Option<Subprotocol<'h>> {
        self.subprotocols().next().map(Subprotocol::of_client)
    }

    /// Returns the first of `ours` that the client offers too.
    #[must_use]
    pub fn select<'s>(&self, ours: &[&'s str]) -> Option<Subprotocol<'s>> {
        offer::select(ours, || self.subprotocols())
    }

    /// Returns the extensions that the client offers, its favourite first (RFC 6455 section 9.1).
    pub fn extensions(&self) -> impl Iterator<Item = Extension<'h>> + use<'h, F, I> {
        extension::extensions((self.fields)())
    }

    /// Returns the answer to the first offer of compression that `settings` allow, for [`Accept::deflate`], or
    /// `None` if there is no such offer (RFC 7692 section 7).
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(&self, settings: &crate::deflate::Settings) -> Option<crate::deflate::Parameters> {
        super::super::compression::accept(settings, self.extensions())
    }

    /// Returns the response that accepts.
    ///
    /// # Errors
    ///
    /// [`WriteError::InvalidHeader`]. The request can still be accepted or refused.
    pub fn accept<'a>(&self, answer: &Accept<'a>) -> Result<Acceptance<'a>, WriteError> {
        check_headers(answer.headers)?;
        Ok(Acceptance {
            upgrade: self.upgrade,
            answer: *answer,
            #[cfg(feature = "deflate")]
            extensions: answer.negotiated.deflate.map(|deflate| ComposedText::of(format_args!("{deflate}"))),
        })
    }
}

impl<F> fmt::Debug for Offer<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// A response that accepts a request, for an HTTP library to send. It has no body.
#[derive(Clone, Copy, Debug)]
pub struct Acceptance<'a> {
    upgrade: Option<Upgrade>,
    answer: Accept<'a>,
    #[cfg(feature = "deflate")]
    extensions: Option<ComposedText<128>>,
}

impl<'a> Acceptance<'a> {
    /// Returns the status: 101, or 200 for an extended CONNECT (RFC 8441 section 5).
    #[must_use]
    pub const fn status(&self) -> u16 {
        if self.upgrade.is_some() { 101 } else { 200 }
    }

    /// Returns all fields of the response, those of [`Accept::headers`] last. The names of the handshake's own are
    /// in small letters, as HTTP/2 requires.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let upgrade = self.upgrade.as_ref().map(|upgrade| {
            let accept_key = sure(str::from_utf8(upgrade.accept_key()).ok());
            [("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-accept", accept_key)]
        });
        let subprotocol = self.answer.subprotocol.map(|chosen| ("sec-websocket-protocol", chosen.as_str()));
        let fields = upgrade.into_iter().flatten().chain(subprotocol);
        #[cfg(feature = "deflate")]
        let fields =
            fields.chain(self.extensions.as_ref().map(|text| ("sec-websocket-extensions", text.as_str())));
        fields.chain(self.answer.headers.iter().copied())
    }

    /// Returns the subprotocol that both sides use, if any.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.answer.subprotocol.map(|chosen| chosen.as_str())
    }

    /// Returns the result of the negotiation, for hosts that create the endpoint themselves.
    #[must_use]
    pub const fn negotiated(&self) -> Negotiated {
        self.answer.negotiated
    }

    /// Creates the endpoint of the connection, on the stream that follows the response.
    #[must_use]
    pub fn open(&self, config: &Config, now: Instant) -> Endpoint<Server> {
        Endpoint::new(Server, config, self.answer.negotiated, now)
    }
}

/// A text of at most `N` bytes that is kept here because it has to be composed. All four parameters of compression
/// take 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ComposedText<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> ComposedText<N> {
    /// Composes the text.
    fn of(value: fmt::Arguments<'_>) -> Self {
        let mut bytes = [0; N];
        let mut writer = HeadWriter::new(&mut bytes);
        // The writer counts when it is full, so this cannot fail.
        let _ = fmt::write(&mut writer, value);
        let len = sure(writer.finish().ok());
        Self { bytes, len }
    }

    /// Returns the text.
    fn as_str(&self) -> &str {
        sure(str::from_utf8(part(&self.bytes, ..self.len)).ok())
    }
}

/// A response that refuses a request, for an HTTP library to send, with the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    error: HandshakeError,
    carrier: Carrier,
    body_len: ComposedText<20>,
    body: &'static str,
}

impl Rejection {
    fn new(error: HandshakeError, carrier: Carrier, method: &str) -> Self {
        let text = error.text();
        let body = if method == "HEAD" { "" } else { text };
        Self { error, carrier, body_len: ComposedText::of(format_args!("{}", text.len())), body }
    }

    /// Returns the fault of the request.
    #[must_use]
    pub const fn error(&self) -> HandshakeError {
        self.error
    }

    /// Returns the status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.error.status()
    }

    /// Returns all fields of the response. The answer to HEAD has those of the answer to GET. Names are in small
    /// letters, as HTTP/2 requires.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        fixed_fields(self.status(), self.carrier)
            .map(|(_, name, value)| (name, value))
            .chain([("content-type", "text/plain"), ("content-length", self.body_len.as_str())])
    }

    /// Returns the body: a fixed text, empty in the answer to HEAD. It repeats nothing of the request.
    #[must_use]
    pub const fn body(&self) -> &'static str {
        self.body
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl core::error::Error for Rejection {}

/// Negotiates a request of HTTP/1.1 that another library has parsed.
///
/// `fields` returns a new iterator over all field lines of the request. `authority` is the host, with the port if there is
/// one, of a target in absolute form (`http://example.com/chat`). It is `None` for a target that is a path: then the field
/// Host names the host. The library has checked the syntax of the fields. A request that announces a body is refused here.
///
/// To answer, send the status and all fields of the [`Acceptance`], or the [`Rejection`] with its body.
///
/// ```
/// use ws_proto::{Config, Instant};
/// use ws_proto::server::{self, Accept, HttpVersion, OriginPolicy};
///
/// let fields = [
///     ("host", "example.com"),
///     ("upgrade", "websocket"),
///     ("connection", "keep-alive, upgrade"),
///     ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
///     ("sec-websocket-version", "13"),
///     ("sec-websocket-protocol", "chat"),
/// ];
/// let fields = || fields.iter().map(|(name, value)| (*name, value.as_bytes()));
/// let offer = server::negotiate(HttpVersion::Http11, "GET", None, fields, OriginPolicy::SameHost)?;
/// let response = offer.accept(&Accept::new().subprotocol(offer.select(&["chat"])))?;
/// assert_eq!(response.status(), 101);
/// assert!(response.fields().eq([
///     ("upgrade", "websocket"),
///     ("connection", "Upgrade"),
///     ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
///     ("sec-websocket-protocol", "chat"),
/// ]));
/// let endpoint = response.open(&Config::default(), Instant::ZERO);
/// # assert_eq!(endpoint.state(), ws_proto::State::Open);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// As for [`Request::parse`](super::Request::parse); [`HandshakeError::UpgradeRequired`] if the request is not for
/// a WebSocket.
pub fn negotiate<'h, F: Fn() -> I, I: Iterator<Item = (&'h str, &'h [u8])>>(
    version: HttpVersion,
    method: &str,
    authority: Option<&'h str>,
    fields: F,
    origin: OriginPolicy<'_>,
) -> Result<Offer<'h, F>, Rejection> {
    let negotiate = || {
        check_method(method)?;
        let facts = RequestFacts::gather(trimmed(fields()))?;
        let authority = facts.authority(version, authority.map(parse_authority).transpose()?)?;
        if facts.is_plain(version, method)? {
            return Err(HandshakeError::UpgradeRequired);
        }
        let upgrade = Upgrade::new(facts.key(method)?);
        Ok((facts.admit(&authority.ok_or(HandshakeError::Host)?, origin)?, upgrade))
    };
    match negotiate() {
        Ok((origin, upgrade)) => Ok(Offer { fields, origin, upgrade: Some(upgrade) }),
        Err(error) => Err(Rejection::new(error, Carrier::of(version), method)),
    }
}

/// Negotiates an extended CONNECT request of HTTP/2 or HTTP/3 whose `:protocol` is `websocket` (RFC 8441
/// section 5, RFC 9220).
///
/// `authority` is the value of `:authority`; `fields` returns a new iterator over all regular fields. There is
/// neither a key nor an upgrade, and no answer has a field that these versions forbid. To answer, send the status
/// and all fields of the [`Acceptance`], or the [`Rejection`] with its body.
///
/// # Errors
///
/// As for [`Request::parse`](super::Request::parse), as far as the rules apply.
pub fn negotiate_extended_connect<'h, F: Fn() -> I, I: Iterator<Item = (&'h str, &'h [u8])>>(
    authority: &'h str,
    fields: F,
    origin: OriginPolicy<'_>,
) -> Result<Offer<'h, F>, Rejection> {
    let negotiate = || {
        let facts = RequestFacts::gather(trimmed(fields()))?;
        let authority = parse_authority(authority)?;
        facts.check_version()?;
        facts.admit(&authority, origin)
    };
    match negotiate() {
        Ok(origin) => Ok(Offer { fields, origin, upgrade: None }),
        Err(error) => Err(Rejection::new(error, Carrier::Stream, "CONNECT")),
    }
}
