//! The deadlines of many connections, for event loops.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use ws_proto::Instant;

/// When to look after which connection. A deadline that moves to later costs nothing before it was due.
pub struct Deadlines {
    heap: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Which entry of a connection counts; it may have others, which were replaced by earlier ones.
    armed: Vec<Option<Instant>>,
}

impl Deadlines {
    /// None yet, but address space for those of `capacity` connections: memory that grows leaves gaps behind.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { heap: BinaryHeap::with_capacity(capacity), armed: Vec::with_capacity(capacity) }
    }

    /// How long to wait for the first one; `None` if there is none.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        self.heap.peek().map(|Reverse((at, _))| at.saturating_duration_since(now))
    }

    /// [`pop`](Self::pop) will give out `id` at its deadline or before; never if that is `None`.
    pub fn arm(&mut self, id: usize, deadline: Option<Instant>) {
        if id >= self.armed.len() {
            self.armed.resize(id + 1, None);
        }
        let armed = &mut self.armed[id];
        match (deadline, *armed) {
            // Armed again when its entry comes up.
            (Some(at), Some(earlier)) if earlier <= at => {}
            _ => {
                *armed = deadline;
                self.heap.extend(deadline.map(|at| Reverse((at, id))));
            }
        }
    }

    /// A connection whose time has come, which is no longer armed.
    pub fn pop(&mut self, now: Instant) -> Option<usize> {
        while let Some(&Reverse((at, id))) = self.heap.peek().filter(|Reverse((at, _))| *at <= now) {
            self.heap.pop();
            if self.armed[id] == Some(at) {
                self.armed[id] = None;
                return Some(id);
            }
        }
        None
    }
}
