use core::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};
use std::{
    collections::VecDeque,
    io::{self, IoSlice, Read, Write},
    net::{Shutdown, TcpStream},
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Instant,
};

use ws_std::{
    AcceptError, Acceptor, Answer, Blocking, CloseCode, Config, ConnectError, Connector, Control, Duplex, Event,
    Message, MessageKind, Socket, Transport, WebSocket,
    proto::endpoint::Negotiated,
    role::{Client, Server},
};
use ws_tests::{FIN, PING, PONG, TEXT, frame, masked, noise, parse};

use crate::{
    NEVER, PATIENCE, open,
    peer::{REQUEST, open_over},
    sockets, tcp_pair,
};

/// Counts the calls and the bytes written, and may do less in each than it could.
pub(crate) struct Counted {
    inner: Socket,
    pub(crate) writes: AtomicUsize,
    pub(crate) written: AtomicUsize,
    calls: AtomicUsize,
    /// The most bytes of a call.
    step: usize,
    /// The call that fails, and all after it.
    fails_at: usize,
}

impl Counted {
    pub(crate) const fn new(inner: Socket) -> Self {
        Self {
            inner,
            writes: AtomicUsize::new(0),
            written: AtomicUsize::new(0),
            calls: AtomicUsize::new(0),
            step: usize::MAX,
            fails_at: usize::MAX,
        }
    }

    fn call(&self) -> io::Result<()> {
        if self.calls.fetch_add(1, Ordering::Relaxed) < self.fails_at {
            return Ok(());
        }
        // The peer is to notice, too.
        let _ = self.inner.shutdown(Shutdown::Both);
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl Transport for Counted {
    fn read(&self, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        self.call()?;
        let len = buffer.len().min(self.step);
        self.inner.read(&mut buffer[..len], deadline)
    }

    fn write(&self, slices: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
        self.call()?;
        self.writes.fetch_add(1, Ordering::Relaxed);
        let len = if self.step == usize::MAX {
            self.inner.write(slices, deadline)?
        } else {
            let first = slices.iter().find(|slice| !slice.is_empty()).unwrap();
            let len = first.len().min(self.step);
            self.inner.write(&[IoSlice::new(&first[..len])], deadline)?
        };
        self.written.fetch_add(len, Ordering::Relaxed);
        Ok(len)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.inner.shutdown(how)
    }
}

impl Duplex for Counted {}

/// A transport that holds what has come, and hands out a few bytes at a time.
struct Holding {
    inner: Socket,
    held: Mutex<VecDeque<u8>>,
    /// A read has come that may wait.
    is_awaited: AtomicBool,
}

impl Holding {
    fn new(inner: Socket) -> Self {
        Self { inner, held: Mutex::default(), is_awaited: AtomicBool::new(false) }
    }
}

impl Transport for Holding {
    fn read(&self, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        let mut held = self.held.lock().unwrap();
        if deadline.is_none_or(|deadline| deadline > Instant::now()) {
            self.is_awaited.store(true, Ordering::Relaxed);
        }
        if held.is_empty() {
            let mut bytes = [0; 1_000];
            let len = self.inner.read(&mut bytes, deadline)?;
            held.extend(&bytes[..len]);
        }
        let len = buffer.len().min(10);
        held.read(&mut buffer[..len])
    }

    fn write(&self, slices: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
        self.inner.write(slices, deadline)
    }

    fn is_ready(&self) -> bool {
        !self.held.lock().unwrap().is_empty()
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.inner.shutdown(how)
    }
}

#[test]
fn bytes_that_a_transport_holds_are_read_without_waiting() {
    let (client, server) = sockets();
    let (mut client, mut server) = open_over(client, Holding::new(server));
    for text in ["one", "a text longer than a read", "three"] {
        client.queue(text).unwrap();
    }
    client.flush().unwrap();
    assert_eq!(server.read().unwrap().unwrap().message, Message::Text("one"));
    server.transport().is_awaited.store(false, Ordering::Relaxed);
    for text in ["a text longer than a read", "three"] {
        assert_eq!(server.read().unwrap().unwrap().message, Message::Text(text));
    }
    assert!(!server.transport().is_awaited.load(Ordering::Relaxed));
}

/// Reads a message, is busy for longer than a message may take, and reads another one, whose front came with the first.
fn read_late<T: Transport>(transport: impl FnOnce(Socket) -> T) {
    let (mut client, server) = tcp_pair();
    let mut config = Config::default();
    config.message_timeout = Some(Duration::from_secs(1));
    let transport = transport(Socket::new(server).unwrap());
    let mut server = WebSocket::from_handshake(Server, transport, Vec::new(), Negotiated::default(), &config);
    let second = masked(FIN | TEXT, b"a text whose end comes later");
    let (begun, rest) = second.split_at(25);
    let rest = rest.to_vec();
    client.write_all(&[&masked(FIN | TEXT, b"one"), begun].concat()).unwrap();
    assert_eq!(server.read().unwrap().unwrap().message, Message::Text("one"));
    thread::sleep(Duration::from_millis(1_200));
    let sending = thread::spawn(move || {
        for piece in rest.chunks(4) {
            client.write_all(piece).unwrap();
            thread::sleep(Duration::from_millis(50));
        }
        client
    });
    assert_eq!(server.read().unwrap().unwrap().message, Message::Text("a text whose end comes later"));
    drop(sending.join().unwrap());
}

#[test]
fn the_time_of_a_message_does_not_begin_while_the_application_is_busy() {
    read_late(Holding::new);
    read_late(|socket| socket);
}

/// A transport that always has more: Pings, and nothing else.
struct Flooding {
    pings: Vec<u8>,
    at: AtomicUsize,
    written: AtomicUsize,
}

impl Transport for Flooding {
    fn read(&self, buffer: &mut [u8], _: Option<Instant>) -> io::Result<usize> {
        let at = self.at.fetch_add(buffer.len(), Ordering::Relaxed);
        let pings = self.pings.iter().cycle().skip(at % self.pings.len());
        buffer.iter_mut().zip(pings).for_each(|(byte, ping)| *byte = *ping);
        Ok(buffer.len())
    }

    fn write(&self, slices: &[IoSlice<'_>], _: Option<Instant>) -> io::Result<usize> {
        let len = slices.iter().map(|slice| slice.len()).sum();
        self.written.fetch_add(len, Ordering::Relaxed);
        Ok(len)
    }

    fn is_ready(&self) -> bool {
        true
    }

    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_transport_that_always_has_more_keeps_no_answer_and_no_timer_from_running() {
    let transport = Flooding { pings: masked(PING, b"?"), at: AtomicUsize::new(0), written: AtomicUsize::new(0) };
    let mut config = Config::default();
    config.close_timeout = Some(Duration::from_millis(50));
    let mut server = WebSocket::from_handshake(Server, transport, Vec::new(), Negotiated::default(), &config);
    let began = Instant::now();
    for _ in 0..50_000 {
        assert_eq!(server.read_event().unwrap(), Some(Event::Control(Control::Ping)));
    }
    assert!(server.transport().written.load(Ordering::Relaxed) > 0);
    assert!(!server.close(CloseCode::NORMAL, "").unwrap().clean);
    assert!(began.elapsed() < PATIENCE);
}

/// Sends two texts there and back, then closes from the client's side; what the server saw.
fn converse<C: Transport, S: Transport>(
    mut client: WebSocket<Client, C>,
    mut server: WebSocket<Server, S>,
) -> (ws_std::Result<()>, ws_std::Result<Vec<String>>) {
    thread::scope(|scope| {
        let serving = scope.spawn(move || {
            let mut seen = Vec::new();
            while let Some(mut received) = server.read()? {
                seen.push(received.message.as_str().unwrap().to_owned());
                received.reply.queue(received.message)?;
            }
            Ok(seen)
        });
        let talking = scope.spawn(move || {
            let long = "long".repeat(100);
            for text in ["short", &long] {
                client.send(text)?;
                let received = client.read()?.ok_or(io::Error::from(io::ErrorKind::UnexpectedEof))?;
                assert_eq!(received.message, Message::Text(text));
            }
            client.ping(b"ping")?;
            let closed = client.close(CloseCode::NORMAL, "done")?;
            if closed.clean { Ok(()) } else { Err(ws_std::Error::Unclean(closed)) }
        });
        (talking.join().unwrap(), serving.join().unwrap())
    })
}

#[test]
fn reads_and_writes_of_one_byte_make_the_same_connection() {
    let (client, server) = sockets();
    let client = Counted { step: 1, ..Counted::new(client) };
    let server = Counted { step: 1, ..Counted::new(server) };
    let (client, server) = open_over(client, server);
    let (talked, seen) = converse(client, server);
    talked.unwrap();
    assert_eq!(seen.unwrap(), ["short", &*"long".repeat(100)]);
}

// R7.2.1-1
#[test]
fn transport_that_fails_at_any_call_ends_the_connection_on_both_sides() {
    for fails_at in 0.. {
        let (client, server) = sockets();
        let client = Counted { fails_at, step: 50, ..Counted::new(client) };
        let accepted = thread::scope(|scope| {
            let serving = scope.spawn(|| Acceptor::new().accept_over(server, |_| Answer::accept()));
            let client = Connector::new().connect_over("ws://localhost/", client, |_| ());
            match (client, serving.join().unwrap()) {
                (Ok(client), Ok(server)) => Some((client, server)),
                (
                    Err(ConnectError::Io(_) | ConnectError::Closed(_)),
                    Ok(_) | Err(AcceptError::Io(_) | AcceptError::NoRequest),
                ) => None,
                (client, server) => panic!("{client:?} {server:?}"),
            }
        });
        let Some((client, server)) = accepted else {
            continue;
        };
        let (talked, seen) = converse(client, server);
        if talked.is_ok() {
            assert_eq!(seen.unwrap(), ["short", &*"long".repeat(100)]);
            assert!(fails_at > 20, "{fails_at}");
            return;
        }
    }
}

#[test]
fn any_read_and_write_carries_a_connection_and_its_end() {
    let (client, server) = tcp_pair();
    for stream in [&client, &server] {
        // No tick comes to the help.
        stream.set_read_timeout(Some(NEVER)).unwrap();
    }
    let (client, server) =
        open((&Connector::new(), Blocking::new(client)), (&Acceptor::new(), Blocking::new(server)));
    let (talked, seen) = converse(client, server);
    talked.unwrap();
    assert_eq!(seen.unwrap(), ["short", &*"long".repeat(100)]);
}

#[test]
fn refusal_over_any_read_and_write_does_not_wait_for_the_peer() {
    let (mut client, server) = tcp_pair();
    server.set_read_timeout(Some(NEVER)).unwrap();
    client.write_all(REQUEST.as_bytes()).unwrap();
    let result = Acceptor::new().accept_over(Blocking::new(server), |_| Answer::refuse(403));
    assert!(matches!(result, Err(AcceptError::Refused(403))));
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "));
}

/// A stream in memory that is interrupted at every other call, and takes and gives seven bytes in each.
struct Memory {
    input: VecDeque<u8>,
    output: mpsc::Sender<Vec<u8>>,
    interrupted: bool,
}

impl Memory {
    fn interrupt(&mut self) -> io::Result<()> {
        self.interrupted = !self.interrupted;
        if self.interrupted { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
    }
}

impl Read for Memory {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupt()?;
        let len = buffer.len().min(7);
        self.input.read(&mut buffer[..len])
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.interrupt()?;
        let len = bytes.len().min(7);
        self.output.send(bytes[..len].to_vec()).unwrap();
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.interrupt()
    }
}

#[test]
fn stream_in_memory_that_is_interrupted_loses_nothing() {
    let (output, written) = mpsc::channel();
    let input =
        [REQUEST.as_bytes(), &masked(FIN | TEXT, b"hello"), &masked(PING, b"?"), &masked(0x88, b"")].concat();
    let stream = Memory { input: input.into(), output, interrupted: false };
    let mut ws = Acceptor::new().accept_over(Blocking::new(stream), |_| Answer::accept()).unwrap();
    while let Some(mut received) = ws.read().unwrap() {
        received.reply.queue(received.message).unwrap();
    }
    let (stream, unread) = ws.into_inner();
    assert!(unread.is_empty());
    drop(stream.into_inner());
    let written = written.iter().flatten().collect::<Vec<_>>();
    let head = written.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
    let expected = [frame(FIN | TEXT, b"hello"), frame(PONG, b"?"), frame(0x88, b"")].concat();
    assert_eq!(parse(&written[head..]), parse(&expected));
}

#[test]
fn into_inner_hands_back_what_was_read_and_not_taken() {
    let (mut client, server) = tcp_pair();
    client.write_all(&[REQUEST.as_bytes(), &masked(FIN | TEXT, b"hello"), b"unread"].concat()).unwrap();
    let mut ws = ws_std::accept(server).unwrap();
    assert_eq!(ws.read().unwrap().unwrap().message, Message::Text("hello"));
    let (socket, unread) = ws.into_inner();
    assert_eq!(unread, b"unread");
    client.write_all(b" and more").unwrap();
    let mut stream = TcpStream::from(socket.into_socket().unwrap().into_socket2().unwrap());
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut more = [0; 9];
    stream.read_exact(&mut more).unwrap();
    assert_eq!(&more, b" and more");
}

#[test]
fn connection_from_a_handshake_made_elsewhere_begins_with_what_was_read() {
    let (client, server) = sockets();
    let received = masked(FIN | TEXT, b"early");
    let mut ws = WebSocket::from_handshake(Server, server, received, Negotiated::default(), &Config::new());
    assert_eq!(ws.read().unwrap().unwrap().message, Message::Text("early"));
    ws.set_read_timeout(Some(Duration::from_millis(1)));
    assert!(matches!(ws.read(), Err(ws_std::Error::TimedOut)));
    drop(client);
    assert!(matches!(ws.read(), Err(ws_std::Error::Unclean(_))));
}

/// Has nothing to read, and writes as the function does.
pub(crate) struct Writing<F>(pub(crate) F);

impl<F> Transport for Writing<F>
where
    F: Fn(&[IoSlice<'_>], Option<Instant>) -> io::Result<usize> + Send + Sync,
{
    fn read(&self, _: &mut [u8], _: Option<Instant>) -> io::Result<usize> {
        Ok(0)
    }

    fn write(&self, slices: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
        (self.0)(slices, deadline)
    }

    fn shutdown(&self, _: Shutdown) -> io::Result<()> {
        Ok(())
    }
}

/// Takes all that is written, unless it refuses.
#[derive(Default)]
struct Moody {
    written: Mutex<Vec<u8>>,
    refuses: AtomicBool,
}

impl Moody {
    fn take(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.refuses.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let mut written = self.written.lock().unwrap();
        let before = written.len();
        slices.iter().for_each(|slice| written.extend_from_slice(slice));
        Ok(written.len() - before)
    }
}

/// A peer, and a server's connection to it.
fn moody() -> (Arc<Moody>, WebSocket<Server, impl Transport>) {
    let peer = Arc::new(Moody::default());
    let taking = Arc::clone(&peer);
    let transport = Writing(move |slices: &[IoSlice<'_>], _| taking.take(slices));
    (
        peer,
        WebSocket::from_handshake(Server, transport, Vec::new(), Negotiated::default(), &Config::default()),
    )
}

#[test]
fn a_message_written_on_after_timeouts_arrives_once() {
    let message = noise(300_000);
    let (peer, mut socket) = moody();
    let mut writer = socket.message_writer(MessageKind::Binary);
    let (mut at, mut timeouts) = (0, 0);
    while at < message.len() {
        // Each second call finds the peer stuck.
        peer.refuses.fetch_xor(true, Ordering::Relaxed);
        match writer.write(&message[at..]) {
            Ok(len) => {
                assert_ne!(len, 0);
                at += len;
            }
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::TimedOut);
                timeouts += 1;
            }
        }
    }
    peer.refuses.store(false, Ordering::Relaxed);
    writer.finish().unwrap();
    assert!(timeouts > 0);
    let frames = parse(&peer.written.lock().unwrap());
    let payloads: Vec<u8> = frames.iter().flat_map(|frame| frame.payload.clone()).collect();
    assert!(payloads == message, "{} bytes arrived", payloads.len());
}

#[test]
fn what_can_not_be_sent_holds_no_memory() {
    let (_, mut socket) = moody();
    let held = socket.held_bytes();
    assert!(socket.ping(&[0; 126]).is_err());
    assert_eq!(socket.held_bytes(), held);
    socket.send_close(CloseCode::NORMAL, "").unwrap();
    assert!(socket.send("late").is_err());
    assert!(socket.queue(&[0; 100][..]).is_err());
    assert_eq!(socket.held_bytes(), held);
}
