//! The state that the halves of a connection share, and a task's access to it.
//!
//! # Theory of operation
//!
//! | part | used by |
//! |---|---|
//! | the buffer for input, [`Incoming`](crate::incoming::Incoming) | the reading task alone, which owns it |
//! | the endpoint, the output that waits and the stream, [`Core`] | every task, under one lock |
//!
//! The lock is held while a task polls the stream, parses or encodes, and never while a task waits. So frames reach the
//! stream in the order in which they were encoded, and whichever task is polled next continues where the last one stopped:
//! a future that is dropped leaves nothing undone but its own wait. A long frame that the one task of an unsplit connection
//! writes from its own memory is lent to a future ([`Sending`](crate::outgoing::Sending)), which queues the rest when it is dropped.
//!
//! A connection that no other task can reach is not locked ([`Owned::Alone`]). The trait [`Link`] hides the difference, so
//! that the code for reading (`incoming`) and for writing (`outgoing`) exists once.
//!
//! # Wake-ups
//!
//! A stream keeps the waker of the last task that polled it for reading, and of the last one for writing. Here several tasks
//! poll one stream, so it is given the waker of [`Waiters`], which wakes every task that waits. Each of them polls again and
//! finds out whether it has something to do.
//!
//! Three orders of events decide whether a wake-up can be lost:
//!
//! - The stream becomes ready after a task has polled it and before the task is registered: [`Waiters::wake`] counts, and
//!   [`Waiters::register`] compares the count with that of before the poll. If they differ, the task is woken at once.
//! - One task makes progress that another one waits for: room in the output, the end of the connection. `Link::poll` takes
//!   the registered wakers while it holds the lock, under which every registration happens, and wakes them after that.
//! - One task creates a deadline that is earlier than the one that the reading task waits for: a Close, output that the stream
//!   does not take. The reader's deadline is registered with its waker, and `Link::poll` wakes the reader if there is an
//!   earlier one.

use core::task::{Context, Poll, Waker};
use std::{
    sync::{Arc, PoisonError},
    task::Wake,
};

use ws_proto::{Instant, role::Role};

use crate::{
    output::Core,
    sync::{Mutex, MutexGuard},
};

/// A connection without its buffer for input, which several tasks use.
pub(crate) struct Shared<R: Role, S> {
    core: Mutex<Core<R, S>>,
    beside: Beside,
}

/// The tasks that wait for something of a connection.
#[derive(Default)]
struct Waiters(Mutex<Registered>);

#[derive(Default)]
struct Registered {
    /// Number of wake-ups by the stream and by timers.
    woken: u64,
    reader: Option<Waiting>,
    writers: Vec<Waker>,
}

/// A task that waits.
pub(crate) struct Waiting {
    waker: Waker,
    /// The deadline that it has armed if it reads. `None`: it waits for ever.
    deadline: Option<Instant>,
}

/// The part of a connection that a task waits as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    Reader,
    Writer,
}

/// A task's access to a [`Core`], exclusive or beside other tasks.
pub(crate) trait Link {
    type Role: Role;
    type Stream;

    /// Takes a step of a future. If it is pending, the task is woken when the step is worth another try.
    fn poll<X>(
        &mut self,
        half: Half,
        cx: &mut Context<'_>,
        step: impl FnOnce(&mut Core<Self::Role, Self::Stream>, &mut Context<'_>) -> Poll<X>,
    ) -> Poll<X>;

    /// Does something that does not wait.
    fn act<X>(&mut self, act: impl FnOnce(&mut Core<Self::Role, Self::Stream>) -> X) -> X;

    /// Takes a step that does not wait, if it can be taken at once; returns whether it has been. [`poll`](Self::poll) takes it
    /// otherwise.
    fn at_once(&mut self, half: Half, step: impl FnOnce(&mut Core<Self::Role, Self::Stream>) -> bool) -> bool;
}

/// The tasks that wait for something of a connection which they use by turns.
///
/// Most often one task does all. But a stream and a sink may be used by two, as `StreamExt::split` of the futures crates allows:
/// each is pending with a waker of its own, and both poll one stream.
pub(crate) enum Turns {
    /// The task that waits last, if one does, is polled by the stream's wake-ups.
    One(Option<(Half, Waiting)>),
    /// Two tasks have waited at the same time.
    Two(Beside),
}

/// The tasks that wait at the same time, and the waker for all of them, which the stream gets.
pub(crate) struct Beside {
    waiters: Arc<Waiters>,
    waker: Waker,
}

/// The link of an unsplit connection.
pub(crate) enum Owned<R: Role, S> {
    /// No other task can reach the connection at the same time, so there is no locking.
    Alone(Box<Core<R, S>>, Turns),
    /// A server may close the connection.
    Watched(Arc<Shared<R, S>>),
}

impl<R: Role, S> Owned<R, S> {
    pub(crate) const fn alone(core: Box<Core<R, S>>) -> Self {
        Self::Alone(core, Turns::One(None))
    }

    /// Returns the link of a connection that has been put together again.
    pub(crate) fn from_shared(shared: Arc<Shared<R, S>>) -> Self {
        // A server may still refer to the connection, by a weak reference.
        if Arc::weak_count(&shared) > 0 {
            return Self::Watched(shared);
        }
        Self::Watched(shared).into_core().map_or_else(Self::Watched, |core| Self::alone(Box::new(core)))
    }

    /// Returns the connection in a form that several tasks can hold.
    pub(crate) fn into_shared(self) -> Arc<Shared<R, S>> {
        match self {
            Self::Alone(core, _) => Arc::new(Shared::new(*core)),
            Self::Watched(shared) => shared,
        }
    }

    /// Returns the core, unless a server holds it at this moment.
    pub(crate) fn into_core(self) -> Result<Core<R, S>, Arc<Shared<R, S>>> {
        match self {
            Self::Alone(core, _) => Ok(*core),
            Self::Watched(shared) => Arc::try_unwrap(shared)
                .map(|shared| shared.core.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }
}

impl<R: Role, S> Link for Owned<R, S> {
    type Role = R;
    type Stream = S;

    #[inline]
    fn poll<X>(
        &mut self,
        half: Half,
        cx: &mut Context<'_>,
        step: impl FnOnce(&mut Core<R, S>, &mut Context<'_>) -> Poll<X>,
    ) -> Poll<X> {
        match self {
            Self::Alone(core, turns) => turns.poll(core, half, cx, step),
            Self::Watched(shared) => Shared::poll(shared, half, cx, step),
        }
    }

    #[inline]
    fn act<X>(&mut self, act: impl FnOnce(&mut Core<R, S>) -> X) -> X {
        match self {
            Self::Alone(core, Turns::One(_)) => act(core),
            Self::Alone(core, Turns::Two(beside)) => {
                let (result, news) = beside.act(core, act);
                news.wake();
                result
            }
            Self::Watched(shared) => shared.with(act),
        }
    }

    #[inline]
    fn at_once(&mut self, half: Half, step: impl FnOnce(&mut Core<R, S>) -> bool) -> bool {
        match self {
            Self::Alone(core, Turns::One(None)) => step(core),
            // `poll` decides what becomes of the task that is registered.
            Self::Alone(..) => false,
            Self::Watched(shared) => shared.at_once(half, step),
        }
    }
}

impl<R: Role, S> Link for Arc<Shared<R, S>> {
    type Role = R;
    type Stream = S;

    fn poll<X>(
        &mut self,
        half: Half,
        cx: &mut Context<'_>,
        step: impl FnOnce(&mut Core<R, S>, &mut Context<'_>) -> Poll<X>,
    ) -> Poll<X> {
        Shared::poll(self, half, cx, step)
    }

    fn act<X>(&mut self, act: impl FnOnce(&mut Core<R, S>) -> X) -> X {
        self.with(act)
    }

    fn at_once(&mut self, half: Half, step: impl FnOnce(&mut Core<R, S>) -> bool) -> bool {
        Shared::at_once(self, half, step)
    }
}

impl<R: Role, S> Shared<R, S> {
    pub(crate) fn new(core: Core<R, S>) -> Self {
        Self { core: Mutex::new(core), beside: Beside::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Core<R, S>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn poll<X>(
        &self,
        half: Half,
        cx: &mut Context<'_>,
        step: impl FnOnce(&mut Core<R, S>, &mut Context<'_>) -> Poll<X>,
    ) -> Poll<X> {
        let mut core = self.lock();
        let (polled, news) = self.beside.poll(&mut core, half, cx, step);
        drop(core);
        news.wake();
        polled
    }

    /// Takes a step that does not wait, if it can be taken at once, and wakes the tasks for which it is news.
    fn at_once(&self, half: Half, step: impl FnOnce(&mut Core<R, S>) -> bool) -> bool {
        let mut core = self.lock();
        if !step(&mut core) {
            return false;
        }
        let news = self.beside.waiters.take(&mut core, half);
        drop(core);
        news.wake();
        true
    }

    /// Does something that does not wait, and wakes the tasks for which it is news.
    pub(crate) fn with<X>(&self, act: impl FnOnce(&mut Core<R, S>) -> X) -> X {
        let mut core = self.lock();
        let (result, news) = self.beside.act(&mut core, act);
        drop(core);
        news.wake();
        result
    }
}

impl Turns {
    /// Takes a step of a task's future.
    #[inline]
    fn poll<R: Role, S, X>(
        &mut self,
        core: &mut Core<R, S>,
        half: Half,
        cx: &mut Context<'_>,
        step: impl FnOnce(&mut Core<R, S>, &mut Context<'_>) -> Poll<X>,
    ) -> Poll<X> {
        self.admit(half, cx.waker());
        match self {
            Self::One(waiting) => {
                let polled = step(core, cx);
                match waiting {
                    Some((waits, _)) if polled.is_ready() => {
                        if *waits == half {
                            *waiting = None;
                        }
                    }
                    Some((waits, task)) => {
                        *waits = half;
                        task.renew(cx.waker(), core.poll_timeout());
                    }
                    None if polled.is_ready() => {}
                    None => *waiting = Some((half, Waiting::new(cx.waker(), core.poll_timeout()))),
                }
                polled
            }
            Self::Two(beside) => {
                let (polled, news) = beside.poll(core, half, cx, step);
                news.wake();
                polled
            }
        }
    }

    /// Takes note of the task that polls for `half`: another one may wait for the other half.
    #[inline]
    fn admit(&mut self, half: Half, waker: &Waker) {
        if let Self::One(Some((waits, first))) = self {
            if *waits != half && !first.waker.will_wake(waker) {
                let beside = Beside::new();
                beside.waiters.register(0, *waits, &first.waker, first.deadline);
                *self = Self::Two(beside);
            }
        }
    }
}

impl Beside {
    fn new() -> Self {
        let waiters = Arc::<Waiters>::default();
        Self { waker: Waker::from(Arc::clone(&waiters)), waiters }
    }

    /// Takes a step of a task's future; wake the news when no lock is held.
    fn poll<R: Role, S, X>(
        &self,
        core: &mut Core<R, S>,
        half: Half,
        cx: &mut Context<'_>,
        step: impl FnOnce(&mut Core<R, S>, &mut Context<'_>) -> Poll<X>,
    ) -> (Poll<X>, News) {
        let woken = self.waiters.lock().woken;
        let polled = step(core, &mut Context::from_waker(&self.waker));
        let news = self.waiters.take(core, half);
        if polled.is_pending() {
            self.waiters.register(woken, half, cx.waker(), core.poll_timeout());
        }
        (polled, news)
    }

    /// Does something that does not wait; wake the news when no lock is held.
    fn act<R: Role, S, X>(&self, core: &mut Core<R, S>, act: impl FnOnce(&mut Core<R, S>) -> X) -> (X, News) {
        let result = act(core);
        (result, self.waiters.take(core, Half::Writer))
    }
}

/// Wakers that have been taken to be woken when no lock is held.
struct News {
    reader: Option<Waker>,
    writers: Vec<Waker>,
}

impl News {
    fn wake(self) {
        self.reader.into_iter().chain(self.writers).for_each(Waker::wake);
    }
}

impl Waiting {
    fn new(waker: &Waker, deadline: Option<Instant>) -> Self {
        Self { waker: waker.clone(), deadline }
    }

    fn renew(&mut self, waker: &Waker, deadline: Option<Instant>) {
        self.waker.clone_from(waker);
        self.deadline = deadline;
    }
}

/// Returns whether there is a deadline before the one that is armed.
fn is_earlier(deadline: Option<Instant>, armed: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| armed.is_none_or(|armed| deadline < armed))
}

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, Registered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the wakers of tasks for which a step of `half` has brought news.
    fn take<R: Role, S>(&self, core: &mut Core<R, S>, half: Half) -> News {
        let for_writers = core.take_progress();
        if half == Half::Reader && !for_writers {
            return News { reader: None, writers: Vec::new() };
        }
        let for_reader = half == Half::Writer && core.take_reader_news();
        let mut registered = self.lock();
        let is_due = |reader: &mut Waiting| for_reader || is_earlier(core.poll_timeout(), reader.deadline);
        let reader = if half == Half::Writer { registered.reader.take_if(is_due) } else { None };
        let writers = if for_writers { core::mem::take(&mut registered.writers) } else { Vec::new() };
        News { reader: reader.map(|reader| reader.waker), writers }
    }

    /// Registers a task, or wakes it at once if there have been other wake-ups than `woken`. A task that reads has armed
    /// `deadline`.
    fn register(&self, woken: u64, half: Half, waker: &Waker, deadline: Option<Instant>) {
        let mut registered = self.lock();
        if registered.woken != woken {
            drop(registered);
            waker.wake_by_ref();
            return;
        }
        match half {
            Half::Reader => match &mut registered.reader {
                Some(reader) => reader.renew(waker, deadline),
                none => *none = Some(Waiting::new(waker, deadline)),
            },
            Half::Writer if registered.writers.iter().any(|writer| writer.will_wake(waker)) => {}
            Half::Writer => registered.writers.push(waker.clone()),
        }
    }
}

impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let mut registered = self.lock();
        registered.woken += 1;
        let reader = registered.reader.take().map(|reader| reader.waker);
        let news = News { reader, writers: core::mem::take(&mut registered.writers) };
        drop(registered);
        news.wake();
    }
}
