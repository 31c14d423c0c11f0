//! Masking in safe code, which the compiler turns into the widest vector instructions of the target.
//!
//! The bytes after the last whole step are not masked in a loop: the last bytes of the payload are one more step,
//! which overlaps the step before it. They are read before anything is written.

use core::mem::MaybeUninit;

use crate::part::sure;

/// Bytes per step: a multiple of 4, so that the key has the same phase in each step.
const STEP: usize = 64;

/// The top bit of each byte.
const TOPS: u64 = 0x8080_8080_8080_8080;

/// Returns the key as a word whose lowest byte masks the first byte of payload.
#[inline(always)]
const fn word(key: [u8; 4]) -> u32 {
    u32::from_le_bytes(key)
}

/// Returns the key for the byte `len` bytes after the first.
#[inline(always)]
const fn turned(key: u32, len: usize) -> u32 {
    // Only the last two bits of the length matter.
    #[allow(clippy::cast_possible_truncation)]
    key.rotate_right((len as u32 & 3) * 8)
}

/// Returns the key twice in one word.
#[inline(always)]
const fn twice(key: u32) -> u64 {
    // The casts widen.
    key as u64 | (key as u64) << 32
}

/// Returns `bytes`, of which there are `8 * W`, as words.
#[inline(always)]
fn load<const W: usize>(bytes: &[u8]) -> [u64; W] {
    let mut words = [0; W];
    for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(8)) {
        *word = u64::from_le_bytes(sure(bytes.first_chunk().copied()));
    }
    words
}

/// Writes `words` to `bytes`, of which there are `8 * W`.
#[inline(always)]
fn store<const W: usize>(bytes: &mut [u8], words: [u64; W]) {
    for (word, bytes) in words.iter().zip(bytes.chunks_exact_mut(8)) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
}

#[inline(always)]
fn xor<const W: usize>(words: [u64; W], mask: u64) -> [u64; W] {
    words.map(|word| word ^ mask)
}

/// Returns the bits that are set in at least one of `words`.
#[inline(always)]
fn union<const W: usize>(words: [u64; W]) -> u64 {
    words.iter().fold(0, |all, word| all | word)
}

/// Returns the length of `bytes` if they are ASCII, otherwise 0.
pub(super) const fn ascii_len(bytes: &[u8]) -> usize {
    if bytes.is_ascii() { bytes.len() } else { 0 }
}

/// Masks `payload`, which is `N` to `2 * N` bytes long, in two overlapping steps of `N` bytes, or `W` words.
/// Returns whether the result is ASCII.
#[inline(always)]
fn two_steps<const N: usize, const W: usize>(key: u32, payload: &mut [u8]) -> bool {
    let len = payload.len();
    debug_assert!((N..=2 * N).contains(&len));
    let (Some(first), Some(last)) = (payload.first_chunk::<N>(), payload.last_chunk::<N>()) else {
        return true;
    };
    let first = xor(load::<W>(first), twice(key));
    let last = xor(load::<W>(last), twice(turned(key, len.wrapping_sub(N))));
    if let Some(to) = payload.first_chunk_mut::<N>() {
        store(to, first);
    }
    if let Some(to) = payload.last_chunk_mut::<N>() {
        store(to, last);
    }
    (union(first) | union(last)) & TOPS == 0
}

/// Masks 4 to 8 bytes as [`two_steps`] does, in two overlapping halves.
#[inline(always)]
fn two_halves(key: u32, payload: &mut [u8]) -> bool {
    let len = payload.len();
    debug_assert!((4..=8).contains(&len));
    let (Some(first), Some(last)) = (payload.first_chunk().copied(), payload.last_chunk().copied()) else {
        return true;
    };
    let first = u32::from_le_bytes(first) ^ key;
    let last = u32::from_le_bytes(last) ^ turned(key, len);
    if let Some(to) = payload.first_chunk_mut() {
        *to = first.to_le_bytes();
    }
    if let Some(to) = payload.last_chunk_mut() {
        *to = last.to_le_bytes();
    }
    u64::from(first | last) & TOPS == 0
}

/// Masks `payload` with `key`, whose first byte is for its first byte. Returns whether the result is ASCII,
/// whatever `TEXT` is.
#[inline(always)]
pub(super) fn apply<const TEXT: bool>(key: [u8; 4], payload: &mut [u8]) -> bool {
    if payload.len() < 2 * STEP { apply_short(key, payload) } else { apply_long(key, payload) }
}

/// Masks fewer than two [`STEP`]s; see [`apply`].
#[inline]
fn apply_short(key: [u8; 4], payload: &mut [u8]) -> bool {
    let word = word(key);
    match payload.len() {
        64.. => two_steps::<STEP, 8>(word, payload),
        32.. => two_steps::<32, 4>(word, payload),
        16.. => two_steps::<16, 2>(word, payload),
        8.. => two_steps::<8, 1>(word, payload),
        4.. => two_halves(word, payload),
        _ => {
            let mut seen = 0;
            for (byte, key) in payload.iter_mut().zip(key) {
                *byte ^= key;
                seen |= *byte;
            }
            seen & 0x80 == 0
        }
    }
}

/// Masks [`STEP`] bytes or more; see [`apply`].
#[inline(never)]
fn apply_long(key: [u8; 4], payload: &mut [u8]) -> bool {
    let key = word(key);
    let len = payload.len();
    debug_assert!(len >= STEP);
    let Some(last) = payload.last_chunk::<STEP>() else {
        return true;
    };
    let last = xor(load::<8>(last), twice(turned(key, len - STEP)));
    let mut seen = last;
    for chunk in payload.chunks_exact_mut(STEP) {
        let words = xor(load::<8>(chunk), twice(key));
        store(chunk, words);
        for (seen, word) in seen.iter_mut().zip(words) {
            *seen |= word;
        }
    }
    if let Some(to) = payload.last_chunk_mut::<STEP>() {
        store(to, last);
    }
    union(seen) & TOPS == 0
}

/// Copies `payload` to `out`, which has the same length, and masks it on the way. Returns whether the result is
/// ASCII if `TEXT` is set, otherwise `false`.
pub(super) fn apply_copy<const TEXT: bool>(key: [u8; 4], payload: &[u8], out: &mut [u8]) -> bool {
    let len = payload.len();
    let Some(last) = payload.last_chunk::<STEP>() else {
        out.copy_from_slice(payload);
        return apply_short(key, out) && TEXT;
    };
    let key = word(key);
    let mut seen = 0;
    for (from, to) in payload.chunks_exact(STEP).zip(out.chunks_exact_mut(STEP)) {
        let words = xor(load::<8>(from), twice(key));
        store(to, words);
        if TEXT {
            seen |= union(words);
        }
    }
    let last = xor(load::<8>(last), twice(turned(key, len - STEP)));
    if let Some(to) = out.last_chunk_mut::<STEP>() {
        store(to, last);
    }
    TEXT && (seen | union(last)) & TOPS == 0
}

/// Copies and masks `payload` to `out`, and so initialises as many bytes of `out`.
pub(super) fn fill(key: [u8; 4], payload: &[u8], out: &mut [MaybeUninit<u8>]) {
    for (out, bytes) in out.chunks_mut(4).zip(payload.chunks(4)) {
        for ((out, byte), key) in out.iter_mut().zip(bytes).zip(key) {
            out.write(byte ^ key);
        }
    }
}

/// Masks all but the first `distance` bytes of `window` and moves them to its start.
pub(super) fn apply_move(key: [u8; 4], window: &mut [u8], distance: usize) {
    let word = word(key);
    let len = window.len().saturating_sub(distance);
    let mut done = 0;
    // Each step reads all its bytes before it writes one, and reads no byte that an earlier step has written.
    while let Some(from) = window.get(distance + done..).and_then(<[u8]>::first_chunk::<STEP>) {
        let words = xor(load::<8>(from), twice(word));
        if let Some(to) = window.get_mut(done..).and_then(<[u8]>::first_chunk_mut::<STEP>) {
            store(to, words);
        }
        done += STEP;
    }
    for (i, key) in (done..len).zip(key.into_iter().cycle()) {
        let byte = sure(window.get(distance + i).copied());
        if let Some(to) = window.get_mut(i) {
            *to = byte ^ key;
        }
    }
}
