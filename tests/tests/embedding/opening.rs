//! The opening handshake of a server's connection.

use core::time::Duration;

use ws_proto::{
    Cause, CloseCode, Config, Connection, Endpoint, Instant, Message, Next, SendError, Server, State,
    connection::{Failure, Output},
    handshake::HandshakeError,
    server::{Accept, Request},
};
use ws_tests::{FIN, REQUEST, TEXT, accepting, answer, masked, take_pending, two_way_splits};

/// A request with two subprotocols.
const CHAT: &[u8] = b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: a, b\r\n\r\n";

/// Gives `connection` the next bytes of the opening handshake; the failure, if they decide against it.
fn receive<'s>(
    connection: &mut Connection<'_, Server>,
    bytes: &[u8],
    decide: impl FnOnce(&Request<'_>) -> Result<Accept<'s>, u16>,
) -> Option<Failure> {
    let room = connection.room();
    room[..bytes.len()].copy_from_slice(bytes);
    connection.received(Instant::ZERO, bytes.len());
    match connection.next() {
        Some(Next::Opening(mut request)) => {
            let decision = decide(&request);
            answer(&mut request, decision);
            None
        }
        Some(Next::Closed(Err(failure))) => Some(failure),
        None => None,
        other => panic!("{other:?}"),
    }
}

/// All that is pending, as text, and whether the transport is ended after it.
fn written(connection: &mut Connection<'_, Server>) -> (String, bool) {
    let (bytes, ended) = take_pending(connection, Instant::ZERO);
    (String::from_utf8(bytes).unwrap(), ended)
}

#[test]
fn an_opening_takes_a_request_in_any_pieces_and_then_what_follows() {
    let received = [CHAT, &masked(FIN | TEXT, b"early")].concat();
    for [first, second] in two_way_splits(&received) {
        let mut connection = accepting(&Config::default());
        for bytes in [first, second] {
            if bytes.is_empty() {
                continue;
            }
            let room = connection.room();
            room[..bytes.len()].copy_from_slice(bytes);
            connection.received(Instant::ZERO, bytes.len());
            if let Some(Next::Opening(mut request)) = connection.next() {
                assert_eq!(request.path(), "/chat");
                let accept = Accept::new().subprotocol(request.select(&["b"]));
                request.accept(&accept).unwrap();
            }
        }
        assert_eq!(connection.endpoint().unwrap().state(), State::Open);
        let next = connection.next();
        assert!(matches!(next, None | Some(Next::Data(Message::Text("early"), _))), "{next:?}");
        let (response, ended) = written(&mut connection);
        assert!(response.starts_with("HTTP/1.1 101 ") && response.contains("\r\nSec-WebSocket-Protocol: b\r\n"));
        assert!(!ended);
    }
}

#[test]
fn a_client_that_is_refused_gets_to_read_why() {
    let ok: fn() -> Result<Accept<'static>, u16> = || Ok(Accept::new());
    for (request, answer, status) in [
        (CHAT, (|| Err(404)) as fn() -> Result<Accept<'static>, u16>, 404),
        (CHAT, || Err(401), 401),
        // A status that does not refuse is a fault of the server.
        (CHAT, || Err(101), 500),
        (CHAT, || Ok(Accept::new().headers(&[("Connection", "close")])), 500),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", ok, 426),
        (b"GET / HTTP/1.0\r\nHost: h\r\n\r\n", ok, 426),
        (b"GET / HTTP/1.0\r\nUpgrade: websocket\r\n\r\n", ok, 400),
        (b"\x16\x03\x01", ok, 400),
    ] {
        let mut connection = accepting(&Config::default());
        let failure = receive(&mut connection, request, |_| answer());
        assert_eq!(failure.is_none(), request == CHAT, "{failure:?}");
        let end = connection
            .next()
            .map(|next| matches!(next, Next::Closed(Ok(closed)) if closed.cause == Cause::Refused));
        assert_eq!(end, (request == CHAT).then_some(true), "the end is returned once");
        let (response, ended) = written(&mut connection);
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {response}");
        assert!(ended);
    }
}

#[test]
fn an_opening_whose_time_is_over_is_answered_with_408() {
    let mut connection = accepting(&Config::default());
    let deadline = connection.poll_timeout().expect("it waits");
    assert_eq!(deadline, Instant::from_millis(10_000));
    assert_eq!(receive(&mut connection, &CHAT[..40], |_| Ok(Accept::new())), None);
    connection.handle_timeout(Instant::from_millis(9_999));
    assert!(connection.endpoint().is_none() && connection.pending().is_none());
    connection.handle_timeout(deadline);
    let next = connection.next();
    assert!(matches!(next, Some(Next::Closed(Err(Failure::Handshake(HandshakeError::Timeout))))), "{next:?}");
    assert_eq!(connection.poll_timeout(), Some(Instant::from_millis(11_000)));
    let (response, _) = take_pending(&mut connection, deadline);
    assert!(response.starts_with(b"HTTP/1.1 408 "));
    // The peer has the drain timeout to read it.
    assert_eq!(connection.poll_timeout(), Some(Instant::from_millis(11_000)));
    connection.handle_timeout(Instant::from_millis(11_000));
    assert!(connection.is_over() && connection.next().is_none());
}

#[test]
fn a_connection_that_is_left_while_it_opens_is_over() {
    let mut connection = accepting(&Config::default());
    connection.received(Instant::ZERO, 0);
    assert!(connection.is_over());
    let next = connection.next();
    assert!(matches!(next, Some(Next::Closed(Ok(closed))) if closed.cause == Cause::Eof), "{next:?}");
    let mut late = REQUEST.to_vec();
    let mut reading = connection.received_in(Instant::ZERO, &mut late);
    assert!(reading.next().is_none(), "no request is looked at any more");
    drop(reading);
    assert!(connection.pending().is_none());
}

#[test]
fn a_server_to_which_all_subprotocols_are_alike_speaks_the_clients_favourite() {
    for (request, expected) in [(CHAT, Some("Sec-WebSocket-Protocol: a\r\n")), (REQUEST, None)] {
        let mut connection = accepting(&Config::default());
        assert_eq!(receive(&mut connection, request, |_| Ok(Accept::new().any_subprotocol())), None);
        let response = written(&mut connection).0;
        match expected {
            Some(field) => assert!(response.contains(field), "{response}"),
            None => assert!(!response.contains("Sec-WebSocket-Protocol"), "{response}"),
        }
    }
}

#[test]
fn a_refused_connection_discards_until_the_transport_ends() {
    let refused = || Endpoint::refused(&Config::default(), Instant::ZERO);
    let closed = |endpoint: &Endpoint<Server>| match endpoint.state() {
        State::Closed(closed) => {
            assert_eq!((closed.clean, closed.code, closed.cause), (false, CloseCode::ABNORMAL, Cause::Refused));
            true
        }
        State::Open | State::Closing => false,
    };
    // The peer ends the transport.
    let mut endpoint = refused();
    let mut bytes = masked(FIN | TEXT, b"of no interest");
    assert!(endpoint.receive(Instant::ZERO, &mut &mut bytes[..]).unwrap().is_none());
    assert!(!closed(&endpoint));
    endpoint.receive_eof();
    assert!(closed(&endpoint));
    // It waits no longer than the drain timeout.
    let mut endpoint = refused();
    let deadline = endpoint.poll_timeout().expect("it waits");
    assert_eq!(Duration::from(deadline), Duration::from_secs(1));
    endpoint.handle_timeout(deadline);
    assert!(closed(&endpoint));
    // Nor for more than 64 KiB.
    let mut endpoint = refused();
    let mut bytes = vec![0; 64 * 1024];
    assert!(endpoint.receive(Instant::ZERO, &mut &mut bytes[..]).unwrap().is_none());
    assert!(closed(&endpoint));
    // The endpoint refuses to send.
    let mut output = Output::new();
    assert_eq!(output.send(&mut refused(), Message::Text("")), Err(SendError::Closing));
}
