//! The locks of a connection: those of `std`, or those of a model checker, which tries many orders of their use.

#[cfg(shuttle)]
pub(crate) use shuttle::{
    sync::{Condvar, Mutex, MutexGuard},
    thread::yield_now,
};
#[cfg(not(shuttle))]
pub(crate) use std::{
    sync::{Condvar, Mutex, MutexGuard},
    thread::yield_now,
};

/// Lets other threads take a turn, and perhaps `time` pass: the waits of shuttle never time out.
#[cfg(shuttle)]
pub(crate) fn pass(time: core::time::Duration) {
    use shuttle::rand::{Rng, thread_rng};

    yield_now();
    if thread_rng().r#gen() {
        crate::advance_to(crate::clock::now() + time);
    }
}

/// Returns a limit of `len` bytes. With a model checker it is 1,024 times smaller, so that short messages reach it.
pub(crate) const fn limit(len: usize) -> usize {
    if cfg!(shuttle) { len / 1024 } else { len }
}

/// Returns the length that a length of `len` bytes stands for: with a model checker it is 1,024 times as great.
pub(crate) const fn unscaled(len: usize) -> usize {
    if cfg!(shuttle) { 1024 * len } else { len }
}
