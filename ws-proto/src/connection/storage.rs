#[cfg(feature = "bytes")]
use crate::part::part_mut;

/// The memory of a [`MessageBuffer`](crate::MessageBuffer): `&mut [u8]`, `Vec<u8>` with `alloc`, or `bytes::BytesMut` with
/// `bytes`.
pub trait Storage: sealed::Sealed {
    #[doc(hidden)]
    fn bytes(&self) -> &[u8];

    #[doc(hidden)]
    fn bytes_mut(&mut self) -> &mut [u8];

    /// Returns the maximum length in bytes that the storage can grow to.
    #[doc(hidden)]
    fn limit(&self) -> usize {
        isize::MAX.unsigned_abs()
    }

    /// Makes `bytes` at least `len` long, keeping its content; returns whether that was possible.
    #[doc(hidden)]
    fn grow(&mut self, len: usize) -> bool;

    /// Returns the memory that is held now, in bytes.
    #[doc(hidden)]
    fn held(&self) -> usize {
        self.bytes().len()
    }

    /// Begins anew at the front of the memory, if all that was taken out of it has been dropped. The content is lost.
    #[doc(hidden)]
    fn restart(&mut self) {}

    /// Frees memory, so that at most `len` bytes are held. The content is lost.
    #[doc(hidden)]
    fn shrink(&mut self, len: usize);
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for &mut [u8] {}
    #[cfg(feature = "alloc")]
    impl Sealed for alloc::vec::Vec<u8> {}
    #[cfg(feature = "bytes")]
    impl Sealed for bytes::BytesMut {}
}

impl Storage for &mut [u8] {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }

    fn limit(&self) -> usize {
        self.len()
    }

    fn grow(&mut self, len: usize) -> bool {
        len <= self.len()
    }

    fn shrink(&mut self, _len: usize) {}
}

/// The length of the vector is the size of the storage: bytes are zeroed once, when it grows.
#[cfg(feature = "alloc")]
impl Storage for alloc::vec::Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }

    fn grow(&mut self, len: usize) -> bool {
        if len > self.len() {
            self.reserve_exact(len - self.len());
            self.resize(len, 0);
        }
        true
    }

    fn shrink(&mut self, len: usize) {
        if len < self.len() {
            self.truncate(len);
            self.shrink_to(len);
        }
    }
}

/// The length is the size of the storage, as with a vector. Messages that have been taken out of its front are no part of it
/// any more; when the storage has to grow and all of them have been dropped, it grows into their memory.
#[cfg(feature = "bytes")]
impl Storage for bytes::BytesMut {
    fn bytes(&self) -> &[u8] {
        self
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }

    fn grow(&mut self, len: usize) -> bool {
        let held = self.len();
        if len <= held {
            return true;
        }
        if self.try_reclaim(len - held) {
            self.resize(len, 0);
        } else {
            let mut grown = Self::zeroed(len);
            part_mut(&mut grown, ..held).copy_from_slice(self);
            *self = grown;
        }
        true
    }

    fn held(&self) -> usize {
        self.capacity()
    }

    fn restart(&mut self) {
        self.clear();
        // It goes back if that makes room for more than there is from here on.
        let _ = self.try_reclaim(self.capacity() + 1);
    }

    /// Gives back all: memory cannot be cut, and the next read allocates it.
    fn shrink(&mut self, _len: usize) {
        *self = Self::new();
    }
}
