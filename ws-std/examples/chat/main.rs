//! A chat room in the browser. One port serves the page and its WebSocket.
//!
//! ```sh
//! cargo run --release --example chat
//! ```
//!
//! Open http://127.0.0.1:8080/ in two tabs and write. Each line is encoded and compressed once, whatever the number of
//! members. A member has two threads, one that reads and one that writes the lines of the member's queue. A member that
//! writes too fast is slowed down, and removed if that goes on. A member that reads too slowly is dropped. Neither
//! delays the others.

mod admission;
mod pace;
#[path = "../program/mod.rs"]
mod program;
mod queue;
mod room;

use std::{error::Error, process::ExitCode, sync::Arc};

use admission::Admission;
use room::Room;
use ws_std::{Acceptor, Config, Exchange, HandlerResult, Page, proto::server::OriginPolicy};

const HELP: &str = "\
usage: chat [ADDR] [--origin URL]...

Serves a chat room at http://ADDR/ (default 127.0.0.1:8080). Open it in two browser tabs. It is reached by the
names and addresses of this machine's loopback interface, and by ADDR. Ctrl-C closes every connection and exits
after 10 seconds at most; a second Ctrl-C exits at once.

      --origin URL  serve browsers that see the room at this URL too, such as https://chat.example for a proxy's;
                    may be given several times
  -h, --help        this text";

const MOST_MEMBERS: usize = 1_000;
/// Admits scripts, styles and connections of the page's own origin only, and no frames around the page.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                              base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

struct Arguments {
    address: String,
    origins: Vec<String>,
}

fn arguments() -> program::Arguments<Arguments> {
    let (mut address, mut origins) = (None, Vec::new());
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => return Ok(None),
            lexopt::Arg::Long("origin") => origins.push(lexopt::ValueExt::string(parser.value()?)?),
            lexopt::Arg::Value(value) if address.is_none() => address = Some(lexopt::ValueExt::string(value)?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(Some(Arguments { address: address.unwrap_or_else(|| "127.0.0.1:8080".into()), origins }))
}

fn main() -> ExitCode {
    program::run(HELP, arguments(), |found| chat(&found))
}

fn chat(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let server = program::server(&arguments.address)?;
    let address = server.local_addr()?;
    let admission = Admission::new(address.ip(), &arguments.origins)?;
    println!("open http://{address}/ in two browser tabs");

    let mut config = Config::default();
    config.max_message_len = room::LONGEST_LINE;
    // `Admission` checks Host and Origin.
    let acceptor = Acceptor::new().config(config).origin(OriginPolicy::AllowAny).deflate(room::COMPRESSION);
    let room = Arc::new(Room::new());
    Ok(server.acceptor(acceptor).max_connections(MOST_MEMBERS).run(move |exchange| {
        if let Err(reason) = admission.check(&exchange) {
            exchange.refuse(403)?;
            return Err(reason.into());
        }
        serve(&room, exchange)
    })?)
}

/// Serves a file of the page, or a member until it leaves.
fn serve(room: &Room, exchange: Exchange) -> HandlerResult {
    // A proxy may serve the room under a prefix and leave the prefix in the path.
    let file = exchange.path().rsplit('/').next().unwrap_or_default();
    let page = match (file, exchange.is_upgrade()) {
        ("ws", true) => return room.serve(exchange),
        ("", false) => Page::html(include_str!("page.html")),
        ("page.js", false) => Page::new("text/javascript", include_bytes!("page.js").as_slice()),
        ("page.css", false) => Page::new("text/css", include_bytes!("page.css").as_slice()),
        _ => Page::not_found(),
    };
    Ok(exchange.page(&page.header("Content-Security-Policy", CONTENT_POLICY))?)
}
