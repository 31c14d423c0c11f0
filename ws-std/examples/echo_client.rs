//! Echoes every message of a server until the connection ends.
//!
//! ```sh
//! cargo run --release --example echo_client ws://127.0.0.1:9001/
//! ```

use std::{error::Error, process::ExitCode};

use ws_std::{Config, Connector, deflate::Settings};

mod program;

const HELP: &str = "\
usage: echo_client URL [--deflate[=PROFILE]]

Connects to URL and echoes every message, of up to 64 MiB, until the server closes. Exits with 0 if
that was clean.

  -d, --deflate[=PROFILE]   offer compression: small (default), balanced, best
  -h, --help                this text";

fn arguments() -> program::Arguments<(String, Option<Settings>)> {
    let (mut url, mut deflate) = (None, None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => return Ok(None),
            lexopt::Arg::Short('d') | lexopt::Arg::Long("deflate") => {
                deflate = Some(program::profile(parser.optional_value())?);
            }
            lexopt::Arg::Value(value) if url.is_none() => url = Some(lexopt::ValueExt::string(value)?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(Some((url.ok_or("no URL given; --help tells more")?, deflate)))
}

fn main() -> ExitCode {
    program::run(HELP, arguments(), |(url, deflate)| echo(&url, deflate))
}

fn echo(url: &str, deflate: Option<Settings>) -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    let connector = Connector::new().config(config);
    let connector = match deflate {
        Some(settings) => connector.deflate(settings),
        None => connector,
    };
    Ok(program::echo(connector.connect(url)?)?)
}
