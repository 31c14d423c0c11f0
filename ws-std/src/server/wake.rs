//! Waking a thread that waits in `accept`, on every system.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    sync::{Mutex, PoisonError},
};

use socket2::{Domain, Socket, Type};

/// Connects to a listener of this process, which ends a blocking `accept`.
///
/// No system call ends `accept` on all systems: `shutdown` of a listener does so on Linux only, and also for other
/// processes that share the listener. The connecting socket is created in advance, so that it exists when the process
/// has run out of files.
pub(super) struct Wake {
    address: SocketAddr,
    spare: Mutex<Option<Socket>>,
}

impl Wake {
    pub(super) fn new(listener: &TcpListener) -> io::Result<Self> {
        let address = reachable(listener.local_addr()?);
        Ok(Self { address, spare: Mutex::new(Some(caller(address)?)) })
    }

    /// Connects to the listener without waiting. The connection lasts as long as the returned socket.
    pub(super) fn call(&self) -> Option<Socket> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take();
        let caller = spare.map_or_else(|| caller(self.address), Ok).ok()?;
        // A connection in progress is enough. If the queue of connections is full, `accept` does not wait anyway.
        let _ = caller.connect(&self.address.into());
        Some(caller)
    }
}

fn caller(address: SocketAddr) -> io::Result<Socket> {
    let caller = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    caller.set_nonblocking(true)?;
    Ok(caller)
}

/// Returns the address at which this machine reaches a listener that is bound to `address`.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}
