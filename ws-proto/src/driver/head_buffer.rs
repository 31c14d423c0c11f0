//! The buffer for a head of the opening handshake (RFC 6455 section 4).

use core::fmt;
use std::{io, vec, vec::Vec};

use super::transport_error::is_gone;
use crate::{MessageBuffer, client, handshake::HandshakeError, server, time::Instant};

/// Length of the first buffer in bytes: a browser's request with cookies fits. A longer head doubles it.
const FIRST_READ: usize = 4 * 1024;

/// A buffer with the received part of a head, and with bytes that follow the head.
pub struct HeadBuffer {
    bytes: Vec<u8>,
    /// `filled <= bytes.len()`
    filled: usize,
}

/// The reason why no head was received.
#[derive(Debug)]
pub enum HeadError {
    /// The transport ended, with this error, before the first byte.
    BeforeFirstByte(io::Error),
    /// The transport failed, or ended before the head was complete.
    Io(io::Error),
    /// The head is at fault, or has not come in time.
    Handshake(HandshakeError),
}

/// A handshake that waits for the peer's head: a server's for the request, a client's for the response.
pub trait AwaitsHead: sealed::Sealed {
    /// Returns the length of the head as soon as `received` has all of it.
    ///
    /// # Errors
    ///
    /// As [`server::Handshake::poll_head`] and [`client::Handshake::poll_head`].
    fn poll_head(&mut self, now: Instant, received: &[u8]) -> Result<Option<usize>, HandshakeError>;

    /// Returns when to call [`handle_timeout`](Self::handle_timeout) at the latest; `None` if no call is needed.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Fails if the deadline has passed at `now`.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Timeout`].
    fn handle_timeout(&mut self, now: Instant) -> Result<(), HandshakeError>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for crate::server::Handshake {}
    impl Sealed for crate::client::Handshake<'_> {}
}

macro_rules! awaits_head {
    ($handshake:ty) => {
        impl AwaitsHead for $handshake {
            fn poll_head(&mut self, now: Instant, received: &[u8]) -> Result<Option<usize>, HandshakeError> {
                Self::poll_head(self, now, received)
            }

            fn poll_timeout(&self) -> Option<Instant> {
                Self::poll_timeout(self)
            }

            fn handle_timeout(&mut self, now: Instant) -> Result<(), HandshakeError> {
                Self::handle_timeout(self, now)
            }
        }
    };
}

awaits_head!(server::Handshake);
awaits_head!(client::Handshake<'_>);

impl HeadBuffer {
    /// Creates an empty buffer of 4 KiB.
    #[must_use]
    pub fn new() -> Self {
        Self { bytes: vec![0; FIRST_READ], filled: 0 }
    }

    /// Returns the room for the next read, which is never empty: a full buffer doubles.
    ///
    /// The handshake limits the length of a head, so ask it before each read.
    pub fn room(&mut self) -> &mut [u8] {
        if self.filled == self.bytes.len() {
            self.bytes.resize((2 * self.filled).max(FIRST_READ), 0);
        }
        self.bytes.get_mut(self.filled..).unwrap_or_default()
    }

    /// Records that the first `len` bytes of [`room`](Self::room) have been read into.
    fn filled(&mut self, len: usize) {
        self.filled = (self.filled + len).min(self.bytes.len());
    }

    /// Takes the result of a read into [`room`](Self::room) that ended at `now`. One that has
    /// [timed out](io::ErrorKind::TimedOut) runs the timer of `handshake`.
    ///
    /// # Errors
    ///
    /// The transport has ended or failed, or the deadline of the handshake has passed.
    pub fn take(
        &mut self,
        read: io::Result<usize>,
        handshake: &mut impl AwaitsHead,
        now: Instant,
    ) -> Result<(), HeadError> {
        match read {
            Ok(0) => Err(self.ended(io::ErrorKind::UnexpectedEof.into())),
            Ok(len) => {
                self.filled(len);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                handshake.handle_timeout(now).map_err(HeadError::Handshake)
            }
            Err(error) if is_gone(&error) => Err(self.ended(error)),
            Err(error) => Err(HeadError::Io(error)),
        }
    }

    /// Returns the error of a transport that has ended with `error`.
    const fn ended(&self, error: io::Error) -> HeadError {
        if self.filled == 0 { HeadError::BeforeFirstByte(error) } else { HeadError::Io(error) }
    }

    /// Returns all bytes that have been received.
    #[must_use]
    pub fn received(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    /// Turns the storage into the input buffer of a connection, whose first bytes are those after the head.
    #[must_use]
    pub fn into_buffer(self, head_len: usize) -> MessageBuffer<Vec<u8>> {
        MessageBuffer::with_received(self.bytes, head_len..self.filled)
    }
}

impl Default for HeadBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HeadBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A head may hold secrets.
        f.debug_struct("HeadBuffer").field("filled", &self.filled).finish_non_exhaustive()
    }
}
