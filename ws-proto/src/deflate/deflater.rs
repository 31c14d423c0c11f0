//! Deflating (RFC 7692 section 7.2.1).

use core::fmt;

use alloc::vec::Vec;

use zlib_rs::{Deflate, DeflateConfig, DeflateError, DeflateFlush, Status};

use super::{Settings, WindowBits};
use crate::{
    part::{narrow, part, part_mut, to_usize},
    role::Side,
};

/// What a compressor ends a flush with, and a sender cuts off.
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

/// Compresses the messages to one peer, or those to many that don't take their context over.
///
/// It takes no memory before the first message that it compresses.
pub struct Deflater {
    settings: Settings,
    state: Option<(Deflate, WindowBits)>,
    /// Whether the state remembers what it has compressed.
    has_history: bool,
}

impl Deflater {
    /// A compressor with the level, the memory and the threshold of `settings`.
    #[must_use]
    pub const fn new(settings: Settings) -> Self {
        Self { settings, state: None, has_history: false }
    }

    /// What it was made with.
    #[must_use]
    pub const fn settings(&self) -> Settings {
        self.settings
    }

    /// Forgets all that it has compressed: it can serve another connection, and what follows can be understood
    /// without what came before.
    pub fn forget(&mut self) {
        if let Some((state, _)) = self.state.as_mut().filter(|_| self.has_history) {
            state.reset();
        }
        self.has_history = false;
    }

    /// Whether it remembers nothing, and so can serve any connection.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        !self.has_history
    }

    /// The memory that it holds now, in bytes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.state.as_ref().map_or(0, |(_, bits)| self.settings.state_bytes(*bits))
    }

    /// Whether a whole message of `len` bytes is worth compressing.
    pub(crate) const fn is_worth(&self, len: usize) -> bool {
        self.settings.level > 0 && len > 0 && len >= self.settings.threshold
    }

    /// Whether this compressor can keep to windows of this size.
    pub(crate) fn can_keep_to(&self, bits: WindowBits) -> bool {
        self.settings.level > 0 && bits > WindowBits::MIN
    }

    /// The room that [`compress_whole`](Self::compress_whole) needs for a message of `len` bytes: what can't be compressed
    /// grows by less than an eighth.
    pub(crate) const fn room(len: usize) -> usize {
        len.saturating_add(len / 8).saturating_add(64)
    }

    /// Compresses a whole message to the start of `out`, which has [`room`](Self::room) for it; `None` if it does not
    /// become shorter: then the peer gets it as it is, and nothing that was compressed can be referred to.
    pub(crate) fn compress_whole(&mut self, payload: &[u8], bits: WindowBits, out: &mut [u8]) -> Option<usize> {
        let (taken, made, status) = step(self.state(bits), payload, out);
        if status != Ok(Status::Ok) || taken < payload.len() || made == out.len() {
            // Not all came out of it; the library can't be reset then.
            self.state = None;
            self.has_history = false;
            return None;
        }
        let len = out.get(..made)?.strip_suffix(&TAIL).map(<[u8]>::len);
        let shorter = len.filter(|len| *len < payload.len());
        if shorter.is_none() {
            self.forget();
        }
        shorter
    }

    /// Appends what part of a message becomes to `out`; the end of the last part is cut off.
    pub(crate) fn compress_part(&mut self, mut payload: &[u8], bits: WindowBits, last: bool, out: &mut Vec<u8>) {
        const PIECE: usize = 16 * 1024;
        let start = out.len();
        let state = self.state(bits);
        loop {
            let len = out.len();
            out.resize(len + PIECE, 0);
            // It has room and a valid state, so that it can't fail.
            let (taken, made, _) = step(state, payload, part_mut(out, len..));
            payload = part(payload, taken..);
            out.truncate(len + made);
            if made < PIECE {
                break;
            }
        }
        if !last {
            return;
        }
        match out.get(start..).and_then(|made| made.strip_suffix(&TAIL)).map(<[u8]>::len) {
            Some(len) => out.truncate(start + len),
            // Nothing came behind the flush before, which was sent whole: an empty block, whose end is cut off.
            None => out.push(0x00),
        }
    }

    /// The library's state for windows of this size.
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

/// One call of the library; what it has taken and made.
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
    /// What a [`Deflater`] takes for the messages of `side`, in bytes, once it has compressed something.
    #[must_use]
    pub const fn deflater_bytes(&self, side: Side) -> usize {
        self.state_bytes(match side {
            Side::Server => self.server_max_window_bits,
            Side::Client => self.client_max_window_bits,
        })
    }

    /// The most that a connection of `side` takes with these settings to receive and to compress, in bytes, beside its
    /// endpoint: a compressor, an inflater, a read, and a message on its way in. What the host lets wait to be written is
    /// the host's.
    #[must_use]
    pub fn connection_bytes(&self, side: Side, config: &crate::Config) -> usize {
        let message = to_usize(config.max_message_len).saturating_add(1);
        // The bytes that it is inflated from are read to a buffer of at most 64 KiB.
        (self.deflater_bytes(side) + super::INFLATER_BYTES + 64 * 1024).saturating_add(message)
    }

    /// Tables of fixed size, two windows and the chains through one, the symbols of a block.
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
