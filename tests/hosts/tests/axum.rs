//! The extractor of ws-tokio in a server on axum: over HTTP/1.1, over HTTP/2, and when the server stops.

use std::net::SocketAddr;

use axum::{Router, response::Response, routing::any};
use hyper::{
    Method, Request, StatusCode, Version, body::Incoming, client::conn::http2, ext::Protocol, service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::ServiceExt;
use ws_proto::{
    client::{self, HttpVersion, Offer},
    server::OriginPolicy,
};
use ws_tokio::{
    CloseCode, ConnectError, Connector, Message, OsEntropy, Tracker, WebSocket, axum::WebSocketUpgrade,
    deflate::Settings, role::Client,
};

/// Echoes, in the subprotocol `b`, to pages of the same host and of `https://example.com`.
async fn echo(upgrade: WebSocketUpgrade, tracker: Tracker) -> Response {
    let upgrade = upgrade.subprotocols(["b", "c"]).deflate(Settings::small()).tracker(&tracker);
    upgrade.origin(OriginPolicy::allow(&["https://example.com"]).unwrap()).on_open(async |mut ws| {
        assert_eq!(ws.subprotocol(), Some("b"));
        while let Some(mut received) = ws.read().await? {
            received.reply.queue(received.message).await?;
        }
        Ok(())
    })
}

/// Serves HTTP/1.1 and HTTP/2 with extended CONNECT on any port.
async fn serve(tracker: &Tracker) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tracker = tracker.clone();
    let router = Router::new().route("/", any(move |upgrade| echo(upgrade, tracker.clone())));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let router = router.clone();
            tokio::spawn(async move {
                let mut builder = auto::Builder::new(TokioExecutor::new());
                builder.http2().enable_connect_protocol();
                let service = service_fn(move |request: Request<Incoming>| router.clone().oneshot(request));
                // An error means that the client has gone.
                let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
            });
        }
    });
    address
}

async fn check_echo<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(ws: &mut WebSocket<Client, S>) {
    let long = "again and ".repeat(10_000);
    for text in ["", "hello", &long] {
        ws.send(text).await.unwrap();
        assert_eq!(ws.read().await.unwrap().unwrap().message, Message::Text(text));
    }
}

#[tokio::test]
async fn a_client_of_http_1_1_opens_a_connection_with_all_that_it_asks_for() {
    let address = serve(&Tracker::new()).await;
    let connector = Connector::new().subprotocols(&["a", "b"]).deflate(Settings::small());
    let connector = connector.origin("https://example.com");
    let mut compressed = false;
    let url = format!("ws://{address}/");
    let seen =
        |response: &client::Response<'_, '_>| compressed = response.header("sec-websocket-extensions").is_some();
    let mut ws = connector.connect_with(&url, seen).await.unwrap();
    assert!(compressed);
    assert_eq!(ws.subprotocol(), Some("b"));
    check_echo(&mut ws).await;
    assert!(ws.close(CloseCode::NORMAL, "").await.unwrap().clean);
}

#[tokio::test]
async fn a_page_that_is_not_admitted_is_refused_with_403() {
    let address = serve(&Tracker::new()).await;
    let refused = Connector::new().origin("https://example.org").connect(&format!("ws://{address}/")).await;
    assert!(matches!(refused, Err(ConnectError::Refused(refused)) if refused.status() == 403));
}

#[tokio::test]
async fn a_request_for_a_page_or_of_another_version_is_told_what_to_ask_for() {
    let address = serve(&Tracker::new()).await;
    for (fields, status, field) in [
        ("", "426", "upgrade: websocket"),
        (
            "Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 12\r\n",
            "426",
            "sec-websocket-version: 13",
        ),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let connection = if fields.is_empty() { "close" } else { "Upgrade" };
        let request = format!("GET / HTTP/1.1\r\nHost: {address}\r\nConnection: {connection}\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        assert!(response.to_ascii_lowercase().contains(field), "{response}");
    }
}

async fn http2_client(address: SocketAddr) -> http2::SendRequest<String> {
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (http, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
    tokio::spawn(connection);
    http
}

#[tokio::test]
async fn a_client_of_http_2_that_asks_for_anything_else_is_told_that_it_is_not_served() {
    let address = serve(&Tracker::new()).await;
    let mut http = http2_client(address).await;
    let request = || Request::builder().version(Version::HTTP_2).uri(format!("http://{address}/"));
    let page = request().body(String::new()).unwrap();
    let response = http.send_request(page).await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["allow"]),
        (StatusCode::METHOD_NOT_ALLOWED, &"CONNECT".parse().unwrap())
    );
    let other = request().method(Method::CONNECT).extension(Protocol::from_static("connect-udp"));
    let response = http.send_request(other.body(String::new()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_IMPLEMENTED);
}

#[tokio::test]
async fn a_client_of_http_2_opens_a_connection_under_the_same_route() {
    let address = serve(&Tracker::new()).await;
    let mut http = http2_client(address).await;
    let host = address.to_string();
    let request = client::Request::new(&host, "/").subprotocols(&["b"]).deflate(Some(Settings::small()));
    let offer = Offer::extended_connect(request).unwrap();
    let request = Request::builder().method(Method::CONNECT).version(Version::HTTP_2);
    let request = request.uri(format!("http://{address}/")).extension(Protocol::from_static("websocket"));
    let request = offer.fields().fold(request, |request, (name, value)| request.header(name, value.to_string()));
    let response = http.send_request(request.body(String::new()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let fields = || response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let acceptance = offer.check(HttpVersion::Other, 200, fields).unwrap().unwrap();
    assert_eq!(acceptance.subprotocol(), Some("b"));
    let negotiated = acceptance.negotiated();
    let stream = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    let role = Client::new(OsEntropy);
    let mut ws = WebSocket::from_handshake(role, stream, Vec::new(), negotiated, &ws_tokio::Config::default());
    check_echo(&mut ws).await;
    assert!(ws.close(CloseCode::NORMAL, "").await.unwrap().clean);
}

#[tokio::test]
async fn a_tracker_closes_all_connections_with_1001_and_waits_for_them() {
    let tracker = Tracker::new();
    let address = serve(&tracker).await;
    let url = format!("ws://{address}/");
    let connector = Connector::new().subprotocols(&["b"]);
    let mut open = [connector.connect(&url).await.unwrap(), connector.connect(&url).await.unwrap()];
    for ws in &mut open {
        check_echo(ws).await;
    }
    assert_eq!(tracker.connections(), 2);
    tracker.close_all();
    for ws in &mut open {
        assert!(ws.read().await.unwrap().is_none());
        assert_eq!(ws.close_frame().unwrap().0, CloseCode::GOING_AWAY);
    }
    tracker.ended().await;
    assert_eq!(tracker.connections(), 0);
    let mut late = connector.connect(&url).await.unwrap();
    assert!(late.read().await.unwrap().is_none(), "one that opens after that is closed too");
}
