//! One thread, one epoll, tens of thousands of connections: an echo server on `mio`.
//!
//! All connections read to one buffer. What else it takes to receive and to send, a connection borrows and
//! keeps only while something is unfinished: a cut message, output that the socket has not taken. All
//! replies to one read go out in one write; a peer that does not take its replies is not read from.
//!
//! ```sh
//! cargo run --release -p ws-hosts --example mio_echo 127.0.0.1:9001
//! ```

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    error::Error,
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
    time::Duration,
};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use slab::Slab;
use ws_proto::{
    Config, Endpoint, Incoming, Instant, MessageBuffer, Output, Pending, Server, State,
    server::{Accept, Opening, OriginPolicy},
};

const LISTENER: Token = Token(usize::MAX);
/// After so many reads it is another connection's turn.
const TURN: usize = 16;

struct Connection {
    stream: TcpStream,
    phase: Phase,
    unfinished: Option<Box<Memory>>,
    /// When its entry among the deadlines comes up.
    armed: Option<Instant>,
}

#[allow(clippy::large_enum_variant, reason = "nearly all connections are open")]
enum Phase {
    Opening(Box<Opening<'static>>),
    Open(Endpoint<Server>),
}

/// What a connection needs while it has something to do.
#[derive(Default)]
struct Memory {
    buffer: MessageBuffer<Vec<u8>>,
    output: Output,
}

/// What all connections use in their turn.
struct Shared {
    input: Vec<u8>,
    memory: Option<Box<Memory>>,
    deadlines: BinaryHeap<Reverse<(Instant, usize)>>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let mut listener = TcpListener::bind(address.parse()?)?;
    println!("listening on ws://{}/", listener.local_addr()?);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    let mut shared = Shared { input: vec![0; 64 * 1024], memory: None, deadlines: BinaryHeap::new() };
    let mut connections = Slab::new();
    let mut events = Events::with_capacity(1024);
    let epoch = std::time::Instant::now();
    let clock = || Instant::from(epoch.elapsed());
    loop {
        let wait = shared.deadlines.peek().map(|Reverse((at, _))| at.saturating_duration_since(clock()));
        match poll.poll(&mut events, wait) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        let now = clock();
        for event in &events {
            if event.token() != LISTENER {
                run(&mut connections, event.token().0, &mut shared, now);
                continue;
            }
            // An error means that nobody waits any more, or that there is no file for who does.
            while let Ok((mut stream, _)) = listener.accept() {
                let entry = connections.vacant_entry();
                let id = entry.key();
                poll.registry().register(&mut stream, Token(id), Interest::READABLE | Interest::WRITABLE)?;
                // Replies are written together as it is.
                let _ = stream.set_nodelay(true);
                let phase = Phase::Opening(Box::new(Opening::new(&config, OriginPolicy::AllowAny, now)));
                entry.insert(Connection { stream, phase, unfinished: None, armed: None });
                run(&mut connections, id, &mut shared, now);
            }
        }
        while let Some(&Reverse((at, id))) = shared.deadlines.peek().filter(|Reverse((at, _))| *at <= now) {
            shared.deadlines.pop();
            // An entry that is not what the connection is armed with was replaced by an earlier one.
            if let Some(connection) = connections.get_mut(id).filter(|connection| connection.armed == Some(at)) {
                connection.armed = None;
                run(&mut connections, id, &mut shared, now);
            }
        }
    }
}

/// Does all that a connection can do without waiting, and arms its deadline.
fn run(connections: &mut Slab<Connection>, id: usize, shared: &mut Shared, now: Instant) {
    let Some(connection) = connections.get_mut(id) else { return };
    let mut memory = connection.unfinished.take().or_else(|| shared.memory.take()).unwrap_or_default();
    let result = connection.run(&mut memory, &mut shared.input, now).map_err(|error| error.kind());
    let deadline = match (&connection.phase, result) {
        (Phase::Open(endpoint), _) if matches!(endpoint.state(), State::Closed(_)) => None,
        (Phase::Open(endpoint), Err(ErrorKind::WouldBlock)) => Some(endpoint.poll_timeout()),
        (Phase::Opening(opening), Err(ErrorKind::WouldBlock)) => Some(opening.poll_timeout()),
        // In the next round, behind all who have events.
        (_, Err(ErrorKind::Interrupted)) => Some(Some(now.saturating_add(Duration::from_nanos(1)))),
        _ => None,
    };
    let Some(deadline) = deadline else {
        connections.remove(id);
        return;
    };
    if memory.buffer.is_empty() && memory.output.is_empty() {
        shared.memory = Some(memory);
    } else {
        connection.unfinished = Some(memory);
    }
    // A deadline that has moved to later is armed again when its entry comes up.
    if deadline.is_some_and(|deadline| connection.armed.is_none_or(|armed| deadline < armed)) {
        connection.armed = deadline;
        shared.deadlines.extend(deadline.map(|at| Reverse((at, id))));
    }
}

impl Connection {
    fn run(&mut self, memory: &mut Memory, input: &mut [u8], now: Instant) -> io::Result<()> {
        let result = self.pump(memory, input, now);
        match &mut self.phase {
            Phase::Opening(_) => self.received(&mut [], memory, now),
            Phase::Open(endpoint) => {
                endpoint.handle_timeout(now);
                memory.output.drain(endpoint);
            }
        }
        self.write(&mut memory.output).and(result)
    }

    /// Writes and reads until the end, or until one of them would block: a peer that does not take its replies
    /// is not read from. [`ErrorKind::Interrupted`]: there is more to do.
    fn pump(&mut self, memory: &mut Memory, input: &mut [u8], now: Instant) -> io::Result<()> {
        for _ in 0..TURN {
            self.write(&mut memory.output)?;
            let room = match &self.phase {
                Phase::Open(endpoint) => memory.buffer.unfilled_or(endpoint, input),
                Phase::Opening(_) => &mut *input,
            };
            let len = self.stream.read(room)?;
            match &mut self.phase {
                Phase::Opening(_) if len == 0 => return Err(ErrorKind::UnexpectedEof.into()),
                Phase::Open(endpoint) if len == 0 => {
                    endpoint.receive_eof();
                    return Ok(());
                }
                _ => self.received(memory.buffer.filled_or(len, input), memory, now),
            }
        }
        Err(ErrorKind::Interrupted.into())
    }

    fn received(&mut self, mut input: &mut [u8], memory: &mut Memory, now: Instant) {
        let Memory { buffer, output } = memory;
        let endpoint = match &mut self.phase {
            Phase::Open(endpoint) => endpoint,
            Phase::Opening(opening) => {
                if let Some((endpoint, mut rest)) = opening.receive(now, input, output, |_| Ok(Accept::new())) {
                    self.phase = Phase::Open(endpoint);
                    // The first frames may have come with the request.
                    self.received(&mut rest, memory, now);
                }
                return;
            }
        };
        while let Ok(Some(incoming)) = buffer.next_in(endpoint, now, &mut input) {
            if let Incoming::Message(message) = incoming {
                // Refused once the connection is closing: then nobody waits for an echo.
                let _ = output.send(endpoint, message);
            }
            output.drain(endpoint);
        }
        output.drain(endpoint);
    }

    fn write(&mut self, output: &mut Output) -> io::Result<()> {
        while let Some(pending) = output.pending() {
            match pending {
                Pending::Bytes(bytes) => output.written(self.stream.write(bytes)?),
                Pending::Shutdown => {
                    let _ = self.stream.shutdown(Shutdown::Write);
                    output.shut_down();
                }
            }
        }
        Ok(())
    }
}
