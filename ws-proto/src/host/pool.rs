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
/// use ws_proto::{Config, Connection, Instant};
/// use ws_proto::host::Pool;
/// use ws_proto::server::OriginPolicy;
///
/// let config = Config::default();
/// let mut pool = Pool::new(&config);
/// // A connection without memory, of which there may be very many.
/// let mut connection = Connection::accept_in(None, &config, OriginPolicy::SameHost, Instant::ZERO);
/// pool.lend(&mut connection);
/// let len = 0; // of a read to connection.room()
/// connection.received(Instant::ZERO, len);
/// while let Some(_next) = connection.next() {}
/// pool.take_back(&mut connection);
/// ```
#[allow(clippy::vec_box, reason = "memories move in and out of connections as boxes")]
pub struct Pool {
    config: Config,
    #[cfg(feature = "deflate")]
    deflate: Option<crate::deflate::Settings>,
    free: Vec<Box<Memory>>,
    /// The bytes that the memories in `free` hold together: at most `kept`, unless `free` has only one.
    free_bytes: usize,
    kept: usize,
}

/// The bytes of a message's room that a memory always keeps.
const MESSAGE_KEPT: usize = 1 << 20;
/// The most bytes that all free memories hold together by default.
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

    /// Returns this pool, keeping memories for later that hold up to `len` bytes together; 16 MiB by default.
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
        self.free_bytes = self.free_bytes.saturating_sub(memory.held_bytes());
        connection.attach(memory);
    }

    /// Takes the memory of a connection back, unless something in it is unfinished.
    pub fn take_back<R: Opens>(&mut self, connection: &mut Connection<'_, R>) {
        let Some(memory) = connection.detach() else { return };
        let held = self.free_bytes.saturating_add(memory.held_bytes());
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

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("free", &self.free.len())
            .field("free_bytes", &self.free_bytes)
            .finish_non_exhaustive()
    }
}
