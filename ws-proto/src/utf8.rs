//! Resumable UTF-8 validation: a text message is valid as a whole, its fragments need not be (RFC 6455 sections
//! 5.6 and 8.1).

// This module is the only one of the crate that turns validated bytes into `&str`.

#![allow(unsafe_code)]

use core::fmt;

use crate::{mask, part::part};

/// Checks that bytes arriving in any pieces are UTF-8. Fails at the first byte that cannot be part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validator {
    expected: Expected,
}

/// The bytes that may come next (Unicode 16, table 3-7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expected {
    #[default]
    CodePoint,
    /// One, two or three continuation bytes, 80..=BF.
    One,
    Two,
    Three,
    /// After E0, ED, F0 and F4, the range of the next byte is narrower.
    AfterE0,
    AfterEd,
    AfterF0,
    AfterF4,
    /// No byte: the text is not UTF-8.
    Invalid,
}

impl Expected {
    /// Returns the state after `byte`.
    const fn next(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::CodePoint, 0x00..=0x7F) | (Self::One, 0x80..=0xBF) => Self::CodePoint,
            (Self::CodePoint, 0xC2..=0xDF)
            | (Self::Two, 0x80..=0xBF)
            | (Self::AfterE0, 0xA0..=0xBF)
            | (Self::AfterEd, 0x80..=0x9F) => Self::One,
            (Self::CodePoint, 0xE1..=0xEC | 0xEE..=0xEF)
            | (Self::Three, 0x80..=0xBF)
            | (Self::AfterF0, 0x90..=0xBF)
            | (Self::AfterF4, 0x80..=0x8F) => Self::Two,
            (Self::CodePoint, 0xF1..=0xF3) => Self::Three,
            (Self::CodePoint, 0xE0) => Self::AfterE0,
            (Self::CodePoint, 0xED) => Self::AfterEd,
            (Self::CodePoint, 0xF0) => Self::AfterF0,
            (Self::CodePoint, 0xF4) => Self::AfterF4,
            _ => Self::Invalid,
        }
    }

    /// Returns the state after all of `bytes`.
    fn after(self, bytes: &[u8]) -> Self {
        #[cfg(target_pointer_width = "64")]
        return table::after(self, bytes);
        #[cfg(not(target_pointer_width = "64"))]
        bytes.iter().fold(self, |expected, &byte| expected.next(byte))
    }

    /// Returns the index of the first byte after which the text cannot be UTF-8, or `bytes.len()` if there is
    /// none.
    #[cold]
    fn fault(mut self, bytes: &[u8]) -> usize {
        let is_fault = |&byte: &u8| {
            self = self.next(byte);
            self == Self::Invalid
        };
        bytes.iter().position(is_fault).unwrap_or(bytes.len())
    }
}

/// [`Expected::next`] as a table: each byte takes a load and a shift, and no branch depends on the text.
#[cfg(target_pointer_width = "64")]
mod table {
    use super::Expected;

    const ALL: [Expected; 9] = [
        Expected::CodePoint,
        Expected::One,
        Expected::Two,
        Expected::Three,
        Expected::AfterE0,
        Expected::AfterEd,
        Expected::AfterF0,
        Expected::AfterF4,
        Expected::Invalid,
    ];

    /// A row for each byte. It holds, at the [`place`] of each [`Expected`], the place of the state that follows.
    static ROWS: [u64; 256] = {
        let mut rows = [0; 256];
        let mut byte = u8::MAX;
        loop {
            let mut at = 0;
            while at < ALL.len() {
                rows[byte as usize] |= place(ALL[at].next(byte)) << place(ALL[at]);
                at += 1;
            }
            if byte == 0 {
                break rows;
            }
            byte -= 1;
        }
    };

    /// Returns the index of the first of the state's six bits in a row.
    const fn place(expected: Expected) -> u64 {
        6 * expected as u64
    }

    /// Returns the state after all of `bytes`.
    pub(super) fn after(expected: Expected, bytes: &[u8]) -> Expected {
        // Only the last six bits of a place count; the shift ignores the others.
        let last = bytes.iter().fold(place(expected), |place, &byte| ROWS[usize::from(byte)] >> (place % 64));
        usize::try_from(last % 64 / 6).ok().and_then(|at| ALL.get(at)).copied().unwrap_or(Expected::Invalid)
    }
}

/// The greatest length for which the table, on targets that have it, is faster than vectors.
const SHORT: usize = if cfg!(target_pointer_width = "64") { 80 } else { 0 };
/// The greatest length for which the search for a byte that is not ASCII is done here, inline.
const SHORT_ASCII: usize = if cfg!(target_pointer_width = "64") { 256 } else { 0 };
/// The length of a step of that search, in bytes.
const ASCII_STEP: usize = 32;

impl Validator {
    /// Creates a validator at the start of a text.
    #[must_use]
    pub const fn new() -> Self {
        Self { expected: Expected::CodePoint }
    }

    /// Takes the next bytes of the text.
    ///
    /// # Errors
    ///
    /// The text cannot become UTF-8, whatever follows. Do not use the validator for this text any more.
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), InvalidUtf8> {
        // Most pieces are whole texts, or end with a whole code point. A small processor has no faster way for them.
        if SHORT > 0 && self.is_complete() && unfinished_len(bytes) == 0 && is_valid(bytes) {
            return Ok(());
        }
        self.update_any(bytes)
    }

    /// [`update`](Self::update), whatever has come and comes.
    #[cfg_attr(target_pointer_width = "64", inline(never))]
    fn update_any(&mut self, bytes: &[u8]) -> Result<(), InvalidUtf8> {
        let done = if bytes.len() > SHORT { self.take_whole(bytes) } else { 0 };
        let rest = part(bytes, done..);
        if rest.is_empty() {
            return Ok(());
        }
        let begun = self.expected;
        self.expected = begun.after(rest);
        if self.expected == Expected::Invalid {
            return Err(InvalidUtf8 { position: done + begun.fault(rest) });
        }
        Ok(())
    }

    /// Takes the code points that `bytes` start with, up to the first invalid one, but none that is cut at the
    /// end. Returns their length in bytes.
    fn take_whole(&mut self, bytes: &[u8]) -> usize {
        // A piece may begin inside a code point, and the fast path cannot check the rest of one.
        let mut begun = 0;
        if !self.is_complete() {
            begun = bytes.iter().take(3).take_while(|byte| matches!(byte, 0x80..=0xBF)).count();
            if self.expected.after(part(bytes, ..begun)) != Expected::CodePoint {
                return 0;
            }
            self.expected = Expected::CodePoint;
        }
        let whole = part(bytes, begun..bytes.len() - unfinished_len(bytes));
        begun + valid_up_to(whole).map_or_else(|valid| valid, |()| whole.len())
    }

    /// Returns whether the text may end here, outside a code point.
    #[must_use]
    pub const fn is_complete(self) -> bool {
        matches!(self.expected, Expected::CodePoint)
    }
}

/// Returns the length of an incomplete code point at the end of `bytes`, or 0 if there is none. If the end of `bytes` is not UTF-8
/// anyway, the result may be any number up to 3.
#[inline]
fn unfinished_len(bytes: &[u8]) -> usize {
    match bytes {
        [] | [.., 0x00..=0x7F] => 0,
        // The first byte of a code point of two, three or four bytes begins with as many bits that are set.
        [.., 0xC0..=0xFF] => 1,
        [.., 0xE0..=0xFF, _] => 2,
        [.., 0xF0..=0xFF, _, _] => 3,
        _ => 0,
    }
}

/// Returns whether `bytes` are UTF-8.
#[inline]
pub(crate) fn is_valid(bytes: &[u8]) -> bool {
    // A small processor has no faster way for ASCII.
    if SHORT_ASCII == 0 {
        return is_valid_beyond_ascii(bytes);
    }
    // Most text that is not ASCII is known by its first word.
    if bytes.len() > SHORT && bytes.first_chunk::<8>().is_some_and(|word| !word.is_ascii()) {
        return is_long_valid(bytes);
    }
    is_valid_perhaps_ascii(bytes)
}

/// [`is_valid`] with a search for a byte that is not ASCII first.
#[inline]
fn is_valid_perhaps_ascii(bytes: &[u8]) -> bool {
    if bytes.len() <= SHORT_ASCII {
        return is_ascii(bytes) || is_valid_beyond_ascii(bytes);
    }
    let ascii = mask::ascii_len(bytes);
    ascii == bytes.len() || is_valid_beyond_ascii(part(bytes, ascii..))
}

/// Returns whether `bytes`, not many, are ASCII. The last step, or word, may overlap the one before it.
#[inline]
fn is_ascii(bytes: &[u8]) -> bool {
    const TOPS: u128 = u128::MAX / 0xFF * 0x80;
    if let Some(mut seen) = bytes.last_chunk::<ASCII_STEP>().copied() {
        for step in bytes.chunks_exact(ASCII_STEP) {
            seen.iter_mut().zip(step).for_each(|(seen, byte)| *seen |= byte);
        }
        return seen.iter().fold(0, |seen, byte| seen | byte) < 0x80;
    }
    // Two words take fewer steps than the loop of the standard library.
    let seen = if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        u128::from_ne_bytes(*first) | u128::from_ne_bytes(*last)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        u128::from(u64::from_ne_bytes(*first) | u64::from_ne_bytes(*last))
    } else {
        bytes.iter().fold(0, |seen, byte| seen | u128::from(*byte))
    };
    seen & TOPS == 0
}

/// Returns whether `bytes` are UTF-8, without a check for ASCII first: for bytes that are known not to be ASCII.
#[inline]
pub(crate) fn is_valid_beyond_ascii(bytes: &[u8]) -> bool {
    if bytes.len() <= SHORT {
        return Expected::default().after(bytes) == Expected::CodePoint;
    }
    is_long_valid(bytes)
}

/// Returns whether more than [`SHORT`] bytes are UTF-8, by vectors.
#[inline(always)]
fn is_long_valid(bytes: &[u8]) -> bool {
    // The variant that does not report the position is the faster one.
    #[cfg(feature = "simdutf8")]
    return simdutf8::basic::from_utf8(bytes).is_ok();
    #[cfg(not(feature = "simdutf8"))]
    core::str::from_utf8(bytes).is_ok()
}

/// Checks that `bytes` are UTF-8. Otherwise returns the index of the first code point that is not complete and
/// valid.
#[inline]
fn valid_up_to(bytes: &[u8]) -> Result<(), usize> {
    if is_valid(bytes) { Ok(()) } else { valid_prefix(bytes) }
}

/// Finds the first code point that is not complete and valid; see [`valid_up_to`].
#[cold]
fn valid_prefix(bytes: &[u8]) -> Result<(), usize> {
    #[cfg(not(feature = "simdutf8"))]
    use core::str::from_utf8;
    #[cfg(feature = "simdutf8")]
    use simdutf8::compat::from_utf8;
    from_utf8(bytes).map(drop).map_err(|error| error.valid_up_to())
}

/// Returns the text in `bytes`.
///
/// # Errors
///
/// `bytes` are not UTF-8.
pub(crate) fn to_str(bytes: &[u8]) -> Result<&str, InvalidUtf8> {
    match valid_up_to(bytes) {
        // SAFETY: `valid_up_to` returned `Ok`, so `bytes` are UTF-8.
        Ok(()) => Ok(unsafe { core::str::from_utf8_unchecked(bytes) }),
        Err(valid) => {
            let mut rest = Validator::new();
            let at = rest.update(part(bytes, valid..)).err().map(|error| error.position);
            Err(InvalidUtf8 { position: at.map_or(bytes.len(), |at| valid + at) })
        }
    }
}

/// The bytes of a whole text message, checked by a [`Validator`] as they came.
///
/// Made only by [`Receiver`](crate::endpoint::receive::Receiver)'s step for a last part (which has checked every
/// part and that the last one ends a code point) and read only through [`as_str`](Self::as_str).
#[derive(Clone, Copy)]
pub(crate) struct Validated<'a>(&'a [u8]);

impl<'a> Validated<'a> {
    /// Creates the value without checking `bytes`.
    ///
    /// # Safety
    ///
    /// `bytes` are, in order and complete, the bytes that one `Validator` has accepted since its creation, and it
    /// was complete at their end.
    pub(crate) const unsafe fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns the text.
    pub(crate) const fn as_str(self) -> &'a str {
        // SAFETY: by the contract of `new` these bytes are a whole UTF-8 text.
        unsafe { core::str::from_utf8_unchecked(self.0) }
    }
}

/// The bytes are not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUtf8 {
    position: usize,
}

impl InvalidUtf8 {
    /// Returns the same error for a text in which `len` more bytes come first.
    pub(crate) const fn behind(self, len: usize) -> Self {
        Self { position: self.position + len }
    }

    /// Returns the index, in the bytes of the failed call, of the first byte that cannot be part of UTF-8, or the
    /// number of bytes if the text ends inside a code point.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.position
    }
}

impl fmt::Display for InvalidUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "text is not UTF-8 from byte {} on (RFC 6455 section 8.1)", self.position)
    }
}

impl core::error::Error for InvalidUtf8 {}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// Checks prefix by prefix with the standard library. Returns whether the text may end here, or the index of
    /// the first bad byte.
    fn oracle(bytes: &[u8]) -> Result<bool, usize> {
        for len in 1..=bytes.len() {
            if let Err(error) = core::str::from_utf8(&bytes[..len]) {
                if error.error_len().is_some() {
                    return Err(len - 1);
                }
            }
        }
        Ok(core::str::from_utf8(bytes).is_ok())
    }

    fn in_two_pieces(bytes: &[u8], cut: usize) -> Result<bool, usize> {
        let mut validator = Validator::new();
        validator.update(&bytes[..cut]).map_err(|error| error.position())?;
        validator.update(&bytes[cut..]).map_err(|error| cut + error.position())?;
        Ok(validator.is_complete())
    }

    fn check(bytes: &[u8]) {
        for cut in 0..=bytes.len() {
            assert_eq!(in_two_pieces(bytes, cut), oracle(bytes), "{bytes:02x?} cut at {cut}");
        }
        let whole = match oracle(bytes) {
            Ok(true) => Ok(()),
            Ok(false) => Err(bytes.len()),
            Err(position) => Err(position),
        };
        assert_eq!(to_str(bytes).map(drop).map_err(|error| error.position()), whole);
    }

    #[test]
    fn every_start_of_a_code_point_agrees_with_the_standard_library() {
        // Every first byte, then the bytes on both sides of the edges of all ranges.
        let edges = [0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xE0, 0xF0, 0xF4, 0xFF];
        for first in 0..=u8::MAX {
            for second in edges {
                for third in edges {
                    check(&[first, second, third, 0x80]);
                }
            }
        }
    }

    #[test]
    fn long_texts_fail_at_the_same_byte() {
        for at in 0..130 {
            for bad in [0x80, 0xC0, 0xF5, 0xE2] {
                let mut text: Vec<u8> = "aé中🦀".bytes().cycle().take(130).collect();
                text[at] = bad;
                check(&text);
            }
        }
    }

    // R8.1-1
    #[test]
    fn a_byte_that_is_not_ascii_is_seen_anywhere_in_a_long_text() {
        for len in [255, 256, 257, 258, 288, 400, 512, 1_000] {
            let ascii: Vec<u8> = (0..len).map(|i| u8::try_from(i % 128).unwrap()).collect();
            assert_eq!(in_two_pieces(&ascii, 0), Ok(true));
            for at in 0..len - 1 {
                let mut text = ascii.clone();
                text[at] = 0xC3;
                assert!(!is_valid(&text), "{len} {at}");
                assert_eq!(in_two_pieces(&text, 0), Err(at + 1));
                text[at + 1] = 0xA9;
                assert!(is_valid(&text), "{len} {at}");
                assert_eq!(in_two_pieces(&text, 0), Ok(true));
            }
        }
    }
}
