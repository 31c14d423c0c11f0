use crate::{Entropy, EntropyError};

/// A source of masking keys and nonces: the operating system's random number generator (RFC 6455 section 10.3).
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::fill(bytes).map_err(|_| EntropyError)
    }
}
