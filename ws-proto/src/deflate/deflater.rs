//! Deflating (RFC 7692 section 7.2.1).

use core::fmt;

use alloc::vec::Vec;

use zlib_rs::{Deflate, DeflateConfig, DeflateError, DeflateFlush, Status};

use super::{Settings, WindowBits};
use crate::{
    part::{narrow, part, part_mut, to_usize},
    role::Side,
};

/// The end of a flush, which the sender removes from the end of a message.
const FLUSH_END: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

/// A compressor of the messages to one peer, or to many peers without context takeover.
///
/// It takes no memory before the first message that it compresses.
pub struct Deflater {
    settings: Settings,
    state: Option<(Deflate, WindowBits)>,
    /// Set while the state remembers bytes that it has compressed.
    has_history: bool,
}

impl Deflater {
    /// Creates a compressor with the level, the memory and the threshold of `settings`.
    #[must_use]
    pub const fn new(settings: Settings) -> Self {
        Self { settings, state: None, has_history: false }
    }

    /// Returns the settings of the compressor.
    #[must_use]
    pub const fn settings(&self) -> Settings {
        self.settings
    }

    /// Forgets all compressed bytes. The compressor can then serve another connection, and its output can be
    /// inflated without the earlier output.
    pub fn forget(&mut self) {
        if let Some((state, _)) = self.state.as_mut().filter(|_| self.has_history) {
            state.reset();
        }
        self.has_history = false;
    }

    /// Returns whether the compressor remembers nothing, and so can serve any connection.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        !self.has_history
    }

    /// Returns the memory that the compressor holds now, in bytes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.state.as_ref().map_or(0, |(_, bits)| self.settings.state_bytes(*bits))
    }

    /// Returns whether a whole message of `len` bytes is worth compressing.
    pub(crate) const fn is_worth(&self, len: usize) -> bool {
        self.settings.level > 0 && len > 0 && len >= self.settings.threshold
    }

    /// Returns whether this compressor can keep to windows of this size.
    pub(crate) fn can_keep_to(&self, bits: WindowBits) -> bool {
        self.settings.level > 0 && bits > WindowBits::MIN
    }

    /// Returns the room that [`compress_whole`](Self::compress_whole) needs for a message of `len` bytes:
    /// incompressible data grows by less than an eighth.
    pub(crate) const fn room(len: usize) -> usize {
        len.saturating_add(len / 8).saturating_add(64)
    }

    /// Compresses a whole message to the start of `out`, which has [`room`](Self::room) for it. Returns the
    /// length, or `None` if the message does not become shorter: send it uncompressed then. The compressor has
    /// forgotten everything in that case.
    pub(crate) fn compress_whole(&mut self, payload: &[u8], bits: WindowBits, out: &mut [u8]) -> Option<usize> {
        let (taken, made, status) = step(self.state(bits), payload, out);
        if status != Ok(Status::Ok) || taken < payload.len() || made == out.len() {
            // The library still holds output, and it cannot be reset in that state.
            self.state = None;
            self.has_history = false;
            return None;
        }
        let len = out.get(..made)?.strip_suffix(&FLUSH_END).map(<[u8]>::len);
        let shorter = len.filter(|len| *len < payload.len());
        if shorter.is_none() {
            self.forget();
        }
        shorter
    }

    /// Compresses a part of a message and appends the result to `out`, without its end if the part is the last.
    pub(crate) fn compress_part(&mut self, mut payload: &[u8], bits: WindowBits, last: bool, out: &mut Vec<u8>) {
        const OUTPUT_STEP: usize = 16 * 1024;
        let start = out.len();
        let state = self.state(bits);
        loop {
            let len = out.len();
            out.resize(len + OUTPUT_STEP, 0);
            // The call has room and a valid state, so it cannot fail.
            let (taken, made, _) = step(state, payload, part_mut(out, len..));
            payload = part(payload, taken..);
            out.truncate(len + made);
            if made < OUTPUT_STEP {
                break;
            }
        }
        if !last {
            return;
        }
        match out.get(start..).and_then(|made| made.strip_suffix(&FLUSH_END)).map(<[u8]>::len) {
            Some(len) => out.truncate(start + len),
            // No output came after the last flush, which was sent whole: append an empty block, whose end is
            // removed.
            None => out.push(0x00),
        }
    }

    /// Returns the library's state for windows of this size, created if necessary.
    fn state(&mut self, max: WindowBits) -> &mut Deflate {
        if self.state.as_ref().is_none_or(|(_, bits)| *bits != max) {
            self.has_history = false;
            self.state = None;
        }
        self.has_history = true;
        let Settings { level, memory_level, .. } = self.settings;
        let (state, _) = self.state.get_or_insert_with(|| {
            let config = DeflateConfig {
                window_bits: -i32::from(max.get()),
                mem_level: i32::from(memory_level.clamp(1, 9)),
                ..DeflateConfig::new(i32::from(level.clamp(1, 9)))
            };
            (Deflate::new_with_config(config), max)
        });
        state
    }
}

/// Calls the library once. Returns the number of bytes taken and made.
fn step(state: &mut Deflate, payload: &[u8], out: &mut [u8]) -> (usize, usize, Result<Status, DeflateError>) {
    let before = (state.total_in(), state.total_out());
    let status = state.compress(payload, out, DeflateFlush::SyncFlush);
    let moved = |after: u64, before: u64| narrow(after - before);
    (moved(state.total_in(), before.0), moved(state.total_out(), before.1), status)
}

impl fmt::Debug for Deflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deflater").field("has_history", &self.has_history).finish_non_exhaustive()
    }
}

impl Settings {
    /// Returns the memory that a [`Deflater`] takes for the messages of `side`, in bytes, once it has compressed a
    /// message.
    #[must_use]
    pub const fn deflater_bytes(&self, side: Side) -> usize {
        self.state_bytes(match side {
            Side::Server => self.server_max_window_bits,
            Side::Client => self.client_max_window_bits,
        })
    }

    /// Returns the greatest memory that a connection of `side` takes with these settings to receive and to
    /// compress, in bytes: a compressor, an inflater, one read and one message being received. The endpoint and
    /// the output that waits are not counted.
    #[must_use]
    pub fn connection_bytes(&self, side: Side, config: &crate::Config) -> usize {
        let message = to_usize(config.max_message_len).saturating_add(1);
        // The compressed bytes are read to a buffer of at most 64 KiB.
        (self.deflater_bytes(side) + super::INFLATER_BYTES + 64 * 1024).saturating_add(message)
    }

    /// Returns the memory of the library's state: tables of fixed size, two windows and the chains through one,
    /// the symbols of a block.
    const fn state_bytes(&self, bits: WindowBits) -> usize {
        const FIXED: usize = 136 * 1024;
        let memory_level = if self.memory_level < 1 {
            1
        } else if self.memory_level > 9 {
            9
        } else {
            self.memory_level
        };
        FIXED + (4 << bits.get()) + (7 << (memory_level + 6))
    }
}
