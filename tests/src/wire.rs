use ws_proto::{
    error::{Fault, ReceiveErrorKind},
    role::Side,
};

/// The bit that marks the last frame of a message.
pub const FIN: u8 = 0x80;
/// First byte of a middle fragment; with [`FIN`], of the last fragment.
pub const CONTINUATION: u8 = 0x00;
/// First byte of the first fragment of a text message; with [`FIN`], of a whole one.
pub const TEXT: u8 = 0x01;
/// First byte of the first fragment of a binary message; with [`FIN`], of a whole one.
pub const BINARY: u8 = 0x02;
/// First byte of a Close.
pub const CLOSE: u8 = 0x88;
/// First byte of a Ping.
pub const PING: u8 = 0x89;
/// First byte of a Pong.
pub const PONG: u8 = 0x8A;

/// The masking key of the examples in RFC 6455 section 5.7.
pub const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// Encodes a frame header that starts with `first` and announces `len` bytes in the shortest form.
#[must_use]
pub fn header(first: u8, len: u64, key: Option<[u8; 4]>) -> Vec<u8> {
    let mask_bit = if key.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![first];
    if len < 126 {
        bytes.push(mask_bit | len.to_le_bytes()[0]);
    } else if len < 0x1_0000 {
        bytes.push(mask_bit | 126);
        bytes.extend(&len.to_be_bytes()[6..]);
    } else {
        bytes.push(mask_bit | 127);
        bytes.extend(len.to_be_bytes());
    }
    bytes.extend(key.into_iter().flatten());
    bytes
}

/// Encodes a frame without a mask, as a server sends it.
#[must_use]
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [header(first, payload.len() as u64, None), payload.to_vec()].concat()
}

/// Encodes a frame masked with [`KEY`], as a client sends it.
#[must_use]
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    [header(first, payload.len() as u64, Some(KEY)), xor(payload, KEY)].concat()
}

/// Encodes a frame as the peer of `side` sends it.
#[must_use]
pub fn from_peer(side: Side, first: u8, payload: &[u8]) -> Vec<u8> {
    match side {
        Side::Client => frame(first, payload),
        Side::Server => masked(first, payload),
    }
}

/// Masks a payload exactly as RFC 6455 section 5.3 describes it.
fn xor(payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect()
}

/// A decoded frame, for comparison with the crate's decoder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawFrame {
    /// FIN, reserved bits and opcode.
    pub first: u8,
    /// The masking key.
    pub key: Option<[u8; 4]>,
    /// The payload, unmasked.
    pub payload: Vec<u8>,
    /// Number of bytes in which the length is encoded: 1, 3 or 9.
    pub len_bytes: usize,
}

/// Decodes `bytes`, which must be whole frames.
///
/// # Panics
///
/// The bytes end inside a frame.
#[must_use]
pub fn parse(mut bytes: &[u8]) -> Vec<RawFrame> {
    let mut frames = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        let (len, len_bytes, rest) = match (second & 0x7F, rest) {
            (126, [a, b, rest @ ..]) => (u64::from(u16::from_be_bytes([*a, *b])), 3, rest),
            (127, _) => (u64::from_be_bytes(*rest.first_chunk().unwrap()), 9, &rest[8..]),
            (len, rest) => (u64::from(len), 1, rest),
        };
        let (key, rest) = match second & 0x80 {
            0 => (None, rest),
            _ => (Some(*rest.first_chunk().unwrap()), &rest[4..]),
        };
        let (payload, rest) = rest.split_at(usize::try_from(len).unwrap());
        frames.push(RawFrame { first: *first, key, payload: xor(payload, key.unwrap_or_default()), len_bytes });
        bytes = rest;
    }
    assert!(bytes.is_empty(), "a frame is cut: {bytes:02x?}");
    frames
}

/// Returns the first byte and the payload of the Close that is sent after a failure, by the design's table of codes.
#[must_use]
pub fn close_of(kind: ReceiveErrorKind) -> (u8, Vec<u8>) {
    (CLOSE, [&code_of(kind).to_be_bytes()[..], kind.close_reason().as_bytes()].concat())
}

/// Returns the close code that is sent after a failure, by the design's table.
#[must_use]
pub fn code_of(kind: ReceiveErrorKind) -> u16 {
    use ReceiveErrorKind as Kind;
    match kind {
        Kind::FrameTooBig | Kind::MessageTooBig => 1009,
        Kind::Fault(Fault::StorageFull | Fault::MessageTooBig) => 1009,
        Kind::TooManyFragments | Kind::TooManyEmptyFragments => 1008,
        Kind::Fault(Fault::PolicyViolation | Fault::InflatesTooMuch) => 1008,
        Kind::InvalidUtf8 | Kind::InvalidCloseReason | Kind::Fault(Fault::InvalidPayload) => 1007,
        Kind::Fault(Fault::UnsupportedData) => 1003,
        Kind::Fault(_) => 1011,
        _ => 1002,
    }
}
