//! Connections through proxies: tunnels with and without TLS, and proxies that open none.

use core::{future::Future, time::Duration};
use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::Instant,
};
use tokio_rustls::TlsAcceptor;
use ws_tests::{Authority, Days};
use ws_tokio::{
    CloseCode, Config, ConnectError, Connector, Message, Proxy, ProxyError, Server, ServerTls, TlsError,
};

use crate::{Echo, echo, settings, speaking, trust};

/// The longest that a client may take to give up, however busy the machine is.
const BOUND: Duration = Duration::from_secs(30);

/// Runs a proxy for one connection; the handle returns what the client has asked for.
async fn proxy<F>(serve: impl FnOnce(TcpStream) -> F + Send + 'static) -> (SocketAddr, JoinHandle<String>)
where
    F: Future<Output = String> + Send + 'static,
{
    ws_tests::watch();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream).await
    });
    (address, asked)
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Serves CONNECT, with a tunnel to `target` whatever the client names.
async fn tunnel(mut client: impl AsyncRead + AsyncWrite + Unpin, target: SocketAddr) -> String {
    let head = read_head(&mut client).await;
    let mut server = TcpStream::connect(target).await.unwrap();
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
    let _ = copy_bidirectional(&mut client, &mut server).await;
    head
}

fn by_proxy(url: &str) -> Connector<'static> {
    Connector::new().proxy(Some(Proxy::parse(url).unwrap()))
}

/// Has a message echoed, and closes.
async fn talk(connector: Connector<'_>, url: &str) {
    let mut ws = connector.connect(url).await.unwrap();
    let payload = ws_tests::noise(100_000);
    ws.send(&payload[..]).await.unwrap();
    assert!(ws.read().await.unwrap().unwrap().message == Message::Binary(&payload));
    assert!(ws.close(CloseCode::NORMAL, "").await.unwrap().clean);
}

#[tokio::test]
async fn ws_goes_through_connect_with_credentials() {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let target = server.local_addr().unwrap();
    tokio::spawn(server.run(echo));
    let (address, asked) = proxy(async move |client| tunnel(client, target).await).await;
    talk(by_proxy(&format!("http://user:pass@{address}")), "ws://chat.example/room").await;
    let head = asked.await.unwrap();
    assert!(head.starts_with("CONNECT chat.example:80 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n"), "{head}");
}

// R4.1-3
#[tokio::test]
async fn wss_goes_through_connect_and_the_proxy_sees_no_request() {
    let (tls, client) = settings();
    let server = Echo::new(tls, |server| server).await;
    let target = server.address;
    let (address, asked) = proxy(async move |client| tunnel(client, target).await).await;
    talk(by_proxy(&format!("{address}")).tls(client), "wss://localhost:9443/secret?token=1").await;
    let head = asked.await.unwrap();
    assert!(head.starts_with("CONNECT localhost:9443 HTTP/1.1\r\n") && !head.contains("secret"), "{head}");
}

#[tokio::test]
async fn the_proxy_itself_may_be_reached_by_tls() {
    let authority = Authority::new();
    let certificate = authority.issue("localhost", Days::NOW);
    let server = Echo::new(ServerTls::new(&certificate.chain, &certificate.key).unwrap(), |server| server).await;
    let (target, acceptor) = (server.address, TlsAcceptor::from(speaking(&certificate, &[])));
    let (address, asked) =
        proxy(async move |client| tunnel(acceptor.accept(client).await.unwrap(), target).await).await;
    let proxy = format!("https://localhost:{}", address.port());
    talk(by_proxy(&proxy).tls(trust(&authority)), "wss://localhost:9443/").await;
    assert!(asked.await.unwrap().starts_with("CONNECT localhost:9443 HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_proxy_whose_certificate_is_not_trusted_is_told_apart_from_the_server() {
    let acceptor = TlsAcceptor::from(speaking(&Authority::new().issue("localhost", Days::NOW), &[]));
    let (address, _) = proxy(async move |client| {
        let _ = acceptor.accept(client).await;
        String::new()
    })
    .await;
    let connector = by_proxy(&format!("https://localhost:{}", address.port())).tls(settings().1);
    let error = connector.connect("wss://localhost:9443/").await.expect_err("it is not trusted");
    assert!(matches!(error, ConnectError::ProxyTls(TlsError::UnknownIssuer)), "{error:?}");
}

#[tokio::test]
async fn ws_goes_through_socks_and_the_proxy_resolves_the_name() {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let target = server.local_addr().unwrap();
    tokio::spawn(server.run(echo));
    let (address, asked) = proxy(async move |mut client| {
        let mut greeting = [0; 4];
        client.read_exact(&mut greeting).await.unwrap();
        assert_eq!(greeting, [5, 2, 0, 2]);
        client.write_all(&[5, 2]).await.unwrap();
        let mut credentials = [0; 11];
        client.read_exact(&mut credentials).await.unwrap();
        assert_eq!(&credentials, b"\x01\x04user\x04pass");
        client.write_all(&[1, 0]).await.unwrap();
        let mut request = [0; 5 + 12 + 2];
        client.read_exact(&mut request).await.unwrap();
        // The address that the proxy is bound to, and bytes of the tunnel only after it.
        client.write_all(&[5, 0, 0, 3, 1, b'x', 0, 80]).await.unwrap();
        let mut server = TcpStream::connect(target).await.unwrap();
        let _ = copy_bidirectional(&mut client, &mut server).await;
        String::from_utf8_lossy(&request[5..17]).into_owned()
    })
    .await;
    talk(by_proxy(&format!("socks5h://user:pass@{address}")), "ws://chat.example/").await;
    assert_eq!(asked.await.unwrap(), "chat.example");
}

/// Returns the error of a client whose proxy answers this and then waits, or leaves.
async fn refusal(answer: &'static [u8], leaves: bool) -> ConnectError {
    let (address, _) = proxy(async move |mut client| {
        let mut request = [0; 1_024];
        let len = client.read(&mut request).await.unwrap();
        client.write_all(answer).await.unwrap();
        if !leaves {
            let _ = client.read(&mut request).await;
        }
        String::from_utf8_lossy(&request[..len]).into_owned()
    })
    .await;
    let mut config = Config::default();
    config.handshake_timeout = Some(Duration::from_millis(300));
    let begun = Instant::now();
    let connector = by_proxy(&format!("http://{address}")).config(config);
    let error = connector.connect("ws://chat.example/").await.expect_err("there is no tunnel");
    assert!(begun.elapsed() < BOUND);
    error
}

#[tokio::test]
async fn proxies_that_open_no_tunnel_are_named() {
    use ProxyError::{AuthenticationRequired, Closed, Malformed, Refused, Timeout};
    let fault = async |answer, leaves| match refusal(answer, leaves).await {
        ConnectError::Proxy(error) => error,
        error => panic!("{error:?}"),
    };
    let wants_password =
        b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n";
    assert_eq!(fault(wants_password, false).await, AuthenticationRequired);
    let forbidden = fault(b"HTTP/1.1 403 Forbidden\r\n\r\n", false).await;
    assert!(matches!(forbidden, Refused { status: 403, .. }), "{forbidden:?}");
    let garbage = fault(b"SSH-2.0-OpenSSH_9.2\r\n", false).await;
    assert!(matches!(garbage, Malformed(_)), "{garbage:?}");
    assert_eq!(fault(b"", true).await, Closed);
    assert_eq!(fault(b"HTTP/1.1 200 OK\r\n", true).await, Closed);
    // It never answers, or never completes its answer.
    assert_eq!(fault(b"", false).await, Timeout);
    assert_eq!(fault(b"HTTP/1.1 200 OK\r\n", false).await, Timeout);
}

#[tokio::test]
async fn a_proxy_that_is_not_there_is_a_failure_to_connect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = by_proxy(&format!("http://{address}")).connect("ws://chat.example/").await.expect_err("none");
    assert!(matches!(&error, ConnectError::Connect { address: tried, .. } if *tried == address), "{error:?}");
    assert!(error.is_transient());
}

#[tokio::test]
async fn a_server_is_reached_without_a_proxy_if_that_is_switched_off() {
    let (tls, client) = settings();
    let server = Echo::new(tls, |server| server).await;
    talk(Connector::new().proxy(None).tls(Arc::clone(&client.config().unwrap())), &server.url()).await;
}
