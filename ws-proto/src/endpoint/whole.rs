//! The accelerator for messages in one frame, as most are: one that lies whole where it was read, or the beginning of one.

use core::ops::Range;

use super::{
    payload::{PIECE, Run},
    receive::{Phase, Progress, Receiver},
    trace::Trace,
};
use crate::{
    frame::{CommonHeader, FrameHeader, FrameLen},
    mask::{Mask, MaskingKey},
    message::{Content, MessageKind},
    part::{part, to_u64},
    role::Side,
    utf8::{self, Validator},
};

/// A frame that is left unread until more of it is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deferral {
    /// How many bytes of it there must be before it is looked at again: its length, or as many as tell more of that.
    pub(crate) needed: usize,
    /// Whether any of its payload is there.
    pub(super) has_payload: bool,
}

/// Frames up to this length are deferred: any storage that grows holds one, and it is still in the nearest cache when it is whole.
const DEFERRED_LEN: u64 = 4 * 1024;

/// A whole message, unmasked and checked.
#[derive(Clone, Debug)]
pub(crate) struct Whole {
    pub(crate) kind: MessageKind,
    /// Where it lies; what follows begins at its end.
    pub(crate) at: Range<usize>,
}

impl Receiver {
    /// Takes a whole message in one frame that lies whole at the start of `input`; `None` if what comes is anything else, a
    /// faulty text among it, and then nothing has changed.
    #[cfg_attr(feature = "alloc", inline(always))]
    pub(super) fn whole_message(&mut self, side: Side, input: &mut [u8], trace: &mut impl Trace) -> Option<Whole> {
        if !matches!(self.phase, Phase::Start) {
            return None;
        }
        let masked = side == Side::Server;
        let header = CommonHeader::decode(input, masked)?;
        let payload = input.get_mut(header.len..)?.get_mut(..header.payload_len)?;
        if to_u64(header.payload_len) > self.limits.frame_len || !unmask_whole(&header, masked, payload) {
            return None;
        }
        trace.frame_received(&FrameHeader::from(&header));
        let end = header.frame_len();
        self.pass(to_u64(end));
        Some(Whole { kind: header.kind, at: header.len..end })
    }

    /// Defers a frame of a binary message, of which only the beginning is in `input`, if it is short and not longer than `longest`. `None`,
    /// with nothing changed, if all of the frame is there, or anything else comes.
    #[inline(always)]
    pub(super) fn defer(&mut self, side: Side, input: &[u8], longest: usize) -> Option<Deferral> {
        if !matches!(self.phase, Phase::Start) {
            return None;
        }
        let len = FrameLen::of(input, MessageKind::Binary, side == Side::Server)?;
        let begun = input.len() >= len.header;
        let needed = if begun { len.frame } else { len.header };
        if needed <= input.len() || needed > longest || to_u64(needed) > self.limits.frame_len.min(DEFERRED_LEN) {
            return None;
        }
        self.phase = Phase::Deferred { begun };
        Some(Deferral { needed, has_payload: begun && input.len() > len.header })
    }

    /// Goes back to where the deferred frame begins.
    #[inline(always)]
    pub(super) const fn end_deferral(&mut self) {
        debug_assert!(self.is_deferring(), "nothing of a deferred frame has been taken");
        self.phase = Phase::Start;
    }

    /// Takes the header of a message in one frame whose payload begins in `input` and goes on after it, and returns the length of the
    /// payload. `None`, with nothing changed, if what comes is anything else, a frame that is refused or has a rarer header
    /// among it: that is for [`next`](Self::next).
    #[inline(always)]
    pub(super) fn begin_cut(&mut self, side: Side, input: &mut &[u8], trace: &mut impl Trace) -> Option<usize> {
        if !matches!(self.phase, Phase::Start) {
            return None;
        }
        let common = CommonHeader::<MessageKind>::decode(input, side == Side::Server)?;
        let payload = part(input, common.len..);
        if payload.is_empty() || common.payload_len <= payload.len() {
            return None;
        }
        let header = FrameHeader::from(&common);
        let message = Progress::new(Content::of(common.kind)).with(&header, &self.limits).ok()?;
        self.begin_data(&header, message);
        trace.frame_received(&header);
        *input = payload;
        Some(common.payload_len)
    }
}

/// Unmasks a whole message; if that is not the text that it should be, it is left masked.
#[inline(always)]
fn unmask_whole(header: &CommonHeader<MessageKind>, masked: bool, payload: &mut [u8]) -> bool {
    let mut mask = Mask::new(header.masking_key);
    match header.kind {
        MessageKind::Text if !masked => utf8::is_valid(payload),
        MessageKind::Text if payload.len() > PIECE => unmask_long_text(mask, payload),
        MessageKind::Text => mask.apply_ascii(payload) || is_text_or_masked(header.masking_key, payload),
        MessageKind::Binary => {
            if masked {
                mask.apply(payload);
            }
            true
        }
    }
}

/// Whether `payload`, which is not ASCII, is a text; otherwise it is masked again, for the way that can tell where the fault is.
#[inline]
fn is_text_or_masked(key: MaskingKey, payload: &mut [u8]) -> bool {
    let valid = utf8::is_valid_beyond_ascii(payload);
    if !valid {
        Mask::new(key).apply(payload);
    }
    valid
}

/// [`unmask_whole`] of a text that is better validated in pieces.
#[inline(never)]
fn unmask_long_text(mask: Mask, payload: &mut [u8]) -> bool {
    let (mut there, mut back, mut text) = (mask, mask, Validator::new());
    let valid = Run::Stay(&mut *payload).unmask_text(Some(&mut there), &mut text).is_ok() && text.is_complete();
    if !valid {
        back.apply(payload);
    }
    valid
}
