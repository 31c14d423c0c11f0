//! Turns that connections of an event loop take.

use std::{
    io::{self, ErrorKind},
    ops::ControlFlow,
    time::Duration,
};

use ws_proto::{
    handshake::HandshakeError,
    host::{Deadlines, Pool, ReadUntil, Turns},
};
use ws_tests::{BINARY, CLOSE, FIN, PING, REQUEST, TEXT, frame, masked, opened};

use super::{stream::Script, *};

/// The connection whose turns are tested.
const ID: usize = 7;

fn turns() -> Turns<Script> {
    Turns::new(Pool::new(&Config::default()), Deadlines::new(), Script::half_close)
}

/// Has `connection` take its turn, and echo; returns the result, and whether it has told an end.
fn echo_turn(
    turns: &mut Turns<Script>,
    (stream, connection): (&mut Script, &mut Connection<'_, Server>),
    now: Instant,
    until: ReadUntil,
) -> (ControlFlow<io::Result<()>>, bool) {
    let mut ended = false;
    let turn = turns.turn(ID, now).until(until).run(stream, connection, |reading| {
        while let Some(next) = reading.each_message(|message, reply| _ = reply.send(message)) {
            match next {
                Next::Opening(mut request) => request.accept(&Accept::new()).expect("there is no other field"),
                Next::Closed(_) => ended = true,
                _ => {}
            }
        }
    });
    (turn, ended)
}

#[test]
fn a_connection_has_its_turns_from_its_request_to_its_end() {
    let mut turns = turns();
    let mut connection = Connection::accept_in(None, &Config::default(), OriginPolicy::SameHost, at(0));
    let mut stream = Script::of([REQUEST.to_vec(), masked(FIN | TEXT, b"Hi"), masked(CLOSE, b"\x03\xE8")]);
    let (turn, ended) = echo_turn(&mut turns, (&mut stream, &mut connection), at(1), ReadUntil::WouldBlock);
    assert!(turn.is_continue() && ended);
    assert!(stream.sent.ends_with(&[frame(FIN | TEXT, b"Hi"), frame(CLOSE, b"\x03\xE8")].concat()));
    assert!(stream.half_closed && !connection.has_memory());
    assert!(turns.wait(at(1)).is_some(), "the peer has some time to end the transport");
    stream.reads.push_back(Ok(Vec::new()));
    let (turn, _) = echo_turn(&mut turns, (&mut stream, &mut connection), at(2), ReadUntil::WouldBlock);
    assert!(matches!(turn, ControlFlow::Break(Ok(()))));
    assert_eq!(turns.due(at(100_000)), None, "a connection that is over is not armed");
}

#[test]
fn a_connection_that_always_has_more_to_read_gives_its_turn_up() {
    let mut turns = turns();
    let mut connection = opened(&Config::default());
    let mut stream = Script::of((0..100).map(|_| masked(FIN | TEXT, b"more")));
    let mut now = at(0);
    for _ in 0..10 {
        let before = stream.read_count;
        let (turn, _) = echo_turn(&mut turns, (&mut stream, &mut connection), now, ReadUntil::WouldBlock);
        assert!(turn.is_continue());
        assert!((1..=16).contains(&(stream.read_count - before)));
        // All that are ready come first, and then it goes on without waiting for its stream.
        assert_eq!(turns.due(now), None);
        let wait = turns.wait(now).unwrap();
        now = now.saturating_add(wait);
        assert_eq!(turns.due(now), Some(ID));
        if stream.reads.is_empty() {
            break;
        }
        assert_eq!(wait, Duration::from_nanos(1));
    }
    assert_eq!(stream.sent, frame(FIN | TEXT, b"more").repeat(100));
}

#[test]
fn a_short_read_ends_a_turn_if_that_is_asked_for() {
    for (until, reads) in [(ReadUntil::Short, 1), (ReadUntil::WouldBlock, 2)] {
        let mut connection = opened(&Config::default());
        let mut stream = Script::of([masked(FIN | TEXT, b"short")]);
        let (turn, _) = echo_turn(&mut turns(), (&mut stream, &mut connection), at(0), until);
        assert!(turn.is_continue());
        assert_eq!((stream.read_count, stream.sent), (reads, frame(FIN | TEXT, b"short")));
    }
}

#[test]
fn a_peer_that_does_not_take_its_replies_has_no_turn_to_be_read_from() {
    let mut turns = turns();
    let mut connection = opened(&Config::default());
    let mut stream = Script::of((0..3).map(|_| masked(FIN | BINARY, &[0; 1000])));
    stream.takes = Some(0);
    for now in 0..3 {
        let (turn, _) = echo_turn(&mut turns, (&mut stream, &mut connection), at(now), ReadUntil::WouldBlock);
        assert!(turn.is_continue() && connection.has_memory());
        assert_eq!(stream.read_count, 1);
    }
    let deadline = turns.wait(at(2)).unwrap();
    assert_eq!(turns.due(at(2).saturating_add(deadline)), Some(ID));
    let (turn, ended) = echo_turn(&mut turns, (&mut stream, &mut connection), at(60_000), ReadUntil::WouldBlock);
    assert!(matches!(turn, ControlFlow::Break(Ok(()))) && ended, "the write timeout has passed");
}

#[test]
fn an_end_that_a_deadline_brings_is_told_in_its_turn() {
    let mut connection = Connection::accept_in(None, &Config::default(), OriginPolicy::SameHost, at(0));
    let mut stream = Script::default();
    let mut end = None;
    let turn = turns().turn(ID, at(10_000)).run(&mut stream, &mut connection, |reading| {
        while let Some(next) = reading.next() {
            if let Next::Closed(result) = next {
                end = Some(result);
            }
        }
    });
    assert!(turn.is_continue(), "the peer may read the refusal");
    assert_eq!(end, Some(Err(Failure::Handshake(HandshakeError::Timeout))));
    assert!(stream.sent.starts_with(b"HTTP/1.1 408 "));
}

#[test]
fn a_stream_that_fails_ends_its_turns() {
    let mut turns = turns();
    let mut connection = opened(&Config::default());
    let mut stream = Script::of([masked(FIN | TEXT, b"cut")[..6].to_vec()]);
    let (turn, _) = echo_turn(&mut turns, (&mut stream, &mut connection), at(0), ReadUntil::WouldBlock);
    assert!(turn.is_continue() && turns.wait(at(0)).is_some());
    stream.reads.push_back(Err(ErrorKind::ConnectionReset.into()));
    let (turn, _) = echo_turn(&mut turns, (&mut stream, &mut connection), at(0), ReadUntil::WouldBlock);
    assert!(matches!(turn, ControlFlow::Break(Err(error)) if error.kind() == ErrorKind::ConnectionReset));
    assert_eq!(turns.due(at(100_000)), None);
}

#[test]
fn what_is_sent_outside_of_a_turn_is_written_and_has_its_deadline() {
    let mut turns = turns();
    let mut connection = opened(&Config::default());
    assert!(connection.detach().is_some());
    let mut stream = Script { takes: Some(0), ..Script::default() };
    let send = |_: &mut Script, connection: &mut Connection<'_, Server>| connection.send("late").unwrap();
    assert!(turns.turn(ID, at(1)).send(&mut stream, &mut connection, send).is_continue());
    assert_eq!(
        (connection.poll_timeout(), turns.wait(at(1))),
        (Some(at(20_000)), Some(Duration::from_millis(19_999)))
    );
    connection.handle_timeout(at(20_000));
    assert_eq!(connection.poll_timeout(), Some(at(30_001)), "the write timeout");
    stream.takes = None;
    assert!(turns.turn(ID, at(20_001)).send(&mut stream, &mut connection, send).is_continue());
    assert!(!connection.has_memory() && stream.read_count == 0);
    assert_eq!(stream.sent, [frame(FIN | TEXT, b"late"), frame(PING, b""), frame(FIN | TEXT, b"late")].concat());
    stream.write_errors.push_back(ErrorKind::ConnectionReset);
    let turn = turns.turn(ID, at(20_002)).send(&mut stream, &mut connection, send);
    assert!(matches!(turn, ControlFlow::Break(Err(error)) if error.kind() == ErrorKind::ConnectionReset));
    assert_eq!(turns.due(at(100_000)), None);
}
