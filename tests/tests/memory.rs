//! Unfinished business in every state: a `MessageBuffer` and an `Output` against models of them, a connection and its memory.

use core::time::Duration;

use proptest::{collection::vec, prelude::*};
use ws_proto::{
    Cause, CloseCode, Config, Connection, Control, Endpoint, Event, Instant, Message, MessageBuffer, Next,
    Pending, Server, State, connection::Output, endpoint::Negotiated,
};
use ws_tests::{
    BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, RawFrame, TEXT, echo, frame, masked, noise, opened, parse,
    take_pending,
};

fn at(seconds: u64) -> Instant {
    Instant::from_millis(1_000 * seconds)
}

/// The code of a Close.
fn code(close: &RawFrame) -> u16 {
    assert_eq!(close.first, CLOSE);
    u16::from_be_bytes(*close.payload.first_chunk().unwrap())
}

fn server(config: &Config) -> Endpoint<Server> {
    Endpoint::new(Server, config, Negotiated::default(), Instant::ZERO)
}

/// A frame of the peer's.
#[derive(Clone, Debug)]
enum Sent {
    /// A message in fragments of these lengths.
    Message(Vec<usize>),
    Ping,
}

/// Where in the bytes that a peer sends what ends.
#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
    /// The end of each message with its payload, and of each Ping with none.
    ends: Vec<(usize, Option<Vec<u8>>)>,
    /// Ranges of bytes after each of which part of a message has come and the rest has not.
    inside: Vec<core::ops::Range<usize>>,
}

impl Stream {
    fn new(sent: &[Sent]) -> Self {
        let mut stream = Self::default();
        for one in sent {
            match one {
                Sent::Ping => {
                    stream.bytes.extend(masked(PING, b"?"));
                    stream.ends.push((stream.bytes.len(), None));
                }
                Sent::Message(lens) => stream.message(lens),
            }
        }
        stream
    }

    fn message(&mut self, lens: &[usize]) {
        let whole = noise(lens.iter().sum());
        let (mut rest, mut begun) = (&*whole, None);
        for (number, len) in lens.iter().enumerate() {
            let (payload, after) = rest.split_at(*len);
            rest = after;
            let fin = if number + 1 == lens.len() { FIN } else { 0 };
            let opcode = if number == 0 { BINARY } else { CONTINUATION };
            let bytes = masked(fin | opcode, payload);
            if *len > 0 && begun.is_none() {
                begun = Some(self.bytes.len() + bytes.len() - len + 1);
            }
            self.bytes.extend(bytes);
        }
        let end = self.bytes.len();
        self.inside.extend(begun.map(|begin| begin..end));
        self.ends.push((end, Some(whole)));
    }

    fn is_inside(&self, at: usize) -> bool {
        self.inside.iter().any(|range| range.contains(&at))
    }

    /// Whether a message or a Ping has just ended, or nothing has come yet.
    fn is_between(&self, at: usize) -> bool {
        at == 0 || self.ends.iter().any(|(end, _)| *end == at)
    }
}

/// One read: how many bytes at most, whether to a buffer of the host's, and whether the buffer is released then and after
/// each thing that is told.
type Read = (usize, bool, bool);

fn sent() -> impl Strategy<Value = Vec<Sent>> {
    let len = prop_oneof![Just(0_usize), 1..200_usize, Just(5_000), 16_000..18_000_usize, Just(70_000)];
    let message = vec(len, 1..4).prop_map(Sent::Message);
    vec(prop_oneof![4 => message, 1 => Just(Sent::Ping)], 1..6)
}

fn reads() -> impl Strategy<Value = Vec<Read>> {
    let len = prop_oneof![1..20_usize, 1..6_000_usize, Just(100_000)];
    vec((len, any::<bool>(), any::<bool>()), 1..40)
}

/// Checks what is left in `buffer`, which has been given the bytes of `stream` up to `given` and has told those up to `told`.
fn check_left(buffer: &MessageBuffer<Vec<u8>>, stream: &Stream, told: usize, given: usize) {
    assert!(buffer.unread() == &stream.bytes[told..given], "{told}..{given}");
    if told < given || stream.is_inside(told) {
        assert!(!buffer.is_empty(), "at {told} of {given}");
    } else if stream.is_between(told) {
        assert!(buffer.is_empty(), "at {told}");
    }
}

/// Releases the buffer, which keeps what is unfinished.
fn release(buffer: &mut MessageBuffer<Vec<u8>>, stream: &Stream, told: usize, given: usize) {
    let held = buffer.held_bytes();
    buffer.release();
    check_left(buffer, stream, told, given);
    if buffer.is_empty() {
        assert!(buffer.held_bytes() == 0 && buffer.message().is_none());
    } else {
        assert_eq!(buffer.held_bytes(), held);
    }
}

/// Compares [`Incoming`] with the model, and returns where it ends.
fn expect(told: Event<Message<'_>>, next: &(usize, Option<Vec<u8>>)) -> usize {
    match (told, &next.1) {
        (Event::Data(message), Some(payload)) => assert!(message.as_bytes() == payload.as_slice()),
        (Event::Control(Control::Ping), None) => {}
        (told, _) => panic!("{told:?}"),
    }
    next.0
}

// K-buffer
fn leftovers(sent: &[Sent], reads: &[Read]) {
    let stream = Stream::new(sent);
    let mut endpoint = server(&Config::default());
    let mut buffer = MessageBuffer::<Vec<u8>>::default();
    let (mut given, mut told) = (0, 0);
    let mut ends = stream.ends.iter();
    for &(most, shared, releases) in reads.iter().cycle() {
        if given == stream.bytes.len() {
            break;
        }
        let mut own = vec![0; most];
        let room = if shared { own.as_mut_slice() } else { buffer.unfilled(&endpoint) };
        let len = room.len().min(most).min(stream.bytes.len() - given);
        room[..len].copy_from_slice(&stream.bytes[given..given + len]);
        given += len;
        if shared {
            let mut input = &mut own[..len];
            while let Some(found) = buffer.next_in(&mut endpoint, Instant::ZERO, &mut input).unwrap() {
                told = expect(found, ends.next().unwrap());
                // Input that has not been taken still belongs to the host.
                assert!(*input == stream.bytes[told..given]);
            }
            assert!(input.is_empty());
            if stream.is_between(given) {
                assert_eq!(buffer.held_bytes(), 0, "an idle connection has none");
            }
        } else {
            buffer.filled(len);
            while let Some(found) = buffer.next(&mut endpoint, Instant::ZERO).unwrap() {
                told = expect(found, ends.next().unwrap());
                check_left(&buffer, &stream, told, given);
                if releases {
                    release(&mut buffer, &stream, told, given);
                }
            }
        }
        check_left(&buffer, &stream, given, given);
        if releases {
            release(&mut buffer, &stream, given, given);
        }
    }
    assert_eq!((told, ends.next().is_none()), (given, true));
    let (_, unread) = buffer.into_storage();
    assert!(unread.is_empty());
}

/// Something done with an output.
#[derive(Clone, Debug)]
enum Done {
    Send(usize),
    /// The transport takes a share of what is pending, of 255.
    Write(u8),
    Lend,
    PutBack(u8),
    TakeBytes,
    Release,
    Close,
    Drain,
    PeerCloses,
}

fn done() -> impl Strategy<Value = Vec<Done>> {
    let len = prop_oneof![0..50_usize, Just(1_000), Just(70_000)];
    let one = prop_oneof![
        4 => len.prop_map(Done::Send),
        6 => any::<u8>().prop_map(Done::Write),
        2 => Just(Done::Lend),
        2 => any::<u8>().prop_map(Done::PutBack),
        1 => Just(Done::TakeBytes),
        2 => Just(Done::Release),
        1 => Just(Done::Close),
        2 => Just(Done::Drain),
        1 => Just(Done::PeerCloses),
    ];
    vec(one, 1..60)
}

fn share(len: usize, of: u8) -> usize {
    len * usize::from(of) / 255
}

/// An output, and what the peer gets of it.
struct Outgoing {
    output: Output,
    endpoint: Endpoint<Server>,
    lent: Option<Vec<u8>>,
    /// Queued bytes that have not been taken, without lent ones.
    waiting: Vec<u8>,
    shutdown_owed: bool,
    got: Vec<u8>,
}

impl Outgoing {
    fn new() -> Self {
        let endpoint = server(&Config::default());
        Self {
            output: Output::new(),
            endpoint,
            lent: None,
            waiting: Vec::new(),
            shutdown_owed: false,
            got: Vec::new(),
        }
    }

    fn act(&mut self, one: &Done) {
        match one {
            Done::Send(len) => {
                let payload = noise(*len);
                if self.output.send(&mut self.endpoint, Message::Binary(&payload)).is_ok() {
                    self.waiting.extend(frame(FIN | BINARY, &payload));
                }
            }
            Done::Write(of) if self.lent.is_none() => {
                let len = share(self.waiting.len(), *of);
                self.got.extend(self.waiting.drain(..len));
                self.output.written(&mut self.endpoint, Instant::ZERO, len);
            }
            Done::Lend if self.lent.is_none() => {
                let bytes = self.output.lend_bytes(Instant::ZERO);
                assert!(bytes == self.waiting);
                self.waiting.clear();
                self.lent = Some(bytes);
            }
            Done::PutBack(of) => {
                if let Some(bytes) = self.lent.take() {
                    let len = share(bytes.len(), *of);
                    self.got.extend_from_slice(&bytes[..len]);
                    self.waiting.splice(..0, bytes[len..].iter().copied());
                    self.output.put_back(&mut self.endpoint, Instant::ZERO, bytes, len);
                }
            }
            Done::TakeBytes if self.lent.is_none() => {
                let bytes = self.output.take_bytes();
                assert!(bytes == self.waiting);
                self.got.append(&mut self.waiting);
            }
            Done::Release => self.output.release(),
            Done::Close => {
                let closed = self.output.close(&mut self.endpoint, Instant::ZERO, CloseCode::NORMAL, "");
                if closed.is_ok() {
                    self.waiting.extend(frame(CLOSE, b"\x03\xE8"));
                }
            }
            Done::Drain => self.output.drain(&mut self.endpoint),
            Done::PeerCloses => {
                let answers = self.endpoint.state() == State::Open;
                let mut close = masked(CLOSE, b"\x03\xE8");
                let _ = self.endpoint.receive(Instant::ZERO, &mut &mut *close);
                self.output.drain(&mut self.endpoint);
                if answers {
                    self.waiting.extend(frame(CLOSE, b"\x03\xE8"));
                }
                // A server ends the transport.
                self.shutdown_owed = true;
            }
            Done::Write(_) | Done::Lend | Done::TakeBytes => {}
        }
    }

    fn check(&self) {
        assert_eq!(self.output.len(), self.waiting.len());
        assert_eq!(self.output.is_empty(), self.waiting.is_empty() && !self.shutdown_owed);
        match self.output.pending() {
            Some(Pending::Bytes(bytes)) => assert!(bytes == self.waiting),
            Some(Pending::Shutdown) => assert!(self.shutdown_owed && self.waiting.is_empty()),
            None => assert!(self.waiting.is_empty() && !self.shutdown_owed),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(120) })]

    #[test]
    fn a_message_buffer_keeps_what_is_unfinished_and_nothing_else(sent in sent(), reads in reads()) {
        // K-buffer
        leftovers(&sent, &reads);
    }

    #[test]
    fn an_output_is_what_was_queued_in_its_order(all in done()) {
        // K-output K-half-close
        let mut outgoing = Outgoing::new();
        for one in &all {
            outgoing.act(one);
            outgoing.check();
        }
        // All frames are whole, and none follows a Close.
        if let Some(bytes) = outgoing.lent.take() {
            outgoing.got.extend(bytes);
        }
        outgoing.got.append(&mut outgoing.waiting);
        let frames = parse(&outgoing.got);
        prop_assert!(frames.iter().rev().skip(1).all(|frame| frame.first != CLOSE));
    }
}

// K-half-close
#[test]
fn an_output_that_owes_a_half_close_is_not_empty() {
    let mut outgoing = Outgoing::new();
    outgoing.act(&Done::PeerCloses);
    let len = outgoing.output.len();
    outgoing.output.written(&mut outgoing.endpoint, Instant::ZERO, len);
    assert_eq!((outgoing.output.len(), outgoing.output.is_empty()), (0, false));
    assert_eq!(outgoing.output.pending(), Some(Pending::Shutdown));
    assert_eq!(outgoing.output.take_bytes(), b"", "which it is not part of");
    assert!(!outgoing.output.is_empty());
    outgoing.output.shut_down();
    assert!(outgoing.output.is_empty());
}

// K-output
#[test]
fn an_output_releases_what_it_has_grown_by_and_keeps_what_waits() {
    let mut outgoing = Outgoing::new();
    let payload = noise(1 << 20);
    outgoing.output.send(&mut outgoing.endpoint, Message::Binary(&payload)).unwrap();
    outgoing.output.release();
    assert!(matches!(outgoing.output.pending(), Some(Pending::Bytes(bytes)) if bytes.ends_with(&payload)));
    let len = outgoing.output.len();
    outgoing.output.written(&mut outgoing.endpoint, Instant::ZERO, len);
    outgoing.output.release();
    assert!(outgoing.output.buffer().capacity() <= 64 * 1024, "{}", outgoing.output.buffer().capacity());
}

#[test]
fn an_idle_connection_gives_back_what_its_output_has_grown_by() {
    let mut connection = opened(&Config::default());
    connection.send(Message::Binary(&[0; 60_000])).unwrap();
    let bytes = connection.lend_output(at(0));
    let len = bytes.len();
    connection.put_back(at(0), bytes, len);
    let deadline = connection.poll_timeout().unwrap();
    connection.handle_timeout(deadline);
    let ping = connection.lend_output(deadline);
    assert_eq!((ping[0], ping.capacity() < 1024), (PING, true), "{}", ping.capacity());
}

// K-lent
#[test]
fn memory_whose_output_is_lent_is_not_given_back() {
    let mut connection = opened(&Config::default());
    echo(&mut connection, at(0), &masked(FIN | TEXT, b"echo"));
    let lent = connection.lend_output(at(0));
    assert!(connection.detach().is_none(), "another connection's output would be put back there");
    connection.put_back(at(0), lent, 3);
    let lent = connection.lend_output(at(0));
    assert_eq!(lent, frame(FIN | TEXT, b"echo")[3..]);
    connection.put_back(at(0), lent, 3);
    assert!(connection.detach().is_some_and(|memory| memory.is_empty()));
}

// K-lent
#[test]
fn output_that_was_lent_when_it_was_abandoned_does_not_come_back() {
    let mut connection = opened(&Config::default());
    echo(&mut connection, at(0), &masked(FIN | TEXT, b"echo"));
    let lent = connection.lend_output(at(0));
    connection.handle_timeout(at(30));
    assert!(connection.is_over());
    connection.put_back(at(31), lent, 3);
    assert!(connection.is_over() && connection.pending().is_none());
    assert_eq!(connection.poll_timeout(), None);
    assert!(connection.detach().is_none(), "the end is not told");
    assert!(matches!(connection.next(), Some(Next::Closed(Err(_)))));
    assert!(connection.detach().is_some());
}

/// Runs the timers of `connection` at `now`, and has the transport take all output; what that was.
fn run(connection: &mut Connection<'_, Server>, now: Instant) -> Vec<u8> {
    connection.handle_timeout(now);
    take_pending(connection, now).0
}

fn state(connection: &Connection<'_, Server>) -> Option<State> {
    connection.endpoint().map(Endpoint::state)
}

// K-connection
#[test]
fn a_connection_pings_a_silent_peer_and_gives_it_up() {
    let mut connection = opened(&Config::default());
    // Each deadline is followed to the millisecond.
    assert_eq!(connection.poll_timeout(), Some(at(20)));
    assert_eq!(run(&mut connection, Instant::from_millis(19_999)), b"");
    assert_eq!(run(&mut connection, at(20)), frame(PING, b""));
    assert_eq!(connection.poll_timeout(), Some(at(40)));
    echo(&mut connection, at(39), &masked(PONG, b""));
    assert_eq!(run(&mut connection, at(40)), b"");
    assert_eq!(connection.poll_timeout(), Some(at(59)));
    assert_eq!(run(&mut connection, at(59)), frame(PING, b""));
    assert_eq!(run(&mut connection, Instant::from_millis(78_999)), b"");
    let sent = parse(&run(&mut connection, at(79)));
    assert_eq!(code(&sent[0]), 1_011);
    assert_eq!(connection.poll_timeout(), Some(at(80)));
    run(&mut connection, at(80));
    assert!(connection.is_over());
}

// K-connection
#[test]
fn a_connection_whose_clock_jumps_past_keepalive_pings_first() {
    let mut connection = opened(&Config::default());
    // The host was suspended: the peer is asked before it is given up.
    assert_eq!(run(&mut connection, at(1_000)), frame(PING, b""));
    assert_eq!(connection.poll_timeout(), Some(at(1_020)));
    echo(&mut connection, at(1_001), &masked(FIN | TEXT, b"here"));
    assert_eq!(run(&mut connection, at(1_020)), frame(FIN | TEXT, b"here"));
    assert_eq!(connection.poll_timeout(), Some(at(1_021)));
}

// K-connection
#[test]
fn a_connection_waits_for_a_pong_from_when_its_ping_has_left() {
    let mut connection = opened(&Config::default());
    echo(&mut connection, at(0), &masked(FIN | BINARY, &noise(100_000)));
    connection.written(at(0), 0);
    connection.handle_timeout(at(20));
    // The peer takes a third every 20 s, and can answer the Ping only after that.
    for second in [20, 40, 60] {
        connection.handle_timeout(at(second));
        assert_eq!(state(&connection), Some(State::Open), "{second}");
        let third = connection.pending_len().min(33_339);
        connection.written(at(second + 2), third);
    }
    assert!(connection.pending().is_none());
    assert_eq!(connection.poll_timeout(), Some(at(82)));
    let sent = parse(&run(&mut connection, at(82)));
    assert_eq!(code(&sent[0]), 1_011);
}

// K-connection
#[test]
fn a_connection_looks_at_the_earliest_of_its_deadlines() {
    let mut config = Config::new();
    config.idle_timeout = Some(Duration::from_secs(15));
    config.write_timeout = Some(Duration::from_secs(5));
    let mut connection = opened(&config);
    assert_eq!(connection.poll_timeout(), Some(at(15)));
    echo(&mut connection, at(10), &masked(FIN | TEXT, b"echo"));
    // Keepalive at 30, idle at 25, and the echo has to be taken.
    connection.written(at(10), 0);
    assert_eq!(connection.poll_timeout(), Some(at(15)));
    assert_eq!(run(&mut connection, at(11)), frame(FIN | TEXT, b"echo"));
    assert_eq!(connection.poll_timeout(), Some(at(25)));
    // The echo was data too: it is noticed when the timeout passes.
    assert_eq!(run(&mut connection, at(25)), b"");
    assert_eq!(connection.poll_timeout(), Some(at(30)));
    echo(&mut connection, at(26), &masked(PONG, b""));
    assert_eq!(connection.poll_timeout(), Some(at(40)));
    let sent = parse(&run(&mut connection, at(40)));
    assert_eq!(code(&sent[0]), 1_001);
}

// K-connection
#[test]
fn a_connection_whose_peer_closes_is_over_when_the_end_has_been_seen_and_all_is_written() {
    let mut connection = opened(&Config::default());
    echo(&mut connection, at(0), &masked(CLOSE, b"\x03\xE8"));
    connection.received(at(0), 0);
    connection.handle_timeout(at(0));
    assert!(matches!(state(&connection), Some(State::Closed(_))));
    assert!(!connection.is_over(), "the Close is not written");
    assert_eq!(take_pending(&mut connection, at(0)), (frame(CLOSE, b"\x03\xE8"), true));
    assert!(connection.is_over());
    connection.received(at(0), 0);
    assert_eq!(connection.poll_timeout(), None);
}

// K-connection
#[test]
fn a_connection_replies_through_its_endpoint() {
    let mut connection = opened(&Config::default());
    let mut bytes = masked(FIN | TEXT, b"close");
    let mut reading = connection.received_in(at(0), &mut bytes);
    let Some(Next::Data(message, mut reply)) = reading.next() else { panic!("no message") };
    assert_eq!((message.as_bytes(), reply.endpoint().state()), (&b"close"[..], State::Open));
    drop(reading);
    connection.received(at(0), 0);
    let next = connection.next();
    assert!(matches!(next, Some(Next::Closed(Ok(closed))) if closed.cause == Cause::Eof), "{next:?}");
}

// K-limits
#[test]
fn of_two_limits_on_length_the_smaller_holds() {
    for (frame, message) in [(Some(1_000), 100), (Some(100), 1_000), (None, 100)] {
        let mut config = Config::new();
        (config.max_frame_len, config.max_message_len) = (frame, message);
        for (len, fits) in [(100, true), (101, false)] {
            let mut endpoint = server(&config);
            let mut buffer = MessageBuffer::from(masked(FIN | BINARY, &noise(len)));
            let found = buffer.next(&mut endpoint, Instant::ZERO);
            assert_eq!(found.is_ok(), fits, "{frame:?} {message} {len}");
            if let Err(error) = found {
                assert_eq!(error.close_code(), CloseCode::new(1_009));
            }
        }
    }
}
