//! Completions instead of readiness: an echo server on io_uring (Linux 5.19 and later), one thread, one ring.
//!
//! The kernel receives to buffers of its choice out of a few that all connections share, so that waiting for a
//! peer costs no memory. Of each connection at most one receive and one send are under way. What is being sent
//! lies in an [`Output`] of its own, which nobody touches before the completion; what is owed meanwhile waits
//! in another one, and nothing is received as long as that has anything. A connection that is over leaves its
//! place when the last of its operations is complete.
//!
//! ```sh
//! cargo run --release -p ws-hosts --example io_uring_echo 127.0.0.1:9001
//! ```

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    error::Error,
    io, mem,
    net::{Shutdown, TcpListener, TcpStream},
    os::fd::{AsRawFd, FromRawFd},
    ptr,
    time::Duration,
};

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use slab::Slab;
use ws_proto::{
    Config, Endpoint, Incoming, Instant, MessageBuffer, Output, Pending, Server, State,
    server::{Accept, Opening, OriginPolicy},
};

/// The buffers that all connections receive to: how many, and how long each.
const BUFFERS: u16 = 64;
const BUFFER_LEN: i32 = 64 * 1024;
const GROUP: u16 = 0;
/// How long a peer has to take what is left when its connection is closed.
const LINGER: Duration = Duration::from_secs(1);
/// When to accept again after that has failed: for want of descriptors, most likely.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);
/// In the place of a connection.
const LISTENER: usize = usize::MAX;

/// The kinds of operations. A completion tells `id * KINDS + kind`, with the `id` of a connection.
const ACCEPT: u64 = 0;
const PROVIDE: u64 = 1;
const RECEIVE: u64 = 2;
const SEND: u64 = 3;
const KINDS: u64 = 4;

struct Host {
    listener: TcpListener,
    config: Config,
    connections: Slab<Connection>,
    buffers: Vec<Vec<u8>>,
    deadlines: BinaryHeap<Reverse<(Instant, usize)>>,
    /// What the kernel is to be asked for.
    entries: VecDeque<squeue::Entry>,
}

struct Connection {
    stream: TcpStream,
    phase: Phase,
    buffer: MessageBuffer<Vec<u8>>,
    output: Output,
    /// What the kernel is sending: not touched while `sending`.
    flight: Output,
    sending: bool,
    receiving: bool,
    /// When its entry among the deadlines comes up.
    armed: Option<Instant>,
}

#[allow(clippy::large_enum_variant, reason = "nearly all connections are open")]
enum Phase {
    Opening(Box<Opening<'static>>),
    Open(Endpoint<Server>),
    /// Closed, but not all is written; it has to be by then.
    Flushing(Instant),
    /// Waits for the completion of its operations.
    Over,
}

fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".into());
    let mut ring = IoUring::new(1024).map_err(|error| format!("this system gives no io_uring: {error}"))?;
    let listener = TcpListener::bind(address)?;
    println!("listening on ws://{}/", listener.local_addr()?);
    let mut config = Config::default();
    config.max_message_len = 64 << 20;
    // Leaked: even when this function has failed, the kernel may still write to what it was given.
    let host = Box::leak(Box::new(Host {
        listener,
        config,
        connections: Slab::new(),
        buffers: vec![vec![0; BUFFER_LEN.unsigned_abs() as usize]; usize::from(BUFFERS)],
        deadlines: BinaryHeap::new(),
        entries: VecDeque::new(),
    }));
    (0..BUFFERS).for_each(|index| host.provide(index));
    host.accept();
    let epoch = std::time::Instant::now();
    let clock = || Instant::from(epoch.elapsed());
    loop {
        let wait = host.deadlines.peek().map(|Reverse((at, _))| at.saturating_duration_since(clock()));
        enter(&mut ring, &mut host.entries, wait)?;
        let now = clock();
        while let Some(completion) = ring.completion().next() {
            host.complete(&completion, now);
        }
        while let Some(&Reverse((at, id))) = host.deadlines.peek().filter(|Reverse((at, _))| *at <= now) {
            host.deadlines.pop();
            if id == LISTENER {
                host.accept();
            }
            // An entry that is not what the connection is armed with was replaced by an earlier one.
            if let Some(connection) =
                host.connections.get_mut(id).filter(|connection| connection.armed == Some(at))
            {
                connection.armed = None;
                host.run(id, now);
            }
        }
    }
}

/// Submits as many entries as there is room for, and waits for a completion.
fn enter(ring: &mut IoUring, entries: &mut VecDeque<squeue::Entry>, wait: Option<Duration>) -> io::Result<()> {
    let mut queue = ring.submission();
    let room = queue.capacity() - queue.len();
    for entry in entries.drain(..room.min(entries.len())) {
        // SAFETY: what an entry points to is valid until its completion. A buffer for receiving is one of the
        // host's, which never move, and is used only between a completion that tells it and the entry that
        // provides it again. Bytes to be sent lie in a connection's `flight`, which is neither changed nor
        // dropped while `sending`. The host that owns both is never dropped.
        #[allow(unsafe_code)]
        unsafe { queue.push(&entry) }.map_err(io::Error::other)?;
    }
    drop(queue);
    let wait = wait.map(types::Timespec::from);
    let args = wait.iter().fold(types::SubmitArgs::new(), |args, wait| args.timespec(wait));
    match ring.submitter().submit_with_args(usize::from(entries.is_empty()), &args) {
        // Completions that found no room have to be taken first.
        Err(error) if !matches!(error.raw_os_error(), Some(libc::ETIME | libc::EINTR | libc::EBUSY)) => Err(error),
        _ => Ok(()),
    }
}

impl Host {
    fn accept(&mut self) {
        let entry = opcode::AcceptMulti::new(types::Fd(self.listener.as_raw_fd())).build();
        self.entries.push_back(entry.user_data(ACCEPT));
    }

    /// Lets the kernel receive to a buffer.
    fn provide(&mut self, index: u16) {
        let start = self.buffers[usize::from(index)].as_mut_ptr();
        let entry = opcode::ProvideBuffers::new(start, BUFFER_LEN, 1, GROUP, index).build();
        let entry = entry.flags(squeue::Flags::SKIP_SUCCESS);
        self.entries.push_back(entry.user_data(PROVIDE));
    }

    fn complete(&mut self, completion: &cqueue::Entry, now: Instant) {
        let (kind, id) = (completion.user_data() % KINDS, completion.user_data() / KINDS);
        let id = usize::try_from(id).expect("made of one");
        let result = completion.result();
        match (kind, usize::try_from(result)) {
            (ACCEPT, accepted) => {
                if accepted.is_ok() {
                    // SAFETY: the descriptor was made by this completion, and nobody else has it.
                    #[allow(unsafe_code)]
                    self.accepted(unsafe { TcpStream::from_raw_fd(result) }, now);
                }
                if !cqueue::more(completion.flags()) {
                    self.deadlines.push(Reverse((now.saturating_add(ACCEPT_AGAIN), LISTENER)));
                }
            }
            (RECEIVE, received) => {
                let connection = &mut self.connections[id];
                connection.receiving = false;
                let index = cqueue::buffer_select(completion.flags());
                match (received, index) {
                    (Ok(0), _) => connection.receive_eof(),
                    (Ok(len), Some(index)) => {
                        connection.received(&mut self.buffers[usize::from(index)][..len], now);
                    }
                    // By the time that it is tried again, buffers have been provided.
                    _ if -result == libc::ENOBUFS => {}
                    _ => connection.phase = Phase::Over,
                }
                index.into_iter().for_each(|index| self.provide(index));
                self.run(id, now);
            }
            (SEND, sent) => {
                let connection = &mut self.connections[id];
                connection.sending = false;
                match (sent, connection.flight.pending()) {
                    (Ok(len), Some(Pending::Bytes(_))) => connection.flight.written(len),
                    (Err(_), Some(Pending::Bytes(_))) => connection.phase = Phase::Over,
                    _ => connection.flight.shut_down(),
                }
                self.run(id, now);
            }
            // A buffer could not be provided; only failures of that are told.
            _ => {}
        }
    }

    fn accepted(&mut self, stream: TcpStream, now: Instant) {
        // Replies are sent together as it is.
        let _ = stream.set_nodelay(true);
        let id = self.connections.insert(Connection {
            stream,
            phase: Phase::Opening(Box::new(Opening::new(&self.config, OriginPolicy::AllowAny, now))),
            buffer: MessageBuffer::default(),
            output: Output::new(),
            flight: Output::new(),
            sending: false,
            receiving: false,
            armed: None,
        });
        self.run(id, now);
    }

    /// Does what is due, asks for what the connection can wait for, and arms its deadline.
    fn run(&mut self, id: usize, now: Instant) {
        let connection = &mut self.connections[id];
        connection.handle_timeout(now);
        self.entries.extend(connection.send(id));
        let deadline = match &connection.phase {
            Phase::Opening(opening) => opening.poll_timeout(),
            Phase::Open(endpoint) if !matches!(endpoint.state(), State::Closed(_)) => endpoint.poll_timeout(),
            Phase::Open(_) if connection.sending => {
                let end = now.saturating_add(LINGER);
                connection.phase = Phase::Flushing(end);
                Some(end)
            }
            Phase::Flushing(end) if connection.sending && *end > now => Some(*end),
            _ => {
                // Completes whatever is under way.
                let _ = connection.stream.shutdown(Shutdown::Both);
                connection.phase = Phase::Over;
                if !connection.sending && !connection.receiving {
                    self.connections.remove(id);
                }
                return;
            }
        };
        self.entries.extend(connection.receive(id));
        // A deadline that has moved to later is armed again when its entry comes up.
        if deadline.is_some_and(|deadline| connection.armed.is_none_or(|armed| deadline < armed)) {
            connection.armed = deadline;
            self.deadlines.extend(deadline.map(|at| Reverse((at, id))));
        }
    }
}

impl Connection {
    fn handle_timeout(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Opening(_) => self.received(&mut [], now),
            Phase::Open(endpoint) => {
                endpoint.handle_timeout(now);
                self.output.drain(endpoint);
            }
            Phase::Flushing(_) | Phase::Over => {}
        }
    }

    fn receive_eof(&mut self) {
        match &mut self.phase {
            Phase::Open(endpoint) => endpoint.receive_eof(),
            Phase::Opening(_) => self.phase = Phase::Over,
            Phase::Flushing(_) | Phase::Over => {}
        }
    }

    fn received(&mut self, mut input: &mut [u8], now: Instant) {
        let endpoint = match &mut self.phase {
            Phase::Open(endpoint) => endpoint,
            Phase::Opening(opening) => {
                if let Some((endpoint, mut rest)) =
                    opening.receive(now, input, &mut self.output, |_| Ok(Accept::new()))
                {
                    self.phase = Phase::Open(endpoint);
                    // The first frames may have come with the request.
                    self.received(&mut rest, now);
                }
                return;
            }
            Phase::Flushing(_) | Phase::Over => return,
        };
        while let Ok(Some(incoming)) = self.buffer.next_in(endpoint, now, &mut input) {
            if let Incoming::Message(message) = incoming {
                // Refused once the connection is closing: then nobody waits for an echo.
                let _ = self.output.send(endpoint, message);
            }
            self.output.drain(endpoint);
        }
        self.output.drain(endpoint);
    }

    /// The next operation of our direction, unless there is one under way.
    fn send(&mut self, id: usize) -> Option<squeue::Entry> {
        if self.sending || matches!(self.phase, Phase::Over) {
            return None;
        }
        if self.flight.is_empty() {
            mem::swap(&mut self.flight, &mut self.output);
        }
        let stream = types::Fd(self.stream.as_raw_fd());
        let entry = match self.flight.pending() {
            Some(Pending::Bytes(bytes)) => {
                let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                opcode::Send::new(stream, bytes.as_ptr(), len).build()
            }
            Some(Pending::Shutdown) => opcode::Shutdown::new(stream, libc::SHUT_WR).build(),
            None => {
                // Who waits holds no memory.
                (self.flight, self.output) = (Output::new(), Output::new());
                return None;
            }
        };
        self.sending = true;
        Some(entry.user_data(id as u64 * KINDS + SEND))
    }

    /// The next receive, unless there is one under way or the peer does not take its replies.
    fn receive(&mut self, id: usize) -> Option<squeue::Entry> {
        if self.receiving || !self.output.is_empty() || matches!(self.phase, Phase::Flushing(_)) {
            return None;
        }
        self.receiving = true;
        let stream = types::Fd(self.stream.as_raw_fd());
        let entry = opcode::Recv::new(stream, ptr::null_mut(), BUFFER_LEN.unsigned_abs()).buf_group(GROUP).build();
        let entry = entry.flags(squeue::Flags::BUFFER_SELECT);
        Some(entry.user_data(id as u64 * KINDS + RECEIVE))
    }
}
