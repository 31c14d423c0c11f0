//! Streams of bytes: every read, write, flush and shutdown, dropped at any of its waits and repeated.
//!
//! The oracle: the bytes arrive whole and in order, whatever was dropped, and the end after them, in each direction by itself.

use std::rc::Rc;

use fastrand::Rng;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use ws_tokio::{WebSocket, role::Role};

use crate::{
    Schedule,
    executor::{Executor, cut},
    pipe::{End, Pipe},
};

/// Runs a schedule on streams of bytes: its stream and its opening handshake.
pub(crate) async fn run(schedule: &Schedule, rng: &mut Rng) -> Result<(), String> {
    let (pipe, left, right) = Pipe::new(schedule.habits, rng.fork());
    let (client, server) = schedule.open(&pipe, left, right, rng).await?;
    let payloads = [0, 1].map(|_| payload(rng));
    let [ours, theirs] = payloads.clone();
    let mut executor = Executor::new(pipe.clone(), rng.fork());
    spawn(&mut executor, client, [ours, theirs], rng.fork());
    let [theirs, ours] = payloads;
    spawn(&mut executor, server, [ours, theirs], rng.fork());
    let result = executor.run().await;
    pipe.calm();
    result
}

fn payload(rng: &mut Rng) -> Rc<[u8]> {
    let len = rng.choice([0, 10, 3_000, 100_000]).unwrap_or_default();
    (0..rng.usize(0..=len)).map(|_| rng.u8(..)).collect()
}

fn spawn<R: Role + 'static>(
    executor: &mut Executor,
    ws: WebSocket<R, End>,
    [ours, theirs]: [Rc<[u8]>; 2],
    mut rng: Rng,
) {
    let (stream, fork) = (ws.into_byte_stream(), rng.fork());
    if rng.bool() {
        executor.spawn("a stream of bytes", async move {
            let stream = write_all(stream, ours, rng).await;
            read_all(stream, theirs, fork).await;
        });
        return;
    }
    let (read, write) = split(stream);
    executor.spawn("a reading half of tokio", async move {
        drop(read_all(read, theirs, fork).await);
    });
    executor.spawn("a writing half of tokio", async move {
        drop(write_all(write, ours, rng).await);
    });
}

async fn write_all<W: AsyncWrite + Unpin>(mut to: W, bytes: Rc<[u8]>, mut rng: Rng) -> W {
    let mut at = 0;
    while at < bytes.len() {
        let end = bytes.len().min(at + rng.choice([1, 100, 20_000]).unwrap_or(1));
        if let Some(len) = cut(&mut rng, to.write(&bytes[at..end])).await {
            at += len.unwrap();
        }
        if rng.u8(..4) == 0 {
            cut(&mut rng, to.flush()).await.transpose().unwrap();
        }
    }
    while cut(&mut rng, to.shutdown()).await.transpose().unwrap().is_none() {}
    to
}

async fn read_all<S: AsyncRead + Unpin>(mut from: S, bytes: Rc<[u8]>, mut rng: Rng) -> S {
    let mut seen = 0;
    let mut room = vec![0; 30_000];
    loop {
        let len = rng.choice([1, 100, 30_000]).unwrap_or(1);
        match cut(&mut rng, from.read(&mut room[..len])).await.transpose().unwrap() {
            Some(0) => break,
            Some(len) => {
                assert!(bytes[seen..].starts_with(&room[..len]), "bytes after {seen}");
                seen += len;
            }
            None => {}
        }
    }
    assert_eq!(seen, bytes.len(), "the end comes after all bytes");
    from
}
