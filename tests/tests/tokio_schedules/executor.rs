//! Polls tasks in the order that a seed says, and notices a task that waits for ever.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use fastrand::Rng;
use tokio::{
    task::{coop, yield_now},
    time::{Instant, sleep},
};

use crate::pipe::Pipe;

/// The most steps of a schedule; more of them are a task that wakes itself for ever.
const MOST_STEPS: u32 = 1_000_000;

pub(crate) struct Executor {
    tasks: Vec<Task>,
    rng: Rng,
    pipe: Pipe,
    /// How long tasks may wait for time to pass, instead of bytes.
    patience: Duration,
    /// After how many steps the stream of which side freezes.
    freezes: Option<(u32, usize)>,
}

struct Task {
    name: &'static str,
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    woken: Arc<Woken>,
    waker: Waker,
}

/// A connection that is dropped ends its stream in a task of the runtime's, which takes this time at most and is shorter than
/// every timeout that would hide a lost wake-up.
const LINGER: Duration = Duration::from_secs(3);

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Executor {
    pub(crate) fn new(pipe: Pipe, rng: Rng) -> Self {
        Self { tasks: Vec::new(), rng, pipe, patience: LINGER, freezes: None }
    }

    /// Lets the stream of one side freeze at some time, and tasks wait for their deadlines.
    pub(crate) fn freeze(&mut self, side: usize) {
        self.freezes = Some((self.rng.u32(..200), side));
        self.patience = Duration::from_secs(400);
    }

    pub(crate) fn spawn(&mut self, name: &'static str, future: impl Future<Output = ()> + 'static) {
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&woken));
        self.tasks.push(Task { name, future: Some(Box::pin(future)), woken, waker });
    }

    /// Runs all tasks to their ends.
    ///
    /// # Errors
    ///
    /// The names of the tasks that no event can wake any more.
    pub(crate) async fn run(mut self) -> Result<(), String> {
        let begun = Instant::now();
        for at in 0..MOST_STEPS {
            if let Some((_, side)) = self.freezes.take_if(|(step, _)| *step <= at) {
                self.pipe.freeze(side);
            }
            let running: Vec<_> =
                self.tasks.iter().filter(|task| task.future.is_some()).map(|task| task.name).collect();
            if running.is_empty() {
                return Ok(());
            }
            // Each task of a runtime has a budget of its own, which may be used up at any await point.
            if !coop::has_budget_remaining() && self.rng.u8(..4) > 0 {
                yield_now().await;
            }
            let is_busy = self.tasks.iter().any(Task::is_woken);
            if (!is_busy || self.rng.u8(..4) == 0) && self.pipe.unstall_one(&mut self.rng) {
                continue;
            }
            if is_busy {
                self.poll_one();
                continue;
            }
            // A task without budget is woken as soon as the executor yields. A task of the runtime, which ends a dropped
            // connection, may meet a new stall.
            yield_now().await;
            if self.tasks.iter().any(Task::is_woken) || self.pipe.unstall_one(&mut self.rng) {
                continue;
            }
            if begun.elapsed() >= self.patience {
                return Err(format!("no event wakes {running:?} any more after {:?}", begun.elapsed()));
            }
            sleep(Duration::from_millis(250)).await;
        }
        Err("some task wakes itself for ever".to_owned())
    }

    fn poll_one(&mut self) {
        let woken = self.tasks.iter_mut().filter(|task| task.is_woken());
        if let Some(task) = self.rng.choice(woken.collect::<Vec<_>>()) {
            task.poll();
        }
    }
}

impl Task {
    fn is_woken(&self) -> bool {
        self.future.is_some() && self.woken.0.load(Ordering::Relaxed)
    }

    fn poll(&mut self) {
        self.woken.0.store(false, Ordering::Relaxed);
        if let Some(future) = &mut self.future {
            if let Poll::Ready(()) = future.as_mut().poll(&mut Context::from_waker(&self.waker)) {
                self.future = None;
            }
        }
    }
}

/// Polls an operation and drops it at a wait that `rng` chooses, at once or after it has been woken. `None`: it was dropped.
pub(crate) async fn cut<X>(rng: &mut Rng, operation: impl Future<Output = X>) -> Option<X> {
    let mut operation = std::pin::pin!(operation);
    let mut is_first = true;
    std::future::poll_fn(|cx| {
        if !core::mem::take(&mut is_first) && rng.u8(..8) == 0 {
            return Poll::Ready(None);
        }
        match operation.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending if rng.u8(..5) == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
