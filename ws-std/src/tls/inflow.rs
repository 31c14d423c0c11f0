//! Ciphertext on its way from the transport, while it comes faster than it is read.

use core::mem;

use crate::buffers;

/// The flow of ciphertext from the transport.
#[derive(Debug, Default)]
pub(super) struct Inflow {
    /// The last read took as much as it could, so more has probably come.
    is_ample: bool,
    /// A buffer of the pool while there is ciphertext in it.
    buffer: Vec<u8>,
    /// The bytes that have not been decrypted: `start <= end <= buffer.len()`
    start: usize,
    end: usize,
}

impl Inflow {
    /// Judges by a read that has taken `taken` bytes and could have taken `most`.
    pub(super) const fn judge(&mut self, taken: usize, most: usize) {
        self.is_ample = taken == most;
    }

    /// Returns whether ciphertext has been read, or has probably come.
    pub(super) const fn has_more(&self) -> bool {
        self.is_ample || self.start < self.end
    }

    /// Returns the ciphertext that has been read.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.start..self.end).unwrap_or_default()
    }

    /// Takes note that the first `len` bytes have been decrypted.
    pub(super) fn consume(&mut self, len: usize) {
        self.start += len;
        if self.start >= self.end {
            self.release();
        }
    }

    /// Returns room for more ciphertext, behind that which has been read.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.buffer.is_empty() {
            self.buffer = buffers::take_ciphertext();
        }
        self.buffer.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// Takes note that the first `len` bytes of the room have been filled.
    pub(super) const fn filled(&mut self, len: usize) {
        self.end += len;
    }

    /// Drops the ciphertext, and gives the buffer back.
    pub(super) fn release(&mut self) {
        buffers::give_ciphertext(mem::take(&mut self.buffer));
        (self.start, self.end) = (0, 0);
    }
}
