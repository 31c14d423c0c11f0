use core::time::Duration;
use std::{
    io::{Read, Write},
    thread,
    time::Instant,
};

use ws_std::{Acceptor, Cause, CloseCode, Config, Connector, Error, Event, Message};
use ws_tests::{BINARY, FIN, PING, PONG, TEXT, frame, masked, noise};

use crate::{
    NEVER, PATIENCE, SHORT, big, is_timeout, pair, pair_with,
    peer::{Peer, code},
};

#[test]
fn read_that_times_out_after_every_byte_loses_nothing() {
    let (mut peer, mut ws) = Peer::client(&Acceptor::new());
    ws.set_read_timeout(Some(Duration::from_millis(1)));
    let bytes = [
        masked(TEXT, "gr".as_bytes()),
        masked(PING, b"?"),
        masked(FIN, "ün".as_bytes()),
        masked(FIN | BINARY, &noise(130)),
    ]
    .concat();
    let mut seen = Vec::new();
    for byte in bytes {
        peer.send(&[byte]);
        match ws.read_event() {
            Err(Error::TimedOut) => {}
            Ok(Some(event)) => seen.push(format!("{event:?}")),
            other => panic!("{other:?}"),
        }
    }
    // The last byte may have come when a read had just given up.
    ws.set_read_timeout(Some(SHORT));
    while let Ok(Some(event)) = ws.read_event() {
        seen.push(format!("{event:?}"));
    }
    let expected = [
        "Control(Ping)".to_owned(),
        format!("{:?}", Event::Data(Message::Text("grün"))),
        format!("{:?}", Event::Data(Message::Binary(&noise(130)))),
    ];
    assert_eq!(seen, expected);
    assert_eq!(peer.frame().first, PONG);
}

/// A read ends by its timeout although the peer sends something again and again, by `pace`.
fn check_read_timeout(begin: &[u8], mut pace: impl FnMut(&mut Peer)) {
    let (mut peer, mut ws) = Peer::client(&Acceptor::new());
    ws.set_read_timeout(Some(3 * SHORT));
    let started = Instant::now();
    thread::scope(move |scope| {
        // The connection stays until the peer has seen that nothing comes.
        let reading = scope.spawn(move || {
            assert!(is_timeout(ws.read()));
            ws
        });
        peer.send(begin);
        peer.stream.set_read_timeout(Some(SHORT / 10)).unwrap();
        while !reading.is_finished() {
            pace(&mut peer);
        }
        reading.join().unwrap();
    });
    assert!(started.elapsed() >= 3 * SHORT);
}

#[test]
fn read_timeout_ends_a_read_though_bytes_keep_coming() {
    check_read_timeout(&ws_tests::header(FIN | BINARY, 100_000, Some([0; 4])), |peer| {
        // The read that finds nothing is the pace.
        peer.send(&[0]);
        assert!(peer.stream.read(&mut [0]).is_err());
    });
}

#[test]
fn read_timeout_ends_a_read_though_pings_keep_coming() {
    check_read_timeout(&[], |peer| {
        peer.send(&masked(PING, b"?"));
        // The answer; the read that finds nothing more is the pace.
        while peer.stream.read(&mut [0; 64]).is_ok() {}
    });
}

#[test]
fn read_timeout_ends_a_read_though_pings_never_pause() {
    let (mut peer, mut ws) = Peer::client(&Acceptor::new());
    ws.set_read_timeout(Some(3 * SHORT));
    let mut answers = peer.stream.try_clone().unwrap();
    let started = Instant::now();
    thread::scope(move |scope| {
        // After it the connection is dropped, which ends the other threads.
        let reading = scope.spawn(move || assert!(is_timeout(ws.read())));
        scope.spawn(move || while answers.read(&mut [0; 1 << 16]).is_ok_and(|len| len > 0) {});
        let pings = masked(PING, b"").repeat(10_000);
        peer.stream.set_write_timeout(Some(SHORT)).unwrap();
        let mut sent = 0;
        while !reading.is_finished() {
            sent += peer.stream.write(&pings[sent % pings.len()..]).unwrap_or(0);
            assert!(started.elapsed() < PATIENCE, "after {sent} bytes");
        }
        reading.join().unwrap();
    });
    assert!(started.elapsed() >= 3 * SHORT);
}

fn watchful() -> Config {
    let mut config = Config::new();
    config.keepalive_interval = Some(SHORT);
    config.pong_timeout = Some(2 * SHORT);
    config
}

#[test]
fn silent_peer_is_sent_a_ping_and_given_up_with_1011() {
    // The silence begins before this thread has the connection.
    let started = Instant::now();
    let (mut peer, mut ws) = Peer::client(&Acceptor::new().config(watchful()));
    thread::scope(|scope| {
        scope.spawn(move || {
            assert_eq!(peer.frame(), ws_tests::parse(&frame(PING, b""))[0]);
            assert_eq!(code(&peer.frame()), 1_011);
            assert_eq!(peer.rest(), b"");
        });
        match ws.read() {
            Err(Error::Unclean(closed)) => assert_eq!((closed.clean, closed.cause), (false, Cause::PongTimeout)),
            other => panic!("{other:?}"),
        }
    });
    assert!(started.elapsed() >= 3 * SHORT);
}

#[test]
fn peer_that_answers_pings_is_kept() {
    let mut config = watchful();
    // A Ping follows another only if that was answered.
    config.pong_timeout = Some(NEVER);
    let (mut peer, mut ws) = Peer::client(&Acceptor::new().config(config));
    thread::scope(|scope| {
        scope.spawn(move || {
            for _ in 0..3 {
                assert_eq!(peer.frame().first, PING);
                peer.send(&masked(PONG, b""));
            }
            peer.send(&masked(FIN | TEXT, b"still here"));
            peer
        });
        assert_eq!(ws.read().unwrap().unwrap().message, Message::Text("still here"));
    });
}

#[test]
fn pong_that_has_come_is_seen_though_the_application_reads_too_late() {
    let mut config = watchful();
    config.pong_timeout = Some(15 * SHORT);
    let (mut peer, mut ws) = Peer::client(&Acceptor::new().config(config));
    ws.set_read_timeout(Some(SHORT * 3 / 2));
    assert!(is_timeout(ws.read()));
    assert_eq!(peer.frame().first, PING);
    peer.send(&[masked(PONG, b""), masked(FIN | TEXT, b"in time")].concat());
    // The application is busy meanwhile; this waits for no one.
    peer.stream.set_read_timeout(Some(20 * SHORT)).unwrap();
    assert!(peer.stream.read(&mut [0]).is_err());
    assert_eq!(ws.read().unwrap().unwrap().message, Message::Text("in time"));
}

#[test]
fn keepalive_goes_on_though_every_read_is_short() {
    let (mut peer, mut ws) = Peer::client(&Acceptor::new().config(watchful()));
    ws.set_read_timeout(Some(SHORT / 10));
    let error = loop {
        match ws.read() {
            Err(Error::TimedOut) => {}
            Err(error) => break error,
            Ok(_) => panic!("nothing was sent"),
        }
    };
    assert!(matches!(error, Error::Unclean(closed) if closed.cause == Cause::PongTimeout), "{error}");
    assert_eq!(peer.frame().first, PING);
    assert_eq!(code(&peer.frame()), 1_011);
}

#[test]
fn idle_connection_is_closed_with_1001() {
    let mut config = Config::new();
    config.idle_timeout = Some(SHORT);
    let (mut client, mut server) = pair_with(Config::new(), config);
    thread::scope(|scope| {
        scope.spawn(move || assert!(server.read().unwrap().is_none()));
        assert!(client.read().unwrap().is_none());
        assert_eq!(client.close_frame().unwrap().0, CloseCode::GOING_AWAY);
        drop(client);
    });
}

#[test]
fn peer_that_does_not_answer_our_close_is_left() {
    let mut config = Config::new();
    config.close_timeout = Some(2 * SHORT);
    let (mut peer, mut ws) = Peer::client(&Acceptor::new().config(config));
    let started = Instant::now();
    // It does not keep silent, either: there is always something to be read.
    let messages = masked(FIN | TEXT, b"never mind").repeat(1_000);
    thread::scope(|scope| {
        let closing = scope.spawn(move || ws.close(CloseCode::NORMAL, "").unwrap());
        // Until it is left.
        while peer.stream.write_all(&messages).is_ok() {}
        let closed = closing.join().unwrap();
        assert_eq!((closed.clean, closed.cause), (false, Cause::CloseTimeout));
    });
    assert!(started.elapsed() >= 2 * SHORT);
}

#[test]
fn write_that_times_out_goes_on_where_it_stopped() {
    let (mut ws, mut peer) = Peer::server(&Connector::new().write_timeout(Some(SHORT)), b"");
    let message = noise(8 << 20);
    assert!(matches!(ws.send(message.as_slice()), Err(Error::Io(_))));
    // Nothing is added behind so much.
    let held = ws.held_bytes();
    assert!(matches!(ws.send("more"), Err(Error::TimedOut)));
    assert!(ws.held_bytes() <= held);
    thread::scope(|scope| {
        scope.spawn(move || {
            let frame = peer.frame();
            assert!(frame.payload == noise(8 << 20));
            assert_eq!(peer.frame().payload, b"more");
        });
        while ws.flush().is_err() {}
        ws.set_write_timeout(Some(PATIENCE));
        ws.send("more").unwrap();
    });
}

#[test]
fn write_of_a_server_that_times_out_goes_on_where_it_stopped() {
    let (mut peer, mut ws) = Peer::client(&Acceptor::new().config(big()).write_timeout(Some(SHORT)));
    assert!(is_timeout(ws.send(noise(8 << 20).as_slice())));
    thread::scope(|scope| {
        scope.spawn(move || {
            let frame = peer.frame();
            assert!(frame.payload == noise(8 << 20));
            assert_eq!(peer.frame().payload, b"behind");
        });
        while ws.flush().is_err() {}
        ws.set_write_timeout(Some(PATIENCE));
        ws.send("behind").unwrap();
    });
}

#[test]
fn without_timeouts_a_read_waits_and_is_woken_by_what_comes() {
    let mut config = Config::new();
    config.keepalive_interval = None;
    let (mut client, mut server) = pair_with(config.clone(), config);
    server.set_read_timeout(Some(Duration::from_millis(1)));
    assert!(is_timeout(server.read()));
    server.set_read_timeout(None);
    thread::scope(|scope| {
        let reading = scope.spawn(move || server.read().unwrap().unwrap().message.as_bytes().len());
        client.send("hello").unwrap();
        assert_eq!(reading.join().unwrap(), 5);
    });
    let _ = pair();
}
