use core::fmt;

#[cfg(feature = "deflate")]
use crate::deflate::{Deflater, WindowBits};
use crate::{
    frame::{EncodedHeader, FrameHeader, header},
    message::{Message, MessageKind},
    utf8::InvalidUtf8,
};

/// A message encoded once to be sent by a server to many connections.
///
/// The payload is shared (`B` is, say, an `Arc<[u8]>` or a `&'static [u8]`); each connection admits it with
/// [`send_prepared`](crate::Endpoint::send_prepared) and queues the same bytes. A text can be a `String`, a `Utf8Bytes` or a
/// `&'static str`; of an `Arc<str>` pass `Arc::<[u8]>::from(text)`, which copies nothing.
///
/// A message of [`new`](Self::new) is not compressed, and every connection takes it, with compression or without.
/// `Deflater::prepare` (feature `deflate`) makes compressed ones.
#[derive(Clone)]
pub struct Prepared<B> {
    header: FrameHeader,
    /// Without bytes if they are in `payload`.
    encoded: EncodedHeader,
    kind: MessageKind,
    /// The payload, or the whole frame.
    payload: B,
    /// The window that it was compressed with.
    #[cfg(feature = "deflate")]
    window_bits: Option<WindowBits>,
}

impl<B: AsRef<[u8]>> Prepared<B> {
    /// Encodes a message of `kind`.
    ///
    /// # Errors
    ///
    /// A text's payload is not UTF-8.
    pub fn new(kind: MessageKind, payload: B) -> Result<Self, InvalidUtf8> {
        Message::new(kind, payload.as_ref())?;
        Ok(Self::of_message(kind, payload))
    }

    /// Creates a message whose payload is known to be valid for its kind.
    pub(crate) fn of_message(kind: MessageKind, payload: B) -> Self {
        let header = header(kind.opcode(), None, payload.as_ref().len());
        Self {
            header,
            encoded: EncodedHeader::new(&header),
            kind,
            payload,
            #[cfg(feature = "deflate")]
            window_bits: None,
        }
    }

    /// Creates a message whose payload was compressed.
    #[cfg(feature = "deflate")]
    pub(crate) fn deflated(kind: MessageKind, payload: B, window_bits: WindowBits) -> Self {
        let mut prepared = Self::of_message(kind, payload);
        prepared.window_bits = Some(window_bits);
        prepared.header = crate::frame::compressed(prepared.header);
        prepared.encoded = EncodedHeader::new(&prepared.header);
        prepared
    }

    /// Returns the window that the message was compressed with; `None` if it was not compressed.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub const fn window_bits(&self) -> Option<WindowBits> {
        self.window_bits
    }

    /// Returns header and payload, to be written in this order. A message that is joined (feature `alloc`) has both in the
    /// second slice.
    #[must_use]
    pub fn slices(&self) -> [&[u8]; 2] {
        self.remaining(0)
    }

    /// Returns the length of both slices together, in bytes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        self.slices().iter().map(|slice| slice.len()).sum()
    }

    /// Returns the rest of [`slices`](Self::slices) after `written` bytes; both slices are empty when all is written.
    #[must_use]
    pub fn remaining(&self, written: usize) -> [&[u8]; 2] {
        self.encoded.remaining(self.payload.as_ref(), written)
    }

    pub(crate) const fn header(&self) -> FrameHeader {
        self.header
    }

    /// Returns this message with a copy of header and payload in one piece, the second of its [`slices`](Self::slices): a
    /// plain write of it costs less than a vectored one of both.
    ///
    /// ```
    /// use ws_proto::{MessageKind, endpoint::Prepared};
    ///
    /// let prepared = Prepared::new(MessageKind::Text, "Hi")?.joined();
    /// assert_eq!(prepared.slices(), [&b""[..], b"\x81\x02Hi"]);
    /// # Ok::<(), ws_proto::utf8::InvalidUtf8>(())
    /// ```
    #[cfg(feature = "alloc")]
    #[must_use]
    pub fn joined(&self) -> Prepared<alloc::vec::Vec<u8>> {
        Prepared {
            header: self.header,
            encoded: EncodedHeader::EMPTY,
            kind: self.kind,
            payload: self.slices().concat(),
            #[cfg(feature = "deflate")]
            window_bits: self.window_bits,
        }
    }
}

#[cfg(feature = "deflate")]
impl Deflater {
    /// Encodes a message once for many connections that have agreed on compression without context takeover for the
    /// server, and on a window for it of `max_window_bits` or more.
    ///
    /// A message that is not worth compressing is prepared as it is; it may go to any connection.
    pub fn prepare(&mut self, message: Message<'_>, max_window_bits: WindowBits) -> Prepared<alloc::vec::Vec<u8>> {
        let payload = message.as_bytes();
        if self.is_worth(payload.len()) && self.can_keep_to(max_window_bits) {
            self.forget();
            let mut out = alloc::vec![0; Self::room(payload.len())];
            let len = self.compress_whole(payload, max_window_bits, &mut out);
            self.forget();
            if let Some(len) = len {
                out.truncate(len);
                out.shrink_to_fit();
                return Prepared::deflated(message.kind(), out, max_window_bits);
            }
        }
        Prepared::of_message(message.kind(), payload.to_vec())
    }
}

impl<B: AsRef<[u8]>> fmt::Debug for Prepared<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("kind", &self.kind).field("len", &self.header.payload_len).finish()
    }
}
