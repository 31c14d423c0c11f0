//! Memory that many connections use in turn.

use core::fmt;

use alloc::{boxed::Box, vec::Vec};

use crate::{
    config::Config,
    connection::{Connection, Memory, Opens},
};

/// The memory of an event loop's connections: a connection has memory only while it has work to do, or unfinished data.
///
/// Call [`lend`](Self::lend) before any work on a connection, [`take_back`](Self::take_back) after it. Memory that big
/// messages have made big stays so for the next connection, up to a bound.
///
/// ```
/// use std::io::{self, Read, Write};
/// use ws_proto::{Config, Connection, Instant, Next, Pending, Server};
/// use ws_proto::host::{Deadlines, Pool};
/// use ws_proto::server::{Accept, OriginPolicy};
///
/// /// The turn of a connection whose socket is ready, or whose deadline has passed.
/// fn turn(
///     id: usize,
///     connection: &mut Connection<'_, Server>,
///     mut socket: impl Read + Write,
///     (pool, deadlines, buffer): (&mut Pool, &mut Deadlines, &mut [u8]),
///     now: Instant,
/// ) -> io::Result<()> {
///     pool.lend(connection);
///     let mut reading = connection.reading(buffer);
///     match socket.read(reading.room()) {
///         Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
///         read => reading.received(now, read.unwrap_or(0)),
///     }
///     while let Some(next) = reading.each_message(|message, reply| _ = reply.send(message)) {
///         if let Next::Opening(mut request) = next {
///             request.accept(&Accept::new()).map_err(io::Error::other)?;
///         }
///     }
///     drop(reading);
///     connection.handle_timeout(now);
///     let _later = connection.flush(now, |pending| match pending {
///         Pending::Bytes(bytes) => socket.write(bytes),
///         Pending::Shutdown => Ok(0), // here the socket is half-closed
///     });
///     // Drop a connection that `is_over`, and read no more from a peer that lets too much output wait.
///     deadlines.arm(id, connection.poll_timeout());
///     pool.take_back(connection);
///     Ok(())
/// }
///
/// let config = Config::default();
/// let (mut pool, mut deadlines) = (Pool::new(&config), Deadlines::new());
/// // A connection without memory, of which there may be very many.
/// let mut connection = Connection::accept_in(None, &config, OriginPolicy::SameHost, Instant::ZERO);
/// # let mut socket = io::Cursor::new(Vec::new());
/// turn(0, &mut connection, &mut socket, (&mut pool, &mut deadlines, &mut [0; 4096]), Instant::ZERO)?;
/// assert!(connection.is_over(), "this socket had nothing but an end");
/// # Ok::<(), io::Error>(())
/// ```
#[allow(clippy::vec_box, reason = "memories move in and out of connections as boxes")]
pub struct Pool {
    config: Config,
    #[cfg(feature = "deflate")]
    deflate: Option<crate::deflate::Settings>,
    free: Vec<Box<Memory>>,
    /// The bytes of all memories in `free`: at most `kept`, unless `free` has only one.
    free_bytes: usize,
    kept: usize,
}

/// The bytes of a message's room that a memory always keeps.
const MESSAGE_KEPT: usize = 1 << 20;
/// The most bytes of all free memories by default.
const POOL_KEPT: usize = 16 << 20;

impl Pool {
    /// Creates an empty pool, for connections with the deadlines for output of `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            config: config.clone(),
            #[cfg(feature = "deflate")]
            deflate: None,
            free: Vec::new(),
            free_bytes: 0,
            kept: POOL_KEPT,
        }
    }

    /// Returns this pool, keeping memories for later that take up to `len` bytes together; 16 MiB by default.
    #[must_use]
    pub const fn keeping(mut self, len: usize) -> Self {
        self.kept = len;
        self
    }

    /// Returns this pool with a compressor in each memory: see [`Memory::deflate`]. A compressor is taken back only if it
    /// does not take its context over.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub const fn deflate(mut self, settings: crate::deflate::Settings) -> Self {
        self.deflate = Some(settings);
        self
    }

    /// Lends memory to a connection that holds none.
    pub fn lend<R: Opens>(&mut self, connection: &mut Connection<'_, R>) {
        if connection.has_memory() {
            return;
        }
        let memory = self.free.pop().unwrap_or_else(|| Box::new(self.memory()));
        self.free_bytes = self.free_bytes.saturating_sub(bytes(&memory));
        connection.attach(memory);
    }

    /// Takes the memory of a connection back, unless something in it is unfinished.
    pub fn take_back<R: Opens>(&mut self, connection: &mut Connection<'_, R>) {
        let Some(memory) = connection.detach() else { return };
        let held = self.free_bytes.saturating_add(bytes(&memory));
        // One memory is always kept.
        if held <= self.kept || self.free.is_empty() {
            self.free_bytes = held;
            self.free.push(memory);
        }
    }

    fn memory(&self) -> Memory {
        let memory = Memory::new(&self.config).keeping(MESSAGE_KEPT);
        #[cfg(feature = "deflate")]
        if let Some(settings) = self.deflate {
            return memory.deflate(settings);
        }
        memory
    }
}

/// Returns the bytes that a memory takes: itself, and what it holds.
fn bytes(memory: &Memory) -> usize {
    size_of::<Memory>().saturating_add(memory.held_bytes())
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("free", &self.free.len())
            .field("free_bytes", &self.free_bytes)
            .finish_non_exhaustive()
    }
}
