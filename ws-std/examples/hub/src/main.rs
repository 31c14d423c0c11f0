//! Rooms in the browser, on one server or on many with Redis between them. One port serves the page and its WebSockets.
//!
//! ```sh
//! cargo run --release -p ws-hub
//! ```
//!
//! README.md says which file is which.

mod admission;
mod chat;
mod client;
mod doc;
mod game;
mod log;
mod poll;
#[path = "../../program/mod.rs"]
mod program;
mod replica;
mod rooms;
mod text;
mod ticks;
mod watched;
mod world;

use std::{
    error::Error,
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use admission::Admission;
use doc::Documents;
use game::Games;
use log::{Log, memory::MemoryLog, redis::RedisLog};
use rooms::Rooms;
use text::is_key;
use ticks::Ticks;
use ws_std::{Acceptor, Config, Exchange, Handle, HandlerResult, Page, proto::server::OriginPolicy};

const HELP: &str = "\
usage: ws-hub [ADDR] [--redis URL] [--ticks RATE] [--origin URL]...

Serves rooms at http://ADDR/ (default 127.0.0.1:8080). Open it in two browser tabs. It is reached by the
names and addresses of this machine's loopback interface, and by ADDR. Ctrl-C or SIGTERM tells every client
to come back, and exits when all have left, after 10 seconds at most; a second one exits at once.

      --redis URL   keep what is written in Redis, such as redis://127.0.0.1/, which other hubs may use at the same
                    time; without it, it is kept until the hub ends
      --ticks RATE  change this many prices a second, up to 100000 (default 1000)
      --origin URL  serve browsers that see the hub at this URL too, such as https://hub.example for a proxy's;
                    may be given several times
  -h, --help        this text";

/// The longest message of a client in bytes: a whole document. A longer one closes the connection with 1009.
const LONGEST_MESSAGE: u64 = replica::LONGEST as u64 + 1024;
/// The most changes of prices in a second.
const MOST_TICKS: u32 = 100_000;
/// Time in which clients may leave before they are dropped.
const DRAIN_TIME: Duration = Duration::from_secs(8);
/// Time in which the rest has to close then.
const STOP_TIME: Duration = Duration::from_secs(2);
/// Admits scripts, styles and connections of the page's own origin only, and no frames around the page.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                              base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The files of the page: name, type and text.
const FILES: [(&str, &str, &str); 10] = [
    ("", "text/html; charset=utf-8", include_str!("page/page.html")),
    ("page.css", "text/css", include_str!("page/page.css")),
    ("page.js", "text/javascript", include_str!("page/page.js")),
    ("dom.js", "text/javascript", include_str!("page/dom.js")),
    ("link.js", "text/javascript", include_str!("page/link.js")),
    ("chat.js", "text/javascript", include_str!("page/chat.js")),
    ("game.js", "text/javascript", include_str!("page/game.js")),
    ("doc.js", "text/javascript", include_str!("page/doc.js")),
    ("yjs.js", "text/javascript", include_str!("page/vendor/yjs.js")),
    ("ticks.js", "text/javascript", include_str!("page/ticks.js")),
];

struct Arguments {
    address: Option<String>,
    redis: Option<String>,
    rate: u32,
    origins: Vec<String>,
}

/// Everything that clients share.
struct Hub {
    rooms: Arc<Rooms>,
    games: Games,
    documents: Documents,
    ticks: Ticks,
}

fn arguments() -> program::Arguments<Arguments> {
    let mut found = Arguments { address: None, redis: None, rate: 1_000, origins: Vec::new() };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => return Ok(None),
            lexopt::Arg::Long("redis") => found.redis = Some(lexopt::ValueExt::string(parser.value()?)?),
            lexopt::Arg::Long("ticks") => found.rate = lexopt::ValueExt::parse(&parser.value()?)?,
            lexopt::Arg::Long("origin") => found.origins.push(lexopt::ValueExt::string(parser.value()?)?),
            lexopt::Arg::Value(value) if found.address.is_none() => {
                found.address = Some(lexopt::ValueExt::string(value)?);
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    if !(1..=MOST_TICKS).contains(&found.rate) {
        return Err(format!("--ticks takes 1 to {MOST_TICKS}").into());
    }
    Ok(Some(found))
}

fn main() -> ExitCode {
    program::run(HELP, arguments(), |found| run(&found))
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let log: Box<dyn Log> = match &arguments.redis {
        Some(url) => Box::new(RedisLog::new(url).map_err(|error| format!("the log can't be reached: {error}"))?),
        None => Box::new(MemoryLog::default()),
    };
    let server = program::bind(arguments.address.as_deref().unwrap_or("127.0.0.1:8080"))?;
    let address = server.local_addr()?;
    let admission = Admission::new(address.ip(), &arguments.origins)?;
    let hub = Arc::new(Hub {
        rooms: Rooms::new(log),
        ticks: Ticks::new(arguments.rate),
        games: Games::default(),
        documents: Documents::default(),
    });
    let (ending, handle) = (Arc::clone(&hub), server.handle());
    program::at_signal(move || end(&ending, &handle))?;
    let (followed, changed) = (Arc::clone(&hub), Arc::clone(&hub));
    thread::Builder::new().name("follower".into()).spawn(move || followed.rooms.follow())?;
    thread::Builder::new().name("ticks".into()).spawn(move || changed.ticks.run())?;
    println!("open http://{address}/ in two browser tabs");

    let mut config = Config::default();
    config.max_message_len = LONGEST_MESSAGE;
    // `Admission` checks Host and Origin.
    let acceptor = Acceptor::new().config(config).origin(OriginPolicy::AllowAny).deflate(client::COMPRESSION);
    Ok(server.acceptor(acceptor).stop_timeout(STOP_TIME).run(move |exchange| {
        if let Err(reason) = admission.check(&exchange) {
            exchange.refuse(403)?;
            return Err(reason.into());
        }
        serve(&hub, exchange)
    })?)
}

/// Tells all clients to come back, to this hub or another, and stops the server when they have left.
fn end(hub: &Hub, handle: &Handle) {
    let until = Instant::now() + DRAIN_TIME;
    hub.rooms.end();
    hub.ticks.end();
    while handle.connections() > 0 && Instant::now() < until {
        thread::sleep(Duration::from_millis(20));
    }
    handle.stop();
}

/// Serves a file of the page, or a client until it leaves. A proxy may serve the hub under a prefix and leave the prefix
/// in the path.
///
/// Functions that take the exchange are not inlined. A thread keeps all the stack that it has used, and a client of one part would
/// cost the frames of all parts.
fn serve(hub: &Hub, exchange: Exchange) -> HandlerResult {
    let path = exchange.path().to_owned();
    let mut from_end = path.rsplit('/');
    let mut segment = || from_end.next().unwrap_or_default();
    let (file, folder, parent) = (segment(), segment(), segment());
    let page = match (folder, file, exchange.is_upgrade()) {
        ("chat" | "game" | "doc", room, true) if !is_key(room) => return Ok(exchange.refuse(400)?),
        ("chat", room, true) => return chat::serve(&hub.rooms, room, exchange),
        ("game", room, true) => return game::serve(&hub.games, &hub.rooms, room, exchange),
        ("doc", room, true) => return doc::serve(&hub.documents, &hub.rooms, room, exchange),
        (_, "ticks", true) => return ticks::serve(&hub.ticks, exchange),
        ("chat", room, false) if parent == "poll" => return poll::chat(&hub.rooms, room, exchange),
        ("poll", "ticks", false) => return poll::ticks(&hub.ticks, exchange),
        (_, "health", false) if !hub.rooms.is_well() => return Ok(exchange.refuse(503)?),
        (_, "health", false) => Page::new("text/plain", b"well\n".as_slice()),
        (_, file, false) => FILES
            .iter()
            .find(|(name, ..)| *name == file)
            .map_or_else(Page::not_found, |(_, kind, text)| Page::new(kind, text.as_bytes())),
        (_, _, true) => Page::not_found(),
    };
    answer(exchange, page)
}

#[inline(never)]
fn answer(exchange: Exchange, page: Page) -> HandlerResult {
    Ok(exchange.page(&page.header("Content-Security-Policy", CONTENT_POLICY))?)
}

/// Locks, also after a thread has panicked: no state here is left half changed.
fn lock<X>(mutex: &Mutex<X>) -> MutexGuard<'_, X> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
