//! How much memory the storage of a connection has.

use super::retention::Retention;
use crate::frame::FrameHeader;

/// A read is worth its system call from this size on; `Vec` storage starts with it.
pub(super) const SMALLEST_READ: usize = 4 * 1024;
/// What `Vec` storage keeps while no message is in progress.
const INPUT_KEPT: usize = 16 * 1024;
/// What it may grow to because reads fill it: beyond that a system call is cheap beside its bytes.
pub(super) const LARGEST_READ: usize = 64 * 1024;

/// The policy of one connection's storage: what it keeps, and what it gives back.
#[derive(Debug)]
pub(super) struct Room {
    /// What is kept for the next message, in any case.
    keep: usize,
    /// Big messages that follow one another keep what they needed.
    messages: Retention,
    /// Reads that are full of small messages do, too.
    reads: Retention,
    /// The last read took all the room that there was: more is probably waiting.
    flooded: bool,
}

/// A moment at which the length of the storage may change.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    /// All that was read to the storage has been taken: `finished` bytes of it lie before the message in progress, or are all.
    Taken { finished: usize, in_message: bool },
    /// A message for which so many bytes are needed begins in the storage, where nothing else is.
    Begins(usize),
    /// Nothing is unfinished, and reads do not go to the storage.
    Unused,
    /// The connection is idle or has failed.
    Idle,
}

impl Room {
    pub(super) const fn new() -> Self {
        Self { keep: 0, messages: Retention::new(), reads: Retention::new(), flooded: false }
    }

    /// Keeps what a message of `len` bytes needs, in any case but [`Moment::Idle`].
    pub(super) const fn keep(&mut self, len: usize) {
        // A message of that length comes with its header.
        self.keep = if len == 0 { 0 } else { len.saturating_add(FrameHeader::MAX_LEN) };
    }

    /// Takes note of a read of `len` bytes to `room` bytes.
    pub(super) const fn read(&mut self, len: usize, room: usize) {
        self.flooded = len >= room;
    }

    /// Returns how long storage of `len` bytes is to be from this moment on.
    pub(super) fn len(&mut self, len: usize, moment: Moment) -> usize {
        match moment {
            Moment::Taken { finished, in_message } => self.after_read(len, finished, in_message),
            Moment::Begins(needed) if len > INPUT_KEPT.max(self.keep) => {
                let kept = self.messages.kept(needed, INPUT_KEPT);
                len.min(kept.max(INPUT_KEPT).max(self.keep).max(needed))
            }
            Moment::Begins(_) => len,
            Moment::Unused => len.min(self.keep),
            Moment::Idle => {
                *self = Self { keep: self.keep, ..Self::new() };
                0
            }
        }
    }

    /// Whether within a message, before which `finished` bytes lie, all of the storage is kept as it is.
    #[inline(always)]
    pub(super) const fn is_settled(&self, finished: usize) -> bool {
        !self.flooded && finished <= INPUT_KEPT
    }

    fn after_read(&mut self, len: usize, finished: usize, in_message: bool) -> usize {
        // A read that only goes on with a message says nothing of those that are full of small ones.
        let counts = !in_message || finished > INPUT_KEPT;
        let reads = if counts { self.reads.kept(finished, INPUT_KEPT) } else { INPUT_KEPT };
        if core::mem::take(&mut self.flooded) && len < LARGEST_READ {
            return (2 * len).min(LARGEST_READ);
        }
        if in_message {
            return len;
        }
        let messages = self.messages.kept(finished, INPUT_KEPT);
        len.min(messages.max(reads.min(LARGEST_READ)).max(self.keep))
    }
}
