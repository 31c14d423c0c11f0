//! The endpoint of a connection and what waits to be written.

use core::time::Duration;
use std::io;

use ws_proto::{
    CloseCode, Closed, Config, Endpoint, Instant, Message, SendError, State, Transmit,
    connection::{Retention, WriteDeadline},
    endpoint::ControlFrame,
};

use crate::{
    buffers,
    compression::Compression,
    error::{Error, Result},
    role::Role,
};

/// Output that waits to be written is written at this size, and nothing but what the protocol owes at its end is added to
/// more than it.
pub(crate) const OUTPUT_MARK: usize = 64 * 1024;

/// The endpoint and what waits to be written.
pub(crate) struct Core<R: Role> {
    pub(crate) endpoint: Endpoint<R>,
    /// Without capacity if nothing waits: then a buffer is [taken](buffers::take) for what is queued next.
    pub(crate) output: Vec<u8>,
    /// How many bytes a thread has taken to write them and not written yet. They go before `output`.
    in_flight: usize,
    /// How many bytes that wait, those in flight first, end with our last Ping or Close; 0 if that has left.
    awaited: usize,
    /// How much of the output was taken last to be written.
    taken_len: usize,
    retention: Retention,
    pub(crate) compression: Compression,
    pub(crate) writing: Writing,
    /// How many threads wait for progress.
    pub(crate) waiting: u32,
    pub(crate) deadline: WriteDeadline,
    /// Since when the transport has taken too little, as far as the reading half has seen.
    pub(crate) stalled: Option<std::time::Instant>,
    shutdown_owed: bool,
    /// The transport has failed for good.
    broken: Option<io::ErrorKind>,
}

/// The half that is writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writing {
    Neither,
    /// The reading half, for a moment. A writing half waits for it.
    Reader,
    /// A writing half, which also writes what is queued meanwhile.
    Writer,
}

impl<R: Role> Core<R> {
    pub(crate) fn new(endpoint: Endpoint<R>, compression: Compression, config: &Config) -> Self {
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

    /// Encodes something after the output that there is, and what the protocol owes before it.
    pub(crate) fn queue<X>(
        &mut self,
        encode: impl FnOnce(&mut Endpoint<R>, &mut Vec<u8>) -> core::result::Result<X, SendError>,
    ) -> core::result::Result<X, SendError> {
        self.drain();
        self.encode(|endpoint, _, output| encode(endpoint, output))
    }

    /// Encodes something after the output that there is, in a buffer that is given back if it stays empty.
    #[inline(always)]
    pub(crate) fn encode<X>(
        &mut self,
        encode: impl FnOnce(&mut Endpoint<R>, &mut Compression, &mut Vec<u8>) -> core::result::Result<X, SendError>,
    ) -> core::result::Result<X, SendError> {
        self.take_buffer();
        let queued = encode(&mut self.endpoint, &mut self.compression, &mut self.output);
        self.give_back_failed(queued)
    }

    /// Queues a whole message. What the protocol owes was queued after the event that it is owed for, or is before the next
    /// write: no message has to wait for it.
    #[inline(always)]
    pub(crate) fn append(&mut self, message: Message<'_>) -> core::result::Result<(), SendError> {
        // No closure: as a function of its own it would have to fetch the message from memory.
        self.take_buffer();
        let queued = self.compression.write(&mut self.endpoint, message, &mut self.output);
        self.give_back_failed(queued)
    }

    /// Queues our Close.
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

    /// Queues a control frame, which `encode` writes to the room that it is given.
    pub(crate) fn queue_control(
        &mut self,
        encode: impl FnOnce(&mut Endpoint<R>, &mut [u8]) -> core::result::Result<usize, SendError>,
    ) -> core::result::Result<(), SendError> {
        self.queue(|endpoint, output| {
            let mut frame = [0; ControlFrame::MAX_LEN];
            let len = encode(endpoint, &mut frame)?;
            output.extend_from_slice(frame.get(..len).unwrap_or_default());
            Ok(())
        })
    }

    /// Gives the buffer back if nothing could be queued and nothing else was.
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

    /// Sees to a buffer for what is about to be queued.
    #[inline(always)]
    fn take_buffer(&mut self) {
        if self.output.capacity() == 0 {
            self.output = buffers::take();
        }
    }

    /// Queues what the protocol owes. Call it after every event.
    ///
    /// Above the mark it stays with the endpoint, which answers the latest Ping only: another thread is stuck in a
    /// write, and a peer that sends Pings but takes no Pongs must not make us grow (§5.5.3). Not so a Close,
    /// which comes once and would be forgotten at the connection's end.
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

    /// Runs the endpoint's timers. A wait for the peer's answer does not begin before the frame that it answers has left:
    /// until then the peer's time to take our output counts.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.awaited > 0 && self.deadline.poll_timeout().is_some_and(|deadline| deadline > now) {
            self.endpoint.written(now);
        }
        self.endpoint.handle_timeout(now);
    }

    /// How the connection has ended, as soon as that is certain and our last words need no more of this thread's help.
    pub(crate) fn ended(&self) -> Option<Closed> {
        let written = self.output.is_empty() || self.writing != Writing::Neither || !self.can_write();
        self.endpoint.closed().filter(|_| written)
    }

    /// How the connection has ended, once the transport has to be dropped.
    pub(crate) fn closed(&self) -> Option<Closed> {
        match self.endpoint.state() {
            State::Closed(closed) => Some(closed),
            State::Open | State::Closing => None,
        }
    }

    pub(crate) fn close_frame(&self) -> Option<(CloseCode, String)> {
        self.endpoint.close_frame().map(|(code, reason)| (code, reason.to_owned()))
    }

    /// Gives back what is kept for a stream of big messages: the connection is idle.
    pub(crate) fn release(&mut self) {
        if self.output.is_empty() {
            self.retention = Retention::new();
            self.output = Vec::new();
        }
    }

    /// Bytes of memory in use for output, compressing it included.
    pub(crate) fn held_bytes(&self) -> usize {
        self.output.capacity() + self.compression.held_bytes()
    }

    pub(crate) fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.deadline.set_timeout(timeout);
    }

    /// Whether the transport has not failed yet.
    pub(crate) const fn can_write(&self) -> bool {
        self.broken.is_none()
    }

    /// Whether output can be written.
    ///
    /// # Errors
    ///
    /// The transport has failed. Once closing has begun that is no news: nothing can be sent on a connection that is closing.
    pub(crate) fn check(&self) -> Result<()> {
        match self.broken {
            None => Ok(()),
            Some(_) if self.endpoint.state() != State::Open => Err(Error::Send(SendError::Closing)),
            Some(kind) => Err(io::Error::from(kind).into()),
        }
    }

    /// Whether the end of our direction is owed.
    pub(crate) const fn owes_shutdown(&self) -> bool {
        self.shutdown_owed
    }

    /// Whether the end of our direction is owed; it is then done by the caller.
    pub(crate) fn take_shutdown(&mut self) -> bool {
        core::mem::take(&mut self.shutdown_owed)
    }

    /// Takes the output to be written by `whom`, and `more` bytes that lie elsewhere.
    pub(crate) fn take_output(&mut self, whom: Writing, more: usize) -> Vec<u8> {
        self.writing = whom;
        self.taken_len = self.output.len();
        self.in_flight = self.output.len() + more;
        core::mem::take(&mut self.output)
    }

    /// Takes note that the transport has taken all bytes in flight in one call. `now` is asked only if it matters.
    pub(crate) fn written_at_once(&mut self, now: impl FnOnce() -> Instant) {
        if self.awaited > 0 {
            self.awaited = self.awaited.saturating_sub(self.in_flight);
            self.endpoint.written(now());
        }
        self.in_flight = 0;
        self.deadline.reset();
    }

    /// Takes note of an attempt to write: at `now` the transport took `len` of the bytes in flight.
    pub(crate) fn written(&mut self, now: Instant, len: usize) {
        self.in_flight = self.in_flight.saturating_sub(len);
        if self.awaited > 0 && len > 0 {
            self.awaited = self.awaited.saturating_sub(len);
            self.endpoint.written(now);
        }
        let left = self.waiting_len();
        self.deadline.written(now, len, left);
    }

    /// How many bytes wait, those in flight included.
    fn waiting_len(&self) -> usize {
        self.in_flight + self.output.len()
    }

    /// Stops writing: `unwritten` goes before what was queued meanwhile.
    pub(crate) fn put_back(&mut self, mut unwritten: Vec<u8>, result: &io::Result<()>) {
        self.writing = Writing::Neither;
        self.in_flight = 0;
        if unwritten.is_empty() {
            let is_stream = self.retention.kept(self.taken_len, buffers::LARGEST) > buffers::LARGEST;
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
