//! The choice among the addresses of a host.

use core::time::Duration;
use std::{io, net::SocketAddr, time::Instant, vec, vec::Vec};

use super::ConnectError;

/// The attempts to connect to one of the addresses of a host.
///
/// IPv6 and IPv4 take turns. The time that is left is shared equally among the addresses that have not been tried.
///
/// ```
/// use std::{io, net::{SocketAddr, TcpStream}, time::{Duration, Instant}};
/// use ws_proto::driver::{ConnectError, Dialing};
///
/// fn dial(addresses: Vec<SocketAddr>) -> Result<TcpStream, ConnectError> {
///     let mut dialing = Dialing::new(addresses, Some(Duration::from_secs(30)), Instant::now());
///     while let Some((address, share)) = dialing.next(Instant::now()) {
///         let attempt = match share {
///             Some(share) => TcpStream::connect_timeout(&address, share),
///             None => TcpStream::connect(address),
///         };
///         match attempt {
///             Ok(stream) => return Ok(stream),
///             Err(error) => dialing.failed(address, error),
///         }
///     }
///     Err(dialing.into_error())
/// }
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # dial(vec![listener.local_addr()?]).map_err(io::Error::other)?;
/// # Ok::<(), io::Error>(())
/// ```
#[derive(Debug)]
pub struct Dialing {
    addresses: vec::IntoIter<SocketAddr>,
    deadline: Option<Instant>,
    failure: Option<(SocketAddr, io::Error)>,
}

impl Dialing {
    /// Begins at `now` with these addresses, which all attempts together have `timeout` for.
    #[must_use]
    pub fn new(addresses: Vec<SocketAddr>, timeout: Option<Duration>, now: Instant) -> Self {
        let deadline = timeout.and_then(|timeout| now.checked_add(timeout));
        Self { addresses: alternate(addresses).into_iter(), deadline, failure: None }
    }

    /// Returns the next address to try, and the longest time for that: at least 1 ms, or no limit. `None`: all have failed, or
    /// the time is over.
    pub fn next(&mut self, now: Instant) -> Option<(SocketAddr, Option<Duration>)> {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(now));
        let share = left.map(|left| share(left, self.addresses.len()));
        let address = self.addresses.next()?;
        if left.is_some_and(|left| left.is_zero()) {
            self.failure.get_or_insert_with(|| (address, io::ErrorKind::TimedOut.into()));
            self.addresses = Vec::new().into_iter();
            return None;
        }
        Some((address, share))
    }

    /// Records that the attempt with `address` has failed. The error that is kept is that of the first address to which this
    /// machine has a route, or else that of the first address.
    pub fn failed(&mut self, address: SocketAddr, error: io::Error) {
        let says_more = |known: &io::Error| is_unreachable(known) && !is_unreachable(&error);
        if self.failure.as_ref().is_none_or(|(_, known)| says_more(known)) {
            self.failure = Some((address, error));
        }
    }

    /// Returns the error of all attempts.
    #[must_use]
    pub fn into_error(self) -> ConnectError {
        match self.failure {
            Some((address, error)) => ConnectError::Connect { address, error },
            None => ConnectError::Resolve(io::ErrorKind::NotFound.into()),
        }
    }
}

/// Sorts addresses so that IPv6 and IPv4 alternate. Within each family the order stays the same.
fn alternate(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut second = second.into_iter();
    let mut alternating: Vec<_> =
        first.into_iter().flat_map(|address| [Some(address), second.next()]).flatten().collect();
    alternating.extend(second);
    alternating
}

/// Returns the time for one of `attempts` attempts, at least 1 ms: the system does not accept a timeout of zero.
fn share(left: Duration, attempts: usize) -> Duration {
    let attempts = u32::try_from(attempts).unwrap_or(u32::MAX).max(1);
    (left / attempts).max(Duration::from_millis(1))
}

/// Returns whether an error means that this machine has no route to the address.
fn is_unreachable(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, HostUnreachable, NetworkUnreachable, Unsupported};
    matches!(error.kind(), AddrNotAvailable | HostUnreachable | NetworkUnreachable | Unsupported)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test panics where it fails")]
mod tests {
    use std::{io::ErrorKind, vec};

    use super::*;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 80)).collect()
    }

    // K-address
    #[test]
    fn both_families_take_turns_and_the_first_stays_first() {
        for (given, expected) in [
            (&["::1", "::2", "::3", "10.0.0.1"][..], &["::1", "10.0.0.1", "::2", "::3"][..]),
            (&["10.0.0.1", "10.0.0.2", "::1", "::2"], &["10.0.0.1", "::1", "10.0.0.2", "::2"]),
            (&["10.0.0.1", "::1", "::2", "::3"], &["10.0.0.1", "::1", "::2", "::3"]),
            (&["::2", "::1"], &["::2", "::1"]),
            (&["10.0.0.1"], &["10.0.0.1"]),
            (&[], &[]),
        ] {
            assert_eq!(alternate(addresses(given)), addresses(expected), "{given:?}");
        }
    }

    /// An attempt: its result and its duration in seconds, which its share bounds.
    type Attempt = (Result<(), ErrorKind>, u64);

    type Outcome = Result<SocketAddr, Option<(SocketAddr, ErrorKind)>>;

    /// Returns the failure of all attempts, if that is what it is.
    fn failure(dialing: Dialing) -> Option<(SocketAddr, ErrorKind)> {
        match dialing.into_error() {
            ConnectError::Connect { address, error } => Some((address, error.kind())),
            _ => None,
        }
    }

    /// Returns the result of these attempts, and the share of each in seconds.
    fn connected(attempts: &[Attempt], timeout: Option<u64>) -> (Outcome, Vec<Option<u64>>) {
        let all = addresses(&["::1", "10.0.0.1", "::2", "10.0.0.2"][..attempts.len()]);
        let mut now = Instant::now();
        let mut dialing = Dialing::new(all.clone(), timeout.map(Duration::from_secs), now);
        let mut shares = Vec::new();
        while let Some((address, share)) = dialing.next(now) {
            let (outcome, seconds) = attempts[shares.len()];
            assert_eq!(address, all[shares.len()]);
            shares.push(share.map(|share| share.as_secs()));
            now += Duration::from_secs(share.map_or(seconds, |share| seconds.min(share.as_secs())));
            match outcome {
                Ok(()) => return (Ok(address), shares),
                Err(kind) => dialing.failed(address, kind.into()),
            }
        }
        (Err(failure(dialing)), shares)
    }

    #[test]
    fn the_first_address_that_answers_is_taken() {
        let all = addresses(&["::1", "10.0.0.1", "::2"]);
        let refused = (Err(ErrorKind::ConnectionRefused), 0);
        assert_eq!(connected(&[(Ok(()), 1), refused], None).0, Ok(all[0]));
        let (result, shares) = connected(&[refused, refused, (Ok(()), 0), refused], None);
        assert_eq!((result, shares), (Ok(all[2]), vec![None; 3]), "and no other is tried");
    }

    // K-address
    #[test]
    fn each_address_has_its_share_of_what_is_left() {
        let (refused, silent) = ((Err(ErrorKind::ConnectionRefused), 0), (Err(ErrorKind::TimedOut), 1_000));
        let (_, shares) = connected(&[silent; 4], Some(40));
        assert_eq!(shares, [10, 10, 10, 10].map(Some));
        let (_, shares) = connected(&[refused, silent, refused, silent], Some(30));
        assert_eq!(shares, [7, 10, 10, 20].map(Some), "what others have left is shared");
    }

    // K-address
    #[test]
    fn no_address_is_tried_when_the_time_is_over() {
        let all = addresses(&["::1", "10.0.0.1"]);
        let begin = Instant::now();
        let over = begin + Duration::from_secs(9);
        let mut dialing = Dialing::new(all.clone(), Some(Duration::from_secs(9)), begin);
        assert_eq!(dialing.next(begin), Some((all[0], Some(Duration::from_millis(4_500)))));
        dialing.failed(all[0], ErrorKind::ConnectionReset.into());
        assert_eq!(dialing.next(over), None);
        assert_eq!(failure(dialing), Some((all[0], ErrorKind::ConnectionReset)), "what is known is told");
        let mut dialing = Dialing::new(all.clone(), Some(Duration::ZERO), begin);
        assert_eq!((dialing.next(begin), dialing.next(begin)), (None, None));
        assert_eq!(failure(dialing), Some((all[0], ErrorKind::TimedOut)));
    }

    // K-address
    #[test]
    fn the_failure_that_says_most_is_reported() {
        let all = addresses(&["::1", "10.0.0.1", "::2"]);
        let failing = |kinds: &[ErrorKind]| {
            let attempts: Vec<Attempt> = kinds.iter().map(|kind| (Err(*kind), 0)).collect();
            connected(&attempts, None).0.unwrap_err()
        };
        use ErrorKind::{AddrNotAvailable, ConnectionRefused, NetworkUnreachable, TimedOut};
        assert_eq!(failing(&[]), None);
        assert_eq!(failing(&[TimedOut, ConnectionRefused]), Some((all[0], TimedOut)), "the first");
        let reached = [NetworkUnreachable, ConnectionRefused, TimedOut];
        assert_eq!(failing(&reached), Some((all[1], ConnectionRefused)), "the first that there is a way to");
        assert_eq!(failing(&[AddrNotAvailable, NetworkUnreachable]), Some((all[0], AddrNotAvailable)));
    }
}
