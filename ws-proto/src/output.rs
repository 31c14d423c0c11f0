//! What waits to be written.

use core::fmt;

use alloc::vec::Vec;

use crate::{
    close::CloseCode,
    control::{ControlFrame, Transmit},
    endpoint::Endpoint,
    error::SendError,
    message::Message,
    retention::Retention,
    role::Role,
    time::Instant,
    trace::Trace,
};

/// Bytes on their way to a transport that takes them when it can, and behind them the end of our direction.
///
/// For hosts whose writes may stop anywhere: everything queued before goes first, and what a write has taken
/// is told by [`written`](Self::written), so that nothing is lost or sent twice when a write is cut short or
/// its future is dropped.
///
/// ```
/// use ws_proto::{Endpoint, Output, Pending, Server};
/// use std::io::{self, Write};
///
/// /// Writes until nothing is left, or the socket takes no more for now.
/// fn flush(output: &mut Output, socket: &mut (impl Write + Shutdown)) -> io::Result<()> {
///     while let Some(pending) = output.pending() {
///         match pending {
///             Pending::Bytes(bytes) => {
///                 let len = socket.write(bytes)?;
///                 output.written(len);
///             }
///             Pending::Shutdown => {
///                 socket.half_close()?;
///                 output.shut_down();
///             }
///         }
///     }
///     Ok(())
/// }
/// # trait Shutdown { fn half_close(&mut self) -> io::Result<()>; }
/// ```
#[derive(Default)]
pub struct Output {
    bytes: Vec<u8>,
    written: usize,
    shutdown_owed: bool,
    retention: Retention,
}

/// What is to be done next with the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending<'o> {
    /// Write these bytes, never empty, as far as possible; then call [`Output::written`].
    Bytes(&'o [u8]),
    /// Half-close the transport; then call [`Output::shut_down`].
    Shutdown,
}

/// What an output buffer keeps in any case when all of it has been written.
const KEPT: usize = 64 * 1024;

impl Output {
    /// Nothing to write, and no memory held.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), written: 0, shutdown_owed: false, retention: Retention::new() }
    }

    /// Takes over all that `endpoint` owes the peer: the [one law](crate#the-one-law)'s drain.
    #[inline]
    pub fn drain<R: Role, T: Trace>(&mut self, endpoint: &mut Endpoint<R, T>) {
        while let Some(transmit) = endpoint.poll_transmit() {
            self.owe(&transmit);
        }
    }

    /// Takes over one thing that is owed: rarely is there any.
    #[cold]
    fn owe(&mut self, transmit: &Transmit) {
        match transmit {
            Transmit::Control(frame) => self.bytes.extend_from_slice(frame.as_bytes()),
            Transmit::Shutdown => self.shutdown_owed = true,
        }
    }

    /// Queues a whole message, behind what `endpoint` owes.
    ///
    /// # Errors
    ///
    /// As [`Endpoint::write_to`].
    pub fn send<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        message: Message<'_>,
    ) -> Result<(), SendError> {
        self.drain(endpoint);
        endpoint.write_to(message, &mut self.bytes)
    }

    /// Queues a whole message, compressed if that has been agreed on and makes it shorter, behind what `endpoint` owes.
    ///
    /// # Errors
    ///
    /// As [`Endpoint::write_deflated_to`].
    #[cfg(feature = "deflate")]
    pub fn send_deflated<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        message: Message<'_>,
        deflater: &mut crate::deflate::Deflater,
    ) -> Result<(), SendError> {
        self.drain(endpoint);
        endpoint.write_deflated_to(message, deflater, &mut self.bytes)
    }

    /// Queues our Close, behind what `endpoint` owes.
    ///
    /// # Errors
    ///
    /// As [`Endpoint::write_close`].
    pub fn close<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        code: CloseCode,
        reason: &str,
    ) -> Result<(), SendError> {
        self.drain(endpoint);
        let mut frame = [0; ControlFrame::MAX_LEN];
        let len = endpoint.write_close(now, code, reason, &mut frame)?;
        self.bytes.extend_from_slice(frame.get(..len).unwrap_or_default());
        Ok(())
    }

    /// Where more can be appended: a head of the opening handshake, part of a message, a prepared one.
    ///
    /// What is in it already stays there; [`take_bytes`](Self::take_bytes) takes it out.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// What to do next; `None` if there is nothing.
    #[must_use]
    pub fn pending(&self) -> Option<Pending<'_>> {
        match self.bytes.get(self.written..) {
            Some(bytes) if !bytes.is_empty() => Some(Pending::Bytes(bytes)),
            _ => self.shutdown_owed.then_some(Pending::Shutdown),
        }
    }

    /// Tells that the transport has taken the first `len` of the pending bytes.
    pub fn written(&mut self, len: usize) {
        self.written = self.written.saturating_add(len);
        if self.written >= self.bytes.len() {
            let kept = self.retention.kept(self.bytes.len(), KEPT);
            self.written = 0;
            self.bytes.clear();
            self.bytes.shrink_to(kept);
        }
    }

    /// Gives back what the buffer has grown by, unless something is pending: for a connection that has become idle.
    pub fn release(&mut self) {
        if self.bytes.is_empty() {
            self.retention = Retention::new();
            self.bytes.shrink_to(KEPT);
        }
    }

    /// Takes the pending bytes out, for transports that want to own what they write. A pending
    /// [`Pending::Shutdown`] stays, and comes behind them.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        let mut bytes = core::mem::take(&mut self.bytes);
        bytes.drain(..core::mem::take(&mut self.written).min(bytes.len()));
        bytes
    }

    /// Tells that the transport has been half-closed.
    pub const fn shut_down(&mut self) {
        self.shutdown_owed = false;
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending().is_none()
    }

    /// How many bytes wait to be written. A host reads no more from a peer that lets too many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.written)
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("len", &self.len()).field("shutdown_owed", &self.shutdown_owed).finish()
    }
}
