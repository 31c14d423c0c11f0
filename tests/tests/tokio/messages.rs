//! Messages between two ends of a connection in memory.

use futures_util::{SinkExt, StreamExt};
use tokio::io::DuplexStream;
use ws_proto::{Server, endpoint::Negotiated};
use ws_tokio::{CloseCode, Config, Message, OsEntropy, OwnedMessage, WebSocket, role::Client};

/// Returns two ends of an open connection, whose stream holds `len` bytes for each direction.
pub(crate) fn pair(len: usize) -> (WebSocket<Client, DuplexStream>, WebSocket<Server, DuplexStream>) {
    let (left, right) = tokio::io::duplex(len);
    let (config, agreed) = (Config::default(), Negotiated::default());
    let client = WebSocket::from_handshake(Client::new(OsEntropy), left, Vec::new(), agreed, &config);
    (client, WebSocket::from_handshake(Server, right, Vec::new(), agreed, &config))
}

#[tokio::test]
async fn messages_are_echoed_and_both_sides_close() {
    let (mut client, mut server) = pair(1_000);
    let echo = tokio::spawn(async move {
        while let Some(mut received) = server.read().await? {
            received.reply.queue(received.message).await?;
        }
        ws_tokio::Result::Ok(server.close_frame())
    });
    for len in [0, 1, 125, 126, 65_535, 65_536, 300_000] {
        let payload = vec![7; len];
        client.send(&*payload).await.unwrap();
        let received = client.read().await.unwrap().unwrap();
        assert_eq!(received.message, Message::Binary(&payload));
    }
    let closed = client.close(CloseCode::NORMAL, "enough").await.unwrap();
    assert!(closed.clean);
    assert_eq!(echo.await.unwrap().unwrap(), Some((CloseCode::NORMAL, "enough".to_owned())));
}

#[tokio::test]
async fn a_connection_is_a_stream_and_a_sink() {
    let (mut client, server) = pair(1_000);
    let echo = tokio::spawn(async move {
        let (reader, writer) = server.split();
        reader.forward(writer).await
    });
    for text in ["", "hello", "ünïcödé"] {
        SinkExt::send(&mut client, OwnedMessage::from(text)).await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), OwnedMessage::from(text));
    }
    SinkExt::close(&mut client).await.unwrap();
    assert!(client.next().await.is_none());
    echo.await.unwrap().unwrap();
}
