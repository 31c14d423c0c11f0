//! The server's handler: its view of a request, its ways to answer, and the log's view of its errors.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    sync::{Mutex, mpsc},
    thread,
};

use ws_std::{
    AcceptError, Acceptor, Answer, CloseCode, ConnectError, Connector, Exchange, Handle, HandlerResult, Message,
    Server,
};
use ws_tests::{CLOSE, FIN, TEXT, frame, masked, parse};

use crate::{
    PATIENCE, SHORT, open, pair,
    peer::{Peer, REQUEST},
    sockets, tcp_pair,
};

/// A server that runs on a thread until it is dropped.
struct Running {
    address: SocketAddr,
    handle: Handle,
}

impl Running {
    fn new(server: Server, handler: impl Fn(Exchange) -> HandlerResult + Send + Sync + 'static) -> Self {
        ws_tests::watch();
        let (address, handle) = (server.local_addr().unwrap(), server.handle());
        thread::spawn(move || server.run(handler).unwrap());
        Self { address, handle }
    }

    fn open(&self) -> Peer {
        let mut peer = Peer::new(TcpStream::connect(self.address).unwrap());
        peer.send(REQUEST.as_bytes());
        assert!(peer.head().starts_with("HTTP/1.1 101 "));
        peer
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.stop();
    }
}

fn bind() -> Server {
    Server::bind("127.0.0.1:0").unwrap().stop_timeout(SHORT)
}

/// The exchange of a request with these fields besides the fixed ones.
fn exchange(request: &str) -> (Peer, Exchange) {
    let (client, server) = tcp_pair();
    let mut peer = Peer::new(client);
    peer.send(request.as_bytes());
    (peer, Acceptor::new().receive(ws_std::NetStream::try_from(server).unwrap()).unwrap())
}

#[test]
fn exchange_shows_the_parts_of_a_request_for_a_connection() {
    let request = REQUEST.replacen("GET /", "GET /a%20b?c=d", 1).replacen(
        "\r\n",
        "\r\nOrigin: http://localhost\r\nSec-WebSocket-Protocol: one, two\r\nX-Own: yes\r\n",
        1,
    );
    let (mut peer, exchange) = exchange(&request);
    assert!(exchange.is_upgrade());
    assert_eq!((exchange.method(), exchange.host()), ("GET", "localhost"));
    assert_eq!((exchange.target(), exchange.path(), exchange.query()), ("/a%20b?c=d", "/a%20b", Some("c=d")));
    assert_eq!((exchange.origin(), exchange.header("x-own")), (Some("http://localhost"), Some(&b"yes"[..])));
    let names: Vec<_> = exchange.headers().map(|(name, _)| name).collect();
    assert_eq!(names[..4], ["Origin", "Sec-WebSocket-Protocol", "X-Own", "Host"]);
    assert_eq!(exchange.subprotocols().collect::<Vec<_>>(), ["one", "two"]);
    assert_eq!(exchange.select(&["three", "two"]).unwrap().as_str(), "two");
    assert!(exchange.select(&["three"]).is_none());
    assert_eq!(exchange.peer_addr(), peer.stream.local_addr().ok());
    assert!(format!("{exchange:?}").starts_with("Exchange"));
    let chosen = Answer::accept().subprotocol(exchange.select(&["two"]));
    let mut ws = exchange.accept_with(chosen).unwrap();
    assert_eq!(ws.subprotocol(), Some("two"));
    assert!(peer.head().contains("\r\nSec-WebSocket-Protocol: two\r\n"));
    ws.send("open").unwrap();
    assert_eq!(peer.frame(), parse(&frame(FIN | TEXT, b"open"))[0]);
}

#[test]
fn exchange_shows_the_parts_of_a_request_for_a_page() {
    let (mut peer, exchange) = exchange("HEAD /page HTTP/1.1\r\nHost: example.com:81\r\nOrigin: null\r\n\r\n");
    assert!(!exchange.is_upgrade());
    assert_eq!((exchange.method(), exchange.host()), ("HEAD", "example.com:81"));
    assert_eq!((exchange.target(), exchange.path(), exchange.query()), ("/page", "/page", None));
    assert_eq!((exchange.origin(), exchange.header("origin")), (None, Some(&b"null"[..])));
    assert_eq!(exchange.headers().count(), 2);
    assert_eq!((exchange.subprotocols().count(), exchange.select(&["one"]).is_none()), (0, true));
    // No connection can be made of it.
    peer.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(matches!(exchange.accept(), Err(AcceptError::Handshake(_))));
    assert!(peer.head().starts_with("HTTP/1.1 426 "));
}

#[test]
fn connection_of_a_server_can_be_split_put_together_and_taken_apart() {
    let (hand_over, handed) = mpsc::channel();
    let hand_over = Mutex::new(hand_over);
    let server = Running::new(bind(), move |exchange| {
        let (mut reader, mut writer) = exchange.accept()?.split();
        let first = reader.read()?.unwrap().as_bytes().to_vec();
        writer.send(first.as_slice())?;
        let mut ws = reader.reunite(writer).unwrap();
        let mut received = ws.read()?.unwrap();
        received.reply.send(received.message)?;
        hand_over.lock().unwrap().send(ws.into_inner()).unwrap();
        Ok(())
    });
    let mut peer = server.open();
    peer.send(&[masked(FIN | TEXT, b"one"), masked(FIN | TEXT, b"two"), b"unread".to_vec()].concat());
    for payload in [b"one", b"two"] {
        assert_eq!(peer.frame().payload, payload);
    }
    let (socket, unread) = handed.recv_timeout(PATIENCE).unwrap();
    assert_eq!(unread, b"unread");
    use std::io::Write as _;
    TcpStream::from(socket.into_socket().unwrap().into_socket2().unwrap()).write_all(b"by hand\r\n\r\n").unwrap();
    assert_eq!(peer.head(), "by hand\r\n\r\n");
}

#[test]
fn halves_of_a_servers_connection_are_closed_when_it_stops() {
    let server = Running::new(bind().stop_timeout(PATIENCE), |exchange| {
        let (mut reader, mut writer) = exchange.accept()?.split();
        while let Some(message) = reader.read()? {
            writer.send(message)?;
        }
        Ok(())
    });
    let mut peer = server.open();
    // The handler has the connection.
    peer.send(&masked(FIN | TEXT, b"hello"));
    assert_eq!(peer.frame().payload, b"hello");
    server.handle.stop();
    assert_eq!(crate::peer::code(&peer.frame()), 1_001);
    peer.send(&masked(CLOSE, &1_001_u16.to_be_bytes()));
    assert_eq!(peer.rest(), b"");
}

#[test]
fn incident_shows_the_peer_the_error_and_what_was_left_out() {
    let (to_log, log) = mpsc::channel();
    let to_log = Mutex::new(to_log);
    let server = bind().on_error(move |incident| {
        let source = incident.error().to_string();
        to_log.lock().unwrap().send((incident.peer(), source, incident.suppressed())).unwrap();
    });
    let server = Running::new(server, |exchange| {
        drop(exchange.accept()?);
        Err(io::Error::other("the handler's own").into())
    });
    let peer = server.open();
    let (address, error, suppressed) = log.recv_timeout(PATIENCE).unwrap();
    assert_eq!(address, peer.stream.local_addr().ok());
    assert_eq!((&*error, suppressed), ("the handler's own", 0));
}

#[test]
fn server_and_handle_show_what_they_are() {
    let server = bind();
    assert!(format!("{server:?}").starts_with("Server"));
    assert_eq!(format!("{:?}", server.handle()), "Handle { connections: 0, .. }");
}

#[test]
fn connector_and_acceptor_are_those_of_new_by_default() {
    let (client, server) = sockets();
    let (mut client, mut server) = open((&Connector::default(), client), (&Acceptor::default(), server));
    client.send("hello").unwrap();
    assert_eq!(server.read().unwrap().unwrap().message, Message::Text("hello"));
    let (mut client, mut server) = pair();
    server.send_close(CloseCode::NORMAL, "").unwrap();
    assert!(client.read().unwrap().is_none());
}

#[test]
fn refusal_shows_its_fields_and_hides_their_values_in_a_log() {
    let (client, server) = sockets();
    let refused = thread::scope(|scope| {
        scope.spawn(|| {
            let refuse =
                Answer::refuse(401).header("WWW-Authenticate", "secret").body("text/plain", b"no".as_slice());
            Acceptor::new().accept_over(server, |_| refuse).map(|_| ())
        });
        match Connector::new().connect_over("ws://localhost/", client, |_| ()) {
            Err(ConnectError::Refused(refused)) => refused,
            other => panic!("{other:?}"),
        }
    });
    assert_eq!((refused.status(), refused.body()), (401, &b"no"[..]));
    let fields: Vec<_> = refused.headers().collect();
    assert!(fields.contains(&("WWW-Authenticate", b"secret")), "{fields:?}");
    let text = format!("{refused:?}");
    assert!(text.contains("401") && text.contains("WWW-Authenticate") && !text.contains("secret"), "{text}");
}
