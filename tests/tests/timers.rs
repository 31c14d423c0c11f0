//! Deadlines on a simulated clock, through `poll_timeout` and `handle_timeout` alone.

use std::time::Duration;

use ws_proto::{
    Cause, CloseCode, Closed, Config, Instant, Message, MessageBuffer, Server, State,
    connection::Output,
    error::Fault,
    role::{Role, Side},
};
use ws_tests::{BINARY, CLOSE, FIN, Host, PING, PONG, Pair, Say, TEXT, bare_config, on_both, server};

const SECOND: u64 = 1000;

fn at(millis: u64) -> Option<Instant> {
    Some(Instant::from_millis(millis))
}

/// Moves the host's clock and handles what is due.
fn wait_until<R: Role>(host: &mut Host<R>, millis: u64) {
    host.now = Instant::from_millis(millis);
    host.handle_timeout();
}

fn close_body(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes()[..], reason.as_bytes()].concat()
}

fn with(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = bare_config();
    change(&mut config);
    config
}

#[test]
fn twenty_seconds_of_silence_are_followed_by_a_ping() {
    fn check<R: Role>(mut host: Host<R>) {
        assert_eq!(host.endpoint.poll_timeout(), at(20 * SECOND));
        wait_until(&mut host, 20 * SECOND - 1);
        assert!(host.output.is_empty());
        assert!(host.step_clock());
        assert_eq!(host.now, Instant::from_millis(20 * SECOND));
        assert_eq!(host.sent_plain(), [(PING, vec![])]);
        assert_eq!(host.endpoint.poll_timeout(), at(40 * SECOND));
    }
    on_both(&Config::default(), check, check);
}

// R7.4.1-2 R7.1.7-1
#[test]
fn a_ping_without_an_answer_fails_the_connection_with_1011() {
    fn check<R: Role>(mut host: Host<R>) {
        host.step_clock();
        host.output.clear();
        wait_until(&mut host, 40 * SECOND - 1);
        assert_eq!(host.endpoint.state(), State::Open);
        wait_until(&mut host, 40 * SECOND);
        assert_eq!(host.sent_plain(), [(CLOSE, close_body(1011, "no answer to a Ping"))]);
        assert_eq!((host.shutdowns, host.endpoint.state()), (1, State::Closing));
        host.receive_frame(FIN | BINARY, b"too late");
        assert!(host.told.is_empty());
        host.step_clock();
        assert_eq!(host.closed(), Closed { clean: false, code: CloseCode::ABNORMAL, cause: Cause::PongTimeout });
        assert_eq!(host.endpoint.poll_timeout(), None);
    }
    on_both(&Config::default(), check, check);
}

// R7.1.7-2
#[test]
fn whatever_arrives_answers_a_ping() {
    fn check<R: Role>(mut host: Host<R>, bytes: &[u8]) {
        host.step_clock();
        host.now = Instant::from_millis(39 * SECOND);
        host.receive(bytes);
        assert_eq!(host.endpoint.poll_timeout(), at(59 * SECOND));
        wait_until(&mut host, 40 * SECOND);
        assert_eq!(host.endpoint.state(), State::Open);
    }
    // A Pong, another frame, a single byte of one.
    on_both(
        &Config::default(),
        |host| check(host, &ws_tests::frame(PONG, b"")),
        |host| check(host, &ws_tests::masked(PONG, b"")),
    );
    on_both(
        &Config::default(),
        |host| check(host, &ws_tests::frame(FIN | BINARY, b"x")),
        |host| check(host, &ws_tests::masked(FIN | BINARY, b"x")),
    );
    on_both(&Config::default(), |host| check(host, &[BINARY]), |host| check(host, &[BINARY]));
}

/// Receives a message `heard` seconds after the epoch, when a Ping has been sent after 20; the next one is due at `next`.
fn answer_and_go_on<R: Role>(mut host: Host<R>, heard: u64, written: Option<u64>, next: u64) {
    host.step_clock();
    host.now = Instant::from_millis(heard * SECOND);
    host.receive_frame(FIN | BINARY, b"");
    if let Some(written) = written {
        host.endpoint.written(Instant::from_millis(written * SECOND));
    }
    assert_eq!(host.endpoint.poll_timeout(), at(next * SECOND));
    wait_until(&mut host, next * SECOND);
    assert_eq!((host.endpoint.state(), host.sent_plain().len()), (State::Open, 2), "another Ping");
}

#[test]
fn bytes_that_were_read_before_the_ping_answer_it_too() {
    // A host that handles its timers before what it has read.
    let config = Config::default();
    on_both(&config, |host| answer_and_go_on(host, 19, None, 40), |host| answer_and_go_on(host, 19, None, 40));
}

#[test]
fn output_that_leaves_after_the_peer_was_heard_asks_for_no_answer() {
    let config = Config::default();
    let (heard, written, next) = (21, Some(25), 45);
    on_both(
        &config,
        |host| answer_and_go_on(host, heard, written, next),
        |host| answer_and_go_on(host, heard, written, next),
    );
}

#[test]
fn a_busy_connection_is_never_pinged() {
    fn check<R: Role>(mut host: Host<R>) {
        for second in 1..100 {
            wait_until(&mut host, second * 19 * SECOND);
            host.receive_frame(PONG, b"");
        }
        assert!(host.output.is_empty());
    }
    on_both(&Config::default(), check, check);
}

#[test]
fn without_a_pong_wait_pings_are_sent_for_ever() {
    fn check<R: Role>(mut host: Host<R>) {
        for ping in 1..=20 {
            assert_eq!(host.endpoint.poll_timeout(), at(ping * 5 * SECOND));
            host.step_clock();
            assert_eq!(host.sent_plain(), [(PING, vec![])]);
        }
        assert_eq!(host.endpoint.state(), State::Open);
    }
    let config = with(|config| config.keepalive_interval = Some(Duration::from_secs(5)));
    on_both(&config, check, check);
}

// R7.1.7-2
#[test]
fn a_pair_keeps_itself_alive() {
    let mut pair = Pair::new(&Config::default());
    for _ in 0..50 {
        assert!(pair.step_clock());
    }
    assert_eq!(pair.states(), [State::Open; 2]);
    let pongs = pair.client.told.len() + pair.server.told.len();
    assert!(pongs >= 50, "{pongs} control frames");
    pair.advance(Duration::from_secs(5));
    Say::Close(Some(1000), "").by(&mut pair.client).unwrap();
    pair.deliver();
    assert!(pair.client.closed().clean && pair.server.closed().clean);
}

// R7.4.1-2
#[test]
fn an_idle_connection_is_closed_with_1001() {
    fn check<R: Role>(mut host: Host<R>) {
        assert_eq!(host.endpoint.poll_timeout(), at(7 * SECOND));
        wait_until(&mut host, 7 * SECOND - 1);
        assert!(host.output.is_empty());
        host.step_clock();
        assert_eq!(host.sent_plain(), [(CLOSE, close_body(1001, "idle for too long"))]);
        assert_eq!(host.shutdowns, 0, "the peer's Close is waited for");
        assert_eq!(host.endpoint.poll_timeout(), at(9 * SECOND));
        host.receive_frame(CLOSE, &close_body(1001, ""));
        host.receive_eof();
        assert_eq!(host.closed(), Closed { clean: true, code: CloseCode::GOING_AWAY, cause: Cause::IdleTimeout });
    }
    let config = with(|config| {
        config.idle_timeout = Some(Duration::from_secs(7));
        config.close_timeout = Some(Duration::from_secs(2));
    });
    on_both(&config, check, check);
}

#[test]
fn data_received_puts_the_idle_timeout_off_and_control_frames_do_not() {
    fn check<R: Role>(mut host: Host<R>) {
        host.now = Instant::from_millis(6 * SECOND);
        host.receive_frame(PING, b"");
        host.receive_frame(PONG, b"");
        assert_eq!(host.endpoint.poll_timeout(), at(7 * SECOND));
        host.receive_frame(BINARY, b"x");
        assert_eq!(host.endpoint.poll_timeout(), at(13 * SECOND));
        host.step_clock();
        assert_eq!(host.endpoint.state(), State::Closing);
    }
    on_both(&with(|config| config.idle_timeout = Some(Duration::from_secs(7))), check, check);
}

// K-deadlines
#[test]
fn each_read_of_a_message_puts_the_idle_timeout_off_and_no_deadline_of_the_message() {
    for first in [BINARY, TEXT] {
        for message_timeout in [None, Some(Duration::from_secs(9))] {
            let mut host = server(&with(|config| {
                config.idle_timeout = Some(Duration::from_secs(7));
                config.message_timeout = message_timeout;
            }));
            let mut buffer = MessageBuffer::new(Vec::new());
            let wire = host.peer_frame(FIN | first, b"comes byte by byte");
            let (end, header_end) = (wire.len() as u64, wire.len() as u64 - 18);
            for (second, mut byte) in (1..).zip(wire) {
                let input = &mut std::slice::from_mut(&mut byte)[..];
                let now = Instant::from_millis(second * SECOND);
                let found = buffer.next_in(&mut host.endpoint, now, &mut { input }).unwrap();
                assert_eq!(found.is_some(), second == end);
                let due = match message_timeout {
                    _ if second < header_end => 7,
                    Some(_) if second < end => header_end + 9,
                    None if second == header_end => 7,
                    _ => second + 7,
                };
                assert_eq!(host.endpoint.poll_timeout(), at(due * SECOND), "{first} {message_timeout:?} {second}");
            }
        }
    }
}

#[test]
fn data_sent_puts_the_idle_timeout_off_for_at_most_twice_its_length() {
    fn check<R: Role>(mut host: Host<R>) {
        Say::text("x").by(&mut host).unwrap();
        host.output.clear();
        host.step_clock();
        assert_eq!((host.endpoint.state(), host.output.len()), (State::Open, 0));
        assert_eq!(host.endpoint.poll_timeout(), at(14 * SECOND));
        host.step_clock();
        assert_eq!(host.sent_plain(), [(CLOSE, close_body(1001, "idle for too long"))]);
    }
    on_both(&with(|config| config.idle_timeout = Some(Duration::from_secs(7))), check, check);
}

#[test]
fn idle_and_keepalive_run_side_by_side() {
    fn check<R: Role>(mut host: Host<R>) {
        host.step_clock();
        assert_eq!((host.now, host.sent_plain()), (Instant::from_millis(3 * SECOND), vec![(PING, vec![])]));
        host.now = Instant::from_millis(4 * SECOND);
        host.receive_frame(PONG, b"");
        assert_eq!(host.endpoint.poll_timeout(), at(7 * SECOND));
        host.step_clock();
        host.step_clock();
        let sent = host.sent_plain();
        assert!(sent.contains(&(CLOSE, close_body(1001, "idle for too long"))), "{sent:?}");
    }
    let config = with(|config| {
        config.idle_timeout = Some(Duration::from_secs(7));
        config.keepalive_interval = Some(Duration::from_secs(3));
        config.pong_timeout = Some(Duration::from_secs(100));
    });
    on_both(&config, check, check);
}

// R7.1.4/5/6
#[test]
fn the_peers_close_is_waited_for_ten_seconds() {
    fn check<R: Role>(mut host: Host<R>) {
        host.now = Instant::from_millis(SECOND);
        Say::Close(Some(1000), "").by(&mut host).unwrap();
        assert_eq!(host.endpoint.poll_timeout(), at(11 * SECOND));
        host.receive_frame(FIN | BINARY, b"data do not put it off");
        assert_eq!(host.endpoint.poll_timeout(), at(11 * SECOND));
        wait_until(&mut host, 11 * SECOND - 1);
        assert_eq!((host.endpoint.state(), host.shutdowns), (State::Closing, 0));
        wait_until(&mut host, 11 * SECOND);
        assert_eq!(host.closed(), Closed { clean: false, code: CloseCode::ABNORMAL, cause: Cause::CloseTimeout });
        assert_eq!((host.shutdowns, host.endpoint.poll_timeout()), (1, None));
    }
    on_both(&Config::default(), check, check);
}

// R7.1.1-1 R7.1.1-2 R5.5.1-4
#[test]
fn a_server_drains_for_one_second_and_a_client_waits_five_for_the_fin() {
    fn check<R: Role>(mut host: Host<R>, begin: impl Fn(&mut Host<R>)) {
        host.now = Instant::from_millis(2 * SECOND);
        begin(&mut host);
        let end = if R::SIDE == Side::Server { 3 * SECOND } else { 7 * SECOND };
        assert_eq!(host.endpoint.poll_timeout(), at(end));
        host.receive_frame(FIN | BINARY, b"ignored");
        wait_until(&mut host, end - 1);
        assert_eq!(host.endpoint.state(), State::Closing);
        wait_until(&mut host, end);
        assert!(matches!(host.endpoint.state(), State::Closed(_)));
        assert_eq!((host.shutdowns, host.endpoint.poll_timeout()), (1, None));
    }
    fn closes<R: Role>(host: &mut Host<R>) {
        host.receive_frame(CLOSE, b"");
    }
    fn answers<R: Role>(host: &mut Host<R>) {
        Say::Close(None, "").by(host).unwrap();
        host.receive_frame(CLOSE, b"");
    }
    fn fails<R: Role>(host: &mut Host<R>) {
        host.endpoint.fail(host.now, Fault::Internal);
        host.transmit();
    }
    on_both(&Config::default(), |host| check(host, closes), |host| check(host, closes));
    on_both(&Config::default(), |host| check(host, answers), |host| check(host, answers));
    on_both(&Config::default(), |host| check(host, fails), |host| check(host, fails));
}

#[test]
fn without_timeouts_there_are_no_deadlines_in_any_state() {
    fn check<R: Role>(mut host: Host<R>) {
        let wait = |host: &mut Host<R>| {
            assert_eq!(host.endpoint.poll_timeout(), None);
            let before = host.outcome();
            host.now = host.now.saturating_add(Duration::from_secs(1_000_000_000));
            host.handle_timeout();
            assert_eq!(host.outcome(), before);
        };
        wait(&mut host);
        Say::Close(None, "").by(&mut host).unwrap();
        wait(&mut host);
        host.receive_frame(CLOSE, b"");
        wait(&mut host);
        host.receive_eof();
        wait(&mut host);
    }
    on_both(&bare_config(), check, check);
}

#[test]
fn early_calls_are_harmless_in_every_state() {
    fn check<R: Role>(mut host: Host<R>) {
        let early = |host: &mut Host<R>| {
            let deadline = host.endpoint.poll_timeout();
            let before = host.outcome();
            for _ in 0..3 {
                host.handle_timeout();
            }
            assert_eq!((host.outcome(), host.endpoint.poll_timeout()), (before, deadline));
        };
        early(&mut host);
        host.step_clock();
        early(&mut host);
        host.receive_frame(PONG, b"");
        early(&mut host);
        Say::Close(None, "").by(&mut host).unwrap();
        early(&mut host);
        host.receive_frame(CLOSE, b"");
        early(&mut host);
        host.step_clock();
        early(&mut host);
    }
    on_both(&Config::default(), check, check);
}

#[test]
fn a_clock_that_jumps_meets_every_deadline_at_once() {
    fn check<R: Role>(mut host: Host<R>) {
        let far = |host: &Host<R>| host.now.saturating_add(Duration::from_secs(1_000_000));
        host.now = far(&host);
        assert!(host.step_clock());
        assert_eq!(host.sent_plain(), [(PING, vec![])]);
        host.now = far(&host);
        assert!(host.step_clock());
        assert_eq!(host.endpoint.state(), State::Closing);
        host.now = far(&host);
        assert!(host.step_clock());
        assert!(matches!(host.endpoint.state(), State::Closed(_)));
        assert!(!host.step_clock());
    }
    on_both(&Config::default(), check, check);
}

#[test]
fn following_the_deadlines_ends_in_a_closed_connection_within_a_few_steps() {
    fn check<R: Role>(mut host: Host<R>) {
        for _ in 0..10 {
            if !host.step_clock() {
                break;
            }
        }
        assert!(matches!(host.endpoint.state(), State::Closed(_)));
    }
    let mut config = Config::default();
    for idle in [None, Some(1), Some(45_000), Some(1_000_000)] {
        config.idle_timeout = idle.map(Duration::from_millis);
        on_both(&config, check, check);
    }
}

#[test]
fn timeouts_are_rounded_up_to_a_millisecond_and_saturate() {
    fn check<R: Role>(host: Host<R>, expected: Option<Instant>) {
        assert_eq!(host.endpoint.poll_timeout(), expected);
    }
    let longest = u64::from(u32::MAX);
    let cases = [
        (Duration::ZERO, 1),
        (Duration::from_nanos(1), 1),
        (Duration::from_micros(1001), 2),
        (Duration::from_secs(86_400), 86_400_000),
        (Duration::MAX, longest),
    ];
    for (timeout, millis) in cases {
        let config = with(|config| config.idle_timeout = Some(timeout));
        on_both(&config, |host| check(host, at(millis)), |host| check(host, at(millis)));
    }
}

/// Queues a message and the Ping that is due after it; nothing has been written yet.
fn message_and_ping(host: &mut Host<Server>, len: usize) -> Output {
    let mut output = Output::new();
    output.send(&mut host.endpoint, Message::Binary(&vec![0; len])).unwrap();
    wait_until(host, 20 * SECOND - 1);
    host.now = Instant::from_millis(20 * SECOND);
    host.endpoint.handle_timeout(host.now);
    output.drain(&mut host.endpoint);
    output
}

#[test]
fn a_peer_that_takes_what_was_queued_before_a_ping_is_alive() {
    let mut host = server(&Config::default());
    let mut output = message_and_ping(&mut host, 400);
    for second in 21..=419 {
        host.now = Instant::from_millis(second * SECOND);
        output.written(&mut host.endpoint, host.now, 1);
        assert_eq!(host.endpoint.poll_timeout(), at((second + 20) * SECOND));
    }
    // The rest of the message, the Ping and something more: the wait for the Pong begins.
    output.send(&mut host.endpoint, Message::Text("later")).unwrap();
    output.written(&mut host.endpoint, host.now, 4 + 400 - 399 + 2);
    host.now = Instant::from_millis(425 * SECOND);
    output.written(&mut host.endpoint, host.now, 3);
    assert_eq!(host.endpoint.poll_timeout(), at(439 * SECOND), "what follows the Ping is no sign of life");
    host.endpoint.handle_timeout(Instant::from_millis(439 * SECOND));
    assert_eq!(host.endpoint.closed(), None, "the Close is owed");
    output.drain(&mut host.endpoint);
    assert_eq!(host.endpoint.closed().map(|closed| closed.cause), Some(Cause::PongTimeout));
}

#[test]
fn a_peer_that_takes_nothing_is_given_up_in_the_write_timeout_not_the_pong_timeout() {
    let mut host = server(&Config::default());
    let mut output = message_and_ping(&mut host, 400);
    output.written(&mut host.endpoint, host.now, 0);
    assert_eq!(output.poll_timeout(), at(50 * SECOND));
    assert_eq!(host.endpoint.poll_timeout(), at(40 * SECOND));
    // The Ping has not left, so that no answer is late.
    output.handle_timeout(&mut host.endpoint, Instant::from_millis(40 * SECOND));
    assert_eq!(host.endpoint.poll_timeout(), at(60 * SECOND));
    assert_eq!(host.endpoint.state(), State::Open);
    assert!(output.is_overdue(Instant::from_millis(50 * SECOND)));
}

#[test]
fn output_before_a_close_may_finish_as_long_as_it_makes_progress() {
    let mut host = server(&Config::default());
    let mut output = Output::new();
    output.send(&mut host.endpoint, Message::Binary(&[0; 120])).unwrap();
    output.close(&mut host.endpoint, host.now, CloseCode::NORMAL, "").unwrap();
    for second in 1..=125 {
        host.now = Instant::from_millis(second * SECOND);
        output.written(&mut host.endpoint, host.now, 1);
        assert_eq!(host.endpoint.poll_timeout(), at((second + 10) * SECOND));
    }
    output.written(&mut host.endpoint, host.now, 1);
    assert!(output.is_empty());
    assert_eq!(host.endpoint.poll_timeout(), at(135 * SECOND));
    // The peer's answer comes, and the end of our direction waits for more output, of another's Close say.
    host.receive_frame(CLOSE, &close_body(1000, ""));
    assert!(host.endpoint.closed().unwrap().clean, "it is certain before the transport has ended");
    assert_eq!(host.endpoint.state(), State::Closing);
}

#[test]
fn the_end_of_the_transport_is_waited_for_from_when_our_close_has_left() {
    let mut host = server(&Config::default());
    let mut output = Output::new();
    output.send(&mut host.endpoint, Message::Binary(&[0; 20])).unwrap();
    let mut close = host.peer_frame(CLOSE, b"");
    host.endpoint.receive(host.now, &mut &mut close[..]).unwrap();
    output.drain(&mut host.endpoint);
    for second in 1..=24 {
        host.now = Instant::from_millis(second * SECOND);
        output.written(&mut host.endpoint, host.now, 1);
        assert_eq!(host.endpoint.poll_timeout(), at((second + 1) * SECOND));
    }
}

#[test]
fn a_message_that_does_not_end_fails_with_1008_if_it_has_a_deadline() {
    fn check<R: Role>(mut host: Host<R>, first: u8, payload: &[u8]) {
        host.now = Instant::from_millis(SECOND);
        let mut piece = host.peer_frame(first, payload);
        if first & FIN != 0 {
            piece.truncate(piece.len() - 1);
        }
        host.receive(&piece);
        for second in (1..=7).step_by(2) {
            host.now = Instant::from_millis(second * SECOND);
            if first & FIN == 0 {
                host.receive_frame(PONG, b"alive");
                host.receive_frame(0, b"more");
            }
            assert_eq!(host.endpoint.poll_timeout(), at(8 * SECOND));
        }
        host.step_clock();
        assert_eq!(host.sent_plain(), [(CLOSE, close_body(1008, "message took too long"))]);
        host.receive_eof();
        assert_eq!(host.closed().cause, Cause::MessageTimeout);
    }
    let config = with(|config| {
        config.message_timeout = Some(Duration::from_secs(7));
        config.idle_timeout = Some(Duration::from_secs(5));
    });
    for (first, payload) in [(TEXT, &b"part"[..]), (BINARY, b""), (FIN | BINARY, &[0; 200]), (FIN | TEXT, b"ab")] {
        on_both(&config, |host| check(host, first, payload), |host| check(host, first, payload));
    }
}

#[test]
fn the_deadline_of_a_message_ends_with_it() {
    fn check<R: Role>(mut host: Host<R>) {
        for second in 1..=30 {
            host.now = Instant::from_millis(second * SECOND);
            host.receive_frame(TEXT, b"a message ");
            assert_eq!(host.endpoint.poll_timeout(), at((second + 7) * SECOND));
            host.receive_frame(FIN, b"of two");
            assert_eq!(host.endpoint.poll_timeout(), at((second + 60) * SECOND));
        }
    }
    let config = with(|config| {
        config.message_timeout = Some(Duration::from_secs(7));
        config.idle_timeout = Some(Duration::from_secs(60));
    });
    on_both(&config, check, check);
}
