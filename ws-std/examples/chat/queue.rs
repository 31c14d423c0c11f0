//! Lines that wait for a member to read them.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The most bytes that may wait for a member.
const MOST_BYTES: usize = 256 * 1024;
/// The longest time that a line may wait for a member.
const MOST_BEHIND: Duration = Duration::from_secs(10);

/// An element of a queue.
pub(crate) trait Line: Clone {
    /// Returns the length in bytes.
    fn len(&self) -> usize;
}

pub(crate) struct Queue<L> {
    waiting: Mutex<Waiting<L>>,
    changed: Condvar,
}

struct Waiting<L> {
    lines: VecDeque<(Instant, L)>,
    bytes: usize,
    /// Time at which the line that is being written was queued.
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

    /// Adds a line. Returns false, and closes the queue, if the member reads too slowly.
    pub(crate) fn push(&self, now: Instant, line: L) -> bool {
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

    /// Waits for a line, which the caller then writes. `None`: the queue is closed.
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

#[cfg(test)]
mod tests {
    use super::*;

    impl Line for &str {
        fn len(&self) -> usize {
            str::len(self)
        }
    }

    #[test]
    fn lines_come_out_as_they_went_in() {
        let (queue, now) = (Queue::new(), Instant::now());
        assert!(queue.push(now, "one") && queue.push(now, "two"));
        assert_eq!((queue.pop(), queue.pop()), (Some("one"), Some("two")));
        queue.close();
        assert_eq!(queue.pop(), None);
        assert!(!queue.push(now, "three"));
    }

    #[test]
    fn many_short_lines_fit_but_not_more_bytes_than_the_most() {
        let (queue, now) = (Queue::new(), Instant::now());
        let half = "x".repeat(MOST_BYTES / 2);
        assert!((0..3_000).all(|_| queue.push(now, "short")));
        assert!(queue.push(now, &half));
        assert!(!queue.push(now, &half));
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn a_member_is_late_whose_oldest_line_waits_or_is_written_for_too_long() {
        let start = Instant::now();
        let late = start + MOST_BEHIND + Duration::from_millis(1);
        for written in [false, true] {
            let queue = Queue::new();
            assert!(queue.push(start, "old"));
            if written {
                assert_eq!(queue.pop(), Some("old"));
            }
            assert!(queue.push(start + MOST_BEHIND, "in time"));
            assert!(!queue.push(late, "too late"));
        }
        let queue = Queue::new();
        assert!(queue.push(start, "old") && queue.push(late - MOST_BEHIND, "new"));
        assert_eq!((queue.pop(), queue.pop()), (Some("old"), Some("new")));
        assert!(queue.push(late, "in time"));
    }
}
