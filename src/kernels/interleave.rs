//! Eight small matrices of one shape and layout into the lanes of one array of entries.

use crate::simd::{Kernel, Level, Load, Simd, Vector};

use super::eight::Entry;

struct Interleave<'a, 'w, T> {
    sources: [&'a [T]; 8],
    ncols: usize,
    strides: (usize, usize),
    entries: &'w mut [Entry],
}

impl<T: Load<f64, 8>> Kernel for Interleave<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self { sources, ncols, strides: (row, column), entries } = self;
        // One length for all lanes leaves one check of each offset.
        let sources = sources.map(|source| &source[..entries.len()]);
        for (i, entries) in entries.chunks_exact_mut(ncols).enumerate() {
            for (j, entry) in entries.iter_mut().enumerate() {
                let at = i * row + j * column;
                T::load(s, &std::array::from_fn(|lane| sources[lane][at])).store(entry);
            }
        }
    }
}

/// Puts element `i * strides.0 + j * strides.1` of each source into its lane of entry `(i, j)`,
/// exactly.
pub(crate) fn interleave<T: Load<f64, 8>>(
    level: Level,
    sources: [&[T]; 8],
    ncols: usize,
    strides: (usize, usize),
    entries: &mut [Entry],
) {
    level.run(Interleave { sources, ncols, strides, entries });
}
