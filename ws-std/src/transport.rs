//! What a connection runs over: bytes both ways, with absolute deadlines.

use core::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::{
    io::{self, IoSlice, Read, Write},
    net::Shutdown,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// A blocking byte stream that two threads can use at once.
///
/// Deadlines are absolute, so that a caller who is interrupted or reads in steps never waits longer than it
/// meant to. `None` waits for ever.
pub trait Transport: Send + Sync {
    /// Reads some bytes; 0 is the end of the peer's output.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`] once `deadline` has passed, and only then; nothing is lost and the call
    /// may be repeated. Never [`io::ErrorKind::Interrupted`].
    fn read(&self, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<usize>;

    /// Writes some bytes from the front of `slices`.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read); on an error nothing has been written by this call.
    fn write(&self, slices: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize>;

    /// Ends one or both directions; a blocked `read` returns.
    ///
    /// # Errors
    ///
    /// The transport is gone already.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;
}

/// A [`Transport`] whose reads and writes don't wait for each other, which [`split`](crate::WebSocket::split) needs.
pub trait Duplex: Transport {}

/// Any `Read + Write` as a [`Transport`], with what it lacks: there are no deadlines, so that timeouts are
/// noticed only between reads, and it can't be split. Ending the output flushes it; nothing is read any more then,
/// since the peer can't see that end and might wait for it.
#[derive(Debug)]
pub struct Blocking<S> {
    stream: Mutex<S>,
    ended: AtomicBool,
}

impl<S: Read + Write + Send> Blocking<S> {
    /// Wraps `stream`, which must be in blocking mode.
    pub const fn new(stream: S) -> Self {
        Self { stream: Mutex::new(stream), ended: AtomicBool::new(false) }
    }

    /// The stream itself.
    pub fn into_inner(self) -> S {
        self.stream.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn uninterrupted<X>(&self, mut call: impl FnMut(&mut S) -> io::Result<X>) -> io::Result<X> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match call(&mut stream) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

impl<S: Read + Write + Send> Transport for Blocking<S> {
    fn read(&self, buffer: &mut [u8], _deadline: Option<Instant>) -> io::Result<usize> {
        if self.ended.load(Ordering::Relaxed) {
            return Ok(0);
        }
        self.uninterrupted(|stream| stream.read(buffer))
    }

    fn write(&self, slices: &[IoSlice<'_>], _deadline: Option<Instant>) -> io::Result<usize> {
        let written = self.uninterrupted(|stream| stream.write_vectored(slices))?;
        match self.uninterrupted(Write::flush) {
            // Written all the same: the next flush has it.
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(written),
            result => result.map(|()| written),
        }
    }

    fn shutdown(&self, _how: Shutdown) -> io::Result<()> {
        self.ended.store(true, Ordering::Relaxed);
        self.uninterrupted(Write::flush)
    }
}

/// Writes all of `slices` before `limit`, as long as the transport takes some byte within `timeout`; how many
/// bytes have gone, and what stopped it.
pub(crate) fn write_all(
    transport: &impl Transport,
    slices: [&[u8]; 3],
    timeout: Option<Duration>,
    limit: Option<Instant>,
) -> (usize, io::Result<()>) {
    let total: usize = slices.iter().map(|slice| slice.len()).sum();
    let mut written = 0;
    while written < total {
        let mut rest = remaining(slices, written).map(IoSlice::new);
        // Those with something in them first, and no others: most often it is one.
        rest.sort_by_key(|slice| slice.is_empty());
        let count = rest.iter().take_while(|slice| !slice.is_empty()).count();
        let timeout = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let deadline = [timeout, limit].into_iter().flatten().min();
        match transport.write(rest.get(..count).unwrap_or_default(), deadline) {
            Ok(0) => return (written, Err(io::ErrorKind::WriteZero.into())),
            Ok(len) => written += len,
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}

/// What is left of `slices` after `written` bytes.
pub(crate) fn remaining(slices: [&[u8]; 3], mut written: usize) -> [&[u8]; 3] {
    slices.map(|slice| {
        let gone = written.min(slice.len());
        written -= gone;
        slice.get(gone..).unwrap_or_default()
    })
}
