//! Control frames that the protocol itself owes (RFC 6455 section 5.5).

use core::fmt;

use crate::{
    close::CloseCode,
    frame::{MAX_CONTROL_LEN, Opcode, encode_frame, header},
    mask::{Mask, MaskingKey},
    part::{narrow, part, part_mut, sure},
};

/// Output that [`poll_transmit`](crate::Endpoint::poll_transmit) asks the host to handle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transmit {
    /// Queue this frame after the earlier output.
    Control(ControlFrame),
    /// Half-close the transport once all output queued so far is written.
    Shutdown,
}

/// An encoded control frame: at most 131 bytes, ready for the wire.
#[derive(Clone, PartialEq, Eq)]
pub struct ControlFrame {
    bytes: [u8; Self::MAX_LEN],
    len: u8,
}

impl ControlFrame {
    /// The longest control frame: 2 bytes of header, a masking key, 125 bytes of payload.
    pub const MAX_LEN: usize = 2 + 4 + MAX_CONTROL_LEN;

    /// Encodes a frame of `opcode`, which is Close, Ping or Pong, with at most 125 bytes of payload.
    pub(crate) fn new(opcode: Opcode, masking_key: Option<MaskingKey>, payload: &[u8]) -> Self {
        let mut bytes = [0; Self::MAX_LEN];
        let header = header(opcode, masking_key, payload.len());
        // At most 131.
        let len = sure(encode_frame(&header, payload, &mut bytes).ok());
        let len = narrow(len);
        Self { bytes, len }
    }

    /// Returns whether this is a Pong, the only control frame that the peer does not answer.
    #[must_use]
    pub const fn is_pong(&self) -> bool {
        self.bytes[0] & 0x0F == Opcode::Pong.bits()
    }

    /// Returns the encoded frame, as it goes on the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        part(&self.bytes, ..usize::from(self.len))
    }
}

impl AsRef<[u8]> for ControlFrame {
    fn as_ref(&self) -> &[u8] {
        self.as_bytes()
    }
}

impl fmt::Debug for ControlFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ControlFrame").field(&self.as_bytes()).finish()
    }
}

/// The body of a Close frame: empty for [`NO_STATUS`](CloseCode::NO_STATUS), else the code and the reason.
pub(crate) struct CloseBody {
    bytes: [u8; MAX_CONTROL_LEN],
    len: usize,
}

impl CloseBody {
    /// Creates the body; `reason` is cut to the bytes that fit.
    pub(crate) fn new(code: CloseCode, reason: &str) -> Self {
        let mut bytes = [0; MAX_CONTROL_LEN];
        if code == CloseCode::NO_STATUS {
            return Self { bytes, len: 0 };
        }
        let reason = crate::close::cut_reason(reason).as_bytes();
        for (to, from) in bytes.iter_mut().zip(code.get().to_be_bytes().iter().chain(reason)) {
            *to = *from;
        }
        Self { bytes, len: 2 + reason.len() }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        part(&self.bytes, ..self.len)
    }
}

/// One control payload: of the frame that is arriving or has arrived last, or of the Pong that is owed.
///
/// Both fit one place because a Pong repeats the payload of the Ping that has just arrived.
#[derive(Debug)]
pub(crate) struct ControlSlot {
    bytes: [u8; MAX_CONTROL_LEN],
    len: u8,
    purpose: Purpose,
}

/// The use of the payload in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// It is still arriving.
    Arriving,
    /// The last event returned it.
    Told,
    /// The last event returned it, and a Pong with it is owed.
    ToldAndOwed,
    /// A Pong with it is owed; the last event was another frame.
    Owed,
}

impl ControlSlot {
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; MAX_CONTROL_LEN], len: 0, purpose: Purpose::Arriving }
    }

    /// Begins a control frame; returns whether its payload is to be kept.
    ///
    /// A Ping or a Close takes the place of a Pong that is still owed (§5.5.3: the latest Ping is answered; §5.5.2:
    /// none after a Close). A Pong does not take it: the owed Pong matters more than the payload of the new one.
    pub(crate) fn begin(&mut self, opcode: Opcode) -> bool {
        if opcode == Opcode::Pong && self.owes_pong() {
            self.purpose = Purpose::Owed;
            return false;
        }
        self.purpose = Purpose::Arriving;
        self.len = 0;
        true
    }

    /// Appends payload of a frame that is kept; its header has been checked, so that it has at most 125 bytes in all.
    pub(crate) fn extend(&mut self, payload: &[u8], mask: &mut Option<Mask>) {
        let start = usize::from(self.len);
        let end = start + payload.len();
        let free = part_mut(&mut self.bytes, start..end);
        free.copy_from_slice(payload);
        if let Some(mask) = mask {
            mask.apply(free);
        }
        self.len = narrow(end);
    }

    /// Completes the frame whose payload is kept.
    pub(crate) const fn end(&mut self) {
        self.purpose = Purpose::Told;
    }

    /// Returns the payload of the last control frame; empty if it was not kept.
    pub(crate) fn payload(&self) -> &[u8] {
        self.told().unwrap_or_default()
    }

    /// Returns the payload of the last control frame; `None` if it was not kept.
    pub(crate) fn told(&self) -> Option<&[u8]> {
        match self.purpose {
            Purpose::Told | Purpose::ToldAndOwed => Some(self.bytes()),
            Purpose::Arriving | Purpose::Owed => None,
        }
    }

    /// Makes the payload of the last control frame owed, as a Pong.
    pub(crate) const fn owe_pong(&mut self) {
        self.purpose = Purpose::ToldAndOwed;
    }

    pub(crate) const fn owes_pong(&self) -> bool {
        matches!(self.purpose, Purpose::ToldAndOwed | Purpose::Owed)
    }

    /// Drops a Pong that is owed.
    pub(crate) const fn forget_pong(&mut self) {
        self.purpose = match self.purpose {
            Purpose::ToldAndOwed => Purpose::Told,
            Purpose::Owed => Purpose::Arriving,
            Purpose::Arriving | Purpose::Told => self.purpose,
        };
    }

    /// Returns the payload of the Pong that is owed, and counts that Pong as sent.
    pub(crate) fn take_pong(&mut self) -> Option<&[u8]> {
        let owed = self.owes_pong();
        self.forget_pong();
        owed.then(|| self.bytes())
    }

    fn bytes(&self) -> &[u8] {
        part(&self.bytes, ..usize::from(self.len))
    }
}
