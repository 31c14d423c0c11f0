//! The places of a server's connections, under its limits.

use core::fmt;
use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv6Addr},
    vec::Vec,
};

use crate::server::{Reject, reject_to};

/// The maximum number of connections that are being refused at a time.
const MOST_REFUSALS: usize = 32;

/// Limits of the number of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The maximum number of connections at a time. Default: 10,000, or the number of files that the process may open
    /// (`RLIMIT_NOFILE`) less 64 if that is less.
    pub connections: usize,
    /// The maximum number of connections whose request has not been answered yet. Default: unlimited.
    pub opening: usize,
    /// The same for each address. IPv6 addresses that differ in their last 64 bits only count as one. Default: unlimited.
    pub opening_per_address: Option<usize>,
}

/// The connections of a server: those whose request has not been answered yet, each with an `O`, and open ones, each with a `C`.
pub struct Places<O, C> {
    /// Key of the next connection.
    next: u64,
    opening: HashMap<u64, (IpAddr, O)>,
    open: HashMap<u64, C>,
    /// Number of connections that are being refused.
    refusals: usize,
}

/// The treatment of a new connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Serve it. It has the place with this key until [`Places::leave`].
    Serve(u64),
    /// A limit is reached: answer 503, then call [`Places::refused`].
    Refuse,
    /// Too many connections are being refused: drop the socket.
    Drop,
}

/// The reason why a listener has accepted no connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptFailure {
    /// It concerns one connection only: accept the next one.
    Connection,
    /// The process or the system lacks something, such as file descriptors: report it, and accept again after a pause.
    Lack,
    /// The listener itself has failed: end the server.
    Listener,
}

impl AcceptFailure {
    /// Returns the reason for an error of a listener.
    #[must_use]
    pub fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidInput => Self::Listener,
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted => {
                Self::Connection
            }
            _ => Self::Lack,
        }
    }
}

/// Returns the answer to a client beyond the limits, whose request is not read: 503 (Service Unavailable).
#[must_use]
pub fn busy_response() -> Vec<u8> {
    let mut response = Vec::new();
    // The method is not known. An empty body is right for every method, HEAD too.
    let answer = Reject::new(503).headers(&[("Retry-After", "1")]).body("text/plain", b"");
    let written = reject_to(&answer, b"", &mut response);
    debug_assert!(written.is_ok(), "the answer is a fixed one");
    response
}

impl Limits {
    /// Creates the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self { connections: 10_000.min(most_files()), opening: usize::MAX, opening_per_address: None }
    }

    /// Sets the maximum number of connections at a time, at most the number for which there are file descriptors.
    pub fn set_connections(&mut self, most: usize) {
        self.connections = most.min(most_files());
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

impl<O, C> Places<O, C> {
    /// Creates a server without connections.
    #[must_use]
    pub fn new() -> Self {
        Self { next: 0, opening: HashMap::new(), open: HashMap::new(), refusals: 0 }
    }

    /// Decides how to treat a new connection with `peer`, and reserves its place, which holds `opening` at first.
    pub fn admit(&mut self, peer: IpAddr, limits: &Limits, opening: O) -> Admission {
        let network = network(peer);
        if self.has_room(network, limits) {
            return Admission::Serve(self.insert(network, opening));
        }
        if self.refusals >= MOST_REFUSALS {
            return Admission::Drop;
        }
        self.refusals += 1;
        Admission::Refuse
    }

    /// Reserves the place of a connection that has been admitted elsewhere, and returns its key.
    pub fn enter(&mut self, opening: O) -> u64 {
        self.insert(Ipv6Addr::UNSPECIFIED.into(), opening)
    }

    fn insert(&mut self, network: IpAddr, opening: O) -> u64 {
        let key = self.next;
        self.next += 1;
        self.opening.insert(key, (network, opening));
        key
    }

    fn has_room(&self, network: IpAddr, limits: &Limits) -> bool {
        let per_address = limits
            .opening_per_address
            .is_none_or(|most| self.opening.values().filter(|(other, _)| *other == network).count() < most);
        self.count() < limits.connections && self.opening.len() < limits.opening && per_address
    }

    /// Records that the connection with this key is open.
    pub fn open(&mut self, key: u64, connection: C) {
        self.opening.remove(&key);
        self.open.insert(key, connection);
    }

    /// Frees the place with this key.
    pub fn leave(&mut self, key: u64) {
        self.opening.remove(&key);
        self.open.remove(&key);
    }

    /// Records that a connection has been refused.
    pub const fn refused(&mut self) {
        self.refusals = self.refusals.saturating_sub(1);
    }

    /// Returns the number of connections, those that are being refused not counted.
    #[must_use]
    pub fn count(&self) -> usize {
        self.opening.len() + self.open.len()
    }

    /// Returns what the connection with this key has while its request has not been answered.
    pub fn opening_mut(&mut self, key: u64) -> Option<&mut O> {
        self.opening.get_mut(&key).map(|(_, opening)| opening)
    }

    /// Returns what connections have whose request has not been answered yet.
    pub fn all_opening(&self) -> impl Iterator<Item = &O> {
        self.opening.values().map(|(_, opening)| opening)
    }

    /// Returns what open connections have.
    pub fn all_open(&self) -> impl Iterator<Item = &C> {
        self.open.values()
    }
}

impl<O, C> Default for Places<O, C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<O, C> fmt::Debug for Places<O, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Places")
            .field("opening", &self.opening.len())
            .field("open", &self.open.len())
            .field("refusals", &self.refusals)
            .finish()
    }
}

/// Returns the part of an address that the limits count by: the whole of an IPv4 address, the first 64 bits of an IPv6
/// address, since a peer usually has all addresses of such a network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address => address,
    }
}

/// Returns the number of connections for which the limit of open files leaves room.
#[cfg(unix)]
fn most_files() -> usize {
    // Files for the application, for refusals, and for standard streams and the like.
    const RESERVED: usize = 64;
    let files = rlimit::Resource::NOFILE.get_soft().ok().and_then(|files| usize::try_from(files).ok());
    files.map_or(usize::MAX, |files| files.saturating_sub(RESERVED).max(1))
}

#[cfg(not(unix))]
fn most_files() -> usize {
    usize::MAX
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test panics where it fails")]
mod tests {
    use super::*;

    #[test]
    fn one_address_is_64_bits_of_ipv6_and_all_of_ipv4() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
    }

    #[test]
    fn a_failure_to_accept_is_of_one_connection_of_the_listener_or_a_lack() {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, InvalidInput, OutOfMemory};
        for kind in [ConnectionAborted, ConnectionReset, Interrupted] {
            assert_eq!(AcceptFailure::of(&kind.into()), AcceptFailure::Connection, "{kind}");
        }
        assert_eq!(AcceptFailure::of(&InvalidInput.into()), AcceptFailure::Listener);
        assert_eq!(AcceptFailure::of(&OutOfMemory.into()), AcceptFailure::Lack);
    }

    #[test]
    fn a_client_beyond_the_limits_is_told_to_come_back() {
        let response = busy_response();
        assert!(response.starts_with(b"HTTP/1.1 503 Service Unavailable\r\n"));
        assert!(response.ends_with(b"\r\n\r\n"), "there is no body");
        assert!(response.windows(16).any(|line| line == b"Retry-After: 1\r\n"));
    }

    #[test]
    fn a_place_is_free_again_when_its_connection_has_left() {
        let limits = Limits { connections: 2, opening: 1, opening_per_address: None };
        let mut places = Places::new();
        let peer = IpAddr::from([192, 0, 2, 1]);
        assert_eq!(places.admit(peer, &limits, ()), Admission::Serve(0));
        assert_eq!(places.admit(peer, &limits, ()), Admission::Refuse, "one is opening");
        places.open(0, ());
        assert_eq!(places.admit(peer, &limits, ()), Admission::Serve(1));
        places.open(1, ());
        assert_eq!(places.admit(peer, &limits, ()), Admission::Refuse, "two are there");
        places.leave(0);
        assert_eq!((places.admit(peer, &limits, ()), places.count()), (Admission::Serve(2), 2));
    }

    #[test]
    fn the_number_of_refusals_at_a_time_is_limited() {
        let limits = Limits { connections: 0, ..Limits::new() };
        let mut places = Places::<(), ()>::new();
        let admit = |places: &mut Places<(), ()>| places.admit(IpAddr::from([192, 0, 2, 1]), &limits, ());
        for _ in 0..MOST_REFUSALS {
            assert_eq!(admit(&mut places), Admission::Refuse);
        }
        assert_eq!(admit(&mut places), Admission::Drop);
        places.refused();
        assert_eq!(admit(&mut places), Admission::Refuse);
    }

    #[test]
    fn connections_of_one_address_that_have_sent_no_request_are_limited() {
        let limits = Limits { opening_per_address: Some(1), ..Limits::new() };
        let mut places = Places::<(), ()>::new();
        let mut admit = |text: &str| places.admit(text.parse().unwrap(), &limits, ());
        assert_eq!(admit("192.0.2.1"), Admission::Serve(0));
        assert_eq!(admit("192.0.2.1"), Admission::Refuse);
        assert_eq!(admit("192.0.2.2"), Admission::Serve(1));
    }
}
