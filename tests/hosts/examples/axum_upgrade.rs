//! A WebSocket under a route of `axum`: its HTTP stack reads the request and writes the response, ws-proto negotiates
//! from the fields, compression too, and ws-tokio drives the upgraded stream.
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
use tokio::net::TcpListener;
use ws_proto::{
    Server,
    endpoint::Negotiated,
    server::{Accept, HttpVersion, OriginPolicy, Rejection, negotiate},
};
use ws_tokio::{Config, WebSocket, deflate::Settings};

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
        Ok((response, negotiated)) => {
            tokio::spawn(echo(upgraded, negotiated));
            response
        }
        Err(rejection) => response(rejection.status(), rejection.fields(), rejection.body().into()),
    }
}

/// Returns the response that accepts a request, and the extensions that it agrees on.
fn accept(request: &Request) -> Result<(Response<Body>, Negotiated), Rejection> {
    let version = match request.version() {
        Version::HTTP_10 => HttpVersion::Http10,
        Version::HTTP_11 => HttpVersion::Http11,
        _ => HttpVersion::Other,
    };
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let fields = || request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let offer = negotiate(version, request.method().as_str(), authority, fields, OriginPolicy::AllowAny)?;
    let accept = Accept::new().subprotocol(offer.favourite()).deflate(offer.deflate(&Settings::small()));
    let acceptance = offer.accept(&accept).expect("no fields are added");
    let response = response(acceptance.status(), acceptance.fields(), Body::empty());
    Ok((response, acceptance.negotiated()))
}

fn response<'f>(status: u16, fields: impl Iterator<Item = (&'f str, &'f str)>, body: Body) -> Response<Body> {
    let response = Response::builder().status(status);
    let response = fields.fold(response, |response, (name, value)| response.header(name, value));
    response.body(body).expect("the fields are valid")
}

async fn echo(upgraded: OnUpgrade, negotiated: Negotiated) -> anyhow::Result<()> {
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    let stream = TokioIo::new(upgraded.await?);
    let mut ws = WebSocket::from_handshake(Server, stream, Vec::new(), negotiated, &config);
    while let Some(mut received) = ws.read().await? {
        received.reply.queue(received.message).await?;
    }
    Ok(())
}
