//! WebSockets under a route of `axum` over HTTP/2 (RFC 8441) and HTTP/1.1, with the extractor of ws-tokio: in the clear, where
//! clients of HTTP/2 need prior knowledge, or over TLS, as browsers demand. `tests/hosts/h2` runs it against Node's HTTP/2 and
//! Chromium, which loads a page from here.
//!
//! ```sh
//! cargo run -p ws-hosts --example axum_h2 127.0.0.1:9001 [--tls]
//! ```

use std::{io, sync::Arc};

use axum::{
    Router,
    http::{Uri, Version},
    response::{Html, Response},
    routing::{any, get, post},
};
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{self, ServerConfig},
};
use tower::ServiceExt;
use ws_tokio::{axum::WebSocketUpgrade, deflate::Settings};

const PAGE: &str = include_str!("../../interop/browser/page.html");

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:9001".into());
    let tls = arguments.next().is_some_and(|option| option == "--tls").then(acceptor).transpose()?;
    let listener = TcpListener::bind(address).await?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    println!("listening on {scheme}://{}/", listener.local_addr()?);
    let router = Router::new()
        .route("/page", get(async || Html(PAGE)))
        .route("/report", post(async |report: String| println!("report: {report}")))
        .route("/{*path}", any(echo));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (tls, router) = (tls.clone(), router.clone());
        tokio::spawn(async move {
            match tls {
                Some(tls) => serve(tls.accept(stream).await?, router).await,
                None => serve(stream, router).await,
            }
            io::Result::Ok(())
        });
    }
}

/// Creates a certificate for this machine, which only clients that ignore its faults accept.
fn acceptor() -> anyhow::Result<TlsAcceptor> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let config = ServerConfig::builder().with_no_client_auth();
    let mut config = config.with_single_cert(vec![made.cert.into()], key.into())?;
    config.alpn_protocols = vec![b"h2".into(), b"http/1.1".into()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http2().enable_connect_protocol();
    let service = service_fn(move |request| router.clone().oneshot(request));
    // An error means that the client has gone.
    let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
}

/// Echoes until the end, and prints how that came.
async fn echo(uri: Uri, version: Version, upgrade: WebSocketUpgrade) -> Response {
    let (path, end) = (uri.path().to_owned(), uri.path().to_owned());
    let upgrade = upgrade.subprotocols(["echo"]).deflate(Settings::small());
    let upgrade =
        upgrade.on_error(move |error| println!("{version:?} {end}: {:#}", anyhow::Error::from_boxed(error)));
    upgrade.on_open(async move |mut ws| {
        while let Some(mut received) = ws.read().await? {
            received.reply.queue(received.message).await?;
        }
        let close = ws.close_frame().map(|(code, reason)| format!("{code} {reason}"));
        println!("{version:?} {path}: closed {}", close.unwrap_or_default());
        Ok(())
    })
}
