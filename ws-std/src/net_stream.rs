use core::fmt;
use std::{
    io::{self, IoSlice},
    net::{Shutdown, TcpStream},
    time::Instant,
};

#[cfg(feature = "rustls")]
use crate::tls::{Failure, TlsStream};
use crate::{
    Socket,
    transport::{Duplex, Transport},
};

/// The transport of connections over TCP, plain or through TLS.
pub struct NetStream {
    stream: Stream,
}

enum Stream {
    Plain(Socket),
    #[cfg(feature = "rustls")]
    /// Over TCP, or over the TLS of a proxy.
    Tls(Box<TlsStream<NetStream>>),
}

impl NetStream {
    /// Returns the socket, for options and addresses.
    #[must_use]
    pub fn socket(&self) -> &Socket {
        match &self.stream {
            Stream::Plain(socket) => socket,
            #[cfg(feature = "rustls")]
            Stream::Tls(stream) => stream.transport().socket(),
        }
    }

    /// Returns the socket for good.
    ///
    /// # Errors
    ///
    /// The stream itself if it goes through TLS, whose state is lost without it.
    pub fn into_socket(self) -> Result<Socket, Self> {
        match self.stream {
            Stream::Plain(socket) => Ok(socket),
            #[cfg(feature = "rustls")]
            Stream::Tls(_) => Err(self),
        }
    }

    /// Returns whether the stream goes through TLS.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        match &self.stream {
            Stream::Plain(_) => false,
            #[cfg(feature = "rustls")]
            Stream::Tls(_) => true,
        }
    }

    /// Returns the TLS connection, which knows the peer's certificates and the version; `None` for a plain stream.
    #[cfg(feature = "rustls")]
    #[must_use]
    pub const fn tls(&self) -> Option<&TlsStream<Self>> {
        match &self.stream {
            Stream::Plain(_) => None,
            Stream::Tls(stream) => Some(stream),
        }
    }

    /// Does the TLS handshake that is still to be done, if there is one, until `deadline`.
    #[cfg(feature = "rustls")]
    pub(crate) fn handshake(&self, deadline: Option<Instant>) -> Result<(), Failure> {
        self.tls().map_or(Ok(()), |stream| stream.handshake(deadline))
    }

    /// Without TLS there is no handshake.
    #[cfg(not(feature = "rustls"))]
    #[allow(clippy::unused_self, reason = "the same call as with TLS")]
    pub(crate) const fn handshake(&self, _deadline: Option<Instant>) -> io::Result<()> {
        Ok(())
    }
}

/// Makes a stream without TLS.
impl From<Socket> for NetStream {
    fn from(socket: Socket) -> Self {
        Self { stream: Stream::Plain(socket) }
    }
}

impl TryFrom<TcpStream> for NetStream {
    type Error = io::Error;

    fn try_from(stream: TcpStream) -> io::Result<Self> {
        Socket::new(stream).map(Self::from)
    }
}

/// Makes a stream of a TLS connection.
#[cfg(feature = "rustls")]
impl From<TlsStream<Self>> for NetStream {
    fn from(stream: TlsStream<Self>) -> Self {
        Self { stream: Stream::Tls(Box::new(stream)) }
    }
}

impl Transport for NetStream {
    fn read(&self, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        match &self.stream {
            Stream::Plain(socket) => socket.read(buffer, deadline),
            #[cfg(feature = "rustls")]
            Stream::Tls(stream) => stream.read(buffer, deadline),
        }
    }

    fn write(&self, slices: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
        match &self.stream {
            Stream::Plain(socket) => socket.write(slices, deadline),
            #[cfg(feature = "rustls")]
            Stream::Tls(stream) => stream.write(slices, deadline),
        }
    }

    fn is_ready(&self) -> bool {
        match &self.stream {
            Stream::Plain(socket) => socket.is_ready(),
            #[cfg(feature = "rustls")]
            Stream::Tls(stream) => stream.is_ready(),
        }
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match &self.stream {
            Stream::Plain(socket) => socket.shutdown(how),
            #[cfg(feature = "rustls")]
            Stream::Tls(stream) => stream.shutdown(how),
        }
    }
}

impl Duplex for NetStream {}

impl fmt::Debug for NetStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetStream").field("is_tls", &self.is_tls()).field("socket", self.socket()).finish()
    }
}
