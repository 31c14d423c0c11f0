//! Room for reads: where the next one goes, and how long the storage is.

use super::Assembly;
use crate::{
    connection::{
        room::{LARGEST_READ, Moment, SMALLEST_READ},
        storage::Storage,
    },
    endpoint::{Endpoint, Trace},
    error::{Fault, ReceiveError},
    frame::FrameHeader,
    part::{part, part_mut},
    role::Role,
    time::Instant,
};

impl<S: Storage> Assembly<S> {
    /// Copies bytes that have been read elsewhere to here, after what is unread.
    ///
    /// # Errors
    ///
    /// [`Fault::StorageFull`].
    #[inline(never)]
    pub(in super::super) fn keep_unread(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.close_gap();
        if part(self.storage.bytes(), self.unread.end..).len() < bytes.len() {
            self.compact();
        }
        let end = self.unread.end.saturating_add(bytes.len());
        self.grow(end, usize::MAX)?;
        part_mut(self.storage.bytes_mut(), self.unread.end..end).copy_from_slice(bytes);
        self.unread.end = end;
        Ok(())
    }

    /// The room for a read, where `remaining` bytes of a frame are to come, or whatever comes next.
    ///
    /// The reads of a big frame end where it does: the next message then begins at the start of the storage again, and need not
    /// be moved there. Of a smaller one what is left is less than a read is worth.
    #[inline(always)]
    pub(in super::super) fn unfilled(&mut self, remaining: usize) -> &mut [u8] {
        let in_big_frame = self.cut_frame.is_some_and(|frame| frame.is_big);
        let ends_frame = remaining >= SMALLEST_READ || (remaining > 0 && in_big_frame);
        let most = if ends_frame {
            remaining
        } else if !self.has_message() {
            self.room.longest_read(remaining)
        } else {
            usize::MAX
        };
        self.unfilled_to(remaining, most)
    }

    /// [`unfilled`](Self::unfilled), at most `most` bytes.
    #[inline(always)]
    pub(in super::super) fn unfilled_to(&mut self, remaining: usize, most: usize) -> &mut [u8] {
        self.told = None;
        self.make_room(remaining);
        let room = part_mut(self.storage.bytes_mut(), self.unread.end..);
        let len = room.len().min(most);
        part_mut(room, ..len)
    }

    /// The room for more of a head of the opening handshake, which grows as that arrives.
    pub(in super::super) fn head_room(&mut self) -> &mut [u8] {
        self.told = None;
        let len = self.storage.bytes().len();
        if self.unread.end == len {
            self.storage.grow(len.saturating_mul(2).max(SMALLEST_READ).min(self.storage.limit()));
        }
        part_mut(self.storage.bytes_mut(), self.unread.end..)
    }

    /// Returns the bytes of a head that have been read, and their position in the storage, which the caller moves past those
    /// that it takes.
    pub(in super::super) fn head(&mut self) -> (&[u8], &mut usize) {
        (part(self.storage.bytes(), self.unread.clone()), &mut self.unread.start)
    }

    /// Whether all of the storage is full, and it cannot grow.
    pub(in super::super) fn is_full(&self) -> bool {
        self.unread.end >= self.storage.limit()
    }

    /// Takes note that the first `len` bytes of the room have been read into.
    pub(in super::super) fn filled(&mut self, len: usize) {
        let room = part(self.storage.bytes(), self.unread.end..).len();
        self.unread.end += len.min(room);
        self.room.read(len, room);
    }

    /// Takes note that all that was read into the storage has been taken: what follows is read right after the message in progress, or
    /// the deferred frame.
    #[cfg_attr(feature = "alloc", inline(always))]
    pub(in super::super) fn rewind(&mut self) {
        let (finished, unread) = match &self.message {
            None if self.is_deferring() => (self.unread.start, self.unread.clone()),
            None => (self.unread.end, 0..0),
            Some(message) => (message.at.start, message.at.end..message.at.end),
        };
        self.unread = unread;
        let in_message = self.has_begun();
        if !in_message || !self.room.is_settled(finished) {
            self.settle(finished, in_message);
        }
    }

    #[cfg_attr(feature = "alloc", inline(never))]
    fn settle(&mut self, finished: usize, in_message: bool) {
        let taken_out = self.room.taken_out();
        self.fit(Moment::Taken { finished, in_message });
        // The next big message would begin in the rest of the last one's memory, and have to move from there.
        if taken_out > LARGEST_READ && !in_message {
            self.storage.restart();
        }
    }

    /// Takes note that all that was read elsewhere has been taken.
    pub(in super::super) fn rewind_shared(&mut self) {
        if !self.has_begun() {
            self.unread = 0..0;
            self.fit(Moment::Unused);
        }
    }

    /// Drops all that is here, and gives back its memory.
    pub(in super::super) fn clear(&mut self) {
        self.told = None;
        self.message = None;
        self.cut_frame = None;
        self.deferred = None;
        self.unread = 0..0;
        self.room.restart();
        self.storage.shrink(0);
    }

    /// Has the storage as long as the policy says.
    pub(super) fn fit(&mut self, moment: Moment) {
        let held = self.storage.held() + self.room.taken_out();
        let len = self.room.len(held, moment);
        if len < held {
            self.storage.shrink(len);
        } else if len > held {
            self.storage.grow(self.room.grown(len));
        }
    }

    /// Whether a message has begun here.
    #[inline(always)]
    const fn has_begun(&self) -> bool {
        self.message.is_some() || self.is_deferring()
    }

    /// Whether the message in progress fits the storage with `more` bytes.
    #[inline(always)]
    pub(in super::super) fn has_room(&self, more: usize) -> bool {
        self.message_len().saturating_add(more) <= self.storage.limit()
    }

    /// Fails unless a message of `len` bytes fits the storage.
    ///
    /// # Errors
    ///
    /// [`Fault::StorageFull`].
    pub(super) fn check_limit<R: Role, T: Trace>(
        &self,
        endpoint: &mut Endpoint<R, T>,
        now: Instant,
        len: usize,
    ) -> Result<(), ReceiveError> {
        if len <= self.storage.limit() { Ok(()) } else { Err(endpoint.fail(now, Fault::StorageFull)) }
    }

    /// Sees to room after `unread`, for `remaining` bytes of a frame or for whatever comes next.
    #[inline(always)]
    fn make_room(&mut self, remaining: usize) {
        if self.storage.bytes().len() < SMALLEST_READ || !self.is_room_for_read(remaining) {
            self.make_more_room(remaining);
        }
    }

    /// Whether the room is worth a read: an eighth of the storage is only if it completes the frame. If the frame would fit once its message
    /// has moved, that moves at once, while least of it is there.
    #[inline(always)]
    fn is_room_for_read(&self, remaining: usize) -> bool {
        let len = self.storage.bytes().len();
        let room = part(self.storage.bytes(), self.unread.end..).len();
        let missing = remaining.saturating_sub(room);
        // Without a heap flash counts for more than speed.
        let may_move = cfg!(feature = "alloc") && missing > 0;
        let has_to_move = may_move && self.message.as_ref().is_some_and(|message| message.at.start >= missing);
        !self.has_begun() || (room > len / 8 && !has_to_move) || (remaining > 0 && missing == 0)
    }

    #[inline(never)]
    fn make_more_room(&mut self, remaining: usize) {
        if self.storage.bytes().len() < SMALLEST_READ {
            self.storage.grow(self.room.grown(SMALLEST_READ).min(self.storage.limit()));
        }
        if self.is_room_for_read(remaining) {
            return;
        }
        let len = self.storage.bytes().len();
        self.compact();
        if self.unread.end > len / 2 {
            let end = self.unread.end;
            let frame_end = if remaining == 0 { usize::MAX } else { end.saturating_add(remaining) };
            let grown = self.next_len(end.saturating_mul(2), frame_end);
            self.storage.grow(grown.min(self.storage.limit()));
        }
    }

    /// Returns the length that storage grows to: `doubled`, or if that is less, the end of the frame at hand and room for a header,
    /// so that the next message of this length fits without a move.
    ///
    /// A frame that adds little to its message doubles the storage, so that each byte is moved O(1) times.
    fn next_len(&self, doubled: usize, frame_end: usize) -> usize {
        let len = self.storage.bytes().len();
        let before = self.cut_frame.map_or_else(|| self.message_len(), |frame| frame.before);
        let is_good_step = frame_end >= len + len / 4 || before < frame_end / 2;
        if is_good_step { frame_end.saturating_add(FrameHeader::MAX_LEN).min(doubled) } else { doubled }
    }

    /// Makes the storage at least `len` bytes long, where the frame at hand ends at `frame_end`.
    fn grow(&mut self, len: usize, frame_end: usize) -> Result<(), Fault> {
        let held = self.storage.bytes().len();
        let grown = self.next_len(held.saturating_mul(2), frame_end).min(self.storage.limit());
        if held >= len || self.storage.grow(len.max(grown)) { Ok(()) } else { Err(Fault::StorageFull) }
    }

    /// Returns how much of the message in progress has been taken, in bytes.
    #[inline(always)]
    pub(super) fn message_len(&self) -> usize {
        self.message.as_ref().map_or(0, |message| message.at.len())
    }

    #[inline(always)]
    pub(super) fn message_end(&self) -> usize {
        self.message.as_ref().map_or(0, |message| message.at.end)
    }

    /// Sees to room for the first `len` of `announced` bytes of a frame, right after the message in progress.
    #[inline(always)]
    pub(super) fn room_after_message(&mut self, len: usize, announced: usize) -> Result<(), Fault> {
        if self.message_end().saturating_add(len) <= self.storage.bytes().len() {
            return Ok(());
        }
        self.compact();
        let end = self.message_end();
        self.grow(end.saturating_add(len), end.saturating_add(announced))
    }

    /// Moves the message in progress, and what is unread after it, to the start of the storage.
    fn compact(&mut self) {
        self.close_gap();
        let start = self.message.as_ref().map_or(self.unread.start, |message| message.at.start);
        if start == 0 {
            return;
        }
        self.storage.bytes_mut().copy_within(start..self.unread.end, 0);
        if let Some(message) = &mut self.message {
            message.at = 0..message.at.end - start;
        }
        self.unread = self.unread.start - start..self.unread.end - start;
    }
}
