//! A client that loses no line although its connections do: it numbers lines, keeps those that are not confirmed, and sends them
//! again on the next connection.
//!
//! ```sh
//! cargo run --release --example reconnect ws://127.0.0.1:9001/
//! ```

use std::{
    error::Error,
    process::ExitCode,
    time::{Duration, Instant},
};

use ws_std::{Backoff, CloseCode, Connector, Control, Event, Reconnect, Unconfirmed, WebSocket, role::Client};

mod program;

const HELP: &str = "\
usage: reconnect URL [LINES [MILLISECONDS [FIRST]]]

Connects to URL and sends LINES numbered lines (default 100), one in MILLISECONDS (default 100). When the connection is
lost, it connects again, first after up to FIRST milliseconds (default 8000), and sends the lines again that the server
has not confirmed. Exits when all are confirmed.";

/// The lines that are sent: which number is next, and which are not confirmed.
struct Lines {
    next: u32,
    end: u32,
    interval: Duration,
    unconfirmed: Unconfirmed,
}

fn main() -> ExitCode {
    program::run(HELP, program::values(4), |values| run(&values))
}

fn run(values: &[String]) -> Result<(), Box<dyn Error>> {
    let number = |index: usize, default| values.get(index).map_or(Ok(default), |value| value.parse());
    let url = values.first().ok_or("no URL given; --help tells more")?;
    let interval = Duration::from_millis(number(2, 100)?.into());
    let mut lines = Lines { next: 0, end: number(1, 100)?, interval, unconfirmed: Unconfirmed::new() };
    let mut backoff = Backoff::new();
    backoff.first = Duration::from_millis(number(3, 8_000)?.into());
    backoff.longest = backoff.longest.min(4 * backoff.first);
    let mut connections = Reconnect::new(|| {
        let mut ws = Connector::new().connect(url)?;
        ws.send("subscribe")?;
        Ok(ws)
    })
    .backoff(backoff)
    .on_failure(|error, delay| eprintln!("{error}, next try in {delay:?}"));
    while let Some(mut ws) = connections.next()? {
        println!("open");
        match lines.send_to(&mut ws) {
            Ok(true) => return Ok(ws.close(CloseCode::NORMAL, "").map(drop)?),
            Ok(false) => println!("lost: the server has closed"),
            Err(error) => println!("lost: {error}"),
        }
    }
    Ok(())
}

impl Lines {
    /// Sends the lines that may have got lost, and then the next ones. Returns whether all have been confirmed.
    fn send_to(&mut self, ws: &mut WebSocket<Client>) -> ws_std::Result<bool> {
        let again = self.unconfirmed.take();
        // Before any is sent: the connection may fail in the middle.
        again.iter().for_each(|line| self.unconfirmed.push(line.message()));
        for line in &again {
            ws.send(line.message())?;
        }
        println!("sent {} again", again.len());
        while self.next < self.end || !self.unconfirmed.is_empty() {
            if self.next < self.end {
                let line = format!("line {}", self.next);
                self.next += 1;
                self.unconfirmed.push(&line);
                ws.send(&line)?;
                println!("sent {line}");
            }
            ws.ping(&self.unconfirmed.ping())?;
            if !self.read_for_a_while(ws)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads until the next line is due. Returns false if the server has closed the connection.
    fn read_for_a_while(&mut self, ws: &mut WebSocket<Client>) -> ws_std::Result<bool> {
        let due = Instant::now() + self.interval;
        loop {
            ws.set_read_timeout(Some(due.saturating_duration_since(Instant::now())));
            match ws.read_event() {
                Ok(Some(Event::Control(Control::Pong))) => {
                    self.unconfirmed.pong(ws.control_payload().as_ref());
                }
                Ok(Some(_)) => {}
                Ok(None) => return Ok(false),
                Err(ws_std::Error::TimedOut) => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }
}
