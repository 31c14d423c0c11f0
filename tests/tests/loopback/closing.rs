use std::{io::Read, net::Shutdown, thread, time::Instant};

use ws_std::{Acceptor, Cause, CloseCode, Config, Connector, Control, Error, Event, Message, State};
use ws_tests::{BINARY, CLOSE, FIN, TEXT, frame, masked, noise};

use crate::{
    NEVER, SHORT, pair, pair_with,
    peer::{Peer, code},
};

// R5.5.1-3, R7.1.2-1, R7.1.4/5/6
#[test]
fn close_from_either_side_is_clean_and_tells_code_and_reason() {
    let (client, server) = pair();
    close_one(client, server, Cause::Local);
    let (client, server) = pair();
    close_one(server, client, Cause::Local);
}

fn close_one<A: ws_std::role::Role + Send, B: ws_std::role::Role>(
    mut one: ws_std::WebSocket<A>,
    mut other: ws_std::WebSocket<B>,
    cause: Cause,
) {
    thread::scope(|scope| {
        let closing = scope.spawn(move || one.close(CloseCode::new(4_000), "that was all").unwrap());
        assert!(other.read().unwrap().is_none());
        assert!(other.read().unwrap().is_none(), "the end stays");
        assert_eq!(other.close_frame(), Some((CloseCode::new(4_000), "that was all".to_owned())));
        match other.state() {
            State::Closed(closed) => assert!(closed.clean && closed.cause == Cause::Peer),
            state => panic!("{state:?}"),
        }
        assert!(matches!(other.send("late"), Err(Error::Send(_))));
        assert!(other.close(CloseCode::NORMAL, "").unwrap().clean, "closing twice is harmless");
        drop(other);
        let closed = closing.join().unwrap();
        assert_eq!((closed.clean, closed.code, closed.cause), (true, CloseCode::new(4_000), cause));
    });
}

#[test]
fn peer_reads_everything_that_was_sent_before_a_close() {
    let (mut client, mut server) = pair_with(crate::big(), crate::big());
    thread::scope(|scope| {
        scope.spawn(move || {
            // Nobody reads them: closing the socket at once would reset the connection.
            for _ in 0..100 {
                client.send("unread").unwrap();
            }
            for number in 0..100_u8 {
                assert!(client.read().unwrap().unwrap().message == Message::Binary(&[number; 50_000]));
            }
            assert!(client.read().unwrap().is_none());
            assert_eq!(client.close_frame().unwrap().0, CloseCode::GOING_AWAY);
        });
        for number in 0..100 {
            server.queue(&[number; 50_000]).unwrap();
        }
        assert!(server.close(CloseCode::GOING_AWAY, "").unwrap().clean);
        drop(server);
    });
}

// R7.1.7-1
#[test]
fn receive_error_is_told_the_peer_before_the_transport_ends() {
    for (bytes, expected) in [
        (vec![0x83, 0x80, 0, 0, 0, 0], 1_002),
        (frame(FIN | TEXT, b"unmasked"), 1_002),
        (masked(FIN | TEXT, b"\xFF"), 1_007),
        (
            masked(FIN | BINARY, &[])
                .into_iter()
                .chain(ws_tests::header(FIN | BINARY, 2 << 20, Some([0; 4])))
                .collect(),
            1_009,
        ),
    ] {
        let (mut peer, mut ws) = Peer::client(&Acceptor::new());
        peer.send(&bytes);
        // More is under way than the server will ever look at.
        peer.send(&noise(10_000));
        thread::scope(|scope| {
            scope.spawn(move || {
                let error = loop {
                    match ws.read() {
                        Ok(Some(_)) => {}
                        Ok(None) => panic!("no error"),
                        Err(error) => break error,
                    }
                };
                match &error {
                    Error::Receive(error) => assert_eq!(error.close_code().get(), expected),
                    error => panic!("{error}"),
                }
                // It stays.
                assert_eq!(ws.read().unwrap_err().to_string(), error.to_string());
            });
            assert_eq!(code(&peer.frame()), expected);
            assert_eq!(peer.rest(), b"");
            drop(peer);
        });
    }
}

// R5.5.1-4, R7.1.1-2, K-half-close
#[test]
fn server_ends_the_transport_first() {
    let (mut peer, mut ws) = Peer::client(&Acceptor::new());
    peer.send(&masked(CLOSE, &1_000_u16.to_be_bytes()));
    thread::scope(|scope| {
        scope.spawn(move || assert!(ws.read().unwrap().is_none()));
        assert_eq!(code(&peer.frame()), 1_000);
        // We have not ended ours.
        assert_eq!(peer.rest(), b"");
        drop(peer);
    });
}

// K-told
#[test]
fn client_waits_for_the_server_to_end_the_transport() {
    let mut config = Config::new();
    config.server_fin_timeout = Some(3 * SHORT);
    let (mut ws, mut peer) = Peer::server(&Connector::new().config(config), &frame(CLOSE, &[]));
    let started = Instant::now();
    assert!(ws.read().unwrap().is_none());
    // The end is told at once, which shows in what is there before the wait.
    assert_eq!(peer.frame().first, CLOSE);
    assert_eq!(ws.state(), State::Closing);
    assert!(ws.read().unwrap().is_none());
    assert!(started.elapsed() >= 3 * SHORT);
    assert!(matches!(ws.state(), State::Closed(_)));

    // Without a timeout's help.
    let mut config = Config::new();
    config.server_fin_timeout = Some(NEVER);
    let (mut ws, mut peer) = Peer::server(&Connector::new().config(config), &frame(CLOSE, &[]));
    peer.stream.shutdown(Shutdown::Write).unwrap();
    while !matches!(ws.state(), State::Closed(_)) {
        assert!(ws.read().unwrap().is_none());
    }
    assert_eq!(peer.frame().first, CLOSE);
}

// R7.1.1-1
#[test]
fn bytes_behind_a_close_are_taken_so_that_the_answer_is_not_reset() {
    let (mut peer, mut ws) = Peer::client(&Acceptor::new());
    peer.send(&[masked(CLOSE, &1_001_u16.to_be_bytes()), noise(50_000)].concat());
    thread::scope(|scope| {
        scope.spawn(move || {
            assert!(ws.read().unwrap().is_none());
            drop(ws);
        });
        assert_eq!(code(&peer.frame()), 1_001);
        peer.send(&noise(5_000));
        peer.stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(peer.rest(), b"");
    });
}

#[test]
fn close_in_the_middle_of_a_message_read_in_parts_is_clean() {
    let (mut client, mut server) = pair();
    thread::scope(|scope| {
        scope.spawn(move || {
            client.send(noise(1 << 20).as_slice()).unwrap();
            client.send(noise(1 << 20).as_slice()).unwrap();
            assert!(client.read().unwrap().is_none());
        });
        assert!(!server.read_part().unwrap().unwrap().data.part().is_last());
        assert!(server.close(CloseCode::NORMAL, "enough").unwrap().clean);
        drop(server);
    });
}

#[test]
fn close_in_the_middle_of_a_message_being_read_is_clean() {
    let (mut peer, mut ws) = Peer::client(&Acceptor::new());
    let message = masked(FIN | BINARY, &noise(100_000));
    peer.send(&message[..50_000]);
    ws.set_read_timeout(Some(SHORT));
    assert!(matches!(ws.read(), Err(Error::TimedOut)));
    thread::scope(|scope| {
        scope.spawn(move || {
            peer.send(&message[50_000..]);
            peer.send(&masked(CLOSE, &[]));
            assert_eq!(code(&peer.frame()), 1_000);
            assert_eq!(peer.rest(), b"");
        });
        assert!(ws.close(CloseCode::NORMAL, "").unwrap().clean);
        drop(ws);
    });
}

// R7.2.1-1, R7.1.4/5/6
#[test]
fn lost_transport_is_an_unclean_end() {
    let (peer, mut ws) = Peer::client(&Acceptor::new());
    drop(peer);
    match ws.read() {
        Err(Error::Unclean(closed)) => {
            assert_eq!((closed.clean, closed.code, closed.cause), (false, CloseCode::ABNORMAL, Cause::Eof));
        }
        other => panic!("{other:?}"),
    }
    assert!(!ws.close(CloseCode::NORMAL, "").unwrap().clean);
}

#[test]
fn what_a_peer_sent_before_it_went_away_is_read_though_writing_fails() {
    let (mut peer, mut ws) = Peer::client(&Acceptor::new());
    peer.send(&[masked(FIN | TEXT, b"farewell"), masked(CLOSE, &1_001_u16.to_be_bytes())].concat());
    ws.send("unread").unwrap();
    // With input unread this resets the connection, and sooner or later our writes fail.
    drop(peer);
    while ws.send("into the void").is_ok() {}
    assert_eq!(ws.read().unwrap().unwrap().message, Message::Text("farewell"));
    assert_eq!(ws.read_event().unwrap(), Some(Event::Control(Control::Close)));
    assert_eq!(ws.close_frame().unwrap().0, CloseCode::GOING_AWAY);
}

// R5.5.1-1, R7.4.1-1, R7.4.1-2
#[test]
fn codes_that_may_not_be_sent_are_refused_and_nothing_happens() {
    let (mut client, mut server) = pair();
    for code in [0, 999, 1_004, 1_006, 1_015, 1_016, 2_999, 5_000] {
        assert!(matches!(client.send_close(CloseCode::new(code), ""), Err(Error::Send(_))), "{code}");
    }
    assert!(matches!(server.close(CloseCode::MANDATORY_EXTENSION, ""), Err(Error::Send(_))));
    client.send("still open").unwrap();
    assert_eq!(server.read().unwrap().unwrap().message, Message::Text("still open"));
    client.send_close(CloseCode::NO_STATUS, "").unwrap();
    assert!(matches!(server.read_event(), Ok(Some(Event::Control(Control::Close)))));
    assert_eq!(server.close_frame(), Some((CloseCode::NO_STATUS, String::new())));
}

#[test]
fn messages_still_come_after_our_close_until_the_peer_closes_too() {
    let (mut peer, mut ws) = Peer::client(&Acceptor::new());
    ws.send_close(CloseCode::NORMAL, "").unwrap();
    assert_eq!(code(&peer.frame()), 1_000);
    peer.send(&[masked(FIN | TEXT, b"on the way"), masked(CLOSE, &[])].concat());
    peer.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(ws.read().unwrap().unwrap().message, Message::Text("on the way"));
    assert!(ws.read().unwrap().is_none());
    let mut nothing = [0];
    assert_eq!(peer.stream.read(&mut nothing).unwrap(), 0);
}
