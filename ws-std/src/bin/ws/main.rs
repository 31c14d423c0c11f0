//! `ws`: WebSockets at a terminal. It talks to servers, is a server, and measures servers.

mod arguments;
mod bench;
mod client;
mod command;
mod connecting;
mod failure;
mod input;
mod insecure;
mod listen;
mod output;
mod plain;
mod session;
mod terminal;

use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Mode};
use failure::{Exit, Failure};
use terminal::Terminal;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let terminal = Terminal::new();
    let result = run(&arguments);
    terminal.restore();
    let Err(failure) = result else {
        return ExitCode::SUCCESS;
    };
    if failure.exit != Exit::Clean {
        eprintln!("ws: {}", failure.text);
    }
    failure.exit.into()
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let Arguments { mode, url, messages, common, connecting, listening } = arguments;
    match (mode, url, &listening.listen) {
        (Some(Mode::Bench(options)), ..) => bench::run(options),
        (None, Some(_), Some(_)) => Err(Failure::usage("--listen serves, and takes no URL: --help tells more")),
        (None, None, Some(address)) => listen::run(address, listening, common, messages),
        (None, Some(url), None) => client::run(url, common, connecting, messages),
        // The parser demands one of them.
        (None, None, None) => Err(Failure::usage("no URL: --help tells more")),
    }
}
