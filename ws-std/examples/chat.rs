//! A chat room in the browser: the page and its WebSocket from one port.
//!
//! ```sh
//! cargo run --release --example chat
//! ```
//!
//! Open http://127.0.0.1:8080/ in two tabs and write.

use std::{
    collections::HashMap,
    error::Error,
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use ws_std::{Acceptor, Answer, CloseCode, Message, MessageKind, Page, Prepared, Server, Socket, Writer};

const HELP: &str = "\
usage: chat [ADDR]

Serves a chat room at http://ADDR/ (default 127.0.0.1:8080). Open it in two browser tabs.
Ctrl-C closes every connection and exits.

  -h, --help   this text";

/// Longer lines are not chat: the connection is closed with 1008.
const LONGEST_LINE: usize = 4 * 1024;

/// The writing half of everyone in the room.
#[derive(Default)]
struct Room {
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    writers: HashMap<u64, Writer<Server>>,
    next: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut address = String::from("127.0.0.1:8080");
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Value(value) => address = lexopt::ValueExt::string(value)?,
            lexopt::Arg::Short('h') | lexopt::Arg::Long("help") => {
                println!("{HELP}");
                return Ok(());
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    let listener = TcpListener::bind(&address)?;
    println!("open http://{}/ in two browser tabs", listener.local_addr()?);

    let room = Arc::new(Room::default());
    ctrlc::set_handler({
        let room = Arc::clone(&room);
        move || {
            room.close();
            std::process::exit(0);
        }
    })?;
    for stream in listener.incoming() {
        let room = Arc::clone(&room);
        let stream = stream?;
        thread::spawn(move || {
            if let Err(error) = room.serve(stream) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}

impl Room {
    /// Serves the page, or a member until it leaves.
    fn serve(&self, stream: TcpStream) -> Result<(), Box<dyn Error>> {
        let served = Acceptor::new().serve(
            Socket::try_from(stream)?,
            |request| if request.path() == "/ws" { Answer::accept() } else { Answer::refuse(404) },
            |request| match request.path() {
                "/" => Some(Page::html(include_str!("chat.html"))),
                _ => Some(Page::not_found()),
            },
        )?;
        let Some(ws) = served else {
            return Ok(());
        };
        let (mut reader, writer) = ws.split();
        let id = self.join(writer);
        self.say(&format!("guest {id} has joined"));
        let left = loop {
            match reader.read() {
                Ok(Some(Message::Text(line))) if line.len() <= LONGEST_LINE => {
                    self.say(&format!("guest {id}: {line}"));
                }
                Ok(Some(_)) => {
                    let refused = reader.close(CloseCode::POLICY_VIOLATION, "lines of text only, up to 4 KiB");
                    break refused.map(|_| ());
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        self.lock().writers.remove(&id);
        self.say(&format!("guest {id} has left"));
        Ok(left?)
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, writer: Writer<Server>) -> u64 {
        let mut members = self.lock();
        members.next += 1;
        let id = members.next;
        members.writers.insert(id, writer);
        id
    }

    /// Sends a line to everyone: encoded once, whatever their number.
    fn say(&self, line: &str) {
        let Ok(prepared) = Prepared::new(MessageKind::Text, line.as_bytes()) else {
            return;
        };
        // Not under the lock: a member that is slow to read holds up whoever speaks, but not the room.
        let writers: Vec<_> = self.lock().writers.values().cloned().collect();
        for mut writer in writers {
            // Its own thread sees that a member is gone.
            let _ = writer.send_prepared(&prepared);
        }
    }

    fn close(&self) {
        for writer in self.lock().writers.values_mut() {
            let _ = writer.send_close(CloseCode::GOING_AWAY, "the room is closing");
        }
    }
}
