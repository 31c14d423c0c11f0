use core::fmt;
use std::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
};

use url::Url;

use super::ProxyError;
#[cfg(feature = "rustls")]
use crate::driver::client_side::server_url::certified_name;
use crate::driver::client_side::{credentials::Credentials, server_url::without_brackets};

/// A proxy, named by a URL as curl takes it: `[scheme://][user:password@]host[:port]`.
///
/// | scheme | protocol | default port |
/// |---|---|---|
/// | `http`, or none | HTTP CONNECT (RFC 9110 section 9.3.6) | 1080 |
/// | `https` | the same, with TLS to the proxy | 443 |
/// | `socks5`, `socks5h` | SOCKS5 (RFC 1928, RFC 1929) | 1080 |
///
/// User and password are percent-decoded. Names of targets are always resolved by the proxy: with `socks5` too, where curl
/// resolves them on this machine, which may not have a name server for the outside.
///
/// ```
/// use ws_proto::driver::Proxy;
///
/// let proxy = Proxy::parse("http://user:secret@proxy.example:3128")?;
/// assert_eq!((proxy.host_name(), proxy.port(), proxy.is_secure()), ("proxy.example", 3128, false));
/// assert_eq!(proxy.to_string(), "http://proxy.example:3128");
/// # Ok::<(), ws_proto::driver::ProxyError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    protocol: Protocol,
    /// As in a URL: an IPv6 address has brackets.
    host: String,
    port: u16,
    credentials: Option<Credentials>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    Https,
    Socks5,
}

impl Proxy {
    /// Parses the URL of a proxy. Its host follows the rules of WHATWG, as that of a server does.
    ///
    /// # Errors
    ///
    /// [`ProxyError::InvalidUrl`]: it does not parse, has another scheme, a path, a query or a fragment, or its credentials
    /// can't be sent.
    pub fn parse(text: &str) -> Result<Self, ProxyError> {
        let (scheme, rest) = text.trim().split_once("://").unwrap_or(("http", text.trim()));
        let protocol = Protocol::of(&scheme.to_ascii_lowercase())?;
        let parse = |scheme: &str| {
            Url::parse(&format!("{scheme}://{rest}")).map_err(|_| ProxyError::InvalidUrl("it does not parse"))
        };
        let (http, https) = (parse("http")?, parse("https")?);
        if http.path() != "/" || http.query().is_some() || http.fragment().is_some() {
            return Err(ProxyError::InvalidUrl("text follows its host and port"));
        }
        let credentials = Credentials::of(&http);
        if let Some(credentials) = &credentials {
            protocol.check(credentials)?;
        }
        // `Url` drops the default port of its scheme, so one of the two has kept it.
        let port = http.port().or(https.port()).unwrap_or(protocol.default_port());
        Ok(Self { protocol, host: http.host_str().unwrap_or_default().to_owned(), port, credentials })
    }

    /// Returns the host of the proxy, to be resolved on this machine. An IPv6 address has no brackets.
    #[must_use]
    pub fn host_name(&self) -> &str {
        without_brackets(&self.host)
    }

    /// Returns the port of the proxy.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns whether the proxy itself is spoken to over TLS, with [`host_name`](Self::host_name) as the name that its
    /// certificate must have.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        matches!(self.protocol, Protocol::Https)
    }

    /// Returns the name that the certificate of a [secure](Self::is_secure) proxy must have.
    ///
    /// # Errors
    ///
    /// [`ProxyError::InvalidUrl`] if the host can be no name in a certificate.
    #[cfg(feature = "rustls")]
    pub fn server_name(&self) -> Result<rustls::pki_types::ServerName<'static>, ProxyError> {
        let name = certified_name(self.host_name());
        name.ok_or(ProxyError::InvalidUrl("its host is no name for TLS"))
    }

    pub(super) const fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub(super) const fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }
}

/// Writes the URL without the credentials.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.protocol {
            Protocol::Http => "http",
            Protocol::Https => "https",
            Protocol::Socks5 => "socks5h",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("url", &self.to_string())
            .field("has_credentials", &self.credentials.is_some())
            .finish()
    }
}

impl Protocol {
    fn of(scheme: &str) -> Result<Self, ProxyError> {
        match scheme {
            "http" => Ok(Self::Http),
            "https" => Ok(Self::Https),
            "socks5" | "socks5h" => Ok(Self::Socks5),
            _ => Err(ProxyError::InvalidUrl("its scheme is none of http, https, socks5 and socks5h")),
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http | Self::Socks5 => 1080,
        }
    }

    /// Checks that the protocol can carry these credentials.
    fn check(self, credentials: &Credentials) -> Result<(), ProxyError> {
        let (user, password) = (&credentials.user, &credentials.password);
        match self {
            // RFC 7617 section 2: the first colon ends the user name.
            Self::Http | Self::Https if user.contains(&b':') => {
                Err(ProxyError::InvalidUrl("its user name has a colon"))
            }
            // RFC 1929 section 2: each has a length of one byte. An empty password is common all the same.
            Self::Socks5 if user.is_empty() || user.len() > 255 || password.len() > 255 => {
                Err(ProxyError::InvalidUrl("its user name is empty, or that or the password is over 255 bytes"))
            }
            Self::Http | Self::Https | Self::Socks5 => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test panics where it fails")]
mod tests {
    use super::*;

    // K-proxy
    #[test]
    fn the_url_of_a_proxy_is_read_as_curl_reads_it() {
        for (url, shown, host, secure, credentials) in [
            ("http://proxy", "http://proxy:1080", "proxy", false, None),
            ("proxy", "http://proxy:1080", "proxy", false, None),
            ("proxy:3128", "http://proxy:3128", "proxy", false, None),
            ("http://proxy:80", "http://proxy:80", "proxy", false, None),
            ("http://proxy:443/", "http://proxy:443", "proxy", false, None),
            ("https://proxy", "https://proxy:443", "proxy", true, None),
            ("https://proxy:80", "https://proxy:80", "proxy", true, None),
            ("HTTPS://Proxy.Example:8443/", "https://proxy.example:8443", "proxy.example", true, None),
            ("socks5://proxy", "socks5h://proxy:1080", "proxy", false, None),
            ("socks5h://proxy:80", "socks5h://proxy:80", "proxy", false, None),
            ("socks5h://[::1]", "socks5h://[::1]:1080", "::1", false, None),
            ("http://[0:0::1]:8080", "http://[::1]:8080", "::1", false, None),
            ("127.0.0.1:8080", "http://127.0.0.1:8080", "127.0.0.1", false, None),
            (" http://proxy \n", "http://proxy:1080", "proxy", false, None),
            ("user:pw@proxy:1", "http://proxy:1", "proxy", false, Some(("user", "pw"))),
            ("http://user@proxy", "http://proxy:1080", "proxy", false, Some(("user", ""))),
            ("http://:pw@proxy", "http://proxy:1080", "proxy", false, Some(("", "pw"))),
            ("http://u%40x:p%3aw%25@proxy", "http://proxy:1080", "proxy", false, Some(("u@x", "p:w%"))),
            ("socks5://u%3Ax:@proxy", "socks5h://proxy:1080", "proxy", false, Some(("u:x", ""))),
        ] {
            let proxy = Proxy::parse(url).unwrap();
            assert_eq!((proxy.to_string().as_str(), proxy.host_name()), (shown, host), "{url}");
            assert_eq!(proxy.is_secure(), secure, "{url}");
            let expected = credentials.map(|(user, password)| (user.as_bytes(), password.as_bytes()));
            let own = proxy.credentials().map(|own| (&own.user[..], &own.password[..]));
            assert_eq!(own, expected, "{url}");
        }
    }

    // K-proxy
    #[test]
    fn urls_of_other_kinds_are_refused() {
        let long = "x".repeat(256);
        for url in [
            "",
            "http://",
            "http://:3128",
            "http://proxy:x",
            "http://proxy:65536",
            "http://pro xy",
            "http://[::1",
            "ftp://proxy",
            "socks4://proxy",
            "socks4a://proxy",
            "http://proxy/path",
            "socks5h://localhost/run/socks",
            "http://proxy?query",
            "http://proxy#fragment",
            "http://u%3Ax:pw@proxy",
            "socks5://:pw@proxy",
            &format!("socks5://{long}:pw@proxy"),
            &format!("socks5://user:{long}@proxy"),
        ] {
            assert!(matches!(Proxy::parse(url), Err(ProxyError::InvalidUrl(_))), "{url}");
        }
        assert!(Proxy::parse(&format!("http://{long}:{long}@proxy")).is_ok());
    }

    #[test]
    fn credentials_are_shown_neither_by_debug_nor_by_display() {
        for scheme in ["http", "https", "socks5h"] {
            let proxy = Proxy::parse(&format!("{scheme}://somebody:secret@proxy")).unwrap();
            let shown = format!("{proxy:?} {proxy:#?} {proxy} {:?}", proxy.credentials());
            assert!(!shown.contains("secret") && !shown.contains("somebody"), "{shown}");
            assert!(shown.contains("has_credentials: true"), "{shown}");
        }
    }
}
