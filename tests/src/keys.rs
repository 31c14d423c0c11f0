use ws_proto::{Client, Entropy, EntropyError};

use crate::wire::KEY;

/// The client of the tests.
pub type TestClient = Client<Keys>;

/// A source of predictable masking keys for tests.
#[derive(Clone, Debug)]
pub enum Keys {
    /// Every key is [`KEY`], that of the examples in RFC 6455 section 5.7.
    Fixed,
    /// All keys differ, and are the same in every run.
    Counted(u64),
    /// This many batches of keys, of 64 bytes each, then failures.
    Failing(u32),
}

impl Entropy for Keys {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        match self {
            Self::Fixed => bytes.chunks_mut(4).for_each(|key| key.copy_from_slice(&KEY[..key.len()])),
            Self::Counted(next) => {
                for byte in bytes {
                    *next = next.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(1);
                    *byte = next.to_le_bytes()[7];
                }
            }
            Self::Failing(left) => {
                *left = left.checked_sub(1).ok_or(EntropyError)?;
                bytes.fill(0x5A);
            }
        }
        Ok(())
    }
}
