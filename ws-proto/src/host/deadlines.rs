//! The deadlines of many connections.

use core::{cmp::Reverse, time::Duration};

use alloc::{collections::BinaryHeap, vec::Vec};

use crate::time::Instant;

/// The deadlines of many connections, for event loops.
///
/// A connection's [`poll_timeout`](crate::Endpoint::poll_timeout) moves later with nearly every read. Such a move
/// costs no heap operation: the connection comes up at its earlier deadline, finds that no work is due, and is armed
/// anew. Ids are small numbers, such as indices of a slab or descriptors; a connection takes 24 bytes.
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
    /// The entry of each connection that counts; others of it in the heap have been replaced by earlier ones.
    armed: Vec<Option<Instant>>,
}

impl Deadlines {
    /// Creates an empty table.
    #[must_use]
    pub const fn new() -> Self {
        Self { heap: BinaryHeap::new(), armed: Vec::new() }
    }

    /// Creates an empty table with room for `capacity` connections: growing later would leave gaps in the heap's
    /// memory.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self { heap: BinaryHeap::with_capacity(capacity), armed: Vec::with_capacity(capacity) }
    }

    /// Returns how long to wait for the first deadline; `None` if there is none.
    #[must_use]
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        self.heap.peek().map(|Reverse((at, _))| at.saturating_duration_since(now))
    }

    /// Arms connection `id`: [`pop`](Self::pop) will return it at `deadline` or before; never if that is `None`.
    ///
    /// Call it after all work on a connection, and with `None` when the connection is dropped. The table is as long as
    /// the biggest id.
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

    /// Returns a connection whose deadline has passed, which is then no longer armed; `None` if there is none.
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

    /// Drops entries that do not count when they outnumber the connections, however fast those come and go.
    fn forget_replaced(&mut self) {
        if self.heap.len() > 2 * self.armed.len() + 64 {
            let armed = &self.armed;
            self.heap.retain(|Reverse((at, id))| armed.get(*id) == Some(&Some(*at)));
        }
    }
}
