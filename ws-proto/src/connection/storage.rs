/// The memory of a [`MessageBuffer`](crate::MessageBuffer): `&mut [u8]`, or `Vec<u8>` with `alloc`.
pub trait Storage: sealed::Sealed {
    #[doc(hidden)]
    fn bytes(&self) -> &[u8];

    #[doc(hidden)]
    fn bytes_mut(&mut self) -> &mut [u8];

    /// Returns the most bytes that the storage can grow to.
    #[doc(hidden)]
    fn limit(&self) -> usize;

    /// Makes `bytes` at least `len` long, keeping its content; returns whether that was possible.
    #[doc(hidden)]
    fn grow(&mut self, len: usize) -> bool;

    /// Frees the bytes beyond `len`.
    #[doc(hidden)]
    fn shrink(&mut self, len: usize);
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for &mut [u8] {}
    #[cfg(feature = "alloc")]
    impl Sealed for alloc::vec::Vec<u8> {}
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

    fn limit(&self) -> usize {
        isize::MAX.unsigned_abs()
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
