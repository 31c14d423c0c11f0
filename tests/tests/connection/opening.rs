//! The opening handshake, and sending before and after a life.

use ws_proto::{MessageKind, Part, SendError, State, connection::Cause, handshake::WriteError, server::Reject};
use ws_tests::{FIN, TEXT, masked, take_pending};

use super::*;

const NEWLINE: (&str, &str) = ("X", "a\r\nb");

#[test]
fn a_request_that_is_dropped_without_an_answer_comes_again() {
    for way in [Way::Own, Way::Attached(100), Way::Given(4096)] {
        let mut host = server();
        let early = [REQUEST, &masked(FIN | TEXT, b"early")].concat();
        let mut bytes = early.clone();
        for _ in 0..3 {
            match way {
                Way::Given(_) if !bytes.is_empty() => {
                    let mut reading = host.connection.received_in(host.now, &mut bytes);
                    assert!(matches!(reading.next(), Some(Next::Opening(request)) if request.path() == "/"));
                    drop(reading);
                    bytes.clear();
                }
                _ => {
                    host.read(&bytes);
                    bytes.clear();
                    assert!(
                        matches!(host.connection.next(), Some(Next::Opening(request)) if request.path() == "/")
                    );
                }
            }
            assert!(host.connection.pending().is_none() && host.connection.endpoint().is_none());
        }
        host.take_all();
        assert_eq!((host.log.opened, host.log.told), (1, vec![Told::Text("early".into())]));
    }
}

#[test]
fn a_request_is_answered_once() {
    let mut host = server();
    host.read(REQUEST);
    let Some(Next::Opening(mut request)) = host.connection.next() else { panic!("no request") };
    request.accept(&Accept::new()).unwrap();
    request.accept(&Accept::new()).unwrap();
    request.reject(&Reject::new(404)).unwrap();
    assert_eq!(host.connection.endpoint().unwrap().state(), State::Open);
    let (sent, ended) = take_pending(&mut host.connection, Instant::ZERO);
    assert!(sent.starts_with(b"HTTP/1.1 101 ") && sent.ends_with(b"\r\n\r\n") && !ended);
    assert_eq!(sent.windows(9).filter(|at| at == b"HTTP/1.1 ").count(), 1);
    host.receive(&masked(FIN | TEXT, b"open"), Way::Own);
    assert_eq!(host.log.told, [Told::Text("open".into())]);
}

#[test]
fn a_request_that_was_rejected_is_not_accepted_after_that() {
    let mut host = server();
    host.read(REQUEST);
    let Some(Next::Opening(mut request)) = host.connection.next() else { panic!("no request") };
    request.reject(&Reject::new(404)).unwrap();
    request.accept(&Accept::new()).unwrap();
    request.reject(&Reject::new(500)).unwrap();
    let (sent, ended) = take_pending(&mut host.connection, Instant::ZERO);
    assert!(sent.starts_with(b"HTTP/1.1 404 ") && ended);
    assert_eq!(sent.windows(9).filter(|at| at == b"HTTP/1.1 ").count(), 1);
    host.take_all();
    host.receive_eof();
    assert!(matches!(host.end(), Ok(closed) if closed.cause == Cause::Refused));
}

#[test]
fn an_answer_that_cannot_be_sent_leaves_the_request_to_be_answered() {
    let mut host = server();
    host.read(REQUEST);
    let Some(Next::Opening(mut request)) = host.connection.next() else { panic!("no request") };
    assert_eq!(request.accept(&Accept::new().headers(&[NEWLINE])), Err(WriteError::InvalidHeader));
    assert_eq!(request.reject(&Reject::new(101)), Err(WriteError::InvalidStatus));
    assert!(host.connection.pending().is_none());
    host.take_all();
    assert_eq!(host.log.opened, 1);
}

#[test]
fn a_client_whose_request_cannot_be_sent_is_none() {
    let config = Config::default();
    let request = client::Request::new("a b", "/");
    let connection = Connection::connect(request, Keys::Fixed, &config, Instant::ZERO);
    assert_eq!(connection.err(), Some(WriteError::InvalidHost));
    let connection = Connection::connect(client::Request::new("h", "/"), Keys::Failing(0), &config, Instant::ZERO);
    assert_eq!(connection.err(), Some(WriteError::Entropy));
    let (mut input, mut output) = ([0; 1024], [0; 100]);
    let memory = Memory::fixed(&mut input, &mut output, &config);
    let request = client::Request::new("h", "/");
    let connection: Result<Connection<'_, TestClient, &mut [u8]>, _> =
        Connection::connect_in(memory, request, Keys::Fixed, &config, Instant::ZERO);
    assert!(matches!(connection.err(), Some(WriteError::BufferTooSmall { .. })));
}

/// All calls that send are refused by `error`, and change nothing.
fn check_refused<R: Role>(host: &mut Host<R>, error: SendError) {
    let before = host.connection.pending_len();
    let connection = &mut host.connection;
    let now = Instant::ZERO;
    assert_eq!(connection.send("no"), Err(error));
    assert_eq!(connection.send_part(MessageKind::Text, Part::First, b"no"), Err(error));
    assert_eq!(connection.ping(b"no"), Err(error));
    assert_eq!(connection.close(now, CloseCode::NORMAL, "no"), Err(error));
    assert_eq!(connection.pending_len(), before);
}

fn check_sending<R: Role>(mut host: Host<R>, open: &[u8]) {
    check_refused(&mut host, SendError::NotOpen);
    host.flush();
    host.receive(&open[..open.len() - 1], Way::Own);
    check_refused(&mut host, SendError::NotOpen);
    host.receive(&open[open.len() - 1..], Way::Own);
    host.connection.send("yes").unwrap();
    host.connection.close(host.now, CloseCode::NORMAL, "").unwrap();
    check_refused(&mut host, SendError::Closing);
    host.flush();
    host.receive_eof();
    host.flush();
    assert!(host.end().is_ok());
    check_refused(&mut host, SendError::Closing);
}

#[test]
fn sending_is_refused_before_a_connection_is_open_and_once_it_closes() {
    check_sending(server(), REQUEST);
    check_sending(client(), &response());
    let mut host = server();
    host.receive_eof();
    check_refused(&mut host, SendError::Closing);
}

#[test]
fn a_read_of_nothing_is_the_end_only_if_there_was_room() {
    let config = Config::default();
    let (mut input, mut output) = ([0; 200], [0; 1024]);
    let memory = Memory::fixed(&mut input, &mut output, &config);
    let mut connection: Connection<'_, Server, &mut [u8]> =
        Connection::accept_in(memory, &config, OriginPolicy::SameHost, Instant::ZERO);
    let bytes = [REQUEST, &masked(FIN | TEXT, &[b'a'; 100])].concat();
    let room = connection.room();
    room.copy_from_slice(&bytes[..200]);
    connection.received(Instant::ZERO, 200);
    // The storage is full of what has not been asked for.
    assert!(connection.room().is_empty());
    connection.received(Instant::ZERO, 0);
    assert!(!connection.is_over());
    let Some(Next::Opening(mut request)) = connection.next() else { panic!("no request") };
    request.accept(&Accept::new()).unwrap();
    assert!(connection.next().is_none() && !connection.room().is_empty());
    connection.received(Instant::ZERO, 0);
    assert!(matches!(connection.next(), Some(Next::Closed(Ok(closed))) if closed.cause == Cause::Eof));
}

#[test]
fn empty_bytes_of_a_hosts_own_are_not_the_end() {
    let mut host = open_server(&Config::default());
    assert!(host.connection.received_in(at(1), &mut []).next().is_none());
    assert_eq!(host.connection.endpoint().unwrap().state(), State::Open);
    let mut buffer = [0; 100];
    let mut reading = host.connection.reading(&mut buffer);
    assert!(!reading.room().is_empty());
    reading.received(at(1), 0);
    assert!(matches!(reading.next(), Some(Next::Closed(Ok(closed))) if closed.cause == Cause::Eof));
}
