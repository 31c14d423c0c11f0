//! Vectors of 16 bytes: WebAssembly's SIMD, on targets that have it.

#![allow(unsafe_code)]

use core::arch::wasm32::{i8x16_bitmask, i32x4_splat, v128, v128_load, v128_or, v128_store, v128_xor};

use super::Vector;

impl Vector for v128 {
    const LEN: usize = 16;

    #[inline(always)]
    unsafe fn splat(key: u32) -> Self {
        i32x4_splat(i32::from_ne_bytes(key.to_ne_bytes()))
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the caller's promise; the address need not be aligned.
        unsafe { v128_load(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: the caller's promise; the address need not be aligned.
        unsafe { v128_store(to.cast(), self) }
    }

    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        v128_xor(self, other)
    }

    #[inline(always)]
    unsafe fn or(self, other: Self) -> Self {
        v128_or(self, other)
    }

    #[inline(always)]
    unsafe fn is_ascii(self) -> bool {
        i8x16_bitmask(self) == 0
    }
}
