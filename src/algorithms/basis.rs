//! The Lanczos vectors, packed row by row, and the reorthogonalisation against all of them.

use crate::kernels::matvec::{matvec, rmatvec};
use crate::kernels::reduce::nrm2;
use crate::matrix::MatRef;
use crate::simd::Level;

/// A second sweep is made when the first one shortens the vector by more than this (Kahan's
/// "twice is enough" criterion).
const SHRINK: f64 = 0.7;

/// A vector still shrinking after this many sweeps is rounding noise inside the span.
const SWEEPS: usize = 3;

/// Orthonormal vectors of one length.
pub(crate) struct Basis {
    n: usize,
    packed: Vec<f64>,
    coefficients: Vec<f64>,
}

impl Basis {
    pub(crate) fn new(n: usize) -> Self {
        Self { n, packed: Vec::new(), coefficients: Vec::new() }
    }

    /// Number of vectors.
    pub(crate) fn len(&self) -> usize {
        self.packed.len() / self.n
    }

    /// Appends a unit vector.
    pub(crate) fn push(&mut self, v: &[f64]) {
        self.packed.extend_from_slice(v);
    }

    /// Vector `j`.
    pub(crate) fn vector(&self, j: usize) -> &[f64] {
        &self.packed[j * self.n..(j + 1) * self.n]
    }

    fn matrix(&self) -> MatRef<'_, f64> {
        MatRef::from_slice(&self.packed, self.len(), self.n).expect("only whole vectors are pushed")
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

    fn project_out(&mut self, level: Level, z: &mut [f64]) {
        let mut coefficients = std::mem::take(&mut self.coefficients);
        coefficients.resize(self.len(), 0.0);
        matvec(level, self.matrix(), z, &mut coefficients);
        coefficients.iter_mut().for_each(|c| *c = -*c);
        rmatvec(level, self.matrix(), &coefficients, z);
        self.coefficients = coefficients;
    }

    /// `sum_j y[j] * vector(j)`.
    pub(crate) fn combine(&self, level: Level, y: &[f64]) -> Vec<f64> {
        let mut x = vec![0.0; self.n];
        rmatvec(level, self.matrix(), y, &mut x);
        x
    }
}
