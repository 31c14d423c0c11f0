//! Both peers send at the same time, more than their stream holds, and their memory stays within its bound.

use tokio::{
    io::{AsyncRead, AsyncWrite, duplex},
    net::{TcpListener, TcpStream},
};
use ws_proto::{Server, endpoint::Negotiated};
use ws_tokio::{
    Config, Message, OsEntropy, WebSocket,
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

async fn both<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    (left, right): (S, S),
    is_split: bool,
    (count, len): (usize, usize),
) {
    let (mut config, agreed) = (Config::default(), Negotiated::default());
    config.max_message_len = 4_000_000;
    let client = WebSocket::from_handshake(Client::new(OsEntropy), left, Vec::new(), agreed, &config);
    let server = WebSocket::from_handshake(Server, right, Vec::new(), agreed, &config);
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
