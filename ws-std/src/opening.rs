//! Reading and writing of heads, for both sides of the opening handshake (RFC 6455 section 4).

use core::time::Duration;
use std::{io, net::Shutdown, time::Instant};

use ws_proto::driver::{AwaitsHead, HeadBuffer, HeadError};

use crate::{
    clock::Clock,
    transport::{Transport, write_some},
};

/// Reads to `head` until it is complete and returns its length in bytes. After a failure, `head` has the bytes that came
/// before it.
pub(crate) fn read_head(
    head: &mut HeadBuffer,
    transport: &impl Transport,
    clock: Clock,
    handshake: &mut impl AwaitsHead,
) -> Result<usize, HeadError> {
    loop {
        let found = handshake.poll_head(clock.now(), head.received()).map_err(HeadError::Handshake)?;
        if let Some(len) = found {
            return Ok(len);
        }
        let read = transport.read(head.room(), system_deadline(handshake, clock));
        head.take(read, handshake, clock.now())?;
    }
}

/// Returns the deadline of a handshake that still waits for a head.
pub(crate) fn system_deadline(handshake: &impl AwaitsHead, clock: Clock) -> Option<Instant> {
    handshake.poll_timeout().and_then(|at| clock.to_system(at))
}

/// Writes all of `bytes`, or fails at `deadline` even if the peer has taken some of them.
pub(crate) fn write_by(transport: &impl Transport, bytes: &[u8], deadline: Option<Instant>) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let len = write_some([rest, &[], &[]], |slices| transport.write(slices, deadline))?;
        rest = rest.get(len..).unwrap_or_default();
    }
    Ok(())
}

/// Writes all of `bytes`, or fails after `timeout`.
pub(crate) fn write_within(transport: &impl Transport, bytes: &[u8], timeout: Option<Duration>) -> io::Result<()> {
    write_by(transport, bytes, timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
}

/// Ends a transport that did not become a connection, so that the peer can read our response. A socket that is closed
/// with unread input is reset, and the response may be lost; so up to 64 KiB of input are discarded first, for at most
/// 1 s.
pub(crate) fn farewell(transport: &impl Transport) {
    const DRAIN_LEN: usize = 64 * 1024;
    let deadline = Instant::now().checked_add(Duration::from_secs(1));
    if transport.shutdown(Shutdown::Write).is_err() {
        return;
    }
    let mut bin = [0; 1024];
    let mut drained = 0;
    while drained < DRAIN_LEN {
        match transport.read(&mut bin, deadline) {
            Ok(0) | Err(_) => return,
            Ok(len) => drained += len,
        }
    }
}
