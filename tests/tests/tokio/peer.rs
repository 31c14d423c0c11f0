use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex},
    net::{TcpListener, TcpStream},
};
use ws_proto::{Server, endpoint::Negotiated};
use ws_tests::{RawFrame, parse};
use ws_tokio::{Config, OsEntropy, WebSocket, role::Client};

/// A peer that does what a test says, byte by byte.
pub(crate) struct Peer<S = TcpStream> {
    pub(crate) stream: S,
}

pub(crate) const REQUEST: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

impl Peer {
    /// Returns both ends of a TCP connection: the side that connected, as a peer, and the side that accepted.
    pub(crate) async fn tcp() -> (Self, TcpStream) {
        ws_tests::watch();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        (Self { stream }, listener.accept().await.unwrap().0)
    }

    /// Returns the client of one of our servers over TCP, and the server.
    pub(crate) async fn tcp_client(config: &Config) -> (Self, WebSocket<Server>) {
        let (peer, stream) = Self::tcp().await;
        (peer, WebSocket::from_handshake(Server, stream.into(), Vec::new(), Negotiated::default(), config))
    }

    /// Resets the connection.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(core::time::Duration::ZERO)).unwrap();
    }
}

impl Peer<DuplexStream> {
    /// Returns the client of one of our servers, over a stream that holds `capacity` bytes each way, and the server.
    pub(crate) fn client(capacity: usize, config: &Config) -> (Self, WebSocket<Server, DuplexStream>) {
        let (ours, stream) = duplex(capacity);
        (Self { stream }, WebSocket::from_handshake(Server, ours, Vec::new(), Negotiated::default(), config))
    }

    /// Returns one of our clients, over a stream that holds `capacity` bytes each way, and its server.
    pub(crate) fn server(capacity: usize, config: &Config) -> (WebSocket<Client, DuplexStream>, Self) {
        let (ours, stream) = duplex(capacity);
        let role = Client::new(OsEntropy);
        (WebSocket::from_handshake(role, ours, Vec::new(), Negotiated::default(), config), Self { stream })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Receives the head of a request or a response, and not a byte of what follows.
    pub(crate) async fn head(&mut self) -> String {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(self.bytes(1).await);
        }
        String::from_utf8(head).unwrap()
    }

    pub(crate) async fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.stream.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    pub(crate) async fn frame(&mut self) -> RawFrame {
        let mut bytes = self.bytes(2).await;
        let extended = match bytes[1] & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        bytes.extend(self.bytes(extended).await);
        let announced = bytes[2..].iter().fold(0, |len, byte| len << 8 | usize::from(*byte));
        let payload = if extended == 0 { usize::from(bytes[1] & 0x7F) } else { announced };
        let key = if bytes[1] & 0x80 == 0 { 0 } else { 4 };
        bytes.extend(self.bytes(key + payload).await);
        parse(&bytes).remove(0)
    }

    /// Receives everything up to the end; a reset is an error.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).await.unwrap();
        rest
    }
}

/// Returns the code in the payload of a Close.
pub(crate) fn code(close: &RawFrame) -> u16 {
    assert_eq!(close.first, ws_tests::CLOSE);
    u16::from_be_bytes(*close.payload.first_chunk().unwrap())
}
