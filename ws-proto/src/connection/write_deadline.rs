//! The minimum of a peer's progress: how long output may wait for a transport that takes it slowly.

use core::{num::NonZeroU32, time::Duration};

use crate::{
    config::{Config, Millis},
    part::{to_u64, to_usize},
    time::Instant,
};

/// The deadline of output that waits for the transport.
///
/// A peer that reads slowly or not at all holds memory and a place in the host for as long as it is allowed to. Two
/// bounds apply to output that waits:
///
/// - some of it has to be taken within every [`write_timeout`](Config::write_timeout);
/// - all of it has to be taken within that timeout plus its length over
///   [`min_write_rate`](Config::min_write_rate). Bytes that are queued meanwhile extend this bound by their own share,
///   and it never lies further away than a wait that begins now would allow.
///
/// A host calls [`written`](Self::written) after every attempt to write, also after one that took no byte, waits at
/// most until [`poll_timeout`](Self::poll_timeout), and then drops the transport: no Close can reach such a peer.
#[derive(Clone, Copy, Debug)]
pub struct WriteDeadline {
    timeout: Option<Millis>,
    rate: Option<NonZeroU32>,
    waiting: Option<Waiting>,
}

/// Output that waits.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// The time by which some of it must have been taken.
    some: Instant,
    /// The time by which all of it must have been taken; `None` if any progress is enough.
    all: Option<Instant>,
    /// The number of bytes that waited after the last attempt.
    left: usize,
}

impl WriteDeadline {
    /// Creates a deadline; no output waits yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            timeout: config.write_timeout.map(Millis::new),
            rate: NonZeroU32::new(config.min_write_rate),
            waiting: None,
        }
    }

    /// Takes note of an attempt to write: at `now` the transport took `taken` bytes, and `left` bytes wait after it.
    pub fn written(&mut self, now: Instant, taken: usize, left: usize) {
        let Some(timeout) = self.timeout.filter(|_| left > 0) else {
            self.waiting = None;
            return;
        };
        let some = now.saturating_add(timeout.into());
        let fresh = Waiting { some, all: self.after(some, left), left };
        self.waiting = Some(match self.waiting {
            None => fresh,
            Some(before) => {
                let queued = left.saturating_add(taken).saturating_sub(before.left);
                let extended = before.all.and_then(|all| self.after(all, queued));
                if taken == 0 {
                    Waiting { all: extended, left, ..before }
                } else {
                    Waiting { all: extended.min(fresh.all), ..fresh }
                }
            }
        });
    }

    /// Returns when the output that waits must have been taken; `None` if none waits, or it may wait for ever.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.waiting?;
        Some(waiting.all.map_or(waiting.some, |all| all.min(waiting.some)))
    }

    /// Returns whether the peer has been too slow at `now`.
    #[must_use]
    pub fn is_overdue(&self, now: Instant) -> bool {
        self.poll_timeout().is_some_and(|deadline| deadline <= now)
    }

    /// Returns [`write_timeout`](Config::write_timeout).
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout.map(Duration::from)
    }

    /// Changes [`write_timeout`](Config::write_timeout), for output that begins to wait or makes progress from now on.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout.map(Millis::new);
    }

    /// Forgets that output waits: it has been dropped, or a new attempt begins.
    pub const fn reset(&mut self) {
        self.waiting = None;
    }

    /// Returns `start` plus the time that `len` bytes take at the minimum rate; `None` without such a rate.
    fn after(&self, start: Instant, len: usize) -> Option<Instant> {
        let rate = to_usize(self.rate?.get().into()).max(1);
        let (seconds, rest) = (len / rate, len % rate);
        // Avoids a division of 64 bits, which a small machine does in software. A big rate does not need its last
        // digits.
        let millis = match rest.checked_mul(1_000) {
            Some(rest) => rest / rate,
            None => rest / (rate / 1_000).max(1),
        };
        let seconds = start.saturating_add(Duration::from_secs(to_u64(seconds)));
        Some(seconds.saturating_add(Duration::from_millis(to_u64(millis))))
    }
}

impl Default for WriteDeadline {
    /// Returns the deadline of [`Config::default`].
    fn default() -> Self {
        Self::new(&Config::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;

    fn at(seconds: u64) -> Instant {
        Instant::from_millis(seconds * 1_000)
    }

    // K-progress
    #[test]
    fn a_peer_that_takes_nothing_has_the_write_timeout() {
        let mut deadline = WriteDeadline::default();
        assert_eq!(deadline.poll_timeout(), None);
        deadline.written(at(1), 0, 1_000 * KIB);
        deadline.written(at(20), 0, 1_000 * KIB);
        assert_eq!(deadline.poll_timeout(), Some(at(31)));
        assert!(!deadline.is_overdue(at(30)) && deadline.is_overdue(at(31)));
    }

    // K-progress
    #[test]
    fn a_byte_now_and_then_is_too_little() {
        let mut deadline = WriteDeadline::default();
        let mut now = 0;
        let mut left = 64 * KIB;
        deadline.written(at(now), 0, left);
        while !deadline.is_overdue(at(now)) {
            now += 10;
            left -= 1;
            deadline.written(at(now), 1, left);
        }
        // 30 s and 64 KiB at 1 KiB/s.
        assert!((94..=104).contains(&now), "{now}");
    }

    // K-progress
    #[test]
    fn output_that_is_only_taken_gets_no_more_time() {
        let mut deadline = WriteDeadline::default();
        let (mut now, mut left) = (0, 64 * KIB);
        deadline.written(at(now), 0, left);
        // Half the rate.
        while !deadline.is_overdue(at(now)) {
            now += 4;
            left -= 2 * KIB;
            deadline.written(at(now), 2 * KIB, left);
        }
        assert!((92..=96).contains(&now), "{now}");
    }

    // K-progress
    #[test]
    fn output_that_is_queued_meanwhile_gets_its_share_and_no_more() {
        let mut deadline = WriteDeadline::default();
        let mut now = 0;
        let left = 64 * KIB;
        deadline.written(at(now), 0, left);
        // Half the rate, and the queue is filled up each time.
        while !deadline.is_overdue(at(now)) {
            now += 4;
            deadline.written(at(now), 2 * KIB, left);
        }
        assert!((188..=196).contains(&now), "{now}");
        // A peer at twice the rate is kept, and earns no credit for later.
        let mut deadline = WriteDeadline::default();
        for now in 0..1_000 {
            deadline.written(at(now), 2 * KIB, left);
            assert_eq!(deadline.poll_timeout(), Some(at(now + 30)));
        }
        deadline.written(at(1_020), 1, left);
        deadline.written(at(1_040), 1, left);
        assert_eq!(deadline.poll_timeout(), Some(at(1_070)));
        deadline.written(at(1_069), 1, left);
        // 999 + 94, and two bytes' share.
        assert!(deadline.is_overdue(at(1_094)) && !deadline.is_overdue(at(1_092)));
    }

    #[test]
    fn without_a_minimum_rate_any_progress_is_enough() {
        let mut config = Config::new();
        config.min_write_rate = 0;
        let mut deadline = WriteDeadline::new(&config);
        for now in 0..100 {
            deadline.written(at(29 * now), 1, 64 * KIB);
            assert_eq!(deadline.poll_timeout(), Some(at(29 * now + 30)));
        }
        config.write_timeout = None;
        let mut deadline = WriteDeadline::new(&config);
        deadline.written(at(0), 0, 1);
        assert_eq!(deadline.poll_timeout(), None);
    }

    // K-progress
    #[test]
    fn output_that_is_all_taken_waits_no_more() {
        let mut deadline = WriteDeadline::default();
        deadline.written(at(0), 1, 1);
        deadline.written(at(1), 1, 0);
        assert_eq!(deadline.poll_timeout(), None);
        deadline.written(at(100), 0, 1);
        assert_eq!(deadline.poll_timeout(), Some(at(130)));
        deadline.reset();
        assert_eq!(deadline.poll_timeout(), None);
    }
}
