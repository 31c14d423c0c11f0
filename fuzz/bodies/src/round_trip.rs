use ws_proto::{
    Cause, Client, CloseCode, Closed, Config, Control, Endpoint, Event, Instant, Message, MessageKind, Part,
    Server, State, Transmit,
    endpoint::{Negotiated, Prepared},
    role::Role,
};

use super::{
    choices::{Choices, Keys},
    reference::Told,
};

const NOW: Instant = Instant::ZERO;

/// Each message of one side, by any way of sending it and cut anywhere, reaches the other, and both close in good order.
pub fn round_trip(data: &[u8]) {
    let (mut choices, script) = Choices::split(data);
    let client = Endpoint::new(Client::new(Keys::new(0)), &Config::new(), Negotiated::default(), NOW);
    let server = Endpoint::new(Server, &Config::new(), Negotiated::default(), NOW);
    if choices.take() & 1 == 0 {
        run(client, server, |client, message, out| client.write_to(message, out).expect("open"), choices, script);
    } else {
        run(server, client, share, choices, script);
    }
}

/// The ways to send that only a server has.
fn share(server: &mut Endpoint<Server>, message: Message<'_>, out: &mut Vec<u8>) {
    let prepared = Prepared::new(message.kind(), message.as_bytes()).expect("valid");
    if message.as_bytes().len() % 2 == 0 {
        server.send_prepared(&prepared).expect("open");
        out.extend(prepared.slices().concat());
    } else {
        let shared = server.send_shared(message).expect("open").slices().concat();
        assert_eq!(shared, prepared.slices().concat());
        out.extend(shared);
    }
}

fn run<A: Role, B: Role>(
    mut near: Endpoint<A>,
    mut far: Endpoint<B>,
    share: impl Fn(&mut Endpoint<A>, Message<'_>, &mut Vec<u8>),
    mut choices: Choices<'_>,
    mut script: &[u8],
) {
    let mut wire = Vec::new();
    let mut expected = Vec::new();
    while let [action, len, rest @ ..] = script {
        let (payload, rest) = rest.split_at(rest.len().min(usize::from(*len)));
        script = rest;
        let times = if action & 0x80 != 0 { 1 + usize::from(choices.take()) } else { 1 };
        let payload = payload.repeat(times);
        let sent = match action % 8 {
            6 | 7 => send_control(&mut near, action % 8, &payload, &mut wire),
            _ if wire.len() > 150_000 => continue,
            4 | 5 => send_parts(&mut near, *action, &payload, &mut choices, &mut wire, &mut expected),
            3 => {
                let message = message(&payload);
                share(&mut near, message, &mut wire);
                Told::Message(message.kind(), payload)
            }
            action => send_whole(&mut near, action, &payload, &mut wire),
        };
        expected.push(sent);
    }
    let pings = expected.iter().filter_map(|told| match told {
        Told::Ping(payload) => Some(Told::Pong(payload.clone())),
        _ => None,
    });
    let mut answers: Vec<Told> = pings.collect();
    let mut close = [0; 131];
    let code = [CloseCode::NORMAL, CloseCode::NO_STATUS, CloseCode::new(4000)][usize::from(choices.take() % 3)];
    let reason = if code == CloseCode::NO_STATUS { "" } else { "é" };
    let len = near.write_close(NOW, code, reason, &mut close).expect("open");
    wire.extend(&close[..len]);
    expected.push(Told::Close(code, reason.into()));
    answers.push(Told::Close(code, String::new()));

    let mut replies = Vec::new();
    assert_eq!(receive(&mut far, wire, &mut choices, &mut replies), expected);
    let mut none = Vec::new();
    assert_eq!(receive(&mut near, replies, &mut choices, &mut none), answers);
    assert_eq!(none, []);
    near.receive_eof();
    far.receive_eof();
    assert_eq!(near.state(), State::Closed(Closed { clean: true, code, cause: Cause::Local }));
    assert_eq!(far.state(), State::Closed(Closed { clean: true, code, cause: Cause::Peer }));
}

/// A text wherever it can be one.
fn message(payload: &[u8]) -> Message<'_> {
    Message::new(MessageKind::Text, payload).unwrap_or(Message::Binary(payload))
}

fn send_whole<R: Role>(near: &mut Endpoint<R>, action: u8, payload: &[u8], wire: &mut Vec<u8>) -> Told {
    let message = message(payload);
    match action {
        0 => {
            let mut out = vec![0xEE; payload.len() + 14];
            let len = near.write(message, &mut out).expect("open");
            wire.extend(&out[..len]);
        }
        1 => near.write_to(message, wire).expect("open"),
        _ => {
            let mut bytes = payload.to_vec();
            wire.extend(near.send(message.kind(), Part::Whole, &mut bytes).expect("open").slices().concat());
        }
    }
    Told::Message(message.kind(), payload.to_vec())
}

/// Sends fragments with a Ping behind each but the last; the pieces may be cut inside a character.
fn send_parts<R: Role>(
    near: &mut Endpoint<R>,
    action: u8,
    payload: &[u8],
    choices: &mut Choices<'_>,
    wire: &mut Vec<u8>,
    told: &mut Vec<Told>,
) -> Told {
    let kind = message(payload).kind();
    let mut rest = payload;
    let mut part = Part::First;
    for _ in 0..1 + choices.take() % 16 {
        let (piece, behind) =
            rest.split_at(rest.len().min(usize::from(choices.take()) * payload.len().div_ceil(64)));
        rest = behind;
        near.write_part_to(kind, part, piece, wire).expect("in order");
        part = Part::Middle;
        if action & 8 != 0 {
            told.push(send_control(near, 6, &[action], wire));
        }
    }
    if action & 1 == 0 {
        near.write_part_to(kind, Part::Last, rest, wire).expect("in order");
    } else {
        let mut out = vec![0xEE; rest.len() + 14];
        let len = near.write_part(kind, Part::Last, rest, &mut out).expect("in order");
        wire.extend(&out[..len]);
    }
    Told::Message(kind, payload.to_vec())
}

fn send_control<R: Role>(near: &mut Endpoint<R>, action: u8, payload: &[u8], wire: &mut Vec<u8>) -> Told {
    let payload = &payload[..payload.len().min(125)];
    let mut out = [0xEE; 131];
    let (len, told) = if action == 6 {
        (near.write_ping(payload, &mut out), Told::Ping(payload.to_vec()))
    } else {
        (near.write_pong(payload, &mut out), Told::Pong(payload.to_vec()))
    };
    wire.extend(&out[..len.expect("room")]);
    told
}

/// Receives `wire` in pieces, gathering replies.
fn receive<R: Role>(
    endpoint: &mut Endpoint<R>,
    mut wire: Vec<u8>,
    choices: &mut Choices<'_>,
    replies: &mut Vec<u8>,
) -> Vec<Told> {
    let mut told = Vec::new();
    let mut message = Vec::new();
    for piece in choices.pieces(wire.len()) {
        let mut input = &mut wire[piece];
        while let Some(event) = endpoint.receive(NOW, &mut input).expect("no error of the peer's") {
            match event {
                Event::Data(data) => {
                    told.extend(Told::message(&mut message, &data));
                }
                Event::Control(Control::Ping) => told.push(Told::Ping(endpoint.control_payload().to_vec())),
                Event::Control(Control::Pong) => told.push(Told::Pong(endpoint.control_payload().to_vec())),
                Event::Control(Control::Close) => {
                    let (code, reason) = endpoint.close_frame().expect("told");
                    told.push(Told::Close(code, reason.into()));
                }
            }
            while let Some(transmit) = endpoint.poll_transmit() {
                if let Transmit::Control(frame) = transmit {
                    replies.extend(frame.as_bytes());
                }
            }
        }
    }
    told
}
