//! The delays between the tries of a client that reconnects (RFC 6455 section 7.2.3).

use core::{fmt, time::Duration};
use std::time::Instant;

use crate::{Entropy, driver::OsEntropy};

/// The delays before the tries of a client that connects again and again.
///
/// The delays are random, each within a range that grows with the number of tries:
///
/// | try | range | with the defaults |
/// |---|---|---|
/// | first | 0 to `first` | 0 to 8 s |
/// | second | `first` to 2 × `first` | 8 to 16 s |
/// | third | 2 × `first` to 4 × `first` | 16 to 32 s |
/// | fourth and later | the double of the one before, but at most `longest` / 2 to `longest` | 30 to 60 s |
///
/// A connection that stays open for [`good_after`](Self::good_after) makes the next try a first one again. A shorter one
/// changes nothing, so that a server that accepts and drops its clients is not called at the rate of first tries.
///
/// It reads no clock and does not wait:
///
/// ```
/// use std::time::{Duration, Instant};
/// use ws_proto::driver::Backoff;
///
/// let mut backoff = Backoff::new();
/// backoff.longest = Duration::from_secs(20);
/// assert!(backoff.next_delay(Instant::now()) <= Duration::from_secs(8));
/// assert!(backoff.next_delay(Instant::now()) >= Duration::from_secs(8));
/// // The second try has succeeded, and the connection ends after a minute.
/// let opened = Instant::now();
/// backoff.opened(opened);
/// assert!(backoff.next_delay(opened + Duration::from_secs(60)) <= Duration::from_secs(8));
/// ```
#[derive(Clone)]
pub struct Backoff<E = OsEntropy> {
    /// The longest delay before a first try.
    ///
    /// Default: 8 s. RFC 6455 proposes 5 s as one choice. When a server with many clients restarts, they come back evenly
    /// over this time: of 1,000 clients, 12 or 13 in 100 ms on average, and hardly ever more than 30. Choose it smaller if
    /// there are few clients and a fast return counts.
    pub first: Duration,
    /// The longest delay before any try.
    ///
    /// Default: 60 s. This is how long a client may take to find out that the server is back, and 1,000 clients of a server
    /// that is down make 22 tries a second then.
    pub longest: Duration,
    /// The time that a connection has to be open so that its end makes the next try a first one.
    ///
    /// Default: 10 s, as long as an opening handshake may take.
    pub good_after: Duration,
    /// The number of tries since the last good connection.
    tries: u32,
    /// When the current connection was opened.
    opened: Option<Instant>,
    entropy: E,
}

impl Backoff {
    /// Creates delays with the defaults, from the operating system's random numbers.
    #[must_use]
    pub const fn new() -> Self {
        Self::with_entropy(OsEntropy)
    }
}

impl<E> Backoff<E> {
    /// Creates delays with the defaults, from the random numbers of `entropy`. They need not be unpredictable, but must differ
    /// among clients.
    #[must_use]
    pub const fn with_entropy(entropy: E) -> Self {
        Self {
            first: Duration::from_secs(8),
            longest: Duration::from_secs(60),
            good_after: Duration::from_secs(10),
            tries: 0,
            opened: None,
            entropy,
        }
    }

    /// Records that a connection was opened at `now`.
    pub const fn opened(&mut self, now: Instant) {
        self.opened = Some(now);
    }

    /// Returns the number of delays since the last good connection: 0 if the next try is a first one.
    #[must_use]
    pub const fn tries(&self) -> u32 {
        self.tries
    }

    /// Makes the next try a first one, such as after the user has changed a setting or the network has come back.
    pub const fn reset(&mut self) {
        self.tries = 0;
        self.opened = None;
    }

    /// Returns the range of the delay before the next try.
    fn range(&self) -> (Duration, Duration) {
        let doubled = |times: u32| self.first.saturating_mul(1_u32.checked_shl(times).unwrap_or(u32::MAX));
        let high = doubled(self.tries).min(self.longest);
        let low = match self.tries.checked_sub(1) {
            None => Duration::ZERO,
            Some(tries) => doubled(tries).min(self.longest / 2),
        };
        (low, high)
    }
}

impl<E: Entropy> Backoff<E> {
    /// Returns how long to wait before the next try, after a try has failed or a connection has ended at `now`.
    ///
    /// If the source of randomness fails, it is the longest delay of the range.
    #[must_use]
    pub fn next_delay(&mut self, now: Instant) -> Duration {
        let opened = self.opened.take();
        if opened.is_some_and(|opened| now.saturating_duration_since(opened) >= self.good_after) {
            self.tries = 0;
        }
        let (low, high) = self.range();
        self.tries = self.tries.saturating_add(1);
        let mut random = [0; 4];
        match self.entropy.fill(&mut random) {
            Ok(()) => low + share(high.saturating_sub(low), u32::from_ne_bytes(random)),
            Err(_) => high,
        }
    }
}

/// Returns `random` / 2³² of a time, which saturates at 584 years.
fn share(time: Duration, random: u32) -> Duration {
    let nanos = (time.as_nanos() * u128::from(random)) >> u32::BITS;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

impl<E> fmt::Debug for Backoff<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backoff")
            .field("first", &self.first)
            .field("longest", &self.longest)
            .field("good_after", &self.good_after)
            .field("tries", &self.tries)
            .field("opened", &self.opened)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{vec, vec::Vec};

    use super::*;
    use crate::EntropyError;

    const SECOND: Duration = Duration::from_secs(1);

    /// A source that gives these four bytes each time.
    fn fixed(value: u32) -> impl Entropy {
        move |bytes: &mut [u8]| {
            bytes.copy_from_slice(&value.to_ne_bytes());
            Ok(())
        }
    }

    /// A source of a sequence that looks random and is the same in every run (splitmix64, public domain).
    fn sequence(mut state: u64) -> impl Entropy {
        move |bytes: &mut [u8]| {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            bytes.copy_from_slice(&(mixed ^ (mixed >> 31)).to_ne_bytes()[..bytes.len()]);
            Ok(())
        }
    }

    /// Returns the delays of a client that never connects.
    fn delays(mut backoff: Backoff<impl Entropy>, count: usize) -> Vec<Duration> {
        let now = Instant::now();
        (0..count).map(|_| backoff.next_delay(now)).collect()
    }

    // R7.2.3-1
    #[test]
    fn delays_stay_in_ranges_that_double_up_to_the_longest() {
        let seconds =
            |list: &[u64]| list.iter().map(|&seconds| SECOND * u32::try_from(seconds).unwrap_or(0)).collect();
        let (lowest, highest): (Vec<_>, Vec<_>) =
            (seconds(&[0, 8, 16, 30, 30, 30]), seconds(&[8, 16, 32, 60, 60, 60]));
        assert_eq!(delays(Backoff::with_entropy(fixed(0)), 6), lowest);
        for (delay, high) in delays(Backoff::with_entropy(fixed(u32::MAX)), 6).into_iter().zip(&highest) {
            assert!(delay < *high && *high - delay < Duration::from_millis(1), "{delay:?} of {high:?}");
        }
        for seed in 0..1_000 {
            let ranges = lowest.iter().zip(&highest);
            for (delay, (low, high)) in delays(Backoff::with_entropy(sequence(seed)), 6).iter().zip(ranges) {
                assert!((low..high).contains(&delay), "{delay:?} in {low:?}..{high:?}, seed {seed}");
            }
        }
    }

    // R7.2.3-1
    #[test]
    fn a_thousand_clients_come_back_evenly() {
        // Each client has a source of its own.
        let first = |seed| Backoff::with_entropy(sequence(seed)).next_delay(Instant::now());
        for run in 0..100 {
            let mut slots = vec![0; 80];
            (0..1_000).map(|client| first(1_000 * run + client)).for_each(|delay| {
                slots[usize::try_from(delay.as_millis() / 100).unwrap_or(usize::MAX)] += 1;
            });
            let (fullest, empty) = (slots.iter().max(), slots.iter().filter(|count| **count == 0).count());
            assert!(fullest.is_some_and(|count| *count <= 30), "run {run}: {slots:?}");
            assert!(empty == 0, "run {run}: {slots:?}");
        }
    }

    #[test]
    fn the_system_gives_each_client_another_delay() {
        let first: Vec<_> = (0..1_000).map(|_| Backoff::new().next_delay(Instant::now())).collect();
        let mean = first.iter().sum::<Duration>() / 1_000;
        // The deviation of the mean is 73 ms, so this is 13 times as much.
        assert!(mean.abs_diff(4 * SECOND) < SECOND, "{mean:?}");
        assert!(first.iter().all(|delay| *delay < 8 * SECOND));
    }

    // R7.2.3-1
    #[test]
    fn only_a_connection_that_was_good_makes_the_next_try_a_first_one() {
        for (open_for, tries) in [(0, 4), (9_999, 4), (10_000, 1), (1_000_000, 1)] {
            let mut backoff = Backoff::with_entropy(fixed(0));
            let opened = Instant::now();
            backoff.tries = 3;
            backoff.opened(opened);
            let delay = backoff.next_delay(opened + Duration::from_millis(open_for));
            assert_eq!((backoff.tries(), delay.is_zero()), (tries, tries == 1), "{open_for} ms");
        }
    }

    #[test]
    fn a_try_that_fails_long_after_a_connection_has_ended_is_no_first_one() {
        let mut backoff = Backoff::with_entropy(fixed(0));
        let opened = Instant::now();
        backoff.opened(opened);
        let ended = opened + SECOND;
        assert_eq!(backoff.next_delay(ended), Duration::ZERO);
        assert_eq!(
            backoff.next_delay(ended + 1_000 * SECOND),
            8 * SECOND,
            "the time without a connection is not good"
        );
        backoff.reset();
        assert_eq!((backoff.tries(), backoff.next_delay(ended)), (0, Duration::ZERO));
    }

    #[test]
    fn settings_of_any_size_give_delays_up_to_the_longest() {
        let settings = [Duration::ZERO, Duration::from_nanos(1), SECOND, 60 * SECOND, Duration::MAX];
        for (first, longest) in settings.iter().flat_map(|first| settings.map(|longest| (*first, longest))) {
            for random in [0, 1 << 31, u32::MAX] {
                let mut backoff = Backoff { first, longest, ..Backoff::with_entropy(fixed(random)) };
                for _ in 0..100 {
                    let delay = backoff.next_delay(Instant::now());
                    assert!(delay <= longest, "{delay:?} of {first:?}, {longest:?}");
                }
                backoff.tries = u32::MAX;
                assert!(backoff.next_delay(Instant::now()) <= longest);
                assert_eq!(backoff.tries(), u32::MAX);
            }
        }
    }

    #[test]
    fn without_randomness_the_delays_are_the_longest_of_their_ranges() {
        let broken = |_: &mut [u8]| Err(EntropyError);
        assert_eq!(delays(Backoff::with_entropy(broken), 5), [8, 16, 32, 60, 60].map(|seconds| seconds * SECOND));
    }

    #[test]
    fn its_debug_form_has_the_settings_and_not_the_source() {
        let text = std::format!("{:?}", Backoff::default());
        assert!(
            text.starts_with("Backoff { first: 8s, longest: 60s,")
                && text.ends_with("tries: 0, opened: None, .. }"),
            "{text}"
        );
    }
}
