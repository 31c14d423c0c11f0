//! The way to a transport: name resolution, and a socket to the first address that answers (RFC 8305).

use core::{fmt, time::Duration};
use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    path::Path,
    sync::{Arc, mpsc},
    thread,
    time::Instant,
    vec::Vec,
};

use socket2::{Domain, SockAddr, Type};
use ws_proto::driver::{ConnectError, Dialing, Target};

use crate::{
    NetStream, Socket,
    socket::{begin_to_connect, poll_connected},
};

/// A function of the user that opens a transport to a place until a deadline.
type Hook = dyn Fn(&Target, Option<Instant>) -> Result<NetStream, ConnectError> + Send + Sync;

/// The settings for opening transports.
#[derive(Clone)]
pub(crate) struct Dialer {
    /// The time for name resolution and all attempts together.
    pub(crate) timeout: Option<Duration>,
    pub(crate) hook: Option<Arc<Hook>>,
}

impl Dialer {
    /// Opens a transport to `target`.
    pub(crate) fn dial(&self, target: &Target) -> Result<NetStream, ConnectError> {
        let deadline = self.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        match (&self.hook, target) {
            (Some(hook), _) => hook(target, deadline),
            (None, Target::Host { name, port }) => {
                let addresses = resolve(name, *port, deadline).map_err(ConnectError::Resolve)?;
                NetStream::connect(addresses, deadline)
            }
            (None, Target::Unix(path)) => connect_unix(path, deadline)
                .map(NetStream::from)
                .map_err(|error| ConnectError::Dial { target: target.clone(), error }),
            (None, _) => {
                let error = io::ErrorKind::Unsupported.into();
                Err(ConnectError::Dial { target: target.clone(), error })
            }
        }
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("timeout", &self.timeout).field("has_hook", &self.hook.is_some()).finish()
    }
}

impl NetStream {
    /// Connects to the first of `addresses` that answers until `deadline`.
    ///
    /// IPv6 and IPv4 take turns. The next address is tried as soon as one has failed, or after 250 ms (RFC 8305).
    ///
    /// # Errors
    ///
    /// [`ConnectError::Connect`] with the error that says most; [`ConnectError::Resolve`] if there is no address.
    pub fn connect(addresses: Vec<SocketAddr>, deadline: Option<Instant>) -> Result<Self, ConnectError> {
        let mut dialing = Dialing::new(addresses, deadline);
        let mut attempts: Vec<(SocketAddr, socket2::Socket)> = Vec::new();
        while !dialing.is_over(Instant::now()) {
            while let Some(address) = dialing.next(Instant::now()) {
                match begin_to_connect(address) {
                    Ok(socket) => attempts.push((address, socket)),
                    Err(error) => dialing.failed(address, error),
                }
            }
            for (index, result) in poll_connected(&attempts, dialing.poll_timeout())?.into_iter().rev() {
                let (address, socket) = attempts.swap_remove(index);
                match result.and_then(|()| Socket::new(socket)) {
                    Ok(socket) => return Ok(socket.into()),
                    Err(error) => dialing.failed(address, error),
                }
            }
        }
        Err(dialing.into_error())
    }
}

/// Returns the addresses of a host. The system's resolver knows no deadline, so it works on a thread of its own, which outlives
/// the deadline if the resolver does.
fn resolve(name: &str, port: u16, deadline: Option<Instant>) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(Vec::from([SocketAddr::new(address, port)]));
    }
    let Some(deadline) = deadline else {
        return ask_system(name, port);
    };
    let (sender, found) = mpsc::sync_channel(1);
    let owned = name.to_owned();
    let thread = thread::Builder::new().name("ws-resolve".into()).spawn(move || {
        // The receiver is gone if it was too late.
        let _ = sender.send(ask_system(&owned, port));
    });
    match thread {
        Ok(_) => found
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
        // Without threads the deadline is that of the resolver.
        Err(_) => ask_system(name, port),
    }
}

/// Asks the resolver of the system, which takes as long as it does.
fn ask_system(name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    (name, port).to_socket_addrs().map(Iterator::collect)
}

/// Connects to a Unix socket. That waits only while the server's queue is full.
fn connect_unix(path: &Path, deadline: Option<Instant>) -> io::Result<Socket> {
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    if let Some(deadline) = deadline {
        let left = deadline.saturating_duration_since(Instant::now());
        // Zero would mean no timeout.
        socket.set_write_timeout(Some(left.max(Duration::from_millis(1))))?;
    }
    socket.connect(&SockAddr::unix(path)?).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    })?;
    Socket::new(socket)
}
