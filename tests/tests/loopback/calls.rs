//! Each public call of a connection and its halves, by what the peer sees of it.

use core::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};
use std::{
    io::{self, IoSlice, Read, Write},
    net::Shutdown,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Instant,
};

use ws_std::{
    Acceptor, Answer, Cause, CloseCode, Closed, Config, Connector, Control, Duplex, Error, Event, Message,
    MessageKind, Part, Prepared, Socket, State, Traffic, Transport, TrySendError, WebSocket,
    proto::{SendError, endpoint::Negotiated, message::Data},
    role::{Role, Server},
};
use ws_tests::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, RawFrame, TEXT, frame, masked, noise, parse};

use crate::{
    NEVER, SHORT, is_timeout, pair,
    peer::{Peer, code},
};

fn is_closing<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Send(SendError::Closing)))
}

/// A transport whose peer a test plays: it takes and gives what it is told to, and never waits.
#[derive(Clone, Default)]
struct Script(Arc<Lines>);

#[derive(Default)]
struct Lines {
    input: Mutex<Vec<u8>>,
    written: Mutex<Vec<u8>>,
    /// The most bytes that are still taken; `u64::MAX` ones by default.
    room: AtomicU64,
    ends: Mutex<Vec<Shutdown>>,
    is_lost: AtomicBool,
}

impl Script {
    fn new() -> Self {
        let script = Self::default();
        script.take(u64::MAX);
        script
    }

    /// Takes no more than `room` bytes from now on.
    fn take(&self, room: u64) {
        self.0.room.store(room, Ordering::Relaxed);
    }

    fn give(&self, bytes: &[u8]) {
        self.0.input.lock().unwrap().extend_from_slice(bytes);
    }

    fn lose(&self) {
        self.0.is_lost.store(true, Ordering::Relaxed);
    }

    fn written(&self) -> Vec<u8> {
        self.0.written.lock().unwrap().clone()
    }

    fn frames(&self) -> Vec<RawFrame> {
        parse(&self.written())
    }

    fn ends(&self) -> Vec<Shutdown> {
        self.0.ends.lock().unwrap().clone()
    }

    /// A server's connection over it.
    fn server(&self, config: &Config) -> WebSocket<Server, Self> {
        ws_tests::watch();
        WebSocket::from_handshake(Server, self.clone(), Vec::new(), Negotiated::default(), config)
    }
}

impl Transport for Script {
    fn read(&self, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        loop {
            let mut input = self.0.input.lock().unwrap();
            if !input.is_empty() {
                let len = input.len().min(buffer.len());
                buffer[..len].copy_from_slice(&input[..len]);
                input.drain(..len);
                return Ok(len);
            }
            drop(input);
            if self.0.is_lost.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            if self.0.ends.lock().unwrap().contains(&Shutdown::Both) {
                return Ok(0);
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::yield_now();
        }
    }

    fn write(&self, slices: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
        loop {
            if self.0.is_lost.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            let room = usize::try_from(self.0.room.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
            if room > 0 {
                let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).take(room).collect();
                self.0.written.lock().unwrap().extend_from_slice(&bytes);
                if self.0.room.load(Ordering::Relaxed) != u64::MAX {
                    self.0.room.fetch_sub(bytes.len() as u64, Ordering::Relaxed);
                }
                return Ok(bytes.len());
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            thread::yield_now();
        }
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.ends.lock().unwrap().push(how);
        Ok(())
    }
}

impl Duplex for Script {}

fn data(frames: &[RawFrame]) -> Vec<(u8, &[u8])> {
    frames.iter().map(|frame| (frame.first, &*frame.payload)).collect()
}

#[test]
fn reader_close_sends_a_close_drops_what_still_comes_and_waits_for_the_peers() {
    let (mut peer, ws) = Peer::client(&Acceptor::new());
    let (mut reader, mut writer) = ws.split();
    thread::scope(|scope| {
        let closing = scope.spawn(move || {
            let closed = reader.close(CloseCode::new(4_001), "that was all").unwrap();
            assert_eq!(reader.close_frame(), Some((CloseCode::new(4_002), "bye".to_owned())));
            closed
        });
        assert_eq!(peer.frame(), parse(&frame(CLOSE, b"\x0F\xA1that was all"))[0]);
        peer.send(&[masked(FIN | TEXT, b"dropped"), masked(CLOSE, b"\x0F\xA2bye")].concat());
        assert_eq!(peer.rest(), b"");
        drop(peer);
        let closed = closing.join().unwrap();
        assert_eq!(closed, Closed { clean: true, code: CloseCode::new(4_002), cause: Cause::Local });
    });
    assert!(is_closing(writer.send("late")));
}

#[test]
fn reader_read_part_tells_parts_as_they_come() {
    let (mut peer, ws) = Peer::client(&Acceptor::new());
    let (mut reader, _writer) = ws.split();
    let mut next = |expected: &[u8], part: Part| {
        let data = reader.read_part().unwrap().unwrap();
        assert_eq!((data.as_bytes(), data.part()), (expected, part));
    };
    peer.send(&masked(TEXT, b"one "));
    next(b"one ", Part::First);
    peer.send(&[masked(PING, b"?"), masked(CONTINUATION, b"two ")].concat());
    next(b"two ", Part::Middle);
    peer.send(&masked(FIN | CONTINUATION, b"three"));
    next(b"three", Part::Last);
    peer.send(&masked(FIN | BINARY, b"whole"));
    next(b"whole", Part::Whole);
    peer.send(&masked(CLOSE, b""));
    assert!(reader.read_part().unwrap().is_none());
    assert_eq!(peer.frame(), parse(&frame(PONG, b"?"))[0]);
    assert_eq!(peer.frame().first, CLOSE);
}

#[test]
fn reader_read_event_tells_control_frames_and_the_end() {
    let (mut peer, ws) = Peer::client(&Acceptor::new());
    let (mut reader, _writer) = ws.split();
    peer.send(
        &[masked(PING, b"one"), masked(PONG, b"two"), masked(FIN | TEXT, b"three"), masked(CLOSE, b"\x03\xE8")]
            .concat(),
    );
    assert_eq!(reader.read_event().unwrap(), Some(Event::Control(Control::Ping)));
    assert_eq!(*reader.control_payload(), *b"one");
    assert_eq!(reader.read_event().unwrap(), Some(Event::Control(Control::Pong)));
    assert_eq!(*reader.control_payload(), *b"two");
    assert_eq!(reader.read_event().unwrap(), Some(Event::Data(Message::Text("three"))));
    assert_eq!(reader.read_event().unwrap(), Some(Event::Control(Control::Close)));
    assert_eq!(reader.close_frame(), Some((CloseCode::NORMAL, String::new())));
    assert_eq!(reader.read_event().unwrap(), None);
}

#[test]
fn reader_set_read_timeout_bounds_the_next_call_only_and_can_be_taken_back() {
    let (mut peer, ws) = Peer::client(&Acceptor::new());
    let (mut reader, _writer) = ws.split();
    reader.set_read_timeout(Some(SHORT));
    let started = Instant::now();
    assert!(matches!(reader.read(), Err(Error::TimedOut)));
    assert!(started.elapsed() >= SHORT);
    reader.set_read_timeout(None);
    thread::scope(|scope| {
        let (begins, has_begun) = mpsc::channel();
        let reading = scope.spawn(move || {
            begins.send(()).unwrap();
            reader.read().map(|message| message.unwrap().as_bytes().len())
        });
        has_begun.recv().unwrap();
        // This wait is for time itself: more than the timeout that was taken back.
        peer.stream.set_read_timeout(Some(2 * SHORT)).unwrap();
        assert!(peer.stream.read(&mut [0]).is_err());
        assert!(!reading.is_finished());
        peer.send(&masked(FIN | TEXT, b"hello"));
        assert_eq!(reading.join().unwrap().unwrap(), 5);
    });
}

// K-abort
#[test]
fn writer_abort_wakes_a_reader_and_a_writer_that_is_stuck() {
    let mut config = Config::new();
    config.keepalive_interval = None;
    let (mut peer, ws) = Peer::client(&Acceptor::new().config(config).write_timeout(Some(NEVER)));
    let (mut reader, writer) = ws.split();
    let mut stuck = writer.clone();
    thread::scope(|scope| {
        let reading = scope.spawn(move || reader.read().map(|_| ()));
        let writing = scope.spawn(move || while stuck.send(noise(100_000).as_slice()).is_ok() {});
        // Only some of it is ever taken.
        peer.stream.read_exact(&mut [0; 1_000]).unwrap();
        writer.abort();
        assert!(matches!(reading.join().unwrap(), Err(Error::Unclean(_) | Error::Io(_))));
        writing.join().unwrap();
    });
}

#[test]
fn writer_close_waits_for_the_reader_to_see_the_end() {
    let (mut peer, ws) = Peer::client(&Acceptor::new());
    let (mut reader, mut writer) = ws.split();
    thread::scope(|scope| {
        let reading = scope.spawn(move || reader.read().map(|message| assert!(message.is_none())));
        let closing = scope.spawn(move || writer.close(CloseCode::GOING_AWAY, "restart"));
        let close = peer.frame();
        assert_eq!((code(&close), &close.payload[2..]), (1_001, &b"restart"[..]));
        assert!(!closing.is_finished());
        peer.send(&masked(CLOSE, &1_001_u16.to_be_bytes()));
        let closed = closing.join().unwrap().unwrap();
        assert_eq!(closed, Closed { clean: true, code: CloseCode::GOING_AWAY, cause: Cause::Local });
        reading.join().unwrap().unwrap();
    });
}

#[test]
fn writer_sends_parts_pings_streams_and_what_it_has_queued() {
    let script = Script::new();
    let (_reader, mut writer) = script.server(&Config::new()).split();
    writer.send_part(MessageKind::Text, Part::First, b"one ").unwrap();
    assert_eq!(data(&script.frames()), [(TEXT, &b"one "[..])]);
    writer.ping(b"between").unwrap();
    assert_eq!(data(&script.frames())[1..], [(PING, &b"between"[..])]);
    writer.send_part(MessageKind::Text, Part::Last, b"two").unwrap();
    assert_eq!(data(&script.frames())[2..], [(FIN | CONTINUATION, &b"two"[..])]);
    writer.queue("queued").unwrap();
    assert_eq!(script.frames().len(), 3);
    writer.flush().unwrap();
    assert_eq!(data(&script.frames())[3..], [(FIN | TEXT, &b"queued"[..])]);
    let mut stream = writer.message_writer(MessageKind::Binary);
    stream.write_all(b"first").unwrap();
    stream.flush().unwrap();
    assert_eq!(data(&script.frames())[4..], [(BINARY, &b"first"[..])]);
    stream.write_all(b"last").unwrap();
    stream.finish().unwrap();
    assert_eq!(data(&script.frames())[5..], [(FIN | CONTINUATION, &b"last"[..])]);
    writer.send_close(CloseCode::NORMAL, "").unwrap();
    writer.send_close(CloseCode::GOING_AWAY, "").unwrap();
    assert_eq!(data(&script.frames())[6..], [(CLOSE, &1_000_u16.to_be_bytes()[..])], "the first is the only one");
    assert!(is_closing(writer.ping(b"")));
    assert!(is_closing(writer.send_part(MessageKind::Text, Part::Whole, b"")));
}

// K-reply
#[test]
fn reply_writes_at_once_or_with_others_as_it_is_told() {
    let script = Script::new();
    script.give(&masked(FIN | TEXT, b"question"));
    let mut ws = script.server(&Config::new());
    let mut received = ws.read().unwrap().unwrap();
    let reply = &mut received.reply;
    let written = || script.frames().len();
    reply.queue("queued").unwrap();
    reply.queue_part(MessageKind::Binary, Part::First, b"queued too").unwrap();
    assert_eq!(written(), 0);
    reply.send_part(MessageKind::Binary, Part::Last, b"at once").unwrap();
    assert_eq!(written(), 3);
    reply.send(received.message).unwrap();
    assert_eq!(written(), 4);
    reply.queue("flushed").unwrap();
    reply.flush().unwrap();
    assert_eq!(written(), 5);
    let mut stream = reply.message_writer(MessageKind::Text);
    stream.write_all(b"streamed").unwrap();
    stream.finish().unwrap();
    reply.send_close(CloseCode::new(4_000), "enough").unwrap();
    let frames = script.frames();
    let expected: [(u8, &[u8]); 7] = [
        (FIN | TEXT, b"queued"),
        (BINARY, b"queued too"),
        (FIN | CONTINUATION, b"at once"),
        (FIN | TEXT, b"question"),
        (FIN | TEXT, b"flushed"),
        (FIN | TEXT, b"streamed"),
        (CLOSE, b"\x0F\xA0enough"),
    ];
    assert_eq!(data(&frames), expected);
    assert!(is_closing(reply.send("late")));
}

#[test]
fn part_that_was_received_can_be_replied_to() {
    let script = Script::new();
    script.give(&[masked(BINARY, b"begin "), masked(FIN | CONTINUATION, b"end")].concat());
    let mut ws = script.server(&Config::new());
    for _ in 0..2 {
        let mut received = ws.read_part().unwrap().unwrap();
        let part = received.data.part();
        received.reply.send_part(MessageKind::Binary, part, received.data.as_bytes()).unwrap();
    }
    assert_eq!(data(&script.frames()), [(BINARY, &b"begin "[..]), (FIN | CONTINUATION, &b"end"[..])]);
}

#[test]
fn set_write_timeout_bounds_writes_from_then_on() {
    let script = Script::new();
    let mut config = Config::new();
    config.write_timeout = Some(NEVER);
    let mut ws = script.server(&config);
    script.take(0);
    ws.set_write_timeout(Some(SHORT));
    let started = Instant::now();
    assert!(is_timeout(ws.send("stuck")));
    assert!(started.elapsed() >= SHORT);
    script.take(u64::MAX);
    ws.flush().unwrap();
    assert_eq!(data(&script.frames()), [(FIN | TEXT, &b"stuck"[..])]);
}

#[test]
fn held_bytes_counts_what_waits_and_what_came() {
    let script = Script::new();
    let mut ws = script.server(&Config::new());
    let before = ws.held_bytes();
    ws.queue(&[0; 10_000]).unwrap();
    assert!(ws.held_bytes() >= before + 10_000);
    ws.flush().unwrap();
    assert!(ws.held_bytes() < before + 10_000);
    script.give(&masked(BINARY, &[0; 50_000]));
    ws.set_read_timeout(Some(Duration::ZERO));
    while !script.0.input.lock().unwrap().is_empty() {
        assert!(is_timeout(ws.read()));
    }
    assert!(ws.held_bytes() >= 50_000);
}

#[test]
fn into_inner_and_transport_hand_out_what_the_connection_runs_over() {
    let script = Script::new();
    let mut ws = script.server(&Config::new());
    assert!(Arc::ptr_eq(&ws.transport().0, &script.0));
    script.give(&[masked(FIN | TEXT, b"taken"), masked(FIN | TEXT, b"not taken")].concat());
    assert_eq!(ws.read().unwrap().unwrap().message, Message::Text("taken"));
    let (transport, unread) = ws.into_inner();
    assert!(Arc::ptr_eq(&transport.0, &script.0));
    assert_eq!(unread, masked(FIN | TEXT, b"not taken"));
    assert_eq!(script.ends(), []);
}

#[test]
fn subprotocol_is_the_one_that_was_agreed_on_before_and_after_a_split() {
    let (client, server) = crate::sockets();
    let (client, server) = thread::scope(|scope| {
        let accepting = scope.spawn(|| {
            let acceptor = Acceptor::new();
            acceptor.accept_over(server, |request| Answer::accept().subprotocol(request.select(&["b"]))).unwrap()
        });
        let connector = Connector::new().subprotocols(&["a", "b"]);
        (connector.connect_over("ws://localhost/", client, |_| ()).unwrap(), accepting.join().unwrap())
    });
    assert_eq!((client.subprotocol(), server.subprotocol()), (Some("b"), Some("b")));
    let (reader, writer) = client.split();
    assert_eq!((reader.subprotocol(), writer.clone().subprotocol()), (Some("b"), Some("b")));
    assert_eq!(reader.reunite(writer).unwrap().subprotocol(), Some("b"));
}

#[test]
fn state_and_close_frame_follow_the_connection_to_its_end() {
    fn check<A: Role, B: Role>(mut ours: WebSocket<A>, mut theirs: WebSocket<B>) {
        assert_eq!((ours.state(), ours.close_frame()), (State::Open, None));
        theirs.send_close(CloseCode::new(3_000), "why").unwrap();
        assert_eq!((theirs.state(), theirs.close_frame()), (State::Closing, None));
        assert!(ours.read().unwrap().is_none());
        assert_ne!(ours.state(), State::Open);
        assert_eq!(ours.close_frame(), Some((CloseCode::new(3_000), "why".to_owned())));
        assert!(theirs.read().unwrap().is_none());
        assert_eq!(theirs.close_frame().unwrap().0, CloseCode::new(3_000));
    }
    let (client, server) = pair();
    check(client, server);
    let (client, server) = pair();
    check(server, client);
}

/// Has a thread send `first`, of which the peer takes `taken` bytes before the write times out, while a clone queues a text.
fn time_out_beside_a_clone(first: &[u8], taken: usize) {
    let script = Script::new();
    script.take(taken as u64);
    let mut config = Config::new();
    config.write_timeout = Some(4 * SHORT);
    let (_reader, mut writer) = script.server(&config).split();
    let mut other = writer.clone();
    let sent = thread::scope(|scope| {
        let sending = scope.spawn(|| writer.send(first));
        while script.written().len() < taken {
            thread::yield_now();
        }
        // The thread that writes is stuck now.
        other.queue("second").unwrap();
        sending.join().unwrap()
    });
    assert!(is_timeout(sent));
    script.take(u64::MAX);
    other.flush().unwrap();
    assert_eq!(data(&script.frames()), [(FIN | BINARY, first), (FIN | TEXT, b"second")]);
}

// K-order
#[test]
fn rest_of_a_write_that_timed_out_goes_before_what_a_clone_has_queued_meanwhile() {
    time_out_beside_a_clone(&noise(1_000), 100);
}

// K-order
#[test]
fn rest_of_a_big_payload_that_timed_out_goes_before_what_a_clone_has_queued_meanwhile() {
    // From 16 KiB on it is written from where it lies.
    time_out_beside_a_clone(&noise(50_000), 20_000);
}

// K-full
#[test]
fn full_output_takes_nothing_more_until_the_peer_does() {
    let script = Script::new();
    script.take(0);
    let mut config = Config::new();
    config.write_timeout = Some(SHORT);
    let mut ws = script.server(&config);
    assert!(is_timeout(ws.send(&[1; 15_000])));
    for _ in 0..3 {
        ws.queue(&[2; 15_000]).unwrap();
    }
    // This reaches the mark: it is queued, but writing it fails.
    assert!(matches!(ws.queue(&[3; 15_000]), Err(Error::Io(_))));
    assert!(matches!(ws.queue("more"), Err(Error::TimedOut)), "nothing is queued");
    script.take(u64::MAX);
    ws.send("more").unwrap();
    let lens: Vec<_> = script.frames().iter().map(|frame| frame.payload.len()).collect();
    assert_eq!(lens, [15_000, 15_000, 15_000, 15_000, 15_000, 4]);
}

#[test]
fn try_send_queues_below_the_mark_and_never_writes() {
    let script = Script::new();
    script.take(0);
    let mut ws = script.server(&Config::new());
    for sent in 1..=5 {
        ws.try_send(&[1; 15_000]).unwrap();
        assert_eq!(ws.pending_len(), sent * 15_004);
    }
    assert!(matches!(ws.try_send("more"), Err(TrySendError::Full)));
    let (mut reader, mut writer) = ws.split();
    let prepared = Prepared::new(MessageKind::Text, "to all").unwrap();
    assert!(matches!(writer.try_send("more"), Err(TrySendError::Full)));
    assert!(matches!(writer.try_send_prepared(&prepared), Err(TrySendError::Full)));
    assert_eq!((reader.pending_len(), writer.pending_len()), (5 * 15_004, 5 * 15_004), "nothing was queued");
    assert!(script.written().is_empty());
    script.take(u64::MAX);
    writer.flush().unwrap();
    writer.queue_prepared(&prepared).unwrap();
    writer.try_send_prepared(&prepared).unwrap();
    assert_eq!(script.frames().len(), 5);
    writer.flush().unwrap();
    assert_eq!(data(&script.frames())[5..], [(FIN | TEXT, &b"to all"[..]), (FIN | TEXT, b"to all")]);
    writer.send_close(CloseCode::NORMAL, "").unwrap();
    let refused = writer.try_send("late");
    assert!(matches!(refused, Err(TrySendError::Failed(Error::Send(SendError::Closing)))));
}

#[test]
fn parts_and_control_frames_come_in_their_order() {
    let (mut peer, mut ws) = Peer::client(&Acceptor::new());
    peer.send(&[masked(TEXT, b"one "), masked(PING, b"between"), masked(FIN | CONTINUATION, b"two")].concat());
    let part = |event: Option<Event<Data<'_>>>| match event {
        Some(Event::Data(data)) => Ok((data.part(), data.as_bytes().to_vec())),
        other => Err(other.and_then(|event| event.control())),
    };
    assert_eq!(part(ws.read_part_event().unwrap()), Ok((Part::First, b"one ".to_vec())));
    assert_eq!(part(ws.read_part_event().unwrap()), Err(Some(Control::Ping)));
    assert_eq!(*ws.control_payload(), *b"between");
    let (mut reader, _writer) = ws.split();
    assert_eq!(part(reader.read_part_event().unwrap()), Ok((Part::Last, b"two".to_vec())));
}

// K-reset
#[test]
fn transport_that_fails_while_open_is_an_error_and_while_closing_is_none() {
    let script = Script::new();
    let mut ws = script.server(&Config::new());
    script.lose();
    assert!(matches!(ws.send("lost"), Err(Error::Io(error)) if error.kind() == io::ErrorKind::ConnectionReset));
    assert!(matches!(ws.ping(b""), Err(Error::Io(_))), "it stays");
    assert!(matches!(ws.read(), Err(Error::Io(_))));

    let script = Script::new();
    let mut ws = script.server(&Config::new());
    ws.send_close(CloseCode::NORMAL, "").unwrap();
    script.lose();
    assert!(is_closing(ws.send("late")));
    assert!(ws.send_close(CloseCode::NORMAL, "").is_ok());

    // A reset that follows a complete closing handshake is a clean end.
    let script = Script::new();
    let mut ws = script.server(&Config::new());
    script.give(&masked(CLOSE, b"\x03\xE8"));
    assert!(ws.read().unwrap().is_none());
    script.lose();
    assert!(ws.read().unwrap().is_none());
    assert!(ws.close(CloseCode::NORMAL, "").unwrap().clean);
}

// K-half-close
#[test]
fn end_of_our_direction_follows_all_output_and_is_not_forgotten() {
    let script = Script::new();
    script.take(3);
    let mut config = Config::new();
    config.write_timeout = Some(NEVER);
    let mut ws = script.server(&config);
    ws.set_read_timeout(Some(SHORT));
    ws.queue("before").unwrap();
    script.give(&masked(CLOSE, b"\x03\xE8"));
    // The peer's Close has come, but it takes too little for the end to be told.
    assert!(is_timeout(ws.read()) || script.ends().is_empty());
    assert_eq!(script.ends(), []);
    script.take(u64::MAX);
    ws.flush().unwrap();
    assert_eq!(data(&script.frames()), [(FIN | TEXT, &b"before"[..]), (CLOSE, &b"\x03\xE8"[..])]);
    assert_eq!(script.ends(), [Shutdown::Write]);
}

// K-linger
#[test]
fn dropped_connection_writes_its_last_words() {
    let script = Script::new();
    script.take(0);
    let mut config = Config::new();
    config.write_timeout = Some(NEVER);
    let mut ws = script.server(&config);
    script.give(&[0xFF; 2]);
    assert!(matches!(ws.read(), Err(Error::Receive(_))), "it is told at once");
    assert_eq!(script.written(), b"");
    script.take(u64::MAX);
    drop(ws);
    assert_eq!(code(&script.frames()[0]), 1_002);
    assert_eq!(script.ends(), [Shutdown::Write]);
}

#[test]
fn debug_output_of_a_connection_and_its_halves_names_them() {
    let script = Script::new();
    script.give(&masked(FIN | TEXT, b"secret"));
    let mut ws = script.server(&Config::new());
    let mut received = ws.read().unwrap().unwrap();
    assert!(!format!("{:?}", received.reply).contains("secret"));
    assert!(format!("{:?}", received.reply.message_writer(MessageKind::Text)).starts_with("MessageWriter"));
    assert!(format!("{ws:?}").starts_with("WebSocket"));
    let (reader, writer) = ws.split();
    assert!(format!("{reader:?}").starts_with("Reader"));
    assert!(format!("{writer:?}").starts_with("Writer"));
    let other = Script::new().server(&Config::new()).split().1;
    let error = reader.reunite(other).unwrap_err();
    assert!(format!("{error:?}").starts_with("ReuniteError"));
    assert_eq!(error.to_string(), "halves are of two connections, or there are more writers");
    assert_eq!(Socket::try_from(crate::tcp_pair().0).map(|_| ()).map_err(|error| error.to_string()), Ok(()));
}

#[test]
fn counters_are_those_of_both_directions() {
    let script = Script::new();
    let mut ws = script.server(&Config::new());
    script.give(&[masked(TEXT, b"in "), masked(PING, b"?"), masked(FIN | CONTINUATION, b"parts")].concat());
    ws.read().unwrap().unwrap().reply.send(&b"answer"[..]).unwrap();
    let counters = ws.counters();
    let of = |traffic: Traffic| (traffic.messages, traffic.frames, traffic.payload_len);
    assert_eq!((of(counters.received), of(counters.sent)), ((1, 3, 9), (1, 2, 7)));
    assert_eq!(counters.last_round_trip, None);
    let (mut reader, mut writer) = ws.split();
    assert_eq!((reader.counters(), writer.counters()), (counters, counters));
}
