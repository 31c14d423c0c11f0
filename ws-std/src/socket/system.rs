//! The parts of a socket that differ between systems.
//!
//! A call that may wait is made in one of two ways. It can block until a timeout that was set before: one system call
//! for each read, since the timeout is seldom set again. Or a poll waits, and then the call is made without waiting:
//! two system calls, but no option has to be set.
//!
//! - Linux and most Unix systems block. A read that times out has taken no byte.
//! - macOS refuses to set any option on a socket whose peer has reset it (EINVAL), although bytes that came before can
//!   still be read. If the timeout cannot be set, a poll waits.
//! - On Windows a receive that times out leaves the socket in an undefined state, so a poll waits before each call.
//!
//! A write is always tried without waiting first, so that the time at which bytes left is known. Then a poll waits for
//! room.

use std::{
    io::{self, Read},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    io::Errno,
    net::RecvFlags,
};
use socket2::Socket;

/// The way in which a read that may wait is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// The call blocks until the timeout of the socket.
    Blocking,
    /// A poll waits, and then the call is made without waiting.
    Polled,
}

impl Wait {
    /// Chooses the way by the system and by the result of setting the timeout.
    pub(super) const fn choose(is_windows: bool, armed: &io::Result<()>) -> Self {
        if is_windows || armed.is_err() { Self::Polled } else { Self::Blocking }
    }
}

/// True where sockets have to be in non-blocking mode, because no flag makes a single call return at once.
pub(super) const NONBLOCKING: bool = cfg!(windows);

/// True where timeouts of sockets are never set.
pub(super) const UNARMED: bool = cfg!(windows);

/// Flags of a write that does not wait and raises no signal: after the peer has gone it returns an error, and no
/// SIGPIPE ends the process.
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

/// Waits until a call can be made without waiting, the socket has failed, or `deadline` has passed. May return early.
pub(super) fn poll(socket: &Socket, interest: Interest, deadline: Option<Instant>) -> io::Result<()> {
    let flags = match interest {
        Interest::Read => PollFlags::IN,
        Interest::Write => PollFlags::OUT,
    };
    poll_all(&mut [PollFd::new(socket, flags)], deadline)
}

/// Waits until one of the sockets has an event, or `deadline` has passed. May return early.
pub(super) fn poll_all(sockets: &mut [PollFd<'_>], deadline: Option<Instant>) -> io::Result<()> {
    let timeout = deadline.map(|deadline| timespec(deadline.saturating_duration_since(Instant::now())));
    match rustix::event::poll(sockets, timeout.as_ref()) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Converts a duration, bounded by a day: a poll that returns early is repeated.
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

/// Reads, and waits if the socket is in blocking mode.
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
