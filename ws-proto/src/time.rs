//! Time as data: the endpoint never reads a clock, it is told.

use core::{fmt, num::NonZeroU64, time::Duration};

/// A point in time, in nanoseconds since an epoch of the caller's choice.
///
/// Any monotonic clock will do (`std::time::Instant` minus the one taken at start-up, a hardware tick
/// counter, `performance.now()`); 64 bits last for 584 years. The type and its `Option` are 8 bytes each.
///
/// ```
/// let epoch = std::time::Instant::now();
/// let now = ws_proto::Instant::from(epoch.elapsed());
/// let deadline = epoch + core::time::Duration::from(now);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(NonZeroU64); // nanoseconds + 1, for the niche

/// The earlier of two deadlines, of which either may be none.
pub(crate) fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl Instant {
    /// The caller's epoch itself.
    pub const ZERO: Self = Self::from_nanos(0);

    /// The instant `nanos` nanoseconds after the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(nanos))
    }

    /// The instant `millis` milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self::from_nanos(millis.saturating_mul(1_000_000))
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0.get() - 1
    }

    /// This instant moved `duration` into the future, or the last representable one.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let nanos = duration.as_secs().saturating_mul(1_000_000_000);
        let nanos = nanos.saturating_add(u64::from(duration.subsec_nanos()));
        Self(self.0.saturating_add(nanos))
    }

    /// How long after `earlier` this instant is; zero if it is not after it.
    #[must_use]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }
}

/// The instant that long after the epoch, or the last representable one.
impl From<Duration> for Instant {
    fn from(since_epoch: Duration) -> Self {
        Self::ZERO.saturating_add(since_epoch)
    }
}

/// How long after the epoch it is.
impl From<Instant> for Duration {
    fn from(instant: Instant) -> Self {
        Self::from_nanos(instant.as_nanos())
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&Duration::from(*self), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_optional_instant_takes_eight_bytes() {
        assert_eq!(size_of::<Option<Instant>>(), 8);
    }

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let late = Instant::from_nanos(u64::MAX);
        assert_eq!(late.saturating_add(Duration::MAX), late);
        assert_eq!(Instant::ZERO.saturating_duration_since(late), Duration::ZERO);
        assert_eq!(Instant::from_millis(3).as_nanos(), 3_000_000);
    }
}
