//! The two sides of a connection, each with the data that only that side needs.

use core::fmt;

use crate::mask::MaskingKey;

/// The side of a connection that an endpoint is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The side that sent the request of the opening handshake. It masks its frames.
    Client,
    /// The side that answered the request. It never masks.
    Server,
}

impl Side {
    /// Returns the other side.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// The role of an endpoint: [`Client`] or [`Server`].
pub trait Role: sealed::Sealed {
    /// The side of the connection.
    const SIDE: Side;

    #[doc(hidden)]
    fn masking_key(&mut self) -> Result<Option<MaskingKey>, EntropyError>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Server {}
    impl<E> Sealed for super::Client<E> {}
}

/// The role of the side that answers the request of the opening handshake.
#[derive(Clone, Copy, Debug, Default)]
pub struct Server;

impl Role for Server {
    const SIDE: Side = Side::Server;

    #[inline]
    fn masking_key(&mut self) -> Result<Option<MaskingKey>, EntropyError> {
        Ok(None)
    }
}

/// The role of the side that sends the request of the opening handshake, with the source of its masking keys.
#[derive(Clone)]
pub struct Client<E> {
    entropy: E,
    pool: [u8; POOL_LEN],
    left: u8,
}

// 16 keys for each call of the source: a system call for each frame would cost more than the frame.
const POOL_LEN: usize = 64;

impl<E: Entropy> Client<E> {
    /// Creates the role of a client that takes its masking keys from `entropy`, 64 bytes at a time.
    pub const fn new(entropy: E) -> Self {
        Self { entropy, pool: [0; POOL_LEN], left: 0 }
    }
}

impl<E: Entropy> Role for Client<E> {
    const SIDE: Side = Side::Client;

    #[inline]
    fn masking_key(&mut self) -> Result<Option<MaskingKey>, EntropyError> {
        if self.left == 0 {
            self.entropy.fill(&mut self.pool)?;
            self.left = 16;
        }
        self.left -= 1;
        let key = self.pool.chunks_exact(4).nth(usize::from(self.left)).and_then(<[u8]>::first_chunk);
        Ok(Some(MaskingKey::new(*key.ok_or(EntropyError)?)))
    }
}

impl<E> fmt::Debug for Client<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither keys nor their source belong in a log.
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// A source of unpredictable bytes (RFC 6455 section 10.3).
///
/// There is no default. Use the operating system's generator, a hardware generator, or a cryptographic generator
/// seeded from either. A peer or a page that can guess masking keys can write any bytes on the wire.
pub trait Entropy {
    /// Fills all of `bytes`.
    ///
    /// # Errors
    ///
    /// The source failed. The contents of `bytes` are not used.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError>;
}

impl<F: FnMut(&mut [u8]) -> Result<(), EntropyError>> Entropy for F {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        self(bytes)
    }
}

/// The source of entropy failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntropyError;

impl fmt::Display for EntropyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("source of entropy failed (RFC 6455 section 10.3)")
    }
}

impl core::error::Error for EntropyError {}
