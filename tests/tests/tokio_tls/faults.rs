//! The faults of TLS that a client meets, by their names.

use core::{
    future::{Future, pending},
    time::Duration,
};
use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{AlertDescription, ClientConfig},
};
use ws_proto::handshake::HandshakeError;
use ws_tests::{Authority, Certificate, Days};
use ws_tokio::{ClientTls, Config, ConnectError, Connector, TlsError};

use crate::{settings, speaking, trust};

/// The time for an opening handshake.
const TIMEOUT: Duration = Duration::from_millis(500);
/// The longest that a client may take to give up, however busy the machine is.
const BOUND: Duration = Duration::from_secs(30);

/// Serves one connection by `serve`.
async fn serving<F: Future<Output = ()> + Send + 'static>(
    serve: impl FnOnce(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    ws_tests::watch();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream).await;
    });
    address
}

/// Returns a server that does the handshake with this certificate.
async fn presenting(certificate: Certificate, protocols: &'static [&'static [u8]]) -> SocketAddr {
    let acceptor = TlsAcceptor::from(speaking(&certificate, protocols));
    serving(async move |stream| {
        if let Ok(mut stream) = acceptor.accept(stream).await {
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    })
    .await
}

async fn connect(address: SocketAddr, tls: &ClientTls) -> ConnectError {
    let begun = Instant::now();
    let mut config = Config::default();
    config.handshake_timeout = Some(TIMEOUT);
    let url = format!("wss://localhost:{}/", address.port());
    let result = Connector::new().config(config).tls(tls.clone()).connect(&url).await;
    assert!(begun.elapsed() < BOUND, "{:?}", begun.elapsed());
    result.expect_err("the server cannot be spoken to")
}

async fn tls_error(address: SocketAddr, tls: &ClientTls) -> TlsError {
    match connect(address, tls).await {
        ConnectError::Tls(error) => error,
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn certificates_that_are_not_accepted_are_told_apart() {
    let authority = Authority::new();
    let tls = trust(&authority);
    let fault = async |certificate| tls_error(presenting(certificate, &[]).await, &tls).await;
    assert!(matches!(fault(authority.issue("example.com", Days::NOW)).await, TlsError::WrongName));
    assert!(matches!(fault(authority.issue("localhost", Days::PAST)).await, TlsError::Expired));
    assert!(matches!(fault(authority.issue("localhost", Days::FUTURE)).await, TlsError::NotYetValid));
    assert!(matches!(fault(Authority::new().issue("localhost", Days::NOW)).await, TlsError::UnknownIssuer));
}

#[tokio::test]
async fn the_platform_does_not_trust_an_authority_of_a_test() {
    let address = presenting(Authority::new().issue("localhost", Days::NOW), &[]).await;
    let error = tls_error(address, &ClientTls::new()).await;
    assert!(matches!(error, TlsError::UnknownIssuer | TlsError::Certificate(_)), "{error:?}");
}

#[tokio::test]
async fn a_server_without_tls_is_named() {
    let address = serving(async |mut stream: TcpStream| {
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
    .await;
    assert!(matches!(tls_error(address, &settings().1).await, TlsError::NotTls));
}

#[tokio::test]
async fn a_server_that_leaves_is_named_and_may_be_tried_again() {
    // At once, and after the first bytes of a record.
    for sent in [&b""[..], b"\x16\x03\x03"] {
        let address = serving(async |mut stream: TcpStream| {
            let _ = stream.read(&mut [0; 4_096]).await;
            stream.write_all(sent).await.unwrap();
            stream.shutdown().await.unwrap();
            let _ = stream.read_to_end(&mut Vec::new()).await;
        })
        .await;
        let error = tls_error(address, &settings().1).await;
        assert!(matches!(error, TlsError::Closed) && error.is_transient(), "{error:?}");
    }
}

/// Returns a relay to `server` that passes the first `len` bytes of the server's on, and then nothing.
async fn cut(server: SocketAddr, len: u64) -> SocketAddr {
    serving(async move |client| {
        let server = TcpStream::connect(server).await.unwrap();
        let ((mut from_client, mut to_client), (from_server, mut to_server)) =
            (client.into_split(), server.into_split());
        let _ = tokio::join!(
            async {
                let _ = copy(&mut from_server.take(len), &mut to_client).await;
                // The stream stays open.
                pending::<()>().await;
            },
            copy(&mut from_client, &mut to_server)
        );
    })
    .await
}

#[tokio::test]
async fn a_server_that_stops_anywhere_is_given_up_at_the_deadline() {
    let authority = Authority::new();
    // After the ClientHello, inside a record's header, inside the ServerHello, inside the certificate.
    for len in [0, 3, 50, 300] {
        let server = presenting(authority.issue("localhost", Days::NOW), &[]).await;
        let error = connect(cut(server, len).await, &trust(&authority)).await;
        assert!(matches!(error, ConnectError::Handshake(HandshakeError::Timeout)), "{len}: {error:?}");
    }
    // The handshake is complete, and then no answer comes.
    let server = presenting(authority.issue("localhost", Days::NOW), &[]).await;
    let error = connect(server, &trust(&authority)).await;
    assert!(matches!(error, ConnectError::Handshake(HandshakeError::Timeout)), "{error:?}");
}

#[tokio::test]
async fn a_server_that_speaks_http_2_only_is_named() {
    let authority = Authority::new();
    let tls = trust(&authority);
    let server = async || presenting(authority.issue("localhost", Days::NOW), &[b"h2"]).await;
    // It accepts nothing that is offered.
    let error = tls_error(server().await, &tls).await;
    assert!(matches!(error, TlsError::Alert(AlertDescription::NoApplicationProtocol)), "{error:?}");
    // It is offered what it speaks, by settings that are meant for another client.
    let mut config = ClientConfig::clone(&tls.config().unwrap());
    config.alpn_protocols = vec![b"h2".into()];
    let error = tls_error(server().await, &Arc::new(config).into()).await;
    assert!(matches!(error, TlsError::WrongProtocol), "{error:?}");
}

#[tokio::test]
async fn a_host_that_is_no_name_for_tls_is_refused_before_dialling() {
    // A label of a name has at most 63 bytes (RFC 1035 section 2.3.4).
    let url = format!("wss://{}.invalid/", "a".repeat(64));
    let error = Connector::new().tls(settings().1).connect(&url).await.expect_err("no name");
    assert!(matches!(error, ConnectError::InvalidUrl(_)), "{error:?}");
}
