use core::time::Duration;
use std::{string::ToString, vec::Vec};

use super::{AcceptError, Compressors, HeadBuffer, HeadError, Opened, ReceivedRequest};
use crate::{
    Config, MessageBuffer, Server,
    handshake::HandshakeError,
    server::{Acceptance, Handshake, OriginMismatch, OriginPolicy},
    time::Instant,
};

/// Settings of a server: the pages that may connect, and the terms of its connections.
///
/// Clones share a pool of compressors.
#[derive(Clone, Debug)]
pub struct AcceptSettings<'a> {
    /// The pages that may connect (RFC 6455 section 10.2).
    pub origin: OriginPolicy<'a>,
    /// Limits and timeouts.
    pub config: Config,
    pub(super) compressors: Compressors,
}

impl AcceptSettings<'_> {
    /// Creates the default settings: pages of the same host only, and [`Config::default`].
    #[must_use]
    pub const fn new() -> Self {
        Self { origin: OriginPolicy::SameHost, config: Config::new(), compressors: Compressors::none() }
    }

    /// Compresses messages as far as the client agrees (RFC 7692).
    #[cfg(feature = "deflate")]
    pub fn set_deflate(&mut self, settings: crate::deflate::Settings) {
        self.compressors = Compressors::new(settings);
    }

    /// Returns the time within which the peer has to take an answer that is not a page.
    #[must_use]
    pub fn answer_timeout(&self) -> Option<Duration> {
        [self.config.write_timeout, self.config.handshake_timeout].into_iter().flatten().min()
    }

    /// Returns the request that has been `read` to `head`, to be looked at and answered.
    ///
    /// # Errors
    ///
    /// No request came, it is not valid, or its page may not connect. The second value is the answer, which is to be written
    /// before the transport is ended; `None` if there is no request to answer.
    pub fn receive(
        &self,
        handshake: Handshake,
        head: HeadBuffer,
        read: Result<usize, HeadError>,
    ) -> Result<ReceivedRequest, (AcceptError, Option<Vec<u8>>)> {
        let checked =
            |len| handshake.request(head.received(), self.origin).map(|_| len).map_err(HeadError::Handshake);
        let error = match read.and_then(checked) {
            Ok(len) => {
                let (config, compressors) = (self.config.clone(), self.compressors.clone());
                return Ok(ReceivedRequest::new(handshake, head, len, config, compressors));
            }
            Err(HeadError::BeforeFirstByte(_)) => return Err((AcceptError::NoRequest, None)),
            Err(HeadError::Io(error)) => return Err((error.into(), None)),
            Err(HeadError::Handshake(error)) => error,
        };
        let mut response = Vec::new();
        error.write_response_to(head.received(), &mut response);
        let error = match error {
            HandshakeError::Origin => {
                AcceptError::Origin(OriginMismatch::of_head(head.received()).to_string().into())
            }
            error => AcceptError::Handshake(error),
        };
        Err((error, Some(response)))
    }

    /// Returns the settings of compression to negotiate with, for a server whose HTTP library answers. `None`: without.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn deflate(&self) -> Option<crate::deflate::Settings> {
        self.compressors.settings()
    }

    /// Opens a connection at `now` after a response that an HTTP library sends, with what `acceptance` says.
    #[must_use]
    pub fn open(&self, acceptance: &Acceptance<'_>, now: Instant) -> Opened<Server> {
        let endpoint = acceptance.open(&self.config, now);
        let compression = self.compressors.negotiated(&endpoint);
        let buffer = MessageBuffer::default();
        Opened::new(endpoint, compression, buffer, acceptance.subprotocol(), self.config.clone())
    }
}

impl Default for AcceptSettings<'_> {
    fn default() -> Self {
        Self::new()
    }
}
