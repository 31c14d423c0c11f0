//! One thread, one epoll, tens of thousands of connections: an echo server on `mio`.
//!
//! All connections read to one buffer. What else it takes to receive and to send, a connection borrows and
//! keeps only while something is unfinished: a cut message, output that the socket has not taken. All
//! replies to one read go out in one write; a peer that does not take its replies is not read from.
//!
//! ```sh
//! cargo run --release -p ws-hosts --example mio_echo 127.0.0.1:9001 [--deflate]
//! ```
//!
//! With `--deflate`, messages are compressed without context takeover: then compressors are among what is borrowed.

use std::{
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
    Config, Deadlines, Instant, Memory, Message, Pending, Reply, Session,
    deflate::{Deflater, Settings},
    server::{Accept, OriginPolicy},
};

/// After so many reads it is another connection's turn.
const TURN: usize = 16;

struct Connection {
    stream: TcpStream,
    session: Session<'static>,
    unfinished: Option<Box<Memory>>,
}

struct Host {
    connections: Slab<Connection>,
    deadlines: Deadlines,
    /// What all connections use in their turn.
    input: Vec<u8>,
    memory: Option<Box<Memory>>,
    deflate: Option<Settings>,
}

fn main() -> Result<(), Box<dyn Error>> {
    const LISTENER: Token = Token(usize::MAX);
    // For so many address space is reserved; there may be more.
    const CONNECTIONS: usize = 1 << 16;
    let (options, values): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|value| value.starts_with("--"));
    let address = values.first().map_or("127.0.0.1:9001", String::as_str);
    let deflate = options.iter().any(|option| option == "--deflate").then(Settings::small);
    let mut listener = TcpListener::bind(address.parse()?)?;
    println!("listening on ws://{}/", listener.local_addr()?);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    let (connections, deadlines) = (Slab::with_capacity(CONNECTIONS), Deadlines::with_capacity(CONNECTIONS));
    let mut host = Host { connections, deadlines, input: vec![0; 128 * 1024], memory: None, deflate };
    let mut events = Events::with_capacity(1024);
    let epoch = std::time::Instant::now();
    let clock = || Instant::from(epoch.elapsed());
    loop {
        match poll.poll(&mut events, host.deadlines.wait(clock())) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        let now = clock();
        for event in &events {
            if event.token() != LISTENER {
                host.run(event.token().0, now, event.is_read_closed());
                continue;
            }
            // An error means that nobody waits any more, or that there is no file for who does.
            while let Ok((mut stream, _)) = listener.accept() {
                let entry = host.connections.vacant_entry();
                let id = entry.key();
                poll.registry().register(&mut stream, Token(id), Interest::READABLE | Interest::WRITABLE)?;
                // Replies are written together as it is.
                let _ = stream.set_nodelay(true);
                let session = Session::new(&config, OriginPolicy::AllowAny, now);
                entry.insert(Connection { stream, session, unfinished: None });
                host.run(id, now, false);
            }
        }
        while let Some(id) = host.deadlines.pop(now) {
            host.run(id, now, false);
        }
    }
}

fn echo(message: Message<'_>, mut reply: Reply<'_>) {
    // Refused once the connection is closing: then nobody waits for an echo.
    let _ = reply.queue(message);
}

impl Host {
    /// Does all that a connection can do without waiting, and arms its deadline. `ended`: the peer will send no more.
    fn run(&mut self, id: usize, now: Instant, ended: bool) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let memory = connection.unfinished.take().or_else(|| self.memory.take());
        let new = || Box::new(Memory { deflater: self.deflate.map(Deflater::new), ..Memory::default() });
        let mut memory = memory.unwrap_or_else(new);
        let result = connection.run(&mut memory, &mut self.input, now, ended).map_err(|error| error.kind());
        let deadline = match result {
            Err(ErrorKind::WouldBlock) => connection.session.poll_timeout(&memory),
            // In the next round, behind all who have events.
            Err(ErrorKind::Interrupted) => Some(now.saturating_add(Duration::from_nanos(1))),
            _ => {
                self.deadlines.arm(id, None);
                self.connections.remove(id);
                return;
            }
        };
        self.deadlines.arm(id, deadline);
        let keeper = if memory.is_empty() { &mut self.memory } else { &mut connection.unfinished };
        *keeper = Some(memory);
    }
}

impl Connection {
    /// Reads and writes until one of them would block. `Ok`: the connection is over. [`ErrorKind::Interrupted`]:
    /// there is more to do.
    fn run(&mut self, memory: &mut Memory, input: &mut [u8], now: Instant, ended: bool) -> io::Result<()> {
        let result = self.pump(memory, input, now, ended);
        self.session.handle_timeout(now, memory);
        self.write(memory, now)?;
        if self.session.is_over(memory) { Ok(()) } else { result }
    }

    /// A peer that does not take its replies is not read from.
    fn pump(&mut self, memory: &mut Memory, input: &mut [u8], now: Instant, ended: bool) -> io::Result<()> {
        for _ in 0..TURN {
            self.write(memory, now)?;
            let room = match &self.session {
                Session::Opening(_) => &mut *input,
                Session::Open(endpoint) => memory.buffer.unfilled_or(endpoint, input),
                Session::Closed => return Ok(()),
            };
            let (room_len, len) = (room.len(), self.stream.read(room)?);
            if len == 0 {
                self.session.receive_eof();
                return Ok(());
            }
            let input = memory.buffer.filled_or(len, input);
            self.session.receive(now, input, memory, |_| Ok(Accept::new().any_subprotocol()), echo);
            // Linux announces what comes after a read that has emptied the socket.
            if cfg!(target_os = "linux") && len < room_len && !ended {
                return Err(ErrorKind::WouldBlock.into());
            }
        }
        Err(ErrorKind::Interrupted.into())
    }

    fn write(&mut self, memory: &mut Memory, now: Instant) -> io::Result<()> {
        let Self { stream, session, .. } = self;
        session.flush(now, memory, |pending| match pending {
            Pending::Bytes(bytes) => stream.write(bytes),
            // A peer that is gone needs no farewell.
            Pending::Shutdown => Ok(stream.shutdown(Shutdown::Write).map_or(0, |()| 0)),
        })
    }
}
