//! The workloads, and who takes part in which.

use ws_proto::role::Side;

use crate::{
    Content, client_frames,
    contender::{self, Decode, Encode, Handshake, Masking, Open, Sending, Validate},
    deflate, fragments, limits,
    measure::Cell,
    ours, peers,
    transport::Transport,
};

/// All groups, in the order in which they are measured.
pub const GROUPS: [&str; 8] =
    ["decode", "encode", "mask", "utf8", "handshake", "decode_split", "fragments", "deflate"];

/// Sizes of messages, in bytes.
const SIZES: [usize; 6] = [16, 125, 1 << 10, 16 << 10, 256 << 10, 1 << 20];
const CONTENTS: [Content; 3] = [Content::Binary, Content::Ascii, Content::Multilingual];

/// What arrives in one pass: a busy server's read, or one big message.
const PASS_LEN: usize = 64 << 10;

/// The cells of `group`, to be made one by one since each holds the memory of all its contenders.
#[must_use]
pub fn cells(group: &str) -> Vec<Box<dyn FnOnce() -> Cell>> {
    match group {
        "decode" => decode(),
        "encode" => encode(),
        "mask" => mask(),
        "utf8" => utf8(),
        "handshake" => vec![Box::new(accepting), Box::new(opening)],
        "decode_split" => decode_split(),
        "fragments" => fragmented(),
        "deflate" => deflate::cells(),
        _ => Vec::new(),
    }
}

type Cells = Vec<Box<dyn FnOnce() -> Cell>>;

fn decode() -> Cells {
    let mut cells: Cells = Vec::new();
    for content in CONTENTS {
        for len in SIZES {
            cells.push(Box::new(move || decode_cell("decode", content, len, usize::MAX)));
        }
    }
    cells
}

fn decode_split() -> Cells {
    let mut cells: Cells = Vec::new();
    for content in [Content::Binary, Content::Multilingual] {
        for longest_read in [1, 7, 1460] {
            for len in [125, 16 << 10] {
                cells.push(Box::new(move || decode_cell("decode_split", content, len, longest_read)));
            }
        }
    }
    cells
}

fn decode_cell(group: &'static str, content: Content, len: usize, longest_read: usize) -> Cell {
    let count = (PASS_LEN / len).max(1);
    let mut column = format!("{} {content:?}", bytes(len)).to_lowercase().replace(" b ", " B ");
    if longest_read < usize::MAX {
        column += &format!(" in reads of {longest_read}");
    }
    let column = column.replace("kib", "KiB").replace("mib", "MiB");
    let mut decoders = Decoders {
        cell: Cell::new(group, column, u32::try_from(count).unwrap_or(1)),
        content,
        wire: client_frames(content, len, count),
        payload: content.payload(len),
        count,
        longest_read,
        fragmented: false,
    };
    let wire = std::mem::replace(&mut decoders.wire, limits::unmasked_frames(content, len, count));
    decoders.enter::<limits::Reader<limits::Copy>>("limit-copy");
    decoders.wire = wire;
    decoders.enter_limits();
    decoders.enter_all();
    decoders.cell
}

fn fragmented() -> Cells {
    const LEN: usize = 4 << 20;
    let mut cells: Cells = Vec::new();
    for content in [Content::Binary, Content::Multilingual] {
        for fragment_len in [64, 64 << 10, LEN] {
            cells.push(Box::new(move || {
                let column = format!("4 MiB {content:?} in frames of {}", bytes(fragment_len));
                let mut decoders = Decoders {
                    cell: Cell::new("fragments", column, 1),
                    content,
                    wire: fragments(content, LEN, fragment_len),
                    payload: content.payload(LEN),
                    count: 1,
                    longest_read: usize::MAX,
                    fragmented: fragment_len < LEN,
                };
                if fragment_len == LEN {
                    decoders.enter_limits();
                }
                decoders.enter_all();
                decoders.cell
            }));
        }
    }
    cells
}

/// A cell that decoders enter.
pub struct Decoders {
    cell: Cell,
    content: Content,
    wire: Vec<u8>,
    payload: Vec<u8>,
    count: usize,
    longest_read: usize,
    fragmented: bool,
}

impl Decoders {
    /// Lets `D` take part.
    pub fn enter<D: Decode + 'static>(&mut self, name: &'static str) {
        let transport = Transport::new(self.wire.clone(), self.longest_read);
        self.cell.enter(name, || contender::decode::<D>(transport, &self.payload, self.count));
    }

    /// Lets `D` take part, which does not validate text.
    pub fn enter_unvalidated<D: Decode + 'static>(&mut self, name: &'static str) {
        self.enter::<D>(name);
        if self.content != Content::Binary {
            self.cell.mark_incomparable(name);
        }
    }

    /// Lets `D` take part if messages are whole, for `reason`. It does not validate text.
    pub fn enter_whole_unvalidated<D: Decode + 'static>(&mut self, name: &'static str, reason: &str) {
        if self.fragmented {
            self.cell.leave_out(name, reason);
        } else {
            self.enter_unvalidated::<D>(name);
        }
    }

    /// Lets the limits take part, which know no fragments.
    fn enter_limits(&mut self) {
        self.enter::<limits::Reader<limits::TwoPasses>>("limit-mask+validate");
        self.enter::<limits::Reader<limits::Fused>>("limit-fused");
        self.enter::<limits::Reader<limits::Safe>>("limit-safe");
    }

    fn enter_all(&mut self) {
        // Holds a pass of 64 KiB with its headers: what reads cut is another group's.
        self.enter::<ours::Shared<{ 80 << 10 }>>("ours");
        self.enter::<ours::Shared<{ 8 << 10 }>>("ours, 8 KiB reads");
        self.enter::<ours::Own>("ours, own storage");
        peers::enter_decoders(self);
    }
}

fn encode() -> Cells {
    let mut cells: Cells = Vec::new();
    for side in [Side::Server, Side::Client] {
        for sending in [Sending::OneByOne, Sending::Batch] {
            for len in SIZES {
                cells.push(Box::new(move || {
                    let how = if sending == Sending::Batch { ", batch" } else { "" };
                    let column = format!("{} {side:?}{how}", bytes(len));
                    let count = (PASS_LEN / len).max(1);
                    let mut encoders = Encoders {
                        cell: Cell::new("encode", column, u32::try_from(count).unwrap_or(1)),
                        side,
                        sending,
                        payload: Vec::leak(Content::Binary.payload(len)),
                        count,
                    };
                    encoders.enter_all();
                    encoders.cell
                }));
            }
        }
    }
    cells
}

/// A cell that encoders enter.
pub struct Encoders {
    cell: Cell,
    side: Side,
    sending: Sending,
    payload: &'static [u8],
    count: usize,
}

impl Encoders {
    /// Lets `E` take part.
    pub fn enter<E: Encode + 'static>(&mut self, name: &'static str) {
        let (side, sending, payload, count) = (self.side, self.sending, self.payload, self.count);
        self.cell.enter(name, || contender::encode::<E>(side, sending, payload, count));
    }

    /// Which end sends.
    #[must_use]
    pub const fn side(&self) -> Side {
        self.side
    }

    fn enter_all(&mut self) {
        self.enter::<limits::Writer>("limit-fused");
        match self.side {
            Side::Server => self.enter::<ours::ServerSender>("ours"),
            Side::Client => {
                self.enter::<ours::ClientSender<{ usize::MAX }>>("ours");
                self.enter::<ours::ClientSender<{ 8 << 10 }>>("ours, 8 KiB writes");
            }
        }
        peers::enter_encoders(self);
    }
}

fn mask() -> Cells {
    const LENS: [usize; 9] = [8, 16, 32, 125, 1 << 10, 4 << 10, 16 << 10, 128 << 10, 1 << 20];
    let mut cells: Cells = Vec::new();
    for len in LENS {
        for offset in [0, 1, 7, 8, 31, 33, 63] {
            cells.push(Box::new(move || {
                let cell = Cell::new("mask", format!("{} at {offset}", bytes(len)), 1);
                let mut masks = Masks { cell, len, offset };
                masks.enter::<limits::Safe>("limit-safe");
                masks.enter::<limits::Fused>("limit-fused");
                masks.enter::<ours::InPlace>("ours");
                peers::enter_masks(&mut masks);
                masks.cell
            }));
        }
    }
    cells
}

/// A cell that those enter who mask.
pub struct Masks {
    cell: Cell,
    len: usize,
    offset: usize,
}

impl Masks {
    /// Lets `M` take part.
    pub fn enter<M: Masking>(&mut self, name: &'static str) {
        let (len, offset) = (self.len, self.offset);
        self.cell.enter(name, || contender::mask::<M>(len, offset));
    }
}

fn utf8() -> Cells {
    let mut cells: Cells = Vec::new();
    for content in [Content::Ascii, Content::Multilingual] {
        for (len, piece_len) in SIZES.map(|len| (len, len)).into_iter().chain([(16 << 10, 1460), (1 << 20, 1460)])
        {
            cells.push(Box::new(move || {
                let mut column = format!("{} {}", bytes(len), format!("{content:?}").to_lowercase());
                if piece_len < len {
                    column += &format!(" in pieces of {piece_len}");
                }
                let mut texts = Texts { cell: Cell::new("utf8", column, 1), content, len, piece_len };
                texts.enter_whole::<limits::Std>("std");
                texts.enter_whole::<limits::Simdutf8>("simdutf8");
                texts.enter::<ours::Resumable>("ours");
                peers::enter_texts(&mut texts);
                texts.cell
            }));
        }
    }
    cells
}

/// A cell that those enter who validate text.
pub struct Texts {
    cell: Cell,
    content: Content,
    len: usize,
    piece_len: usize,
}

impl Texts {
    /// Lets `V` take part.
    pub fn enter<V: Validate>(&mut self, name: &'static str) {
        let (text, piece_len) = (self.content.payload(self.len), self.piece_len);
        self.cell.enter(name, || contender::validate::<V>(text, piece_len));
    }

    /// Lets `V` take part, which has to have all of a text at once.
    pub fn enter_whole<V: Validate>(&mut self, name: &'static str) {
        if self.piece_len == self.len {
            self.enter::<V>(name);
        }
    }
}

fn accepting() -> Cell {
    let cell = Cell::new("handshake", "server, Chrome's request".into(), 1);
    let mut handshakes = Handshakes { cell };
    handshakes.enter::<ours::Accept>("ours");
    peers::enter_handshakes(&mut handshakes);
    handshakes.cell
}

/// A cell that servers enter that answer requests.
pub struct Handshakes {
    cell: Cell,
}

impl Handshakes {
    /// Lets `H` take part.
    pub fn enter<H: Handshake + 'static>(&mut self, name: &'static str) {
        self.cell.enter(name, contender::handshake::<H>);
    }
}

fn opening() -> Cell {
    let mut openings = Openings { cell: Cell::new("handshake", "client, a request and its answer".into(), 1) };
    openings.enter::<limits::Opener>("limit-copy");
    openings.enter::<ours::Opener>("ours");
    peers::enter_openings(&mut openings);
    openings.cell
}

/// A cell that clients enter that open connections.
pub struct Openings {
    cell: Cell,
}

impl Openings {
    /// Lets `O` take part.
    pub fn enter<O: Open + 'static>(&mut self, name: &'static str) {
        self.cell.enter(name, contender::open::<O>);
    }
}

fn bytes(len: usize) -> String {
    match len {
        ..0x400 => format!("{len} B"),
        0x400..0x10_0000 => format!("{} KiB", len >> 10),
        _ => format!("{} MiB", len >> 20),
    }
}
