//! A WebSocket at the terminal: lines typed are sent, messages are printed.
//!
//! ```sh
//! cargo run --release --example client ws://127.0.0.1:9001/
//! ```

use std::{
    error::Error,
    io::{BufRead, Write},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ws_std::{CloseCode, Config, ConnectError, Connector, Event, Message, Reader, Writer, role::Client};

mod program;

const HELP: &str = "\
usage: client [OPTIONS] URL

Connects to URL (ws://HOST[:PORT][/PATH][?QUERY]). Each line typed is sent as a text message, each message
received is printed: text as a line, binary as its length and first bytes. At the end of input (Ctrl-D) the
connection is closed with 1000. Exits with 0 if the connection ended cleanly.

      --ping               send a Ping every 5 seconds and tell how long its answer took
      --header 'NAME: VALUE'
                           send this header field in the opening handshake; may be given several times
      --subprotocol NAME   offer this subprotocol; may be given several times
      --origin ORIGIN      claim this origin
      --max-message BYTES  accept messages of up to this length (default 67108864)
  -h, --help               this text

What is not a message goes to standard error.";

const PING_INTERVAL: Duration = Duration::from_secs(5);

struct Arguments {
    url: String,
    ping: bool,
    headers: Vec<(String, String)>,
    subprotocols: Vec<String>,
    origin: Option<String>,
    max_message_len: u64,
}

fn arguments() -> program::Arguments<Arguments> {
    let mut url = None;
    let (mut ping, mut headers, mut subprotocols, mut origin) = (false, Vec::new(), Vec::new(), None);
    let mut max_message_len = 64 << 20;
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => return Ok(None),
            lexopt::Arg::Long("ping") => ping = true,
            lexopt::Arg::Long("header") => {
                let header = lexopt::ValueExt::string(parser.value()?)?;
                let (name, value) = header.split_once(':').ok_or("--header needs 'NAME: VALUE'")?;
                headers.push((name.to_owned(), value.trim().to_owned()));
            }
            lexopt::Arg::Long("subprotocol") => {
                subprotocols.push(lexopt::ValueExt::string(parser.value()?)?);
            }
            lexopt::Arg::Long("origin") => origin = Some(lexopt::ValueExt::string(parser.value()?)?),
            lexopt::Arg::Long("max-message") => {
                max_message_len = lexopt::ValueExt::parse(&parser.value()?)?;
            }
            lexopt::Arg::Value(value) if url.is_none() => url = Some(lexopt::ValueExt::string(value)?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let url = url.ok_or("no URL given; --help tells more")?;
    Ok(Some(Arguments { url, ping, headers, subprotocols, origin, max_message_len }))
}

fn main() -> ExitCode {
    program::run(HELP, arguments(), |found| run(&found))
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    config.max_message_len = arguments.max_message_len;
    let subprotocols: Vec<_> = arguments.subprotocols.iter().map(String::as_str).collect();
    let mut connector = Connector::new().config(config).subprotocols(&subprotocols);
    for (name, value) in &arguments.headers {
        connector = connector.header(name, value);
    }
    if let Some(origin) = &arguments.origin {
        connector = connector.origin(origin);
    }
    let ws = connector.connect(&arguments.url).map_err(explain)?;
    match ws.subprotocol() {
        Some(subprotocol) => eprintln!("connected to {}, subprotocol {subprotocol}", arguments.url),
        None => eprintln!("connected to {}", arguments.url),
    }

    let (reader, writer) = ws.split();
    let closing = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    if arguments.ping {
        let mut writer = writer.clone();
        thread::spawn(move || {
            // The payload is the time of sending; sending fails once the connection closes.
            while writer.ping(&started.elapsed().as_nanos().to_be_bytes()).is_ok() {
                thread::sleep(PING_INTERVAL);
            }
        });
    }
    thread::spawn({
        let closing = Arc::clone(&closing);
        move || send_lines(writer, &closing)
    });
    print_messages(reader, started, &closing)
}

/// A refusal says more than its status.
fn explain(error: ConnectError) -> Box<dyn Error> {
    let refused = match &error {
        ConnectError::Refused(refused) => refused,
        ConnectError::NeedsTls => return "wss is not for this program: it has no TLS".into(),
        _ => return error.into(),
    };
    let mut text = error.to_string();
    for name in ["Location", "WWW-Authenticate", "Sec-WebSocket-Version", "Retry-After"] {
        if let Some(value) = refused.header(name) {
            text = format!("{text}\n{name}: {}", String::from_utf8_lossy(value));
        }
    }
    text.into()
}

/// Sends each line of standard input, then closes.
fn send_lines(mut writer: Writer<Client>, closing: &AtomicBool) {
    for line in std::io::stdin().lock().lines() {
        let sent = match line {
            Ok(line) => writer.send(line.as_str()),
            Err(error) => {
                eprintln!("can't read standard input: {error}");
                break;
            }
        };
        if sent.is_err() {
            // The thread that reads tells why the connection has ended.
            return;
        }
    }
    closing.store(true, Ordering::Relaxed);
    let _ = writer.send_close(CloseCode::NORMAL, "");
}

/// Prints messages until the connection ends, and tells how it did.
fn print_messages(
    mut reader: Reader<Client>,
    started: Instant,
    closing: &AtomicBool,
) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    loop {
        match reader.read_event()? {
            Some(Event::Message(Message::Text(text))) => writeln!(out, "{text}")?,
            Some(Event::Message(Message::Binary(bytes))) => {
                let start = bytes.get(..16).unwrap_or(bytes);
                let more = if start.len() < bytes.len() { " …" } else { "" };
                writeln!(out, "[{} bytes: {start:02x?}{more}]", bytes.len())?;
            }
            Some(Event::Pong(payload)) => {
                if let Ok(sent) = payload.as_ref().try_into().map(u128::from_be_bytes) {
                    let took = started.elapsed().as_nanos().saturating_sub(sent);
                    eprintln!(
                        "pong after {:.3} ms",
                        Duration::from_nanos(u64::try_from(took)?).as_secs_f64() * 1e3
                    );
                }
            }
            Some(_) => {}
            None => break,
        }
    }
    if let (false, Some((code, reason))) = (closing.load(Ordering::Relaxed), reader.close_frame()) {
        eprintln!("closed by the server: {code} {reason:?}");
    }
    Ok(())
}
