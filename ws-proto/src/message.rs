//! Messages and their parts (RFC 6455 sections 5.4 and 5.6).

use core::fmt;

use crate::{
    frame::Opcode,
    utf8::{InvalidUtf8, Validated, to_str},
};

/// What the bytes of a message are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// UTF-8.
    Text,
    /// Anything.
    Binary,
}

impl MessageKind {
    pub(crate) const fn opcode(self) -> Opcode {
        match self {
            Self::Text => Opcode::Text,
            Self::Binary => Opcode::Binary,
        }
    }
}

/// Which part of a message some payload is.
///
/// Parts need not be frames: received, a part is what one read held of one frame; sent, each part becomes
/// one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The message, from its first byte to its last.
    Whole,
    /// The beginning of a message that goes on.
    First,
    /// Neither beginning nor end.
    Middle,
    /// The end of a message that began earlier.
    Last,
}

impl Part {
    /// Whether a message begins with this part.
    #[must_use]
    pub const fn is_first(self) -> bool {
        matches!(self, Self::Whole | Self::First)
    }

    /// Whether a message ends with this part.
    #[must_use]
    pub const fn is_last(self) -> bool {
        matches!(self, Self::Whole | Self::Last)
    }

    pub(crate) const fn new(first: bool, last: bool) -> Self {
        match (first, last) {
            (true, true) => Self::Whole,
            (true, false) => Self::First,
            (false, false) => Self::Middle,
            (false, true) => Self::Last,
        }
    }
}

/// What the payload of a message's frames is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// The message itself.
    Text,
    Binary,
    /// A compressed text or binary message.
    CompressedText,
    CompressedBinary,
}

impl Content {
    pub(crate) const fn of(kind: MessageKind) -> Self {
        match kind {
            MessageKind::Text => Self::Text,
            MessageKind::Binary => Self::Binary,
        }
    }

    pub(crate) const fn compressed(kind: MessageKind) -> Self {
        match kind {
            MessageKind::Text => Self::CompressedText,
            MessageKind::Binary => Self::CompressedBinary,
        }
    }

    pub(crate) const fn kind(self) -> MessageKind {
        match self {
            Self::Text | Self::CompressedText => MessageKind::Text,
            Self::Binary | Self::CompressedBinary => MessageKind::Binary,
        }
    }

    pub(crate) const fn is_compressed(self) -> bool {
        matches!(self, Self::CompressedText | Self::CompressedBinary)
    }
}

/// A whole message.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Message<'m> {
    /// A text message.
    Text(&'m str),
    /// A binary message.
    Binary(&'m [u8]),
}

impl<'m> Message<'m> {
    /// The message of `kind` with this payload.
    ///
    /// # Errors
    ///
    /// A text's payload is not UTF-8.
    pub fn new(kind: MessageKind, payload: &'m [u8]) -> Result<Self, InvalidUtf8> {
        match kind {
            MessageKind::Text => to_str(payload).map(Self::Text),
            MessageKind::Binary => Ok(Self::Binary(payload)),
        }
    }

    /// Takes `payload` on the caller's word.
    ///
    /// # Safety
    ///
    /// If `kind` is text, `payload` meets the contract of [`Validated::new`].
    #[allow(unsafe_code)]
    pub(crate) const unsafe fn new_validated(kind: MessageKind, payload: &'m [u8]) -> Self {
        match kind {
            // SAFETY: the caller's promise is this function's own contract.
            MessageKind::Text => Self::Text(unsafe { Validated::new(payload) }.as_str()),
            MessageKind::Binary => Self::Binary(payload),
        }
    }

    /// Text or binary.
    #[must_use]
    pub const fn kind(self) -> MessageKind {
        match self {
            Self::Text(_) => MessageKind::Text,
            Self::Binary(_) => MessageKind::Binary,
        }
    }

    /// The payload, whatever the kind.
    #[must_use]
    pub const fn as_bytes(self) -> &'m [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// The text, or `None` if the message is binary.
    #[must_use]
    pub const fn as_str(self) -> Option<&'m str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.debug_tuple("Text").field(text).finish(),
            Self::Binary(bytes) => f.debug_tuple("Binary").field(bytes).finish(),
        }
    }
}

impl<'m> From<&'m str> for Message<'m> {
    fn from(text: &'m str) -> Self {
        Self::Text(text)
    }
}

impl<'m> From<&'m [u8]> for Message<'m> {
    fn from(bytes: &'m [u8]) -> Self {
        Self::Binary(bytes)
    }
}

impl<'m, const N: usize> From<&'m [u8; N]> for Message<'m> {
    fn from(bytes: &'m [u8; N]) -> Self {
        Self::Binary(bytes)
    }
}

/// Received payload, borrowed from the buffer that it was received in.
///
/// Text has been checked as far as it has come: a whole text is UTF-8, and a part can still become so.
pub struct Data<'b> {
    payload: &'b mut [u8],
    content: Content,
    part: Part,
}

impl<'b> Data<'b> {
    /// # Safety
    ///
    /// If `content` is text and `part` is `Whole`, `payload` meets the contract of [`Validated::new`].
    #[allow(unsafe_code)]
    pub(crate) const unsafe fn new(content: Content, part: Part, payload: &'b mut [u8]) -> Self {
        Self { payload, content, part }
    }

    /// Text or binary, of the message that this belongs to.
    #[must_use]
    pub const fn kind(&self) -> MessageKind {
        self.content.kind()
    }

    /// Whether this has to be inflated, with an [`Inflater`](crate::deflate::Inflater), to become part of the message.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub const fn is_compressed(&self) -> bool {
        self.content.is_compressed()
    }

    /// Which part of the message this is.
    #[must_use]
    pub const fn part(&self) -> Part {
        self.part
    }

    /// The payload.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        self.payload
    }

    /// The text, if this is the whole of a text message: a part may begin and end inside a code point, and a
    /// compressed one is none.
    #[must_use]
    #[allow(unsafe_code)]
    pub const fn as_str(&self) -> Option<&str> {
        match (self.content, self.part) {
            // SAFETY: a whole text meets the contract by that of `new`, and `payload` is private and never
            // lent out mutably before `into_bytes` ends this value.
            (Content::Text, Part::Whole) => Some(unsafe { Validated::new(self.payload) }.as_str()),
            _ => None,
        }
    }

    /// The payload for the caller to change, for example to be masked and sent back in place.
    #[must_use]
    pub const fn into_bytes(self) -> &'b mut [u8] {
        self.payload
    }
}

impl fmt::Debug for Data<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Data")
            .field("kind", &self.kind())
            .field("part", &self.part)
            .field("payload", &self.as_bytes())
            .finish()
    }
}
