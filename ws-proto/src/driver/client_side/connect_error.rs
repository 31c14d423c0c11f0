use core::fmt;
use std::{io, net::SocketAddr, string::String};

#[cfg(feature = "rustls")]
use crate::driver::TlsError;
use crate::{
    EntropyError,
    driver::HeadError,
    handshake::{HandshakeError, WriteError},
};

use super::{ProxyError, RedirectError, Refused, Target};

/// The reason why no connection was opened.
///
/// The text names the step that failed, and [`source`](std::error::Error::source) says why: print the whole chain, as
/// `anyhow`'s `{:#}` does.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL is not that of a WebSocket. The text says what is wrong with it.
    InvalidUrl(&'static str),
    /// The URL has the scheme `wss`, and the driver is built without the feature `rustls`. Make a TLS connection first and
    /// use `Connector::connect_over`.
    NeedsTls,
    /// TLS failed, in its settings or in its handshake.
    #[cfg(feature = "rustls")]
    Tls(TlsError),
    /// TLS to the proxy itself failed.
    #[cfg(feature = "rustls")]
    ProxyTls(TlsError),
    /// The host's addresses can't be found.
    Resolve(io::Error),
    /// No address of the host could be connected to.
    Connect {
        /// The first address to which this machine has a route.
        address: SocketAddr,
        /// The error of the attempt with this address.
        error: io::Error,
    },
    /// No transport could be opened: there is nothing at the Unix socket, or it took too long.
    Dial {
        /// The place to which it was to be opened.
        target: Target,
        /// The error of the system.
        error: io::Error,
    },
    /// The proxy opened no tunnel to the server.
    Proxy(ProxyError),
    /// The server closed or reset the transport before the first byte of an answer. Servers that expect TLS do that.
    Closed(io::Error),
    /// The transport failed.
    Io(io::Error),
    /// A header field of the connector can't be sent. The text is its name.
    Header(String),
    /// Another part of the request cannot be sent.
    Request(WriteError),
    /// The server's answer is not a valid answer to an opening handshake, or did not come in time.
    Handshake(HandshakeError),
    /// The server chose none of the subprotocols, and the connector requires one.
    NoSubprotocol,
    /// The server's answer is a redirect that may not be followed.
    Redirect(RedirectError),
    /// The server answered with another status than 101.
    Refused(Refused),
    /// The operating system's random number generator failed.
    Entropy(EntropyError),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidUrl(what) => write!(f, "not a WebSocket URL: {what} (RFC 6455 section 3)"),
            Self::NeedsTls => f.write_str("wss needs the feature `rustls`, or TLS of your own and connect_over"),
            #[cfg(feature = "rustls")]
            Self::Tls(_) => f.write_str("no TLS connection"),
            #[cfg(feature = "rustls")]
            Self::ProxyTls(_) => f.write_str("no TLS connection to the proxy"),
            Self::Resolve(_) => f.write_str("addresses of the host can't be found"),
            Self::Connect { address, .. } => write!(f, "can't connect to {address}"),
            Self::Dial { target, .. } => write!(f, "can't connect to {target}"),
            Self::Proxy(_) => f.write_str("proxy opened no way to the server"),
            Self::Closed(_) => f.write_str("server closed before it answered; does it speak TLS?"),
            Self::Io(_) => f.write_str("transport failed in the opening handshake"),
            Self::Header(name) => write!(f, "header field {name:?} can't be sent (RFC 9110 section 5.5)"),
            Self::Request(_) => f.write_str("request can't be written"),
            Self::Handshake(error) => match error.field() {
                Some(field) => write!(f, "server's answer is invalid, in {field}"),
                None => f.write_str("server's answer is invalid"),
            },
            Self::NoSubprotocol => f.write_str("server chose none of the subprotocols"),
            Self::Redirect(_) => f.write_str("server's redirect is not followed"),
            Self::Refused(refused) => {
                write!(f, "server answered with status {} and opened no connection", refused.status())
            }
            Self::Entropy(_) => f.write_str("no key for the request"),
        }
    }
}

impl std::error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Resolve(error)
            | Self::Connect { error, .. }
            | Self::Dial { error, .. }
            | Self::Closed(error)
            | Self::Io(error) => Some(error),
            #[cfg(feature = "rustls")]
            Self::Tls(error) | Self::ProxyTls(error) => Some(error),
            Self::Proxy(error) => Some(error),
            Self::Request(error) => Some(error),
            Self::Redirect(error) => Some(error),
            Self::Handshake(error) => Some(error),
            Self::Entropy(error) => Some(error),
            Self::InvalidUrl(_) | Self::NeedsTls | Self::Header(_) | Self::NoSubprotocol | Self::Refused(_) => {
                None
            }
        }
    }
}

macro_rules! from {
    ($error:ty => $variant:ident) => {
        impl From<$error> for ConnectError {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        }
    };
}

from!(ProxyError => Proxy);
from!(RedirectError => Redirect);
from!(WriteError => Request);
from!(HandshakeError => Handshake);
from!(EntropyError => Entropy);

#[cfg(feature = "rustls")]
from!(TlsError => Tls);

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        // With TLS 1.3 a client has completed the handshake before the server has seen the client's certificate (RFC 8446
        // section 4.4.2.4).
        #[cfg(feature = "rustls")]
        if error.get_ref().is_some_and(|fault| fault.is::<rustls::Error>()) {
            return Self::Tls(error.into());
        }
        Self::Io(error)
    }
}

impl From<HeadError> for ConnectError {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::BeforeFirstByte(error) => Self::Closed(error),
            HeadError::Io(error) => error.into(),
            HeadError::Handshake(error) => Self::Handshake(error),
        }
    }
}
