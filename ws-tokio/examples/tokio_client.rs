//! A WebSocket client at the terminal: sends each line typed, and prints each message.
//!
//! ```sh
//! cargo run --release --example tokio_client ws://127.0.0.1:9001/
//! ```

use clap::Parser;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines, Stdin, stdin},
    signal::ctrl_c,
};
use ws_tokio::{CloseCode, Config, Connector, Message, Reader, Writer, role::Client};

/// Connects to URL (ws://HOST[:PORT][/PATH][?QUERY]). Each line typed is sent as a text message, each message received is
/// printed: text as a line, with control characters escaped, binary as its length. At the end of input (Ctrl-D) or at Ctrl-C
/// the connection is closed with 1000; messages that come before the server has closed too are printed. Exits with 0 if the
/// connection ended cleanly.
#[derive(Parser)]
struct Arguments {
    url: String,
    /// Offer this subprotocol; may be given several times
    #[arg(long, value_name = "NAME")]
    subprotocol: Vec<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    let subprotocols: Vec<_> = arguments.subprotocol.iter().map(String::as_str).collect();
    let ws = Connector::new().config(config).subprotocols(&subprotocols).connect(&arguments.url).await?;
    let (mut reader, writer) = ws.split();
    tokio::spawn(send_lines(writer));
    let result = print_messages(&mut reader).await;
    if let Some((code, reason)) = reader.close_frame() {
        eprintln!("closed: {code} {reason:?}");
    }
    // A read of standard input cannot be given up, so the process does not wait for it.
    if let Err(error) = result {
        eprintln!("{error:?}");
        std::process::exit(1);
    }
    std::process::exit(0);
}

/// Sends each line of standard input, and begins to close after the last one.
async fn send_lines(mut writer: Writer<Client>) -> ws_tokio::Result<()> {
    let mut lines = BufReader::new(stdin()).lines();
    while let Some(line) = next_line(&mut lines).await {
        writer.send(line.as_str()).await?;
    }
    writer.send_close(CloseCode::NORMAL, "").await
}

/// Returns the next line. `None`: the input has ended, or the user has typed Ctrl-C.
async fn next_line(lines: &mut Lines<BufReader<Stdin>>) -> Option<String> {
    tokio::select! {
        line = lines.next_line() => line.unwrap_or_else(|error| {
            eprintln!("standard input: {error}");
            None
        }),
        _ = ctrl_c() => None,
    }
}

async fn print_messages(reader: &mut Reader<Client>) -> anyhow::Result<()> {
    while let Some(message) = reader.read().await? {
        match message {
            Message::Text(text) => println!("{}", text.escape_debug()),
            Message::Binary(bytes) => println!("[{} bytes]", bytes.len()),
        }
    }
    Ok(())
}
