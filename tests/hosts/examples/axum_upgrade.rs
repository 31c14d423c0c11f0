//! A WebSocket under a route of `axum`: its HTTP stack reads the request and writes the response, ws-proto negotiates
//! from the fields, and the upgraded stream is driven like any other.
//!
//! ```sh
//! cargo run --release -p ws-hosts --example axum_upgrade 127.0.0.1:9001
//! ```

use std::io;

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{Response, StatusCode, header},
    routing::any,
    serve::ListenerExt,
};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, time::Instant};
use ws_hosts::tokio_websocket::split;
use ws_proto::{
    Config, Endpoint, HandshakeError, Negotiated, Output, Server,
    server::{OriginPolicy, negotiate},
};

#[tokio::main]
async fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let listener = TcpListener::bind(&address).await?;
    println!("listening on ws://{}/", listener.local_addr()?);
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    axum::serve(listener, Router::new().route("/", any(upgrade))).await
}

async fn upgrade(mut request: Request) -> Response<Body> {
    let upgraded = hyper::upgrade::on(&mut request);
    match accept(&request) {
        Ok(response) => {
            tokio::spawn(echo(upgraded));
            response
        }
        Err(error) => {
            let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
            let response = Response::builder().status(status).header("Sec-WebSocket-Version", "13");
            response.body(error.to_string().into()).expect("the fields are valid")
        }
    }
}

/// The response that accepts a request, with no extension.
fn accept(request: &Request) -> Result<Response<Body>, HandshakeError> {
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let fields = || request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let (offer, upgrade) = negotiate(request.method().as_str(), authority, fields, OriginPolicy::AllowAny)?;
    let mut response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::UPGRADE, "websocket")
        .header(header::CONNECTION, "Upgrade")
        .header(header::SEC_WEBSOCKET_ACCEPT, upgrade.accept_key().as_slice());
    if let Some(subprotocol) = offer.select(&["echo"]) {
        response = response.header(header::SEC_WEBSOCKET_PROTOCOL, subprotocol.as_str());
    }
    Ok(response.body(Body::empty()).expect("the fields are valid"))
}

async fn echo(upgraded: OnUpgrade) -> io::Result<()> {
    let stream = TokioIo::new(upgraded.await.map_err(io::Error::other)?);
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    let epoch = Instant::now();
    let endpoint = Endpoint::new(Server, &config, Negotiated::default(), ws_proto::Instant::ZERO);
    let (mut reader, writer) = split(stream, endpoint, Output::new(), Vec::new(), epoch);
    let result = loop {
        match reader.read().await {
            // Refused once the connection is closing: then nobody waits for an echo.
            Ok(Some(message)) => drop(writer.queue(message)),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    reader.drain().await;
    result
}
