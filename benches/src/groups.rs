//! The workloads, and who takes part in which.

use ws_proto::{Entropy, deflate::Settings, driver::OsEntropy, role::Side};

#[cfg(feature = "calls")]
use crate::calls;
use crate::{
    Content, Traffic,
    cells::{Connections, Decoders, Encoders, Handshakes, Masks, Openings, Texts},
    contender::{KEY, MIDDLING_REQUEST, Masked, REQUEST, SHORT_REQUEST, Sending},
    deflate::{self, Echoes},
    fragments,
    keys::Keys,
    limits,
    measure::Cell,
    ours, peers,
    transport::READ_LEN,
};

/// All groups, in the order in which they are measured.
pub const GROUPS: [&str; 12] = [
    "decode",
    "decode_split",
    "decode_fresh",
    "encode",
    "encode_keys",
    "broadcast",
    "calls",
    "mask",
    "utf8",
    "handshake",
    "fragments",
    "deflate",
];

/// Sizes of messages, in bytes.
const SIZES: [usize; 6] = [16, 125, 1 << 10, 16 << 10, 256 << 10, 1 << 20];
/// Sizes of messages that are received, in bytes.
const RECEIVED_SIZES: [usize; 10] =
    [16, 125, 1 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10, 1 << 20, 4 << 20];
const CONTENTS: [Content; 3] = [Content::Binary, Content::Ascii, Content::Multilingual];

/// Mixed traffic: so many messages of the first size for one of the other.
const MIXED: (usize, usize, usize) = (16, 125, 16 << 10);

/// The members of a room.
const MEMBERS: usize = 64;

/// The bytes that are sent in one pass: a busy server's write, or one big message.
const PASS_LEN: usize = 64 << 10;

/// The bytes that arrive in one pass are several reads, and so many that reads cut big messages and join their ends with the
/// next ones' beginnings.
const RECEIVED_PASS_LEN: usize = 256 << 10;
const FEWEST_RECEIVED: usize = 8;
const LONGEST_RECEIVED_PASS: usize = 16 << 20;

/// The cells of `group`, to be made one by one since each holds the memory of all its contenders.
#[must_use]
pub fn cells(group: &str) -> Vec<Box<dyn FnOnce() -> Cell>> {
    match group {
        "decode" => decode(),
        "encode" => encode(),
        "encode_keys" => encode_cells("encode_keys", Side::Client, Keys::Own),
        "broadcast" => broadcast(),
        "calls" => calls(),
        "mask" => mask(),
        "utf8" => utf8(),
        "handshake" => handshakes(),
        "decode_split" => decode_split(),
        "decode_fresh" => decode_fresh(),
        "fragments" => fragmented(),
        "deflate" => deflated(),
        _ => Vec::new(),
    }
}

type Cells = Vec<Box<dyn FnOnce() -> Cell>>;

fn decode() -> Cells {
    let mut cells: Cells = Vec::new();
    for content in CONTENTS {
        for len in RECEIVED_SIZES {
            let column = format!("{} {}", bytes(len), content.name());
            cells.push(decode_cell("decode", column, received(content, vec![len]), Connections::Kept, READ_LEN));
        }
        let (count, short, long) = MIXED;
        let lens = std::iter::repeat_n(short, count).chain([long]).collect();
        let column = format!("mixed {}", content.name());
        cells.push(decode_cell("decode", column, received(content, lens), Connections::Kept, READ_LEN));
    }
    cells
}

fn decode_split() -> Cells {
    const READS: [usize; 5] = [1460, 8 << 10, 16 << 10, 64 << 10, 128 << 10];
    const LENS: [usize; 4] = [125, 1 << 10, 16 << 10, 256 << 10];
    let cut = LENS.iter().flat_map(|&len| READS.map(|longest_read| (len, longest_read)));
    let dripped = [(125, 1), (125, 7)];
    let cell = |(len, longest_read)| {
        let column = format!("{} binary in reads of {}", bytes(len), bytes(longest_read));
        decode_cell("decode_split", column, received(Content::Binary, vec![len]), Connections::Kept, longest_read)
    };
    dripped.into_iter().chain(cut).map(cell).collect()
}

/// The first message of a connection.
fn decode_fresh() -> Cells {
    let cell = |len| {
        let column = format!("{} binary, first message", bytes(len));
        let first = Traffic::new(Content::Binary, vec![len], 1);
        decode_cell("decode_fresh", column, first, Connections::Fresh, READ_LEN)
    };
    [256 << 10, 1 << 20].map(cell).into()
}

/// As many messages as one pass brings.
fn received(content: Content, lens: Vec<usize>) -> Traffic {
    let len: usize = lens.iter().sum();
    let count = (RECEIVED_PASS_LEN / len).max(FEWEST_RECEIVED).min(LONGEST_RECEIVED_PASS / len);
    Traffic::new(content, lens, count)
}

fn decode_cell(
    group: &'static str,
    column: String,
    traffic: Traffic,
    connections: Connections,
    longest_read: usize,
) -> Box<dyn FnOnce() -> Cell> {
    Box::new(move || {
        let mut decoders = Decoders {
            cell: Cell::new(group, column, u32::try_from(traffic.count()).unwrap_or(1)),
            content: traffic.content(),
            wire: traffic.frames(KEY).into(),
            payloads: traffic.payloads(),
            count: traffic.count(),
            longest_read,
            fragmented: false,
            connections,
        };
        decoders.enter_receiving::<limits::Reader<limits::Copy>>("limit-copy", traffic.frames([0; 4]));
        enter_limits(&mut decoders);
        enter_decoders(&mut decoders);
        decoders.cell
    })
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
                    wire: fragments(content, LEN, fragment_len).into(),
                    payloads: vec![content.payload(LEN)],
                    count: 1,
                    longest_read: READ_LEN,
                    fragmented: fragment_len < LEN,
                    connections: Connections::Kept,
                };
                if fragment_len == LEN {
                    enter_limits(&mut decoders);
                }
                enter_decoders(&mut decoders);
                decoders.cell
            }));
        }
    }
    cells
}

/// Lets the limits decode, which know no fragments.
fn enter_limits(decoders: &mut Decoders) {
    decoders.enter::<limits::Reader<limits::TwoPasses>>("limit-mask+validate");
    decoders.enter::<limits::Reader<limits::Fused>>("limit-fused");
    decoders.enter::<limits::Reader<limits::Safe>>("limit-safe");
}

fn enter_decoders(decoders: &mut Decoders) {
    decoders.enter::<ours::Shared>("ours");
    decoders.enter_reading::<ours::Shared>("ours, 8 KiB reads", 8 << 10);
    decoders.enter::<ours::Own>("ours, own storage");
    peers::enter_decoders(decoders);
}

fn encode() -> Cells {
    let sides = [Side::Server, Side::Client];
    sides.into_iter().flat_map(|side| encode_cells("encode", side, Keys::Cheapest)).collect()
}

fn encode_cells(group: &'static str, side: Side, keys: Keys) -> Cells {
    sending_cells(group, side, &SIZES, move |encoders| {
        encoders.keys = keys;
        enter_encoders(encoders);
    })
}

/// Messages of the lengths `lens`, each way of sending them; `enter` lets the contenders in.
fn sending_cells(
    group: &'static str,
    side: Side,
    lens: &'static [usize],
    enter: impl Fn(&mut Encoders) + Copy + 'static,
) -> Cells {
    let mut cells: Cells = Vec::new();
    for sending in [Sending::OneByOne, Sending::Batch] {
        for &len in lens {
            cells.push(Box::new(move || {
                let mut encoders = encoders(group, side, Some(sending), len);
                enter(&mut encoders);
                encoders.cell
            }));
        }
    }
    cells
}

/// A cell that sends messages of `len` bytes, without contenders.
fn encoders(group: &'static str, side: Side, sending: Option<Sending>, len: usize) -> Encoders {
    let how = match sending {
        Some(Sending::OneByOne) => "",
        Some(Sending::Batch) => ", batch",
        None => ", to a member",
    };
    let count = if sending.is_some() { (PASS_LEN / len).max(1) } else { MEMBERS };
    Encoders {
        cell: Cell::new(group, format!("{} {side:?}{how}", bytes(len)), u32::try_from(count).unwrap_or(1)),
        side,
        sending,
        keys: Keys::Cheapest,
        payload: Vec::leak(Content::Binary.payload(len)),
        count,
    }
}

fn enter_encoders(encoders: &mut Encoders) {
    encoders.enter::<limits::Writer>("limit-fused");
    match (encoders.side(), encoders.keys()) {
        (Side::Server, _) => encoders.enter::<ours::ServerSender>("ours"),
        (Side::Client, Keys::Cheapest) => enter_client::<ours::Keys>(encoders),
        (Side::Client, Keys::Own) => enter_client::<OsEntropy>(encoders),
    }
    peers::enter_encoders(encoders);
}

fn enter_client<E: Entropy + Default + 'static>(encoders: &mut Encoders) {
    encoders.enter::<ours::ClientSender<{ usize::MAX }, E>>("ours");
    encoders.enter_aside::<ours::ClientSender<{ 8 << 10 }, E>>("ours, 8 KiB writes");
}

/// A message to each member of a room, for one of them.
fn broadcast() -> Cells {
    let cell = |len| -> Box<dyn FnOnce() -> Cell> {
        Box::new(move || {
            let mut encoders = encoders("broadcast", Side::Server, None, len);
            encoders.enter::<limits::Writer>("limit-fused");
            encoders.enter::<ours::Member>("ours");
            peers::enter_encoders(&mut encoders);
            encoders.cell
        })
    };
    [16, 125, 1 << 10, 16 << 10].map(cell).into()
}

fn calls() -> Cells {
    let sides = [Side::Server, Side::Client];
    let cells = sides.into_iter().flat_map(|side| sending_cells("calls", side, &[16, 1 << 10], enter_calls));
    cells.chain([Box::new(prepared_calls) as Box<dyn FnOnce() -> Cell>]).collect()
}

fn enter_calls(encoders: &mut Encoders) {
    encoders.enter::<limits::Writer>("limit-fused");
    #[cfg(feature = "calls")]
    match encoders.side() {
        Side::Server => encoders.enter::<calls::Call<ws_proto::Server>>("ours"),
        Side::Client => encoders.enter::<calls::Call<ws_proto::driver::Client>>("ours"),
    }
    peers::enter_calls(encoders);
}

/// The same message again and again, as to the members of a room.
fn prepared_calls() -> Cell {
    let one_by_one = encoders("calls", Side::Server, Some(Sending::OneByOne), 16 << 10);
    let messages = u32::try_from(one_by_one.count).unwrap_or(1);
    let cell = Cell::new("calls", "16 KiB Server, prepared".into(), messages);
    let mut encoders = Encoders { cell, ..one_by_one };
    encoders.enter::<limits::Writer>("limit-fused");
    #[cfg(feature = "calls")]
    encoders.enter::<calls::CallPrepared>("ours");
    peers::enter_calls(&mut encoders);
    encoders.cell
}

fn mask() -> Cells {
    const LENS: [usize; 9] = [8, 16, 32, 125, 1 << 10, 4 << 10, 16 << 10, 128 << 10, 1 << 20];
    let mut cells: Cells = Vec::new();
    for len in LENS {
        for offset in [0, 1, 7, 8, 31, 33, 63] {
            cells.push(Box::new(move || {
                let cell = Cell::new("mask", format!("{} at {offset}", bytes(len)), 1);
                let mut masks = Masks { cell, masked: Masked::new(len, offset) };
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
                let text = content.payload(len).into();
                let mut texts = Texts { cell: Cell::new("utf8", column, 1), text, piece_len };
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

fn handshakes() -> Cells {
    vec![
        Box::new(|| accepting("server, Chrome's 13 fields", REQUEST)),
        Box::new(|| accepting("server, 12 fields of 421 B", MIDDLING_REQUEST)),
        Box::new(|| accepting("server, Host and 4 fields", SHORT_REQUEST)),
        Box::new(opening),
    ]
}

fn accepting(column: &str, request: &'static [u8]) -> Cell {
    let mut handshakes = Handshakes { cell: Cell::new("handshake", column.into(), 1), request };
    handshakes.enter::<ours::Accept>("ours");
    peers::enter_handshakes(&mut handshakes);
    handshakes.cell
}

fn opening() -> Cell {
    let mut openings = Openings { cell: Cell::new("handshake", "client, a request and its answer".into(), 1) };
    openings.enter::<limits::Opener>("limit-copy");
    openings.enter::<ours::Opener>("ours");
    peers::enter_openings(&mut openings);
    openings.cell
}

/// All contenders with the same settings, then ours with each of its profiles.
fn deflated() -> Cells {
    let one = |column: &'static str, settings: Settings, enter: fn(&mut Echoes)| -> Box<dyn FnOnce() -> Cell> {
        Box::new(move || {
            let mut echoes = Echoes::new(column, settings);
            enter(&mut echoes);
            echoes.into_cell()
        })
    };
    vec![
        one("1 KiB JSON, level 6, window 15", deflate::common(), |echoes| {
            echoes.enter::<deflate::Shared<deflate::Common>>("ours");
            echoes.enter::<deflate::Own<deflate::Common>>("ours, own storage");
            peers::enter_echoes(echoes);
            echoes.enter_aside::<deflate::Shared<deflate::ShortBlocks>>("ours, memory level 4");
        }),
        one("small", Settings::small(), |echoes| echoes.enter::<deflate::Pooled>("ours")),
        one("balanced", Settings::balanced(), |echoes| {
            echoes.enter::<deflate::Shared<deflate::Balanced>>("ours");
        }),
        one("best_ratio", Settings::best_ratio(), |echoes| {
            echoes.enter::<deflate::Shared<deflate::BestRatio>>("ours");
        }),
    ]
}

fn bytes(len: usize) -> String {
    match len {
        0x10_0000.. if len.is_multiple_of(0x10_0000) => format!("{} MiB", len >> 20),
        0x400.. if len.is_multiple_of(0x400) => format!("{} KiB", len >> 10),
        _ => format!("{len} B"),
    }
}
