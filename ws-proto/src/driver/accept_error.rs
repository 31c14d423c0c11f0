use core::{convert::Infallible, fmt};
use std::{boxed::Box, io};

use crate::handshake::{HandshakeError, WriteError};

/// The reason why a transport did not become a connection.
///
/// Every client that sent a request has been sent an answer. After a refusal our output has been ended and further
/// input has been discarded, up to 64 KiB and for 1 s, so that a reset does not destroy the answer.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcceptError {
    /// The peer connected and left without sending a byte, as health checks and the spare connections of browsers do.
    NoRequest,
    /// The transport failed, or ended before the request was complete.
    Io(io::Error),
    /// The TLS handshake failed.
    #[cfg(feature = "rustls")]
    Tls(super::TlsError),
    /// The request was not a valid request for a connection.
    Handshake(HandshakeError),
    /// The [`OriginPolicy`](crate::server::OriginPolicy) does not admit the page. The text names the origin of the
    /// page and the host of the request, bounded and escaped.
    Origin(Box<str>),
    /// The application refused the request with this status.
    Refused(u16),
    /// The application's answer has a field, a status or a subprotocol that cannot be sent. The client was sent 500.
    Answer(WriteError),
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRequest => f.write_str("peer left without a request"),
            Self::Io(_) => f.write_str("transport failed before the connection was open"),
            #[cfg(feature = "rustls")]
            Self::Tls(_) => f.write_str("no TLS handshake"),
            Self::Handshake(_) => f.write_str("no opening handshake"),
            Self::Origin(mismatch) => write!(f, "refused: {mismatch}"),
            Self::Refused(status) => write!(f, "refused with status {status}"),
            Self::Answer(_) => f.write_str("answer cannot be sent"),
        }
    }
}

impl std::error::Error for AcceptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            #[cfg(feature = "rustls")]
            Self::Tls(error) => Some(error),
            Self::Handshake(error) => Some(error),
            Self::Answer(error) => Some(error),
            Self::NoRequest | Self::Origin(_) | Self::Refused(_) => None,
        }
    }
}

impl From<io::Error> for AcceptError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

// The conversion of a socket to itself cannot fail.
impl From<Infallible> for AcceptError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
