//! The endpoint of a connection and the output that waits to be written.

use core::time::Duration;
use std::io;

use ws_proto::{
    CloseCode, Closed, Config, Endpoint, Instant, Message, SendError, State, Transmit,
    connection::{Retention, WriteDeadline},
    driver::{Compression, Error, Observer, Result},
    endpoint::ControlFrame,
};

use crate::{buffers, role::Role, sync::limit};

/// The size in bytes from which output is written before more is queued. Beyond it only the frames of a closing
/// connection are added.
pub(crate) const OUTPUT_MARK: usize = limit(64 * 1024);

/// The endpoint and the output that waits: the part of a connection that is under its lock.
pub(crate) struct Core<R: Role> {
    pub(crate) endpoint: Endpoint<R, Observer>,
    /// Encoded frames that no thread has taken to write yet. It has no capacity while it is empty: the next frame
    /// [takes](buffers::take) a buffer.
    pub(crate) output: Vec<u8>,
    /// Bytes that a thread has taken and not written yet. They go before `output`.
    in_flight: usize,
    /// Waiting bytes, counted from the first one in flight, up to the end of our last Ping or Close; 0 after that has
    /// left. The peer's time to answer it begins then.
    awaited: usize,
    /// Length of the output that was taken last.
    taken_len: usize,
    retention: Retention,
    pub(crate) compression: Compression,
    pub(crate) writing: Writing,
    /// Number of threads that wait for progress.
    pub(crate) waiting: u32,
    pub(crate) deadline: WriteDeadline,
    /// Start of the first attempt to write that moved no byte, or `None` if the last attempt moved some.
    pub(crate) stalled: Option<std::time::Instant>,
    /// The end of our direction of the transport is due after the output.
    shutdown_owed: bool,
    /// The error with which the transport has failed.
    broken: Option<io::ErrorKind>,
}

/// Whether and how a half of a connection is writing to the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    Neither,
    /// A half that tries for a few milliseconds, such as the reading one, and may leave some of it. The others wait until it has
    /// stopped.
    Tries,
    /// A writing half, which also writes the output that others queue during its writes.
    Writer,
}

impl<R: Role> Core<R> {
    pub(crate) fn new(endpoint: Endpoint<R, Observer>, compression: Compression, config: &Config) -> Self {
        Self {
            endpoint,
            output: Vec::new(),
            in_flight: 0,
            awaited: 0,
            taken_len: 0,
            retention: Retention::new(),
            compression,
            writing: Writing::Neither,
            waiting: 0,
            deadline: WriteDeadline::new(config),
            stalled: None,
            shutdown_owed: false,
            broken: None,
        }
    }

    /// Queues the frames that the protocol owes, then those that `encode` appends.
    pub(crate) fn queue<X>(
        &mut self,
        encode: impl FnOnce(&mut Endpoint<R, Observer>, &mut Vec<u8>) -> core::result::Result<X, SendError>,
    ) -> core::result::Result<X, SendError> {
        self.drain();
        self.encode(|endpoint, _, output| encode(endpoint, output))
    }

    /// Queues the frames that `encode` appends. A buffer that stays empty goes back to the pool.
    #[inline(always)]
    pub(crate) fn encode<X>(
        &mut self,
        encode: impl FnOnce(
            &mut Endpoint<R, Observer>,
            &mut Compression,
            &mut Vec<u8>,
        ) -> core::result::Result<X, SendError>,
    ) -> core::result::Result<X, SendError> {
        self.take_buffer();
        let queued = encode(&mut self.endpoint, &mut self.compression, &mut self.output);
        self.give_back_failed(queued)
    }

    /// Queues a whole message.
    ///
    /// It does not [drain](Self::drain) first: frames that the protocol owes were queued after the event that caused
    /// them, or are queued before the next write.
    #[inline(always)]
    pub(crate) fn append(&mut self, message: Message<'_>) -> core::result::Result<(), SendError> {
        // Without a closure, which would pass the message through memory.
        self.take_buffer();
        let queued = self.compression.write(&mut self.endpoint, message, &mut self.output);
        self.give_back_failed(queued)
    }

    /// Queues our Close.
    ///
    /// # Errors
    ///
    /// [`SendError::Closing`] if the connection is closing already; [`SendError::InvalidCloseCode`] and its like for a
    /// Close that cannot be sent.
    pub(crate) fn close(
        &mut self,
        now: Instant,
        code: CloseCode,
        reason: &str,
    ) -> core::result::Result<(), SendError> {
        let queued = self.queue_control(|endpoint, frame| endpoint.write_close(now, code, reason, frame));
        if queued.is_ok() {
            self.awaited = self.waiting_len();
        }
        queued
    }

    /// Queues a control frame. `encode` writes it to the start of its slice and returns its length.
    pub(crate) fn queue_control(
        &mut self,
        encode: impl FnOnce(&mut Endpoint<R, Observer>, &mut [u8]) -> core::result::Result<usize, SendError>,
    ) -> core::result::Result<(), SendError> {
        self.queue(|endpoint, output| {
            let mut frame = [0; ControlFrame::MAX_LEN];
            let len = encode(endpoint, &mut frame)?;
            output.extend_from_slice(frame.get(..len).unwrap_or_default());
            Ok(())
        })
    }

    /// Gives an empty buffer back to the pool after `queued` has failed.
    #[inline(always)]
    fn give_back_failed<X>(
        &mut self,
        queued: core::result::Result<X, SendError>,
    ) -> core::result::Result<X, SendError> {
        if queued.is_err() && self.output.is_empty() {
            buffers::give_back(core::mem::take(&mut self.output));
        }
        queued
    }

    /// Takes a buffer from the pool unless there is one.
    #[inline(always)]
    pub(crate) fn take_buffer(&mut self) {
        if self.output.capacity() == 0 {
            self.output = buffers::take();
        }
    }

    /// Queues the frames that the protocol owes. Call it after every event.
    ///
    /// While more than [`OUTPUT_MARK`] waits, the frames of an open connection stay in the endpoint, which keeps the
    /// answer to the latest Ping only (§5.5.3): another thread is stuck in a write, and a peer that sends Pings and
    /// takes no Pongs must not make the output grow. The frames of a closing connection are queued always: there are
    /// few of them, and a Close that stays in the endpoint would be lost at the end of the connection.
    #[inline]
    pub(crate) fn drain(&mut self) {
        while self.output.len() < OUTPUT_MARK || self.endpoint.state() != State::Open {
            let Some(transmit) = self.endpoint.poll_transmit() else {
                return;
            };
            self.owe(&transmit);
        }
    }

    #[cold]
    fn owe(&mut self, transmit: &Transmit) {
        match transmit {
            Transmit::Control(frame) => {
                self.take_buffer();
                self.output.extend_from_slice(frame.as_bytes());
                if !frame.is_pong() {
                    self.awaited = self.waiting_len();
                }
            }
            Transmit::Shutdown => {
                self.shutdown_owed = true;
                self.awaited = self.waiting_len();
            }
        }
    }

    /// Runs the endpoint's timers.
    ///
    /// The wait for the answer to a Ping or a Close begins when that frame has left. Until then only the write deadline
    /// limits the peer, so this call reports a write to the endpoint.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.awaited > 0 && self.deadline.poll_timeout().is_some_and(|deadline| deadline > now) {
            self.endpoint.written(now);
        }
        self.endpoint.handle_timeout(now);
    }

    /// Returns the end of the connection as soon as it is certain and this thread has no output left to write: all has
    /// been written, another thread is writing it to its end, or the transport has failed.
    pub(crate) fn ended(&self) -> Option<Closed> {
        let written = self.output.is_empty() || self.writing == Writing::Writer || !self.can_write();
        self.endpoint.closed().filter(|_| written)
    }

    /// Returns the end of the connection once the transport can be dropped.
    pub(crate) fn closed(&self) -> Option<Closed> {
        match self.endpoint.state() {
            State::Closed(closed) => Some(closed),
            State::Open | State::Closing => None,
        }
    }

    /// Returns the code and the reason of the peer's Close, once it has come.
    pub(crate) fn close_frame(&self) -> Option<(CloseCode, String)> {
        self.endpoint.close_frame().map(|(code, reason)| (code, reason.to_owned()))
    }

    /// Frees memory that was kept for a stream of big messages. For a connection that is idle.
    pub(crate) fn release(&mut self) {
        if self.output.is_empty() {
            self.retention = Retention::new();
            self.output = Vec::new();
        }
    }

    /// Returns the bytes of memory that are held for output and for compressing it.
    pub(crate) fn held_bytes(&self) -> usize {
        self.output.capacity() + self.compression.held_bytes()
    }

    pub(crate) fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.deadline.set_timeout(timeout);
    }

    /// Returns whether the transport has not failed.
    pub(crate) const fn can_write(&self) -> bool {
        self.broken.is_none()
    }

    /// Checks that output can be written.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the transport has failed, or [`SendError::Closing`] if closing had begun: then the application
    /// can send no more anyway.
    pub(crate) fn check(&self) -> Result<()> {
        match self.broken {
            None => Ok(()),
            Some(_) if self.endpoint.state() != State::Open => Err(Error::Send(SendError::Closing)),
            Some(kind) => Err(io::Error::from(kind).into()),
        }
    }

    /// Returns whether the end of our direction of the transport is due.
    pub(crate) const fn owes_shutdown(&self) -> bool {
        self.shutdown_owed
    }

    /// Returns whether the end of our direction of the transport is due, and leaves it to the caller.
    pub(crate) fn take_shutdown(&mut self) -> bool {
        core::mem::take(&mut self.shutdown_owed)
    }

    /// Takes the output, which is then written, followed by `more` bytes that lie elsewhere.
    pub(crate) fn take_output(&mut self, how: Writing, more: usize) -> Vec<u8> {
        self.begin_writing(how, self.output.len() + more);
        self.taken_len = self.output.len();
        core::mem::take(&mut self.output)
    }

    /// Takes note that `len` bytes are being written, which are no part of the output any more.
    pub(crate) const fn begin_writing(&mut self, how: Writing, len: usize) {
        self.writing = how;
        self.in_flight = len;
    }

    /// Takes note that no thread writes any more.
    pub(crate) const fn end_writing(&mut self) {
        self.writing = Writing::Neither;
        self.in_flight = 0;
    }

    /// Returns whether there is nothing to write that another half does not write to its end, and no end that is due.
    pub(crate) fn is_written(&self) -> bool {
        self.output.is_empty() && self.writing != Writing::Tries && !self.owes_shutdown()
    }

    /// Records that the transport has taken `len` bytes, the whole of a write, in one call. `now` reads the clock, and is
    /// called only if the time matters.
    pub(crate) fn written_at_once(&mut self, len: usize, now: impl FnOnce() -> Instant) {
        if self.awaited > 0 {
            self.awaited = self.awaited.saturating_sub(len);
            self.endpoint.written(now());
        }
        self.in_flight = self.in_flight.saturating_sub(len);
        self.stalled = None;
        self.deadline.reset();
    }

    /// Records an attempt to write: at `now` the transport took `len` of the bytes in flight.
    pub(crate) fn written(&mut self, now: Instant, len: usize) {
        self.in_flight = self.in_flight.saturating_sub(len);
        if self.awaited > 0 && len > 0 {
            self.awaited = self.awaited.saturating_sub(len);
            self.endpoint.written(now);
        }
        let left = self.waiting_len();
        self.deadline.written(now, len, left);
    }

    /// Returns the number of bytes that wait, those in flight included.
    pub(crate) fn waiting_len(&self) -> usize {
        self.in_flight + self.output.len()
    }

    /// Ends the writing that began with [`take_output`](Self::take_output): puts `unwritten` before the output that was
    /// queued since, or drops all output if `result` says that the transport has failed.
    pub(crate) fn put_back(&mut self, mut unwritten: Vec<u8>, result: &io::Result<()>) {
        self.end_writing();
        if unwritten.capacity() == 0 {
            // All of it lay elsewhere.
        } else if unwritten.is_empty() {
            let is_stream = self.retention.kept(self.taken_len, buffers::LARGEST_POOLED) > buffers::LARGEST_POOLED;
            if is_stream && self.output.is_empty() {
                self.output = unwritten;
            } else {
                buffers::give_back(unwritten);
            }
        } else {
            unwritten.append(&mut self.output);
            self.output = unwritten;
        }
        if let Err(error) = result {
            if error.kind() != io::ErrorKind::TimedOut {
                self.broken = Some(error.kind());
                self.output = Vec::new();
                self.awaited = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ws_proto::{Server, endpoint::Negotiated};

    use super::*;

    #[test]
    fn a_write_that_is_taken_at_once_ends_a_stall() {
        let config = Config::new();
        let endpoint = Endpoint::new(Server, &config, Negotiated::default(), Instant::ZERO);
        let mut core = Core::new(Observer::observe(endpoint, None), Compression::default(), &config);
        core.stalled = Some(std::time::Instant::now());
        core.append(Message::Text("late")).unwrap();
        let output = core.take_output(Writing::Tries, 0);
        core.written_at_once(output.len(), || Instant::ZERO);
        core.put_back(Vec::new(), &Ok(()));
        assert_eq!((output.is_empty(), core.stalled), (false, None));
    }
}
