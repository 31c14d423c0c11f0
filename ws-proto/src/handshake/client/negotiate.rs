//! Negotiation for another HTTP library, which sends the request and parses the answer, and the parts of an offer
//! and its answer that do not depend on who sends them.

use core::fmt;

use super::{
    super::{
        HandshakeError, SingleField, WriteError,
        field::{Once, is_name, list_names, trimmed},
        head::HttpVersion,
        key,
        write::HeadWriter,
    },
    Request,
    value::{FieldValue, RequestField},
};
use crate::{
    config::Config,
    endpoint::{Endpoint, Negotiated},
    part::sure,
    role::{Client, Entropy},
    time::Instant,
    utf8::to_str,
};

/// An offer to open a WebSocket: the fields of a request, for an HTTP library to send, and the check of the
/// answer.
///
/// The counterpart of [`server::negotiate`](crate::server::negotiate()). The host and the resource of the
/// [`Request`] are not used: the HTTP library sends its own.
///
/// ```
/// use ws_proto::{Client, Config, EntropyError, Instant, State};
/// use ws_proto::client::{HttpVersion, Offer, Request};
///
/// let request = Request::new("example.com", "/chat").subprotocols(&["chat.v2", "chat.v1"]);
/// // Random in a real program, and another one for each connection.
/// let offer = Offer::new(request, *b"the sample nonce")?;
/// let fields: Vec<_> = offer.fields().map(|(name, value)| (name, value.to_string())).collect();
/// assert_eq!(fields, [
///     ("upgrade", "websocket".to_string()),
///     ("connection", "Upgrade".to_string()),
///     ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==".to_string()),
///     ("sec-websocket-version", "13".to_string()),
///     ("sec-websocket-protocol", "chat.v2, chat.v1".to_string()),
/// ]);
///
/// // The HTTP library sends GET with these fields, and parses the head of the answer.
/// let answer = [
///     ("upgrade", "websocket"),
///     ("connection", "upgrade"),
///     ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
///     ("sec-websocket-protocol", "chat.v1"),
/// ];
/// let answer = || answer.iter().map(|(name, value)| (*name, value.as_bytes()));
/// let acceptance = offer.check(HttpVersion::Http11, 101, answer)?.ok_or("refused")?;
/// assert_eq!(acceptance.subprotocol(), Some("chat.v1"));
/// # let entropy = |_: &mut [u8]| Err(EntropyError);
/// let endpoint = acceptance.open(Client::new(entropy), &Config::default(), Instant::ZERO);
/// assert_eq!(endpoint.state(), State::Open);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy)]
pub struct Offer<'a> {
    request: Request<'a>,
    /// The key; `None` for an extended CONNECT, which has none.
    key: Option<[u8; key::KEY_LEN]>,
}

impl<'a> Offer<'a> {
    /// Creates an offer for a GET request of HTTP/1.1.
    ///
    /// `nonce` has to be random, and different for each connection (RFC 6455 section 4.1).
    ///
    /// # Errors
    ///
    /// The origin, a subprotocol or a further field cannot be sent; the [`WriteError`] says which.
    pub fn new(request: Request<'a>, nonce: [u8; 16]) -> Result<Self, WriteError> {
        request.check_fields()?;
        Ok(Self { request, key: Some(key::encode(nonce)) })
    }

    /// Creates an offer for an extended CONNECT request of HTTP/2 or HTTP/3 whose `:protocol` is `websocket` (RFC
    /// 8441 section 5, RFC 9220). The server must have allowed such requests in its settings.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new).
    pub fn extended_connect(request: Request<'a>) -> Result<Self, WriteError> {
        request.check_fields()?;
        Ok(Self { request, key: None })
    }

    /// Returns all fields of the request except Host and those that HTTP/2 begins with a colon. Those of
    /// [`Request::headers`] come last.
    ///
    /// The names of the handshake's own fields are in small letters, as HTTP/2 requires.
    pub fn fields(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
        self.all_fields().map(|(_, name, value)| (name, value))
    }

    /// Checks the answer: its `status` and its fields. `fields` returns a new iterator over them.
    ///
    /// Returns `None` if the server refuses with a status of its choice, whose meaning is a matter of HTTP.
    /// `version` is [`Other`](HttpVersion::Other) for HTTP/2 and HTTP/3. Call it for the final response: an
    /// interim one (1xx except 101) is not an answer.
    ///
    /// # Errors
    ///
    /// The response claims to open the connection but breaks a rule, is an interim one, or travels over another
    /// version of HTTP than the offer is for ([`HandshakeError::HttpVersion`]): end the transport.
    pub fn check<'h, I: Iterator<Item = (&'h str, &'h [u8])>>(
        &self,
        version: HttpVersion,
        status: u16,
        fields: impl Fn() -> I,
    ) -> Result<Option<Acceptance<'a>>, HandshakeError> {
        if !self.is_accepted(version, status)? {
            return Ok(None);
        }
        ResponseFacts::gather(trimmed(fields()))?.accept(self, fields).map(Some)
    }

    /// Returns whether a response opens the connection.
    pub(super) const fn is_accepted(&self, version: HttpVersion, status: u16) -> Result<bool, HandshakeError> {
        match (version, status, self.key.is_some()) {
            (_, ..100 | 1_000.., _) => Err(HandshakeError::Status),
            (HttpVersion::Other, _, true) | (HttpVersion::Http10 | HttpVersion::Http11, _, false) => {
                Err(HandshakeError::HttpVersion)
            }
            (HttpVersion::Http10, 101, true) => Err(HandshakeError::Http10),
            // RFC 8441 §5: any 2xx.
            (_, 101, true) | (_, 200..300, false) => Ok(true),
            // An interim response is not an answer; HTTP/1.0 has none, and HTTP/2 has no 101.
            (_, ..200, _) => Err(HandshakeError::Status),
            _ => Ok(false),
        }
    }

    /// Writes the head of a request of HTTP/1.1.
    pub(super) fn write(&self, writer: &mut HeadWriter<'_>) {
        self.request.write_line_and_host(writer);
        for (name, _, value) in self.all_fields() {
            writer.put(name.as_bytes());
            writer.put(b": ");
            // The writer counts when it is full, so this cannot fail.
            let _ = value.write(writer);
            writer.put(b"\r\n");
        }
        writer.put(b"\r\n");
    }

    /// Returns all fields except Host.
    fn all_fields(&self) -> impl Iterator<Item = RequestField<'_>> {
        let text = FieldValue::text;
        let upgrade = self.key.as_ref().map(|key| {
            [
                ("Upgrade", "upgrade", text("websocket")),
                ("Connection", "connection", text("Upgrade")),
                ("Sec-WebSocket-Key", "sec-websocket-key", text(sure(to_str(key).ok()))),
            ]
        });
        let version = ("Sec-WebSocket-Version", "sec-websocket-version", text("13"));
        upgrade.into_iter().flatten().chain([version]).chain(self.request.fields())
    }
}

impl fmt::Debug for Offer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer").field("request", &self.request).finish_non_exhaustive()
    }
}

/// The server's acceptance of an [`Offer`], valid in every part.
#[derive(Clone, Copy, Debug)]
pub struct Acceptance<'a> {
    subprotocol: Option<&'a str>,
    negotiated: Negotiated,
}

impl<'a> Acceptance<'a> {
    /// Returns the subprotocol that the server has chosen, as the request spells it, or `None` if it has chosen
    /// none.
    #[must_use]
    pub const fn subprotocol(&self) -> Option<&'a str> {
        self.subprotocol
    }

    /// Returns the result of the negotiation, for hosts that create the endpoint themselves.
    #[must_use]
    pub const fn negotiated(&self) -> Negotiated {
        self.negotiated
    }

    /// Creates the endpoint of the connection, on the stream that follows the response.
    #[must_use]
    pub fn open<E: Entropy>(&self, role: Client<E>, config: &Config, now: Instant) -> Endpoint<Client<E>> {
        Endpoint::new(role, config, self.negotiated, now)
    }
}

/// The facts found in one pass over the fields of a response.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ResponseFacts<'h> {
    upgrade: Once<'h>,
    accept: Once<'h>,
    subprotocol: Once<'h>,
    names_upgrade: bool,
    names_extensions: bool,
}

impl<'h> ResponseFacts<'h> {
    /// Gathers the facts from `fields`, whose values have no white space around them.
    pub(super) fn gather(fields: impl Iterator<Item = (&'h str, &'h [u8])>) -> Result<Self, HandshakeError> {
        let mut facts = Self::default();
        for (name, value) in fields {
            facts.add(name, value)?;
        }
        Ok(facts)
    }

    // RFC 9112 §6.3: a 101 ends at its empty line, whatever Content-Length and Transfer-Encoding say.
    fn add(&mut self, name: &str, value: &'h [u8]) -> Result<(), HandshakeError> {
        match name.len() {
            7 if is_name(name, b"upgrade") => self.upgrade.add(value),
            10 if is_name(name, b"connection") => {
                self.names_upgrade |= list_names(value, b"upgrade").ok_or(HandshakeError::Connection)?;
            }
            // §11.3.1: only requests have it.
            17 if is_name(name, b"sec-websocket-key") => return Err(HandshakeError::Key),
            20 if is_name(name, b"sec-websocket-accept") => self.accept.add(value),
            22 if is_name(name, b"sec-websocket-protocol") => self.subprotocol.add(value),
            24 if is_name(name, b"sec-websocket-extensions") => self.names_extensions = true,
            _ => {}
        }
        Ok(())
    }

    /// Checks all parts of a response that opens the connection (§4.1). `fields` returns a new iterator over its
    /// fields.
    pub(super) fn accept<'a, I: Iterator<Item = (&'h str, &'h [u8])>>(
        &self,
        offer: &Offer<'a>,
        fields: impl FnOnce() -> I,
    ) -> Result<Acceptance<'a>, HandshakeError> {
        if let Some(key) = &offer.key {
            self.check_upgrade(key)?;
        }
        let subprotocol = offer.request.chosen(self.subprotocol)?;
        let negotiated =
            if self.names_extensions { offer.request.extensions(fields())? } else { Negotiated::new() };
        Ok(Acceptance { subprotocol, negotiated })
    }

    /// Checks Upgrade, Connection and Sec-WebSocket-Accept.
    fn check_upgrade(&self, key: &[u8; key::KEY_LEN]) -> Result<(), HandshakeError> {
        let upgrade = self.upgrade.required(SingleField::Upgrade, HandshakeError::Upgrade)?;
        if !is_name(upgrade, b"websocket") {
            return Err(HandshakeError::Upgrade);
        }
        if !self.names_upgrade {
            return Err(HandshakeError::Connection);
        }
        let accept = self.accept.required(SingleField::Accept, HandshakeError::Accept)?;
        if key::equal(&key::accept(key), accept) { Ok(()) } else { Err(HandshakeError::Accept) }
    }
}
