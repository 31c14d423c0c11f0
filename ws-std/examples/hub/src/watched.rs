//! A state that threads wait for.

use std::{
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
pub(crate) struct Watched<S> {
    inner: Mutex<Inner<S>>,
}

#[derive(Default)]
struct Inner<S> {
    state: S,
    waiting: Vec<Thread>,
}

/// A note for the thread that waits on behalf of a client: the client has left.
#[derive(Default)]
pub(crate) struct Leave(AtomicBool);

impl Leave {
    /// Ends the waiting of `thread`, now and later.
    pub(crate) fn leave(&self, thread: &Thread) {
        self.0.store(true, Ordering::Release);
        thread.unpark();
    }
}

impl<S> Watched<S> {
    pub(crate) fn new(state: S) -> Self {
        Self { inner: Mutex::new(Inner { state, waiting: Vec::new() }) }
    }

    /// Waits until `look` finds something in the state. `None`: the client has left, or `until` has passed.
    pub(crate) fn wait<X>(
        &self,
        until: Option<Instant>,
        leave: Option<&Leave>,
        mut look: impl FnMut(&S) -> Option<X>,
    ) -> Option<X> {
        loop {
            let mut inner = lock(&self.inner);
            let has_left = leave.is_some_and(|leave| leave.0.load(Ordering::Acquire));
            if let (false, found @ Some(_)) = (has_left, look(&inner.state)) {
                return found;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if has_left || left.is_some_and(|left| left.is_zero()) {
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
        let mut inner = lock(&self.inner);
        let result = change(&mut inner.state);
        let waiting = std::mem::take(&mut inner.waiting);
        drop(inner);
        waiting.iter().for_each(Thread::unpark);
        result
    }

    pub(crate) fn look<X>(&self, look: impl FnOnce(&S) -> X) -> X {
        look(&lock(&self.inner).state)
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
                thread::spawn(move || watched.wait(None, None, |state| (*state >= wanted).then_some(*state)))
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
    fn waiting_ends_with_the_time_and_when_the_client_leaves() {
        let watched = Watched::new(0);
        let until = Instant::now() + Duration::from_millis(20);
        assert_eq!(watched.wait(Some(until), None, |_| None::<()>), None);
        assert!(Instant::now() >= until);
        let (leave, this) = (Leave::default(), thread::current());
        thread::scope(|scope| {
            scope.spawn(|| leave.leave(&this));
            assert_eq!(watched.wait(None, Some(&leave), |_| None::<()>), None);
        });
    }
}
