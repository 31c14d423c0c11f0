//! The length of a connection's storage.

use super::retention::Retention;
use crate::{
    frame::{FrameHeader, Opcode, Rsv},
    mask::MaskingKey,
    part::{to_u64, to_usize},
    role::Side,
};

/// A read is worth its system call from this size on; `Vec` storage starts with it.
pub(super) const SMALLEST_READ: usize = 4 * 1024;
/// The length that `Vec` storage keeps while no message is in progress.
const INPUT_KEPT: usize = 16 * 1024;
/// The longest storage that reads alone make it grow to: at this length a system call is cheap beside its bytes.
pub(super) const LARGEST_READ: usize = 64 * 1024;
/// A frame from this length on is worth reads of its own: what follows it would be read to where it has to be moved from.
pub(super) const LONG_FRAME: usize = 16 * 1024;
/// Streams of long frames are noticed: without an allocator, memory is too short for them.
const KNOWS_STREAMS: bool = cfg!(feature = "alloc");

/// The policy of one connection's storage: how much of it is kept, and how much is freed.
#[derive(Debug)]
pub(super) struct Room {
    /// The length that is always kept for the next message.
    keep: usize,
    /// Keeps the room of big messages that follow one another.
    messages: Retention,
    /// Keeps the room of reads that are full of small messages.
    reads: Retention,
    /// The last read filled all of the room: more input is probably waiting.
    flooded: bool,
    /// The length of the last read.
    read_len: usize,
    /// The length of each frame in a stream of long ones of the same length, headers included; 0 without such a stream.
    stream_frame: usize,
    /// The bytes that have been taken out of the storage since the last look at its length, if messages are taken out of it at all.
    taken_out: Option<usize>,
}

/// A moment at which the length of the storage may change.
#[derive(Clone, Copy, Debug)]
pub(super) enum Moment {
    /// All bytes that were read into the storage have been taken. `finished` of them lie before the message in progress;
    /// without one, `finished` is all of them.
    Taken { finished: usize, in_message: bool },
    /// A message that needs this many bytes begins in the storage, which is otherwise empty.
    Begins(usize),
    /// All work is finished, and reads do not go to the storage.
    Unused,
}

impl Room {
    pub(super) const fn new() -> Self {
        Self {
            keep: 0,
            messages: Retention::new(),
            reads: Retention::new(),
            flooded: false,
            read_len: 0,
            stream_frame: 0,
            taken_out: None,
        }
    }

    /// Forgets what has been read: the connection is idle or has failed, and its storage is freed.
    pub(super) const fn restart(&mut self) {
        *self = Self { keep: self.keep, ..Self::new() };
    }

    /// Keeps the room of a message of `len` bytes from one message to the next.
    pub(super) const fn keep(&mut self, len: usize) {
        // The message needs room for its header too.
        self.keep = if len == 0 { 0 } else { len.saturating_add(FrameHeader::MAX_LEN) };
    }

    /// Takes note of a read of `len` bytes into `room` bytes.
    pub(super) const fn read(&mut self, len: usize, room: usize) {
        self.flooded = len >= room;
        self.read_elsewhere(len);
    }

    /// Takes note of a read of `len` bytes into a buffer that connections share.
    #[inline(always)]
    pub(super) const fn read_elsewhere(&mut self, len: usize) {
        if KNOWS_STREAMS {
            self.read_len = len;
        }
    }

    /// Takes note that the last read ends in a frame of `payload_len` bytes, of which it has brought the header and the first
    /// `here` bytes.
    ///
    /// If the frames before it in this read had its length, or there were none, the next ones probably have it too.
    #[inline(always)]
    pub(super) fn cut(&mut self, side: Side, payload_len: usize, here: usize) {
        if payload_len < LONG_FRAME - FrameHeader::MAX_LEN {
            self.cut_short();
        } else if KNOWS_STREAMS {
            self.cut_long(side, payload_len, here);
        }
    }

    #[inline(never)]
    fn cut_long(&mut self, side: Side, payload_len: usize, here: usize) {
        let masking_key = (side == Side::Server).then_some(MaskingKey::new([0; 4]));
        let (opcode, rsv, len) = (Opcode::Binary, Rsv::NONE, to_u64(payload_len));
        let header_len =
            to_usize(FrameHeader { fin: true, rsv, opcode, masking_key, payload_len: len }.encoded_len());
        let frame_len = header_len.saturating_add(payload_len);
        let before = self.read_len.checked_sub(header_len + here);
        let is_stream = frame_len >= LONG_FRAME && before.is_some_and(|before| before % frame_len == 0);
        self.stream_frame = if is_stream { frame_len } else { 0 };
    }

    /// Takes note that the last read ends in a short frame.
    #[inline(always)]
    pub(super) const fn cut_short(&mut self) {
        if KNOWS_STREAMS {
            self.stream_frame = 0;
        }
    }

    /// Returns how long a read should be that begins `remaining` bytes before the end of a frame, or with a frame.
    ///
    /// In a stream of long frames it ends where one does. So nothing has to be moved, and each is taken while it is still in
    /// the processor's nearest cache.
    #[inline(always)]
    pub(super) const fn longest_read(&self, remaining: usize) -> usize {
        if KNOWS_STREAMS && self.stream_frame > 0 {
            remaining.saturating_add(self.stream_frame)
        } else {
            usize::MAX
        }
    }

    /// Takes note that the first `len` bytes of the storage have been taken out of it for good.
    #[cfg(feature = "bytes")]
    pub(super) const fn take_out(&mut self, len: usize) {
        self.taken_out = Some(self.taken_out().saturating_add(len));
    }

    /// Returns how many bytes have been taken out of the storage since the last look.
    #[inline(always)]
    pub(super) const fn taken_out(&self) -> usize {
        match self.taken_out {
            Some(len) if cfg!(feature = "bytes") => len,
            _ => 0,
        }
    }

    /// Returns whether messages are taken out of the storage, which then has room for many.
    #[inline(always)]
    const fn is_parted(&self) -> bool {
        cfg!(feature = "bytes") && self.taken_out.is_some()
    }

    /// Returns how many bytes have been taken out of the storage since the last call.
    #[inline(always)]
    fn count_taken_out(&mut self) -> usize {
        let taken_out = self.taken_out();
        if self.is_parted() {
            self.taken_out = Some(0);
        }
        taken_out
    }

    /// Returns how long storage becomes that has to grow to `len` bytes: if messages are taken out of it, long enough for many.
    pub(super) const fn grown(&self, len: usize) -> usize {
        if self.is_parted() && len < LARGEST_READ { LARGEST_READ } else { len }
    }

    /// Returns how long storage of `len` bytes is to be from this moment on; both with what has been taken out of it.
    pub(super) fn len(&mut self, len: usize, moment: Moment) -> usize {
        let taken_out = self.count_taken_out();
        match moment {
            Moment::Taken { finished, in_message } => self.after_read(len, finished + taken_out, in_message),
            Moment::Begins(needed) if len > INPUT_KEPT.max(self.keep) => {
                let kept = self.messages.kept(needed, INPUT_KEPT);
                len.min(kept.max(INPUT_KEPT).max(self.keep).max(needed))
            }
            Moment::Begins(_) => len,
            Moment::Unused => len.min(self.keep),
        }
    }

    /// Returns whether the storage keeps its length during a message, before which `finished` bytes lie.
    #[inline(always)]
    pub(super) const fn is_settled(&self, finished: usize) -> bool {
        !self.flooded && self.taken_out() == 0 && finished <= INPUT_KEPT
    }

    fn after_read(&mut self, len: usize, finished: usize, in_message: bool) -> usize {
        // A read that only continues a message says little about reads that are full of small ones.
        let counts = !in_message || finished > INPUT_KEPT;
        let reads = if counts { self.reads.kept(finished, INPUT_KEPT) } else { INPUT_KEPT };
        if core::mem::take(&mut self.flooded) && len < LARGEST_READ {
            return (2 * len).min(LARGEST_READ);
        }
        if in_message {
            return len;
        }
        // Memory for many messages is used to its end.
        let usual = if self.is_parted() { LARGEST_READ } else { INPUT_KEPT };
        let messages = self.messages.kept(finished, usual);
        len.min(messages.max(reads.min(LARGEST_READ)).max(self.keep))
    }
}
