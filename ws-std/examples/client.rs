//! A WebSocket client at the terminal: sends each line typed, and prints each message. The program `ws` does more.
//!
//! ```sh
//! cargo run --release --example client ws://127.0.0.1:9001/
//! ```

use std::{error::Error, io::BufRead, process::ExitCode, thread};

use ws_std::{CloseCode, Config, Connector, Message, Reader, Writer, role::Client};

mod program;

const HELP: &str = "\
usage: client [--subprotocol NAME] URL

Connects to URL (ws://HOST[:PORT][/PATH][?QUERY], or wss). Each line typed is sent as a text message, each message
received is printed. At the end of input (Ctrl-D) or at Ctrl-C the connection is closed with 1000; messages that
come before the server has closed too are printed. Exits with 0 if the connection ended cleanly.

      --subprotocol NAME   offer this subprotocol; may be given several times
  -h, --help               this text";

fn arguments() -> program::Arguments<(String, Vec<String>)> {
    let (mut url, mut subprotocols) = (None, Vec::new());
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => return Ok(None),
            lexopt::Arg::Long("subprotocol") => subprotocols.push(lexopt::ValueExt::string(parser.value()?)?),
            lexopt::Arg::Value(value) if url.is_none() => url = Some(lexopt::ValueExt::string(value)?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(Some((url.ok_or("no URL given; --help tells more")?, subprotocols)))
}

fn main() -> ExitCode {
    program::run(HELP, arguments(), |(url, subprotocols)| converse(&url, &subprotocols))
}

fn converse(url: &str, subprotocols: &[String]) -> Result<(), Box<dyn Error>> {
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    let subprotocols: Vec<_> = subprotocols.iter().map(String::as_str).collect();
    let ws = Connector::new().config(config).subprotocols(&subprotocols).connect(url)?;
    let (reader, writer) = ws.split();
    let mut at_signal = writer.clone();
    // The thread that reads reports the errors of those that write.
    program::at_signal(move || _ = at_signal.send_close(CloseCode::NORMAL, ""))?;
    thread::spawn(move || send_lines(writer));
    print_messages(reader)
}

/// Sends each line of standard input, and begins to close after the last one.
fn send_lines(mut writer: Writer<Client>) -> ws_std::Result<()> {
    for line in std::io::stdin().lock().lines() {
        writer.send(line?.as_str())?;
    }
    writer.send_close(CloseCode::NORMAL, "")
}

fn print_messages(mut reader: Reader<Client>) -> Result<(), Box<dyn Error>> {
    while let Some(message) = reader.read()? {
        match message {
            Message::Text(text) => println!("{}", program::escaped(text)),
            Message::Binary(bytes) => println!("[{} bytes]", bytes.len()),
        }
    }
    if let Some((code, reason)) = reader.close_frame() {
        eprintln!("closed: {code} {reason:?}");
    }
    Ok(())
}
