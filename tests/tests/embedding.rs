//! What hosts share beyond the endpoint: the opening handshake with its buffer, output that is written piece by
//! piece, one buffer for many connections.

use core::time::Duration;

use ws_proto::{
    Cause, CloseCode, Config, Endpoint, Event, Fault, HandshakeError, Instant, Memory, Message, MessageBuffer,
    Negotiated, Output, Pending, Prepared, ReceiveError, ReceiveErrorKind, SendError, Server, Session, State,
    Storage, client,
    deflate::{Deflater, Settings},
    server::{self, Accept, Opening, OriginPolicy},
};
use ws_tests::{
    BINARY, CONTINUATION, FIN, PING, TEXT, TestClient, frame, masked, noise, read, read_beside, two_way_splits,
};

const REQUEST: &[u8] = b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: a, b\r\n\r\n";

const WITHOUT_SUBPROTOCOL: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

fn opening() -> Opening<'static> {
    Opening::new(&Config::default(), OriginPolicy::SameHost, Instant::ZERO)
}

/// All that `output` has to write, and whether the transport is ended behind it.
fn written(output: &mut Output) -> (String, bool) {
    let mut bytes = Vec::new();
    while let Some(pending) = output.pending() {
        match pending {
            Pending::Bytes(more) => {
                bytes.push(more[0]);
                output.advance(Instant::ZERO, 1);
            }
            Pending::Shutdown => {
                output.shut_down();
                assert!(output.is_empty(), "a shutdown comes last");
                return (String::from_utf8(bytes).unwrap(), true);
            }
        }
    }
    (String::from_utf8(bytes).unwrap(), false)
}

#[test]
fn what_a_host_holds_may_move_between_threads() {
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<Endpoint<Server>>();
    is_send_and_sync::<Endpoint<TestClient>>();
    is_send_and_sync::<MessageBuffer<Vec<u8>>>();
    is_send_and_sync::<MessageBuffer<&mut [u8]>>();
    is_send_and_sync::<Output>();
    is_send_and_sync::<Prepared<std::sync::Arc<[u8]>>>();
    is_send_and_sync::<Message<'_>>();
    is_send_and_sync::<Negotiated>();
    is_send_and_sync::<server::Handshake>();
    is_send_and_sync::<server::Request<'_>>();
    is_send_and_sync::<Opening<'_>>();
    is_send_and_sync::<Session<'_>>();
    is_send_and_sync::<Memory>();
    is_send_and_sync::<client::Handshake<'_>>();
    is_send_and_sync::<(ReceiveError, SendError, HandshakeError)>();
}

#[test]
fn an_opening_takes_a_request_in_any_pieces_and_gives_back_what_follows() {
    let received = [REQUEST, &masked(FIN | TEXT, b"early")].concat();
    for [first, second] in two_way_splits(&received) {
        let (mut opening, mut output) = (opening(), Output::new());
        let mut take = |bytes: &[u8], output: &mut Output| {
            opening.receive(Instant::ZERO, bytes, output, |request| {
                assert_eq!(request.path(), "/chat");
                Ok(Accept::new().subprotocol(request.select(&["b"])))
            })
        };
        let (opened, unread) = match take(first, &mut output) {
            Some(opened) => (opened, second),
            None => (take(second, &mut output).expect("all of the request has come"), &[][..]),
        };
        let (endpoint, rest) = opened;
        assert_eq!(endpoint.state(), State::Open);
        assert_eq!([&rest, unread].concat(), &received[REQUEST.len()..]);
        let (response, ended) = written(&mut output);
        assert!(response.starts_with("HTTP/1.1 101 ") && response.contains("\r\nSec-WebSocket-Protocol: b\r\n"));
        assert!(!ended);
    }
}

#[test]
fn who_is_refused_gets_to_read_why() {
    let ok: fn() -> Result<Accept<'static>, u16> = || Ok(Accept::new());
    for (request, answer, status) in [
        (REQUEST, (|| Err(404)) as fn() -> Result<Accept<'static>, u16>, 404),
        (REQUEST, || Err(401), 401),
        // What does not refuse is a fault of the server.
        (REQUEST, || Err(101), 500),
        (REQUEST, || Ok(Accept::new().headers(&[("Connection", "close")])), 500),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", ok, 426),
        (b"GET / HTTP/1.0\r\nHost: h\r\n\r\n", ok, 426),
        (b"GET / HTTP/1.0\r\nUpgrade: websocket\r\n\r\n", ok, 400),
        (b"\x16\x03\x01", ok, 400),
    ] {
        let mut output = Output::new();
        let opened = opening().receive(Instant::ZERO, request, &mut output, |_| answer());
        let (mut endpoint, rest) = opened.expect("the request is decided");
        assert!(rest.is_empty());
        output.drain(&mut endpoint);
        let (response, ended) = written(&mut output);
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {response}");
        assert!(ended);
    }
}

#[test]
fn an_opening_whose_time_is_over_is_answered_with_408() {
    let (mut opening, mut output) = (opening(), Output::new());
    let deadline = opening.poll_timeout().expect("it waits");
    assert_eq!(deadline, Instant::from_millis(10_000));
    let mut take = |now, bytes, output: &mut Output| opening.receive(now, bytes, output, |_| Ok(Accept::new()));
    assert!(take(Instant::from_millis(9_999), &REQUEST[..40], &mut output).is_none());
    let (endpoint, _) = take(deadline, &[], &mut output).expect("it is decided");
    assert_eq!(endpoint.state(), State::Closing);
    assert!(written(&mut output).0.starts_with("HTTP/1.1 408 "));
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
    // Nothing can be sent on it.
    let mut output = Output::new();
    assert_eq!(output.send(&mut refused(), Message::Text("")), Err(SendError::Closing));
}

#[test]
fn output_keeps_its_order_however_little_the_transport_takes() {
    let mut endpoint = Endpoint::new(Server, &Config::default(), Negotiated::default(), Instant::ZERO);
    let mut output = Output::new();
    output.send(&mut endpoint, Message::Text("one")).unwrap();
    output.written(&mut endpoint, Instant::ZERO, 2);
    let mut ping = masked(PING, b"p");
    endpoint.receive(Instant::ZERO, &mut &mut ping[..]).unwrap();
    // The Pong that is owed comes first.
    output.send(&mut endpoint, Message::Binary(b"two")).unwrap();
    output.close(&mut endpoint, Instant::ZERO, CloseCode::NORMAL, "bye").unwrap();
    assert_eq!(output.close(&mut endpoint, Instant::ZERO, CloseCode::NORMAL, ""), Err(SendError::Closing));
    let mut reply = masked(0x88, &[0x03, 0xE8]);
    endpoint.receive(Instant::ZERO, &mut &mut reply[..]).unwrap();
    output.drain(&mut endpoint);
    let expected =
        [b"one", &frame(0x8A, b"p")[..], &frame(FIN | BINARY, b"two"), &frame(0x88, b"\x03\xE8bye")].concat();
    assert_eq!(output.len(), expected.len());
    let mut bytes: Vec<u8> = Vec::new();
    while let Some(Pending::Bytes(more)) = output.pending() {
        bytes.extend(&more[..1]);
        output.written(&mut endpoint, Instant::ZERO, 1);
    }
    assert_eq!(bytes, expected);
    assert_eq!(output.pending(), Some(Pending::Shutdown));
    output.shut_down();
    assert!(output.is_empty());
}

#[test]
fn output_can_be_taken_whole_wherever_the_last_write_stopped() {
    let mut endpoint = Endpoint::refused(&Config::default(), Instant::ZERO);
    let mut output = Output::new();
    output.drain(&mut endpoint);
    output.buffer().extend(b"abcdef");
    output.written(&mut endpoint, Instant::ZERO, 2);
    assert_eq!(output.take_bytes(), b"cdef");
    output.buffer().extend(b"xyz");
    assert_eq!(output.pending(), Some(Pending::Bytes(b"xyz")));
    assert_eq!(output.take_bytes(), b"xyz");
    assert_eq!(output.take_bytes(), b"");
    assert_eq!(output.pending(), Some(Pending::Shutdown));
}

#[test]
fn output_gives_back_what_a_big_message_took() {
    let mut endpoint = Endpoint::new(Server, &Config::default(), Negotiated::default(), Instant::ZERO);
    let mut output = Output::new();
    output.send(&mut endpoint, Message::Binary(&noise(1 << 20))).unwrap();
    let len = output.len();
    output.written(&mut endpoint, Instant::ZERO, len - 1);
    assert!(output.buffer().capacity() > 1 << 20);
    output.written(&mut endpoint, Instant::ZERO, 1);
    assert!(output.is_empty());
    assert!(output.buffer().capacity() <= 64 * 1024);
}

/// Reads `bytes` in reads of at most `len` as an event loop does whose buffer is `shared_len` long; the payloads of the
/// messages, and how many reads went straight to the connection's own storage.
fn read_shared(bytes: &[u8], shared_len: usize, len: usize) -> (Vec<Vec<u8>>, usize) {
    let mut endpoint = Endpoint::new(Server, &Config::default(), Negotiated::default(), Instant::ZERO);
    let mut buffer = MessageBuffer::new(Vec::new());
    let mut shared = vec![0; shared_len];
    let start = shared.as_ptr();
    let (mut unread, mut messages, mut direct) = (bytes, Vec::new(), 0);
    while !unread.is_empty() {
        let room = buffer.unfilled_or(&endpoint, &mut shared);
        direct += usize::from(room.as_ptr() != start);
        let taken = len.min(room.len()).min(unread.len());
        room[..taken].copy_from_slice(&unread[..taken]);
        unread = &unread[taken..];
        let mut input = buffer.filled_or(taken, &mut shared);
        while let Some(incoming) = buffer.next_in(&mut endpoint, Instant::ZERO, &mut input).unwrap() {
            if let Event::Data(message) = incoming {
                messages.push(message.as_bytes().to_vec());
            }
        }
        assert_eq!(buffer.is_empty(), buffer.held_bytes() == 0, "memory is held for what is unfinished only");
    }
    assert!(buffer.is_empty());
    (messages, direct)
}

#[test]
fn a_big_frame_is_read_to_its_place_beside_a_shared_buffer() {
    let payloads = [noise(5), noise(200_000), noise(10), noise(20_000), noise(70_000), Vec::new(), noise(3)];
    let [tiny, big, small, middling, first, empty, last] = &payloads;
    let bytes = [
        masked(FIN | BINARY, tiny),
        masked(FIN | BINARY, big),
        masked(FIN | BINARY, small),
        masked(FIN | BINARY, middling),
        masked(BINARY, first),
        masked(PING, b"between"),
        masked(CONTINUATION, empty),
        masked(FIN, last),
    ]
    .concat();
    let whole = [tiny, big, small, middling].map(Clone::clone);
    let expected = [&whole[..], &[[&first[..], empty, last].concat()]].concat();
    for shared_len in [1, 100, 8 * 1024, 32 * 1024] {
        for len in [7, 1_460, 4_096, 32 * 1024, usize::MAX] {
            let (messages, direct) = read_shared(&bytes, shared_len, len);
            assert!(messages == expected, "{shared_len} bytes, reads of {len}");
            assert!(direct > 0, "{shared_len} bytes, reads of {len}");
        }
    }
}

#[test]
fn what_would_fill_a_shared_buffer_is_read_to_its_place() {
    let frame = masked(FIN | BINARY, &noise(12_000));
    // The header and a part, the part that would fill the buffer, and with a longer buffer all by two reads to that.
    for (shared_len, direct) in [(6_004, 1), (6_005, 0)] {
        assert_eq!(read_shared(&frame, shared_len, usize::MAX).1, direct, "{shared_len} bytes");
    }
}

fn server() -> Endpoint<Server> {
    Endpoint::new(Server, &Config::default(), Negotiated::default(), Instant::ZERO)
}

/// Reads `bytes` to a buffer that is shared, or to the connection's own storage; how long the message is, if there is one.
fn read_to(
    shared: bool,
    buffer: &mut MessageBuffer<impl Storage>,
    endpoint: &mut Endpoint<Server>,
    bytes: &[u8],
) -> Result<Option<usize>, ReceiveError> {
    read_at(Instant::ZERO, shared, buffer, endpoint, bytes)
}

fn read_at(
    now: Instant,
    shared: bool,
    buffer: &mut MessageBuffer<impl Storage>,
    endpoint: &mut Endpoint<Server>,
    bytes: &[u8],
) -> Result<Option<usize>, ReceiveError> {
    let mut bytes = bytes.to_vec();
    let incoming = if shared {
        buffer.next_in(endpoint, now, &mut &mut bytes[..])
    } else {
        assert!(read(buffer, endpoint, &bytes).is_empty());
        buffer.next(endpoint, now)
    };
    incoming.map(|incoming| match incoming {
        Some(Event::Data(message)) => Some(message.as_bytes().len()),
        _ => None,
    })
}

#[test]
fn a_buffer_that_serves_two_endpoints_is_noticed() {
    for shared in [false, true] {
        let (mut one, mut other) = (server(), server());
        let mut buffer = MessageBuffer::new(Vec::new());
        let begun = masked(FIN | TEXT, b"hello");
        let (begun, rest) = begun.split_at(8);
        assert_eq!(read_to(shared, &mut buffer, &mut one, begun), Ok(None));
        let error = read_to(shared, &mut buffer, &mut other, begun).unwrap_err();
        assert_eq!(error.kind(), ReceiveErrorKind::Fault(Fault::Internal));
        // Nor is what is left of the first one's message told of anybody else's bytes.
        let error = read_to(shared, &mut buffer, &mut one, rest).unwrap_err();
        assert_eq!(error.kind(), ReceiveErrorKind::Fault(Fault::Internal));
    }
}

#[test]
fn a_text_goes_on_only_with_what_was_validated_from_its_end() {
    for shared in [false, true] {
        let (mut one, mut other) = (server(), server());
        let (mut buffer, mut elsewhere) = (MessageBuffer::new(Vec::new()), MessageBuffer::new(Vec::new()));
        // Cut inside a code point, where the other's text is at the end of one.
        let cut = masked(FIN | TEXT, "aé".as_bytes());
        assert_eq!(read_to(shared, &mut buffer, &mut one, &cut[..8]), Ok(None));
        let hello = masked(FIN | TEXT, b"hello");
        assert_eq!(read_to(shared, &mut elsewhere, &mut other, &hello[..8]), Ok(None));
        let error = read_to(shared, &mut buffer, &mut other, &hello[8..]).unwrap_err();
        assert_eq!(error.kind(), ReceiveErrorKind::Fault(Fault::Internal));
    }
}

#[test]
fn every_byte_of_a_message_is_a_sign_of_life() {
    let at = |seconds: u64| Instant::from_millis(1000 * seconds);
    let message = masked(FIN | BINARY, &noise(100));
    for shared in [false, true] {
        let mut endpoint = server();
        let mut buffer = MessageBuffer::new(Vec::new());
        assert_eq!(read_at(at(1), shared, &mut buffer, &mut endpoint, &message[..50]), Ok(None));
        assert_eq!(endpoint.poll_timeout(), Some(at(21)));
        assert_eq!(read_at(at(20), shared, &mut buffer, &mut endpoint, &message[50..60]), Ok(None));
        assert_eq!(endpoint.poll_timeout(), Some(at(40)));
        assert_eq!(read_at(at(40), shared, &mut buffer, &mut endpoint, &message[60..]), Ok(Some(100)));
        assert_eq!(endpoint.poll_timeout(), Some(at(60)));
    }
}

#[test]
fn what_comes_late_of_a_message_is_discarded_where_it_lies() {
    let message = masked(FIN | BINARY, &noise(100_000));
    for shared in [false, true] {
        let mut endpoint = server();
        let mut buffer = MessageBuffer::new(Vec::new());
        assert_eq!(read_to(shared, &mut buffer, &mut endpoint, &message[..100]), Ok(None));
        let held = buffer.held_bytes();
        // The keepalive Ping is not answered.
        for seconds in [20, 40] {
            endpoint.handle_timeout(Instant::from_millis(1000 * seconds));
            while endpoint.poll_transmit().is_some() {}
        }
        assert_eq!(endpoint.payload_remaining(), 0);
        for late in message[100..].chunks(2000).take(40) {
            assert_eq!(read_to(shared, &mut buffer, &mut endpoint, late), Ok(None));
            assert!(buffer.unread().is_empty() && buffer.held_bytes() == held);
            assert!(!buffer.unfilled_or(&endpoint, &mut [0; 10]).is_empty());
        }
        assert!(
            matches!(endpoint.state(), State::Closed(closed) if closed.cause == Cause::PongTimeout),
            "64 KiB are enough"
        );
    }
}

#[test]
fn fixed_storage_holds_messages_of_its_own_length_however_they_are_read() {
    const LEN: usize = 20_000;
    let wire = [masked(BINARY, &noise(LEN)), masked(CONTINUATION | FIN, b"")].concat();
    let (message, end) = wire.split_at(LEN + 8);
    for cut in [8, 9, 100, LEN] {
        let (mut storage, mut shared) = (vec![0; LEN], vec![0; 2 * LEN]);
        let mut endpoint = server();
        let mut buffer = MessageBuffer::new(&mut storage[..]);
        let mut found = Vec::new();
        for mut piece in [&message[..cut], &message[cut..], end] {
            while !piece.is_empty() {
                let (mut input, rest) = read_beside(&mut buffer, &endpoint, &mut shared, piece);
                piece = rest;
                if let Some(Event::Data(message)) =
                    buffer.next_in(&mut endpoint, Instant::ZERO, &mut input).unwrap()
                {
                    found.push(message.as_bytes().len());
                }
            }
        }
        assert_eq!(found, [LEN], "cut at {cut}");
    }
}

#[test]
fn what_a_storage_has_no_room_for_counts_as_discarded() {
    let message = masked(FIN | BINARY, &noise(65_000));
    for shared in [false, true] {
        let mut storage = vec![0; 64_500];
        let mut endpoint = server();
        let mut buffer = MessageBuffer::new(&mut storage[..]);
        let error = read_to(shared, &mut buffer, &mut endpoint, &message[..64_000]).unwrap_err();
        assert_eq!(error.kind(), ReceiveErrorKind::Fault(Fault::StorageFull));
        while endpoint.poll_transmit().is_some() {}
        assert_eq!(endpoint.state(), State::Closing);
        assert_eq!(read_to(true, &mut buffer, &mut endpoint, &[0; 2000]), Err(error));
        assert!(matches!(endpoint.state(), State::Closed(_)), "64 KiB have been discarded");
    }
}

/// The state once `reads` have been received, in the caller's hands, in shared inputs or in the connection's own storage.
fn state_behind(reads: &[&[u8]], how: Option<bool>, storage_len: usize) -> State {
    let mut endpoint = server();
    let mut storage = vec![0; storage_len];
    let mut buffer = MessageBuffer::new(&mut storage[..]);
    for read in reads {
        let mut read = read.to_vec();
        let mut input = &mut read[..];
        match how {
            None => while let Ok(Some(_)) = endpoint.receive(Instant::ZERO, &mut input) {},
            Some(true) => while let Ok(Some(_)) = buffer.next_in(&mut endpoint, Instant::ZERO, &mut input) {},
            Some(false) => {
                assert!(ws_tests::read(&mut buffer, &endpoint, input).is_empty());
                while let Ok(Some(_)) = buffer.next(&mut endpoint, Instant::ZERO) {}
            }
        }
    }
    while endpoint.poll_transmit().is_some() {}
    endpoint.state()
}

#[test]
fn what_follows_a_fault_counts_as_discarded_however_it_is_received() {
    // More than 64 KiB of them close.
    let behind = vec![0; 70_000];
    let mut wrong = vec![b'a'; 1000];
    wrong[900] = 0xFF;
    let cut = [masked(FIN | TEXT, &wrong), behind.clone()].concat();
    let fragments = [
        masked(TEXT, &[b'a'; 10]),
        masked(CONTINUATION, &[0xFF; 10]),
        masked(CONTINUATION, &[b'a'; 40_000]),
        masked(FIN | CONTINUATION, &[b'a'; 40_000]),
    ]
    .concat();
    for reads in [&[&cut[..500], &cut[500..]][..], &[&fragments]] {
        for how in [None, Some(true), Some(false)] {
            let state = state_behind(reads, how, 200_000);
            assert!(matches!(state, State::Closed(_)), "{how:?} {state:?}");
        }
    }
    // There is no room for the second part, or for the first, which moves there when the Ping is told.
    let parts = [masked(BINARY, &[1; 500]), masked(FIN | CONTINUATION, &[2; 600]), behind.clone()].concat();
    let ping = [masked(BINARY, &[1; 500]), masked(PING, b""), behind].concat();
    for (reads, storage_len) in [(&[&parts[..400], &parts[400..]][..], 1000), (&[&ping], 400)] {
        let state = state_behind(reads, Some(true), storage_len);
        assert!(matches!(state, State::Closed(_)), "{state:?}");
    }
}

#[test]
fn what_a_big_message_took_is_given_back_although_every_read_cuts_one() {
    let small = masked(FIN | BINARY, &noise(9_000));
    let wire = [masked(FIN | BINARY, &noise(1 << 20)), small.repeat(20)].concat();
    let (mut endpoint, mut buffer, mut shared) = (server(), MessageBuffer::new(Vec::new()), vec![0; 1 << 20]);
    // Of each message the end comes with the beginning of the next.
    let (first, rest) = wire.split_at((1 << 20) + 14 + 9_000);
    for mut read in [first].into_iter().chain(rest.chunks_exact(small.len())) {
        while !read.is_empty() {
            let (mut input, rest) = read_beside(&mut buffer, &endpoint, &mut shared, read);
            read = rest;
            while buffer.next_in(&mut endpoint, Instant::ZERO, &mut input).unwrap().is_some() {}
        }
    }
    assert!(!buffer.is_empty() && buffer.held_bytes() <= 16 * 1024, "{}", buffer.held_bytes());
}

fn session() -> Session<'static> {
    Session::new(&Config::default(), OriginPolicy::SameHost, Instant::ZERO)
}

/// Gives `session` what has been received, and echoes messages.
fn receive(session: &mut Session<'_>, memory: &mut Memory, bytes: &[u8]) {
    let mut bytes = bytes.to_vec();
    session.receive(
        Instant::ZERO,
        &mut bytes,
        memory,
        |_| Ok(Accept::new()),
        |message, mut reply| {
            let _ = reply.queue(message);
        },
    );
}

#[test]
fn a_session_echoes_from_the_first_byte_to_the_last() {
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
        let (mut session, mut memory) = (session(), Memory::default());
        for part in [first, second] {
            receive(&mut session, &mut memory, part);
            session.handle_timeout(Instant::ZERO, &mut memory);
        }
        let mut sent = Vec::new();
        let stopped = session.flush(Instant::ZERO, &mut memory, |pending| match pending {
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
        assert!(memory.is_empty(), "a half-close is tried once");
        assert!(!session.is_over(&memory));
        session.receive_eof();
        session.handle_timeout(Instant::ZERO, &mut memory);
        assert!(session.is_over(&memory));
    }
}

#[test]
fn a_server_to_which_all_subprotocols_are_alike_speaks_the_clients_favourite() {
    for (request, expected) in [(REQUEST, Some("Sec-WebSocket-Protocol: a\r\n")), (WITHOUT_SUBPROTOCOL, None)] {
        let mut output = Output::new();
        let answer = |_: &server::Request<'_>| Ok(Accept::new().any_subprotocol());
        opening().receive(Instant::ZERO, request, &mut output, answer).unwrap();
        let response = written(&mut output).0;
        match expected {
            Some(field) => assert!(response.contains(field), "{response}"),
            None => assert!(!response.contains("Sec-WebSocket-Protocol"), "{response}"),
        }
    }
}

#[test]
fn a_session_keeps_its_memory_only_for_what_is_unfinished() {
    let (mut session, mut memory) = (session(), Memory::default());
    receive(&mut session, &mut memory, &REQUEST[..50]);
    assert!(memory.is_empty(), "a cut head is the session's own");
    receive(&mut session, &mut memory, &REQUEST[50..]);
    memory.output.take_bytes();
    assert!(memory.is_empty());
    let message = masked(FIN | TEXT, b"message");
    receive(&mut session, &mut memory, &message[..3]);
    assert!(memory.is_empty(), "a cut header is the endpoint's");
    receive(&mut session, &mut memory, &message[3..9]);
    assert!(!memory.is_empty());
    receive(&mut session, &mut memory, &message[9..]);
    assert!(!memory.is_empty(), "the echo is not written");
    assert_eq!(memory.output.take_bytes(), frame(FIN | TEXT, b"message"));
    assert!(memory.is_empty());
}

#[test]
fn a_session_that_is_refused_or_late_or_left_ends() {
    let late = Instant::from_millis(10_000);
    let (mut session_, mut memory) = (session(), Memory::default());
    assert_eq!(session_.poll_timeout(&memory), Some(late));
    session_.handle_timeout(late, &mut memory);
    assert!(written(&mut memory.output).0.starts_with("HTTP/1.1 408 "));
    assert_eq!(session_.poll_timeout(&memory), Some(Instant::from_millis(11_000)));
    session_.handle_timeout(Instant::from_millis(11_000), &mut memory);
    assert!(session_.is_over(&memory));
    let (mut left, mut memory) = (session(), Memory::default());
    left.receive_eof();
    assert!(left.is_over(&memory));
    receive(&mut left, &mut memory, REQUEST);
    assert!(memory.is_empty(), "nothing is heard any more");
}

#[test]
fn a_session_whose_memory_compresses_accepts_offers_of_it() {
    let offer = b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    let request = [&REQUEST[..REQUEST.len() - 2], offer].concat();
    for (request, settings, expected) in [
        (&request[..], Some(Settings::small()), true),
        (&request[..], None, false),
        (REQUEST, Some(Settings::small()), false),
    ] {
        let (mut session, mut memory) = (session(), Memory::default());
        memory.deflater = settings.map(Deflater::new);
        receive(&mut session, &mut memory, request);
        let Session::Open(endpoint) = &session else { panic!("{session:?}") };
        assert_eq!(endpoint.deflate().is_some(), expected);
        memory.output.take_bytes();
        receive(&mut session, &mut memory, &masked(FIN | TEXT, "again ".repeat(100).as_bytes()));
        let echo = memory.output.take_bytes();
        assert_eq!(echo[0] & 0x40 != 0, expected);
        assert_eq!(echo.len() < 100, expected);
        assert!(memory.is_empty(), "nothing is taken over");
    }
}

#[test]
fn lent_output_goes_on_where_the_transport_stopped() {
    let mut endpoint = Endpoint::new(Server, &Config::default(), Negotiated::default(), Instant::ZERO);
    let mut config = Config::default();
    config.min_write_rate = 0;
    let mut output = Output::with_config(&config);
    output.buffer().extend(b"abcdef");
    let at = |seconds: u64| Instant::from_millis(1000 * seconds);
    let lent = output.lend_bytes(at(1));
    assert_eq!((output.is_empty(), output.poll_timeout()), (true, Some(at(31))));
    output.buffer().extend(b"xyz");
    output.put_back(&mut endpoint, at(2), lent, 4);
    assert_eq!((output.pending(), output.poll_timeout()), (Some(Pending::Bytes(b"efxyz")), Some(at(32))));
    let lent = output.lend_bytes(at(3));
    output.put_back(&mut endpoint, at(4), lent, 5);
    assert_eq!((output.is_empty(), output.poll_timeout()), (true, None));
}

#[test]
fn a_session_whose_peer_takes_nothing_is_over_after_the_write_timeout() {
    let (mut session, mut memory) = (session(), Memory::default());
    receive(&mut session, &mut memory, &[REQUEST, &masked(FIN | BINARY, &noise(100_000))].concat());
    session.written(Instant::ZERO, 1, &mut memory);
    for seconds in [20, 29] {
        let now = Instant::from_millis(1000 * seconds);
        session.handle_timeout(now, &mut memory);
        session.written(now, 0, &mut memory);
        assert!(!session.is_over(&memory));
    }
    let end = Instant::from_millis(30_000);
    assert_eq!(session.poll_timeout(&memory), Some(end));
    session.handle_timeout(end, &mut memory);
    assert!(session.is_over(&memory) && memory.output.is_empty());
}
