//! The meaning of a request's fields (RFC 6455 section 4.2.1).

use core::str;

use super::{
    super::{
        HandshakeError, SingleField,
        authority::Authority,
        extension::is_extension_list,
        field::{Once, elements, is_name, is_token, is_websocket_name, is_zero, list_names},
        foreign::METHODS,
        head::HttpVersion,
        key,
    },
    OriginPolicy, Subprotocol,
};
use crate::utf8::to_str;

/// Returns the subprotocols in `fields`.
pub(super) fn subprotocols<'h, I: Iterator<Item = (&'h str, &'h [u8])>>(
    fields: I,
) -> impl Iterator<Item = &'h str> + use<'h, I> {
    fields
        .filter(|(name, _)| is_name(name, b"sec-websocket-protocol"))
        .flat_map(|(_, list)| elements(list))
        .filter_map(|element| str::from_utf8(element).ok())
}

/// Returns the first of `ours` that is offered too.
pub(super) fn select<'h, 's, I: Iterator<Item = &'h str>>(
    ours: &[&'s str],
    offered: impl Fn() -> I,
) -> Option<Subprotocol<'s>> {
    ours.iter().find(|name| offered().any(|offered| offered == **name)).map(|name| Subprotocol::of_client(name))
}

/// Parses a host with an optional port.
pub(super) fn parse_authority(text: &str) -> Result<Authority<'_>, HandshakeError> {
    Authority::parse(text).ok_or(HandshakeError::Host)
}

/// Refuses methods that HTTP does not have.
pub(super) fn check_method(method: &str) -> Result<(), HandshakeError> {
    if METHODS.contains(&method) { Ok(()) } else { Err(HandshakeError::UnknownMethod) }
}

/// Checks the grammar of a list of subprotocols or extensions, so that later passes over it need not.
fn check_list(name: &str, value: &[u8]) -> Result<(), HandshakeError> {
    if is_name(name, b"sec-websocket-protocol") {
        let mut subprotocols = elements(value).peekable();
        let valid = subprotocols.peek().is_some() && subprotocols.all(is_token);
        return if valid { Ok(()) } else { Err(HandshakeError::Subprotocol) };
    }
    if is_name(name, b"sec-websocket-extensions") && !is_extension_list(value) {
        return Err(HandshakeError::Extensions);
    }
    Ok(())
}

/// The facts found in one pass over the fields of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestFacts<'h> {
    host: Once<'h>,
    origin: Once<'h>,
    key: Once<'h>,
    version: Once<'h>,
    content_length: Once<'h>,
    names_websocket: bool,
    names_upgrade: bool,
    /// Set if there are fields that only a WebSocket has.
    speaks_websocket: bool,
    /// The first fault of the lists of subprotocols and extensions.
    lists: Result<(), HandshakeError>,
}

impl<'h> RequestFacts<'h> {
    /// Gathers the facts from `fields`, whose values have no white space around them.
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
            facts.add(name, value)?;
        }
        facts.check_body()?;
        Ok(facts)
    }

    fn add(&mut self, name: &str, value: &'h [u8]) -> Result<(), HandshakeError> {
        if is_websocket_name(name) {
            self.speaks_websocket = true;
            self.lists = self.lists.and_then(|()| check_list(name, value));
        }
        match name.len() {
            4 if is_name(name, b"host") => self.host.add(value),
            6 if is_name(name, b"origin") => self.origin.add(value),
            7 if is_name(name, b"upgrade") => {
                self.names_websocket |= names_websocket(value).ok_or(HandshakeError::Upgrade)?;
            }
            10 if is_name(name, b"connection") => {
                self.names_upgrade |= list_names(value, b"upgrade").ok_or(HandshakeError::Connection)?;
            }
            14 if is_name(name, b"content-length") => self.content_length.add(value),
            17 if is_name(name, b"sec-websocket-key") => self.key.add(value),
            17 if is_name(name, b"transfer-encoding") => return Err(HandshakeError::Body),
            21 if is_name(name, b"sec-websocket-version") => self.version.add(value),
            _ => {}
        }
        Ok(())
    }

    /// Refuses a body, which would be mistaken for frames.
    fn check_body(&self) -> Result<(), HandshakeError> {
        match self.content_length.optional(SingleField::ContentLength)? {
            Some(len) if !is_zero(len) => Err(HandshakeError::Body),
            _ => Ok(()),
        }
    }

    /// Returns the host that the request is for; only HTTP/1.0 need not name one (RFC 9112 section 3.2). Host must
    /// be valid even where the target overrides it.
    pub(super) fn authority(
        &self,
        version: HttpVersion,
        absolute: Option<Authority<'h>>,
    ) -> Result<Option<Authority<'h>>, HandshakeError> {
        let host = self.host.optional(SingleField::Host)?;
        if host.is_none() && version != HttpVersion::Http10 {
            return Err(HandshakeError::Host);
        }
        let parse = |host| parse_authority(to_str(host).map_err(|_| HandshakeError::Host)?);
        let host = host.map(parse).transpose()?;
        Ok(absolute.or(host))
    }

    /// Returns whether the request is for a page. A malformed request for a WebSocket is an error, and so is a
    /// page with a method other than GET and HEAD.
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

    /// Checks the fields of an upgrade, and returns its key.
    pub(super) fn key(&self, method: &str) -> Result<&'h [u8; key::KEY_LEN], HandshakeError> {
        if method != "GET" {
            return Err(HandshakeError::MethodNotAllowed);
        }
        if !self.names_upgrade {
            return Err(HandshakeError::Connection);
        }
        // The version comes before the key: another version may have another kind of key.
        self.check_version()?;
        key::check(self.key.required(SingleField::Key, HandshakeError::Key)?).ok_or(HandshakeError::Key)
    }

    /// Checks that the version is 13.
    pub(super) fn check_version(&self) -> Result<(), HandshakeError> {
        match self.version.required(SingleField::Version, HandshakeError::Version)? {
            b"13" => Ok(()),
            other if is_version(other) => Err(HandshakeError::UnsupportedVersion),
            _ => Err(HandshakeError::Version),
        }
    }

    /// Returns the origin of the page that sent the request, if there is one.
    ///
    /// # Errors
    ///
    /// `policy` does not admit the origin, or a list is malformed.
    pub(super) fn admit(
        &self,
        authority: &Authority<'_>,
        policy: OriginPolicy<'_>,
    ) -> Result<Option<&'h str>, HandshakeError> {
        self.lists?;
        let value = match self.origin {
            Once::Absent => return Ok(None),
            Once::One(value) => value,
            // No policy admits several origins.
            Once::Repeated => return Err(HandshakeError::Origin),
        };
        let origin = to_str(value).ok().filter(|origin| origin.is_ascii());
        origin.filter(|origin| policy.admits(origin, authority)).map(Some).ok_or(HandshakeError::Origin)
    }
}

/// Returns whether a list of protocols names WebSocket, or `None` if it is malformed (RFC 9110 section 7.8).
fn names_websocket(list: &[u8]) -> Option<bool> {
    // Most lists are that.
    if is_name(list, b"websocket") {
        return Some(true);
    }
    let mut found = false;
    for element in elements(list) {
        if !element.splitn(2, |&byte| byte == b'/').all(is_token) {
            return None;
        }
        found |= is_name(element, b"websocket");
    }
    Some(found)
}

/// Returns whether `value` is a version: 0–255 without a leading zero (RFC 6455 section 4.3).
fn is_version(value: &[u8]) -> bool {
    let digits = value.iter().all(u8::is_ascii_digit) && (value.len() == 1 || value.first() != Some(&b'0'));
    digits && str::from_utf8(value).is_ok_and(|text| text.parse::<u8>().is_ok())
}
