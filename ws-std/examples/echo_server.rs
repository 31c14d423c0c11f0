//! Echoes every message: a thread for each connection, replies written together, and Ctrl-C closes all connections.
//!
//! ```sh
//! cargo run --release --example echo_server 127.0.0.1:9001
//! ```

use std::{error::Error, process::ExitCode};

use ws_std::{Acceptor, Answer, Config, Exchange, HandlerResult, deflate::Settings, proto::server::OriginPolicy};

mod program;

const HELP: &str = "\
usage: echo_server [ADDR] [--deflate[=PROFILE]]

Echoes every message on ws://ADDR/ (default 127.0.0.1:9001), of up to 64 MiB, to pages of any origin,
in the first subprotocol that the client offers. Ctrl-C closes every connection with 1001 and exits
after 10 seconds at most; a second Ctrl-C exits at once.

  -d, --deflate[=PROFILE]
                        compress messages: small (default), balanced, best
  -c, --connections N   serve at most N connections at once, answer 503 beyond (default 10000, or as
                        many as the limit of open files allows)
  -h, --help            this text";

struct Arguments {
    address: String,
    connections: Option<usize>,
    deflate: Option<Settings>,
}

fn arguments() -> program::Arguments<Arguments> {
    let (mut address, mut connections, mut deflate) = (None, None, None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => return Ok(None),
            lexopt::Arg::Short('c') | lexopt::Arg::Long("connections") => {
                connections = Some(lexopt::ValueExt::parse(&parser.value()?)?);
            }
            lexopt::Arg::Short('d') | lexopt::Arg::Long("deflate") => {
                deflate = Some(program::profile(parser.optional_value())?);
            }
            lexopt::Arg::Value(value) if address.is_none() => {
                address = Some(lexopt::ValueExt::string(value)?);
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(Some(Arguments {
        address: address.unwrap_or_else(|| "127.0.0.1:9001".into()),
        connections,
        deflate,
    }))
}

fn main() -> ExitCode {
    program::run(HELP, arguments(), |found| serve(&found))
}

fn serve(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    let mut acceptor = Acceptor::new().config(config).origin(OriginPolicy::AllowAny);
    if let Some(settings) = arguments.deflate {
        acceptor = acceptor.deflate(settings);
    }
    let mut server = program::server(&arguments.address)?.acceptor(acceptor);
    if let Some(most) = arguments.connections {
        server = server.max_connections(most);
    }
    println!("listening on ws://{}/", server.local_addr()?);
    Ok(server.run(echo)?)
}

fn echo(exchange: Exchange) -> HandlerResult {
    let favourite = exchange.subprotocols().next().unwrap_or_default().to_owned();
    let answer = Answer::accept().subprotocol(exchange.select(&[&favourite]));
    let mut ws = exchange.accept_with(answer)?;
    // Queued echoes are written together, before the next `read` waits for the client.
    while let Some(mut received) = ws.read()? {
        received.reply.queue(received.message)?;
    }
    Ok(())
}
