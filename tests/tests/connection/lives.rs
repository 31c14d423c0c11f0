//! Lives at random, for both roles: bytes of a peer that keeps to the rules or does not, cut anywhere, at any time, with writes
//! that take any part of what is pending.

use proptest::{collection::vec, prelude::*};
use ws_proto::{MessageKind, Part};
use ws_tests::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT};

use super::*;

/// Something that happens to a connection.
#[derive(Clone, Debug)]
enum Step {
    /// The peer sends a frame, or the first part of it.
    Frame(u8, Vec<u8>, usize),
    /// The peer sends these bytes.
    Bytes(Vec<u8>),
    Eof,
    /// So many milliseconds pass.
    Wait(u64),
    /// Time passes until the deadline.
    Deadline,
    /// The transport takes at most so many bytes.
    Write(usize),
    Send(usize),
    SendPart(Part),
    Ping,
    Close,
}

fn first_byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        Just(FIN | TEXT),
        Just(FIN | BINARY),
        Just(BINARY),
        Just(CONTINUATION),
        Just(FIN | CONTINUATION),
        Just(PING),
        Just(PONG),
        Just(CLOSE),
        any::<u8>(),
    ]
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    let bytes = prop_oneof![Just(b'a'), any::<u8>()];
    prop_oneof![4 => vec(bytes, 0..20), 1 => Just(vec![3, 0xE8]), 1 => (100..3_000_usize).prop_map(|len| vec![b'a'; len])]
}

fn step() -> impl Strategy<Value = Step> {
    let part = prop_oneof![Just(Part::First), Just(Part::Middle), Just(Part::Last)];
    prop_oneof![
        8 => (first_byte(), payload(), prop_oneof![4 => Just(usize::MAX), 1 => 0..40_usize])
            .prop_map(|(first, payload, len)| Step::Frame(first, payload, len)),
        1 => vec(any::<u8>(), 1..20).prop_map(Step::Bytes),
        1 => Just(Step::Eof),
        3 => (0..30_000_u64).prop_map(Step::Wait),
        3 => Just(Step::Deadline),
        6 => prop_oneof![0..50_usize, Just(usize::MAX)].prop_map(Step::Write),
        3 => prop_oneof![0..200_usize, Just(20_000)].prop_map(Step::Send),
        1 => part.prop_map(Step::SendPart),
        1 => Just(Step::Ping),
        1 => Just(Step::Close),
    ]
}

/// How a peer opens.
#[derive(Clone, Copy, Debug)]
enum Open {
    /// As it should.
    Whole,
    /// With so many bytes of a head at first.
    Cut(usize),
    /// Not with a head.
    Wrong,
}

fn open() -> impl Strategy<Value = Open> {
    prop_oneof![4 => Just(Open::Whole), 2 => (0..130_usize).prop_map(Open::Cut), 1 => Just(Open::Wrong)]
}

fn way() -> impl Strategy<Value = Way> {
    let len = || prop_oneof![1..10_usize, Just(100), Just(4096)];
    prop_oneof![
        2 => Just(Way::Own),
        1 => Just(Way::Parts),
        2 => len().prop_map(Way::Attached),
        2 => len().prop_map(Way::Given),
    ]
}

impl<R: Role, S: Allocation> Host<R, S> {
    fn act(&mut self, step: &Step, way: Way) {
        match step {
            Step::Frame(first, payload, len) => {
                let frame = self.peer_frame(*first, payload);
                self.receive(&frame[..frame.len().min(*len)], way);
            }
            Step::Bytes(bytes) => self.receive(bytes, way),
            Step::Eof => {
                self.connection.received(self.now, 0);
                self.take_by(way);
            }
            Step::Wait(millis) => {
                self.pass_time(self.now.saturating_add(core::time::Duration::from_millis(*millis)), way)
            }
            Step::Deadline => {
                let deadline = self.connection.poll_timeout().unwrap_or(self.now);
                self.pass_time(self.now.max(deadline), way);
            }
            Step::Write(len) => self.write(*len),
            Step::Send(len) => _ = self.connection.send(Message::Binary(&vec![0; *len])),
            Step::SendPart(part) => _ = self.connection.send_part(MessageKind::Binary, *part, b"part"),
            Step::Ping => _ = self.connection.ping(b"ping"),
            Step::Close => _ = self.connection.close(self.now, CloseCode::NORMAL, "bye"),
        }
    }

    fn check(&mut self) {
        assert!(self.log.ends.len() <= 1, "{:?}", self.log.ends);
        assert!(self.connection.is_over() || !self.connection.room().is_empty(), "there is room until it is over");
        assert!(!self.connection.is_over() || self.log.ends.len() == 1, "the end has been returned");
        assert!(!self.connection.is_over() || self.connection.poll_timeout().is_none());
    }
}

/// Lives through `steps`, and then to the end.
fn live<R: Role, S: Allocation>(mut host: Host<R, S>, head: &[u8], open: Open, steps: &[Step], way: Way) {
    match open {
        Open::Whole => {
            host.flush();
            host.receive(head, way);
            host.flush();
            host.log.sent.clear();
            assert_eq!((host.log.opened, host.log.ends.len()), (1, 0));
        }
        Open::Cut(len) => host.receive(&head[..len.min(head.len())], way),
        Open::Wrong => host.receive(b"\0\0\0\0", way),
    }
    host.check();
    let mut queued = 1_000;
    for step in steps {
        if let Step::Send(len) = step {
            queued += len + 14;
        }
        host.act(step, way);
        host.check();
        // The answers to a peer wait in the endpoint, or are as long as the frames that it has sent.
        assert!(host.connection.pending_len() <= queued + 131 * steps.len());
    }
    let told = host.log.told.len();
    for end in 0.. {
        assert!(end < 20, "a deadline ends every wait");
        host.flush();
        if host.connection.is_over() {
            break;
        }
        host.act(&Step::Deadline, way);
        host.check();
        if end > 15 {
            host.act(&Step::Eof, way);
        }
    }
    assert!(host.log.told.len() == told && host.log.ends.len() == 1);
    assert!(host.connection.pending().is_none() && host.connection.poll_timeout().is_none());
    host.act(&Step::Eof, way);
    host.act(&Step::Wait(100_000), way);
    host.check();
}

fn fixed(len: usize, config: &Config) -> Memory<&'static mut [u8]> {
    Memory::fixed(Vec::leak(vec![0; len]), Vec::leak(vec![0; len]), config)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    #[test]
    fn every_life_of_a_server_has_one_end(open in open(), steps in vec(step(), 0..40), way in way()) {
        live(server(), REQUEST, open, &steps, way);
        let config = Config::default();
        let origin = OriginPolicy::SameHost;
        let connection: Connection<'_, Server, &mut [u8]> =
            Connection::accept_in(fixed(512, &config), &config, origin, Instant::ZERO);
        live(Host::new(connection), REQUEST, open, &steps, way);
    }

    #[test]
    fn every_life_of_a_client_has_one_end(open in open(), steps in vec(step(), 0..40), way in way()) {
        let head = response();
        live(client(), &head, open, &steps, way);
        let config = Config::default();
        let (request, memory) = (client::Request::new("h", "/"), fixed(512, &config));
        let connection: Connection<'_, TestClient, &mut [u8]> =
            Connection::connect_in(memory, request, Keys::Fixed, &config, Instant::ZERO).unwrap();
        live(Host::new(connection), &head, open, &steps, way);
    }
}
