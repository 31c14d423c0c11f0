//! Faults of the TLS handshake: each has its name, and comes within the deadline.

use core::time::Duration;
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    thread,
    time::Instant,
};

use ws_std::{
    AcceptError, ClientTls, Config, ConnectError, Connector, ServerTls, TlsError, TlsStream,
    proto::handshake::HandshakeError,
    rustls::{AlertDescription, ClientConnection, DEFAULT_VERSIONS, ServerConnection},
};
use ws_tests::{Authority, Days};

use crate::{
    PATIENCE, SHORT,
    certificates::{self, client_with, http2_server, identity, server_with},
    connections::{Running, converse},
    name, patient, settings, sockets, soon, url,
};

/// Connects with a short handshake timeout to a server that does `serve`. Returns the error and the time it took.
fn fails(tls: ClientTls, serve: impl FnOnce(TcpStream) + Send) -> (ConnectError, Duration) {
    ws_tests::watch();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = url(listener.local_addr().unwrap());
    let mut config = Config::new();
    config.handshake_timeout = Some(SHORT);
    thread::scope(|scope| {
        scope.spawn(|| serve(listener.accept().unwrap().0));
        let started = Instant::now();
        let result = Connector::new().config(config).tls(tls).connect(&url);
        (result.unwrap_err(), started.elapsed())
    })
}

/// The handshake of a TLS server over a stream.
fn handshake(tls: ServerTls) -> impl FnOnce(TcpStream) {
    // The client may give up first.
    move |stream| drop(TlsStream::accept(ws_std::Socket::new(stream).unwrap(), &tls, patient()))
}

/// Sends the first `len` bytes of a server's flight, or all but the last `-len`, and returns the stream.
fn part_of_flight(mut stream: TcpStream, tls: &ServerTls, part: impl FnOnce(usize) -> usize) -> TcpStream {
    let mut connection = ServerConnection::new(tls.config()).unwrap();
    while !connection.wants_write() {
        connection.read_tls(&mut stream).unwrap();
        connection.process_new_packets().unwrap();
    }
    let mut flight = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut flight).unwrap();
    }
    stream.write_all(&flight[..part(flight.len())]).unwrap();
    stream
}

/// Waits until the client has gone.
fn wait(mut stream: TcpStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

fn is_timeout(error: &ConnectError) -> bool {
    matches!(error, ConnectError::Handshake(HandshakeError::Timeout))
}

#[test]
fn certificates_that_are_not_accepted_are_named() {
    let (authority, other) = (Authority::new(), Authority::new());
    let cases = [
        (authority.issue("other.example", Days::NOW), "WrongName"),
        (authority.issue("localhost", Days::PAST), "Expired"),
        (authority.issue("localhost", Days::FUTURE), "NotYetValid"),
        (identity(&other), "UnknownIssuer"),
    ];
    for (identity, expected) in cases {
        let server = Running::new(server_with(&identity), |server| server);
        match server.connect(&Connector::new().tls(certificates::client(&authority))) {
            Err(ConnectError::Tls(error)) => assert_eq!(format!("{error:?}"), expected),
            other => panic!("{other:?}"),
        }
        // The alert tells the server.
        let line = server.log.recv_timeout(PATIENCE).unwrap();
        assert!(line.contains("no TLS handshake: peer gave up the TLS handshake"), "{line}");
        server.stop();
    }
}

#[test]
fn a_server_that_does_not_speak_tls_is_named() {
    let (error, _) = fails(settings().0, |mut stream| {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
        wait(stream);
    });
    assert!(matches!(error, ConnectError::Tls(TlsError::NotTls)), "{error:?}");
}

#[test]
fn a_server_that_stops_in_the_handshake_is_given_up_at_the_deadline() {
    let (client, server) = settings();
    let stops: [fn(TcpStream, &ServerTls); 5] = [
        // Before it has read ClientHello, and after that.
        |stream, _| wait(stream),
        |stream, tls| wait(part_of_flight(stream, tls, |_| 0)),
        // Inside the header of a record, in the middle of its flight, and one byte before its end.
        |stream, tls| wait(part_of_flight(stream, tls, |_| 3)),
        |stream, tls| wait(part_of_flight(stream, tls, |len| len / 2)),
        |stream, tls| wait(part_of_flight(stream, tls, |len| len - 1)),
    ];
    for (index, stop) in stops.into_iter().enumerate() {
        let (error, took) = fails(client.clone(), |stream| stop(stream, &server));
        assert!(is_timeout(&error), "{index}: {error:?}");
        assert!((SHORT..PATIENCE).contains(&took), "{index}: {took:?}");
    }
}

#[test]
fn a_server_that_never_answers_the_request_is_given_up_at_the_same_deadline() {
    let (client, server) = settings();
    let (error, took) = fails(client, move |stream| {
        let stream = TlsStream::accept(ws_std::Socket::new(stream).unwrap(), &server, patient()).unwrap();
        while ws_std::Transport::read(&stream, &mut [0; 4_096], patient()).is_ok_and(|len| len > 0) {}
    });
    assert!(is_timeout(&error), "{error:?}");
    assert!((SHORT..PATIENCE).contains(&took), "{took:?}");
}

#[test]
fn a_server_that_ends_the_transport_in_the_handshake_is_named() {
    let (client, server) = settings();
    let ends: [fn(TcpStream, &ServerTls); 3] = [
        |stream, _| drop(stream),
        |stream, tls| drop(part_of_flight(stream, tls, |_| 0)),
        |stream, tls| drop(part_of_flight(stream, tls, |len| len / 2)),
    ];
    for end in ends {
        let (error, _) = fails(client.clone(), |stream| end(stream, &server));
        assert!(matches!(error, ConnectError::Tls(TlsError::Closed | TlsError::Io(_))), "{error:?}");
    }
}

#[test]
fn a_server_of_another_protocol_is_named() {
    let authority = Authority::new();
    let (error, _) = fails(certificates::client(&authority), handshake(http2_server(&authority)));
    let alert = AlertDescription::NoApplicationProtocol;
    assert!(matches!(&error, ConnectError::Tls(TlsError::Alert(found)) if *found == alert), "{error:?}");
    // A client that offers it gets it, and cannot use it.
    let client = client_with(&authority, &["h2", "http/1.1"], DEFAULT_VERSIONS);
    let (error, _) = fails(client, handshake(http2_server(&authority)));
    assert!(matches!(error, ConnectError::Tls(TlsError::WrongProtocol)), "{error:?}");
}

/// The error of a server whose client does `act`.
fn refused(deadline: Option<Instant>, act: impl FnOnce(&mut TcpStream) + Send) -> AcceptError {
    let (client, server) = sockets();
    let mut client = TcpStream::from(client.into_socket().unwrap().into_socket2().unwrap());
    let tls = settings().1;
    thread::scope(|scope| {
        let accepting = scope.spawn(move || TlsStream::accept(server, &tls, deadline).map(|_| ()).unwrap_err());
        act(&mut client);
        let error = accepting.join().unwrap();
        drop(client);
        error
    })
}

#[test]
fn clients_that_do_not_complete_a_handshake_are_named() {
    let error = refused(patient(), |client| client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap());
    assert!(matches!(error, AcceptError::Tls(TlsError::NotTls)), "{error:?}");
    let started = Instant::now();
    let error = refused(soon(), |_| ());
    assert!(matches!(error, AcceptError::Handshake(HandshakeError::Timeout)), "{error:?}");
    assert!((SHORT..PATIENCE).contains(&started.elapsed()));
    // The first bytes of a ClientHello.
    let error = refused(soon(), |client| client.write_all(&[22, 3, 1]).unwrap());
    assert!(matches!(error, AcceptError::Handshake(HandshakeError::Timeout)), "{error:?}");
    let error = refused(patient(), |client| {
        client.write_all(&[22, 3, 1]).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
    });
    assert!(matches!(error, AcceptError::Tls(TlsError::Closed)), "{error:?}");
    let error = refused(patient(), |client| client.shutdown(std::net::Shutdown::Write).unwrap());
    assert!(matches!(error, AcceptError::NoRequest), "{error:?}");
}

#[test]
fn a_server_reports_a_client_without_tls_and_serves_others() {
    let (tls, server) = settings();
    let server = Running::new(server, |server| server);
    // A health check.
    drop(TcpStream::connect(server.address).unwrap());
    let mut plain = TcpStream::connect(server.address).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    // The answer is an alert.
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert_eq!(answer.first().copied().unwrap_or(21), 21);
    let line = server.log.recv_timeout(PATIENCE).unwrap();
    assert!(line.contains("peer does not speak TLS"), "{line}");
    converse(&mut server.connect(&Connector::new().tls(tls)).unwrap());
    server.stop_and_expect_no_incident();
}

#[test]
fn a_client_that_leaves_without_a_request_is_no_incident() {
    let (tls, server) = settings();
    let server = Running::new(server, |server| server);
    for clean in [true, false] {
        let stream = TcpStream::connect(server.address).unwrap();
        if clean {
            drop(TlsStream::connect(ws_std::Socket::new(stream).unwrap(), &tls, name(), patient()).unwrap());
        } else {
            let mut stream = stream;
            let mut connection = ClientConnection::new(tls.config().unwrap(), name()).unwrap();
            connection.complete_io(&mut stream).unwrap();
        }
    }
    converse(&mut server.connect(&Connector::new().tls(tls)).unwrap());
    server.stop_and_expect_no_incident();
}
