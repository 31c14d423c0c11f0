//! Echoes every message of a server until the connection ends.
//!
//! ```sh
//! cargo run --release --example echo_client ws://127.0.0.1:9001/
//! ```

use std::error::Error;

use ws_std::{Config, Connector};

const HELP: &str = "\
usage: echo_client URL

Connects to URL and echoes every message, of up to 64 MiB, until the server closes. Exits with 0 if
that was clean.

  -h, --help   this text";

fn main() -> Result<(), Box<dyn Error>> {
    let mut url = None;
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Value(value) if url.is_none() => url = Some(lexopt::ValueExt::string(value)?),
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => {
                println!("{HELP}");
                return Ok(());
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    let mut ws = Connector::new().config(config).connect(&url.ok_or(HELP)?)?;
    while let Some(mut received) = ws.read()? {
        received.reply.send(received.message)?;
    }
    Ok(())
}
