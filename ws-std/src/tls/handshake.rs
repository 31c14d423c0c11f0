//! The TLS handshake, and the reasons why it fails.

use std::{io, time::Instant};

use ws_proto::{
    driver::{AcceptError, TlsError, is_gone},
    handshake::HandshakeError,
};

use super::{TlsStream, lock, reading::SHORTEST_BUFFER};
use crate::transport::{Duplex, Transport};

/// The most bytes that are discarded after a fault.
const DRAIN_LEN: usize = 64 * 1024;

/// The reason why a TLS handshake was not completed.
pub(crate) enum Failure {
    /// The deadline has passed.
    Timeout,
    /// The peer ended the transport before it had sent a byte.
    NoByte(#[cfg_attr(not(feature = "client"), allow(dead_code, reason = "clients tell it"))] TlsError),
    Tls(TlsError),
}

impl<T: Transport + Duplex> TlsStream<T> {
    /// Does the handshake, until `deadline`.
    pub(crate) fn handshake(&self, deadline: Option<Instant>) -> Result<(), Failure> {
        let mut heard = false;
        self.shake_hands(deadline, &mut heard).map_err(|error| Failure::of(error, heard))?;
        TlsError::check_protocol(lock(&self.connection).state().alpn_protocol()).map_err(Failure::Tls)
    }

    /// Does the handshake, and sets `heard` once the peer has sent a byte.
    fn shake_hands(&self, deadline: Option<Instant>, heard: &mut bool) -> io::Result<()> {
        let _reading = lock(&self.reading);
        let mut buffer = [0; SHORTEST_BUFFER];
        loop {
            let sent = self.send_all(deadline);
            if !lock(&self.connection).state().is_handshaking() {
                return sent;
            }
            // The peer's last words may say why it does not take our output any more.
            sent.or_else(|error| if is_gone(&error) { Ok(()) } else { Err(error) })?;
            let len = self.transport.read(&mut buffer, deadline)?;
            if len == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            *heard = true;
            let taken = self.feed(buffer.get_mut(..len).unwrap_or_default());
            taken.inspect_err(|_| self.tell_fault())?;
        }
    }

    /// Sends the alert that tells the peer about a fault. Input that has come is discarded: a socket that is closed with
    /// unread input is reset, and then the peer may lose the alert.
    fn tell_fault(&self) {
        self.send_owed();
        let mut bin = [0; SHORTEST_BUFFER];
        for _ in 0..DRAIN_LEN / SHORTEST_BUFFER {
            if !matches!(self.transport.read(&mut bin, Some(self.past)), Ok(1..)) {
                return;
            }
        }
    }
}

impl Failure {
    /// Finds the reason in the error that stopped a handshake. `heard`: the peer has sent a byte.
    fn of(error: io::Error, heard: bool) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Timeout,
            _ if !heard && is_gone(&error) => Self::NoByte(error.into()),
            _ => Self::Tls(error.into()),
        }
    }
}

#[cfg(feature = "client")]
impl From<Failure> for ws_proto::driver::ConnectError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Timeout => HandshakeError::Timeout.into(),
            Failure::NoByte(error) | Failure::Tls(error) => error.into(),
        }
    }
}

impl From<Failure> for AcceptError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Timeout => Self::Handshake(HandshakeError::Timeout),
            Failure::NoByte(_) => Self::NoRequest,
            Failure::Tls(error) => Self::Tls(error),
        }
    }
}
