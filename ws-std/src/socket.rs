use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::{
    io::{self, IoSlice, Read},
    net::{Shutdown, TcpStream},
    time::Instant,
};

use crate::transport::{Duplex, Transport};

/// A connected TCP or Unix stream socket.
#[derive(Debug)]
pub struct Socket {
    socket: socket2::Socket,
    read_timeout: Armed,
    write_timeout: Armed,
}

/// The timeout that the operating system has been told, in nanoseconds; 0 for none.
///
/// Telling it is a system call, so it is told only what it does not know well enough.
#[derive(Debug, Default)]
struct Armed(AtomicU64);

impl Armed {
    /// Sees to it that a call which starts now returns by `deadline`, or a little earlier, through `arm`.
    fn arm(
        &self,
        deadline: Option<Instant>,
        arm: impl FnOnce(Option<Duration>) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(deadline) = deadline else {
            // What is armed would only make the call return early, to be repeated, but that for ever.
            if self.0.load(Ordering::Relaxed) != 0 {
                arm(None)?;
                self.0.store(0, Ordering::Relaxed);
            }
            return Ok(());
        };
        let remaining = deadline.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        // Below a microsecond the operating system's own value would be zero: no timeout at all.
        let remaining = remaining.max(Duration::from_micros(1));
        let armed = Duration::from_nanos(self.0.load(Ordering::Relaxed));
        if (remaining / 4..=remaining).contains(&armed) {
            return Ok(());
        }
        // A little early, so that the next call, whose deadline is as far away, finds it armed.
        let timeout = (remaining - remaining / 8).max(Duration::from_micros(1));
        arm(Some(timeout))?;
        self.0.store(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        Ok(())
    }
}

/// Whether a blocking call came back because of its timeout, by any system's name for it.
fn timed_out(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

impl Socket {
    /// Takes over a connected socket: blocking, without Nagle's delay where there is one.
    ///
    /// # Errors
    ///
    /// The operating system refuses.
    pub fn new(socket: impl Into<socket2::Socket>) -> io::Result<Self> {
        let socket = socket.into();
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(None)?;
        socket.set_write_timeout(None)?;
        // Not every stream socket is TCP.
        let _ = socket.set_tcp_nodelay(true);
        #[cfg(target_vendor = "apple")]
        socket.set_nosigpipe(true)?;
        Ok(Self { socket, read_timeout: Armed::default(), write_timeout: Armed::default() })
    }

    /// The socket as `socket2` has it, for options and addresses.
    #[must_use]
    pub const fn as_socket2(&self) -> &socket2::Socket {
        &self.socket
    }

    /// The socket itself, blocking and without timeouts.
    ///
    /// # Errors
    ///
    /// The operating system refuses.
    pub fn into_socket2(self) -> io::Result<socket2::Socket> {
        self.socket.set_read_timeout(None)?;
        self.socket.set_write_timeout(None)?;
        Ok(self.socket)
    }

    /// Repeats `call` until it is done, fails, or the deadline has passed.
    fn until<X>(
        armed: &Armed,
        deadline: Option<Instant>,
        arm: impl Fn(Option<Duration>) -> io::Result<()>,
        mut call: impl FnMut() -> io::Result<X>,
    ) -> io::Result<X> {
        loop {
            armed.arm(deadline, &arm)?;
            match call() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted || timed_out(&error) => {}
                result => return result,
            }
        }
    }
}

impl TryFrom<TcpStream> for Socket {
    type Error = io::Error;

    fn try_from(stream: TcpStream) -> io::Result<Self> {
        Self::new(stream)
    }
}

impl TryFrom<socket2::Socket> for Socket {
    type Error = io::Error;

    fn try_from(socket: socket2::Socket) -> io::Result<Self> {
        Self::new(socket)
    }
}

#[cfg(unix)]
impl TryFrom<std::os::unix::net::UnixStream> for Socket {
    type Error = io::Error;

    fn try_from(stream: std::os::unix::net::UnixStream) -> io::Result<Self> {
        Self::new(stream)
    }
}

impl Transport for Socket {
    fn read(&self, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        let arm = |timeout| self.socket.set_read_timeout(timeout);
        Self::until(&self.read_timeout, deadline, arm, || (&self.socket).read(buffer))
    }

    fn write(&self, slices: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
        // A peer that is gone is an error to be returned, not a signal that ends the process.
        #[cfg(all(unix, not(target_vendor = "apple")))]
        const FLAGS: libc::c_int = libc::MSG_NOSIGNAL;
        #[cfg(not(all(unix, not(target_vendor = "apple"))))]
        const FLAGS: i32 = 0;
        let arm = |timeout| self.socket.set_write_timeout(timeout);
        let send = || match slices {
            // The shorter call for the system, too.
            [slice] => self.socket.send_with_flags(slice, FLAGS),
            _ => self.socket.send_vectored_with_flags(slices, FLAGS),
        };
        Self::until(&self.write_timeout, deadline, arm, send)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }
}

impl Duplex for Socket {}
