//! What a connection runs over: bytes both ways, with absolute deadlines.

use core::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use std::{
    io::{self, IoSlice, Read, Write},
    net::Shutdown,
    sync::{Mutex, PoisonError},
    thread,
    time::Instant,
};

/// A blocking byte stream that two threads can use at once.
///
/// Deadlines are absolute, so that a caller who is interrupted or reads in steps never waits longer than it
/// meant to. `None` waits for ever. With a deadline in the past a call does what it can without waiting.
pub trait Transport: Send + Sync {
    /// Reads some bytes; 0 is the end of the peer's output.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::TimedOut`] if nothing could be read until `deadline`, and only then; nothing is lost and the call
    /// may be repeated. Never [`io::ErrorKind::Interrupted`].
    fn read(&self, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<usize>;

    /// Writes some bytes from the front of `slices`: the sooner it returns after some have gone, the better a slow peer is
    /// told from a dead one.
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

/// Any `Read + Write` as a [`Transport`]: a TLS stream, a pipe, a serial line. It cannot be split.
///
/// Deadlines need the stream's help. [`Blocking::new`] is for a stream whose calls come back now and then, with
/// [`WouldBlock`](io::ErrorKind::WouldBlock) (Unix) or [`TimedOut`](io::ErrorKind::TimedOut) (Windows), as those of a socket with a read and
/// a write timeout do: at each such tick the deadline is looked at, and the call goes on if it has not passed. All
/// timeouts of a connection are then exact to one tick. [`Blocking::untimed`] is for a stream that has none.
///
/// ```no_run
/// # fn tls(socket: std::net::TcpStream) -> std::io::Result<std::net::TcpStream> { Ok(socket) }
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let socket = std::net::TcpStream::connect("example.com:443")?;
/// // The tick: how late a deadline may be noticed.
/// let tick = Some(std::time::Duration::from_millis(100));
/// socket.set_read_timeout(tick)?;
/// socket.set_write_timeout(tick)?;
/// let transport = ws_std::Blocking::new(tls(socket)?);
/// let ws = ws_std::Connector::new().connect_over("wss://example.com/", transport, |_| ())?;
/// # Ok(()) }
/// ```
///
/// Ending the output flushes the stream. Nothing is read any more then, since the peer can't see that end and
/// might wait for it.
#[derive(Debug)]
pub struct Blocking<S> {
    stream: Mutex<S>,
    ended: AtomicBool,
}

/// The least time between two ticks of a stream that does not wait at all, so that it does not use up a processor.
const SHORTEST_TICK: Duration = Duration::from_millis(1);

impl<S: Read + Write + Send> Blocking<S> {
    /// Wraps a blocking stream with a read and a write timeout.
    ///
    /// A stream without them is one of [`untimed`](Self::untimed); nothing tells the two apart until a peer is silent.
    pub const fn new(stream: S) -> Self {
        Self { stream: Mutex::new(stream), ended: AtomicBool::new(false) }
    }

    /// Wraps a blocking stream whose calls wait as long as the peer is silent, or takes nothing.
    ///
    /// No deadline is kept then: a read timeout, the opening handshake's, keepalive, the wait for the peer's Close and the
    /// write timeout are noticed only when a call returns, which a silent peer can put off for ever. For tests, pipes between
    /// programs that trust each other, and streams with a watchdog of their own.
    pub const fn untimed(stream: S) -> Self {
        Self::new(stream)
    }

    /// Returns the stream itself.
    pub fn into_inner(self) -> S {
        self.stream.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Repeats `call` until it is done, fails, or comes back after the deadline.
    fn until<X>(&self, deadline: Option<Instant>, mut call: impl FnMut(&mut S) -> io::Result<X>) -> io::Result<X> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let started = Instant::now();
            match call(&mut stream) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_tick(&error) => {
                    let now = Instant::now();
                    if deadline.is_some_and(|deadline| deadline <= now) {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                    if now - started < SHORTEST_TICK {
                        thread::sleep(SHORTEST_TICK);
                    }
                }
                result => return result,
            }
        }
    }
}

/// Whether a call has come back because the stream's own timeout has passed, by any system's name for it.
fn is_tick(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

impl<S: Read + Write + Send> Transport for Blocking<S> {
    fn read(&self, buffer: &mut [u8], deadline: Option<Instant>) -> io::Result<usize> {
        if self.ended.load(Ordering::Relaxed) {
            return Ok(0);
        }
        self.until(deadline, |stream| stream.read(buffer))
    }

    fn write(&self, slices: &[IoSlice<'_>], deadline: Option<Instant>) -> io::Result<usize> {
        let written = self.until(deadline, |stream| stream.write_vectored(slices))?;
        match self.until(deadline, Write::flush) {
            // Written all the same: the next flush has it.
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(written),
            result => result.map(|()| written),
        }
    }

    fn shutdown(&self, _how: Shutdown) -> io::Result<()> {
        self.ended.store(true, Ordering::Relaxed);
        // One try: the stream's own timeout bounds it.
        self.until(Some(Instant::now()), Write::flush)
    }
}

/// Ends the transport in both directions, which wakes every thread that waits for it.
pub(crate) fn abort(transport: &impl Transport) {
    // A transport that is gone already is what is asked for.
    let _ = transport.shutdown(Shutdown::Both);
}

/// Writes some bytes from the front of `slices`, which are not all empty.
pub(crate) fn write_some(
    transport: &impl Transport,
    slices: [&[u8]; 3],
    deadline: Option<Instant>,
) -> io::Result<usize> {
    let mut slices = slices.map(IoSlice::new);
    // Those with something in them first, and no others: most often it is one.
    slices.sort_by_key(|slice| slice.is_empty());
    let count = slices.iter().take_while(|slice| !slice.is_empty()).count();
    match transport.write(slices.get(..count).unwrap_or_default(), deadline)? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        len => Ok(len),
    }
}

/// What is left of `slices` after `written` bytes.
pub(crate) fn remaining(slices: [&[u8]; 3], mut written: usize) -> [&[u8]; 3] {
    slices.map(|slice| {
        let gone = written.min(slice.len());
        written -= gone;
        slice.get(gone..).unwrap_or_default()
    })
}
