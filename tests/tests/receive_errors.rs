//! Each `ReceiveErrorKind`, the Close that the peer is sent, and the section that the text names.

use ws_proto::{
    error::{Fault, ReceiveErrorKind},
    frame::FrameError,
    role::Role,
};
use ws_tests::{
    BINARY, CLOSE, CONTINUATION, FIN, Host, PING, PONG, TEXT, bare_config, client, code_of, noise, on_both, server,
};

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

/// The error of a fresh server that receives these bytes.
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
