//! A connection as a stream of bytes.

use core::time::Duration;
use std::io::{self, ErrorKind};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, DuplexStream, copy, duplex, split},
    time::Instant,
};
use ws_proto::{Server, endpoint::Negotiated, role::Role};
use ws_tests::{BINARY, CLOSE, FIN, PING, PONG, TEXT, frame, masked, noise};
use ws_tokio::{ByteStream, CloseCode, Config, Exchange, HandlerResult, Message, WebSocket, role::Client};

use crate::{
    messages::pair,
    peer::{Peer, code},
};

type Bytes<R> = ByteStream<R, DuplexStream>;

/// Returns both ends of a tunnel over a stream that holds `len` bytes for each direction.
fn tunnel(len: usize) -> (Bytes<Client>, Bytes<Server>) {
    let (client, server) = pair(len);
    (client.into_byte_stream(), server.into_byte_stream())
}

/// Reads to the end, and checks that it stays.
async fn rest<R: Role>(stream: &mut Bytes<R>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    for _ in 0..3 {
        assert_eq!(stream.read(&mut [0]).await?, 0, "the end stays");
    }
    Ok(bytes)
}

/// Returns the error of reading to the end; it is of the same kind again.
async fn failure<R: Role>(stream: &mut Bytes<R>) -> io::Error {
    let error = stream.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(stream.read(&mut [0]).await.unwrap_err().kind(), error.kind());
    error
}

async fn send_and_shut<R: Role>(stream: &mut Bytes<R>, bytes: &[u8]) {
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(stream.pending_len(), 0, "all has left");
    assert_eq!(stream.write(b"more").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    stream.flush().await.unwrap();
    stream.shutdown().await.unwrap();
}

async fn end_one_after_the_other<A: Role, B: Role>(mut one: Bytes<A>, mut other: Bytes<B>) {
    let begun = Instant::now();
    let (first, second) = (noise(100_000), noise(70_000));
    let (_, read) = tokio::join!(send_and_shut(&mut one, &first), rest(&mut other));
    assert_eq!(read.unwrap(), first);
    // The other direction goes on for much longer than any timeout of a closing connection.
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let (_, read) = tokio::join!(send_and_shut(&mut other, &second), rest(&mut one));
    assert_eq!(read.unwrap(), second);
    assert_eq!(begun.elapsed().as_secs(), 3_600, "an end is seen at once");
    assert_eq!(one.close_frame(), Some((CloseCode::NORMAL, String::new())));
}

#[tokio::test(start_paused = true)]
async fn each_direction_has_its_own_end() {
    let (client, server) = tunnel(1_000);
    end_one_after_the_other(client, server).await;
    let (client, server) = tunnel(1_000);
    end_one_after_the_other(server, client).await;
}

#[tokio::test(start_paused = true)]
async fn the_halves_of_tokio_read_and_write_in_two_tasks() {
    async fn check<R: Role + Send + 'static>(stream: Bytes<R>) -> tokio::task::JoinHandle<()> {
        let (mut read, mut write) = split(stream);
        let reading = tokio::spawn(async move {
            let mut bytes = Vec::new();
            read.read_to_end(&mut bytes).await.unwrap();
            assert_eq!(bytes, noise(300_000));
        });
        tokio::spawn(async move {
            write.write_all(&noise(300_000)).await.unwrap();
            write.shutdown().await.unwrap();
            reading.await.unwrap();
        })
    }
    let (client, server) = tunnel(1_000);
    let (one, other) = (check(client).await, check(server).await);
    one.await.unwrap();
    other.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn payload_comes_in_parts_and_empty_messages_make_no_end() {
    let mut config = Config::new();
    config.max_message_len = u64::MAX;
    let (mut peer, ws) = Peer::client(4_096, &config);
    let mut stream = ws.into_byte_stream();
    let empty = [masked(FIN | BINARY, b""), masked(BINARY, b""), masked(FIN, b"")].concat();
    let big = ws_tests::header(BINARY, 1 << 40, Some([0; 4]));
    peer.send(&[empty, masked(PING, b"?"), masked(FIN | BINARY, b"hello"), big, b"wor".to_vec()].concat()).await;
    let mut bytes = [0; 5];
    stream.read_exact(&mut bytes[..2]).await.unwrap();
    stream.read_exact(&mut bytes[2..]).await.unwrap();
    assert_eq!(&bytes, b"hello");
    assert_eq!(stream.fill_buf().await.unwrap(), b"wor");
    assert_eq!(stream.fill_buf().await.unwrap(), b"wor", "it is lent again until it is consumed");
    stream.consume(2);
    assert_eq!(stream.fill_buf().await.unwrap(), b"r");
    stream.consume(1);
    peer.send(b"ld").await;
    assert_eq!(stream.fill_buf().await.unwrap(), b"ld");
    assert_eq!(peer.frame().await.first, PONG);
}

#[tokio::test(start_paused = true)]
async fn a_write_makes_binary_messages_of_16_kib_at_most() {
    let (client, mut server) = pair(200_000);
    let mut stream = client.into_byte_stream();
    let bytes = noise(40_000);
    stream.write_all(&bytes).await.unwrap();
    assert_eq!(stream.write(b"").await.unwrap(), 0, "no empty message");
    stream.flush().await.unwrap();
    for part in bytes.chunks(16 * 1_024) {
        assert_eq!(server.read().await.unwrap().unwrap().message, Message::Binary(part));
    }
    let mut nothing = core::pin::pin!(server.read());
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut nothing).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn written_bytes_leave_before_a_read_waits() {
    let (mut client, mut server) = tunnel(1_000);
    client.write_all(b"question").await.unwrap();
    let mut bytes = [0; 8];
    let (read, ()) = tokio::join!(client.read(&mut bytes), async {
        server.read_exact(&mut [0; 8]).await.unwrap();
        server.write_all(b"answer").await.unwrap();
        server.flush().await.unwrap();
    });
    assert_eq!(&bytes[..read.unwrap()], b"answer");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_a_close_at_once_ends_both_directions() {
    ws_tests::watch();
    let (client, mut server) = pair(1_000);
    let mut stream = client.into_byte_stream();
    let peer = tokio::spawn(async move {
        assert_eq!(server.read().await.unwrap().unwrap().message, Message::Binary(b"all"));
        assert!(server.read().await.unwrap().is_none());
    });
    send_and_shut(&mut stream, b"all").await;
    assert_eq!(rest(&mut stream).await.unwrap(), b"");
    peer.await.unwrap();

    // It closes first, and waits for an answer that comes with our end.
    let (mut client, server) = pair(1_000);
    let mut stream = server.into_byte_stream();
    let peer = tokio::spawn(async move { client.close(CloseCode::NO_STATUS, "").await });
    assert_eq!(rest(&mut stream).await.unwrap(), b"");
    stream.write_all(b"dropped by the peer").await.unwrap();
    stream.shutdown().await.unwrap();
    assert!(peer.await.unwrap().unwrap().clean);
}

#[tokio::test(start_paused = true)]
async fn a_text_message_is_refused_with_1003() {
    ws_tests::watch();
    for text in [masked(FIN | TEXT, b"hello"), masked(TEXT, b"hel")] {
        let (mut peer, ws) = Peer::client(4_096, &Config::new());
        let mut stream = ws.into_byte_stream();
        peer.send(&[masked(FIN | BINARY, b"bytes"), text, masked(FIN | BINARY, b"more")].concat()).await;
        let mut bytes = [0; 5];
        stream.read_exact(&mut bytes).await.unwrap();
        let ((), close) = tokio::join!(
            async {
                assert_eq!(stream.read(&mut bytes).await.unwrap_err().kind(), ErrorKind::InvalidData);
                assert!(stream.read(&mut bytes).await.is_err(), "it stays");
                assert_eq!(stream.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
                assert_eq!(stream.shutdown().await.unwrap_err().kind(), ErrorKind::BrokenPipe);
            },
            peer.frame()
        );
        assert_eq!(code(&close), 1_003);
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_with_another_code_is_an_error_that_names_it() {
    ws_tests::watch();
    for sent in [1_001_u16, 1_011, 4_001] {
        let (mut peer, ws) = Peer::client(4_096, &Config::new());
        let mut stream = ws.into_byte_stream();
        peer.send(
            &[masked(FIN | BINARY, b"x"), masked(CLOSE, &[&sent.to_be_bytes()[..], b"why"].concat())].concat(),
        )
        .await;
        let error = failure(&mut stream).await;
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(error.to_string().contains(&format!("{sent}: why")), "{error}");
        assert_eq!(code(&peer.frame().await), sent, "it is answered at once");
        assert_eq!(stream.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(stream.close_frame(), Some((CloseCode::new(sent), "why".to_owned())));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_cut_short_does_not_look_complete() {
    ws_tests::watch();
    // Without a Close, and with one inside of a message.
    for last in [masked(FIN | BINARY, b"x"), [masked(BINARY, b"x"), masked(CLOSE, &[])].concat()] {
        let (mut peer, ws) = Peer::client(4_096, &Config::new());
        let mut stream = ws.into_byte_stream();
        peer.send(&last).await;
        peer.stream.shutdown().await.unwrap();
        assert_eq!(failure(&mut stream).await.kind(), ErrorKind::UnexpectedEof);
        assert_eq!(stream.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
    let (mut client, server) = tunnel(1_000);
    drop(server);
    assert_eq!(failure(&mut client).await.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(client.shutdown().await.unwrap_err().kind(), ErrorKind::BrokenPipe);

    // Written bytes leave although nobody has flushed them, but the end is none.
    let (mut client, mut server) = tunnel(1_000);
    server.shutdown().await.unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    client.write_all(b"last").await.unwrap();
    drop(client);
    let mut bytes = Vec::new();
    assert_eq!(server.read_to_end(&mut bytes).await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(bytes, b"last");
}

#[tokio::test(start_paused = true)]
async fn an_end_that_the_transport_does_not_take_is_an_error() {
    let (client, peer) = Peer::server(10, &Config::new());
    let mut stream = client.into_byte_stream();
    stream.write_all(&[7; 100]).await.unwrap();
    let begun = Instant::now();
    assert_eq!(stream.shutdown().await.unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(begun.elapsed().as_secs(), 30, "the write timeout");
    drop(peer);
    assert_eq!(stream.shutdown().await.unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[tokio::test(start_paused = true)]
async fn what_came_before_the_connection_became_a_stream_is_read_from_it() {
    let (ours, stream) = duplex(4_096);
    let received = [masked(FIN | BINARY, b"early"), masked(CLOSE, &[])].concat();
    let ws = WebSocket::from_handshake(Server, ours, received, Negotiated::default(), &Config::new());
    let mut stream_of_bytes = ws.into_byte_stream();
    assert_eq!(rest(&mut stream_of_bytes).await.unwrap(), b"early");
    stream_of_bytes.shutdown().await.unwrap();
    assert_eq!(Peer { stream }.rest().await, frame(CLOSE, &1_000_u16.to_be_bytes()));
}

#[tokio::test(start_paused = true)]
async fn silence_after_one_end_has_the_limit_of_an_idle_connection() {
    let mut config = Config::new();
    config.idle_timeout = Some(Duration::from_secs(60));
    let (mut peer, ws) = Peer::client(4_096, &config);
    let mut stream = ws.into_byte_stream();
    stream.shutdown().await.unwrap();
    let begun = Instant::now();
    assert_eq!(code(&peer.frame().await), 1_000);
    tokio::time::sleep(Duration::from_secs(40)).await;
    peer.send(&masked(FIN | BINARY, b"x")).await;
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 1);
    assert_eq!(failure(&mut stream).await.kind(), ErrorKind::TimedOut);
    assert_eq!(begun.elapsed().as_secs(), 100);
}

#[cfg(feature = "deflate")]
#[tokio::test(start_paused = true)]
async fn compressed_bytes_go_through_a_tunnel() {
    let settings = ws_tokio::deflate::Settings::small();
    let (left, right) = duplex(1_000);
    let connecting = tokio::spawn(async move {
        let connector = ws_tokio::Connector::new().deflate(settings);
        connector.connect_over("ws://localhost/", left, |_| ()).await.unwrap()
    });
    let mut server = ws_tokio::Acceptor::new().deflate(settings).accept(right).await.unwrap();
    let mut client = connecting.await.unwrap();
    assert!(client.is_compressed() && server.is_compressed());
    let (mut client, mut server) = (client.into_byte_stream(), server.into_byte_stream());
    let sent: Vec<u8> = (0..300_000_u32).flat_map(|number| (number / 7).to_be_bytes()).collect();
    let (_, read) = tokio::join!(send_and_shut(&mut client, &sent), rest(&mut server));
    assert!(read.unwrap() == sent);
    let (_, read) = tokio::join!(send_and_shut(&mut server, &sent), rest(&mut client));
    assert!(read.unwrap() == sent);
}

#[tokio::test]
async fn bytes_are_echoed_over_tcp() {
    let (mut peer, ws) = Peer::tcp_client(&Config::new()).await;
    let (mut read, mut write) = split(ws.into_byte_stream());
    let echo = tokio::spawn(async move {
        copy(&mut read, &mut write).await.unwrap();
        write.shutdown().await.unwrap();
    });
    peer.send(&[masked(FIN | BINARY, b"hello"), masked(CLOSE, b"\x03\xE8")].concat()).await;
    assert_eq!(peer.rest().await, [frame(FIN | BINARY, b"hello"), frame(CLOSE, b"\x03\xE8")].concat());
    echo.await.unwrap();
}

async fn echo_bytes(exchange: Exchange) -> HandlerResult {
    let (mut read, mut write) = split(exchange.accept().await?.into_byte_stream());
    copy(&mut read, &mut write).await?;
    write.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn a_server_that_stops_resets_its_streams_of_bytes() {
    ws_tests::watch();
    let server = ws_tokio::Server::bind("127.0.0.1:0").await.unwrap();
    let (url, handle) = (format!("ws://{}/", server.local_addr().unwrap()), server.handle());
    let running = tokio::spawn(server.run(echo_bytes));
    let mut stream = ws_tokio::connect(&url).await.unwrap().into_byte_stream();
    stream.write_all(b"hello").await.unwrap();
    let mut bytes = [0; 5];
    stream.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"hello");
    handle.stop();
    let error = stream.read(&mut bytes).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(stream.close_frame().unwrap().0, CloseCode::GOING_AWAY);
    running.await.unwrap().unwrap();
}
