//! A client that loses no line although its connections do: it numbers lines, keeps those that are not confirmed, and sends them
//! again on the next connection.
//!
//! ```sh
//! cargo run --release --example tokio_reconnect ws://127.0.0.1:9001/
//! ```

use std::time::Duration;

use clap::Parser;
use tokio::time::{Instant, timeout_at};
use ws_tokio::{Backoff, CloseCode, Connector, Control, Event, Reconnect, Unconfirmed, WebSocket, role::Client};

/// Connects to URL and sends numbered lines. When the connection is lost, it connects again and sends the lines again that the
/// server has not confirmed. Exits when all are confirmed.
#[derive(Parser)]
struct Arguments {
    url: String,
    /// The number of lines
    #[arg(default_value_t = 100)]
    lines: u32,
    /// The time between two lines
    #[arg(default_value_t = 100)]
    milliseconds: u64,
    /// The longest time before the first try to connect again, in milliseconds
    #[arg(default_value_t = 8_000)]
    first: u64,
}

/// The lines that are sent: which number is next, and which are not confirmed.
struct Lines {
    next: u32,
    end: u32,
    interval: Duration,
    unconfirmed: Unconfirmed,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let interval = Duration::from_millis(arguments.milliseconds);
    let mut lines = Lines { next: 0, end: arguments.lines, interval, unconfirmed: Unconfirmed::new() };
    let mut backoff = Backoff::new();
    backoff.first = Duration::from_millis(arguments.first);
    backoff.longest = backoff.longest.min(4 * backoff.first);
    let mut connections = Reconnect::new(|| async {
        let mut ws = Connector::new().connect(&arguments.url).await?;
        ws.send("subscribe").await?;
        Ok(ws)
    })
    .backoff(backoff)
    .on_failure(|error, delay| eprintln!("{error}, next try in {delay:?}"));
    loop {
        let mut ws = connections.next().await?;
        println!("open");
        match lines.send_to(&mut ws).await {
            Ok(true) => {
                ws.close(CloseCode::NORMAL, "").await?;
                return Ok(());
            }
            Ok(false) => println!("lost: the server has closed"),
            Err(error) => println!("lost: {error}"),
        }
    }
}

impl Lines {
    /// Sends the lines that may have got lost, and then the next ones. Returns whether all have been confirmed.
    async fn send_to(&mut self, ws: &mut WebSocket<Client>) -> ws_tokio::Result<bool> {
        let again = self.unconfirmed.take();
        // Before any is sent: the connection may fail in the middle.
        again.iter().for_each(|line| self.unconfirmed.push(line.message()));
        for line in &again {
            ws.send(line.message()).await?;
        }
        println!("sent {} again", again.len());
        while self.next < self.end || !self.unconfirmed.is_empty() {
            if self.next < self.end {
                let line = format!("line {}", self.next);
                self.next += 1;
                self.unconfirmed.push(&line);
                ws.send(&line).await?;
                println!("sent {line}");
            }
            ws.ping(&self.unconfirmed.ping()).await?;
            if !self.read_for_a_while(ws).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads until the next line is due. Returns false if the server has closed the connection.
    async fn read_for_a_while(&mut self, ws: &mut WebSocket<Client>) -> ws_tokio::Result<bool> {
        let due = Instant::now() + self.interval;
        // A read that is given up has lost nothing.
        while let Ok(event) = timeout_at(due, ws.read_event()).await {
            match event? {
                Some(Event::Control(Control::Pong)) => {
                    self.unconfirmed.pong(ws.control_payload().as_ref());
                }
                Some(_) => {}
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}
