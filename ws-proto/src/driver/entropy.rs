use core::cell::RefCell;

use chacha20::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};

use crate::{Entropy, EntropyError};

/// A source of masking keys and nonces, seeded by the operating system (RFC 6455 sections 5.3 and 10.3).
///
/// A key must be unpredictable to whoever chooses the payload: a page, or a peer whose bytes are passed on. The operating
/// system's generator is that, but costs a system call, which is more than a small frame. So each thread has a generator of its
/// own, ChaCha with 12 rounds, the default of the crate `rand`: keys that have been seen say nothing about the next. It takes a
/// new seed from the operating system after every 64 KiB, which is 16,384 keys. There is no lock, and threads share no state.
///
/// Less than 64 bytes at a time, such as the nonce of an opening handshake, come from the operating system itself.
///
/// After a `fork`, both processes hold the same state. The child takes a seed of its own at the first nonce, thus before the
/// keys of any connection that it opens, and otherwise within 8 KiB, which is 2,048 keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

/// Fewer bytes than this are asked of the operating system.
const FEW: usize = 64;
/// The bytes that are made of one seed.
const SEED_LASTS: usize = 64 * 1024;
/// The bytes after which a fork is noticed.
const FORK_NOTICED: usize = 8 * 1024;

std::thread_local! {
    static GENERATOR: RefCell<Option<Generator>> = const { RefCell::new(None) };
}

struct Generator {
    stream: ChaCha12Rng,
    /// The bytes until a new seed is due.
    seed_left: usize,
    /// The bytes until the process is looked at.
    process_left: usize,
    process: u32,
}

impl Generator {
    fn new() -> Result<Self, EntropyError> {
        let mut seed = [0; 32];
        ask(&mut seed)?;
        let stream = ChaCha12Rng::from_seed(seed);
        Ok(Self { stream, seed_left: SEED_LASTS, process_left: FORK_NOTICED, process: process() })
    }

    /// Fills `bytes`, if the seed lasts for them.
    fn fill(&mut self, bytes: &mut [u8]) -> Option<()> {
        self.seed_left = self.seed_left.checked_sub(bytes.len())?;
        match self.process_left.checked_sub(bytes.len()) {
            Some(left) => self.process_left = left,
            None if self.process == process() => self.process_left = FORK_NOTICED,
            None => return None,
        }
        self.stream.fill_bytes(bytes);
        Some(())
    }
}

impl Entropy for OsEntropy {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        // A thread that is ending may have no generator any more.
        GENERATOR.try_with(|own| fill(&mut own.borrow_mut(), bytes)).unwrap_or_else(|_| ask(bytes))
    }
}

/// Fills `bytes` from `own`, the generator of this thread.
fn fill(own: &mut Option<Generator>, bytes: &mut [u8]) -> Result<(), EntropyError> {
    if bytes.len() < FEW {
        *own = own.take().filter(|generator| generator.process == process());
        return ask(bytes);
    }
    if bytes.len() > SEED_LASTS {
        return ask(bytes);
    }
    while own.as_mut().and_then(|generator| generator.fill(bytes)).is_none() {
        *own = Some(Generator::new()?);
    }
    Ok(())
}

/// Asks the operating system.
fn ask(bytes: &mut [u8]) -> Result<(), EntropyError> {
    getrandom::fill(bytes).map_err(|_| EntropyError)
}

/// Returns what tells this process from one that it has forked.
fn process() -> u32 {
    if cfg!(unix) { std::process::id() } else { 0 }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::*;

    fn is_new(own: &Option<Generator>) -> bool {
        own.as_ref().is_some_and(|generator| generator.seed_left == SEED_LASTS - 64)
    }

    // R5.3-1 R10.3-1
    #[test]
    fn no_key_comes_twice() {
        let mut all = std::collections::HashSet::new();
        for _ in 0..2 * SEED_LASTS / 64 {
            let mut bytes = [0; 64];
            OsEntropy.fill(&mut bytes).unwrap();
            assert!(bytes.chunks(16).all(|keys| all.insert(keys.to_vec())));
        }
        let elsewhere = std::thread::spawn(|| {
            let mut bytes = [0; 64];
            OsEntropy.fill(&mut bytes).map(|()| bytes)
        });
        assert!(elsewhere.join().unwrap().unwrap().chunks(16).all(|keys| all.insert(keys.to_vec())));
    }

    #[test]
    fn a_seed_lasts_for_64_kib() {
        let mut own = None;
        for round in 0..3 {
            for at in 0..SEED_LASTS / 64 {
                fill(&mut own, &mut [0; 64]).unwrap();
                assert_eq!(is_new(&own), at == 0, "{round}: {at}");
            }
        }
        let mut much = vec![0; SEED_LASTS + 1];
        fill(&mut own, &mut much).unwrap();
        assert!(much.iter().any(|byte| *byte != 0));
    }

    #[test]
    fn another_process_takes_a_seed_of_its_own() {
        let mut own = None;
        let mut forked = || {
            fill(&mut own, &mut [0; 64]).unwrap();
            fill(&mut own, &mut [0; 64]).unwrap();
            own.as_mut().unwrap().process ^= 1;
            own.take()
        };
        let mut at_its_nonce = forked();
        fill(&mut at_its_nonce, &mut [0; 16]).unwrap();
        assert!(at_its_nonce.is_none());
        let mut at_its_keys = forked();
        let fills = (0..).find(|_| {
            fill(&mut at_its_keys, &mut [0; 64]).unwrap();
            is_new(&at_its_keys)
        });
        assert!(fills < Some(FORK_NOTICED / 64), "{fills:?}");
    }
}
