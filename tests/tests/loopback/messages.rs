use core::{sync::atomic::Ordering, time::Duration};
use std::{
    io::{Read, Write},
    thread,
};

use ws_std::{Acceptor, Config, Connector, Control, Event, Message, MessageKind, Part, Prepared};
use ws_tests::{FIN, TEXT, masked, noise};

use crate::{SHORT, big, is_timeout, open, pair, pair_with, peer::Peer, sockets, transports::Counted};

// R5.1-1, R5.1-3, R5.4-1, R5.6-1
#[test]
fn messages_of_every_size_go_both_ways() {
    let (mut client, mut server) = pair_with(big(), big());
    let text = "é".repeat(1 << 19);
    let bytes = noise(3 << 20);
    let messages = [
        Message::Text(""),
        Message::Binary(b""),
        Message::Text("hello"),
        Message::Binary(&bytes[..125]),
        Message::Binary(&bytes[..126]),
        Message::Text(&text),
        Message::Binary(&bytes[..65_536]),
        Message::Binary(&bytes),
    ];
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..messages.len() {
                let mut received = server.read().unwrap().unwrap();
                received.reply.queue(received.message).unwrap();
            }
            server.flush().unwrap();
            server
        });
        for message in messages {
            client.send(message).unwrap();
            assert!(client.read().unwrap().unwrap().message == message);
        }
    });
}

#[test]
fn memory_is_what_is_needed_and_given_back() {
    let (mut client, mut server) = pair_with(big(), big());
    // What the opening handshake was read to.
    assert!(server.held_bytes() <= 4 * 1024 && client.held_bytes() <= 4 * 1024);
    let bytes = noise(2 << 20);
    thread::scope(|scope| {
        scope.spawn(|| client.send(bytes.as_slice()).unwrap());
        assert_eq!(server.read().unwrap().unwrap().message.as_bytes().len(), bytes.len());
    });
    let held = server.held_bytes();
    assert!((bytes.len()..2 * bytes.len() + 64 * 1024).contains(&held), "{held}");
    server.set_read_timeout(Some(SHORT));
    assert!(is_timeout(server.read()));
    assert!(server.held_bytes() <= 64 * 1024, "{}", server.held_bytes());
    assert!(client.held_bytes() <= 64 * 1024, "{}", client.held_bytes());
}

#[test]
fn replies_to_messages_that_came_together_are_written_together() {
    let (client, server) = sockets();
    let (mut client, mut server) =
        open((&Connector::new(), Counted::new(client)), (&Acceptor::new(), Counted::new(server)));
    let before = client.transport().writes.load(Ordering::Relaxed);
    for number in 0_u8..100 {
        client.queue(&[number]).unwrap();
    }
    // Not a byte has left: the server would have to wait.
    assert_eq!(client.transport().writes.load(Ordering::Relaxed), before);
    client.flush().unwrap();
    assert_eq!(client.transport().writes.load(Ordering::Relaxed), before + 1);

    let before = server.transport().writes.load(Ordering::Relaxed);
    for _ in 0..100 {
        let mut received = server.read().unwrap().unwrap();
        received.reply.queue(received.message).unwrap();
    }
    assert_eq!(server.transport().writes.load(Ordering::Relaxed), before);
    // They go out before the server waits for the next message, and at once if it says so.
    server.set_read_timeout(Some(Duration::from_millis(1)));
    assert!(is_timeout(server.read()));
    assert_eq!(server.transport().writes.load(Ordering::Relaxed), before + 1);
    for number in 0_u8..100 {
        assert_eq!(client.read().unwrap().unwrap().message, Message::Binary(&[number]));
    }
}

#[test]
fn replies_are_written_as_soon_as_64_kib_have_come_together() {
    let (client, server) = sockets();
    let (_client, mut server) = open((&Connector::new(), client), (&Acceptor::new(), Counted::new(server)));
    let before = server.transport().writes.load(Ordering::Relaxed);
    for _ in 0..63 {
        server.queue(&[0; 1_024]).unwrap();
    }
    assert_eq!(server.transport().writes.load(Ordering::Relaxed), before);
    // With another one they would be more than what is best written at once.
    server.queue(&[0; 1_024]).unwrap();
    assert_eq!(server.transport().writes.load(Ordering::Relaxed), before + 1);
    assert_eq!(server.pending_len(), 1_028);
}

#[test]
fn big_payload_of_a_server_is_not_copied() {
    let (client, server) = sockets();
    let (mut client, mut server) = open((&Connector::new(), client), (&Acceptor::new(), server));
    thread::scope(|scope| {
        let payload = noise(1 << 20);
        scope.spawn(move || {
            server.queue("before").unwrap();
            server.send(payload.as_slice()).unwrap();
            server.send("behind").unwrap();
            assert!(server.held_bytes() <= 16 * 1024 + 4 * 1024, "{}", server.held_bytes());
        });
        assert_eq!(client.read().unwrap().unwrap().message, Message::Text("before"));
        assert!(client.read().unwrap().unwrap().message == Message::Binary(&noise(1 << 20)));
        assert_eq!(client.read().unwrap().unwrap().message, Message::Text("behind"));
    });
}

// R5.4-1, R6.1-1, R6.2-1
#[test]
fn message_in_parts_is_one_message() {
    let (mut client, mut server) = pair();
    client.send_part(MessageKind::Text, Part::First, "gr".as_bytes()).unwrap();
    // A part may end inside a code point.
    client.send_part(MessageKind::Text, Part::Middle, &"ü".as_bytes()[..1]).unwrap();
    assert!(client.send("no").is_err());
    client.ping(b"between").unwrap();
    // But the message may not.
    assert!(client.send_part(MessageKind::Text, Part::Last, b"").is_err());
    client.send_part(MessageKind::Text, Part::Last, &"ün".as_bytes()[1..]).unwrap();
    assert_eq!(server.read_event().unwrap(), Some(Event::Control(Control::Ping)));
    assert_eq!(&*server.control_payload(), b"between");
    assert_eq!(server.read().unwrap().unwrap().message, Message::Text("grün"));
}

#[test]
fn writer_and_parts_carry_a_message_that_nobody_holds() {
    const LEN: usize = 2 << 20;
    let mut config = Config::new();
    config.max_message_len = u64::MAX;
    let (mut client, mut server) = pair_with(config.clone(), config);
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut writer = client.message_writer(MessageKind::Binary);
            for chunk in noise(LEN).chunks(10_000) {
                writer.write_all(chunk).unwrap();
            }
            writer.finish().unwrap();
            assert!(client.held_bytes() < 256 * 1024, "{}", client.held_bytes());
            client.send("done").unwrap();
        });
        let mut received = Vec::<u8>::new();
        loop {
            let part = server.read_part().unwrap().unwrap();
            received.extend(part.data.as_bytes());
            if part.data.part().is_last() {
                break;
            }
            assert!(server.held_bytes() < 256 * 1024, "{}", server.held_bytes());
        }
        assert!(received == noise(LEN));
        assert_eq!(server.read().unwrap().unwrap().message, Message::Text("done"));
    });
}

// R5.5.2-1, R5.5.3-1
#[test]
fn ping_is_answered_inside_read_and_told_by_read_event() {
    let (mut client, mut server) = pair();
    client.ping(b"are you there?").unwrap();
    client.send("text").unwrap();
    assert_eq!(server.read().unwrap().unwrap().message, Message::Text("text"));
    server.flush().unwrap();
    assert_eq!(client.read_event().unwrap(), Some(Event::Control(Control::Pong)));
    assert_eq!(&*client.control_payload(), b"are you there?");
    assert!(client.ping(&[0; 126]).is_err());
}

#[test]
fn message_encoded_once_reaches_every_client() {
    let prepared = Prepared::new(MessageKind::Text, noise(0)).unwrap();
    let long = Prepared::new(MessageKind::Binary, noise(100_000)).unwrap();
    for _ in 0..3 {
        let (mut client, mut server) = pair();
        server.send_prepared(&prepared).unwrap();
        server.send_prepared(&long).unwrap();
        assert_eq!(client.read().unwrap().unwrap().message, Message::Text(""));
        assert!(client.read().unwrap().unwrap().message == Message::Binary(&noise(100_000)));
    }
}

#[test]
fn peer_that_reads_nothing_is_not_read_from_and_costs_little() {
    let acceptor = Acceptor::new().write_timeout(Some(4 * SHORT));
    let (mut peer, mut ws) = Peer::client(&acceptor);
    thread::scope(|scope| {
        let serving = scope.spawn(move || {
            let error = loop {
                match ws.read() {
                    Ok(Some(mut received)) => {
                        if let Err(error) = received.reply.queue(received.message) {
                            break error;
                        }
                    }
                    Ok(None) => panic!("closed"),
                    Err(error) => break error,
                }
            };
            (ws.held_bytes(), error)
        });
        peer.stream.set_write_timeout(Some(SHORT)).unwrap();
        let message = masked(FIN | TEXT, &[b'x'; 10_000]);
        let mut sent = 0_usize;
        while !serving.is_finished() {
            sent += peer.stream.write(&message[sent % message.len()..]).unwrap_or(0);
        }
        let (held, error) = serving.join().unwrap();
        assert!(is_timeout::<()>(Err(error)));
        // What waits to be written, and what was read last.
        assert!(held <= 2 * (64 * 1024 + 10_000) + 64 * 1024, "{held}");
        // The rest is in the system's own buffers.
        assert!(sent < 100 << 20, "{sent}");
    });
    let mut some = [0; 2];
    peer.stream.read_exact(&mut some).unwrap();
}
