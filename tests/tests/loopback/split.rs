use core::time::Duration;
use std::{
    io::{Read, Write},
    sync::mpsc,
    thread,
    time::Instant,
};

use ws_std::{
    Acceptor, Cause, CloseCode, Config, Connector, Control, Duplex, Error, Event, Message, MessageKind, Part,
    Prepared, Reader, Socket, WebSocket, Writer, role::Role,
};
use ws_tests::{CLOSE, PING, PONG, frame, masked, noise, parse};

use crate::{
    NEVER, PATIENCE, SHORT, big, is_timeout, open, pair, pair_with,
    peer::{Peer, code},
    sockets,
};

/// Sends `count` messages of `len` bytes, numbered, and receives as many of the peer's.
fn flood<R: Role + Send, T: Duplex>(
    (mut reader, mut writer): (Reader<R, T>, Writer<R, T>),
    count: u32,
    len: usize,
) -> ws_std::Result<()> {
    thread::scope(|scope| {
        let sending = scope.spawn(move || {
            let mut payload = noise(len);
            for number in 0..count {
                payload[..4].copy_from_slice(&number.to_be_bytes());
                writer.send(payload.as_slice())?;
            }
            Ok(())
        });
        let receiving = scope.spawn(move || {
            for number in 0..count {
                let Some(Message::Binary(payload)) = reader.read()? else {
                    panic!("the connection ended after {number} messages");
                };
                assert_eq!((payload.len(), &payload[..4]), (len, number.to_be_bytes().as_slice()));
            }
            // The peer may still be waiting for an answer to a Ping: whoever is first done says so.
            Ok::<_, Error>(())
        });
        receiving.join().unwrap()?;
        sending.join().unwrap()
    })
}

/// Both sides send and receive at once; nobody stops reading while it writes.
fn flood_both_ways(count: u32, len: usize) {
    let (client, server) = sockets();
    for socket in [&client, &server] {
        // So that a write which nobody reads is stuck soon.
        socket.as_socket2().set_send_buffer_size(64 * 1024).unwrap();
        socket.as_socket2().set_recv_buffer_size(64 * 1024).unwrap();
    }
    let (client, server) = open(
        (&Connector::new().config(big()).write_timeout(Some(PATIENCE)), client),
        (&Acceptor::new().config(big()).write_timeout(Some(PATIENCE)), server),
    );
    thread::scope(|scope| {
        let ours = scope.spawn(move || flood(client.split(), count, len));
        flood(server.split(), count, len).unwrap();
        ours.join().unwrap().unwrap();
    });
}

#[test]
fn both_directions_carry_32_mib_of_big_messages_at_once() {
    flood_both_ways(8, 4 << 20);
}

#[test]
fn both_directions_carry_thousands_of_small_messages_at_once() {
    flood_both_ways(16 * 1024, 1024);
}

// R5.5.2-1
#[test]
fn ping_during_a_long_write_is_answered_behind_it() {
    for flushed in [true, false] {
        let (mut peer, ws) = Peer::client(&Acceptor::new());
        let (mut reader, mut writer) = ws.split();
        thread::scope(|scope| {
            let message = vec![0; 24 << 20];
            let writing = scope.spawn(move || {
                writer.queue(message.as_slice()).unwrap();
                if flushed {
                    writer.flush().unwrap();
                }
                writer
            });
            let reading = scope.spawn(move || while let Ok(Some(_)) = reader.read_event() {});
            // The message does not fit in the system's buffers: its writer is stuck once its beginning is here.
            let mut start = [0; 10];
            peer.stream.read_exact(&mut start).unwrap();
            peer.send(&masked(PING, b"are you there?"));
            // Two Pings: when the second event is told the first has been drained.
            let mut payload = vec![0; 24 << 20];
            peer.stream.read_exact(&mut payload).unwrap();
            assert_eq!(peer.frame(), parse(&frame(PONG, b"are you there?"))[0]);
            writing.join().unwrap();
            drop(peer);
            reading.join().unwrap();
        });
    }
}

#[test]
fn ping_flood_during_a_long_write_is_not_hoarded() {
    const PINGS: usize = 20_000;
    let (mut peer, ws) = Peer::client(&Acceptor::new());
    let (mut reader, mut writer) = ws.split();
    let (all_received, received) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || writer.send(vec![0; 24 << 20].as_slice()).unwrap());
        scope.spawn(move || {
            let mut pings = 0;
            while let Ok(Some(event)) = reader.read_event() {
                pings += usize::from(matches!(event, Event::Control(Control::Ping)));
                if pings == PINGS {
                    all_received.send(()).unwrap();
                }
            }
        });
        // The writer is stuck once its message's beginning is here.
        let mut payload = vec![0; 24 << 20];
        peer.stream.read_exact(&mut payload[..10]).unwrap();
        for _ in 0..PINGS / 500 {
            peer.send(&masked(PING, &[0; 125]).repeat(500));
        }
        received.recv_timeout(PATIENCE).unwrap();
        peer.stream.read_exact(&mut payload).unwrap();
        peer.send(&masked(CLOSE, &[]));
        let answers = parse(&peer.rest());
        // What may wait is 64 KiB.
        assert!((1..700).contains(&answers.len()), "{} answers", answers.len());
    });
}

// Pings behind a message that takes longer than keepalive and pong timeout together would be overdue.
#[test]
fn a_write_that_takes_longer_than_a_pong_may_keeps_the_connection() {
    const LEN: usize = 24 << 20;
    let mut config = Config::new();
    config.keepalive_interval = Some(SHORT);
    // Longer than the peer takes for what the system's buffers hold, which has left as far as we can see.
    config.pong_timeout = Some(30 * SHORT);
    let (mut peer, ws) = Peer::client(&Acceptor::new().config(config));
    ws.transport().socket().as_socket2().set_send_buffer_size(64 * 1024).unwrap();
    socket2::SockRef::from(&peer.stream).set_recv_buffer_size(64 * 1024).unwrap();
    let (mut reader, mut writer) = ws.split();
    thread::scope(|scope| {
        scope.spawn(move || writer.send(vec![0; LEN].as_slice()).unwrap());
        let reading = scope.spawn(move || reader.read().map(|_| ()));
        let mut payload = vec![0; LEN + 10];
        let started = Instant::now();
        // Reads at a pace that takes longer than both timeouts.
        let mut read = 0;
        for step in 1..=20 {
            peer.stream.read_exact(&mut payload[read..step * LEN / 20]).unwrap();
            read = step * LEN / 20;
            thread::park_timeout(
                (started + 2 * SHORT * u32::try_from(step).unwrap()).saturating_duration_since(Instant::now()),
            );
        }
        peer.stream.read_exact(&mut payload[read..]).unwrap();
        // The Ping that has waited comes, and its answer keeps the connection.
        assert_eq!(peer.frame(), parse(&frame(PING, &[]))[0]);
        peer.send(&masked(PONG, &[]));
        peer.send(&masked(CLOSE, &1_000_u16.to_be_bytes()));
        while peer.frame().first != CLOSE {}
        reading.join().unwrap().unwrap();
    });
}

// R5.4-3
#[test]
fn clones_of_a_writer_send_whole_messages_each_in_its_order() {
    const THREADS: u8 = 4;
    const MESSAGES: u32 = 500;
    let (client, server) = pair();
    let (mut reader, _writer) = client.split();
    let (_reader, writer) = server.split();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let mut writer = writer.clone();
            scope.spawn(move || {
                for number in 0..MESSAGES {
                    // Small ones, and ones that are written from where they lie.
                    let len = if number % 10 == 0 { 20_000 } else { 20 };
                    let mut payload = vec![thread; len];
                    payload[..4].copy_from_slice(&number.to_be_bytes());
                    writer.send(payload.as_slice()).unwrap();
                }
            });
        }
        let mut next = [0_u32; THREADS as usize];
        for _ in 0..u32::from(THREADS) * MESSAGES {
            let Some(Message::Binary(payload)) = reader.read().unwrap() else {
                panic!("the connection ended");
            };
            let (number, rest) = payload.split_at(4);
            let thread = rest[0];
            assert!(rest.iter().all(|byte| *byte == thread));
            assert_eq!(number, next[usize::from(thread)].to_be_bytes());
            assert_eq!(payload.len(), if next[usize::from(thread)] % 10 == 0 { 20_000 } else { 20 });
            next[usize::from(thread)] += 1;
        }
    });
}

#[test]
fn close_of_the_writer_is_completed_by_the_reader() {
    // Without a timeout's help.
    let mut config = Config::new();
    config.close_timeout = Some(NEVER);
    config.server_fin_timeout = Some(NEVER);
    let (client, mut server) = pair_with(config, Config::new());
    let (mut reader, mut writer) = client.split();
    thread::scope(|scope| {
        scope.spawn(move || assert!(server.read().unwrap().is_none()));
        let reading = scope.spawn(move || reader.read().map(|message| assert_eq!(message, None)));
        assert!(writer.close(CloseCode::NORMAL, "").unwrap().clean);
        reading.join().unwrap().unwrap();
    });
}

#[test]
fn close_of_the_writer_wakes_a_reader_whose_peer_is_silent() {
    let mut config = Config::new();
    config.close_timeout = Some(SHORT);
    let (mut peer, ws) = Peer::client(&Acceptor::new().config(config));
    let (mut reader, mut writer) = ws.split();
    let started = Instant::now();
    thread::scope(|scope| {
        let reading = scope.spawn(move || matches!(reader.read(), Err(Error::Unclean(_))));
        assert_eq!(writer.close(CloseCode::NORMAL, "").unwrap().cause, Cause::CloseTimeout);
        assert!(reading.join().unwrap());
    });
    assert_eq!(code(&peer.frame()), 1_000);
    assert!(started.elapsed() >= SHORT);
}

#[test]
fn close_of_the_writer_ends_though_nobody_reads() {
    let mut config = Config::new();
    config.close_timeout = Some(SHORT);
    let (client, _server) = pair_with(config, Config::new());
    let (reader, mut writer) = client.split();
    drop(reader);
    assert!(!writer.close(CloseCode::NORMAL, "").unwrap().clean);
}

#[test]
fn receive_error_ends_the_writers_too() {
    let (mut peer, ws) = Peer::client(&Acceptor::new());
    let (mut reader, mut writer) = ws.split();
    thread::scope(|scope| {
        let reading = scope.spawn(move || matches!(reader.read(), Err(Error::Receive(_))));
        let writing = scope.spawn(move || while writer.send(vec![0; 30_000].as_slice()).is_ok() {});
        peer.stream.read_exact(&mut [0; 100_000]).unwrap();
        peer.send(&[0xFF, 0xFF]);
        let close = frame(CLOSE, b"\x03\xEAopcode is reserved");
        // The Close comes behind the message that was being written.
        assert!(peer.rest().ends_with(&close));
        drop(peer);
        assert!(reading.join().unwrap());
        writing.join().unwrap();
    });
}

#[test]
fn lost_transport_ends_both_halves() {
    let (peer, ws) = Peer::client(&Acceptor::new());
    let (mut reader, mut writer) = ws.split();
    thread::scope(|scope| {
        let reading = scope.spawn(move || reader.read().is_err());
        let writing = scope.spawn(move || while writer.send(vec![0; 30_000].as_slice()).is_ok() {});
        drop(peer);
        assert!(reading.join().unwrap());
        writing.join().unwrap();
    });
}

#[test]
fn halves_of_one_connection_are_one_again() {
    let (client, mut server) = pair();
    let (reader, mut writer) = client.split();
    let clone = writer.clone();
    writer.send("from a half").unwrap();
    let (reader, writer) = *reader.reunite(writer).expect_err("there is a clone").0;
    drop(clone);
    let (other, _writer) = pair().0.split();
    let (_, writer) = *other.reunite(writer).expect_err("another connection").0;
    let mut client = reader.reunite(writer).unwrap();
    client.send("from the whole").unwrap();
    for expected in ["from a half", "from the whole"] {
        assert_eq!(server.read().unwrap().unwrap().message, Message::Text(expected));
    }
}

#[test]
fn message_encoded_once_is_sent_by_a_half() {
    let (mut client, server) = pair();
    let (_reader, mut writer) = server.split();
    let prepared = Prepared::new(MessageKind::Text, b"to all").unwrap();
    writer.send_prepared(&prepared).unwrap();
    writer.send_part(MessageKind::Text, Part::First, b"to ").unwrap();
    assert!(writer.send_prepared(&prepared).is_err());
    writer.ping(b"between").unwrap();
    writer.send_part(MessageKind::Text, Part::Last, b"one").unwrap();
    for expected in ["to all", "to one"] {
        assert_eq!(client.read().unwrap().unwrap().message, Message::Text(expected));
    }
}

#[test]
fn queued_messages_of_a_half_are_written_when_the_other_reads() {
    let (mut client, server) = pair();
    let (mut reader, mut writer) = server.split();
    writer.queue("queued").unwrap();
    reader.set_read_timeout(Some(Duration::from_millis(1)));
    assert!(is_timeout(reader.read()));
    assert_eq!(client.read().unwrap().unwrap().message, Message::Text("queued"));
}

#[test]
fn reader_whose_pongs_are_not_taken_gives_up_after_the_write_timeout() {
    let (mut peer, ws) = Peer::client(&Acceptor::new().write_timeout(Some(4 * SHORT)));
    let (mut reader, _writer) = ws.split();
    thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let result = loop {
                match reader.read_event() {
                    Ok(Some(Event::Control(Control::Ping))) => {}
                    other => break is_timeout(other.map(|_| ())),
                }
            };
            (result, reader)
        });
        // The peer never reads. Its own writes are stuck, too, once the reader has stopped.
        let pings = masked(PING, &[0; 125]).repeat(100);
        peer.stream.set_write_timeout(Some(SHORT)).unwrap();
        let mut sent = 0;
        while !reading.is_finished() {
            sent += peer.stream.write(&pings[sent % pings.len()..]).unwrap_or(0);
        }
        assert!(reading.join().unwrap().0);
    });
}

#[cfg(unix)]
#[test]
fn readers_that_have_to_write_for_both_sides_at_once_still_read() {
    const MESSAGES: usize = 60;
    let (client, server) = std::os::unix::net::UnixStream::pair().unwrap();
    let (client, server) = (Socket::try_from(client).unwrap(), Socket::try_from(server).unwrap());
    for socket in [&client, &server] {
        // What is under way is bounded by this alone, unlike with TCP.
        socket.as_socket2().set_send_buffer_size(4 * 1024).unwrap();
    }
    let (client, server) = open(
        (&Connector::new().write_timeout(Some(PATIENCE)), client),
        (&Acceptor::new().write_timeout(Some(PATIENCE)), server),
    );
    // More than the system's buffers take, and nobody but the readers to write it.
    fn exchange<R: Role>(ws: WebSocket<R, Socket>) -> ws_std::Result<()> {
        let (mut reader, mut writer) = ws.split();
        for _ in 0..MESSAGES {
            writer.queue(&[0; 1_000])?;
        }
        for _ in 0..MESSAGES {
            assert_eq!(reader.read()?.unwrap().as_bytes().len(), 1_000);
        }
        // What the peer still waits for.
        writer.flush()
    }
    thread::scope(|scope| {
        let ours = scope.spawn(move || exchange(client));
        exchange(server).unwrap();
        ours.join().unwrap().unwrap();
    });
}

// R7.1.7-1
#[test]
fn close_of_a_failure_is_written_though_its_time_is_over_before_a_long_write_is() {
    let mut config = Config::new();
    config.drain_timeout = Some(SHORT);
    let (mut peer, ws) = Peer::client(&Acceptor::new().config(config));
    let (mut reader, mut writer) = ws.split();
    let mut behind = writer.clone();
    thread::scope(|scope| {
        let writing = scope.spawn(move || writer.send(vec![0; 24 << 20].as_slice()));
        peer.stream.read_exact(&mut [0; 10]).unwrap();
        // Above the mark nothing more is queued but this.
        behind.queue(vec![0; 100_000].as_slice()).unwrap();
        peer.send(&[0xFF, 0xFF]);
        let close = frame(CLOSE, b"\x03\xEAopcode is reserved");
        assert!(matches!(reader.read(), Err(Error::Receive(_))));
        let rest = peer.rest();
        assert_eq!(rest.len(), (24 << 20) + 100_000 + 10 + close.len());
        assert!(rest.ends_with(&close));
        writing.join().unwrap().unwrap();
    });
}
