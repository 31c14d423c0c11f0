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

/// Returns a limit of `len` bytes. With a model checker it is 1,024 times smaller, so that short messages reach it.
pub(crate) const fn limit(len: usize) -> usize {
    if cfg!(shuttle) { len / 1024 } else { len }
}
