//! Failures, the end of the transport, and a Close that was not handed out.

use std::time::Duration;

use ws_proto::{Cause, CloseCode, Closed, Config, Control, Event, Instant, Server, State, Transmit, role::Role};
use ws_tests::{CLOSE, FIN, Host, PING, PONG, Say, TEXT, TestClient, Told, masked, on_both, server};

use super::{body, config};

// R7.1.1-1
#[test]
fn draining_ends_after_64_kib() {
    fn check<R: Role>(mut host: Host<R>, begin: impl Fn(&mut Host<R>)) {
        begin(&mut host);
        let before = host.told.len();
        for _ in 0..63 {
            host.receive(&[0xAA; 1024]);
        }
        assert_eq!(host.endpoint.state(), State::Closing);
        host.receive(&[0xAA; 1024]);
        host.receive(&[0xAA; 1024]);
        assert!(matches!(host.endpoint.state(), State::Closed(_)));
        assert_eq!((host.shutdowns, host.told.len()), (1, before));
        host.receive(&[0xAA; 1024]);
        assert_eq!((host.shutdowns, host.told.len()), (1, before));
    }
    fn closes<R: Role>(host: &mut Host<R>) {
        host.receive_frame(CLOSE, b"");
    }
    fn breaks<R: Role>(host: &mut Host<R>) {
        host.receive(&[0x70]);
    }
    on_both(&config(), |host| check(host, closes), |host| check(host, closes));
    on_both(&config(), |host| check(host, breaks), |host| check(host, breaks));
}

// R7.1.7-1
#[test]
fn after_a_failure_every_call_discards_and_returns_the_same_error() {
    fn check<R: Role>(mut host: Host<R>) {
        let mut bytes = host.peer_frame(FIN | TEXT, b"fine");
        let at = bytes.len() as u64;
        bytes.extend(host.peer_frame(0x83, b""));
        bytes.extend(host.peer_frame(FIN | TEXT, b"never seen"));
        host.receive(&bytes);
        let error = host.error.unwrap();
        assert_eq!((error.offset(), error.close_code()), (at, CloseCode::PROTOCOL_ERROR));
        host.receive_frame(FIN | TEXT, b"nor this");
        host.receive(b"");
        host.receive_frame(CLOSE, &body(1000, ""));
        assert_eq!(host.told, [Told::Text("fine".into())]);
        assert_eq!((host.error, host.endpoint.failure()), (Some(error), Some(error)));
        assert_eq!(host.sent_plain(), [(CLOSE, body(1002, "opcode is reserved"))]);
        assert_eq!(host.shutdowns, 1);
    }
    on_both(&config(), check, check);
}

// R7.1.7-1
#[test]
fn a_failure_after_our_close_sends_no_second_one() {
    fn check<R: Role>(mut host: Host<R>) {
        Say::Close(Some(1000), "").by(&mut host).unwrap();
        host.receive(&[0x83]);
        assert_eq!(host.sent_plain(), [(CLOSE, body(1000, ""))]);
        assert_eq!(host.shutdowns, 1);
        host.receive_eof();
        assert_eq!(host.closed(), Closed { clean: false, code: CloseCode::ABNORMAL, cause: Cause::Failure });
    }
    on_both(&config(), check, check);
}

/// An endpoint that has decided to close because it was idle, and has not been drained.
fn idle<R: Role>(host: &mut Host<R>) {
    host.now = host.now.saturating_add(Duration::from_secs(60));
    host.endpoint.handle_timeout(host.now);
    assert_eq!(host.endpoint.state(), State::Closing);
}

fn idle_config() -> Config {
    let mut config = config();
    config.idle_timeout = Some(Duration::from_secs(60));
    config
}

// R7.1.2-1 R7.1.7-1
#[test]
fn a_failure_replaces_a_close_that_was_not_handed_out() {
    fn check<R: Role>(mut host: Host<R>) {
        idle(&mut host);
        host.receive(&[0x83]);
        assert_eq!(host.sent_plain(), [(CLOSE, body(1002, "opcode is reserved"))]);
        assert_eq!(host.shutdowns, 1);
    }
    on_both(&idle_config(), check, check);
}

// R5.5.1-3 R7.1.2-1
#[test]
fn the_peers_close_is_answered_by_a_close_that_was_not_handed_out_yet() {
    fn check<R: Role>(mut host: Host<R>) {
        idle(&mut host);
        host.receive_frame(PING, b"no answer");
        host.output.clear();
        host.receive_frame(CLOSE, &body(3000, ""));
        host.receive_eof();
        let closed = Closed { clean: true, code: CloseCode::new(3000), cause: Cause::IdleTimeout };
        assert_eq!((host.closed(), host.shutdowns), (closed, 1));
    }
    on_both(&idle_config(), check, check);
}

// R5.5.2-1
#[test]
fn a_closed_connection_owes_nothing_but_shutdown() {
    fn check<R: Role>(mut host: Host<R>) {
        let mut ping = host.peer_frame(PING, b"unanswered");
        let mut input = &mut ping[..];
        assert!(matches!(host.endpoint.receive(host.now, &mut input), Ok(Some(Event::Control(Control::Ping)))));
        host.endpoint.handle_timeout(host.now.saturating_add(Duration::from_secs(30)));
        host.endpoint.receive_eof();
        assert_eq!(host.endpoint.poll_transmit(), Some(Transmit::Shutdown));
        assert_eq!(host.endpoint.poll_transmit(), None);
    }
    on_both(&Config::default(), check, check);
}

// R7.1.4/5/6
#[test]
fn the_end_is_clean_only_once_our_reply_has_been_handed_out() {
    fn check<R: Role>(mut host: Host<R>) {
        let mut close = host.peer_frame(CLOSE, &body(1000, ""));
        let mut input = &mut close[..];
        assert!(matches!(host.endpoint.receive(host.now, &mut input), Ok(Some(Event::Control(Control::Close)))));
        host.endpoint.receive_eof();
        assert_eq!(host.endpoint.state(), State::Closing, "the reply can still be written");
        assert!(matches!(host.endpoint.poll_transmit(), Some(Transmit::Control(_))));
        assert!(host.closed().clean);
        assert_eq!(host.endpoint.poll_transmit(), Some(Transmit::Shutdown));
        assert_eq!(host.endpoint.poll_transmit(), None);
    }
    on_both(&config(), check, check);
}

// R7.1.4/5/6 R7.2.1-1
#[test]
fn the_end_of_the_transport_without_a_close_is_unclean_and_means_1006() {
    fn check<R: Role>(mut host: Host<R>, first: &[u8]) {
        host.receive(first);
        host.receive_eof();
        assert_eq!(host.closed(), Closed { clean: false, code: CloseCode::ABNORMAL, cause: Cause::Eof });
        assert_eq!((host.shutdowns, host.output.len(), host.error), (1, 0, None));
        host.receive_eof();
        assert_eq!(host.shutdowns, 1);
        assert_eq!(host.endpoint.poll_timeout(), None);
    }
    // Between frames, in a header, in a payload, in a control frame.
    on_both(&config(), |host| check(host, b""), |host| check(host, b""));
    on_both(&config(), |host| check(host, b"\x81\x7E\x00"), |host| check(host, b"\x81\xFE\x00"));
    on_both(&config(), |host| check(host, b"\x81\x05He"), |host| check(host, b"\x81\x85\0\0\0\0He"));
    on_both(&config(), |host| check(host, b"\x88\x02\x03"), |host| check(host, b"\x88\x82\0\0\0\0\x03"));
}

// R7.1.7-1 R10.3-1
#[test]
fn a_client_without_keys_ends_without_a_close_and_shuts_down_once() {
    for owed in [&[PING][..], &[CLOSE], &[0x83]] {
        let mut host = failing_client();
        for first in owed {
            host.receive_frame(*first, b"");
        }
        assert_eq!(host.shutdowns, 1, "{owed:02x?}");
        assert!(host.output.is_empty());
        let closed = host.closed();
        assert_eq!(
            (closed.clean, closed.cause),
            (false, Cause::Entropy),
            "no Close of ours was sent: {owed:02x?}"
        );
        host.receive_eof();
        assert_eq!(host.shutdowns, 1);
    }
}

fn failing_client() -> Host<TestClient> {
    let role = ws_proto::Client::new(ws_tests::Keys::Failing(0));
    let endpoint =
        ws_proto::Endpoint::new(role, &config(), ws_proto::endpoint::Negotiated::default(), Instant::ZERO);
    Host::new(endpoint)
}

// R7.1.7-1
#[test]
fn a_pong_flood_behind_a_close_costs_nothing_and_tells_nothing() {
    let mut host: Host<Server> = server(&config());
    host.receive(&masked(CLOSE, b""));
    for _ in 0..1000 {
        host.receive(&masked(PONG, b""));
        host.receive(&masked(PING, b""));
    }
    assert_eq!(host.told.len(), 1);
    assert_eq!(host.sent_plain().len(), 1);
}
