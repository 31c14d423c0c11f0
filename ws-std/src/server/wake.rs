//! Waking a thread that waits in `accept`, on every system with sockets.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
    sync::{Mutex, PoisonError},
};

use socket2::{Domain, Socket, Type};

/// Calls a listener of this process.
///
/// No call ends a blocking `accept` on all systems: `shutdown` of a listener does on Linux only, and would end it for
/// processes that share it. A connection does. Its socket is made beforehand, so that it is there when files have run
/// out.
pub(super) struct Wake {
    address: SocketAddr,
    spare: Mutex<Option<Socket>>,
}

impl Wake {
    pub(super) fn new(listener: &TcpListener) -> io::Result<Self> {
        let address = reachable(listener.local_addr()?);
        Ok(Self { address, spare: Mutex::new(Some(caller(address)?)) })
    }

    /// Connects to the listener, and waits for nothing.
    pub(super) fn call(&self) -> Option<Socket> {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).take();
        let caller = spare.map_or_else(|| caller(self.address), Ok).ok()?;
        // In progress is as good as connected. Where the queue of connections is full, `accept` does not wait.
        let _ = caller.connect(&self.address.into());
        Some(caller)
    }
}

fn caller(address: SocketAddr) -> io::Result<Socket> {
    let caller = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    caller.set_nonblocking(true)?;
    Ok(caller)
}

/// The address at which this machine reaches what listens at `address`.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}
