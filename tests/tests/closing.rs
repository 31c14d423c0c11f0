//! The closing handshake from both sides, in every order.

use std::time::Duration;

use ws_proto::{
    Cause, CloseCode, CloseReply, Closed, Config, Control, Event, Fault, Instant, MAX_REASON_LEN, MessageKind,
    Output, Part, Pending, ReceiveErrorKind, Role, SendError, Server, Side, State, Transmit,
};
use ws_tests::{
    BINARY, CLOSE, FIN, Host, PING, PONG, Pair, Say, TEXT, TestClient, Told, client, from_peer, masked, on_both,
    server,
};

/// The default configuration without keepalive: the only deadlines are those of closing.
fn config() -> Config {
    let mut config = Config::default();
    config.keepalive_interval = None;
    config
}

fn replying(reply: CloseReply) -> Config {
    let mut config = config();
    config.close_reply = reply;
    config
}

fn body(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// Whether a Close may carry this code, by the text of section 7.4 and the registry.
fn is_allowed(code: u16) -> bool {
    match code {
        1000..=2999 => [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014].contains(&code),
        3000..=4999 => true,
        _ => false,
    }
}

/// Something that happens to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    LocalClose,
    PeerClose,
    /// A frame that breaks the protocol.
    PeerBreaks,
    HostFails,
    Eof,
    /// A binary message of more than the drain bound.
    BigMessage,
    /// The next deadline passes.
    Deadline,
    Ping,
    SendText,
}

const STEPS: [Step; 9] = [
    Step::LocalClose,
    Step::PeerClose,
    Step::PeerBreaks,
    Step::HostFails,
    Step::Eof,
    Step::BigMessage,
    Step::Deadline,
    Step::Ping,
    Step::SendText,
];

/// The closing table of the design, as plainly as it can be put.
#[derive(Clone, Debug)]
struct Model {
    side: Side,
    reply: CloseReply,
    /// The code of our Close.
    sent: Option<u16>,
    /// The code of the peer's Close.
    received: Option<u16>,
    failed: bool,
    cause: Option<Cause>,
    shut_down: bool,
    over: bool,
    told: usize,
    pongs: usize,
    refused: usize,
}

impl Model {
    fn new(side: Side, reply: CloseReply) -> Self {
        Self {
            side,
            reply,
            sent: None,
            received: None,
            failed: false,
            cause: None,
            shut_down: false,
            over: false,
            told: 0,
            pongs: 0,
            refused: 0,
        }
    }

    fn is_open(&self) -> bool {
        self.sent.is_none() && self.is_receiving()
    }

    /// Whether the host is to answer the peer's Close.
    fn is_left_to_host(&self) -> bool {
        self.received.is_some() && self.sent.is_none()
    }

    /// Our Close answers the peer's.
    fn answer(&mut self, code: u16) {
        self.sent = Some(code);
        self.shut_down |= self.side == Side::Server;
    }

    fn is_receiving(&self) -> bool {
        self.received.is_none() && !self.failed && !self.over
    }

    fn end(&mut self) {
        self.over = true;
        self.shut_down = true;
    }

    fn fail(&mut self, code: u16) {
        self.failed = true;
        self.sent.get_or_insert(code);
        self.cause = Some(Cause::Failure);
        self.shut_down = true;
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::LocalClose if self.is_open() => {
                self.sent = Some(4000);
                self.cause = Some(Cause::Local);
            }
            Step::LocalClose if self.is_left_to_host() => self.answer(4000),
            Step::LocalClose | Step::SendText if !self.is_open() => self.refused += 1,
            Step::PeerClose if self.is_receiving() => {
                self.told += 1;
                self.received = Some(1001);
                self.cause.get_or_insert(Cause::Peer);
                if self.reply == CloseReply::Echo || self.sent.is_some() {
                    self.answer(self.sent.unwrap_or(1001));
                }
            }
            Step::HostFails if self.is_left_to_host() => self.fail(1008),
            Step::PeerBreaks if self.is_receiving() => self.fail(1002),
            Step::HostFails if self.is_receiving() => self.fail(1008),
            Step::Eof if self.is_receiving() => {
                self.cause = Some(Cause::Eof);
                self.end();
            }
            Step::BigMessage if self.is_receiving() => self.told += 1,
            Step::Eof | Step::BigMessage => {
                if self.is_left_to_host() {
                    self.answer(1001);
                }
                self.end();
            }
            Step::Deadline if self.is_open() || self.over => {}
            Step::Deadline if self.is_left_to_host() => self.answer(1001),
            Step::Deadline => {
                if self.is_receiving() {
                    self.cause = Some(Cause::CloseTimeout);
                }
                self.end();
            }
            Step::Ping if self.is_receiving() => {
                self.told += 1;
                self.pongs += usize::from(self.is_open());
            }
            _ => {}
        }
    }

    fn state(&self) -> State {
        match self.cause {
            None => State::Open,
            Some(cause) if self.over => State::Closed(Closed {
                clean: self.received.is_some() && self.sent.is_some(),
                code: self.received.map_or(CloseCode::ABNORMAL, CloseCode::new),
                cause,
            }),
            Some(_) => State::Closing,
        }
    }
}

fn take_step<R: Role>(host: &mut Host<R>, step: Step, big_message: &[u8]) -> Result<(), SendError> {
    match step {
        Step::LocalClose => {
            Say::Close(Some(4000), "enough").by(host)?;
            host.transmit();
        }
        Step::SendText => return Say::text("x").by(host),
        Step::PeerClose => host.receive_frame(CLOSE, &body(1001, "going")),
        Step::PeerBreaks => host.receive(&[0x83]),
        Step::HostFails => {
            host.endpoint.fail(host.now, Fault::PolicyViolation);
            host.transmit();
        }
        Step::Eof => host.receive_eof(),
        Step::BigMessage => host.receive(big_message),
        Step::Deadline => {
            host.step_clock();
        }
        Step::Ping => host.receive_frame(PING, b"are you there"),
    }
    Ok(())
}

fn check_order<R: Role>(mut host: Host<R>, reply: CloseReply, steps: &[Step], big_message: &[u8]) {
    let mut model = Model::new(R::SIDE, reply);
    let mut refused = 0;
    for step in steps {
        match take_step(&mut host, *step, big_message) {
            Ok(()) => {}
            Err(SendError::Closing) => refused += 1,
            Err(error) => panic!("{error}"),
        }
        model.step(*step);
        let sent = ws_tests::parse(&host.output);
        let closes: Vec<_> = sent.iter().filter(|frame| frame.first == CLOSE).collect();
        let code = closes.first().map(|close| u16::from_be_bytes([close.payload[0], close.payload[1]]));
        assert_eq!(host.endpoint.state(), model.state(), "{steps:?}");
        assert_eq!(host.shutdowns, usize::from(model.shut_down), "{steps:?}");
        assert_eq!(host.told.len(), model.told, "{steps:?}");
        assert_eq!(refused, model.refused, "{steps:?}");
        assert_eq!(code, model.sent, "{steps:?}");
        assert!(closes.len() <= 1, "{steps:?}");
        assert_eq!(sent.iter().filter(|frame| frame.first == PONG).count(), model.pongs, "{steps:?}");
        assert!(closes.is_empty() || sent.last().unwrap().first == CLOSE, "nothing behind the Close: {steps:?}");
    }
}

fn orders(len: u32) -> impl Iterator<Item = Vec<Step>> {
    (0..STEPS.len().pow(len))
        .map(move |order| (0..len).map(|at| STEPS[order / STEPS.len().pow(at) % STEPS.len()]).collect())
}

// R5.5.1-2 R5.5.1-3 R5.5.1-4 R5.5.2-1 R7.1.1-1 R7.1.1-2 R7.1.2-1 R7.1.4/5/6 R7.1.7-1 R7.2.1-1 R6.1-1
#[test]
fn every_order_of_events_goes_by_the_closing_table() {
    let big =
        [from_peer(Side::Client, FIN | BINARY, &[7; 70_000]), from_peer(Side::Server, FIN | BINARY, &[7; 70_000])];
    for reply in [CloseReply::Echo, CloseReply::ByHost] {
        for steps in orders(4) {
            let [to_client, to_server] = &big;
            on_both(
                &replying(reply),
                |host| check_order(host, reply, &steps, to_client),
                |host| check_order(host, reply, &steps, to_server),
            );
        }
    }
}

#[test]
fn a_host_answers_the_peers_close_with_its_own_code_and_reason() {
    fn check<R: Role>(mut host: Host<R>) {
        host.receive_frame(CLOSE, &body(1001, "going"));
        assert_eq!(host.told, [Told::Close(1001, "going".into())]);
        assert_eq!((host.endpoint.state(), host.endpoint.closed()), (State::Closing, None));
        assert_eq!((host.output.len(), host.shutdowns), (0, 0), "nothing is owed");
        host.now = Instant::from_millis(9_999);
        host.handle_timeout();
        assert_eq!(host.endpoint.close_frame(), Some((CloseCode::GOING_AWAY, "going")));
        Say::Close(Some(4000), "me too").by(&mut host).unwrap();
        assert_eq!(host.sent_plain(), [(CLOSE, body(4000, "me too"))]);
        let closed = Closed { clean: true, code: CloseCode::GOING_AWAY, cause: Cause::Peer };
        assert_eq!(host.endpoint.closed(), Some(closed));
        assert_eq!(Say::Close(Some(4000), "").by(&mut host), Err(SendError::Closing));
        host.transmit();
        // The server ends the transport, the client waits for that.
        assert_eq!(host.shutdowns, usize::from(R::SIDE == Side::Server));
        let linger = if R::SIDE == Side::Server { 1_000 } else { 5_000 };
        assert_eq!(host.endpoint.poll_timeout(), Some(Instant::from_millis(9_999 + linger)));
        host.receive_eof();
        assert_eq!((host.closed(), host.shutdowns), (closed, 1));
    }
    on_both(&replying(CloseReply::ByHost), check, check);
}

#[test]
fn a_close_that_the_host_does_not_answer_in_time_is_answered_as_usual() {
    fn check<R: Role>(mut host: Host<R>) {
        host.now = Instant::from_millis(1_000);
        host.receive_frame(CLOSE, &body(1001, "going"));
        // Output that the transport takes is no reason to wait longer for the host.
        host.endpoint.written(Instant::from_millis(5_000));
        assert_eq!(host.endpoint.poll_timeout(), Some(Instant::from_millis(11_000)));
        host.step_clock();
        assert_eq!(host.sent_plain(), [(CLOSE, body(1001, ""))]);
        assert_eq!(Say::Close(Some(4000), "").by(&mut host), Err(SendError::Closing));
        assert!(host.endpoint.closed().unwrap().clean);
        assert!(host.step_clock(), "the wait for the end of the transport");
        assert_eq!((host.closed().cause, host.shutdowns), (Cause::Peer, 1));
    }
    on_both(&replying(CloseReply::ByHost), check, check);
}

#[test]
fn before_the_host_answers_only_the_rest_of_a_message_can_be_sent() {
    fn check<R: Role>(mut host: Host<R>) {
        let rest = |part| Say::Part(MessageKind::Binary, part, b"x".to_vec());
        rest(Part::First).by(&mut host).unwrap();
        host.receive_frame(CLOSE, &body(1001, ""));
        for refused in [Say::text("x"), Say::Ping(vec![]), Say::Pong(vec![]), rest(Part::First)] {
            assert_eq!(refused.by(&mut host), Err(SendError::Closing));
        }
        rest(Part::Middle).by(&mut host).unwrap();
        rest(Part::Last).by(&mut host).unwrap();
        for refused in [rest(Part::Middle), rest(Part::Last), rest(Part::Whole)] {
            assert_eq!(refused.by(&mut host), Err(SendError::Closing), "the message has ended");
        }
        Say::Close(None, "").by(&mut host).unwrap();
        let frames = [(BINARY, &b"x"[..]), (0x00, b"x"), (FIN, b"x"), (CLOSE, b"")];
        assert_eq!(host.sent_plain(), frames.map(|(first, payload)| (first, payload.to_vec())));
    }
    on_both(&replying(CloseReply::ByHost), check, check);
}

#[test]
fn an_answer_of_the_hosts_is_queued_with_the_shutdown_that_follows_it() {
    let mut host = server(&replying(CloseReply::ByHost));
    host.receive_frame(CLOSE, &body(1001, ""));
    let mut output = Output::new();
    output.close(&mut host.endpoint, host.now, CloseCode::NORMAL, "").unwrap();
    assert_eq!(output.pending(), Some(Pending::Bytes(b"\x88\x02\x03\xE8")));
    output.written(&mut host.endpoint, host.now, 4);
    assert_eq!(output.pending(), Some(Pending::Shutdown));
}

#[test]
fn without_a_close_timeout_the_host_may_take_its_time() {
    fn check<R: Role>(mut host: Host<R>) {
        host.receive_frame(CLOSE, &body(1001, ""));
        assert_eq!(host.endpoint.poll_timeout(), None);
        host.now = Instant::from_millis(u64::from(u32::MAX));
        host.handle_timeout();
        assert!(host.output.is_empty());
        Say::Close(Some(1001), "").by(&mut host).unwrap();
        assert!(host.endpoint.closed().unwrap().clean);
    }
    let mut config = replying(CloseReply::ByHost);
    config.close_timeout = None;
    on_both(&config, check, check);
}

// R5.5.1-1 R5.5.1-3 R7.1.4/5/6
#[test]
fn close_is_answered_with_its_code_and_without_its_reason() {
    fn check<R: Role>(mut host: Host<R>) {
        host.receive_frame(CLOSE, &body(3001, "my reason"));
        assert_eq!(host.told, [Told::Close(3001, "my reason".into())]);
        assert_eq!(host.sent_plain(), [(CLOSE, body(3001, ""))]);
        assert_eq!(host.endpoint.close_frame(), Some((CloseCode::new(3001), "my reason")));
        host.receive_eof();
        assert_eq!(host.closed(), Closed { clean: true, code: CloseCode::new(3001), cause: Cause::Peer });
    }
    on_both(&config(), check, check);
}

// R5.5.1-1 R7.1.4/5/6
#[test]
fn an_empty_close_is_answered_by_an_empty_close_and_means_1005() {
    fn check<R: Role>(mut host: Host<R>) {
        host.receive_frame(CLOSE, b"");
        assert_eq!(host.told, [Told::Close(1005, String::new())]);
        assert_eq!(host.sent_plain(), [(CLOSE, vec![])]);
        host.receive_eof();
        assert_eq!(host.closed(), Closed { clean: true, code: CloseCode::NO_STATUS, cause: Cause::Peer });
    }
    on_both(&config(), check, check);
}

// R7.4.1-1 R7.4.2-1 R7.4.1-2
#[test]
fn every_code_is_accepted_or_answered_with_1002() {
    fn check<R: Role>(mut host: Host<R>, code: u16) {
        host.receive_frame(CLOSE, &body(code, ""));
        let sent = host.sent_plain();
        if is_allowed(code) {
            assert_eq!(host.told, [Told::Close(code, String::new())]);
            assert_eq!(sent, [(CLOSE, body(code, ""))]);
        } else {
            assert_eq!(host.error.map(|error| error.kind()), Some(ReceiveErrorKind::InvalidCloseCode), "{code}");
            assert_eq!(host.endpoint.close_frame(), None);
            assert_eq!(sent, [(CLOSE, body(1002, "close code may not be sent"))]);
            host.receive_eof();
            assert_eq!(host.closed(), Closed { clean: false, code: CloseCode::ABNORMAL, cause: Cause::Failure });
        }
    }
    for code in 0..=u16::MAX {
        on_both(&config(), |host| check(host, code), |host| check(host, code));
    }
}

// R7.4.1-1 R7.4.2-1 R7.4.1-2
#[test]
fn every_code_is_sent_or_refused() {
    fn check<R: Role>(mut host: Host<R>, code: u16) {
        let of_clients = code == 1010 && R::SIDE == Side::Server;
        // 1005 stands for a Close without a code.
        let allowed = (is_allowed(code) || code == 1005) && !of_clients;
        let mut out = [0; 131];
        let written = host.endpoint.write_close(host.now, CloseCode::new(code), "", &mut out);
        assert_eq!(written.err(), (!allowed).then_some(SendError::InvalidCloseCode), "{code}");
        assert_eq!(host.endpoint.state() == State::Closing, allowed);
        let Ok(len) = written else {
            return;
        };
        host.output.extend(&out[..len]);
        let expected = if code == 1005 { vec![] } else { body(code, "") };
        assert_eq!(host.sent_plain(), [(CLOSE, expected)]);
    }
    for code in 0..=u16::MAX {
        on_both(&config(), |host| check(host, code), |host| check(host, code));
    }
}

// R5.5.1-1
#[test]
fn a_close_body_of_one_byte_is_answered_with_1002() {
    fn check<R: Role>(mut host: Host<R>) {
        host.receive_frame(CLOSE, b"\x03");
        assert_eq!(host.error.map(|error| error.kind()), Some(ReceiveErrorKind::ShortCloseBody));
        assert_eq!(host.sent_plain(), [(CLOSE, body(1002, "close body is one byte long"))]);
        assert!(host.told.is_empty());
    }
    on_both(&config(), check, check);
}

// R5.5.1-1 R8.1-1 R7.4.1-2
#[test]
fn a_close_reason_that_is_not_utf8_is_answered_with_1007() {
    fn check<R: Role>(mut host: Host<R>, reason: &[u8]) {
        host.receive_frame(CLOSE, &[&[0x03, 0xE8], reason].concat());
        assert_eq!(host.error.map(|error| error.kind()), Some(ReceiveErrorKind::InvalidCloseReason));
        assert_eq!(host.sent_plain(), [(CLOSE, body(1007, "close reason is not UTF-8"))]);
        assert!(host.told.is_empty());
        assert_eq!(host.endpoint.close_frame(), None);
    }
    for reason in [&b"\xFF"[..], b"ok\xC3", b"\xED\xA0\x80", b"\xC0\xAF", b"\xF4\x90\x80\x80"] {
        on_both(&config(), |host| check(host, reason), |host| check(host, reason));
    }
}

// R5.5.1-1 R5.5-1
#[test]
fn a_reason_of_ours_is_cut_between_characters_to_123_bytes() {
    fn check<R: Role>(mut host: Host<R>) {
        let mut out = [0; 131];
        let reason = "é".repeat(100);
        let len = host.endpoint.write_close(host.now, CloseCode::NORMAL, &reason, &mut out).unwrap();
        host.output.extend(&out[..len]);
        assert_eq!(MAX_REASON_LEN, 123);
        assert_eq!(host.sent_plain(), [(CLOSE, body(1000, &"é".repeat(61)))]);
    }
    on_both(&config(), check, check);
}

// R7.4.1-2
#[test]
fn close_1010_is_for_clients_to_send_and_for_servers_to_receive() {
    let mut pair = Pair::new(&config());
    let mut out = [0; 131];
    let refused = pair.server.endpoint.write_close(pair.now(), CloseCode::MANDATORY_EXTENSION, "", &mut out);
    assert_eq!(refused, Err(SendError::InvalidCloseCode));
    Say::Close(Some(1010), "deflate").by(&mut pair.client).unwrap();
    pair.deliver();
    assert_eq!(pair.server.told, [Told::Close(1010, "deflate".into())]);
    assert!(pair.server.closed().clean);
}

// R5.5.1-2 R6.1-1
#[test]
fn after_a_close_in_either_direction_nothing_can_be_sent() {
    fn check<R: Role>(mut host: Host<R>, begin: impl Fn(&mut Host<R>)) {
        begin(&mut host);
        let mut out = [0; 200];
        let endpoint = &mut host.endpoint;
        let (text, whole) = (MessageKind::Text, Part::Whole);
        assert_eq!(endpoint.write("x".into(), &mut out), Err(SendError::Closing));
        assert_eq!(endpoint.write_to("x".into(), &mut Vec::new()), Err(SendError::Closing));
        assert_eq!(endpoint.write_part(text, whole, b"x", &mut out), Err(SendError::Closing));
        assert_eq!(endpoint.write_part_to(text, whole, b"x", &mut Vec::new()), Err(SendError::Closing));
        assert_eq!(endpoint.send(text, whole, &mut [b'x']).map(drop), Err(SendError::Closing));
        assert_eq!(endpoint.write_ping(b"", &mut out), Err(SendError::Closing));
        assert_eq!(endpoint.write_pong(b"", &mut out), Err(SendError::Closing));
        let closed = endpoint.write_close(host.now, CloseCode::NORMAL, "", &mut out);
        assert_eq!(closed, Err(SendError::Closing));
    }
    fn ours<R: Role>(host: &mut Host<R>) {
        Say::Close(None, "").by(host).unwrap();
    }
    fn theirs<R: Role>(host: &mut Host<R>) {
        host.receive_frame(CLOSE, b"");
    }
    on_both(&config(), |host| check(host, ours), |host| check(host, ours));
    on_both(&config(), |host| check(host, theirs), |host| check(host, theirs));
}

// R5.5.1-2 R5.5.2-1
#[test]
fn after_our_close_messages_are_delivered_and_pings_stay_unanswered() {
    fn check<R: Role>(mut host: Host<R>) {
        Say::Close(Some(1000), "").by(&mut host).unwrap();
        host.output.clear();
        host.receive_frame(TEXT, b"still ");
        host.receive_frame(PING, b"?");
        host.receive_frame(FIN, b"here");
        assert_eq!(host.told, [Told::Ping(b"?".to_vec()), Told::Text("still here".into())]);
        assert!(host.output.is_empty());
        assert_eq!(host.endpoint.state(), State::Closing);
    }
    on_both(&config(), check, check);
}

// R5.5.2-1
#[test]
fn a_pong_that_is_still_owed_is_dropped_by_our_close() {
    fn check<R: Role>(mut host: Host<R>) {
        let mut ping = host.peer_frame(PING, b"late");
        let mut input = &mut ping[..];
        assert!(matches!(host.endpoint.receive(host.now, &mut input), Ok(Some(Event::Control(Control::Ping)))));
        Say::Close(Some(1000), "").by(&mut host).unwrap();
        host.transmit();
        assert_eq!(host.sent_plain(), [(CLOSE, body(1000, ""))]);
    }
    on_both(&config(), check, check);
}

// R5.5.2-1 R5.5.1-3
#[test]
fn a_pong_that_is_still_owed_is_dropped_by_the_peers_close() {
    fn check<R: Role>(mut host: Host<R>) {
        let mut bytes = [host.peer_frame(PING, b"late"), host.peer_frame(CLOSE, b"")].concat();
        let mut input = &mut bytes[..];
        assert!(matches!(host.endpoint.receive(host.now, &mut input), Ok(Some(Event::Control(Control::Ping)))));
        assert!(matches!(host.endpoint.receive(host.now, &mut input), Ok(Some(Event::Control(Control::Close)))));
        host.transmit();
        assert_eq!(host.sent_plain(), [(CLOSE, vec![])]);
    }
    on_both(&config(), check, check);
}

// R7.1.1-1 R5.5.1-4
#[test]
fn what_follows_the_peers_close_in_the_same_read_is_discarded() {
    fn check<R: Role>(mut host: Host<R>) {
        let mut bytes = host.peer_frame(FIN | TEXT, b"before");
        bytes.extend(host.peer_frame(CLOSE, &body(1000, "")));
        bytes.extend(host.peer_frame(FIN | TEXT, b"behind"));
        bytes.extend(host.peer_frame(CLOSE, &body(1001, "")));
        bytes.extend([0xFF; 40]);
        host.receive(&bytes);
        assert_eq!(host.told, [Told::Text("before".into()), Told::Close(1000, String::new())]);
        assert_eq!(host.sent_plain(), [(CLOSE, body(1000, ""))]);
        assert_eq!(host.error, None);
    }
    on_both(&config(), check, check);
}

// R5.5.1-3 R5.4-2
#[test]
fn a_close_inside_a_fragmented_message_ends_it_unfinished() {
    fn check<R: Role>(mut host: Host<R>) {
        host.receive_frame(TEXT, b"never to be ");
        host.receive_frame(CLOSE, &body(1000, ""));
        host.receive_frame(FIN, b"finished");
        assert_eq!(host.told, [Told::Close(1000, String::new())]);
        assert_eq!(host.sent_plain(), [(CLOSE, body(1000, ""))]);
    }
    on_both(&config(), check, check);
}

// R5.5.1-3 R5.4-2
#[test]
fn a_close_may_be_sent_and_answered_inside_a_message_of_ours() {
    fn check<R: Role>(mut host: Host<R>) {
        Say::Part(MessageKind::Text, Part::First, b"unfinished".to_vec()).by(&mut host).unwrap();
        host.receive_frame(CLOSE, &body(1000, ""));
        assert_eq!(host.sent_plain(), [(TEXT, b"unfinished".to_vec()), (CLOSE, body(1000, ""))]);
    }
    on_both(&config(), check, check);
}

// R7.1.1-2 R5.5.1-4
#[test]
fn a_server_shuts_down_as_soon_as_both_sides_have_closed() {
    let mut host = server(&config());
    Say::Close(Some(1000), "").by(&mut host).unwrap();
    host.transmit();
    assert_eq!(host.shutdowns, 0);
    host.receive(&masked(CLOSE, &body(1000, "")));
    assert_eq!((host.shutdowns, host.endpoint.state()), (1, State::Closing));
    host.receive_eof();
    assert_eq!(host.closed(), Closed { clean: true, code: CloseCode::NORMAL, cause: Cause::Local });
    assert_eq!(host.shutdowns, 1);
}

// R7.1.1-2 R5.5.1-4
#[test]
fn a_client_waits_for_the_servers_fin_before_it_shuts_down() {
    let mut host = client(&config());
    host.receive_frame(CLOSE, &body(1000, ""));
    assert_eq!((host.shutdowns, host.endpoint.state()), (0, State::Closing));
    assert_eq!(host.sent_plain(), [(CLOSE, body(1000, ""))]);
    host.now = host.now.saturating_add(Duration::from_millis(4999));
    host.handle_timeout();
    assert_eq!((host.shutdowns, host.endpoint.state()), (0, State::Closing));
    host.receive_eof();
    assert_eq!(host.shutdowns, 1);
    assert_eq!(host.closed(), Closed { clean: true, code: CloseCode::NORMAL, cause: Cause::Peer });
}

// R5.5.1-3 R5.5.1-4 R7.1.2-1 R7.1.4/5/6
#[test]
fn a_pair_closes_cleanly_whoever_begins() {
    for (client_closes, server_closes) in [(true, false), (false, true), (true, true)] {
        for read_len in [1, 2, 3, 1000] {
            let mut pair = Pair { read_len, ..Pair::new(&config()) };
            if client_closes {
                Say::Close(Some(1000), "bye").by(&mut pair.client).unwrap();
            }
            if server_closes {
                Say::Close(Some(1001), "gone").by(&mut pair.server).unwrap();
            }
            pair.deliver();
            let codes = if server_closes { (1001, 1000) } else { (1000, 1000) };
            let codes = if client_closes { codes } else { (1001, 1001) };
            let cause = |local| if local { Cause::Local } else { Cause::Peer };
            let closed = |code, local| Closed { clean: true, code: CloseCode::new(code), cause: cause(local) };
            assert_eq!(pair.client.closed(), closed(codes.0, client_closes));
            assert_eq!(pair.server.closed(), closed(codes.1, server_closes));
            assert_eq!([pair.client.shutdowns, pair.server.shutdowns], [1, 1]);
            assert!(!pair.step_clock(), "nothing is waited for any more");
        }
    }
}

// R7.1.1-1
#[test]
fn draining_ends_after_64_kib() {
    fn check<R: Role>(mut host: Host<R>, begin: impl Fn(&mut Host<R>)) {
        begin(&mut host);
        let before = host.told.len();
        for _ in 0..63 {
            host.receive(&[0xAA; 1024]);
        }
        assert_eq!(host.endpoint.state(), State::Closing);
        host.receive(&[0xAA; 1024]);
        host.receive(&[0xAA; 1024]);
        assert!(matches!(host.endpoint.state(), State::Closed(_)));
        assert_eq!((host.shutdowns, host.told.len()), (1, before));
        host.receive(&[0xAA; 1024]);
        assert_eq!((host.shutdowns, host.told.len()), (1, before));
    }
    fn closes<R: Role>(host: &mut Host<R>) {
        host.receive_frame(CLOSE, b"");
    }
    fn breaks<R: Role>(host: &mut Host<R>) {
        host.receive(&[0x70]);
    }
    on_both(&config(), |host| check(host, closes), |host| check(host, closes));
    on_both(&config(), |host| check(host, breaks), |host| check(host, breaks));
}

// R7.1.7-1
#[test]
fn after_a_failure_every_call_discards_and_returns_the_same_error() {
    fn check<R: Role>(mut host: Host<R>) {
        let mut bytes = host.peer_frame(FIN | TEXT, b"fine");
        let at = bytes.len() as u64;
        bytes.extend(host.peer_frame(0x83, b""));
        bytes.extend(host.peer_frame(FIN | TEXT, b"never seen"));
        host.receive(&bytes);
        let error = host.error.unwrap();
        assert_eq!((error.offset(), error.close_code()), (at, CloseCode::PROTOCOL_ERROR));
        host.receive_frame(FIN | TEXT, b"nor this");
        host.receive(b"");
        host.receive_frame(CLOSE, &body(1000, ""));
        assert_eq!(host.told, [Told::Text("fine".into())]);
        assert_eq!((host.error, host.endpoint.failure()), (Some(error), Some(error)));
        assert_eq!(host.sent_plain(), [(CLOSE, body(1002, "opcode is reserved"))]);
        assert_eq!(host.shutdowns, 1);
    }
    on_both(&config(), check, check);
}

// R7.1.7-1
#[test]
fn a_failure_after_our_close_sends_no_second_one() {
    fn check<R: Role>(mut host: Host<R>) {
        Say::Close(Some(1000), "").by(&mut host).unwrap();
        host.receive(&[0x83]);
        assert_eq!(host.sent_plain(), [(CLOSE, body(1000, ""))]);
        assert_eq!(host.shutdowns, 1);
        host.receive_eof();
        assert_eq!(host.closed(), Closed { clean: false, code: CloseCode::ABNORMAL, cause: Cause::Failure });
    }
    on_both(&config(), check, check);
}

/// An endpoint that has decided to close because it was idle, and has not been drained.
fn idle<R: Role>(host: &mut Host<R>) {
    host.now = host.now.saturating_add(Duration::from_secs(60));
    host.endpoint.handle_timeout(host.now);
    assert_eq!(host.endpoint.state(), State::Closing);
}

fn idle_config() -> Config {
    let mut config = config();
    config.idle_timeout = Some(Duration::from_secs(60));
    config
}

// R7.1.2-1 R7.1.7-1
#[test]
fn a_failure_replaces_a_close_that_was_not_handed_out() {
    fn check<R: Role>(mut host: Host<R>) {
        idle(&mut host);
        host.receive(&[0x83]);
        assert_eq!(host.sent_plain(), [(CLOSE, body(1002, "opcode is reserved"))]);
        assert_eq!(host.shutdowns, 1);
    }
    on_both(&idle_config(), check, check);
}

// R5.5.1-3 R7.1.2-1
#[test]
fn the_peers_close_is_answered_by_a_close_that_was_not_handed_out_yet() {
    fn check<R: Role>(mut host: Host<R>) {
        idle(&mut host);
        host.receive_frame(PING, b"no answer");
        host.output.clear();
        host.receive_frame(CLOSE, &body(3000, ""));
        host.receive_eof();
        let closed = Closed { clean: true, code: CloseCode::new(3000), cause: Cause::IdleTimeout };
        assert_eq!((host.closed(), host.shutdowns), (closed, 1));
    }
    on_both(&idle_config(), check, check);
}

// R5.5.2-1
#[test]
fn a_closed_connection_owes_nothing_but_shutdown() {
    fn check<R: Role>(mut host: Host<R>) {
        let mut ping = host.peer_frame(PING, b"unanswered");
        let mut input = &mut ping[..];
        assert!(matches!(host.endpoint.receive(host.now, &mut input), Ok(Some(Event::Control(Control::Ping)))));
        host.endpoint.handle_timeout(host.now.saturating_add(Duration::from_secs(30)));
        host.endpoint.receive_eof();
        assert_eq!(host.endpoint.poll_transmit(), Some(Transmit::Shutdown));
        assert_eq!(host.endpoint.poll_transmit(), None);
    }
    on_both(&Config::default(), check, check);
}

// R7.1.4/5/6
#[test]
fn the_end_is_clean_only_once_our_reply_has_been_handed_out() {
    fn check<R: Role>(mut host: Host<R>) {
        let mut close = host.peer_frame(CLOSE, &body(1000, ""));
        let mut input = &mut close[..];
        assert!(matches!(host.endpoint.receive(host.now, &mut input), Ok(Some(Event::Control(Control::Close)))));
        host.endpoint.receive_eof();
        assert_eq!(host.endpoint.state(), State::Closing, "the reply can still be written");
        assert!(matches!(host.endpoint.poll_transmit(), Some(Transmit::Control(_))));
        assert!(host.closed().clean);
        assert_eq!(host.endpoint.poll_transmit(), Some(Transmit::Shutdown));
        assert_eq!(host.endpoint.poll_transmit(), None);
    }
    on_both(&config(), check, check);
}

// R7.1.4/5/6 R7.2.1-1
#[test]
fn the_end_of_the_transport_without_a_close_is_unclean_and_means_1006() {
    fn check<R: Role>(mut host: Host<R>, first: &[u8]) {
        host.receive(first);
        host.receive_eof();
        assert_eq!(host.closed(), Closed { clean: false, code: CloseCode::ABNORMAL, cause: Cause::Eof });
        assert_eq!((host.shutdowns, host.output.len(), host.error), (1, 0, None));
        host.receive_eof();
        assert_eq!(host.shutdowns, 1);
        assert_eq!(host.endpoint.poll_timeout(), None);
    }
    // Between frames, in a header, in a payload, in a control frame.
    on_both(&config(), |host| check(host, b""), |host| check(host, b""));
    on_both(&config(), |host| check(host, b"\x81\x7E\x00"), |host| check(host, b"\x81\xFE\x00"));
    on_both(&config(), |host| check(host, b"\x81\x05He"), |host| check(host, b"\x81\x85\0\0\0\0He"));
    on_both(&config(), |host| check(host, b"\x88\x02\x03"), |host| check(host, b"\x88\x82\0\0\0\0\x03"));
}

// R7.1.7-1 R10.3-1
#[test]
fn a_client_without_keys_ends_without_a_close_and_shuts_down_once() {
    for owed in [&[PING][..], &[CLOSE], &[0x83]] {
        let mut host = failing_client();
        for first in owed {
            host.receive_frame(*first, b"");
        }
        assert_eq!(host.shutdowns, 1, "{owed:02x?}");
        assert!(host.output.is_empty());
        let closed = host.closed();
        assert_eq!(
            (closed.clean, closed.cause),
            (false, Cause::Entropy),
            "no Close of ours was sent: {owed:02x?}"
        );
        host.receive_eof();
        assert_eq!(host.shutdowns, 1);
    }
}

fn failing_client() -> Host<TestClient> {
    let role = ws_proto::Client::new(ws_tests::Keys::Failing(0));
    let endpoint = ws_proto::Endpoint::new(role, &config(), ws_proto::Negotiated::default(), Instant::ZERO);
    Host::new(endpoint)
}

// R7.1.7-1
#[test]
fn a_pong_flood_behind_a_close_costs_nothing_and_tells_nothing() {
    let mut host: Host<Server> = server(&config());
    host.receive(&masked(CLOSE, b""));
    for _ in 0..1000 {
        host.receive(&masked(PONG, b""));
        host.receive(&masked(PING, b""));
    }
    assert_eq!(host.told.len(), 1);
    assert_eq!(host.sent_plain().len(), 1);
}
