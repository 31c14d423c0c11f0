//! The workloads, and who takes part in which.

use ws_proto::{deflate::Settings, role::Side};

use crate::{
    Content,
    cells::{Decoders, Encoders, Handshakes, Masks, Openings, Texts},
    client_frames,
    contender::Sending,
    deflate::{self, Echoes},
    fragments, limits,
    measure::Cell,
    ours, peers,
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
        "deflate" => deflated(),
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
    enter_limits(&mut decoders);
    enter_decoders(&mut decoders);
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
    // Holds a pass of 64 KiB with its headers: messages that a read cuts are measured by another group.
    decoders.enter::<ours::Shared<{ 80 << 10 }>>("ours");
    decoders.enter::<ours::Shared<{ 8 << 10 }>>("ours, 8 KiB reads");
    decoders.enter::<ours::Own>("ours, own storage");
    peers::enter_decoders(decoders);
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
                    enter_encoders(&mut encoders);
                    encoders.cell
                }));
            }
        }
    }
    cells
}

fn enter_encoders(encoders: &mut Encoders) {
    encoders.enter::<limits::Writer>("limit-fused");
    match encoders.side() {
        Side::Server => encoders.enter::<ours::ServerSender>("ours"),
        Side::Client => {
            encoders.enter::<ours::ClientSender<{ usize::MAX }>>("ours");
            encoders.enter::<ours::ClientSender<{ 8 << 10 }>>("ours, 8 KiB writes");
        }
    }
    peers::enter_encoders(encoders);
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

fn accepting() -> Cell {
    let cell = Cell::new("handshake", "server, Chrome's request".into(), 1);
    let mut handshakes = Handshakes { cell };
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
        ..0x400 => format!("{len} B"),
        0x400..0x10_0000 => format!("{} KiB", len >> 10),
        _ => format!("{} MiB", len >> 20),
    }
}
