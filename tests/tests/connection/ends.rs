//! All ends of a connection: each is returned once, and the peer is told as far as that is possible.

use core::time::Duration;

use ws_proto::{
    SendError, State, connection::Cause, error::ReceiveErrorKind, handshake::HandshakeError, server::Reject,
};
use ws_tests::{
    BINARY, CLOSE, FIN, PING, PONG, RawFrame, TEXT, code_of, frame, masked, noise, opened, parse, take_pending,
};

use super::*;

fn closed(clean: bool, code: u16, cause: Cause) -> Result<Closed, Failure> {
    Ok(Closed { clean, code: CloseCode::new(code), cause })
}

/// The code of a Close.
fn code(close: &RawFrame) -> u16 {
    assert_eq!(close.first, CLOSE);
    u16::from_be_bytes(*close.payload.first_chunk().unwrap())
}

/// Checks that a server has refused, with `status`, and drains the transport for a second.
fn check_refused(mut host: Host<Server>, status: u16) -> Result<Closed, Failure> {
    assert_eq!(host.log.opened, 0);
    assert!(!host.connection.is_over() && !host.connection.room().is_empty(), "the refusal has to be read");
    host.flush();
    let sent = String::from_utf8(host.log.sent.clone()).unwrap();
    assert!(sent.starts_with(&format!("HTTP/1.1 {status} ")), "{sent}");
    assert!(host.log.half_closed && !host.connection.is_over());
    assert_eq!(host.connection.poll_timeout(), Some(host.now.saturating_add(Duration::from_secs(1))));
    // Bytes that still come are not looked at.
    host.receive(REQUEST, Way::Own);
    host.step_clock();
    host.end()
}

#[test]
fn a_server_that_breaks_off_an_opening_says_why_and_drains() {
    let long = [b"GET / HTTP/1.1\r\nA: ", &[b'a'; 20_000][..]].concat();
    let fields = [b"GET / HTTP/1.1\r\n", &b"a: b\r\n".repeat(200)[..], b"\r\n"].concat();
    for (head, status, error) in [
        (&b"\x16\x03\x01\x02\0\x01"[..], 400, None),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", 400, None),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", 426, Some(HandshakeError::UpgradeRequired)),
        (b"GET / HTTP/1.1\r\n\r\n", 400, Some(HandshakeError::Host)),
        (&long, 431, Some(HandshakeError::HeadTooLong)),
        (&fields, 431, Some(HandshakeError::TooManyFields)),
    ] {
        for way in [Way::Own, Way::Attached(7), Way::Given(100), Way::Given(100_000)] {
            let mut host = server();
            host.receive(head, way);
            let Some(Err(Failure::Handshake(told))) = host.log.ends.first() else {
                panic!("{status} {way:?} {:?}", host.log)
            };
            let told = *told;
            assert!(error.is_none_or(|error| told == error), "{told:?}");
            assert_eq!(check_refused(host, status), Err(Failure::Handshake(told)));
        }
    }
}

#[test]
fn a_request_that_the_host_rejects_is_told_why_and_drains() {
    let mut host = server();
    host.read(REQUEST);
    let Some(Next::Opening(mut request)) = host.connection.next() else { panic!("no request") };
    request.reject(&Reject::new(403)).unwrap();
    host.take_all();
    assert_eq!(check_refused(host, 403), closed(false, 1006, Cause::Refused));
}

#[test]
fn a_client_is_told_the_status_of_a_refusal() {
    for way in [Way::Own, Way::Attached(7), Way::Given(1)] {
        let mut host = client();
        host.flush();
        host.receive(b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", way);
        assert_eq!((host.log.opened, host.end()), (0, Err(Failure::Refused(404))));
    }
}

#[test]
fn a_client_whose_answer_breaks_a_rule_is_over() {
    let long = [b"HTTP/1.1 101 ", &[b'a'; 20_000][..]].concat();
    let wrong = b"HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: a\r\n\r\n";
    for (head, error) in [
        (&b"SSH-2.0-OpenSSH_9.2\r\n\r\n"[..], None),
        (wrong, Some(HandshakeError::Accept)),
        (&long, Some(HandshakeError::HeadTooLong)),
    ] {
        for way in [Way::Own, Way::Attached(7), Way::Given(100_000)] {
            let mut host = client();
            host.flush();
            host.receive(head, way);
            let end = host.end();
            assert!(matches!(end, Err(Failure::Handshake(told)) if error.is_none_or(|it| it == told)), "{end:?}");
        }
    }
}

#[test]
fn both_sides_give_up_an_opening_after_the_handshake_timeout() {
    let late = Err(Failure::Handshake(HandshakeError::Timeout));
    for len in [0, 1, 40, REQUEST.len() - 1] {
        let mut host = server();
        host.now = at(9_999);
        host.receive(&REQUEST[..len], Way::Own);
        assert_eq!(host.connection.poll_timeout(), Some(at(10_000)));
        host.step_clock();
        assert_eq!(host.log.ends, [late], "the end is returned at once");
        assert_eq!(check_refused(host, 408), late);
    }
    for writes in [0, 10, usize::MAX] {
        let mut host = client();
        host.write(writes);
        host.now = at(9_999);
        host.receive(&response()[..40], Way::Own);
        assert!(host.step_clock());
        // A request that has not left need not leave any more.
        assert_eq!((host.now, host.end()), (at(10_000), late));
    }
}

#[test]
fn an_answer_that_comes_late_opens_nothing() {
    let mut host = client();
    host.flush();
    host.now = at(10_001);
    host.receive(&response(), Way::Own);
    assert_eq!((host.log.opened, host.end()), (0, Err(Failure::Handshake(HandshakeError::Timeout))));
}

/// Receives the first bytes of a life, and then the end of the transport.
fn cut_life<R: Role>(mut host: Host<R>, life: &[u8], len: usize, way: Way) -> Host<R> {
    if R::SIDE == Side::Client {
        host.flush();
    }
    host.receive(&life[..len], way);
    host.receive_eof();
    host.flush();
    host
}

#[test]
fn an_end_of_the_transport_ends_a_connection_at_every_point_of_its_life() {
    let message = |side| ws_tests::from_peer(side, FIN | TEXT, b"hello");
    let close = |side| ws_tests::from_peer(side, CLOSE, b"\x03\xE8");
    let to_server = [REQUEST, &message(Side::Server), &close(Side::Server)].concat();
    let to_client = [response(), message(Side::Client), close(Side::Client)].concat();
    for way in [Way::Own, Way::Parts, Way::Attached(4096), Way::Given(4096)] {
        for len in 0..=to_server.len() {
            check_cut(&cut_life(server(), &to_server, len, way), len, [REQUEST.len(), to_server.len()]);
        }
        for len in 0..=to_client.len() {
            check_cut(&cut_life(client(), &to_client, len, way), len, [response().len(), to_client.len()]);
        }
    }
}

fn check_cut<R: Role>(host: &Host<R>, len: usize, [open, all]: [usize; 2]) {
    assert_eq!(host.log.opened, usize::from(len >= open));
    let expected = if len == all { closed(true, 1000, Cause::Peer) } else { closed(false, 1006, Cause::Eof) };
    assert_eq!(host.end(), expected, "after {len} bytes of {all}");
}

#[test]
fn silence_ends_a_connection_at_every_point_of_its_life() {
    let to_server = [REQUEST, &masked(FIN | TEXT, b"hello"), &masked(CLOSE, b"\x03\xE8")].concat();
    let to_client = [&response()[..], &frame(FIN | TEXT, b"hello"), &frame(CLOSE, b"\x03\xE8")].concat();
    for len in 0..=to_server.len() {
        let mut host = server();
        host.receive(&to_server[..len], Way::Own);
        host.wait_until_over();
        let _ = host.end();
    }
    for len in 0..=to_client.len() {
        let mut host = client();
        host.flush();
        host.receive(&to_client[..len], Way::Own);
        host.wait_until_over();
        let _ = host.end();
    }
}

/// Frames that break a rule, and how.
fn wrong(side: Side) -> [(Vec<u8>, ReceiveErrorKind); 5] {
    let frame = |first, payload: &[u8]| ws_tests::from_peer(side, first, payload);
    let other = if side == Side::Server { Side::Client } else { Side::Server };
    let masking = if side == Side::Server { ReceiveErrorKind::Unmasked } else { ReceiveErrorKind::Masked };
    [
        (frame(0xF1, b"rsv"), ReceiveErrorKind::ReservedBits),
        (frame(CLOSE, b"\x03"), ReceiveErrorKind::ShortCloseBody),
        (frame(FIN, b"continuation"), ReceiveErrorKind::UnexpectedContinuation),
        (frame(FIN | TEXT, b"\xFF"), ReceiveErrorKind::InvalidUtf8),
        (ws_tests::from_peer(other, FIN | TEXT, b"mask"), masking),
    ]
}

fn check_wrong<R: Role>(mut host: Host<R>, bytes: &[u8], kind: ReceiveErrorKind, way: Way) {
    host.receive(&host.peer_frame(FIN | TEXT, b"fine"), way);
    assert_eq!(host.log.told, [Told::Text("fine".into())]);
    host.receive(bytes, way);
    host.receive(&host.peer_frame(FIN | TEXT, b"too late"), way);
    assert_eq!(host.log.told.len(), 1);
    assert!(
        matches!(host.log.ends[..], [Err(Failure::Receive(error))] if error.kind() == kind),
        "{:?}",
        host.log
    );
    host.flush();
    let sent = parse(&host.log.sent);
    assert_eq!((sent.len(), code(&sent[0])), (1, code_of(kind)));
    assert!(host.log.half_closed && !host.connection.is_over());
    host.wait_until_over();
    assert!(host.end().is_err());
}

#[test]
fn a_wrong_frame_is_answered_by_its_code_and_returned_once() {
    let config = Config::default();
    for way in [Way::Own, Way::Parts, Way::Attached(1), Way::Attached(100), Way::Given(7), Way::Given(4096)] {
        for (bytes, kind) in wrong(Side::Server) {
            check_wrong(open_server(&config), &bytes, kind, way);
        }
        for (bytes, kind) in wrong(Side::Client) {
            check_wrong(open_client(&config), &bytes, kind, way);
        }
    }
}

#[test]
fn an_end_that_was_returned_is_not_returned_again_when_nobody_takes_the_close() {
    let mut host = open_server(&Config::default());
    host.receive(&masked(FIN, b"wrong"), Way::Own);
    host.write(0);
    assert_eq!(host.log.ends.len(), 1);
    while host.step_clock() {}
    assert!(matches!(host.end(), Err(Failure::Receive(_))));
    // Nor after a refusal.
    let mut host = server();
    host.receive(b"GET / HTTP/1.1\r\n\r\n", Way::Own);
    host.write(0);
    while host.step_clock() {}
    assert!(matches!(host.end(), Err(Failure::Handshake(HandshakeError::Host))));
}

fn check_silence<R: Role>(mut host: Host<R>) {
    assert!(host.step_clock());
    host.flush();
    assert_eq!(host.now, at(20_000));
    assert_eq!(parse(&std::mem::take(&mut host.log.sent))[0].first, PING);
    host.receive(&host.peer_frame(PONG, b""), Way::Own);
    assert!(host.step_clock());
    host.flush();
    assert_eq!((host.now, parse(&std::mem::take(&mut host.log.sent)).len()), (at(40_000), 1));
    assert!(host.step_clock());
    host.flush();
    assert_eq!((host.now, code(&parse(&host.log.sent)[0])), (at(60_000), 1011));
    assert_eq!(host.log.ends, [closed(false, 1006, Cause::PongTimeout)]);
    host.wait_until_over();
    assert_eq!(host.end(), closed(false, 1006, Cause::PongTimeout));
}

#[test]
fn a_silent_peer_is_pinged_and_given_up_by_both_sides() {
    check_silence(open_server(&Config::default()));
    check_silence(open_client(&Config::default()));
}

fn check_idle<R: Role>(mut host: Host<R>) {
    host.now = at(10_000);
    host.receive(&host.peer_frame(FIN | TEXT, b"data"), Way::Own);
    while parse(&host.log.sent).iter().all(|frame| frame.first != CLOSE) {
        assert!(host.step_clock());
        host.flush();
    }
    assert_eq!((host.now, code(parse(&host.log.sent).last().unwrap())), (at(25_000), 1001));
    assert_eq!(host.log.ends, [], "the peer's Close may come");
    host.receive(&host.peer_frame(CLOSE, b"\x03\xE9"), Way::Own);
    host.receive_eof();
    host.flush();
    assert_eq!(host.end(), closed(true, 1001, Cause::IdleTimeout));
}

#[test]
fn an_idle_connection_is_closed_in_good_order_by_both_sides() {
    let mut config = Config::default();
    config.idle_timeout = Some(Duration::from_secs(15));
    check_idle(open_server(&config));
    check_idle(open_client(&config));
}

fn check_write_timeout<R: Role>(mut host: Host<R>) {
    host.connection.send(Message::Binary(&noise(100_000))).unwrap();
    host.write(0);
    host.now = at(29_000);
    host.write(50_000);
    while host.step_clock() {
        host.write(0);
    }
    assert_eq!((host.now, host.end()), (at(59_000), Err(Failure::WriteTimeout)));
    assert_eq!((host.connection.poll_timeout(), host.connection.room().len()), (None, 0));
    assert_eq!(host.connection.send("late"), Err(SendError::Closing));
}

#[test]
fn a_peer_that_takes_too_little_for_too_long_is_given_up_by_both_sides() {
    check_write_timeout(open_server(&Config::default()));
    check_write_timeout(open_client(&Config::default()));
}

#[test]
fn a_head_that_is_not_taken_ends_the_opening() {
    let mut config = Config::default();
    config.write_timeout = Some(Duration::from_secs(5));
    let mut host = client_with(&config, None);
    host.write(0);
    assert!(host.step_clock());
    assert_eq!((host.now, host.end()), (at(5_000), Err(Failure::WriteTimeout)));
    let mut host = server_with(&config, None);
    host.receive(REQUEST, Way::Own);
    host.write(1);
    assert!(host.step_clock());
    assert_eq!((host.now, host.end()), (at(5_000), Err(Failure::WriteTimeout)));
}

fn check_close_timeout<R: Role>(mut host: Host<R>) {
    host.connection.close(host.now, CloseCode::NORMAL, "").unwrap();
    host.now = at(1_000);
    host.flush();
    // Messages still come until the peer's Close.
    host.receive(&host.peer_frame(FIN | BINARY, b"late"), Way::Own);
    host.receive(&host.peer_frame(PING, b""), Way::Own);
    assert_eq!(host.log.told, [Told::Binary(b"late".to_vec()), Told::Ping(Vec::new())]);
    assert!(host.step_clock());
    host.flush();
    assert_eq!((host.now, host.end()), (at(11_000), closed(false, 1006, Cause::CloseTimeout)));
    assert_eq!(parse(&host.log.sent).len(), 1, "no frame follows a Close");
}

#[test]
fn a_close_that_is_not_answered_is_waited_for_from_when_it_has_left() {
    check_close_timeout(open_server(&Config::default()));
    check_close_timeout(open_client(&Config::default()));
}

#[test]
fn a_server_drains_after_a_close_and_a_client_waits_for_the_servers_end() {
    let mut host = open_server(&Config::default());
    host.receive(&masked(CLOSE, b"\x03\xE8"), Way::Own);
    assert_eq!(host.log.ends, [closed(true, 1000, Cause::Peer)]);
    host.flush();
    assert!(host.log.half_closed && !host.connection.is_over());
    assert_eq!(host.connection.poll_timeout(), Some(at(1_000)));
    host.wait_until_over();
    let mut host = open_client(&Config::default());
    host.receive(&frame(CLOSE, b"\x03\xE8"), Way::Own);
    host.flush();
    assert!(!host.log.half_closed && !host.connection.is_over());
    assert!(matches!(host.connection.endpoint().unwrap().state(), State::Closing));
    host.wait_until_over();
    assert_eq!((host.end(), host.log.half_closed), (closed(true, 1000, Cause::Peer), true));
}

#[test]
fn messages_that_came_before_the_end_of_the_transport_are_returned_first() {
    let bytes = [REQUEST, &masked(FIN | TEXT, b"Hi"), &masked(CLOSE, b"\x03\xE8")].concat();
    let mut connection = Connection::accept(&Config::default(), OriginPolicy::SameHost, Instant::ZERO);
    connection.room()[..bytes.len()].copy_from_slice(&bytes);
    connection.received(Instant::ZERO, bytes.len());
    // A host that reads until nothing more comes sees the end first.
    connection.received(Instant::ZERO, 0);
    let mut found = Vec::new();
    while let Some(next) = connection.next() {
        found.push(match next {
            Next::Opening(mut request) => {
                request.accept(&Accept::new()).unwrap();
                "request".to_owned()
            }
            Next::Data(message, _) => message.as_str().unwrap().to_owned(),
            Next::Control(control) => format!("{control:?}"),
            Next::Closed(end) => format!("{}", end.unwrap().code),
        });
    }
    assert_eq!(found, ["request", "Hi", "Close", "1000"]);
    let cut = &masked(FIN | TEXT, b"cut")[..5];
    let mut connection = opened(&Config::default());
    connection.room()[..cut.len()].copy_from_slice(cut);
    connection.received(Instant::ZERO, cut.len());
    connection.received(Instant::ZERO, 0);
    assert!(matches!(connection.next(), Some(Next::Closed(Ok(closed))) if closed.cause == Cause::Eof));
}

#[test]
fn bytes_are_a_sign_of_life_before_they_are_looked_at() {
    let mut connection = opened(&Config::default());
    connection.handle_timeout(Instant::from_millis(20_000));
    take_pending(&mut connection, Instant::from_millis(20_000));
    // The Pong has come in time, and the host runs its timers before it looks at it.
    let pong = masked(PONG, b"");
    connection.room()[..pong.len()].copy_from_slice(&pong);
    connection.received(Instant::from_millis(40_001), pong.len());
    connection.handle_timeout(Instant::from_millis(40_001));
    assert!(matches!(connection.next(), Some(Next::Control(Control::Pong))));
    assert_eq!(connection.endpoint().unwrap().state(), State::Open);
}

#[test]
fn a_flush_ends_where_the_transport_takes_nothing() {
    let mut connection = opened(&Config::default());
    connection.send("Hi").unwrap();
    let mut calls = 0;
    let flushed: Result<(), ()> = connection.flush(Instant::ZERO, |_| {
        calls += 1;
        Ok(usize::from(calls == 1))
    });
    assert_eq!((flushed, calls, connection.pending_len()), (Ok(()), 2, 3));
}
