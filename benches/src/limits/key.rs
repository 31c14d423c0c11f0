/// Returns the key for the byte `at` of a payload.
#[inline]
pub(super) fn turn(key: u32, at: usize) -> u32 {
    key.rotate_right(8 * u32::try_from(at % 4).unwrap_or(0))
}
