//! Buffers that are attached to a connection for the time of a read.

use ws_proto::State;
use ws_tests::{BINARY, CLOSE, CONTINUATION, FIN, PING, TEXT, masked, noise};

use super::*;

/// Some messages and control frames, and the events that they are.
fn stream() -> (Vec<u8>, Vec<Told>) {
    let bytes = [
        masked(FIN | TEXT, b"one"),
        masked(BINARY, b"tw"),
        masked(PING, b"p"),
        masked(FIN | CONTINUATION, b"o"),
        masked(FIN | TEXT, b"three"),
        masked(FIN | BINARY, &[4; 300]),
    ]
    .concat();
    let told = vec![
        Told::Text("one".into()),
        Told::Ping(b"p".to_vec()),
        Told::Binary(b"two".to_vec()),
        Told::Text("three".into()),
        Told::Binary(vec![4; 300]),
    ];
    (bytes, told)
}

/// Takes at most `most` of what has happened in a read.
fn take_some(host: &mut Host<Server>, bytes: &[u8], most: usize, attached: bool) -> usize {
    let mut buffer = bytes.to_vec();
    let mut reading = if attached {
        let mut reading = host.connection.reading(&mut buffer);
        let room = reading.room();
        let len = room.len().min(bytes.len());
        room[..len].copy_from_slice(&bytes[..len]);
        reading.received(Instant::ZERO, len);
        assert_eq!(len, bytes.len());
        reading
    } else {
        host.connection.received_in(Instant::ZERO, &mut buffer)
    };
    for _ in 0..most {
        let Some(next) = reading.next() else { break };
        let control = take(&mut host.log, next);
        host.log.told.extend(control.map(|control| told(control, reading.connection())));
    }
    bytes.len()
}

#[test]
fn a_reading_that_is_dropped_in_the_middle_loses_nothing() {
    let (bytes, expected) = stream();
    for attached in [false, true] {
        for cut in 0..=bytes.len() {
            let (first, second) = bytes.split_at(cut);
            for most in [[0, 0], [0, 1], [1, 0], [1, 1], [2, 1], [3, 0]] {
                let mut host = open_server(&Config::default());
                take_some(&mut host, first, most[0], attached && most[0] > 5);
                take_some(&mut host, second, most[1], false);
                assert!(host.log.told.len() <= most[0] + most[1]);
                host.take_all();
                assert_eq!(host.log.told, expected, "cut at {cut}, {most:?} taken");
            }
        }
    }
}

#[test]
fn a_reading_that_is_dropped_before_the_opening_loses_nothing() {
    let (frames, expected) = stream();
    let bytes = [REQUEST, &frames].concat();
    for cut in 0..=bytes.len() {
        let (first, second) = bytes.split_at(cut);
        for most in [[0, 0], [1, 0], [1, 1], [2, 1]] {
            let mut host = server();
            take_some(&mut host, first, most[0], false);
            take_some(&mut host, second, most[1], false);
            host.take_all();
            assert_eq!((host.log.opened, &host.log.told), (1, &expected), "cut at {cut}, {most:?} taken");
        }
    }
}

#[test]
fn a_reading_that_is_dropped_leaves_fixed_storage_what_it_can_hold() {
    let (bytes, expected) = stream();
    let config = Config::default();
    for cut in 0..=bytes.len() {
        let (first, second) = bytes.split_at(cut);
        let memory = Memory::fixed(Vec::leak(vec![0; 1024]), Vec::leak(vec![0; 1024]), &config);
        let mut host: Host<Server, &'static mut [u8]> =
            Host::new(Connection::accept_in(memory, &config, OriginPolicy::SameHost, Instant::ZERO));
        host.receive(REQUEST, Way::Own);
        host.flush();
        for piece in [first, second] {
            let mut piece = piece.to_vec();
            drop(host.connection.received_in(Instant::ZERO, &mut piece));
        }
        host.take_all();
        assert_eq!(host.log.told, expected, "cut at {cut}");
    }
}

#[test]
fn the_end_of_the_transport_is_seen_although_fixed_storage_is_full() {
    let config = Config::default();
    let (mut input, mut output) = ([0; 200], [0; 1024]);
    let memory = Memory::fixed(&mut input, &mut output, &config);
    let mut connection: Connection<'_, Server, &mut [u8]> =
        Connection::accept_in(memory, &config, OriginPolicy::SameHost, Instant::ZERO);
    let mut bytes = [REQUEST, &masked(BINARY, &[1; 200])].concat();
    let mut reading = connection.received_in(Instant::ZERO, &mut bytes);
    let Some(Next::Opening(mut request)) = reading.next() else { panic!("no request") };
    request.accept(&Accept::new()).unwrap();
    // The message may still end with an empty frame.
    assert!(reading.next().is_none());
    drop(reading);
    assert_eq!(connection.endpoint().unwrap().state(), State::Open);
    let mut buffer = [0; 100];
    let mut reading = connection.reading(&mut buffer);
    assert!(!reading.room().is_empty());
    reading.received(Instant::ZERO, 0);
    assert!(matches!(reading.next(), Some(Next::Closed(Ok(closed))) if !closed.clean));
}

#[test]
fn a_big_message_is_read_to_its_place_beside_an_attached_buffer() {
    let payload = noise(200_000);
    let bytes = masked(FIN | BINARY, &payload);
    let mut host = open_server(&Config::default());
    let mut buffer = vec![0; 4096];
    let (mut unread, mut direct) = (&bytes[..], 0);
    while !unread.is_empty() {
        let at = buffer.as_ptr();
        direct += usize::from(host.connection.reading(&mut buffer).room().as_ptr() != at);
        unread = &unread[host.read_beside(unread, &mut buffer)..];
    }
    assert!(host.log.told == [Told::Binary(payload)] && direct > 0);
}

#[test]
fn each_message_hands_out_what_next_returns() {
    let wire = [
        masked(FIN | TEXT, b"one"),
        masked(TEXT, b"tw"),
        masked(PING, b"p"),
        masked(FIN | CONTINUATION, b"o"),
        masked(FIN | BINARY, &noise(3_000)),
        masked(CLOSE, b"\x03\xE8"),
    ]
    .concat();
    for len in [1, 7, 64, 5_000] {
        let mut connection = Connection::accept(&Config::default(), OriginPolicy::SameHost, Instant::ZERO);
        let mut request = REQUEST.to_vec();
        let mut reading = connection.received_in(Instant::ZERO, &mut request);
        let Some(Next::Opening(mut request)) = reading.each_message(|_, _| {}) else { panic!("no request") };
        request.accept(&Accept::new()).unwrap();
        drop(reading);
        let (mut shared, mut rest, mut found) = (vec![0; len], &wire[..], Vec::new());
        while !rest.is_empty() {
            let mut reading = connection.reading(&mut shared);
            let room = reading.room();
            let len = room.len().min(rest.len());
            room[..len].copy_from_slice(&rest[..len]);
            rest = &rest[len..];
            reading.received(Instant::ZERO, len);
            while let Some(next) = reading.each_message(|message, reply| {
                found.push(format!("{} bytes", message.as_bytes().len()));
                reply.send(message).unwrap();
            }) {
                if let Next::Control(control) = next {
                    found.push(format!("{control:?}"));
                }
            }
        }
        assert_eq!(found, ["3 bytes", "Ping", "3 bytes", "3000 bytes", "Close"], "reads of {len}");
    }
}
