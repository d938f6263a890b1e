//! Products of two matrices: the one place that hands work to the library that multiplies them.
//!
//! `ndarray` calls `matrixmultiply`, which packs, runs a register-blocked kernel of this CPU and
//! sums each entry's products in order. What the proof of a rigorous bound needs of it is in
//! `docs/proof.md`: conventional sums in any order, with or without fused multiply-adds, rounded
//! to nearest.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayRef2, ArrayView2, s};

/// `c -= a b'`.
pub(crate) fn subtract_product(
    c: &mut ArrayRef2<f64>,
    a: ArrayView2<'_, f64>,
    b: ArrayView2<'_, f64>,
) {
    general_mat_mul(-1.0, &a, &b.t(), 1.0, c);
}

/// The lower triangle of `c -= a a'`, by its two halves of rows; what lies above it is unspecified.
pub(crate) fn subtract_square(c: &mut ArrayRef2<f64>, a: ArrayView2<'_, f64>) {
    let half = a.nrows() / 2;
    let (above, below) = (a.slice(s![..half, ..]), a.slice(s![half.., ..]));
    subtract_product(&mut c.slice_mut(s![..half, ..half]), above, above);
    subtract_product(&mut c.slice_mut(s![half.., ..]), below, a);
}
