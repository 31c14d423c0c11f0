//! The client's role.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use h2::{
    client::{SendRequest, handshake},
    ext::Protocol,
};
use http::Request;
use tokio::{net::TcpStream, time::sleep};
use ws_proto::{
    Message::{Binary, Text},
    client::HttpVersion,
};
use ws_tokio::{CloseCode, Connector, WebSocket, role::Client};

use crate::tunnel::{Tunnel, fields};

/// Visits an echo server: several WebSockets on one connection, one of them given up; then another one.
pub(crate) async fn connect(url: &str) -> anyhow::Result<()> {
    let stream = TcpStream::connect(url.split('/').next().unwrap_or(url)).await?;
    stream.set_nodelay(true)?;
    let (client, connection) = handshake(stream).await?;
    let connection = tokio::spawn(connection);
    // The server's first SETTINGS tell.
    let mut patience = 5_000_u32;
    while !client.is_extended_connect_protocol_enabled() {
        patience = patience.checked_sub(1).context("the server does not know RFC 8441")?;
        sleep(Duration::from_millis(1)).await;
    }
    let visited = async {
        tokio::try_join!(exchange(&client, url), exchange(&client, url), async {
            let mut ws = open(&client, url).await?;
            // The connection is dropped: the stream is reset.
            Ok(ws.send(Text("in vain")).await?)
        })?;
        exchange(&client, url).await
    }
    .await;
    // A connection that nobody uses writes what is left, and ends.
    drop(client);
    connection.await??;
    visited
}

async fn exchange(client: &SendRequest<Bytes>, url: &str) -> anyhow::Result<()> {
    let mut ws = open(client, url).await?;
    let big: Vec<_> = (0..=250).cycle().take(1 << 20).collect();
    for message in [Text("Grüße"), Binary(&big), Binary(&[]), Text("bye")] {
        ws.send(message).await?;
        let received = ws.read().await?.context("closed too early")?;
        assert_eq!(received.message, message, "not an echo");
    }
    ws.close(CloseCode::NORMAL, "").await?;
    Ok(())
}

async fn open(client: &SendRequest<Bytes>, url: &str) -> anyhow::Result<WebSocket<Client, Tunnel>> {
    let connector = Connector::new();
    let offer = connector.extended_connect()?;
    let request = Request::connect(format!("http://{url}")).extension(Protocol::from_static("websocket"));
    let request = offer.fields().fold(request, |request, (name, value)| request.header(name, value.to_string()));
    let (response, sender) = client.clone().ready().await?.send_request(request.body(())?, false)?;
    let response = response.await?;
    let status = response.status();
    let accepted = offer.check(HttpVersion::Other, status.as_u16(), || fields(response.headers()))?;
    let acceptance = accepted.with_context(|| format!("refused with status {status}"))?;
    Ok(connector.agree(&acceptance).open(Tunnel::new(sender, response.into_body())))
}
