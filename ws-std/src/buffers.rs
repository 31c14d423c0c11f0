//! Pools of buffers, which all connections of the process share.
//!
//! A connection needs a buffer for output from the first byte that it queues until the last one is written, and one for
//! ciphertext during a write, and from a read until the application has taken what came. Few connections do that at the same
//! moment. So a few buffers serve all of them and stay in the processor's cache, and an idle connection has none.

use std::sync::Mutex;

/// The most idle buffers that a pool keeps: more than the threads that use one at the same moment.
const MOST_IDLE: usize = 32;
/// Capacity of a new buffer in bytes.
const NEW_CAPACITY: usize = 4 * 1024;
/// The most output, in bytes, after which a buffer returns to the pool. A bigger one is kept by its connection for a
/// stream of big messages, or freed.
pub(crate) const LARGEST_POOLED: usize = 80 * 1024;

/// Empty buffers with some capacity, for output.
static OUTPUT: Pool = Pool::new();
/// Buffers of [`CIPHERTEXT_LEN`] bytes. They keep these, so that the next use does not have to make them valid again.
#[cfg(feature = "rustls")]
static CIPHERTEXT: Pool = Pool::new();
/// Length of a buffer for ciphertext in bytes: four of the longest records that are usual.
#[cfg(feature = "rustls")]
pub(crate) const CIPHERTEXT_LEN: usize = 68 * 1024;

/// Returns an empty buffer with some capacity. Never blocks: allocates when the pool is empty or locked.
pub(crate) fn take() -> Vec<u8> {
    OUTPUT.pop().unwrap_or_else(|| Vec::with_capacity(NEW_CAPACITY))
}

/// Clears `buffer` and returns it to the pool; frees it if it is too big, or the pool is full or locked.
pub(crate) fn give_back(mut buffer: Vec<u8>) {
    // A `Vec` that grows doubles its capacity.
    if buffer.capacity() == 0 || buffer.capacity() > 2 * LARGEST_POOLED {
        return;
    }
    buffer.clear();
    OUTPUT.push(buffer);
}

/// Returns a buffer of [`CIPHERTEXT_LEN`] bytes of any value.
#[cfg(feature = "rustls")]
pub(crate) fn take_ciphertext() -> Vec<u8> {
    CIPHERTEXT.pop().unwrap_or_else(|| vec![0; CIPHERTEXT_LEN])
}

/// Returns a buffer to the pool, if it is one of the pool's.
#[cfg(feature = "rustls")]
pub(crate) fn give_ciphertext(buffer: Vec<u8>) {
    if buffer.len() == CIPHERTEXT_LEN {
        CIPHERTEXT.push(buffer);
    }
}

struct Pool {
    idle: Mutex<Vec<Vec<u8>>>,
}

impl Pool {
    const fn new() -> Self {
        Self { idle: Mutex::new(Vec::new()) }
    }

    fn pop(&self) -> Option<Vec<u8>> {
        self.idle.try_lock().ok()?.pop()
    }

    fn push(&self, buffer: Vec<u8>) {
        if let Ok(mut idle) = self.idle.try_lock() {
            if idle.len() < MOST_IDLE {
                idle.push(buffer);
            }
        }
    }
}
