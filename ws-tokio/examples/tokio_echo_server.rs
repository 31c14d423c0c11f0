//! Echoes every message: a task for each connection, replies written together, and Ctrl-C closes all connections.
//!
//! ```sh
//! cargo run --release --example tokio_echo_server 127.0.0.1:9001
//! ```

use std::{fs::read, path::PathBuf};

use anyhow::Context;
use clap::Parser;
use ws_tokio::{
    Acceptor, Answer, Config, Exchange, HandlerResult, Server, ServerTls, deflate::Settings,
    proto::server::OriginPolicy,
};

mod program;

/// Echoes every message on ws://ADDR/, of up to 64 MiB, to pages of any origin, in the first subprotocol that the client
/// offers. Ctrl-C closes every connection with 1001 and exits after 10 seconds at most; a second Ctrl-C exits at once.
#[derive(Parser)]
struct Arguments {
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:9001")]
    address: String,
    /// Compress messages: small (default), balanced, best
    #[arg(short, long, value_name = "PROFILE", value_parser = program::profile)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "small")]
    deflate: Option<Settings>,
    /// Serve at most N connections at once, answer 503 beyond (default 10000, or as many as the limit of open files allows)
    #[arg(short, long, value_name = "N")]
    connections: Option<usize>,
    /// Serve wss: the chain of certificates, in PEM, the server's own first
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The private key of that certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // Each connection needs a file. With a lower limit of files the server has a lower limit of connections.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    let mut acceptor = Acceptor::new().config(config).origin(OriginPolicy::AllowAny);
    if let Some(settings) = arguments.deflate {
        acceptor = acceptor.deflate(settings);
    }
    let address = &arguments.address;
    let server = Server::bind(address).await.with_context(|| format!("can't listen on {address}"))?;
    let mut server = server.acceptor(acceptor);
    if let Some(most) = arguments.connections {
        server = server.max_connections(most);
    }
    tokio::spawn(program::stop_at_ctrl_c(server.handle()));
    let mut scheme = "ws";
    if let (Some(cert), Some(key)) = (&arguments.cert, &arguments.key) {
        server = server.tls(ServerTls::new(read(cert)?, read(key)?)?);
        scheme = "wss";
    }
    println!("listening on {scheme}://{}/", server.local_addr()?);
    Ok(server.run(echo).await?)
}

async fn echo(exchange: Exchange) -> HandlerResult {
    let favourite = exchange.subprotocols().next().unwrap_or_default().to_owned();
    let answer = Answer::accept().subprotocol(exchange.select(&[&favourite]));
    let mut ws = exchange.accept_with(answer).await?;
    // Queued echoes are written together, before the next `read` waits for the client.
    while let Some(mut received) = ws.read().await? {
        received.reply.queue(received.message).await?;
    }
    Ok(())
}
