use core::{convert::Infallible, fmt};
use std::io;

use ws_proto::handshake::{HandshakeError, WriteError};

/// Why no connection came of a transport.
///
/// Every client that sent a request has been answered. The answer of a refusal is followed by the end of our output; what the
/// client still sends is drained, up to 64 KiB and for 1 s, so that the answer is not lost to a reset.
#[derive(Debug)]
#[non_exhaustive]
pub enum AcceptError {
    /// The peer connected and left without a byte: a health check, or a browser's spare connection. No fault of either side.
    NoRequest,
    /// The transport failed or ended.
    Io(io::Error),
    /// The request was not one for a connection, or was not accepted.
    Handshake(HandshakeError),
    /// The [`OriginPolicy`](ws_proto::server::OriginPolicy) does not admit the page. The text names the page's origin and the host that it asked, bounded and
    /// escaped.
    Origin(Box<str>),
    /// The application refused, with this status.
    Refused(u16),
    /// The application's answer has a field, a status or a subprotocol that cannot be sent; the client was told 500.
    Answer(WriteError),
}

impl fmt::Display for AcceptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRequest => f.write_str("peer left without a request"),
            Self::Io(_) => f.write_str("transport failed before the connection was open"),
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

// A `Socket` is one already, which cannot fail.
impl From<Infallible> for AcceptError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
