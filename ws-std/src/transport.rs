//! Transports: byte streams in both directions, with absolute deadlines.

use core::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::{
    io::{self, IoSlice, Read, Write},
    net::Shutdown,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

/// A blocking byte stream that two threads can use at once.
///
/// Deadlines are absolute, so that a call that is interrupted or made in steps never waits longer than intended. `None`
/// waits for ever. With a deadline in the past a call does what it can without waiting.
pub trait Transport: Send + Sync {
    /// Reads some bytes and returns how many; 0 is the end of the peer's output.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`] if and only if no byte could be read before `deadline`; no byte is lost and the call
    /// may be repeated. Never [`io::ErrorKind::Interrupted`]. Any other error means that the transport has failed.
    fn read(&self, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<usize>;

    /// Writes some bytes from the front of `slices` and returns how many.
    ///
    /// It should return as soon as some bytes have been taken: then a slow peer can be told from a dead one.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read). On an error this call has written no byte. The next call after
    /// [`io::ErrorKind::TimedOut`] has to begin with the same bytes, since a transport with TLS has encrypted some of them.
    fn write(&self, slices: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize>;

    /// [`read`](Self::read) by the only holder of the transport, which may save a lock.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    #[inline]
    fn read_mut(&mut self, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        self.read(buffer, deadline)
    }

    /// [`write`](Self::write) by the only holder of the transport, which may save a lock.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    #[inline]
    fn write_mut(&mut self, slices: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
        self.write(slices, deadline)
    }

    /// Returns whether bytes have come that lie in this transport's memory, as far as it knows: a [`read`](Self::read) takes them
    /// without asking the operating system. A connection reads them with a deadline in the past and without a look at the clock, and
    /// for at most 128 KiB without a look at its timers. A transport that wraps another one should pass its answer on.
    #[inline]
    fn is_ready(&self) -> bool {
        false
    }

    /// Ends one or both directions. A `read` that waits returns.
    ///
    /// # Errors
    ///
    /// The transport has ended already, or has failed.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;
}

/// A [`Transport`] whose reads and writes don't wait for each other; [`split`](crate::WebSocket::split) needs one.
pub trait Duplex: Transport {}

/// A [`Transport`] over any `Read + Write`, such as a pipe, a serial line or the stream of a TLS library. It cannot be split.
///
/// Deadlines need the stream's help. [`Blocking::new`] is for a stream whose calls return now and then with
/// [`WouldBlock`](io::ErrorKind::WouldBlock) (Unix) or [`TimedOut`](io::ErrorKind::TimedOut) (Windows), as those of a
/// socket with a read and a write timeout do. At each such tick `Blocking` compares the time with the deadline and
/// repeats the call until the deadline has passed. All timeouts of a connection are then exact to one tick.
/// [`Blocking::untimed`] is for a stream whose calls have no timeout.
///
/// ```no_run
/// # fn tls(socket: std::net::TcpStream) -> std::io::Result<std::net::TcpStream> { Ok(socket) }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let socket = std::net::TcpStream::connect("example.com:443")?;
/// // The tick: the most by which a deadline may be noticed late.
/// let tick = Some(std::time::Duration::from_millis(100));
/// socket.set_read_timeout(tick)?;
/// socket.set_write_timeout(tick)?;
/// let transport = ws_std::Blocking::new(tls(socket)?);
/// let ws = ws_std::Connector::new().connect_over("wss://example.com/", transport, |_| ())?;
/// # Ok(()) }
/// ```
///
/// Ending the output flushes the stream; later reads return the end of the input at once. The peer can't see that our
/// output has ended and might wait for it, so reading on could take for ever.
#[derive(Debug)]
pub struct Blocking<S> {
    stream: Mutex<S>,
    ended: AtomicBool,
}

/// The least time between two ticks: a stream that does not wait at all would use up a processor.
const SHORTEST_TICK: Duration = Duration::from_millis(1);

impl<S: Read + Write + Send> Blocking<S> {
    /// Wraps a blocking stream that has a read and a write timeout.
    ///
    /// Use [`untimed`](Self::untimed) for a stream without them. `new` cannot notice that they are missing: deadlines
    /// are then not kept while the peer is silent.
    pub const fn new(stream: S) -> Self {
        Self { stream: Mutex::new(stream), ended: AtomicBool::new(false) }
    }

    /// Wraps a blocking stream whose calls wait as long as the peer sends no bytes, or takes none.
    ///
    /// No deadline is kept: the read timeout, the opening handshake's timeout, keepalive, the wait for the peer's Close
    /// and the write timeout are noticed only when a call of the stream returns, which a silent peer can prevent for
    /// ever. It is meant for tests, for pipes between programs that trust each other, and for streams with a watchdog
    /// of their own.
    pub const fn untimed(stream: S) -> Self {
        Self::new(stream)
    }

    /// Returns the stream itself.
    pub fn into_inner(self) -> S {
        self.stream.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, S> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn exclusive(&mut self) -> &mut S {
        self.stream.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads from `stream`, unless its output has ended.
fn read<S: Read>(stream: &mut S, ended: bool, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
    if ended {
        return Ok(0);
    }
    until(stream, deadline, |stream| stream.read(buffer))
}

/// Writes to `stream` and flushes it.
fn write<S: Write>(stream: &mut S, slices: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
    let written = until(stream, deadline, |stream| stream.write_vectored(slices))?;
    match until(stream, deadline, Write::flush) {
        // The stream has the bytes; the next flush passes them on.
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(written),
        result => result.map(|()| written),
    }
}

/// Repeats `call` until it succeeds, fails, or ticks after the deadline.
fn until<S, X>(
    stream: &mut S,
    deadline: Option<Instant>,
    mut call: impl FnMut(&mut S) -> io::Result<X>,
) -> io::Result<X> {
    // The clock is read at ticks only: most calls of a stream need none.
    let mut last_tick: Option<Instant> = None;
    loop {
        match call(stream) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if is_tick(&error) => {
                let now = Instant::now();
                if deadline.is_some_and(|deadline| deadline <= now) {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                if last_tick.is_some_and(|last| now - last < SHORTEST_TICK) {
                    thread::sleep(SHORTEST_TICK);
                }
                last_tick = Some(Instant::now());
            }
            result => return result,
        }
    }
}

/// Returns whether a call returned because the stream's own timeout had passed; systems differ in the error.
fn is_tick(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

impl<S: Read + Write + Send> Transport for Blocking<S> {
    fn read(&self, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        let ended = self.ended.load(Ordering::Relaxed);
        read(&mut *self.lock(), ended, buffer, deadline)
    }

    fn write(&self, slices: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
        write(&mut *self.lock(), slices, deadline)
    }

    fn read_mut(&mut self, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        let ended = *self.ended.get_mut();
        read(self.exclusive(), ended, buffer, deadline)
    }

    fn write_mut(&mut self, slices: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
        write(self.exclusive(), slices, deadline)
    }

    fn shutdown(&self, _how: Shutdown) -> io::Result<()> {
        self.ended.store(true, Ordering::Relaxed);
        // The stream's own timeout bounds this one attempt.
        until(&mut *self.lock(), Some(Instant::now()), Write::flush)
    }
}

/// Ends a transport in both directions, which wakes every thread that reads or writes it.
pub(crate) fn abort(transport: &impl Transport) {
    // An error means that the transport has ended already.
    let _ = transport.shutdown(Shutdown::Both);
}

/// Writes some bytes from the front of `slices` by `write` and returns how many; at least one slice must not be empty.
#[inline]
pub(crate) fn write_some(
    slices: [&[u8]; 3],
    write: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>,
) -> io::Result<usize> {
    // Empty slices are left out: most often one slice remains.
    let mut full = [IoSlice::new(&[]); 3];
    let mut places = full.iter_mut();
    slices
        .iter()
        .filter(|slice| !slice.is_empty())
        .zip(&mut places)
        .for_each(|(slice, place)| *place = IoSlice::new(slice));
    let count = slices.len() - places.len();
    taken(write(full.get(..count).unwrap_or_default()))
}

/// Returns how much a write of some bytes has taken; an error if it was nothing.
#[inline]
pub(crate) fn taken(written: io::Result<usize>) -> io::Result<usize> {
    match written? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        len => Ok(len),
    }
}

/// Returns the parts of `slices` after the first `written` bytes.
#[inline]
pub(crate) fn remaining(slices: [&[u8]; 3], mut written: usize) -> [&[u8]; 3] {
    slices.map(|slice| {
        let gone = written.min(slice.len());
        written -= gone;
        slice.get(gone..).unwrap_or_default()
    })
}
