//! Messages that own their payload.

use core::{fmt, ops::Deref, str};

use alloc::{string::String, vec::Vec};

use bytes::Bytes;

use super::{Message, MessageKind};
use crate::utf8::InvalidUtf8;

/// A whole message that owns its payload (feature `bytes`).
///
/// Clones share the payload.
///
/// # Memory
///
/// A received payload is a part of the memory that it was read into, and keeps all of that alive: 64 KiB, or up to twice the
/// length of the longest message that the connection has received shortly before. Copy a small message that is kept for long.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OwnedMessage {
    /// Text.
    Text(Utf8Bytes),
    /// Arbitrary bytes.
    Binary(Bytes),
}

/// Shared bytes that are UTF-8 (feature `bytes`); they dereference to `str`. Clones share the memory.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Utf8Bytes(Bytes);

impl OwnedMessage {
    /// Creates the message without checking `payload`.
    ///
    /// # Safety
    ///
    /// If `kind` is text, `payload` meets the contract of [`Validated::new`](crate::utf8::Validated::new).
    #[allow(unsafe_code)]
    pub(crate) const unsafe fn new_validated(kind: MessageKind, payload: Bytes) -> Self {
        match kind {
            MessageKind::Text => Self::Text(Utf8Bytes(payload)),
            MessageKind::Binary => Self::Binary(payload),
        }
    }

    /// Returns the kind of the message: text or binary.
    #[must_use]
    pub const fn kind(&self) -> MessageKind {
        match self {
            Self::Text(_) => MessageKind::Text,
            Self::Binary(_) => MessageKind::Binary,
        }
    }

    /// Returns the message, borrowed: to look at, or to send.
    #[must_use]
    pub fn as_message(&self) -> Message<'_> {
        match self {
            Self::Text(text) => Message::Text(text),
            Self::Binary(bytes) => Message::Binary(bytes),
        }
    }

    /// Returns the payload, of either kind.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Returns the text, or `None` if the message is binary.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// Returns the payload. That of a text is UTF-8.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self {
            Self::Text(text) => text.0,
            Self::Binary(bytes) => bytes,
        }
    }
}

/// Copies the payload.
impl From<Message<'_>> for OwnedMessage {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Text(text) => Self::Text(Utf8Bytes(Bytes::copy_from_slice(text.as_bytes()))),
            Message::Binary(bytes) => Self::Binary(Bytes::copy_from_slice(bytes)),
        }
    }
}

impl<'m> From<&'m OwnedMessage> for Message<'m> {
    fn from(message: &'m OwnedMessage) -> Self {
        message.as_message()
    }
}

impl From<Utf8Bytes> for OwnedMessage {
    fn from(text: Utf8Bytes) -> Self {
        Self::Text(text)
    }
}

impl From<String> for OwnedMessage {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<&'static str> for OwnedMessage {
    fn from(text: &'static str) -> Self {
        Self::Text(text.into())
    }
}

impl From<Bytes> for OwnedMessage {
    fn from(bytes: Bytes) -> Self {
        Self::Binary(bytes)
    }
}

impl From<Vec<u8>> for OwnedMessage {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes.into())
    }
}

impl Utf8Bytes {
    /// Returns the text.
    #[must_use]
    #[inline]
    pub fn as_str(&self) -> &str {
        // SAFETY: the bytes are UTF-8 by the contract of `new_validated` or because they were a `str`, or have been checked by
        // `try_from`, and they never change.
        #[allow(unsafe_code)]
        unsafe {
            str::from_utf8_unchecked(&self.0)
        }
    }

    /// Returns the bytes.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

impl Deref for Utf8Bytes {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Utf8Bytes {
    fn as_ref(&self) -> &str {
        self
    }
}

impl AsRef<[u8]> for Utf8Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<String> for Utf8Bytes {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&'static str> for Utf8Bytes {
    fn from(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }
}

impl TryFrom<Bytes> for Utf8Bytes {
    type Error = InvalidUtf8;

    fn try_from(bytes: Bytes) -> Result<Self, InvalidUtf8> {
        Message::new(MessageKind::Text, &bytes)?;
        Ok(Self(bytes))
    }
}

impl PartialEq<str> for Utf8Bytes {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Utf8Bytes {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for Utf8Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.as_str(), f)
    }
}

impl fmt::Debug for Utf8Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
