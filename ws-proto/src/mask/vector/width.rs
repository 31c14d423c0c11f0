//! The widest vectors of this processor, detected once.

use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

use super::avx2;
#[cfg(feature = "avx512")]
use super::avx512;

/// Not detected yet.
pub(super) const UNKNOWN: u8 = 0;
pub(super) const BASELINE: u8 = 1;
pub(super) const AVX2: u8 = 2;
/// AVX-512, and AVX2 too.
#[cfg(feature = "avx512")]
pub(super) const AVX512: u8 = 3;

/// One of the constants above. Every detection finds the same, so no memory order matters.
static WIDEST: AtomicU8 = AtomicU8::new(UNKNOWN);

/// Returns the result of [`detect`], or [`UNKNOWN`] before its first call.
#[inline(always)]
pub(super) fn widest() -> u8 {
    WIDEST.load(Relaxed)
}

/// Detects the widest vectors of the processor and stores the result.
pub(super) fn detect() {
    let widest = if avx2::is_available() { AVX2 } else { BASELINE };
    #[cfg(feature = "avx512")]
    let widest = if avx512::is_available() { AVX512 } else { widest };
    WIDEST.store(widest, Relaxed);
}
