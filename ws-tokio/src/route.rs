//! The way to a server: a TCP connection, the tunnel of a proxy, TLS.

#[cfg(feature = "rustls")]
use core::future::Future;
use core::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, lookup_host},
    time::Instant,
};
#[cfg(feature = "rustls")]
use ws_proto::driver::ClientTls;
use ws_proto::driver::{ConnectError, Dialing, Proxy, ProxyDialogue, ProxyError, ServerUrl, is_gone};
#[cfg(feature = "rustls")]
use ws_proto::handshake::HandshakeError;

use crate::{
    NetStream,
    opening::{after, by},
};

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

    /// Connects to the proxy, or else to the server, within `timeout`.
    pub(crate) async fn dial(&self, timeout: Option<Duration>) -> Result<TcpStream, ConnectError> {
        let begun = std::time::Instant::now();
        let target = match &self.proxy {
            Some(proxy) => (proxy.host_name(), proxy.port()),
            None => (self.url.host_name(), self.url.port()),
        };
        let addresses = by(after(timeout), lookup_host(target)).await.map_err(ConnectError::Resolve)?.collect();
        let mut dialing = Dialing::new(addresses, timeout, begun);
        while let Some((address, share)) = dialing.next(std::time::Instant::now()) {
            match by(after(share), TcpStream::connect(address)).await {
                Ok(stream) => return Ok(stream),
                Err(error) => dialing.failed(address, error),
            }
        }
        Err(dialing.into_error())
    }

    /// Opens the proxy's tunnel, and TLS to the server, as far as the URL demands it.
    pub(crate) async fn open(
        &self,
        stream: TcpStream,
        deadline: Option<Instant>,
    ) -> Result<NetStream, ConnectError> {
        let mut stream = NetStream::from(stream);
        if let Some(proxy) = &self.proxy {
            stream = self.protect_proxy(stream, proxy, deadline).await?;
            let dialogue = ProxyDialogue::new(proxy, self.url.host_name(), self.url.port())?;
            let tunnel = async { Ok(open_tunnel(&mut stream, dialogue).await) };
            by(deadline, tunnel).await.unwrap_or(Err(ProxyError::Timeout.into()))?;
        }
        self.protect(stream, deadline).await
    }
}

#[cfg(feature = "rustls")]
impl Route<'_> {
    /// Does the TLS handshake with the server, if the URL demands it.
    async fn protect(&self, stream: NetStream, deadline: Option<Instant>) -> Result<NetStream, ConnectError> {
        if !self.url.is_secure() {
            return Ok(stream);
        }
        let handshake = NetStream::connect_tls(stream, self.tls, self.url.server_name()?);
        by_deadline(deadline, handshake).await?.map_err(ConnectError::Tls)
    }

    /// Does the TLS handshake with the proxy, if its URL demands it.
    async fn protect_proxy(
        &self,
        stream: NetStream,
        proxy: &Proxy,
        deadline: Option<Instant>,
    ) -> Result<NetStream, ConnectError> {
        if !proxy.is_secure() {
            return Ok(stream);
        }
        let handshake = NetStream::connect_tls(stream, self.tls, proxy.server_name()?);
        match by_deadline(deadline, handshake).await {
            Ok(handshake) => handshake.map_err(ConnectError::ProxyTls),
            Err(_) => Err(ProxyError::Timeout.into()),
        }
    }
}

#[cfg(not(feature = "rustls"))]
impl Route<'_> {
    async fn protect(&self, stream: NetStream, _deadline: Option<Instant>) -> Result<NetStream, ConnectError> {
        Ok(stream)
    }

    async fn protect_proxy(
        &self,
        stream: NetStream,
        _proxy: &Proxy,
        _deadline: Option<Instant>,
    ) -> Result<NetStream, ConnectError> {
        Ok(stream)
    }
}

#[cfg(feature = "rustls")]
async fn by_deadline<X>(deadline: Option<Instant>, operation: impl Future<Output = X>) -> Result<X, ConnectError> {
    by(deadline, async { Ok(operation.await) }).await.map_err(|_| HandshakeError::Timeout.into())
}

/// Speaks to a proxy until its tunnel is open.
async fn open_tunnel(stream: &mut NetStream, mut dialogue: ProxyDialogue) -> Result<(), ConnectError> {
    let mut buffer = [0; ProxyDialogue::MAX_WANTED];
    while !dialogue.is_open() {
        let step = async {
            stream.write_all(dialogue.pending()).await?;
            stream.flush().await?;
            let wanted = dialogue.wanted();
            stream.read(buffer.get_mut(..wanted).unwrap_or_default()).await
        };
        match step.await {
            Ok(0) => return Err(dialogue.closed().into()),
            Ok(len) => {
                dialogue.written(dialogue.pending().len());
                dialogue.received(buffer.get(..len).unwrap_or_default())?;
            }
            Err(error) if is_gone(&error) => return Err(dialogue.closed().into()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
