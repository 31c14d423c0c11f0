//! Frames that a host sends of its own accord, and whether it may.

use ws_proto::{
    CloseCode, Message, MessageKind, Part, SendError,
    endpoint::ControlFrame,
    role::{Role, Side},
};

use super::{super::reference::impossible_utf8, Host};

impl<R: Role> Host<R> {
    /// Compares what a call that sends has done with what it should.
    fn check_sent(
        &mut self,
        may: Result<(), SendError>,
        result: Result<&[u8], SendError>,
        first: u8,
        payload: &[u8],
    ) {
        match (may, result) {
            (Ok(()), Ok(bytes)) => {
                let frame = self.sent(bytes);
                assert_eq!((frame.first, &frame.payload[..]), (first, payload));
            }
            (Ok(()), Err(SendError::Entropy)) => assert!(!self.keys, "there were keys"),
            (may, result) => assert_eq!(result.err(), may.err()),
        }
    }

    pub(super) fn send_message(&mut self, detail: u8) {
        let text = ["", "text", "é中🦀"][usize::from(detail % 3)].repeat(usize::from(detail >> 3));
        let message = if detail & 4 == 0 { Message::Text(&text) } else { Message::Binary(text.as_bytes()) };
        let may_send_on = self.may_send_on();
        let may = match (self.is_open() || may_send_on, &self.sending) {
            (false, _) => Err(SendError::Closing),
            (true, Some(_)) => Err(SendError::MessageInProgress),
            (true, None) => Ok(()),
        };
        let mut out = vec![0xEE; text.len() + 14];
        let result = self.endpoint.write(message, &mut out).map(|len| &out[..len]);
        // It was not left to the host, or not any more.
        let may = if may_send_on && result == Err(SendError::Closing) { Err(SendError::Closing) } else { may };
        self.check_sent(may, result, 0x80 | opcode_of(message.kind()), message.as_bytes());
    }

    pub(super) fn send_part(&mut self, detail: u8) {
        let part = [Part::Whole, Part::First, Part::Middle, Part::Last][usize::from(detail & 3)];
        let kind = if detail & 4 == 0 { MessageKind::Text } else { MessageKind::Binary };
        let payload = [&b""[..], b"ab", b"\xE2", b"\x82\xAC", b"\xFF", b"\xC3\xA9"][usize::from(detail >> 3) % 6];
        let mut text = self.sending.as_ref().map_or_else(Vec::new, |(_, text)| text.clone());
        text.extend(payload);
        let invalid = kind == MessageKind::Text
            && (impossible_utf8(&text).is_some() || (part.is_last() && core::str::from_utf8(&text).is_err()));
        let ends_message = self.sending.is_some() && !part.is_first();
        let may_end = self.may_send_on() || ends_message && self.may_answer();
        let may = match (self.is_open() || may_end, &self.sending) {
            (false, _) => Err(SendError::Closing),
            (true, None) if !part.is_first() => Err(SendError::NoMessage),
            (true, Some(_)) if part.is_first() => Err(SendError::MessageInProgress),
            (true, Some((begun, _))) if *begun != kind => Err(SendError::KindMismatch),
            (true, _) if invalid => Err(SendError::InvalidUtf8),
            (true, _) => Ok(()),
        };
        let mut bytes = payload.to_vec();
        let mut out = vec![0xEE];
        let result = if detail & 0x80 == 0 {
            self.endpoint.write_part_to(kind, part, payload, &mut out).map(|()| out.split_off(1))
        } else {
            self.endpoint.send(kind, part, &mut bytes).map(|frame| frame.slices().concat())
        };
        if result.is_ok() {
            self.sending = (!part.is_last()).then_some((kind, text));
        } else {
            assert_eq!((&out[..], &bytes[..]), (&[0xEE][..], payload), "a refused call has left a trace");
        }
        let opcode = if part.is_first() { opcode_of(kind) } else { 0 };
        let first = if part.is_last() { 0x80 | opcode } else { opcode };
        // It was not left to the host, or not any more.
        let may = if may_end && result == Err(SendError::Closing) { Err(SendError::Closing) } else { may };
        self.check_sent(may, result.as_deref().map_err(|error| *error), first, payload);
    }

    pub(super) fn send_control(&mut self, detail: u8) {
        let payload = vec![detail; usize::from(detail >> 1)];
        let may = match (self.is_open(), payload.len()) {
            (false, _) => Err(SendError::Closing),
            (true, 126..) => Err(SendError::ControlTooLong),
            (true, _) => Ok(()),
        };
        let mut out = [0xEE; ControlFrame::MAX_LEN];
        let (first, result) = if detail & 1 == 0 {
            (0x89, self.endpoint.write_ping(&payload, &mut out))
        } else {
            (0x8A, self.endpoint.write_pong(&payload, &mut out))
        };
        self.check_sent(may, result.map(|len| &out[..len]), first, &payload);
    }

    pub(super) fn close(&mut self, detail: u8) {
        let code = [1000, 1001, 1005, 1006, 1010, 1015, 999, 3000, 4999, 5000][usize::from(detail % 10)];
        let reason = if code == 1005 && detail < 128 { String::new() } else { "é".repeat(usize::from(detail)) };
        let legal = match code {
            1005 => reason.is_empty(),
            1010 => R::SIDE == Side::Client,
            code => [1000, 1001, 3000, 4999].contains(&code),
        };
        let may_answer = self.may_answer();
        let may = match (legal, self.is_open() || may_answer) {
            (false, _) => Err(SendError::InvalidCloseCode),
            (true, false) => Err(SendError::Closing),
            (true, true) => Ok(()),
        };
        let mut out = [0xEE; ControlFrame::MAX_LEN];
        let result = self.endpoint.write_close(self.now, CloseCode::new(code), &reason, &mut out);
        let mut body = if code == 1005 { vec![] } else { code.to_be_bytes().to_vec() };
        if code != 1005 {
            // 61 characters of 2 bytes fit.
            body.extend("é".repeat(usize::from(detail).min(61)).bytes());
        }
        if result.is_ok() {
            self.ping = None;
        }
        // It was not left to the host, or not any more.
        let may = if may_answer && result == Err(SendError::Closing) { Err(SendError::Closing) } else { may };
        self.check_sent(may, result.map(|len| &out[..len]), 0x88, &body);
    }
}

/// The opcode of a message's first frame (RFC 6455 section 5.2).
const fn opcode_of(kind: MessageKind) -> u8 {
    match kind {
        MessageKind::Text => 0x1,
        MessageKind::Binary => 0x2,
    }
}
