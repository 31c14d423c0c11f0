//! The parameters that were agreed on (RFC 7692 section 7.1), and how offers and answers are written.

use core::{fmt, num::NonZeroU8};

use super::{Settings, WindowBits};
use crate::role::Side;

/// The extension's name.
pub(crate) const NAME: &str = "permessage-deflate";

/// What the two sides have agreed on.
///
/// Its `Display` is the server's answer, as it stands in Sec-WebSocket-Extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    server: Direction,
    client: Direction,
}

/// The parameters of one side's messages: the window's bits, with [`ALONE`] and [`TOLD`]. An endpoint has room for a
/// byte.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Direction(NonZeroU8);

/// Each message is compressed by itself.
const ALONE: u8 = 0x10;
/// The peer is told the window's size.
const TOLD: u8 = 0x20;

impl Direction {
    pub(crate) fn new(no_context_takeover: bool, max_window_bits: WindowBits, told: bool) -> Self {
        let alone = if no_context_takeover { ALONE } else { 0 };
        let told = if told { TOLD } else { 0 };
        // There are at least 8 bits.
        Self(NonZeroU8::new(max_window_bits.get() | alone | told).unwrap_or(NonZeroU8::MIN))
    }

    const fn no_context_takeover(self) -> bool {
        self.0.get() & ALONE != 0
    }

    const fn told(self) -> bool {
        self.0.get() & TOLD != 0
    }

    const fn max_window_bits(self) -> WindowBits {
        match WindowBits::new(self.0.get() & 0x0F) {
            Some(bits) => bits,
            None => WindowBits::MAX,
        }
    }
}

impl fmt::Debug for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Direction")
            .field("no_context_takeover", &self.no_context_takeover())
            .field("max_window_bits", &self.max_window_bits())
            .finish()
    }
}

impl Parameters {
    pub(crate) const fn new(server: Direction, client: Direction) -> Self {
        Self { server, client }
    }

    /// Whether each message of `side` is compressed by itself.
    #[must_use]
    pub const fn no_context_takeover(&self, side: Side) -> bool {
        self.of(side).no_context_takeover()
    }

    /// How far back the compressor of `side` may look.
    #[must_use]
    pub const fn max_window_bits(&self, side: Side) -> WindowBits {
        self.of(side).max_window_bits()
    }

    const fn of(&self, side: Side) -> Direction {
        match side {
            Side::Server => self.server,
            Side::Client => self.client,
        }
    }
}

impl fmt::Display for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        for (side, direction) in [("server", self.server), ("client", self.client)] {
            if direction.no_context_takeover() {
                write!(f, "; {side}_no_context_takeover")?;
            }
            if direction.told() {
                write!(f, "; {side}_max_window_bits={}", direction.max_window_bits().get())?;
            }
        }
        Ok(())
    }
}

/// A client's offers are its [`Settings`]; this is how they stand in Sec-WebSocket-Extensions.
///
/// The offer with demands on the server comes first; then, unless [`Settings::require_server_parameters`] says otherwise, an offer
/// without that, for servers that can't keep to it (RFC 7692 section 7.1.2.1 recommends such a list). The server's window is
/// part of an offer only if it is required: servers exist that answer 400 to any list whose first offer names it (nhooyr 1.8.7).
impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)?;
        if self.server_no_context_takeover {
            f.write_str("; server_no_context_takeover")?;
        }
        if self.client_no_context_takeover {
            f.write_str("; client_no_context_takeover")?;
        }
        if self.require_server_parameters && self.server_max_window_bits < WindowBits::MAX {
            write!(f, "; server_max_window_bits={}", self.server_max_window_bits.get())?;
        }
        // Without a value it tells that the server may choose one.
        f.write_str("; client_max_window_bits")?;
        if self.client_max_window_bits < WindowBits::MAX {
            write!(f, "={}", self.client_max_window_bits.get())?;
        }
        if self.server_no_context_takeover && !self.require_server_parameters {
            // As in section 7.1.2.1: hints of the client's own messages are more than some servers understand.
            write!(f, ", {NAME}; client_max_window_bits")?;
        }
        Ok(())
    }
}
