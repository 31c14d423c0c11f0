//! Masking in safe code that the compiler turns into the widest vector instructions it may use.
//!
//! What is left behind the last whole step is not a loop: the last bytes of the payload are taken as one more step that
//! overlaps the one before. They are read before anything is written.

/// Bytes per step: a multiple of 4, so that the phase is the same at each.
const STEP: usize = 64;

/// The key, repeated; its first byte is for the first byte of `N`.
#[inline(always)]
fn spread<const N: usize>(key: [u8; 4]) -> [u8; N] {
    let mut word = [0; N];
    for (i, byte) in word.iter_mut().enumerate() {
        *byte = key[i % 4];
    }
    word
}

/// The key for bytes that begin `len` bytes behind the first.
#[inline(always)]
fn turned(key: [u8; 4], len: usize) -> [u8; 4] {
    // Bit counts are at most 24.
    #[allow(clippy::cast_possible_truncation)]
    let bits = (len % 4) as u32 * 8;
    u32::from_le_bytes(key).rotate_right(bits).to_le_bytes()
}

#[inline(always)]
fn xor<const N: usize>(bytes: [u8; N], mask: [u8; N]) -> [u8; N] {
    let mut out = [0; N];
    for i in 0..N {
        out[i] = bytes[i] ^ mask[i];
    }
    out
}

/// Every bit that is set in one of `bytes`.
#[inline(always)]
fn union<const N: usize>(seen: [u8; N], bytes: [u8; N]) -> [u8; N] {
    let mut out = [0; N];
    for i in 0..N {
        out[i] = seen[i] | bytes[i];
    }
    out
}

/// Whether no byte has its top bit set.
#[inline(always)]
fn is_ascii<const N: usize>(seen: [u8; N]) -> bool {
    seen.iter().fold(0, |all, byte| all | byte) & 0x80 == 0
}

/// Two overlapping steps that cover `from`, which is `N` to `2 * N` bytes long; the result is in `to`, as long.
#[inline(always)]
fn two_steps<const N: usize>(key: [u8; 4], payload: &mut [u8]) -> bool {
    let len = payload.len();
    let (Some(first), Some(last)) = (payload.first_chunk::<N>().copied(), payload.last_chunk::<N>().copied())
    else {
        return true;
    };
    let first = xor(first, spread(key));
    let last = xor(last, spread(turned(key, len.wrapping_sub(N))));
    if let Some(to) = payload.first_chunk_mut::<N>() {
        *to = first;
    }
    if let Some(to) = payload.last_chunk_mut::<N>() {
        *to = last;
    }
    is_ascii(union(first, last))
}

/// XORs `payload` with `key`, whose first byte is for the first byte of `payload`; whether it is ASCII then.
#[inline(always)]
pub(super) fn apply(key: [u8; 4], payload: &mut [u8]) -> bool {
    match payload.len() {
        0..4 => {
            let mut seen = 0;
            for (byte, key) in payload.iter_mut().zip(key) {
                *byte ^= key;
                seen |= *byte;
            }
            seen & 0x80 == 0
        }
        4..8 => two_steps::<4>(key, payload),
        8..16 => two_steps::<8>(key, payload),
        16..32 => two_steps::<16>(key, payload),
        32..64 => two_steps::<32>(key, payload),
        _ => steps(key, payload),
    }
}

/// [`apply`] to at least one step.
#[inline(always)]
fn steps(key: [u8; 4], payload: &mut [u8]) -> bool {
    let len = payload.len();
    let Some(last) = payload.last_chunk::<STEP>().copied() else {
        return true;
    };
    let last = xor(last, spread(turned(key, len - STEP)));
    let mask = spread::<STEP>(key);
    let mut seen = last;
    for chunk in payload.chunks_exact_mut(STEP) {
        if let Some(word) = chunk.first_chunk_mut::<STEP>() {
            *word = xor(*word, mask);
            seen = union(seen, *word);
        }
    }
    if let Some(to) = payload.last_chunk_mut() {
        *to = last;
    }
    is_ascii(seen)
}

/// Like [`apply`], from `payload` to `out` of the same length.
#[inline(always)]
pub(super) fn apply_copy(key: [u8; 4], payload: &[u8], out: &mut [u8]) {
    let len = payload.len();
    let (Some(last), Some(out)) = (payload.last_chunk::<STEP>(), out.get_mut(..len)) else {
        out.copy_from_slice(payload);
        apply(key, out);
        return;
    };
    let mask = spread::<STEP>(key);
    for (from, to) in payload.chunks_exact(STEP).zip(out.chunks_exact_mut(STEP)) {
        if let (Some(from), Some(to)) = (from.first_chunk::<STEP>(), to.first_chunk_mut::<STEP>()) {
            *to = xor(*from, mask);
        }
    }
    if let Some(to) = out.last_chunk_mut() {
        *to = xor(*last, spread(turned(key, len - STEP)));
    }
}

/// Like [`apply`], on `len` bytes at `from` that move to `to`, which is not behind `from`.
pub(super) fn apply_move(key: [u8; 4], buffer: &mut [u8], from: usize, to: usize, len: usize) {
    let mask = spread::<STEP>(key);
    let distance = from.saturating_sub(to);
    let Some(window) = buffer.get_mut(to..from.saturating_add(len)) else {
        return;
    };
    let mut done = 0;
    // Each step reads all its bytes before it writes one, and none that an earlier step has written.
    while let Some(word) = window.get(distance + done..).and_then(<[u8]>::first_chunk::<STEP>).copied() {
        if let Some(to) = window.get_mut(done..).and_then(<[u8]>::first_chunk_mut) {
            *to = xor(word, mask);
        }
        done += STEP;
    }
    for (i, key) in (done..len).zip(mask) {
        let byte = window.get(distance + i).copied().unwrap_or_default();
        if let Some(to) = window.get_mut(i) {
            *to = byte ^ key;
        }
    }
}
