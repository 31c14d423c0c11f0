//! One pass over the payload, 32 bytes at a time.

#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m256i, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi32, _mm256_storeu_si256,
    _mm256_xor_si256,
};

use super::key::turn;

/// What is looked at at once before a byte that is not ASCII is acted on.
const GROUP: usize = 128;

/// From here on a call of a function for AVX2 pays.
const LONG: usize = 256;

/// Unmasks `payload`.
#[inline]
pub(super) fn unmask(payload: &mut [u8], key: u32) {
    if payload.len() < LONG {
        unmask_short(payload, key);
        return;
    }
    assert!(is_x86_feature_detected!("avx2"), "the limits need AVX2");
    // SAFETY: AVX2 is there.
    unsafe { unmask_long(payload, key) }
}

/// Unmasks `payload`; how many bytes at its start were seen to be ASCII.
#[inline]
pub(super) fn unmask_text(payload: &mut [u8], key: u32) -> usize {
    if payload.len() < LONG {
        return if unmask_short(payload, key) { payload.len() } else { 0 };
    }
    assert!(is_x86_feature_detected!("avx2"), "the limits need AVX2");
    // SAFETY: AVX2 is there.
    unsafe { unmask_text_long(payload, key) }
}

/// Masks `payload` as it is copied to `out`, which is as long.
#[inline]
pub(super) fn mask_copy(payload: &[u8], out: &mut [u8], key: u32) {
    if payload.len() < 32 {
        out.copy_from_slice(payload);
        unmask_short(out, key);
        return;
    }
    assert!(is_x86_feature_detected!("avx2"), "the limits need AVX2");
    // SAFETY: AVX2 is there.
    unsafe { mask_copy_long(payload, out, key) }
}

/// Unmasks a few bytes in the registers that every x86-64 has; whether they were ASCII. The last load and store
/// overlap those before.
#[inline]
fn unmask_short(payload: &mut [u8], key: u32) -> bool {
    let len = payload.len();
    if let Some(&last) = payload.last_chunk::<8>() {
        let last = u64::from_le_bytes(last) ^ twice(turn(key, len - 8));
        let keys = twice(key);
        let mut seen = last;
        for block in payload.as_chunks_mut::<8>().0 {
            let unmasked = u64::from_le_bytes(*block) ^ keys;
            *block = unmasked.to_le_bytes();
            seen |= unmasked;
        }
        payload[len - 8..].copy_from_slice(&last.to_le_bytes());
        return seen & twice(0x8080_8080) == 0;
    }
    let mut seen = 0;
    for (byte, key) in payload.iter_mut().zip(twice(key).to_le_bytes()) {
        *byte ^= key;
        seen |= *byte;
    }
    seen < 0x80
}

fn twice(key: u32) -> u64 {
    (u64::from(key) << 32) | u64::from(key)
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: reads the 32 bytes that are borrowed.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn store(bytes: &mut [u8; 32], vector: __m256i) {
    // SAFETY: writes the 32 bytes that are borrowed.
    unsafe { _mm256_storeu_si256(bytes.as_mut_ptr().cast(), vector) }
}

/// How long a start of `payload` is left out so that the rest is aligned, where that pays.
#[inline]
fn misaligned(payload: &[u8]) -> usize {
    if payload.len() < 4 << 10 { 0 } else { payload.as_ptr().align_offset(32) }
}

/// The last 32 bytes of `bytes`, unmasked; what is stored there last, over whole blocks and the rest.
#[target_feature(enable = "avx2")]
#[inline]
fn unmasked_tail(bytes: &[u8], key: u32) -> Option<__m256i> {
    let keys = _mm256_set1_epi32(turn(key, bytes.len().checked_sub(32)?).cast_signed());
    Some(_mm256_xor_si256(load(bytes.last_chunk()?), keys))
}

#[target_feature(enable = "avx2")]
fn unmask_long(payload: &mut [u8], key: u32) {
    let (head, rest) = payload.split_at_mut(misaligned(payload));
    unmask_short(head, key);
    let key = turn(key, head.len());
    let Some(tail) = unmasked_tail(rest, key) else {
        unmask_short(rest, key);
        return;
    };
    let keys = _mm256_set1_epi32(key.cast_signed());
    let (groups, blocks) = rest.as_chunks_mut::<GROUP>();
    for group in groups {
        let [a, b, c, d] = group.as_chunks_mut::<32>().0 else { unreachable!() };
        store(a, _mm256_xor_si256(load(a), keys));
        store(b, _mm256_xor_si256(load(b), keys));
        store(c, _mm256_xor_si256(load(c), keys));
        store(d, _mm256_xor_si256(load(d), keys));
    }
    for block in blocks.as_chunks_mut::<32>().0 {
        store(block, _mm256_xor_si256(load(block), keys));
    }
    if let Some(end) = rest.last_chunk_mut() {
        store(end, tail);
    }
}

#[target_feature(enable = "avx2")]
fn unmask_text_long(payload: &mut [u8], key: u32) -> usize {
    let len = payload.len();
    let (head, rest) = payload.split_at_mut(misaligned(payload));
    let ascii_head = unmask_short(head, key);
    let key = turn(key, head.len());
    let Some(tail) = unmasked_tail(rest, key) else {
        return if unmask_short(rest, key) && ascii_head { len } else { 0 };
    };
    if !ascii_head {
        unmask_long(rest, key);
        return 0;
    }
    let keys = _mm256_set1_epi32(key.cast_signed());
    let group_count = rest.len() / GROUP;
    for at in 0..group_count {
        let group = &mut rest[at * GROUP..][..GROUP];
        let [a, b, c, d] = group.as_chunks_mut::<32>().0 else { unreachable!() };
        let [w, x] = [_mm256_xor_si256(load(a), keys), _mm256_xor_si256(load(b), keys)];
        let [y, z] = [_mm256_xor_si256(load(c), keys), _mm256_xor_si256(load(d), keys)];
        store(a, w);
        store(b, x);
        store(c, y);
        store(d, z);
        let seen = _mm256_or_si256(_mm256_or_si256(w, x), _mm256_or_si256(y, z));
        if _mm256_movemask_epi8(seen) != 0 {
            unmask_long(&mut rest[(at + 1) * GROUP..], key);
            return head.len() + at * GROUP;
        }
    }
    let mut seen = tail;
    for block in rest[group_count * GROUP..].as_chunks_mut::<32>().0 {
        let unmasked = _mm256_xor_si256(load(block), keys);
        store(block, unmasked);
        seen = _mm256_or_si256(seen, unmasked);
    }
    if let Some(end) = rest.last_chunk_mut() {
        store(end, tail);
    }
    if _mm256_movemask_epi8(seen) == 0 { len } else { head.len() + group_count * GROUP }
}

#[target_feature(enable = "avx2")]
fn mask_copy_long(payload: &[u8], out: &mut [u8], key: u32) {
    let keys = _mm256_set1_epi32(key.cast_signed());
    for (from, to) in payload.as_chunks::<32>().0.iter().zip(out.as_chunks_mut::<32>().0) {
        store(to, _mm256_xor_si256(load(from), keys));
    }
    if let (Some(tail), Some(end)) = (unmasked_tail(payload, key), out.last_chunk_mut()) {
        store(end, tail);
    }
}
