//! ws-tokio through TLS.

mod faults;
mod proxies;
mod server;
mod streams;

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinHandle,
};
use tokio_rustls::rustls::{ServerConfig, crypto::ring, pki_types::pem::PemObject};
use ws_tests::{Authority, Certificate, Days};
use ws_tokio::{ClientTls, Exchange, Handle, HandlerResult, Server, ServerTls};

/// A server of ours that speaks TLS and echoes, and the lines of its log.
struct Echo {
    address: SocketAddr,
    handle: Handle,
    task: JoinHandle<std::io::Result<()>>,
    log: UnboundedReceiver<String>,
}

impl Echo {
    async fn new(tls: ServerTls, settings: impl FnOnce(Server) -> Server) -> Self {
        ws_tests::watch();
        let (to_log, log) = unbounded_channel();
        let server = settings(Server::bind("127.0.0.1:0").await.unwrap().tls(tls))
            .on_error(move |incident| drop(to_log.send(incident.to_string())));
        let (address, handle) = (server.local_addr().unwrap(), server.handle());
        Self { address, handle, task: tokio::spawn(server.run(echo)), log }
    }

    fn url(&self) -> String {
        format!("wss://localhost:{}/", self.address.port())
    }

    /// Stops the server; returns the lines of its log.
    async fn stop(mut self) -> Vec<String> {
        self.handle.stop();
        self.task.await.unwrap().unwrap();
        let mut lines = Vec::new();
        while let Ok(line) = self.log.try_recv() {
            lines.push(line);
        }
        lines
    }
}

async fn echo(exchange: Exchange) -> HandlerResult {
    let mut ws = exchange.accept().await?;
    while let Some(mut received) = ws.read().await? {
        received.reply.queue(received.message).await?;
    }
    Ok(())
}

/// Returns the settings of a server for `localhost`, and those of a client that trusts it.
fn settings() -> (ServerTls, ClientTls) {
    let authority = Authority::new();
    let Certificate { chain, key } = authority.issue("localhost", Days::NOW);
    (ServerTls::new(chain, key).unwrap(), trust(&authority))
}

fn trust(authority: &Authority) -> ClientTls {
    ClientTls::builder().add_roots(&authority.root).unwrap().only_added_roots().build().unwrap()
}

/// Returns a server's configuration that speaks `protocols` only.
fn speaking(certificate: &Certificate, protocols: &[&[u8]]) -> Arc<ServerConfig> {
    let chain = tokio_rustls::rustls::pki_types::CertificateDer::pem_slice_iter(certificate.chain.as_bytes());
    let key = tokio_rustls::rustls::pki_types::PrivateKeyDer::from_pem_slice(certificate.key.as_bytes()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain.map(Result::unwrap).collect(), key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

/// Returns the two ends of a TCP connection.
async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connecting = TcpStream::connect(listener.local_addr().unwrap());
    let (client, server) = tokio::join!(connecting, listener.accept());
    (client.unwrap(), server.unwrap().0)
}
