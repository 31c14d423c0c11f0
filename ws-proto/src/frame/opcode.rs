/// The meaning of a frame's payload (RFC 6455 section 5.2).
///
/// Opcodes 3–7 and B–F are reserved and have no variant: a header that carries one does not decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of the message in progress.
    Continuation = 0x0,
    /// The first or only frame of a text message.
    Text = 0x1,
    /// The first or only frame of a binary message.
    Binary = 0x2,
    /// Starts or answers the closing handshake.
    Close = 0x8,
    /// Asks for a [`Pong`](Self::Pong) with the same payload.
    Ping = 0x9,
    /// Answers a [`Ping`](Self::Ping), or serves as a one-way heartbeat.
    Pong = 0xA,
}

impl Opcode {
    /// Returns the opcode with these four bits, or `None` if it is reserved or `bits` is more than
    /// 15.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    /// Returns the four bits of this opcode.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self as u8
    }

    /// Returns whether this is Close, Ping or Pong: never fragmented, at most 125 bytes, and
    /// allowed between the fragments of a message (RFC 6455 section 5.5).
    #[must_use]
    pub const fn is_control(self) -> bool {
        self.bits() & 0x8 != 0
    }
}
