//! Runs all cases of an Autobahn fuzzing server and updates its reports.
//!
//! ```sh
//! cargo run --release --example tokio_autobahn_client ws://127.0.0.1:9002
//! ```

use std::{fs::read, path::PathBuf};

use anyhow::Context;
use clap::Parser;
use ws_tokio::{ClientTls, Config, Connector, Message, deflate::Settings};

/// Runs all cases of the Autobahn fuzzing server at URL and has it write its reports for AGENT.
#[derive(Parser)]
struct Arguments {
    url: String,
    #[arg(default_value = "ws-tokio")]
    agent: String,
    /// Trust the roots in this file, in PEM, instead of those of the platform
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let Arguments { url, agent, ca } = Arguments::parse();
    let url = url.trim_end_matches('/');
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    // Servers without compression ignore the offer.
    let mut connector = Connector::new().config(config).deflate(Settings::balanced());
    if let Some(roots) = ca {
        connector = connector.tls(ClientTls::builder().add_roots(read(roots)?)?.only_added_roots().build()?);
    }
    let count = case_count(&connector, url).await?;
    for case in 1..=count {
        if let Err(error) = run_case(&connector, &format!("{url}/runCase?case={case}&agent={agent}")).await {
            // Many cases provoke an error on purpose; the server judges the result.
            println!("case {case}/{count}: {error:#}");
        }
    }
    connector.connect(&format!("{url}/updateReports?agent={agent}")).await?.read().await?;
    println!("{count} cases run");
    Ok(())
}

async fn case_count(connector: &Connector<'_>, url: &str) -> anyhow::Result<u32> {
    let mut ws = connector.connect(&format!("{url}/getCaseCount")).await?;
    let received = ws.read().await?.context("the server tells no number of cases")?;
    let Message::Text(count) = received.message else {
        anyhow::bail!("the number of cases is not a text");
    };
    Ok(count.parse()?)
}

async fn run_case(connector: &Connector<'_>, url: &str) -> anyhow::Result<()> {
    let mut ws = connector.connect(url).await?;
    while let Some(mut received) = ws.read().await? {
        received.reply.queue(received.message).await?;
    }
    Ok(())
}
