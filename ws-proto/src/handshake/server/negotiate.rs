//! Negotiating from the fields that another HTTP library has parsed, and all that its answer needs.

use core::{fmt, str};

use super::{
    super::{
        HandshakeError, WriteError,
        extension::{self, Extension},
        head::HttpVersion,
        write::{Writer, check_headers},
    },
    Accept, OriginPolicy, Subprotocol, Upgrade,
    offer::{self, Facts, check_method, parse_authority},
    reject::{Connection, fixed_fields},
};
use crate::{
    config::Config,
    endpoint::Endpoint,
    endpoint::Negotiated,
    part::{part, sure},
    role::Server,
    time::Instant,
};

/// The offer of a client: its subprotocols and extensions, and the page that asks.
///
/// `F` begins a walk over the fields of an HTTP library's request.
#[derive(Clone)]
pub struct Offer<'h, F> {
    fields: F,
    origin: Option<&'h str>,
    /// `None`: an extended CONNECT, which has no key.
    upgrade: Option<Upgrade>,
}

impl<'h, F: Fn() -> I, I: Iterator<Item = (&'h str, &'h [u8])>> Offer<'h, F> {
    /// The origin of the page that asks; `None` if it is not a browser that asks (RFC 6455 section 4.2.1).
    #[must_use]
    pub const fn origin(&self) -> Option<&'h str> {
        self.origin
    }

    /// The subprotocols that the client speaks, its favourite first.
    pub fn subprotocols(&self) -> impl Iterator<Item = &'h str> + use<'h, F, I> {
        offer::subprotocols((self.fields)())
    }

    /// Returns the subprotocol that the client likes best, for a server that speaks any.
    #[must_use]
    pub fn favourite(&self) -> Option<Subprotocol<'h>> {
        self.subprotocols().next().map(Subprotocol::of_client)
    }

    /// The first of `ours` that the client speaks too.
    #[must_use]
    pub fn select<'s>(&self, ours: &[&'s str]) -> Option<Subprotocol<'s>> {
        offer::select(ours, || self.subprotocols())
    }

    /// The extensions that the client offers, its favourite first (RFC 6455 section 9.1).
    pub fn extensions(&self) -> impl Iterator<Item = Extension<'h>> + use<'h, F, I> {
        extension::extensions((self.fields)())
    }

    /// How messages are compressed if the server wants it as `settings` say: what it makes of the first offer that it
    /// can accept, for [`Accept::deflate`] (RFC 7692 section 7).
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(&self, settings: &crate::deflate::Settings) -> Option<crate::deflate::Parameters> {
        super::super::compression::accept(settings, self.extensions())
    }

    /// The response that accepts.
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
            extensions: answer.negotiated.deflate.map(|deflate| Text::of(format_args!("{deflate}"))),
        })
    }
}

impl<F> fmt::Debug for Offer<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// The response that accepts a request, for an HTTP library to send. It has no body.
#[derive(Clone, Copy, Debug)]
pub struct Acceptance<'a> {
    upgrade: Option<Upgrade>,
    answer: Accept<'a>,
    #[cfg(feature = "deflate")]
    extensions: Option<Text<128>>,
}

impl<'a> Acceptance<'a> {
    /// 101; 200 to an extended CONNECT (RFC 8441 section 5).
    #[must_use]
    pub const fn status(&self) -> u16 {
        if self.upgrade.is_some() { 101 } else { 200 }
    }

    /// All fields of the response, those of [`Accept::headers`] last. Names of the handshake's own are in small letters, as
    /// HTTP/2 asks.
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

    /// Returns the result of the negotiation that the endpoint has to know, for hosts that make it themselves.
    #[must_use]
    pub const fn negotiated(&self) -> Negotiated {
        self.answer.negotiated
    }

    /// The endpoint of the connection, on the stream that follows the response.
    #[must_use]
    pub fn open(&self, config: &Config, now: Instant) -> Endpoint<Server> {
        Endpoint::new(Server, config, self.answer.negotiated, now)
    }
}

/// A value of at most `N` bytes, which is not there until it is written: all four parameters of compression take 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    fn of(value: fmt::Arguments<'_>) -> Self {
        let mut bytes = [0; N];
        let mut writer = Writer::new(&mut bytes);
        // Counting on when it is full, it takes everything.
        let _ = fmt::write(&mut writer, value);
        let len = sure(writer.finish().ok());
        Self { bytes, len }
    }

    fn as_str(&self) -> &str {
        sure(str::from_utf8(part(&self.bytes, ..self.len)).ok())
    }
}

/// The response that refuses a request, for an HTTP library to send, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    error: HandshakeError,
    connection: Connection,
    body_len: Text<20>,
    body: &'static str,
}

impl Rejection {
    fn new(error: HandshakeError, connection: Connection, method: &str) -> Self {
        let text = error.text();
        let body = if method == "HEAD" { "" } else { text };
        Self { error, connection, body_len: Text::of(format_args!("{}", text.len())), body }
    }

    /// Returns the fault of the request.
    #[must_use]
    pub const fn error(&self) -> HandshakeError {
        self.error
    }

    /// The status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.error.status()
    }

    /// All fields of the response, in the answer to HEAD those of the answer to GET. Names are in small letters, as HTTP/2
    /// asks.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        fixed_fields(self.status(), self.connection)
            .map(|(_, name, value)| (name, value))
            .chain([("content-type", "text/plain"), ("content-length", self.body_len.as_str())])
    }

    /// The body: a fixed text; empty in the answer to HEAD. Nothing of the request is reflected.
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
/// `fields` begins a walk over all field lines of the request; `authority` is that of a target in absolute
/// form. The syntax of fields is that library's to check. A request that announces a body is refused here.
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
/// As [`Request::parse`](super::Request::parse); a request that does not ask for a WebSocket gives
/// [`HandshakeError::UpgradeRequired`].
pub fn negotiate<'h, F: Fn() -> I, I: Iterator<Item = (&'h str, &'h [u8])>>(
    version: HttpVersion,
    method: &str,
    authority: Option<&'h str>,
    fields: F,
    origin: OriginPolicy<'_>,
) -> Result<Offer<'h, F>, Rejection> {
    let negotiate = || {
        check_method(method)?;
        let facts = Facts::gather(fields())?;
        let authority = facts.authority(version, authority.map(parse_authority).transpose()?)?;
        if facts.is_plain(version, method)? {
            return Err(HandshakeError::UpgradeRequired);
        }
        let upgrade = facts.upgrade(method)?;
        Ok((facts.admit(&authority.ok_or(HandshakeError::Host)?, origin)?, upgrade))
    };
    match negotiate() {
        Ok((origin, upgrade)) => Ok(Offer { fields, origin, upgrade: Some(upgrade) }),
        Err(error) => Err(Rejection::new(error, Connection::Own, method)),
    }
}

/// Negotiates an extended CONNECT request of HTTP/2 or HTTP/3 whose `:protocol` is `websocket` (RFC 8441
/// section 5, RFC 9220).
///
/// `authority` is the value of `:authority`, `fields` begins a walk over all regular fields. There is neither a key nor an
/// upgrade, and no answer has a field that these versions forbid. To answer, send the status and all fields of the
/// [`Acceptance`], or the [`Rejection`] with its body.
///
/// # Errors
///
/// As [`Request::parse`](super::Request::parse), as far as the rules apply.
pub fn negotiate_extended_connect<'h, F: Fn() -> I, I: Iterator<Item = (&'h str, &'h [u8])>>(
    authority: &'h str,
    fields: F,
    origin: OriginPolicy<'_>,
) -> Result<Offer<'h, F>, Rejection> {
    let negotiate = || {
        let facts = Facts::gather(fields())?;
        let authority = parse_authority(authority)?;
        facts.check_version()?;
        facts.admit(&authority, origin)
    };
    match negotiate() {
        Ok(origin) => Ok(Offer { fields, origin, upgrade: None }),
        Err(error) => Err(Rejection::new(error, Connection::Stream, "CONNECT")),
    }
}
