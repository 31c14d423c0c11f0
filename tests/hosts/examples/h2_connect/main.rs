//! WebSockets over HTTP/2 (RFC 8441): many of them on one connection, as server and as client, on `h2`.
//!
//! An extended CONNECT makes a stream of HTTP/2 a tunnel, and a tunnel is one more stream of `tokio`: its end is
//! END_STREAM, its failure RST_STREAM, and its windows are its back pressure. ws-tokio drives it as any
//! other, without a key and without an upgrade. `tests/hosts/h2` runs both roles against Node's HTTP/2.
//!
//! ```sh
//! cargo run -p ws-hosts --example h2_connect serve 127.0.0.1:9001
//! cargo run -p ws-hosts --example h2_connect connect 127.0.0.1:9001/chat
//! ```

mod client;
mod tunnel;

use anyhow::bail;
use bytes::Bytes;
use h2::{
    RecvStream,
    ext::Protocol,
    server::{self, SendResponse},
};
use http::{Request, Response};
use tokio::net::TcpListener;
use tunnel::{Tunnel, fields};
use ws_proto::{
    Server,
    server::{Accept, OriginPolicy, negotiate_extended_connect},
};
use ws_tokio::{Config, WebSocket};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", address] => serve(address).await,
        ["connect", url] => client::connect(url).await,
        _ => bail!("usage: h2_connect serve ADDR | connect ADDR[/PATH]"),
    }
}

/// Echoes on every stream of every connection.
async fn serve(address: &str) -> anyhow::Result<()> {
    let listener = TcpListener::bind(address).await?;
    println!("listening on http://{}/", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            let mut connection = server::Builder::new().enable_connect_protocol().handshake(stream).await?;
            while let Some((request, respond)) = connection.accept().await.transpose()? {
                tokio::spawn(async move {
                    let path = request.uri().path().to_owned();
                    println!(
                        "{path}: {}",
                        echo(request, respond).await.unwrap_or_else(|error| format!("{error:#}"))
                    );
                });
            }
            Ok::<_, h2::Error>(())
        });
    }
}

/// Echoes until the end, and returns how that came.
async fn echo(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> anyhow::Result<String> {
    let (head, receiver) = request.into_parts();
    if head.extensions.get::<Protocol>().map(Protocol::as_str) != Some("websocket") {
        respond.send_response(Response::builder().status(501).body(())?, true)?;
        bail!("neither a WebSocket nor anything else that is served");
    }
    let authority = head.uri.authority().map_or("", |authority| authority.as_str());
    let offer = match negotiate_extended_connect(authority, || fields(&head.headers), OriginPolicy::SameHost) {
        Ok(offer) => offer,
        Err(rejection) => {
            let mut sender = respond.send_response(response(rejection.status(), rejection.fields())?, false)?;
            sender.send_data(Bytes::from_static(rejection.body().as_bytes()), true)?;
            return Err(rejection.into());
        }
    };
    let acceptance = offer.accept(&Accept::new().subprotocol(offer.select(&["echo"])))?;
    let sender = respond.send_response(response(acceptance.status(), acceptance.fields())?, false)?;
    let tunnel = Tunnel::new(sender, receiver);
    let mut ws =
        WebSocket::from_handshake(Server, tunnel, Vec::new(), acceptance.negotiated(), &Config::default());
    while let Some(mut received) = ws.read().await? {
        received.reply.queue(received.message).await?;
    }
    Ok("closed".to_owned())
}

fn response<'f>(status: u16, fields: impl Iterator<Item = (&'f str, &'f str)>) -> http::Result<Response<()>> {
    fields.fold(Response::builder().status(status), |head, (name, value)| head.header(name, value)).body(())
}
