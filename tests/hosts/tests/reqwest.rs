//! A client on `reqwest`: what reqwest adds to a request, and what becomes of its refusals.

#[path = "../examples/reqwest_client/open.rs"]
mod open;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use open::{Answer, open};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use ws_proto::handshake::HandshakeError;
use ws_tokio::{CloseCode, Message, axum::WebSocketUpgrade, deflate::Settings};

/// The paths and the keys of requests for a WebSocket, in their order.
type Keys = Arc<Mutex<Vec<(&'static str, String)>>>;

fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.deflate(Settings::small()).on_open(async |mut ws| {
        while let Some(mut received) = ws.read().await? {
            received.reply.queue(received.message).await?;
        }
        Ok(())
    })
}

/// Echoes, but the field `name` of the answer is `value`.
fn echo_with(upgrade: WebSocketUpgrade, name: &'static str, value: &'static str) -> Response {
    let mut response = echo(upgrade);
    response.headers_mut().insert(name, value.parse().unwrap());
    response
}

async fn moved(keys: State<Keys>, headers: HeaderMap) -> impl IntoResponse {
    note(&keys, "/moved", &headers);
    (StatusCode::FOUND, [(header::LOCATION, "/echo")])
}

async fn target(keys: State<Keys>, headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    note(&keys, "/echo", &headers);
    echo(upgrade)
}

fn note(keys: &Keys, path: &'static str, headers: &HeaderMap) {
    let key = headers[header::SEC_WEBSOCKET_KEY].to_str().unwrap().to_owned();
    keys.lock().unwrap().push((path, key));
}

async fn login() -> impl IntoResponse {
    ([(header::SET_COOKIE, "session=31; Path=/")], "welcome")
}

async fn private(headers: HeaderMap, upgrade: WebSocketUpgrade) -> Response {
    match headers.get(header::COOKIE) {
        Some(cookie) if cookie == "session=31" => echo(upgrade),
        _ => (StatusCode::FORBIDDEN, "log in first").into_response(),
    }
}

/// Serves all routes on any port.
async fn serve() -> (SocketAddr, Keys) {
    let keys = Keys::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // The answer to another key.
    let other = |upgrade| async { echo_with(upgrade, "sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") };
    let extended = |upgrade| async { echo_with(upgrade, "sec-websocket-extensions", "x-unheard-of") };
    let router = Router::new()
        .route("/echo", get(target))
        .route("/moved", get(moved))
        .route("/login", get(login))
        .route("/private", get(private))
        .route("/other-key", get(other))
        .route("/extension", get(extended))
        .with_state(Arc::clone(&keys));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, keys)
}

/// A proxy passes the fields of an upgrade on, or drops them as fields of a hop (RFC 9110 section 7.6.1).
#[derive(Clone, Copy)]
enum Upgrades {
    Passed,
    Dropped,
}

/// Starts a proxy for requests in absolute form, which counts the bytes of both directions.
async fn proxy(upgrades: Upgrades) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let relayed = Arc::<AtomicU64>::default();
    let count = Arc::clone(&relayed);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move { relay(stream, upgrades, &count).await });
        }
    });
    (address, relayed)
}

async fn relay(mut client: TcpStream, upgrades: Upgrades, count: &AtomicU64) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        assert!(head.len() < 8_192 && client.read_buf(&mut head).await? > 0, "no request");
    }
    let head = String::from_utf8(head).unwrap();
    let (authority, rest) = head.strip_prefix("GET http://").unwrap().split_once('/').unwrap();
    let is_passed = |line: &&str| match upgrades {
        Upgrades::Passed => true,
        Upgrades::Dropped => !["upgrade:", "connection:"].iter().any(|name| line.starts_with(name)),
    };
    let request: String = rest.split_inclusive("\r\n").filter(is_passed).collect();
    let mut server = TcpStream::connect(authority).await?;
    server.write_all(format!("GET /{request}").as_bytes()).await?;
    let (sent, received) = tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    count.fetch_add(sent + received, Ordering::Relaxed);
    Ok(())
}

fn http() -> reqwest::ClientBuilder {
    reqwest::Client::builder().http1_only()
}

fn http_through(proxy: SocketAddr) -> reqwest::Client {
    http().proxy(reqwest::Proxy::http(format!("http://{proxy}")).unwrap()).build().unwrap()
}

async fn check_echo(answer: Answer) {
    let Answer::Open(mut ws) = answer else { panic!("refused") };
    let long = "again and ".repeat(20_000);
    for message in [Message::Text("Grüße"), Message::Text(&long), Message::Binary(&[])] {
        ws.send(message).await.unwrap();
        assert_eq!(ws.read().await.unwrap().unwrap().message, message);
    }
    assert!(ws.close(CloseCode::NORMAL, "").await.unwrap().clean);
}

async fn refused(http: &reqwest::Client, url: &str) -> reqwest::Response {
    let Answer::Refused(response) = open(http, url).await.unwrap() else { panic!("opened") };
    response
}

async fn error(path: &str) -> HandshakeError {
    let (address, _) = serve().await;
    let error = open(&http().build().unwrap(), &format!("http://{address}{path}")).await.err().unwrap();
    *error.downcast_ref().unwrap()
}

#[tokio::test]
async fn cookies_that_an_earlier_response_has_set_are_sent_with_the_upgrade() {
    let (address, _) = serve().await;
    let http = http().cookie_store(true).build().unwrap();
    let url = format!("http://{address}/private");
    let response = refused(&http, &url).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(response.text().await.unwrap(), "log in first");
    http.get(format!("http://{address}/login")).send().await.unwrap();
    check_echo(open(&http, &url).await.unwrap()).await;
}

#[tokio::test]
async fn a_redirect_leads_to_the_websocket_with_the_same_fields() {
    let (address, keys) = serve().await;
    let url = format!("http://{address}/moved");
    check_echo(open(&http().build().unwrap(), &url).await.unwrap()).await;
    let keys = keys.lock().unwrap().clone();
    let [("/moved", first), ("/echo", second)] = &keys[..] else { panic!("{keys:?}") };
    assert_eq!(first, second);
}

#[tokio::test]
async fn a_redirect_that_is_not_followed_is_a_refusal() {
    let (address, _) = serve().await;
    let http = http().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let response = refused(&http, &format!("http://{address}/moved")).await;
    assert_eq!(response.status(), StatusCode::FOUND);
    let target = response.url().join(response.headers()[header::LOCATION].to_str().unwrap()).unwrap();
    check_echo(open(&http, target.as_str()).await.unwrap()).await;
}

#[tokio::test]
async fn a_proxy_that_passes_upgrades_on_relays_compressed_messages() {
    let (address, _) = serve().await;
    let (proxy, relayed) = proxy(Upgrades::Passed).await;
    let http = http_through(proxy);
    check_echo(open(&http, &format!("http://{address}/echo")).await.unwrap()).await;
    // The relay ends after both sides of the connection.
    let relayed = async {
        loop {
            match relayed.load(Ordering::Relaxed) {
                0 => tokio::task::yield_now().await,
                count => break count,
            }
        }
    };
    // Both directions carry a message of 200 KB.
    assert!(relayed.await < 20_000);
}

#[tokio::test]
async fn a_proxy_that_drops_the_fields_of_an_upgrade_leads_to_a_refusal() {
    let (address, _) = serve().await;
    let (proxy, _) = proxy(Upgrades::Dropped).await;
    let http = http_through(proxy);
    let response = refused(&http, &format!("http://{address}/echo")).await;
    assert_eq!(response.status(), StatusCode::UPGRADE_REQUIRED);
}

#[tokio::test]
async fn an_answer_to_another_key_is_an_error() {
    assert_eq!(error("/other-key").await, HandshakeError::Accept);
}

#[tokio::test]
async fn an_extension_that_was_not_offered_is_an_error() {
    assert_eq!(error("/extension").await, HandshakeError::Extensions);
}
