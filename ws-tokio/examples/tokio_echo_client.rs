//! Echoes every message of a server until the connection ends.
//!
//! ```sh
//! cargo run --release --example tokio_echo_client ws://127.0.0.1:9001/
//! ```

use clap::Parser;
use ws_tokio::{Config, Connector, deflate::Settings};

mod program;

/// Connects to URL and echoes every message, of up to 64 MiB, until the server closes. Exits with 0 if that was clean.
#[derive(Parser)]
struct Arguments {
    url: String,
    /// Offer compression: small (default), balanced, best
    #[arg(short, long, value_name = "PROFILE", value_parser = program::profile)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "small")]
    deflate: Option<Settings>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    let mut connector = Connector::new().config(config);
    if let Some(settings) = arguments.deflate {
        connector = connector.deflate(settings);
    }
    let mut ws = connector.connect(&arguments.url).await?;
    while let Some(mut received) = ws.read().await? {
        received.reply.queue(received.message).await?;
    }
    Ok(())
}
