//! The receiving rules (RFC 6455 sections 5.1 to 5.6): the meaning of the next bytes, and their admission.
//!
//! The rules look at headers and control frames, and only count the payload of messages. A [`Run`] holds where such
//! payload lies and where it goes, and moves it there.
//!
//! Two accelerators, [`whole`](super::whole) and [`fragments`](super::fragments), take the common cases of the same
//! rules: complete frames, and the header of a message that a read cuts. Each takes them exactly as the rules would, or changes
//! nothing. A short frame that a read cuts can also be deferred: its bytes stay with the caller until they are a complete frame.

#[cfg(feature = "deflate")]
use super::negotiated::Negotiated;
use super::{control::ControlSlot, limits::Limits, payload::Run, trace::Trace};
use crate::{
    close::{self, BodyError, CloseCode},
    error::{Fault, ReceiveErrorKind},
    event::{Control, Event},
    frame::{Decoder, FrameHeader, Opcode, Rsv},
    mask::Mask,
    message::{Content, MessageKind, Part},
    part::{narrow, part, to_u64, to_usize},
    role::Side,
    utf8::Validator,
};

/// Progress of the peer's frames. It holds a cut header and one control payload, never data.
///
/// Invariant: in [`Phase::Data`] there is a message.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(super) limits: Limits,
    pub(super) phase: Phase,
    pub(super) message: Option<Progress>,
    /// The text so far of a message that is delivered in parts as it comes.
    text: Validator,
    /// Bytes of the connection up to the end of the last frame that was admitted, for a control frame up to
    /// its beginning; after an error, up to the fault.
    offset: u64,
    control: ControlSlot,
}

/// The part of a frame that the next byte belongs to.
#[derive(Debug)]
pub(super) enum Phase {
    /// The first byte of a frame that begins a message, or stands between two of them.
    Start,
    /// As `Start`, where a frame waits, unread, until all of it is there. Its message has `begun` if its header is there.
    Deferred {
        begun: bool,
    },
    Header(Decoder),
    Data {
        mask: Option<Mask>,
        content: Content,
        fin: bool,
        remaining: u64,
    },
    Control {
        mask: Option<Mask>,
        opcode: Opcode,
        len: u8,
        remaining: u8,
        kept: bool,
    },
}

const HEADER: Phase = Phase::Header(Decoder::new());

/// The admitted part of the message in progress.
#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    len: u64,
    fragments: u32,
    empty_fragments: u16,
    pub(super) content: Content,
    /// `true` once a part has been delivered.
    pub(super) begun: bool,
}

/// Payload that has been taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) content: Content,
    /// `true` if the message begins with this payload.
    pub(crate) first: bool,
    /// `true` if the message ends with this payload.
    pub(crate) last: bool,
}

impl Taken {
    /// Returns which part of the message this is.
    pub(crate) const fn part(self) -> Part {
        Part::new(self.first, self.last)
    }
}

impl Progress {
    pub(super) const fn new(content: Content) -> Self {
        Self { len: 0, fragments: 0, empty_fragments: 0, content, begun: false }
    }

    /// Returns the message with one frame more, if that is within the limits.
    #[inline]
    pub(super) fn with(mut self, header: &FrameHeader, limits: &Limits) -> Result<Self, ReceiveErrorKind> {
        let compressed = self.content.is_compressed();
        let limit = |limit: u64| if compressed { with_slack(limit) } else { limit };
        if header.payload_len > limit(limits.frame_len) {
            return Err(ReceiveErrorKind::FrameTooBig);
        }
        self.len = self.len.saturating_add(header.payload_len);
        if self.len > limit(limits.message_len) {
            return Err(ReceiveErrorKind::MessageTooBig);
        }
        self.fragments = self.fragments.saturating_add(1);
        if self.fragments > limits.fragments {
            return Err(ReceiveErrorKind::TooManyFragments);
        }
        if header.payload_len == 0 && !header.fin {
            self.empty_fragments = self.empty_fragments.saturating_add(1);
            if self.empty_fragments > limits.empty_fragments {
                return Err(ReceiveErrorKind::TooManyEmptyFragments);
            }
        }
        Ok(self)
    }
}

impl Receiver {
    pub(crate) const fn new(limits: Limits) -> Self {
        Self {
            limits,
            phase: Phase::Start,
            message: None,
            text: Validator::new(),
            offset: 0,
            control: ControlSlot::new(),
        }
    }

    pub(crate) const fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) const fn control(&self) -> &ControlSlot {
        &self.control
    }

    pub(crate) const fn control_mut(&mut self) -> &mut ControlSlot {
        &mut self.control
    }

    /// Returns the code of the peer's Close, which has just been taken.
    pub(crate) fn close_code(&self) -> CloseCode {
        close::parse_body(self.control.payload()).map_or(CloseCode::NO_STATUS, |(code, _)| code)
    }

    /// Returns the number of bytes still to come of the data frame at hand.
    pub(crate) const fn payload_remaining(&self) -> u64 {
        match self.phase {
            Phase::Data { remaining, .. } => remaining,
            Phase::Start | Phase::Deferred { .. } | Phase::Header(_) | Phase::Control { .. } => 0,
        }
    }

    /// Returns whether the message ends with the data frame at hand.
    pub(crate) const fn is_in_last_frame(&self) -> bool {
        matches!(self.phase, Phase::Data { fin: true, .. })
    }

    /// Returns the agreed extensions.
    #[cfg(feature = "deflate")]
    pub(crate) const fn negotiated(&self) -> Negotiated {
        self.limits.negotiated
    }

    /// Returns the limit of a message, in bytes.
    #[cfg(feature = "deflate")]
    pub(crate) const fn max_message_len(&self) -> u64 {
        self.limits.message_len
    }

    /// Returns whether a message is in progress.
    pub(crate) const fn is_in_message(&self) -> bool {
        self.message.is_some()
            || (cfg!(feature = "alloc") && matches!(self.phase, Phase::Deferred { begun: true }))
    }

    /// Returns whether a frame has been deferred, which none is without a heap.
    pub(crate) const fn is_deferring(&self) -> bool {
        cfg!(feature = "alloc") && matches!(self.phase, Phase::Deferred { .. })
    }

    /// Returns whether the message in progress is compressed.
    pub(crate) const fn is_compressed(&self) -> bool {
        matches!(self.message, Some(Progress { content, .. }) if content.is_compressed())
    }

    /// Leaves the frame at hand: the offset is then that of the last byte taken.
    pub(crate) fn stop(&mut self) {
        self.offset = self.offset.saturating_sub(self.payload_remaining());
        self.phase = HEADER;
    }

    /// Takes headers and control frames from the front of `input`, up to payload of a message or an event; returns
    /// `None` when all is taken. The payload is at least a byte, of which some is in `input`, or empty if it ends the
    /// message.
    // Without a heap flash counts for more than calls: all callers in both roles share one copy of this, of `admit`, `take`
    // and `whole_message`. With a heap each has its own, where the side is a constant.
    #[cfg_attr(feature = "alloc", inline(always))]
    pub(super) fn next(
        &mut self,
        side: Side,
        input: &mut &[u8],
        trace: &mut impl Trace,
    ) -> Result<Option<Event<usize>>, ReceiveErrorKind> {
        loop {
            match &mut self.phase {
                Phase::Data { remaining: 1.., .. } | Phase::Control { remaining: 1.., .. } if input.is_empty() => {
                    return Ok(None);
                }
                // An empty fragment makes no event.
                Phase::Data { remaining: 0, fin: false, .. } => self.next_frame(),
                Phase::Data { remaining, .. } => return Ok(Some(Event::Data(to_usize(*remaining)))),
                Phase::Control { .. } => {
                    if let Some(control) = self.control_payload(input)? {
                        return Ok(Some(Event::Control(control)));
                    }
                }
                Phase::Start | Phase::Deferred { .. } => self.phase = HEADER,
                Phase::Header(decoder) => {
                    let found = decoder.decode(input).map_err(ReceiveErrorKind::Frame)?;
                    let Some((header, len)) = found else {
                        *input = &[];
                        return Ok(None);
                    };
                    *input = part(input, len..);
                    self.admit(side, &header)?;
                    trace.frame_received(&header);
                }
            }
        }
    }

    /// Takes a run of the payload that [`next`](Self::next) has announced, no longer than that, through `text` if it is
    /// text.
    #[cfg_attr(feature = "alloc", inline(always))]
    pub(super) fn take(&mut self, run: Run<'_>, text: &mut Validator) -> Result<Taken, ReceiveErrorKind> {
        let len = run.len();
        let Phase::Data { mask, content, fin, remaining } = &mut self.phase else {
            debug_assert!(false, "payload is taken after it has been told");
            return Err(ReceiveErrorKind::Fault(Fault::Internal));
        };
        debug_assert!(to_u64(len) <= *remaining, "no more is taken than has been told");
        *remaining = remaining.saturating_sub(to_u64(len));
        let (content, frame_ends) = (*content, *remaining == 0);
        let last = frame_ends && *fin;
        if content == Content::Text {
            let valid = match run.unmask_text(mask.as_mut(), text) {
                Ok(()) if last && !text.is_complete() => Err(len),
                Ok(()) => Ok(()),
                Err(error) => Err(error.position()),
            };
            valid.map_err(|fault| self.invalid_text(len - fault))?;
        } else {
            run.unmask(mask.as_mut());
        }
        Ok(self.taken(content, frame_ends, last))
    }

    /// Takes a run of payload as [`take`](Self::take) does, if more of its frame comes after it, a part of its message has been
    /// taken, and that is of `kind` and not compressed. Otherwise, or if a text is not valid, it returns `false`, and nothing has
    /// changed but the run's destination.
    #[inline(always)]
    pub(super) fn take_middle(&mut self, run: Run<'_>, kind: MessageKind, text: &mut Validator) -> bool {
        let Phase::Data { mask, content, remaining, .. } = &mut self.phase else { return false };
        let len = to_u64(run.len());
        let is_begun = self.message.is_some_and(|message| message.begun);
        if len >= *remaining || !is_begun || *content != Content::of(kind) {
            return false;
        }
        match kind {
            MessageKind::Binary => run.unmask(mask.as_mut()),
            MessageKind::Text if run.try_unmask_text(mask, text) => {}
            MessageKind::Text => return false,
        }
        *remaining -= len;
        true
    }

    /// Takes note of payload that has been taken.
    #[inline(always)]
    fn taken(&mut self, content: Content, frame_ends: bool, last: bool) -> Taken {
        debug_assert!(self.message.is_some(), "payload belongs to a message");
        let begun = self.message.as_mut().is_some_and(|message| core::mem::replace(&mut message.begun, true));
        if last {
            self.message = None;
        }
        if frame_ends {
            self.next_frame();
        }
        Taken { content, first: !begun, last }
    }

    /// Takes payload as [`take`](Self::take) does, of a message that is delivered in parts; its text continues that of
    /// the last part.
    pub(super) fn take_part(&mut self, run: Run<'_>) -> Result<Taken, ReceiveErrorKind> {
        let begun = self.message.is_some_and(|message| message.begun);
        let mut text = if begun { self.text } else { Validator::new() };
        let taken = self.take(run, &mut text);
        self.text = text;
        taken
    }

    /// Checks that this frame may come now and is within all limits, before any payload is touched.
    #[cfg_attr(feature = "alloc", inline(always))]
    fn admit(&mut self, side: Side, header: &FrameHeader) -> Result<(), ReceiveErrorKind> {
        match (side, header.masking_key) {
            (Side::Server, None) => return Err(ReceiveErrorKind::Unmasked),
            (Side::Client, Some(_)) => return Err(ReceiveErrorKind::Masked),
            (Side::Server, Some(_)) | (Side::Client, None) => {}
        }
        if !header.rsv.is_none() && !self.admits_reserved(header) {
            return Err(ReceiveErrorKind::ReservedBits);
        }
        if header.opcode.is_control() {
            let mask = header.masking_key.map(Mask::new);
            // At most 125.
            let len = narrow(header.payload_len);
            let kept = self.control.begin(header.opcode);
            self.phase = Phase::Control { mask, opcode: header.opcode, len, remaining: len, kept };
        } else {
            let message = self.admit_data(header)?;
            self.begin_data(header, message);
        }
        Ok(())
    }

    /// Begins a data frame that has been admitted; `message` includes it.
    #[inline(always)]
    pub(super) fn begin_data(&mut self, header: &FrameHeader, message: Progress) {
        self.message = Some(message);
        let mask = header.masking_key.map(Mask::new);
        let content = message.content;
        self.phase = Phase::Data { mask, content, fin: header.fin, remaining: header.payload_len };
        self.pass(header.encoded_len().saturating_add(header.payload_len));
    }

    /// Returns whether the reserved bits begin a compressed message, and such a message may begin (RFC 7692 section
    /// 6.1).
    #[cold]
    fn admits_reserved(&self, header: &FrameHeader) -> bool {
        self.limits.negotiated.compression()
            && header.rsv == Rsv::RSV1
            && matches!(header.opcode, Opcode::Text | Opcode::Binary)
    }

    /// Moves on to the next frame, after the end of one.
    pub(super) const fn next_frame(&mut self) {
        self.phase = if self.message.is_none() { Phase::Start } else { HEADER };
    }

    /// Moves the offset on. It does not wrap: 2⁶³ bytes don't pass in a lifetime, and no frame is longer (section 5.2).
    pub(super) const fn pass(&mut self, len: u64) {
        self.offset = self.offset.wrapping_add(len);
    }

    /// Returns the message in progress with this frame, if the frame may come now.
    #[inline(always)]
    fn admit_data(&self, header: &FrameHeader) -> Result<Progress, ReceiveErrorKind> {
        let message = match (self.message, header.opcode) {
            (Some(message), Opcode::Continuation) => message,
            (None, Opcode::Text) => Progress::new(content(header, MessageKind::Text)),
            (None, Opcode::Binary) => Progress::new(content(header, MessageKind::Binary)),
            (None, _) => return Err(ReceiveErrorKind::UnexpectedContinuation),
            (Some(_), _) => return Err(ReceiveErrorKind::UnfinishedMessage),
        };
        message.with(header, &self.limits)
    }

    /// Reports text that is not valid, `before_end` bytes before the end of the bytes taken of the frame at hand.
    #[cold]
    fn invalid_text(&mut self, before_end: usize) -> ReceiveErrorKind {
        self.offset = self.offset.saturating_sub(self.payload_remaining().saturating_add(to_u64(before_end)));
        ReceiveErrorKind::InvalidUtf8
    }

    /// Takes the bytes that `input` has of a control frame's payload; returns the frame once it is complete.
    fn control_payload(&mut self, input: &mut &[u8]) -> Result<Option<Control>, ReceiveErrorKind> {
        let Phase::Control { mask, opcode, len: frame_len, remaining, kept } = &mut self.phase else {
            debug_assert!(false, "called within a control frame");
            return Ok(None);
        };
        let (payload, rest) = input.split_at(input.len().min(usize::from(*remaining)));
        *input = rest;
        *remaining -= narrow::<_, u8>(payload.len());
        if *kept {
            self.control.extend(payload, mask);
        }
        if *remaining > 0 {
            return Ok(None);
        }
        if *kept {
            self.control.end();
        }
        let control = match opcode {
            Opcode::Ping => Control::Ping,
            Opcode::Close => {
                check_close(self.control.payload())?;
                Control::Close
            }
            _ => Control::Pong,
        };
        // §5.5: the short form of the length always suffices.
        let header_len = if mask.is_some() { 6 } else { 2 };
        let frame_len = header_len + u64::from(*frame_len);
        self.next_frame();
        self.pass(frame_len);
        Ok(Some(control))
    }
}

/// Returns the content of a message that begins with this frame, whose reserved bits have been admitted.
const fn content(header: &FrameHeader, kind: MessageKind) -> Content {
    if header.rsv.is_none() { Content::of(kind) } else { Content::compressed(kind) }
}

/// Returns how long a message may be on the wire if it may be `limit` bytes long inflated. Data that can't be
/// compressed grows a little, with poor compressors by an eighth.
const fn with_slack(limit: u64) -> u64 {
    limit.saturating_add(limit / 8).saturating_add(64)
}

/// Checks the body of the peer's Close.
fn check_close(body: &[u8]) -> Result<(), ReceiveErrorKind> {
    match close::parse_body(body) {
        Ok(_) => Ok(()),
        Err(BodyError::Short) => Err(ReceiveErrorKind::ShortCloseBody),
        Err(BodyError::Code) => Err(ReceiveErrorKind::InvalidCloseCode),
        Err(BodyError::Reason) => Err(ReceiveErrorKind::InvalidCloseReason),
    }
}
