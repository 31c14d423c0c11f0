//! Each `SendError`: a refused call changes nothing.

use std::mem::MaybeUninit;

use ws_proto::{
    CloseCode, Instant, Message,
    MessageKind::{self, Binary, Text},
    Part::{self, First, Last, Middle, Whole},
    SendError,
    role::Role,
};
use ws_tests::{BINARY, CLOSE, CONTINUATION, FIN, Host, Keys, PING, Say, TEXT, bare_config, noise, on_both};

use super::{begin, client_with};

/// Sends `say` after a call that was refused, which must make no difference, and returns the frames.
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
        let mut room = vec![MaybeUninit::uninit(); payload.len() + 14];
        assert_eq!(endpoint.write_uninit(message, &mut room), Err(expected));
    }
    assert_eq!(in_place, payload, "not masked");
    assert_eq!(growing, [0xEE; 3]);
    assert!(out.iter().all(|byte| *byte == 0xEE));
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
                let mut out = vec![MaybeUninit::uninit(); room];
                let refused = endpoint.write_uninit(Message::Binary(&payload), &mut out);
                assert_eq!(refused, Err(SendError::BufferTooSmall { needed }));
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

#[test]
fn every_send_error_names_its_section() {
    let errors = [
        SendError::Closing,
        SendError::MessageInProgress,
        SendError::NoMessage,
        SendError::FrameInProgress,
        SendError::NoFrame,
        SendError::PayloadTooLong,
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
