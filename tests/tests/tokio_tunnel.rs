//! Tunnels: two streams of bytes, joined by a connection of ws-tokio.

use tokio::io::{
    AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, copy_bidirectional, duplex, split,
};
use ws_proto::{Server, endpoint::Negotiated, role::Role};
use ws_tokio::{ByteStream, Config, OsEntropy, WebSocket, role::Client};

/// Joins two streams by a connection over a stream that holds `len` bytes for each direction. Returns their other ends.
fn tunnel(len: usize) -> (DuplexStream, DuplexStream) {
    async fn join<R: Role>(mut bytes: ByteStream<R, DuplexStream>, mut local: DuplexStream) {
        copy_bidirectional(&mut bytes, &mut local).await.unwrap();
    }
    let (near, far) = duplex(len);
    let (config, agreed) = (Config::default(), Negotiated::default());
    let client = WebSocket::from_handshake(Client::new(OsEntropy), near, Vec::new(), agreed, &config);
    let server = WebSocket::from_handshake(Server, far, Vec::new(), agreed, &config);
    let ((left, near), (far, right)) = (duplex(64 * 1_024), duplex(64 * 1_024));
    tokio::spawn(join(client.into_byte_stream(), near));
    tokio::spawn(join(server.into_byte_stream(), far));
    (left, right)
}

/// Returns the number of bytes to pass through a tunnel: all of them take too long without optimization.
fn tunnel_len() -> u64 {
    if cfg!(debug_assertions) { 64 << 20 } else { 1 << 30 }
}

async fn send_pattern(mut to: WriteHalf<DuplexStream>, len: u64) {
    let pattern: Vec<u8> = (0..251).cycle().take(251 * 256).collect();
    let mut left = len;
    while left > 0 {
        let piece = &pattern[..pattern.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
        to.write_all(piece).await.unwrap();
        left -= piece.len() as u64;
    }
    to.shutdown().await.unwrap();
}

async fn check_pattern(mut from: ReadHalf<DuplexStream>, len: u64) {
    let pattern: Vec<u8> = (0..251).cycle().take(251 * 256 + 251).collect();
    let (mut seen, mut piece) = (0_u64, vec![0; 251 * 256]);
    loop {
        let read = from.read(&mut piece).await.unwrap();
        if read == 0 {
            break;
        }
        let at = usize::try_from(seen % 251).unwrap();
        assert!(piece[..read] == pattern[at..at + read], "bytes after {seen}");
        seen += read as u64;
    }
    assert_eq!(seen, len);
}

#[tokio::test]
async fn a_gibibyte_goes_through_copy_bidirectional_and_both_ends_are_seen() {
    ws_tests::watch();
    let (left, right) = tunnel(64 * 1_024);
    let ((left_read, left_write), (right_read, right_write)) = (split(left), split(right));
    let len = tunnel_len();
    // The small direction ends first: what follows is half-closed.
    tokio::join!(
        send_pattern(left_write, len),
        check_pattern(right_read, len),
        send_pattern(right_write, 1_000),
        check_pattern(left_read, 1_000),
    );
}

#[tokio::test(start_paused = true)]
async fn an_answer_after_the_others_end_goes_through_copy_bidirectional() {
    let (mut left, mut right) = tunnel(1_000);
    left.write_all(b"question").await.unwrap();
    left.shutdown().await.unwrap();
    let mut question = String::new();
    right.read_to_string(&mut question).await.unwrap();
    right.write_all(format!("answer to {question}").as_bytes()).await.unwrap();
    right.shutdown().await.unwrap();
    let mut answer = String::new();
    left.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "answer to question");
}
