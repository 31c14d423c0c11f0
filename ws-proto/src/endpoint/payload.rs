//! Payload in transit (RFC 6455 section 5.3): a run of it is unmasked, moved and validated in one pass.
//!
//! A run is independent of frames: the receiving rules supply its mask and its text, and its owner supplies its
//! destination.

use core::ops::Range;

use crate::{
    mask::Mask,
    part::{part, part_mut},
    utf8::{InvalidUtf8, Validator},
};

/// Texts are validated in pieces of this size, while they are in the nearest cache.
pub(super) const PIECE: usize = 8 * 1024;

/// A run of payload, and its destination.
#[derive(Debug)]
pub(crate) enum Run<'b> {
    /// The payload stays in its place.
    Stay(&'b mut [u8]),
    /// The payload moves down in its buffer, to the start of `window`, from the end of `window`.
    /// `distance <= window.len()`.
    Down { window: &'b mut [u8], distance: usize },
    /// The payload moves to another buffer; `to` is as long as `from`.
    Across { from: &'b [u8], to: &'b mut [u8] },
}

impl<'b> Run<'b> {
    /// Creates a run of the payload at `buffer[from]`, which moves to `to <= from.start` in the same buffer.
    #[inline(always)]
    pub(crate) fn within(buffer: &'b mut [u8], from: Range<usize>, to: usize) -> Self {
        debug_assert!(to <= from.start, "payload moves down only");
        if to == from.start {
            return Self::Stay(part_mut(buffer, from));
        }
        Self::Down { distance: from.start - to, window: part_mut(buffer, to..from.end) }
    }

    /// Returns the number of bytes.
    #[inline(always)]
    pub(super) const fn len(&self) -> usize {
        match self {
            Self::Stay(payload) => payload.len(),
            Self::Down { window, distance } => window.len() - *distance,
            Self::Across { to, .. } => to.len(),
        }
    }

    /// Unmasks the payload, if there is a mask, and moves it.
    #[inline(always)]
    pub(super) fn unmask(self, mask: Option<&mut Mask>) {
        match (self, mask) {
            (Self::Stay(payload), Some(mask)) => mask.apply(payload),
            (Self::Stay(_), None) => {}
            (Self::Down { window, distance }, mask) => {
                mask.unwrap_or(&mut { Mask::NONE }).apply_move(window, distance);
            }
            (Self::Across { from, to }, mask) => _ = mask.unwrap_or(&mut { Mask::NONE }).apply_copy(from, to),
        }
    }

    /// Unmasks and moves the payload as [`unmask`](Self::unmask) does, and validates it as the next bytes of its text.
    ///
    /// # Errors
    ///
    /// The text is not valid. All of the run has been unmasked and moved nevertheless.
    #[inline]
    pub(super) fn unmask_text(self, mask: Option<&mut Mask>, text: &mut Validator) -> Result<(), InvalidUtf8> {
        match (self, mask) {
            (Self::Stay(payload), None) => text.update(payload),
            (Self::Stay(payload), Some(mask)) => validate(payload, text, |_, piece| mask.apply_ascii(piece)),
            (Self::Down { window, distance }, mask) => {
                let len = window.len() - distance;
                Run::Down { window: &mut *window, distance }.unmask(mask);
                text.update(part(window, ..len))
            }
            (Self::Across { from, to }, mask) => {
                let mut none = Mask::NONE;
                let mask = mask.unwrap_or(&mut none);
                validate(to, text, |at, piece| mask.apply_copy_ascii(part(from, at..), piece))
            }
        }
    }

    /// Does as [`unmask_text`](Self::unmask_text) with payload that stays or goes across, and returns whether the text is valid. If it is
    /// not, the payload, `mask` and `text` are as before.
    #[inline(never)]
    pub(super) fn try_unmask_text(self, mask: &mut Option<Mask>, text: &mut Validator) -> bool {
        debug_assert!(!matches!(self, Self::Down { .. }), "what moves down can't be restored");
        let (mut mask_then, mut text_then) = (*mask, *text);
        let valid = match self {
            Self::Stay(payload) => {
                let valid = Run::Stay(payload).unmask_text(mask_then.as_mut(), &mut text_then).is_ok();
                if !valid {
                    Run::Stay(payload).unmask({ *mask }.as_mut());
                }
                valid
            }
            other => other.unmask_text(mask_then.as_mut(), &mut text_then).is_ok(),
        };
        if valid {
            (*mask, *text) = (mask_then, text_then);
        }
        valid
    }
}

/// Unmasks and validates `payload`, piece by piece: only pieces that are not ASCII are read a second time.
///
/// `unmask` is called for all pieces, also after a fault; it returns whether the piece that begins at an index is ASCII.
#[inline(always)]
fn validate(
    payload: &mut [u8],
    text: &mut Validator,
    mut unmask: impl FnMut(usize, &mut [u8]) -> bool,
) -> Result<(), InvalidUtf8> {
    let mut result = Ok(());
    for (index, piece) in payload.chunks_mut(PIECE).enumerate() {
        let at = index * PIECE;
        let is_ascii = unmask(at, piece);
        if result.is_ok() && !(is_ascii && text.is_complete()) {
            result = text.update(piece).map_err(|error| error.behind(at));
        }
    }
    result
}
