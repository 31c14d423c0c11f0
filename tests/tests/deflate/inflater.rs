//! One inflater serves one way of receiving at a time, and many connections.

use ws_proto::{
    Config, Endpoint, Event, Instant, Message, MessageBuffer, MessageKind, Part, Server,
    deflate::{Deflater, Inflater},
    error::{Fault, ReceiveErrorKind},
};
use ws_tests::{
    BINARY, Compressor, FIN, Host, RSV1, TEXT, agreed, bare_config, deflating_client, deflating_server, inflated,
    masked, noise, read_beside,
};

use super::{COMPRESSED_BINARY, COMPRESSED_TEXT, CORRUPT, HELLO, HELLO_AGAIN, alone, came, takeover, text};

fn read(host: &mut Host<Server>, buffer: &mut MessageBuffer<Vec<u8>>, bytes: &[u8]) {
    assert!(ws_tests::read(buffer, &host.endpoint, bytes).is_empty());
}

fn internal<X>(found: Result<X, ws_proto::ReceiveError>) {
    let error = found.err().expect("a fault of the host's").kind();
    assert_eq!(error, ReceiveErrorKind::Fault(Fault::Internal));
}

#[test]
fn a_message_that_was_begun_in_parts_can_not_be_had_as_a_whole() {
    let mut host = deflating_server(&bare_config(), &takeover());
    let frames = Compressor::new(&takeover()).frames(MessageKind::Text, &[b"\xC3", b"\xA9x", b"y"]);
    let mut buffer = MessageBuffer::new(Vec::new());
    for (first, frame) in [(RSV1 | TEXT, &frames[0]), (0, &frames[1])] {
        read(&mut host, &mut buffer, &masked(first, frame));
        assert_eq!(buffer.next_part(&mut host.endpoint, Instant::ZERO), Ok(Some(Event::Data(()))));
        assert_eq!(buffer.next_part(&mut host.endpoint, Instant::ZERO), Ok(None));
    }
    read(&mut host, &mut buffer, &masked(FIN, &frames[2]));
    // "\xA9xy" would be no text.
    internal(buffer.next(&mut host.endpoint, Instant::ZERO));
}

#[test]
fn a_frame_of_which_parts_are_still_to_be_taken_is_not_left_for_the_next_message() {
    let long = vec![b'a'; 200_000];
    let frames = Compressor::new(&takeover()).frames(MessageKind::Binary, &[&long]);
    let whole = masked(FIN | RSV1 | BINARY, &frames[0]);
    let begun = || {
        let mut host = deflating_server(&bare_config(), &takeover());
        let mut buffer = MessageBuffer::new(Vec::new());
        read(&mut host, &mut buffer, &whole);
        assert_eq!(buffer.next_part(&mut host.endpoint, Instant::ZERO), Ok(Some(Event::Data(()))));
        assert!(buffer.take_part().unwrap().as_bytes().len() < long.len());
        (host, buffer)
    };
    let (mut host, mut buffer) = begun();
    internal(buffer.next(&mut host.endpoint, Instant::ZERO));
    let (mut host, mut buffer) = begun();
    internal(buffer.next_in(&mut host.endpoint, Instant::ZERO, &mut &mut masked(FIN | BINARY, b"next")[..]));
}

#[test]
fn a_message_that_was_begun_as_a_whole_comes_whole_as_one_part() {
    let mut host = deflating_server(&bare_config(), &takeover());
    let frames = Compressor::new(&takeover()).frames(MessageKind::Text, &[b"be", b"gun"]);
    let mut buffer = MessageBuffer::new(Vec::new());
    read(&mut host, &mut buffer, &masked(RSV1 | TEXT, &frames[0]));
    assert_eq!(buffer.next(&mut host.endpoint, Instant::ZERO), Ok(None));
    read(&mut host, &mut buffer, &masked(FIN, &frames[1]));
    assert_eq!(buffer.next_part(&mut host.endpoint, Instant::ZERO), Ok(Some(Event::Data(()))));
    let part = buffer.take_part().unwrap();
    assert_eq!((part.part(), part.as_bytes()), (Part::Whole, &b"begun"[..]));
}

#[test]
fn a_message_that_was_begun_in_parts_without_content_can_be_had_as_a_whole() {
    let mut host = deflating_server(&bare_config(), &takeover());
    let frames = Compressor::new(&takeover()).frames(MessageKind::Text, &[b"begun"]);
    let mut buffer = MessageBuffer::new(Vec::new());
    read(&mut host, &mut buffer, &masked(RSV1 | TEXT, b""));
    assert_eq!(buffer.next_part(&mut host.endpoint, Instant::ZERO), Ok(None));
    read(&mut host, &mut buffer, &masked(FIN, &frames[0]));
    assert_eq!(buffer.next(&mut host.endpoint, Instant::ZERO), Ok(Some(Event::Data(Message::Text("begun")))));
}

#[test]
fn another_inflater_in_the_middle_of_a_message_is_a_fault() {
    let used = {
        let mut host = deflating_server(&bare_config(), &alone());
        let mut buffer = MessageBuffer::new(Vec::new());
        host.receive_in_parts(&mut buffer, &masked(COMPRESSED_TEXT, HELLO));
        buffer.take_inflater().expect("it has nothing to remember")
    };
    for inflater in [Box::default(), used] {
        let mut host = deflating_server(&bare_config(), &alone());
        let frames = Compressor::new(&alone()).frames(MessageKind::Text, &[b"abc", b"def"]);
        let mut buffer = MessageBuffer::new(Vec::new());
        read(&mut host, &mut buffer, &masked(RSV1 | TEXT, &frames[0]));
        assert_eq!(buffer.next(&mut host.endpoint, Instant::ZERO), Ok(None));
        buffer.set_inflater(inflater);
        read(&mut host, &mut buffer, &masked(FIN, &frames[1]));
        internal(buffer.next(&mut host.endpoint, Instant::ZERO));
    }
}

#[test]
fn an_inflater_can_be_taken_when_it_has_nothing_to_remember() {
    let payloads = Compressor::new(&alone()).frames(MessageKind::Text, &[b"Hel", b"lo"]);
    let mut host = deflating_server(&bare_config(), &alone());
    let mut buffer = MessageBuffer::new(Vec::new());
    assert!(buffer.take_inflater().is_none(), "there is none before a compressed message");
    host.receive_shared(&mut buffer, &masked(FIN | TEXT, b"plain"));
    assert!(buffer.is_empty() && buffer.held_bytes() == 0 && buffer.take_inflater().is_none());
    host.receive_shared(&mut buffer, &masked(RSV1 | TEXT, &payloads[0]));
    assert!(!buffer.is_empty() && buffer.take_inflater().is_none(), "a message is in progress");
    host.receive_shared(&mut buffer, &masked(FIN, &payloads[1]));
    assert!(buffer.is_empty() && buffer.held_bytes() > 0);
    let inflater = buffer.take_inflater().expect("the message is over");
    assert!(inflater.is_idle() && inflater.held_bytes() > 0 && buffer.held_bytes() == 0);

    // It serves another connection, which does not see what this one has had.
    let mut other = deflating_server(&bare_config(), &alone());
    let mut buffer = MessageBuffer::new(Vec::new());
    buffer.set_inflater(inflater);
    other.receive_shared(
        &mut buffer,
        &[masked(COMPRESSED_TEXT, HELLO), masked(COMPRESSED_TEXT, HELLO_AGAIN)].concat(),
    );
    assert_eq!(came(&other), (vec![text("Hello")], Some(CORRUPT)));
    assert_eq!(host.told, [text("plain"), text("Hello")]);

    let mut host = deflating_server(&bare_config(), &takeover());
    let mut buffer = MessageBuffer::new(Vec::new());
    host.receive_shared(&mut buffer, &masked(COMPRESSED_TEXT, HELLO));
    assert!(!buffer.is_empty() && buffer.take_inflater().is_none(), "the next message may refer to this one");
    host.receive_shared(&mut buffer, &masked(COMPRESSED_TEXT, HELLO_AGAIN));
    assert_eq!(host.told, [text("Hello"), text("Hello")]);
}

#[test]
fn an_inflater_shows_no_connection_what_another_has_received() {
    // A text cut inside a code point: what is left in the inflater is the second half of that.
    let frames = Compressor::new(&alone()).frames(MessageKind::Text, &["é".as_bytes().split_at(1).0, &[0xA9]]);
    let mut host = deflating_server(&bare_config(), &alone());
    let mut buffer = MessageBuffer::new(Vec::new());
    host.receive_in_parts(&mut buffer, &[masked(RSV1 | TEXT, &frames[0]), masked(FIN, &frames[1])].concat());
    assert_eq!(host.told, [text("é")]);
    let used = buffer.take_inflater().expect("the message is over");

    let mut other = deflating_server(&bare_config(), &alone());
    let mut buffer = MessageBuffer::new(Vec::new());
    read(&mut other, &mut buffer, &masked(COMPRESSED_TEXT, HELLO));
    let hello = Ok(Some(Event::Data(Message::Text("Hello"))));
    assert_eq!(buffer.next(&mut other.endpoint, Instant::ZERO), hello);
    buffer.set_inflater(used);
    assert_eq!(buffer.message(), None, "the message was in the inflater that is gone");
}

#[test]
fn one_inflater_and_one_deflater_serve_many_connections() {
    let (mut deflater, mut inflater) = (Deflater::new(alone()), Some(Box::<Inflater>::default()));
    let mut pairs: Vec<_> = (0..5)
        .map(|_| (deflating_client(&bare_config(), &alone()), deflating_server(&bare_config(), &alone())))
        .collect();
    for round in 0..20 {
        let message = format!("round {round}: {}", "the same for all of you ".repeat(round));
        for (client, server) in &mut pairs {
            let mut wire = Vec::new();
            client.endpoint.write_deflated_to(message.as_str().into(), &mut deflater, &mut wire).unwrap();
            assert!(deflater.is_idle());
            let mut buffer = MessageBuffer::new(Vec::new());
            buffer.set_inflater(inflater.take().unwrap());
            server.receive_shared(&mut buffer, &wire);
            assert_eq!(server.told.pop(), Some(text(&message)));
            inflater = buffer.take_inflater();
        }
    }
}

#[test]
fn an_inflater_gives_the_same_through_any_room() {
    let message = [noise(3_000), vec![7; 3_000]].concat();
    let payload = Compressor::new(&takeover()).payload(&message);
    for room in [1, 2, 3, 7, 100, 2_999, 3_000, 6_000, 6_001, 100_000] {
        assert_eq!(inflated(&mut Inflater::new(), false, &payload, room).as_ref(), Ok(&message), "{room}");
    }
    assert_eq!(Inflater::new().held_bytes(), 0);
}

#[test]
fn a_compressed_message_is_read_beside_a_shared_buffer_without_storage() {
    let settings = alone();
    let mut config = Config::default();
    config.max_message_len = 1 << 21;
    // Stored blocks, which are as long as what they hold.
    let payload = noise(1 << 20);
    let mut blocks = Vec::new();
    for block in payload.chunks(0xFFFF) {
        let len = u16::try_from(block.len()).unwrap();
        blocks.push(0);
        blocks.extend(len.to_le_bytes());
        blocks.extend((!len).to_le_bytes());
        blocks.extend(block);
    }
    blocks.push(0);
    let wire = masked(COMPRESSED_BINARY, &blocks);
    for shared_len in [4096, 64 * 1024] {
        let mut endpoint = Endpoint::new(Server, &config, agreed(&settings, &settings)[1], Instant::ZERO);
        let mut buffer = MessageBuffer::new(&mut [][..]);
        let mut shared = vec![0; shared_len];
        let (mut unread, mut reads, mut told) = (&wire[..], 0, Vec::new());
        while !unread.is_empty() {
            let (mut input, rest) = read_beside(&mut buffer, &endpoint, &mut shared, unread);
            unread = rest;
            reads += 1;
            while let Some(incoming) = buffer.next_in(&mut endpoint, Instant::ZERO, &mut input).unwrap() {
                let Event::Data(message) = incoming else { panic!("{incoming:?}") };
                told.extend_from_slice(message.as_bytes());
            }
            assert!(reads <= wire.len() / shared_len + 1, "{reads} reads of {shared_len}");
        }
        assert!(told == payload, "{shared_len}");
    }
}
