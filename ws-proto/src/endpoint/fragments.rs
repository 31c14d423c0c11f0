//! The accelerator for fragments: complete continuations in the read buffer are joined to the message in one pass.

use core::ops::Range;

use super::{
    payload::Run,
    receive::{Phase, Receiver},
    trace::Trace,
};
use crate::{
    error::ReceiveErrorKind,
    frame::{CommonHeader, Continuation, FrameHeader, Opcode, header},
    mask::Mask,
    message::{Content, MessageKind},
    part::{narrow, part, some_part, to_u64},
    role::Side,
    utf8::Validator,
};

/// A message that is put together in the buffer that its fragments are read into.
///
/// Invariant: `end <= unread.start <= unread.end <= buffer.len()`.
#[derive(Debug)]
pub(crate) struct Gather<'b> {
    pub(crate) buffer: &'b mut [u8],
    pub(crate) unread: &'b mut Range<usize>,
    pub(crate) kind: MessageKind,
    /// The end of the message, where its next bytes go.
    pub(crate) end: &'b mut usize,
    /// The state of its text at `end`.
    pub(crate) text: &'b mut Validator,
}

/// The most fragments of a text that are validated together, which takes less time than one by one. Their headers are
/// remembered, to find the fragment of a fault.
const BATCH: usize = 16;

impl Receiver {
    /// Returns whether the next byte begins a frame in the midst of a message.
    #[inline(always)]
    pub(super) fn is_between_fragments(&self) -> bool {
        self.message.is_some() && matches!(&self.phase, Phase::Header(decoder) if decoder.is_empty())
    }

    /// Takes complete continuations at the start of the unread bytes, and returns whether the message ends with them.
    /// Returns `None`, with everything unchanged, if other input comes or is to be refused.
    ///
    /// # Errors
    ///
    /// The text is not valid: the fragments are taken up to the one with the fault, and the trace has observed these.
    pub(super) fn fragments(
        &mut self,
        side: Side,
        gather: Gather<'_>,
        trace: &mut impl Trace,
    ) -> Result<Option<bool>, ReceiveErrorKind> {
        let content = Content::of(gather.kind);
        let Some(mut message) = self.message.filter(|message| message.begun && message.content == content) else {
            return Ok(None);
        };
        let (begin, wire_begin) = (*gather.end, gather.unread.start);
        let mut texts = [header(Opcode::Continuation, None, 0); BATCH];
        let (mut count, mut last) = (0, false);
        while !last && (content != Content::Text || count < BATCH) {
            let Some(input) = some_part(gather.buffer, gather.unread.clone()) else { break };
            let Some(header) = CommonHeader::<Continuation>::decode(input, side == Side::Server) else { break };
            let frame = FrameHeader::from(&header);
            message = match message.with(&frame, &self.limits) {
                Ok(message) if header.frame_len() <= input.len() => message,
                _ => break,
            };
            last = header.kind == Continuation::Last;
            let payload = gather.unread.start + header.len..gather.unread.start + header.frame_len();
            gather.unread.start = payload.end;
            Run::within(gather.buffer, payload, *gather.end).unmask(frame.masking_key.map(Mask::new).as_mut());
            *gather.end += header.payload_len;
            match texts.get_mut(count).filter(|_| content == Content::Text) {
                Some(text) => *text = frame,
                None => trace.frame_received(&frame),
            }
            count += 1;
        }
        if count == 0 {
            return Ok(None);
        }
        if content == Content::Text {
            let fault = validate(part(gather.buffer, begin..*gather.end), last, gather.text);
            let passed = self.pass_texts(part(&texts, ..count), fault, trace);
            if fault.is_some() {
                gather.unread.start = wire_begin + passed;
                return Err(ReceiveErrorKind::InvalidUtf8);
            }
        } else {
            self.pass(to_u64(gather.unread.start - wire_begin));
        }
        self.message = if last { None } else { Some(message) };
        self.next_frame();
        Ok(Some(last))
    }

    /// Reports to the trace the fragments of a text up to the one in which its byte `fault` lies. Moves the offset to
    /// that byte, or to the end of all fragments; returns the length of those frames.
    fn pass_texts(&mut self, frames: &[FrameHeader], fault: Option<usize>, trace: &mut impl Trace) -> usize {
        let fault = fault.map_or(u64::MAX, to_u64);
        let (mut passed, mut payload) = (0, 0);
        for frame in frames {
            trace.frame_received(frame);
            payload += frame.payload_len;
            passed += frame.encoded_len() + frame.payload_len;
            if fault < payload {
                break;
            }
        }
        self.pass(passed - payload.saturating_sub(fault));
        narrow(passed)
    }
}

/// Validates `payload` as the next bytes of its text. Returns the position of the first wrong byte, or the length if
/// the text ends too soon.
fn validate(payload: &[u8], last: bool, text: &mut Validator) -> Option<usize> {
    match text.update(payload) {
        Ok(()) => (last && !text.is_complete()).then_some(payload.len()),
        Err(error) => Some(error.position()),
    }
}
