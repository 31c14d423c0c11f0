//! Every call of ws-tokio, dropped at any of its waits and repeated, over a stream that stalls and cuts.
//!
//! A schedule is drawn from a seed: the calls of both sides, the order in which their tasks are polled, the waits at which
//! calls are dropped, and the habits of the stream between them. Time is virtual. The oracle, [`ledger`]:
//!
//! - a message whose call returned `Ok` arrives exactly once, one whose call was dropped at most once, whole and in order;
//! - no call fails, so no frame is cut and no byte is lost;
//! - no task waits when no event can wake it, so no wake-up is lost. If the stream freezes, all tasks end by their deadlines.
//!
//! Calls that take the stream lose it when they are dropped; [`openings`] says what holds then.
//!
//! `SCHEDULES=100000 cargo test --release -p ws-tests --test tokio_schedules`; `SEED=…` repeats one schedule.

mod both;
mod bytes;
mod calls;
mod directed;
mod executor;
mod ledger;
mod openings;
mod pipe;
mod side;
mod watch;

use std::{cell::RefCell, env, panic, rc::Rc, thread};

use fastrand::Rng;
use tokio::runtime::{Builder, Runtime};
use ws_proto::{Server, endpoint::Negotiated};
use ws_tokio::{Acceptor, Config, Connector, OsEntropy, WebSocket, role::Client};

use crate::{
    executor::Executor,
    ledger::Ledger,
    pipe::{End, Habits, Pipe},
    side::{Ending, Task, halves, stream_and_sink},
};

/// The shape of one side.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Unsplit,
    /// With so many writers.
    Halves(u8),
    StreamAndSink,
}

#[derive(Debug)]
struct Schedule {
    shapes: [Shape; 2],
    endings: [Ending; 2],
    habits: Habits,
    is_compressed: bool,
    has_handshake: bool,
    /// A tracker watches the server's connection.
    is_watched: bool,
    freezes: Option<usize>,
}

impl Shape {
    fn draw(rng: &mut Rng) -> Self {
        match rng.u8(..8) {
            0..=2 => Self::Unsplit,
            3 => Self::StreamAndSink,
            4..=5 => Self::Halves(1),
            _ => Self::Halves(rng.u8(2..4)),
        }
    }

    fn writers(self) -> usize {
        if let Self::Halves(writers) = self { writers.into() } else { 1 }
    }
}

impl Schedule {
    fn draw(rng: &mut Rng) -> Self {
        let endings = [Ending::Close, Ending::SendClose, Ending::CloseWriter, Ending::Reunite];
        let mut endings = [0, 1].map(|_| rng.choice(endings).unwrap_or(Ending::Close));
        if rng.bool() {
            endings[rng.usize(..2)] = Ending::Wait;
        }
        let is_watched = rng.u8(..4) == 0;
        if rng.u8(..8) == 0 {
            endings[rng.usize(..2)] = Ending::Abort;
        }
        if is_watched && rng.bool() {
            endings[1] = Ending::Tracker;
        }
        Self {
            shapes: [Shape::draw(rng), Shape::draw(rng)],
            endings,
            habits: Habits::draw(rng),
            is_compressed: cfg!(feature = "deflate") && rng.u8(..4) == 0,
            has_handshake: rng.bool(),
            is_watched,
            freezes: (rng.u8(..8) == 0).then(|| rng.usize(..2)),
        }
    }

    async fn run(&self, rng: &mut Rng) -> Result<(), String> {
        let (pipe, left, right) = Pipe::new(self.habits, rng.fork());
        let (client, server) = self.open(&pipe, left, right, rng).await?;
        let mut executor = Executor::new(pipe.clone(), rng.fork());
        if let Some(side) = self.freezes {
            executor.freeze(side);
        }
        let (server, watch) = match self.is_watched {
            true => {
                let closes = self.endings[1] == Ending::Tracker;
                let (server, watch) = watch::track(&mut executor, server, closes, rng.fork());
                (server, Some(watch))
            }
            false => (server, None),
        };
        let [ours, theirs] = [Ledger::default(), Ledger::default()];
        let may_fail = self.may_fail();
        let task = |ours: &Ledger, theirs: &Ledger, watch, rng: &mut Rng| {
            let (ours, theirs) = (ours.clone(), theirs.clone());
            Task { ours, theirs, rng: rng.fork(), may_fail, watch }
        };
        self.spawn(&mut executor, 0, client, task(&ours, &theirs, None, rng));
        self.spawn(&mut executor, 1, server, task(&theirs, &ours, watch, rng));
        let result = executor.run().await;
        pipe.calm();
        result
    }

    /// Returns whether calls may fail: the stream freezes, or a side aborts the connection.
    fn may_fail(&self) -> bool {
        let mut sides = self.shapes.iter().zip(self.endings);
        let aborts = sides.any(|(shape, ending)| matches!((shape, ending), (Shape::Halves(_), Ending::Abort)));
        aborts || self.freezes.is_some()
    }

    async fn open(
        &self,
        pipe: &Pipe,
        left: End,
        right: End,
        rng: &mut Rng,
    ) -> Result<(WebSocket<Client, End>, WebSocket<Server, End>), String> {
        if !self.has_handshake && !self.is_compressed {
            let (config, agreed) = (Config::default(), Negotiated::default());
            let client = WebSocket::from_handshake(Client::new(OsEntropy), left, Vec::new(), agreed, &config);
            return Ok((client, WebSocket::from_handshake(Server, right, Vec::new(), agreed, &config)));
        }
        let (connector, acceptor) = settings(self.is_compressed);
        let (client, server) = (Rc::new(RefCell::new(None)), Rc::new(RefCell::new(None)));
        let (opened, accepted) = (Rc::clone(&client), Rc::clone(&server));
        let mut executor = Executor::new(pipe.clone(), rng.fork());
        executor.spawn("connect", async move {
            *opened.borrow_mut() = Some(connector.connect_over("ws://localhost/", left, |_| ()).await.unwrap());
        });
        executor.spawn("accept", async move {
            *accepted.borrow_mut() = Some(acceptor.accept(right).await.unwrap());
        });
        executor.run().await?;
        Ok((client.take().unwrap(), server.take().unwrap()))
    }

    fn spawn<R: ws_tokio::role::Role + Send + 'static>(
        &self,
        executor: &mut Executor,
        side: usize,
        ws: WebSocket<R, End>,
        task: Task,
    ) where
        WebSocket<R, End>: calls::Sends,
        ws_tokio::Writer<R, End>: calls::Sends,
    {
        let may_fail = task.may_fail;
        let (ending, peers) = (self.endings[side], self.shapes[1 - side].writers());
        match self.shapes[side] {
            Shape::Unsplit => executor.spawn("a connection", async move {
                Task::end(may_fail, task.unsplit(ws, peers, ending).await);
            }),
            Shape::Halves(own) => halves(executor, task, ws, (own, peers), ending),
            Shape::StreamAndSink => stream_and_sink(executor, task, ws, peers, ending),
        }
    }
}

#[cfg_attr(not(feature = "deflate"), expect(unused_mut, reason = "compression changes them"))]
fn settings(is_compressed: bool) -> (Connector<'static>, Acceptor<'static>) {
    let (mut connector, mut acceptor) = (Connector::new(), Acceptor::new());
    #[cfg(feature = "deflate")]
    if is_compressed {
        let settings = ws_tokio::deflate::Settings::small();
        (connector, acceptor) = (connector.deflate(settings), acceptor.deflate(settings));
    }
    assert!(!is_compressed || cfg!(feature = "deflate"));
    (connector, acceptor)
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

/// Runs the schedule of a seed by `run`; a panic says which one it was.
fn run(runtime: &Runtime, seed: u64, run: impl AsyncFn(&Schedule, &mut Rng) -> Result<(), String>) {
    let mut rng = Rng::with_seed(seed);
    let schedule = Schedule::draw(&mut rng);
    let result = panic::catch_unwind(panic::AssertUnwindSafe(|| runtime.block_on(run(&schedule, &mut rng))));
    match result {
        Ok(Ok(())) => {}
        Ok(Err(error)) => panic!("SEED={seed}: {error}; {schedule:?}"),
        Err(panic) => {
            eprintln!("SEED={seed}: {schedule:?}");
            panic::resume_unwind(panic);
        }
    }
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().unwrap())
}

fn run_all(run_one: impl AsyncFn(&Schedule, &mut Rng) -> Result<(), String> + Copy + Send) {
    let first = number("SEED");
    let count = number("SCHEDULES").unwrap_or(if first.is_some() {
        1
    } else if cfg!(debug_assertions) {
        300
    } else {
        20_000
    });
    let seeds = first.unwrap_or(0)..first.unwrap_or(0) + count;
    let threads = thread::available_parallelism().map_or(1, |threads| threads.get()).min(8);
    thread::scope(|scope| {
        for thread in 0..threads {
            let seeds = seeds.clone().skip(thread).step_by(threads);
            scope.spawn(move || {
                let runtime = runtime();
                seeds.for_each(|seed| run(&runtime, seed, run_one));
            });
        }
    });
}

#[test]
fn calls_that_are_dropped_and_repeated_lose_no_byte_and_no_wake_up() {
    run_all(async |schedule, rng| schedule.run(rng).await);
}

#[test]
fn streams_of_bytes_lose_no_byte_and_no_wake_up() {
    run_all(bytes::run);
}

#[test]
fn openings_that_are_dropped_end_their_stream_and_others_lose_no_byte() {
    run_all(openings::run);
}
