//! What the benchmarks are fed: payloads of three kinds, and reads full of frames.

use ws_proto::{
    MessageKind,
    frame::{FrameHeader, Opcode, Rsv},
    mask::{Mask, MaskingKey},
};

/// What a payload consists of.
#[derive(Clone, Copy, Debug)]
pub enum Content {
    /// Any bytes.
    Binary,
    /// Text of one byte a character.
    Ascii,
    /// Text of one to four bytes a character.
    Multilingual,
}

impl Content {
    /// The kind of message that carries this.
    #[must_use]
    pub const fn kind(self) -> MessageKind {
        match self {
            Self::Binary => MessageKind::Binary,
            Self::Ascii | Self::Multilingual => MessageKind::Text,
        }
    }

    /// A payload of `len` bytes.
    #[must_use]
    pub fn payload(self, len: usize) -> Vec<u8> {
        let pattern = match self {
            Self::Binary => "\u{0}\u{1}\u{7f}\u{42}",
            Self::Ascii => "The quick brown fox jumps over the lazy dog. ",
            Self::Multilingual => "Grüße, 世界! Привет 🦀 ",
        };
        let mut payload = String::new();
        for character in pattern.chars().cycle() {
            if payload.len() + character.len_utf8() > len {
                break;
            }
            payload.push(character);
        }
        // What no whole character fits in any more.
        payload.extend(core::iter::repeat_n(' ', len - payload.len()));
        payload.into_bytes()
    }
}

/// `count` messages of a client's, one frame each, as they come in one read.
#[must_use]
pub fn client_frames(content: Content, len: usize, count: usize) -> Vec<u8> {
    let opcode = match content.kind() {
        MessageKind::Text => Opcode::Text,
        MessageKind::Binary => Opcode::Binary,
    };
    let key = MaskingKey::new([0x37, 0xFA, 0x21, 0x3D]);
    let header =
        FrameHeader { fin: true, rsv: Rsv::NONE, opcode, masking_key: Some(key), payload_len: len as u64 };
    let mut encoded = [0; FrameHeader::MAX_LEN];
    let header_len = header.encode(&mut encoded);
    let mut masked = content.payload(len);
    Mask::new(key).apply(&mut masked);
    [&encoded[..header_len], &masked].concat().repeat(count)
}
