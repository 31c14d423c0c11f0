//! What a request's fields ask for (RFC 6455 section 4.2.1).

use core::{fmt, str};

use super::{
    super::{
        HandshakeError,
        authority::Authority,
        extension::{self, Extension, is_extension_list},
        field::{Once, elements, is_token, is_websocket_name, is_zero, list_names, trim},
        head::HttpVersion,
        key,
    },
    OriginPolicy, Upgrade,
};
use crate::utf8::to_str;

/// The methods that HTTP has (RFC 9110 section 9.3, RFC 5789).
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

/// What may be chosen from: the client's subprotocols, and the page that asks.
///
/// `F` begins a walk over the fields of an HTTP library's request.
#[derive(Clone)]
pub struct Offer<'h, F> {
    fields: F,
    origin: Option<&'h str>,
}

impl<'h, F: Fn() -> I, I: Iterator<Item = (&'h str, &'h [u8])>> Offer<'h, F> {
    /// The origin of the page that asks; `None` if it is not a browser that asks (RFC 6455 section 4.2.1).
    #[must_use]
    pub const fn origin(&self) -> Option<&'h str> {
        self.origin
    }

    /// The subprotocols that the client speaks, its favourite first.
    pub fn subprotocols(&self) -> impl Iterator<Item = &'h str> + use<'h, F, I> {
        subprotocols((self.fields)())
    }

    /// The first of `ours` that the client speaks too.
    #[must_use]
    pub fn select<'s>(&self, ours: &[&'s str]) -> Option<Subprotocol<'s>> {
        select(ours, || self.subprotocols())
    }

    /// The extensions that the client offers, its favourite first (RFC 6455 section 9.1).
    pub fn extensions(&self) -> impl Iterator<Item = Extension<'h>> + use<'h, F, I> {
        extension::extensions((self.fields)())
    }

    /// How messages are compressed if the server wants it as `settings` say: what it makes of the first offer that it
    /// can accept. Its `Display` goes to Sec-WebSocket-Extensions, itself to
    /// [`Negotiated::with_deflate`](crate::Negotiated::with_deflate) (RFC 7692 section 7).
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(&self, settings: &crate::deflate::Settings) -> Option<crate::deflate::Parameters> {
        crate::deflate::accept(settings, self.extensions())
    }
}

impl<F> fmt::Debug for Offer<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offer").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// The subprotocols that `fields` name.
pub(super) fn subprotocols<'h, I: Iterator<Item = (&'h str, &'h [u8])>>(
    fields: I,
) -> impl Iterator<Item = &'h str> + use<'h, I> {
    fields
        .filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-protocol"))
        .flat_map(|(_, list)| elements(list))
        .filter_map(|element| str::from_utf8(element).ok())
}

/// The first of `ours` that is offered too.
pub(super) fn select<'h, 's, I: Iterator<Item = &'h str>>(
    ours: &[&'s str],
    offered: impl Fn() -> I,
) -> Option<Subprotocol<'s>> {
    ours.iter().find(|name| offered().any(|offered| offered == **name)).map(|name| Subprotocol(name))
}

/// A subprotocol that the client has offered; only [`Offer::select`] makes one (RFC 6455 section 4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subprotocol<'s>(&'s str);

impl<'s> Subprotocol<'s> {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'s str {
        self.0
    }
}

/// Negotiates an HTTP/1.1 request that another library has parsed.
///
/// `fields` begins a walk over all field lines of the request; `authority` is that of a target in absolute
/// form. What only the head shows is that library's to check: the version (HTTP/1.0 has no upgrade) and the
/// syntax of fields. A request that announces a body is refused here.
///
/// To answer, send status 101 with `Upgrade: websocket`, `Connection: Upgrade`, the value of
/// [`Upgrade::accept_key`] as Sec-WebSocket-Accept, and the subprotocol selected; then begin an
/// [`Endpoint`](crate::Endpoint).
///
/// ```
/// use ws_proto::server::{self, OriginPolicy};
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
/// let (offer, upgrade) = server::negotiate("GET", None, fields, OriginPolicy::SameHost)?;
/// assert_eq!(upgrade.accept_key(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// assert_eq!(offer.select(&["chat"]).unwrap().as_str(), "chat");
/// # Ok::<(), ws_proto::HandshakeError>(())
/// ```
///
/// # Errors
///
/// As [`Request::parse`](super::Request::parse); a request that does not ask for a WebSocket gives
/// [`HandshakeError::UpgradeRequired`].
pub fn negotiate<'h, F: Fn() -> I, I: Iterator<Item = (&'h str, &'h [u8])>>(
    method: &str,
    authority: Option<&'h str>,
    fields: F,
    origin: OriginPolicy<'_>,
) -> Result<(Offer<'h, F>, Upgrade), HandshakeError> {
    check_method(method)?;
    let facts = Facts::gather(fields())?;
    let absolute = authority.map(parse_authority).transpose()?;
    let authority = facts.authority(HttpVersion::Http11, absolute)?;
    if facts.is_plain(HttpVersion::Http11, method)? {
        return Err(HandshakeError::UpgradeRequired);
    }
    let upgrade = facts.upgrade(method)?;
    let origin = facts.admit(&authority.ok_or(HandshakeError::Host)?, origin)?;
    Ok((Offer { fields, origin }, upgrade))
}

/// Negotiates an extended CONNECT request of HTTP/2 or HTTP/3 whose `:protocol` is `websocket` (RFC 8441
/// section 5, RFC 9220).
///
/// `authority` is the value of `:authority`, `fields` begins a walk over all regular fields. There is neither a key nor an
/// upgrade: to accept, answer with status 200 and the subprotocol selected, then begin an
/// [`Endpoint`](crate::Endpoint) on the stream.
///
/// # Errors
///
/// As [`Request::parse`](super::Request::parse), as far as the rules apply.
pub fn negotiate_extended_connect<'h, F: Fn() -> I, I: Iterator<Item = (&'h str, &'h [u8])>>(
    authority: &'h str,
    fields: F,
    origin: OriginPolicy<'_>,
) -> Result<Offer<'h, F>, HandshakeError> {
    let facts = Facts::gather(fields())?;
    let authority = parse_authority(authority)?;
    facts.check_version()?;
    let origin = facts.admit(&authority, origin)?;
    Ok(Offer { fields, origin })
}

fn parse_authority(text: &str) -> Result<Authority<'_>, HandshakeError> {
    Authority::parse(text).ok_or(HandshakeError::Host)
}

pub(super) fn check_method(method: &str) -> Result<(), HandshakeError> {
    if METHODS.contains(&method) { Ok(()) } else { Err(HandshakeError::UnknownMethod) }
}

/// The grammar of a list that is walked over again and again later.
fn check_list(name: &str, value: &[u8]) -> Result<(), HandshakeError> {
    if name.eq_ignore_ascii_case("sec-websocket-protocol") {
        let mut subprotocols = elements(value).peekable();
        let valid = subprotocols.peek().is_some() && subprotocols.all(is_token);
        return if valid { Ok(()) } else { Err(HandshakeError::Subprotocol) };
    }
    if name.eq_ignore_ascii_case("sec-websocket-extensions") && !is_extension_list(value) {
        return Err(HandshakeError::Extensions);
    }
    Ok(())
}

/// What one walk over the fields has found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'h> {
    host: Once<'h>,
    origin: Once<'h>,
    key: Once<'h>,
    version: Once<'h>,
    content_length: Once<'h>,
    names_websocket: bool,
    names_upgrade: bool,
    /// Whether there are fields that only a WebSocket has.
    speaks_websocket: bool,
    /// What is wrong with the lists of subprotocols and extensions.
    lists: Result<(), HandshakeError>,
}

impl<'h> Facts<'h> {
    pub(super) fn gather(fields: impl Iterator<Item = (&'h str, &'h [u8])>) -> Result<Self, HandshakeError> {
        let mut facts = Self {
            host: Once::Absent,
            origin: Once::Absent,
            key: Once::Absent,
            version: Once::Absent,
            content_length: Once::Absent,
            names_websocket: false,
            names_upgrade: false,
            speaks_websocket: false,
            lists: Ok(()),
        };
        for (name, value) in fields {
            facts.add(name, trim(value))?;
        }
        facts.check_body()?;
        Ok(facts)
    }

    fn add(&mut self, name: &str, value: &'h [u8]) -> Result<(), HandshakeError> {
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        if is_websocket_name(name) {
            self.speaks_websocket = true;
            self.lists = self.lists.and_then(|()| check_list(name, value));
        }
        match name.len() {
            4 if is("host") => self.host.add(value),
            6 if is("origin") => self.origin.add(value),
            7 if is("upgrade") => {
                self.names_websocket |= names_websocket(value).ok_or(HandshakeError::Upgrade)?;
            }
            10 if is("connection") => {
                self.names_upgrade |= list_names(value, "upgrade").ok_or(HandshakeError::Connection)?;
            }
            14 if is("content-length") => self.content_length.add(value),
            17 if is("sec-websocket-key") => self.key.add(value),
            17 if is("transfer-encoding") => return Err(HandshakeError::Body),
            21 if is("sec-websocket-version") => self.version.add(value),
            _ => {}
        }
        Ok(())
    }

    /// A body would be mistaken for frames.
    fn check_body(&self) -> Result<(), HandshakeError> {
        match self.content_length.optional()? {
            Some(len) if !is_zero(len) => Err(HandshakeError::Body),
            _ => Ok(()),
        }
    }

    /// The host that the request is for; only HTTP/1.0 need not name one (RFC 9112 section 3.2). Host has to be valid even
    /// where the target overrides it.
    pub(super) fn authority(
        &self,
        version: HttpVersion,
        absolute: Option<Authority<'h>>,
    ) -> Result<Option<Authority<'h>>, HandshakeError> {
        let host = self.host.optional()?;
        if host.is_none() && version != HttpVersion::Http10 {
            return Err(HandshakeError::Host);
        }
        let parse = |host| parse_authority(to_str(host).map_err(|_| HandshakeError::Host)?);
        let host = host.map(parse).transpose()?;
        Ok(absolute.or(host))
    }

    /// Whether a page is asked for. A WebSocket that is asked for the wrong way is an error, and so is a page that is not to
    /// be read.
    pub(super) fn is_plain(&self, version: HttpVersion, method: &str) -> Result<bool, HandshakeError> {
        let asks_for_websocket = self.names_websocket || self.speaks_websocket && method == "GET";
        match (version, method) {
            // RFC 9110 §7.8: Upgrade in a request of HTTP/1.0 is to be ignored.
            (HttpVersion::Http10, _) if asks_for_websocket => Err(HandshakeError::Http10),
            (HttpVersion::Other, _) => Err(HandshakeError::HttpVersion),
            _ if self.names_websocket => Ok(false),
            _ if asks_for_websocket => Err(HandshakeError::UpgradeRequired),
            (_, "GET" | "HEAD") => Ok(true),
            _ => Err(HandshakeError::MethodNotAllowed),
        }
    }

    /// What it takes to accept.
    pub(super) fn upgrade(&self, method: &str) -> Result<Upgrade, HandshakeError> {
        if method != "GET" {
            return Err(HandshakeError::MethodNotAllowed);
        }
        if !self.names_upgrade {
            return Err(HandshakeError::Connection);
        }
        // Before the key: another version may have another kind of key.
        self.check_version()?;
        let key = self.key.required(HandshakeError::Key)?;
        if key::is_valid(key) { Ok(Upgrade::new(key)) } else { Err(HandshakeError::Key) }
    }

    fn check_version(&self) -> Result<(), HandshakeError> {
        match self.version.required(HandshakeError::Version)? {
            b"13" => Ok(()),
            other if is_version(other) => Err(HandshakeError::UnsupportedVersion),
            _ => Err(HandshakeError::Version),
        }
    }

    /// The origin of the page that asks, if `policy` admits it and the lists are well-formed.
    pub(super) fn admit(
        &self,
        authority: &Authority<'_>,
        policy: OriginPolicy<'_>,
    ) -> Result<Option<&'h str>, HandshakeError> {
        self.lists?;
        let value = match self.origin {
            Once::Absent => return Ok(None),
            Once::One(value) => value,
            // Several origins are none that a policy could admit.
            Once::Repeated => return Err(HandshakeError::Origin),
        };
        let origin = to_str(value).ok().filter(|origin| origin.is_ascii());
        origin.filter(|origin| policy.admits(origin, authority)).map(Some).ok_or(HandshakeError::Origin)
    }
}

/// Whether a list of protocols names WebSocket; `None` if it is malformed (RFC 9110 section 7.8).
fn names_websocket(list: &[u8]) -> Option<bool> {
    let mut found = false;
    for element in elements(list) {
        if !element.splitn(2, |&byte| byte == b'/').all(is_token) {
            return None;
        }
        found |= element.eq_ignore_ascii_case(b"websocket");
    }
    Some(found)
}

/// Whether `value` is a version: 0–255 without a leading zero (RFC 6455 section 4.3).
fn is_version(value: &[u8]) -> bool {
    let digits = value.iter().all(u8::is_ascii_digit) && (value.len() == 1 || value.first() != Some(&b'0'));
    digits && str::from_utf8(value).is_ok_and(|text| text.parse::<u8>().is_ok())
}
