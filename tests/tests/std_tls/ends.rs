//! The end of a TLS connection, told apart from a transport that was cut.

use std::{
    io::{self, IoSlice},
    net::Shutdown,
    thread,
    time::Instant,
};

use ws_std::{CloseCode, Connector, Error, Message, NetStream, TlsStream, Transport, WebSocket, role::Role};

use crate::{PATIENCE, connections::Running, pair, patient, settings, streams};

/// Ends the socket under a connection, without close_notify.
fn cut<R: Role>(ws: &WebSocket<R>) {
    ws.transport().socket().shutdown(Shutdown::Both).unwrap();
}

fn is_truncated<X: core::fmt::Debug>(result: io::Result<X>) {
    assert_eq!(result.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn an_end_without_close_notify_is_an_error_and_one_with_it_is_none() {
    for orderly in [true, false] {
        let (client, server) = streams(&settings());
        client.write(&[IoSlice::new(b"last")], patient()).unwrap();
        if orderly {
            client.shutdown(Shutdown::Write).unwrap();
        } else {
            client.transport().shutdown(Shutdown::Write).unwrap();
        }
        let mut buffer = [0; 2_048];
        assert_eq!(server.read(&mut buffer, patient()).unwrap(), 4);
        for _ in 0..2 {
            let end = server.read(&mut buffer, patient());
            if orderly { assert_eq!(end.unwrap(), 0) } else { is_truncated(end) }
        }
        // The other direction goes on.
        server.write(&[IoSlice::new(b"answer")], patient()).unwrap();
        assert_eq!(client.read(&mut buffer, patient()).unwrap(), 6);
    }
}

#[test]
fn dropping_a_stream_sends_close_notify() {
    let (client, server) = streams(&settings());
    drop(client);
    assert_eq!(server.read(&mut [0; 8], patient()).unwrap(), 0);
}

#[test]
fn a_connection_that_is_cut_is_told_from_one_that_ends_without_a_close() {
    let (client, mut server) = pair();
    cut(&client);
    match server.read() {
        Err(Error::Io(error)) => assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof),
        other => panic!("{other:?}"),
    }
    let (client, mut server) = pair();
    drop(client);
    assert!(matches!(server.read(), Err(Error::Unclean(_))));
}

#[test]
fn after_the_closing_handshake_a_peer_may_leave_without_close_notify() {
    let (mut client, mut server) = pair();
    client.send_close(CloseCode::NORMAL, "").unwrap();
    assert!(server.read().unwrap().is_none());
    assert!(client.read().unwrap().is_none());
    cut(&server);
    // Drains the transport.
    assert!(client.read().unwrap().is_none());
    let started = Instant::now();
    let (mut client, mut server) = pair();
    server.send_close(CloseCode::NORMAL, "").unwrap();
    assert!(client.read().unwrap().is_none());
    cut(&client);
    assert!(server.read().unwrap().is_none());
    assert!(server.read().unwrap().is_none());
    drop((client, server));
    assert!(started.elapsed() < PATIENCE);
}

#[test]
fn both_sides_close_with_close_notify() {
    let (mut client, server) = pair();
    thread::scope(|scope| {
        let serving = scope.spawn(move || {
            let mut server = server;
            assert!(server.read().unwrap().is_none());
            // Drains the transport, up to the client's end.
            assert!(server.read().unwrap().is_none());
            // The end is that of TLS, not an error.
            assert_eq!(server.transport().read(&mut [0; 8], patient()).unwrap(), 0);
        });
        assert!(client.close(CloseCode::NORMAL, "").unwrap().clean);
        assert!(client.read().unwrap().is_none());
        assert_eq!(client.transport().read(&mut [0; 8], patient()).unwrap(), 0);
        drop(client);
        serving.join().unwrap();
    });
}

#[test]
fn ending_both_directions_wakes_threads_that_read_and_write() {
    let (client, server) = streams(&settings());
    let piece = vec![0; 1 << 20];
    thread::scope(|scope| {
        let reading = scope.spawn(|| client.read(&mut [0; 2_048], patient()));
        let writing = scope.spawn(|| {
            while let Ok(len) = client.write(&[IoSlice::new(&piece)], patient()) {
                assert_ne!(len, 0);
            }
        });
        // Lets both begin to wait, or not: either way they have to end.
        server.read(&mut [0; 4_096], patient()).unwrap();
        client.shutdown(Shutdown::Both).unwrap();
        // This side has ended it, so nobody has cut it.
        assert_eq!(reading.join().unwrap().unwrap(), 0);
        writing.join().unwrap();
    });
    is_truncated(drain(&server));
}

/// Reads to the end.
fn drain<T: Transport + ws_std::Duplex>(stream: &TlsStream<T>) -> io::Result<()> {
    while stream.read(&mut [0; 4_096], patient())? > 0 {}
    Ok(())
}

#[test]
fn a_stopped_server_closes_its_connections_through_tls() {
    let (client, server) = settings();
    let server = Running::new(server, |server| server);
    let mut ws = server.connect(&Connector::new().tls(client)).unwrap();
    ws.set_read_timeout(Some(PATIENCE));
    ws.send("there?").unwrap();
    assert_eq!(ws.read().unwrap().unwrap().message, Message::Text("there?"));
    thread::scope(|scope| {
        let stopping = scope.spawn(|| server.stop());
        assert!(ws.read().unwrap().is_none());
        drop(ws);
        stopping.join().unwrap();
    });
}

#[test]
fn a_stream_with_tls_does_not_give_its_socket_away() {
    let (client, server) = streams(&settings());
    let stream = NetStream::from(client).into_socket().unwrap_err();
    assert!(stream.is_tls() && crate::sockets().0.into_socket().is_ok());
    drop(server);
}
