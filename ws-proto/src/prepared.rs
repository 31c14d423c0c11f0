use core::fmt;

use crate::{
    frame::{EncodedHeader, FrameHeader, header},
    message::{Message, MessageKind},
    utf8::InvalidUtf8,
};

/// A message encoded once to be sent by a server to many connections.
///
/// The payload is shared (`B` is, say, an `Arc<[u8]>` or a `&'static [u8]`); each connection admits it with
/// [`send_prepared`](crate::Endpoint::send_prepared) and queues the same bytes.
#[derive(Clone)]
pub struct Prepared<B> {
    header: EncodedHeader,
    kind: MessageKind,
    payload: B,
}

impl<B: AsRef<[u8]>> Prepared<B> {
    /// Encodes a message of `kind`.
    ///
    /// # Errors
    ///
    /// A text's payload is not UTF-8.
    pub fn new(kind: MessageKind, payload: B) -> Result<Self, InvalidUtf8> {
        let message = Message::new(kind, payload.as_ref())?;
        let header = header(kind.opcode(), None, message.as_bytes().len());
        Ok(Self { header: EncodedHeader::new(&header), kind, payload })
    }

    /// Header and payload, to be written in this order.
    #[must_use]
    pub fn slices(&self) -> [&[u8]; 2] {
        self.remaining(0)
    }

    /// What is left of [`slices`](Self::slices) after `written` bytes; both are empty when nothing is.
    #[must_use]
    pub fn remaining(&self, written: usize) -> [&[u8]; 2] {
        self.header.remaining(self.payload.as_ref(), written)
    }

    pub(crate) fn header(&self) -> FrameHeader {
        header(self.kind.opcode(), None, self.payload.as_ref().len())
    }
}

impl<B: AsRef<[u8]>> fmt::Debug for Prepared<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("kind", &self.kind).field("len", &self.payload.as_ref().len()).finish()
    }
}
