use std::{
    io::{Read, Write},
    net::TcpStream,
};

use ws_std::{
    Acceptor, Connector, WebSocket,
    proto::server::{Accept, Head, OriginPolicy, Request},
    role::{Client, Server},
};
use ws_tests::{RawFrame, parse};

use crate::{PATIENCE, open, tcp_pair};

/// A peer that does what a test says, byte by byte.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
}

pub(crate) const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

impl Peer {
    pub(crate) fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    /// A client of one of our servers.
    pub(crate) fn client(acceptor: &Acceptor<'_>) -> (Self, WebSocket<Server>) {
        let (client, server) = tcp_pair();
        let mut peer = Self::new(client);
        peer.send(REQUEST.as_bytes());
        let mut ws = acceptor.accept(server).unwrap();
        ws.set_read_timeout(Some(PATIENCE));
        assert!(peer.head().starts_with("HTTP/1.1 101 "));
        (peer, ws)
    }

    /// The server of one of our clients; sends `behind` right behind its 101.
    pub(crate) fn server(connector: &Connector<'_>, behind: &[u8]) -> (WebSocket<Client>, Self) {
        let (client, server) = tcp_pair();
        std::thread::scope(|scope| {
            let serving = scope.spawn(|| {
                let mut peer = Self::new(server);
                let head = peer.head();
                peer.send(&[response_to(&head), behind.to_vec()].concat());
                peer
            });
            let socket = ws_std::NetStream::try_from(client).unwrap();
            let mut ws = connector.connect_over("ws://localhost/", socket, |_| ()).unwrap();
            ws.set_read_timeout(Some(PATIENCE));
            (ws, serving.join().unwrap())
        })
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The head of a request or a response, and not a byte of what follows.
    pub(crate) fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.bytes(1));
        }
        String::from_utf8(head).unwrap()
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    pub(crate) fn frame(&mut self) -> RawFrame {
        let mut bytes = self.bytes(2);
        let extended = match bytes[1] & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        bytes.extend(self.bytes(extended));
        let announced = bytes[2..].iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
        let payload = if extended == 0 { usize::from(bytes[1] & 0x7F) } else { announced };
        let key = if bytes[1] & 0x80 == 0 { 0 } else { 4 };
        bytes.extend(self.bytes(key + payload));
        parse(&bytes).remove(0)
    }

    /// Everything up to the end; that it was a reset is an error.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).unwrap();
        rest
    }
}

/// The acceptance of the opening handshake with this head.
fn response_to(head: &str) -> Vec<u8> {
    let Ok(Head::Upgrade(request)) = Request::parse(head.as_bytes(), OriginPolicy::AllowAny) else {
        panic!("not a request for a connection: {head}");
    };
    let mut response = vec![0; 1_024];
    let len = request.upgrade().write_response(&Accept::new(), &mut response).unwrap();
    response.truncate(len);
    response
}

/// The code in the payload of a Close.
pub(crate) fn code(close: &RawFrame) -> u16 {
    assert_eq!(close.first, ws_tests::CLOSE);
    u16::from_be_bytes(*close.payload.first_chunk().unwrap())
}

/// A connection of ours to ours, each with its defaults, over any transports.
pub(crate) fn open_over<C: ws_std::Transport, S: ws_std::Transport>(
    client: C,
    server: S,
) -> (WebSocket<Client, C>, WebSocket<Server, S>) {
    open((&Connector::new(), client), (&Acceptor::new(), server))
}
