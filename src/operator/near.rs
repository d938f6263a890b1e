//! A copy of a matrix in double precision that is read dozens of times from a near cache.
//!
//! Memory from an allocator lies 16 bytes past a cache line as a rule, so that every load of a virtual vector
//! touches two lines. From the second-level cache that costs up to a quarter of a pass; the copy costs less
//! than two. Where the rows lie never shows in a result.

use crate::matrix::{MatRef, Matrix, Storage};
use crate::simd::{Aligned, LANES, LINE};

/// Elements of a copy at most: it is to stay in the second-level cache.
pub(crate) const MAX_ELEMENTS: usize = 1 << 18;

/// The rows of a matrix, each of which begins a cache line.
pub(crate) struct NearCopy {
    elements: Aligned,
    nrows: usize,
    ncols: usize,
}

impl NearCopy {
    /// A copy of a real matrix whose rows are whole lines long but begin within one, if it is small enough.
    pub(crate) fn of(matrix: &Matrix<'_>) -> Option<Self> {
        let Storage::F64(a) = matrix.storage else { return None };
        let data = a.packed()?;
        let fits = !matrix.complex && a.ncols().is_multiple_of(LANES) && data.len() <= MAX_ELEMENTS;
        if !fits || data.as_ptr().addr().is_multiple_of(LINE) {
            return None;
        }
        let mut elements = Aligned::zeros(data.len());
        elements.copy_from_slice(data);
        Some(Self { elements, nrows: a.nrows(), ncols: a.ncols() })
    }

    /// The matrix of which this is a copy, to be read from here.
    pub(crate) fn view(&self, original: &Matrix<'_>) -> Matrix<'_> {
        let a = MatRef::from_slice(&self.elements, self.nrows, self.ncols)
            .expect("a copy has as many elements");
        Matrix { storage: Storage::F64(a), transposed: original.transposed, complex: false }
    }
}
