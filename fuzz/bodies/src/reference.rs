//! A receiver that has all bytes at once and takes them one by one, from the text of RFC 6455.

use ws_proto::{
    CloseCode, Config, MessageKind, error::ReceiveErrorKind, frame::FrameError, message::Data, role::Side,
};

/// An event as an application gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Message(MessageKind, Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(CloseCode, String),
}

impl Told {
    /// Appends a part to the message that has begun; returns the message once that is whole.
    pub(super) fn message(begun: &mut Vec<u8>, part: &Data<'_>) -> Option<Self> {
        begun.extend_from_slice(part.as_bytes());
        part.part().is_last().then(|| Self::Message(part.kind(), std::mem::take(begun)))
    }
}

/// A frame in clear; its payload is cut where the wire is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) first: u8,
    pub(super) masked: bool,
    /// Bytes before the payload.
    pub(super) head: usize,
    pub(super) announced: u64,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    pub(super) const fn fin(&self) -> bool {
        self.first & 0x80 != 0
    }

    pub(super) const fn opcode(&self) -> u8 {
        self.first & 0x0F
    }

    fn is_cut(&self) -> bool {
        (self.payload.len() as u64) < self.announced
    }

    /// The frame that `wire` begins with; `None` if its header is cut.
    pub(super) fn read(wire: &[u8]) -> Result<Option<Self>, FrameError> {
        let Some(&first) = wire.first() else { return Ok(None) };
        let control = match first & 0x0F {
            0..=2 => false,
            8..=10 => true,
            _ => return Err(FrameError::ReservedOpcode),
        };
        if control && first & 0x80 == 0 {
            return Err(FrameError::FragmentedControl);
        }
        let Some(&second) = wire.get(1) else { return Ok(None) };
        if control && second & 0x7F > 125 {
            return Err(FrameError::ControlTooLong);
        }
        let len_bytes = match second & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if len_bytes == 8 && wire.get(2).is_some_and(|&byte| byte >= 0x80) {
            return Err(FrameError::LengthTopBit);
        }
        let Some(extended) = wire.get(2..2 + len_bytes) else { return Ok(None) };
        let extended = extended.iter().fold(0, |len: u64, &byte| len << 8 | u64::from(byte));
        let announced = if len_bytes == 0 { u64::from(second & 0x7F) } else { extended };
        if (len_bytes == 2 && announced < 126) || (len_bytes == 8 && announced < 65_536) {
            return Err(FrameError::NonMinimalLength);
        }
        let masked = second & 0x80 != 0;
        let head = 2 + len_bytes + if masked { 4 } else { 0 };
        let Some(rest) = wire.get(head..) else { return Ok(None) };
        let payload = rest.iter().enumerate().take_while(|&(i, _)| (i as u64) < announced);
        let payload = payload.map(|(i, byte)| byte ^ if masked { wire[head - 4 + i % 4] } else { 0 }).collect();
        Ok(Some(Self { first, masked, head, announced, payload }))
    }
}

/// The events and the error that a receiver finds in some bytes.
#[derive(Debug, Default)]
pub(super) struct Reference {
    pub(super) told: Vec<Told>,
    pub(super) error: Option<(ReceiveErrorKind, u64)>,
    /// The longest message, as announced by the headers that were admitted.
    pub(super) longest: u64,
    message: Option<Message>,
}

#[derive(Debug)]
struct Message {
    kind: MessageKind,
    payload: Vec<u8>,
    announced: u64,
    frames: u64,
    empty: u64,
}

impl Reference {
    /// Receives `wire` as `side`.
    pub(super) fn receive(side: Side, config: &Config, wire: &[u8]) -> Self {
        let mut this = Self::default();
        let mut at = 0;
        loop {
            let frame = match Frame::read(&wire[at..]) {
                Ok(Some(frame)) => frame,
                Ok(None) => return this,
                Err(error) => return this.fail(ReceiveErrorKind::Frame(error), at),
            };
            let payload_at = at + frame.head;
            let result = if frame.masked == (side == Side::Client) {
                Err((if frame.masked { ReceiveErrorKind::Masked } else { ReceiveErrorKind::Unmasked }, at))
            } else if frame.first & 0x70 != 0 {
                Err((ReceiveErrorKind::ReservedBits, at))
            } else if frame.opcode() >= 8 {
                this.control(&frame).map_err(|kind| (kind, at))
            } else {
                let admitted = this.admit(config, &frame).map_err(|kind| (kind, at));
                admitted.and_then(|()| this.data(&frame, payload_at))
            };
            if let Err((kind, at)) = result {
                return this.fail(kind, at);
            }
            if frame.is_cut() || matches!(this.told.last(), Some(Told::Close(..))) {
                return this;
            }
            at = payload_at + frame.payload.len();
        }
    }

    fn fail(mut self, kind: ReceiveErrorKind, at: usize) -> Self {
        self.error = Some((kind, at as u64));
        self
    }

    fn control(&mut self, frame: &Frame) -> Result<(), ReceiveErrorKind> {
        if frame.is_cut() {
            return Ok(());
        }
        let body = frame.payload.clone();
        self.told.push(match (frame.opcode(), &body[..]) {
            (9, _) => Told::Ping(body),
            (10, _) => Told::Pong(body),
            (_, []) => Told::Close(CloseCode::NO_STATUS, String::new()),
            (_, [_]) => return Err(ReceiveErrorKind::ShortCloseBody),
            (_, [high, low, reason @ ..]) => {
                let code = u16::from(*high) << 8 | u16::from(*low);
                let private = (3000..5000).contains(&code);
                if !private
                    && ![1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014].contains(&code)
                {
                    return Err(ReceiveErrorKind::InvalidCloseCode);
                }
                let reason = core::str::from_utf8(reason).map_err(|_| ReceiveErrorKind::InvalidCloseReason)?;
                Told::Close(CloseCode::new(code), reason.into())
            }
        });
        Ok(())
    }

    fn admit(&mut self, config: &Config, frame: &Frame) -> Result<(), ReceiveErrorKind> {
        let message = match (&mut self.message, frame.opcode()) {
            (Some(message), 0) => message,
            (None, 0) => return Err(ReceiveErrorKind::UnexpectedContinuation),
            (Some(_), _) => return Err(ReceiveErrorKind::UnfinishedMessage),
            (empty, opcode) => {
                let kind = if opcode == 1 { MessageKind::Text } else { MessageKind::Binary };
                empty.insert(Message { kind, payload: Vec::new(), announced: 0, frames: 0, empty: 0 })
            }
        };
        message.frames += 1;
        message.announced = message.announced.saturating_add(frame.announced);
        message.empty += u64::from(frame.announced == 0 && !frame.fin());
        let fragments = config.max_fragments.map_or_else(|| config.max_message_len.div_ceil(64), u64::from);
        if frame.announced > config.max_frame_len.unwrap_or(config.max_message_len) {
            return Err(ReceiveErrorKind::FrameTooBig);
        }
        if message.announced > config.max_message_len {
            return Err(ReceiveErrorKind::MessageTooBig);
        }
        if message.frames > fragments {
            return Err(ReceiveErrorKind::TooManyFragments);
        }
        if message.empty > config.max_empty_fragments.into() {
            return Err(ReceiveErrorKind::TooManyEmptyFragments);
        }
        self.longest = self.longest.max(message.announced);
        Ok(())
    }

    fn data(&mut self, frame: &Frame, payload_at: usize) -> Result<(), (ReceiveErrorKind, usize)> {
        let Some(message) = &mut self.message else { return Ok(()) };
        let before = message.payload.len();
        message.payload.extend(&frame.payload);
        let last = frame.fin() && !frame.is_cut();
        if message.kind == MessageKind::Text {
            match impossible_utf8(&message.payload) {
                Some(index) => return Err((ReceiveErrorKind::InvalidUtf8, payload_at + index - before)),
                None if last && core::str::from_utf8(&message.payload).is_err() => {
                    return Err((ReceiveErrorKind::InvalidUtf8, payload_at + frame.payload.len()));
                }
                None => {}
            }
        }
        if last {
            if let Some(message) = self.message.take() {
                self.told.push(Told::Message(message.kind, message.payload));
            }
        }
        Ok(())
    }
}

/// The index of the first byte that no UTF-8 text has there.
pub(super) fn impossible_utf8(bytes: &[u8]) -> Option<usize> {
    let error = core::str::from_utf8(bytes).err()?;
    let ends = error.valid_up_to() + 1..=bytes.len();
    let impossible = |end: &usize| core::str::from_utf8(&bytes[..*end]).is_err_and(|e| e.error_len().is_some());
    ends.take(4).find(impossible).map(|end| end - 1)
}
