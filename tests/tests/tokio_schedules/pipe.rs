//! A stream in memory whose every call may stall or take less than it could, as a seed says.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use fastrand::Rng;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// One direction of a stream.
#[derive(Default)]
struct Direction {
    /// The bytes that the reader can read.
    bytes: Vec<u8>,
    /// The bytes that the writer has handed in, which the stream holds until it is flushed.
    held: Vec<u8>,
    ended: bool,
    reader: Gate,
    writer: Gate,
}

/// One end of a direction.
#[derive(Default)]
struct Gate {
    /// The last call was pending although it could have moved bytes.
    stalled: bool,
    waker: Option<Waker>,
    gone: bool,
    /// Never takes or brings a byte again.
    frozen: bool,
}

/// The stream's habits, drawn once a schedule.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    /// One of so many calls stalls; 0: none does.
    pub(crate) stalls: u8,
    /// The most bytes that half of the calls move.
    pub(crate) piece: usize,
    /// The stream takes several slices at once.
    pub(crate) vectored: bool,
    /// Bytes reach the reader by a flush only.
    pub(crate) buffered: bool,
}

struct State {
    directions: [Direction; 2],
    habits: Habits,
    rng: Rng,
}

/// Both directions, seen by the executor.
#[derive(Clone)]
pub(crate) struct Pipe(Arc<Mutex<State>>);

/// One end of the stream.
pub(crate) struct End {
    pipe: Pipe,
    side: usize,
}

impl Habits {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        Self {
            stalls: rng.choice([0, 2, 3, 6]).unwrap_or(3),
            piece: rng.choice([1, 20, 1_000, 100_000]).unwrap_or(20),
            vectored: rng.bool(),
            buffered: rng.u8(..4) == 0,
        }
    }

    const QUIET: Self = Self { stalls: 0, piece: usize::MAX, vectored: true, buffered: false };
}

impl Pipe {
    pub(crate) fn new(habits: Habits, rng: Rng) -> (Self, End, End) {
        let pipe = Self(Arc::new(Mutex::new(State { directions: Default::default(), habits, rng })));
        (pipe.clone(), End { pipe: pipe.clone(), side: 0 }, End { pipe, side: 1 })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Ends one stall. Returns `false` if no call is stalled.
    pub(crate) fn unstall_one(&self, rng: &mut Rng) -> bool {
        let mut state = self.lock();
        let gates =
            state.directions.iter_mut().flat_map(|direction| [&mut direction.reader, &mut direction.writer]);
        let stalled: Vec<_> = gates.filter(|gate| gate.stalled).collect();
        let count = stalled.len();
        let waker = rng.choice(stalled).and_then(|gate| {
            gate.stalled = false;
            gate.waker.take()
        });
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        count > 0
    }

    /// Ends all stalls for good.
    pub(crate) fn calm(&self) {
        self.lock().habits = Habits::QUIET;
        while self.unstall_one(&mut Rng::with_seed(0)) {}
    }

    /// Returns the number of ends that are in memory.
    pub(crate) fn ends(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }

    /// Lets the peer of `side` take and bring no byte any more.
    pub(crate) fn freeze(&self, side: usize) {
        let mut state = self.lock();
        state.directions[side].writer.frozen = true;
        state.directions[1 - side].reader.frozen = true;
    }
}

impl State {
    /// Returns whether a call stalls, and how many of `len` bytes it moves otherwise.
    fn cut(&mut self, len: usize) -> (bool, usize) {
        let Habits { stalls, piece, .. } = self.habits;
        let stalls = stalls > 0 && self.rng.u8(..stalls) == 0;
        let most = if self.rng.bool() { piece } else { usize::MAX };
        (stalls, len.min(self.rng.usize(1..=most.min(len.max(1)))))
    }
}

impl Gate {
    /// Registers a call that is pending.
    fn wait(&mut self, stalled: bool, cx: &Context<'_>) {
        self.stalled = stalled;
        self.waker = Some(cx.waker().clone());
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

impl Direction {
    /// Makes the held bytes readable; returns the waker of the reader.
    fn flush(&mut self) -> Option<Waker> {
        if self.held.is_empty() && !self.ended {
            return None;
        }
        self.bytes.append(&mut self.held);
        if self.reader.stalled { None } else { self.reader.waker.take() }
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut state = self.pipe.lock();
        let (stalls, len) = state.cut(buf.remaining());
        let direction = &mut state.directions[1 - self.side];
        let waits = direction.bytes.is_empty() && !direction.ended;
        if direction.reader.stalled || direction.reader.frozen || waits || stalls {
            let stalled = !direction.reader.frozen && (direction.reader.stalled || !waits);
            direction.reader.wait(stalled, cx);
            return Poll::Pending;
        }
        let len = len.min(direction.bytes.len());
        buf.put_slice(&direction.bytes[..len]);
        direction.bytes.drain(..len);
        Poll::Ready(Ok(()))
    }
}

impl End {
    /// Polls a call that writes: pending if it stalls, otherwise done with the number of bytes of `len` that it may move.
    fn poll_writing(
        &self,
        cx: &Context<'_>,
        len: usize,
        act: impl FnOnce(&mut Direction, bool, usize) -> Option<Waker>,
    ) -> Poll<io::Result<usize>> {
        let mut state = self.pipe.lock();
        let (stalls, len) = state.cut(len);
        let buffered = state.habits.buffered;
        let direction = &mut state.directions[self.side];
        if direction.reader.gone {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if direction.writer.stalled || direction.writer.frozen || stalls {
            direction.writer.wait(!direction.writer.frozen, cx);
            return Poll::Pending;
        }
        let waker = act(direction, buffered, len);
        drop(state);
        wake(waker);
        Poll::Ready(Ok(len))
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_writing(cx, bytes.len(), |direction, buffered, len| {
            direction.held.extend_from_slice(&bytes[..len]);
            if buffered { None } else { direction.flush() }
        })
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        self.poll_write(cx, &bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.pipe.lock().habits.vectored
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_writing(cx, 0, |direction, _, _| direction.flush()).map_ok(drop)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_writing(cx, 0, |direction, _, _| {
            direction.ended = true;
            direction.flush()
        })
        .map_ok(drop)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut state = self.pipe.lock();
        let ours = &mut state.directions[self.side];
        ours.ended = true;
        let reader = ours.flush();
        let theirs = &mut state.directions[1 - self.side];
        theirs.reader.gone = true;
        theirs.writer.stalled = false;
        let writer = theirs.writer.waker.take();
        drop(state);
        wake(reader);
        wake(writer);
    }
}
