use std::borrow::ToOwned;

use super::{ConnectError, ConnectSettings, Proxy, ProxyDialogue, ProxyError, ServerUrl, Target};
#[cfg(feature = "rustls")]
use crate::driver::ClientTls;
#[cfg(feature = "rustls")]
use rustls::pki_types::ServerName;

/// The way to the server of a URL: a transport, TLS to a proxy, the tunnel of the proxy, TLS to the server. The last three
/// as far as they are needed.
pub struct Route<'a> {
    url: &'a ServerUrl,
    proxy: Option<Proxy>,
    #[cfg(feature = "rustls")]
    tls: &'a ClientTls,
}

impl<'a> Route<'a> {
    /// Plans the way, and checks all that can be checked before an address is tried.
    ///
    /// # Errors
    ///
    /// - [`ConnectError::Proxy`]: the environment names no valid proxy, or the proxy cannot be asked for the server.
    /// - `ConnectError::Tls`: the settings of TLS cannot be used. [`ConnectError::NeedsTls`]: the feature `rustls` is missing.
    /// - [`ConnectError::InvalidUrl`]: the host of a `wss` URL can be no name in a certificate.
    pub fn new(settings: &'a ConnectSettings<'_>, url: &'a ServerUrl) -> Result<Self, ConnectError> {
        let route = Self {
            url,
            // A proxy cannot reach a socket of this machine.
            proxy: if url.unix_socket().is_some() { None } else { settings.proxy_for(url)? },
            #[cfg(feature = "rustls")]
            tls: settings.tls(),
        };
        route.dialogue()?;
        route.check_tls()?;
        Ok(route)
    }

    /// Returns the place to open a transport to: that of the proxy, or else of the server.
    #[must_use]
    pub fn target(&self) -> Target {
        match (&self.proxy, self.url.unix_socket()) {
            (Some(proxy), _) => Target::Host { name: proxy.host_name().to_owned(), port: proxy.port() },
            (None, Some(path)) => Target::Unix(path.to_owned()),
            (None, None) => Target::Host { name: self.url.resolved_name().into_owned(), port: self.url.port() },
        }
    }

    /// Returns the dialogue that opens the proxy's tunnel; `None` without a proxy.
    ///
    /// # Errors
    ///
    /// [`ProxyError::InvalidTarget`], which [`new`](Self::new) would have returned.
    pub fn dialogue(&self) -> Result<Option<ProxyDialogue>, ProxyError> {
        let dialogue = |proxy| ProxyDialogue::new(proxy, self.url.host_name(), self.url.port());
        self.proxy.as_ref().map(dialogue).transpose()
    }

    #[cfg(not(feature = "rustls"))]
    fn check_tls(&self) -> Result<(), ConnectError> {
        let needs_tls = self.url.is_secure() || self.proxy.as_ref().is_some_and(Proxy::is_secure);
        if needs_tls { Err(ConnectError::NeedsTls) } else { Ok(()) }
    }
}

#[cfg(feature = "rustls")]
impl Route<'_> {
    /// Returns the settings for TLS to the proxy, and the proxy's name; `None` if the proxy is spoken to without TLS, or there
    /// is none.
    ///
    /// # Errors
    ///
    /// [`ProxyError::InvalidUrl`], which [`new`](Self::new) would have returned.
    pub fn tls_to_proxy(&self) -> Result<Option<(&ClientTls, ServerName<'static>)>, ProxyError> {
        match self.proxy.as_ref().filter(|proxy| proxy.is_secure()) {
            Some(proxy) => Ok(Some((self.tls, proxy.server_name()?))),
            None => Ok(None),
        }
    }

    /// Returns the settings for TLS to the server, and the server's name; `None` for a `ws` URL.
    ///
    /// # Errors
    ///
    /// [`ConnectError::InvalidUrl`], which [`new`](Self::new) would have returned.
    pub fn tls_to_server(&self) -> Result<Option<(&ClientTls, ServerName<'static>)>, ConnectError> {
        if self.url.is_secure() { Ok(Some((self.tls, self.url.server_name()?))) } else { Ok(None) }
    }

    fn check_tls(&self) -> Result<(), ConnectError> {
        let needed = (self.tls_to_proxy()?, self.tls_to_server()?);
        if needed.0.or(needed.1).is_some() {
            self.tls.config()?;
        }
        Ok(())
    }
}
