//! The server behind TLS, and the faults that it meets.

use core::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use ws_tokio::{Acceptor, CloseCode, Config, Connector, Message, NetStream};

use crate::{Echo, settings};

#[tokio::test]
async fn messages_of_every_size_are_echoed_through_tls() {
    let (server, client) = settings();
    let server = Echo::new(server, |server| server).await;
    let mut ws = Connector::new().tls(client).connect(&server.url()).await.unwrap();
    let version = ws.with_stream(|stream| stream.tls().and_then(|tls| tls.protocol_version())).flatten();
    assert_eq!(version, Some(ws_tokio::rustls::ProtocolVersion::TLSv1_3));
    for len in [0, 1, 125, 16 << 10, 100_000, 1 << 20] {
        let payload = ws_tests::noise(len);
        ws.send(&payload[..]).await.unwrap();
        assert!(ws.read().await.unwrap().unwrap().message == Message::Binary(&payload), "{len}");
    }
    assert!(ws.close(CloseCode::NORMAL, "").await.unwrap().clean);
    assert_eq!(server.stop().await, [""; 0]);
}

#[cfg(feature = "deflate")]
#[tokio::test]
async fn compressed_messages_go_through_tls() {
    let deflate = ws_tokio::deflate::Settings::small();
    let (server, client) = settings();
    let server = Echo::new(server, |server| server.acceptor(Acceptor::new().deflate(deflate))).await;
    let mut ws = Connector::new().deflate(deflate).tls(client).connect(&server.url()).await.unwrap();
    assert!(ws.is_compressed());
    let text = "the same again and again, ".repeat(10_000);
    ws.send(&text).await.unwrap();
    assert!(ws.read().await.unwrap().unwrap().message == Message::Text(&text));
}

#[tokio::test]
async fn clients_that_do_not_speak_tls_are_logged_and_end() {
    let (server, _) = settings();
    let server = Echo::new(server, |server| server).await;
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    // An alert of TLS, and the end.
    let _ = plain.read_to_end(&mut Vec::new()).await;
    let lines = server.stop().await;
    assert!(matches!(&lines[..], [line] if line.contains("does not speak TLS")), "{lines:?}");
}

#[tokio::test]
async fn a_client_that_leaves_without_a_byte_is_not_logged() {
    let (server, _) = settings();
    let server = Echo::new(server, |server| server).await;
    let mut health_check = TcpStream::connect(server.address).await.unwrap();
    health_check.shutdown().await.unwrap();
    assert_eq!(health_check.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    assert_eq!(server.stop().await, [""; 0]);
}

#[tokio::test]
async fn a_client_that_stops_in_the_handshake_is_given_up_at_the_deadline() {
    let (server, _) = settings();
    let mut config = Config::default();
    config.handshake_timeout = Some(Duration::from_millis(100));
    let server = Echo::new(server, |server| server.acceptor(Acceptor::new().config(config))).await;
    for sent in [&b""[..], b"\x16\x03\x01"] {
        let mut client = TcpStream::connect(server.address).await.unwrap();
        client.write_all(sent).await.unwrap();
        let _ = client.read_to_end(&mut Vec::new()).await;
    }
    let lines = server.stop().await;
    assert!(lines.len() == 2 && lines.iter().all(|line| line.contains("took too long")), "{lines:?}");
}

#[tokio::test]
async fn clients_over_the_limit_are_dropped() {
    let (server, client) = settings();
    let server = Echo::new(server, |server| server.max_connections(1)).await;
    let _first = Connector::new().tls(client.clone()).connect(&server.url()).await.unwrap();
    let mut second = TcpStream::connect(server.address).await.unwrap();
    assert_eq!(second.read_to_end(&mut Vec::new()).await.unwrap(), 0);
}

#[tokio::test]
async fn a_loop_of_ones_own_does_the_handshake_itself() {
    let (server, client) = settings();
    let (near, far) = crate::tcp().await;
    let serving = tokio::spawn(async move {
        let stream = NetStream::accept_tls(far, &server).await.unwrap();
        let mut ws = ws_tokio::accept(stream).await.unwrap();
        let mut received = ws.read().await.unwrap().unwrap();
        received.reply.send(received.message).await.unwrap();
        assert!(ws.read().await.unwrap().is_none());
    });
    let name = "localhost".try_into().unwrap();
    let stream = NetStream::connect_tls(near, &client, name).await.unwrap();
    let mut ws = Connector::new().connect_over("wss://localhost/", stream, |_| ()).await.unwrap();
    ws.send("hello").await.unwrap();
    assert_eq!(ws.read().await.unwrap().unwrap().message, Message::Text("hello"));
    ws.close(CloseCode::NORMAL, "").await.unwrap();
    serving.await.unwrap();
}
