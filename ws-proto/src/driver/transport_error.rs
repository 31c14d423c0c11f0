//! The meaning of errors of a transport.

use std::io;

/// Returns whether an error means that the peer has ended or reset the transport.
#[must_use]
pub fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            // The end of TLS without close_notify.
            | io::ErrorKind::UnexpectedEof
    )
}

/// Returns whether an error may pass: networks and peers come back.
#[cfg(any(feature = "client", feature = "rustls"))]
pub(super) fn is_transient(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, InvalidInput, PermissionDenied, Unsupported};
    !matches!(error.kind(), InvalidData | InvalidInput | PermissionDenied | Unsupported)
}
