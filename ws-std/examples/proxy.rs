//! Passes connections on to another server: parts as soon as they have come, and the codes and reasons of both sides' Close.
//!
//! ```sh
//! cargo run --release --example proxy ws://127.0.0.1:9001/ 127.0.0.1:9000
//! ```

use std::{error::Error, process::ExitCode, thread};

use ws_std::{
    Acceptor, Answer, CloseCode, CloseReply, Config, Connector, Control, Event, Exchange, HandlerResult, Reader,
    Writer, deflate::Settings, proto::server::OriginPolicy, role::Role,
};

mod program;

const HELP: &str = "\
usage: proxy URL [ADDR] [--deflate[=PROFILE]]

Accepts connections on ws://ADDR/ (default 127.0.0.1:9000) and passes each on to a connection of its own
to URL, with the subprotocols that the client offers and its Origin. Messages are not held: their parts go
on as soon as they have come, and a side that takes none keeps the other one from sending. Pings and
compression are each side's own. 502 if the server can't be reached or opens no connection. Ctrl-C closes all
connections and exits after 10 seconds at most; a second Ctrl-C exits at once.

  -d, --deflate[=PROFILE]
              compress messages on both sides: small (default), balanced, best
  -h, --help  this text";

struct Arguments {
    url: String,
    address: String,
    deflate: Option<Settings>,
}

fn arguments() -> program::Arguments<Arguments> {
    let (mut values, mut deflate) = (Vec::new(), None);
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => return Ok(None),
            lexopt::Arg::Short('d') | lexopt::Arg::Long("deflate") => {
                deflate = Some(program::profile(parser.optional_value())?);
            }
            lexopt::Arg::Value(value) if values.len() < 2 => values.push(lexopt::ValueExt::string(value)?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let mut values = values.into_iter();
    let url = values.next().ok_or("no URL given; --help tells more")?;
    Ok(Some(Arguments { url, address: values.next().unwrap_or_else(|| "127.0.0.1:9000".into()), deflate }))
}

fn main() -> ExitCode {
    program::run(HELP, arguments(), |Arguments { url, address, deflate }| {
        // The server judges the origin.
        let mut acceptor = Acceptor::new().config(config()).origin(OriginPolicy::AllowAny);
        if let Some(settings) = deflate {
            acceptor = acceptor.deflate(settings);
        }
        let server = program::server(&address)?.acceptor(acceptor);
        println!("listening on ws://{}/", server.local_addr()?);
        Ok(server.run(move |exchange| serve(exchange, &url, deflate))?)
    })
}

/// The settings of both sides: parts take no memory however long their message is, and a Close is answered by the other side.
fn config() -> Config {
    let mut config = Config::default();
    config.max_message_len = u64::MAX;
    config.close_reply = CloseReply::ByHost;
    config
}

fn serve(exchange: Exchange, url: &str, deflate: Option<Settings>) -> HandlerResult {
    let origin = exchange.origin().map(str::to_owned);
    let offered: Vec<_> = exchange.subprotocols().map(str::to_owned).collect();
    let offered: Vec<_> = offered.iter().map(String::as_str).collect();
    let mut connector = Connector::new().config(config()).subprotocols(&offered);
    if let Some(origin) = &origin {
        connector = connector.origin(origin);
    }
    if let Some(settings) = deflate {
        connector = connector.deflate(settings);
    }
    let server = match connector.connect(url) {
        Ok(server) => server,
        Err(error) => {
            exchange.refuse(502)?;
            return Err(error.into());
        }
    };
    let chosen = exchange.select(server.subprotocol().as_slice());
    let client = exchange.accept_with(Answer::accept().subprotocol(chosen))?;
    let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
    thread::scope(|scope| {
        let up = thread::Builder::new()
            .spawn_scoped(scope, || forward(from_client, to_server, CloseCode::GOING_AWAY))?;
        let down = forward(from_server, to_client, CloseCode::BAD_GATEWAY);
        up.join().map_err(|_| "a thread has panicked")?.and(down).map_err(Box::<dyn Error + Send + Sync>::from)
    })
}

/// Passes on all that comes from one side. If that side fails, the other one gets a Close with the code `failure`.
fn forward<A: Role, B: Role>(mut from: Reader<A>, mut to: Writer<B>, failure: CloseCode) -> ws_std::Result<()> {
    loop {
        match from.read_part_event() {
            Ok(Some(Event::Data(data))) => match to.send_part(data.kind(), data.part(), data.as_bytes()) {
                // A side that is closing takes no more: what still comes for it is dropped, up to the Close.
                Ok(()) | Err(ws_std::Error::Send(_)) => {}
                // The thread that reads from that side sees its end, and closes this one.
                Err(_) => to.abort(),
            },
            Ok(Some(Event::Control(Control::Close))) => {
                let (code, reason) = from.close_frame().unwrap_or((CloseCode::NO_STATUS, String::new()));
                // The first Close of the two sides, or the answer to it.
                let _ = to.send_close(code, &reason);
            }
            Ok(Some(_)) => {}
            Ok(None) => return Ok(()),
            Err(error) => {
                let _ = to.send_close(failure, "");
                return Err(error);
            }
        }
    }
}
