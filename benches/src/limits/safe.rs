//! One pass over the payload in safe code.

const BLOCK: usize = 64;

/// Unmasks `payload`.
#[inline]
pub(super) fn unmask(payload: &mut [u8], key: u32) {
    unmask_text(payload, key);
}

/// Unmasks `payload`; how many bytes at its start were seen to be ASCII.
#[inline]
pub(super) fn unmask_text(payload: &mut [u8], key: u32) -> usize {
    let pattern = [key; BLOCK / 4].map(u32::to_le_bytes);
    let pattern = pattern.as_flattened();
    let (blocks, rest) = payload.as_chunks_mut::<BLOCK>();
    let mut ascii = 0;
    let mut is_ascii = true;
    for block in blocks {
        let mut seen = 0;
        for (byte, key) in block.iter_mut().zip(pattern) {
            *byte ^= key;
            seen |= *byte;
        }
        is_ascii &= seen < 0x80;
        ascii += if is_ascii { BLOCK } else { 0 };
    }
    let mut seen = 0;
    let (words, bytes) = rest.as_chunks_mut::<4>();
    for word in words {
        let unmasked = u32::from_le_bytes(*word) ^ key;
        *word = unmasked.to_le_bytes();
        seen |= unmasked;
    }
    for (byte, key) in bytes.iter_mut().zip(key.to_le_bytes()) {
        *byte ^= key;
        seen |= u32::from(*byte);
    }
    if is_ascii && seen & 0x8080_8080 == 0 { payload.len() } else { ascii }
}

/// Masks `payload` as it is copied to `out`, which is as long.
#[cfg(not(target_arch = "x86_64"))]
pub(super) fn mask_copy(payload: &[u8], out: &mut [u8], key: u32) {
    out.copy_from_slice(payload);
    unmask(out, key);
}
