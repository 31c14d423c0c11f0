//! Lines that wait for a member to read them.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Bytes that may wait for a member.
const MOST_BYTES: usize = 256 * 1024;
/// How far a member may be behind the others.
const MOST_BEHIND: Duration = Duration::from_secs(10);

/// What waits, and its length in bytes.
pub(crate) trait Line: Clone {
    fn len(&self) -> usize;
}

pub(crate) struct Queue<L> {
    waiting: Mutex<Waiting<L>>,
    changed: Condvar,
}

struct Waiting<L> {
    lines: VecDeque<(Instant, L)>,
    bytes: usize,
    /// When the line was queued that is being written.
    writing: Option<Instant>,
    closed: bool,
}

impl<L: Line> Queue<L> {
    pub(crate) fn new() -> Self {
        let waiting = Waiting { lines: VecDeque::new(), bytes: 0, writing: None, closed: false };
        Self { waiting: Mutex::new(waiting), changed: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<L>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line. Returns whether the member keeps up; if not, the queue is closed.
    pub(crate) fn push(&self, line: L) -> bool {
        let now = Instant::now();
        let mut waiting = self.lock();
        let oldest = waiting.writing.or(waiting.lines.front().map(|(queued, _)| *queued));
        let is_late = oldest.is_some_and(|queued| now - queued > MOST_BEHIND);
        if is_late || waiting.bytes + line.len() > MOST_BYTES {
            waiting.closed = true;
        } else {
            waiting.bytes += line.len();
            waiting.lines.push_back((now, line));
        }
        let keeps_up = !waiting.closed;
        drop(waiting);
        self.changed.notify_one();
        keeps_up
    }

    /// Waits for a line, which the caller then writes; `None` once the queue is closed.
    pub(crate) fn pop(&self) -> Option<L> {
        let mut waiting = self.lock();
        waiting.writing = None;
        let is_idle = |waiting: &mut Waiting<L>| !waiting.closed && waiting.lines.is_empty();
        let mut waiting = self.changed.wait_while(waiting, is_idle).unwrap_or_else(PoisonError::into_inner);
        if waiting.closed {
            return None;
        }
        let (queued, line) = waiting.lines.pop_front()?;
        waiting.bytes -= line.len();
        waiting.writing = Some(queued);
        Some(line)
    }

    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }
}
