//! Masking four bytes at a time: for small processors without vectors, where code is scarcer than time.

use core::mem::MaybeUninit;

/// Returns the length of a run of ASCII that `bytes` begin with, or 0: here a search costs as much as a validation.
pub(super) const fn ascii_len(_: &[u8]) -> usize {
    0
}

/// Masks `payload` with `key`, whose first byte is for its first byte. Returns whether the result
/// is ASCII.
#[inline(never)]
pub(super) fn apply<const TEXT: bool>(key: [u8; 4], payload: &mut [u8]) -> bool {
    let mut seen = 0;
    let mut words = payload.chunks_exact_mut(4);
    for bytes in &mut words {
        if let Some(bytes) = bytes.first_chunk_mut() {
            let word = u32::from_ne_bytes(*bytes) ^ u32::from_ne_bytes(key);
            *bytes = word.to_ne_bytes();
            seen |= word;
        }
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key) {
        *byte ^= key;
        seen |= u32::from(*byte);
    }
    seen & 0x8080_8080 == 0
}

/// Copies `payload` to `out`, which has the same length, and masks it on the way. Returns whether
/// the result is ASCII.
pub(super) fn apply_copy<const TEXT: bool>(key: [u8; 4], payload: &[u8], out: &mut [u8]) -> bool {
    out.copy_from_slice(payload);
    apply::<false>(key, out)
}

/// Copies and masks `payload` to `out`, which has the same length, and so initialises `out`.
pub(super) fn fill(key: [u8; 4], payload: &[u8], out: &mut [MaybeUninit<u8>]) {
    for ((out, byte), key) in out.iter_mut().zip(payload).zip(key.iter().cycle()) {
        out.write(byte ^ key);
    }
}

/// Masks all but the first `distance` bytes of `window` and moves them to its start.
pub(super) fn apply_move(key: [u8; 4], window: &mut [u8], distance: usize) {
    let distance = distance.min(window.len());
    let len = window.len() - distance;
    window.copy_within(distance.., 0);
    apply::<false>(key, crate::part::part_mut(window, ..len));
}
