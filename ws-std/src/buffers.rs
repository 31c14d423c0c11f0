//! Output buffers, which connections lend each other.
//!
//! A connection needs one from the first byte that it queues until the last one is written: for a moment, in which few
//! others do. So there are few of them, which stay in the processor's cache, and a connection that writes nothing has none.

use std::sync::Mutex;

/// More than threads that write at the same moment.
const MOST: usize = 32;
/// What a new one has room for.
const SMALLEST: usize = 4 * 1024;
/// What one has been used for at most. What is needed beyond that is a stream of big messages' own.
pub(crate) const LARGEST: usize = 80 * 1024;

static IDLE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// An empty buffer with some capacity. Nobody waits for one: while somebody else takes or gives back, it is a new one.
pub(crate) fn take() -> Vec<u8> {
    let idle = IDLE.try_lock().ok().and_then(|mut idle| idle.pop());
    idle.unwrap_or_else(|| Vec::with_capacity(SMALLEST))
}

/// Lends `buffer`, whose content is of no use any more, to whoever takes one next.
pub(crate) fn give_back(mut buffer: Vec<u8>) {
    // Growing doubles.
    if buffer.capacity() == 0 || buffer.capacity() > 2 * LARGEST {
        return;
    }
    buffer.clear();
    if let Ok(mut idle) = IDLE.try_lock() {
        if idle.len() < MOST {
            idle.push(buffer);
        }
    }
}
