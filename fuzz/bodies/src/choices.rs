use core::{ops::Range, time::Duration};

use ws_proto::{Config, Entropy, EntropyError, config::CloseReply};

/// Bytes that decide what happens, used in turn and then from the first again.
#[derive(Clone, Debug)]
pub(super) struct Choices<'d> {
    bytes: &'d [u8],
    taken: usize,
}

impl<'d> Choices<'d> {
    /// Choices and wire of an input.
    pub(super) fn split(data: &'d [u8]) -> (Self, &'d [u8]) {
        let (&len, rest) = data.split_first().unwrap_or((&0, &[]));
        let (bytes, wire) = rest.split_at(rest.len().min(len.into()));
        (Self { bytes, taken: 0 }, wire)
    }

    /// The next choice; 0 if there are none.
    pub(super) fn take(&mut self) -> u8 {
        let len = self.bytes.len().max(1);
        self.taken += 1;
        self.bytes.get((self.taken - 1) % len).copied().unwrap_or_default()
    }

    /// Whether every choice has been taken once.
    pub(super) fn are_used_up(&self) -> bool {
        self.taken >= self.bytes.len()
    }

    /// Cuts `len` bytes into at most 400 pieces, none empty: 1 to 63 bytes, 64 to 4032 bytes, or, for 0, the rest.
    pub(super) fn pieces(&mut self, len: usize) -> Vec<Range<usize>> {
        let mut pieces = Vec::new();
        let mut start = 0;
        while start < len {
            let piece = match self.take() {
                _ if pieces.len() == 399 => len,
                0 => len,
                small @ 1..64 => small.into(),
                large => usize::from(large % 63 + 1) * 64,
            };
            let end = len.min(start + piece);
            pieces.push(start..end);
            start = end;
        }
        pieces
    }

    /// A configuration with small or usual limits, and each timeout on or off.
    pub(super) fn config(&mut self) -> Config {
        let (limits, timeouts) = (self.take(), self.take());
        let mut config = Config::new();
        config.max_message_len = [1 << 20, 16, 300, 70_000][usize::from(limits & 3)];
        config.max_frame_len = (limits & 4 != 0).then_some(config.max_message_len / 2);
        config.max_fragments = (limits & 8 != 0).then_some(3);
        config.max_empty_fragments = if limits & 16 != 0 { 2 } else { 64 };
        config.close_reply = match limits >> 5 & 3 {
            1 => CloseReply::ByHost,
            2 => CloseReply::HalfClose,
            _ => CloseReply::Echo,
        };
        config.idle_timeout = (timeouts & 1 != 0).then_some(Duration::from_secs(50));
        let off = |bit: u8| timeouts & bit != 0;
        for (bit, timeout) in [
            (2, &mut config.keepalive_interval),
            (4, &mut config.pong_timeout),
            (8, &mut config.close_timeout),
            (16, &mut config.drain_timeout),
            (32, &mut config.server_fin_timeout),
        ] {
            if off(bit) {
                *timeout = None;
            }
        }
        config
    }
}

/// Masking keys that differ, and that run out after some requests.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    counter: u8,
    left: u8,
}

impl Keys {
    /// Keys that run out after `requests` requests; never, if that is 0.
    pub(super) const fn new(requests: u8) -> Self {
        Self { counter: 0, left: requests }
    }
}

impl Entropy for Keys {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        match self.left {
            0 => {}
            1 => return Err(EntropyError),
            _ => self.left -= 1,
        }
        for byte in bytes {
            self.counter = self.counter.wrapping_mul(5).wrapping_add(13);
            *byte = self.counter;
        }
        Ok(())
    }
}
