//! The way to a server: a TCP connection, the tunnel of a proxy, TLS.

use core::time::Duration;
use std::{
    io,
    net::{TcpStream, ToSocketAddrs},
    time::Instant,
};

#[cfg(feature = "rustls")]
use ws_proto::driver::ClientTls;
use ws_proto::driver::{ConnectError, Dialing, Proxy, ProxyDialogue, ProxyError, ServerUrl, is_gone};

#[cfg(feature = "rustls")]
use crate::tls::{Failure, TlsStream};
use crate::{NetStream, opening::write_by, transport::Transport};

/// The way to the server of a URL.
pub(crate) struct Route<'a> {
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
    /// [`ConnectError::Proxy`] if the server cannot be named to the proxy. [`ConnectError::Tls`] for settings that cannot be
    /// used, [`ConnectError::NeedsTls`] without the feature `rustls`.
    pub(crate) fn new(
        url: &'a ServerUrl,
        proxy: Option<Proxy>,
        #[cfg(feature = "rustls")] tls: &'a ClientTls,
    ) -> Result<Self, ConnectError> {
        if let Some(proxy) = &proxy {
            ProxyDialogue::new(proxy, url.host_name(), url.port())?;
        }
        if url.is_secure() || proxy.as_ref().is_some_and(Proxy::is_secure) {
            #[cfg(feature = "rustls")]
            tls.config()?;
            #[cfg(not(feature = "rustls"))]
            return Err(ConnectError::NeedsTls);
        }
        #[cfg(feature = "rustls")]
        if url.is_secure() {
            url.server_name()?;
        }
        Ok(Self {
            url,
            proxy,
            #[cfg(feature = "rustls")]
            tls,
        })
    }

    /// Connects to the proxy, or else to the server. `timeout` is for all attempts together.
    pub(crate) fn dial(&self, timeout: Option<Duration>) -> Result<TcpStream, ConnectError> {
        let target = match &self.proxy {
            Some(proxy) => (proxy.host_name(), proxy.port()),
            None => (self.url.host_name(), self.url.port()),
        };
        let addresses = target.to_socket_addrs().map_err(ConnectError::Resolve)?.collect();
        let mut dialing = Dialing::new(addresses, timeout, Instant::now());
        while let Some((address, share)) = dialing.next(Instant::now()) {
            let attempt = match share {
                None => TcpStream::connect(address),
                Some(share) => TcpStream::connect_timeout(&address, share),
            };
            match attempt {
                Ok(stream) => return Ok(stream),
                Err(error) => dialing.failed(address, error),
            }
        }
        Err(dialing.into_error())
    }

    /// Opens the proxy's tunnel, and TLS to the server, as far as the URL demands it.
    pub(crate) fn open(
        &self,
        mut stream: NetStream,
        deadline: Option<Instant>,
    ) -> Result<NetStream, ConnectError> {
        if let Some(proxy) = &self.proxy {
            stream = self.protect_proxy(stream, proxy, deadline)?;
            open_tunnel(&stream, ProxyDialogue::new(proxy, self.url.host_name(), self.url.port())?, deadline)?;
        }
        self.protect(stream, deadline)
    }
}

#[cfg(feature = "rustls")]
impl Route<'_> {
    /// Does the TLS handshake with the server, if the URL demands it.
    fn protect(&self, stream: NetStream, deadline: Option<Instant>) -> Result<NetStream, ConnectError> {
        if !self.url.is_secure() {
            return Ok(stream);
        }
        Ok(TlsStream::connect(stream, self.tls, self.url.server_name()?, deadline)?.into())
    }

    /// Does the TLS handshake with the proxy, if its URL demands it.
    fn protect_proxy(
        &self,
        stream: NetStream,
        proxy: &Proxy,
        deadline: Option<Instant>,
    ) -> Result<NetStream, ConnectError> {
        if !proxy.is_secure() {
            return Ok(stream);
        }
        let stream = TlsStream::client(stream, self.tls, proxy.server_name()?)?;
        match stream.handshake(deadline) {
            Ok(()) => Ok(stream.into()),
            Err(Failure::Timeout) => Err(ProxyError::Timeout.into()),
            Err(Failure::NoByte(error) | Failure::Tls(error)) => Err(ConnectError::ProxyTls(error)),
        }
    }
}

#[cfg(not(feature = "rustls"))]
#[allow(clippy::unused_self, clippy::unnecessary_wraps, reason = "the same calls as with TLS")]
impl Route<'_> {
    fn protect(&self, stream: NetStream, _deadline: Option<Instant>) -> Result<NetStream, ConnectError> {
        Ok(stream)
    }

    fn protect_proxy(
        &self,
        stream: NetStream,
        _proxy: &Proxy,
        _deadline: Option<Instant>,
    ) -> Result<NetStream, ConnectError> {
        Ok(stream)
    }
}

/// Speaks to a proxy until its tunnel is open, or `deadline` passes.
fn open_tunnel(
    stream: &NetStream,
    mut dialogue: ProxyDialogue,
    deadline: Option<Instant>,
) -> Result<(), ConnectError> {
    let mut buffer = [0; ProxyDialogue::MAX_WANTED];
    while !dialogue.is_open() {
        let wanted = dialogue.wanted();
        let read = write_by(stream, dialogue.pending(), deadline)
            .and_then(|()| stream.read(buffer.get_mut(..wanted).unwrap_or_default(), deadline));
        match read {
            Ok(0) => return Err(dialogue.closed().into()),
            Ok(len) => {
                dialogue.written(dialogue.pending().len());
                dialogue.received(buffer.get(..len).unwrap_or_default())?;
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Err(ProxyError::Timeout.into()),
            Err(error) if is_gone(&error) => return Err(dialogue.closed().into()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
