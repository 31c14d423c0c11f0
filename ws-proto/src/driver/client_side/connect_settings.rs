use core::fmt;
use std::{borrow::ToOwned, slice, vec::Vec};

use super::{ConnectError, Proxy, ProxyEnvironment, Redirects, RefusalBody, Refused, ServerUrl};
#[cfg(feature = "rustls")]
use crate::driver::ClientTls;
use crate::{
    Config, Entropy, MessageBuffer,
    client::{Acceptance, Answer, Handshake, Offer, Request, Response},
    driver::{Client, Compressors, HeadBuffer, Opened, OsEntropy},
    handshake::WriteError,
    time::Instant,
};

/// Settings of a client: the contents of its requests, and the terms of its connections.
#[derive(Clone, Debug, Default)]
pub struct ConnectSettings<'a> {
    subprotocols: &'a [&'a str],
    requires_subprotocol: bool,
    host: Option<&'a str>,
    headers: Vec<(&'a str, &'a str)>,
    origin: Option<&'a str>,
    /// Limits and timeouts.
    pub config: Config,
    compressors: Compressors,
    proxy: ProxyChoice,
    /// The maximum number of redirects that are followed.
    max_redirects: u16,
    #[cfg(feature = "rustls")]
    tls: ClientTls,
}

/// The proxies that a client uses.
#[derive(Clone, Debug, Default)]
enum ProxyChoice {
    /// Those that the environment names.
    #[default]
    Environment,
    None,
    One(Proxy),
}

/// A request that waits for its answer.
pub struct Connecting<'s> {
    /// The handshake: its deadline covers the request, the answer and the body of a refusal.
    pub handshake: Handshake<'s>,
    settings: &'s ConnectSettings<'s>,
}

/// An answer to a request.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "most answers open the connection, and each is moved once")]
pub enum Answered {
    /// The connection is open.
    Open(Opened<Client>),
    /// The server opened no connection. The body may have to be read.
    Refused(Refused, RefusalBody),
}

impl<'a> ConnectSettings<'a> {
    /// Creates the default settings.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            subprotocols: &[],
            requires_subprotocol: false,
            host: None,
            headers: Vec::new(),
            origin: None,
            config: Config::new(),
            compressors: Compressors::none(),
            proxy: ProxyChoice::Environment,
            max_redirects: 0,
            #[cfg(feature = "rustls")]
            tls: ClientTls::new(),
        }
    }

    /// Sets the subprotocols to offer, the preferred one first (RFC 6455 section 1.9).
    pub const fn set_subprotocols(&mut self, subprotocols: &'a [&'a str]) {
        self.subprotocols = subprotocols;
    }

    /// Sets whether the server has to choose one of the subprotocols, if some are offered. RFC 6455 lets it choose none.
    pub const fn set_requires_subprotocol(&mut self, requires: bool) {
        self.requires_subprotocol = requires;
    }

    /// Sets the field Host, which is otherwise that of the URL.
    pub const fn set_host(&mut self, host: &'a str) {
        self.host = Some(host);
    }

    /// Adds a header field to the request. Added fields are sent in the order of the calls, exactly as given.
    pub fn add_header(&mut self, name: &'a str, value: &'a str) {
        self.headers.push((name, value));
    }

    /// Sets the field Origin (RFC 6455 section 10.2).
    pub const fn set_origin(&mut self, origin: &'a str) {
        self.origin = Some(origin);
    }

    /// Offers to compress messages (RFC 7692).
    #[cfg(feature = "deflate")]
    pub fn set_deflate(&mut self, settings: crate::deflate::Settings) {
        self.compressors = Compressors::new(settings);
    }

    /// Sets the proxy for all servers, or that there is none. Otherwise the [environment](ProxyEnvironment) decides.
    pub fn set_proxy(&mut self, proxy: Option<Proxy>) {
        self.proxy = proxy.map_or(ProxyChoice::None, ProxyChoice::One);
    }

    /// Returns the proxy through which to reach the server of `url`, if one is to be used.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Proxy`]: the environment names a proxy by what is not the URL of one.
    pub fn proxy_for(&self, url: &ServerUrl) -> Result<Option<Proxy>, ConnectError> {
        match &self.proxy {
            ProxyChoice::Environment => {
                let environment = ProxyEnvironment::from_env();
                Ok(environment.proxy_for(url.is_secure(), url.host_name(), url.port())?)
            }
            ProxyChoice::None => Ok(None),
            ProxyChoice::One(proxy) => Ok(Some(proxy.clone())),
        }
    }

    /// Sets the roots and certificates for TLS.
    #[cfg(feature = "rustls")]
    pub fn set_tls(&mut self, tls: ClientTls) {
        self.tls = tls;
    }

    #[cfg(feature = "rustls")]
    pub(super) const fn tls(&self) -> &ClientTls {
        &self.tls
    }

    /// Sets the maximum number of redirects that are followed: 0 by default, with which a redirect is a refusal.
    pub const fn set_max_redirects(&mut self, most: u16) {
        self.max_redirects = most;
    }

    /// Returns the redirects of a new try to connect.
    #[must_use]
    pub const fn redirects(&self) -> Redirects {
        Redirects::new(self.max_redirects)
    }

    /// Follows a redirect: returns the URL to connect to next, if `refused` is one that may be followed, and drops the header
    /// fields that the server of that URL may not see.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Redirect`], or [`ConnectError::Refused`] if it is no redirect.
    pub fn follow(
        &mut self,
        redirects: &mut Redirects,
        url: &ServerUrl,
        refused: Refused,
    ) -> Result<ServerUrl, ConnectError> {
        match redirects.follow(url, refused.status(), refused.header("Location"))? {
            Some(next) => {
                self.headers.retain(|(name, _)| redirects.keeps_field(name));
                self.host = self.host.filter(|_| redirects.keeps_field("Host"));
                Ok(next)
            }
            None => Err(ConnectError::Refused(refused)),
        }
    }

    /// Returns the settings for a request to `url`, whose credentials become the field Authorization unless the settings have
    /// one.
    #[must_use]
    pub fn for_url<'s>(&'s self, url: &'s ServerUrl) -> ConnectSettings<'s> {
        let mut settings: ConnectSettings<'s> = self.clone();
        let is_authorization = |(name, _): &(&str, &str)| name.eq_ignore_ascii_case("Authorization");
        if let Some(authorization) = url.authorization().filter(|_| !self.headers.iter().any(is_authorization)) {
            settings.add_header("Authorization", authorization);
        }
        settings
    }

    /// Begins an opening handshake at `now`.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Header`], [`ConnectError::Request`]: the request cannot be sent. [`ConnectError::Entropy`].
    pub fn begin<'s>(&'s self, url: &'s ServerUrl, now: Instant) -> Result<Connecting<'s>, ConnectError> {
        let request = self.request(self.host.unwrap_or_else(|| url.host()), url.resource());
        let handshake =
            Handshake::new(request, nonce()?, now, &self.config).map_err(|error| self.at_fault(error))?;
        Ok(Connecting { handshake, settings: self })
    }

    /// Returns the offer for a GET request of HTTP/1.1 that an HTTP library sends.
    ///
    /// # Errors
    ///
    /// As for [`begin`](Self::begin).
    pub fn offer(&self) -> Result<Offer<'_>, ConnectError> {
        // The library sends the host and the resource.
        Offer::new(self.request("", ""), nonce()?).map_err(|error| self.at_fault(error))
    }

    /// Returns the offer for an extended CONNECT request of HTTP/2 or HTTP/3 that an HTTP library sends (RFC 8441 section 5,
    /// RFC 9220).
    ///
    /// # Errors
    ///
    /// As for [`begin`](Self::begin).
    pub fn extended_connect(&self) -> Result<Offer<'_>, ConnectError> {
        Offer::extended_connect(self.request("", "")).map_err(|error| self.at_fault(error))
    }

    fn request<'s>(&'s self, host: &'s str, resource: &'s str) -> Request<'s> {
        let request = Request::new(host, resource).subprotocols(self.subprotocols).headers(&self.headers);
        let request = self.origin.map_or(request, |origin| request.origin(origin));
        #[cfg(feature = "deflate")]
        let request = request.deflate(self.compressors.settings());
        request
    }

    /// Opens a connection at `now` after an answer that an HTTP library has read, with what `acceptance` says.
    #[must_use]
    pub fn open(&self, acceptance: &Acceptance<'_>, now: Instant) -> Opened<Client> {
        let endpoint = acceptance.open(Client::new(OsEntropy), &self.config, now);
        let compression = self.compressors.negotiated(&endpoint);
        let subprotocol = acceptance.subprotocol();
        Opened::new(endpoint, compression, MessageBuffer::default(), subprotocol, self.config.clone())
    }

    /// Converts an error in the request. It names the added header field that is at fault, if one is.
    fn at_fault(&self, error: WriteError) -> ConnectError {
        let is_refused = |header: &&(&str, &str)| {
            let request = Request::new("localhost", "/").headers(slice::from_ref(*header));
            Handshake::new(request, [0; 16], Instant::ZERO, &self.config).is_err()
        };
        match error {
            WriteError::InvalidHeader => match self.headers.iter().find(is_refused) {
                Some((name, _)) => ConnectError::Header((*name).to_owned()),
                None => error.into(),
            },
            _ => error.into(),
        }
    }
}

/// Returns a random nonce for the key of a request (RFC 6455 section 4.1).
fn nonce() -> Result<[u8; 16], ConnectError> {
    let mut nonce = [0; 16];
    OsEntropy.fill(&mut nonce)?;
    Ok(nonce)
}

impl Connecting<'_> {
    /// Returns the request, which is to be written.
    #[must_use]
    pub fn request(&self) -> Vec<u8> {
        let mut request = Vec::new();
        self.handshake.write_request_to(&mut request);
        request
    }

    /// Evaluates the answer, whose head is the first `len` bytes of `head`. `seen` is called if it opens the connection.
    ///
    /// # Errors
    ///
    /// [`ConnectError::Handshake`]: the answer is not valid. [`ConnectError::NoSubprotocol`].
    pub fn answer(
        &self,
        head: HeadBuffer,
        len: usize,
        now: Instant,
        seen: impl FnOnce(&Response<'_, '_>),
    ) -> Result<Answered, ConnectError> {
        let config = &self.settings.config;
        match self.handshake.answer(head.received())? {
            Answer::Open(response) => {
                let wants_one = self.settings.requires_subprotocol && !self.settings.subprotocols.is_empty();
                if wants_one && response.subprotocol().is_none() {
                    return Err(ConnectError::NoSubprotocol);
                }
                seen(&response);
                let endpoint = response.open(Client::new(OsEntropy), config, now);
                let compression = self.settings.compressors.negotiated(&endpoint);
                let subprotocol = response.subprotocol();
                let buffer = head.into_buffer(len);
                Ok(Answered::Open(Opened::new(endpoint, compression, buffer, subprotocol, config.clone())))
            }
            Answer::Refused(refusal) => {
                let mut body = RefusalBody::of(&refusal);
                body.push(head.received().get(len..).unwrap_or_default());
                Ok(Answered::Refused(Refused::new(&refusal), body))
            }
        }
    }
}

impl fmt::Debug for Connecting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connecting").field("handshake", &self.handshake).finish_non_exhaustive()
    }
}
