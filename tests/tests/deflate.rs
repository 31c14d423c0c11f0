//! Compressed messages (RFC 7692): what is agreed on, what is received, what is sent.

use core::num::NonZeroU32;

use proptest::{collection::vec, prelude::*, sample::Index};
use ws_proto::{
    CloseCode, Config, Control, Data, Endpoint, Event, Fault, HandshakeError, Instant, Message, MessageBuffer,
    MessageKind, Negotiated, Part, Prepared, ReceiveErrorKind, Role, SendError, Server, Side,
    client::{HttpVersion, Offer},
    deflate::{Deflater, InflateLimits, Inflater, Settings, WindowBits},
    server::{Accept, OriginPolicy, negotiate_extended_connect},
};
use ws_tests::{
    BINARY, CLOSE, CONTINUATION, Compressor, FIN, Host, PING, PONG, RSV1, TEXT, TestClient, Told, agreed,
    answer_to, bare_config, close_of, deflating_client, deflating_server, inflated, masked, noise, on_both,
    server, symmetric, two_way_splits, understood,
};

/// RFC 7692 section 7.2.3.1: "Hello" in a fixed block.
const HELLO: &[u8] = &[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];
/// Section 7.2.3.2: "Hello" again, by reference to what came before.
const HELLO_AGAIN: &[u8] = &[0xF2, 0x00, 0x11, 0x00, 0x00];
/// Section 7.2.3.3: in a stored block.
const HELLO_STORED: &[u8] = &[0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00];
/// Section 7.2.3.4: in a final block.
const HELLO_FINAL: &[u8] = &[0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00];
/// Section 7.2.3.5: in two blocks.
const HELLO_TWICE_BLOCKED: &[u8] = &[0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00];

const COMPRESSED_TEXT: u8 = FIN | RSV1 | TEXT;
const COMPRESSED_BINARY: u8 = FIN | RSV1 | BINARY;

const CORRUPT: ReceiveErrorKind = ReceiveErrorKind::Fault(Fault::InvalidPayload);
const TOO_BIG: ReceiveErrorKind = ReceiveErrorKind::Fault(Fault::MessageTooBig);

fn takeover() -> Settings {
    symmetric(15, true)
}

fn alone() -> Settings {
    symmetric(15, false)
}

fn changed(mut settings: Settings, change: impl FnOnce(&mut Settings)) -> Settings {
    change(&mut settings);
    settings
}

fn limited(limit: u64) -> Config {
    let mut config = bare_config();
    config.max_message_len = limit;
    config
}

fn text(text: &str) -> Told {
    Told::Text(text.into())
}

/// What a server, to which messages may come compressed, makes of frames by every way of receiving, which is the same.
fn received(
    config: &Config,
    settings: &Settings,
    frames: &[(u8, &[u8])],
) -> (Vec<Told>, Option<ReceiveErrorKind>) {
    let wire: Vec<u8> = frames.iter().flat_map(|(first, payload)| masked(*first, payload)).collect();
    let outcome = by_next(config, settings, &[&wire]);
    assert_eq!(by_next_in(config, settings, &[&wire]), outcome, "next_in as next");
    assert_eq!(in_parts(config, settings, &[&wire]), outcome, "next_part as next");
    assert_eq!(by_receive(config, settings, &[&wire]), outcome, "receive as next");
    if let Some(error) = outcome.1 {
        let mut host = deflating_server(config, settings);
        host.receive_buffered(&mut MessageBuffer::new(Vec::new()), &wire);
        let close = host.sent_plain().pop();
        assert_eq!(close, Some(close_of(error)), "the peer is told");
    }
    outcome
}

fn told(config: &Config, settings: &Settings, frames: &[(u8, &[u8])]) -> Vec<Told> {
    let (told, error) = received(config, settings, frames);
    assert_eq!(error, None, "{frames:02X?}");
    told
}

fn error(config: &Config, settings: &Settings, frames: &[(u8, &[u8])]) -> ReceiveErrorKind {
    received(config, settings, frames).1.unwrap_or_else(|| panic!("no error of {frames:02X?}"))
}

type Came = (Vec<Told>, Option<ReceiveErrorKind>);

fn came<R: Role>(host: &Host<R>) -> Came {
    (host.told.clone(), host.error.map(|error| error.kind()))
}

fn by_next(config: &Config, settings: &Settings, pieces: &[&[u8]]) -> Came {
    let mut host = deflating_server(config, settings);
    let mut buffer = MessageBuffer::new(Vec::new());
    pieces.iter().for_each(|piece| host.receive_buffered(&mut buffer, piece));
    came(&host)
}

fn by_next_in(config: &Config, settings: &Settings, pieces: &[&[u8]]) -> Came {
    let mut host = deflating_server(config, settings);
    let mut buffer = MessageBuffer::new(Vec::new());
    pieces.iter().for_each(|piece| host.receive_shared(&mut buffer, piece));
    came(&host)
}

fn in_parts(config: &Config, settings: &Settings, pieces: &[&[u8]]) -> Came {
    let mut host = deflating_server(config, settings);
    // What is inflated does not need the storage.
    let mut storage = [0; 40];
    let mut buffer = MessageBuffer::new(&mut storage[..]);
    pieces.iter().for_each(|piece| host.receive_in_parts(&mut buffer, piece));
    came(&host)
}

/// With `Endpoint::receive` and an inflater of the host's, as its documentation says.
fn by_receive(config: &Config, settings: &Settings, pieces: &[&[u8]]) -> Came {
    let mut host = deflating_server(config, settings);
    let mut inflating = Inflating::new(&host, config);
    pieces.iter().for_each(|piece| inflating.receive(&mut host, piece));
    came(&host)
}

/// What a host does that inflates by itself.
struct Inflating {
    inflater: Inflater,
    alone: bool,
    limit: u64,
    message: Vec<u8>,
}

impl Inflating {
    fn new<R: Role>(host: &Host<R>, config: &Config) -> Self {
        let alone = host.endpoint.deflate().expect("agreed").no_context_takeover(R::SIDE.peer());
        Self { inflater: Inflater::new(), alone, limit: config.max_message_len, message: Vec::new() }
    }

    fn receive<R: Role>(&mut self, host: &mut Host<R>, piece: &[u8]) {
        let mut bytes = piece.to_vec();
        let mut input = &mut bytes[..];
        while host.error.is_none() {
            let result = match host.endpoint.receive(host.now, &mut input) {
                Ok(Some(Event::Data(data))) => self.data(&data).map(|told| host.told.extend(told)),
                Ok(Some(Event::Control(Control::Ping))) => {
                    host.told.push(Told::Ping(host.endpoint.control_payload().into()));
                    Ok(())
                }
                Ok(Some(other)) => panic!("{other:?}"),
                Ok(None) => break,
                Err(error) => {
                    host.error = Some(error);
                    break;
                }
            };
            if let Err(fault) = result {
                host.error = Some(host.endpoint.fail(host.now, fault));
            }
            host.transmit();
        }
    }

    fn data(&mut self, data: &Data<'_>) -> Result<Option<Told>, Fault> {
        if data.is_compressed() {
            assert_eq!(data.as_str(), None, "compressed text is none");
            self.inflate(data)?;
        } else {
            self.message.extend(data.as_bytes());
        }
        if !data.part().is_last() {
            return Ok(None);
        }
        let message = std::mem::take(&mut self.message);
        Message::new(data.kind(), &message).map_err(|_| Fault::InvalidPayload)?;
        Ok(Some(Told::message(data.kind(), message)))
    }

    fn inflate(&mut self, data: &Data<'_>) -> Result<(), Fault> {
        if data.part().is_first() {
            self.inflater.begin(self.alone);
        }
        let mut room = [0; 100];
        let mut payload = data.as_bytes();
        loop {
            let len = self.inflater.inflate(&mut payload, &mut room)?;
            self.message.extend(&room[..len]);
            if self.message.len() as u64 > self.limit {
                return Err(Fault::MessageTooBig);
            }
            if len < room.len() {
                break;
            }
        }
        assert!(payload.is_empty());
        if data.part().is_last() { self.inflater.finish() } else { Ok(()) }
    }
}

// ---- What is on the wire ----

// R7692-6-1 R5.2-2
#[test]
fn the_first_reserved_bit_is_refused_unless_compression_was_agreed_on() {
    fn check<R: Role>(mut host: Host<R>) {
        host.receive_frame(COMPRESSED_TEXT, HELLO);
        assert_eq!(host.error.map(|error| error.kind()), Some(ReceiveErrorKind::ReservedBits));
        assert_eq!(host.endpoint.deflate(), None);
    }
    on_both(&bare_config(), check, check);
}

// R7692-6-1
#[test]
fn only_the_first_frame_of_a_message_has_the_first_reserved_bit() {
    fn check<R: Role>(host: impl Fn() -> Host<R>) {
        for (before, first) in [
            (Some(TEXT | RSV1), RSV1 | FIN | CONTINUATION),
            (Some(TEXT | RSV1), RSV1 | CONTINUATION),
            (Some(TEXT), RSV1 | FIN | CONTINUATION),
            (None, RSV1 | PING),
            (None, RSV1 | PONG),
            (None, RSV1 | CLOSE),
            (Some(BINARY | RSV1), RSV1 | PING),
            // Those that nothing was agreed on for.
            (None, COMPRESSED_TEXT | 0x20),
            (None, COMPRESSED_TEXT | 0x10),
            (None, FIN | 0x20 | TEXT),
            (None, FIN | 0x10 | BINARY),
        ] {
            let mut host = host();
            if let Some(before) = before {
                let payload: &[u8] = if before & RSV1 == 0 { b"He" } else { &HELLO[..2] };
                host.receive_buffered(&mut MessageBuffer::new(Vec::new()), &host.peer_frame(before, payload));
            }
            assert_eq!(host.error, None);
            host.receive_frame(first, b"");
            assert_eq!(host.error.map(|error| error.kind()), Some(ReceiveErrorKind::ReservedBits), "{first:02X}");
            assert_eq!(host.sent_plain().pop(), Some(close_of(ReceiveErrorKind::ReservedBits)));
        }
    }
    check(|| deflating_server(&bare_config(), &takeover()));
    check(|| deflating_client(&bare_config(), &takeover()));
}

// R7692-6-2
#[test]
fn plain_messages_remain_legal_between_compressed_ones() {
    let frames: &[(u8, &[u8])] = &[
        (COMPRESSED_TEXT, HELLO),
        (FIN | TEXT, b"plain"),
        (TEXT, b"in "),
        (FIN, b"parts"),
        (COMPRESSED_TEXT, HELLO_AGAIN),
        (FIN | BINARY, HELLO),
    ];
    let expected = [text("Hello"), text("plain"), text("in parts"), text("Hello"), Told::Binary(HELLO.into())];
    assert_eq!(told(&bare_config(), &takeover(), frames), expected);
}

// R7692-6.1 R7692-6-2
#[test]
fn fragments_are_cut_anywhere_and_control_frames_come_between() {
    let expected = [Told::Ping(b"!".into()), text("Hello"), Told::Ping(vec![]), text("Hello")];
    for [a, b] in two_way_splits(HELLO) {
        for [c, d] in two_way_splits(HELLO_AGAIN) {
            let frames =
                &[(RSV1 | TEXT, a), (PING, b"!"), (FIN, b), (RSV1 | TEXT, c), (PING, b""), (0, b""), (FIN, d)];
            assert_eq!(told(&bare_config(), &takeover(), frames), expected);
        }
    }
}

// R7692-7.2.2
#[test]
fn the_examples_of_the_rfc_are_understood() {
    for example in [HELLO, HELLO_STORED, HELLO_FINAL, HELLO_TWICE_BLOCKED] {
        for settings in [takeover(), alone()] {
            let frames = &[(COMPRESSED_TEXT, example), (COMPRESSED_TEXT, HELLO), (COMPRESSED_TEXT, example)];
            assert_eq!(told(&bare_config(), &settings, frames), [text("Hello"), text("Hello"), text("Hello")]);
        }
    }
    let twice = &[(COMPRESSED_TEXT, HELLO), (COMPRESSED_TEXT, HELLO_AGAIN)];
    assert_eq!(told(&bare_config(), &takeover(), twice), [text("Hello"), text("Hello")]);
    // What was agreed to be forgotten can't be referred to.
    assert_eq!(received(&bare_config(), &alone(), twice), (vec![text("Hello")], Some(CORRUPT)));
}

// R7692-7.2.2
#[test]
fn a_final_block_may_come_anywhere() {
    let empty_final: &[u8] = &[0x03, 0x00];
    let final_then_more = [&HELLO_FINAL[..7], HELLO].concat();
    let many = [&HELLO_FINAL[..7]; 50].concat();
    for (payload, message) in [
        // Alone, cut like any empty stored block, with nothing behind it, before others, fifty of them.
        (empty_final, String::new()),
        (&[0x01], String::new()),
        (&HELLO_FINAL[..7], "Hello".into()),
        (&final_then_more, "HelloHello".into()),
        (&many, "Hello".repeat(50)),
        (&[0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x01], "Hello".into()),
    ] {
        for settings in [takeover(), alone()] {
            let frames = &[(COMPRESSED_TEXT, payload), (COMPRESSED_TEXT, HELLO), (COMPRESSED_TEXT, &[0x00])];
            let expected = [text(&message), text("Hello"), text("")];
            assert_eq!(told(&bare_config(), &settings, frames), expected, "{payload:02X?}");
        }
    }
}

// R7692-7.2.2
#[test]
fn an_empty_message_is_a_zero_or_nothing_at_all() {
    let frames: &[(u8, &[u8])] =
        &[(COMPRESSED_TEXT, &[0x00]), (COMPRESSED_BINARY, &[0x00]), (RSV1 | TEXT, b""), (FIN, &[0x00])];
    assert_eq!(told(&bare_config(), &takeover(), frames), [text(""), Told::Binary(vec![]), text("")]);
    for settings in [takeover(), alone()] {
        let nothing: &[(u8, &[u8])] =
            &[(COMPRESSED_TEXT, b""), (COMPRESSED_BINARY, b""), (RSV1 | TEXT, b""), (FIN, b"")];
        assert_eq!(told(&bare_config(), &settings, nothing), [text(""), Told::Binary(vec![]), text("")]);
        for before in [&[0x00][..], &[0x01], &[0x03, 0x00]] {
            let frames = &[(COMPRESSED_TEXT, before), (COMPRESSED_TEXT, b""), (COMPRESSED_TEXT, HELLO)];
            assert_eq!(told(&bare_config(), &settings, frames), [text(""), text(""), text("Hello")]);
        }
    }
    // Context that is taken over lasts.
    let frames = &[(COMPRESSED_TEXT, HELLO), (COMPRESSED_TEXT, b""), (COMPRESSED_TEXT, HELLO_AGAIN)];
    assert_eq!(told(&bare_config(), &takeover(), frames), [text("Hello"), text(""), text("Hello")]);
}

// R7692-7.2.1 R7692-7.2.2
#[test]
fn a_message_whose_end_was_not_cut_off_fails() {
    // With what is put back, it would end inside a stored block, and the next message would be taken for its content.
    for end in [&[0x00, 0x00, 0xFF, 0xFF][..], &[0x00, 0x00, 0xFF, 0xFF, 0x00, 0x00, 0xFF, 0xFF]] {
        let payload = [&HELLO[..HELLO.len() - 1], &[0x00], end].concat();
        for settings in [takeover(), alone()] {
            let found = error(&bare_config(), &settings, &[(COMPRESSED_TEXT, &payload)]);
            assert_eq!((found, found.close_code()), (CORRUPT, CloseCode::INVALID_PAYLOAD), "{payload:02X?}");
        }
    }
}

// R7692-7.2.2
#[test]
fn a_message_that_ends_inside_a_block_or_is_corrupt_fails() {
    for whole in [HELLO, HELLO_STORED, HELLO_TWICE_BLOCKED] {
        for end in 1..whole.len() {
            let cut = &whole[..end];
            // Those are whole messages themselves.
            if cut == [0x00] || cut == [0xF2, 0x48, 0x05, 0x00] || cut == [0xF2, 0x48, 0x05, 0x00, 0x00] {
                continue;
            }
            assert_eq!(error(&bare_config(), &takeover(), &[(COMPRESSED_TEXT, cut)]), CORRUPT, "{cut:02X?}");
        }
    }
    let not_cut_off = [HELLO, &[0x00, 0x00, 0xFF, 0xFF]].concat();
    for corrupt in [
        &[0x07][..],
        &[0xFF, 0xFF],
        b"Hello, world",
        // It refers to nothing.
        HELLO_AGAIN,
        // Lengths that don't fit each other.
        &[0x00, 0x05, 0x00, 0xFA, 0xFE, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00],
        &not_cut_off,
    ] {
        assert_eq!(error(&bare_config(), &takeover(), &[(COMPRESSED_TEXT, corrupt)]), CORRUPT, "{corrupt:02X?}");
    }
    // What came before is told first.
    let late = received(&bare_config(), &takeover(), &[(COMPRESSED_TEXT, HELLO), (COMPRESSED_BINARY, &[0x07])]);
    assert_eq!(late, (vec![text("Hello")], Some(CORRUPT)));
}

// R8.1-1 R7692-7.2.2
#[test]
fn text_has_to_be_utf_8_once_it_is_inflated() {
    let crab = "a🦀é".as_bytes();
    for [head, tail] in two_way_splits(crab) {
        let frames = Compressor::new(&takeover()).frames(MessageKind::Text, &[head, b"", tail]);
        let frames = [(RSV1 | TEXT, &frames[0][..]), (0, &frames[1]), (FIN, &frames[2])];
        assert_eq!(told(&bare_config(), &takeover(), &frames), [text("a🦀é")]);
    }
    for invalid in [&b"\xFF"[..], b"abc\xC0\x80", b"\xED\xA0\x80", b"\xF0\x9F\xA6", b"a\xC3"] {
        let payload = Compressor::new(&takeover()).payload(invalid);
        assert_eq!(error(&bare_config(), &takeover(), &[(COMPRESSED_TEXT, &payload)]), CORRUPT, "{invalid:02X?}");
        let binary = told(&bare_config(), &takeover(), &[(COMPRESSED_BINARY, &payload)]);
        assert_eq!(binary, [Told::Binary(invalid.into())]);
        for [head, tail] in two_way_splits(&payload) {
            let frames = &[(RSV1 | TEXT, head), (FIN, tail)];
            assert_eq!(error(&bare_config(), &takeover(), frames), CORRUPT, "{invalid:02X?}");
        }
    }
    // A message begins anew, whatever the one before it ended with.
    let mut compressor = Compressor::new(&takeover());
    let binary = compressor.payload(b"\xF0\x9F");
    let rest = compressor.payload(b"\xA6\x80");
    let frames = &[(COMPRESSED_BINARY, &binary[..]), (COMPRESSED_TEXT, &rest)];
    assert_eq!(error(&bare_config(), &takeover(), frames), CORRUPT);
}

// R8.1-1
#[test]
fn text_that_can_not_become_utf_8_fails_before_its_message_ends() {
    let frames = Compressor::new(&takeover()).frames(MessageKind::Binary, &[b"abc\xFF", b"rest"]);
    let mut host = deflating_server(&bare_config(), &takeover());
    let mut buffer = MessageBuffer::new(Vec::new());
    host.receive_buffered(&mut buffer, &masked(RSV1 | TEXT, &frames[0]));
    assert_eq!(host.error.map(|error| error.kind()), Some(CORRUPT));
}

// ---- Limits ----

// R7692-8 R10.4-1
#[test]
fn the_limit_counts_what_is_inflated_and_is_exact() {
    for limit in [0, 1, 5, 100, 4_096, 4_097, 16_384, 65_535, 65_536, 70_000, 200_000] {
        let config = limited(limit as u64);
        for message in [vec![b'a'; limit], noise(limit)] {
            let payload = Compressor::new(&takeover()).payload(&message);
            let frames = &[(COMPRESSED_BINARY, &payload[..]), (COMPRESSED_BINARY, &payload)];
            let twice = [Told::Binary(message.clone()), Told::Binary(message.clone())];
            assert_eq!(told(&config, &alone(), frames), twice, "{limit}");

            let payload = Compressor::new(&takeover()).payload(&[&message[..], b"!"].concat());
            assert_eq!(received(&config, &alone(), &[(COMPRESSED_BINARY, &payload)]), (vec![], Some(TOO_BIG)));
        }
    }
}

// R7692-8
#[test]
fn a_message_over_the_limit_fails_in_the_frame_that_takes_it_there() {
    let config = limited(1_000);
    let parts: Vec<Vec<u8>> = Compressor::new(&takeover())
        .frames(MessageKind::Binary, &[&[b'a'; 600], &[b'b'; 400], &[b'c'; 1], &[b'd'; 9]]);
    let mut host = deflating_server(&config, &takeover());
    let mut buffer = MessageBuffer::new(Vec::new());
    for (first, part) in [(RSV1 | BINARY, &parts[0]), (0, &parts[1])] {
        host.receive_buffered(&mut buffer, &masked(first, part));
        assert_eq!(host.error, None);
    }
    host.receive_buffered(&mut buffer, &masked(0, &parts[2]));
    assert_eq!(came(&host), (vec![], Some(TOO_BIG)));
}

// R7692-8 R10.4-1
#[test]
fn what_does_not_become_shorter_may_take_a_little_more_than_the_limit_on_the_wire() {
    let config = limited(1_000);
    let message = noise(1_000);
    // Stored blocks of one byte take six each; of eight, thirteen.
    let stored = |size: usize| -> Vec<u8> {
        let blocks = message.chunks(size).flat_map(|chunk| {
            let len = u16::try_from(chunk.len()).unwrap();
            [&[0x00][..], &len.to_le_bytes(), &(!len).to_le_bytes(), chunk].concat()
        });
        blocks.chain([0x00]).collect()
    };
    let some = stored(50);
    assert!((1_101..=1_189).contains(&some.len()));
    assert_eq!(told(&config, &alone(), &[(COMPRESSED_BINARY, &some)]), [Told::Binary(message.clone())]);
    // An eighth and 64 bytes more is all.
    let most = 1_000 + 125 + 64;
    let padded = |len: usize| [&[0x00, 0x00, 0x00, 0xFF, 0xFF].repeat(300)[..len - len % 5], &[0x00]].concat();
    assert_eq!(told(&config, &alone(), &[(COMPRESSED_BINARY, &padded(most - 1))]), [Told::Binary(vec![])]);
    let over = error(&config, &alone(), &[(COMPRESSED_BINARY, &vec![0; most + 1])]);
    assert_eq!(over, ReceiveErrorKind::FrameTooBig);
    let over = error(&config, &alone(), &[(RSV1 | BINARY, &padded(most - 9)), (FIN, &[0; 20])]);
    assert_eq!(over, ReceiveErrorKind::MessageTooBig);
    // Not so for plain messages.
    assert_eq!(error(&config, &alone(), &[(FIN | BINARY, &vec![0; 1_001])]), ReceiveErrorKind::FrameTooBig);
}

// R10.4-1 R7692-8
#[test]
fn fragments_of_compressed_messages_are_limited_like_any() {
    let mut config = bare_config();
    config.max_fragments = Some(3);
    let frames: &[(u8, &[u8])] =
        &[(RSV1 | TEXT, &HELLO[..2]), (0, &HELLO[2..3]), (0, &HELLO[3..4]), (0, &HELLO[4..])];
    assert_eq!(error(&config, &takeover(), frames), ReceiveErrorKind::TooManyFragments);
    config.max_fragments = None;
    config.max_empty_fragments = 1;
    let frames: &[(u8, &[u8])] = &[(RSV1 | TEXT, b""), (0, b"")];
    assert_eq!(error(&config, &takeover(), frames), ReceiveErrorKind::TooManyEmptyFragments);
}

#[test]
fn fragments_that_inflate_to_nothing_take_no_stack() {
    let wire: Vec<u8> =
        (0..10_000_usize).flat_map(|i| masked(0, &[[0x00, 0x00, 0xFF, 0xFF, 0x00][i % 5]])).collect();
    let wire = [masked(RSV1 | BINARY, &[0x00]), wire, masked(FIN, &[0x00; 0])].concat();
    let receive = move || {
        let mut host = deflating_server(&bare_config(), &takeover());
        let mut buffer = MessageBuffer::new(Vec::new());
        wire.chunks(60_000).for_each(|piece| host.receive_in_parts(&mut buffer, piece));
        came(&host)
    };
    let small = std::thread::Builder::new().stack_size(128 * 1024).spawn(receive).unwrap();
    assert_eq!(small.join().unwrap(), (vec![Told::Binary(vec![])], None));
}

// ---- One inflater, one way at a time ----

fn read(host: &mut Host<Server>, buffer: &mut MessageBuffer<Vec<u8>>, bytes: &[u8]) {
    let room = buffer.unfilled(&host.endpoint);
    room[..bytes.len()].copy_from_slice(bytes);
    buffer.filled(bytes.len());
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
fn a_message_that_was_begun_as_a_whole_can_not_be_had_in_parts() {
    let mut host = deflating_server(&bare_config(), &takeover());
    let frames = Compressor::new(&takeover()).frames(MessageKind::Text, &[b"abc", b"def"]);
    let mut buffer = MessageBuffer::new(Vec::new());
    read(&mut host, &mut buffer, &masked(RSV1 | TEXT, &frames[0]));
    assert_eq!(buffer.next(&mut host.endpoint, Instant::ZERO), Ok(None));
    read(&mut host, &mut buffer, &masked(FIN, &frames[1]));
    internal(buffer.next_part(&mut host.endpoint, Instant::ZERO));
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

// ---- Sending ----

/// A sender and what understands it.
struct Sending {
    near: Host<Server>,
    far: Host<TestClient>,
    buffer: MessageBuffer<Vec<u8>>,
    deflater: Deflater,
}

impl Sending {
    fn new(settings: &Settings) -> Self {
        Self {
            near: deflating_server(&bare_config(), settings),
            far: deflating_client(&bare_config(), settings),
            buffer: MessageBuffer::new(Vec::new()),
            deflater: Deflater::new(*settings),
        }
    }

    /// Sends a message; the first byte and the payload of its frame.
    fn send<'m>(&mut self, message: impl Into<Message<'m>>) -> (u8, Vec<u8>) {
        let message = message.into();
        let mut out = b"before".to_vec();
        self.near.endpoint.write_deflated_to(message, &mut self.deflater, &mut out).unwrap();
        let wire = out.strip_prefix(b"before").expect("what `out` had stays").to_vec();
        self.hears(&wire, message)
    }

    fn hears(&mut self, wire: &[u8], message: Message<'_>) -> (u8, Vec<u8>) {
        self.far.receive_buffered(&mut self.buffer, wire);
        assert_eq!(came(&self.far), (vec![Told::message(message.kind(), message.as_bytes().into())], None));
        self.far.told.clear();
        let mut frames = ws_tests::parse(wire);
        let frame = frames.pop().expect("a frame");
        assert!(frames.is_empty());
        (frame.first, frame.payload)
    }

    fn part(&mut self, kind: MessageKind, part: Part, payload: &[u8]) -> Result<Vec<u8>, SendError> {
        let mut out = Vec::new();
        let sent = self.near.endpoint.write_part_deflated_to(kind, part, payload, &mut self.deflater, &mut out);
        sent.map(|()| out)
    }
}

// R7692-7.2.1 R7692-6-1
#[test]
fn a_whole_message_is_one_frame_whose_end_is_cut_off() {
    for settings in [takeover(), alone()] {
        let mut sending = Sending::new(&settings);
        let message = "tick tock ".repeat(100);
        let (first, payload) = sending.send(message.as_str());
        assert_eq!(first, COMPRESSED_TEXT);
        assert!(payload.len() < 50, "{}", payload.len());
        assert!(!payload.ends_with(&[0x00, 0x00, 0xFF, 0xFF]));
        // Put back, it is a stream by the oracle that knows nothing of messages.
        let whole = [&payload[..], &[0x00, 0x00, 0xFF, 0xFF]].concat();
        let mut out = vec![0; 2_000];
        let mut input = &whole[..];
        let len = Inflater::new().inflate(&mut input, &mut out).unwrap();
        assert_eq!((&out[..len], input.len()), (message.as_bytes(), 0));
        assert_eq!(sending.send(&[7; 300]).0, COMPRESSED_BINARY);
        // An empty message has nothing to compress.
        assert_eq!(sending.send(""), (FIN | TEXT, vec![]));
    }
}

// R7692-7.2.1
#[test]
fn a_client_masks_what_it_has_compressed() {
    let (mut client, mut server) =
        (deflating_client(&bare_config(), &takeover()), deflating_server(&bare_config(), &takeover()));
    let mut deflater = Deflater::new(takeover());
    let mut buffer = MessageBuffer::new(Vec::new());
    for len in [1, 30, 125, 126, 130, 200, 1_000, 65_535, 65_536, 65_560, 70_000] {
        for message in [vec![b'x'; len], noise(len), [noise(len), noise(len)].concat()] {
            let mut wire = Vec::new();
            client.endpoint.write_deflated_to(Message::Binary(&message), &mut deflater, &mut wire).unwrap();
            assert!(wire[1] & 0x80 != 0);
            server.receive_buffered(&mut buffer, &wire);
            assert_eq!(server.told.pop(), Some(Told::Binary(message)));
        }
    }
}

// R7692-7.1.1.1
#[test]
fn context_is_taken_over_or_is_not() {
    let message = String::from_utf8(noise(1_000).iter().map(|byte| b'!' + byte % 90).collect()).unwrap();
    let mut sending = Sending::new(&takeover());
    let [first, second] = [sending.send(message.as_str()).1, sending.send(message.as_str()).1];
    assert!(first.len() > 700 && second.len() < 30, "{} and {}", first.len(), second.len());
    assert!(!sending.deflater.is_idle());
    sending.deflater.forget();
    assert!(sending.deflater.is_idle());
    assert_eq!(sending.send(message.as_str()).1.len(), first.len(), "forgotten");

    let mut sending = Sending::new(&alone());
    let [first, second] = [sending.send(message.as_str()).1, sending.send(message.as_str()).1];
    assert_eq!(first, second);
    assert!(sending.deflater.is_idle());
}

// R7692-7.1.1.1 R7692-7.1.1.2
#[test]
fn each_side_takes_its_own_context_over_or_not() {
    let message = String::from_utf8(noise(500).iter().map(|byte| b'!' + byte % 90).collect()).unwrap();
    for (server_alone, client_alone) in [(false, true), (true, false)] {
        let mut settings = takeover();
        (settings.server_no_context_takeover, settings.client_no_context_takeover) = (server_alone, client_alone);
        let lens = |deflater: &mut Deflater, write: &mut dyn FnMut(&mut Deflater, &mut Vec<u8>)| {
            [(); 2].map(|()| {
                let mut wire = Vec::new();
                write(deflater, &mut wire);
                wire.len()
            })
        };
        let mut server = deflating_server(&bare_config(), &settings);
        let [a, b] = lens(&mut Deflater::new(settings), &mut |deflater, wire| {
            server.endpoint.write_deflated_to(message.as_str().into(), deflater, wire).unwrap();
        });
        assert_eq!(a == b, server_alone);
        let mut client = deflating_client(&bare_config(), &settings);
        let [a, b] = lens(&mut Deflater::new(settings), &mut |deflater, wire| {
            client.endpoint.write_deflated_to(message.as_str().into(), deflater, wire).unwrap();
        });
        assert_eq!(a == b, client_alone);
    }
}

// R7692-6-2 R7692-8-2
#[test]
fn short_messages_and_those_that_must_not_be_compressed_are_sent_as_they_are() {
    let mut settings = takeover();
    settings.threshold = 100;
    let mut sending = Sending::new(&settings);
    assert_eq!(sending.send("a".repeat(99).as_str()).0, FIN | TEXT);
    assert_eq!(sending.deflater.held_bytes(), 0, "nothing was compressed");
    assert_eq!(sending.send("a".repeat(100).as_str()).0, COMPRESSED_TEXT);
    // An opt-out in between harms no context.
    let secret = "secret ".repeat(50);
    let mut wire = Vec::new();
    sending.near.endpoint.write_to(secret.as_str().into(), &mut wire).unwrap();
    assert_eq!(sending.hears(&wire, secret.as_str().into()), (FIN | TEXT, secret.clone().into_bytes()));
    assert!(sending.send("a".repeat(100).as_str()).1.len() < 10);
    // A level of 0 compresses nothing.
    settings.level = 0;
    settings.threshold = 0;
    let mut sending = Sending::new(&settings);
    assert_eq!(sending.send("a".repeat(1_000).as_str()).0, FIN | TEXT);
}

// R7692-8-2
#[test]
fn nothing_is_compressed_unless_it_was_agreed_on() {
    let mut host = server(&bare_config());
    let mut deflater = Deflater::new(takeover());
    let message = "aaaa".repeat(1_000);
    host.endpoint.write_deflated_to(message.as_str().into(), &mut deflater, &mut host.output).unwrap();
    host.endpoint
        .write_part_deflated_to(MessageKind::Text, Part::First, b"a", &mut deflater, &mut host.output)
        .unwrap();
    host.endpoint
        .write_part_deflated_to(MessageKind::Text, Part::Last, b"b", &mut deflater, &mut host.output)
        .unwrap();
    let sent = [(FIN | TEXT, message.into_bytes()), (TEXT, b"a".into()), (FIN, b"b".into())];
    assert_eq!(host.sent_plain(), sent);
    assert_eq!((deflater.held_bytes(), Negotiated::default().deflate), (0, None));
    assert_eq!(answer_to(&takeover(), &[]), None, "a server does not begin with it");
    let request = |deflate| {
        let request = ws_proto::client::Request::new("example.com", "/").deflate(deflate);
        let handshake = ws_proto::client::Handshake::new(request, [0; 16], Instant::ZERO, &bare_config()).unwrap();
        let mut out = Vec::new();
        handshake.write_request_to(&mut out);
        String::from_utf8(out).unwrap().to_lowercase().contains("sec-websocket-extensions: permessage-deflate")
    };
    assert_eq!([request(None), request(Some(takeover()))], [false, true]);
}

// R7692-6-2
#[test]
fn what_can_not_be_compressed_is_sent_as_it_is_and_what_follows_is_understood() {
    for settings in [takeover(), alone(), symmetric(9, true)] {
        for level in [1, 2, 6, 9] {
            let settings = changed(settings, |settings| settings.level = level);
            let mut sending = Sending::new(&settings);
            let known = "known words, and some more known words; ".repeat(30);
            for len in [1, 2, 5, 100, 5_000, 100_000] {
                assert_eq!(sending.send(known.as_str()).0, COMPRESSED_TEXT);
                let noise = noise(len + 3)[3..].to_vec();
                // A second time it may be known.
                assert_eq!(sending.send(&noise[..]), (FIN | BINARY, noise.clone()), "{len}, level {level}");
                sending.send(&noise[..]);
                assert_eq!(sending.send(known.as_str()).0, COMPRESSED_TEXT);
            }
        }
    }
}

// R7692-7.2.3 R7692-7.1.2.1
#[test]
fn no_reference_reaches_beyond_the_window() {
    for bits in 9..=15_u8 {
        let window = 1_usize << bits;
        let word = noise(200);
        for distance in [window - 300, window + 10] {
            let message = [&word[..], &noise(distance)[200..], &word].concat();
            let settings = symmetric(bits, true);
            let payload = Compressor::new(&settings).payload(&message);
            // The word is stored again unless it is within reach.
            let found = payload.len() < message.len() - 100;
            assert_eq!(found, distance < window, "{bits} bits, {distance} bytes back, {}", payload.len());
            // The same over two messages.
            let mut compressor = Compressor::new(&settings);
            compressor.payload(&message[..distance]);
            let again = compressor.payload(&word);
            assert_eq!(
                again.len() < 100,
                distance < window,
                "{bits} bits, {distance} bytes back in another message"
            );
        }
    }
}

// R7692-7.2.3
#[test]
fn a_window_too_small_for_the_compressor_gets_nothing_compressed() {
    let offered = changed(takeover(), |settings| settings.client_max_window_bits = WindowBits::MIN);
    let [negotiated, _] = agreed(&offered, &takeover());
    assert_eq!(negotiated.deflate.unwrap().max_window_bits(Side::Client), WindowBits::MIN);
    let mut host = Host::new(Endpoint::new(
        ws_proto::Client::new(ws_tests::Keys::Fixed),
        &bare_config(),
        negotiated,
        Instant::ZERO,
    ));
    let mut deflater = Deflater::new(takeover());
    let message = "aaaa".repeat(100);
    host.endpoint.write_deflated_to(message.as_str().into(), &mut deflater, &mut host.output).unwrap();
    host.endpoint
        .write_part_deflated_to(MessageKind::Text, Part::Whole, b"aaaa", &mut deflater, &mut host.output)
        .unwrap();
    assert_eq!(host.sent_plain(), [(FIN | TEXT, message.into_bytes()), (FIN | TEXT, b"aaaa".into())]);
    let prepared = deflater.prepare("aaaa".repeat(100).as_str().into(), WindowBits::MIN);
    assert_eq!(prepared.window_bits(), None);
    // Messages may still come compressed.
    let frame = host.peer_frame(COMPRESSED_TEXT, HELLO);
    host.receive_buffered(&mut MessageBuffer::new(Vec::new()), &frame);
    assert_eq!(came(&host), (vec![text("Hello")], None));
}

// R7692-6.1 R7692-7.2.1
#[test]
fn each_part_can_be_inflated_as_soon_as_it_arrives() {
    for settings in [takeover(), alone(), symmetric(9, true)] {
        let mut sending = Sending::new(&settings);
        for round in 0..3 {
            let parts = [&b"first "[..], b"", &noise(40_000), b"x", b"last"];
            let mut arrived = Vec::new();
            for (index, payload) in parts.iter().enumerate() {
                let part = [Part::First, Part::Middle, Part::Middle, Part::Middle, Part::Last][index];
                let wire = sending.part(MessageKind::Binary, part, payload).unwrap();
                let rsv1 = if index == 0 { RSV1 } else { 0 };
                assert_eq!(wire[0] & RSV1, rsv1, "round {round}");
                sending.far.receive_in_parts(&mut sending.buffer, &wire);
                arrived.extend_from_slice(payload);
                if index < 4 {
                    let (_, unfinished) = sending.far.unfinished.as_ref().expect("in progress");
                    assert_eq!(unfinished, &arrived);
                }
            }
            assert_eq!(sending.far.told.pop(), Some(Told::Binary(arrived)));
            assert_eq!(sending.deflater.is_idle(), settings == alone());
        }
    }
}

// R7692-7.2.1
#[test]
fn parts_may_be_empty() {
    for lens in [[0, 0, 0], [0, 5, 0], [5, 0, 0], [0, 0, 5]] {
        let mut sending = Sending::new(&takeover());
        for _ in 0..3 {
            for (part, len) in [Part::First, Part::Middle, Part::Last].into_iter().zip(lens) {
                let wire = sending.part(MessageKind::Text, part, &b"aaaaa"[..len]).unwrap();
                sending.far.receive_buffered(&mut sending.buffer, &wire);
            }
            assert_eq!(came(&sending.far), (vec![text(&"aaaaa"[..lens.iter().sum()])], None));
            sending.far.told.clear();
            let wire = sending.part(MessageKind::Text, Part::Whole, b"").unwrap();
            sending.hears(&wire, "".into());
        }
    }
}

#[test]
fn parts_of_any_length_around_the_compressors_pieces_are_understood() {
    let mut sending = Sending::new(&takeover());
    let noise = noise(70_000);
    // What comes out of a part fills whole pieces of the output at some of these lengths.
    for len in (16_330..16_400).chain(32_700..32_790).chain([65_530, 65_536, 70_000]) {
        let wire = sending.part(MessageKind::Binary, Part::Whole, &noise[..len]).unwrap();
        sending.hears(&wire, Message::Binary(&noise[..len]));
        sending.deflater.forget();
    }
}

#[test]
fn parts_out_of_order_are_refused_and_change_nothing() {
    use MessageKind::{Binary, Text};
    let mut sending = Sending::new(&takeover());
    assert_eq!(sending.part(Text, Part::Last, b""), Err(SendError::NoMessage));
    assert_eq!(sending.deflater.held_bytes(), 0);
    assert_eq!(sending.part(Text, Part::First, b"\xFF"), Err(SendError::InvalidUtf8));
    let first = sending.part(Text, Part::First, b"abc\xC3").unwrap();
    sending.far.receive_buffered(&mut sending.buffer, &first);
    assert_eq!(sending.part(Text, Part::First, b""), Err(SendError::MessageInProgress));
    assert_eq!(sending.part(Binary, Part::Last, b""), Err(SendError::KindMismatch));
    assert_eq!(sending.part(Text, Part::Last, b""), Err(SendError::InvalidUtf8));
    let Sending { near, deflater, .. } = &mut sending;
    let mut out = b"before".to_vec();
    let refused = near.endpoint.write_deflated_to("whole".into(), deflater, &mut out);
    assert_eq!(refused, Err(SendError::MessageInProgress));
    assert_eq!(near.endpoint.write_to("whole".into(), &mut out), Err(SendError::MessageInProgress));
    // A message is compressed as a whole or not at all.
    let plain = near.endpoint.write_part_to(Text, Part::Last, b"\xA9", &mut out);
    assert_eq!(plain, Err(SendError::KindMismatch));
    assert_eq!(out, b"before");
    let last = sending.part(Text, Part::Last, b"\xA9").unwrap();
    sending.far.receive_buffered(&mut sending.buffer, &last);
    assert_eq!(came(&sending.far), (vec![text("abcé")], None));
    // And the other way round.
    let Sending { near, .. } = &mut sending;
    near.endpoint.write_part_to(Text, Part::First, b"plain", &mut out).unwrap();
    assert_eq!(sending.part(Text, Part::Last, b""), Err(SendError::KindMismatch));
}

#[test]
fn a_deflater_whose_message_was_abandoned_serves_another_connection() {
    let mut deflater = Deflater::new(alone());
    {
        let mut gone = deflating_server(&bare_config(), &alone());
        let mut out = Vec::new();
        gone.endpoint
            .write_part_deflated_to(MessageKind::Text, Part::First, b"never ended", &mut deflater, &mut out)
            .unwrap();
    }
    assert!(!deflater.is_idle());
    deflater.forget();
    let mut sending = Sending::new(&alone());
    sending.deflater = deflater;
    let message = "never ended ".repeat(20);
    let expected = Sending::new(&alone()).send(message.as_str());
    assert_eq!(sending.send(message.as_str()), expected);
}

#[test]
fn a_closing_endpoint_compresses_nothing() {
    let mut sending = Sending::new(&takeover());
    let mut out = [0; 131];
    sending.near.endpoint.write_close(Instant::ZERO, CloseCode::NORMAL, "", &mut out).unwrap();
    assert_eq!(sending.part(MessageKind::Text, Part::Whole, b"a"), Err(SendError::Closing));
    let Sending { near, deflater, .. } = &mut sending;
    let mut out = Vec::new();
    let refused = near.endpoint.write_deflated_to("aaaa".repeat(100).as_str().into(), deflater, &mut out);
    assert_eq!((refused, out.len(), deflater.held_bytes()), (Err(SendError::Closing), 0, 0));
}

// R7692-7.1.1.1 R7692-7.2.3
#[test]
fn what_was_prepared_once_goes_to_all_peers_that_understand_it() {
    let message = "tick ".repeat(100);
    let bits = |bits| WindowBits::new(bits).unwrap();
    let prepared = Deflater::new(takeover()).prepare(message.as_str().into(), bits(11));
    assert_eq!(prepared.window_bits(), Some(bits(11)));
    assert!(prepared.slices().concat().len() < 40);
    for (settings, fits) in [
        (symmetric(11, false), true),
        (symmetric(12, false), true),
        (symmetric(15, false), true),
        (symmetric(10, false), false),
        (symmetric(9, false), false),
        (symmetric(11, true), false),
        (symmetric(15, true), false),
    ] {
        let mut sending = Sending::new(&settings);
        for _ in 0..2 {
            let admitted = sending.near.endpoint.send_prepared(&prepared);
            assert_eq!(admitted, if fits { Ok(()) } else { Err(SendError::NotNegotiated) });
            if fits {
                let (first, _) = sending.hears(&prepared.slices().concat(), message.as_str().into());
                assert_eq!(first, COMPRESSED_TEXT);
                sending.send(message.as_str());
            }
        }
        // What is not compressed goes anywhere.
        let plain = Prepared::new(MessageKind::Text, message.as_bytes()).unwrap();
        assert_eq!(sending.near.endpoint.send_prepared(&plain), Ok(()));
    }
    assert_eq!(server(&bare_config()).endpoint.send_prepared(&prepared), Err(SendError::NotNegotiated));
    let short = Deflater::new(Settings::small()).prepare("short".into(), bits(11));
    assert_eq!(short.window_bits(), None);
    let hard = Deflater::new(takeover()).prepare(Message::Binary(&noise(500)), bits(15));
    assert_eq!((hard.window_bits(), hard.slices()[1]), (None, &noise(500)[..]));
}

#[test]
fn preparing_between_messages_of_a_connection_harms_neither() {
    let mut sending = Sending::new(&takeover());
    let message = "known words ".repeat(50);
    for _ in 0..3 {
        sending.send(message.as_str());
        let prepared = sending.deflater.prepare("for all ".repeat(50).as_str().into(), WindowBits::MAX);
        assert!(prepared.window_bits().is_some() && sending.deflater.is_idle());
    }
}

// ---- Negotiation ----

fn answer(settings: &Settings, offers: &str) -> Option<String> {
    answer_to(settings, &[offers]).map(|agreed| agreed.to_string())
}

// R7692-7.1.1.1 R7692-7.1.1.2 R7692-7.1.2.1 R7692-7.1.2.2
#[test]
fn a_server_answers_within_the_offer_and_its_settings() {
    // By the letter: each flag and window of the offer, each of the settings, and what the answer has to say.
    let windows = || [None, Some(9), Some(11), Some(15)].into_iter();
    for server in (9..=15).step_by(2) {
        for (alone, offered_bits, offered_alone) in [false, true]
            .into_iter()
            .flat_map(|alone| windows().map(move |bits| (alone, bits)))
            .flat_map(|(alone, bits)| [false, true].map(|offered| (alone, bits, offered)))
        {
            let settings = symmetric(server, !alone);
            let mut offer = String::from("permessage-deflate");
            let mut expected = offer.clone();
            for side in ["server", "client"] {
                if offered_alone {
                    offer += &format!("; {side}_no_context_takeover");
                }
                if let Some(bits) = offered_bits {
                    offer += &format!("; {side}_max_window_bits={bits}");
                }
                if offered_alone || alone {
                    expected += &format!("; {side}_no_context_takeover");
                }
                let bits = server.min(offered_bits.unwrap_or(15));
                // A parameter that the client has not named is not announced: some clients refuse it.
                if offered_bits.is_some() && (side == "server" || bits < 15) {
                    expected += &format!("; {side}_max_window_bits={bits}");
                }
            }
            assert_eq!(answer(&settings, &offer), Some(expected), "{offer} with {settings:?}");
        }
    }
    let asked = answer(&symmetric(10, true), "permessage-deflate; client_max_window_bits").unwrap();
    assert!(asked.ends_with("client_max_window_bits=10"), "the client has left it to the server");
    // It keeps to what it has not told.
    let kept = answer_to(&symmetric(10, true), &["permessage-deflate"]).unwrap();
    assert_eq!(kept.max_window_bits(Side::Server).get(), 10);
}

/// Parameters that make an offer or an answer invalid.
const BAD: [&str; 22] = [
    "unknown",
    "unknown=1",
    "server_no_context_takeover=1",
    "client_no_context_takeover=true",
    "server_no_context_takeover; server_no_context_takeover",
    "client_no_context_takeover; client_no_context_takeover",
    "server_max_window_bits",
    "server_max_window_bits=7",
    "server_max_window_bits=16",
    "server_max_window_bits=010",
    "server_max_window_bits=+10",
    "server_max_window_bits=1e1",
    "server_max_window_bits=\"010\"",
    "server_max_window_bits=10; server_max_window_bits=10",
    "server_max_window_bits=10; server_max_window_bits=11",
    "client_max_window_bits=7",
    "client_max_window_bits=16",
    "client_max_window_bits=09",
    "client_max_window_bits=266",
    "client_max_window_bits; client_max_window_bits",
    "client_max_window_bits=10; client_max_window_bits=10",
    "Server_no_context_takeover",
];

// R7692-5-1 R7692-7.1.2.1
#[test]
fn a_server_declines_an_offer_with_a_bad_parameter_and_takes_the_next() {
    for bad in BAD {
        let offer = format!("permessage-deflate; {bad}");
        assert_eq!(answer(&takeover(), &offer), None, "{offer}");
        let offer = format!("{offer}, permessage-deflate; client_no_context_takeover, permessage-deflate");
        let second = Some("permessage-deflate; client_no_context_takeover".into());
        assert_eq!(answer(&takeover(), &offer), second, "{offer}");
        // The same in lines of their own, and with another good one behind.
        let lines = answer_to(&takeover(), &[&format!("permessage-deflate; {bad}"), "x, permessage-deflate"]);
        assert_eq!(lines.map(|agreed| agreed.to_string()).as_deref(), Some("permessage-deflate"));
        let order = format!("permessage-deflate; server_max_window_bits=\"1\\2\", permessage-deflate; {bad}");
        assert_eq!(answer(&takeover(), &order).as_deref(), Some("permessage-deflate; server_max_window_bits=12"));
    }
    for other in ["permessage-bzip2", "x-webkit-deflate-frame", "PERMESSAGE-DEFLATE", "permessage-deflate-2"] {
        assert_eq!(answer(&takeover(), other), None, "{other}");
    }
}

// R7692-7.1.2.1
#[test]
fn a_server_does_not_promise_a_window_that_its_compressor_can_not_keep_to() {
    assert_eq!(answer(&takeover(), "permessage-deflate; server_max_window_bits=8"), None);
    let next = "permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=9";
    assert_eq!(answer(&takeover(), next).as_deref(), Some("permessage-deflate; server_max_window_bits=9"));
    // The client's compressor is its own affair.
    let client = answer(&takeover(), "permessage-deflate; client_max_window_bits=8");
    assert_eq!(client.as_deref(), Some("permessage-deflate; client_max_window_bits=8"));
}

// R7692-5-2 R7692-7.1.2.2
#[test]
fn a_client_fails_on_an_answer_that_breaks_a_rule() {
    for bad in BAD.iter().chain(&["client_max_window_bits"]) {
        assert_eq!(understood(&takeover(), &[&format!("permessage-deflate; {bad}")]), None, "{bad}");
    }
    for bad in [
        &["permessage-bzip2"][..],
        &["permessage-deflate, permessage-bzip2"],
        &["permessage-deflate;"],
        &["permessage-deflate; server_max_window_bits=\"10"],
        &[""],
    ] {
        assert_eq!(understood(&takeover(), bad), None, "{bad:?}");
    }
    assert_eq!(understood(&takeover(), &[]), Some(Negotiated::default()), "the server does without");
    let nothing_offered = ws_proto::client::Request::new("example.com", "/");
    let answered = [("sec-websocket-extensions", &b"permessage-deflate"[..])];
    let nothing_offered = Offer::extended_connect(nothing_offered).unwrap();
    assert!(nothing_offered.check(HttpVersion::Other, 200, || answered.into_iter()).is_err());
}

// R7692-5-3
#[test]
fn a_client_fails_on_two_extensions_that_use_the_same_bit() {
    let twice = &["permessage-deflate, permessage-deflate; client_no_context_takeover"];
    assert_eq!(understood(&takeover(), twice), None);
    assert_eq!(understood(&takeover(), &["permessage-deflate", "permessage-deflate"]), None);
    // A server accepts one, however many are offered.
    let answer = answer(&takeover(), "permessage-deflate; client_max_window_bits, permessage-deflate");
    assert_eq!(answer.as_deref(), Some("permessage-deflate"));
}

// R7692-5-2 R7692-7.1.1.2 R7692-7.1.2.1 R7692-7.1.2.2
#[test]
fn an_answer_binds_the_client_and_keeps_to_its_offer() {
    let offered = changed(symmetric(11, true), |settings| settings.require_server_parameters = true);
    let understand = |parameters: &str| {
        let negotiated = understood(&offered, &[&format!("permessage-deflate; {parameters}")])?;
        let agreed = negotiated.deflate.expect("compression");
        Some(
            [Side::Server, Side::Client]
                .map(|side| (agreed.no_context_takeover(side), agreed.max_window_bits(side).get())),
        )
    };
    // The server was asked to keep to 11.
    for wider in ["server_no_context_takeover", "server_max_window_bits=12", "server_max_window_bits=15"] {
        assert_eq!(understand(wider), None, "{wider}");
    }
    for (answer, expected) in [
        ("server_max_window_bits=11", [(false, 11), (false, 11)]),
        ("server_max_window_bits=9; server_no_context_takeover", [(true, 9), (false, 11)]),
        ("server_max_window_bits=8", [(false, 8), (false, 11)]),
        ("server_max_window_bits=11; client_no_context_takeover", [(false, 11), (true, 11)]),
        ("server_max_window_bits=11; client_max_window_bits=9", [(false, 11), (false, 9)]),
        ("server_max_window_bits=\"11\";client_max_window_bits=\"1\\0\"", [(false, 11), (false, 10)]),
        ("client_max_window_bits=15; server_max_window_bits=11", [(false, 11), (false, 11)]),
    ] {
        assert_eq!(understand(answer), Some(expected), "{answer}");
    }
    // Taking nothing over was asked for, and has to be promised.
    let required = changed(alone(), |settings| settings.require_server_parameters = true);
    assert_eq!(understood(&required, &["permessage-deflate"]), None);
    let promised = understood(&alone(), &["permessage-deflate; server_no_context_takeover"]).unwrap();
    assert!(promised.deflate.unwrap().no_context_takeover(Side::Client), "as the client has hinted");
}

/// The parameters of the server's messages that a client with these settings takes from an answer, or the error.
fn of_server(settings: &Settings, answer: &str) -> Result<(bool, u8), HandshakeError> {
    let request = ws_proto::client::Request::new("example.com", "/").deflate(Some(*settings));
    let fields = || [("sec-websocket-extensions", answer.as_bytes())].into_iter();
    let offer = Offer::extended_connect(request).expect("nothing that can't be sent");
    let acceptance = offer.check(HttpVersion::Other, 200, fields)?.expect("200 accepts");
    let agreed = acceptance.negotiated().deflate.expect("compression");
    Ok((agreed.no_context_takeover(Side::Server), agreed.max_window_bits(Side::Server).get()))
}

// R7692-7.1.1.1 R7692-7.1.2.1
#[test]
fn servers_that_can_not_be_asked_take_the_second_offer() {
    let offer = "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                 client_max_window_bits=10, permessage-deflate; client_max_window_bits";
    assert_eq!(Settings::small().to_string(), offer);
    let offer = "permessage-deflate; client_max_window_bits=12";
    assert_eq!(Settings::balanced().to_string(), offer);
    let offer = "permessage-deflate; client_max_window_bits";
    assert_eq!(Settings::best_ratio().to_string(), offer, "it asks for nothing");

    // gorilla says this to any offer.
    let gorilla = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    // Tornado says again what has a value, and forgets what has none.
    let tornado = |bits: u8| format!("permessage-deflate; client_max_window_bits={bits}");
    let mojolicious = "permessage-deflate";
    // nhooyr takes the client's window without confirming it, and answers 400 to the server's. A list may help with newer ones;
    // 1.8.7 looks at the first offer only.
    for settings in [Settings::small(), Settings::balanced(), Settings::best_ratio()] {
        assert!(!settings.to_string().contains("server_max_window_bits"));
    }
    let nhooyr = "permessage-deflate; client_no_context_takeover; server_no_context_takeover";
    let newer_nhooyr = "permessage-deflate; client_no_context_takeover";
    for (settings, bits) in [(Settings::small(), 10), (Settings::balanced(), 12)] {
        for (answer, expected) in [
            (gorilla, (true, 15)),
            (&tornado(bits), (false, 15)),
            (mojolicious, (false, 15)),
            (nhooyr, (true, 15)),
            (newer_nhooyr, (false, 15)),
        ] {
            assert_eq!(of_server(&settings, answer), Ok(expected), "{answer}");
        }
    }
    let mut small = Settings::small();
    small.require_server_parameters = true;
    assert!(!small.to_string().contains(','), "there is no second offer");
    let no_takeover = HandshakeError::ServerContextTakeover;
    for (answer, error) in [
        (gorilla, HandshakeError::ServerMaxWindowBits),
        (&tornado(10), no_takeover),
        (mojolicious, no_takeover),
        (nhooyr, HandshakeError::ServerMaxWindowBits),
    ] {
        assert_eq!(of_server(&small, answer), Err(error), "{answer}");
    }
}

// R7692-7.1.2.1 R7692-7.2.3
#[test]
fn what_a_server_compresses_with_its_whole_window_and_context_is_understood() {
    // As Mojolicious does, whatever it is asked for: a message that refers far back, into the one before.
    let negotiated = understood(&Settings::small(), &["permessage-deflate"]).unwrap();
    let role = ws_proto::Client::new(ws_tests::Keys::Fixed);
    let mut client = Host::new(Endpoint::new(role, &bare_config(), negotiated, Instant::ZERO));
    let (mut server, mut buffer) = (Compressor::new(&takeover()), MessageBuffer::new(Vec::new()));
    let message = noise(20_000);
    for first in [true, false] {
        let payload = server.payload(&message);
        assert_eq!(payload.len() < 1_000, !first, "the second message is a reference");
        client.receive_buffered(&mut buffer, &ws_tests::frame(COMPRESSED_BINARY, &payload));
    }
    assert_eq!(client.told, [Told::Binary(message.clone()), Told::Binary(message)]);
}

// R7692-7.1.1.1 R7692-7.1.2.1
#[test]
fn a_client_that_refuses_what_it_has_not_named_is_answered_within_that() {
    // nhooyr's offer; it fails on any window in the answer.
    let offer = "permessage-deflate; client_no_context_takeover; server_no_context_takeover";
    let said = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    for settings in [Settings::small(), Settings::balanced(), Settings::best_ratio()] {
        assert_eq!(answer(&settings, offer).as_deref(), Some(said));
        let kept = answer_to(&settings, &[offer]).unwrap();
        assert_eq!(kept.max_window_bits(Side::Server), settings.server_max_window_bits, "without a word");
    }
}

// R8441-5
#[test]
fn an_http_library_is_given_the_answer_to_an_offer() {
    let everything = "permessage-deflate; server_no_context_takeover; server_max_window_bits=10; \
                      client_no_context_takeover; client_max_window_bits=10";
    let fields = || {
        let fields = [("sec-websocket-version", "13"), ("sec-websocket-extensions", everything)];
        fields.into_iter().map(|(name, value)| (name, value.as_bytes()))
    };
    let offer = negotiate_extended_connect("example.com", fields, OriginPolicy::AllowAny).unwrap();
    let accept = Accept::new().deflate(offer.deflate(&Settings::small()));
    let acceptance = offer.accept(&accept).unwrap();
    assert!(acceptance.fields().eq([("sec-websocket-extensions", everything)]));
    assert_eq!(acceptance.negotiated().deflate.map(|agreed| agreed.to_string()).as_deref(), Some(everything));
}

// R7692-7.1.1.2
#[test]
fn a_client_that_is_told_to_forget_does() {
    let [negotiated, _] =
        agreed(&takeover(), &changed(takeover(), |settings| settings.client_no_context_takeover = true));
    let role = ws_proto::Client::new(ws_tests::Keys::Fixed);
    let mut host = Host::new(Endpoint::new(role, &bare_config(), negotiated, Instant::ZERO));
    let mut deflater = Deflater::new(takeover());
    for _ in 0..2 {
        host.endpoint.write_deflated_to("Hello, Hello, Hello".into(), &mut deflater, &mut host.output).unwrap();
        assert!(deflater.is_idle());
    }
    let sent = host.sent_plain();
    assert_eq!(sent[0], sent[1]);
}

// ---- Everything at once ----

fn cases(count: u32) -> ProptestConfig {
    ProptestConfig { cases: count, failure_persistence: None, ..ProptestConfig::default() }
}

fn any_settings() -> impl Strategy<Value = Settings> {
    (any::<[bool; 2]>(), [9..=15_u8, 9..=15], 0..=9_u8, 1..=9_u8, 0..200_usize).prop_map(
        |(takeover, bits, level, memory_level, threshold)| {
            let mut settings = Settings::balanced();
            [settings.server_no_context_takeover, settings.client_no_context_takeover] = takeover;
            let [server, client] = bits.map(|bits| WindowBits::new(bits).expect("a window"));
            (settings.server_max_window_bits, settings.client_max_window_bits) = (server, client);
            (settings.level, settings.memory_level, settings.threshold) = (level, memory_level, threshold);
            settings
        },
    )
}

/// How a message is sent.
#[derive(Clone, Debug)]
enum How {
    Whole,
    Plain,
    Parts(Vec<Index>),
}

fn any_message() -> impl Strategy<Value = (How, Vec<u8>)> {
    let payload = prop_oneof![
        vec(any::<u8>(), 0..300),
        "[a-c ]{0,200}".prop_map(String::into_bytes),
        "\\PC{0,100}".prop_map(String::into_bytes),
        (vec(any::<u8>(), 1..20), 1..2_000_usize).prop_map(|(bytes, times)| bytes.repeat(times)),
        (0..70_000_usize).prop_map(noise),
    ];
    let how = prop_oneof![
        3 => Just(How::Whole),
        1 => Just(How::Plain),
        2 => vec(any::<Index>(), 0..4).prop_map(How::Parts),
    ];
    (how, payload)
}

fn write<R: Role>(host: &mut Host<R>, deflater: &mut Deflater, how: &How, payload: &[u8]) -> Told {
    let message = Message::new(MessageKind::Text, payload).unwrap_or(Message::Binary(payload));
    let Host { endpoint, output, .. } = host;
    match how {
        How::Whole => endpoint.write_deflated_to(message, deflater, output).unwrap(),
        How::Plain => endpoint.write_to(message, output).unwrap(),
        How::Parts(cuts) => {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
            cuts.sort_unstable();
            let mut begin = 0;
            for (index, end) in cuts.iter().enumerate() {
                let part = if index == 0 { Part::First } else { Part::Middle };
                endpoint
                    .write_part_deflated_to(message.kind(), part, &payload[begin..*end], deflater, output)
                    .unwrap();
                begin = *end;
            }
            let part = if cuts.is_empty() { Part::Whole } else { Part::Last };
            endpoint.write_part_deflated_to(message.kind(), part, &payload[begin..], deflater, output).unwrap();
        }
    }
    Told::message(message.kind(), payload.into())
}

fn heard<R: Role>(mut far: Host<R>, wire: &[u8], places: &[Index], way: u8, config: &Config) -> Came {
    let mut cuts: Vec<_> = places.iter().map(|place| place.index(wire.len() + 1)).collect();
    cuts.extend([0, wire.len()]);
    cuts.sort_unstable();
    let mut buffer = MessageBuffer::new(Vec::new());
    let mut inflating = Inflating::new(&far, config);
    for piece in cuts.windows(2).map(|cut| &wire[cut[0]..cut[1]]) {
        match way {
            0 => far.receive_buffered(&mut buffer, piece),
            1 => far.receive_shared(&mut buffer, piece),
            2 => far.receive_in_parts(&mut buffer, piece),
            _ => inflating.receive(&mut far, piece),
        }
    }
    came(&far)
}

// R7692-6.1 R7692-7.2.1 R7692-7.2.2 R7692-7.2.3
proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn whatever_was_agreed_on_what_is_sent_is_told(
        settings in [any_settings(), any_settings()],
        messages in vec(any_message(), 1..8),
        places in vec(any::<Index>(), 0..6),
        way in 0..4_u8,
    ) {
        let config = bare_config();
        let [near, far] = agreed(&settings[0], &settings[1]);
        let role = ws_proto::Client::new(ws_tests::Keys::Counted(3));
        let client = || Host::new(Endpoint::new(role.clone(), &config, near, Instant::ZERO));
        let server = || Host::new(Endpoint::new(Server, &config, far, Instant::ZERO));

        let (mut host, mut deflater) = (client(), Deflater::new(settings[0]));
        let told: Vec<_> = messages.iter().map(|(how, payload)| write(&mut host, &mut deflater, how, payload)).collect();
        prop_assert_eq!(heard(server(), &host.output, &places, way, &config), (told, None));

        let (mut host, mut deflater) = (server(), Deflater::new(settings[1]));
        let told: Vec<_> = messages.iter().map(|(how, payload)| write(&mut host, &mut deflater, how, payload)).collect();
        prop_assert_eq!(heard(client(), &host.output, &places, way, &config), (told, None));
    }

    #[test]
    fn corrupt_bytes_fail_alike_however_they_are_cut(
        message in vec(any::<u8>(), 0..200),
        damage in vec((any::<Index>(), any::<u8>()), 1..4),
        places in vec(any::<Index>(), 0..6),
    ) {
        let config = limited(1_000);
        let mut payload = Compressor::new(&takeover()).payload(&message.repeat(2));
        for (place, byte) in damage {
            let at = place.index(payload.len());
            payload[at] = byte;
        }
        let wire = [masked(COMPRESSED_BINARY, &payload), masked(COMPRESSED_BINARY, &[0x00])].concat();
        let whole = by_next(&config, &takeover(), &[&wire]);
        for way in 0..4 {
            prop_assert_eq!(heard(deflating_server(&config, &takeover()), &wire, &places, way, &config), whole.clone());
        }
    }
}

// R7692-7.2.2
#[test]
fn a_wire_cut_anywhere_gives_the_same() {
    let mut compressor = Compressor::new(&takeover());
    let long = compressor.frames(MessageKind::Text, &[b"some words, some more words, ", b"and a few", b""]);
    let wire = [
        masked(COMPRESSED_TEXT, HELLO_FINAL),
        masked(RSV1 | TEXT, &long[0]),
        masked(PING, b"p"),
        masked(0, &long[1]),
        masked(FIN, &long[2]),
        masked(FIN | TEXT, b"plain"),
        masked(COMPRESSED_TEXT, HELLO_STORED),
        masked(COMPRESSED_TEXT, &[0x07]),
    ]
    .concat();
    let whole = by_next(&bare_config(), &takeover(), &[&wire]);
    assert_eq!((whole.0.len(), whole.1), (5, Some(CORRUPT)));
    for [head, tail] in two_way_splits(&wire) {
        let pieces = &[head, tail];
        assert_eq!(by_next(&bare_config(), &takeover(), pieces), whole);
        assert_eq!(by_next_in(&bare_config(), &takeover(), pieces), whole);
        assert_eq!(in_parts(&bare_config(), &takeover(), pieces), whole);
        assert_eq!(by_receive(&bare_config(), &takeover(), pieces), whole);
    }
    let bytes: Vec<&[u8]> = wire.chunks(1).collect();
    for way in [by_next, by_next_in, in_parts, by_receive] {
        assert_eq!(way(&bare_config(), &takeover(), &bytes), whole);
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
            let room = buffer.unfilled_or(&endpoint, &mut shared);
            let len = room.len().min(unread.len());
            room[..len].copy_from_slice(&unread[..len]);
            unread = &unread[len..];
            reads += 1;
            let mut input = buffer.filled_or(len, &mut shared);
            while let Some(incoming) = buffer.next_in(&mut endpoint, Instant::ZERO, &mut input).unwrap() {
                let Event::Data(message) = incoming else { panic!("{incoming:?}") };
                told.extend_from_slice(message.as_bytes());
            }
            assert!(reads <= wire.len() / shared_len + 1, "{reads} reads of {shared_len}");
        }
        assert!(told == payload, "{shared_len}");
    }
}

/// Receives a compressed message under limits of its own, by each way of receiving to a buffer.
fn under(limits: InflateLimits, payload: &[u8]) -> [(Vec<Told>, Option<ReceiveErrorKind>); 2] {
    let mut config = bare_config();
    config.max_message_len = 4 << 20;
    let wire = masked(COMPRESSED_BINARY, payload);
    let buffer = || {
        let mut buffer = MessageBuffer::new(Vec::new());
        buffer.set_inflate_limits(limits);
        buffer
    };
    let mut host = deflating_server(&config, &alone());
    host.receive_buffered(&mut buffer(), &wire);
    let mut parts = deflating_server(&config, &alone());
    parts.receive_in_parts(&mut buffer(), &wire);
    [came(&host), came(&parts)]
}

// R7692-8 R10.4-1
#[test]
fn a_limit_of_its_own_counts_what_is_inflated_of_a_message() {
    let mut limits = InflateLimits::new();
    limits.max_len = Some(100_000);
    let compressed = |len| Compressor::new(&takeover()).payload(&vec![b'a'; len]);
    for (told, error) in under(limits, &compressed(100_000)) {
        assert_eq!((error, told.len()), (None, 1));
    }
    for (_, error) in under(limits, &compressed(100_001)) {
        assert_eq!(error, Some(TOO_BIG));
    }
    // It raises nothing.
    limits.max_len = Some(u64::MAX);
    for (_, error) in under(limits, &compressed((4 << 20) + 1)) {
        assert_eq!(error, Some(TOO_BIG));
    }
}

// R7692-8 R10.4-1
#[test]
fn a_message_that_inflates_too_much_fails_with_1008_unless_it_is_short() {
    let mut limits = InflateLimits::new();
    limits.max_ratio = NonZeroU32::new(20);
    let compressed = |message: &[u8]| Compressor::new(&takeover()).payload(message);
    let from = usize::try_from(InflateLimits::RATIO_FROM).unwrap();
    let long = noise(1 << 20);
    for message in [&vec![b' '; from][..], &long] {
        for (told, error) in under(limits, &compressed(message)) {
            assert_eq!((told.len(), error), (1, None));
        }
    }
    for (_, error) in under(limits, &compressed(&vec![b' '; from + 1])) {
        assert_eq!(error, Some(ReceiveErrorKind::Fault(Fault::InflatesTooMuch)));
        assert_eq!(error.unwrap().close_code(), CloseCode::POLICY_VIOLATION);
    }
    // The ratio is exact.
    let spaces = compressed(&vec![b' '; 100_000]);
    let ratio = u32::try_from(100_000_usize.div_ceil(spaces.len())).unwrap();
    for (ratio, fits) in [(ratio, true), (ratio - 1, false)] {
        limits.max_ratio = NonZeroU32::new(ratio);
        for (_, error) in under(limits, &spaces) {
            assert_eq!(error.is_none(), fits, "{ratio}");
        }
    }
}
