use core::fmt;
use std::{borrow::Cow, format, path::Path, string::String};

use percent_encoding::percent_decode_str;
use url::{Position, Url};

use super::{ConnectError, credentials::Credentials};

/// The URL of a server (RFC 6455 section 3), parsed as browsers do (WHATWG).
///
/// | part | what is accepted |
/// |---|---|
/// | scheme | `ws` and `wss`; `http` and `https` stand for them; `ws+unix` on Unix |
/// | user and password | sent as `Authorization: Basic` (RFC 7617) |
/// | host | a name, an IPv4 or IPv6 address; `[fe80::1%25eth0]` with the zone of a link-local address (RFC 6874) |
/// | fragment | none: RFC 6455 forbids it |
///
/// The path of a `ws+unix` URL is that of a Unix socket, and the resource name follows a colon:
/// `ws+unix:/run/chat.sock:/room?key=1`, or `/` without one. The host of such a request is `localhost`.
///
/// ```
/// use ws_proto::driver::ServerUrl;
///
/// let url = ServerUrl::parse("https://example.com/chat?room=1")?;
/// assert!(url.is_secure() && url.port() == 443);
/// assert_eq!((url.host(), url.resource()), ("example.com", "/chat?room=1"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ServerUrl {
    /// Of the scheme `ws` or `wss`, without a fragment. Of a `ws+unix` URL it has the resource.
    url: Url,
    /// The zone of an IPv6 address.
    zone: Option<String>,
    /// The path of a Unix socket.
    socket: Option<String>,
    /// The credentials of `url` as a value of Authorization.
    authorization: Option<String>,
}

impl ServerUrl {
    /// Parses a URL.
    ///
    /// # Errors
    ///
    /// [`ConnectError::InvalidUrl`] for any other scheme, for a fragment, and for what does not parse.
    pub fn parse(url: &str) -> Result<Self, ConnectError> {
        if let Some(rest) = strip_scheme(url, "ws+unix:") {
            return Self::parse_unix(rest);
        }
        let (url, zone) = without_zone(url)?;
        let mut url = Url::parse(&url).map_err(|_| ConnectError::InvalidUrl("it does not parse"))?;
        let scheme =
            scheme_of(&url).ok_or(ConnectError::InvalidUrl("its scheme is none of ws, wss, http and https"))?;
        url.set_scheme(scheme).map_err(|()| ConnectError::InvalidUrl("it has no host"))?;
        if zone.is_some() && !matches!(url.host(), Some(url::Host::Ipv6(_))) {
            return Err(ConnectError::InvalidUrl("it has a zone without an IPv6 address"));
        }
        Self::new(url, zone, None)
    }

    /// Parses what follows the scheme `ws+unix:`.
    fn parse_unix(rest: &str) -> Result<Self, ConnectError> {
        const NO_PATH: ConnectError = ConnectError::InvalidUrl("it has no absolute path of a Unix socket");
        let rest = rest.strip_prefix("//").unwrap_or(rest);
        if !rest.starts_with('/') {
            return Err(NO_PATH);
        }
        let (socket, resource) = rest.split_once(':').unwrap_or((rest, "/"));
        let socket = percent_decode_str(socket).decode_utf8().map_err(|_| NO_PATH)?.into_owned();
        if !resource.starts_with('/') {
            return Err(ConnectError::InvalidUrl("what follows the colon after the Unix socket is no path"));
        }
        if socket.contains('\0') {
            return Err(NO_PATH);
        }
        let url = Url::parse(&format!("ws://localhost{resource}"))
            .map_err(|_| ConnectError::InvalidUrl("it does not parse"))?;
        Self::new(url, None, Some(socket))
    }

    fn new(url: Url, zone: Option<String>, socket: Option<String>) -> Result<Self, ConnectError> {
        if url.fragment().is_some() {
            return Err(ConnectError::InvalidUrl("it has a fragment; write %23 for a literal #"));
        }
        Ok(Self::with_credentials(url, zone, socket))
    }

    fn with_credentials(url: Url, zone: Option<String>, socket: Option<String>) -> Self {
        let authorization = Credentials::of(&url).map(|credentials| credentials.basic());
        Self { url, zone, socket, authorization }
    }

    /// Returns the URL `next`, which a redirect leads to. Within the origin, its server is reached in the same way.
    pub(super) fn redirected(&self, next: Url) -> Self {
        let stays = next.origin() == self.url.origin();
        let (zone, socket) = (self.zone.clone(), self.socket.clone());
        Self::with_credentials(next, zone.filter(|_| stays), socket.filter(|_| stays))
    }

    pub(super) const fn as_url(&self) -> &Url {
        &self.url
    }

    /// Returns whether the scheme is `wss`.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.url.scheme() == "wss"
    }

    /// Returns the value of the field Host: the host, and the port unless it is the default of the scheme. The zone of an
    /// address is no part of it (RFC 6874 section 1).
    #[must_use]
    pub fn host(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    /// Returns the host without a port and a zone. An IPv6 address has no brackets.
    #[must_use]
    pub fn host_name(&self) -> &str {
        without_brackets(self.url.host_str().unwrap_or_default())
    }

    /// Returns the host for name resolution: [`host_name`](Self::host_name), and the zone of an IPv6 address after `%`.
    #[must_use]
    pub fn resolved_name(&self) -> Cow<'_, str> {
        match &self.zone {
            Some(zone) => format!("{}%{zone}", self.host_name()).into(),
            None => self.host_name().into(),
        }
    }

    /// Returns the path of the Unix socket of a `ws+unix` URL.
    #[must_use]
    pub fn unix_socket(&self) -> Option<&Path> {
        self.socket.as_deref().map(Path::new)
    }

    /// Returns the value of the field Authorization that the user and the password of the URL make; `None` without them.
    #[must_use]
    pub fn authorization(&self) -> Option<&str> {
        self.authorization.as_deref()
    }

    /// Returns the host for TLS, which verifies the server's certificate by it.
    ///
    /// # Errors
    ///
    /// [`ConnectError::InvalidUrl`] if the host can be no name in a certificate.
    #[cfg(feature = "rustls")]
    pub fn server_name(&self) -> Result<rustls::pki_types::ServerName<'static>, ConnectError> {
        certified_name(self.host_name()).ok_or(ConnectError::InvalidUrl("its host is no name for TLS"))
    }

    /// Returns the port: that of the URL, or else 80 for `ws` and 443 for `wss`.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.url.port_or_known_default().unwrap_or_default()
    }

    /// Returns the resource name: the path and the query.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.url[Position::BeforePath..Position::AfterQuery]
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A query may hold a secret.
        f.debug_struct("ServerUrl").field("host", &self.host()).field("path", &self.url.path()).finish()
    }
}

/// Returns the scheme `ws` or `wss` that the scheme of a URL stands for.
pub(super) fn scheme_of(url: &Url) -> Option<&'static str> {
    match url.scheme() {
        "ws" | "http" => Some("ws"),
        "wss" | "https" => Some("wss"),
        _ => None,
    }
}

/// Returns the name by which a host's certificate is verified; `None` if it can be no such name.
#[cfg(feature = "rustls")]
pub(super) fn certified_name(host: &str) -> Option<rustls::pki_types::ServerName<'static>> {
    rustls::pki_types::ServerName::try_from(host).ok().map(|name| name.to_owned())
}

/// Returns a host without the brackets that an IPv6 address has in a URL.
pub(super) fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Returns what follows a scheme, whose case does not matter.
fn strip_scheme<'u>(url: &'u str, scheme: &str) -> Option<&'u str> {
    let (begin, rest) = url.split_at_checked(scheme.len())?;
    begin.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// Takes the zone out of `[ADDRESS%25ZONE]` in the authority of a URL, because the parser knows no zones.
fn without_zone<'u>(url: &'u str) -> Result<(Cow<'u, str>, Option<String>), ConnectError> {
    const INVALID: ConnectError = ConnectError::InvalidUrl("the zone of its address is invalid");
    let authority = url.find("://").map_or(url.len(), |at| at + 3);
    let end = url
        .get(authority..)
        .and_then(|rest| rest.find(['/', '?', '#', '\\']))
        .map_or(url.len(), |len| authority + len);
    let host = url.get(authority..end).unwrap_or_default();
    let split = |host: &'u str| {
        let (before, rest) = host.split_at_checked(host.rfind('[')?)?;
        let (address, rest) = rest.split_once("%25")?;
        let (zone, after) = rest.split_once(']')?;
        Some((before, address, zone, after))
    };
    let Some((before, address, zone, after)) = split(host) else {
        return Ok((url.into(), None));
    };
    let zone = percent_decode_str(zone).decode_utf8().map_err(|_| INVALID)?.into_owned();
    if zone.is_empty() || !zone.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(INVALID);
    }
    let (begin, rest) = (url.get(..authority).unwrap_or_default(), url.get(end..).unwrap_or_default());
    Ok((format!("{begin}{before}{address}]{after}{rest}").into(), Some(zone)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test panics where it fails")]
mod tests {
    use super::*;

    fn parse(text: &str) -> ServerUrl {
        ServerUrl::parse(text).unwrap()
    }

    // R3-1, R3-2
    #[test]
    fn the_parts_of_a_url_are_those_of_the_request() {
        for (text, secure, host, name, port, resource) in [
            ("ws://a", false, "a", "a", 80, "/"),
            ("wss://a", true, "a", "a", 443, "/"),
            ("http://a/x?y", false, "a", "a", 80, "/x?y"),
            ("HTTPS://A:443/x", true, "a", "a", 443, "/x"),
            ("https://a:80", true, "a:80", "a", 80, "/"),
            ("ws://a:8080?q", false, "a:8080", "a", 8080, "/?q"),
            ("wss://[2001:DB8::1]:9/", true, "[2001:db8::1]:9", "2001:db8::1", 9, "/"),
            ("ws://u:p@a/", false, "a", "a", 80, "/"),
            ("ws://a/%25]", false, "a", "a", 80, "/%25]"),
        ] {
            let url = parse(text);
            assert_eq!(
                (url.is_secure(), url.host(), url.host_name(), url.port(), url.resource()),
                (secure, host, name, port, resource),
                "{text}"
            );
            assert_eq!((url.resolved_name(), url.unix_socket()), (name.into(), None), "{text}");
        }
    }

    #[test]
    fn user_and_password_become_basic_credentials_and_are_never_shown() {
        let authorization = |text: &str| parse(text).authorization().map(String::from);
        // RFC 7617 section 2: the example.
        let expected = Some(String::from("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
        assert_eq!(authorization("wss://Aladdin:open%20sesame@a/"), expected);
        assert_eq!(authorization("ws://Aladdin@a/"), Some(String::from("Basic QWxhZGRpbjo=")));
        assert_eq!(authorization("ws://:p@a/"), Some(String::from("Basic OnA=")));
        assert_eq!(authorization("ws://@a/"), None);
        let shown = format!("{:?}", parse("ws://Aladdin:sesame@a/?key=1"));
        assert!(!["Aladdin", "sesame", "key"].iter().any(|secret| shown.contains(secret)), "{shown}");
    }

    #[test]
    fn a_zone_is_resolved_and_not_sent() {
        for (text, resolved, host) in [
            ("ws://[fe80::1%25eth0]/x", "fe80::1%eth0", "[fe80::1]"),
            ("ws://[FE80::1%251]:81", "fe80::1%1", "[fe80::1]:81"),
            ("wss://u:p%25@[fe80::1%25en%2d0]:81?%25]", "fe80::1%en-0", "[fe80::1]:81"),
        ] {
            let url = parse(text);
            assert_eq!(
                (&*url.resolved_name(), url.host(), url.host_name()),
                (resolved, host, "fe80::1"),
                "{text}"
            );
        }
        for text in
            ["ws://[fe80::1%25]/", "ws://[fe80::1%25%00]/", "ws://[fe80::1%25a%20b]/", "ws://[fe80::1%eth0]/"]
        {
            assert!(ServerUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_unix_socket_has_a_path_and_a_resource() {
        for (text, socket, resource) in [
            ("ws+unix:/run/a.sock", "/run/a.sock", "/"),
            ("WS+UNIX:///run/a.sock", "/run/a.sock", "/"),
            ("ws+unix:/run/a.sock:/x?y=z:1", "/run/a.sock", "/x?y=z:1"),
            ("ws+unix:///run/a%3Ab%20c:/", "/run/a:b c", "/"),
        ] {
            let url = parse(text);
            assert_eq!((url.unix_socket(), url.resource()), (Some(Path::new(socket)), resource), "{text}");
            assert_eq!((url.is_secure(), url.host()), (false, "localhost"), "{text}");
        }
        for text in [
            "ws+unix:",
            "ws+unix://",
            "ws+unix:run/a",
            "ws+unix://host/run/a",
            "ws+unix:/run/a:x",
            "ws+unix:/run/a:",
            "ws+unix:/run/a:/x#y",
            "ws+unix:/run/%00:/",
            "ws+unix:/run/%ff:/",
        ] {
            assert!(matches!(ServerUrl::parse(text), Err(ConnectError::InvalidUrl(_))), "{text}");
        }
    }
}
