//! Vectors of 64 bytes: AVX-512, which has to be detected.

#![allow(unsafe_code)]
#![allow(clippy::incompatible_msrv, reason = "the feature needs a later Rust, as its description says")]

use core::arch::x86_64::{
    __m512i, _mm512_loadu_si512, _mm512_movepi8_mask, _mm512_or_si512, _mm512_set1_epi32, _mm512_storeu_si512,
    _mm512_xor_si512,
};

use super::{Finding, Vector};

/// The length from which AVX-512 is faster than AVX2.
pub(super) const WORTH_IT: usize = 512;

/// Returns whether the processor has AVX-512, of a generation that does not lower its clock for it:
/// those have VBMI2.
#[inline]
pub(super) fn is_available() -> bool {
    std::is_x86_feature_detected!("avx512vbmi2") && std::is_x86_feature_detected!("avx512bw")
}

/// Masks as [`mask`](super::mask) does, with AVX-512.
///
/// # Safety
///
/// As for [`mask`](super::mask); the processor has AVX-512BW, and `len` is at least 64.
#[target_feature(enable = "avx512bw")]
pub(super) unsafe fn mask<F: Finding, const IN_PLACE: bool>(
    key: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
) -> F {
    // SAFETY: the caller's promise.
    unsafe { super::stream::<__m512i, F, 1, IN_PLACE>(key, from, to, len) }
}

impl Vector for __m512i {
    const LEN: usize = 64;

    #[inline(always)]
    unsafe fn splat(key: u32) -> Self {
        // SAFETY: the caller's promise.
        unsafe { _mm512_set1_epi32(i32::from_ne_bytes(key.to_ne_bytes())) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the caller's promise; the address need not be aligned.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: the caller's promise; the address need not be aligned.
        unsafe { _mm512_storeu_si512(to.cast(), self) }
    }

    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        // SAFETY: the caller's promise.
        unsafe { _mm512_xor_si512(self, other) }
    }

    #[inline(always)]
    unsafe fn or(self, other: Self) -> Self {
        // SAFETY: the caller's promise.
        unsafe { _mm512_or_si512(self, other) }
    }

    #[inline(always)]
    unsafe fn is_ascii(self) -> bool {
        // SAFETY: the caller's promise.
        unsafe { _mm512_movepi8_mask(self) == 0 }
    }
}
