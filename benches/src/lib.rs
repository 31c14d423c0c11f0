//! What the benchmarks are fed: payloads of three kinds, and reads full of frames. And the comparison with other
//! crates: `cargo run --release -p ws-benches --features peers --bin compare`.

pub mod allocations;
#[cfg(feature = "calls")]
pub mod calls;
pub mod cells;
pub mod contender;
pub mod deflate;
pub mod groups;
pub mod instructions;
pub mod keys;
pub mod limits;
pub mod measure;
pub mod ours;
pub mod peers;
pub mod responder;
pub mod results;
pub mod transport;
pub mod verdict;

use ws_proto::{
    MessageKind,
    frame::{FrameHeader, Opcode, Rsv},
    mask::{Mask, MaskingKey},
};

/// What a payload consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

    /// The name that the workloads have for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Ascii => "ASCII",
            Self::Multilingual => "multilingual",
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

/// Messages of a client's, one frame each: a sequence of lengths, again and again.
#[derive(Clone, Debug)]
pub struct Traffic {
    content: Content,
    lens: Vec<usize>,
    repeats: usize,
}

impl Traffic {
    /// Messages of the lengths `lens`, `repeats` times.
    #[must_use]
    pub const fn new(content: Content, lens: Vec<usize>, repeats: usize) -> Self {
        Self { content, lens, repeats }
    }

    /// Returns the kind of payload.
    #[must_use]
    pub const fn content(&self) -> Content {
        self.content
    }

    /// Returns the payloads of the sequence.
    #[must_use]
    pub fn payloads(&self) -> Vec<Vec<u8>> {
        self.lens.iter().map(|&len| self.content.payload(len)).collect()
    }

    /// Returns the number of messages.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.lens.len() * self.repeats
    }

    /// Returns the frames, masked with `key`.
    #[must_use]
    pub fn frames(&self, key: [u8; 4]) -> Vec<u8> {
        let frames =
            self.payloads().into_iter().flat_map(|payload| frame(true, opcode(self.content), &payload, key));
        frames.collect::<Vec<u8>>().repeat(self.repeats)
    }
}

/// `count` messages of a client's, one frame each, as they come in one read.
#[must_use]
pub fn client_frames(content: Content, len: usize, count: usize) -> Vec<u8> {
    Traffic::new(content, vec![len], count).frames(contender::KEY)
}

/// A message of `len` bytes in fragments of `fragment_len`.
pub(crate) fn fragments(content: Content, len: usize, fragment_len: usize) -> Vec<u8> {
    let payload = content.payload(len);
    let last = payload.chunks(fragment_len).count() - 1;
    let mut wire = Vec::new();
    for (at, fragment) in payload.chunks(fragment_len).enumerate() {
        let opcode = if at == 0 { opcode(content) } else { Opcode::Continuation };
        wire.extend(frame(at == last, opcode, fragment, contender::KEY));
    }
    wire
}

const fn opcode(content: Content) -> Opcode {
    match content.kind() {
        MessageKind::Text => Opcode::Text,
        MessageKind::Binary => Opcode::Binary,
    }
}

fn frame(fin: bool, opcode: Opcode, payload: &[u8], key: [u8; 4]) -> Vec<u8> {
    let key = MaskingKey::new(key);
    let header =
        FrameHeader { fin, rsv: Rsv::NONE, opcode, masking_key: Some(key), payload_len: payload.len() as u64 };
    let mut encoded = [0; FrameHeader::MAX_LEN];
    let header_len = header.encode(&mut encoded);
    let mut masked = payload.to_vec();
    Mask::new(key).apply(&mut masked);
    [&encoded[..header_len], &masked].concat()
}
