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
    http::{Response, Version},
    routing::any,
    serve::ListenerExt,
};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, time::Instant};
use ws_hosts::tokio_websocket::split_open;
use ws_proto::{
    Config, Endpoint, Server,
    server::{Accept, HttpVersion, OriginPolicy, Rejection, negotiate},
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
        Ok((response, endpoint)) => {
            tokio::spawn(echo(upgraded, endpoint));
            response
        }
        Err(rejection) => response(rejection.status(), rejection.fields(), rejection.body().into()),
    }
}

/// The response that accepts a request, with no extension, and the endpoint of what follows.
fn accept(request: &Request) -> Result<(Response<Body>, Endpoint<Server>), Rejection> {
    let version = match request.version() {
        Version::HTTP_10 => HttpVersion::Http10,
        Version::HTTP_11 => HttpVersion::Http11,
        _ => HttpVersion::Other,
    };
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let fields = || request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let offer = negotiate(version, request.method().as_str(), authority, fields, OriginPolicy::AllowAny)?;
    let accept = Accept::new().subprotocol(offer.favourite());
    let acceptance = offer.accept(&accept).expect("no fields are added");
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    let endpoint = acceptance.open(&config, ws_proto::Instant::ZERO);
    Ok((response(acceptance.status(), acceptance.fields(), Body::empty()), endpoint))
}

fn response<'f>(status: u16, fields: impl Iterator<Item = (&'f str, &'f str)>, body: Body) -> Response<Body> {
    let response = Response::builder().status(status);
    let response = fields.fold(response, |response, (name, value)| response.header(name, value));
    response.body(body).expect("the fields are valid")
}

async fn echo(upgraded: OnUpgrade, endpoint: Endpoint<Server>) -> io::Result<()> {
    let epoch = Instant::now();
    let stream = TokioIo::new(upgraded.await.map_err(io::Error::other)?);
    let (reader, writer) = split_open(stream, endpoint, epoch);
    // Refused once the connection is closing: then nobody waits for an echo.
    reader.read_to_end(|message| writer.queue(message).unwrap_or(())).await
}
