#[cfg(feature = "client")]
mod connecting;
mod system;

use core::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use std::{
    io::{self, IoSlice},
    net::{Shutdown, TcpStream},
    time::Instant,
};

use ws_proto::driver::WriteFront;

#[cfg(feature = "client")]
pub(crate) use self::connecting::{begin_to_connect, poll_connected};
use self::system::{Interest, Wait};
use crate::transport::{Duplex, Transport};

/// A connected TCP or Unix stream socket.
#[derive(Debug)]
pub struct Socket {
    socket: socket2::Socket,
    read_timeout: ArmedTimeout,
}

/// The read timeout that is set in the operating system, in nanoseconds; 0 for none.
///
/// Setting it is a system call, which is made only if the value that is set differs too much from the one that is
/// needed.
#[derive(Debug, Default)]
struct ArmedTimeout(AtomicU64);

impl ArmedTimeout {
    /// Sets a timeout by calling `arm`, so that a call that starts now returns within `remaining`, or a little earlier.
    fn arm(
        &self,
        remaining: Option<Duration>,
        arm: impl FnOnce(Option<Duration>) -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(remaining) = remaining else {
            // A timeout that stayed set would make the call return early again and again.
            if self.0.load(Ordering::Relaxed) != 0 {
                arm(None)?;
                self.0.store(0, Ordering::Relaxed);
            }
            return Ok(());
        };
        // The operating system counts in microseconds, and zero means no timeout.
        let remaining = remaining.max(Duration::from_micros(1));
        let armed = Duration::from_nanos(self.0.load(Ordering::Relaxed));
        if (remaining / 4..=remaining).contains(&armed) {
            return Ok(());
        }
        // Shorter than needed, so that it also serves a next call that has a little less time left.
        let timeout = (remaining - remaining / 8).max(Duration::from_micros(1));
        arm(Some(timeout))?;
        self.0.store(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        Ok(())
    }
}

impl Socket {
    /// Takes over a connected socket, and turns Nagle's algorithm off if it is a TCP socket.
    ///
    /// # Errors
    ///
    /// An error of the operating system.
    pub fn new(socket: impl Into<socket2::Socket>) -> io::Result<Self> {
        let socket = socket.into();
        socket.set_nonblocking(system::NONBLOCKING)?;
        socket.set_read_timeout(None)?;
        socket.set_write_timeout(None)?;
        // A socket other than TCP does not have the option.
        let _ = socket.set_tcp_nodelay(true);
        #[cfg(target_vendor = "apple")]
        socket.set_nosigpipe(true)?;
        Ok(Self { socket, read_timeout: ArmedTimeout::default() })
    }

    /// Returns the socket of the crate `socket2`, for options and addresses.
    #[must_use]
    pub const fn as_socket2(&self) -> &socket2::Socket {
        &self.socket
    }

    /// Returns the socket of the crate `socket2`, in blocking mode and without timeouts.
    ///
    /// # Errors
    ///
    /// An error of the operating system.
    pub fn into_socket2(self) -> io::Result<socket2::Socket> {
        self.socket.set_nonblocking(false)?;
        self.socket.set_read_timeout(None)?;
        Ok(self.socket)
    }

    /// Reads like [`read`](Transport::read), and sets the read timeout by calling `arm`.
    fn read_armed(
        &self,
        buffer: &mut [u8],
        deadline: Option<Instant>,
        arm: impl Fn(Option<Duration>) -> io::Result<()>,
    ) -> io::Result<usize> {
        loop {
            let remaining = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let result = if remaining.is_some_and(|remaining| remaining.is_zero()) {
                let result = system::read_now(&self.socket, buffer);
                if result.as_ref().is_err_and(would_wait) {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                result
            } else {
                let armed = if system::UNARMED { Ok(()) } else { self.read_timeout.arm(remaining, &arm) };
                match Wait::choose(cfg!(windows), &armed) {
                    Wait::Blocking => system::read(&self.socket, buffer),
                    Wait::Polled => system::poll(&self.socket, Interest::Read, deadline)
                        .and_then(|()| system::read_now(&self.socket, buffer)),
                }
            };
            match result {
                Err(error) if would_wait(&error) => {}
                result => return result,
            }
        }
    }
}

/// Returns whether an error means that the call would have had to wait longer, or that a signal has interrupted it.
fn would_wait(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
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
        self.read_armed(buffer, deadline, |timeout| self.socket.set_read_timeout(timeout))
    }

    fn write(&self, slices: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
        let mut front = WriteFront::default();
        let slices = front.of(slices);
        loop {
            let result = match slices {
                // With one slice this system call is faster than the vectored one.
                [slice] => self.socket.send_with_flags(slice, system::SEND),
                _ => self.socket.send_vectored_with_flags(slices, system::SEND),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if would_wait(&error) => {
                    if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    system::poll(&self.socket, Interest::Write, deadline)?;
                }
                result => return result,
            }
        }
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.socket.shutdown(how)
    }
}

impl Duplex for Socket {}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (Socket, Socket) {
        let (ours, theirs) = socket2::Socket::pair(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        (Socket::new(ours).unwrap(), Socket::new(theirs).unwrap())
    }

    fn soon() -> Option<Instant> {
        Instant::now().checked_add(Duration::from_millis(20))
    }

    fn timed_out<T>(result: io::Result<T>) -> bool {
        result.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut)
    }

    // K-armed
    #[test]
    fn a_socket_that_takes_no_options_is_read_all_the_same() {
        // macOS returns this error after the peer has reset the connection.
        let refuse = |_| Err(io::Error::from(io::ErrorKind::InvalidInput));
        let (ours, theirs) = pair();
        assert!(timed_out(ours.read_armed(&mut [0; 4], soon(), refuse)));
        theirs.write(&[IoSlice::new(b"answer")], None).unwrap();
        drop(theirs);
        let mut buffer = [0; 8];
        assert_eq!(ours.read_armed(&mut buffer, soon(), refuse).unwrap(), 6);
        assert_eq!(ours.read_armed(&mut buffer, soon(), refuse).unwrap(), 0);
    }

    #[test]
    fn a_deadline_in_the_past_does_what_needs_no_waiting() {
        let past = Some(Instant::now());
        let (ours, theirs) = pair();
        assert!(timed_out(ours.read(&mut [0; 4], past)));
        assert_eq!(theirs.write(&[IoSlice::new(b"ab"), IoSlice::new(b"c")], past).unwrap(), 3);
        assert_eq!(ours.read(&mut [0; 4], past).unwrap(), 3);
        let piece = [0; 1 << 16];
        while !timed_out(theirs.write(&[IoSlice::new(&piece)], past)) {}
        assert!(timed_out(theirs.write(&[IoSlice::new(&piece)], soon())));
    }

    #[test]
    fn a_long_write_takes_the_first_of_equal_parts() {
        let (ours, theirs) = pair();
        theirs.as_socket2().set_send_buffer_size(1 << 20).unwrap();
        let payload = vec![2; 100_000];
        let mut received = vec![0; 200_000];
        for (header_len, rest_len, expected) in [(10, 0, 50_005), (0, 31_000, 43_667), (90_000, 10, 63_337)] {
            let (header, rest) = (vec![1; header_len], vec![3; rest_len]);
            let slices = [IoSlice::new(&header), IoSlice::new(&payload), IoSlice::new(&rest)];
            assert_eq!(theirs.write(&slices, None).unwrap(), expected);
            let mut len = 0;
            while len < expected {
                len += ours.read(&mut received[len..], None).unwrap();
            }
            assert_eq!(received[..expected], [&*header, &payload, &rest].concat()[..expected]);
        }
    }

    // K-armed
    #[test]
    fn a_socket_handed_back_waits_for_ever() {
        let (ours, _theirs) = pair();
        assert!(timed_out(ours.read(&mut [0; 4], soon())));
        let socket = ours.into_socket2().unwrap();
        assert_eq!((socket.read_timeout().unwrap(), socket.write_timeout().unwrap()), (None, None));
        assert!(!socket.nonblocking().unwrap());
    }

    #[test]
    fn a_timeout_is_armed_only_when_it_is_not_known_well_enough() {
        let armed = ArmedTimeout::default();
        let mut told = Vec::new();
        for remaining in [Some(8), Some(8), Some(7), None, None, Some(1), Some(4), Some(5)] {
            let remaining = remaining.map(Duration::from_secs);
            armed
                .arm(remaining, |timeout| {
                    told.push(timeout.map(|timeout| timeout.as_millis()));
                    Ok(())
                })
                .unwrap();
        }
        assert_eq!(told, [Some(7_000), None, Some(875), Some(3_500)]);
        // Never zero, which would mean no timeout.
        armed
            .arm(Some(Duration::from_nanos(1)), |timeout| {
                assert_eq!(timeout, Some(Duration::from_micros(1)));
                Ok(())
            })
            .unwrap();
    }
}
