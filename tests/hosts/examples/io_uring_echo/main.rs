//! Completions instead of readiness: an echo server on io_uring (Linux 5.19 and later), one thread, one ring.
//!
//! The kernel receives to buffers of its choice out of a few that all connections share, so that waiting for a
//! peer costs no memory. Of each connection at most one receive and one send are under way. What is being sent
//! belongs to the ring until it is complete; what is owed meanwhile waits in the connection's output, and nothing
//! is received as long as that has anything. A connection that is over leaves its place when the last of its
//! operations is complete.
//!
//! ```sh
//! cargo run --release -p ws-hosts --example io_uring_echo 127.0.0.1:9001
//! ```

mod ring;

use std::{
    error::Error,
    io,
    net::{Shutdown, TcpListener, TcpStream},
};

use ring::{Done, Ring};
use slab::Slab;
use ws_hosts::deadlines::Deadlines;
use ws_proto::{
    Config, Instant, Memory, Message, Pending, Reply, Session,
    server::{Accept, OriginPolicy},
};

struct Host {
    ring: &'static mut Ring,
    connections: Slab<Connection>,
    deadlines: Deadlines,
    config: Config,
}

struct Connection {
    stream: TcpStream,
    session: Session<'static>,
    memory: Memory,
    sending: bool,
    receiving: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let listener = TcpListener::bind(address)?;
    let address = listener.local_addr()?;
    let ring = Ring::new(listener).map_err(|error| format!("this system gives no io_uring: {error}"))?;
    println!("listening on ws://{address}/");
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    let mut host = Host { ring, connections: Slab::new(), deadlines: Deadlines::with_capacity(1024), config };
    let epoch = std::time::Instant::now();
    let clock = || Instant::from(epoch.elapsed());
    loop {
        host.ring.wait(host.deadlines.wait(clock()))?;
        let now = clock();
        while let Some(done) = host.ring.next() {
            let id = host.complete(done, now);
            host.run(id, now);
        }
        while let Some(id) = host.deadlines.pop(now) {
            host.run(id, now);
        }
    }
}

fn echo(message: Message<'_>, mut reply: Reply<'_>) {
    // Refused once the connection is closing: then nobody waits for an echo.
    let _ = reply.send(message);
}

impl Host {
    /// Takes what an operation has brought, and tells to which connection.
    fn complete(&mut self, done: Done, now: Instant) -> usize {
        match done {
            Done::Accepted(stream) => {
                // Replies are sent together as it is.
                let _ = stream.set_nodelay(true);
                let session = Session::new(&self.config, OriginPolicy::AllowAny, now);
                let memory = Memory::default();
                self.connections.insert(Connection { stream, session, memory, sending: false, receiving: false })
            }
            Done::Received(id, result, filled) => {
                let connection = &mut self.connections[id];
                connection.receiving = false;
                let buffer = filled.as_ref().map_or(&mut [][..], |filled| self.ring.buffer(filled));
                connection.received(result.map(|len| &mut buffer[..len]), now);
                filled.into_iter().for_each(|filled| self.ring.provide(filled));
                id
            }
            Done::Sent(id, result) => {
                let connection = &mut self.connections[id];
                connection.sending = false;
                result.unwrap_or_else(|_| connection.fail(now));
                id
            }
        }
    }

    /// Does what is due, asks for what the connection can wait for, and arms its deadline.
    fn run(&mut self, id: usize, now: Instant) {
        let connection = &mut self.connections[id];
        connection.session.handle_timeout(now, &mut connection.memory);
        connection.send(id, self.ring);
        match connection.session {
            Session::Closed(end) if end <= now || !connection.sending => {
                // Completes whatever is under way.
                let _ = connection.stream.shutdown(Shutdown::Both);
                self.deadlines.arm(id, None);
                if !connection.sending && !connection.receiving {
                    self.connections.remove(id);
                }
            }
            _ => {
                self.deadlines.arm(id, connection.session.poll_timeout());
                connection.receive(id, self.ring);
            }
        }
    }
}

impl Connection {
    fn received(&mut self, result: io::Result<&mut [u8]>, now: Instant) {
        match result {
            Ok([]) => self.session.receive_eof(now),
            Ok(input) => self.session.receive(now, input, &mut self.memory, |_| Ok(Accept::new()), echo),
            // By the time that it is tried again, buffers have been provided.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
            Err(_) => self.fail(now),
        }
    }

    /// Ends without a word: the stream has failed.
    fn fail(&mut self, now: Instant) {
        (self.session, self.memory) = (Session::Closed(now), Memory::default());
    }

    /// Sends what waits, unless there is a send under way.
    fn send(&mut self, id: usize, ring: &mut Ring) {
        let output = &mut self.memory.output;
        if self.sending {
            return;
        }
        match output.pending() {
            Some(Pending::Bytes(_)) => {
                self.sending = true;
                ring.send(id, &self.stream, output.take_bytes());
            }
            Some(Pending::Shutdown) => {
                let _ = self.stream.shutdown(Shutdown::Write);
                output.shut_down();
            }
            None => {}
        }
    }

    /// Receives, unless that is under way or the peer does not take its replies.
    fn receive(&mut self, id: usize, ring: &mut Ring) {
        let closed = matches!(self.session, Session::Closed(_));
        if !self.receiving && !closed && self.memory.output.is_empty() {
            self.receiving = true;
            ring.receive(id, &self.stream);
        }
    }
}
