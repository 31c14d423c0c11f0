use core::fmt;
use std::io;

use super::ConnectError;
use crate::driver::{Error, transport_error};

/// The error of a try to open a connection and to prepare it for use.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReconnectError {
    /// No connection was opened.
    Connect(ConnectError),
    /// The connection failed before it was ready, such as in the first messages of the application.
    Lost(Error),
    /// Something else failed, such as the request for a new token.
    Io(io::Error),
}

impl ReconnectError {
    /// Returns whether another try may succeed even if the user changes nothing: as [`ConnectError::is_transient`] and
    /// [`Error::is_transient`] say. An I/O error is transient unless the system calls it invalid, unsupported or forbidden.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect(error) => error.is_transient(),
            Self::Lost(error) => error.is_transient(),
            Self::Io(error) => transport_error::is_transient(error),
        }
    }
}

impl fmt::Display for ReconnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect(_) => "no connection",
            Self::Lost(_) => "connection was lost before it was ready",
            Self::Io(_) => "preparation of a connection failed",
        })
    }
}

impl std::error::Error for ReconnectError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(match self {
            Self::Connect(error) => error,
            Self::Lost(error) => error,
            Self::Io(error) => error,
        })
    }
}

impl From<ConnectError> for ReconnectError {
    fn from(error: ConnectError) -> Self {
        Self::Connect(error)
    }
}

impl From<Error> for ReconnectError {
    fn from(error: Error) -> Self {
        Self::Lost(error)
    }
}

impl From<io::Error> for ReconnectError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
