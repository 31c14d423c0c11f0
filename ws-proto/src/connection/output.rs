//! The queue of output that waits for the transport.

use core::fmt;

#[cfg(feature = "alloc")]
use alloc::vec::Vec;

#[cfg(not(feature = "alloc"))]
use super::queue::FixedQueue;
use super::{queue::Queue, retention::Retention, write_deadline::WriteDeadline};
use crate::{
    close::CloseCode,
    config::Config,
    endpoint::{ControlFrame, Endpoint, OpenFrame, Prepared, Trace, Transmit},
    error::SendError,
    frame::FrameHeader,
    handshake::WriteError,
    message::{Message, MessageKind, Part},
    part::part,
    role::{Role, Server},
    time::Instant,
};

/// Bytes on their way to a transport that takes them when it can, and after them the end of our direction.
///
/// For hosts whose writes may stop anywhere: earlier output goes first, and the host reports by
/// [`written`](Self::written) how many bytes a write has taken. So no byte is lost or sent twice when a write is cut
/// short or its future is dropped. A peer that takes too little for too long passes
/// [`poll_timeout`](Self::poll_timeout): the host drops the transport then.
///
/// ```
/// use ws_proto::{Endpoint, Instant, Pending, Server};
/// use ws_proto::connection::Output;
/// use std::io::{self, Write};
///
/// /// Writes until nothing is left, or the socket takes no more for now.
/// fn flush(
///     output: &mut Output,
///     endpoint: &mut Endpoint<Server>,
///     now: Instant,
///     socket: &mut (impl Write + Shutdown),
/// ) -> io::Result<()> {
///     while let Some(pending) = output.pending() {
///         match pending {
///             Pending::Bytes(bytes) => {
///                 let result = socket.write(bytes);
///                 // Also when nothing was taken: then the peer's time begins to count.
///                 output.written(endpoint, now, *result.as_ref().unwrap_or(&0));
///                 result?;
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
pub struct Output<Q = DefaultQueue> {
    /// `written <= queue.bytes().len()`
    queue: Q,
    /// The number of bytes at the front of `queue` that the transport has taken.
    written: usize,
    /// The number of bytes that are [lent](Self::lend_bytes), which go before those in `queue`.
    lent: usize,
    /// The number of bytes that wait, lent ones first, up to the end of the last Ping, Close or half-close; 0 if that
    /// has left.
    awaited: usize,
    shutdown_owed: bool,
    retention: Retention,
    deadline: WriteDeadline,
}

/// The default [`Queue`] of an [`Output`].
#[cfg(feature = "alloc")]
pub type DefaultQueue = Vec<u8>;
/// The default [`Queue`] of an [`Output`].
#[cfg(not(feature = "alloc"))]
pub type DefaultQueue = FixedQueue<'static>;

/// The next action on the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pending<'o> {
    /// Write these bytes, never empty, as far as possible; then call `written`, of the
    /// [`Connection`](super::Connection::written) or the [`Output`](Output::written).
    Bytes(&'o [u8]),
    /// Half-close the transport; then call `shut_down`, of the [`Connection`](super::Connection::shut_down) or the
    /// [`Output`](Output::shut_down). An error may be ignored: the peer is gone then.
    Shutdown,
}

/// The memory that an output always keeps when all of it has been written, in bytes.
const OUTPUT_KEPT: usize = 64 * 1024;

#[cfg(feature = "alloc")]
impl Output<Vec<u8>> {
    /// Creates an empty output with the deadlines of [`Config::default`], which holds no memory.
    #[must_use]
    pub fn new() -> Self {
        Self::with_config(&Config::new())
    }

    /// Creates an empty output with the deadlines of `config`, which holds no memory.
    #[must_use]
    pub fn with_config(config: &Config) -> Self {
        Self::on(Vec::new(), config)
    }

    /// Returns the queue, to append more to: a head of the opening handshake, part of a message, a prepared one.
    ///
    /// Bytes that are already in it have to stay; [`take_bytes`](Self::take_bytes) takes them out.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.queue
    }

    /// Swaps the queue's memory for another, empty one, if no bytes are pending; returns the memory that is not used then.
    pub fn swap_memory(&mut self, memory: Vec<u8>) -> Vec<u8> {
        debug_assert!(memory.is_empty(), "the queue begins with pending bytes only");
        if self.queue.is_empty() { core::mem::replace(&mut self.queue, memory) } else { memory }
    }

    /// Takes the pending bytes out for good: the host has to write them. A pending [`Pending::Shutdown`] stays, and
    /// comes after them.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        let mut bytes = core::mem::take(&mut self.queue);
        bytes.drain(..core::mem::take(&mut self.written).min(bytes.len()));
        self.awaited = 0;
        bytes
    }

    /// Lends the pending bytes to a transport that owns the bytes it writes, at `now`: the peer's time to take them
    /// begins to count. [`put_back`](Self::put_back) ends the loan; until then more can be queued, but not lent.
    pub fn lend_bytes(&mut self, now: Instant) -> Vec<u8> {
        let awaited = self.awaited;
        let bytes = self.take_bytes();
        self.lent = bytes.len();
        self.awaited = awaited;
        self.deadline.written(now, 0, self.waiting());
        bytes
    }

    /// Takes [lent](Self::lend_bytes) bytes back, of which the transport took the first `len` at `now`. The rest goes
    /// before bytes that were queued meanwhile, unless the output has been [abandoned](Self::abandon) since. A call of
    /// [`written`](Self::written) is included.
    pub fn put_back<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        bytes: Vec<u8>,
        len: usize,
    ) {
        if self.restore(now, bytes, len) {
            endpoint.written(now);
        }
    }

    /// Takes note that the host writes a frame of `len` bytes that lie elsewhere, when all that was pending is written: a
    /// loan, as that of [`lend_bytes`](Self::lend_bytes). What is queued meanwhile has to wait for its end.
    pub fn lend_elsewhere(&mut self, len: usize) {
        debug_assert!(self.is_written(), "a frame follows the output before it");
        self.lent = len;
    }

    /// Takes note of an attempt to write [lent](Self::lend_elsewhere) bytes: at `now` the transport took the first `len`.
    /// With the last one the loan ends; [`put_back`](Self::put_back), with 0, ends it earlier, with the bytes that are left.
    pub fn written_elsewhere<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        len: usize,
    ) {
        self.lent = self.lent.saturating_sub(len);
        if self.count(now, len) {
            endpoint.written(now);
        }
    }

    /// Does the work of [`put_back`](Self::put_back) without the endpoint; returns whether to call
    /// [`Endpoint::written`].
    pub(crate) fn restore(&mut self, now: Instant, mut bytes: Vec<u8>, len: usize) -> bool {
        if core::mem::take(&mut self.lent) == 0 {
            // The loan was of no bytes, or has ended by `abandon`.
            return false;
        }
        bytes.append(&mut self.queue);
        self.queue = bytes;
        self.clear_front(len);
        self.count(now, len)
    }
}

#[cfg(feature = "alloc")]
impl Default for Output<Vec<u8>> {
    fn default() -> Self {
        Self::new()
    }
}

impl<Q: Queue> Output<Q> {
    /// Creates an empty output on `queue`, with the deadlines of `config`.
    pub fn on(queue: Q, config: &Config) -> Self {
        let (retention, deadline) = (Retention::new(), WriteDeadline::new(config));
        Self { queue, written: 0, lent: 0, awaited: 0, shutdown_owed: false, retention, deadline }
    }

    /// Takes over all that `endpoint` owes the peer, as the [rule for its hosts](crate#the-rule-for-hosts-of-an-endpoint) asks.
    // Every call that sends begins with it: without a heap flash counts for more than the call.
    #[cfg_attr(feature = "alloc", inline)]
    #[cfg_attr(not(feature = "alloc"), inline(never))]
    pub fn drain<R: Role, T: Trace>(&mut self, endpoint: &mut Endpoint<R, T>) {
        while self.queue.has_room(ControlFrame::MAX_LEN) {
            let Some(transmit) = endpoint.poll_transmit() else { break };
            self.owe(&transmit);
        }
    }

    /// Takes over one frame or half-close that is owed, which is rare.
    #[cold]
    fn owe(&mut self, transmit: &Transmit) {
        match transmit {
            Transmit::Control(frame) => {
                self.queue.append(frame.as_bytes());
                if !frame.is_pong() {
                    self.awaited = self.waiting();
                }
            }
            Transmit::Shutdown => {
                self.shutdown_owed = true;
                self.awaited = self.waiting();
            }
        }
    }

    /// Queues a whole message, after the output that `endpoint` owes.
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
        let header = endpoint.admit_message(message)?;
        self.queue.append_frame(&header, message.as_bytes())?;
        endpoint.commit_message(&header);
        Ok(())
    }

    /// Queues a whole message, compressed if that has been agreed on and makes it shorter, after the output that
    /// `endpoint` owes.
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
        match self.queue.as_vec() {
            Some(queue) => endpoint.write_deflated_to(message, deflater, queue),
            None => self.send(endpoint, message),
        }
    }

    /// Sends a message that was encoded once, after the output that `endpoint` owes; see
    /// [`Connection::send_prepared`](super::Connection::send_prepared). [`written`](Self::written) is included.
    ///
    /// # Errors
    ///
    /// As [`Endpoint::send_prepared`], and [`SendError::BufferTooSmall`] if a queue of fixed length has no room for the
    /// whole message.
    pub fn send_prepared<T: Trace, B: AsRef<[u8]>>(
        &mut self,
        endpoint: &mut Endpoint<Server, T>,
        now: Instant,
        prepared: &Prepared<B>,
        write: impl FnOnce([&[u8]; 2]) -> usize,
    ) -> Result<(), SendError> {
        self.drain(endpoint);
        let slices = prepared.slices();
        let len = slices.iter().map(|slice| slice.len()).sum();
        // The transport may take any part of it, also none.
        self.check_room(len)?;
        endpoint.send_prepared(prepared)?;
        if !self.is_written() {
            slices.iter().for_each(|slice| self.queue.append(slice));
            return Ok(());
        }
        let taken = write(slices).min(len);
        if taken < len {
            prepared.remaining(taken).iter().for_each(|slice| self.queue.append(slice));
            // The endpoint need not know: no Ping or Close of ours waits here.
            self.count(now, taken);
        }
        Ok(())
    }

    /// Queues part of a message as a frame of its own, after the output that `endpoint` owes.
    ///
    /// # Errors
    ///
    /// As [`Endpoint::write_part`].
    pub fn send_part<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        kind: MessageKind,
        part: Part,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.drain(endpoint);
        let (sender, header) = endpoint.admit_part(kind, part, payload)?;
        self.queue.append_frame(&header, payload)?;
        endpoint.commit(sender, &header);
        Ok(())
    }

    /// Queues the header of a frame of `len` bytes of payload, after the output that `endpoint` owes. The payload
    /// follows by [`send_piece`](Self::send_piece).
    ///
    /// # Errors
    ///
    /// As [`Endpoint::begin_frame`].
    pub fn begin_frame<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        kind: MessageKind,
        part: Part,
        len: u64,
    ) -> Result<OpenFrame, SendError> {
        self.drain(endpoint);
        let mut header = [0; FrameHeader::MAX_LEN];
        self.check_room(header.len())?;
        let (header_len, frame) = endpoint.begin_frame(kind, part, len, &mut header)?;
        self.queue.append(crate::part::part(&header, ..header_len));
        Ok(frame)
    }

    /// Queues the next piece of a frame's payload, and after the last one the output that has waited for it.
    ///
    /// # Errors
    ///
    /// As [`Endpoint::write_piece`].
    pub fn send_piece<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        frame: &mut OpenFrame,
        piece: &[u8],
    ) -> Result<(), SendError> {
        self.queue.append_with(piece.len(), |out| endpoint.write_piece(now, frame, piece, out))?;
        self.drain(endpoint);
        Ok(())
    }

    /// Queues a Ping of the application's own, after the output that `endpoint` owes.
    ///
    /// # Errors
    ///
    /// As [`Endpoint::write_ping`].
    pub fn ping<R: Role, T: Trace>(
        &mut self,
        endpoint: &mut Endpoint<R, T>,
        payload: &[u8],
    ) -> Result<(), SendError> {
        self.drain(endpoint);
        let mut frame = [0; ControlFrame::MAX_LEN];
        self.check_room(ControlFrame::MAX_LEN)?;
        let len = endpoint.write_ping(payload, &mut frame)?;
        self.queue.append(part(&frame, ..len));
        Ok(())
    }

    fn check_room(&self, needed: usize) -> Result<(), SendError> {
        if self.queue.has_room(needed) { Ok(()) } else { Err(SendError::BufferTooSmall { needed }) }
    }

    /// Appends a head of the opening handshake; see [`Queue::append_head`].
    pub(crate) fn append_head<X>(
        &mut self,
        write: impl FnMut(&mut [u8]) -> Result<(usize, X), WriteError>,
    ) -> Result<X, WriteError> {
        self.queue.append_head(write)
    }

    /// Queues our Close, after the output that `endpoint` owes.
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
        self.check_room(ControlFrame::MAX_LEN)?;
        let len = endpoint.write_close(now, code, reason, &mut frame)?;
        self.queue.append(part(&frame, ..len));
        self.awaited = self.waiting();
        // A server that has answered the peer's Close ends the transport next.
        self.drain(endpoint);
        Ok(())
    }

    /// Returns the next action on the transport; `None` if there is none.
    #[must_use]
    pub fn pending(&self) -> Option<Pending<'_>> {
        match self.queue.bytes().get(self.written..) {
            Some(bytes) if !bytes.is_empty() => Some(Pending::Bytes(bytes)),
            _ => self.shutdown_owed.then_some(Pending::Shutdown),
        }
    }

    /// Takes note of an attempt to write: at `now` the transport took the first `len` bytes that are pending.
    ///
    /// Call it after every attempt, with 0 after one that took no byte: the peer's time begins to count then. The
    /// endpoint learns that its peer is alive.
    pub fn written<R: Role, T: Trace>(&mut self, endpoint: &mut Endpoint<R, T>, now: Instant, len: usize) {
        if self.advance(now, len) {
            endpoint.written(now);
        }
    }

    /// Takes note of an attempt to write, as [`written`](Self::written) does, without the endpoint. Returns whether an
    /// endpoint, if there is one, needs a call of [`Endpoint::written`].
    pub fn advance(&mut self, now: Instant, len: usize) -> bool {
        self.clear_front(len);
        self.count(now, len)
    }

    /// Counts `len` bytes as written; returns whether to call [`Endpoint::written`].
    fn count(&mut self, now: Instant, len: usize) -> bool {
        let tell = len > 0 && self.awaited > 0;
        self.awaited = self.awaited.saturating_sub(len);
        self.deadline.written(now, len, self.waiting());
        tell
    }

    fn clear_front(&mut self, len: usize) {
        self.written = self.written.saturating_add(len);
        let held = self.queue.bytes().len();
        if self.written >= held {
            self.written = 0;
            self.queue.clear(self.retention.kept(held, OUTPUT_KEPT));
        } else {
            self.written -= self.queue.reclaim(self.written);
        }
    }

    /// Frees the memory that the buffer has grown by, unless bytes are pending: for a connection that has become idle.
    pub fn release(&mut self) {
        if self.queue.bytes().is_empty() {
            self.retention = Retention::new();
            self.queue.clear(0);
        }
    }

    /// Runs the timers of `endpoint`, as [`Endpoint::handle_timeout`] does, and drains it.
    ///
    /// A wait for the peer's answer does not begin before the frame that it answers has left: until then the peer's
    /// time to take our output counts, up to [`poll_timeout`](Self::poll_timeout).
    pub fn handle_timeout<R: Role, T: Trace>(&mut self, endpoint: &mut Endpoint<R, T>, now: Instant) {
        if self.awaited > 0 && self.poll_timeout().is_some_and(|deadline| deadline > now) {
            endpoint.written(now);
        }
        endpoint.handle_timeout(now);
        self.drain(endpoint);
    }

    /// Drops all that waits, the half-close included: the transport has failed, or its peer is too slow.
    pub fn abandon(&mut self) {
        self.queue.clear(OUTPUT_KEPT);
        (self.written, self.lent, self.awaited, self.shutdown_owed) = (0, 0, 0, false);
        self.deadline.reset();
    }

    /// Returns when the output that waits must have been taken; `None` if none waits. Then the host drops the transport:
    /// no Close can reach such a peer.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadline.poll_timeout()
    }

    /// Returns whether the peer has taken too little for too long at `now`.
    #[must_use]
    pub fn is_overdue(&self, now: Instant) -> bool {
        self.deadline.is_overdue(now)
    }

    /// Gives the peer the whole time again for the output that waits: for hosts that report that it is too slow and go on.
    pub const fn restart_deadline(&mut self) {
        self.deadline.reset();
    }

    /// Returns the time in which the peer has to take some of the output, see
    /// [`Config::write_timeout`](crate::Config::write_timeout).
    #[must_use]
    pub fn write_timeout(&self) -> Option<core::time::Duration> {
        self.deadline.timeout()
    }

    /// Sets the time in which the peer has to take some of the output that waits; see
    /// [`Config::write_timeout`](crate::Config::write_timeout).
    pub fn set_write_timeout(&mut self, timeout: Option<core::time::Duration>) {
        self.deadline.set_timeout(timeout);
    }

    /// Returns whether all output is written, lent bytes included.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.is_empty() && !self.is_lent()
    }

    /// Returns the memory that is held, in bytes.
    pub(crate) fn held_bytes(&self) -> usize {
        self.queue.held_bytes()
    }

    /// Returns the number of bytes that wait, lent ones included.
    fn waiting(&self) -> usize {
        self.len().saturating_add(self.lent)
    }

    /// Takes note that the transport is half-closed, and returns whether [`Pending::Shutdown`] asked for that. Call it when all
    /// bytes are written.
    pub const fn shut_down(&mut self) -> bool {
        core::mem::replace(&mut self.shutdown_owed, false)
    }

    /// Returns whether bytes are [lent](Self::lend_bytes).
    #[must_use]
    pub const fn is_lent(&self) -> bool {
        self.lent > 0
    }

    /// Returns whether no action is pending.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending().is_none()
    }

    /// Returns the number of bytes that are waiting to be written. A host stops reading from a peer that lets too many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.bytes().len().saturating_sub(self.written)
    }
}

impl<Q: Queue> fmt::Debug for Output<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("len", &self.len()).field("shutdown_owed", &self.shutdown_owed).finish()
    }
}
