//! Compression of ws-std, ours to ours (RFC 7692).

use core::sync::atomic::Ordering;
use std::{io::Write, thread};

use ws_std::{
    Acceptor, Connector, Message, MessageKind, Part, WebSocket,
    deflate::{Settings, WindowBits},
    proto::deflate::Deflater,
    role::{Client, Role, Server},
};
use ws_tests::noise;

use crate::{open, sockets, transports::Counted};

/// Every profile by its name.
fn profiles() -> [(&'static str, Settings); 3] {
    [("small", Settings::small()), ("balanced", Settings::balanced()), ("best", Settings::best_ratio())]
}

/// How many bytes this side has written.
fn written<R: Role>(ws: &WebSocket<R, Counted>) -> usize {
    ws.transport().written.load(Ordering::Relaxed)
}

type Pair = (WebSocket<Client, Counted>, WebSocket<Server, Counted>);

fn open_with(connector: &Connector<'_>, acceptor: &Acceptor<'_>) -> Pair {
    let (client, server) = sockets();
    open((connector, Counted::new(client)), (acceptor, Counted::new(server)))
}

fn deflating(settings: Settings) -> Pair {
    open_with(&Connector::new().deflate(settings), &Acceptor::new().deflate(settings))
}

fn text(number: usize) -> String {
    format!("message {number}: {}", "the same again and again, ".repeat(100))
}

/// Sends texts and binaries, long, short and empty, and has them echoed; both sides compress.
fn exchange<A: Role, B: Role + Send>(ours: &mut WebSocket<A, Counted>, theirs: &mut WebSocket<B, Counted>) {
    let random = noise(100_000);
    let texts: Vec<_> = (0..3).map(text).collect();
    let mut messages: Vec<_> = texts.iter().map(|text| Message::Text(text)).collect();
    messages.extend([
        Message::Text(""),
        Message::Text("é"),
        Message::Binary(b""),
        Message::Binary(&random),
        Message::Binary(texts[0].as_bytes()),
    ]);
    thread::scope(|scope| {
        let count = messages.len();
        scope.spawn(move || {
            for _ in 0..count {
                let mut received = theirs.read().unwrap().unwrap();
                received.reply.send(received.message).unwrap();
            }
        });
        for message in messages {
            ours.send(message).unwrap();
            assert!(ours.read().unwrap().unwrap().message == message);
        }
    });
}

// R7692-6.1 R7692-6-2
#[test]
fn messages_go_both_ways_compressed_in_every_profile() {
    for (name, settings) in profiles() {
        let (mut client, mut server) = deflating(settings);
        assert!(client.is_compressed() && server.is_compressed());
        exchange(&mut client, &mut server);
        exchange(&mut server, &mut client);
        // Fewer bytes than plain ones would be.
        let before = (written(&client), written(&server));
        client.send(text(0).as_str()).unwrap();
        assert_eq!(server.read().unwrap().unwrap().message, Message::Text(&text(0)));
        server.send(text(1).as_str()).unwrap();
        assert_eq!(client.read().unwrap().unwrap().message, Message::Text(&text(1)));
        let sent = written(&client) - before.0;
        let replied = written(&server) - before.1;
        assert!(sent < 200 && replied < 200, "{name}: {sent} and {replied} bytes of {}", text(0).len());
    }
}

#[test]
fn every_profile_speaks_to_every_other_and_to_one_that_does_not_compress() {
    for (_, ours) in profiles() {
        for (_, theirs) in profiles() {
            let (mut client, mut server) =
                open_with(&Connector::new().deflate(ours), &Acceptor::new().deflate(theirs));
            exchange(&mut client, &mut server);
            exchange(&mut server, &mut client);
        }
        let (mut client, mut server) = open_with(&Connector::new().deflate(ours), &Acceptor::new());
        exchange(&mut client, &mut server);
        let (mut client, mut server) = open_with(&Connector::new(), &Acceptor::new().deflate(ours));
        exchange(&mut server, &mut client);
    }
}

/// Sends a text in parts that end anywhere, and through a writer, and reads both whole and in parts.
fn parts<A: Role, B: Role>(ours: &mut WebSocket<A, Counted>, theirs: &mut WebSocket<B, Counted>) {
    let whole = text(7);
    let (begin, end) = whole.split_at(1_001);
    for _ in 0..2 {
        ours.send_part(MessageKind::Text, Part::First, begin.as_bytes()).unwrap();
        ours.ping(b"between").unwrap();
        ours.send_part(MessageKind::Text, Part::Last, end.as_bytes()).unwrap();
        let mut writer = ours.message_writer(MessageKind::Text);
        writer.write_all(whole.as_bytes()).unwrap();
        writer.finish().unwrap();
    }
    for _ in 0..2 {
        assert_eq!(theirs.read().unwrap().unwrap().message, Message::Text(&whole));
    }
    for _ in 0..2 {
        let mut received = String::new();
        loop {
            let part = theirs.read_part().unwrap().unwrap();
            assert_eq!(part.data.kind(), MessageKind::Text);
            received.push_str(core::str::from_utf8(part.data.as_bytes()).unwrap());
            if part.data.part().is_last() {
                break;
            }
        }
        assert_eq!(received, whole);
    }
}

#[test]
fn parts_are_compressed_and_can_be_read_in_parts_in_every_profile() {
    for (_, settings) in profiles() {
        let (mut client, mut server) = deflating(settings);
        parts(&mut client, &mut server);
        parts(&mut server, &mut client);
        exchange(&mut client, &mut server);
    }
}

#[test]
fn halves_of_a_connection_compress_too() {
    for (_, settings) in profiles() {
        let (client, server) = deflating(settings);
        let ((mut from_server, mut to_server), (mut from_client, mut to_client)) =
            (client.split(), server.split());
        thread::scope(|scope| {
            scope.spawn(move || {
                for number in 0..50 {
                    to_server.send(text(number).as_str()).unwrap();
                }
                to_server
            });
            scope.spawn(move || {
                for number in 0..50 {
                    to_client.send(text(number).as_str()).unwrap();
                }
                to_client
            });
            scope.spawn(move || {
                for number in 0..50 {
                    assert_eq!(from_server.read().unwrap(), Some(Message::Text(&text(number))));
                }
            });
            for number in 0..50 {
                assert_eq!(from_client.read().unwrap(), Some(Message::Text(&text(number))));
            }
        });
    }
}

// K-pool
#[test]
fn connections_of_one_acceptor_do_not_disturb_each_others_compression() {
    for (_, settings) in profiles() {
        let (connector, acceptor) = (Connector::new().deflate(settings), Acceptor::new().deflate(settings));
        let mut pairs: Vec<_> = (0..3).map(|_| open_with(&connector, &acceptor)).collect();
        // In turn, so that each takes what another has just given back, also in the middle of a message.
        for number in 0..5 {
            for (client, server) in &mut pairs {
                server.send_part(MessageKind::Text, Part::First, text(number).as_bytes()).unwrap();
                client.send_part(MessageKind::Text, Part::First, text(number).as_bytes()).unwrap();
            }
            for (client, server) in &mut pairs {
                server.send_part(MessageKind::Text, Part::Last, b"!").unwrap();
                client.send_part(MessageKind::Text, Part::Last, b"!").unwrap();
            }
            let whole = text(number) + "!";
            for (client, server) in &mut pairs {
                assert_eq!(client.read().unwrap().unwrap().message, Message::Text(&whole));
                assert_eq!(server.read().unwrap().unwrap().message, Message::Text(&whole));
            }
        }
    }
}

#[test]
fn message_compressed_once_reaches_every_client_that_can_take_it() {
    let settings = Settings::small();
    let prepared = Deflater::new(settings).prepare(Message::Text(&text(0)), settings.server_max_window_bits);
    assert_eq!(prepared.window_bits(), WindowBits::new(10));
    let acceptor = Acceptor::new().deflate(settings);
    for _ in 0..3 {
        let (mut client, mut server) = open_with(&Connector::new().deflate(settings), &acceptor);
        let before = written(&server);
        server.send_prepared(&prepared).unwrap();
        assert!(written(&server) - before < 200);
        assert_eq!(client.read().unwrap().unwrap().message, Message::Text(&text(0)));
        // From a half as well, and between other messages.
        let (_reader, mut writer) = server.split();
        writer.send(text(1).as_str()).unwrap();
        writer.send_prepared(&prepared).unwrap();
        assert_eq!(client.read().unwrap().unwrap().message, Message::Text(&text(1)));
        assert_eq!(client.read().unwrap().unwrap().message, Message::Text(&text(0)));
    }
    // One that has not agreed to it gets none of it.
    let (mut client, mut server) = open_with(&Connector::new(), &acceptor);
    assert!(server.send_prepared(&prepared).is_err());
    server.send("plain").unwrap();
    assert_eq!(client.read().unwrap().unwrap().message, Message::Text("plain"));
}

#[test]
fn memory_for_compression_is_a_connections_own_only_where_something_is_remembered() {
    for (name, settings) in profiles() {
        let (mut client, mut server) = deflating(settings);
        let held = server.held_bytes();
        server.send(text(0).as_str()).unwrap();
        assert_eq!(client.read().unwrap().unwrap().message, Message::Text(&text(0)));
        let own = server.held_bytes() - held;
        assert_eq!(own == 0, settings.server_no_context_takeover, "{name}: {own}");
    }
}
