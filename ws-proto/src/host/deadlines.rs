//! When to look after which of many connections.

use core::{cmp::Reverse, time::Duration};

use alloc::{collections::BinaryHeap, vec::Vec};

use crate::time::Instant;

/// The deadlines of many connections, for event loops.
///
/// A connection's [`poll_timeout`](crate::Endpoint::poll_timeout) moves to later with nearly every read. That costs
/// nothing here: the connection comes up at the deadline it had before, finds nothing to do, and is armed anew. Ids
/// are small numbers, as a slab or a table of descriptors gives them; a connection takes 24 bytes.
///
/// ```
/// use core::time::Duration;
/// use ws_proto::Instant;
/// use ws_proto::host::Deadlines;
///
/// let mut deadlines = Deadlines::new();
/// deadlines.arm(7, Some(Instant::from_millis(10)));
/// assert_eq!(deadlines.wait(Instant::ZERO), Some(Duration::from_millis(10)));
/// deadlines.arm(7, Some(Instant::from_millis(20)));
///
/// // The event loop wakes up, and asks connection 7 when to look again.
/// assert_eq!(deadlines.pop(Instant::from_millis(10)), Some(7));
/// deadlines.arm(7, Some(Instant::from_millis(20)));
/// assert_eq!(deadlines.pop(Instant::from_millis(10)), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Deadlines {
    heap: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Which entry of a connection counts; it may have others, which were replaced by earlier ones.
    armed: Vec<Option<Instant>>,
}

impl Deadlines {
    /// None yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { heap: BinaryHeap::new(), armed: Vec::new() }
    }

    /// None yet, but room for those of `capacity` connections: growing later would leave gaps in the heap's memory.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { heap: BinaryHeap::with_capacity(capacity), armed: Vec::with_capacity(capacity) }
    }

    /// How long to wait for the first one; `None` if there is none.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        self.heap.peek().map(|Reverse((at, _))| at.saturating_duration_since(now))
    }

    /// [`pop`](Self::pop) will give out `id` at its deadline or before; never if that is `None`.
    ///
    /// To be called after everything that was done with a connection, and with `None` when it is dropped. The table is as
    /// long as the biggest id.
    pub fn arm(&mut self, id: usize, deadline: Option<Instant>) {
        if deadline.is_some() && id >= self.armed.len() {
            self.armed.resize(id.saturating_add(1), None);
        }
        let Some(armed) = self.armed.get_mut(id) else { return };
        match (deadline, *armed) {
            // Armed again when its entry comes up.
            (Some(at), Some(earlier)) if earlier <= at => {}
            _ => {
                *armed = deadline;
                self.heap.extend(deadline.map(|at| Reverse((at, id))));
                self.forget_replaced();
            }
        }
    }

    /// A connection whose time has come, which is no longer armed; `None` if there is none.
    pub fn pop(&mut self, now: Instant) -> Option<usize> {
        while let Some(&Reverse((at, id))) = self.heap.peek().filter(|Reverse((at, _))| *at <= now) {
            self.heap.pop();
            if let Some(armed) = self.armed.get_mut(id).filter(|armed| **armed == Some(at)) {
                *armed = None;
                return Some(id);
            }
        }
        None
    }

    /// Entries that do not count are dropped when they outnumber the connections, however fast those come and go.
    fn forget_replaced(&mut self) {
        if self.heap.len() > 2 * self.armed.len() + 64 {
            let armed = &self.armed;
            self.heap.retain(|Reverse((at, id))| armed.get(*id) == Some(&Some(*at)));
        }
    }
}
