//! One thread, one epoll, tens of thousands of connections: an echo server on `mio`.
//!
//! All connections read to one buffer. What else it takes to receive and to send is lent to a connection, which keeps it
//! only while something is unfinished: a cut message, output that the socket has not taken. All replies to one read go out
//! in one write; a peer that does not take its replies is not read from.
//!
//! ```sh
//! cargo run --release -p ws-hosts --example mio_echo 127.0.0.1:9001 [--deflate]
//! ```
//!
//! With `--deflate`, messages are compressed without context takeover: then compressors are among what is lent.

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
    Config, Connection, Instant, Next, Pending, Server,
    deflate::Settings,
    host::{Deadlines, Pool},
    server::{Accept, OriginPolicy},
};

/// After so many reads it is another connection's turn.
const TURN: usize = 16;

struct Peer {
    stream: TcpStream,
    connection: Connection<'static, Server>,
}

struct Host {
    peers: Slab<Peer>,
    deadlines: Deadlines,
    /// The buffer that all connections read to.
    input: Vec<u8>,
    pool: Pool,
}

fn main() -> Result<(), Box<dyn Error>> {
    const LISTENER: Token = Token(usize::MAX);
    // For so many address space is reserved; there may be more.
    const CONNECTIONS: usize = 1 << 16;
    let (options, values): (Vec<_>, Vec<_>) = std::env::args().skip(1).partition(|value| value.starts_with("--"));
    let address = values.first().map_or("127.0.0.1:9001", String::as_str);
    let mut listener = TcpListener::bind(address.parse()?)?;
    println!("listening on ws://{}/", listener.local_addr()?);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    let mut pool = Pool::new(&config);
    if options.iter().any(|option| option == "--deflate") {
        pool = pool.deflate(Settings::small());
    }
    let (peers, deadlines) = (Slab::with_capacity(CONNECTIONS), Deadlines::with_capacity(CONNECTIONS));
    let mut host = Host { peers, deadlines, input: vec![0; 128 * 1024], pool };
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
            // An error means that no client waits any more, or that there is no file for one that does.
            while let Ok((mut stream, _)) = listener.accept() {
                let entry = host.peers.vacant_entry();
                let id = entry.key();
                poll.registry().register(&mut stream, Token(id), Interest::READABLE | Interest::WRITABLE)?;
                // Replies are written together as it is.
                let _ = stream.set_nodelay(true);
                let connection = Connection::accept_in(None, &config, OriginPolicy::AllowAny, now);
                entry.insert(Peer { stream, connection });
                host.run(id, now, false);
            }
        }
        while let Some(id) = host.deadlines.pop(now) {
            host.run(id, now, false);
        }
    }
}

impl Host {
    /// Does all that a connection can do without waiting, and arms its deadline. `ended`: the peer will send no more.
    fn run(&mut self, id: usize, now: Instant, ended: bool) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        self.pool.lend(&mut peer.connection);
        let result = peer.run(&mut self.input, now, ended).map_err(|error| error.kind());
        let deadline = match result {
            Err(ErrorKind::WouldBlock) => peer.connection.poll_timeout(),
            // In the next round, after all that have events.
            Err(ErrorKind::Interrupted) => Some(now.saturating_add(Duration::from_nanos(1))),
            _ => {
                self.deadlines.arm(id, None);
                self.peers.remove(id);
                return;
            }
        };
        self.deadlines.arm(id, deadline);
        self.pool.take_back(&mut peer.connection);
    }
}

impl Peer {
    /// Reads and writes until one of them would block. `Ok`: the connection is over. [`ErrorKind::Interrupted`]:
    /// there is more to do.
    fn run(&mut self, input: &mut [u8], now: Instant, ended: bool) -> io::Result<()> {
        let result = self.pump(input, now, ended);
        self.connection.handle_timeout(now);
        self.write(now)?;
        if self.connection.is_over() { Ok(()) } else { result }
    }

    /// A peer that does not take its replies is not read from.
    fn pump(&mut self, input: &mut [u8], now: Instant, ended: bool) -> io::Result<()> {
        for _ in 0..TURN {
            self.write(now)?;
            let mut reading = self.connection.reading(input);
            let room = reading.room();
            let (room_len, len) = (room.len(), self.stream.read(room)?);
            reading.received(now, len);
            // Refused once the connection is closing: then nobody waits for an echo.
            while let Some(next) = reading.each_message(|message, reply| _ = reply.send(message)) {
                if let Next::Opening(mut request) = next {
                    request.accept(&Accept::new().any_subprotocol()).expect("there is no other field");
                }
            }
            // Linux announces what comes after a read that has emptied the socket.
            if len == 0 || cfg!(target_os = "linux") && len < room_len && !ended {
                return Err(ErrorKind::WouldBlock.into());
            }
        }
        Err(ErrorKind::Interrupted.into())
    }

    fn write(&mut self, now: Instant) -> io::Result<()> {
        let Self { stream, connection } = self;
        connection.flush(now, |pending| match pending {
            Pending::Bytes(bytes) => stream.write(bytes),
            // A peer that is gone needs no farewell.
            Pending::Shutdown => Ok(stream.shutdown(Shutdown::Write).map_or(0, |()| 0)),
        })
    }
}
