//! A complex matrix as an operator, by two fused passes over its parts.
//!
//! Let `R` be the real matrix of the parts of `A`, real and imaginary side by side, and `x` a
//! complex vector. A row of `R` times `(re x, -im x)` is the real part of `A x`, and times
//! `(im x, re x)` the imaginary part. With `t = A x` and the products `y = R' re t`, `w = R' im t`,
//! the parts of `A^H t` are `y_re + w_im` and `w_re - y_im`. So one complex pass is two real ones,
//! and everything below is shared with them.

use crate::error::Error;
use crate::matrix::Matrix;
use crate::simd::{Aligned, Level};

use super::{Dense, LinearOperator, Partition, Runner};

/// A complex matrix stored by rows, with at least as many rows as columns.
pub(crate) struct ComplexDense<'a, R> {
    parts: Dense<'a, R>,
    x: Aligned,
    t: [Vec<f64>; 2],
    z: [Vec<f64>; 2],
}

impl<'a, R: Runner> ComplexDense<'a, R> {
    /// Lays out the stored rows of a matrix, whether or not the caller's is their transpose.
    pub(crate) fn new(matrix: Matrix<'a>, level: Level, runner: R) -> Self {
        let parts = Matrix { complex: false, transposed: false, ..matrix };
        let (nrows, ncols) = parts.shape();
        let partition = Partition::new(nrows, ncols, false);
        Self {
            parts: Dense::cut(parts, partition, level, runner),
            x: Aligned::zeros(ncols),
            t: [vec![0.0; nrows], vec![0.0; nrows]],
            z: [vec![0.0; ncols], vec![0.0; ncols]],
        }
    }

    fn pass(
        &mut self,
        v: &[f64],
        t: &mut [f64],
        z: &mut [f64],
        survey: bool,
    ) -> Result<(f64, f64), Error> {
        let Self { parts, x, t: halves, z: products } = self;
        x.copy_from_slice(v);
        x.as_chunks_mut::<2>().0.iter_mut().for_each(|[_, im]| *im = -*im);
        let moments = parts.pass(x, &mut halves[0], &mut products[0], survey)?;
        for (x, v) in x.as_chunks_mut::<2>().0.iter_mut().zip(v.as_chunks::<2>().0) {
            *x = [v[1], v[0]];
        }
        parts.pass(x, &mut halves[1], &mut products[1], false)?;
        for (t, parts) in t.as_chunks_mut::<2>().0.iter_mut().zip(halves[0].iter().zip(&halves[1]))
        {
            *t = [*parts.0, *parts.1];
        }
        adjoint_product(&products[0], &products[1], z);
        Ok((moments.max_abs, moments.sum_of_squares))
    }
}

/// `A^H t` from the products of the transposed parts with the parts of `t`.
pub(crate) fn adjoint_product(with_re: &[f64], with_im: &[f64], z: &mut [f64]) {
    let products = with_re.as_chunks::<2>().0.iter().zip(with_im.as_chunks::<2>().0);
    for (z, (y, w)) in z.as_chunks_mut::<2>().0.iter_mut().zip(products) {
        *z = [y[0] + w[1], w[0] - y[1]];
    }
}

impl<R: Runner> LinearOperator for ComplexDense<'_, R> {
    fn shape(&self) -> (usize, usize) {
        (2 * self.parts.partition.nrows, self.parts.partition.ncols)
    }

    fn is_complex(&self) -> bool {
        true
    }

    fn gram_matvec(&mut self, v: &[f64], t: &mut [f64], z: &mut [f64]) -> Result<(), Error> {
        self.pass(v, t, z, false).map(|_| ())
    }

    fn survey(&mut self, v: &[f64], t: &mut [f64], z: &mut [f64]) -> Result<(f64, f64), Error> {
        self.pass(v, t, z, true)
    }

    fn set_exponent(&mut self, exponent: i32) {
        self.parts.set_exponent(exponent);
    }
}

#[cfg(test)]
#[path = "../../tests/rust/unit/complex.rs"]
mod tests;
