//! Messages that own their payload: taken out of the storage without a copy, beside storage on a `Vec` as the model.

use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, prelude::*};
use ws_proto::{
    Client, CloseCode, Config, Connection, Control, Endpoint, Event, Instant, Message, MessageBuffer, MessageKind,
    Next, Pending, Server,
    connection::Memory,
    deflate::Settings,
    endpoint::Negotiated,
    message::{OwnedMessage, Utf8Bytes},
    server::{Accept, OriginPolicy},
};
use ws_tests::{
    BINARY, CONTINUATION, Compressor, Counting, FIN, Keys, PING, REQUEST, RSV1, TEXT, agreed, allocations, frame,
    growth, masked, noise, read, two_way_splits,
};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A peer's read is at most this long if a test does not say otherwise.
const READ: usize = 16 * 1024;

fn server() -> Endpoint<Server> {
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    Endpoint::new(Server, &config, Negotiated::default(), Instant::ZERO)
}

/// Reads all of `bytes` in reads of these lengths, in turn, and hands out what is found after each.
fn receive(
    buffer: &mut MessageBuffer<BytesMut>,
    endpoint: &mut Endpoint<Server>,
    mut bytes: &[u8],
    lens: &[usize],
    mut found: impl FnMut(OwnedMessage),
) {
    for len in lens.iter().cycle() {
        if bytes.is_empty() {
            return;
        }
        let (piece, after) = bytes.split_at(bytes.len().min(*len));
        let left = read(buffer, endpoint, piece).len();
        bytes = &bytes[piece.len() - left..];
        assert_eq!(bytes.len(), after.len() + left);
        while let Some(event) = buffer.next(endpoint, Instant::ZERO).unwrap() {
            if let Event::Data(_) = event {
                found(buffer.take_message().unwrap());
                assert!(buffer.message().is_none() && buffer.take_message().is_none(), "it is taken once");
            }
        }
    }
}

/// The messages of `bytes` by storage on a `Vec`, from one read.
fn model(bytes: &[u8]) -> Vec<(MessageKind, Vec<u8>)> {
    let (mut endpoint, mut buffer) = (server(), MessageBuffer::from(bytes.to_vec()));
    let mut messages = Vec::new();
    while let Some(event) = buffer.next(&mut endpoint, Instant::ZERO).unwrap() {
        if let Event::Data(message) = event {
            messages.push((message.kind(), message.as_bytes().to_vec()));
        }
    }
    messages
}

/// Checks that `kept` are these messages, still.
fn check(kept: &[OwnedMessage], expected: &[(MessageKind, Vec<u8>)]) {
    assert_eq!(kept.len(), expected.len());
    for (kept, (kind, payload)) in kept.iter().zip(expected) {
        assert!(kept.kind() == *kind && kept.as_bytes() == payload);
        assert_eq!(kept.as_str(), std::str::from_utf8(payload).ok().filter(|_| *kind == MessageKind::Text));
    }
}

/// Messages of both kinds, whole and in fragments, empty ones among them, with a Ping within one.
fn small_stream() -> Vec<u8> {
    [
        masked(FIN | TEXT, "whole é".as_bytes()),
        masked(FIN | BINARY, b""),
        masked(TEXT, b"a\xE2"),
        masked(PING, b"?"),
        masked(CONTINUATION, b"\x82"),
        masked(FIN | CONTINUATION, b"\xAC z"),
        masked(FIN | BINARY, b"\xFF\x00\xFF"),
        masked(FIN | TEXT, b""),
    ]
    .concat()
}

#[test]
fn owned_messages_are_those_of_a_vector_however_they_are_cut() {
    let stream = small_stream();
    let expected = model(&stream);
    assert_eq!(expected.len(), 5);
    for pieces in two_way_splits(&stream) {
        let (mut endpoint, mut buffer, mut kept) = (server(), MessageBuffer::default(), Vec::new());
        for piece in pieces {
            receive(&mut buffer, &mut endpoint, piece, &[READ], |message| kept.push(message));
        }
        check(&kept, &expected);
    }
    let (mut endpoint, mut buffer, mut kept) = (server(), MessageBuffer::default(), Vec::new());
    receive(&mut buffer, &mut endpoint, &stream, &[1], |message| kept.push(message));
    check(&kept, &expected);
}

/// The fragments of a message of these lengths.
fn fragments(lens: &[usize]) -> Vec<u8> {
    let payload = noise(lens.iter().sum());
    let (mut rest, mut bytes) = (&*payload, Vec::new());
    for (number, len) in lens.iter().enumerate() {
        let (fragment, after) = rest.split_at(*len);
        rest = after;
        let fin = if number + 1 == lens.len() { FIN } else { 0 };
        bytes.extend(masked(fin | if number == 0 { BINARY } else { CONTINUATION }, fragment));
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(120) })]

    #[test]
    fn kept_messages_stay_as_they_are_while_the_storage_goes_on(
        sent in vec(vec(prop_oneof![0..200_usize, Just(5_000), 16_000..18_000_usize, Just(70_000)], 1..4), 1..8),
        lens in vec(prop_oneof![1..20_usize, 1..6_000_usize, Just(100_000)], 1..20),
        keeps in vec(any::<bool>(), 1..10),
        takes in vec(any::<bool>(), 1..10),
    ) {
        let stream = sent.iter().map(|lens| fragments(lens)).collect::<Vec<_>>().concat();
        let (mut endpoint, mut buffer, mut kept) = (server(), MessageBuffer::<BytesMut>::default(), Vec::new());
        let (mut rest, expected, mut found) = (&*stream, model(&stream), 0);
        for len in lens.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let piece = &rest[..rest.len().min(*len)];
            rest = &rest[piece.len() - read(&mut buffer, &endpoint, piece).len()..];
            while let Some(event) = buffer.next(&mut endpoint, Instant::ZERO).unwrap() {
                let Event::Data(message) = event else { panic!("{event:?}") };
                prop_assert!(message.as_bytes() == expected[found].1);
                if takes[found % takes.len()] {
                    let message = buffer.take_message().unwrap();
                    prop_assert!(message.as_bytes() == expected[found].1);
                    if keeps[found % keeps.len()] {
                        kept.push((found, message));
                    }
                }
                found += 1;
            }
        }
        prop_assert_eq!(found, expected.len());
        prop_assert!(kept.iter().all(|(number, message)| message.as_bytes() == expected[*number].1));
    }
}

#[test]
fn a_message_of_one_frame_lies_where_it_was_read_to() {
    let (mut endpoint, mut buffer) = (server(), MessageBuffer::<BytesMut>::default());
    let wire = [masked(FIN | TEXT, b"first"), masked(FIN | BINARY, b"second")].concat();
    let room = buffer.unfilled(&endpoint);
    let start = room.as_ptr().addr();
    room[..wire.len()].copy_from_slice(&wire);
    buffer.filled(wire.len());
    for at in [6, 17] {
        assert!(matches!(buffer.next(&mut endpoint, Instant::ZERO), Ok(Some(Event::Data(_)))));
        let payload: Bytes = buffer.take_message().unwrap().into_bytes();
        assert_eq!(payload.as_ptr().addr() - start, at);
    }
}

#[test]
fn next_whole_takes_a_whole_message_and_nothing_else() {
    let (mut endpoint, mut buffer) = (server(), MessageBuffer::<BytesMut>::default());
    let frames =
        [(FIN | TEXT, "first"), (FIN | PING, "p"), (BINARY, "a"), (FIN | CONTINUATION, "b"), (FIN | TEXT, "last")];
    let wire: Vec<u8> = frames.iter().flat_map(|(first, payload)| masked(*first, payload.as_bytes())).collect();
    let (most, end) = wire.split_at(wire.len() - 1);
    let fill = |buffer: &mut MessageBuffer<BytesMut>, endpoint: &Endpoint<Server>, bytes: &[u8]| {
        buffer.unfilled(endpoint)[..bytes.len()].copy_from_slice(bytes);
        buffer.filled(bytes.len());
    };
    fill(&mut buffer, &endpoint, most);
    assert!(buffer.next_whole(&mut endpoint, Instant::ZERO));
    assert_eq!(buffer.message(), Some(Message::Text("first")));
    let expected = [Some(Event::Control(Control::Ping)), Some(Event::Data(Message::Binary(b"ab"))), None];
    for expected in expected {
        let unread = buffer.unread().to_vec();
        assert!(!buffer.next_whole(&mut endpoint, Instant::ZERO));
        assert_eq!(buffer.unread(), unread);
        assert_eq!(buffer.next(&mut endpoint, Instant::ZERO).unwrap(), expected);
    }
    fill(&mut buffer, &endpoint, end);
    assert!(!buffer.next_whole(&mut endpoint, Instant::ZERO));
    assert_eq!(buffer.next(&mut endpoint, Instant::ZERO).unwrap(), Some(Event::Data(Message::Text("last"))));
}

#[test]
fn big_messages_of_a_stream_begin_at_the_front_of_the_memory_of_the_last_one() {
    let mut longer = 0;
    for len in (1_000_000..2_000_000).step_by(50_000) {
        let wire = masked(FIN | BINARY, &noise(len));
        let (mut endpoint, mut buffer) = (server(), MessageBuffer::default());
        let longest = masked(FIN | BINARY, &noise(len + 100_000));
        receive(&mut buffer, &mut endpoint, &longest.repeat(3), &[READ], drop);
        for _ in 0..3 {
            let start = buffer.unfilled(&endpoint).as_ptr().addr();
            longer += usize::from(buffer.held_bytes() > len + 50_000);
            let mut at = None;
            let note = |message: OwnedMessage| at = Some(message.as_bytes().as_ptr().addr());
            receive(&mut buffer, &mut endpoint, &wire, &[READ], note);
            // When the storage grows, a message moves to its front over the header.
            assert_eq!(at, Some(start), "{len}");
        }
    }
    assert!(longer > 0, "memory longer than a message is what this is about");
}

/// Receives `count` messages of `len` bytes; how many allocations that makes, and how many bytes were received.
fn allocated(len: usize, count: usize, keep: bool) -> (usize, usize) {
    let wire = masked(FIN | BINARY, &noise(len));
    let stream = wire.repeat(count);
    let (mut endpoint, mut buffer) = (server(), MessageBuffer::default());
    let mut kept = Vec::with_capacity(count);
    // Both allocate at first, which is not counted.
    receive(&mut buffer, &mut endpoint, &wire.repeat(2), &[READ], drop);
    let made = allocations(|| {
        receive(&mut buffer, &mut endpoint, &stream, &[READ], |message| {
            if keep {
                kept.push(message);
            }
        });
    });
    let payload = noise(len);
    assert!(kept.iter().all(|message| message.as_bytes() == payload));
    (made, stream.len())
}

const LENS: [usize; 17] = [
    0, 1, 10, 100, 1_000, 4_000, 5_000, 16_370, 20_000, 28_000, 32_760, 33_000, 40_000, 65_522, 70_000, 140_000,
    1_100_000,
];

#[test]
fn messages_that_are_kept_take_an_allocation_for_16_kib_at_most() {
    for len in LENS {
        let (made, received) = allocated(len, (4 << 20) / (len + 100) + 1, true);
        println!("{len}: {made} for {} KiB", received >> 10);
        assert!(made <= received / (16 * 1024) + 4, "{made} for {received} in messages of {len}");
    }
}

#[test]
fn messages_that_are_dropped_before_the_next_read_take_no_allocation() {
    for len in LENS {
        let (made, received) = allocated(len, (4 << 20) / (len + 100) + 1, false);
        println!("{len}: {made} for {} KiB", received >> 10);
        assert!(made <= 4, "{made} for {received} in messages of {len}");
    }
}

#[test]
fn the_messages_of_a_read_share_an_allocation() {
    let (mut endpoint, mut buffer) = (server(), MessageBuffer::default());
    let stream = masked(FIN | BINARY, &[7; 20]).repeat(100);
    let mut kept = Vec::with_capacity(100);
    // That of the storage, and one that counts its shares.
    assert_eq!(
        allocations(|| receive(&mut buffer, &mut endpoint, &stream, &[READ], |message| kept.push(message))),
        2
    );
    assert_eq!(kept.len(), 100);
}

#[test]
fn what_a_kept_message_holds_has_a_bound() {
    for len in [1, 1_000, 100_000, 1 << 20] {
        let wire = masked(FIN | BINARY, &noise(len));
        let (mut endpoint, mut buffer) = (server(), MessageBuffer::default());
        let mut kept = None;
        receive(&mut buffer, &mut endpoint, &wire.repeat(10), &[READ], drop);
        let (_, held, _) = growth(|| {
            receive(&mut buffer, &mut endpoint, &wire, &[READ], |message| kept = Some(message));
            buffer.release();
        });
        assert!(held <= 65_536.max(2 * wire.len()) + 100, "{held} for {len}");
        drop(kept);
    }
}

#[test]
fn storage_that_is_released_holds_nothing_and_neither_does_an_empty_message() {
    let wire = [masked(FIN | BINARY, &noise(100_000)), masked(FIN | TEXT, b"")].concat();
    let (mut endpoint, mut buffer) = (server(), MessageBuffer::default());
    let (kept, held, _) = growth(|| {
        let mut kept = None;
        receive(&mut buffer, &mut endpoint, &wire, &[READ], |message| kept = Some(message));
        buffer.release();
        kept
    });
    assert_eq!((held, buffer.held_bytes()), (0, 0));
    assert_eq!(kept.unwrap().as_str(), Some(""));
    let wire = masked(FIN | BINARY, &noise(1_000));
    let (_buffer, held, _) = growth(|| {
        let mut buffer = MessageBuffer::with_received(BytesMut::from(&wire[..]), 0..wire.len());
        assert!(matches!(buffer.next(&mut endpoint, Instant::ZERO), Ok(Some(Event::Data(_)))));
        drop(buffer.take_message());
        assert!(buffer.held_bytes() == 0 && matches!(buffer.next(&mut endpoint, Instant::ZERO), Ok(None)));
        buffer.release();
        buffer
    });
    assert_eq!(held, 0);
}

#[test]
fn the_memory_of_big_messages_is_given_back_when_small_ones_follow() {
    let big = masked(FIN | BINARY, &noise(1 << 20));
    for count in [1, 2, 5] {
        let (mut endpoint, mut buffer) = (server(), MessageBuffer::default());
        let (_, held, _) = growth(|| {
            receive(&mut buffer, &mut endpoint, &big.repeat(count), &[READ], drop);
            let small = masked(FIN | BINARY, b"small").repeat(10);
            // One a read.
            receive(&mut buffer, &mut endpoint, &small, &[11], drop);
        });
        assert!(held <= 65_536 + 100 && buffer.held_bytes() <= 65_536, "{held} after {count}");
    }
}

#[test]
fn a_compressed_message_is_copied_out_of_the_inflater() {
    let settings = Settings::balanced();
    let [negotiated, _] = agreed(&settings, &settings);
    let mut endpoint = Endpoint::new(Client::new(Keys::Fixed), &Config::default(), negotiated, Instant::ZERO);
    let mut buffer = MessageBuffer::<BytesMut>::default();
    let mut kept = Vec::new();
    let mut compressor = Compressor::new(&settings);
    let texts = ["compressed ".repeat(1_000), "again ".repeat(2_000)];
    for text in &texts {
        for frame in compressor.frames(MessageKind::Text, &[text.as_bytes()]) {
            let frame = ws_tests::frame(FIN | RSV1 | TEXT, &frame);
            assert!(read(&mut buffer, &endpoint, &frame).is_empty());
            while let Some(event) = buffer.next(&mut endpoint, Instant::ZERO).unwrap() {
                assert!(matches!(event, Event::Data(_)));
                kept.extend(buffer.take_message());
                assert!(buffer.message().is_none() && buffer.take_message().is_none());
            }
        }
    }
    assert!(kept.iter().map(|message| message.as_str().unwrap()).eq(&texts));
}

/// Gives `connection` these bytes.
fn give(connection: &mut Connection<'_, Server, BytesMut>, bytes: &[u8]) {
    connection.room()[..bytes.len()].copy_from_slice(bytes);
    connection.received(Instant::ZERO, bytes.len());
}

#[test]
fn a_connection_hands_out_messages_that_outlive_it() {
    let config = Config::default();
    let memory = Box::new(Memory::with_bytes(&config));
    let mut connection =
        Connection::<_, BytesMut>::accept_in(Some(memory), &config, OriginPolicy::SameHost, Instant::ZERO);
    give(&mut connection, &[REQUEST, &small_stream()].concat());
    let Some(Next::Opening(mut request)) = connection.next_owned() else { panic!("no request") };
    request.accept(&Accept::new()).unwrap();
    connection.flush(Instant::ZERO, |_| Ok::<_, ()>(1)).unwrap();
    let (mut kept, mut pings) = (Vec::new(), 0);
    while let Some(next) = connection.next_owned() {
        match next {
            Next::Data(message, mut reply) => {
                reply.send(&message).unwrap();
                kept.push(message);
            }
            Next::Control(Control::Ping) => pings += 1,
            next => panic!("{next:?}"),
        }
    }
    let mut echoes = Vec::new();
    connection
        .flush(Instant::ZERO, |pending| {
            let Pending::Bytes(bytes) = pending else { panic!("not closed") };
            echoes.extend_from_slice(bytes);
            Ok::<_, ()>(bytes.len())
        })
        .unwrap();
    assert!(pings == 1 && echoes.starts_with(&frame(FIN | TEXT, "whole é".as_bytes())));
    give(&mut connection, &masked(FIN | BINARY, &[0xFF; 100]));
    while connection.next().is_some() {}
    connection.close(Instant::ZERO, CloseCode::NORMAL, "").unwrap();
    drop(connection);
    check(&kept, &model(&small_stream()));
}

#[test]
fn a_connection_that_an_http_library_opened_hands_out_messages_and_can_be_split() {
    let config = Config::default();
    let mut connection = Connection::<_, BytesMut>::open_in(None, server());
    let mut received = small_stream();
    drop(connection.received_in(Instant::ZERO, &mut received));
    let mut kept = Vec::new();
    while let Some(next) = connection.next_owned() {
        if let Next::Data(message, _) = next {
            kept.push(message);
        }
    }
    check(&kept, &model(&small_stream()));
    // The Pong.
    connection.flush(Instant::ZERO, |_| Ok::<_, ()>(1)).unwrap();
    let memory = connection.detach().unwrap_or_else(|| Box::new(Memory::with_bytes(&config)));
    assert!(!connection.has_memory() && connection.attach(memory).is_none());
    let (mut buffer, mut outgoing) = connection.split().unwrap();
    let wire = masked(FIN | TEXT, b"after");
    outgoing.room(&mut buffer)[..wire.len()].copy_from_slice(&wire);
    buffer.filled(wire.len());
    assert_eq!(outgoing.next(&mut buffer, Instant::ZERO).unwrap(), Some(Event::Data(Message::Text("after"))));
    assert_eq!(buffer.take_message().unwrap().as_str(), Some("after"));
}

#[test]
fn a_text_that_owns_its_bytes_is_checked_once_and_shared() {
    let text = Utf8Bytes::from("ünïcödé");
    assert_eq!((&*text, text.as_str(), text.to_string()), ("ünïcödé", "ünïcödé", "ünïcödé".to_owned()));
    assert_eq!(format!("{text:?}"), "\"ünïcödé\"");
    let shared = text.clone().into_bytes();
    assert_eq!(shared.as_ptr(), AsRef::<[u8]>::as_ref(&text).as_ptr());
    assert_eq!(Utf8Bytes::try_from(shared).unwrap(), text);
    assert!(Utf8Bytes::try_from(Bytes::from_static(b"\xE2\x82")).is_err());
    let owned = Utf8Bytes::from(String::from("owned"));
    assert!(owned == "owned" && owned == *"owned" && owned != Utf8Bytes::default());
}

#[test]
fn an_owned_message_is_made_of_any_payload_that_owns_itself() {
    for (message, expected) in [
        (OwnedMessage::from("text"), Message::Text("text")),
        (OwnedMessage::from(String::from("text")), Message::Text("text")),
        (OwnedMessage::from(Utf8Bytes::from("text")), Message::Text("text")),
        (OwnedMessage::from(Bytes::from_static(b"bytes")), Message::Binary(b"bytes")),
        (OwnedMessage::from(b"bytes".to_vec()), Message::Binary(b"bytes")),
        (OwnedMessage::from(Message::Text("copy")), Message::Text("copy")),
        (OwnedMessage::from(Message::Binary(b"copy")), Message::Binary(b"copy")),
    ] {
        assert_eq!((message.as_message(), message.kind()), (expected, expected.kind()));
        assert_eq!((message.as_bytes(), message.as_str()), (expected.as_bytes(), expected.as_str()));
        assert_eq!(Message::from(&message), expected);
        assert_eq!(message.into_bytes(), expected.as_bytes());
    }
}

#[test]
fn a_text_and_bytes_become_messages_of_their_kind() {
    let text = Utf8Bytes::from("caf\u{E9}");
    assert_eq!(Message::from(AsRef::<str>::as_ref(&text)), Message::Text("caf\u{E9}"));
    assert_eq!(Message::from(&Vec::from([1, 2])), Message::Binary(&[1, 2]));
}
