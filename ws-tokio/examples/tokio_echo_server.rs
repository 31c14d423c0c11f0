//! Echoes every message: a task for each connection, replies written together, and Ctrl-C closes all connections.
//!
//! ```sh
//! cargo run --release --example tokio_echo_server 127.0.0.1:9001
//! ```

use anyhow::Context;
use clap::Parser;
use ws_tokio::{
    Acceptor, Answer, Config, Exchange, HandlerResult, Server, deflate::Settings, proto::server::OriginPolicy,
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
    println!("listening on ws://{}/", server.local_addr()?);
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
