//! The client's role.

use std::time::Duration;

use bytes::Bytes;
use h2::{
    client::{SendRequest, handshake},
    ext::Protocol,
};
use http::{Method, Request};
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use ws_hosts::tokio_opening::OsEntropy;
use ws_proto::{Client, CloseCode, Message, client};

use crate::{
    AnyError,
    tunnel::{Halves, Tunnel, fields},
};

/// Visits an echo server.
pub(crate) async fn connect(url: &str) -> Result<(), AnyError> {
    let address = url.split('/').next().unwrap_or(url);
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (client, connection) = handshake(stream).await?;
    let connection = tokio::spawn(connection);
    let visited = visit(&client, url).await;
    // A connection that nobody uses writes what is left, and ends.
    drop(client);
    connection.await??;
    visited
}

/// Several WebSockets on one connection, one of them given up; then another one.
async fn visit(client: &SendRequest<Bytes>, url: &str) -> Result<(), AnyError> {
    // The server's first SETTINGS tell whether it knows RFC 8441.
    timeout(Duration::from_secs(5), async {
        while !client.is_extended_connect_protocol_enabled() {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .map_err(|_| "the server does not know RFC 8441")?;
    tokio::try_join!(exchange(client, url), exchange(client, url), async {
        let (_, writer) = open(client, url).await?;
        // Both halves are dropped: the stream is reset.
        Ok(writer.send(Message::Text("in vain")).await?)
    })?;
    exchange(client, url).await
}

async fn exchange(client: &SendRequest<Bytes>, url: &str) -> Result<(), AnyError> {
    let (mut reader, writer) = open(client, url).await?;
    let big: Vec<_> = (0..=250).cycle().take(1 << 20).collect();
    for message in [Message::Text("Grüße"), Message::Binary(&big), Message::Binary(&[]), Message::Text("bye")] {
        writer.send(message).await?;
        let echo = reader.read().await?.ok_or("closed too early")?;
        println!("{} bytes have come back", echo.as_bytes().len());
        if echo != message {
            return Err("not what was sent".into());
        }
    }
    writer.close(CloseCode::NORMAL, "")?;
    while reader.read().await?.is_some() {}
    println!("closed");
    Ok(())
}

async fn open(client: &SendRequest<Bytes>, url: &str) -> Result<Halves<Client<OsEntropy>>, AnyError> {
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://{url}"))
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13");
    let (response, sender) = client.clone().ready().await?.send_request(request.body(())?, false)?;
    let response = response.await?;
    if !response.status().is_success() {
        return Err(format!("refused with status {}", response.status()).into());
    }
    // What has not been offered can't be chosen.
    let offer = client::Request::new("", "");
    let (_, negotiated) = offer.answer_extended_connect(|| fields(response.headers()))?;
    Ok(Tunnel::open(sender, response.into_body(), Client::new(OsEntropy), negotiated))
}
