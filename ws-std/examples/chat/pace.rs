//! How fast a member may write.

use std::time::{Duration, Instant};

/// Lines that may come at once, and the time after which each of them may come again.
const BURST: u32 = 30;
const EACH: Duration = Duration::from_millis(100);
/// Lines in a row that may come too early.
const MOST_EARLY: u32 = 50;

#[derive(Default)]
pub(crate) struct Pace {
    /// When a whole burst may come again.
    whole_at: Option<Instant>,
    early: u32,
}

impl Pace {
    /// Counts a line; returns how long it has to wait. `None`: the member goes on writing too fast.
    pub(crate) fn line(&mut self, now: Instant) -> Option<Duration> {
        let whole_at = self.whole_at.map_or(now, |at| at.max(now)) + EACH;
        self.whole_at = Some(whole_at);
        let wait = (whole_at - now).saturating_sub(EACH * BURST);
        self.early = if wait.is_zero() { 0 } else { self.early + 1 };
        (self.early <= MOST_EARLY).then_some(wait)
    }
}
