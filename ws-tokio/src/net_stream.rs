//! The stream of connections over TCP and Unix sockets, plain or through TLS.

use core::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};
use std::io::{self, IoSlice};

#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
#[cfg(feature = "rustls")]
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
#[cfg(feature = "rustls")]
use ws_proto::driver::{ClientTls, ServerTls, TlsError};

/// A stream over TCP or a Unix socket, plain or with TLS above it, to the peer or through a proxy's tunnel: the stream of
/// connections that [`connect`](fn@crate::connect) and [`Server`](crate::Server) make.
///
/// An end of the peer's bytes without close_notify is [`UnexpectedEof`](io::ErrorKind::UnexpectedEof): somebody between the
/// two ends may have cut the stream. After a complete closing handshake of WebSocket it does not matter (RFC 6455 section
/// 7.1.1).
pub struct NetStream(Kind);

enum Kind {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
    #[cfg(feature = "rustls")]
    /// Over a socket, or over the TLS of a proxy.
    Tls(Box<TlsStream<NetStream>>),
}

impl NetStream {
    /// Returns the TCP stream, for addresses and options; `None` for a Unix socket. Do not read from it or write to it.
    #[must_use]
    pub fn tcp(&self) -> Option<&TcpStream> {
        match &self.0 {
            Kind::Tcp(stream) => Some(stream),
            #[cfg(unix)]
            Kind::Unix(_) => None,
            #[cfg(feature = "rustls")]
            Kind::Tls(stream) => stream.get_ref().0.tcp(),
        }
    }

    /// Returns the state of the TLS connection: its version, the peer's certificates. `None` without TLS.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn tls(&self) -> Option<&rustls::CommonState> {
        match &self.0 {
            Kind::Tcp(_) => None,
            #[cfg(unix)]
            Kind::Unix(_) => None,
            Kind::Tls(stream) => Some(stream.get_ref().1),
        }
    }

    /// Does the handshake of a TLS client over `stream`, a `TcpStream` or a TLS stream to a proxy, and verifies that the server is
    /// `name`.
    ///
    /// It has no deadline. Dropping the future drops the stream.
    ///
    /// # Errors
    ///
    /// See [`TlsError`].
    #[cfg(feature = "rustls")]
    pub async fn connect_tls(
        stream: impl Into<Self>,
        tls: &ClientTls,
        name: rustls::pki_types::ServerName<'static>,
    ) -> Result<Self, TlsError> {
        let stream = TlsConnector::from(tls.config()?).connect(name, stream.into()).await?;
        Self::with_tls(stream.into())
    }

    /// Does the handshake of a TLS server over `stream`.
    ///
    /// It has no deadline. Dropping the future drops the stream.
    ///
    /// # Errors
    ///
    /// See [`TlsError`].
    #[cfg(feature = "rustls")]
    pub async fn accept_tls(stream: impl Into<Self>, tls: &ServerTls) -> Result<Self, TlsError> {
        let stream = TlsAcceptor::from(tls.config()).accept(stream.into()).await?;
        Self::with_tls(stream.into())
    }

    #[cfg(feature = "rustls")]
    fn with_tls(stream: TlsStream<Self>) -> Result<Self, TlsError> {
        TlsError::check_protocol(stream.get_ref().1.alpn_protocol())?;
        Ok(Self(Kind::Tls(Box::new(stream))))
    }
}

impl From<TcpStream> for NetStream {
    fn from(stream: TcpStream) -> Self {
        Self(Kind::Tcp(stream))
    }
}

#[cfg(unix)]
impl From<UnixStream> for NetStream {
    fn from(stream: UnixStream) -> Self {
        Self(Kind::Unix(stream))
    }
}

/// Calls `$call` with the pinned stream inside of `$self`.
macro_rules! inside {
    ($self:expr, $stream:ident => $call:expr) => {
        match &mut $self.get_mut().0 {
            Kind::Tcp(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            #[cfg(unix)]
            Kind::Unix(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            #[cfg(feature = "rustls")]
            Kind::Tls(stream) => {
                let $stream = Pin::new(&mut **stream);
                $call
            }
        }
    };
}

impl AsyncRead for NetStream {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        inside!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for NetStream {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        inside!(self, stream => stream.poll_write(cx, bytes))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        inside!(self, stream => stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Kind::Tcp(stream) => stream.is_write_vectored(),
            #[cfg(unix)]
            Kind::Unix(stream) => stream.is_write_vectored(),
            #[cfg(feature = "rustls")]
            Kind::Tls(stream) => stream.is_write_vectored(),
        }
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        inside!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        inside!(self, stream => stream.poll_shutdown(cx))
    }
}

impl fmt::Debug for NetStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("NetStream");
        debug.field("tcp", &self.tcp());
        #[cfg(feature = "rustls")]
        debug.field("version", &self.tls().and_then(|tls| tls.protocol_version()));
        debug.finish()
    }
}
