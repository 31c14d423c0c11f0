//! Messages that own their payload.

use core::fmt;

use bytes::Bytes;

use super::{Message, MessageKind};

/// A whole message that owns its payload (feature `bytes`).
///
/// Clones share the payload. A text is UTF-8, which is not checked again.
///
/// # Memory
///
/// The payload is a part of the memory that it was read to, and keeps all of that alive: 64 KiB, or up to twice the length of the
/// longest message that the connection has received shortly before. Copy a small message that is kept for long.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct OwnedMessage {
    kind: MessageKind,
    /// UTF-8 if `kind` is text.
    payload: Bytes,
}

impl OwnedMessage {
    /// Creates the message without checking `payload`.
    ///
    /// # Safety
    ///
    /// If `kind` is text, `payload` meets the contract of [`Validated::new`](crate::utf8::Validated::new).
    #[allow(unsafe_code)]
    pub(crate) const unsafe fn new_validated(kind: MessageKind, payload: Bytes) -> Self {
        Self { kind, payload }
    }

    /// Returns the kind of the message: text or binary.
    #[must_use]
    pub const fn kind(&self) -> MessageKind {
        self.kind
    }

    /// Returns the message, borrowed: to look at, or to send.
    #[must_use]
    pub fn as_message(&self) -> Message<'_> {
        // SAFETY: `kind` and `payload` are those of a call of `new_validated` or of a message, and neither ever changes.
        #[allow(unsafe_code)]
        unsafe {
            Message::new_validated(self.kind, &self.payload)
        }
    }

    /// Returns the payload, of either kind.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.payload
    }

    /// Returns the text, or `None` if the message is binary.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        self.as_message().as_str()
    }

    /// Returns the payload. That of a text is UTF-8.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.payload
    }
}

/// Copies the payload.
impl From<Message<'_>> for OwnedMessage {
    fn from(message: Message<'_>) -> Self {
        Self { kind: message.kind(), payload: Bytes::copy_from_slice(message.as_bytes()) }
    }
}

impl<'m> From<&'m OwnedMessage> for Message<'m> {
    fn from(message: &'m OwnedMessage) -> Self {
        message.as_message()
    }
}

impl fmt::Debug for OwnedMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_message().fmt(f)
    }
}
