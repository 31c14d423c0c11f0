//! Reading and writing of heads, for both sides of the opening handshake (RFC 6455 section 4).

use core::time::Duration;
use std::{io, net::Shutdown, time::Instant};

use ws_proto::handshake::HandshakeError;

use crate::{
    clock::Clock,
    transport::{Transport, write_some},
};

/// A buffer with the received part of a head, and with bytes that follow the head.
#[derive(Default)]
pub(crate) struct HeadBuffer {
    bytes: Vec<u8>,
    filled: usize,
}

/// The reason why no head was received.
pub(crate) enum HeadError {
    /// The transport ended, with this error, before the first byte.
    BeforeFirstByte(io::Error),
    Io(io::Error),
    Handshake(HandshakeError),
}

/// Bytes of the first buffer: a browser's request with cookies fits. A longer head doubles it.
const FIRST_READ: usize = 4 * 1024;

/// A handshake that waits for the peer's head: a server's for the request, a client's for the response.
pub(crate) trait Awaiting {
    fn poll_head(&mut self, now: ws_proto::Instant, received: &[u8]) -> Result<Option<usize>, HandshakeError>;
    fn poll_timeout(&self) -> Option<ws_proto::Instant>;
    fn handle_timeout(&mut self, now: ws_proto::Instant) -> Result<(), HandshakeError>;
}

macro_rules! awaiting {
    ($handshake:ty) => {
        impl Awaiting for $handshake {
            fn poll_head(
                &mut self,
                now: ws_proto::Instant,
                received: &[u8],
            ) -> Result<Option<usize>, HandshakeError> {
                Self::poll_head(self, now, received)
            }

            fn poll_timeout(&self) -> Option<ws_proto::Instant> {
                Self::poll_timeout(self)
            }

            fn handle_timeout(&mut self, now: ws_proto::Instant) -> Result<(), HandshakeError> {
                Self::handle_timeout(self, now)
            }
        }
    };
}

awaiting!(ws_proto::server::Handshake);
awaiting!(ws_proto::client::Handshake<'_>);

impl HeadBuffer {
    /// Creates an empty buffer.
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; FIRST_READ], filled: 0 }
    }

    /// Reads until the head is complete and returns its length in bytes. After a failure, [`received`](Self::received)
    /// returns the bytes that came before it.
    pub(crate) fn read(
        &mut self,
        transport: &impl Transport,
        clock: Clock,
        handshake: &mut impl Awaiting,
    ) -> Result<usize, HeadError> {
        loop {
            let found = handshake.poll_head(clock.now(), self.received()).map_err(HeadError::Handshake)?;
            if let Some(len) = found {
                return Ok(len);
            }
            if self.filled == self.bytes.len() {
                self.bytes.resize(2 * self.filled, 0);
            }
            let deadline = system_deadline(handshake, clock);
            let room = self.bytes.get_mut(self.filled..).unwrap_or_default();
            match transport.read(room, deadline) {
                Ok(0) if self.filled == 0 => {
                    return Err(HeadError::BeforeFirstByte(io::ErrorKind::UnexpectedEof.into()));
                }
                Ok(0) => return Err(HeadError::Io(io::ErrorKind::UnexpectedEof.into())),
                Ok(len) => self.filled += len,
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    handshake.handle_timeout(clock.now()).map_err(HeadError::Handshake)?;
                }
                Err(error) if self.filled == 0 && is_gone(&error) => {
                    return Err(HeadError::BeforeFirstByte(error));
                }
                Err(error) => return Err(HeadError::Io(error)),
            }
        }
    }

    /// Returns all bytes that have been received.
    pub(crate) fn received(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    /// Turns the storage into the input buffer of the connection, whose first bytes are those after the head.
    pub(crate) fn into_buffer(self, head_len: usize) -> ws_proto::MessageBuffer<Vec<u8>> {
        ws_proto::MessageBuffer::with_received(self.bytes, head_len..self.filled)
    }
}

/// Returns whether an error means that the peer has ended or reset the transport.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted | io::ErrorKind::BrokenPipe
    )
}

/// Returns the deadline of a handshake that still waits for a head.
pub(crate) fn system_deadline(handshake: &impl Awaiting, clock: Clock) -> Option<Instant> {
    handshake.poll_timeout().and_then(|at| clock.to_system(at))
}

/// Writes all of `bytes`, or fails at `deadline` even if the peer has taken some of them.
pub(crate) fn write_by(transport: &impl Transport, bytes: &[u8], deadline: Option<Instant>) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let len = write_some(transport, [rest, &[], &[]], deadline)?;
        rest = rest.get(len..).unwrap_or_default();
    }
    Ok(())
}

/// Writes all of `bytes`, or fails after `timeout`.
pub(crate) fn write_within(transport: &impl Transport, bytes: &[u8], timeout: Option<Duration>) -> io::Result<()> {
    write_by(transport, bytes, timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
}

/// Ends a transport that did not become a connection, so that the peer can read our response. A socket that is closed
/// with unread input is reset, and the response may be lost; so up to 64 KiB of input are discarded first, for at most
/// 1 s.
pub(crate) fn farewell(transport: &impl Transport) {
    const DRAIN_LEN: usize = 64 * 1024;
    let deadline = Instant::now().checked_add(Duration::from_secs(1));
    if transport.shutdown(Shutdown::Write).is_err() {
        return;
    }
    let mut bin = [0; 1024];
    let mut drained = 0;
    while drained < DRAIN_LEN {
        match transport.read(&mut bin, deadline) {
            Ok(0) | Err(_) => return,
            Ok(len) => drained += len,
        }
    }
}
