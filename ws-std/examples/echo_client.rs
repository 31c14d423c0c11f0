//! Echoes every message of a server until the connection ends.
//!
//! ```sh
//! cargo run --release --example echo_client ws://127.0.0.1:9001/
//! ```

use std::{error::Error, process::ExitCode};

use ws_std::{Config, Connector};

mod program;

const HELP: &str = "\
usage: echo_client URL

Connects to URL and echoes every message, of up to 64 MiB, until the server closes. Exits with 0 if
that was clean.

  -h, --help   this text";

fn main() -> ExitCode {
    program::run(HELP, program::values(1), |values| echo(values.first().ok_or("no URL given; --help tells more")?))
}

fn echo(url: &str) -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    let mut ws = Connector::new().config(config).connect(url)?;
    while let Some(mut received) = ws.read()? {
        received.reply.send(received.message)?;
    }
    Ok(())
}
