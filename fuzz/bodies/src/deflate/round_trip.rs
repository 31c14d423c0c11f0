//! A message that one side compresses reaches the other as it was.

use ws_proto::{
    Client, Config, Endpoint, Event, Message, MessageBuffer, MessageKind, Part, Server,
    deflate::{Deflater, Inflater, Settings},
    role::{Role, Side},
};

use super::{NOW, agreed, owned, settings, window_bits};
use crate::{
    choices::{Choices, Keys},
    reference::Told,
};

/// Each message of one side, compressed or not, whole or in parts, reaches the other, for any agreed parameters.
pub fn deflate_round_trip(data: &[u8]) {
    let (mut choices, script) = Choices::split(data);
    let mode = choices.take();
    let [mut ours, mut theirs] = [settings(&mut choices), settings(&mut choices)];
    for settings in [&mut ours, &mut theirs] {
        settings.server_max_window_bits = settings.server_max_window_bits.max(window_bits(6));
    }
    let [near, far] = agreed(&ours, &theirs);
    let client = Endpoint::new(Client::new(Keys::new(0)), &Config::new(), near, NOW);
    let server = Endpoint::new(Server, &Config::new(), far, NOW);
    if mode & 1 == 0 {
        converse(client, server, ours, |_, _, _, _| false, mode, choices, script);
    } else {
        converse(server, client, theirs, share, mode, choices, script);
    }
}

/// Sends a message as a server does that has it prepared for many.
fn share(
    server: &mut Endpoint<Server>,
    message: Message<'_>,
    deflater: &mut Deflater,
    wire: &mut Vec<u8>,
) -> bool {
    let agreed = server.deflate().expect("agreed");
    let prepared = deflater.prepare(message, agreed.max_window_bits(Side::Server));
    let fits = agreed.no_context_takeover(Side::Server) || prepared.window_bits().is_none();
    assert_eq!(server.send_prepared(&prepared).is_ok(), fits);
    if fits {
        wire.extend(prepared.slices().concat());
    }
    fits
}

#[allow(clippy::too_many_arguments, reason = "the two directions differ in types")]
fn converse<A: Role, B: Role>(
    mut near: Endpoint<A>,
    far: Endpoint<B>,
    settings: Settings,
    share: fn(&mut Endpoint<A>, Message<'_>, &mut Deflater, &mut Vec<u8>) -> bool,
    mode: u8,
    mut choices: Choices<'_>,
    mut script: &[u8],
) {
    let (mut deflater, mut sharer) = (Deflater::new(settings), Deflater::new(settings));
    let (mut wire, mut expected): (Vec<u8>, Vec<Told>) = Default::default();
    let mut earlier = Vec::new();
    while let [action, len, rest @ ..] = script {
        if expected.len() > 100 || wire.len() > 200_000 {
            break;
        }
        let (payload, rest) = rest.split_at(rest.len().min(usize::from(*len)));
        script = rest;
        let times = if action & 0x80 != 0 { 1 + usize::from(choices.take()) } else { 1 };
        let mut payload = payload.repeat(times);
        if action & 0x40 != 0 {
            payload.extend(&earlier);
            payload.truncate(100_000);
        }
        earlier.clone_from(&payload);
        let message = Message::new(MessageKind::Text, &payload).unwrap_or(Message::Binary(&payload));
        match action % 8 {
            0 | 1 => near.write_deflated_to(message, &mut deflater, &mut wire).expect("open"),
            2 => near.write_to(message, &mut wire).expect("open"),
            3 => {
                if !share(&mut near, message, &mut sharer, &mut wire) {
                    near.write_deflated_to(message, &mut deflater, &mut wire).expect("open");
                }
            }
            4 => {
                let mut out = [0; 131];
                let len = near.write_ping(&[], &mut out).expect("room");
                wire.extend(&out[..len]);
                expected.push(Told::Ping(vec![]));
                continue;
            }
            5 => {
                deflater.forget();
                continue;
            }
            _ => write_parts(&mut near, message, &mut deflater, &mut choices, &mut wire),
        }
        if near.deflate().expect("agreed").no_context_takeover(A::SIDE) {
            assert!(deflater.is_idle());
        }
        expected.push(owned(message));
    }
    let pieces = choices.pieces(wire.len());
    let pieces: Vec<&[u8]> = pieces.into_iter().map(|piece| &wire[piece]).collect();
    assert_eq!(hear(far, &pieces, mode), expected);
}

fn write_parts<R: Role>(
    near: &mut Endpoint<R>,
    message: Message<'_>,
    deflater: &mut Deflater,
    choices: &mut Choices<'_>,
    wire: &mut Vec<u8>,
) {
    let payload = message.as_bytes();
    let mut rest = payload;
    let mut part = Part::First;
    for _ in 0..choices.take() % 16 {
        let (piece, behind) =
            rest.split_at(rest.len().min(usize::from(choices.take()) * payload.len().div_ceil(64)));
        rest = behind;
        near.write_part_deflated_to(message.kind(), part, piece, deflater, wire).expect("in order");
        part = Part::Middle;
    }
    let part = if part == Part::First { Part::Whole } else { Part::Last };
    near.write_part_deflated_to(message.kind(), part, rest, deflater, wire).expect("in order");
}

/// Receives in one of three ways.
fn hear<R: Role>(mut far: Endpoint<R>, pieces: &[&[u8]], mode: u8) -> Vec<Told> {
    let mut told = Vec::new();
    let mut begun = Vec::new();
    let mut buffer = MessageBuffer::new(vec![]);
    let alone = far.deflate().expect("agreed").no_context_takeover(R::SIDE.peer());
    let mut pool: Vec<Box<Inflater>> = Vec::new();
    for piece in pieces {
        if mode & 2 == 0 {
            let mut bytes = piece.to_vec();
            let mut input = &mut bytes[..];
            while let Some(found) = buffer.next_in(&mut far, NOW, &mut input).expect("all is well") {
                told.push(match found {
                    Event::Data(message) => owned(message),
                    _ => Told::Ping(vec![]),
                });
                while far.poll_transmit().is_some() {}
            }
        } else {
            let mut piece = *piece;
            while !piece.is_empty() {
                let room = buffer.unfilled(&far);
                let (read, rest) = piece.split_at(room.len().min(piece.len()));
                room[..read.len()].copy_from_slice(read);
                buffer.filled(read.len());
                piece = rest;
                take(&mut far, &mut buffer, mode, &mut begun, &mut told);
            }
        }
        // Between messages an inflater that has nothing to remember serves others.
        if let Some(inflater) = buffer.take_inflater() {
            assert!(inflater.is_idle());
            pool.push(inflater);
        }
        if buffer.is_empty() && mode & 8 != 0 {
            if let Some(inflater) = pool.pop().filter(|_| alone) {
                buffer.set_inflater(inflater);
            }
        }
    }
    assert!(begun.is_empty());
    told
}

fn take<R: Role>(
    far: &mut Endpoint<R>,
    buffer: &mut MessageBuffer<Vec<u8>>,
    mode: u8,
    begun: &mut Vec<u8>,
    told: &mut Vec<Told>,
) {
    loop {
        if mode & 4 == 0 {
            match buffer.next(far, NOW).expect("all is well") {
                Some(Event::Data(message)) => told.push(owned(message)),
                Some(_) => told.push(Told::Ping(vec![])),
                None => return,
            }
        } else {
            match buffer.next_part(far, NOW).expect("all is well") {
                Some(Event::Data(())) => {
                    let data = buffer.take_part().expect("told");
                    told.extend(Told::message(begun, &data));
                }
                Some(_) => told.push(Told::Ping(vec![])),
                None => return,
            }
        }
        while far.poll_transmit().is_some() {}
    }
}
