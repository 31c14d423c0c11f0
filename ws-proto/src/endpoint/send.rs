//! The sending rules (RFC 6455 sections 5.4, 5.6 and 6.1): which part may come now, and is the text valid.

use crate::{
    error::SendError,
    frame::Opcode,
    message::{Content, MessageKind, Part},
    utf8::Validator,
};

/// What has been sent of the message in progress.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sender {
    in_progress: Option<Content>,
    text: Validator,
    /// Whether anything has been sent since somebody looked.
    active: bool,
}

impl Sender {
    /// Whether a message has begun and not ended.
    pub(crate) const fn is_between_messages(&self) -> bool {
        self.in_progress.is_none()
    }

    /// The sender as it will be after a whole message.
    pub(crate) const fn after_message() -> Self {
        Self { in_progress: None, text: Validator::new(), active: true }
    }

    /// Whether anything has been sent since the last call.
    pub(crate) fn take_activity(&mut self) -> bool {
        core::mem::take(&mut self.active)
    }

    /// The sender as it will be after this part, if the part may be sent now, and the opcode of its frame.
    ///
    /// `payload` is what the application gave, compressed or not.
    /// Returning the next state instead of entering it lets the caller fail later without a trace.
    pub(crate) fn admit(&self, content: Content, part: Part, payload: &[u8]) -> Result<(Self, Opcode), SendError> {
        let opcode = match (self.in_progress, part.is_first()) {
            (None, true) => content.kind().opcode(),
            (None, false) => return Err(SendError::NoMessage),
            (Some(_), true) => return Err(SendError::MessageInProgress),
            (Some(begun), false) if begun != content => return Err(SendError::KindMismatch),
            (Some(_), false) => Opcode::Continuation,
        };
        let mut text = self.text;
        if content.kind() == MessageKind::Text {
            text.update(payload)?;
            if part.is_last() && !text.is_complete() {
                return Err(SendError::InvalidUtf8);
            }
        }
        let in_progress = if part.is_last() { None } else { Some(content) };
        Ok((Self { in_progress, text, active: true }, opcode))
    }
}
