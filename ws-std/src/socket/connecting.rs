//! Attempts to connect that go on at once.

use std::{io, net::SocketAddr, time::Instant, vec::Vec};

use rustix::{
    event::{PollFd, PollFlags},
    io::Errno,
};
use socket2::{Domain, Socket, Type};

use super::system::poll_all;

/// Begins to connect a socket in non-blocking mode.
pub(crate) fn begin_to_connect(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        // Windows calls it WouldBlock.
        Err(error)
            if error.kind() != io::ErrorKind::WouldBlock
                && Errno::from_io_error(&error) != Some(Errno::INPROGRESS) =>
        {
            Err(error)
        }
        Ok(()) | Err(_) => Ok(socket),
    }
}

/// Waits until an attempt to connect has ended, or `deadline` has passed. Returns the number and the result of each that has, in
/// ascending order. May return early.
pub(crate) fn poll_connected<A>(
    attempts: &[(A, Socket)],
    deadline: Option<Instant>,
) -> io::Result<Vec<(usize, io::Result<()>)>> {
    if attempts.is_empty() {
        return Ok(Vec::new());
    }
    let mut polled: Vec<_> = attempts.iter().map(|(_, socket)| PollFd::new(socket, PollFlags::OUT)).collect();
    poll_all(&mut polled, deadline)?;
    let ended = polled.iter().zip(attempts).enumerate().filter(|(_, (poll, _))| !poll.revents().is_empty());
    Ok(ended.map(|(index, (_, (_, socket)))| (index, result_of(socket))).collect())
}

/// Returns the result of an attempt to connect that has ended.
fn result_of(socket: &Socket) -> io::Result<()> {
    socket.take_error()?.map_or(Ok(()), Err)
}
