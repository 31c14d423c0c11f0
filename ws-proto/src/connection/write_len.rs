/// The longest write in bytes. Linux passes on what is written to its loopback interface in segments of 65,464 bytes over IPv6 and
/// 65,483 over IPv4.
const LARGEST_WRITE: usize = 65_464;

/// Returns how many of the `len` bytes that wait should be written at once: all of them, or one of as few equal parts as are not
/// too long.
///
/// A write that is a little longer than a segment of the loopback interface leaves a small segment behind the full one, and may cost
/// five times as much processor time as one that is a little shorter. Equal parts never cost much more than one write.
///
/// ```
/// use ws_proto::connection::write_len;
///
/// assert_eq!(write_len(60_000), 60_000);
/// assert_eq!(write_len(66_000), 33_000);
/// assert_eq!(write_len(1 << 20), 61_681);
/// ```
#[must_use]
pub const fn write_len(len: usize) -> usize {
    if len <= LARGEST_WRITE { len } else { len.div_ceil(len.div_ceil(LARGEST_WRITE)) }
}

/// Returns whether a frame of `len` bytes is best written together with the `waiting` bytes before it: both make one write, or
/// the frame takes several itself.
#[must_use]
pub const fn joins_write(waiting: usize, len: usize) -> bool {
    waiting == 0 || waiting.saturating_add(len) <= LARGEST_WRITE || len > LARGEST_WRITE
}
