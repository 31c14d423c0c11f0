//! The pool of output buffers, which all connections of the process share.
//!
//! A connection needs a buffer from the first byte that it queues until the last one is written. That is a moment in
//! which few other connections need one. So a few buffers serve all connections and stay in the processor's cache, and
//! a connection without output has none.

use std::sync::Mutex;

/// The most idle buffers that are kept: more than the threads that write at the same moment.
const MOST_IDLE: usize = 32;
/// Capacity of a new buffer in bytes.
const NEW_CAPACITY: usize = 4 * 1024;
/// The most output, in bytes, after which a buffer returns to the pool. A bigger one is kept by its connection for a
/// stream of big messages, or freed.
pub(crate) const LARGEST_POOLED: usize = 80 * 1024;

static IDLE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Returns an empty buffer with some capacity. Never blocks: allocates when the pool is empty or locked.
pub(crate) fn take() -> Vec<u8> {
    let idle = IDLE.try_lock().ok().and_then(|mut idle| idle.pop());
    idle.unwrap_or_else(|| Vec::with_capacity(NEW_CAPACITY))
}

/// Clears `buffer` and returns it to the pool; frees it if it is too big, or the pool is full or locked.
pub(crate) fn give_back(mut buffer: Vec<u8>) {
    // A `Vec` that grows doubles its capacity.
    if buffer.capacity() == 0 || buffer.capacity() > 2 * LARGEST_POOLED {
        return;
    }
    buffer.clear();
    if let Ok(mut idle) = IDLE.try_lock() {
        if idle.len() < MOST_IDLE {
            idle.push(buffer);
        }
    }
}
