//! The sending rules (RFC 6455 sections 5.4, 5.6 and 6.1): the order of parts, and the validity of text.

use crate::{
    error::SendError,
    frame::Opcode,
    message::{Content, MessageKind, Part},
    utf8::Validator,
};

/// Progress of the message that is being sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sender {
    in_progress: Option<Content>,
    text: Validator,
    /// `true` while the payload of a frame follows in pieces; then a message is in progress until its last frame ends.
    in_frame: bool,
    /// `true` if anything has been sent since the last [`take_activity`](Self::take_activity).
    active: bool,
}

/// The unit that ends with a piece of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    Nothing,
    /// The frame, but not the message.
    Frame,
    Message,
}

impl Sender {
    /// Returns whether no message is in progress.
    pub(crate) const fn is_between_messages(&self) -> bool {
        self.in_progress.is_none()
    }

    /// Takes note of a whole message. Nothing else changes: between messages the text is complete.
    pub(crate) const fn message_sent(&mut self) {
        debug_assert!(self.is_between_messages() && !self.in_frame, "a whole message begins between messages");
        self.active = true;
    }

    /// Returns whether the payload of a frame follows in pieces; until it is complete, only pieces may be sent.
    pub(crate) const fn is_in_frame(&self) -> bool {
        self.in_frame
    }

    /// Returns the reason why no message may begin now that one is in progress.
    #[cold]
    pub(crate) const fn unfinished(&self) -> SendError {
        if self.in_frame { SendError::FrameInProgress } else { SendError::MessageInProgress }
    }

    /// Returns whether anything has been sent since the last call.
    pub(crate) fn take_activity(&mut self) -> bool {
        core::mem::take(&mut self.active)
    }

    /// Returns the sender as it will be after this part, if the part may be sent now, and the opcode of its frame.
    ///
    /// `payload` is that of the application, before compression or after it.
    /// Returning the next state instead of entering it lets the caller fail later without a trace.
    pub(crate) fn admit(&self, content: Content, part: Part, payload: &[u8]) -> Result<(Self, Opcode), SendError> {
        let opcode = self.opcode(content, part)?;
        let ends = if part.is_last() { Ends::Message } else { Ends::Frame };
        Ok((self.after(content, ends, payload)?, opcode))
    }

    /// Returns the sender as it will be when a frame of `len` bytes has begun, if it may begin now, and the frame's
    /// opcode.
    pub(crate) fn begin_frame(&self, content: Content, part: Part, len: u64) -> Result<(Self, Opcode), SendError> {
        if len == 0 {
            return self.admit(content, part, &[]);
        }
        let opcode = self.opcode(content, part)?;
        Ok((Self { in_progress: Some(content), in_frame: true, active: true, ..*self }, opcode))
    }

    /// Returns the sender as it will be after this piece of the frame in progress.
    pub(crate) fn admit_piece(&self, ends: Ends, piece: &[u8]) -> Result<Self, SendError> {
        match self.in_progress {
            Some(content) if self.in_frame => self.after(content, ends, piece),
            _ => Err(SendError::NoFrame),
        }
    }

    /// Returns the opcode of the frame that carries this part, if the part may be sent now.
    fn opcode(&self, content: Content, part: Part) -> Result<Opcode, SendError> {
        match (self.in_progress, part.is_first()) {
            _ if self.in_frame => Err(SendError::FrameInProgress),
            (None, true) => Ok(content.kind().opcode()),
            (None, false) => Err(SendError::NoMessage),
            (Some(_), true) => Err(SendError::MessageInProgress),
            (Some(begun), false) if begun != content => Err(SendError::KindMismatch),
            (Some(_), false) => Ok(Opcode::Continuation),
        }
    }

    /// Returns the sender as it will be after `payload`; `ends` says whether a frame or the message ends with it.
    fn after(&self, content: Content, ends: Ends, payload: &[u8]) -> Result<Self, SendError> {
        let mut text = self.text;
        if content.kind() == MessageKind::Text {
            text.update(payload)?;
            if ends == Ends::Message && !text.is_complete() {
                return Err(SendError::InvalidUtf8);
            }
        }
        let in_progress = if ends == Ends::Message { None } else { Some(content) };
        Ok(Self { in_progress, text, in_frame: ends == Ends::Nothing, active: true })
    }
}
