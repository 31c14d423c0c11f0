//! Messages, Pings and Pongs around a Close, and who shuts down.

use std::time::Duration;

use ws_proto::{Cause, CloseCode, Closed, Control, Event, MessageKind, Part, SendError, State, role::Role};
use ws_tests::{CLOSE, FIN, Host, PING, Pair, Say, TEXT, Told, client, masked, on_both, server};

use super::{body, config};

// R5.5.1-2 R6.1-1
#[test]
fn after_a_close_in_either_direction_nothing_can_be_sent() {
    fn check<R: Role>(mut host: Host<R>, begin: impl Fn(&mut Host<R>)) {
        begin(&mut host);
        let mut out = [0; 200];
        let endpoint = &mut host.endpoint;
        let (text, whole) = (MessageKind::Text, Part::Whole);
        assert_eq!(endpoint.write("x".into(), &mut out), Err(SendError::Closing));
        assert_eq!(endpoint.write_to("x".into(), &mut Vec::new()), Err(SendError::Closing));
        assert_eq!(endpoint.write_part(text, whole, b"x", &mut out), Err(SendError::Closing));
        assert_eq!(endpoint.write_part_to(text, whole, b"x", &mut Vec::new()), Err(SendError::Closing));
        assert_eq!(endpoint.send(text, whole, &mut [b'x']).map(drop), Err(SendError::Closing));
        assert_eq!(endpoint.write_ping(b"", &mut out), Err(SendError::Closing));
        assert_eq!(endpoint.write_pong(b"", &mut out), Err(SendError::Closing));
        let closed = endpoint.write_close(host.now, CloseCode::NORMAL, "", &mut out);
        assert_eq!(closed, Err(SendError::Closing));
    }
    fn ours<R: Role>(host: &mut Host<R>) {
        Say::Close(None, "").by(host).unwrap();
    }
    fn theirs<R: Role>(host: &mut Host<R>) {
        host.receive_frame(CLOSE, b"");
    }
    on_both(&config(), |host| check(host, ours), |host| check(host, ours));
    on_both(&config(), |host| check(host, theirs), |host| check(host, theirs));
}

// R5.5.1-2 R5.5.2-1
#[test]
fn after_our_close_messages_are_delivered_and_pings_stay_unanswered() {
    fn check<R: Role>(mut host: Host<R>) {
        Say::Close(Some(1000), "").by(&mut host).unwrap();
        host.output.clear();
        host.receive_frame(TEXT, b"still ");
        host.receive_frame(PING, b"?");
        host.receive_frame(FIN, b"here");
        assert_eq!(host.told, [Told::Ping(b"?".to_vec()), Told::Text("still here".into())]);
        assert!(host.output.is_empty());
        assert_eq!(host.endpoint.state(), State::Closing);
    }
    on_both(&config(), check, check);
}

// R5.5.2-1
#[test]
fn a_pong_that_is_still_owed_is_dropped_by_our_close() {
    fn check<R: Role>(mut host: Host<R>) {
        let mut ping = host.peer_frame(PING, b"late");
        let mut input = &mut ping[..];
        assert!(matches!(host.endpoint.receive(host.now, &mut input), Ok(Some(Event::Control(Control::Ping)))));
        Say::Close(Some(1000), "").by(&mut host).unwrap();
        host.transmit();
        assert_eq!(host.sent_plain(), [(CLOSE, body(1000, ""))]);
    }
    on_both(&config(), check, check);
}

// R5.5.2-1 R5.5.1-3
#[test]
fn a_pong_that_is_still_owed_is_dropped_by_the_peers_close() {
    fn check<R: Role>(mut host: Host<R>) {
        let mut bytes = [host.peer_frame(PING, b"late"), host.peer_frame(CLOSE, b"")].concat();
        let mut input = &mut bytes[..];
        assert!(matches!(host.endpoint.receive(host.now, &mut input), Ok(Some(Event::Control(Control::Ping)))));
        assert!(matches!(host.endpoint.receive(host.now, &mut input), Ok(Some(Event::Control(Control::Close)))));
        host.transmit();
        assert_eq!(host.sent_plain(), [(CLOSE, vec![])]);
    }
    on_both(&config(), check, check);
}

// R7.1.1-1 R5.5.1-4
#[test]
fn what_follows_the_peers_close_in_the_same_read_is_discarded() {
    fn check<R: Role>(mut host: Host<R>) {
        let mut bytes = host.peer_frame(FIN | TEXT, b"before");
        bytes.extend(host.peer_frame(CLOSE, &body(1000, "")));
        bytes.extend(host.peer_frame(FIN | TEXT, b"behind"));
        bytes.extend(host.peer_frame(CLOSE, &body(1001, "")));
        bytes.extend([0xFF; 40]);
        host.receive(&bytes);
        assert_eq!(host.told, [Told::Text("before".into()), Told::Close(1000, String::new())]);
        assert_eq!(host.sent_plain(), [(CLOSE, body(1000, ""))]);
        assert_eq!(host.error, None);
    }
    on_both(&config(), check, check);
}

// R5.5.1-3 R5.4-2
#[test]
fn a_close_inside_a_fragmented_message_ends_it_unfinished() {
    fn check<R: Role>(mut host: Host<R>) {
        host.receive_frame(TEXT, b"never to be ");
        host.receive_frame(CLOSE, &body(1000, ""));
        host.receive_frame(FIN, b"finished");
        assert_eq!(host.told, [Told::Close(1000, String::new())]);
        assert_eq!(host.sent_plain(), [(CLOSE, body(1000, ""))]);
    }
    on_both(&config(), check, check);
}

// R5.5.1-3 R5.4-2
#[test]
fn a_close_may_be_sent_and_answered_inside_a_message_of_ours() {
    fn check<R: Role>(mut host: Host<R>) {
        Say::Part(MessageKind::Text, Part::First, b"unfinished".to_vec()).by(&mut host).unwrap();
        host.receive_frame(CLOSE, &body(1000, ""));
        assert_eq!(host.sent_plain(), [(TEXT, b"unfinished".to_vec()), (CLOSE, body(1000, ""))]);
    }
    on_both(&config(), check, check);
}

// R7.1.1-2 R5.5.1-4
#[test]
fn a_server_shuts_down_as_soon_as_both_sides_have_closed() {
    let mut host = server(&config());
    Say::Close(Some(1000), "").by(&mut host).unwrap();
    host.transmit();
    assert_eq!(host.shutdowns, 0);
    host.receive(&masked(CLOSE, &body(1000, "")));
    assert_eq!((host.shutdowns, host.endpoint.state()), (1, State::Closing));
    host.receive_eof();
    assert_eq!(host.closed(), Closed { clean: true, code: CloseCode::NORMAL, cause: Cause::Local });
    assert_eq!(host.shutdowns, 1);
}

// R7.1.1-2 R5.5.1-4
#[test]
fn a_client_waits_for_the_servers_fin_before_it_shuts_down() {
    let mut host = client(&config());
    host.receive_frame(CLOSE, &body(1000, ""));
    assert_eq!((host.shutdowns, host.endpoint.state()), (0, State::Closing));
    assert_eq!(host.sent_plain(), [(CLOSE, body(1000, ""))]);
    host.now = host.now.saturating_add(Duration::from_millis(4999));
    host.handle_timeout();
    assert_eq!((host.shutdowns, host.endpoint.state()), (0, State::Closing));
    host.receive_eof();
    assert_eq!(host.shutdowns, 1);
    assert_eq!(host.closed(), Closed { clean: true, code: CloseCode::NORMAL, cause: Cause::Peer });
}

// R5.5.1-3 R5.5.1-4 R7.1.2-1 R7.1.4/5/6
#[test]
fn a_pair_closes_cleanly_whoever_begins() {
    for (client_closes, server_closes) in [(true, false), (false, true), (true, true)] {
        for read_len in [1, 2, 3, 1000] {
            let mut pair = Pair { read_len, ..Pair::new(&config()) };
            if client_closes {
                Say::Close(Some(1000), "bye").by(&mut pair.client).unwrap();
            }
            if server_closes {
                Say::Close(Some(1001), "gone").by(&mut pair.server).unwrap();
            }
            pair.deliver();
            let codes = if server_closes { (1001, 1000) } else { (1000, 1000) };
            let codes = if client_closes { codes } else { (1001, 1001) };
            let cause = |local| if local { Cause::Local } else { Cause::Peer };
            let closed = |code, local| Closed { clean: true, code: CloseCode::new(code), cause: cause(local) };
            assert_eq!(pair.client.closed(), closed(codes.0, client_closes));
            assert_eq!(pair.server.closed(), closed(codes.1, server_closes));
            assert_eq!([pair.client.shutdowns, pair.server.shutdowns], [1, 1]);
            assert!(!pair.step_clock(), "nothing is waited for any more");
        }
    }
}
