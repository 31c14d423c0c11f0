//! A state that threads wait for.

use std::{
    mem,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, Thread},
    time::Instant,
};

use crate::lock;

/// A state, and the threads that wait until it has changed. A change wakes them all; each looks for itself.
#[derive(Default)]
pub(crate) struct Watched<S>(Mutex<Inner<S>>);

#[derive(Default)]
struct Inner<S> {
    state: S,
    /// The process is about to end.
    is_over: bool,
    waiting: Vec<Thread>,
}

/// A thread that waits on behalf of a client: until the client leaves, or a time has passed.
#[derive(Default)]
pub(crate) struct Waiter {
    until: Option<Instant>,
    has_left: AtomicBool,
}

impl Waiter {
    pub(crate) fn until(until: Instant) -> Self {
        Self { until: Some(until), ..Self::default() }
    }

    /// Ends the waiting of `thread`, now and later.
    pub(crate) fn leave(&self, thread: &Thread) {
        self.has_left.store(true, Ordering::Release);
        thread.unpark();
    }
}

impl<S> Watched<S> {
    pub(crate) const fn new(state: S) -> Self {
        Self(Mutex::new(Inner { state, is_over: false, waiting: Vec::new() }))
    }

    /// Waits until `look` finds something in the state. `None`: the time of the waiter has passed, its client has left, or
    /// the process is about to end.
    pub(crate) fn wait<X>(&self, waiter: &Waiter, mut look: impl FnMut(&S) -> Option<X>) -> Option<X> {
        loop {
            let mut inner = lock(&self.0);
            let is_over = inner.is_over || waiter.has_left.load(Ordering::Acquire);
            if let (false, found @ Some(_)) = (is_over, look(&inner.state)) {
                return found;
            }
            let left = waiter.until.map(|until| until.saturating_duration_since(Instant::now()));
            if is_over || left.is_some_and(|left| left.is_zero()) {
                inner.waiting.retain(|thread| thread.id() != thread::current().id());
                return None;
            }
            inner.waiting.push(thread::current());
            drop(inner);
            left.map_or_else(thread::park, thread::park_timeout);
        }
    }

    /// Changes the state and wakes the threads that wait.
    pub(crate) fn change<X>(&self, change: impl FnOnce(&mut S) -> X) -> X {
        self.wake_after(|inner| change(&mut inner.state))
    }

    /// Ends all waiting, because the process ends.
    pub(crate) fn end(&self) {
        self.wake_after(|inner| inner.is_over = true);
    }

    pub(crate) fn is_over(&self) -> bool {
        lock(&self.0).is_over
    }

    pub(crate) fn look<X>(&self, look: impl FnOnce(&S) -> X) -> X {
        look(&lock(&self.0).state)
    }

    fn wake_after<X>(&self, change: impl FnOnce(&mut Inner<S>) -> X) -> X {
        let mut inner = lock(&self.0);
        let result = change(&mut inner);
        let waiting = mem::take(&mut inner.waiting);
        drop(inner);
        waiting.iter().for_each(Thread::unpark);
        result
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;

    #[test]
    fn a_change_wakes_those_that_wait_for_it() {
        let watched = Arc::new(Watched::new(0));
        let threads: Vec<_> = (1..=3)
            .map(|wanted| {
                let watched = Arc::clone(&watched);
                thread::spawn(move || {
                    watched.wait(&Waiter::default(), |state| (*state >= wanted).then_some(*state))
                })
            })
            .collect();
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(10));
            watched.change(|state| *state += 1);
        }
        for (thread, wanted) in threads.into_iter().zip(1..) {
            assert!(thread.join().unwrap().unwrap() >= wanted);
        }
    }

    #[test]
    fn waiting_ends_with_the_time_with_the_client_and_with_the_process() {
        let (watched, until) = (Watched::new(0), Instant::now() + Duration::from_millis(20));
        assert_eq!(watched.wait(&Waiter::until(until), |_| None::<()>), None);
        assert!(Instant::now() >= until);
        let (waiter, this) = (Waiter::default(), thread::current());
        thread::scope(|scope| {
            scope.spawn(|| waiter.leave(&this));
            assert_eq!(watched.wait(&waiter, |_| None::<()>), None);
        });
        let waiter = Waiter::default();
        thread::scope(|scope| {
            scope.spawn(|| watched.end());
            assert_eq!(watched.wait(&waiter, |_| None::<()>), None);
        });
        assert_eq!(watched.wait(&waiter, |state| Some(*state)), None, "it stays over");
    }
}
