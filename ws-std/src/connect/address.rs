//! The choice among the addresses of a host.

use core::time::Duration;
use std::{io, net::SocketAddr, time::Instant};

/// Sorts addresses so that IPv6 and IPv4 alternate. Within each family the order stays the same.
pub(super) fn alternate(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut second = second.into_iter();
    let mut alternating: Vec<_> =
        first.into_iter().flat_map(|address| [Some(address), second.next()]).flatten().collect();
    alternating.extend(second);
    alternating
}

/// An address that could not be connected to, and the error.
pub(super) type Failure = (SocketAddr, io::Error);

/// Connects to the first of `addresses` that answers. The time that is left is shared equally among the addresses that
/// have not been tried.
///
/// # Errors
///
/// The failure of the first address to which this machine has a route, or else that of the first address. `None`:
/// `addresses` is empty.
pub(super) fn connect_any<S>(
    addresses: &[SocketAddr],
    timeout: Option<Duration>,
    now: impl Fn() -> Instant,
    mut connect: impl FnMut(SocketAddr, Option<Duration>) -> io::Result<S>,
) -> Result<S, Option<Failure>> {
    let deadline = timeout.and_then(|timeout| now().checked_add(timeout));
    let mut failure: Option<Failure> = None;
    for (tried, &address) in addresses.iter().enumerate() {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(failure.or(Some((address, io::ErrorKind::TimedOut.into()))));
        }
        let share = left.map(|left| share(left, addresses.len() - tried));
        match connect(address, share) {
            Ok(stream) => return Ok(stream),
            Err(error)
                if failure.as_ref().is_none_or(|(_, known)| is_unreachable(known) && !is_unreachable(&error)) =>
            {
                failure = Some((address, error));
            }
            Err(_) => {}
        }
    }
    Err(failure)
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
mod tests {
    use core::cell::Cell;
    use std::io::ErrorKind;

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

    /// Returns the result of these attempts, and the share of each in seconds.
    fn connected(attempts: &[Attempt], timeout: Option<u64>) -> (Outcome, Vec<Option<u64>>) {
        let all = addresses(&["::1", "10.0.0.1", "::2", "10.0.0.2"][..attempts.len()]);
        let begin = Instant::now();
        let now = Cell::new(begin);
        let mut shares = Vec::new();
        let result = connect_any(
            &all,
            timeout.map(Duration::from_secs),
            || now.get(),
            |address, share| {
                let (outcome, seconds) = attempts[shares.len()];
                assert_eq!(address, all[shares.len()]);
                shares.push(share.map(|share| share.as_secs()));
                let seconds = share.map_or(seconds, |share| seconds.min(share.as_secs()));
                now.set(now.get() + Duration::from_secs(seconds));
                outcome.map(|()| address).map_err(io::Error::from)
            },
        );
        (result.map_err(|failure| failure.map(|(address, error)| (address, error.kind()))), shares)
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
        let slow = (Err(ErrorKind::ConnectionRefused), 1_000);
        let begin = Instant::now();
        let now = Cell::new(begin);
        let result: Result<(), _> = connect_any(
            &all,
            Some(Duration::from_secs(9)),
            || now.get(),
            |_, _| {
                now.set(begin + Duration::from_secs(9));
                Err(ErrorKind::ConnectionReset.into())
            },
        );
        let (address, error) = result.unwrap_err().unwrap();
        assert_eq!((address, error.kind()), (all[0], ErrorKind::ConnectionReset), "what is known is told");
        let (result, shares) = connected(&[slow], Some(0));
        assert_eq!((result, shares), (Err(Some((all[0], ErrorKind::TimedOut))), Vec::new()));
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
