//! The peer's Close, left to the host to answer.

use ws_proto::{
    Cause, CloseCode, Closed, Connection, Control, Instant, MessageKind, Next, Part, Pending, SendError, State,
    config::CloseReply,
    connection::Output,
    role::{Role, Side},
};
use ws_tests::{BINARY, CLOSE, FIN, Host, Say, Told, masked, on_both, server};

use super::{body, replying};

#[test]
fn a_host_answers_the_peers_close_with_its_own_code_and_reason() {
    fn check<R: Role>(mut host: Host<R>) {
        host.receive_frame(CLOSE, &body(1001, "going"));
        assert_eq!(host.told, [Told::Close(1001, "going".into())]);
        assert_eq!((host.endpoint.state(), host.endpoint.closed()), (State::Closing, None));
        assert_eq!((host.output.len(), host.shutdowns), (0, 0), "nothing is owed");
        host.now = Instant::from_millis(9_999);
        host.handle_timeout();
        assert_eq!(host.endpoint.close_frame(), Some((CloseCode::GOING_AWAY, "going")));
        Say::Close(Some(4000), "me too").by(&mut host).unwrap();
        assert_eq!(host.sent_plain(), [(CLOSE, body(4000, "me too"))]);
        let closed = Closed { clean: true, code: CloseCode::GOING_AWAY, cause: Cause::Peer };
        assert_eq!(host.endpoint.closed(), Some(closed));
        assert_eq!(Say::Close(Some(4000), "").by(&mut host), Err(SendError::Closing));
        host.transmit();
        // The server ends the transport, the client waits for that.
        assert_eq!(host.shutdowns, usize::from(R::SIDE == Side::Server));
        let linger = if R::SIDE == Side::Server { 1_000 } else { 5_000 };
        assert_eq!(host.endpoint.poll_timeout(), Some(Instant::from_millis(9_999 + linger)));
        host.receive_eof();
        assert_eq!((host.closed(), host.shutdowns), (closed, 1));
    }
    on_both(&replying(CloseReply::ByHost), check, check);
}

#[test]
fn a_close_that_the_host_does_not_answer_in_time_is_answered_as_usual() {
    fn check<R: Role>(mut host: Host<R>) {
        host.now = Instant::from_millis(1_000);
        host.receive_frame(CLOSE, &body(1001, "going"));
        // Output that the transport takes is no reason to wait longer for the host.
        host.endpoint.written(Instant::from_millis(5_000));
        assert_eq!(host.endpoint.poll_timeout(), Some(Instant::from_millis(11_000)));
        host.step_clock();
        assert_eq!(host.sent_plain(), [(CLOSE, body(1001, ""))]);
        assert_eq!(Say::Close(Some(4000), "").by(&mut host), Err(SendError::Closing));
        assert!(host.endpoint.closed().unwrap().clean);
        assert!(host.step_clock(), "the wait for the end of the transport");
        assert_eq!((host.closed().cause, host.shutdowns), (Cause::Peer, 1));
    }
    on_both(&replying(CloseReply::ByHost), check, check);
}

#[test]
fn before_the_host_answers_only_the_rest_of_a_message_can_be_sent() {
    fn check<R: Role>(mut host: Host<R>) {
        let rest = |part| Say::Part(MessageKind::Binary, part, b"x".to_vec());
        rest(Part::First).by(&mut host).unwrap();
        host.receive_frame(CLOSE, &body(1001, ""));
        for refused in [Say::text("x"), Say::Ping(vec![]), Say::Pong(vec![]), rest(Part::First)] {
            assert_eq!(refused.by(&mut host), Err(SendError::Closing));
        }
        rest(Part::Middle).by(&mut host).unwrap();
        rest(Part::Last).by(&mut host).unwrap();
        for refused in [rest(Part::Middle), rest(Part::Last), rest(Part::Whole)] {
            assert_eq!(refused.by(&mut host), Err(SendError::Closing), "the message has ended");
        }
        Say::Close(None, "").by(&mut host).unwrap();
        let frames = [(BINARY, &b"x"[..]), (0x00, b"x"), (FIN, b"x"), (CLOSE, b"")];
        assert_eq!(host.sent_plain(), frames.map(|(first, payload)| (first, payload.to_vec())));
    }
    on_both(&replying(CloseReply::ByHost), check, check);
}

#[test]
fn an_answer_of_the_hosts_is_queued_with_the_shutdown_that_follows_it() {
    let mut host = server(&replying(CloseReply::ByHost));
    host.receive_frame(CLOSE, &body(1001, ""));
    let mut output = Output::new();
    output.close(&mut host.endpoint, host.now, CloseCode::NORMAL, "").unwrap();
    assert_eq!(output.pending(), Some(Pending::Bytes(b"\x88\x02\x03\xE8")));
    output.written(&mut host.endpoint, host.now, 4);
    assert_eq!(output.pending(), Some(Pending::Shutdown));
}

#[test]
fn a_connection_leaves_the_answer_to_its_host() {
    let config = replying(CloseReply::ByHost);
    let close = masked(CLOSE, &body(1001, "going"));
    let mut connection = Connection::open(server(&config).endpoint, close, &config);
    assert!(matches!(connection.next(), Some(Next::Control(Control::Close))));
    assert_eq!(connection.close_frame(), Some((CloseCode::GOING_AWAY, "going")));
    assert!(connection.next().is_none() && connection.pending().is_none());
    connection.close(Instant::ZERO, CloseCode::new(4000), "me too").unwrap();
    assert_eq!(connection.pending(), Some(Pending::Bytes(b"\x88\x08\x0F\xA0me too")));
    let Some(Next::Closed(Ok(closed))) = connection.next() else { panic!("no end") };
    assert_eq!((closed.clean, closed.code, closed.cause), (true, CloseCode::GOING_AWAY, Cause::Peer));
}

#[test]
fn without_a_close_timeout_the_host_may_take_its_time() {
    fn check<R: Role>(mut host: Host<R>) {
        host.receive_frame(CLOSE, &body(1001, ""));
        assert_eq!(host.endpoint.poll_timeout(), None);
        host.now = Instant::from_millis(u64::from(u32::MAX));
        host.handle_timeout();
        assert!(host.output.is_empty());
        Say::Close(Some(1001), "").by(&mut host).unwrap();
        assert!(host.endpoint.closed().unwrap().clean);
    }
    let mut config = replying(CloseReply::ByHost);
    config.close_timeout = None;
    on_both(&config, check, check);
}
