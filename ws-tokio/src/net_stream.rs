//! The stream of connections over TCP and Unix sockets, plain or through TLS.

use core::{
    any::TypeId,
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
use ws_proto::{connection::write_len, driver::WriteFront};

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

impl NetStream {
    /// Returns whether this is a socket, without TLS above it. It is written to in [parts](WriteFront).
    const fn is_socket(&self) -> bool {
        match self.0 {
            Kind::Tcp(_) => true,
            #[cfg(unix)]
            Kind::Unix(_) => true,
            #[cfg(feature = "rustls")]
            Kind::Tls(_) => false,
        }
    }
}

/// Returns whether streams of this type are sockets. A [`NetStream`] sees to its own.
pub(crate) fn is_socket<S: 'static>() -> bool {
    #[cfg(unix)]
    if TypeId::of::<S>() == TypeId::of::<UnixStream>() {
        return true;
    }
    TypeId::of::<S>() == TypeId::of::<TcpStream>()
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
        let part = if self.is_socket() { bytes.get(..write_len(bytes.len())).unwrap_or(bytes) } else { bytes };
        inside!(self, stream => stream.poll_write(cx, part))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut front = WriteFront::default();
        let slices = if self.is_socket() { front.of(slices) } else { slices };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_known_by_their_types() {
        assert!(is_socket::<TcpStream>());
        #[cfg(unix)]
        assert!(is_socket::<UnixStream>());
        // One with TLS is none.
        assert!(!is_socket::<NetStream>() && !is_socket::<tokio::io::DuplexStream>());
    }

    #[tokio::test]
    async fn a_socket_is_written_to_in_equal_parts() {
        use core::future::poll_fn;
        use tokio::io::AsyncReadExt;

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        // Room for all of it.
        socket.set_send_buffer_size(1 << 20).unwrap();
        let stream = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut stream, (mut peer, _)) = (NetStream::from(stream), listener.accept().await.unwrap());
        stream.tcp().unwrap().writable().await.unwrap();
        let payload = vec![7; 100_000];
        let slices = [IoSlice::new(b"header"), IoSlice::new(&payload)];
        let vectored = poll_fn(|cx| Pin::new(&mut stream).poll_write_vectored(cx, &slices)).await.unwrap();
        assert_eq!(vectored, 50_003);
        let mut received = vec![0; 50_003];
        peer.read_exact(&mut received).await.unwrap();
        assert_eq!((&received[..6], &received[6..]), (&b"header"[..], &payload[..49_997]));
        let plain = poll_fn(|cx| Pin::new(&mut stream).poll_write(cx, &payload)).await.unwrap();
        assert_eq!(plain, 50_000);
    }
}
