//! Masking (RFC 6455 section 5.3): the payload of a client's frames is XORed with a 4-byte key.
//!
//! [`Mask`] carries its phase, so a payload can be masked in any pieces. Masking is its own inverse.

// The choice of an implementation is made in this file only.

#[cfg(any(test, target_arch = "arm", target_arch = "riscv32"))]
mod narrow;
#[cfg(any(
    test,
    not(any(
        all(target_arch = "x86_64", target_feature = "sse2"),
        all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"),
        all(target_arch = "wasm32", target_feature = "simd128"),
        target_arch = "arm",
        target_arch = "riscv32"
    ))
))]
mod portable;
#[cfg(any(
    all(target_arch = "x86_64", target_feature = "sse2"),
    all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"),
    all(target_arch = "wasm32", target_feature = "simd128")
))]
mod vector;

use core::{fmt, mem::MaybeUninit};
#[cfg(feature = "driver")]
use std::vec::Vec;

use crate::part::{part, part_mut};

#[cfg(any(target_arch = "arm", target_arch = "riscv32"))]
use narrow as chosen;
#[cfg(not(any(
    all(target_arch = "x86_64", target_feature = "sse2"),
    all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"),
    all(target_arch = "wasm32", target_feature = "simd128"),
    target_arch = "arm",
    target_arch = "riscv32"
)))]
use portable as chosen;
#[cfg(any(
    all(target_arch = "x86_64", target_feature = "sse2"),
    all(target_arch = "aarch64", target_feature = "neon", target_endian = "little"),
    all(target_arch = "wasm32", target_feature = "simd128")
))]
use vector as chosen;

/// The masking key of one frame: fresh and unpredictable for each (RFC 6455 section 10.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MaskingKey([u8; 4]);

impl MaskingKey {
    /// Creates a key from its bytes in wire order.
    #[must_use]
    pub const fn new(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes of the key in wire order.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 4] {
        self.0
    }
}

impl fmt::Debug for MaskingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MaskingKey({:08x})", u32::from_be_bytes(self.0))
    }
}

/// Masks or unmasks one frame's payload, in any pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mask {
    /// The key, rotated so that its first byte masks the next byte of payload.
    key: [u8; 4],
}

impl Mask {
    /// Creates a mask for the first byte of a payload.
    #[must_use]
    pub const fn new(key: MaskingKey) -> Self {
        Self { key: key.0 }
    }

    /// A mask that changes nothing, for unmasked payload that is copied.
    ///
    /// A plain copy would call the C library, whose string instructions are up to 14 times slower on some
    /// processors if the destination starts 1 to 15 bytes after the source modulo 4 KiB. A frame header in front
    /// of the payload makes that likely.
    pub(crate) const NONE: Self = Self { key: [0; 4] };

    /// Masks the next `payload.len()` bytes in place.
    #[inline(always)]
    pub fn apply(&mut self, payload: &mut [u8]) {
        chosen::apply::<false>(self.key, payload);
        self.advance(payload.len());
    }

    /// Masks as [`apply`](Self::apply) does, and returns whether the result is ASCII.
    #[inline(always)]
    pub(crate) fn apply_ascii(&mut self, payload: &mut [u8]) -> bool {
        let ascii = chosen::apply::<true>(self.key, payload);
        self.advance(payload.len());
        ascii
    }

    /// Copies bytes from `payload` to `out` and masks them on the way. Returns how many: the length of the shorter
    /// of the two.
    #[inline]
    pub fn apply_copy(&mut self, payload: &[u8], out: &mut [u8]) -> usize {
        let len = payload.len().min(out.len());
        chosen::apply_copy::<false>(self.key, part(payload, ..len), part_mut(out, ..len));
        self.advance(len);
        len
    }

    /// Fills `out` with the next masked bytes of `payload`, which is at least as long, and returns whether they
    /// are ASCII.
    #[inline(always)]
    pub(crate) fn apply_copy_ascii(&mut self, payload: &[u8], out: &mut [u8]) -> bool {
        let payload = part(payload, ..out.len());
        let ascii = chosen::apply_copy::<true>(self.key, payload, out);
        self.advance(payload.len());
        ascii
    }

    /// Copies and masks the whole of `payload` to the start of `out`, and so initialises that many bytes of `out`.
    #[inline(always)]
    pub(crate) fn fill(self, payload: &[u8], out: &mut [MaybeUninit<u8>]) {
        chosen::fill(self.key, payload, out);
    }

    /// Appends the next bytes of the payload, masked, to `out`.
    #[cfg(feature = "driver")]
    pub(crate) fn append(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        out.reserve(payload.len());
        let Some(room) = out.spare_capacity_mut().get_mut(..payload.len()) else { return };
        self.fill(payload, room);
        // SAFETY: so many bytes of the reserved room have been written.
        #[allow(unsafe_code)]
        unsafe {
            out.set_len(out.len() + payload.len());
        }
        self.advance(payload.len());
    }

    /// Masks all but the first `distance` bytes of `window`, the next of the payload, and moves them to its start.
    #[inline]
    pub(crate) fn apply_move(&mut self, window: &mut [u8], distance: usize) {
        let len = window.len().saturating_sub(distance);
        chosen::apply_move(self.key, window, distance);
        self.advance(len);
    }

    /// Rotates the key past `len` bytes of payload.
    #[inline]
    const fn advance(&mut self, len: usize) {
        // Only the last two bits of the length matter.
        #[allow(clippy::cast_possible_truncation)]
        let bytes = len as u32 % 4;
        self.key = u32::from_le_bytes(self.key).rotate_right(8 * bytes).to_le_bytes();
    }
}

/// Returns the length of a run of ASCII that `bytes`, which are not masked, begin with: the whole length, if there is no
/// other byte, otherwise perhaps less than that run.
#[inline]
pub(crate) fn ascii_len(bytes: &[u8]) -> usize {
    chosen::ascii_len(bytes)
}

#[cfg(test)]
mod tests {
    use std::{vec, vec::Vec};

    use super::*;

    const KEY: MaskingKey = MaskingKey::new([0x37, 0xFA, 0x21, 0x3D]);

    /// Masks as section 5.3 defines it, byte by byte.
    fn oracle(payload: &[u8]) -> Vec<u8> {
        payload.iter().enumerate().map(|(i, byte)| byte ^ KEY.to_bytes()[i % 4]).collect()
    }

    fn payload(len: usize) -> Vec<u8> {
        (0..len).map(|i| u8::try_from(i * 7 % 251).unwrap()).collect()
    }

    #[test]
    fn every_length_and_alignment_agrees_with_the_definition() {
        for len in 0..200 {
            for offset in 0..9 {
                let mut bytes = payload(offset + len);
                Mask::new(KEY).apply(&mut bytes[offset..]);
                assert_eq!(bytes[offset..], oracle(&payload(offset + len)[offset..]));
            }
        }
    }

    #[test]
    fn unmasked_payload_is_ascii_if_every_byte_is() {
        for len in 0..300 {
            let mut text: Vec<u8> = (0..len).map(|i| u8::try_from(i % 128).unwrap()).collect();
            for at in (0..len).map(Some).chain([None]) {
                if let Some(at) = at {
                    text[at] |= 0x80;
                }
                let mut masked = oracle(&text);
                assert_eq!(Mask::new(KEY).apply_ascii(&mut masked), at.is_none(), "{len} {at:?}");
                assert_eq!(masked, text);
                if let Some(at) = at {
                    text[at] &= 0x7F;
                }
            }
        }
    }

    #[test]
    fn the_chosen_implementation_agrees_with_the_portable_one() {
        let key = KEY.to_bytes();
        for len in (0..400).chain([4_095, 4_096, 4_097, 70_001]) {
            for offset in [0, 1, 7, 8, 31, 33, 63] {
                let payload = payload(offset + len);
                let [mut chosen, mut plain] = [payload.clone(), payload.clone()];
                let ascii = portable::apply::<true>(key, &mut plain[offset..]);
                assert_eq!(chosen::apply::<true>(key, &mut chosen[offset..]), ascii, "{len}");
                assert_eq!(chosen, plain, "{len}");

                let [mut chosen, mut plain] = [payload.clone(), payload.clone()];
                chosen::apply::<false>(key, &mut chosen[offset..]);
                portable::apply::<false>(key, &mut plain[offset..]);
                assert_eq!(chosen, plain, "{len}");

                let [mut chosen, mut plain] = [vec![0; len], vec![0; len]];
                let ascii = portable::apply_copy::<true>(key, &payload[offset..], &mut plain);
                assert_eq!(chosen::apply_copy::<true>(key, &payload[offset..], &mut chosen), ascii, "{len}");
                assert_eq!(chosen, plain, "{len}");

                let [mut chosen, mut plain] = [payload.clone(), payload.clone()];
                chosen::apply_move(key, &mut chosen, offset);
                portable::apply_move(key, &mut plain, offset);
                assert_eq!(chosen[..len], plain[..len], "{len}");
            }
        }
    }

    #[test]
    fn small_code_agrees_with_the_portable_code() {
        let key = KEY.to_bytes();
        for len in 0..100 {
            let payload = payload(len);
            let [mut narrow, mut plain] = [payload.clone(), payload.clone()];
            let ascii = portable::apply::<true>(key, &mut plain);
            assert_eq!((narrow::apply::<true>(key, &mut narrow), &narrow), (ascii, &plain), "{len}");
            let mut copied = vec![0; len];
            assert_eq!(narrow::apply_copy::<true>(key, &payload, &mut copied), ascii, "{len}");
            assert_eq!(copied, plain, "{len}");
            for distance in [0, 1, 3, 4, len / 2, len] {
                let [mut narrow, mut plain] = [payload.clone(), payload.clone()];
                narrow::apply_move(key, &mut narrow, distance);
                portable::apply_move(key, &mut plain, distance);
                let len = len.saturating_sub(distance);
                assert_eq!(narrow[..len], plain[..len], "{len}");
            }
        }
    }

    #[test]
    fn filling_masks_the_payload() {
        for len in 0..300 {
            for fill in [chosen::fill, portable::fill, narrow::fill] {
                let mut out = vec![MaybeUninit::new(0xEE); len];
                fill(KEY.to_bytes(), &payload(len), &mut out);
                // SAFETY: all bytes were initialised at creation.
                #[allow(unsafe_code)]
                let out: Vec<u8> = out.iter().map(|byte| unsafe { byte.assume_init() }).collect();
                assert_eq!(out, oracle(&payload(len)));
            }
        }
    }

    #[test]
    fn a_run_of_ascii_is_never_found_longer_than_it_is() {
        for len in 0..300 {
            let mut text = vec![0x7F; len];
            assert_eq!(chosen::ascii_len(&text), len);
            for at in 0..len {
                text[at] = 0x80;
                for ascii_len in [chosen::ascii_len, portable::ascii_len, narrow::ascii_len] {
                    assert!(ascii_len(&text) <= at, "{len} {at}");
                }
                text[at] = 0x7F;
            }
        }
    }

    #[test]
    fn two_pieces_equal_one() {
        for cut in 0..=150 {
            let mut bytes = payload(150);
            let mut copy = vec![0; 150];
            let (mut in_place, mut copying) = (Mask::new(KEY), Mask::new(KEY));
            assert_eq!(copying.apply_copy(&bytes[..cut], &mut copy[..cut]), cut);
            copying.apply_copy(&bytes[cut..], &mut copy[cut..]);
            in_place.apply(&mut bytes[..cut]);
            in_place.apply(&mut bytes[cut..]);
            assert_eq!(bytes, oracle(&payload(150)));
            assert_eq!(copy, bytes);
            assert_eq!(in_place, copying);
        }
    }

    #[test]
    fn moving_down_masks_the_moved_bytes() {
        for gap in (0..70).chain([255]) {
            for len in [0, 1, 7, 8, 63, 64, 65, 200, 4_097] {
                let mut bytes = vec![0xEE; 3 + gap];
                bytes.extend(payload(len));
                bytes.push(0xEE);
                Mask::new(KEY).apply_move(&mut bytes[3..3 + gap + len], gap);
                assert_eq!(bytes[3..3 + len], oracle(&payload(len)));
                assert_eq!((&bytes[..3], bytes.last()), (&[0xEE; 3][..], Some(&0xEE)), "no more than that");
            }
        }
    }
}
