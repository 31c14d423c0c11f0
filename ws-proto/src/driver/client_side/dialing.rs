//! The choice among the addresses of a host (RFC 8305).

use core::time::Duration;
use std::{io, net::SocketAddr, time::Instant, vec, vec::Vec};

use super::ConnectError;

/// The time after which the next address is tried beside those that have not answered (RFC 8305 section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// The attempts to connect to one of the addresses of a host.
///
/// IPv6 and IPv4 take turns. The next address is tried as soon as one has failed, or 250 ms after the last one was; the first that
/// answers wins, and the attempts that are still under way are to be dropped.
///
/// ```
/// use std::{io, net::{SocketAddr, TcpStream}, sync::mpsc, thread, time::Instant};
/// use ws_proto::driver::{ConnectError, Dialing};
///
/// /// Connects with a thread for each attempt.
/// fn dial(addresses: Vec<SocketAddr>) -> Result<TcpStream, ConnectError> {
///     let mut dialing = Dialing::new(addresses, None);
///     let (sender, results) = mpsc::channel();
///     while !dialing.is_over(Instant::now()) {
///         while let Some(address) = dialing.next(Instant::now()) {
///             let sender = sender.clone();
///             thread::spawn(move || sender.send((address, TcpStream::connect(address))));
///         }
///         let wait = dialing.poll_timeout().map(|at| at.saturating_duration_since(Instant::now()));
///         match results.recv_timeout(wait.unwrap_or(std::time::Duration::MAX)) {
///             Ok((_, Ok(stream))) => return Ok(stream),
///             Ok((address, Err(error))) => dialing.failed(address, error),
///             Err(_) => {} // the next address is due, or the time is over
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
    waiting: vec::IntoIter<SocketAddr>,
    under_way: Vec<SocketAddr>,
    /// When the next address is due; `None`: at once.
    due: Option<Instant>,
    deadline: Option<Instant>,
    failure: Option<(SocketAddr, io::Error)>,
}

impl Dialing {
    /// Begins with these addresses, which all attempts together have until `deadline` for.
    #[must_use]
    pub fn new(addresses: Vec<SocketAddr>, deadline: Option<Instant>) -> Self {
        let waiting = alternate(addresses).into_iter();
        Self { waiting, under_way: Vec::new(), due: None, deadline, failure: None }
    }

    /// Returns the next address to try, if one is due at `now`. The attempt ends with [`failed`](Self::failed), or has won.
    pub fn next(&mut self, now: Instant) -> Option<SocketAddr> {
        if self.is_late(now) || self.due.is_some_and(|due| now < due) {
            return None;
        }
        let address = self.waiting.next()?;
        self.under_way.push(address);
        self.due = now.checked_add(ATTEMPT_DELAY);
        Some(address)
    }

    /// Returns when the next address is due or the time is over, whichever comes first. `None`: no sooner than an attempt ends.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let due = self.due.filter(|_| self.waiting.len() > 0);
        [due, self.deadline].into_iter().flatten().min()
    }

    /// Returns whether all attempts have failed, or the time is over.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        self.is_late(now) || (self.under_way.is_empty() && self.waiting.len() == 0)
    }

    fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// Records that the attempt with `address` has failed. The error that is kept is that of the first address to which this
    /// machine has a route, or else that of the first address.
    pub fn failed(&mut self, address: SocketAddr, error: io::Error) {
        // A list may name an address twice.
        if let Some(index) = self.under_way.iter().position(|other| *other == address) {
            self.under_way.remove(index);
        }
        self.due = None;
        let says_more = |known: &io::Error| is_unreachable(known) && !is_unreachable(&error);
        if self.failure.as_ref().is_none_or(|(_, known)| says_more(known)) {
            self.failure = Some((address, error));
        }
    }

    /// Returns the error of all attempts. Those that are under way have taken too long.
    #[must_use]
    pub fn into_error(mut self) -> ConnectError {
        let untried = self.waiting.next().filter(|_| self.failure.is_none());
        for address in self.under_way.clone().into_iter().chain(untried) {
            self.failed(address, io::ErrorKind::TimedOut.into());
        }
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

    /// An attempt: its result, and the milliseconds after which it has it.
    type Attempt = (Result<(), ErrorKind>, u64);

    /// The number of the address that has won, or the number and the error of the one that is reported.
    type Outcome = Result<usize, Option<(usize, ErrorKind)>>;

    /// Returns the outcome of these attempts, when it was known, and when each was begun, in milliseconds.
    fn connected(attempts: &[Attempt], timeout: Option<u64>) -> (Outcome, u64, Vec<u64>) {
        let all = addresses(&["::1", "10.0.0.1", "::2", "10.0.0.2"][..attempts.len()]);
        let number = |address| all.iter().position(|other| *other == address).unwrap();
        let (begin, mut now) = (Instant::now(), 0);
        let at = |millis| begin + Duration::from_millis(millis);
        let mut dialing = Dialing::new(all.clone(), timeout.map(at));
        let mut begun: Vec<u64> = Vec::new();
        let mut running: Vec<(u64, SocketAddr)> = Vec::new();
        while !dialing.is_over(at(now)) {
            while let Some(address) = dialing.next(at(now)) {
                assert_eq!(address, all[begun.len()]);
                running.push((now + attempts[begun.len()].1, address));
                begun.push(now);
            }
            running.sort_unstable_by_key(|(end, address)| (*end, number(*address)));
            let timer = dialing.poll_timeout().map(|at| u64::try_from((at - begin).as_millis()).unwrap());
            match running.first().copied() {
                Some((end, address)) if timer.is_none_or(|timer| end < timer) => {
                    now = end;
                    running.remove(0);
                    match attempts[number(address)].0 {
                        Ok(()) => return (Ok(number(address)), now, begun),
                        Err(kind) => dialing.failed(address, kind.into()),
                    }
                }
                _ => now = timer.unwrap(),
            }
        }
        let failure = match dialing.into_error() {
            ConnectError::Connect { address, error } => Some((number(address), error.kind())),
            _ => None,
        };
        (Err(failure), now, begun)
    }

    const SILENT: Attempt = (Err(ErrorKind::TimedOut), 1_000_000);
    const REFUSED: Attempt = (Err(ErrorKind::ConnectionRefused), 1);

    // K-address
    #[test]
    fn the_first_address_that_answers_is_taken() {
        assert_eq!(connected(&[(Ok(()), 100), REFUSED], None), (Ok(0), 100, vec![0]), "and no other is tried");
        assert_eq!(connected(&[REFUSED, REFUSED, (Ok(()), 0), REFUSED], None), (Ok(2), 2, vec![0, 1, 2]));
        assert_eq!(connected(&[SILENT, (Ok(()), 40)], None), (Ok(1), 290, vec![0, 250]));
        assert_eq!(connected(&[(Ok(()), 300), (Ok(()), 100)], None), (Ok(0), 300, vec![0, 250]), "by time");
        assert_eq!(connected(&[(Ok(()), 400), (Ok(()), 100)], None), (Ok(1), 350, vec![0, 250]), "by time");
    }

    // K-address
    #[test]
    fn addresses_are_tried_250_ms_after_each_other_or_when_one_has_failed() {
        let all_silent = connected(&[SILENT; 4], Some(2_000));
        assert_eq!(all_silent, (Err(Some((0, ErrorKind::TimedOut))), 2_000, vec![0, 250, 500, 750]));
        let failing = (Err(ErrorKind::ConnectionRefused), 300);
        let (_, end, begun) = connected(&[SILENT, failing, SILENT, SILENT], Some(9_000));
        assert_eq!((end, begun), (9_000, vec![0, 250, 500, 550]), "the second fails at 550 ms");
    }

    // K-address
    #[test]
    fn no_address_is_tried_when_the_time_is_over() {
        let at_once = connected(&[SILENT; 2], Some(0));
        assert_eq!(at_once, (Err(Some((0, ErrorKind::TimedOut))), 0, vec![]));
        let early = connected(&[SILENT; 4], Some(250));
        assert_eq!(early, (Err(Some((0, ErrorKind::TimedOut))), 250, vec![0]));
        let begin = Instant::now();
        let mut dialing = Dialing::new(addresses(&["::1", "::2"]), Some(begin + ATTEMPT_DELAY));
        let first = dialing.next(begin).unwrap();
        dialing.failed(first, ErrorKind::ConnectionReset.into());
        assert_eq!(dialing.next(begin + ATTEMPT_DELAY), None);
        assert!(dialing.is_over(begin + ATTEMPT_DELAY));
        let error = dialing.into_error();
        assert!(
            matches!(&error, ConnectError::Connect { address, error }
                if *address == first && error.kind() == ErrorKind::ConnectionReset),
            "what is known is told: {error:?}"
        );
    }

    // K-address
    #[test]
    fn an_address_that_is_named_twice_is_two_attempts() {
        let (same, now) = (addresses(&["::1", "::1"]), Instant::now());
        let mut dialing = Dialing::new(same.clone(), None);
        assert_eq!((dialing.next(now), dialing.next(now + ATTEMPT_DELAY)), (Some(same[0]), Some(same[1])));
        dialing.failed(same[0], ErrorKind::ConnectionRefused.into());
        assert!(!dialing.is_over(now), "the other one is under way");
        dialing.failed(same[1], ErrorKind::ConnectionRefused.into());
        assert!(dialing.is_over(now));
    }

    // K-address
    #[test]
    fn the_failure_that_says_most_is_reported() {
        let failing = |kinds: &[ErrorKind]| {
            let attempts: Vec<Attempt> = kinds.iter().map(|kind| (Err(*kind), 0)).collect();
            connected(&attempts, None).0.unwrap_err()
        };
        use ErrorKind::{AddrNotAvailable, ConnectionRefused, NetworkUnreachable, TimedOut};
        assert_eq!(failing(&[]), None);
        assert_eq!(failing(&[TimedOut, ConnectionRefused]), Some((0, TimedOut)), "the first");
        let reached = [NetworkUnreachable, ConnectionRefused, TimedOut];
        assert_eq!(failing(&reached), Some((1, ConnectionRefused)), "the first that there is a way to");
        assert_eq!(failing(&[AddrNotAvailable, NetworkUnreachable]), Some((0, AddrNotAvailable)));
        let unreachable = (Err(NetworkUnreachable), 0);
        assert_eq!(connected(&[unreachable, SILENT], Some(500)).0, Err(Some((1, TimedOut))), "it took too long");
    }
}
