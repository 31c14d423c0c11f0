//! Parts of slices and conversions of numbers that an invariant of the caller's makes possible.
//!
//! Each function returns something harmless where the invariant does not hold, so that a release build never panics, and
//! asserts it in a debug build, so that tests and fuzzers see a broken one. Where a default is a meant answer, code has
//! `unwrap_or_default` instead.

use core::slice::SliceIndex;

/// Returns `slice[at]`, which must lie within it.
#[inline(always)]
#[cfg_attr(debug_assertions, track_caller)]
pub(crate) fn part<T, I: SliceIndex<[T], Output = [T]>>(slice: &[T], at: I) -> &[T] {
    sure(slice.get(at))
}

/// Returns `slice[at]` to be changed; it must lie within the slice.
#[inline(always)]
#[cfg_attr(debug_assertions, track_caller)]
pub(crate) fn part_mut<T, I: SliceIndex<[T], Output = [T]>>(slice: &mut [T], at: I) -> &mut [T] {
    sure(slice.get_mut(at))
}

/// Returns `slice[at]` as [`part`] does, for a caller that goes no further on `None`: a branch that is never taken costs
/// less than the choice of an empty slice.
#[inline(always)]
#[cfg_attr(debug_assertions, track_caller)]
pub(crate) fn some_part<T, I: SliceIndex<[T], Output = [T]>>(slice: &[T], at: I) -> Option<&[T]> {
    certain(slice.get(at))
}

/// Returns `slice[at]` to be changed, as [`some_part`] does.
#[inline(always)]
#[cfg_attr(debug_assertions, track_caller)]
pub(crate) fn some_part_mut<T, I: SliceIndex<[T], Output = [T]>>(slice: &mut [T], at: I) -> Option<&mut [T]> {
    certain(slice.get_mut(at))
}

/// Returns the value that must be there.
#[inline(always)]
#[cfg_attr(debug_assertions, track_caller)]
pub(crate) fn sure<T: Default>(value: Option<T>) -> T {
    certain(value).unwrap_or_default()
}

/// Returns `value`, which must be there.
#[inline(always)]
#[cfg_attr(debug_assertions, track_caller)]
fn certain<T>(value: Option<T>) -> Option<T> {
    debug_assert!(value.is_some(), "an invariant does not hold");
    value
}

/// Returns `number` in a narrower type, in which it must fit.
#[inline(always)]
#[cfg_attr(debug_assertions, track_caller)]
pub(crate) fn narrow<N, W: Default + TryFrom<N>>(number: N) -> W {
    sure(number.try_into().ok())
}

/// Returns a length as the wire counts: no target has a `usize` of more than 64 bits.
#[inline(always)]
pub(crate) fn to_u64(len: usize) -> u64 {
    debug_assert!(u64::try_from(len).is_ok(), "a usize of more than 64 bits");
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// Returns a length that the peer has announced, or `usize::MAX` if it is longer than any memory.
#[inline(always)]
pub(crate) fn to_usize(len: u64) -> usize {
    usize::try_from(len).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_of_the_slice() {
        let mut bytes = [1, 2, 3];
        assert_eq!(part(&bytes, 1..), [2, 3]);
        part_mut(&mut bytes, ..1).copy_from_slice(&[7]);
        assert_eq!((bytes, narrow::<_, u8>(255_usize)), ([7, 2, 3], 255));
    }

    #[test]
    #[cfg(debug_assertions)]
    #[should_panic = "an invariant does not hold"]
    fn a_range_beyond_the_slice_is_seen_in_a_debug_build() {
        let _ = part(&[1, 2, 3], 1..4);
    }

    #[test]
    #[cfg(not(debug_assertions))]
    fn a_range_beyond_the_slice_is_empty_in_a_release_build() {
        assert_eq!(part(&[1, 2, 3], 1..4), []);
    }
}
