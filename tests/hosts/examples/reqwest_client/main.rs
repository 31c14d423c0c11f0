//! A client on `reqwest`, whose cookies, redirects and proxies a WebSocket is opened with: ws-proto negotiates from
//! the fields, and ws-tokio drives the upgraded stream.
//!
//! ```sh
//! cargo run -p ws-hosts --example reqwest_client http://127.0.0.1:9001/ hello
//! ```

mod open;

use anyhow::{Context, bail};
use open::{Answer, open};
use ws_tokio::CloseCode;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().context("usage: reqwest_client URL MESSAGE…")?;
    let http = reqwest::Client::builder().http1_only().cookie_store(true).build()?;
    let mut ws = match open(&http, &url).await? {
        Answer::Open(ws) => ws,
        Answer::Refused(response) => bail!("{} answered with {}", response.url(), response.status()),
    };
    for message in arguments {
        ws.send(message.as_str()).await?;
        println!("{:?}", ws.read().await?.context("closed too early")?.message);
    }
    ws.close(CloseCode::NORMAL, "").await?;
    Ok(())
}
