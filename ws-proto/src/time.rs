//! Time as data: an endpoint never reads a clock, its caller passes the time.

use core::{fmt, num::NonZeroU64, time::Duration};

/// A point in time, in nanoseconds since an epoch of the caller's choice.
///
/// Any monotonic clock will do: `std::time::Instant` minus the one taken at start-up, a hardware tick counter,
/// `performance.now()`. 64 bits last for 584 years. The type and its `Option` are 8 bytes each.
///
/// ```
/// let epoch = std::time::Instant::now();
/// let now = ws_proto::Instant::from(epoch.elapsed());
/// let deadline = epoch + core::time::Duration::from(now);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(NonZeroU64); // nanoseconds + 1, so that `Option` needs no room

/// Returns the earlier of two deadlines, or `None` if both are `None`.
pub(crate) fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

impl Instant {
    /// The caller's epoch.
    pub const ZERO: Self = Self::from_nanos(0);

    /// Returns the instant `nanos` nanoseconds after the epoch.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(NonZeroU64::MIN.saturating_add(nanos))
    }

    /// Returns the instant `millis` milliseconds after the epoch, or the last representable one.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self::from_nanos(millis.saturating_mul(1_000_000))
    }

    /// Returns the nanoseconds since the epoch.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0.get() - 1
    }

    /// Returns the instant `duration` after this one, or the last representable one.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        let nanos = duration.as_secs().saturating_mul(1_000_000_000);
        let nanos = nanos.saturating_add(u64::from(duration.subsec_nanos()));
        Self(self.0.saturating_add(nanos))
    }

    /// Returns the time from `earlier` to this instant, or zero if `earlier` is later.
    #[must_use]
    pub const fn saturating_duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.get().saturating_sub(earlier.0.get()))
    }
}

/// Converts a time since the epoch, saturating at the last representable instant.
impl From<Duration> for Instant {
    fn from(since_epoch: Duration) -> Self {
        Self::ZERO.saturating_add(since_epoch)
    }
}

/// Converts to the time since the epoch.
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
