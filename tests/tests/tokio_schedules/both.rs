//! Both peers send at the same time, more than their stream holds, and their memory stays within its bound.

use core::time::Duration;
use std::io;

use tokio::{
    io::{AsyncRead, AsyncWrite, duplex},
    net::{TcpListener, TcpStream},
    time::Instant,
};
use ws_proto::{Server, endpoint::Negotiated};
use ws_tokio::{
    Config, Error, Message, OsEntropy, Part, Reader, WebSocket,
    role::{Client, Role},
};

/// The formula in the documentation of `WebSocket`, for messages of `len` bytes.
const fn bound(len: usize) -> usize {
    2 * len + 64 * 1024 + (64 * 1024 + len + 14)
}

async fn send_then_read<R: Role, S: AsyncRead + AsyncWrite + Unpin>(
    mut ws: WebSocket<R, S>,
    count: usize,
    len: usize,
) {
    let payload = vec![7; len];
    let mut most = 0;
    for _ in 0..count {
        ws.send(&*payload).await.unwrap();
        most = most.max(ws.held_bytes());
        let received = ws.read().await.unwrap().unwrap();
        assert_eq!(received.message, Message::Binary(&payload));
        most = most.max(ws.held_bytes());
    }
    assert!(most <= bound(len), "{most} bytes held for messages of {len}");
}

async fn send_and_read<R, S>(ws: WebSocket<R, S>, count: usize, len: usize)
where
    R: Role + Send + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut reader, mut writer) = ws.split();
    let writing = tokio::spawn(async move {
        let payload = vec![7; len];
        for _ in 0..count {
            writer.send(&*payload).await.unwrap();
            assert!(writer.pending_len() <= 64 * 1024 + len + 14);
        }
    });
    for _ in 0..count {
        assert_eq!(reader.read().await.unwrap().unwrap().as_bytes().len(), len);
    }
    writing.await.unwrap();
}

/// Opens a connection for messages of 4 MB.
fn pair<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    (left, right): (S, S),
) -> (WebSocket<Client, S>, WebSocket<Server, S>) {
    let (mut config, agreed) = (Config::default(), Negotiated::default());
    config.max_message_len = 4_000_000;
    let client = WebSocket::from_handshake(Client::new(OsEntropy), left, Vec::new(), agreed, &config);
    (client, WebSocket::from_handshake(Server, right, Vec::new(), agreed, &config))
}

async fn both<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    streams: (S, S),
    is_split: bool,
    (count, len): (usize, usize),
) {
    let (client, server) = pair(streams);
    if is_split {
        tokio::join!(send_and_read(client, count, len), send_and_read(server, count, len));
    } else {
        tokio::join!(send_then_read(client, count, len), send_then_read(server, count, len));
    }
}

async fn over_tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (left, right) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    (left.unwrap(), right.unwrap().0)
}

const LOADS: [(usize, usize); 2] = [(20, 4_000_000), (200, 65_536)];

/// Reads a message in parts.
async fn read_parts<R: Role, S: AsyncRead + AsyncWrite + Unpin>(reader: &mut Reader<R, S>) -> usize {
    let mut len = 0;
    loop {
        let data = reader.read_part().await.unwrap().unwrap();
        len += data.as_bytes().len();
        if matches!(data.part(), Part::Whole | Part::Last) {
            return len;
        }
    }
}

async fn send_and_read_parts<R: Role, S: AsyncRead + AsyncWrite + Unpin>(ws: WebSocket<R, S>, payload: &[u8]) {
    let (mut reader, mut writer) = ws.split();
    let (sent, len) = tokio::join!(writer.send(payload), read_parts(&mut reader));
    sent.unwrap();
    assert_eq!(len, payload.len());
}

#[tokio::test]
async fn both_peers_may_send_at_once_and_read_in_parts_if_they_are_split() {
    let payload = vec![7; 4_000_000];
    let (client, server) = pair(duplex(65_536));
    tokio::join!(send_and_read_parts(client, &payload), send_and_read_parts(server, &payload));
}

#[tokio::test(start_paused = true)]
async fn peers_that_read_in_parts_and_both_send_end_at_the_write_deadline_if_they_are_not_split() {
    let payload = vec![7; 4_000_000];
    let (mut client, mut server) = pair(duplex(65_536));
    let (sent, received) = tokio::join!(client.send("hello"), server.read_part());
    sent.unwrap();
    assert_eq!(received.unwrap().unwrap().data.as_bytes(), b"hello");
    let (sent, received) = tokio::join!(server.send("hello"), client.read_part());
    sent.unwrap();
    assert_eq!(received.unwrap().unwrap().data.as_bytes(), b"hello");
    let begun = Instant::now();
    let sent = tokio::join!(client.send(&*payload), server.send(&*payload));
    for sent in <[_; 2]>::from(sent) {
        assert!(matches!(sent, Err(Error::Io(error)) if error.kind() == io::ErrorKind::TimedOut));
    }
    assert!(begun.elapsed() < Duration::from_secs(120), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn both_peers_may_send_at_once_over_memory() {
    for load in LOADS {
        both(duplex(65_536), false, load).await;
        both(duplex(65_536), true, load).await;
    }
}

#[tokio::test]
async fn both_peers_may_send_at_once_over_tcp() {
    for load in LOADS {
        both(over_tcp().await, false, load).await;
        both(over_tcp().await, true, load).await;
    }
}
