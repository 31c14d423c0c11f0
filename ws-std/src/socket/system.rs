//! The parts of a socket that differ between systems, and why.
//!
//! A call that may wait is made in one of two ways. It can block, with a timeout armed beforehand: one system call a
//! read, since the timeout is seldom armed anew. Or a poll waits first, and the call itself does not: two system calls,
//! but no option is touched.
//!
//! - Linux and most Unix systems block. A read that times out has taken nothing.
//! - macOS refuses to set any option on a socket whose peer has reset it (EINVAL), though bytes that came before can
//!   still be read. What cannot be armed is polled for.
//! - On Windows a receive that times out leaves the socket in a state that is not defined. There all calls are polled
//!   for.
//!
//! A write is always tried without waiting first, so that the time at which bytes went is known; then it is polled for.

use std::{
    io::{self, Read},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    net::RecvFlags,
};
use socket2::Socket;

/// How a read that may wait is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// The call blocks; the armed timeout ends it.
    Blocking,
    /// A poll waits, then the call is made without waiting.
    Polled,
}

impl Wait {
    /// Decides from whether this is Windows, and from the result of arming the timeout.
    pub(super) const fn choose(is_windows: bool, armed: &io::Result<()>) -> Self {
        if is_windows || armed.is_err() { Self::Polled } else { Self::Blocking }
    }
}

/// Whether sockets have to be in non-blocking mode: where no flag makes a single call return at once.
pub(super) const NONBLOCKING: bool = cfg!(windows);

/// Whether timeouts are never armed.
pub(super) const UNARMED: bool = cfg!(windows);

/// Flags of a write that does not wait and raises no signal: a peer that is gone is an error to be returned, not a
/// signal that ends the process.
#[cfg(all(unix, not(target_vendor = "apple")))]
pub(super) const SEND: i32 = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
#[cfg(target_vendor = "apple")]
pub(super) const SEND: i32 = libc::MSG_DONTWAIT;
#[cfg(windows)]
pub(super) const SEND: i32 = 0;

/// The event that a call waits for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Interest {
    Read,
    Write,
}

/// Waits until a call can be made without waiting, has failed, or `deadline` has passed. May return early.
pub(super) fn poll(socket: &Socket, interest: Interest, deadline: Option<Instant>) -> io::Result<()> {
    let flags = match interest {
        Interest::Read => PollFlags::IN,
        Interest::Write => PollFlags::OUT,
    };
    let timeout = deadline.map(|deadline| timespec(deadline.saturating_duration_since(Instant::now())));
    match rustix::event::poll(&mut [PollFd::new(socket, flags)], timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// `duration`, or the longest wait: a poll that comes back early is repeated.
fn timespec(duration: Duration) -> Timespec {
    const LONGEST: Duration = Duration::from_secs(86_400);
    Timespec::try_from(duration.min(LONGEST)).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 0 })
}

/// Reads without waiting.
pub(super) fn read_now(socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
    if NONBLOCKING {
        return read(socket, buffer);
    }
    #[cfg(unix)]
    let flags = RecvFlags::DONTWAIT;
    #[cfg(not(unix))]
    let flags = RecvFlags::empty();
    Ok(rustix::net::recv(socket, buffer, flags).map(|(len, _)| len)?)
}

/// Reads, and waits as the socket does.
pub(super) fn read(mut socket: &Socket, buffer: &mut [u8]) -> io::Result<usize> {
    socket.read(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_that_cannot_be_armed_does_not_keep_from_reading() {
        let refused = || Err(io::Error::from(io::ErrorKind::InvalidInput));
        assert_eq!(Wait::choose(false, &Ok(())), Wait::Blocking);
        assert_eq!(Wait::choose(false, &refused()), Wait::Polled);
        assert_eq!(Wait::choose(true, &Ok(())), Wait::Polled);
        assert_eq!(Wait::choose(true, &refused()), Wait::Polled);
    }

    #[test]
    fn a_poll_ends_at_its_deadline_and_when_there_is_something_to_read() {
        let (ours, theirs) = Socket::pair(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        let deadline = Instant::now() + Duration::from_millis(20);
        poll(&ours, Interest::Read, Some(deadline)).unwrap();
        assert!(Instant::now() >= deadline);
        assert_eq!(read_now(&ours, &mut [0; 4]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        poll(&ours, Interest::Write, None).unwrap();
        theirs.send(b"abc").unwrap();
        poll(&ours, Interest::Read, None).unwrap();
        let mut buffer = [0; 4];
        assert_eq!((read_now(&ours, &mut buffer).unwrap(), &buffer[..3]), (3, &b"abc"[..]));
        assert_eq!(timespec(Duration::MAX).tv_sec, 86_400);
    }
}
