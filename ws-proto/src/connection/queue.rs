//! The memory of queued output: a `Vec` that grows, or memory of a fixed length.

use crate::{
    error::SendError,
    frame::{FrameHeader, encode_frame},
    handshake::WriteError,
    part::{part, part_mut},
};

/// The memory of an [`Output`](super::Output): `Vec<u8>` with `alloc`, or [`FixedQueue`].
pub trait Queue: sealed::Sealed {
    /// Returns all bytes that have been appended since the last [`clear`](Self::clear).
    #[doc(hidden)]
    fn bytes(&self) -> &[u8];

    /// Returns whether `len` bytes more can be appended.
    #[doc(hidden)]
    fn has_room(&self, len: usize) -> bool;

    /// Appends `bytes`, for which there is room.
    #[doc(hidden)]
    fn append(&mut self, bytes: &[u8]);

    /// Appends a frame, masked as it is copied; on an error everything is unchanged.
    #[doc(hidden)]
    fn append_frame(&mut self, header: &FrameHeader, payload: &[u8]) -> Result<(), SendError>;

    /// Appends `len` bytes, which `write` writes; on an error everything is unchanged.
    #[doc(hidden)]
    fn append_with(
        &mut self,
        len: usize,
        write: impl FnOnce(&mut [u8]) -> Result<usize, SendError>,
    ) -> Result<(), SendError>;

    /// Appends a head of the opening handshake; `write` writes it and returns its length.
    #[doc(hidden)]
    fn append_head<X>(
        &mut self,
        write: impl FnMut(&mut [u8]) -> Result<(usize, X), WriteError>,
    ) -> Result<X, WriteError>;

    /// Makes room by dropping the first `written` bytes, if that costs little. Returns how many were dropped.
    #[doc(hidden)]
    fn reclaim(&mut self, written: usize) -> usize;

    /// Drops all bytes, and memory beyond `kept` bytes.
    #[doc(hidden)]
    fn clear(&mut self, kept: usize);

    /// Returns the memory that is held, in bytes.
    #[doc(hidden)]
    fn held_bytes(&self) -> usize;

    /// Returns the queue as a vector, which a compressor writes to; `None` if it is not a vector.
    #[cfg(feature = "deflate")]
    #[doc(hidden)]
    fn as_vec(&mut self) -> Option<&mut alloc::vec::Vec<u8>>;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::FixedQueue<'_> {}
    #[cfg(feature = "alloc")]
    impl Sealed for alloc::vec::Vec<u8> {}
}

/// Output in memory of a fixed length: without a heap.
///
/// A message that does not fit is refused with [`SendError::BufferTooSmall`]; output that the protocol owes waits in
/// the endpoint until there is room.
#[derive(Debug)]
pub struct FixedQueue<'q> {
    room: &'q mut [u8],
    /// `len <= room.len()`
    len: usize,
}

impl<'q> FixedQueue<'q> {
    /// Creates an empty queue in `room`, which needs at least
    /// [`ControlFrame::MAX_LEN`](crate::endpoint::ControlFrame::MAX_LEN) bytes.
    pub const fn new(room: &'q mut [u8]) -> Self {
        Self { room, len: 0 }
    }

    fn free(&mut self) -> &mut [u8] {
        part_mut(self.room, self.len..)
    }
}

impl Queue for FixedQueue<'_> {
    fn bytes(&self) -> &[u8] {
        part(self.room, ..self.len)
    }

    fn has_room(&self, len: usize) -> bool {
        self.room.len() - self.len >= len
    }

    fn append(&mut self, bytes: &[u8]) {
        let room = self.free().get_mut(..bytes.len());
        debug_assert!(room.is_some(), "the caller has looked for room");
        if let Some(room) = room {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
        }
    }

    fn append_frame(&mut self, header: &FrameHeader, payload: &[u8]) -> Result<(), SendError> {
        self.len += encode_frame(header, payload, self.free())?;
        Ok(())
    }

    fn append_with(
        &mut self,
        _len: usize,
        write: impl FnOnce(&mut [u8]) -> Result<usize, SendError>,
    ) -> Result<(), SendError> {
        self.len += write(self.free())?;
        Ok(())
    }

    fn append_head<X>(
        &mut self,
        mut write: impl FnMut(&mut [u8]) -> Result<(usize, X), WriteError>,
    ) -> Result<X, WriteError> {
        let (len, value) = write(self.free())?;
        self.len += len;
        Ok(value)
    }

    fn reclaim(&mut self, written: usize) -> usize {
        self.room.copy_within(written..self.len, 0);
        self.len -= written;
        written
    }

    fn clear(&mut self, _kept: usize) {
        self.len = 0;
    }

    fn held_bytes(&self) -> usize {
        self.room.len()
    }

    #[cfg(feature = "deflate")]
    fn as_vec(&mut self) -> Option<&mut alloc::vec::Vec<u8>> {
        None
    }
}

#[cfg(feature = "alloc")]
impl Queue for alloc::vec::Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn has_room(&self, _len: usize) -> bool {
        true
    }

    fn append(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    #[inline(always)]
    fn append_frame(&mut self, header: &FrameHeader, payload: &[u8]) -> Result<(), SendError> {
        crate::frame::append_frame(header, payload, self);
        Ok(())
    }

    fn append_with(
        &mut self,
        len: usize,
        write: impl FnOnce(&mut [u8]) -> Result<usize, SendError>,
    ) -> Result<(), SendError> {
        let start = self.len();
        self.resize(start + len, 0);
        let written = write(part_mut(self, start..));
        self.truncate(start + written.unwrap_or_default());
        written.map(drop)
    }

    fn append_head<X>(
        &mut self,
        write: impl FnMut(&mut [u8]) -> Result<(usize, X), WriteError>,
    ) -> Result<X, WriteError> {
        crate::handshake::append(self, write)
    }

    fn reclaim(&mut self, _written: usize) -> usize {
        0
    }

    fn clear(&mut self, kept: usize) {
        Self::clear(self);
        self.shrink_to(kept);
    }

    fn held_bytes(&self) -> usize {
        self.capacity()
    }

    #[cfg(feature = "deflate")]
    fn as_vec(&mut self) -> Option<&mut Self> {
        Some(self)
    }
}
