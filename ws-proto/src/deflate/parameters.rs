//! The negotiated parameters (RFC 7692 section 7.1), and the text of offers and answers.

use core::{fmt, num::NonZeroU8};

use super::{Settings, WindowBits};
use crate::role::Side;

/// The name of the extension.
pub(crate) const NAME: &str = "permessage-deflate";

/// The parameters that the two sides have agreed on.
///
/// Its `Display` is the server's answer, as in Sec-WebSocket-Extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    server: Direction,
    client: Direction,
}

/// The parameters of one side's messages in one byte, since an endpoint has no room for more: the bits of the
/// window, with [`ALONE`] and [`ANNOUNCED`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Direction(NonZeroU8);

/// The flag that each message is compressed by itself.
const ALONE: u8 = 0x10;
/// The flag that the answer announces the size of the window.
const ANNOUNCED: u8 = 0x20;

impl Direction {
    /// Creates the parameters of one side. `announced` is whether the answer has the size of the window.
    pub(crate) fn new(no_context_takeover: bool, max_window_bits: WindowBits, announced: bool) -> Self {
        let alone = if no_context_takeover { ALONE } else { 0 };
        let announced = if announced { ANNOUNCED } else { 0 };
        // A window has at least 8 bits, so the byte is not 0.
        Self(NonZeroU8::new(max_window_bits.get() | alone | announced).unwrap_or(NonZeroU8::MIN))
    }

    const fn no_context_takeover(self) -> bool {
        self.0.get() & ALONE != 0
    }

    const fn announced(self) -> bool {
        self.0.get() & ANNOUNCED != 0
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

    /// Returns whether each message of `side` is compressed by itself.
    #[must_use]
    pub const fn no_context_takeover(&self, side: Side) -> bool {
        self.of(side).no_context_takeover()
    }

    /// Returns the window of the compressor of `side`.
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
            if direction.announced() {
                write!(f, "; {side}_max_window_bits={}", direction.max_window_bits().get())?;
            }
        }
        Ok(())
    }
}

/// The offers of a client, as in Sec-WebSocket-Extensions.
///
/// The offer with demands on the server comes first. Unless [`Settings::require_server_parameters`] is set, an
/// offer without them follows, for servers that cannot meet them (RFC 7692 section 7.1.2.1 recommends such a
/// list). The server's window is part of an offer only if it is required: some servers answer 400 to any list
/// whose first offer names it (nhooyr 1.8.7).
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
        // Without a value, the parameter permits the server to choose one.
        f.write_str("; client_max_window_bits")?;
        if self.client_max_window_bits < WindowBits::MAX {
            write!(f, "={}", self.client_max_window_bits.get())?;
        }
        if self.server_no_context_takeover && !self.require_server_parameters {
            // As in section 7.1.2.1. Hints about the client's own messages confuse some servers.
            write!(f, ", {NAME}; client_max_window_bits")?;
        }
        Ok(())
    }
}
