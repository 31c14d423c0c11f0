//! Masking in vectors: one way through the bytes, whatever a vector is.
//!
//! The last bytes of a payload are not a loop of their own: they are one more vector that overlaps the one before. It is
//! read before anything is written, as is the first one, so that a payload may lie where it goes.

#![allow(unsafe_code)]
#![allow(
    clippy::multiple_unsafe_ops_per_block,
    reason = "a block is one step: it reads, masks and writes on one premise"
)]

#[cfg(all(target_arch = "x86_64", feature = "std"))]
mod avx2;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "wasm32")]
mod simd128;
#[cfg(target_arch = "x86_64")]
mod sse2;

use core::marker::PhantomData;

use super::portable;

/// What every processor of the target has.
#[cfg(target_arch = "x86_64")]
type Baseline = core::arch::x86_64::__m128i;
/// What every processor of the target has.
#[cfg(target_arch = "aarch64")]
type Baseline = core::arch::aarch64::uint8x16_t;
/// What every processor of the target has.
#[cfg(target_arch = "wasm32")]
type Baseline = core::arch::wasm32::v128;

/// Fewer bytes than a vector are not masked here.
const LEAST: usize = Baseline::LEN;

/// XORs `payload` with `key`, whose first byte is for its first one; whether it is ASCII then.
#[inline(always)]
pub(super) fn apply(key: [u8; 4], payload: &mut [u8]) -> bool {
    if payload.len() < LEAST {
        return portable::apply(key, payload);
    }
    mask(key, &Way::in_place(payload))
}

/// Masks from `payload` to `out` of the same length.
#[inline(always)]
pub(super) fn apply_copy(key: [u8; 4], payload: &[u8], out: &mut [u8]) {
    if payload.len() < LEAST {
        return portable::apply_copy(key, payload, out);
    }
    mask(key, &Way::copy(payload, out));
}

/// Moves all but the first `distance` bytes of `window` to its start, masked.
pub(super) fn apply_move(key: [u8; 4], window: &mut [u8], distance: usize) {
    match Way::down(window, distance) {
        Some(way) if way.len >= LEAST => {
            mask(key, &way);
        }
        _ => portable::apply_move(key, window, distance),
    }
}

/// Masks `way`, which is [`LEAST`] bytes long or longer; whether what has become of it is ASCII.
#[inline(always)]
fn mask(key: [u8; 4], way: &Way<'_>) -> bool {
    let key = u32::from_le_bytes(key);
    if way.len <= 2 * LEAST {
        // SAFETY: every processor of the target can; the length is between one and two vectors.
        return unsafe { ends::<Baseline, 1>(key, way) };
    }
    mask_longer(key, way)
}

#[inline(never)]
fn mask_longer(key: u32, way: &Way<'_>) -> bool {
    // SAFETY: every processor of the target can, here and below; the lengths are compared.
    unsafe {
        if way.len <= 4 * LEAST {
            return ends::<Baseline, 2>(key, way);
        }
        if way.len <= 8 * LEAST {
            return ends::<Baseline, 4>(key, way);
        }
    }
    #[cfg(all(target_arch = "x86_64", feature = "std"))]
    if avx2::is_there() {
        // SAFETY: the processor has AVX2, and there are more than 128 bytes.
        return unsafe { avx2::all(key, way) };
    }
    // SAFETY: as above.
    unsafe { all::<Baseline>(key, way) }
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

/// Where bytes are read from and where they go, masked: the same place, one that does not overlap, or one before.
struct Way<'a> {
    from: *const u8,
    to: *mut u8,
    len: usize,
    bytes: PhantomData<&'a mut [u8]>,
}

impl<'a> Way<'a> {
    /// Nowhere else.
    #[inline(always)]
    const fn in_place(payload: &'a mut [u8]) -> Self {
        let to = payload.as_mut_ptr();
        Self { from: to, to, len: payload.len(), bytes: PhantomData }
    }

    /// As many bytes as both have.
    #[inline(always)]
    fn copy(from: &'a [u8], to: &'a mut [u8]) -> Self {
        Self { from: from.as_ptr(), to: to.as_mut_ptr(), len: from.len().min(to.len()), bytes: PhantomData }
    }

    /// All but the first `distance` bytes of `window`, to its start; `None` if it is not that long.
    fn down(window: &'a mut [u8], distance: usize) -> Option<Self> {
        let len = window.len().checked_sub(distance)?;
        let to = window.as_mut_ptr();
        // SAFETY: within the window.
        let from = unsafe { to.add(distance) };
        Some(Self { from, to, len, bytes: PhantomData })
    }
}

/// The key for bytes that begin `len` bytes behind the first.
#[inline(always)]
const fn turned(key: u32, len: usize) -> u32 {
    // Only the last two bits of the length matter.
    #[allow(clippy::cast_possible_truncation)]
    key.rotate_right((len as u32 & 3) * 8)
}

/// Masks `way`, which is `N` to `2 * N` vectors long; whether what has become of it is ASCII.
///
/// # Safety
///
/// [`Vector::splat`]'s, and the length is as said.
#[inline(always)]
unsafe fn ends<V: Vector, const N: usize>(key: u32, way: &Way<'_>) -> bool {
    let behind = way.len - N * V::LEN;
    // SAFETY: the caller's promise, here and below.
    let (first_key, last_key) = unsafe { (V::splat(key), V::splat(turned(key, behind))) };
    // SAFETY: each reads a vector of the first, then of the last `N`, which all lie within the length.
    let (first, last) = unsafe {
        (
            core::array::from_fn::<V, N, _>(|i| V::load(way.from.add(i * V::LEN)).xor(first_key)),
            core::array::from_fn::<V, N, _>(|i| V::load(way.from.add(behind + i * V::LEN)).xor(last_key)),
        )
    };
    let mut seen = first[0];
    for i in 0..N {
        // SAFETY: where it was read from, in the other place.
        unsafe {
            first[i].store(way.to.add(i * V::LEN));
            last[i].store(way.to.add(behind + i * V::LEN));
            seen = seen.or(first[i]).or(last[i]);
        }
    }
    // SAFETY: the caller's promise.
    unsafe { seen.is_ascii() }
}

/// Masks `way`, which is one vector long or longer; whether what has become of it is ASCII.
///
/// # Safety
///
/// [`Vector::splat`]'s, and the length is as said.
#[inline(always)]
unsafe fn all<V: Vector>(key: u32, way: &Way<'_>) -> bool {
    // From here on, vectors that are written across the borders of cache lines cost more than to find these borders.
    const ALIGNED: usize = 4096;
    let behind = way.len - V::LEN;
    // SAFETY: the first and the last vector, within the length.
    let (first, last) = unsafe {
        (
            V::load(way.from).xor(V::splat(key)),
            V::load(way.from.add(behind)).xor(V::splat(turned(key, behind))),
        )
    };
    let mut done = if way.len < ALIGNED { 0 } else { V::LEN - (way.to.addr() & (V::LEN - 1)) };
    // SAFETY: the caller's promise.
    let (key, mut seen) = unsafe { (V::splat(turned(key, done)), first.or(last)) };
    while done + 4 * V::LEN <= way.len {
        // SAFETY: four vectors more are within the length.
        unsafe {
            let vectors: [V; 4] = core::array::from_fn(|i| V::load(way.from.add(done + i * V::LEN)).xor(key));
            for (i, vector) in vectors.into_iter().enumerate() {
                vector.store(way.to.add(done + i * V::LEN));
            }
            seen = seen.or(vectors[0].or(vectors[1]).or(vectors[2].or(vectors[3])));
        }
        done += 4 * V::LEN;
    }
    while done + V::LEN <= way.len {
        // SAFETY: one vector more is within the length.
        unsafe {
            let vector = V::load(way.from.add(done)).xor(key);
            vector.store(way.to.add(done));
            seen = seen.or(vector);
        }
        done += V::LEN;
    }
    // SAFETY: where they were read from, in the other place.
    unsafe {
        if way.len >= ALIGNED {
            first.store(way.to);
        }
        last.store(way.to.add(behind));
        seen.is_ascii()
    }
}
