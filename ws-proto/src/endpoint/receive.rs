//! The receiving rules (RFC 6455 sections 5.1 to 5.6): from bytes to payload and control frames.

use core::ops::Range;

#[cfg(feature = "deflate")]
use super::negotiated::Negotiated;
use super::{control::ControlSlot, limits::Limits, trace::Trace};
use crate::{
    close::{self, BodyError, CloseCode},
    error::ReceiveErrorKind,
    event::{Control, Event},
    frame::{CommonHeader, Continuation, Decoder, FrameHeader, Opcode, Rsv},
    mask::{Mask, MaskingKey},
    message::{Content, MessageKind, Part},
    part::{narrow, part, part_mut, to_u64, to_usize},
    role::{Role, Side},
    utf8::{self, InvalidUtf8, Validator},
};

/// Progress of the peer's frames. It holds a cut header and one control payload, never data.
#[derive(Debug)]
pub(crate) struct Receiver {
    limits: Limits,
    phase: Phase,
    message: Option<Progress>,
    text: Validator,
    /// Bytes of the connection up to the end of the last frame that was admitted, for a control frame up to
    /// its beginning; after an error, up to the fault.
    offset: u64,
    control: ControlSlot,
}

/// What the next byte belongs to.
#[derive(Debug)]
enum Phase {
    /// The first byte of a frame that begins a message, or stands between two of them.
    Start,
    Header(Decoder),
    Data {
        mask: Option<Mask>,
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

impl Phase {
    /// Goes on by up to `len` bytes in the data frame at hand: its mask, how many they are, and whether its message ends with
    /// them. `None` if there is no such frame.
    #[inline(always)]
    fn take_data(&mut self, len: usize) -> Option<(Option<&mut Mask>, usize, bool)> {
        let Self::Data { mask, fin, remaining } = self else {
            return None;
        };
        let len = usize::try_from(*remaining).map_or(len, |remaining| remaining.min(len));
        *remaining -= to_u64(len);
        Some((mask.as_mut(), len, *remaining == 0 && *fin))
    }
}

/// What has been admitted of the message in progress.
#[derive(Clone, Copy, Debug)]
struct Progress {
    len: u64,
    fragments: u32,
    empty_fragments: u16,
    content: Content,
    /// Whether a part has been delivered.
    begun: bool,
}

/// Where fragments of a text end that have been put together: there, and on the wire.
#[derive(Default)]
struct Texts {
    ends: [(usize, u64); 16],
    len: usize,
}

impl Texts {
    /// Adds one; whether there is no room for another.
    fn push(&mut self, end: usize, offset: u64) -> bool {
        if let Some(slot) = self.ends.get_mut(self.len) {
            *slot = (end, offset);
            self.len += 1;
        }
        self.len == self.ends.len()
    }

    const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where on the wire the byte is that lies at `at`, or the end of them all, and where its fragment ends.
    fn offsets(&self, at: usize) -> (u64, u64) {
        let ends = part(&self.ends, ..self.len);
        let end = ends.iter().find(|(end, _)| at < *end).or(ends.last());
        end.map_or((0, 0), |&(end, offset)| (offset.saturating_sub(to_u64(end - at)), offset))
    }
}

/// A whole message, unmasked and checked.
#[derive(Clone, Debug)]
pub(crate) struct Whole {
    pub(crate) kind: MessageKind,
    /// Where it lies; what follows begins at its end.
    pub(crate) at: Range<usize>,
}

/// What is still to come of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ToCome {
    Nothing,
    /// Payload of the frame at hand.
    Payload,
    Frames,
}

/// Payload of a message, unmasked and checked.
#[derive(Debug)]
pub(crate) struct DataStep {
    pub(crate) content: Content,
    pub(crate) part: Part,
    /// Where it lies now.
    pub(crate) at: Range<usize>,
    /// The state of the text validator before and after this payload; not moved by binary messages.
    pub(crate) text: [Validator; 2],
}

impl DataStep {
    /// A whole message that begins at `start`.
    pub(crate) const fn whole(whole: &Whole, start: usize) -> Self {
        let at = start + whole.at.start..start + whole.at.end;
        let text = [Validator::new(), Validator::new()];
        Self { content: Content::of(whole.kind), part: Part::Whole, at, text }
    }
}

impl Progress {
    const fn new(content: Content) -> Self {
        Self { len: 0, fragments: 0, empty_fragments: 0, content, begun: false }
    }

    /// What the message is with one frame more, if that is within the limits.
    #[inline]
    fn with(mut self, header: &FrameHeader, limits: &Limits) -> Result<Self, ReceiveErrorKind> {
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

    /// The code of the peer's Close, which has just been taken.
    pub(crate) fn close_code(&self) -> CloseCode {
        close::parse_body(self.control.payload()).map_or(CloseCode::NO_STATUS, |(code, _)| code)
    }

    /// Bytes still to come of the data frame at hand.
    pub(crate) const fn payload_remaining(&self) -> u64 {
        match self.phase {
            Phase::Data { remaining, .. } => remaining,
            Phase::Start | Phase::Header(_) | Phase::Control { .. } => 0,
        }
    }

    /// Whether the message ends with the data frame at hand.
    pub(crate) const fn is_in_last_frame(&self) -> bool {
        matches!(self.phase, Phase::Data { fin: true, .. })
    }

    /// What more may come than RFC 6455 has.
    #[cfg(feature = "deflate")]
    pub(crate) const fn negotiated(&self) -> Negotiated {
        self.limits.negotiated
    }

    /// The most bytes of a message.
    #[cfg(feature = "deflate")]
    pub(crate) const fn max_message_len(&self) -> u64 {
        self.limits.message_len
    }

    /// Whether a message has begun that is not complete.
    pub(crate) const fn is_in_message(&self) -> bool {
        self.message.is_some()
    }

    /// Whether the message in progress is compressed.
    pub(crate) const fn is_compressed(&self) -> bool {
        matches!(self.message, Some(Progress { content: Content::Compressed(_), .. }))
    }

    /// Leaves the frame at hand: the offset is then that of the last byte taken.
    pub(crate) fn stop(&mut self) {
        self.offset = self.offset.saturating_sub(self.payload_remaining());
        self.phase = HEADER;
    }

    /// Takes a whole message in one frame that lies whole at the start of `input`, which most do; `None` if what comes is
    /// anything else, and then nothing has changed.
    #[inline(always)]
    pub(crate) fn whole_message<R: Role>(&mut self, input: &mut [u8], trace: &mut impl Trace) -> Option<Whole> {
        if !matches!(self.phase, Phase::Start) {
            return None;
        }
        let masked = R::SIDE == Side::Server;
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

    /// Takes frames from `buffer[unread]` until something is to be told; `None` when all is taken.
    ///
    /// Payload is unmasked where it lies, or, with `gather_to`, moved there, which is not behind `unread`.
    #[inline]
    pub(crate) fn step<R: Role>(
        &mut self,
        buffer: &mut [u8],
        unread: &mut Range<usize>,
        gather_to: Option<usize>,
        trace: &mut impl Trace,
    ) -> Result<Option<Event<DataStep>>, ReceiveErrorKind> {
        loop {
            if matches!(&self.phase, Phase::Header(decoder) if decoder.is_empty()) {
                if let Some(step) = self.fragments::<R>(buffer, unread, gather_to, trace)? {
                    return Ok(Some(Event::Data(step)));
                }
            }
            let step = match &mut self.phase {
                Phase::Start => {
                    self.phase = HEADER;
                    None
                }
                Phase::Header(decoder) => {
                    let input = part(buffer, unread.clone());
                    let Some((header, len)) = decoder.decode(input).map_err(ReceiveErrorKind::Frame)? else {
                        unread.start = unread.end;
                        return Ok(None);
                    };
                    unread.start += len;
                    self.admit::<R>(&header)?;
                    trace.frame_received(&header);
                    None
                }
                Phase::Data { remaining: 1.., .. } if Range::is_empty(unread) => return Ok(None),
                Phase::Data { .. } => self.data(buffer, unread, gather_to)?.map(Event::Data),
                Phase::Control { remaining: 1.., .. } if Range::is_empty(unread) => return Ok(None),
                Phase::Control { .. } => self.control_payload(buffer, unread)?.map(Event::Control),
            };
            if step.is_some() {
                return Ok(step);
            }
        }
    }

    /// Whether this frame may come now, and all limits, before any payload is touched.
    fn admit<R: Role>(&mut self, header: &FrameHeader) -> Result<(), ReceiveErrorKind> {
        match (R::SIDE, header.masking_key) {
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

    /// A data frame has been admitted, with which the message is `message`.
    #[inline]
    fn begin_data(&mut self, header: &FrameHeader, message: Progress) {
        self.message = Some(message);
        let mask = header.masking_key.map(Mask::new);
        self.phase = Phase::Data { mask, fin: header.fin, remaining: header.payload_len };
        self.pass(header.encoded_len().saturating_add(header.payload_len));
    }

    /// Whether the reserved bits mean that a compressed message begins, and one may (RFC 7692 section 6.1).
    #[cold]
    fn admits_reserved(&self, header: &FrameHeader) -> bool {
        self.limits.negotiated.compression()
            && header.rsv == Rsv::RSV1
            && matches!(header.opcode, Opcode::Text | Opcode::Binary)
    }

    /// A frame has ended.
    const fn next_frame(&mut self) {
        self.phase = if self.message.is_none() { Phase::Start } else { HEADER };
    }

    /// Moves the offset on. It does not wrap: 2⁶³ bytes don't pass in a lifetime, and no frame is longer (section 5.2).
    const fn pass(&mut self, len: u64) {
        self.offset = self.offset.wrapping_add(len);
    }

    /// The message as it is with this frame.
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

    /// Takes continuations that lie whole at the start of `buffer[unread]`, with `gather_to` many of them, otherwise one; `None`
    /// if there is nothing to tell, or to admit.
    fn fragments<R: Role>(
        &mut self,
        buffer: &mut [u8],
        unread: &mut Range<usize>,
        gather_to: Option<usize>,
        trace: &mut impl Trace,
    ) -> Result<Option<DataStep>, ReceiveErrorKind> {
        let Some(mut message) = self.message else {
            return Ok(None);
        };
        let before = self.text;
        let mut at = gather_to.map_or(0..0, |to| to..to);
        let mut texts = Texts::default();
        let mut last = false;
        while let Some(input) = buffer.get(unread.clone()) {
            let Some(header) = CommonHeader::<Continuation>::decode(input, R::SIDE == Side::Server) else {
                break;
            };
            let frame = FrameHeader::from(&header);
            message = match message.with(&frame, &self.limits) {
                Ok(message) if header.frame_len() <= input.len() => message,
                _ => break,
            };
            trace.frame_received(&frame);
            self.pass(to_u64(header.frame_len()));
            let from = unread.start + header.len..unread.start + header.frame_len();
            unread.start = from.end;
            last = header.kind == Continuation::Last;
            let mut mask = frame.masking_key.map(Mask::new);
            if gather_to.is_none() {
                at = from.clone();
                take_payload(message.content, mask.as_mut(), buffer, from, at.start, last, &mut self.text)
                    .map_err(|behind| self.invalid_text(behind))?;
                break;
            }
            let to = at.end;
            at.end += from.len();
            unmask_to(mask.as_mut(), buffer, from, to);
            let full = message.content == Content::Text && (texts.push(at.end, self.offset) || !trace.is_silent());
            if last || full {
                break;
            }
        }
        if !texts.is_empty() {
            // Together they are validated in less time than one by one.
            let text = part_mut(buffer, at.clone());
            if let Err(fault) = take_text(None, None, text, last, &mut self.text) {
                let (fault, end) = texts.offsets(at.start + fault);
                // The fragments behind the wrong one are left to be discarded.
                let behind = narrow(self.offset.saturating_sub(end));
                unread.start = unread.start.saturating_sub(behind);
                self.offset = fault;
                return Err(ReceiveErrorKind::InvalidUtf8);
            }
        }
        self.message = Some(message);
        let step = self.tell(at, last, before);
        self.next_frame();
        Ok(step)
    }

    /// Admits the frame that `input` begins with if that is a whole message of which only a part has come, some payload
    /// among it; its kind and the length of its header. `None` if anything else comes, and then nothing has changed.
    pub(crate) fn begin_message<R: Role>(
        &mut self,
        input: &[u8],
        trace: &mut impl Trace,
    ) -> Option<(MessageKind, usize)> {
        if !matches!(self.phase, Phase::Start) {
            return None;
        }
        let header = CommonHeader::<MessageKind>::decode(input, R::SIDE == Side::Server)?;
        if !(header.len + 1..header.frame_len()).contains(&input.len()) {
            return None;
        }
        let frame = FrameHeader::from(&header);
        let message = Progress::new(Content::of(header.kind)).with(&frame, &self.limits).ok()?;
        self.begin_data(&frame, Progress { begun: true, ..message });
        trace.frame_received(&frame);
        Some((header.kind, header.len))
    }

    /// How many bytes are still to come of the data frame at hand, if that belongs to a message of `kind` whose text so far
    /// has led to `text`; 0 otherwise.
    #[inline]
    pub(crate) fn going_on(&self, kind: MessageKind, text: Validator) -> usize {
        let goes_on = |message: Progress| message.begun && message.content == Content::of(kind);
        if self.text != text || !self.message.is_some_and(goes_on) {
            return 0;
        }
        to_usize(self.payload_remaining())
    }

    /// Takes what `payload` holds of the data frame at hand, if that belongs to a message of `kind` whose text so far has led
    /// to `text`: how many bytes, and what is still to come of the message. `None`, and nothing has changed, if anything else
    /// is to be done. With `from`, which is as long, they come from there and are unmasked to `payload`.
    pub(crate) fn go_on(
        &mut self,
        kind: MessageKind,
        text: &mut Validator,
        from: Option<&[u8]>,
        payload: &mut [u8],
    ) -> Result<Option<(usize, ToCome)>, ReceiveErrorKind> {
        if payload.is_empty() || self.going_on(kind, *text) == 0 {
            return Ok(None);
        }
        let Some((mask, len, last)) = self.phase.take_data(payload.len()) else {
            return Ok(None);
        };
        let payload = part_mut(payload, ..len);
        if let Err(behind) = take_at(Content::of(kind), mask, from, payload, last, &mut self.text) {
            return Err(self.invalid_text(behind));
        }
        *text = self.text;
        if self.payload_remaining() > 0 {
            return Ok(Some((len, ToCome::Payload)));
        }
        if last {
            self.message = None;
        }
        self.next_frame();
        Ok(Some((len, if last { ToCome::Nothing } else { ToCome::Frames })))
    }

    /// Takes what there is of a data frame's payload; nothing is told of a piece without content.
    fn data(
        &mut self,
        buffer: &mut [u8],
        unread: &mut Range<usize>,
        gather_to: Option<usize>,
    ) -> Result<Option<DataStep>, ReceiveErrorKind> {
        let before = self.text;
        let Some(message) = self.message else {
            return Ok(None);
        };
        let Some((mask, len, last)) = self.phase.take_data(unread.len()) else {
            return Ok(None);
        };
        let from = unread.start..unread.start + len;
        unread.start = from.end;
        let to = gather_to.unwrap_or(from.start);
        if let Err(behind) = take_payload(message.content, mask, buffer, from, to, last, &mut self.text) {
            return Err(self.invalid_text(behind));
        }
        let frame_ends = self.payload_remaining() == 0;
        let step = self.tell(to..to + len, last, before);
        if frame_ends {
            self.next_frame();
        }
        Ok(step)
    }

    /// Tells the payload at `at` of the message in progress, which may end with it; nothing without content.
    fn tell(&mut self, at: Range<usize>, last: bool, before: Validator) -> Option<DataStep> {
        let message = self.message.as_mut()?;
        if at.is_empty() && !last {
            return None;
        }
        let part = Part::new(!message.begun, last);
        message.begun = true;
        let content = message.content;
        if last {
            self.message = None;
        }
        Some(DataStep { content, part, at, text: [before, self.text] })
    }

    /// The text is not valid `behind` bytes before the end of what has been taken of the frame at hand.
    #[cold]
    const fn invalid_text(&mut self, behind: u64) -> ReceiveErrorKind {
        self.offset = self.offset.saturating_sub(self.payload_remaining().saturating_add(behind));
        ReceiveErrorKind::InvalidUtf8
    }

    /// Takes what there is of a control frame's payload; tells the frame once it is complete.
    fn control_payload(
        &mut self,
        buffer: &[u8],
        unread: &mut Range<usize>,
    ) -> Result<Option<Control>, ReceiveErrorKind> {
        let Phase::Control { mask, opcode, len: frame_len, remaining, kept } = &mut self.phase else {
            return Ok(None);
        };
        let len = usize::from(*remaining).min(unread.len());
        let payload = part(buffer, unread.start..unread.start + len);
        unread.start += len;
        *remaining -= narrow::<_, u8>(len);
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

/// What a message is that begins with this frame, whose reserved bits have been admitted.
const fn content(header: &FrameHeader, kind: MessageKind) -> Content {
    if header.rsv.is_none() { Content::of(kind) } else { Content::Compressed(kind) }
}

/// How long a message may be on the wire that may be `limit` bytes long inflated: what can't be compressed grows a little,
/// with poor compressors by an eighth.
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

/// Unmasks `buffer[from]`, moved to `to`.
#[inline(always)]
fn unmask_to(mask: Option<&mut Mask>, buffer: &mut [u8], from: Range<usize>, to: usize) {
    match mask {
        Some(mask) => mask.apply_move(buffer, from.start, to, from.len()),
        None => buffer.copy_within(from, to),
    }
}

/// Unmasks `buffer[from]`, moved to `to`, and takes it through the validator if it is text.
///
/// # Errors
///
/// How many bytes there are from the first wrong one on; 0 if the text ends too soon.
#[inline(always)]
fn take_payload(
    content: Content,
    mut mask: Option<&mut Mask>,
    buffer: &mut [u8],
    from: Range<usize>,
    to: usize,
    last: bool,
    text: &mut Validator,
) -> Result<(), u64> {
    let len = from.len();
    if from.start != to {
        // What has been moved is unmasked.
        unmask_to(mask.take(), buffer, from, to);
    }
    let payload = part_mut(buffer, to..to + len);
    take_at(content, mask, None, payload, last, text)
}

/// Unmasks `payload` where it lies, or with `from`, which is as long, from there, and takes it through the validator if it is
/// text.
///
/// # Errors
///
/// As [`take_payload`]'s.
#[inline(always)]
fn take_at(
    content: Content,
    mask: Option<&mut Mask>,
    from: Option<&[u8]>,
    payload: &mut [u8],
    last: bool,
    text: &mut Validator,
) -> Result<(), u64> {
    if content == Content::Text {
        return take_text(mask, from, payload, last, text).map_err(|fault| to_u64(payload.len() - fault));
    }
    match (mask, from) {
        (Some(mask), None) => mask.apply(payload),
        (mask, Some(from)) => _ = mask.unwrap_or(&mut { Mask::NONE }).apply_copy(from, payload),
        (None, None) => {}
    }
    Ok(())
}

/// Unmasks part of a text, if it is masked still, and takes it through the validator. `from` is as for [`take_at`].
///
/// # Errors
///
/// Where the first wrong byte is; the length of `payload` if the text ends too soon.
#[inline(always)]
fn take_text(
    mask: Option<&mut Mask>,
    from: Option<&[u8]>,
    payload: &mut [u8],
    last: bool,
    text: &mut Validator,
) -> Result<(), usize> {
    match unmask_text(mask, from, payload, text) {
        Ok(()) if last && !text.is_complete() => Err(payload.len()),
        Ok(()) => Ok(()),
        Err(error) => Err(error.position()),
    }
}

/// Texts are validated in pieces of this size, while they are in the nearest cache.
const PIECE: usize = 8 * 1024;

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
    let valid = unmask_text(Some(&mut there), None, payload, &mut text).is_ok() && text.is_complete();
    if !valid {
        back.apply(payload);
    }
    valid
}

/// Unmasks part of a text and validates it: only the pieces that are not ASCII are looked at twice. All of it is unmasked
/// in any case. `from` is as for [`take_at`].
#[inline]
fn unmask_text(
    mask: Option<&mut Mask>,
    from: Option<&[u8]>,
    payload: &mut [u8],
    text: &mut Validator,
) -> Result<(), InvalidUtf8> {
    let mut none = Mask::NONE;
    let mask = match mask {
        Some(mask) => mask,
        None if from.is_none() => return text.update(payload),
        None => &mut none,
    };
    let mut result = Ok(());
    for (index, piece) in payload.chunks_mut(PIECE).enumerate() {
        let ascii = match from {
            None => mask.apply_ascii(piece),
            Some(from) => mask.apply_copy_ascii(part(from, index * PIECE..), piece),
        };
        if result.is_ok() && !(ascii && text.is_complete()) {
            result = text.update(piece).map_err(|error| error.behind(index * PIECE));
        }
    }
    result
}
