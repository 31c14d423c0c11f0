//! One thread, one read buffer, any number of connections: an echo server on `mio`.
//!
//! A connection owns memory only for what is unfinished: a cut request, the parts of a message that one read
//! did not complete, output that the socket has not taken. All replies to one read go out in one write; a peer
//! that does not take its replies is not read from. Deadlines lie in an ordered set.
//!
//! ```sh
//! cargo run --release -p ws-hosts --example mio_echo 127.0.0.1:9001
//! ```

use std::{
    collections::BTreeSet,
    error::Error,
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use slab::Slab;
use ws_proto::{
    Config, Endpoint, Incoming, Instant, MessageBuffer, Server, State, Transmit,
    server::{Accept, Handshake, Head, OriginPolicy, Request},
};

const LISTENER: Token = Token(usize::MAX);
/// More unwritten output than this, and a connection is not read from.
const OUTPUT_MARK: usize = 64 * 1024;

struct Connection {
    stream: TcpStream,
    phase: Phase,
    output: Vec<u8>,
    written: usize,
    /// Our direction is to be ended once `output` is written.
    ending: bool,
    deadline: Option<Instant>,
}

#[allow(clippy::large_enum_variant, reason = "nearly all connections are open")]
enum Phase {
    Opening(Handshake, Vec<u8>),
    Open(Endpoint<Server>, MessageBuffer<Vec<u8>>),
    /// The opening handshake has failed; what is left is to say so.
    Refused,
}

/// What every connection uses in its turn.
struct Shared {
    config: Config,
    epoch: std::time::Instant,
    buffer: Vec<u8>,
}

impl Shared {
    fn now(&self) -> Instant {
        Instant::ZERO.saturating_add(self.epoch.elapsed())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let mut listener = TcpListener::bind(address.parse()?)?;
    println!("listening on ws://{}/", listener.local_addr()?);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    let mut shared = Shared { config, epoch: std::time::Instant::now(), buffer: vec![0; 64 * 1024] };
    let mut connections = Slab::new();
    let mut deadlines = BTreeSet::new();
    let mut events = Events::with_capacity(1024);
    loop {
        let first = deadlines.first().map(|&(at, _): &(Instant, usize)| at);
        let wait = first.map(|at| at.saturating_duration_since(shared.now()));
        match poll.poll(&mut events, wait) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        let mut woken: Vec<usize> = Vec::new();
        for event in &events {
            match event.token() {
                LISTENER => accept_all(&listener, &poll, &mut connections, &shared, &mut woken)?,
                Token(id) => woken.push(id),
            }
        }
        woken.extend(deadlines.range(..=(shared.now(), usize::MAX)).map(|&(_, id)| id));
        for id in woken {
            let Some(connection) = connections.get_mut(id) else { continue };
            let alive = connection.run(&mut shared);
            let deadline = connection.poll_timeout().filter(|_| alive);
            if let Some(old) = core::mem::replace(&mut connection.deadline, deadline) {
                deadlines.remove(&(old, id));
            }
            deadlines.extend(deadline.map(|at| (at, id)));
            if !alive {
                connections.remove(id);
            }
        }
    }
}

fn accept_all(
    listener: &TcpListener,
    poll: &Poll,
    connections: &mut Slab<Connection>,
    shared: &Shared,
    woken: &mut Vec<usize>,
) -> io::Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            // Out of files, say; whoever is in the queue is taken with the next event.
            Err(_) => return Ok(()),
        };
        let entry = connections.vacant_entry();
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut stream, Token(entry.key()), interest)?;
        // Replies are written together as it is.
        let _ = stream.set_nodelay(true);
        let phase = Phase::Opening(Handshake::new(shared.now(), &shared.config), Vec::new());
        woken.push(entry.key());
        let output = Vec::new();
        entry.insert(Connection { stream, phase, output, written: 0, ending: false, deadline: None });
    }
}

impl Connection {
    fn poll_timeout(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Opening(handshake, _) => handshake.poll_timeout(),
            Phase::Open(endpoint, _) => endpoint.poll_timeout(),
            Phase::Refused => None,
        }
    }

    /// Does all that can be done without waiting; whether there will be more to do.
    fn run(&mut self, shared: &mut Shared) -> bool {
        self.timeout(shared.now());
        // The notifications of `mio` come once: read until there is nothing, unless output is in the way.
        loop {
            if self.write().is_err() {
                return false;
            }
            if self.output.len() >= OUTPUT_MARK {
                break;
            }
            match self.read(shared) {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => return false,
            }
        }
        let over = match &self.phase {
            Phase::Opening(..) => false,
            Phase::Open(endpoint, _) => matches!(endpoint.state(), State::Closed(_)),
            Phase::Refused => self.output.is_empty(),
        };
        !over
    }

    fn timeout(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Opening(handshake, _) => {
                if let Err(error) = handshake.handle_timeout(now) {
                    self.refuse(error);
                }
            }
            Phase::Open(endpoint, _) => {
                endpoint.handle_timeout(now);
                drain(endpoint, &mut self.output, &mut self.ending);
            }
            Phase::Refused => {}
        }
    }

    /// Reads once; `false` if there was nothing to read.
    fn read(&mut self, shared: &mut Shared) -> io::Result<bool> {
        let now = shared.now();
        match self.stream.read(&mut shared.buffer) {
            Ok(0) => match &mut self.phase {
                Phase::Open(endpoint, _) => {
                    endpoint.receive_eof();
                    drain(endpoint, &mut self.output, &mut self.ending);
                    Ok(false)
                }
                Phase::Opening(..) | Phase::Refused => Err(ErrorKind::UnexpectedEof.into()),
            },
            Ok(len) => {
                self.received(&mut shared.buffer[..len], &shared.config, now);
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn received(&mut self, mut input: &mut [u8], config: &Config, now: Instant) {
        match &mut self.phase {
            Phase::Refused => {}
            Phase::Opening(handshake, head) => {
                head.extend_from_slice(input);
                match handshake.poll_head(now, head) {
                    Ok(None) => {}
                    Ok(Some(len)) => self.open(len, config, now),
                    Err(error) => self.refuse(error),
                }
            }
            Phase::Open(endpoint, buffer) => {
                while let Ok(Some(incoming)) = buffer.next_in(endpoint, now, &mut input) {
                    if let Incoming::Message(message) = incoming {
                        // Refused once the connection is closing: then nobody waits for an echo.
                        let _ = endpoint.write_to(message, &mut self.output);
                    }
                    drain(endpoint, &mut self.output, &mut self.ending);
                }
                drain(endpoint, &mut self.output, &mut self.ending);
            }
        }
    }

    fn open(&mut self, head_len: usize, config: &Config, now: Instant) {
        let Phase::Opening(_, head) = core::mem::replace(&mut self.phase, Phase::Refused) else { return };
        let upgrade = match Request::parse(&head[..head_len], OriginPolicy::AllowAny) {
            Ok(Head::Upgrade(request)) => request.upgrade(),
            Ok(Head::Plain(_)) => return self.refuse(ws_proto::HandshakeError::UpgradeRequired),
            Err(error) => return self.refuse(error),
        };
        let mut response = [0; 256];
        if let Ok((len, endpoint)) = upgrade.accept(&Accept::new(), config, now, &mut response) {
            self.output.extend_from_slice(&response[..len]);
            self.phase = Phase::Open(endpoint, MessageBuffer::new(Vec::new()));
            // The first frames may have come with the request.
            let mut rest = head;
            self.received(&mut rest[head_len..], config, now);
        }
    }

    fn refuse(&mut self, error: ws_proto::HandshakeError) {
        let mut response = [0; ws_proto::HandshakeError::MAX_RESPONSE_LEN];
        if let Ok(len) = error.write_response(&mut response) {
            self.output.extend_from_slice(&response[..len]);
        }
        self.phase = Phase::Refused;
        self.ending = true;
    }

    /// Writes what the socket takes.
    fn write(&mut self) -> io::Result<()> {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(len) => self.written += len,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // An idle connection owns no buffer.
        self.output = Vec::new();
        self.written = 0;
        if core::mem::take(&mut self.ending) {
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        Ok(())
    }
}

fn drain(endpoint: &mut Endpoint<Server>, output: &mut Vec<u8>, ending: &mut bool) {
    while let Some(transmit) = endpoint.poll_transmit() {
        match transmit {
            Transmit::Control(frame) => output.extend_from_slice(frame.as_bytes()),
            Transmit::Shutdown => *ending = true,
        }
    }
}
