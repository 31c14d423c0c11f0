//! The halves of a connection of ws-std in threads of a model checker, which tries orders of their use of its locks and of its
//! transport.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test --release -p ws-tests --test std_halves --target-dir target/shuttle`; `SCHEDULES=…` sets
//! how many orders are tried for each test. Threads that wait for one another for ever are a deadlock, which fails the test. Most
//! connections have no timeout, so that no passing of time hides one. Limits of queued output are 1,024 times smaller than usual:
//! every message of a server is written from the caller's memory, and four messages of a client fill the output.
#![cfg(shuttle)]

use std::{
    collections::VecDeque,
    env,
    io::{self, IoSlice},
    net::Shutdown,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use shuttle::{
    check_random,
    rand::{Rng, thread_rng},
    sync::{Condvar, Mutex},
    thread::{self, JoinHandle},
};
use ws_proto::{SendError, Server, endpoint::Negotiated};
use ws_std::{
    Cause, CloseCode, Closed, Config, Duplex, Error, Message, OsEntropy, Reader, Result, Transport, WebSocket,
    Writer,
    role::{Client, Role},
};

/// One direction of a stream in memory, which holds few bytes.
#[derive(Default)]
struct Direction {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    bytes: VecDeque<u8>,
    /// The writing side has ended it.
    ended: bool,
    /// The reading side reads no more.
    broken: bool,
}

const ROOM: usize = 16;

/// The most turns of other threads for which a call waits until its deadline.
const TURNS: u32 = 4;

impl Direction {
    /// Repeats `attempt` until it has a result: until `deadline`, which some turns of other threads are before.
    fn until<X>(
        &self,
        deadline: Option<Instant>,
        mut attempt: impl FnMut(&mut State) -> Option<io::Result<X>>,
    ) -> io::Result<X> {
        let mut turns = thread_rng().gen_range(0..TURNS);
        let mut state = self.state.lock().unwrap();
        loop {
            if let Some(result) = attempt(&mut state) {
                drop(state);
                self.changed.notify_all();
                return result;
            }
            let Some(deadline) = deadline else {
                state = self.changed.wait(state).unwrap();
                continue;
            };
            drop(state);
            if turns == 0 {
                ws_std::advance_to(deadline);
                return Err(io::ErrorKind::TimedOut.into());
            }
            turns -= 1;
            thread::yield_now();
            state = self.state.lock().unwrap();
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        // A failed test drops its ends too.
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
    }
}

/// One end of a stream in memory, which cuts reads and writes.
struct End {
    input: Arc<Direction>,
    output: Arc<Direction>,
}

impl Transport for End {
    fn read(&self, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        self.input.until(deadline, |state| {
            if state.broken || state.bytes.is_empty() && state.ended {
                return Some(Ok(0));
            }
            let most = state.bytes.len().min(buffer.len());
            (most > 0).then(|| {
                let len = thread_rng().gen_range(1..=most);
                buffer.iter_mut().zip(state.bytes.drain(..len)).for_each(|(place, byte)| *place = byte);
                Ok(len)
            })
        })
    }

    fn write(&self, slices: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
        let bytes: Vec<_> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.output.until(deadline, |state| {
            if state.broken || state.ended {
                return Some(Err(io::ErrorKind::BrokenPipe.into()));
            }
            let most = bytes.len().min(ROOM - state.bytes.len());
            (most > 0).then(|| {
                let len = thread_rng().gen_range(1..=most);
                state.bytes.extend(&bytes[..len]);
                Ok(len)
            })
        })
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.output.change(|state| state.ended = true);
        if how == Shutdown::Both {
            self.input.change(|state| state.broken = true);
        }
        Ok(())
    }
}

impl Duplex for End {}

impl Drop for End {
    fn drop(&mut self) {
        self.shutdown(Shutdown::Both).unwrap();
    }
}

fn untimed() -> Config {
    let mut config = Config::default();
    (config.keepalive_interval, config.pong_timeout, config.close_timeout) = (None, None, None);
    (config.write_timeout, config.drain_timeout, config.server_fin_timeout) = (None, None, None);
    config
}

fn pair(config: &Config) -> (WebSocket<Client, End>, WebSocket<Server, End>) {
    let (left, right) = (Arc::<Direction>::default(), Arc::<Direction>::default());
    let one = End { input: Arc::clone(&left), output: Arc::clone(&right) };
    let other = End { input: right, output: left };
    let client = WebSocket::from_handshake(Client::new(OsEntropy), one, Vec::new(), Negotiated::default(), config);
    (client, WebSocket::from_handshake(Server, other, Vec::new(), Negotiated::default(), config))
}

/// A message that is longer than what the stream holds. Some are longer than the mark too, and a client writes them in pieces.
fn message(name: u8, number: u8) -> Vec<u8> {
    let mut message = vec![name; if number % 4 == 3 { 150 } else { 20 }];
    message[1] = number;
    message
}

/// Starts a half that sends `count` messages, every second one without waiting for it to be written, until the connection is closing;
/// it returns how many have been accepted.
fn send<R: Role + Send + 'static>(mut writer: Writer<R, End>, name: u8, count: u8) -> JoinHandle<Result<u8>> {
    thread::spawn(move || {
        for number in 0..count {
            let message = message(name, number);
            let queued = match number % 2 {
                0 => writer.queue(Message::Binary(&message)),
                _ => writer.send(Message::Binary(&message)),
            };
            match queued {
                Ok(()) => {}
                Err(Error::Send(SendError::Closing)) => return Ok(number),
                Err(error) => return Err(error),
            }
        }
        match writer.flush() {
            Ok(()) | Err(Error::Send(SendError::Closing)) => Ok(count),
            Err(error) => Err(error),
        }
    })
}

/// Counts the messages of each writer: they come whole and in the order of each one's calls.
#[derive(Default)]
struct Received([u8; 2]);

impl Received {
    fn note(&mut self, received: Message<'_>) {
        let name = received.as_bytes()[0];
        let number = &mut self.0[usize::from(name)];
        assert_eq!(received.as_bytes(), message(name, *number));
        *number += 1;
    }

    /// Reads until the end of the connection, which is clean.
    fn read<R: Role>(mut self, mut reader: Reader<R, End>) -> [u8; 2] {
        while let Some(message) = reader.read().unwrap() {
            self.note(message);
        }
        self.0
    }

    fn read_all<R: Role>(mut self, mut ws: WebSocket<R, End>) -> [u8; 2] {
        while let Some(received) = ws.read().unwrap() {
            self.note(received.message);
        }
        self.0
    }
}

fn is_timeout(error: &Error) -> bool {
    match error {
        Error::TimedOut => true,
        Error::Io(error) => error.kind() == io::ErrorKind::TimedOut,
        _ => false,
    }
}

fn is_clean(closed: Result<Closed>) -> bool {
    closed.unwrap().clean
}

fn check(test: fn()) {
    let schedules = env::var("SCHEDULES").map_or(10_000, |count| count.parse().unwrap());
    check_random(test, schedules);
}

#[test]
fn halves_in_threads_lose_no_byte_and_no_notification() {
    check(|| {
        let (client, mut server) = pair(&untimed());
        let (reader, mut writer) = client.split();
        let peer = thread::spawn(move || {
            server.send(Message::Binary(&message(0, 0))).unwrap();
            server.queue(Message::Binary(&message(1, 0))).unwrap();
            Received::default().read_all(server)
        });
        let writers = [send(writer.clone(), 0, 2), send(writer.clone(), 1, 2)];
        let reader = thread::spawn(move || Received::default().read(reader));
        for writer in writers {
            assert_eq!(writer.join().unwrap().unwrap(), 2);
        }
        assert!(is_clean(writer.close(CloseCode::NORMAL, "")));
        assert_eq!((reader.join().unwrap(), peer.join().unwrap()), ([1, 1], [2, 2]));
    });
}

#[test]
fn both_sides_write_more_than_the_stream_holds_at_once() {
    check(|| {
        let (client, server) = pair(&untimed());
        let ((reader, mut writer), (other_reader, other_writer)) = (client.split(), server.split());
        let readers = (
            thread::spawn(move || Received::default().read(reader)),
            thread::spawn(move || Received::default().read(other_reader)),
        );
        let writers = [send(writer.clone(), 0, 3), send(other_writer, 1, 3)];
        writer.ping(b"are you there?").unwrap();
        for writer in writers {
            assert_eq!(writer.join().unwrap().unwrap(), 3);
        }
        assert!(is_clean(writer.close(CloseCode::NORMAL, "")));
        assert_eq!((readers.0.join().unwrap(), readers.1.join().unwrap()), ([0, 3], [3, 0]));
    });
}

#[test]
fn sent_messages_are_written_though_no_other_half_is_called_again() {
    check(|| {
        let (mut client, server) = pair(&untimed());
        let (mut reader, writer) = server.split();
        let peer = thread::spawn(move || {
            client.send(Message::Binary(&message(0, 0))).unwrap();
            let mut received = Received::default();
            while received.0[1] < 2 {
                received.note(client.read().unwrap().unwrap().message);
            }
        });
        let mut queueing = writer.clone();
        // The peer may have gone by then.
        let queueing = thread::spawn(move || drop(queueing.queue(Message::Binary(&message(0, 0)))));
        let writer = send(writer, 1, 2);
        assert!(reader.read().unwrap().is_some());
        queueing.join().unwrap();
        match writer.join().unwrap() {
            Ok(count) => assert_eq!(count, 2),
            // The peer has gone with the second message: what the other half has queued since was to be written.
            Err(Error::Io(error)) => assert_eq!(error.kind(), io::ErrorKind::BrokenPipe),
            Err(error) => panic!("{error:?}"),
        }
        peer.join().unwrap();
    });
}

#[test]
fn a_close_of_the_peer_is_clean_while_two_halves_write() {
    check(|| {
        let (client, mut server) = pair(&untimed());
        let (reader, writer) = client.split();
        let peer = thread::spawn(move || {
            assert!(server.read().unwrap().is_some());
            is_clean(server.close(CloseCode::NORMAL, ""))
        });
        let writers = [send(writer.clone(), 0, 3), send(writer, 1, 3)];
        let reader = thread::spawn(move || Received::default().read(reader));
        for writer in writers {
            writer.join().unwrap().unwrap();
        }
        assert_eq!(reader.join().unwrap(), [0, 0]);
        assert!(peer.join().unwrap());
    });
}

#[test]
fn a_close_of_the_reading_half_comes_after_all_messages_that_were_accepted() {
    check(|| {
        let (client, server) = pair(&untimed());
        let (mut reader, writer) = client.split();
        let peer = thread::spawn(move || Received::default().read_all(server));
        let writers = [send(writer.clone(), 0, 3), send(writer, 1, 3)];
        assert!(is_clean(reader.close(CloseCode::NORMAL, "")));
        let accepted = writers.map(|writer| writer.join().unwrap().unwrap());
        assert_eq!(peer.join().unwrap(), accepted);
    });
}

#[test]
fn a_close_that_the_peer_does_not_answer_ends_the_calls_of_all_halves() {
    check(|| {
        let mut config = untimed();
        config.close_timeout = Some(Duration::from_secs(10));
        let (client, server) = pair(&config);
        let (mut reader, mut writer) = client.split();
        let reader = thread::spawn(move || reader.read().map(|_| ()));
        let closed = writer.close(CloseCode::NORMAL, "").unwrap();
        assert_eq!((closed.clean, closed.cause), (false, Cause::CloseTimeout));
        assert!(matches!(reader.join().unwrap(), Err(Error::Unclean(end)) if end.cause == Cause::CloseTimeout));
        drop(server);
    });
}

#[test]
fn a_peer_that_takes_nothing_ends_the_calls_of_all_halves_in_time() {
    check(|| {
        let mut config = untimed();
        (config.write_timeout, config.close_timeout) =
            (Some(Duration::from_secs(1)), Some(Duration::from_secs(1)));
        let (client, server) = pair(&config);
        let (mut reader, mut writer) = client.split();
        // More messages than the output and a write in progress hold.
        let writers = [send(writer.clone(), 0, 10), send(writer.clone(), 1, 10)];
        let reader = thread::spawn(move || reader.read().map(|_| ()));
        for writer in writers {
            let ended = writer.join().unwrap();
            assert!(matches!(ended, Err(ref error) if is_timeout(error)), "{ended:?}");
        }
        let ended = reader.join().unwrap();
        assert!(matches!(ended, Err(ref error) if is_timeout(error)), "{ended:?}");
        let ended = writer.close(CloseCode::NORMAL, "");
        assert!(ended.as_ref().map_or_else(is_timeout, |closed| !closed.clean), "{ended:?}");
        drop(server);
    });
}

#[test]
fn an_abort_ends_the_calls_of_all_halves() {
    check(|| {
        let (client, server) = pair(&untimed());
        let ((mut reader, writer), (mut other_reader, other_writer)) = (client.split(), server.split());
        let aborting = writer.clone();
        let mut closing = writer.clone();
        let writers = [send(writer, 0, 3), send(other_writer, 1, 3)];
        let readers = [
            thread::spawn(move || while let Ok(Some(_)) = reader.read() {}),
            thread::spawn(move || while let Ok(Some(_)) = other_reader.read() {}),
        ];
        let abort = thread::spawn(move || aborting.abort());
        // A close may be complete before the abort.
        let _ = closing.close(CloseCode::NORMAL, "");
        abort.join().unwrap();
        for writer in writers {
            let _ = writer.join().unwrap();
        }
        for reader in readers {
            reader.join().unwrap();
        }
    });
}
