//! A WebSocket client at the terminal: sends each line typed, and prints each message.
//!
//! ```sh
//! cargo run --release --example client ws://127.0.0.1:9001/
//! ```

use std::{
    error::Error,
    io::{BufRead, Write},
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use ws_std::{CloseCode, Config, ConnectError, Connector, Control, Event, Message, Reader, Writer, role::Client};

mod program;

const HELP: &str = "\
usage: client [OPTIONS] URL

Connects to URL (ws://HOST[:PORT][/PATH][?QUERY]). Each line typed is sent as a text message, each message
received is printed: text as a line, with control characters escaped, binary as its length and first bytes. At
the end of input (Ctrl-D) the connection is closed with 1000 as soon as the server is silent for a while, at
Ctrl-C at once; a second Ctrl-C exits. Exits with 0 if the connection ended cleanly.

      --ping               send a Ping every 5 seconds and tell how long its answer took
      --header 'NAME: VALUE'
                           send this header field in the opening handshake; may be given several times
      --subprotocol NAME   offer this subprotocol; may be given several times
      --origin ORIGIN      claim this origin
      --wait SECONDS       after the end of input close when the server has sent nothing for this long (default 0.5)
      --max-message BYTES  accept messages of up to this length (default 67108864)
  -h, --help               this text

What is not a message goes to standard error.";

/// The most characters of a refusal's body that are printed.
const LONGEST_BODY: usize = 500;
const PING_INTERVAL: Duration = Duration::from_secs(5);

struct Arguments {
    url: String,
    ping: bool,
    headers: Vec<(String, String)>,
    subprotocols: Vec<String>,
    origin: Option<String>,
    wait: Duration,
    max_message_len: u64,
}

fn arguments() -> program::Arguments<Arguments> {
    let mut url = None;
    let (mut ping, mut headers, mut subprotocols, mut origin) = (false, Vec::new(), Vec::new(), None);
    let (mut wait, mut max_message_len) = (Duration::from_millis(500), 64 << 20);
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
            lexopt::Arg::Long("wait") => {
                let seconds = lexopt::ValueExt::parse(&parser.value()?)?;
                wait = Duration::try_from_secs_f64(seconds).map_err(|_| "--wait needs a number of seconds")?;
            }
            lexopt::Arg::Long("max-message") => {
                max_message_len = lexopt::ValueExt::parse(&parser.value()?)?;
            }
            lexopt::Arg::Value(value) if url.is_none() => url = Some(lexopt::ValueExt::string(value)?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let url = url.ok_or("no URL given; --help tells more")?;
    Ok(Some(Arguments { url, ping, headers, subprotocols, origin, wait, max_message_len }))
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
    let life = Life::new(arguments.wait);
    if arguments.ping {
        let (life, mut writer) = (Arc::clone(&life), writer.clone());
        thread::spawn(move || {
            // The payload is the time of sending; sending fails once the connection closes.
            while writer.ping(&life.started.elapsed().as_nanos().to_be_bytes()).is_ok() {
                thread::sleep(PING_INTERVAL);
            }
        });
    }
    program::at_signal({
        let (life, mut writer) = (Arc::clone(&life), writer.clone());
        move || life.close(&mut writer)
    })?;
    thread::spawn({
        let life = Arc::clone(&life);
        move || send_lines(writer, &life)
    });
    print_messages(reader, &life)
}

/// Adds the interesting fields and the body of a refusal to the error.
fn explain(error: ConnectError) -> Box<dyn Error> {
    let ConnectError::Refused(refused) = &error else {
        return error.into();
    };
    let mut text = error.to_string();
    for name in ["Location", "WWW-Authenticate", "Sec-WebSocket-Version", "Retry-After"] {
        if let Some(value) = refused.header(name) {
            text = format!("{text}\n{name}: {}", program::escaped(&String::from_utf8_lossy(value)));
        }
    }
    let body: String = String::from_utf8_lossy(refused.body()).trim().chars().take(LONGEST_BODY).collect();
    if !body.is_empty() {
        text = format!("{text}\n{}", program::escaped(&body));
    }
    text.into()
}

/// Sends each line of standard input. After the last one, closes the connection when the server has been silent for a
/// while.
fn send_lines(mut writer: Writer<Client>, life: &Life) {
    for line in std::io::stdin().lock().lines() {
        match line {
            Ok(line) if writer.send(line.as_str()).is_ok() => {}
            // The thread that reads reports the error.
            Ok(_) => return,
            Err(error) => {
                eprintln!("standard input: {error}");
                break;
            }
        }
    }
    life.wait_for_silence();
    life.close(&mut writer);
}

/// The state of a connection that its threads share.
struct Life {
    started: Instant,
    /// Silence of the server, after the end of input, at which the connection is closed.
    wait: Duration,
    /// Time of the last message.
    heard: Mutex<Instant>,
    closing: AtomicBool,
}

impl Life {
    fn new(wait: Duration) -> Arc<Self> {
        let started = Instant::now();
        Arc::new(Self { started, wait, heard: Mutex::new(started), closing: AtomicBool::new(false) })
    }

    fn hear(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn wait_for_silence(&self) {
        let asked = Instant::now();
        loop {
            let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
            let left = self.wait.saturating_sub(heard.max(asked).elapsed());
            if left.is_zero() {
                return;
            }
            thread::sleep(left);
        }
    }

    fn close(&self, writer: &mut Writer<Client>) {
        self.closing.store(true, Ordering::Relaxed);
        // The thread that reads reports an error.
        let _ = writer.send_close(CloseCode::NORMAL, "");
    }
}

/// Prints messages until the connection ends, then the reason if the server has closed.
fn print_messages(mut reader: Reader<Client>, life: &Life) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout();
    loop {
        let event = reader.read_event()?;
        if let Some(Event::Data(_)) = event {
            life.hear();
        }
        match event {
            Some(Event::Data(Message::Text(text))) => writeln!(out, "{}", program::escaped(text))?,
            Some(Event::Data(Message::Binary(bytes))) => {
                let start = bytes.get(..16).unwrap_or(bytes);
                let more = if start.len() < bytes.len() { " …" } else { "" };
                writeln!(out, "[{} bytes: {start:02x?}{more}]", bytes.len())?;
            }
            Some(Event::Control(Control::Pong)) => {
                if let Ok(sent) = reader.control_payload().as_ref().try_into().map(u128::from_be_bytes) {
                    let took = life.started.elapsed().as_nanos().saturating_sub(sent);
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
    if let (false, Some((code, reason))) = (life.closing.load(Ordering::Relaxed), reader.close_frame()) {
        eprintln!("closed by the server: {code} {reason:?}");
    }
    Ok(())
}
