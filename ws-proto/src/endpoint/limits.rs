//! The limits of received data (RFC 6455 section 10.4).

use super::negotiated::Negotiated;
use crate::config::Config;

/// The limits of a receiver; kept with them are the few bytes of the agreed extensions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) frame_len: u64,
    pub(crate) message_len: u64,
    pub(crate) fragments: u32,
    pub(crate) empty_fragments: u16,
    /// The agreed extensions, which decide on the reserved bits that may be set.
    pub(crate) negotiated: Negotiated,
}

impl Limits {
    // The default limit allows one fragment for each this many bytes of the message limit.
    const FRAGMENT_LEN: u64 = 64;

    pub(crate) fn new(config: &Config, negotiated: Negotiated) -> Self {
        let message_len = config.max_message_len;
        let derived = message_len.div_ceil(Self::FRAGMENT_LEN).max(1);
        Self {
            frame_len: config.max_frame_len.unwrap_or(message_len).min(message_len),
            message_len,
            fragments: config.max_fragments.unwrap_or(u32::try_from(derived).unwrap_or(u32::MAX)).max(1),
            empty_fragments: config.max_empty_fragments,
            negotiated,
        }
    }
}
