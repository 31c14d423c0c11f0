//! A Close that ends one direction only.

use core::time::Duration;

use ws_proto::{
    Cause, CloseCode, Closed, Instant, MessageKind, Part, SendError, State, config::CloseReply, role::Role,
};
use ws_tests::{BINARY, CLOSE, FIN, Host, PING, Say, TEXT, Told, client, on_both, server};

use super::{body, replying};

fn part(part: Part) -> Say {
    Say::Part(MessageKind::Binary, part, b"x".to_vec())
}

// R5.5.1-2 R5.5.1-3
#[test]
fn after_the_peers_close_messages_can_be_sent_until_our_own() {
    fn check<R: Role>(mut host: Host<R>) {
        host.receive_frame(CLOSE, &body(1000, ""));
        assert_eq!((host.endpoint.poll_timeout(), host.shutdowns), (None, 0));
        Say::text("whole").by(&mut host).unwrap();
        part(Part::First).by(&mut host).unwrap();
        part(Part::Last).by(&mut host).unwrap();
        for refused in [Say::Ping(vec![]), Say::Pong(vec![])] {
            assert_eq!(refused.by(&mut host), Err(SendError::Closing), "it could not be answered");
        }
        host.now = Instant::from_millis(u64::from(u32::MAX));
        host.handle_timeout();
        assert_eq!((host.endpoint.state(), host.endpoint.closed()), (State::Closing, None));
        Say::Close(Some(1000), "").by(&mut host).unwrap();
        for refused in [Say::text("x"), part(Part::First), Say::Close(None, "")] {
            assert_eq!(refused.by(&mut host), Err(SendError::Closing));
        }
        let frames = [(FIN | TEXT, &b"whole"[..]), (BINARY, b"x"), (FIN, b"x"), (CLOSE, &1000_u16.to_be_bytes())];
        assert_eq!(host.sent_plain(), frames.map(|(first, payload)| (first, payload.to_vec())));
        let closed = Closed { clean: true, code: CloseCode::NORMAL, cause: Cause::Peer };
        assert_eq!(host.endpoint.closed(), Some(closed));
        host.receive_eof();
        assert_eq!((host.closed(), host.shutdowns), (closed, 1));
    }
    on_both(&replying(CloseReply::HalfClose), check, check);
}

// R5.5.1-2
#[test]
fn after_our_close_messages_come_for_as_long_as_the_peer_likes() {
    fn check<R: Role>(mut host: Host<R>) {
        Say::Close(Some(1000), "").by(&mut host).unwrap();
        assert_eq!((host.endpoint.poll_timeout(), host.endpoint.state()), (None, State::Closing));
        host.now = Instant::from_millis(u64::from(u32::MAX));
        host.handle_timeout();
        host.receive_frame(FIN | TEXT, b"late");
        host.receive_frame(PING, b"");
        host.receive_frame(CLOSE, &body(1000, ""));
        assert_eq!(host.told, [Told::Text("late".into()), Told::Ping(vec![]), Told::Close(1000, "".into())]);
        assert_eq!(host.sent_plain(), [(CLOSE, body(1000, ""))], "no Pong follows a Close");
        assert!(host.endpoint.poll_timeout().is_some(), "the wait for the end of the transport");
        assert!(host.endpoint.closed().unwrap().clean);
    }
    on_both(&replying(CloseReply::HalfClose), check, check);
}

#[test]
fn the_end_of_the_transport_ends_both_directions() {
    fn check<R: Role>(mut host: Host<R>) {
        host.receive_frame(CLOSE, &body(1000, ""));
        host.receive_eof();
        assert_eq!(host.sent_plain(), [(CLOSE, body(1000, ""))]);
        assert_eq!(Say::text("x").by(&mut host), Err(SendError::Closing));
        assert!(host.closed().clean);
    }
    on_both(&replying(CloseReply::HalfClose), check, check);
}

#[test]
fn silence_of_the_direction_that_is_left_has_the_limit_of_an_idle_connection() {
    fn theirs<R: Role>(mut host: Host<R>) {
        Say::Close(Some(1000), "").by(&mut host).unwrap();
        host.now = Instant::from_millis(40_000);
        host.receive_frame(FIN | TEXT, b"x");
        assert_eq!(host.endpoint.poll_timeout(), Some(Instant::from_millis(100_000)));
        host.step_clock();
        assert_eq!(host.closed(), Closed { clean: false, code: CloseCode::ABNORMAL, cause: Cause::IdleTimeout });
    }
    fn ours<R: Role>(mut host: Host<R>) {
        host.receive_frame(CLOSE, &body(1000, ""));
        host.endpoint.written(Instant::from_millis(40_000));
        assert_eq!(host.endpoint.poll_timeout(), Some(Instant::from_millis(100_000)));
        host.step_clock();
        assert_eq!(host.sent_plain(), [(CLOSE, body(1000, ""))]);
        assert!(host.endpoint.closed().unwrap().clean);
    }
    let mut config = replying(CloseReply::HalfClose);
    config.idle_timeout = Some(Duration::from_secs(60));
    on_both(&config, theirs, theirs);
    on_both(&config, ours, ours);
}

#[test]
fn a_close_of_the_endpoints_own_has_a_deadline_all_the_same() {
    let mut config = replying(CloseReply::HalfClose);
    config.idle_timeout = Some(Duration::from_secs(60));
    let mut host = server(&config);
    host.step_clock();
    assert_eq!(host.endpoint.poll_timeout(), Some(Instant::from_millis(70_000)));
    host.step_clock();
    assert_eq!(host.closed().cause, Cause::CloseTimeout);
}

#[test]
fn the_answer_can_be_chosen_after_the_opening_handshake() {
    fn check<R: Role>(mut host: Host<R>) {
        host.endpoint.set_close_reply(host.now, CloseReply::HalfClose);
        host.receive_frame(CLOSE, &body(1001, ""));
        Say::text("x").by(&mut host).unwrap();
        // The host gives up: the usual answer follows at once.
        host.now = Instant::from_millis(60_000);
        host.endpoint.set_close_reply(host.now, CloseReply::Echo);
        host.transmit();
        assert_eq!(host.sent_plain(), [(FIN | TEXT, b"x".to_vec()), (CLOSE, body(1001, ""))]);
        assert!(host.endpoint.poll_timeout() > Some(host.now), "the wait for the end begins with it");
    }
    on_both(&replying(CloseReply::Echo), check, check);
}

#[test]
fn two_ends_end_their_directions_one_after_the_other() {
    let config = replying(CloseReply::HalfClose);
    let (mut one, mut other) = (client(&config), server(&config));
    Say::Close(Some(1000), "").by(&mut one).unwrap();
    other.receive(&core::mem::take(&mut one.output));
    Say::text("still here").by(&mut other).unwrap();
    one.receive(&core::mem::take(&mut other.output));
    Say::Close(Some(1000), "").by(&mut other).unwrap();
    other.transmit();
    one.receive(&other.output);
    assert_eq!(one.told, [Told::Text("still here".into()), Told::Close(1000, "".into())]);
    assert!(one.endpoint.closed().unwrap().clean && other.endpoint.closed().unwrap().clean);
    assert_eq!((one.shutdowns, other.shutdowns), (0, 1), "the server ends the transport first");
}
