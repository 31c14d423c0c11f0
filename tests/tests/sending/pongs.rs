//! Pongs that the endpoint owes.

use ws_proto::{Control, Event, role::Role};
use ws_tests::{Host, PING, PONG, TEXT, bare_config, noise, on_both};

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
