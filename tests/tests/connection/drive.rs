//! Steps over a stream of the standard library.

use std::io::{self, ErrorKind};

use ws_proto::{MessageKind, connection::Cause};
use ws_tests::{CLOSE, FIN, PING, REQUEST, TEXT, frame, masked};

use super::{stream::Script, *};

fn drive<R: Role>(host: &mut Host<R>, stream: &mut Script, now: Instant) -> io::Result<()> {
    let driven = host.connection.drive(stream, || now, Script::half_close);
    host.take_all();
    driven
}

#[test]
fn a_server_and_a_client_are_driven_to_the_end() {
    let (mut client, mut server) = (client(), server());
    let (mut up, mut down) = (Script::default(), Script::default());
    for round in 0..20 {
        drive(&mut client, &mut up, at(round)).unwrap();
        if !up.sent.is_empty() {
            down.reads.push_back(Ok(std::mem::take(&mut up.sent)));
        }
        drive(&mut server, &mut down, at(round)).unwrap();
        if !down.sent.is_empty() {
            up.reads.push_back(Ok(std::mem::take(&mut down.sent)));
        }
        match round {
            5 => client.connection.send("Hi").unwrap(),
            8 => server.connection.close(at(round), CloseCode::NORMAL, "").unwrap(),
            // The peer has half-closed: its input ends.
            14 => up.reads.push_back(Ok(Vec::new())),
            16 => down.reads.push_back(Ok(Vec::new())),
            _ => {}
        }
    }
    assert_eq!((client.log.opened, server.log.opened), (1, 1));
    assert!(server.log.told.contains(&Told::message(MessageKind::Text, b"Hi".to_vec())));
    for end in [client.end(), server.end()] {
        assert!(end.is_ok_and(|closed| closed.clean && closed.code == CloseCode::NORMAL));
    }
    assert!(up.half_closed && down.half_closed);
}

#[test]
fn much_output_is_written_in_equal_parts() {
    let mut host = open_server(&Config::default());
    let mut stream = Script::default();
    for len in [60_000, 70_000] {
        host.connection.send(&*vec![7; len]).unwrap();
    }
    drive(&mut host, &mut stream, at(0)).unwrap();
    assert_eq!(stream.writes, [65_007, 65_007]);
    assert_eq!(stream.sent.len(), 4 + 60_000 + 10 + 70_000);
}

#[test]
fn input_that_has_come_counts_however_late_the_host_is() {
    let mut host = open_server(&Config::default());
    let mut stream = Script::default();
    host.connection.close(at(0), CloseCode::NORMAL, "").unwrap();
    drive(&mut host, &mut stream, at(0)).unwrap();
    // The host was busy until long after the time for the peer's Close.
    stream.reads.push_back(Ok(masked(CLOSE, b"\x03\xE8")));
    drive(&mut host, &mut stream, at(60_000)).unwrap();
    assert!(host.log.ends[0].is_ok_and(|closed| closed.clean), "{:?}", host.log.ends);
}

#[test]
fn a_step_without_input_does_what_is_due() {
    for takes in [None, Some(0)] {
        let mut host = open_server(&Config::default());
        let mut stream = Script { takes, ..Script::default() };
        host.connection.send("waits").unwrap();
        drive(&mut host, &mut stream, at(0)).unwrap();
        drive(&mut host, &mut stream, at(30_000)).unwrap();
        drive(&mut host, &mut stream, at(30_000)).unwrap();
        if takes.is_none() {
            assert_eq!(stream.sent, [frame(FIN | TEXT, b"waits"), frame(PING, b"")].concat());
        } else {
            assert_eq!(host.end(), Err(Failure::WriteTimeout));
            assert_eq!(stream.read_count, 0, "a peer that takes nothing is not read from");
        }
    }
}

#[test]
fn a_peer_that_always_has_something_to_say_does_not_keep_deadlines_from_passing() {
    let mut host = open_server(&Config::default());
    let mut stream = Script::default();
    host.connection.close(at(0), CloseCode::NORMAL, "").unwrap();
    for second in 0..12 {
        stream.reads.push_back(Ok(masked(FIN | TEXT, b"instead of a Close")));
        drive(&mut host, &mut stream, at(second * 1000)).unwrap();
    }
    assert_eq!(host.log.ends[0].map(|closed| closed.cause), Ok(Cause::CloseTimeout));
}

#[test]
fn a_step_repeats_what_a_signal_has_interrupted() {
    let mut host = server();
    let mut stream = Script::of([REQUEST.to_vec()]);
    stream.reads.push_front(Err(ErrorKind::Interrupted.into()));
    drive(&mut host, &mut stream, at(0)).unwrap();
    stream.write_errors.push_back(ErrorKind::Interrupted);
    drive(&mut host, &mut stream, at(0)).unwrap();
    assert!(stream.sent.starts_with(b"HTTP/1.1 101 "));
}

#[test]
fn a_step_returns_the_errors_of_its_stream() {
    let mut host = open_server(&Config::default());
    let mut stream = Script::default();
    stream.reads.push_back(Err(ErrorKind::ConnectionReset.into()));
    assert_eq!(drive(&mut host, &mut stream, at(0)).unwrap_err().kind(), ErrorKind::ConnectionReset);
    host.connection.send("in vain").unwrap();
    stream.write_errors.push_back(ErrorKind::BrokenPipe);
    assert_eq!(drive(&mut host, &mut stream, at(0)).unwrap_err().kind(), ErrorKind::BrokenPipe);
    host.receive_eof();
    assert!(host.log.ends[0].is_ok_and(|closed| closed.cause == Cause::Eof));
}
