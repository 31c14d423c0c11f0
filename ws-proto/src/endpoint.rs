//! An open connection (RFC 6455 sections 5 to 7): frames in and out, control frames, closing, timers.

mod closing;
mod control;
#[cfg(feature = "deflate")]
mod deflated;
pub(crate) mod fragments;
mod limits;
mod negotiated;
pub(crate) mod payload;
mod pieces;
mod prepared;
pub(crate) mod receive;
mod send;
mod timer;
mod trace;
pub(crate) mod whole;

pub use closing::{Cause, Closed, State};
pub use control::{ControlFrame, Transmit};
pub use negotiated::Negotiated;
pub use pieces::OpenFrame;
pub use prepared::Prepared;
pub use trace::Trace;

use core::{fmt, mem::MaybeUninit, ops::Range};

use self::{
    closing::{Closing, Owed},
    control::CloseBody,
    fragments::Gather,
    limits::Limits,
    payload::Run,
    receive::{Receiver, Taken},
    send::Sender,
    timer::{Clock, Due, Timeouts, Traffic},
    whole::{Deferral, Whole},
};
use crate::{
    close::{self, CloseCode},
    config::{CloseReply, Config, Millis},
    error::{Fault, ReceiveError, ReceiveErrorKind, SendError},
    event::{Control, Event},
    frame::{Frame, FrameHeader, MAX_CONTROL_LEN, Opcode, encode_frame, encode_frame_uninit, header},
    mask::Mask,
    message::{Content, Data, Message, MessageKind, Part},
    part::{part_mut, to_usize},
    role::{EntropyError, Role, Server, Side},
    time::Instant,
    utf8::Validator,
};

/// One side of an open WebSocket connection: it takes bytes, time and messages, and returns events, bytes and
/// deadlines.
///
/// It holds no buffer except for one control payload and the start of a header that is split between reads, and never
/// allocates. The crate page has the [rule for its hosts](crate#the-rule-for-hosts-of-an-endpoint), shown as a loop.
pub struct Endpoint<R: Role, T: Trace = ()> {
    receiver: Receiver,
    sender: Sender,
    closing: Closing,
    clock: Clock,
    timeouts: Timeouts,
    ping_owed: bool,
    /// `true` once [`take_end`](Self::take_end) has returned the end.
    end_taken: bool,
    failure: Option<ReceiveErrorKind>,
    role: R,
    trace: T,
}

// A server with 100,000 connections spends less than 25 MiB on them.
const _: () = assert!(size_of::<Endpoint<Server>>() <= 256);

impl<R: Role> Endpoint<R> {
    /// Creates the endpoint of a connection whose opening handshake is complete, in whichever way.
    pub fn new(role: R, config: &Config, negotiated: Negotiated, now: Instant) -> Self {
        Self::with_trace(role, config, negotiated, now, ())
    }
}

impl<R: Role, T: Trace> Endpoint<R, T> {
    /// Creates an endpoint as [`new`](Endpoint::new) does, with a hook that observes the connection.
    pub fn with_trace(role: R, config: &Config, negotiated: Negotiated, now: Instant, trace: T) -> Self {
        Self {
            receiver: Receiver::new(Limits::new(config, negotiated)),
            sender: Sender::default(),
            closing: Closing::new(config.close_reply),
            clock: Clock::new(now),
            timeouts: Timeouts::new(config, R::SIDE),
            ping_owed: false,
            end_taken: false,
            failure: None,
            role,
            trace,
        }
    }

    /// Replaces the hook that observes the connection; see [`with_trace`](Self::with_trace).
    pub fn traced_by<U: Trace>(self, trace: U) -> Endpoint<R, U> {
        let Self { receiver, sender, closing, clock, timeouts, ping_owed, end_taken, failure, role, trace: _ } =
            self;
        Endpoint { receiver, sender, closing, clock, timeouts, ping_owed, end_taken, failure, role, trace }
    }

    /// Returns the hook that observes the connection.
    pub const fn trace(&self) -> &T {
        &self.trace
    }

    /// Takes bytes from the peer up to the next event, which borrows its payload from them.
    ///
    /// `input` shrinks from its front by the bytes that were taken; a payload ends where the remaining input begins.
    /// `Ok(None)` means only that all of `input` was taken: no byte of it needs to be kept.
    ///
    /// # Errors
    ///
    /// The peer broke the protocol or the host called [`fail`](Self::fail): see [`ReceiveError::is_peers_fault`]. All
    /// of `input` is taken and a Close is owed. Further calls discard their input and return the same error.
    #[inline(always)]
    pub fn receive<'b>(
        &mut self,
        now: Instant,
        input: &mut &'b mut [u8],
    ) -> Result<Option<Event<Data<'b>>>, ReceiveError> {
        let buffer = core::mem::take(input);
        let (content, part, at) = match self.whole_message(now, buffer) {
            Some(Whole { kind, at }) => (Content::of(kind), Part::Whole, at),
            None => {
                let mut at = 0..0;
                match self.receive_slowly(now, buffer, &mut at)? {
                    None => return Ok(None),
                    Some(Event::Control(control)) => {
                        *input = part_mut(buffer, at.end..);
                        return Ok(Some(Event::Control(control)));
                    }
                    Some(Event::Data(taken)) => (taken.content, taken.part(), at),
                }
            }
        };
        let (taken, rest) = buffer.split_at_mut(at.end);
        *input = rest;
        let payload = part_mut(taken, at.start..);
        // SAFETY: if it is text, the receiver has taken exactly this payload through its validator, a whole text from a
        // new one to a complete one.
        #[allow(unsafe_code)]
        let data = unsafe { Data::new(content, part, payload) };
        Ok(Some(Event::Data(data)))
    }

    /// Takes input as [`receive`](Self::receive) does, in all cases. Sets `at` to where the payload lies in `buffer`;
    /// the rest of the input begins after it.
    fn receive_slowly(
        &mut self,
        now: Instant,
        buffer: &mut [u8],
        at: &mut Range<usize>,
    ) -> Result<Option<Event<Taken>>, ReceiveError> {
        let mut rest = &*buffer;
        let next = self.next(now, &mut rest);
        let left = rest.len();
        let start = buffer.len() - left;
        *at = start..start;
        match next? {
            None => Ok(None),
            Some(Event::Control(control)) => Ok(Some(Event::Control(control))),
            Some(Event::Data(len)) => {
                at.end += len.min(left);
                match self.take_part(now, part_mut(buffer, at.clone())) {
                    Ok(taken) => Ok(Some(Event::Data(taken))),
                    Err(_) => self.discard(buffer.len() - at.end).map(|()| None),
                }
            }
        }
    }

    /// Takes a whole message that lies at the start of `input`; returns `None`, with everything unchanged, for other
    /// input.
    #[inline(always)]
    pub(crate) fn whole_message(&mut self, now: Instant, input: &mut [u8]) -> Option<Whole> {
        if !self.closing.is_open() {
            return None;
        }
        let whole = self.receiver.whole_message(R::SIDE, input, &mut self.trace)?;
        self.clock.message_received(now);
        Some(whole)
    }

    /// Takes fragments that lie whole where they were read, and returns whether the message ends with them; returns
    /// `None`, with everything unchanged, for other input. After an error the caller [discards](Self::discard) the
    /// unread bytes.
    #[inline(always)]
    pub(crate) fn fragments(&mut self, now: Instant, gather: Gather<'_>) -> Result<Option<bool>, ReceiveError> {
        // Without a heap its 1.2 KB of flash count for more than its speed.
        if !cfg!(feature = "alloc") || !self.receiver.is_between_fragments() || !self.closing.is_receiving() {
            return Ok(None);
        }
        self.fragments_there(now, gather)
    }

    #[inline(never)]
    fn fragments_there(&mut self, now: Instant, gather: Gather<'_>) -> Result<Option<bool>, ReceiveError> {
        let was_timing = self.is_timing();
        match self.receiver.fragments(R::SIDE, gather, &mut self.trace) {
            Ok(None) => Ok(None),
            Ok(found) => {
                self.heard(now);
                self.data_received(was_timing);
                Ok(found)
            }
            Err(kind) => Err(self.fail_with(now, kind)),
        }
    }

    /// Takes headers and control frames from the front of `input`, up to payload for [`take`](Self::take), whose length
    /// is returned, or an event; returns `None` when all is taken.
    ///
    /// # Errors
    ///
    /// As [`receive`](Self::receive); all of `input` is taken.
    #[inline(always)]
    pub(crate) fn next(&mut self, now: Instant, input: &mut &[u8]) -> Result<Option<Event<usize>>, ReceiveError> {
        match self.pending(now, !input.is_empty()).or_else(|| self.begin_cut(now, input)) {
            Some(announced) => Ok(Some(Event::Data(announced))),
            None => self.next_frame(now, input),
        }
    }

    /// Takes the header of a message in one frame whose payload begins in `input` and goes on after it, as [`next`](Self::next)
    /// does. `None`, with everything unchanged, for other input, and for some such headers too.
    #[inline(always)]
    pub(crate) fn begin_cut(&mut self, now: Instant, input: &mut &[u8]) -> Option<usize> {
        // Without a heap flash counts for more than speed.
        if !cfg!(feature = "alloc") || !self.closing.is_open() {
            return None;
        }
        let announced = self.receiver.begin_cut(R::SIDE, input, &mut self.trace)?;
        self.clock.heard(now);
        if self.is_timing() {
            self.clock.data_received();
        }
        Some(announced)
    }

    /// Defers the frame at the start of `input` on an open connection, if it is a short binary message of up to `longest` bytes in all, and
    /// more of it is to come; returns how many bytes of it there have to be before [`end_deferral`](Self::end_deferral). `None`, with
    /// everything unchanged, if anything else comes, or the frame is complete.
    ///
    /// The message has begun once the header is there.
    #[inline(always)]
    pub(crate) fn defer(&mut self, now: Instant, input: &[u8], longest: usize) -> Option<usize> {
        if !self.is_open() {
            return None;
        }
        let Deferral { needed, has_payload } = self.receiver.defer(R::SIDE, input, longest)?;
        self.clock.heard(now);
        if has_payload || self.is_timing() {
            self.clock.data_received();
        }
        Some(needed)
    }

    /// Returns whether a frame has been deferred, and waits: that ends when the connection is no longer open.
    #[inline(always)]
    pub(crate) fn is_deferring(&self) -> bool {
        self.is_open() && self.receiver.is_deferring()
    }

    /// Returns whether neither side has closed or failed.
    #[inline(always)]
    pub(crate) fn is_open(&self) -> bool {
        self.closing.is_open()
    }

    /// Returns whether a message has begun and is not complete.
    pub(crate) const fn is_in_message(&self) -> bool {
        self.receiver.is_in_message()
    }

    /// Takes note that more of a deferred frame has come on a connection that is open, and not enough.
    #[inline(always)]
    pub(crate) fn heard_deferred(&mut self, now: Instant) {
        self.clock.heard(now);
        if self.receiver.is_in_message() {
            self.data_received(self.is_timing());
        }
    }

    /// Ends the wait of a deferred frame: [`whole_message`](Self::whole_message), [`defer`](Self::defer) or [`next`](Self::next) takes it
    /// from its beginning.
    #[inline(always)]
    pub(crate) const fn end_deferral(&mut self) {
        self.receiver.end_deferral();
    }

    /// [`next`](Self::next) where payload of the frame at hand comes first; `None` if it does not, or nothing has come.
    #[inline(always)]
    pub(crate) fn pending(&mut self, now: Instant, has_come: bool) -> Option<usize> {
        let remaining = self.payload_remaining();
        if remaining == 0 || !has_come {
            return None;
        }
        self.heard(now);
        Some(to_usize(remaining))
    }

    /// Takes headers and control frames as [`next`](Self::next) does, if no payload is to come first.
    #[inline(never)]
    fn next_frame(&mut self, now: Instant, input: &mut &[u8]) -> Result<Option<Event<usize>>, ReceiveError> {
        if input.is_empty() && self.failure.is_none() {
            return Ok(None);
        }
        if !self.closing.is_receiving() {
            return self.discard(core::mem::take(input).len()).map(|()| None);
        }
        self.heard(now);
        let was_timing = self.is_timing();
        match self.receiver.next(R::SIDE, input, &mut self.trace) {
            Ok(next) => {
                // A message has begun.
                if was_timing != self.is_timing() {
                    self.clock.data_received();
                }
                match next {
                    // After our Close no frame of ours follows, so that a Ping stays unanswered (§5.5.1).
                    Some(Event::Control(Control::Ping)) if self.closing.is_open() => {
                        self.receiver.control_mut().owe_pong();
                    }
                    Some(Event::Control(Control::Pong)) => self.pong_received(now),
                    Some(Event::Control(Control::Close)) => self.close_received(now),
                    Some(Event::Control(Control::Ping) | Event::Data(_)) | None => {}
                }
                Ok(next)
            }
            Err(kind) => {
                self.fail_with(now, kind);
                self.discard(core::mem::take(input).len()).map(|()| None)
            }
        }
    }

    /// Takes payload that [`next`](Self::next) has announced; after an error the caller [discards](Self::discard) the
    /// input that follows.
    #[inline(always)]
    pub(crate) fn take(
        &mut self,
        now: Instant,
        run: Run<'_>,
        text: &mut Validator,
    ) -> Result<Taken, ReceiveError> {
        let was_timing = self.is_timing();
        let taken = self.receiver.take(run, text);
        self.after_taking(now, was_timing, taken)
    }

    /// Takes payload as [`take`](Self::take) does, if it is the middle of a frame of a message of `kind`, of which a part has been taken.
    /// Otherwise, or if a text is not valid, it returns `false`, and nothing has changed but the destination.
    #[inline(always)]
    pub(crate) fn take_middle(
        &mut self,
        now: Instant,
        run: Run<'_>,
        kind: MessageKind,
        text: &mut Validator,
    ) -> bool {
        let taken = self.closing.is_receiving() && self.receiver.take_middle(run, kind, text);
        if taken {
            self.heard(now);
            self.data_received(self.is_timing());
        }
        taken
    }

    /// Takes payload as [`take`](Self::take) does, of a message that is delivered in parts as they come.
    pub(crate) fn take_part(&mut self, now: Instant, payload: &mut [u8]) -> Result<Taken, ReceiveError> {
        let was_timing = self.is_timing();
        let taken = self.receiver.take_part(Run::Stay(payload));
        self.after_taking(now, was_timing, taken)
    }

    #[inline(always)]
    fn after_taking(
        &mut self,
        now: Instant,
        was_timing: bool,
        taken: Result<Taken, ReceiveErrorKind>,
    ) -> Result<Taken, ReceiveError> {
        match taken {
            Ok(taken) => {
                self.data_received(was_timing);
                Ok(taken)
            }
            Err(kind) => Err(self.fail_with(now, kind)),
        }
    }

    /// Takes note of bytes on a connection that may be open.
    #[inline(always)]
    pub(crate) fn heard(&mut self, now: Instant) {
        if self.closing.is_open() {
            self.clock.heard(now);
        } else if self.closing.is_half_closed() {
            self.clock.wait(now);
        }
    }

    /// Takes note of data; the deadline of a message counts from the message's beginning.
    const fn data_received(&mut self, was_timing: bool) {
        if !was_timing || !self.is_timing() {
            self.clock.data_received();
        }
    }

    /// Returns whether a message is arriving that has a deadline.
    const fn is_timing(&self) -> bool {
        self.timeouts.message.is_some() && self.receiver.is_in_message()
    }

    /// Reports the round-trip time of a keepalive Ping to the trace. The payload of the Pong is that of the Ping: none
    /// (§5.5.3).
    #[cold]
    fn pong_received(&mut self, now: Instant) {
        if self.closing.is_open() && !self.ping_owed && self.receiver.control().told() == Some(&[]) {
            if let Some(time) = self.clock.pong_received(now) {
                self.trace.round_trip(time);
            }
        }
    }

    fn close_received(&mut self, now: Instant) {
        let code = self.receiver.close_code();
        self.forget_owed();
        self.transition(|this| this.closing.close_received(code, R::SIDE));
        self.clock.wait(now);
    }

    /// Counts input that is not delivered against the bound on draining.
    ///
    /// # Errors
    ///
    /// The error that the connection has failed with, if it has.
    #[cold]
    pub(crate) fn discard(&mut self, len: usize) -> Result<(), ReceiveError> {
        self.transition(|this| this.closing.discard(len));
        self.failure().map_or(Ok(()), Err)
    }

    #[cold]
    fn fail_with(&mut self, now: Instant, kind: ReceiveErrorKind) -> ReceiveError {
        self.failure = Some(kind);
        let error = self.error(kind);
        self.trace.failed(&error);
        self.end_by_failure(now, Cause::Failure);
        error
    }

    const fn error(&self, kind: ReceiveErrorKind) -> ReceiveError {
        ReceiveError { kind, offset: self.receiver.offset() }
    }

    /// Returns the error that the connection failed with, if it did.
    #[must_use]
    pub fn failure(&self) -> Option<ReceiveError> {
        self.failure.map(|kind| self.error(kind))
    }

    fn end_by_failure(&mut self, now: Instant, cause: Cause) {
        self.forget_owed();
        self.transition(|this| this.closing.fail(cause));
        self.clock.wait(now);
    }

    /// Drops a Pong and a Ping that are owed, because the connection is ending.
    fn forget_owed(&mut self) {
        self.receiver.control_mut().forget_pong();
        self.ping_owed = false;
    }

    /// Makes a change that may change the state, and reports a new state to the trace.
    fn transition<X>(&mut self, change: impl FnOnce(&mut Self) -> X) -> X {
        let before = self.closing.state();
        let result = change(self);
        self.changed_from(before);
        result
    }

    /// Reports a state other than `before` to the trace, and drops what a closed connection owes.
    #[inline(never)]
    fn changed_from(&mut self, before: State) {
        let after = self.closing.state();
        if after != before {
            self.trace.state_changed(after);
            if matches!(after, State::Closed(_)) {
                self.forget_owed();
            }
        }
    }

    /// Takes note that the peer has ended the transport: a read of zero bytes, an END_STREAM.
    ///
    /// Before the peer's Close this ends the connection uncleanly. On a transport that has no end, such as a serial
    /// line, call it when the peer's Close has come and all output is written, or leave it to the timeouts.
    pub fn receive_eof(&mut self) {
        self.transition(|this| {
            this.closing.eof();
            if this.sender.is_in_frame() {
                this.closing.break_off();
            }
        });
    }

    /// Returns the payload of the last control frame that [`receive`](Self::receive) returned, until it is called
    /// again. Of a Close, [`close_frame`](Self::close_frame) returns the parts.
    ///
    /// Empty for a Pong that arrived while the host had not drained the Pong owed to a Ping: there is one
    /// place for both.
    #[must_use]
    pub fn control_payload(&self) -> &[u8] {
        self.receiver.control().payload()
    }

    /// Returns the code and the reason of the peer's Close, once it has arrived and was valid;
    /// [`CloseCode::NO_STATUS`] if it had none.
    ///
    /// The endpoint's reply to a Close repeats its code and not its reason.
    /// The reason is for logs, not for end users (RFC 6455 section 5.5.1).
    #[must_use]
    pub fn close_frame(&self) -> Option<(CloseCode, &str)> {
        self.closing.peer_code()?;
        close::parse_body(self.receiver.control().payload()).ok()
    }

    /// Returns the number of bytes still to come of the data frame at hand; 0 between frames, in control frames, and
    /// once data is no longer delivered.
    ///
    /// A host can read at most that many bytes directly into the place where they belong.
    #[must_use]
    pub const fn payload_remaining(&self) -> u64 {
        if self.closing.is_receiving() { self.receiver.payload_remaining() } else { 0 }
    }

    /// Returns whether the message ends with the data frame at hand, of which
    /// [`payload_remaining`](Self::payload_remaining) bytes are still to come; `false` between frames.
    ///
    /// A proxy that passes frames on as they are needs it when a frame's first payload has arrived: see
    /// [`begin_frame`](Self::begin_frame).
    #[must_use]
    pub const fn is_in_last_frame(&self) -> bool {
        self.closing.is_receiving() && self.receiver.is_in_last_frame()
    }

    /// Frames part of a message in place: a client masks `payload`, a server leaves it as it is.
    ///
    /// The frame borrows the payload; write both its [`slices`](Frame::slices) in this order. Once this
    /// returns, the frame counts as sent. A message that was begun can only be ended by its last part,
    /// or by a close or failure of the connection.
    ///
    /// # Errors
    ///
    /// The part may not come now, the text is not valid, or the source of masking keys failed.
    /// On an error everything is unchanged, `payload` included.
    pub fn send<'p>(
        &mut self,
        kind: MessageKind,
        part: Part,
        payload: &'p mut [u8],
    ) -> Result<Frame<'p>, SendError> {
        self.check_part(part)?;
        let (sender, opcode) = self.sender.admit(Content::of(kind), part, payload)?;
        let header = self.data_header(opcode, part, payload.len())?;
        if let Some(key) = header.masking_key {
            Mask::new(key).apply(payload);
        }
        self.commit(sender, &header);
        Ok(Frame::new(&header, payload))
    }

    /// Writes a whole message as one frame to `out`, masked as it is copied; returns the frame's length.
    ///
    /// `out` needs the payload's length and up to 14 bytes more.
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send), and [`SendError::BufferTooSmall`]. On an error everything is unchanged.
    pub fn write(&mut self, message: Message<'_>, out: &mut [u8]) -> Result<usize, SendError> {
        let header = self.admit_message(message)?;
        let len = encode_frame(&header, message.as_bytes(), out)?;
        self.commit_message(&header);
        Ok(len)
    }

    /// Writes a whole message as one frame to the start of `out`, which need not be initialised; returns the frame. See
    /// [`write`](Self::write).
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_uninit<'o>(
        &mut self,
        message: Message<'_>,
        out: &'o mut [MaybeUninit<u8>],
    ) -> Result<&'o mut [u8], SendError> {
        let header = self.admit_message(message)?;
        let frame = encode_frame_uninit(&header, message.as_bytes(), out)?;
        self.commit_message(&header);
        Ok(frame)
    }

    /// Writes part of a message as one frame to `out`; see [`write`](Self::write).
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write), and those of an order of parts that makes no message.
    pub fn write_part(
        &mut self,
        kind: MessageKind,
        part: Part,
        payload: &[u8],
        out: &mut [u8],
    ) -> Result<usize, SendError> {
        let (sender, header) = self.admit_part(kind, part, payload)?;
        let len = encode_frame(&header, payload, out)?;
        self.commit(sender, &header);
        Ok(len)
    }

    /// Appends a whole message as one frame to `out`; see [`write`](Self::write).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send). `out` is as before then.
    #[cfg(feature = "alloc")]
    #[inline(always)]
    pub fn write_to(&mut self, message: Message<'_>, out: &mut alloc::vec::Vec<u8>) -> Result<(), SendError> {
        let header = self.admit_message(message)?;
        crate::frame::append_frame(&header, message.as_bytes(), out);
        self.commit_message(&header);
        Ok(())
    }

    /// Appends part of a message as one frame to `out`; see [`write_part`](Self::write_part).
    ///
    /// # Errors
    ///
    /// As [`send`](Self::send). `out` is as before then.
    #[cfg(feature = "alloc")]
    pub fn write_part_to(
        &mut self,
        kind: MessageKind,
        part: Part,
        payload: &[u8],
        out: &mut alloc::vec::Vec<u8>,
    ) -> Result<(), SendError> {
        let (sender, header) = self.admit_part(kind, part, payload)?;
        crate::frame::append_frame(&header, payload, out);
        self.commit(sender, &header);
        Ok(())
    }

    /// Checks that a whole message may be sent now. Returns the header of its frame, to
    /// [commit](Self::commit_message) to once the frame is encoded.
    #[inline]
    pub(crate) fn admit_message(&mut self, message: Message<'_>) -> Result<FrameHeader, SendError> {
        self.check_between_messages()?;
        self.data_header(message.kind().opcode(), Part::Whole, message.as_bytes().len())
    }

    /// Frames a whole message that is sent from the caller's memory. Only a server's is not masked.
    pub(crate) fn frame_message<'p>(&mut self, message: Message<'p>) -> Result<Frame<'p>, SendError> {
        let header = self.admit_message(message)?;
        self.commit_message(&header);
        Ok(Frame::new(&header, message.as_bytes()))
    }

    /// Checks that a part may be sent now. Returns the state to [commit](Self::commit) to once the frame is encoded,
    /// and the header of the frame.
    pub(crate) fn admit_part(
        &mut self,
        kind: MessageKind,
        part: Part,
        payload: &[u8],
    ) -> Result<(Sender, FrameHeader), SendError> {
        self.check_part(part)?;
        let (sender, opcode) = self.sender.admit(Content::of(kind), part, payload)?;
        Ok((sender, self.data_header(opcode, part, payload.len())?))
    }

    #[inline]
    fn data_header(&mut self, opcode: Opcode, part: Part, len: usize) -> Result<FrameHeader, SendError> {
        let masking_key = self.role.masking_key()?;
        Ok(FrameHeader { fin: part.is_last(), ..header(opcode, masking_key, len) })
    }

    /// Takes note that the frame of an admitted message has been encoded.
    #[inline]
    pub(crate) fn commit_message(&mut self, header: &FrameHeader) {
        self.sender.message_sent();
        self.trace.frame_sent(header);
    }

    /// Takes note that the frame of an admitted part has been encoded.
    #[inline]
    pub(crate) fn commit(&mut self, sender: Sender, header: &FrameHeader) {
        self.sender = sender;
        self.trace.frame_sent(header);
    }

    #[inline]
    fn check_open(&self) -> Result<(), SendError> {
        if self.closing.is_open() { Ok(()) } else { Err(SendError::Closing) }
    }

    #[inline]
    fn check_sending(&self) -> Result<(), SendError> {
        if self.closing.may_send_data() { Ok(()) } else { Err(SendError::Closing) }
    }

    /// Checks that a part can be sent. While the peer's Close waits for the host's answer, the rest of a message can
    /// (§5.5.1).
    fn check_part(&self, part: Part) -> Result<(), SendError> {
        let ends_message = !part.is_first() && !self.sender.is_between_messages();
        if ends_message && self.closing.is_left_to_host() { Ok(()) } else { self.check_sending() }
    }

    #[inline]
    fn check_between_messages(&self) -> Result<(), SendError> {
        self.check_sending()?;
        if self.sender.is_between_messages() { Ok(()) } else { Err(self.sender.unfinished()) }
    }

    /// Writes a Ping of the application's own to `out`, which needs `payload.len() + 6` bytes; returns its
    /// length. The peer's answer is a [`Control::Pong`] with the same payload.
    ///
    /// Allowed between the parts of a message.
    ///
    /// # Errors
    ///
    /// The connection is closing, the payload is longer than 125 bytes, or `out` too small.
    /// On an error everything is unchanged.
    pub fn write_ping(&mut self, payload: &[u8], out: &mut [u8]) -> Result<usize, SendError> {
        self.check_open()?;
        self.write_control(Opcode::Ping, payload, out)
    }

    /// Writes an unsolicited Pong, which the peer does not answer; see [`write_ping`](Self::write_ping).
    ///
    /// # Errors
    ///
    /// As [`write_ping`](Self::write_ping).
    pub fn write_pong(&mut self, payload: &[u8], out: &mut [u8]) -> Result<usize, SendError> {
        self.check_open()?;
        self.write_control(Opcode::Pong, payload, out)
    }

    /// Writes our Close to `out` (131 bytes always suffice) and starts the closing handshake, or answers the peer's
    /// Close if that was left to the host ([`Config::close_reply`]); returns its length.
    ///
    /// A reason longer than 123 bytes is cut at a character boundary. [`CloseCode::NO_STATUS`] makes a Close
    /// without code, which cannot have a reason. What the peer still sends is delivered until its Close arrives.
    ///
    /// # Errors
    ///
    /// The connection is closing already, the code is not [allowed](CloseCode::is_allowed_on_wire) or is
    /// 1010 from a server, there is a reason without a code, or `out` is too small. On an error everything is unchanged.
    pub fn write_close(
        &mut self,
        now: Instant,
        code: CloseCode,
        reason: &str,
        out: &mut [u8],
    ) -> Result<usize, SendError> {
        let clients_only = code == CloseCode::MANDATORY_EXTENSION && R::SIDE == Side::Server;
        let is_empty = code == CloseCode::NO_STATUS && reason.is_empty();
        if !(code.is_allowed_on_wire() || is_empty) || clients_only {
            return Err(SendError::InvalidCloseCode);
        }
        if !self.closing.is_left_to_host() {
            self.check_open()?;
        }
        let len = self.write_control(Opcode::Close, CloseBody::new(code, reason).as_bytes(), out)?;
        self.forget_owed();
        self.transition(|this| this.closing.close_sent());
        self.clock.wait(now);
        Ok(len)
    }

    /// Changes the answer to the peer's Close from [`Config::close_reply`] to `reply`, for a protocol above that begins after
    /// the opening handshake.
    ///
    /// If the peer's Close waits for the host's answer already, [`CloseReply::Echo`] makes the usual answer owed. Without
    /// effect once it has been answered.
    pub fn set_close_reply(&mut self, now: Instant, reply: CloseReply) {
        if self.closing.set_reply(reply) {
            self.clock.wait(now);
        }
    }

    fn write_control(&mut self, opcode: Opcode, payload: &[u8], out: &mut [u8]) -> Result<usize, SendError> {
        if self.sender.is_in_frame() {
            return Err(SendError::FrameInProgress);
        }
        if payload.len() > MAX_CONTROL_LEN {
            return Err(SendError::ControlTooLong);
        }
        let header = header(opcode, self.role.masking_key()?, payload.len());
        let len = encode_frame(&header, payload, out)?;
        self.trace.frame_sent(&header);
        Ok(len)
    }

    /// Fails the connection because of a fault that the endpoint can't see (RFC 6455 section 7.1.7).
    ///
    /// A Close with the fault's code is owed, input is discarded from now on, and
    /// [`receive`](Self::receive) returns the error. Without effect if the connection has failed or both
    /// sides have closed.
    pub fn fail(&mut self, now: Instant, fault: Fault) -> ReceiveError {
        if self.closing.is_receiving() || self.closing.is_left_to_host() {
            self.receiver.stop();
            return self.fail_with(now, ReceiveErrorKind::Fault(fault));
        }
        self.error(self.failure.unwrap_or(ReceiveErrorKind::Fault(fault)))
    }

    /// Returns the next output that the protocol owes the peer: Pong, keepalive Ping, Close, and at last the end of the
    /// transport.
    ///
    /// Call it after every event until it returns `None`, and queue each frame after earlier output. It also returns
    /// `None` while the payload of a frame follows in [pieces](Self::begin_frame): drain it when the frame is complete.
    #[inline]
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        // After nearly every event: an open connection owes at most a Pong and a Ping.
        if self.closing.is_open() && !self.ping_owed && !self.receiver.control().owes_pong() {
            return None;
        }
        self.transmit_owed()
    }

    #[inline(never)]
    fn transmit_owed(&mut self) -> Option<Transmit> {
        if self.sender.is_in_frame() && !self.closing.is_closed() {
            return None;
        }
        let (role, trace) = (&mut self.role, &mut self.trace);
        let sent = if let Some(payload) = self.receiver.control_mut().take_pong() {
            transmit(role, trace, Opcode::Pong, payload)
        } else if core::mem::take(&mut self.ping_owed) {
            transmit(role, trace, Opcode::Ping, &[])
        } else {
            match self.transition(|this| this.closing.take_owed())? {
                Owed::Shutdown => return Some(Transmit::Shutdown),
                Owed::Close => {
                    let (code, reason) = self.owed_close();
                    let body = CloseBody::new(code, reason);
                    transmit(&mut self.role, &mut self.trace, Opcode::Close, body.as_bytes())
                }
            }
        };
        match sent {
            Ok(frame) => Some(Transmit::Control(frame)),
            Err(EntropyError) => {
                self.transition(|this| this.closing.mute());
                self.poll_transmit()
            }
        }
    }

    /// Returns the code and the reason of the Close that is owed. A reply repeats the code of the peer's Close (§5.5.1)
    /// and has no reason; for a fault the reason is a short fixed text.
    fn owed_close(&self) -> (CloseCode, &'static str) {
        match (self.failure, self.closing.cause()) {
            (Some(kind), _) => (kind.close_code(), kind.close_reason()),
            (None, Some(Cause::PongTimeout)) => (CloseCode::INTERNAL_ERROR, "no answer to a Ping"),
            (None, Some(Cause::IdleTimeout)) => (CloseCode::GOING_AWAY, "idle for too long"),
            (None, Some(Cause::MessageTimeout)) => (CloseCode::POLICY_VIOLATION, "message took too long"),
            (None, _) => (self.closing.peer_code().unwrap_or(CloseCode::NO_STATUS), ""),
        }
    }

    /// Takes note that the transport has taken some of the output that was queued up to the last Ping, Close or
    /// [`Shutdown`](Transmit::Shutdown) of this endpoint, that frame included.
    ///
    /// A peer that takes our output is alive, and can't answer a frame that has not reached it yet: the wait for a
    /// Pong, for the peer's Close or for its end of the transport begins anew at `now`. Without this call it begins
    /// when the frame is handed out. `Output` (feature `alloc`) keeps the count and makes this call.
    pub fn written(&mut self, now: Instant) {
        match self.state() {
            State::Open => self.clock.written(now),
            State::Closing if self.closing.is_half_closed() || !self.closing.is_left_to_host() => {
                self.clock.wait(now);
            }
            State::Closing | State::Closed(_) => {}
        }
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is to be called, unless something happens before; `None` if
    /// no call is needed.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state() {
            State::Open => self.clock.deadline(&self.timeouts, self.traffic()),
            State::Closing => self.clock.awaited(self.end_timeout()),
            State::Closed(_) => None,
        }
    }

    /// Runs the timers that are due at `now`: a Ping becomes owed, or a wait ends. An early call is harmless.
    ///
    /// The results show in [`poll_transmit`](Self::poll_transmit) and [`state`](Self::state).
    pub fn handle_timeout(&mut self, now: Instant) {
        match self.state() {
            State::Open => self.open_timeout(now),
            State::Closing if self.clock.awaited(self.end_timeout()).is_some_and(|awaited| awaited <= now) => {
                if self.transition(|this| this.closing.expire()) {
                    self.clock.wait(now);
                }
            }
            State::Closing | State::Closed(_) => {}
        }
    }

    /// Returns the longest time of a closing connection's current wait: for the peer's Close, for the host's answer to
    /// it or the rest of its frame, or for the end of the transport; in a half-closed connection for the next frame.
    fn end_timeout(&self) -> Option<Millis> {
        if self.closing.is_half_closed() {
            return self.timeouts.idle;
        }
        let awaits_close =
            self.closing.is_receiving() || self.closing.is_left_to_host() || self.sender.is_in_frame();
        if awaits_close { self.timeouts.close } else { self.timeouts.linger }
    }

    const fn traffic(&self) -> Traffic {
        Traffic { is_timing: self.is_timing(), is_in_frame: self.sender.is_in_frame() }
    }

    fn open_timeout(&mut self, now: Instant) {
        let traffic = self.traffic();
        match self.clock.expire(&self.timeouts, traffic, now, || self.sender.take_activity()) {
            Due::Nothing => {}
            Due::Ping => self.ping_owed = true,
            Due::PongOverdue => self.end_by_failure(now, Cause::PongTimeout),
            Due::MessageOverdue => self.end_by_failure(now, Cause::MessageTimeout),
            Due::Idle => {
                self.transition(|this| this.closing.close(Cause::IdleTimeout));
                self.clock.wait(now);
            }
        }
    }

    /// Returns whether the message that is being received is compressed.
    pub(crate) const fn is_receiving_compressed(&self) -> bool {
        self.receiver.is_compressed()
    }

    /// Returns the state of the connection: open, closing or closed.
    #[must_use]
    pub fn state(&self) -> State {
        self.closing.state()
    }

    /// Returns how the connection has ended, as soon as that is certain: data is no longer delivered, and our Close has
    /// been handed out.
    ///
    /// A host reports the end to its application then, once that Close is written. The transport still has to be ended
    /// and drained, until [`state`](Self::state) is [`Closed`](State::Closed), so that the peer can read the last
    /// frames.
    #[must_use]
    pub fn closed(&self) -> Option<Closed> {
        self.closing.closed()
    }

    /// Returns [`closed`](Self::closed), or the failure, once.
    pub(crate) fn take_end(&mut self) -> Option<Result<Closed, ReceiveError>> {
        if self.closing.is_open() || self.end_taken {
            return None;
        }
        let closed = self.closed()?;
        self.end_taken = true;
        Some(self.failure().map_or(Ok(closed), Err))
    }

    /// Returns whether the connection is closed and [`take_end`](Self::take_end) has not returned that.
    pub(crate) fn owes_end(&self) -> bool {
        self.closing.is_closed() && !self.end_taken
    }

    /// Returns whether [`take_end`](Self::take_end) has returned the end.
    pub(crate) const fn is_end_taken(&self) -> bool {
        self.end_taken
    }
}

impl Endpoint<Server> {
    /// Creates the endpoint for a transport on which a refusal or a page was the answer, and no connection was opened.
    ///
    /// Write the answer; this endpoint then ends the transport as after a failure, so that the peer gets to read it: it
    /// hands out [`Transmit::Shutdown`], discards further input, and is [`Closed`](State::Closed) at the peer's end or
    /// after [`drain_timeout`](Config::drain_timeout). (A transport that is dropped with input unread resets the
    /// connection, and the peer may lose the answer.)
    #[must_use]
    pub fn refused(config: &Config, now: Instant) -> Self {
        let mut endpoint = Self::new(Server, config, Negotiated::default(), now);
        endpoint.closing.refuse();
        endpoint.clock.wait(now);
        endpoint
    }
}

impl<T: Trace> Endpoint<Server, T> {
    /// Frames a whole message without copying or changing its payload, which only a server can: it does
    /// not mask. Write both [`slices`](Frame::slices) in this order.
    ///
    /// # Errors
    ///
    /// The connection is closing, or a message is in progress. On an error everything is unchanged.
    pub fn send_shared<'p>(&mut self, message: Message<'p>) -> Result<Frame<'p>, SendError> {
        self.frame_message(message)
    }

    /// Admits a message that was encoded once for many connections; the host then queues its
    /// [`slices`](Prepared::slices).
    ///
    /// # Errors
    ///
    /// The connection is closing, a message is in progress, or the message is compressed in a way that has not been
    /// agreed on.
    pub fn send_prepared<B: AsRef<[u8]>>(&mut self, prepared: &Prepared<B>) -> Result<(), SendError> {
        self.check_between_messages()?;
        #[cfg(feature = "deflate")]
        self.check_compression(prepared)?;
        self.commit_message(&prepared.header());
        Ok(())
    }
}

/// Encodes a control frame for sending.
fn transmit(
    role: &mut impl Role,
    trace: &mut impl Trace,
    opcode: Opcode,
    payload: &[u8],
) -> Result<ControlFrame, EntropyError> {
    let masking_key = role.masking_key()?;
    trace.frame_sent(&header(opcode, masking_key, payload.len()));
    Ok(ControlFrame::new(opcode, masking_key, payload))
}

impl<R: Role, T: Trace> fmt::Debug for Endpoint<R, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint").field("side", &R::SIDE).field("state", &self.state()).finish_non_exhaustive()
    }
}
