//! A chat room in the browser: the page and its WebSocket from one port.
//!
//! ```sh
//! cargo run --release --example chat
//! ```
//!
//! Open http://127.0.0.1:8080/ in two tabs and write. Each line is encoded and compressed once, whatever the number
//! of members. A member has two threads, one that reads and one that writes what waits in a queue of its own;
//! one whose queue is full is dropped, and nobody has waited for it.

use std::{
    collections::HashMap,
    net::{TcpListener, TcpStream},
    process::ExitCode,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use ws_std::{
    Acceptor, Answer, CloseCode, Error, Message, MessageKind, Page, Prepared, Reader, Socket, Writer,
    deflate::{Deflater, Settings},
    proto::SendError,
    role::Server,
};

mod program;

const HELP: &str = "\
usage: chat [ADDR]

Serves a chat room at http://ADDR/ (default 127.0.0.1:8080). Open it in two browser tabs.
Ctrl-C closes every connection and exits.

  -h, --help   this text";

/// Longer lines are not chat: the connection is closed with 1008.
const LONGEST_LINE: usize = 4 * 1024;
/// Lines that may wait for a member to read them.
const QUEUE: usize = 64;
const MOST_MEMBERS: usize = 1_000;

/// A line on its way to everyone, and compressed for those who can read that.
struct Line {
    plain: Prepared<Vec<u8>>,
    deflated: Prepared<Vec<u8>>,
}

struct Room {
    acceptor: Acceptor<'static>,
    members: Mutex<Members>,
    deflater: Mutex<Deflater>,
}

#[derive(Default)]
struct Members {
    by_id: HashMap<u64, Member>,
    next: u64,
}

struct Member {
    queue: SyncSender<Arc<Line>>,
    writer: Writer<Server>,
}

fn main() -> ExitCode {
    program::run(HELP, program::values(1), |values| chat(values.first().map_or("127.0.0.1:8080", String::as_str)))
}

fn chat(address: &str) -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind(address).map_err(|error| format!("can't listen on {address}: {error}"))?;
    println!("open http://{}/ in two browser tabs", listener.local_addr()?);

    let settings = Settings::small();
    let room = Arc::new(Room {
        acceptor: Acceptor::new().deflate(settings),
        members: Mutex::default(),
        deflater: Mutex::new(Deflater::new(settings)),
    });
    ctrlc::set_handler({
        let room = Arc::clone(&room);
        move || {
            room.close();
            std::process::exit(0);
        }
    })?;
    for stream in listener.incoming() {
        let room = Arc::clone(&room);
        let served = stream.and_then(|stream| {
            thread::Builder::new().spawn(move || {
                if let Err(error) = room.serve(stream) {
                    eprintln!("{error}");
                }
            })
        });
        if let Err(error) = served {
            // Out of files or threads, say: some will be free in a moment.
            eprintln!("can't accept: {error}");
            thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(())
}

impl Room {
    /// Serves the page, or a member until it leaves.
    fn serve(&self, stream: TcpStream) -> Result<(), Box<dyn std::error::Error>> {
        let mut name = String::new();
        let served = self.acceptor.serve(
            Socket::try_from(stream)?,
            |request| {
                name = name_in(request.query());
                match request.path() {
                    "/ws" if self.lock().by_id.len() < MOST_MEMBERS => Answer::accept(),
                    "/ws" => Answer::refuse(503),
                    _ => Answer::refuse(404),
                }
            },
            |request| match request.path() {
                "/" => Some(Page::html(include_str!("chat.html"))),
                _ => Some(Page::not_found()),
            },
        )?;
        let Some(ws) = served else {
            return Ok(());
        };
        let (reader, writer) = ws.split();
        let (queue, lines) = sync_channel(QUEUE);
        let id = self.join(Member { queue, writer: writer.clone() });
        self.say(&format!("join\t{name}"));
        let result = thread::scope(|scope| {
            scope.spawn(move || write_lines(writer, lines));
            let result = self.read_lines(reader, &name);
            // Its queue goes with it, and with the queue the thread that writes.
            self.leave(id);
            result
        });
        self.say(&format!("leave\t{name}"));
        Ok(result?)
    }

    fn read_lines(&self, mut reader: Reader<Server>, name: &str) -> ws_std::Result<()> {
        while let Some(message) = reader.read()? {
            match message {
                Message::Text(line) if line.len() <= LONGEST_LINE => self.say(&format!("say\t{name}\t{line}")),
                _ => {
                    reader.close(CloseCode::POLICY_VIOLATION, "lines of text only, of up to 4 KiB")?;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn join(&self, member: Member) -> u64 {
        let mut members = self.lock();
        members.next += 1;
        let id = members.next;
        members.by_id.insert(id, member);
        id
    }

    fn leave(&self, id: u64) {
        self.lock().by_id.remove(&id);
    }

    /// Queues a line for everyone: encoded once, and nobody is waited for.
    fn say(&self, line: &str) {
        let Ok(plain) = Prepared::new(MessageKind::Text, line.as_bytes().to_vec()) else {
            return;
        };
        let bits = Settings::small().server_max_window_bits;
        let mut deflater = self.deflater.lock().unwrap_or_else(PoisonError::into_inner);
        let line = Arc::new(Line { plain, deflated: deflater.prepare(Message::Text(line), bits) });
        drop(deflater);
        self.lock().by_id.retain(|_, member| {
            let keeps_up = member.queue.try_send(Arc::clone(&line)).is_ok();
            if !keeps_up {
                // Its threads see the connection end.
                member.writer.abort();
            }
            keeps_up
        });
    }

    fn close(&self) {
        for member in self.lock().by_id.values_mut() {
            // Whoever is gone needs no farewell.
            let _ = member.writer.send_close(CloseCode::GOING_AWAY, "the room is closing");
        }
    }
}

/// Sends a member what waits for it, until it has left.
fn write_lines(mut writer: Writer<Server>, lines: Receiver<Arc<Line>>) {
    for line in lines {
        let sent = match writer.send_prepared(&line.deflated) {
            Err(Error::Send(SendError::NotNegotiated)) => writer.send_prepared(&line.plain),
            sent => sent,
        };
        if sent.is_err() {
            // The thread that reads sees it too.
            return;
        }
    }
}

/// The name that a member has given itself: a short line, and not quite nothing.
fn name_in(query: Option<&str>) -> String {
    let pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let name = pairs.filter(|(key, _)| key == "name").map(|(_, name)| name).next().unwrap_or_default();
    let name: String = name.chars().filter(|character| !character.is_control()).take(32).collect();
    let name = name.trim();
    if name.is_empty() { "guest".into() } else { name.into() }
}
