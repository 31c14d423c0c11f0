//! The rate at which a member may write.

use std::time::{Duration, Instant};

pub(crate) struct Pace {
    /// Lines that may come at once.
    burst: u32,
    /// Time after which another line may come.
    each: Duration,
    /// Time at which a whole burst may come again.
    whole_at: Option<Instant>,
}

impl Pace {
    pub(crate) const fn new(burst: u32, each: Duration) -> Self {
        Self { burst, each, whole_at: None }
    }

    /// Counts a line, and returns how long it has to wait. Meanwhile no other is read, so that the member is slowed down.
    pub(crate) fn line(&mut self, now: Instant) -> Duration {
        let whole_at = self.whole_at.map_or(now, |at| at.max(now)) + self.each;
        self.whole_at = Some(whole_at);
        (whole_at - now).saturating_sub(self.each * self.burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BURST: u32 = 30;
    const EACH: Duration = Duration::from_millis(100);

    #[test]
    fn a_burst_is_free_and_then_lines_wait() {
        let (mut pace, mut now) = (Pace::new(BURST, EACH), Instant::now());
        for _ in 0..BURST {
            assert_eq!(pace.line(now), Duration::ZERO);
        }
        for _ in 0..3 {
            assert_eq!(pace.line(now), EACH);
            now += EACH;
        }
        now += EACH * BURST;
        for _ in 0..BURST {
            assert_eq!(pace.line(now), Duration::ZERO, "after a pause");
        }
        assert_eq!(pace.line(now), EACH);
    }
}
