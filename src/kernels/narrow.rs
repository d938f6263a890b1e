//! Rows copied in single precision, and what the same read learns of their entries.

use std::ops::Range;

use crate::matrix::MatRef;
use crate::simd::{Kernel, Simd};

use super::reduce::{Moments, row_moments};

/// Copies `rows` of `scale * A`, each entry rounded once, and gathers the [`Moments`] of what they
/// were.
pub(crate) struct NarrowRows<'a, 'w> {
    pub(crate) a: MatRef<'a, f64>,
    pub(crate) rows: Range<usize>,
    pub(crate) scale: f64,
    pub(crate) out: &'w mut [f32],
}

impl Kernel for NarrowRows<'_, '_> {
    type Output = Moments;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> Moments {
        let mut moments = Moments::EMPTY;
        let width = self.a.ncols().max(1);
        for (i, out) in self.rows.zip(self.out.chunks_exact_mut(width)) {
            let row = self.a.row(i);
            let (max_abs, sum_of_squares) = row_moments::<S, f64, f64, 8>(s, row, self.scale);
            moments = moments.join(Moments { max_abs, sum_of_squares });
            for (out, x) in out.iter_mut().zip(row) {
                *out = (x * self.scale) as f32;
            }
        }
        moments
    }
}
