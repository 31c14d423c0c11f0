//! The part of a buffer that outlives its use.

/// The policy for a buffer that has grown: how much of it is kept for the next use.
///
/// A connection that has carried something big may be idle next: its memory is freed at once. If something big follows
/// soon it is a stream, and to allocate and zero its memory anew each time would cost more than to carry it: the buffer
/// is kept until there have been several small uses in a row, or the host finds the connection idle.
///
/// ```
/// use ws_proto::connection::Retention;
///
/// let mut retention = Retention::new();
/// assert_eq!(retention.kept(1 << 20, 4096), 4096);
/// assert_eq!(retention.kept(1 << 20, 4096), usize::MAX);
/// for _ in 0..Retention::SMALL_USES - 1 {
///     assert_eq!(retention.kept(100, 4096), usize::MAX);
/// }
/// assert_eq!(retention.kept(100, 4096), 4096);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Retention {
    /// The number of small uses that may still follow before the buffer is freed.
    patience: u8,
}

impl Retention {
    /// This many small uses in a row are the end of a stream.
    pub const SMALL_USES: u8 = 8;

    /// Creates the policy for a buffer that has not been used.
    #[must_use]
    pub const fn new() -> Self {
        Self { patience: 0 }
    }

    /// Takes note that the first `used` bytes of the buffer were in use and are free again. Returns how many bytes of
    /// it to keep at most; `usual` bytes are always kept.
    #[must_use]
    pub const fn kept(&mut self, used: usize, usual: usize) -> usize {
        let in_stream = self.patience > 0;
        self.patience = if used > usual { Self::SMALL_USES } else { self.patience.saturating_sub(1) };
        if in_stream && self.patience > 0 { usize::MAX } else { usual }
    }
}
