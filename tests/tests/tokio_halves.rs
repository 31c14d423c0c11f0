//! The halves of a connection of ws-tokio in threads of a model checker, which tries orders of their use of its locks.
//!
//! `RUSTFLAGS="--cfg shuttle" cargo test --release -p ws-tests --test tokio_halves --target-dir target/shuttle`; `SCHEDULES=…` sets
//! how many orders are tried. A thread that no other one can wake any more is a deadlock, which fails the test.
#![cfg(shuttle)]

use std::{
    collections::VecDeque,
    env, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use shuttle::{check_random, future::block_on, sync::Mutex, thread};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use ws_proto::{Server, endpoint::Negotiated};
use ws_tokio::{CloseCode, Config, Message, OsEntropy, Reader, WebSocket, Writer, role::Client};

/// One direction of a stream in memory, which holds few bytes.
#[derive(Default)]
struct Direction {
    bytes: VecDeque<u8>,
    ended: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

const ROOM: usize = 16;

struct End {
    input: Arc<Mutex<Direction>>,
    output: Arc<Mutex<Direction>>,
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut input = self.input.lock().unwrap();
        if input.bytes.is_empty() && !input.ended {
            input.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let len = input.bytes.len().min(buf.remaining());
        let bytes: Vec<_> = input.bytes.drain(..len).collect();
        buf.put_slice(&bytes);
        let writer = input.writer.take();
        drop(input);
        wake(writer);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut output = self.output.lock().unwrap();
        let len = bytes.len().min(ROOM - output.bytes.len());
        if len == 0 {
            output.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        output.bytes.extend(&bytes[..len]);
        let reader = output.reader.take();
        drop(output);
        wake(reader);
        Poll::Ready(Ok(len))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut output = self.output.lock().unwrap();
        output.ended = true;
        let reader = output.reader.take();
        drop(output);
        wake(reader);
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        for direction in [&self.output, &self.input] {
            let mut direction = direction.lock().unwrap();
            direction.ended = true;
            let (reader, writer) = (direction.reader.take(), direction.writer.take());
            drop(direction);
            wake(reader);
            wake(writer);
        }
    }
}

/// Returns a connection without timeouts, so that only its halves can wake one another.
fn pair() -> (WebSocket<Client, End>, WebSocket<Server, End>) {
    let (left, right) = (Arc::<Mutex<Direction>>::default(), Arc::<Mutex<Direction>>::default());
    let one = End { input: Arc::clone(&left), output: Arc::clone(&right) };
    let other = End { input: right, output: left };
    let mut config = Config::default();
    (config.keepalive_interval, config.pong_timeout, config.close_timeout) = (None, None, None);
    (config.write_timeout, config.drain_timeout, config.server_fin_timeout) = (None, None, None);
    let agreed = Negotiated::default();
    let client = WebSocket::from_handshake(Client::new(OsEntropy), one, Vec::new(), agreed, &config);
    (client, WebSocket::from_handshake(Server, other, Vec::new(), agreed, &config))
}

/// Sends two messages, the second one without waiting for it to be written.
fn write(mut writer: Writer<Client, End>, name: u8) {
    block_on(async {
        writer.send(Message::Binary(&[name, 1])).await.unwrap();
        writer.queue(Message::Binary(&[name, 2])).await.unwrap();
        writer.flush().await.unwrap();
    });
}

/// Reads `count` messages of several writers: each one's come in their order.
fn read(mut reader: Reader<Client, End>, count: usize) -> Reader<Client, End> {
    block_on(async {
        for number in 0..count {
            let message = reader.read().await.unwrap().unwrap();
            assert_eq!(message.as_bytes()[0], u8::try_from(number).unwrap());
        }
    });
    reader
}

fn halves() {
    let (client, mut server) = pair();
    let (reader, writer) = client.split();
    let peer = thread::spawn(move || {
        block_on(async {
            let mut last = [0; 2];
            for number in 0..4 {
                if number % 2 == 0 {
                    server.send(Message::Binary(&[number / 2; 20])).await.unwrap();
                }
                let received = server.read().await.unwrap().unwrap();
                let [name, count] = *received.message.as_bytes() else { panic!("a message is cut") };
                assert_eq!(count, last[usize::from(name)] + 1);
                last[usize::from(name)] = count;
            }
            assert!(server.read().await.unwrap().is_none());
        });
    });
    let other = writer.clone();
    let closing = writer.clone();
    let writers = [thread::spawn(move || write(writer, 0)), thread::spawn(move || write(other, 1))];
    let reader = thread::spawn(move || {
        let mut reader = read(reader, 2);
        block_on(async { assert!(reader.read().await.unwrap().is_none()) });
    });
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    let mut closing = closing;
    let closed = block_on(closing.close(CloseCode::NORMAL, "")).unwrap();
    assert!(closed.clean);
    reader.join().unwrap();
    peer.join().unwrap();
}

#[test]
fn halves_in_threads_lose_no_wake_up_and_no_message() {
    let schedules = env::var("SCHEDULES").map_or(10_000, |count| count.parse().unwrap());
    check_random(halves, schedules);
}
