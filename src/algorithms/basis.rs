//! The Lanczos vectors, row by row, and the reorthogonalisation against all of them.

use ndarray::{ArrayView2, s};

use crate::kernels::fused::FusedRows;
use crate::kernels::matvec::rmatvec;
use crate::kernels::reduce::nrm2;
use crate::matrix::MatRef;
use crate::simd::{Aligned, LANES, Level};

/// A second sweep is made when the first one shortens the vector by more than this (Kahan's
/// "twice is enough" criterion).
const SHRINK: f64 = 0.7;

/// A vector still shrinking after this many sweeps is rounding noise inside the span.
const SWEEPS: usize = 3;

/// Vectors that room is made for at first; most matrices need no more.
const CAPACITY: usize = 16;

/// Orthonormal vectors of one length, each on a cache line of its own.
pub(crate) struct Basis {
    n: usize,
    stride: usize,
    len: usize,
    rows: Aligned,
    coefficients: Vec<f64>,
    before: Vec<f64>,
}

impl Basis {
    /// No vectors, of length `n`, of which at most `n` will come.
    pub(crate) fn new(n: usize) -> Self {
        let stride = n.next_multiple_of(LANES);
        let rows = Aligned::with_capacity(stride * n.min(CAPACITY));
        Self { n, stride, len: 0, rows, coefficients: Vec::new(), before: Vec::new() }
    }

    /// Number of vectors.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Appends a unit vector.
    pub(crate) fn push(&mut self, v: &[f64]) {
        let used = self.len * self.stride;
        self.rows.grow(self.stride);
        self.rows[used..used + self.n].copy_from_slice(v);
        self.len += 1;
    }

    /// Vector `j`.
    pub(crate) fn vector(&self, j: usize) -> &[f64] {
        &self.rows[j * self.stride..][..self.n]
    }

    fn matrix(&self) -> MatRef<'_, f64> {
        let padded = (self.len, self.stride);
        let rows = ArrayView2::from_shape(padded, &self.rows[..self.len * self.stride]);
        let rows = rows.expect("the slice has as many elements as the shape");
        MatRef::from_view(rows.slice_move(s![.., ..self.n])).expect("its rows are contiguous")
    }

    /// Removes from `z` its components along all vectors and returns its norm.
    pub(crate) fn orthogonalize(&mut self, level: Level, z: &mut [f64]) -> f64 {
        let mut before = nrm2(level, z);
        for _ in 0..SWEEPS {
            self.project_out(level, z);
            let after = nrm2(level, z);
            if after >= SHRINK * before {
                return after;
            }
            before = after;
        }
        before
    }

    /// Classical Gram-Schmidt at one read of the basis: the fused pass of `z - V' (V z)`.
    fn project_out(&mut self, level: Level, z: &mut [f64]) {
        let mut coefficients = std::mem::take(&mut self.coefficients);
        let mut before = std::mem::take(&mut self.before);
        coefficients.resize(self.len, 0.0);
        before.clear();
        before.extend_from_slice(z);
        let (a, range, x, t) = (self.matrix(), 0..self.len, &before[..], &mut coefficients[..]);
        level.run(FusedRows { a, range, x, scale: -1.0, t, z });
        self.coefficients = coefficients;
        self.before = before;
    }

    /// `sum_j y[j] * vector(j)`.
    pub(crate) fn combine(&self, level: Level, y: &[f64]) -> Vec<f64> {
        let mut x = vec![0.0; self.n];
        rmatvec(level, self.matrix(), y, &mut x);
        x
    }
}

#[cfg(test)]
#[path = "../../tests/rust/unit/basis.rs"]
mod tests;
