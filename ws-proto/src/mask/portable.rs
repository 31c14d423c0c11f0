//! Masking a word at a time, in safe code that the compiler turns into vector instructions.

/// Bytes per step: a multiple of 4, so that the phase is the same at each.
const STEP: usize = 64;

type Word = [u8; STEP];

fn spread(key: [u8; 4]) -> Word {
    let mut word = [0; STEP];
    for (i, byte) in word.iter_mut().enumerate() {
        *byte = key[i % 4];
    }
    word
}

fn xor(bytes: &Word, mask: &Word) -> Word {
    let mut out = [0; STEP];
    for i in 0..STEP {
        out[i] = bytes[i] ^ mask[i];
    }
    out
}

/// XORs `payload` with `key`, whose first byte is for the first byte of `payload`.
pub(super) fn apply(key: [u8; 4], payload: &mut [u8]) {
    let mut chunks = payload.chunks_exact_mut(STEP);
    let mask = spread(key);
    for chunk in &mut chunks {
        if let Some(word) = chunk.first_chunk_mut() {
            *word = xor(word, &mask);
        }
    }
    let mut words = chunks.into_remainder().chunks_exact_mut(4);
    for word in &mut words {
        if let Some(word) = word.first_chunk_mut() {
            *word = (u32::from_ne_bytes(*word) ^ u32::from_ne_bytes(key)).to_ne_bytes();
        }
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key) {
        *byte ^= key;
    }
}

/// Like [`apply`], from `payload` to `out` of the same length.
pub(super) fn apply_copy(key: [u8; 4], payload: &[u8], out: &mut [u8]) {
    let mask = spread(key);
    let mut from = payload.chunks_exact(STEP);
    let mut to = out.chunks_exact_mut(STEP);
    for (from, to) in (&mut from).zip(&mut to) {
        if let (Some(from), Some(to)) = (from.first_chunk(), to.first_chunk_mut()) {
            *to = xor(from, &mask);
        }
    }
    for ((byte, from), key) in to.into_remainder().iter_mut().zip(from.remainder()).zip(mask) {
        *byte = from ^ key;
    }
}

/// Like [`apply`], on `len` bytes at `from` that move to `to`, which is not behind `from`.
pub(super) fn apply_move(key: [u8; 4], buffer: &mut [u8], from: usize, to: usize, len: usize) {
    let mask = spread(key);
    let mut done = 0;
    while len - done >= STEP {
        let mut word = [0; STEP];
        word.copy_from_slice(&buffer[from + done..from + done + STEP]);
        buffer[to + done..to + done + STEP].copy_from_slice(&xor(&word, &mask));
        done += STEP;
    }
    for (i, key) in (done..len).zip(mask) {
        buffer[to + i] = buffer[from + i] ^ key;
    }
}
