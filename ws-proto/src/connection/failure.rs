use core::fmt;

use crate::{error::ReceiveError, handshake::HandshakeError};

/// The reason why a [`Connection`](super::Connection) did not open, or failed. The peer has been told as far as that was
/// possible.
///
/// A transport that ends too soon, in the opening handshake too, is no failure but an unclean
/// [`Closed`](crate::Closed), and so is a peer that has fallen silent. Only
/// [`Next::Opening`](super::Next::Opening) says that a connection has opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// The opening handshake failed: the peer broke a rule, or took too long.
    Handshake(HandshakeError),
    /// The server refused the handshake with this status.
    Refused(u16),
    /// The peer broke the protocol, or the host called [`fail`](crate::Endpoint::fail).
    Receive(ReceiveError),
    /// The peer took too little output for too long: see [`write_timeout`](crate::Config::write_timeout). The output has been
    /// dropped.
    WriteTimeout,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handshake(error) => error.fmt(f),
            Self::Refused(status) => {
                write!(f, "server refused the opening handshake with status {status} (RFC 6455 section 4.1)")
            }
            Self::Receive(error) => error.fmt(f),
            Self::WriteTimeout => f.write_str("peer took output too slowly (RFC 6455 section 10.4)"),
        }
    }
}

impl core::error::Error for Failure {}
