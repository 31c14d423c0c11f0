//! The wait for a head, common to both sides.

use super::{
    HandshakeError,
    head::{HeadFinder, HeadKind, HeadLimits},
};
use crate::{config::Config, time::Instant};

/// The wait for a head: the search for its end, and the deadline.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadWait {
    pub(super) finder: HeadFinder,
    deadline: Option<Instant>,
}

impl HeadWait {
    /// Begins to wait at `now`.
    pub(super) fn new(kind: HeadKind, now: Instant, config: &Config) -> Self {
        let deadline = config.handshake_timeout.map(|timeout| now.saturating_add(timeout));
        Self { finder: HeadFinder::new(kind, HeadLimits::new(config)), deadline }
    }

    /// Checks the deadline, then looks for the end of the head; see [`HeadFinder::find`].
    pub(super) fn poll_head(&mut self, now: Instant, received: &[u8]) -> Result<Option<usize>, HandshakeError> {
        self.handle_timeout(now)?;
        self.finder.find(received)
    }

    /// Returns the deadline, or `None` once the head has been found.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.deadline.filter(|_| !self.finder.is_complete())
    }

    /// Returns [`HandshakeError::Timeout`] if the deadline has passed.
    pub(super) fn handle_timeout(&self, now: Instant) -> Result<(), HandshakeError> {
        match self.poll_timeout() {
            Some(deadline) if now >= deadline => Err(HandshakeError::Timeout),
            _ => Ok(()),
        }
    }
}
