//! Connections without a heap: memory of a fixed length.

use ws_proto::{
    MessageKind, Part, SendError,
    endpoint::ControlFrame,
    error::{Fault, ReceiveErrorKind},
    handshake::HandshakeError,
};
use ws_tests::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, frame, masked, noise, parse};

use super::*;

type Fixed<R> = Host<R, &'static mut [u8]>;

fn memory(input: usize, output: usize) -> Memory<&'static mut [u8]> {
    Memory::fixed(Vec::leak(vec![0; input]), Vec::leak(vec![0; output]), &Config::default())
}

fn fixed_server(input: usize, output: usize) -> Fixed<Server> {
    let config = Config::default();
    Host::new(Connection::accept_in(memory(input, output), &config, OriginPolicy::SameHost, Instant::ZERO))
}

fn fixed_client(input: usize, output: usize) -> Fixed<TestClient> {
    let (config, request) = (Config::default(), client::Request::new("h", "/"));
    let memory = memory(input, output);
    Host::new(Connection::connect_in(memory, request, Keys::Fixed, &config, Instant::ZERO).unwrap())
}

/// A server that is open, and has written its response.
fn open(input: usize, output: usize) -> Fixed<Server> {
    let mut host = fixed_server(input, output);
    host.receive(REQUEST, Way::Own);
    host.flush();
    assert_eq!(host.log.opened, 1);
    host.log = Log::default();
    host
}

#[test]
fn a_client_and_a_server_talk_in_memory_of_a_fixed_length_however_they_read() {
    let ways = [Way::Own, Way::Parts, Way::Attached(1), Way::Attached(100), Way::Attached(4096), Way::Given(7)];
    for way in ways {
        let (mut client, mut server) = (fixed_client(512, 512), fixed_server(512, 512));
        client.flush();
        server.receive(&std::mem::take(&mut client.log.sent), way);
        server.flush();
        client.receive(&std::mem::take(&mut server.log.sent), way);
        let mut expected = Vec::new();
        for len in [0, 1, 125, 126, 400] {
            let payload = noise(len);
            client.connection.send(Message::Binary(&payload)).unwrap();
            server.connection.send(Message::Binary(&payload)).unwrap();
            client.flush();
            server.flush();
            server.receive(&std::mem::take(&mut client.log.sent), way);
            client.receive(&std::mem::take(&mut server.log.sent), way);
            expected.push(Told::Binary(payload));
        }
        assert_eq!((&client.log.told, &server.log.told), (&expected, &expected), "{way:?}");
        client.connection.close(Instant::ZERO, CloseCode::NORMAL, "bye").unwrap();
        client.flush();
        server.receive(&std::mem::take(&mut client.log.sent), way);
        server.flush();
        client.receive(&std::mem::take(&mut server.log.sent), way);
        client.receive_eof();
        client.flush();
        server.receive_eof();
        assert!(client.end().unwrap().clean && server.end().unwrap().clean, "{way:?}");
    }
}

#[test]
fn a_head_longer_than_the_input_is_refused() {
    let head = [&REQUEST[..REQUEST.len() - 2], b"X: ", &[b'a'; 300], b"\r\n\r\n"].concat();
    for way in [Way::Own, Way::Attached(7), Way::Given(100), Way::Given(1000)] {
        let mut host = fixed_server(256, 512);
        host.receive(&head, way);
        assert_eq!(host.log.ends, [Err(Failure::Handshake(HandshakeError::HeadTooLong))], "{way:?}");
        host.flush();
        assert!(host.log.sent.starts_with(b"HTTP/1.1 431 ") && host.log.half_closed);
        host.wait_until_over();
        assert!(host.end().is_err());
        // One that fits to the byte is taken.
        let mut host = fixed_server(head.len(), 512);
        host.receive(&head, way);
        assert_eq!(host.log.opened, 1, "{way:?}");
    }
}

#[test]
fn a_message_longer_than_the_input_is_refused_with_1009() {
    for way in [Way::Own, Way::Attached(7), Way::Attached(400), Way::Given(100), Way::Given(400)] {
        for (bytes, fits) in [
            (masked(FIN | BINARY, &noise(300)), true),
            (masked(FIN | BINARY, &noise(600)), false),
            ([masked(BINARY, &noise(300)), masked(FIN | CONTINUATION, &noise(300))].concat(), false),
        ] {
            let mut host = open(512, 512);
            host.receive(&bytes, way);
            host.flush();
            if fits {
                assert_eq!(host.log.told, [Told::Binary(noise(300))]);
                continue;
            }
            let Some(Err(Failure::Receive(error))) = host.log.ends.first() else {
                panic!("{way:?} {:?}", host.log)
            };
            assert_eq!(error.kind(), ReceiveErrorKind::Fault(Fault::StorageFull));
            assert_eq!(parse(&host.log.sent)[0].payload[..2], 1009_u16.to_be_bytes());
            host.wait_until_over();
            assert!(host.end().is_err());
        }
    }
}

#[test]
fn a_message_longer_than_the_input_is_taken_in_parts() {
    let payload = noise(100_000);
    let mut host = open(512, 512);
    host.receive(&masked(FIN | BINARY, &payload), Way::Parts);
    assert!(host.log.told == [Told::Binary(payload)] && host.log.ends.is_empty());
}

#[test]
fn an_output_without_room_refuses_and_changes_nothing() {
    let mut host = open(512, 512);
    let connection = &mut host.connection;
    connection.send(Message::Binary(&noise(400))).unwrap();
    let before = connection.pending_len();
    let full = |result: Result<(), SendError>| assert!(matches!(result, Err(SendError::BufferTooSmall { .. })));
    full(connection.send(Message::Binary(&noise(200))));
    full(connection.send_part(MessageKind::Text, Part::First, &[b'a'; 200]));
    full(connection.ping(b"p"));
    full(connection.close(Instant::ZERO, CloseCode::NORMAL, "bye"));
    assert_eq!(connection.pending_len(), before);
    // No message was begun, and no Close sent.
    connection.send("fits").unwrap();
    host.flush();
    host.connection.ping(b"p").unwrap();
    host.connection.close(Instant::ZERO, CloseCode::NORMAL, "bye").unwrap();
    host.flush();
    let sent: Vec<_> = parse(&host.log.sent).into_iter().map(|frame| (frame.first, frame.payload.len())).collect();
    assert_eq!(sent, [(FIN | BINARY, 400), (FIN | TEXT, 4), (PING, 1), (CLOSE, 5)]);
}

#[test]
fn control_frames_wait_for_room_and_none_is_lost() {
    let mut host = open(512, 512);
    host.connection.send(Message::Binary(&noise(450))).unwrap();
    host.receive(&masked(PING, b"one"), Way::Own);
    assert_eq!(host.connection.pending_len(), 454, "a Pong has no room");
    host.flush();
    host.take_all();
    host.flush();
    assert_eq!(parse(&host.log.sent)[1..], parse(&frame(PONG, b"one")));
    // A keepalive Ping, and after that the Close and the half-close.
    let mut host = open(512, 512);
    host.connection.send(Message::Binary(&noise(450))).unwrap();
    host.time(at(20_000));
    assert_eq!(host.connection.pending_len(), 454);
    host.receive(&masked(CLOSE, b"\x03\xE8"), Way::Own);
    assert_eq!((host.connection.pending_len(), &host.log.ends[..]), (454, &[][..]), "the Close has no room");
    host.flush();
    host.take_all();
    host.flush();
    assert_eq!(parse(&host.log.sent)[1..], parse(&frame(CLOSE, b"\x03\xE8")));
    assert!(host.log.half_closed);
    host.receive_eof();
    assert!(host.end().unwrap().clean);
}

#[test]
fn what_waits_for_room_goes_out_with_the_writes_alone() {
    // The host writes when its socket takes more, and does not ask for news.
    let mut host = open(512, 512);
    host.connection.send(Message::Binary(&noise(450))).unwrap();
    host.receive(&masked(CLOSE, b"\x03\xE8"), Way::Own);
    host.flush();
    assert_eq!(parse(&host.log.sent)[1..], parse(&frame(CLOSE, b"\x03\xE8")));
    assert!(host.log.half_closed);
}

// K-late-end
#[test]
fn an_end_that_a_write_makes_certain_is_returned_before_the_connection_is_over() {
    let way = Way::Own;
    for last in [masked(CLOSE, b"\x03\xE8"), masked(FIN | TEXT, b"\xFF")] {
        for input_ends in [true, false] {
            let mut host = open(512, 512);
            host.connection.send(Message::Binary(&noise(450))).unwrap();
            host.receive(&last, way);
            match input_ends {
                true => host.receive_eof(),
                // More than what is discarded.
                false => host.receive(&[0; 70_000], way),
            }
            assert!(host.log.ends.is_empty(), "the Close has no room");
            host.flush();
            let is_due = host.connection.poll_timeout().is_some_and(|due| due <= host.now);
            assert!(is_due && host.log.half_closed && !host.connection.is_over());
            host.connection.handle_timeout(host.now);
            assert!(host.connection.is_over() && host.connection.poll_timeout().is_none());
            host.take_all();
            assert_eq!(host.end().is_ok_and(|closed| closed.clean), last[0] == CLOSE);
            host.take_all();
            assert_eq!(host.log.ends.len(), 1);
        }
    }
}

#[test]
fn every_length_of_a_partial_write_sends_the_same_bytes() {
    let mut expected = None;
    for len in 1..=200 {
        let mut host = open(512, 300);
        for number in 0..20_u8 {
            let payload = noise(usize::from(number) * 7);
            while host.connection.send(Message::Binary(&payload)).is_err() {
                host.write(len);
            }
            host.receive(&masked(PING, &[number]), Way::Own);
            while host.connection.pending_len() > 300 - ControlFrame::MAX_LEN {
                host.write(len);
            }
            host.take_all();
        }
        while host.connection.pending().is_some() {
            host.write(len);
        }
        let sent: Vec<_> = parse(&host.log.sent).into_iter().map(|frame| (frame.first, frame.payload)).collect();
        let messages = sent.iter().filter(|(first, _)| *first == FIN | BINARY).count();
        let pongs: Vec<_> =
            sent.iter().filter(|(first, _)| *first == PONG).map(|(_, payload)| payload[0]).collect();
        assert_eq!((messages, pongs), (20, (0..20).collect()), "writes of {len}");
        let data: Vec<_> = sent.into_iter().filter(|(first, _)| *first != PONG).collect();
        assert_eq!(*expected.get_or_insert(data.clone()), data, "writes of {len}");
    }
}
