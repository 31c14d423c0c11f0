//! A host that does anything at any time and knows what must come of it.

mod send;

use ws_proto::{
    Cause, CloseCode, Closed, Control, Endpoint, Event, Instant, MessageKind, Part, ReceiveError, State, Transmit,
    config::CloseReply,
    error::Fault,
    role::{Role, Side},
};

use super::reference::{Frame, Reference, Told};

pub(super) struct Host<R: Role> {
    endpoint: Endpoint<R>,
    now: Instant,
    /// Whether masking keys never run out.
    keys: bool,
    /// The endpoint's answer to the peer's Close.
    close_reply: CloseReply,
    /// Whether the rule for hosts of an endpoint is kept.
    drains: bool,
    told: Vec<Told>,
    parts: Vec<u8>,
    /// The payload of the last Ping, until it is answered.
    ping: Option<Vec<u8>>,
    error: Option<ReceiveError>,
    /// Whether the connection was ended by something other than what the peer sent.
    disturbed: bool,
    sending: Option<(MessageKind, Vec<u8>)>,
    sent: Vec<Frame>,
    shutdowns: usize,
    closed: Option<Closed>,
}

impl<R: Role> Host<R> {
    pub(super) const fn new(endpoint: Endpoint<R>, now: Instant, keys: bool, close_reply: CloseReply) -> Self {
        Self {
            endpoint,
            now,
            keys,
            close_reply,
            drains: true,
            told: Vec::new(),
            parts: Vec::new(),
            ping: None,
            error: None,
            disturbed: false,
            sending: None,
            sent: Vec::new(),
            shutdowns: 0,
            closed: None,
        }
    }

    /// Does what `action` and `detail` say; input is taken from the front of `wire`.
    pub(super) fn act(&mut self, action: u8, detail: u8, wire: &mut &[u8]) {
        match action % 16 {
            0..5 => {
                let len = usize::from(detail) * if action % 16 == 4 { 16 } else { 1 };
                let (piece, rest) = wire.split_at(len.min(wire.len()));
                *wire = rest;
                self.receive(piece);
            }
            5 => self.jump(detail),
            6 => self.handle_timeout(),
            7 => self.wait_for_deadline(),
            8 => self.drain(),
            9 => drop(self.transmit()),
            10 => self.send_message(detail),
            11 => self.send_part(detail),
            12 => self.send_control(detail),
            13 => self.close(detail),
            14 if detail < 128 => self.fail(detail),
            14 => self.end_of_input(),
            _ => self.drains = !self.drains,
        }
    }

    /// Gives `input` to the endpoint until it wants no more.
    pub(super) fn receive(&mut self, input: &[u8]) {
        let mut bytes = input.to_vec();
        let mut left = &mut bytes[..];
        loop {
            let before = left.len();
            let was_open = self.is_open();
            let event = match self.endpoint.receive(self.now, &mut left) {
                Ok(Some(event)) => event,
                Ok(None) => {
                    assert!(left.is_empty(), "input is left at None");
                    assert_eq!(self.error, None, "an error has been forgotten");
                    break;
                }
                Err(error) => {
                    assert!(left.is_empty(), "input is left at an error");
                    assert_eq!(*self.error.get_or_insert(error), error, "another error than before");
                    break;
                }
            };
            assert_eq!(self.error, None, "an event after an error");
            assert!(left.len() < before, "an event without input");
            match event {
                Event::Data(data) => {
                    assert_eq!(
                        data.as_bytes().as_ptr_range().end,
                        left.as_ptr(),
                        "payload does not end at the rest"
                    );
                    let whole = (data.kind(), data.part()) == (MessageKind::Text, Part::Whole);
                    assert_eq!(data.as_str().is_some(), whole);
                    assert!(data.part().is_first() == self.parts.is_empty() || data.as_bytes().is_empty());
                    self.parts.extend(data.as_bytes());
                    if data.part().is_last() {
                        self.told.push(Told::Message(data.kind(), std::mem::take(&mut self.parts)));
                    }
                }
                Event::Control(control) => self.told_control(control, was_open),
            }
            if self.drains {
                self.drain();
                assert!(self.ping.is_none() || !self.is_open(), "a Ping is not answered");
            }
        }
        if self.drains {
            self.drain();
        }
        if self.error.is_some() {
            self.ping = None;
        }
    }

    fn told_control(&mut self, control: Control, was_open: bool) {
        let payload = self.endpoint.control_payload().to_vec();
        self.told.push(match control {
            Control::Ping => {
                self.ping = was_open.then(|| payload.clone());
                Told::Ping(payload)
            }
            Control::Pong => {
                assert!(self.ping.is_none() || payload.is_empty(), "one place, two payloads");
                Told::Pong(payload)
            }
            Control::Close => {
                self.ping = None;
                let (code, reason) = self.endpoint.close_frame().expect("a Close has been told");
                Told::Close(code, reason.into())
            }
        });
    }

    fn is_open(&self) -> bool {
        self.endpoint.state() == State::Open
    }

    /// Whether the peer's Close may still be the host's to answer; how long it is, depends on time and input.
    fn may_answer(&self) -> bool {
        let is_answered = self.sent.last().is_some_and(|frame| frame.opcode() == 8);
        matches!(self.told.last(), Some(Told::Close(..)))
            && self.endpoint.state() == State::Closing
            && self.error.is_none()
            && !is_answered
    }

    /// Whether messages may still be sent after the peer's Close.
    fn may_send_on(&self) -> bool {
        self.close_reply == CloseReply::HalfClose && self.may_answer()
    }

    /// Does what ends the connection other than by the peer's frames or by our Close.
    fn disturb<X>(&mut self, act: impl FnOnce(&mut Self) -> X) -> X {
        let before = self.endpoint.state();
        let result = act(self);
        self.disturbed |= self.endpoint.state() != before;
        result
    }

    fn jump(&mut self, detail: u8) {
        let nanos = self.now.as_nanos();
        let millis = [0, 1, 999, 1_000, 5_000, 10_000, 30_000, 50_000][usize::from(detail % 8)];
        self.now = match detail {
            0xFF => Instant::from_nanos(u64::MAX),
            0xFE => Instant::ZERO,
            // Clocks that go backwards must not do harm.
            0x80..0xFE => Instant::from_nanos(nanos.saturating_sub(millis * 1_000_000)),
            _ => Instant::from_nanos(nanos.saturating_add(millis * 1_000_000)),
        };
    }

    fn handle_timeout(&mut self) {
        self.disturb(|this| this.endpoint.handle_timeout(this.now));
        if self.drains {
            self.drain();
        }
    }

    fn wait_for_deadline(&mut self) {
        let Some(deadline) = self.endpoint.poll_timeout() else { return };
        self.now = self.now.max(deadline);
        self.handle_timeout();
        let next = self.endpoint.poll_timeout();
        let late = self.now >= Instant::from_nanos(u64::MAX / 2);
        assert!(late || next.is_none_or(|next| next > self.now), "a deadline stays although it was handled");
    }

    /// Without another byte from the peer, every wait is over at last.
    pub(super) fn wait_until_closed(&mut self) {
        self.drains = true;
        for _ in 0..8 {
            self.wait_for_deadline();
            self.check_state();
        }
        if self.now < Instant::from_nanos(u64::MAX / 2) {
            assert!(matches!(self.endpoint.state(), State::Closed(_)), "waits for ever");
        }
        self.end_of_input();
    }

    pub(super) fn end_of_input(&mut self) {
        self.disturb(|this| this.endpoint.receive_eof());
        if self.drains {
            self.drain();
        }
    }

    fn fail(&mut self, detail: u8) {
        let fault = [
            Fault::StorageFull,
            Fault::MessageTooBig,
            Fault::InvalidPayload,
            Fault::UnsupportedData,
            Fault::PolicyViolation,
            Fault::Internal,
        ][usize::from(detail % 6)];
        let had_failed = self.endpoint.failure().is_some();
        let error = self.disturb(|this| this.endpoint.fail(this.now, fault));
        self.disturbed |= !had_failed && self.endpoint.failure().is_some();
        if let Some(failure) = self.endpoint.failure() {
            assert_eq!(failure, error);
            assert_eq!(*self.error.get_or_insert(error), error, "another error than before");
            self.ping = None;
        }
        if self.drains {
            self.drain();
        }
    }

    fn drain(&mut self) {
        let mut left = 4;
        while self.transmit().is_some() {
            left -= 1;
            assert!(left > 0, "owes more than Pong, Ping, Close and Shutdown");
        }
    }

    fn transmit(&mut self) -> Option<Transmit> {
        let before = self.endpoint.state();
        let transmit = self.endpoint.poll_transmit();
        match &transmit {
            Some(Transmit::Control(control)) => {
                let frame = self.sent(control.as_bytes());
                assert!(!matches!(before, State::Closed(_)), "a frame of a closed connection");
                match frame.first {
                    0x8A => assert_eq!(Some(frame.payload), self.ping.take(), "an answer to no Ping"),
                    0x89 => assert!(frame.payload.is_empty(), "a Ping of its own has no payload"),
                    first => {
                        assert_eq!(first, 0x88, "neither Pong, Ping nor Close");
                        self.check_close(&frame.payload);
                    }
                }
            }
            Some(Transmit::Shutdown) => self.shutdowns += 1,
            None => {}
        }
        if let State::Closed(Closed { cause: Cause::Entropy, .. }) = self.endpoint.state() {
            assert!(!self.keys, "there were keys");
            self.disturbed = true;
            self.ping = None;
        }
        transmit
    }

    /// The endpoint's own Close says what went wrong, or what the peer said.
    fn check_close(&self, body: &[u8]) {
        match (self.error, self.told.last()) {
            (Some(error), _) => {
                assert_eq!(body.get(..2), Some(&error.close_code().get().to_be_bytes()[..]), "{error}");
                assert_eq!(body.get(2..), Some(error.kind().close_reason().as_bytes()));
            }
            (None, Some(Told::Close(code, _))) if !self.disturbed => {
                let echo = if *code == CloseCode::NO_STATUS { vec![] } else { code.get().to_be_bytes().to_vec() };
                assert_eq!(body, echo);
            }
            _ => assert!(body.get(2..).is_some_and(<[u8]>::is_ascii), "a Close without a code"),
        }
    }

    /// Notes a frame that goes out, and that it may.
    fn sent(&mut self, bytes: &[u8]) -> Frame {
        assert_eq!(self.shutdowns, 0, "a frame behind the end");
        assert!(self.sent.last().is_none_or(|frame| frame.opcode() != 8), "a frame behind our Close");
        let frame = Frame::read(bytes).expect("an illegal frame").expect("a cut frame");
        assert_eq!(frame.head + frame.payload.len(), bytes.len(), "not one frame");
        assert_eq!(frame.masked, R::SIDE == Side::Client, "masking is the client's");
        assert_eq!(frame.first & 0x70, 0, "a reserved bit");
        self.sent.push(frame.clone());
        frame
    }

    /// Checks the rules that hold at any time.
    pub(super) fn check_state(&mut self) {
        assert_eq!(self.endpoint.failure(), self.error);
        let state = self.endpoint.state();
        if let Some(closed) = self.closed {
            assert_eq!(state, State::Closed(closed), "closed is final");
        }
        if self.sent.last().is_some_and(|frame| frame.opcode() == 8) || self.error.is_some() {
            assert_ne!(state, State::Open);
        }
        if let State::Closed(closed) = state {
            self.closed = Some(closed);
            assert_eq!(self.endpoint.poll_timeout(), None, "closed, and waits");
            if closed.clean {
                assert!(self.sent.iter().any(|frame| frame.opcode() == 8), "clean without our Close");
                assert!(matches!(self.told.last(), Some(Told::Close(..))), "clean without the peer's Close");
            }
        }
        assert!(self.shutdowns <= 1, "two ends");
    }

    /// Checks the rules that hold when all is done: all input is received, and the transport has ended.
    pub(super) fn check_end(mut self, expected: &Reference) {
        self.drain();
        self.check_state();
        assert!(self.closed.is_some(), "the end of the transport is the end");
        assert_eq!(self.shutdowns, 1, "no end, or two");
        let told = self.told.len();
        assert!(told <= expected.told.len(), "told too much");
        for (ours, theirs) in self.told.iter().zip(&expected.told) {
            // An undrained Pong leaves no room to show another.
            let unshown = matches!((ours, theirs), (Told::Pong(ours), Told::Pong(_)) if ours.is_empty());
            assert!(ours == theirs || unshown, "{ours:?} is not {theirs:?}");
        }
        let ours = self.error.map(|error| (error.kind(), error.offset()));
        if !self.disturbed {
            assert_eq!(told, expected.told.len(), "told too little");
            assert_eq!(ours, expected.error);
        }
    }
}
