//! Every wait ends: at a deadline, whoever waits, in whatever call, over whatever transport.

use core::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};
use std::{
    io::{self, IoSlice, Read, Write},
    net::TcpStream,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Instant,
};

use ws_std::{
    Acceptor, Blocking, Cause, CloseCode, Config, Connector, Error, Message, State, WebSocket,
    proto::{SendError, endpoint::Negotiated, handshake::HandshakeError},
    role::Server,
};
use ws_tests::{CLOSE, FIN, PING, PONG, TEXT, frame, masked, noise};

use crate::{
    PATIENCE, SHORT, is_timeout,
    peer::{Peer, REQUEST, code},
    tcp_pair,
    transports::Writing,
};

/// Long enough for any machine; a test that needs it has failed.
const FOR_EVER: Duration = Duration::from_secs(60);

/// Runs `work` on a thread of its own and returns what comes of it.
fn in_time<X: Send + 'static>(work: impl FnOnce() -> X + Send + 'static) -> X {
    let (done, result) = mpsc::channel();
    thread::spawn(move || done.send(work()));
    result.recv_timeout(FOR_EVER).expect("the call does not return")
}

fn without_keepalive() -> Config {
    let mut config = Config::new();
    config.keepalive_interval = None;
    config
}

#[test]
fn close_of_a_writer_ends_a_reader_whose_peer_is_mute() {
    let mut config = without_keepalive();
    config.close_timeout = Some(3 * SHORT);
    let (mut peer, ws) = Peer::client(&Acceptor::new().config(config));
    let (mut reader, mut writer) = ws.split();
    let reading = thread::spawn(move || reader.read().map(|_| ()));
    writer.send_close(CloseCode::NORMAL, "").unwrap();
    assert_eq!(code(&peer.frame()), 1_000);
    match in_time(|| reading.join().unwrap()) {
        Err(Error::Unclean(closed)) => assert_eq!(closed.cause, Cause::CloseTimeout),
        other => panic!("{other:?}"),
    }
}

#[test]
fn close_that_can_not_be_written_ends_both_halves() {
    let mut config = without_keepalive();
    config.close_timeout = Some(3 * SHORT);
    config.write_timeout = Some(3 * SHORT);
    let (_peer, ws) = Peer::client(&Acceptor::new().config(config));
    let (mut reader, mut writer) = ws.split();
    let reading = thread::spawn(move || reader.read().map(|_| ()));
    // More than the system's buffers take, and the peer takes none of it.
    assert!(is_timeout(writer.send(noise(24 << 20).as_slice())));
    let closed = in_time(move || writer.close(CloseCode::NORMAL, ""));
    assert!(closed.is_err() || !closed.unwrap().clean);
    assert!(in_time(|| reading.join().unwrap()).is_err());
}

#[test]
fn what_is_there_is_read_though_output_waits() {
    let (mut peer, mut ws) = Peer::client(&Acceptor::new().write_timeout(Some(SHORT)));
    peer.send(&masked(FIN | TEXT, b"already there"));
    assert!(is_timeout(ws.send(noise(24 << 20).as_slice())));
    ws.set_write_timeout(Some(10 * FOR_EVER));
    in_time(move || {
        assert_eq!(ws.read().unwrap().unwrap().message, Message::Text("already there"));
    });
}

#[test]
fn peer_that_takes_a_little_now_and_then_is_too_slow() {
    let mut config = crate::big();
    config.write_timeout = Some(4 * SHORT);
    // 4 MiB are to be gone in half a second more.
    config.min_write_rate = 8 << 20;
    let (mut peer, mut ws) = Peer::client(&Acceptor::new().config(config));
    let sending = thread::spawn(move || is_timeout(ws.send(noise(24 << 20).as_slice())));
    let mut piece = [0; 10_000];
    while !sending.is_finished() {
        // Less than that rate, and steadily: each wait of the write timeout sees some go.
        thread::park_timeout(SHORT / 6);
        peer.stream.read_exact(&mut piece).unwrap();
    }
    assert!(sending.join().unwrap());
}

#[test]
fn peer_that_takes_nothing_more_is_given_the_write_timeout_once() {
    let mut config = Config::new();
    config.write_timeout = Some(Duration::from_secs(7));
    let given = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&given);
    let stuck = Writing(move |_: &[IoSlice<'_>], deadline| {
        let mut deadlines = noted.lock().unwrap();
        deadlines.push(deadline);
        if deadlines.len() < 3 { Ok(1_000) } else { Err(io::ErrorKind::TimedOut.into()) }
    });
    let mut ws = WebSocket::from_handshake(Server, stuck, Vec::new(), Negotiated::default(), &config);
    assert!(is_timeout(ws.send(noise(50_000).as_slice())));
    let after = Instant::now();
    let deadlines: Vec<Option<Instant>> = given.lock().unwrap().clone();
    // The first try does not wait; what follows does, until 7 s after the last bytes went.
    assert!(deadlines[0].unwrap() <= after);
    let last = deadlines[2].unwrap();
    assert!(last <= after + Duration::from_secs(7) && last > after, "{deadlines:?}");
    assert_eq!(deadlines.len(), 3);
}

#[test]
fn write_that_waits_is_tried_again_now_and_then() {
    let mut config = Config::new();
    config.write_timeout = Some(Duration::from_millis(2_500));
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    // Takes nothing, and waits as long as it may.
    let mute = Writing(move |_: &[IoSlice<'_>], deadline: Option<Instant>| {
        counted.fetch_add(1, Ordering::Relaxed);
        thread::sleep(deadline.unwrap().saturating_duration_since(Instant::now()));
        Err(io::ErrorKind::TimedOut.into())
    });
    let mut ws = WebSocket::from_handshake(Server, mute, Vec::new(), Negotiated::default(), &config);
    let started = Instant::now();
    assert!(is_timeout(ws.send("nobody listens")));
    assert!(started.elapsed() >= Duration::from_millis(2_500));
    // At once, and at least after each second.
    assert!(tries.load(Ordering::Relaxed) >= 4);
}

#[test]
fn failure_is_told_before_the_peer_has_ended_the_transport() {
    let mut config = Config::new();
    config.server_fin_timeout = Some(10 * FOR_EVER);
    let (mut ws, mut peer) = Peer::server(&Connector::new().config(config), &[0xFF, 0x00]);
    let mut ws = in_time(move || {
        assert!(matches!(ws.read(), Err(Error::Receive(_))));
        ws
    });
    assert_eq!((ws.state(), code(&peer.frame())), (State::Closing, 1_002));
    assert!(matches!(ws.send("late"), Err(Error::Send(SendError::Closing))));
}

#[test]
fn close_of_the_peer_is_told_before_it_has_ended_the_transport() {
    let mut config = Config::new();
    config.server_fin_timeout = Some(10 * FOR_EVER);
    let (mut ws, mut peer) = Peer::server(&Connector::new().config(config), &frame(CLOSE, b"\x03\xE9"));
    let closed = in_time(move || {
        assert!(ws.read().unwrap().is_none());
        ws.close(CloseCode::NORMAL, "").map(|closed| (closed, ws))
    });
    assert_eq!(code(&peer.frame()), 1_001);
    // Our own close does not wait for it either, and the end is clean though the transport is reset.
    drop(peer);
    let (closed, ws) = closed.unwrap();
    assert!(closed.clean);
    in_time(move || drop(ws));
}

#[test]
fn dropped_connection_is_not_held_for_ever_by_its_peer() {
    let mut config = Config::new();
    config.drain_timeout = None;
    let (mut peer, mut ws) = Peer::client(&Acceptor::new().config(config));
    peer.send(&masked(CLOSE, &1_000_u16.to_be_bytes()));
    assert!(ws.read().unwrap().is_none());
    in_time(move || drop(ws));
    assert_eq!(code(&peer.frame()), 1_000);
}

#[test]
fn reset_after_a_complete_closing_handshake_is_a_clean_end() {
    let (mut peer, mut ws) = Peer::client(&Acceptor::new());
    ws.send_close(CloseCode::NORMAL, "").unwrap();
    assert_eq!(code(&peer.frame()), 1_000);
    peer.send(&masked(CLOSE, &1_000_u16.to_be_bytes()));
    socket2::SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    in_time(move || {
        assert!(ws.read().unwrap().is_none());
        assert!(ws.read().unwrap().is_none());
    });
}

#[test]
fn writer_is_told_that_the_connection_is_closing_not_that_it_was_reset() {
    let (mut peer, ws) = Peer::client(&Acceptor::new());
    let (mut reader, mut writer) = ws.split();
    peer.send(&masked(CLOSE, &1_001_u16.to_be_bytes()));
    assert!(reader.read().unwrap().is_none());
    socket2::SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer);
    for _ in 0..3 {
        for error in [writer.send("late"), writer.ping(b""), writer.flush()] {
            assert!(matches!(error, Ok(()) | Err(Error::Send(SendError::Closing))), "{error:?}");
        }
    }
    assert!(matches!(writer.send("late"), Err(Error::Send(SendError::Closing))));
}

/// A stream whose timeouts have either of the names that systems give them.
struct Ticking {
    stream: TcpStream,
    name: io::ErrorKind,
}

impl Ticking {
    fn new(stream: TcpStream, name: io::ErrorKind) -> Self {
        let tick = Some(Duration::from_millis(5));
        stream.set_read_timeout(tick).unwrap();
        stream.set_write_timeout(tick).unwrap();
        Self { stream, name }
    }

    fn renamed(&self, result: io::Result<usize>) -> io::Result<usize> {
        result.map_err(|error| if error.kind() == io::ErrorKind::WouldBlock { self.name.into() } else { error })
    }
}

impl Read for Ticking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = self.stream.read(buffer);
        self.renamed(result)
    }
}

impl Write for Ticking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.stream.write(bytes);
        self.renamed(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// A server's connection over a stream with ticks, and its peer.
fn ticking(config: &Config, name: io::ErrorKind) -> (Peer, WebSocket<Server, Blocking<Ticking>>) {
    let (client, server) = tcp_pair();
    let mut peer = Peer::new(client);
    peer.send(REQUEST.as_bytes());
    let acceptor = Acceptor::new().config(config.clone());
    let ws =
        acceptor.accept_over(Blocking::new(Ticking::new(server, name)), |_| ws_std::Answer::accept()).unwrap();
    assert!(peer.head().starts_with("HTTP/1.1 101 "));
    (peer, ws)
}

const NAMES: [io::ErrorKind; 2] = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];

#[test]
fn tick_of_a_blocking_stream_loses_nothing() {
    for name in NAMES {
        let (mut peer, mut ws) = ticking(&Config::new(), name);
        ws.set_read_timeout(Some(SHORT));
        assert!(matches!(ws.read(), Err(Error::TimedOut)));
        let message = masked(FIN | TEXT, b"in two pieces");
        peer.send(&message[..9]);
        assert!(matches!(ws.read(), Err(Error::TimedOut)));
        peer.send(&message[9..]);
        ws.set_read_timeout(None);
        assert_eq!(ws.read().unwrap().unwrap().message, Message::Text("in two pieces"));
        // The write is longer than a tick, too.
        let sending = thread::spawn(move || {
            ws.send(noise(8 << 20).as_slice()).unwrap();
            ws
        });
        thread::park_timeout(SHORT);
        assert!(peer.frame().payload == noise(8 << 20));
        drop(sending.join().unwrap());
    }
}

#[test]
fn deadlines_hold_over_a_blocking_stream_with_ticks() {
    for name in NAMES {
        let mut config = Config::new();
        config.keepalive_interval = Some(SHORT);
        config.pong_timeout = Some(SHORT);
        let (mut peer, mut ws) = ticking(&config, name);
        match in_time(move || ws.read().map(|_| ())) {
            Err(Error::Unclean(closed)) => assert_eq!(closed.cause, Cause::PongTimeout),
            other => panic!("{other:?}"),
        }
        assert_eq!((peer.frame().first, code(&peer.frame())), (PING, 1_011));

        let mut config = without_keepalive();
        config.close_timeout = Some(SHORT);
        let (_peer, mut ws) = ticking(&config, name);
        let closed = in_time(move || ws.close(CloseCode::NORMAL, "").unwrap());
        assert_eq!(closed.cause, Cause::CloseTimeout);

        config.write_timeout = Some(SHORT);
        let (_peer, mut ws) = ticking(&config, name);
        assert!(in_time(move || is_timeout(ws.send(noise(24 << 20).as_slice()))));
    }
}

#[test]
fn opening_handshake_over_a_blocking_stream_ends_in_time() {
    for name in NAMES {
        let mut config = Config::new();
        config.handshake_timeout = Some(SHORT);
        let (client, server) = tcp_pair();
        let mut peer = Peer::new(client);
        peer.send(b"GET / HT");
        let acceptor = Acceptor::new().config(config.clone());
        let accepted = in_time(move || {
            let transport = Blocking::new(Ticking::new(server, name));
            acceptor.accept_over(transport, |_| ws_std::Answer::accept()).map(|_| ())
        });
        assert!(matches!(accepted, Err(ws_std::AcceptError::Handshake(HandshakeError::Timeout))), "{accepted:?}");
        assert!(String::from_utf8(peer.rest()).unwrap().starts_with("HTTP/1.1 408 "));

        let (client, _server) = tcp_pair();
        let connector = Connector::new().config(config);
        let connected = in_time(move || {
            let transport = Blocking::new(Ticking::new(client, name));
            connector.connect_over("ws://localhost/", transport, |_| ()).map(|_| ())
        });
        assert!(matches!(connected, Err(ws_std::ConnectError::Handshake(HandshakeError::Timeout))));
    }
}

#[test]
fn keepalive_goes_on_over_a_blocking_stream_whose_peer_answers() {
    let mut config = Config::new();
    config.keepalive_interval = Some(SHORT);
    config.pong_timeout = Some(PATIENCE);
    let (mut peer, mut ws) = ticking(&config, io::ErrorKind::WouldBlock);
    let reading = thread::spawn(move || ws.read().unwrap().unwrap().message.as_bytes().len());
    for _ in 0..3 {
        assert_eq!(peer.frame().first, PING);
        peer.send(&masked(PONG, b""));
    }
    peer.send(&masked(FIN | TEXT, b"still here"));
    assert_eq!(reading.join().unwrap(), 10);
}
