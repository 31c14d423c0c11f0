//! Words of 4 and 8 bytes, for payloads shorter than a vector.

#![allow(unsafe_code)]

use super::Vector;

macro_rules! impl_vector {
    ($word:ty) => {
        impl Vector for $word {
            const LEN: usize = size_of::<Self>();

            #[inline(always)]
            unsafe fn splat(key: u32) -> Self {
                // The key once in a `u32`, twice in a `u64`.
                Self::from(key) * (Self::MAX / Self::from(u32::MAX))
            }

            #[inline(always)]
            unsafe fn splat_rotated(key: u32, len: usize) -> Self {
                // SAFETY: every processor has words.
                let word = unsafe { Self::splat(key) };
                // One instruction; rotating the key first would take three. Only the last bits of the length
                // matter.
                #[allow(clippy::cast_possible_truncation)]
                word.rotate_right((len as u32).wrapping_mul(8))
            }

            #[inline(always)]
            unsafe fn load(from: *const u8) -> Self {
                // SAFETY: the caller's promise.
                Self::from_le(unsafe { from.cast::<Self>().read_unaligned() })
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut u8) {
                // SAFETY: the caller's promise.
                unsafe { to.cast::<Self>().write_unaligned(self.to_le()) }
            }

            #[inline(always)]
            unsafe fn xor(self, other: Self) -> Self {
                self ^ other
            }

            #[inline(always)]
            unsafe fn or(self, other: Self) -> Self {
                self | other
            }

            #[inline(always)]
            unsafe fn is_ascii(self) -> bool {
                self & (Self::MAX / 0xFF * 0x80) == 0
            }
        }
    };
}

impl_vector!(u32);
impl_vector!(u64);
