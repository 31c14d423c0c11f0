//! The trace hook sees frames both ways, states and the failure.

use std::time::Duration;

use ws_proto::{
    Client, Config, Endpoint, Instant, MessageBuffer, MessageKind, Part, ReceiveError, Server, State,
    connection::Output,
    endpoint::{Negotiated, Prepared, Trace},
    error::Fault,
    frame::FrameHeader,
    role::Role,
};
use ws_tests::{
    BINARY, CLOSE, CONTINUATION, FIN, Host, Keys, PING, PONG, Say, TEXT, TestClient, bare_config, masked,
};

/// What the hook was told.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Received(u8, u64),
    Sent(u8, u64),
    State(State),
    RoundTrip(Duration),
    Failed(ReceiveError),
}

#[derive(Debug, Default)]
struct Log(Vec<Seen>);

fn first_byte(header: &FrameHeader) -> u8 {
    header.opcode.bits() | if header.fin { FIN } else { 0 }
}

impl Trace for Log {
    fn frame_received(&mut self, header: &FrameHeader) {
        self.0.push(Seen::Received(first_byte(header), header.payload_len));
    }

    fn frame_sent(&mut self, header: &FrameHeader) {
        self.0.push(Seen::Sent(first_byte(header), header.payload_len));
    }

    fn state_changed(&mut self, state: State) {
        self.0.push(Seen::State(state));
    }

    fn round_trip(&mut self, time: Duration) {
        self.0.push(Seen::RoundTrip(time));
    }

    fn failed(&mut self, error: &ReceiveError) {
        self.0.push(Seen::Failed(*error));
    }
}

fn traced<R: Role>(role: R, log: &mut Log) -> Host<R, &mut Log> {
    Host::new(Endpoint::with_trace(role, &bare_config(), Negotiated::default(), Instant::ZERO, log))
}

/// Runs `script` on a traced server and on a traced client, whose logs must be the same.
fn seen(
    of_server: impl FnOnce(&mut Host<Server, &mut Log>),
    of_client: impl FnOnce(&mut Host<TestClient, &mut Log>),
) -> Vec<Seen> {
    let (mut server, mut client) = (Log::default(), Log::default());
    of_server(&mut traced(Server, &mut server));
    of_client(&mut traced(Client::new(Keys::Fixed), &mut client));
    assert_eq!(server.0, client.0);
    server.0
}

#[test]
fn every_frame_that_is_admitted_is_seen() {
    fn script<R: Role>(host: &mut Host<R, &mut Log>) {
        host.receive_frame(TEXT, b"x");
        host.receive_frame(PONG, b"yy");
        host.receive_frame(FIN | CONTINUATION, b"");
        // Told by its header, before the payload is there.
        let frame = host.peer_frame(FIN | BINARY, b"zzz");
        host.receive(&frame[..frame.len() - 1]);
    }
    let expected =
        [(TEXT, 1), (PONG, 2), (FIN, 0), (FIN | BINARY, 3)].map(|(first, len)| Seen::Received(first, len));
    assert_eq!(seen(script, script), expected);
}

#[test]
fn every_frame_that_is_sent_is_seen() {
    fn script<R: Role>(host: &mut Host<R, &mut Log>) {
        let mut out = [0; 200];
        host.endpoint.write("x".into(), &mut out).unwrap();
        host.endpoint.write_to("x".into(), &mut Vec::new()).unwrap();
        Say::Part(MessageKind::Binary, Part::First, vec![0; 2]).by(host).unwrap();
        host.endpoint.write_part(MessageKind::Binary, Part::Middle, b"", &mut out).unwrap();
        host.endpoint.send(MessageKind::Binary, Part::Last, &mut [0; 3]).unwrap();
        Say::Ping(vec![0; 4]).by(host).unwrap();
        Say::Pong(vec![0; 5]).by(host).unwrap();
        assert!(host.endpoint.write("refused".into(), &mut [0; 3]).is_err());
    }
    let frames = [(0x81, 1), (0x81, 1), (0x02, 2), (0x00, 0), (0x80, 3), (0x89, 4), (0x8A, 5)];
    assert_eq!(seen(script, script), frames.map(|(first, len)| Seen::Sent(first, len)));
}

#[test]
fn prepared_and_shared_messages_are_seen() {
    let mut log = Log::default();
    let mut host = traced(Server, &mut log);
    host.endpoint.send_prepared(&Prepared::new(MessageKind::Text, "four").unwrap()).unwrap();
    host.endpoint.send_shared("three".into()).unwrap();
    assert_eq!(log.0, [Seen::Sent(FIN | TEXT, 4), Seen::Sent(FIN | TEXT, 5)]);
}

#[test]
fn what_the_protocol_owes_and_the_states_of_a_close_are_seen() {
    fn script<R: Role>(host: &mut Host<R, &mut Log>) {
        host.receive_frame(PING, b"1");
        host.receive_frame(CLOSE, b"\x03\xE8");
        host.receive_eof();
        host.receive_eof();
    }
    let seen = seen(script, script);
    let Some((Seen::State(State::Closed(closed)), before)) = seen.split_last() else {
        panic!("{seen:?}");
    };
    assert!(closed.clean);
    let expected = [
        Seen::Received(PING, 1),
        Seen::Sent(PONG, 1),
        Seen::Received(CLOSE, 2),
        Seen::State(State::Closing),
        Seen::Sent(CLOSE, 2),
    ];
    assert_eq!(before, expected);
}

#[test]
fn the_failure_is_seen_once_before_its_close() {
    fn script<R: Role>(host: &mut Host<R, &mut Log>) {
        host.receive(&[0x83]);
        host.receive(&[0x83]);
        host.endpoint.fail(host.now, Fault::Internal);
    }
    let seen = seen(script, script);
    let [Seen::Failed(error), Seen::State(State::Closing), Seen::Sent(CLOSE, 20)] = seen[..] else {
        panic!("{seen:?}");
    };
    assert_eq!(error.offset(), 0);
}

#[test]
fn a_frame_that_is_refused_is_not_seen_as_received() {
    fn script<R: Role>(host: &mut Host<R, &mut Log>) {
        host.receive_frame(FIN | CONTINUATION, b"");
    }
    assert!(!seen(script, script).iter().any(|seen| matches!(seen, Seen::Received(..))));
}

#[test]
fn no_frame_behind_a_fault_is_seen_however_the_input_is_cut() {
    let frames = [(TEXT, &b"a"[..]), (CONTINUATION, b"\xFF"), (CONTINUATION, b"b"), (FIN, b"c")];
    let wire: Vec<u8> = frames.iter().flat_map(|(first, payload)| masked(*first, payload)).collect();
    let expected = [Seen::Received(TEXT, 1), Seen::Received(CONTINUATION, 1)];
    for cut in 0..wire.len() {
        let mut log = Log::default();
        let mut host = traced(Server, &mut log);
        let mut buffer = MessageBuffer::new(Vec::new());
        host.receive_shared(&mut buffer, &wire[..cut]);
        host.receive_shared(&mut buffer, &wire[cut..]);
        drop(host);
        log.0.retain(|seen| matches!(seen, Seen::Received(..)));
        assert_eq!(log.0, expected, "cut at {cut}");
    }
}

/// The times that a hook is told, on both roles, with a Ping after 20 s of silence at the latest.
fn round_trips(
    change: impl Fn(&mut Config),
    of_server: impl FnOnce(&mut Host<Server, &mut Log>),
    of_client: impl FnOnce(&mut Host<TestClient, &mut Log>),
) -> Vec<Duration> {
    let mut config = Config::default();
    change(&mut config);
    let (mut server, mut client) = (Log::default(), Log::default());
    let (negotiated, start) = (Negotiated::default(), Instant::ZERO);
    let endpoint = Endpoint::with_trace(Server, &config, negotiated, start, &mut server);
    of_server(&mut Host::new(endpoint));
    let endpoint = Endpoint::with_trace(Client::new(Keys::Fixed), &config, negotiated, start, &mut client);
    of_client(&mut Host::new(endpoint));
    assert_eq!(server.0, client.0);
    let times = server.0.into_iter().filter_map(|seen| match seen {
        Seen::RoundTrip(time) => Some(time),
        _ => None,
    });
    times.collect()
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Receives a frame `millis` after the epoch.
fn receive_at<R: Role>(host: &mut Host<R, &mut Log>, millis: u64, first: u8, payload: &[u8]) {
    host.now = Instant::from_millis(millis);
    host.receive_frame(first, payload);
}

#[test]
fn the_time_between_a_keepalive_ping_and_its_pong_is_told_once() {
    fn script<R: Role>(host: &mut Host<R, &mut Log>) {
        receive_at(host, 1_000, PONG, b"");
        host.step_clock();
        receive_at(host, 21_031, PONG, b"");
        receive_at(host, 22_000, PONG, b"");
        host.step_clock();
        receive_at(host, 42_007, PONG, b"");
    }
    let expected = [millis(31), millis(7)];
    assert_eq!(round_trips(|_| {}, script, script), expected);
    assert_eq!(round_trips(|config| config.pong_timeout = None, script, script), expected);
}

#[test]
fn other_frames_between_a_ping_and_its_pong_do_not_spoil_the_time() {
    fn script<R: Role>(host: &mut Host<R, &mut Log>) {
        host.step_clock();
        receive_at(host, 20_010, FIN | BINARY, b"under way");
        receive_at(host, 20_020, PONG, b"of another Ping");
        receive_at(host, 20_030, PING, b"");
        let pong = host.peer_frame(PONG, b"");
        host.now = Instant::from_millis(20_040);
        host.receive(&pong[..1]);
        host.now = Instant::from_millis(20_050);
        host.receive(&pong[1..]);
    }
    assert_eq!(round_trips(|_| {}, script, script), [millis(50)]);
}

#[test]
fn a_pong_that_can_not_answer_our_ping_is_not_told() {
    fn before_it_is_handed_out<R: Role>(host: &mut Host<R, &mut Log>) {
        host.now = Instant::from_millis(20_000);
        host.endpoint.handle_timeout(host.now);
        let pong = host.peer_frame(PONG, b"");
        host.receive(&pong);
    }
    fn after_our_close<R: Role>(host: &mut Host<R, &mut Log>) {
        host.step_clock();
        Say::Close(Some(1000), "").by(host).unwrap();
        receive_at(host, 20_010, PONG, b"");
    }
    assert_eq!(round_trips(|_| {}, before_it_is_handed_out, before_it_is_handed_out), [Duration::ZERO; 0]);
    assert_eq!(round_trips(|_| {}, after_our_close, after_our_close), [Duration::ZERO; 0]);
}

#[test]
fn the_time_begins_when_the_ping_has_left() {
    fn script<R: Role>(host: &mut Host<R, &mut Log>) {
        let mut output = Output::new();
        output.send(&mut host.endpoint, "earlier".into()).unwrap();
        host.now = Instant::from_millis(20_000);
        output.handle_timeout(&mut host.endpoint, host.now);
        host.now = Instant::from_millis(21_000);
        output.written(&mut host.endpoint, host.now, 1);
        // The peer speaks meanwhile.
        let frame = host.peer_frame(FIN | BINARY, b"");
        host.receive(&frame);
        host.now = Instant::from_millis(22_000);
        let len = output.len();
        output.written(&mut host.endpoint, host.now, len);
        receive_at(host, 22_100, PONG, b"");
        assert_eq!(host.endpoint.poll_timeout(), Some(Instant::from_millis(42_100)));
    }
    assert_eq!(round_trips(|_| {}, script, script), [millis(100)]);
}

#[test]
fn the_end_by_a_lost_source_of_keys_is_seen() {
    let mut log = Log::default();
    let mut host = traced(Client::new(Keys::Failing(0)), &mut log);
    host.receive_frame(PING, b"");
    let state = host.endpoint.state();
    assert_eq!(log.0, [Seen::Received(PING, 0), Seen::State(state)]);
}
