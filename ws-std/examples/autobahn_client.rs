//! Runs all cases of an Autobahn fuzzing server and updates its reports.
//!
//! ```sh
//! cargo run --release --example autobahn_client ws://127.0.0.1:9002
//! ```

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use ws_std::{ClientTls, Config, Connector, Message, deflate::Settings};

mod program;

const HELP: &str = "\
usage: autobahn_client [--split] [--ca FILE] URL [AGENT]

Runs all cases of the Autobahn fuzzing server at URL and has it write its reports
for AGENT (default ws-std).

  -s, --split     read and write on two threads
      --ca FILE   trust the roots in this file, in PEM, instead of those of the platform
  -h, --help      this text";

#[derive(Default)]
struct Arguments {
    url: Option<String>,
    agent: Option<String>,
    split: bool,
    roots: Option<PathBuf>,
}

fn arguments() -> program::Arguments<Arguments> {
    let mut found = Arguments::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => return Ok(None),
            lexopt::Arg::Short('s') | lexopt::Arg::Long("split") => found.split = true,
            lexopt::Arg::Long("ca") => found.roots = Some(parser.value()?.into()),
            lexopt::Arg::Value(value) if found.url.is_none() => found.url = Some(lexopt::ValueExt::string(value)?),
            lexopt::Arg::Value(value) if found.agent.is_none() => {
                found.agent = Some(lexopt::ValueExt::string(value)?);
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(Some(found))
}

fn main() -> ExitCode {
    program::run(HELP, arguments(), |found| run_all(&found))
}

fn run_all(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let url = arguments.url.as_deref().ok_or("no URL given; --help tells more")?.trim_end_matches('/');
    let agent = arguments.agent.as_deref().unwrap_or("ws-std");
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    // Servers without compression ignore the offer.
    let mut connector = Connector::new().config(config).deflate(Settings::balanced());
    if let Some(roots) = &arguments.roots {
        connector = connector.tls(trusting(roots)?);
    }
    let count = case_count(&connector, url)?;
    for case in 1..=count {
        let case_url = format!("{url}/runCase?case={case}&agent={agent}");
        if let Err(error) = run_case(&connector, &case_url, arguments.split) {
            // Many cases provoke an error on purpose; the server judges the result.
            println!("case {case}/{count}: {}", program::explained(&*error));
        }
    }
    connector.connect(&format!("{url}/updateReports?agent={agent}"))?.read()?;
    println!("{count} cases run");
    Ok(())
}

/// Returns the settings of a client that trusts the roots in a file, in PEM, and no others.
fn trusting(roots: &Path) -> Result<ClientTls, Box<dyn Error>> {
    let pem = fs::read(roots).map_err(|error| format!("can't read {}: {error}", roots.display()))?;
    Ok(ClientTls::builder().add_roots(pem)?.only_added_roots().build()?)
}

fn case_count(connector: &Connector<'_>, url: &str) -> Result<u32, Box<dyn Error>> {
    let mut ws = connector.connect(&format!("{url}/getCaseCount"))?;
    let received = ws.read()?.ok_or("the server tells no number of cases")?;
    let Message::Text(count) = received.message else {
        return Err("the number of cases is not a text".into());
    };
    Ok(count.parse()?)
}

fn run_case(connector: &Connector<'_>, url: &str, split: bool) -> Result<(), Box<dyn Error>> {
    let ws = connector.connect(url)?;
    Ok(if split { program::echo_split(ws) } else { program::echo(ws) }?)
}
