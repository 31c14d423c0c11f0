//! The portable code, compiled once more with AVX2: vectors of twice the size.

#![allow(unsafe_code)]

use super::portable;

/// Below this it is the call that costs.
const WORTH_IT: usize = 128;

/// [`portable::apply_long`], if the processor has AVX2 and it pays.
#[inline]
pub(super) fn apply(key: [u8; 4], payload: &mut [u8]) -> Option<bool> {
    if payload.len() < WORTH_IT || !has_avx2() {
        return None;
    }
    // SAFETY: the processor has AVX2.
    Some(unsafe { apply_avx2(key, payload) })
}

/// [`portable::apply_copy`], if the processor has AVX2 and it pays; whether it was done.
#[inline]
pub(super) fn apply_copy(key: [u8; 4], payload: &[u8], out: &mut [u8]) -> bool {
    let worth_it = payload.len() >= WORTH_IT && has_avx2();
    if worth_it {
        // SAFETY: the processor has AVX2.
        unsafe { apply_copy_avx2(key, payload, out) };
    }
    worth_it
}

#[inline]
fn has_avx2() -> bool {
    std::is_x86_feature_detected!("avx2")
}

/// # Safety
///
/// The processor has AVX2.
#[target_feature(enable = "avx2")]
unsafe fn apply_avx2(key: [u8; 4], payload: &mut [u8]) -> bool {
    portable::apply_long(key, payload)
}

/// # Safety
///
/// The processor has AVX2.
#[target_feature(enable = "avx2")]
unsafe fn apply_copy_avx2(key: [u8; 4], payload: &[u8], out: &mut [u8]) {
    portable::apply_copy(key, payload, out);
}
