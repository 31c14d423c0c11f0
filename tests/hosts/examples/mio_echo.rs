//! One thread, one epoll, tens of thousands of connections: an echo server on `mio`.
//!
//! All connections read into one buffer. What else it takes to receive and to send is lent to a connection, which keeps it
//! only while something is unfinished: a cut message, output that the socket has not taken. All replies to one read go out
//! in one write; a peer that does not take its replies is not read from.
//!
//! ```sh
//! cargo run --release -p ws-hosts --example mio_echo 127.0.0.1:9001 [--deflate]
//! ```
//!
//! With `--deflate`, messages are compressed without context takeover: then compressors are among what is lent.

use std::{error::Error, io::ErrorKind, net::Shutdown};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use slab::Slab;
use ws_proto::{
    Config, Connection, Instant, Next, Server,
    deflate::Settings,
    host::{Deadlines, Pool, ReadUntil, Turns},
    server::{Accept, OriginPolicy},
};

struct Peer {
    stream: TcpStream,
    connection: Connection<'static, Server>,
}

struct Host {
    peers: Slab<Peer>,
    turns: Turns<TcpStream>,
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
    let deadlines = Deadlines::with_capacity(CONNECTIONS);
    let turns = Turns::new(pool, deadlines, |stream: &mut TcpStream| stream.shutdown(Shutdown::Write));
    let mut host = Host { peers: Slab::with_capacity(CONNECTIONS), turns };
    let mut events = Events::with_capacity(1024);
    let epoch = std::time::Instant::now();
    let clock = || Instant::from(epoch.elapsed());
    loop {
        match poll.poll(&mut events, host.turns.wait(clock())) {
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
        while let Some(id) = host.turns.due(now) {
            host.run(id, now, false);
        }
    }
}

impl Host {
    /// Does all that a connection can do without waiting. `ended`: the peer will send no more.
    fn run(&mut self, id: usize, now: Instant, ended: bool) {
        let Some(Peer { stream, connection }) = self.peers.get_mut(id) else { return };
        // Linux announces what comes after a read that has emptied the socket.
        let is_announced = cfg!(target_os = "linux") && !ended;
        let until = if is_announced { ReadUntil::Short } else { ReadUntil::WouldBlock };
        let turn = self.turns.turn(id, now).until(until).run(stream, connection, |reading| {
            // Refused once the connection is closing: then nobody waits for an echo.
            while let Some(next) = reading.each_message(|message, reply| _ = reply.send(message)) {
                if let Next::Opening(mut request) = next {
                    request.accept(&Accept::new().any_subprotocol()).expect("there is no other field");
                }
            }
        });
        if turn.is_break() {
            self.peers.remove(id);
        }
    }
}
