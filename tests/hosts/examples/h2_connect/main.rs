//! WebSockets over HTTP/2 (RFC 8441): many of them on one connection, as server and as client, on `h2`.
//!
//! An extended CONNECT makes a stream of HTTP/2 a tunnel, and a tunnel is one more stream of `tokio`: its end is
//! END_STREAM, its failure RST_STREAM, and its windows are its back pressure. What runs on it is the same
//! endpoint, without a key and without an upgrade. `tests/hosts/h2` runs both roles against Node's HTTP/2.
//!
//! ```sh
//! cargo run -p ws-hosts --example h2_connect serve 127.0.0.1:9001
//! cargo run -p ws-hosts --example h2_connect connect 127.0.0.1:9001/chat
//! ```

mod client;
mod tunnel;

use std::error::Error;

use bytes::Bytes;
use h2::{
    RecvStream,
    ext::Protocol,
    server::{self, SendResponse},
};
use http::{HeaderValue, Request, Response};
use tokio::net::TcpListener;
use tunnel::{Halves, Tunnel, fields};
use ws_proto::{
    Negotiated, Server,
    server::{OriginPolicy, negotiate_extended_connect},
};

type AnyError = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", address] => serve(address).await,
        ["connect", url] => client::connect(url).await,
        _ => Err("usage: h2_connect serve ADDR | connect ADDR[/PATH]".into()),
    }
}

/// Echoes on every stream of every connection.
async fn serve(address: &str) -> Result<(), AnyError> {
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
                    match echo(request, respond).await {
                        Ok(()) => println!("{path}: closed"),
                        Err(error) => println!("{path}: {error}"),
                    }
                });
            }
            Ok::<_, h2::Error>(())
        });
    }
}

async fn echo(request: Request<RecvStream>, respond: SendResponse<Bytes>) -> Result<(), AnyError> {
    let (mut reader, writer) = accept(request, respond)?;
    while let Some(message) = reader.read().await? {
        // Refused once the connection is closing: then nobody waits for an echo.
        let _ = writer.queue(message);
    }
    Ok(())
}

fn accept(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result<Halves<Server>, AnyError> {
    let (head, receiver) = request.into_parts();
    let authority = head.uri.authority().map_or("", |authority| authority.as_str());
    let offer = match head.extensions.get::<Protocol>().map(Protocol::as_str) {
        Some("websocket") => {
            negotiate_extended_connect(authority, || fields(&head.headers), OriginPolicy::SameHost)
                .map_err(|error| (error.status(), error.into()))
        }
        _ => Err((501, AnyError::from("neither a WebSocket nor anything else that is served"))),
    };
    match offer {
        Ok(offer) => {
            let mut response = Response::new(());
            if let Some(subprotocol) = offer.select(&["echo"]) {
                let name = HeaderValue::from_str(subprotocol.as_str())?;
                response.headers_mut().insert("sec-websocket-protocol", name);
            }
            Ok(Tunnel::open(respond.send_response(response, false)?, receiver, Server, Negotiated::default()))
        }
        Err((status, error)) => {
            respond.send_response(Response::builder().status(status).body(())?, true)?;
            Err(error)
        }
    }
}
