//! Masking in vectors: one way through the bytes, whatever a vector is.
//!
//! The last bytes of a payload are not a loop of their own: they are one more vector that overlaps the one before. It is
//! read before anything is written, so that a payload may lie where it goes.

#![allow(unsafe_code)]
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "a block is one step: it reads, masks and writes on one premise"
)]

#[cfg(all(target_arch = "x86_64", feature = "std"))]
mod avx2;
#[cfg(all(target_arch = "x86_64", feature = "avx512"))]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "wasm32")]
mod simd128;
#[cfg(target_arch = "x86_64")]
mod sse2;
#[cfg(all(target_arch = "x86_64", feature = "std"))]
mod width;
mod word;

#[cfg(feature = "alloc")]
use core::mem::MaybeUninit;

/// What every processor of the target has; without it this module is not used.
#[cfg(target_arch = "x86_64")]
type Baseline = core::arch::x86_64::__m128i;
/// What every processor of the target has; without it this module is not used.
#[cfg(target_arch = "aarch64")]
type Baseline = core::arch::aarch64::uint8x16_t;
/// What every processor of the target has; without it this module is not used.
#[cfg(target_arch = "wasm32")]
type Baseline = core::arch::wasm32::v128;

/// Fewer bytes than a vector are masked in words.
const LEAST: usize = Baseline::LEN;

/// XORs `payload` with `key`, whose first byte is for its first one; whether it is ASCII then, if `TEXT` asks for that.
#[inline(always)]
pub(super) fn apply<const TEXT: bool>(key: [u8; 4], payload: &mut [u8]) -> bool {
    let at = payload.as_mut_ptr();
    // SAFETY: these bytes are lent to us.
    unsafe { mask::<TEXT, true>(key, at, at, payload.len()) }
}

/// Masks from `payload` to `out`, as many bytes as both have; whether these are ASCII then, if `TEXT` asks for that.
#[inline(always)]
pub(super) fn apply_copy<const TEXT: bool>(key: [u8; 4], payload: &[u8], out: &mut [u8]) -> bool {
    // SAFETY: both have so many bytes.
    unsafe { mask::<TEXT, false>(key, payload.as_ptr(), out.as_mut_ptr(), payload.len().min(out.len())) }
}

/// [`apply_copy`] to where nothing is yet; afterwards as much of it is initialised.
#[cfg(feature = "alloc")]
#[inline(always)]
pub(super) fn fill(key: [u8; 4], payload: &[u8], out: &mut [MaybeUninit<u8>]) {
    // SAFETY: both have so many bytes.
    unsafe { mask::<false, false>(key, payload.as_ptr(), out.as_mut_ptr().cast(), payload.len().min(out.len())) };
}

/// Moves all but the first `distance` bytes of `window` to its start, masked.
#[inline(always)]
pub(super) fn apply_move(key: [u8; 4], window: &mut [u8], distance: usize) {
    let len = window.len().saturating_sub(distance);
    let to = window.as_mut_ptr();
    // SAFETY: if there are bytes from `distance` on, they are in the window.
    unsafe { mask::<false, false>(key, to.wrapping_add(distance), to, len) };
}

/// Masks `len` bytes, whose place is that of [`ends`] and [`all`]; whether what has become of them is ASCII, if `TEXT` asks
/// for that. With `EXACT`, as many bytes as a vector has are one step instead of two that overlap completely; where bytes are
/// copied that makes callers longer, and slower.
///
/// # Safety
///
/// So many bytes at `from` can be read and at `to` be written, which does not lie behind `from` where they overlap.
#[inline(always)]
unsafe fn mask<const TEXT: bool, const EXACT: bool>(
    key: [u8; 4],
    from: *const u8,
    to: *mut u8,
    len: usize,
) -> bool {
    let word = u32::from_le_bytes(key);
    // SAFETY: every processor of the target can; the lengths are compared, the rest is the caller's promise.
    unsafe {
        if len > 2 * LEAST {
            mask_longer::<TEXT>(word, from, to, len)
        } else if EXACT && len == LEAST {
            one::<Baseline, TEXT>(word, from, to)
        } else if len >= LEAST {
            ends::<Baseline, 1, TEXT>(word, from, to, len)
        } else if EXACT && len == 8 {
            one::<u64, TEXT>(word, from, to)
        } else if len >= 8 {
            ends::<u64, 1, TEXT>(word, from, to, len)
        } else if len >= 4 {
            ends::<u32, 1, TEXT>(word, from, to, len)
        } else {
            let mut seen = 0;
            for (i, key) in key.into_iter().enumerate().take(len) {
                let byte = from.add(i).read() ^ key;
                to.add(i).write(byte);
                seen |= byte;
            }
            seen < 0x80
        }
    }
}

/// [`mask`] of more than two vectors.
///
/// # Safety
///
/// [`mask`]'s.
#[inline(never)]
unsafe fn mask_longer<const TEXT: bool>(key: u32, from: *const u8, to: *mut u8, len: usize) -> bool {
    // SAFETY: every processor of the target can, or is asked; the lengths are compared, the rest is the caller's promise.
    unsafe {
        if len <= 4 * LEAST {
            return ends::<Baseline, 2, TEXT>(key, from, to, len);
        }
        #[cfg(all(target_arch = "x86_64", feature = "avx512"))]
        if len >= avx512::WORTH_IT && width::widest() == width::AVX512 {
            return avx512::mask::<TEXT>(key, from, to, len);
        }
        #[cfg(all(target_arch = "x86_64", feature = "std"))]
        match width::widest() {
            width::AVX2.. => return avx2::mask::<TEXT>(key, from, to, len),
            width::UNKNOWN => return ask_and_mask::<TEXT>(key, from, to, len),
            width::BASELINE => {}
        }
        mask_in_baseline::<TEXT>(key, from, to, len)
    }
}

/// [`mask_longer`] of more than four vectors, if there are none that are wider.
///
/// # Safety
///
/// [`mask`]'s.
#[inline(never)]
unsafe fn mask_in_baseline<const TEXT: bool>(key: u32, from: *const u8, to: *mut u8, len: usize) -> bool {
    // SAFETY: every processor of the target can; the lengths are compared, the rest is the caller's promise.
    unsafe {
        if len <= 8 * LEAST {
            return ends::<Baseline, 4, TEXT>(key, from, to, len);
        }
        all::<Baseline, 4, TEXT>(key, from, to, len)
    }
}

/// [`mask_longer`] when nobody knows yet what the processor has: out of the way of all that come later.
///
/// # Safety
///
/// [`mask`]'s.
#[cfg(all(target_arch = "x86_64", feature = "std"))]
#[cold]
#[inline(never)]
unsafe fn ask_and_mask<const TEXT: bool>(key: u32, from: *const u8, to: *mut u8, len: usize) -> bool {
    width::ask();
    // SAFETY: the caller's promise.
    unsafe { mask_longer::<TEXT>(key, from, to, len) }
}

/// Bytes in one register.
trait Vector: Copy {
    /// Bytes per vector: a multiple of 4, so that the phase is the same at each.
    const LEN: usize;

    /// The key over and over, its first byte for the vector's first.
    ///
    /// # Safety
    ///
    /// The processor has what this vector is made of.
    unsafe fn splat(key: u32) -> Self;

    /// [`splat`](Self::splat) of the key for bytes that begin `len` bytes behind the first.
    ///
    /// # Safety
    ///
    /// [`splat`](Self::splat)'s.
    #[inline(always)]
    unsafe fn splat_turned(key: u32, len: usize) -> Self {
        // SAFETY: the caller's promise.
        unsafe { Self::splat(turned(key, len)) }
    }

    /// # Safety
    ///
    /// [`splat`](Self::splat)'s, and [`LEN`](Self::LEN) bytes at `from` can be read.
    unsafe fn load(from: *const u8) -> Self;

    /// # Safety
    ///
    /// [`splat`](Self::splat)'s, and [`LEN`](Self::LEN) bytes at `to` can be written.
    unsafe fn store(self, to: *mut u8);

    /// # Safety
    ///
    /// [`splat`](Self::splat)'s.
    unsafe fn xor(self, other: Self) -> Self;

    /// # Safety
    ///
    /// [`splat`](Self::splat)'s.
    unsafe fn or(self, other: Self) -> Self;

    /// Whether no byte has its top bit set.
    ///
    /// # Safety
    ///
    /// [`splat`](Self::splat)'s.
    unsafe fn is_ascii(self) -> bool;
}

/// The key for bytes that begin `len` bytes behind the first.
#[inline(always)]
const fn turned(key: u32, len: usize) -> u32 {
    // Only the last two bits of the length matter.
    #[allow(clippy::cast_possible_truncation)]
    key.rotate_right((len as u32 & 3) * 8)
}

/// Masks `len` bytes, which are `N` to `2 * N` vectors; whether what has become of them is ASCII.
///
/// They may stay where they are, move down or be copied: all are read before any is written.
///
/// # Safety
///
/// [`Vector::splat`]'s, the length is as said, `from` can be read and `to` be written as far.
#[inline(always)]
unsafe fn ends<V: Vector, const N: usize, const TEXT: bool>(
    key: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
) -> bool {
    let behind = len - N * V::LEN;
    // SAFETY: the caller's promise, here and below.
    let (first_key, last_key) = unsafe { (V::splat(key), V::splat_turned(key, behind)) };
    // SAFETY: each reads a vector of the first, then of the last `N`, which all lie within the length.
    let (first, last) = unsafe {
        (
            core::array::from_fn::<V, N, _>(|i| V::load(from.add(i * V::LEN)).xor(first_key)),
            core::array::from_fn::<V, N, _>(|i| V::load(from.add(behind + i * V::LEN)).xor(last_key)),
        )
    };
    let mut seen = first[0];
    for i in 0..N {
        // SAFETY: where it was read from, in the other place.
        unsafe {
            first[i].store(to.add(i * V::LEN));
            last[i].store(to.add(behind + i * V::LEN));
            if TEXT {
                seen = seen.or(first[i]).or(last[i]);
            }
        }
    }
    // SAFETY: the caller's promise.
    TEXT && unsafe { seen.is_ascii() }
}

/// Masks as many bytes as a vector has; whether what has become of them is ASCII.
///
/// # Safety
///
/// [`Vector::splat`]'s, and so many bytes at `from` can be read and at `to` be written.
#[inline(always)]
unsafe fn one<V: Vector, const TEXT: bool>(key: u32, from: *const u8, to: *mut u8) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let masked = V::load(from).xor(V::splat(key));
        masked.store(to);
        TEXT && masked.is_ascii()
    }
}

/// Masks `len` bytes, one vector or more, of which `N` fill a cache line; whether what has become of them is ASCII.
///
/// They may stay where they are, move down or be copied: what is written is never still to be read.
///
/// # Safety
///
/// As [`ends`]', and `to` does not lie behind `from` where they overlap.
#[inline(always)]
unsafe fn all<V: Vector, const N: usize, const TEXT: bool>(
    key: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
) -> bool {
    // From here on it pays to write a cache line after the other.
    const ALIGNED: usize = 512;
    let line = N * V::LEN;
    let behind_line = to.addr() & (line - 1);
    let head = if len < ALIGNED || behind_line == 0 { 0 } else { 2 * line - behind_line };
    // SAFETY: the head is one to two lines long.
    let ascii = head == 0 || unsafe { ends::<V, N, TEXT>(key, from, to, head) };
    // SAFETY: the head is within the length.
    let (key, from, to, len) = unsafe { (turned(key, head), from.add(head), to.add(head), len - head) };
    let behind = len - V::LEN;
    // SAFETY: the last vector, within the length.
    let last = unsafe { V::load(from.add(behind)).xor(V::splat_turned(key, behind)) };
    // SAFETY: the caller's promise.
    let key = unsafe { V::splat(key) };
    // Each of its own: one for all would be a chain that is longer than the loop's other work.
    let mut seen = [last; 4];
    let (mut from, mut at) = (from, to);
    // SAFETY: within the length.
    let end = unsafe { to.add(len) };
    while end.addr() - at.addr() >= 4 * V::LEN {
        // SAFETY: four vectors more are within the length.
        unsafe {
            for (i, seen) in seen.iter_mut().enumerate() {
                let vector = V::load(from.add(i * V::LEN)).xor(key);
                vector.store(at.add(i * V::LEN));
                if TEXT {
                    *seen = seen.or(vector);
                }
            }
            from = from.add(4 * V::LEN);
            at = at.add(4 * V::LEN);
        }
    }
    while end.addr() - at.addr() >= V::LEN {
        // SAFETY: one vector more is within the length.
        unsafe {
            let vector = V::load(from).xor(key);
            vector.store(at);
            if TEXT {
                seen[0] = seen[0].or(vector);
            }
            from = from.add(V::LEN);
            at = at.add(V::LEN);
        }
    }
    // SAFETY: where it was read from, in the other place.
    unsafe {
        last.store(to.add(behind));
        TEXT && ascii & seen[0].or(seen[1]).or(seen[2].or(seen[3])).is_ascii()
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::mask::portable;

    type Kernel = unsafe fn(u32, *const u8, *mut u8, usize) -> bool;

    /// A way, whether this processor has it, and the length from which on it is used.
    struct Way {
        least: usize,
        is_there: fn() -> bool,
        kernel: Kernel,
    }

    const WAYS: &[Way] = &[
        Way { least: LEAST, is_there: || true, kernel: all::<Baseline, 4, true> },
        #[cfg(all(target_arch = "x86_64", feature = "std"))]
        Way { least: 64, is_there: avx2::is_there, kernel: avx2::mask::<true> },
        #[cfg(all(target_arch = "x86_64", feature = "avx512"))]
        Way { least: avx512::WORTH_IT, is_there: avx512::is_there, kernel: avx512::mask::<true> },
    ];

    /// What is masked of `from[offset..]` by either way, and whether both find it ASCII.
    fn check(kernel: Kernel, from: &[u8], offset: usize) {
        let key = [0x37, 0x7A, 0x21, 0x3D];
        let mut expected = from.to_vec();
        let ascii = portable::apply::<true>(key, &mut expected[offset..]);
        let mut masked = from.to_vec();
        let at = masked[offset..].as_mut_ptr();
        // SAFETY: these bytes are ours, and the kernel is for this processor and length.
        let found = unsafe { kernel(u32::from_le_bytes(key), at, at, from.len() - offset) };
        assert_eq!(found, ascii);
        assert_eq!(masked, expected);
    }

    #[test]
    fn every_width_agrees_with_the_portable_code() {
        for &Way { least, kernel, .. } in WAYS.iter().filter(|way| (way.is_there)()) {
            for len in (least..least + 300).chain([4_095, 4_096, 4_099, 20_000]) {
                for offset in [0, 1, 31, 33, 63] {
                    let mut bytes: Vec<u8> =
                        (0..offset + len).map(|i| u8::try_from(i * 7 % 128).unwrap()).collect();
                    check(kernel, &bytes, offset);
                    bytes[offset + len * 3 / 4] |= 0x80;
                    check(kernel, &bytes, offset);
                }
            }
        }
    }
}
