use std::io::IoSlice;

use crate::connection::write_len;

/// Room for the front of slices that are too long for one write. A connection writes up to three.
#[derive(Debug)]
pub struct WriteFront<'s>([IoSlice<'s>; 4]);

impl Default for WriteFront<'_> {
    fn default() -> Self {
        Self([IoSlice::new(&[]); 4])
    }
}

impl<'s> WriteFront<'s> {
    /// Returns `slices`, or as much of their front as a socket had better be given [at once](write_len).
    #[inline]
    pub fn of(&'s mut self, slices: &'s [IoSlice<'s>]) -> &'s [IoSlice<'s>] {
        let len = slices.iter().map(|slice| slice.len()).sum();
        let mut left = write_len(len);
        if left == len {
            return slices;
        }
        let mut count = 0;
        for (front, slice) in self.0.iter_mut().zip(slices) {
            *front = IoSlice::new(slice.get(..left).unwrap_or(slice));
            (left, count) = (left - front.len(), count + 1);
            if left == 0 {
                break;
            }
        }
        self.0.get(..count).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn the_front_is_all_or_the_first_of_equal_parts() {
        let bytes = [7; 200_000];
        let lens = |lens: &[usize]| {
            let slices: Vec<_> = lens.iter().map(|len| IoSlice::new(&bytes[..*len])).collect();
            WriteFront::default().of(&slices).iter().map(|slice| slice.len()).collect::<Vec<_>>()
        };
        assert_eq!(lens(&[10, 60_000]), [10, 60_000]);
        assert_eq!(lens(&[1; 10]), [1; 10]);
        assert_eq!(lens(&[10, 100_000]), [10, 49_995]);
        assert_eq!(lens(&[100_000, 10]), [50_005]);
        assert_eq!(lens(&[0, 200_000, 10]), [0, 50_003]);
        assert_eq!(lens(&[90_000, 100_000, 10]), [63_337]);
        // Only the first few of many.
        assert_eq!(lens(&[10_000; 10]), [10_000; 4]);
        assert_eq!(lens(&[]), []);
    }
}
