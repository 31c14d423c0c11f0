use core::fmt;
use std::{boxed::Box, vec::Vec};

use super::Compression;
use crate::{Config, Endpoint, MessageBuffer, endpoint::Negotiated, role::Role, time::Instant};

/// A connection as its opening handshake leaves it: the parts that a driver puts together with a transport.
pub struct Opened<R: Role> {
    /// The endpoint, whose clock is that of the handshake.
    pub endpoint: Endpoint<R>,
    /// The compression of output. [`Compression::decompression`] is for input.
    pub compression: Compression,
    /// The input buffer, which may hold bytes that came after the handshake.
    pub buffer: MessageBuffer<Vec<u8>>,
    /// The subprotocol that both sides have agreed on.
    pub subprotocol: Option<Box<str>>,
    /// Limits and timeouts.
    pub config: Config,
}

impl<R: Role> Opened<R> {
    /// Takes over a connection at `now` after an opening handshake that other code has made.
    ///
    /// `received` holds the bytes that were read after the handshake.
    pub fn from_handshake(
        role: R,
        negotiated: Negotiated,
        received: Vec<u8>,
        config: Config,
        now: Instant,
    ) -> Self {
        Self {
            endpoint: Endpoint::new(role, &config, negotiated, now),
            compression: Compression::default(),
            buffer: MessageBuffer::from(received),
            subprotocol: None,
            config,
        }
    }

    pub(super) fn new(
        endpoint: Endpoint<R>,
        compression: Compression,
        buffer: MessageBuffer<Vec<u8>>,
        subprotocol: Option<&str>,
        config: Config,
    ) -> Self {
        Self { endpoint, compression, buffer, subprotocol: subprotocol.map(Box::from), config }
    }
}

impl<R: Role> fmt::Debug for Opened<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("endpoint", &self.endpoint)
            .field("buffer", &self.buffer)
            .field("subprotocol", &self.subprotocol)
            .finish_non_exhaustive()
    }
}
