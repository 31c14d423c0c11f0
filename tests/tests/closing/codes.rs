//! Codes and reasons of a Close (RFC 6455 section 7.4).

use ws_proto::{
    Cause, CloseCode, Closed, SendError, State,
    close::MAX_REASON_LEN,
    error::ReceiveErrorKind,
    role::{Role, Side},
};
use ws_tests::{CLOSE, Host, Pair, Say, Told, on_both};

use super::{body, config};

/// Whether a Close may carry this code, by the text of section 7.4 and the registry.
fn is_allowed(code: u16) -> bool {
    match code {
        1000..=2999 => [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014].contains(&code),
        3000..=4999 => true,
        _ => false,
    }
}

// R5.5.1-1 R5.5.1-3 R7.1.4/5/6
#[test]
fn close_is_answered_with_its_code_and_without_its_reason() {
    fn check<R: Role>(mut host: Host<R>) {
        host.receive_frame(CLOSE, &body(3001, "my reason"));
        assert_eq!(host.told, [Told::Close(3001, "my reason".into())]);
        assert_eq!(host.sent_plain(), [(CLOSE, body(3001, ""))]);
        assert_eq!(host.endpoint.close_frame(), Some((CloseCode::new(3001), "my reason")));
        host.receive_eof();
        assert_eq!(host.closed(), Closed { clean: true, code: CloseCode::new(3001), cause: Cause::Peer });
    }
    on_both(&config(), check, check);
}

// R5.5.1-1 R7.1.4/5/6
#[test]
fn an_empty_close_is_answered_by_an_empty_close_and_means_1005() {
    fn check<R: Role>(mut host: Host<R>) {
        host.receive_frame(CLOSE, b"");
        assert_eq!(host.told, [Told::Close(1005, String::new())]);
        assert_eq!(host.sent_plain(), [(CLOSE, vec![])]);
        host.receive_eof();
        assert_eq!(host.closed(), Closed { clean: true, code: CloseCode::NO_STATUS, cause: Cause::Peer });
    }
    on_both(&config(), check, check);
}

// R7.4.1-1 R7.4.2-1 R7.4.1-2
#[test]
fn every_code_is_accepted_or_answered_with_1002() {
    fn check<R: Role>(mut host: Host<R>, code: u16) {
        host.receive_frame(CLOSE, &body(code, ""));
        let sent = host.sent_plain();
        if is_allowed(code) {
            assert_eq!(host.told, [Told::Close(code, String::new())]);
            assert_eq!(sent, [(CLOSE, body(code, ""))]);
        } else {
            assert_eq!(host.error.map(|error| error.kind()), Some(ReceiveErrorKind::InvalidCloseCode), "{code}");
            assert_eq!(host.endpoint.close_frame(), None);
            assert_eq!(sent, [(CLOSE, body(1002, "close code may not be sent"))]);
            host.receive_eof();
            assert_eq!(host.closed(), Closed { clean: false, code: CloseCode::ABNORMAL, cause: Cause::Failure });
        }
    }
    for code in 0..=u16::MAX {
        on_both(&config(), |host| check(host, code), |host| check(host, code));
    }
}

// R7.4.1-1 R7.4.2-1 R7.4.1-2
#[test]
fn every_code_is_sent_or_refused() {
    fn check<R: Role>(mut host: Host<R>, code: u16) {
        let of_clients = code == 1010 && R::SIDE == Side::Server;
        // 1005 stands for a Close without a code.
        let allowed = (is_allowed(code) || code == 1005) && !of_clients;
        let mut out = [0; 131];
        let written = host.endpoint.write_close(host.now, CloseCode::new(code), "", &mut out);
        assert_eq!(written.err(), (!allowed).then_some(SendError::InvalidCloseCode), "{code}");
        assert_eq!(host.endpoint.state() == State::Closing, allowed);
        let Ok(len) = written else {
            return;
        };
        host.output.extend(&out[..len]);
        let expected = if code == 1005 { vec![] } else { body(code, "") };
        assert_eq!(host.sent_plain(), [(CLOSE, expected)]);
    }
    for code in 0..=u16::MAX {
        on_both(&config(), |host| check(host, code), |host| check(host, code));
    }
}

// R5.5.1-1
#[test]
fn a_close_body_of_one_byte_is_answered_with_1002() {
    fn check<R: Role>(mut host: Host<R>) {
        host.receive_frame(CLOSE, b"\x03");
        assert_eq!(host.error.map(|error| error.kind()), Some(ReceiveErrorKind::ShortCloseBody));
        assert_eq!(host.sent_plain(), [(CLOSE, body(1002, "close body is one byte long"))]);
        assert!(host.told.is_empty());
    }
    on_both(&config(), check, check);
}

// R5.5.1-1 R8.1-1 R7.4.1-2
#[test]
fn a_close_reason_that_is_not_utf8_is_answered_with_1007() {
    fn check<R: Role>(mut host: Host<R>, reason: &[u8]) {
        host.receive_frame(CLOSE, &[&[0x03, 0xE8], reason].concat());
        assert_eq!(host.error.map(|error| error.kind()), Some(ReceiveErrorKind::InvalidCloseReason));
        assert_eq!(host.sent_plain(), [(CLOSE, body(1007, "close reason is not UTF-8"))]);
        assert!(host.told.is_empty());
        assert_eq!(host.endpoint.close_frame(), None);
    }
    for reason in [&b"\xFF"[..], b"ok\xC3", b"\xED\xA0\x80", b"\xC0\xAF", b"\xF4\x90\x80\x80"] {
        on_both(&config(), |host| check(host, reason), |host| check(host, reason));
    }
}

// R5.5.1-1 R5.5-1
#[test]
fn a_reason_of_ours_is_cut_between_characters_to_123_bytes() {
    fn check<R: Role>(mut host: Host<R>) {
        let mut out = [0; 131];
        let reason = "é".repeat(100);
        let len = host.endpoint.write_close(host.now, CloseCode::NORMAL, &reason, &mut out).unwrap();
        host.output.extend(&out[..len]);
        assert_eq!(MAX_REASON_LEN, 123);
        assert_eq!(host.sent_plain(), [(CLOSE, body(1000, &"é".repeat(61)))]);
    }
    on_both(&config(), check, check);
}

// R7.4.1-2
#[test]
fn close_1010_is_for_clients_to_send_and_for_servers_to_receive() {
    let mut pair = Pair::new(&config());
    let mut out = [0; 131];
    let refused = pair.server.endpoint.write_close(pair.now(), CloseCode::MANDATORY_EXTENSION, "", &mut out);
    assert_eq!(refused, Err(SendError::InvalidCloseCode));
    Say::Close(Some(1010), "deflate").by(&mut pair.client).unwrap();
    pair.deliver();
    assert_eq!(pair.server.told, [Told::Close(1010, "deflate".into())]);
    assert!(pair.server.closed().clean);
}
