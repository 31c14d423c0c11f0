use core::fmt;

use super::Opcode;
use crate::{
    mask::MaskingKey,
    message::MessageKind,
    part::{part, to_u64, to_usize},
};

const FIN: u8 = 0b1000_0000;
const MASKED: u8 = 0b1000_0000;
const LEN_16: u8 = 126;
const LEN_64: u8 = 127;
// §5.5: control payloads are at most 125 bytes.
pub(crate) const MAX_CONTROL_LEN: usize = 125;

/// The reserved bits of a frame: 0 unless an extension gives them a meaning (RFC 6455 section 5.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Rsv(u8);

impl Rsv {
    /// No reserved bit is set.
    pub const NONE: Self = Self(0);
    /// The first reserved bit.
    pub const RSV1: Self = Self(0b0100_0000);
    /// The second reserved bit.
    pub const RSV2: Self = Self(0b0010_0000);
    /// The third reserved bit.
    pub const RSV3: Self = Self(0b0001_0000);

    const ALL: u8 = 0b0111_0000;

    /// Returns whether no reserved bit is set.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Returns whether every bit set in `other` is set here too.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl core::ops::BitOr for Rsv {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A decoded frame header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameHeader {
    /// The FIN bit: set on the last frame of a message.
    pub fin: bool,
    /// The reserved bits.
    pub rsv: Rsv,
    /// The meaning of the payload.
    pub opcode: Opcode,
    /// The key of a masked payload; `None` if the payload is not masked.
    pub masking_key: Option<MaskingKey>,
    /// The length of the payload in bytes.
    pub payload_len: u64,
}

impl FrameHeader {
    /// The longest header: 2 bytes, 8 of length, 4 of masking key.
    pub const MAX_LEN: usize = 14;

    /// Decodes the header that `bytes` starts with. Returns the header and its length in bytes.
    ///
    /// Returns `None` if more bytes are needed. A violation is reported as soon as a byte shows it, even before
    /// the header is complete.
    ///
    /// # Errors
    ///
    /// Violations that no state of the connection allows: a reserved opcode, a fragmented or too long control
    /// frame, a length that is not minimal or has its top bit set.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, FrameError> {
        let Some((&first, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let Some(opcode) = Opcode::from_bits(first & 0x0F) else {
            return Err(FrameError::ReservedOpcode);
        };
        let fin = first & FIN != 0;
        if opcode.is_control() && !fin {
            return Err(FrameError::FragmentedControl);
        }
        let Some((&second, rest)) = rest.split_first() else {
            return Ok(None);
        };
        let short = second & !MASKED;
        if opcode.is_control() && usize::from(short) > MAX_CONTROL_LEN {
            return Err(FrameError::ControlTooLong);
        }
        let Some((payload_len, rest)) = decode_len(short, rest)? else {
            return Ok(None);
        };
        let (masking_key, rest) = if second & MASKED == 0 {
            (None, rest)
        } else if let Some((key, rest)) = rest.split_first_chunk() {
            (Some(MaskingKey::new(*key)), rest)
        } else {
            return Ok(None);
        };
        let header = Self { fin, rsv: Rsv(first & Rsv::ALL), opcode, masking_key, payload_len };
        Ok(Some((header, bytes.len() - rest.len())))
    }

    /// Returns the number of bytes that [`encode`](Self::encode) writes.
    #[must_use]
    pub const fn encoded_len(&self) -> u64 {
        let len = match self.payload_len {
            0..126 => 2,
            126..0x1_0000 => 4,
            0x1_0000.. => 10,
        };
        if self.masking_key.is_some() { len + 4 } else { len }
    }

    /// Writes the header to the start of `out`, with the shortest form of its length. Returns the number of bytes
    /// written.
    ///
    /// The header is not checked. A peer accepts no payload of 2⁶³ bytes or more.
    #[inline]
    pub fn encode(&self, out: &mut [u8; Self::MAX_LEN]) -> usize {
        let (words, len) = self.to_words();
        // One store for each word: a copy of bytes stored one by one would have to wait for the stores.
        let [first, second] = words.map(u64::to_le_bytes);
        if let Some((to_first, to_second)) = out.split_first_chunk_mut() {
            *to_first = first;
            to_second.iter_mut().zip(second).for_each(|(to, byte)| *to = byte);
        }
        len
    }

    /// Returns the header's bytes, the first in the lowest bits, and their number. Up to 8 bytes are all in the
    /// first word.
    #[inline(always)]
    pub(crate) fn to_words(self) -> ([u64; 2], usize) {
        let fin = if self.fin { FIN } else { 0 };
        let (masked, key, key_len) = match self.masking_key {
            Some(key) => (MASKED, u64::from(u32::from_le_bytes(key.to_bytes())), 4),
            None => (0, 0, 0),
        };
        let start = |len: u64| u64::from(fin | self.rsv.0 | self.opcode.bits()) | (u64::from(masked) | len) << 8;
        let swapped = self.payload_len.swap_bytes();
        match self.payload_len {
            short @ 0..126 => ([start(short) | key << 16, 0], 2 + key_len),
            126..0x1_0000 => {
                let len = swapped >> 48;
                ([start(u64::from(LEN_16)) | len << 16 | key << 32, 0], 4 + key_len)
            }
            _ => ([start(u64::from(LEN_64)) | swapped << 16, swapped >> 48 | key << 16], 10 + key_len),
        }
    }
}

/// The header of a data frame of at most 65,535 bytes without reserved bits, as nearly all data frames have it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CommonHeader<K> {
    /// The meaning of the first byte.
    pub(crate) kind: K,
    /// The masking key, or 0 if the frame is not masked.
    pub(crate) masking_key: MaskingKey,
    /// The length of the header.
    pub(crate) len: usize,
    pub(crate) payload_len: usize,
}

/// The first byte of a frame, restricted to two values.
pub(crate) trait FirstByte: Copy {
    /// Returns the meaning of `byte`, or `None` if it is another value.
    fn from_first(byte: u8) -> Option<Self>;

    /// Returns the FIN bit.
    fn fin(self) -> bool;

    /// Returns the opcode.
    fn opcode(self) -> Opcode;
}

/// A frame that is a whole message.
impl FirstByte for MessageKind {
    #[inline(always)]
    fn from_first(byte: u8) -> Option<Self> {
        if byte.wrapping_sub(FIN | Opcode::Text.bits()) > 1 {
            return None;
        }
        Some(if byte & 1 == 1 { Self::Text } else { Self::Binary })
    }

    fn fin(self) -> bool {
        true
    }

    fn opcode(self) -> Opcode {
        self.opcode()
    }
}

/// A continuation frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Continuation {
    Middle,
    Last,
}

impl FirstByte for Continuation {
    #[inline(always)]
    fn from_first(byte: u8) -> Option<Self> {
        match byte {
            0 => Some(Self::Middle),
            FIN => Some(Self::Last),
            _ => None,
        }
    }

    fn fin(self) -> bool {
        self == Self::Last
    }

    fn opcode(self) -> Opcode {
        Opcode::Continuation
    }
}

impl<K: FirstByte> CommonHeader<K> {
    /// Decodes the header that `bytes` starts with, masked if `masked` is set. Returns `None` if it is another
    /// kind of header or `bytes` are too few; call [`FrameHeader::decode`] then.
    #[inline(always)]
    pub(crate) fn decode(bytes: &[u8], masked: bool) -> Option<Self> {
        // A masked header has 6 or 8 bytes, an unmasked one 2 or 4. Reading the second byte by itself takes fewer
        // instructions than extracting it from the word.
        let (second, word) = if masked {
            let bytes: &[u8; 8] = bytes.first_chunk()?;
            (bytes[1], u64::from_le_bytes(*bytes))
        } else {
            let bytes: &[u8; 4] = bytes.first_chunk()?;
            (bytes[1], u64::from(u32::from_le_bytes(*bytes)))
        };
        let [first, _, third, fourth, ..] = word.to_le_bytes();
        let kind = K::from_first(first)?;
        let (mask_bit, key_len) = if masked { (MASKED, 4) } else { (0, 0) };
        // If the mask bit is not as expected, `short` is greater than every length.
        let short = second ^ mask_bit;
        let (key, len, payload_len) = match short {
            0..LEN_16 => (word >> 16, 2 + key_len, usize::from(second) - usize::from(mask_bit)),
            LEN_16 => {
                let payload_len = u16::from_be_bytes([third, fourth]);
                if payload_len < u16::from(LEN_16) {
                    return None;
                }
                (word >> 32, 4 + key_len, usize::from(payload_len))
            }
            _ => return None,
        };
        let [key @ .., _, _, _, _] = if masked { key } else { 0 }.to_le_bytes();
        Some(Self { kind, masking_key: MaskingKey::new(key), len, payload_len })
    }

    /// Returns the length of the whole frame.
    #[inline(always)]
    pub(crate) const fn frame_len(&self) -> usize {
        self.len + self.payload_len
    }
}

impl<K: FirstByte> From<&CommonHeader<K>> for FrameHeader {
    #[inline]
    fn from(header: &CommonHeader<K>) -> Self {
        Self {
            fin: header.kind.fin(),
            rsv: Rsv::NONE,
            opcode: header.kind.opcode(),
            masking_key: (header.len > 4).then_some(header.masking_key),
            payload_len: to_u64(header.payload_len),
        }
    }
}

/// The lengths of a frame that is a whole message and has a [`CommonHeader`], as far as its first bytes tell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameLen {
    /// The length of the header, or how many of its bytes tell that.
    pub(crate) header: usize,
    /// The length of the frame; 0 if `header` bytes are needed to tell.
    pub(crate) frame: usize,
}

impl FrameLen {
    /// The longest common header.
    pub(crate) const MAX_HEADER: usize = 8;

    /// Returns whether the first byte of `bytes` is that of a message of `kind` in one frame.
    #[inline(always)]
    pub(crate) fn may_be_of(bytes: &[u8], kind: MessageKind) -> bool {
        bytes.first().is_some_and(|first| MessageKind::from_first(*first) == Some(kind))
    }

    /// Returns the lengths of the frame of a message of `kind` that `bytes` start with, `None` if anything else comes.
    #[inline(always)]
    pub(crate) fn of(bytes: &[u8], kind: MessageKind, masked: bool) -> Option<Self> {
        if !Self::may_be_of(bytes, kind) {
            return None;
        }
        let rest = part(bytes, 1..);
        let Some((second, rest)) = rest.split_first() else {
            return Some(Self { header: 2, frame: 0 });
        };
        let (mask_bit, key_len) = if masked { (MASKED, 4) } else { (0, 0) };
        // If the mask bit is not as expected, `short` is greater than every length.
        match second ^ mask_bit {
            short @ 0..LEN_16 => Some(Self { header: 2 + key_len, frame: 2 + key_len + usize::from(short) }),
            LEN_16 => Some(match decode_len(LEN_16, rest).ok()? {
                Some((len, _)) => Self { header: 4 + key_len, frame: 4 + key_len + to_usize(len) },
                None => Self { header: 4, frame: 0 },
            }),
            _ => None,
        }
    }
}

/// Returns the payload length that begins with the 7-bit field `short`, and the bytes after it. Returns `None` if
/// more bytes are needed.
fn decode_len(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, FrameError> {
    match short {
        LEN_16 => {
            let Some((bytes, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            let len = u16::from_be_bytes(*bytes);
            if len < u16::from(LEN_16) {
                return Err(FrameError::NonMinimalLength);
            }
            Ok(Some((u64::from(len), rest)))
        }
        LEN_64 => {
            if rest.first().is_some_and(|byte| byte & 0x80 != 0) {
                return Err(FrameError::LengthTopBit);
            }
            let Some((bytes, rest)) = rest.split_first_chunk() else {
                return Ok(None);
            };
            let len = u64::from_be_bytes(*bytes);
            if len <= u64::from(u16::MAX) {
                return Err(FrameError::NonMinimalLength);
            }
            Ok(Some((len, rest)))
        }
        _ => Ok(Some((u64::from(short), rest))),
    }
}

/// A fault of a frame header that no state of the connection allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FrameError {
    /// The opcode is one of 3–7 or B–F.
    ReservedOpcode,
    /// A control frame does not have its FIN bit set.
    FragmentedControl,
    /// A control frame announces more than 125 bytes.
    ControlTooLong,
    /// The length would fit a shorter form.
    NonMinimalLength,
    /// The top bit of a 64-bit length is set.
    LengthTopBit,
}

impl FrameError {
    /// Returns the fault in words, and the section of RFC 6455 that forbids it.
    pub(crate) const fn text(self) -> (&'static str, &'static str) {
        match self {
            Self::ReservedOpcode => ("opcode is reserved", "5.2"),
            Self::FragmentedControl => ("control frame is fragmented", "5.5"),
            Self::ControlTooLong => ("control frame is longer than 125 bytes", "5.5"),
            Self::NonMinimalLength => ("payload length is not in its shortest form", "5.2"),
            Self::LengthTopBit => ("top bit of the payload length is set", "5.2"),
        }
    }
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, section) = self.text();
        write!(f, "{text} (RFC 6455 section {section})")
    }
}

impl core::error::Error for FrameError {}
