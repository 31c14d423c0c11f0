//! What both sides remember while they wait for a head.

use super::{
    HandshakeError,
    head::{HeadFinder, HeadLimits, Message},
};
use crate::{config::Config, time::Instant};

#[derive(Clone, Copy, Debug)]
pub(super) struct Progress {
    pub(super) finder: HeadFinder,
    deadline: Option<Instant>,
}

impl Progress {
    pub(super) fn new(message: Message, now: Instant, config: &Config) -> Self {
        let deadline = config.handshake_timeout.map(|timeout| now.saturating_add(timeout));
        Self { finder: HeadFinder::new(message, HeadLimits::new(config)), deadline }
    }

    pub(super) fn poll_head(&mut self, now: Instant, received: &[u8]) -> Result<Option<usize>, HandshakeError> {
        self.handle_timeout(now)?;
        self.finder.find(received)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.deadline.filter(|_| !self.finder.is_complete())
    }

    pub(super) fn handle_timeout(&self, now: Instant) -> Result<(), HandshakeError> {
        match self.poll_timeout() {
            Some(deadline) if now >= deadline => Err(HandshakeError::Timeout),
            _ => Ok(()),
        }
    }
}
