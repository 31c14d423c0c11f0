//! The client's role.

use std::time::Duration;

use bytes::Bytes;
use h2::{
    client::{SendRequest, handshake},
    ext::Protocol,
};
use http::Request;
use tokio::{
    net::TcpStream,
    time::{Instant as Epoch, sleep},
};
use ws_hosts::{
    tokio_opening::OsEntropy,
    tokio_websocket::{Reader, Writer, split_open},
};
use ws_proto::{
    Client, CloseCode, Config, Instant,
    Message::{Binary, Text},
    client::{self, HttpVersion, Offer},
};

use crate::{
    AnyError,
    tunnel::{Tunnel, fields},
};

type Halves = (Reader<Client<OsEntropy>, Tunnel>, Writer<Client<OsEntropy>, Tunnel>);

/// Visits an echo server: several WebSockets on one connection, one of them given up; then another one.
pub(crate) async fn connect(url: &str) -> Result<(), AnyError> {
    let stream = TcpStream::connect(url.split('/').next().unwrap_or(url)).await?;
    stream.set_nodelay(true)?;
    let (client, connection) = handshake(stream).await?;
    let connection = tokio::spawn(connection);
    // The server's first SETTINGS tell.
    let mut patience = 5_000_u32;
    while !client.is_extended_connect_protocol_enabled() {
        patience = patience.checked_sub(1).ok_or("the server does not know RFC 8441")?;
        sleep(Duration::from_millis(1)).await;
    }
    let visited = async {
        tokio::try_join!(exchange(&client, url), exchange(&client, url), async {
            let (_, writer) = open(&client, url).await?;
            // Both halves are dropped: the stream is reset.
            Ok(writer.send(Text("in vain")).await?)
        })?;
        exchange(&client, url).await
    }
    .await;
    // A connection that nobody uses writes what is left, and ends.
    drop(client);
    connection.await??;
    visited
}

async fn exchange(client: &SendRequest<Bytes>, url: &str) -> Result<(), AnyError> {
    let (mut reader, writer) = open(client, url).await?;
    let exchanged = async {
        let big: Vec<_> = (0..=250).cycle().take(1 << 20).collect();
        for message in [Text("Grüße"), Binary(&big), Binary(&[]), Text("bye")] {
            writer.send(message).await?;
            assert_eq!(reader.read().await?.ok_or("closed too early")?, message, "not an echo");
        }
        writer.close(CloseCode::NORMAL, "")?;
        while reader.read().await?.is_some() {}
        Ok(())
    }
    .await;
    // However that went, the server gets to read our last words.
    reader.drain().await;
    exchanged
}

async fn open(client: &SendRequest<Bytes>, url: &str) -> Result<Halves, AnyError> {
    let offer = Offer::extended_connect(client::Request::new(url, "/"))?;
    let request = Request::connect(format!("http://{url}")).extension(Protocol::from_static("websocket"));
    let request = offer.fields().fold(request, |request, (name, value)| request.header(name, value.to_string()));
    let (response, sender) = client.clone().ready().await?.send_request(request.body(())?, false)?;
    let response = response.await?;
    let status = response.status();
    let accepted = offer.check(HttpVersion::Other, status.as_u16(), || fields(response.headers()))?;
    let acceptance = accepted.ok_or_else(|| format!("refused with status {status}"))?;
    let endpoint = acceptance.open(Client::new(OsEntropy), &Config::default(), Instant::ZERO);
    Ok(split_open(Tunnel::new(sender, response.into_body()), endpoint, Epoch::now()))
}
