//! Vectors of 32 bytes: AVX2, which has to be detected.

#![allow(unsafe_code)]

use core::arch::x86_64::{
    __m256i, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi32, _mm256_storeu_si256,
    _mm256_xor_si256,
};

use super::{Finding, Vector};

/// Bytes per vector.
pub(super) const LEN: usize = __m256i::LEN;

/// Returns whether the processor has AVX2.
#[inline]
pub(super) fn is_available() -> bool {
    std::is_x86_feature_detected!("avx2")
}

/// Masks two to four vectors as [`mask`](super::mask) does.
///
/// # Safety
///
/// As for [`mask`](super::mask); the processor has AVX2, and `2 * LEN <= len <= 4 * LEN`.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn mask_up_to_four<F: Finding>(key: u32, from: *const u8, to: *mut u8, len: usize) -> F {
    // SAFETY: the caller's promise.
    unsafe { super::first_and_last::<__m256i, F, 2>(key, from, to, len) }
}

/// Masks as [`mask`](super::mask) does, with AVX2.
///
/// # Safety
///
/// As for [`mask`](super::mask); the processor has AVX2, and `LEN <= len`.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn mask<F: Finding, const IN_PLACE: bool>(
    key: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
) -> F {
    // SAFETY: the caller's promise.
    unsafe { super::stream::<__m256i, F, 2, IN_PLACE>(key, from, to, len) }
}

/// Searches as [`ascii_len`](super::ascii_len) does, with AVX2.
///
/// # Safety
///
/// The processor has AVX2, and `bytes` are at least one vector.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn ascii_len(bytes: &[u8]) -> usize {
    // SAFETY: the caller's promise.
    unsafe { super::ascii_run::<__m256i>(bytes) }
}

impl Vector for __m256i {
    const LEN: usize = 32;

    #[inline(always)]
    unsafe fn splat(key: u32) -> Self {
        // SAFETY: the caller's promise.
        unsafe { _mm256_set1_epi32(i32::from_ne_bytes(key.to_ne_bytes())) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the caller's promise; the address need not be aligned.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: the caller's promise; the address need not be aligned.
        unsafe { _mm256_storeu_si256(to.cast(), self) }
    }

    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        // SAFETY: the caller's promise.
        unsafe { _mm256_xor_si256(self, other) }
    }

    #[inline(always)]
    unsafe fn or(self, other: Self) -> Self {
        // SAFETY: the caller's promise.
        unsafe { _mm256_or_si256(self, other) }
    }

    #[inline(always)]
    unsafe fn is_ascii(self) -> bool {
        // SAFETY: the caller's promise.
        unsafe { _mm256_movemask_epi8(self) == 0 }
    }
}
