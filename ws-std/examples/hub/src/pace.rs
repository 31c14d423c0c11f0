//! The rate at which a member may write.

use std::time::{Duration, Instant};

/// The most lines in a row that may come too early.
const MOST_EARLY: u32 = 50;

pub(crate) struct Pace {
    /// Lines that may come at once.
    burst: u32,
    /// Time after which another line may come.
    each: Duration,
    /// Time at which a whole burst may come again.
    whole_at: Option<Instant>,
    early: u32,
}

impl Pace {
    pub(crate) const fn new(burst: u32, each: Duration) -> Self {
        Self { burst, each, whole_at: None, early: 0 }
    }

    /// Counts a line, and returns how long it has to wait. `None`: the member has written too fast for too long.
    pub(crate) fn line(&mut self, now: Instant) -> Option<Duration> {
        let whole_at = self.whole_at.map_or(now, |at| at.max(now)) + self.each;
        self.whole_at = Some(whole_at);
        let wait = (whole_at - now).saturating_sub(self.each * self.burst);
        self.early = if wait.is_zero() { 0 } else { self.early + 1 };
        (self.early <= MOST_EARLY).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BURST: u32 = 30;
    const EACH: Duration = Duration::from_millis(100);

    #[test]
    fn a_burst_is_free_then_lines_wait_and_then_it_is_too_much() {
        let (mut pace, mut now) = (Pace::new(BURST, EACH), Instant::now());
        for _ in 0..BURST {
            assert_eq!(pace.line(now), Some(Duration::ZERO));
        }
        for _ in 0..MOST_EARLY {
            assert_eq!(pace.line(now), Some(EACH));
            now += EACH;
        }
        assert_eq!(pace.line(now), None);
    }

    #[test]
    fn a_member_that_pauses_may_go_on() {
        let (mut pace, mut now) = (Pace::new(BURST, EACH), Instant::now());
        for _ in 0..10 * MOST_EARLY {
            assert_eq!(pace.line(now), Some(Duration::ZERO));
            now += EACH;
        }
        for _ in 0..BURST + MOST_EARLY {
            now += pace.line(now).unwrap();
        }
        now += EACH * BURST;
        assert_eq!(pace.line(now), Some(Duration::ZERO));
    }
}
