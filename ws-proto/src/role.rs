//! The two sides of a connection, each with what only it needs.

use core::fmt;

use crate::mask::MaskingKey;

/// Which side of the connection an endpoint is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Opened the connection; masks what it sends.
    Client,
    /// Accepted the connection; never masks.
    Server,
}

impl Side {
    /// The other side.
    #[must_use]
    pub const fn peer(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// A side of the connection: [`Client`] or [`Server`].
pub trait Role: sealed::Sealed {
    /// The side itself.
    const SIDE: Side;

    #[doc(hidden)]
    fn masking_key(&mut self) -> Result<Option<MaskingKey>, EntropyError>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Server {}
    impl<E> Sealed for super::Client<E> {}
}

/// The side that accepted the connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Server;

impl Role for Server {
    const SIDE: Side = Side::Server;

    #[inline]
    fn masking_key(&mut self) -> Result<Option<MaskingKey>, EntropyError> {
        Ok(None)
    }
}

/// The side that opened the connection, with the source of its masking keys.
#[derive(Clone)]
pub struct Client<E> {
    entropy: E,
    pool: [u8; POOL_LEN],
    left: u8,
}

// 16 keys a request: a system call for each frame would cost more than the frame.
const POOL_LEN: usize = 64;

impl<E: Entropy> Client<E> {
    /// A client that takes its masking keys from `entropy`, 64 bytes at a time.
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

/// A source of bytes that nobody can predict (RFC 6455 section 10.3).
///
/// There is no default: an operating system's generator, a hardware one, or a cryptographic generator
/// seeded from either. A peer or a page that can guess masking keys can write what it likes on the wire.
pub trait Entropy {
    /// Fills all of `bytes`.
    ///
    /// # Errors
    ///
    /// The source has nothing to give. What `bytes` holds then is not used.
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
