//! Connections whose memory an event loop lends.

use ws_proto::{
    Config, Connection, Instant, Pending, Server, connection::Memory, deflate::Settings, server::OriginPolicy,
};
use ws_tests::{
    BINARY, CONTINUATION, FIN, PING, REQUEST, TEXT, accepting, echo, frame, masked, noise, take_pending,
    two_way_splits,
};

#[test]
fn a_connection_echoes_from_the_first_byte_to_the_last() {
    let bytes = [
        REQUEST,
        &masked(FIN | TEXT, b"one"),
        &masked(BINARY, b"tw"),
        &masked(PING, b"p"),
        &masked(FIN | CONTINUATION, b"o"),
        &masked(0x88, b"\x03\xE8"),
    ]
    .concat();
    for [first, second] in two_way_splits(&bytes) {
        let mut connection = accepting(&Config::default());
        for part in [first, second] {
            echo(&mut connection, Instant::ZERO, part);
            connection.handle_timeout(Instant::ZERO);
        }
        let mut sent = Vec::new();
        let stopped = connection.flush(Instant::ZERO, |pending| match pending {
            Pending::Bytes(more) => {
                sent.push(more[0]);
                Ok(1)
            }
            Pending::Shutdown => Err("not yet"),
        });
        assert_eq!(stopped, Err("not yet"));
        let frames =
            [frame(FIN | TEXT, b"one"), frame(0x8A, b"p"), frame(FIN | BINARY, b"two"), frame(0x88, b"\x03\xE8")]
                .concat();
        assert!(sent.starts_with(b"HTTP/1.1 101 ") && sent.ends_with(&frames));
        assert!(connection.pending().is_none(), "a half-close is tried once");
        assert!(!connection.is_over());
        connection.received(Instant::ZERO, 0);
        assert!(connection.is_over());
    }
}

/// Returns whether the memory is free for another connection.
fn is_free(connection: &mut Connection<'_, Server>) -> bool {
    let memory = connection.detach();
    let is_free = memory.is_some();
    if let Some(memory) = memory {
        assert!(connection.attach(memory).is_none(), "it has none");
    }
    is_free
}

#[test]
fn a_connection_keeps_its_memory_only_for_what_is_unfinished() {
    let mut connection = accepting(&Config::default());
    assert!(is_free(&mut connection));
    echo(&mut connection, Instant::ZERO, &REQUEST[..50]);
    assert!(!is_free(&mut connection), "a cut head lies there");
    echo(&mut connection, Instant::ZERO, &REQUEST[50..]);
    assert!(!is_free(&mut connection), "the response is not written");
    take_pending(&mut connection, Instant::ZERO);
    assert!(is_free(&mut connection));
    let message = masked(FIN | TEXT, b"message");
    echo(&mut connection, Instant::ZERO, &message[..3]);
    assert!(is_free(&mut connection), "a cut header is the endpoint's");
    echo(&mut connection, Instant::ZERO, &message[3..9]);
    assert!(!is_free(&mut connection));
    echo(&mut connection, Instant::ZERO, &message[9..]);
    assert!(!is_free(&mut connection), "the echo is not written");
    assert_eq!(take_pending(&mut connection, Instant::ZERO).0, frame(FIN | TEXT, b"message"));
    assert!(is_free(&mut connection));
}

#[test]
fn a_connection_whose_memory_compresses_accepts_offers_of_it() {
    let offer = b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    let request = [&REQUEST[..REQUEST.len() - 2], offer].concat();
    for (request, settings, expected) in [
        (&request[..], Some(Settings::small()), true),
        (&request[..], None, false),
        (REQUEST, Some(Settings::small()), false),
    ] {
        let config = Config::default();
        let memory = settings.into_iter().fold(Memory::new(&config), Memory::deflate);
        let mut connection =
            Connection::accept_in(Some(Box::new(memory)), &config, OriginPolicy::SameHost, Instant::ZERO);
        echo(&mut connection, Instant::ZERO, request);
        assert_eq!(connection.endpoint().unwrap().deflate().is_some(), expected);
        take_pending(&mut connection, Instant::ZERO);
        echo(&mut connection, Instant::ZERO, &masked(FIN | TEXT, "again ".repeat(100).as_bytes()));
        let (echo, _) = take_pending(&mut connection, Instant::ZERO);
        assert_eq!(echo[0] & 0x40 != 0, expected);
        assert_eq!(echo.len() < 100, expected);
        assert!(is_free(&mut connection), "no context is taken over");
    }
}

#[test]
fn a_connection_whose_peer_takes_nothing_is_over_after_the_write_timeout() {
    let mut connection = accepting(&Config::default());
    echo(&mut connection, Instant::ZERO, &[REQUEST, &masked(FIN | BINARY, &noise(100_000))].concat());
    connection.written(Instant::ZERO, 1);
    for seconds in [20, 29] {
        let now = Instant::from_millis(1000 * seconds);
        connection.handle_timeout(now);
        connection.written(now, 0);
        assert!(!connection.is_over());
    }
    let end = Instant::from_millis(30_000);
    assert_eq!(connection.poll_timeout(), Some(end));
    connection.handle_timeout(end);
    assert!(connection.is_over() && connection.pending().is_none());
}
