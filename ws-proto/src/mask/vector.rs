//! Masking in vectors: one kernel, generic over the width of a vector.
//!
//! # Theory of operation
//!
//! Masking XORs byte `i` of a payload with byte `i % 4` of the key. The length of a vector is a multiple of 4, so
//! a vector that repeats the key fits every vector of the payload. Three questions remain: the bytes after the
//! last whole vector, the order of reads and writes, and the choice of the width.
//!
//! *The rest.* Most payloads are short, and a loop over their last bytes would cost more than the vectors before
//! it. The last bytes are therefore masked as one more vector, which ends where the payload ends and overlaps the
//! vector before it. It is read before anything is written, so the bytes in the overlap are masked once and
//! written twice. It begins at any offset, so its key is rotated to fit ([`rotated`]).
//!
//! *The shapes.* By its length, a payload is masked in one of four ways:
//!
//! - [`single`]: one vector.
//! - [`first_and_last`]: the first `N` and the last `N` vectors. They may overlap, so they cover any length from
//!   `N` to `2 * N` vectors, without a loop. All reads come before all writes.
//! - [`stream`]: any length from one vector on. It holds the last vector in a register, loops over the payload in
//!   groups of four vectors, then one by one, and writes the last vector at the end. From 512 bytes on it first
//!   masks one to two cache lines by themselves, so that the writes of the loop are aligned to cache lines.
//! - Byte by byte, for less than 4 bytes. From 4 bytes on, a `u32` or a `u64` is the vector ([`word`]).
//!
//! *Reads and writes.* The payload stays in place (`to == from`), is copied (no overlap), or moves down (`to < from`).
//! In each case a byte is read before it is overwritten: `first_and_last` reads everything first, and `stream` goes
//! upwards, where a write at or below the address of its read meets only bytes that have been read. A move up is not
//! allowed.
//!
//! *Copies.* A processor compares only the last 12 bits of two addresses before it reads ahead of a write. If a copy goes to
//! a little behind its source, modulo 4 KiB, its reads seem to want what has just been written, and wait: it takes up to
//! 2.5 times as long, and a frame's header makes such a place likely. `stream` therefore reads each group of a copy before
//! it writes the one before. In place this would only cost registers.
//!
//! *ASCII.* For a [`Finding`] that is a check, the masked vectors are combined by OR. The payload is ASCII if no
//! byte of the result has its top bit set. `stream` combines into four registers: one would be a chain of
//! dependencies longer than the loop's other work.
//!
//! *Text that is not masked.* [`ascii_len`] only reads. It stops at the first group of four vectors that is not ASCII, so that
//! the text before the group need not be validated again.
//!
//! *The width.* [`mask`] handles up to two baseline vectors inline, since most payloads are so short and a call
//! would cost more than the masking. [`mask_longer`] is a call. On x86-64 it chooses among SSE2, AVX2 and AVX-512
//! by `width`, which is detected once; other targets have only their baseline. AVX-512 is used from the length on
//! at which it is faster than AVX2.

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

use core::mem::MaybeUninit;

/// The vector that every processor of the target has. This module is compiled only for targets that have one.
#[cfg(target_arch = "x86_64")]
type Baseline = core::arch::x86_64::__m128i;
/// The vector that every processor of the target has. This module is compiled only for targets that have one.
#[cfg(target_arch = "aarch64")]
type Baseline = core::arch::aarch64::uint8x16_t;
/// The vector that every processor of the target has. This module is compiled only for targets that have one.
#[cfg(target_arch = "wasm32")]
type Baseline = core::arch::wasm32::v128;

/// The shortest payload that is masked in vectors; shorter ones are masked in words.
const LEAST: usize = Baseline::LEN;

/// Masks `payload` with `key`, whose first byte is for its first byte. Returns whether the result is ASCII if
/// `TEXT` is set, otherwise an unspecified value.
#[inline(always)]
pub(super) fn apply<const TEXT: bool>(key: [u8; 4], payload: &mut [u8]) -> bool {
    let at = payload.as_mut_ptr();
    let len = payload.len();
    // SAFETY: the slice is borrowed mutably and has this many bytes.
    unsafe {
        if TEXT {
            mask::<IsAscii, true>(key, at, at, len).found_ascii()
        } else {
            mask::<Unchecked, true>(key, at, at, len).found_ascii()
        }
    }
}

/// Copies the bytes that `payload` and `out` both have room for, masked. Returns whether the result is ASCII if
/// `TEXT` is set.
#[inline(always)]
pub(super) fn apply_copy<const TEXT: bool>(key: [u8; 4], payload: &[u8], out: &mut [u8]) -> bool {
    let (from, to, len) = (payload.as_ptr(), out.as_mut_ptr(), payload.len().min(out.len()));
    // SAFETY: the length is that of the shorter slice.
    unsafe {
        if TEXT {
            mask::<IsAscii, false>(key, from, to, len).found_ascii()
        } else {
            mask::<Unchecked, false>(key, from, to, len).found_ascii()
        }
    }
}

/// Copies and masks `payload` to `out`, and so initialises as many bytes of `out`.
#[inline(always)]
pub(super) fn fill(key: [u8; 4], payload: &[u8], out: &mut [MaybeUninit<u8>]) {
    // SAFETY: the length is that of the shorter slice.
    unsafe {
        mask::<Unchecked, false>(key, payload.as_ptr(), out.as_mut_ptr().cast(), payload.len().min(out.len()))
    };
}

/// Masks all but the first `distance` bytes of `window` and moves them to its start.
#[inline(always)]
pub(super) fn apply_move(key: [u8; 4], window: &mut [u8], distance: usize) {
    let len = window.len().saturating_sub(distance);
    let to = window.as_mut_ptr();
    // SAFETY: `distance + len <= window.len()` unless `len` is 0.
    unsafe { mask::<Unchecked, false>(key, to.wrapping_add(distance), to, len) };
}

/// Returns the length of a run of ASCII that `bytes` begin with: the whole length, if there is no other byte, otherwise
/// perhaps less than that run.
#[inline]
pub(super) fn ascii_len(bytes: &[u8]) -> usize {
    #[cfg(all(target_arch = "x86_64", feature = "std"))]
    match width::widest() {
        // SAFETY: the processor has AVX2; the length is compared.
        width::AVX2.. if bytes.len() >= avx2::LEN => return unsafe { avx2::ascii_len(bytes) },
        width::UNKNOWN => return detect_and_search(bytes),
        _ => {}
    }
    ascii_len_in_baseline(bytes)
}

/// Searches as [`ascii_len`] does, with the vectors that every processor of the target has.
#[inline(never)]
fn ascii_len_in_baseline(bytes: &[u8]) -> usize {
    if bytes.len() < LEAST {
        return if bytes.is_ascii() { bytes.len() } else { 0 };
    }
    // SAFETY: every processor of the target has the baseline; the length is compared.
    unsafe { ascii_run::<Baseline>(bytes) }
}

/// Detects the width of the processor's vectors, then searches as [`ascii_len`] does. Cold: it runs once.
#[cfg(all(target_arch = "x86_64", feature = "std"))]
#[cold]
#[inline(never)]
fn detect_and_search(bytes: &[u8]) -> usize {
    width::detect();
    ascii_len(bytes)
}

/// Masks `len` bytes from `from` to `to`. Returns whether the result is ASCII, if `F` is a check.
///
/// A payload that stays in place and is as long as one vector is masked as one, instead of two that overlap completely.
/// In a copy the additional branch would cost more than it saves.
///
/// # Safety
///
/// `len` bytes at `from` can be read and `len` bytes at `to` can be written. Where the two overlap, `to <= from`. With
/// `IN_PLACE` they are the same.
#[inline(always)]
unsafe fn mask<F: Finding, const IN_PLACE: bool>(key: [u8; 4], from: *const u8, to: *mut u8, len: usize) -> F {
    let word = u32::from_le_bytes(key);
    // SAFETY: every processor of the target has the baseline; the lengths are compared; the rest is the caller's
    // promise.
    unsafe {
        // A short payload that is masked in place is faster if its length is looked at first. With a check, the code around
        // this would become longer.
        if IN_PLACE && !F::IS_CHECK && len < LEAST {
            mask_shorter::<F, IN_PLACE>(key, from, to, len)
        } else if len > 2 * LEAST {
            mask_longer::<F, IN_PLACE>(word, from, to, len)
        } else if IN_PLACE && len == LEAST {
            single::<Baseline, F>(word, from, to)
        } else if len >= LEAST {
            first_and_last::<Baseline, F, 1>(word, from, to, len)
        } else {
            mask_shorter::<F, IN_PLACE>(key, from, to, len)
        }
    }
}

/// Masks less than a baseline vector; see [`mask`].
///
/// # Safety
///
/// As for [`mask`].
#[inline(always)]
unsafe fn mask_shorter<F: Finding, const IN_PLACE: bool>(
    key: [u8; 4],
    from: *const u8,
    to: *mut u8,
    len: usize,
) -> F {
    let word = u32::from_le_bytes(key);
    // SAFETY: the lengths are compared; the rest is the caller's promise.
    unsafe {
        if IN_PLACE && len == 8 {
            single::<u64, F>(word, from, to)
        } else if len >= 8 {
            first_and_last::<u64, F, 1>(word, from, to, len)
        } else if len >= 4 {
            first_and_last::<u32, F, 1>(word, from, to, len)
        } else {
            let mut seen = 0;
            for (i, key) in key.into_iter().enumerate().take(len) {
                let byte = from.add(i).read() ^ key;
                to.add(i).write(byte);
                seen |= byte;
            }
            F::new(seen < 0x80)
        }
    }
}

/// Masks more than two baseline vectors; see [`mask`].
///
/// The conditions are in an order in which a long payload meets no jump but those into its kernel: such jumps are
/// a good part of the cost of a few hundred bytes.
///
/// # Safety
///
/// As for [`mask`].
#[inline(never)]
unsafe fn mask_longer<F: Finding, const IN_PLACE: bool>(key: u32, from: *const u8, to: *mut u8, len: usize) -> F {
    // SAFETY: every processor of the target has the baseline, and wider vectors are used only if the processor was
    // found to have them; the lengths are compared; the rest is the caller's promise.
    unsafe {
        if len > 4 * LEAST {
            #[cfg(all(target_arch = "x86_64", feature = "std"))]
            match width::widest() {
                #[cfg(feature = "avx512")]
                width::AVX512 if len >= avx512::WORTH_IT => {
                    return avx512::mask::<F, IN_PLACE>(key, from, to, len);
                }
                width::AVX2.. if len > 4 * avx2::LEN => return avx2::mask::<F, IN_PLACE>(key, from, to, len),
                width::AVX2.. => return avx2::mask_up_to_four::<F>(key, from, to, len),
                width::UNKNOWN => return detect_and_mask::<F, IN_PLACE>(key, from, to, len),
                width::BASELINE => {}
            }
            return mask_in_baseline::<F, IN_PLACE>(key, from, to, len);
        }
        first_and_last::<Baseline, F, 2>(key, from, to, len)
    }
}

/// Masks more than four baseline vectors where the processor has no wider ones; see [`mask`].
///
/// # Safety
///
/// As for [`mask`].
#[inline(never)]
unsafe fn mask_in_baseline<F: Finding, const IN_PLACE: bool>(
    key: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
) -> F {
    // SAFETY: every processor of the target has the baseline; the lengths are compared; the rest is the caller's
    // promise.
    unsafe {
        if len <= 8 * LEAST {
            return first_and_last::<Baseline, F, 4>(key, from, to, len);
        }
        stream::<Baseline, F, 4, IN_PLACE>(key, from, to, len)
    }
}

/// Detects the width of the processor's vectors, then masks as [`mask_longer`] does. Cold: it runs once.
///
/// # Safety
///
/// As for [`mask`].
#[cfg(all(target_arch = "x86_64", feature = "std"))]
#[cold]
#[inline(never)]
unsafe fn detect_and_mask<F: Finding, const IN_PLACE: bool>(
    key: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
) -> F {
    width::detect();
    // SAFETY: the caller's promise.
    unsafe { mask_longer::<F, IN_PLACE>(key, from, to, len) }
}

/// The finding of a kernel about the masked bytes.
trait Finding {
    /// `true` if the masked bytes are checked.
    const IS_CHECK: bool;

    /// Creates the finding; `is_ascii` counts only for a [check](Self::IS_CHECK).
    fn new(is_ascii: bool) -> Self;

    /// Returns whether the bytes are known to be ASCII.
    fn found_ascii(self) -> bool;
}

/// Whether the masked bytes are ASCII.
struct IsAscii(bool);

impl Finding for IsAscii {
    const IS_CHECK: bool = true;

    #[inline(always)]
    fn new(is_ascii: bool) -> Self {
        Self(is_ascii)
    }

    #[inline(always)]
    fn found_ascii(self) -> bool {
        self.0
    }
}

/// No finding. It takes no register, so that a function which ends in the call of another one jumps to it.
struct Unchecked;

impl Finding for Unchecked {
    const IS_CHECK: bool = false;

    #[inline(always)]
    fn new(_: bool) -> Self {
        Self
    }

    #[inline(always)]
    fn found_ascii(self) -> bool {
        false
    }
}

/// A run of bytes in one register.
trait Vector: Copy {
    /// Bytes per vector: a multiple of 4, so that the key has the same phase in each vector.
    const LEN: usize;

    /// Returns the key repeated, with its first byte in the first byte of the vector.
    ///
    /// # Safety
    ///
    /// The processor has the instructions of this vector.
    unsafe fn splat(key: u32) -> Self;

    /// Returns the [`splat`](Self::splat) of the key for the byte `len` bytes after the first.
    ///
    /// # Safety
    ///
    /// As for [`splat`](Self::splat).
    #[inline(always)]
    unsafe fn splat_rotated(key: u32, len: usize) -> Self {
        // SAFETY: the caller's promise.
        unsafe { Self::splat(rotated(key, len)) }
    }

    /// Reads a vector; the address need not be aligned.
    ///
    /// # Safety
    ///
    /// As for [`splat`](Self::splat), and [`LEN`](Self::LEN) bytes at `from` can be read.
    unsafe fn load(from: *const u8) -> Self;

    /// Writes the vector; the address need not be aligned.
    ///
    /// # Safety
    ///
    /// As for [`splat`](Self::splat), and [`LEN`](Self::LEN) bytes at `to` can be written.
    unsafe fn store(self, to: *mut u8);

    /// Returns the XOR of two vectors.
    ///
    /// # Safety
    ///
    /// As for [`splat`](Self::splat).
    unsafe fn xor(self, other: Self) -> Self;

    /// Returns the OR of two vectors.
    ///
    /// # Safety
    ///
    /// As for [`splat`](Self::splat).
    unsafe fn or(self, other: Self) -> Self;

    /// Returns whether no byte has its top bit set.
    ///
    /// # Safety
    ///
    /// As for [`splat`](Self::splat).
    unsafe fn is_ascii(self) -> bool;
}

/// Returns the key for the byte `len` bytes after the first.
#[inline(always)]
const fn rotated(key: u32, len: usize) -> u32 {
    // Only the last two bits of the length matter.
    #[allow(clippy::cast_possible_truncation)]
    key.rotate_right((len as u32 & 3) * 8)
}

/// Masks `len` bytes, which are `N` to `2 * N` vectors. Returns whether the result is ASCII, if `F` is a check.
///
/// They may stay where they are, move down or be copied: all are read before any is written.
///
/// # Safety
///
/// As for [`Vector::splat`]; `N * V::LEN <= len <= 2 * N * V::LEN`; `len` bytes at `from` can be read and `len`
/// bytes at `to` can be written.
#[inline(always)]
unsafe fn first_and_last<V: Vector, F: Finding, const N: usize>(
    key: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
) -> F {
    let last_at = len - N * V::LEN;
    // SAFETY: the caller's promise.
    let (first_key, last_key) = unsafe { (V::splat(key), V::splat_rotated(key, last_at)) };
    // SAFETY: each load reads one of the first or of the last `N` vectors, which all lie within `len`.
    let (first, last) = unsafe {
        (
            core::array::from_fn::<V, N, _>(|i| V::load(from.add(i * V::LEN)).xor(first_key)),
            core::array::from_fn::<V, N, _>(|i| V::load(from.add(last_at + i * V::LEN)).xor(last_key)),
        )
    };
    let mut seen = first[0];
    for i in 0..N {
        // SAFETY: the offset of the load, relative to `to`.
        unsafe {
            first[i].store(to.add(i * V::LEN));
            last[i].store(to.add(last_at + i * V::LEN));
            if F::IS_CHECK {
                seen = seen.or(first[i]).or(last[i]);
            }
        }
    }
    // SAFETY: the caller's promise.
    F::new(F::IS_CHECK && unsafe { seen.is_ascii() })
}

/// Masks as many bytes as a vector has. Returns whether the result is ASCII, if `F` is a check.
///
/// # Safety
///
/// As for [`Vector::splat`], and `V::LEN` bytes at `from` can be read and at `to` be written.
#[inline(always)]
unsafe fn single<V: Vector, F: Finding>(key: u32, from: *const u8, to: *mut u8) -> F {
    // SAFETY: the caller's promise.
    unsafe {
        let masked = V::load(from).xor(V::splat(key));
        masked.store(to);
        F::new(F::IS_CHECK && masked.is_ascii())
    }
}

/// Masks `len` bytes, at least one vector; `N` vectors fill a cache line. Returns whether the result is ASCII, if
/// `F` is a check.
///
/// They may stay where they are, move down or be copied: what is written is never still to be read.
///
/// # Safety
///
/// As for [`Vector::splat`] and [`mask`]; `V::LEN <= len`.
#[inline(always)]
unsafe fn stream<V: Vector, F: Finding, const N: usize, const IN_PLACE: bool>(
    key: u32,
    from: *const u8,
    to: *mut u8,
    len: usize,
) -> F {
    // The length from which aligning the writes to cache lines saves more than it costs.
    const ALIGNED: usize = 512;
    // One pointer does for both where they are the same.
    let from = if IN_PLACE { to.cast_const() } else { from };
    let (mut key, mut from, mut at, mut len) = (key, from, to, len);
    let mut ascii = true;
    if len >= ALIGNED && at.addr() & (N * V::LEN - 1) != 0 {
        let line = N * V::LEN;
        let head = 2 * line - (at.addr() & (line - 1));
        // SAFETY: the head is one to two lines long, and shorter than `len`.
        unsafe {
            ascii = first_and_last::<V, F, N>(key, from, at, head).found_ascii();
            (key, from, at, len) = (rotated(key, head), from.add(head), at.add(head), len - head);
        }
    }
    // SAFETY: the last vector lies within `len`.
    let last = unsafe { V::load(from.add(len - V::LEN)).xor(V::splat_rotated(key, len)) };
    // SAFETY: the caller's promise.
    let key = unsafe { V::splat(key) };
    // One register for each vector of a group: a single one would be a chain of dependencies longer than the
    // loop's other work.
    let mut seen = [last; 4];
    // SAFETY: the end of the output.
    let end = unsafe { at.add(len) };
    if !IN_PLACE && len >= 12 * V::LEN {
        // SAFETY: twelve vectors lie within `len`.
        let mut group = unsafe { masked_group(key, from) };
        while end.addr() - at.addr() >= 12 * V::LEN {
            // SAFETY: the group that has been read and two more lie within `len`.
            unsafe {
                let next = masked_group(key, from.add(4 * V::LEN));
                store_group::<V, F>(group, at, &mut seen);
                group = masked_group(key, from.add(8 * V::LEN));
                store_group::<V, F>(next, at.add(4 * V::LEN), &mut seen);
                from = from.add(8 * V::LEN);
                at = at.add(8 * V::LEN);
            }
        }
        // SAFETY: the group that has been read lies within `len`.
        unsafe {
            store_group::<V, F>(group, at, &mut seen);
            from = from.add(4 * V::LEN);
            at = at.add(4 * V::LEN);
        }
    }
    while end.addr() - at.addr() >= 4 * V::LEN {
        // SAFETY: four more vectors lie within `len`.
        unsafe {
            store_group::<V, F>(masked_group(key, from), at, &mut seen);
            from = from.add(4 * V::LEN);
            at = at.add(4 * V::LEN);
        }
    }
    while end.addr() - at.addr() >= V::LEN {
        // SAFETY: one more vector lies within `len`.
        unsafe {
            let vector = V::load(from).xor(key);
            vector.store(at);
            if F::IS_CHECK {
                seen[0] = seen[0].or(vector);
            }
            from = from.add(V::LEN);
            at = at.add(V::LEN);
        }
    }
    // SAFETY: the last vector lies within the output too.
    unsafe {
        last.store(end.sub(V::LEN));
        F::new(F::IS_CHECK && ascii & seen[0].or(seen[1]).or(seen[2].or(seen[3])).is_ascii())
    }
}

/// Reads four vectors and masks them.
///
/// # Safety
///
/// As for [`Vector::splat`], and so many bytes at `from` can be read.
#[inline(always)]
unsafe fn masked_group<V: Vector>(key: V, from: *const u8) -> [V; 4] {
    // SAFETY: the caller's promise.
    core::array::from_fn(|i| unsafe { V::load(from.add(i * V::LEN)).xor(key) })
}

/// Writes four vectors, and combines them with `seen` if `F` is a check.
///
/// # Safety
///
/// As for [`Vector::splat`], and so many bytes at `to` can be written.
#[inline(always)]
unsafe fn store_group<V: Vector, F: Finding>(group: [V; 4], to: *mut u8, seen: &mut [V; 4]) {
    for (i, (vector, seen)) in group.into_iter().zip(seen).enumerate() {
        // SAFETY: the caller's promise.
        unsafe {
            vector.store(to.add(i * V::LEN));
            if F::IS_CHECK {
                *seen = seen.or(vector);
            }
        }
    }
}

/// Returns the length of a run of ASCII at the start of `bytes`, in groups of four vectors, or the whole length; see
/// [`ascii_len`].
///
/// # Safety
///
/// As for [`Vector::splat`], and `bytes` are at least one vector.
#[inline(always)]
unsafe fn ascii_run<V: Vector>(bytes: &[u8]) -> usize {
    let (from, len) = (bytes.as_ptr(), bytes.len());
    // SAFETY: the last vector lies within `len`.
    let mut seen = unsafe { V::load(from.add(len - V::LEN)) };
    let mut at = 0;
    while len - at >= 4 * V::LEN {
        // SAFETY: four more vectors lie within `len`.
        unsafe {
            let [a, b, c, d]: [V; 4] = core::array::from_fn(|i| V::load(from.add(at + i * V::LEN)));
            if !a.or(b).or(c.or(d)).is_ascii() {
                return at;
            }
        }
        at += 4 * V::LEN;
    }
    let mut next = at;
    while len - next >= V::LEN {
        // SAFETY: one more vector lies within `len`.
        unsafe { seen = seen.or(V::load(from.add(next))) };
        next += V::LEN;
    }
    // SAFETY: the caller's promise.
    if unsafe { seen.is_ascii() } { len } else { at }
}

#[cfg(test)]
mod tests {
    use core::ops::RangeInclusive;
    use std::vec::Vec;

    use super::*;
    use crate::mask::portable;

    type Kernel = unsafe fn(u32, *const u8, *mut u8, usize) -> IsAscii;

    /// A kernel, in both its forms, with the condition and the lengths for its use.
    struct KernelUse {
        lens: RangeInclusive<usize>,
        is_available: fn() -> bool,
        in_place: Kernel,
        copying: Kernel,
    }

    const KERNELS: &[KernelUse] = &[
        KernelUse {
            lens: LEAST..=usize::MAX,
            is_available: || true,
            in_place: stream::<Baseline, IsAscii, 4, true>,
            copying: stream::<Baseline, IsAscii, 4, false>,
        },
        #[cfg(all(target_arch = "x86_64", feature = "std"))]
        KernelUse {
            lens: 2 * avx2::LEN..=4 * avx2::LEN,
            is_available: avx2::is_available,
            in_place: avx2::mask_up_to_four::<IsAscii>,
            copying: avx2::mask_up_to_four::<IsAscii>,
        },
        #[cfg(all(target_arch = "x86_64", feature = "std"))]
        KernelUse {
            lens: avx2::LEN..=usize::MAX,
            is_available: avx2::is_available,
            in_place: avx2::mask::<IsAscii, true>,
            copying: avx2::mask::<IsAscii, false>,
        },
        #[cfg(all(target_arch = "x86_64", feature = "avx512"))]
        KernelUse {
            lens: avx512::WORTH_IT..=usize::MAX,
            is_available: avx512::is_available,
            in_place: avx512::mask::<IsAscii, true>,
            copying: avx512::mask::<IsAscii, false>,
        },
    ];

    /// Checks that both forms of `kernel` mask `from[offset..]` as the portable code does, and find it ASCII or not
    /// alike.
    fn check(kernel: &KernelUse, from: &[u8], offset: usize) {
        let key = [0x37, 0x7A, 0x21, 0x3D];
        let mut expected = from.to_vec();
        let ascii = portable::apply::<true>(key, &mut expected[offset..]);
        let mut masked = from.to_vec();
        let at = masked[offset..].as_mut_ptr();
        // SAFETY: the bytes are owned, and the caller has checked the processor and the length.
        let found = unsafe { (kernel.in_place)(u32::from_le_bytes(key), at, at, from.len() - offset) };
        assert_eq!(found.found_ascii(), ascii);
        assert_eq!(masked, expected);
        let mut copied = from.to_vec();
        let (payload, to) = (from[offset..].as_ptr(), copied[offset..].as_mut_ptr());
        // SAFETY: as above; the copy has the same length.
        let found = unsafe { (kernel.copying)(u32::from_le_bytes(key), payload, to, from.len() - offset) };
        assert_eq!(found.found_ascii(), ascii);
        assert_eq!(copied, expected);
    }

    #[test]
    fn every_width_agrees_with_the_portable_code() {
        for kernel in KERNELS.iter().filter(|kernel| (kernel.is_available)()) {
            let least = *kernel.lens.start();
            let lens = (least..least + 300).chain([4_095, 4_096, 4_099, 20_000]);
            for len in lens.filter(|len| kernel.lens.contains(len)) {
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

    /// A search for a byte that is not ASCII, with the length of its vectors and the condition for its use.
    struct SearchUse {
        vector_len: usize,
        is_available: fn() -> bool,
        ascii_len: fn(&[u8]) -> usize,
    }

    const SEARCHES: &[SearchUse] = &[
        SearchUse { vector_len: LEAST, is_available: || true, ascii_len: ascii_len_in_baseline },
        #[cfg(all(target_arch = "x86_64", feature = "std"))]
        SearchUse {
            vector_len: avx2::LEN,
            is_available: avx2::is_available,
            // SAFETY: the test has checked the processor and the length.
            ascii_len: |bytes| unsafe { avx2::ascii_len(bytes) },
        },
    ];

    // R8.1-1
    #[test]
    fn every_width_finds_the_first_byte_that_is_not_ascii() {
        for search in SEARCHES.iter().filter(|search| (search.is_available)()) {
            for len in search.vector_len..9 * search.vector_len {
                let mut bytes: Vec<u8> = (0..len).map(|i| u8::try_from(i % 128).unwrap()).collect();
                assert_eq!((search.ascii_len)(&bytes), len);
                for at in 0..len {
                    bytes[at] |= 0x80;
                    let group = 4 * search.vector_len;
                    assert_eq!((search.ascii_len)(&bytes), at / group * group, "{len} {at}");
                    bytes[at] &= 0x7F;
                }
            }
        }
    }

    #[test]
    fn less_than_a_vector_is_searched_too() {
        for len in 0..LEAST {
            assert_eq!(ascii_len(&[0x7F; LEAST][..len]), len);
            let mut bytes = [0x7F; LEAST];
            bytes[len] = 0x80;
            assert_eq!(ascii_len(&bytes[..=len]), 0);
        }
    }
}
