//! What this processor has beyond the baseline of its target.

use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

use super::avx2;
#[cfg(feature = "avx512")]
use super::avx512;

/// Nobody has asked yet.
pub(super) const UNKNOWN: u8 = 0;
pub(super) const BASELINE: u8 = 1;
pub(super) const AVX2: u8 = 2;
/// And AVX2.
#[cfg(feature = "avx512")]
pub(super) const AVX512: u8 = 3;

/// One of the above. Whoever asks finds the same, so that no order matters.
static WIDEST: AtomicU8 = AtomicU8::new(UNKNOWN);

/// What [`ask`] has found.
#[inline(always)]
pub(super) fn widest() -> u8 {
    WIDEST.load(Relaxed)
}

/// Asks the processor, for all that come later.
pub(super) fn ask() {
    let widest = if avx2::is_there() { AVX2 } else { BASELINE };
    #[cfg(feature = "avx512")]
    let widest = if avx512::is_there() { AVX512 } else { widest };
    WIDEST.store(widest, Relaxed);
}
