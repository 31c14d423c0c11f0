use core::fmt;
use std::io;

use crate::{Closed, ReceiveError, SendError};

/// The error of a call on a connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The transport failed, or, with the kind [`TimedOut`](io::ErrorKind::TimedOut), the peer took too few of our bytes for the
    /// write timeout.
    Io(io::Error),
    /// The read timeout of ws-std has passed, or a message could not be queued there within the write timeout. No data is lost and
    /// the call may be repeated. ws-tokio never returns it: put a call that reads into `tokio::time::timeout`.
    TimedOut,
    /// The peer broke the protocol or exceeded a limit. It has been sent a Close, and the connection has ended.
    Receive(ReceiveError),
    /// A fault of this side has ended the connection, such as no storage for a message. The peer has been sent a Close.
    Fault(ReceiveError),
    /// The message can't be sent. The connection is unchanged.
    Send(SendError),
    /// The connection ended without the closing handshake.
    Unclean(Closed),
}

impl Error {
    /// Returns whether the call came too late: one of the sides has begun to close the connection. Calls that read return the
    /// rest of the peer's messages and the end.
    #[must_use]
    pub const fn is_closing(&self) -> bool {
        matches!(self, Self::Send(SendError::Closing))
    }
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

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Io(error) => error,
            Error::TimedOut => io::ErrorKind::TimedOut.into(),
            error => Self::other(error),
        }
    }
}

/// A [`Result`](core::result::Result) with this crate's [`Error`].
pub type Result<T> = core::result::Result<T, Error>;

/// The error of a call that does not wait.
#[derive(Debug)]
#[non_exhaustive]
pub enum TrySendError {
    /// So much output is waiting that the call would have to wait. The message has not been queued.
    Full,
    /// The call would fail in any case. The message has not been queued.
    Failed(Error),
}

impl fmt::Display for TrySendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("too much output waits"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for TrySendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Full => None,
            Self::Failed(error) => error.source(),
        }
    }
}

impl From<Error> for TrySendError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

#[cfg(test)]
mod tests {
    use std::{error::Error as _, string::ToString};

    use super::*;

    #[test]
    fn an_error_of_a_call_that_does_not_wait_says_what_the_other_call_would() {
        assert_eq!(TrySendError::Full.to_string(), "too much output waits");
        assert!(TrySendError::Full.source().is_none());
        let failed = || Error::from(io::Error::other("reset"));
        let error = TrySendError::from(failed());
        assert_eq!(error.to_string(), failed().to_string());
        assert_eq!(error.source().map(ToString::to_string), failed().source().map(ToString::to_string));
    }
}
