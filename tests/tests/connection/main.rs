//! A connection from the first byte of its opening handshake to the last of its close, for both roles: what comes in, what
//! goes out, and the one end.

mod drive;
mod ends;
mod fixed;
mod lives;
mod opening;
mod outgoing;
mod pair;
mod pool;
mod prepared;
mod reading;
mod stream;
mod turns;
mod waiting;

use ws_proto::{
    CloseCode, Config, Connection, Control, Instant, Message, Next, Pending, Server,
    client::{self, Answer},
    connection::{Allocation, Closed, Failure, Memory, Opens, Reading},
    deflate::Settings,
    message::Data,
    role::Side,
    server::{Accept, OriginPolicy},
};
use ws_tests::{Keys, REQUEST, TestClient, Told};

fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// How a host hands over what it has read.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// To the connection's own room.
    Own,
    /// To a buffer of this length, which is attached for each read.
    Attached(usize),
    /// In reads of at most this length that the host has made by itself.
    Given(usize),
    /// To the connection's own room, and messages come in parts.
    Parts,
}

/// All that a host has seen of a connection.
#[derive(Clone, Debug, Default, PartialEq)]
struct Log {
    opened: usize,
    told: Vec<Told>,
    unfinished: Vec<u8>,
    ends: Vec<Result<Closed, Failure>>,
    sent: Vec<u8>,
    half_closed: bool,
}

impl Log {
    /// Takes note of part of a message.
    fn part(&mut self, data: Data<'_>) {
        self.unfinished.extend(data.as_bytes());
        if data.part().is_last() {
            let payload = std::mem::take(&mut self.unfinished);
            self.told.push(Told::message(data.kind(), payload));
        }
    }
}

/// A role, and what its host does when the other side's head has come.
trait Role: Opens + 'static {
    fn opening<'c, 'a: 'c, S: Allocation + 'c>(opening: Self::Opening<'c, 'a, S>) -> bool;
}

impl Role for Server {
    fn opening<'c, 'a: 'c, S: Allocation + 'c>(mut request: Self::Opening<'c, 'a, S>) -> bool {
        request.accept(&Accept::new()).is_ok()
    }
}

impl Role for TestClient {
    fn opening<'c, 'a: 'c, S: Allocation + 'c>(answer: Self::Opening<'c, 'a, S>) -> bool {
        matches!(answer, Answer::Open(_))
    }
}

/// A connection and its host.
struct Host<R: Opens, S: Allocation = Vec<u8>> {
    connection: Connection<'static, R, S>,
    now: Instant,
    log: Log,
}

fn server_with(config: &Config, deflate: Option<Settings>) -> Host<Server> {
    let memory = Box::new(deflate.into_iter().fold(Memory::new(config), Memory::deflate));
    Host::new(Connection::accept_in(Some(memory), config, OriginPolicy::SameHost, Instant::ZERO))
}

fn client_with(config: &Config, deflate: Option<Settings>) -> Host<TestClient> {
    let request = client::Request::new("h", "/");
    let request = request.deflate(deflate);
    Host::new(Connection::connect(request, Keys::Fixed, config, Instant::ZERO).expect("the request is valid"))
}

fn server() -> Host<Server> {
    server_with(&Config::default(), None)
}

fn client() -> Host<TestClient> {
    client_with(&Config::default(), None)
}

/// The response to the request of [`client`].
fn response() -> Vec<u8> {
    let (mut client, mut server) = (client(), server());
    client.flush();
    server.receive(&client.log.sent, Way::Own);
    server.flush();
    server.log.sent
}

/// A server that is open, and has written its response.
fn open_server(config: &Config) -> Host<Server> {
    let mut host = server_with(config, None);
    host.receive(REQUEST, Way::Own);
    host.flush();
    host.log = Log { opened: host.log.opened, ..Log::default() };
    host
}

/// A client that is open.
fn open_client(config: &Config) -> Host<TestClient> {
    let mut host = client_with(config, None);
    host.flush();
    host.receive(&response(), Way::Own);
    host.log = Log { opened: host.log.opened, ..Log::default() };
    host
}

impl<R: Role, S: Allocation> Host<R, S> {
    fn new(connection: Connection<'static, R, S>) -> Self {
        Self { connection, now: Instant::ZERO, log: Log::default() }
    }

    /// Receives `bytes`, and takes everything that happens.
    fn receive(&mut self, mut bytes: &[u8], way: Way) {
        while !bytes.is_empty() && !self.connection.is_over() {
            let len = match way {
                Way::Own | Way::Parts => self.read(bytes),
                Way::Attached(len) => self.read_beside(bytes, &mut vec![0; len]),
                Way::Given(len) => {
                    let mut read = bytes[..len.min(bytes.len())].to_vec();
                    let mut reading = self.connection.received_in(self.now, &mut read);
                    take_all(&mut self.log, &mut reading);
                    drop(reading);
                    len.min(bytes.len())
                }
            };
            self.take_by(way);
            if len == 0 {
                return;
            }
            bytes = &bytes[len..];
        }
    }

    /// Reads to the connection's own room; how much.
    fn read(&mut self, bytes: &[u8]) -> usize {
        let room = self.connection.room();
        let len = room.len().min(bytes.len());
        room[..len].copy_from_slice(&bytes[..len]);
        if len > 0 {
            self.connection.received(self.now, len);
        }
        len
    }

    /// Reads as an event loop does whose connections share `buffer`; how much.
    fn read_beside(&mut self, bytes: &[u8], buffer: &mut [u8]) -> usize {
        let mut reading = self.connection.reading(buffer);
        let room = reading.room();
        let len = room.len().min(bytes.len());
        room[..len].copy_from_slice(&bytes[..len]);
        if len > 0 {
            reading.received(self.now, len);
        }
        take_all(&mut self.log, &mut reading);
        len
    }

    /// Takes everything that has happened.
    fn take_all(&mut self) {
        loop {
            let control = match self.connection.next() {
                Some(next) => take(&mut self.log, next),
                None => break,
            };
            self.log.told.extend(control.map(|control| told(control, &self.connection)));
        }
    }

    /// Takes everything that has happened, messages in parts.
    fn take_parts(&mut self) {
        loop {
            let control = match self.connection.next_part() {
                Some(next) => take_with(&mut self.log, next, Log::part),
                None => break,
            };
            self.log.told.extend(control.map(|control| told(control, &self.connection)));
        }
    }

    /// The transport has ended.
    fn receive_eof(&mut self) {
        self.connection.received(self.now, 0);
        self.take_all();
    }

    /// Has the transport take at most `len` bytes of what is pending.
    fn write(&mut self, len: usize) {
        match self.connection.pending() {
            Some(Pending::Bytes(bytes)) => {
                assert!(!self.log.half_closed && !bytes.is_empty());
                let len = len.min(bytes.len());
                self.log.sent.extend(&bytes[..len]);
                self.connection.written(self.now, len);
            }
            Some(Pending::Shutdown) => {
                assert!(!self.log.half_closed, "the transport is half-closed once");
                self.log.half_closed = true;
                self.connection.shut_down();
            }
            None => {}
        }
    }

    /// Has the transport take all that is pending.
    fn flush(&mut self) {
        while self.connection.pending().is_some() {
            self.write(usize::MAX);
        }
    }

    fn take_by(&mut self, way: Way) {
        match way {
            Way::Parts => self.take_parts(),
            Way::Own | Way::Attached(_) | Way::Given(_) => self.take_all(),
        }
    }

    /// Handles the time `now`, and takes what has happened then.
    fn time(&mut self, now: Instant) {
        self.pass_time(now, Way::Own);
    }

    fn pass_time(&mut self, now: Instant, way: Way) {
        self.now = now;
        self.connection.handle_timeout(now);
        let next = self.connection.poll_timeout();
        assert!(next.is_none_or(|next| next > now), "a loop that waits for {next:?} at {now:?} is busy");
        self.take_by(way);
    }

    /// Moves the clock to the next deadline; returns whether there is one.
    fn step_clock(&mut self) -> bool {
        let Some(deadline) = self.connection.poll_timeout() else { return false };
        self.time(self.now.max(deadline));
        true
    }

    /// Follows the clock while a peer is silent until the connection is over.
    fn wait_until_over(&mut self) {
        for _ in 0..20 {
            self.flush();
            if self.connection.is_over() || !self.step_clock() {
                break;
            }
        }
        assert!(self.connection.is_over(), "a deadline ends every wait");
    }

    /// Returns the one end of a connection that is over.
    fn end(&self) -> Result<Closed, Failure> {
        let [end] = self.log.ends[..] else { panic!("one end, not {:?}", self.log.ends) };
        assert!(self.connection.is_over() && self.connection.pending().is_none());
        end
    }

    /// The code of a frame's masking, as this host's peer sends it.
    fn peer_frame(&self, first: u8, payload: &[u8]) -> Vec<u8> {
        ws_tests::from_peer(R::SIDE, first, payload)
    }
}

/// Takes everything that has happened in a read to a buffer of the host's.
fn take_all<R: Role, S: Allocation>(log: &mut Log, reading: &mut Reading<'_, '_, R, S>) {
    loop {
        let control = match reading.next() {
            Some(next) => take(log, next),
            None => break,
        };
        log.told.extend(control.map(|control| told(control, reading.connection())));
    }
}

/// Takes note of what has happened; a control frame is returned, as its payload is the connection's.
fn take<R: Role, S: Allocation>(log: &mut Log, next: Next<'_, '_, R, Message<'_>, S>) -> Option<Control> {
    take_with(log, next, |log, message| log.told.push(message.into()))
}

/// [`take`], where `data` takes note of payload.
fn take_with<R: Role, P, S: Allocation>(
    log: &mut Log,
    next: Next<'_, '_, R, P, S>,
    data: impl FnOnce(&mut Log, P),
) -> Option<Control> {
    match next {
        Next::Opening(opening) => log.opened += usize::from(R::opening(opening)),
        Next::Data(payload, _) => data(log, payload),
        Next::Control(control) => return Some(control),
        Next::Closed(end) => log.ends.push(end),
    }
    None
}

fn told<R: Opens, S: Allocation>(control: Control, connection: &Connection<'_, R, S>) -> Told {
    let payload = connection.control_payload().into();
    match control {
        Control::Ping => Told::Ping(payload),
        Control::Pong => Told::Pong(payload),
        Control::Close => {
            let (code, reason) = connection.close_frame().expect("a Close was told");
            Told::Close(code.get(), reason.into())
        }
    }
}
