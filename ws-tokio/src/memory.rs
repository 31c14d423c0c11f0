//! Memory that the connections of a thread use in turn.
//!
//! A connection needs memory for input while it reads, and for output from the first byte that it queues until the last one is
//! written. Between two polls most connections need neither. So each thread keeps a few buffers, which stay in the
//! processor's cache, and an idle connection has none.

use std::{cell::RefCell, thread::LocalKey};

use bytes::BytesMut;
use ws_proto::MessageBuffer;

/// Length of new memory for input in bytes: at this length a read is cheap beside its bytes.
pub(crate) const INPUT_LEN: usize = 64 * 1024;
/// The least memory for input that is kept. Messages that are taken out of it use it up from the front.
const LEAST_INPUT: usize = 16 * 1024;
/// Capacity of new memory for output, in bytes.
const NEW_OUTPUT: usize = 4 * 1024;
/// The longest message, in bytes, whose memory is kept for input and for output each: the longest by default.
const LARGEST_KEPT: usize = 1 << 20;
/// The most memory of a connection that is kept, in bytes: that of such a message, with what is reserved for its header.
const MOST_HELD: usize = LARGEST_KEPT + 64;
/// The most bytes that a thread keeps for input and for output each.
const MOST_KEPT: usize = 4 * MOST_HELD;

/// Memory that no connection uses.
struct Idle<M> {
    memories: Vec<M>,
    /// Their bytes.
    held: usize,
}

thread_local! {
    static INPUT: RefCell<Idle<Box<Input>>> = const { RefCell::new(Idle::new()) };
    static OUTPUT: RefCell<Idle<Vec<u8>>> = const { RefCell::new(Idle::new()) };
}

/// Memory of some length.
trait Memory {
    fn held(&self) -> usize;
}

/// The buffer that a connection reads into.
pub(crate) type Input = MessageBuffer<BytesMut>;

impl Memory for Box<Input> {
    fn held(&self) -> usize {
        self.held_bytes()
    }
}

impl Memory for Vec<u8> {
    fn held(&self) -> usize {
        self.capacity()
    }
}

impl<M: Memory> Idle<M> {
    const fn new() -> Self {
        Self { memories: Vec::new(), held: 0 }
    }

    fn take(&mut self) -> Option<M> {
        let memory = self.memories.pop()?;
        self.held -= memory.held();
        Some(memory)
    }

    /// Keeps `memory`, or frees it if it is big or enough is kept.
    fn give(&mut self, memory: M) {
        let held = memory.held();
        if held <= MOST_HELD && self.held + held <= MOST_KEPT {
            self.held += held;
            self.memories.push(memory);
        }
    }
}

/// Returns an empty buffer for input.
pub(crate) fn take_input() -> Box<Input> {
    let new = || Box::new(MessageBuffer::new(BytesMut::zeroed(INPUT_LEN)).keeping(LARGEST_KEPT));
    with(&INPUT, Idle::take).flatten().unwrap_or_else(new)
}

/// Keeps an empty buffer for input for another connection, or frees it.
pub(crate) fn give_input(buffer: Box<Input>) {
    debug_assert!(buffer.is_empty());
    if buffer.held() >= LEAST_INPUT {
        with(&INPUT, |idle| idle.give(buffer));
    }
}

/// Returns empty memory for output.
pub(crate) fn take_output() -> Vec<u8> {
    with(&OUTPUT, Idle::take).flatten().unwrap_or_else(|| Vec::with_capacity(NEW_OUTPUT))
}

/// Keeps empty memory for output for another connection, or frees it.
pub(crate) fn give_output(memory: Vec<u8>) {
    debug_assert!(memory.is_empty());
    if memory.capacity() > 0 {
        with(&OUTPUT, |idle| idle.give(memory));
    }
}

/// Returns `None` while the thread ends.
fn with<M, X>(idle: &'static LocalKey<RefCell<Idle<M>>>, f: impl FnOnce(&mut Idle<M>) -> X) -> Option<X> {
    idle.try_with(|idle| f(&mut idle.borrow_mut())).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test panics where it fails")]
mod tests {
    use ws_proto::{Client, Config, Endpoint, Instant, Message, driver::OsEntropy, endpoint::Negotiated};

    use super::*;

    #[test]
    fn the_memory_of_a_message_of_the_default_limit_is_kept() {
        let config = Config::default();
        let payload = vec![7; usize::try_from(config.max_message_len).unwrap()];
        let mut endpoint = Endpoint::new(Client::new(OsEntropy), &config, Negotiated::default(), Instant::ZERO);
        let mut output = take_output();
        endpoint.write_to(Message::Binary(&payload), &mut output).unwrap();
        let (place, capacity) = (output.as_ptr(), output.capacity());
        output.clear();
        give_output(output);
        let again = take_output();
        assert_eq!((again.as_ptr(), again.capacity()), (place, capacity));
    }
}
