//! A message that is encoded once for many clients.

use ws_std::{
    Message, Prepared, Writer,
    deflate::{Deflater, Settings},
    role::Server,
};

pub(crate) const COMPRESSION: Settings = Settings::small();

/// A message, plain, and compressed for the clients that have agreed on compression.
pub(crate) struct Shared {
    plain: Prepared<Vec<u8>>,
    deflated: Prepared<Vec<u8>>,
    len: usize,
}

impl Shared {
    /// Encodes a message. `None`: it is too long.
    pub(crate) fn new(message: Message<'_>, encoder: &mut Deflater) -> Option<Self> {
        let payload = message.as_bytes().to_vec();
        let len = payload.len();
        let plain = Prepared::new(message.kind(), payload).ok()?;
        let deflated = encoder.prepare(message, COMPRESSION.server_max_window_bits);
        Some(Self { plain, deflated, len })
    }

    /// Returns the length of the payload in bytes.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Queues the message for a client.
    pub(crate) fn queue(&self, writer: &mut Writer<Server>) -> ws_std::Result<()> {
        let message = if writer.is_compressed() { &self.deflated } else { &self.plain };
        writer.queue_prepared(message)
    }
}
