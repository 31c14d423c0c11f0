//! The tries of a client that reconnects.

use core::{str, time::Duration};
use std::time::Instant;

use super::{Backoff, ConnectError, ReconnectError};

/// The tries of a client that reconnects: when the next one is due, and which error ends them.
///
/// The first try is due at once. After the end of a connection and after a try that has failed, [`Backoff`] says when the next
/// one is. A server that answers with `Retry-After` in seconds (RFC 9110 section 10.2.3) is not asked sooner, up to
/// [`Backoff::longest`].
///
/// ```
/// use std::time::Instant;
/// use ws_proto::driver::{ConnectError, Tries};
///
/// let mut tries = Tries::new();
/// let now = Instant::now();
/// assert_eq!(tries.due(now), None, "at once");
/// tries.opened(now);
/// // The connection has ended.
/// assert!(tries.due(now) > Some(now));
/// // Another try cannot succeed.
/// assert_eq!(tries.failed(&ConnectError::NeedsTls.into(), now), None);
/// ```
#[derive(Debug, Default)]
pub struct Tries {
    backoff: Backoff,
    max_tries: Option<u32>,
    /// The number of tries that have failed since the last connection or the last error that was final.
    failures: u32,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    /// A try is due.
    #[default]
    Due,
    /// A try is due at a time.
    Waiting(Instant),
    /// The last try has opened a connection.
    Open,
}

impl Tries {
    /// Creates tries with the default [`Backoff`] and no limit on their number.
    #[must_use]
    pub const fn new() -> Self {
        Self { backoff: Backoff::new(), max_tries: None, failures: 0, state: State::Due }
    }

    /// Sets the delays.
    pub fn set_backoff(&mut self, backoff: Backoff) {
        self.backoff = backoff;
    }

    /// Sets the maximum number of tries in a row that may fail before the error of the last one is returned. 0 and 1 are the same.
    pub const fn set_max_tries(&mut self, most: u32) {
        self.max_tries = Some(most);
    }

    /// Makes a try due at once. The delay after it is a first one again.
    pub const fn try_now(&mut self) {
        self.backoff.reset();
        self.state = State::Due;
    }

    /// Returns when the next try is due, if that is after `now`; `None`: it is due. If the last try has opened a connection, that
    /// has ended at `now`.
    pub fn due(&mut self, now: Instant) -> Option<Instant> {
        if matches!(self.state, State::Open) {
            let delay = self.backoff.next_delay(now);
            self.wait(delay, now);
        }
        match self.state {
            State::Waiting(until) if now < until => Some(until),
            _ => None,
        }
    }

    /// Records that a connection was opened at `now`.
    pub fn opened(&mut self, now: Instant) {
        self.backoff.opened(now);
        self.failures = 0;
        self.state = State::Open;
    }

    /// Records that a try failed at `now`, and returns the delay before the next one. `None`: the error is final, because it is not
    /// [transient](ReconnectError::is_transient) or as many tries have failed as may. If the caller goes on nevertheless, the next
    /// try is due after a delay too.
    pub fn failed(&mut self, error: &ReconnectError, now: Instant) -> Option<Duration> {
        let asked = retry_after(error).unwrap_or_default().min(self.backoff.longest);
        let delay = self.backoff.next_delay(now).max(asked);
        self.wait(delay, now);
        self.failures = self.failures.saturating_add(1);
        if !error.is_transient() || self.max_tries.is_some_and(|most| self.failures >= most) {
            self.failures = 0;
            return None;
        }
        Some(delay)
    }

    fn wait(&mut self, delay: Duration, now: Instant) {
        self.state = now.checked_add(delay).map_or(State::Due, State::Waiting);
    }
}

/// Returns the delay that a server asks for in seconds. The other form of the field, a date, needs a clock that both share.
fn retry_after(error: &ReconnectError) -> Option<Duration> {
    let ReconnectError::Connect(ConnectError::Refused(refused)) = error else {
        return None;
    };
    let seconds = str::from_utf8(refused.header("Retry-After")?).ok()?;
    seconds.parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::driver::Refused;

    const SECOND: Duration = Duration::from_secs(1);

    fn refused(status: u16, retry_after: &str) -> ReconnectError {
        ConnectError::Refused(Refused::with_status(status).with_header("Retry-After", retry_after)).into()
    }

    fn reset() -> ReconnectError {
        ConnectError::Closed(io::ErrorKind::ConnectionReset.into()).into()
    }

    #[test]
    fn the_first_try_is_due_at_once_and_the_next_after_a_delay() {
        let (mut tries, now) = (Tries::new(), Instant::now());
        assert_eq!((tries.due(now), tries.due(now)), (None, None));
        let delay = tries.failed(&reset(), now).unwrap_or_default();
        assert!(delay < 8 * SECOND);
        assert_eq!(tries.due(now), now.checked_add(delay));
        assert_eq!(tries.due(now + delay), None);
        // A later call of `due` does not move it.
        let delay = tries.failed(&reset(), now).unwrap_or_default();
        assert!(delay >= 8 * SECOND);
        assert_eq!((tries.due(now), tries.due(now + SECOND)), (Some(now + delay), Some(now + delay)));
        tries.try_now();
        assert_eq!(tries.due(now), None);
    }

    // R7.2.3-1
    #[test]
    fn a_connection_that_ends_is_followed_by_a_delay() {
        let (mut tries, opened) = (Tries::new(), Instant::now());
        tries.opened(opened);
        let ended = opened + 20 * SECOND;
        let due = tries.due(ended);
        assert!(due < Some(ended + 8 * SECOND), "as after a first try, because it was good");
        assert_eq!(tries.due(ended), due);
        // Three connections that are not good: the delays grow.
        for (at_least, at_most) in [(8, 16), (16, 32), (30, 60)] {
            tries.opened(ended);
            let delay = tries.due(ended).map_or(Duration::ZERO, |due| due - ended);
            assert!((at_least * SECOND..at_most * SECOND).contains(&delay), "{delay:?}");
        }
    }

    // K-transient
    #[test]
    fn errors_that_do_not_pass_and_too_many_of_the_others_end_the_tries() {
        let now = Instant::now();
        let mut tries = Tries::new();
        assert_eq!(tries.failed(&ConnectError::NeedsTls.into(), now), None);
        assert!(tries.due(now) > Some(now), "a caller that does not stop must not call at full speed");
        tries.try_now();
        assert_eq!(tries.due(now), None, "the user has changed something");
        tries.set_max_tries(3);
        assert!(tries.failed(&reset(), now).is_some() && tries.failed(&reset(), now).is_some());
        assert_eq!(tries.failed(&reset(), now), None);
        assert!(tries.failed(&reset(), now).is_some(), "the count begins again");
        for most in [0, 1] {
            let mut tries = Tries::new();
            tries.set_max_tries(most);
            assert_eq!(tries.failed(&reset(), now), None);
        }
    }

    #[test]
    fn a_server_is_not_asked_before_it_wants_to_be_but_within_the_longest_delay() {
        let now = Instant::now();
        for (status, field, at_least, at_most) in [
            (503, "20", 20, 20),
            (429, "7", 7, 8),
            (503, "0", 0, 8),
            (503, "1000000", 60, 60),
            (503, "-1", 0, 8),
            (503, "Sun, 06 Nov 1994 08:49:37 GMT", 0, 8),
            (503, "99999999999999999999999999", 0, 8),
        ] {
            let delay = Tries::new().failed(&refused(status, field), now).unwrap_or(Duration::MAX);
            assert!((at_least * SECOND..=at_most * SECOND).contains(&delay), "{field}: {delay:?}");
        }
        assert_eq!(Tries::new().failed(&refused(403, "1"), now), None);
    }
}
