//! Messages and their parts (RFC 6455 sections 5.4 and 5.6).

#[cfg(feature = "bytes")]
mod owned;

use core::fmt;

use crate::{
    frame::Opcode,
    utf8::{InvalidUtf8, Validated, to_str},
};

#[cfg(feature = "bytes")]
pub use owned::{OwnedMessage, Utf8Bytes};

/// The kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// Text in UTF-8.
    Text,
    /// Arbitrary bytes.
    Binary,
}

impl MessageKind {
    /// Returns the opcode of a message's first frame.
    pub(crate) const fn opcode(self) -> Opcode {
        match self {
            Self::Text => Opcode::Text,
            Self::Binary => Opcode::Binary,
        }
    }
}

/// The place of some payload in its message.
///
/// Parts are not always frames. A received part is the payload that one read held of one frame; a part that is
/// sent becomes one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The whole message.
    Whole,
    /// The beginning of a message that continues.
    First,
    /// Neither the beginning nor the end.
    Middle,
    /// The end of a message that began earlier.
    Last,
}

impl Part {
    /// Returns whether a message begins with this part.
    #[must_use]
    pub const fn is_first(self) -> bool {
        matches!(self, Self::Whole | Self::First)
    }

    /// Returns whether a message ends with this part.
    #[must_use]
    pub const fn is_last(self) -> bool {
        matches!(self, Self::Whole | Self::Last)
    }

    /// Returns the part that is the first, the last, both or neither of its message.
    pub(crate) const fn new(first: bool, last: bool) -> Self {
        match (first, last) {
            (true, true) => Self::Whole,
            (true, false) => Self::First,
            (false, false) => Self::Middle,
            (false, true) => Self::Last,
        }
    }
}

/// The content of the frames of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// A text as it is.
    Text,
    /// Bytes as they are.
    Binary,
    /// The output of a compressor for a text.
    CompressedText,
    /// The output of a compressor for bytes.
    CompressedBinary,
}

impl Content {
    /// Returns the uncompressed content of `kind`.
    pub(crate) const fn of(kind: MessageKind) -> Self {
        match kind {
            MessageKind::Text => Self::Text,
            MessageKind::Binary => Self::Binary,
        }
    }

    /// Returns the compressed content of `kind`.
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

/// A whole message, which borrows its payload.
///
/// It is made from `&str`, `&String`, `&[u8]`, `&[u8; N]`, `&Vec<u8>` and `&OwnedMessage`. From an `Arc<str>` or a `Utf8Bytes` called
/// `text` it is made by `&*text`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Message<'m> {
    /// A text message.
    Text(&'m str),
    /// A binary message.
    Binary(&'m [u8]),
}

impl<'m> Message<'m> {
    /// Creates the message of `kind` with this payload.
    ///
    /// # Errors
    ///
    /// The kind is text and the payload is not UTF-8.
    pub fn new(kind: MessageKind, payload: &'m [u8]) -> Result<Self, InvalidUtf8> {
        match kind {
            MessageKind::Text => to_str(payload).map(Self::Text),
            MessageKind::Binary => Ok(Self::Binary(payload)),
        }
    }

    /// Creates the message without checking `payload`.
    ///
    /// # Safety
    ///
    /// If `kind` is text, `payload` meets the contract of [`Validated::new`].
    #[allow(unsafe_code)]
    pub(crate) const unsafe fn new_validated(kind: MessageKind, payload: &'m [u8]) -> Self {
        match kind {
            // SAFETY: the contract of this function is that of the callee.
            MessageKind::Text => Self::Text(unsafe { Validated::new(payload) }.as_str()),
            MessageKind::Binary => Self::Binary(payload),
        }
    }

    /// Returns the kind of the message: text or binary.
    #[must_use]
    pub const fn kind(self) -> MessageKind {
        match self {
            Self::Text(_) => MessageKind::Text,
            Self::Binary(_) => MessageKind::Binary,
        }
    }

    /// Returns the payload, of either kind.
    #[must_use]
    pub const fn as_bytes(self) -> &'m [u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Returns the text, or `None` if the message is binary.
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

#[cfg(feature = "alloc")]
impl<'m> From<&'m alloc::string::String> for Message<'m> {
    fn from(text: &'m alloc::string::String) -> Self {
        Self::Text(text)
    }
}

#[cfg(feature = "alloc")]
impl<'m> From<&'m alloc::vec::Vec<u8>> for Message<'m> {
    fn from(bytes: &'m alloc::vec::Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

impl<'m, const N: usize> From<&'m [u8; N]> for Message<'m> {
    fn from(bytes: &'m [u8; N]) -> Self {
        Self::Binary(bytes)
    }
}

/// Received payload, borrowed from the buffer that received it.
///
/// Text is checked as it comes: a whole text is UTF-8, and a part can still become part of one.
pub struct Data<'b> {
    payload: &'b mut [u8],
    content: Content,
    part: Part,
}

impl<'b> Data<'b> {
    /// Creates the value without checking `payload`.
    ///
    /// # Safety
    ///
    /// If `content` is text and `part` is `Whole`, `payload` meets the contract of [`Validated::new`].
    #[allow(unsafe_code)]
    pub(crate) const unsafe fn new(content: Content, part: Part, payload: &'b mut [u8]) -> Self {
        Self { payload, content, part }
    }

    /// Returns the kind of the message that this payload belongs to.
    #[must_use]
    pub const fn kind(&self) -> MessageKind {
        self.content.kind()
    }

    /// Returns whether this payload has to be inflated, by an [`Inflater`](crate::deflate::Inflater), to become
    /// part of the message.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub const fn is_compressed(&self) -> bool {
        self.content.is_compressed()
    }

    /// Returns the part of the message that this payload is.
    #[must_use]
    pub const fn part(&self) -> Part {
        self.part
    }

    /// Returns the payload.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        self.payload
    }

    /// Returns the text if this is a whole, uncompressed text message, otherwise `None`: a part may begin and end
    /// inside a code point.
    #[must_use]
    #[allow(unsafe_code)]
    pub const fn as_str(&self) -> Option<&str> {
        match (self.content, self.part) {
            // SAFETY: by the contract of `new`, a whole text meets that of `Validated::new`; `payload` is private
            // and is not lent mutably before `into_bytes` consumes this value.
            (Content::Text, Part::Whole) => Some(unsafe { Validated::new(self.payload) }.as_str()),
            _ => None,
        }
    }

    /// Returns the payload, which the caller may change: [`Endpoint::send`](crate::Endpoint::send) masks it in place to
    /// send it back without a copy.
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
