use core::fmt;

use url::{Position, Url};

use super::ConnectError;

/// The URL of a server (RFC 6455 section 3), parsed as browsers do (WHATWG).
#[derive(Clone)]
pub struct ServerUrl {
    url: Url,
}

impl ServerUrl {
    /// Parses a URL with the scheme `ws` or `wss`.
    ///
    /// # Errors
    ///
    /// [`ConnectError::InvalidUrl`] for anything else, for a fragment, and for credentials.
    pub fn parse(url: &str) -> Result<Self, ConnectError> {
        let url = Url::parse(url).map_err(|_| ConnectError::InvalidUrl("it does not parse"))?;
        if !matches!(url.scheme(), "ws" | "wss") {
            return Err(ConnectError::InvalidUrl("its scheme is neither ws nor wss"));
        }
        if url.fragment().is_some() {
            return Err(ConnectError::InvalidUrl("it has a fragment; write %23 for a literal #"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ConnectError::InvalidUrl("it has credentials; send them in a header field"));
        }
        Ok(Self { url })
    }

    pub(super) const fn as_url(&self) -> &Url {
        &self.url
    }

    /// Returns whether the scheme is `wss`.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.url.scheme() == "wss"
    }

    /// Returns the value of the field Host: the host, and the port unless it is the default of the scheme.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.url[Position::BeforeHost..Position::AfterPort]
    }

    /// Returns the host without a port, for name resolution. An IPv6 address has no brackets.
    #[must_use]
    pub fn host_name(&self) -> &str {
        without_brackets(self.url.host_str().unwrap_or_default())
    }

    /// Returns the host for TLS, which verifies the server's certificate by it.
    ///
    /// # Errors
    ///
    /// [`ConnectError::InvalidUrl`] if the host can be no name in a certificate.
    #[cfg(feature = "rustls")]
    pub fn server_name(&self) -> Result<rustls::pki_types::ServerName<'static>, ConnectError> {
        super::tls::server_name(self.host_name()).ok_or(ConnectError::InvalidUrl("its host is no name for TLS"))
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

/// Returns a host without the brackets that an IPv6 address has in a URL.
pub(super) fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}
