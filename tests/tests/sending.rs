//! What may be sent, how it is encoded, and that a wrong call changes nothing.

use ws_proto::{
    Client, CloseCode, Control, Endpoint, Event, Fault, Instant, Message, MessageKind, Negotiated, Part, Prepared,
    ReceiveErrorKind, Role, SendError, Server, frame::FrameError,
};
use ws_tests::{
    BINARY, CLOSE, CONTINUATION, FIN, Host, Keys, PING, PONG, Say, TEXT, TestClient, bare_config, client, code_of,
    noise, on_both, server,
};

use MessageKind::{Binary, Text};
use Part::{First, Last, Middle, Whole};

/// What a host can still send must not depend on calls that were refused: says it, and returns the frames.
fn go_on<R: Role>(host: &mut Host<R>, say: &Say) -> Vec<(u8, Vec<u8>)> {
    say.by(host).unwrap();
    host.sent_plain()
}

/// Every way to send a data frame, each of which must refuse with `expected` and leave the payload alone.
fn refuses<R: Role>(host: &mut Host<R>, kind: MessageKind, part: Part, payload: &[u8], expected: SendError) {
    let mut out = vec![0xEE; payload.len() + 14];
    let mut growing = vec![0xEE; 3];
    let mut in_place = payload.to_vec();
    let endpoint = &mut host.endpoint;
    assert_eq!(endpoint.write_part(kind, part, payload, &mut out), Err(expected));
    assert_eq!(endpoint.write_part_to(kind, part, payload, &mut growing), Err(expected));
    assert_eq!(endpoint.send(kind, part, &mut in_place).map(drop), Err(expected));
    if let (Whole, Ok(message)) = (part, Message::new(kind, payload)) {
        assert_eq!(endpoint.write(message, &mut out), Err(expected));
        assert_eq!(endpoint.write_to(message, &mut growing), Err(expected));
    }
    assert_eq!(in_place, payload, "not masked");
    assert_eq!(growing, [0xEE; 3]);
    assert!(out.iter().all(|byte| *byte == 0xEE));
}

fn begin<R: Role>(host: &mut Host<R>, kind: MessageKind) {
    Say::Part(kind, First, b"be".to_vec()).by(host).unwrap();
    host.output.clear();
}

// R5.5.1-2 R6.1-1
#[test]
fn send_error_closing() {
    fn check<R: Role>(mut host: Host<R>) {
        Say::Close(None, "").by(&mut host).unwrap();
        refuses(&mut host, Binary, Whole, b"late", SendError::Closing);
        host.receive_frame(CLOSE, b"");
        refuses(&mut host, Binary, Whole, b"late", SendError::Closing);
        host.receive_eof();
        refuses(&mut host, Binary, Whole, b"late", SendError::Closing);
    }
    on_both(&bare_config(), check, check);
}

// R5.4-3 R6.1-1
#[test]
fn send_error_message_in_progress() {
    fn check<R: Role>(mut host: Host<R>) {
        begin(&mut host, Text);
        for part in [Whole, First] {
            refuses(&mut host, Text, part, b"x", SendError::MessageInProgress);
            refuses(&mut host, Binary, part, b"x", SendError::MessageInProgress);
        }
        let end = Say::Part(Text, Last, b"gun".to_vec());
        assert_eq!(go_on(&mut host, &end), [(FIN | CONTINUATION, b"gun".to_vec())]);
    }
    on_both(&bare_config(), check, check);
}

// R5.4-4
#[test]
fn send_error_no_message() {
    fn check<R: Role>(mut host: Host<R>) {
        for part in [Middle, Last] {
            refuses(&mut host, Text, part, b"x", SendError::NoMessage);
            refuses(&mut host, Binary, part, b"x", SendError::NoMessage);
        }
        assert_eq!(go_on(&mut host, &Say::text("x")), [(FIN | TEXT, b"x".to_vec())]);
    }
    on_both(&bare_config(), check, check);
}

// R5.4-3
#[test]
fn send_error_kind_mismatch() {
    fn check<R: Role>(mut host: Host<R>) {
        begin(&mut host, Text);
        for part in [Middle, Last] {
            refuses(&mut host, Binary, part, b"x", SendError::KindMismatch);
        }
        let more = Say::Part(Text, Middle, b"gin".to_vec());
        assert_eq!(go_on(&mut host, &more), [(CONTINUATION, b"gin".to_vec())]);
    }
    on_both(&bare_config(), check, check);
}

// R5.6-1 R8.1-1
#[test]
fn send_error_invalid_utf8() {
    fn check<R: Role>(mut host: Host<R>) {
        refuses(&mut host, Text, Whole, b"a\xFF", SendError::InvalidUtf8);
        refuses(&mut host, Text, Whole, b"a\xC3", SendError::InvalidUtf8);
        refuses(&mut host, Text, First, b"a\x80", SendError::InvalidUtf8);
        begin(&mut host, Text);
        let cut = Say::Part(Text, Middle, b"\xE2\x82".to_vec());
        assert_eq!(go_on(&mut host, &cut), [(CONTINUATION, b"\xE2\x82".to_vec())]);
        refuses(&mut host, Text, Last, b"", SendError::InvalidUtf8);
        refuses(&mut host, Text, Last, b"x", SendError::InvalidUtf8);
        refuses(&mut host, Text, Middle, b"\xE2", SendError::InvalidUtf8);
        let end = Say::Part(Text, Last, b"\xAC".to_vec());
        assert_eq!(go_on(&mut host, &end), [(FIN | CONTINUATION, b"\xAC".to_vec())]);
        assert_eq!(go_on(&mut host, &Say::binary(b"\xFF")), [(FIN | BINARY, b"\xFF".to_vec())]);
    }
    on_both(&bare_config(), check, check);
}

#[test]
fn send_error_buffer_too_small() {
    fn check<R: Role>(mut host: Host<R>, header_len: usize) {
        for len in [0, 1, 125] {
            let payload = noise(len);
            let needed = header_len + len;
            let error = Err(SendError::BufferTooSmall { needed });
            for room in 0..needed {
                let mut out = vec![0xEE; room];
                let endpoint = &mut host.endpoint;
                assert_eq!(endpoint.write(Message::Binary(&payload), &mut out), error);
                assert_eq!(endpoint.write_part(Binary, First, &payload, &mut out), error);
                assert_eq!(endpoint.write_ping(&payload, &mut out), error);
                assert_eq!(endpoint.write_pong(&payload, &mut out), error);
                assert!(out.iter().all(|byte| *byte == 0xEE));
            }
            let mut out = vec![0; needed];
            assert_eq!(host.endpoint.write(Message::Binary(&payload), &mut out), Ok(needed));
        }
        let small = host.endpoint.write_close(host.now, CloseCode::NORMAL, "bye", &mut vec![0; header_len + 4]);
        assert_eq!(small, Err(SendError::BufferTooSmall { needed: header_len + 5 }));
        assert_eq!(host.endpoint.state(), ws_proto::State::Open);
        assert_eq!(go_on(&mut host, &Say::text("x")), [(FIN | TEXT, b"x".to_vec())]);
    }
    on_both(&bare_config(), |host| check(host, 6), |host| check(host, 2));
}

// R5.5-1
#[test]
fn send_error_control_too_long() {
    fn check<R: Role>(mut host: Host<R>) {
        let mut out = [0; 200];
        assert_eq!(host.endpoint.write_ping(&[0; 126], &mut out), Err(SendError::ControlTooLong));
        assert_eq!(host.endpoint.write_pong(&[0; 126], &mut out), Err(SendError::ControlTooLong));
        assert_eq!(go_on(&mut host, &Say::Ping(noise(125))), [(PING, noise(125))]);
    }
    on_both(&bare_config(), check, check);
}

// R7.4.1-1 R7.4.2-1
#[test]
fn send_error_invalid_close_code() {
    fn check<R: Role>(mut host: Host<R>) {
        for code in [0, 999, 1004, 1006, 1015, 1016, 2999, 5000, u16::MAX] {
            assert_eq!(Say::Close(Some(code), "").by(&mut host), Err(SendError::InvalidCloseCode));
        }
        assert_eq!(go_on(&mut host, &Say::text("x")), [(FIN | TEXT, b"x".to_vec())]);
    }
    on_both(&bare_config(), check, check);
}

fn client_with(keys: Keys) -> Host<TestClient> {
    Host::new(Endpoint::new(Client::new(keys), &bare_config(), Negotiated::default(), Instant::ZERO))
}

// R5.3-1 R10.3-1
#[test]
fn send_error_entropy() {
    let mut host = client_with(Keys::Failing(0));
    refuses(&mut host, Binary, Whole, b"payload", SendError::Entropy);
    refuses(&mut host, Text, First, b"payload", SendError::Entropy);
    let mut out = [0xEE; 131];
    let endpoint = &mut host.endpoint;
    assert_eq!(endpoint.write_ping(b"x", &mut out), Err(SendError::Entropy));
    assert_eq!(endpoint.write_pong(b"x", &mut out), Err(SendError::Entropy));
    let close = endpoint.write_close(Instant::ZERO, CloseCode::NORMAL, "", &mut out);
    assert_eq!(close, Err(SendError::Entropy));
    assert_eq!(out, [0xEE; 131]);
    assert_eq!(host.endpoint.state(), ws_proto::State::Open);
}

// R5.3-1 R10.3-1
#[test]
fn a_source_of_keys_that_fails_later_leaves_the_message_in_progress_as_it_was() {
    let mut host = client_with(Keys::Failing(1));
    Say::Part(Text, First, b"\xE2".to_vec()).by(&mut host).unwrap();
    let mut sent = 1;
    while Say::Part(Text, Middle, vec![]).by(&mut host).is_ok() {
        sent += 1;
    }
    assert_eq!(sent, 16, "64 bytes make 16 keys");
    refuses(&mut host, Text, Middle, b"\x82", SendError::Entropy);
    refuses(&mut host, Text, Middle, b"\xFF", SendError::InvalidUtf8);
    refuses(&mut host, Text, Whole, b"x", SendError::MessageInProgress);
    assert_eq!(host.sent().len(), 16);
}

// R5.1-1 R5.3-1 R10.3-1
#[test]
fn every_frame_of_a_client_has_a_key_of_its_own() {
    let mut host = client_with(Keys::Counted(7));
    for i in 0..50 {
        Say::Part(Binary, First, noise(i)).by(&mut host).unwrap();
        Say::Ping(vec![]).by(&mut host).unwrap();
        host.receive_frame(PING, b"x");
        let mut payload = noise(i);
        let frame = host.endpoint.send(Binary, Last, &mut payload).unwrap();
        host.output.extend(frame.slices().concat());
    }
    Say::Close(None, "").by(&mut host).unwrap();
    let frames = host.sent();
    let mut keys: Vec<_> = frames.iter().map(|frame| frame.key.expect("masked")).collect();
    assert_eq!(keys.len(), 201);
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 201, "no key twice");
}

// R5.1-3
#[test]
fn no_frame_of_a_server_is_masked() {
    let mut host = server(&bare_config());
    for say in [Say::text("x"), Say::binary(&noise(300)), Say::Ping(vec![1]), Say::Pong(vec![2])] {
        say.by(&mut host).unwrap();
    }
    host.receive_frame(PING, b"x");
    let mut payload = *b"in place";
    let frame = host.endpoint.send(Binary, Whole, &mut payload).unwrap();
    host.output.extend(frame.slices().concat());
    assert_eq!(payload, *b"in place");
    host.receive_frame(CLOSE, b"");
    let frames = host.sent();
    assert_eq!(frames.len(), 7);
    assert!(frames.iter().all(|frame| frame.key.is_none()));
}

// R5.2-4 R5.1-1 R5.1-3
#[test]
fn all_ways_to_send_a_message_make_the_same_bytes() {
    fn check<R: Role>(new: impl Fn() -> Host<R>) {
        for len in [0, 1, 125, 126, 1000, 65_535, 65_536, 100_000] {
            let payload = noise(len);
            let mut expected = Vec::new();
            new().endpoint.write_to(Message::Binary(&payload), &mut expected).unwrap();
            let mut out = vec![0; len + 14];
            let written = new().endpoint.write(Message::Binary(&payload), &mut out).unwrap();
            assert_eq!(out[..written], expected);
            let written = new().endpoint.write_part(Binary, Whole, &payload, &mut out).unwrap();
            assert_eq!(out[..written], expected);
            let mut growing = vec![1, 2, 3];
            new().endpoint.write_part_to(Binary, Whole, &payload, &mut growing).unwrap();
            assert_eq!(growing[3..], expected);
            let mut in_place = payload.clone();
            let frame_of = new().endpoint.send(Binary, Whole, &mut in_place).map(|frame| frame.slices().concat());
            assert_eq!(frame_of.unwrap(), expected);
        }
    }
    check(|| client(&bare_config()));
    check(|| server(&bare_config()));
}

// R5.1-3
#[test]
fn prepared_and_shared_messages_have_the_same_bytes_as_written_ones() {
    for (kind, payload) in [(Text, "ünïcode".as_bytes().to_vec()), (Binary, noise(70_000)), (Text, vec![])] {
        let message = Message::new(kind, &payload).unwrap();
        let mut expected = Vec::new();
        server(&bare_config()).endpoint.write_to(message, &mut expected).unwrap();
        let prepared = Prepared::new(kind, payload.clone()).unwrap();
        let mut endpoint = server(&bare_config()).endpoint;
        endpoint.send_prepared(&prepared).unwrap();
        assert_eq!(prepared.slices().concat(), expected);
        for written in 0..expected.len().min(20) {
            assert_eq!(prepared.remaining(written).concat(), expected[written..]);
        }
        assert_eq!(prepared.remaining(expected.len() + 1), [&[][..]; 2]);
        let frame = endpoint.send_shared(message).unwrap();
        assert_eq!(frame.slices().concat(), expected);
        assert_eq!(frame.remaining(expected.len() - 1).concat(), expected[expected.len() - 1..]);
    }
}

// R5.4-3 R5.5.1-2 R5.6-1
#[test]
fn prepared_and_shared_messages_wait_for_the_message_in_progress_and_for_no_close() {
    let mut host: Host<Server> = server(&bare_config());
    let prepared = Prepared::new(Text, "news").unwrap();
    assert!(Prepared::new(Text, b"\xFF").is_err());
    begin(&mut host, Binary);
    assert_eq!(host.endpoint.send_prepared(&prepared), Err(SendError::MessageInProgress));
    assert_eq!(host.endpoint.send_shared("news".into()).map(drop), Err(SendError::MessageInProgress));
    Say::Part(Binary, Last, vec![]).by(&mut host).unwrap();
    assert_eq!(host.endpoint.send_prepared(&prepared), Ok(()));
    Say::Close(None, "").by(&mut host).unwrap();
    assert_eq!(host.endpoint.send_prepared(&prepared), Err(SendError::Closing));
    assert_eq!(host.endpoint.send_shared("news".into()).map(drop), Err(SendError::Closing));
}

// R5.4-2 R5.5-1
#[test]
fn control_frames_go_out_between_the_parts_of_a_message_and_are_never_fragmented() {
    fn check<R: Role>(mut host: Host<R>) {
        Say::Part(Text, First, vec![]).by(&mut host).unwrap();
        Say::Ping(b"1".to_vec()).by(&mut host).unwrap();
        host.receive_frame(PING, b"2");
        Say::Pong(b"3".to_vec()).by(&mut host).unwrap();
        Say::Part(Text, Last, vec![]).by(&mut host).unwrap();
        let firsts: Vec<_> = host.sent_plain().into_iter().map(|(first, _)| first).collect();
        assert_eq!(firsts, [TEXT, PING, PONG, PONG, FIN | CONTINUATION]);
    }
    on_both(&bare_config(), check, check);
}

/// Has a fresh endpoint receive `frames`, each a first byte and a payload, and gives what it fails with.
///
/// The Close has to have the code of that failure (R7.4.1-2).
fn failure(frames: &[(u8, &[u8])]) -> ReceiveErrorKind {
    let mut host = server(&small_config());
    for (first, payload) in frames {
        host.receive_frame(*first, payload);
    }
    let error = host.error.expect("refused");
    let closed_with = host.sent_plain().pop().map(|(first, body)| (first, [body[0], body[1]]));
    assert_eq!(closed_with, Some((CLOSE, code_of(error.kind()).to_be_bytes())));
    assert_eq!(error.close_code().get(), code_of(error.kind()));
    assert!(error.to_string().contains("RFC 6455"), "{error}");
    error.kind()
}

fn small_config() -> ws_proto::Config {
    let mut config = bare_config();
    config.max_message_len = 20;
    config.max_frame_len = Some(10);
    config.max_fragments = Some(5);
    config.max_empty_fragments = 2;
    config
}

// R5.2-2
#[test]
fn receive_error_frame_reserved_opcode() {
    for opcode in [3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF] {
        for fin in [0, FIN] {
            assert_eq!(failure(&[(fin | opcode, b"")]), ReceiveErrorKind::Frame(FrameError::ReservedOpcode));
        }
    }
}

// R5.4-2 R5.5-1
#[test]
fn receive_error_frame_fragmented_control() {
    for first in [0x08, 0x09, 0x0A] {
        assert_eq!(failure(&[(first, b"")]), ReceiveErrorKind::Frame(FrameError::FragmentedControl));
    }
}

// R5.5-1
#[test]
fn receive_error_frame_control_too_long() {
    for first in [CLOSE, PING, PONG] {
        assert_eq!(failure(&[(first, &[0; 126])]), ReceiveErrorKind::Frame(FrameError::ControlTooLong));
        assert_eq!(failure(&[(first, &[0; 70_000])]), ReceiveErrorKind::Frame(FrameError::ControlTooLong));
    }
}

/// What a fresh server fails with on these bytes.
fn failure_on(bytes: &[u8]) -> Option<ReceiveErrorKind> {
    let mut host = server(&bare_config());
    host.receive(bytes);
    host.error.map(|error| error.kind())
}

// R5.2-4
#[test]
fn receive_error_frame_non_minimal_length() {
    let expected = Some(ReceiveErrorKind::Frame(FrameError::NonMinimalLength));
    for len in [0, 1, 125_u64] {
        let bytes = len.to_be_bytes();
        assert_eq!(failure_on(&[&[0x82, 0xFE][..], &bytes[6..]].concat()), expected);
        assert_eq!(failure_on(&[&[0x82, 0xFF][..], &bytes].concat()), expected);
    }
    for len in [126, 65_535_u64] {
        assert_eq!(failure_on(&[&[0x82, 0xFF][..], &len.to_be_bytes()].concat()), expected);
    }
    assert_eq!(failure_on(b"\x82\xFE\x00\x7E"), None);
    assert_eq!(failure_on(b"\x82\xFF\0\0\0\0\0\x01\0\0"), None);
}

// R5.2-3
#[test]
fn receive_error_frame_length_top_bit() {
    let expected = Some(ReceiveErrorKind::Frame(FrameError::LengthTopBit));
    assert_eq!(failure_on(b"\x82\xFF\x80"), expected);
    assert_eq!(failure_on(b"\x82\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), expected);
}

// R5.2-1 R5.8-1
#[test]
fn receive_error_reserved_bits() {
    for bits in 1..8 {
        for first in [FIN | TEXT, BINARY, CLOSE, PING, PONG] {
            assert_eq!(failure(&[(bits << 4 | first, b"")]), ReceiveErrorKind::ReservedBits);
        }
        let continuation = bits << 4 | FIN | CONTINUATION;
        assert_eq!(failure(&[(TEXT, b"a"), (continuation, b"")]), ReceiveErrorKind::ReservedBits);
    }
}

// R5.1-2
#[test]
fn receive_error_unmasked() {
    for first in [FIN | TEXT, BINARY, CLOSE, PING, PONG] {
        let mut host = server(&bare_config());
        host.receive(&ws_tests::frame(first, b"x"));
        assert_eq!(host.error.map(|error| error.kind()), Some(ReceiveErrorKind::Unmasked));
        assert_eq!(host.sent_plain(), [(CLOSE, b"\x03\xEAclient's frame is not masked".to_vec())]);
        assert!(host.told.is_empty());
    }
}

// R5.1-4
#[test]
fn receive_error_masked() {
    for first in [FIN | TEXT, BINARY, CLOSE, PING, PONG] {
        let mut host = client(&bare_config());
        host.receive(&ws_tests::masked(first, b"x"));
        assert_eq!(host.error.map(|error| error.kind()), Some(ReceiveErrorKind::Masked));
        assert_eq!(host.sent_plain(), [(CLOSE, b"\x03\xEAserver's frame is masked".to_vec())]);
        assert!(host.told.is_empty());
    }
}

// R5.4-4
#[test]
fn receive_error_unexpected_continuation() {
    let expected = ReceiveErrorKind::UnexpectedContinuation;
    assert_eq!(failure(&[(CONTINUATION, b"")]), expected);
    assert_eq!(failure(&[(FIN | CONTINUATION, b"x")]), expected);
    assert_eq!(failure(&[(FIN | TEXT, b"x"), (FIN | CONTINUATION, b"x")]), expected);
    assert_eq!(failure(&[(TEXT, b"x"), (FIN, b""), (FIN, b"")]), expected);
    assert_eq!(failure(&[(PING, b""), (CONTINUATION, b"")]), expected);
}

// R5.4-3 R6.2-1
#[test]
fn receive_error_unfinished_message() {
    let expected = ReceiveErrorKind::UnfinishedMessage;
    for next in [TEXT, BINARY, FIN | TEXT, FIN | BINARY] {
        assert_eq!(failure(&[(TEXT, b"x"), (next, b"y")]), expected);
        assert_eq!(failure(&[(BINARY, b""), (CONTINUATION, b""), (PING, b""), (next, b"")]), expected);
    }
}

// R10.4-1 R7.4.1-2
#[test]
fn receive_error_frame_too_big() {
    assert_eq!(failure(&[(FIN | BINARY, &[0; 11])]), ReceiveErrorKind::FrameTooBig);
    assert_eq!(failure(&[(BINARY, b"x"), (CONTINUATION, &[0; 11])]), ReceiveErrorKind::FrameTooBig);
}

// R10.4-1 R7.4.1-2
#[test]
fn receive_error_message_too_big() {
    let ten = &[0; 10];
    assert_eq!(failure(&[(BINARY, ten), (CONTINUATION, ten), (FIN, b"x")]), ReceiveErrorKind::MessageTooBig);
}

// R10.4-1
#[test]
fn receive_error_too_many_fragments() {
    let mut frames = vec![(TEXT, &b"x"[..])];
    frames.extend([(CONTINUATION, &b"x"[..]); 5]);
    assert_eq!(failure(&frames), ReceiveErrorKind::TooManyFragments);
}

// R10.4-1
#[test]
fn receive_error_too_many_empty_fragments() {
    assert_eq!(
        failure(&[(TEXT, b""), (CONTINUATION, b""), (CONTINUATION, b"")]),
        ReceiveErrorKind::TooManyEmptyFragments
    );
}

// R5.6-1 R8.1-1
#[test]
fn receive_error_invalid_utf8() {
    assert_eq!(failure(&[(FIN | TEXT, b"\xFF")]), ReceiveErrorKind::InvalidUtf8);
    assert_eq!(failure(&[(TEXT, b"\xC3"), (FIN, b"x")]), ReceiveErrorKind::InvalidUtf8);
    assert_eq!(failure(&[(FIN | TEXT, b"\xC3")]), ReceiveErrorKind::InvalidUtf8);
}

// R5.5.1-1
#[test]
fn receive_error_short_close_body() {
    assert_eq!(failure(&[(CLOSE, b"\x03")]), ReceiveErrorKind::ShortCloseBody);
}

// R7.4.1-1 R7.4.2-1
#[test]
fn receive_error_invalid_close_code() {
    for body in [&[0, 0], &[3, 0xED], &[3, 0xEE], &[3, 0xF7], &[0x13, 0x88], &[0xFF, 0xFF]] {
        assert_eq!(failure(&[(CLOSE, body)]), ReceiveErrorKind::InvalidCloseCode);
    }
}

// R5.5.1-1 R8.1-1
#[test]
fn receive_error_invalid_close_reason() {
    assert_eq!(failure(&[(CLOSE, b"\x03\xE8\xFF")]), ReceiveErrorKind::InvalidCloseReason);
}

// R7.1.7-1 R7.4.1-2 R10.7-1
#[test]
fn receive_error_fault() {
    fn check<R: Role>(mut host: Host<R>, fault: Fault, code: u16) {
        let error = host.endpoint.fail(host.now, fault);
        assert_eq!(error.kind(), ReceiveErrorKind::Fault(fault));
        assert_eq!((error.close_code().get(), fault.close_code().get()), (code, code));
        assert!(error.to_string().contains("RFC 6455"));
        host.receive_frame(FIN | TEXT, b"ignored");
        assert_eq!((host.error, host.told.len()), (Some(error), 0));
        assert_eq!(host.sent_plain(), [ws_tests::close_of(error.kind())]);
        assert_eq!(host.shutdowns, 1);
        assert_eq!(host.endpoint.fail(host.now, Fault::Internal), error, "the first failure stays");
    }
    let faults = [
        (Fault::StorageFull, 1009),
        (Fault::MessageTooBig, 1009),
        (Fault::InflatesTooMuch, 1008),
        (Fault::InvalidPayload, 1007),
        (Fault::UnsupportedData, 1003),
        (Fault::PolicyViolation, 1008),
        (Fault::Internal, 1011),
    ];
    for (fault, code) in faults {
        on_both(&bare_config(), |host| check(host, fault, code), |host| check(host, fault, code));
    }
}

#[test]
fn a_fault_of_this_side_is_not_called_the_peers() {
    let own = [
        (Fault::StorageFull, "fault of this side: no storage left for the message (RFC 6455 section 10.4)"),
        (
            Fault::Internal,
            "fault of this side: application met an unexpected condition (RFC 6455 section 7.4.1)",
        ),
    ];
    for (fault, text) in own {
        let mut host = server(&bare_config());
        let error = host.endpoint.fail(host.now, fault);
        assert!(!error.is_peers_fault() && !error.kind().is_peers_fault() && !fault.is_peers());
        assert_eq!((fault.to_string(), error.to_string()), (text.into(), format!("{text}, at byte 0")));
        // The peer reads who is meant from the code.
        assert!(!error.kind().close_reason().contains("side"));
    }
    for fault in [
        Fault::MessageTooBig,
        Fault::InflatesTooMuch,
        Fault::InvalidPayload,
        Fault::UnsupportedData,
        Fault::PolicyViolation,
    ] {
        let mut host = server(&bare_config());
        let error = host.endpoint.fail(host.now, fault);
        assert!(error.is_peers_fault() && fault.is_peers());
        assert!(!error.to_string().contains("this side"), "{error}");
    }
    let mut host = server(&bare_config());
    host.receive(&[0xFF]);
    assert!(host.error.unwrap().is_peers_fault());
}

#[test]
fn a_fault_inside_a_message_tells_how_many_bytes_had_been_taken() {
    fn check<R: Role>(new: impl Fn() -> Host<R>) {
        let mut bytes = new().peer_frame(FIN | TEXT, b"before");
        let begin = bytes.len();
        bytes.extend(new().peer_frame(BINARY, &noise(100)));
        let header_len = bytes.len() - begin - 100;
        // Behind the header, inside the payload, behind it. A header that is cut counts from its beginning.
        for (taken, expected) in [(header_len, header_len), (header_len + 50, header_len + 50), (1, 0)] {
            let mut host = new();
            host.receive(&bytes[..begin + taken]);
            let error = host.endpoint.fail(host.now, Fault::PolicyViolation);
            assert_eq!(error.offset(), (begin + expected) as u64);
            host.receive(&bytes[begin + taken..]);
            assert_eq!(host.error, Some(error));
        }
    }
    check(|| client(&bare_config()));
    check(|| server(&bare_config()));
}

#[test]
fn every_send_error_names_its_section() {
    let errors = [
        SendError::Closing,
        SendError::MessageInProgress,
        SendError::NoMessage,
        SendError::KindMismatch,
        SendError::InvalidUtf8,
        SendError::BufferTooSmall { needed: 7 },
        SendError::ControlTooLong,
        SendError::InvalidCloseCode,
        SendError::Entropy,
    ];
    for error in errors {
        let text = error.to_string();
        assert!(text.contains("RFC 6455 section") && !text.ends_with('.'), "{text}");
        assert!(text.starts_with(char::is_lowercase), "{text}");
    }
}

// R5.5.2-1 R5.5.3-1
#[test]
fn a_ping_is_answered_at_once_with_its_own_payload() {
    fn check<R: Role>(mut host: Host<R>) {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for len in [0, 1, 2, 63, 124, 125] {
            bytes.extend(host.peer_frame(PING, &noise(len)));
            expected.push((PONG, noise(len)));
        }
        host.receive(&bytes);
        assert_eq!(host.sent_plain(), expected, "as many Pongs as Pings if drained after each");
        host.receive_frame(TEXT, b"in a message");
        host.receive_frame(PING, b"too");
        assert_eq!(host.sent_plain(), [(PONG, b"too".to_vec())]);
    }
    on_both(&bare_config(), check, check);
}

// R5.5.3-1
#[test]
fn a_host_that_does_not_drain_answers_the_latest_ping_only() {
    fn check<R: Role>(mut host: Host<R>) {
        let mut bytes = [host.peer_frame(PING, b"old"), host.peer_frame(PING, b"new")].concat();
        let mut input = &mut bytes[..];
        assert!(matches!(host.endpoint.receive(host.now, &mut input), Ok(Some(Event::Control(Control::Ping)))));
        assert_eq!(host.endpoint.control_payload(), b"old");
        assert!(matches!(host.endpoint.receive(host.now, &mut input), Ok(Some(Event::Control(Control::Ping)))));
        assert_eq!(host.endpoint.control_payload(), b"new");
        host.transmit();
        assert_eq!(host.sent_plain(), [(PONG, b"new".to_vec())]);
        assert_eq!(host.endpoint.control_payload(), b"new", "kept until the next receive");
    }
    on_both(&bare_config(), check, check);
}

// R5.5.3-1
#[test]
fn a_pong_needs_no_answer_and_takes_no_owed_one_away() {
    fn check<R: Role>(mut host: Host<R>) {
        host.receive_frame(PONG, b"unasked");
        assert!(host.output.is_empty());
        let mut bytes = [host.peer_frame(PING, b"ping"), host.peer_frame(PONG, b"pong")].concat();
        let mut input = &mut bytes[..];
        while let Ok(Some(_)) = host.endpoint.receive(host.now, &mut input) {}
        assert_eq!(host.endpoint.control_payload(), b"", "there was no room for it");
        host.transmit();
        assert_eq!(host.sent_plain(), [(PONG, b"ping".to_vec())]);
    }
    on_both(&bare_config(), check, check);
}
