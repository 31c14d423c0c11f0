use core::time::Duration;

use super::{AcceptError, Compressors, HeadBuffer, Opened, ReceivedRequest};
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

    /// Checks a request, whose head is the first `len` bytes of `head`.
    ///
    /// # Errors
    ///
    /// The request is not valid, or its page may not connect. `head` has not changed: answer with
    /// [`HandshakeError::write_response_to`], and report [`error`](Self::error).
    pub fn check(&self, handshake: &Handshake, head: &HeadBuffer) -> Result<(), HandshakeError> {
        handshake.request(head.received(), self.origin).map(drop)
    }

    /// Returns the error for the application of a request that was answered because of `error`.
    #[must_use]
    pub fn error(&self, error: HandshakeError, head: &HeadBuffer) -> AcceptError {
        match error {
            HandshakeError::Origin => {
                use std::string::ToString;
                AcceptError::Origin(OriginMismatch::of_head(head.received()).to_string().into())
            }
            error => AcceptError::Handshake(error),
        }
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

    /// Returns a request that [`check`](Self::check) has found valid, to be looked at and answered.
    #[must_use]
    pub fn request(&self, handshake: Handshake, head: HeadBuffer, len: usize) -> ReceivedRequest {
        ReceivedRequest::new(handshake, head, len, self.config.clone(), self.compressors.clone())
    }
}

impl Default for AcceptSettings<'_> {
    fn default() -> Self {
        Self::new()
    }
}
