//! Memory that the connections of a thread use in turn.
//!
//! A connection needs memory for input while it reads, and for output from the first byte that it queues until the last one is
//! written. Between two polls most connections need neither. So each thread keeps a few buffers, which stay in the
//! processor's cache, and an idle connection has none.

use std::cell::RefCell;

use bytes::BytesMut;

/// Length of the memory for input in bytes: at this length a read is cheap beside its bytes.
pub(crate) const INPUT_LEN: usize = 64 * 1024;
/// The least memory for input that is kept. Messages that are taken out of it use it up from the front.
const LEAST_INPUT: usize = 16 * 1024;
/// Capacity of new memory for output, in bytes.
const NEW_OUTPUT: usize = 4 * 1024;
/// The most memory for output, in bytes, that is kept.
const MOST_OUTPUT: usize = 160 * 1024;
/// The most buffers of each kind that a thread keeps.
const MOST_IDLE: usize = 4;

#[derive(Default)]
struct Idle {
    input: Vec<BytesMut>,
    output: Vec<Vec<u8>>,
}

thread_local! {
    static IDLE: RefCell<Idle> = RefCell::default();
}

/// Returns memory for input; its length is what can be read to.
pub(crate) fn take_input() -> BytesMut {
    with_idle(|idle| idle.input.pop()).unwrap_or_else(|| BytesMut::zeroed(INPUT_LEN))
}

/// Keeps memory for input, or frees it if there is little of it or enough is kept.
pub(crate) fn give_input(memory: BytesMut) {
    if memory.len() >= LEAST_INPUT && memory.len() <= INPUT_LEN {
        with_idle(|idle| keep(&mut idle.input, memory));
    }
}

/// Returns empty memory for output.
pub(crate) fn take_output() -> Vec<u8> {
    with_idle(|idle| idle.output.pop()).unwrap_or_else(|| Vec::with_capacity(NEW_OUTPUT))
}

/// Keeps empty memory for output, or frees it if it is big or enough is kept.
pub(crate) fn give_output(memory: Vec<u8>) {
    debug_assert!(memory.is_empty());
    if (1..=MOST_OUTPUT).contains(&memory.capacity()) {
        with_idle(|idle| keep(&mut idle.output, memory));
    }
}

fn keep<M>(idle: &mut Vec<M>, memory: M) -> Option<()> {
    if idle.len() < MOST_IDLE {
        idle.push(memory);
    }
    Some(())
}

/// Returns `None` while the thread ends.
fn with_idle<X>(f: impl FnOnce(&mut Idle) -> Option<X>) -> Option<X> {
    IDLE.try_with(|idle| idle.try_borrow_mut().ok().and_then(|mut idle| f(&mut idle))).ok().flatten()
}
