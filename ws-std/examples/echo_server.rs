//! Echoes every message: a thread for each connection, replies written together, and Ctrl-C closes all connections.
//!
//! ```sh
//! cargo run --release --example echo_server 127.0.0.1:9001
//! ```

use std::{error::Error, fs::read, path::PathBuf, process::ExitCode};

use ws_std::{
    Acceptor, Answer, Config, Exchange, HandlerResult, ServerTls, deflate::Settings, proto::server::OriginPolicy,
};

mod program;

const HELP: &str = "\
usage: echo_server [ADDR] [--deflate[=PROFILE]] [--split] [--cert FILE --key FILE]

Echoes every message on ws://ADDR/ (default 127.0.0.1:9001), of up to 64 MiB, to pages of any origin,
in the first subprotocol that the client offers. Ctrl-C closes every connection with 1001 and exits
after 10 seconds at most; a second Ctrl-C exits at once.

  -d, --deflate[=PROFILE]
                        compress messages: small (default), balanced, best
  -s, --split           read and write on two threads for each connection
  -c, --connections N   serve at most N connections at once, answer 503 beyond (default 10000, or as
                        many as the limit of open files allows)
      --cert FILE       serve wss: the chain of certificates, in PEM, the server's own first
      --key FILE        the private key of that certificate, in PEM
  -h, --help            this text";

struct Arguments {
    address: String,
    connections: Option<usize>,
    deflate: Option<Settings>,
    split: bool,
    /// The files of the certificate and of its key.
    tls: Option<(PathBuf, PathBuf)>,
}

fn arguments() -> program::Arguments<Arguments> {
    let (mut address, mut connections, mut deflate) = (None, None, None);
    let (mut split, mut cert, mut key) = (false, None, None);
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
            lexopt::Arg::Short('s') | lexopt::Arg::Long("split") => split = true,
            lexopt::Arg::Long("cert") => cert = Some(parser.value()?.into()),
            lexopt::Arg::Long("key") => key = Some(parser.value()?.into()),
            lexopt::Arg::Value(value) if address.is_none() => {
                address = Some(lexopt::ValueExt::string(value)?);
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    let tls = match (cert, key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        _ => return Err("--cert and --key go together".into()),
    };
    Ok(Some(Arguments {
        address: address.unwrap_or_else(|| "127.0.0.1:9001".into()),
        connections,
        deflate,
        split,
        tls,
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
    let mut scheme = "ws";
    if let Some((cert, key)) = &arguments.tls {
        server = server.tls(ServerTls::new(read(cert)?, read(key)?)?);
        scheme = "wss";
    }
    println!("listening on {scheme}://{}/", server.local_addr()?);
    let split = arguments.split;
    Ok(server.run(move |exchange| echo(exchange, split))?)
}

fn echo(exchange: Exchange, split: bool) -> HandlerResult {
    let favourite = exchange.subprotocols().next().unwrap_or_default().to_owned();
    let answer = Answer::accept().subprotocol(exchange.select(&[&favourite]));
    let ws = exchange.accept_with(answer)?;
    Ok(if split { program::echo_split(ws) } else { program::echo(ws) }?)
}
