//! A message that is encoded once for many clients.

use ws_std::{
    Message, MessageKind, Prepared, Writer,
    deflate::{Deflater, Settings},
    role::Server,
};

pub(crate) const COMPRESSION: Settings = Settings::small();

/// A text, plain, and compressed for the clients that have agreed on compression.
pub(crate) struct Shared {
    plain: Prepared<Vec<u8>>,
    deflated: Prepared<Vec<u8>>,
    len: usize,
}

impl Shared {
    /// Encodes a text. `None`: it is too long for a message.
    pub(crate) fn new(text: &str, encoder: &mut Deflater) -> Option<Self> {
        let plain = Prepared::new(MessageKind::Text, text.as_bytes().to_vec()).ok()?;
        let deflated = encoder.prepare(Message::Text(text), COMPRESSION.server_max_window_bits);
        Some(Self { plain, deflated, len: text.len() })
    }

    /// Returns the length of the text in bytes.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Queues the message for a client.
    pub(crate) fn queue(&self, writer: &mut Writer<Server>) -> ws_std::Result<()> {
        let message = if writer.is_compressed() { &self.deflated } else { &self.plain };
        writer.queue_prepared(message)
    }
}
