use core::fmt;
use std::io;

use ws_proto::{Closed, ReceiveError, SendError};

/// Why a call on a connection failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The transport failed.
    Io(io::Error),
    /// A timeout set by the caller has passed; nothing is lost and the call may be repeated.
    TimedOut,
    /// The peer broke the protocol or went over a limit; it has been told and the connection has ended.
    Receive(ReceiveError),
    /// A fault of this side has ended the connection, such as no storage for a message; the peer has been told.
    Fault(ReceiveError),
    /// The message can't be sent; nothing has changed.
    Send(SendError),
    /// The connection ended without the closing handshake.
    Unclean(Closed),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(_) => f.write_str("transport failed"),
            Self::TimedOut => f.write_str("timeout passed, the call may be repeated"),
            Self::Receive(_) => f.write_str("connection failed"),
            Self::Fault(_) => f.write_str("connection failed by a fault of this side"),
            Self::Send(_) => f.write_str("message can't be sent"),
            Self::Unclean(closed) => {
                write!(f, "connection ended without the closing handshake: {:?}", closed.cause)
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Receive(error) | Self::Fault(error) => Some(error),
            Self::Send(error) => Some(error),
            Self::TimedOut | Self::Unclean(_) => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ReceiveError> for Error {
    fn from(error: ReceiveError) -> Self {
        if error.is_peers_fault() { Self::Receive(error) } else { Self::Fault(error) }
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}

/// A [`Result`](core::result::Result) with this crate's [`Error`].
pub type Result<T> = core::result::Result<T, Error>;
