//! Floor F6: the answers that need no arithmetic, for matrices that are empty, zero or not finite.

use std::time::Duration;

use crate::algorithms::lanczos;
use crate::complex;
use crate::matrix::{MatRef, Matrix, Storage};
use crate::scalar::{Element, with_typed};

use super::{Entries, Method, Solution};

impl Solution {
    /// The answer for a matrix whose sigma is zero, infinite or NaN whatever its vectors.
    pub(super) fn trivial(matrix: &Matrix<'_>, sigma: f64, vectors: bool) -> Self {
        let (nrows, ncols) = matrix.shape();
        let unit = |n: usize| if vectors { first_axis(n, sigma) } else { Vec::new() };
        Self {
            sigma,
            u: unit(matrix.parts() * nrows),
            v: unit(matrix.parts() * ncols),
            second: if sigma == 0.0 { 0.0 } else { f64::NAN },
            lower: sigma,
            upper: sigma,
            residual: if sigma == 0.0 { 0.0 } else { f64::NAN },
            n_passes: 0,
            converged: true,
            method: Method::Trivial,
            entries: if sigma == 0.0 { ZERO_ENTRIES } else { scan(matrix) },
            elapsed: Duration::ZERO,
        }
    }
}

const ZERO_ENTRIES: Entries = Entries { max_abs: 0.0, fro: 0.0, n_nonfinite: 0 };

/// Any unit vector is right for a zero matrix; none is for a NaN or infinite one.
fn first_axis(n: usize, sigma: f64) -> Vec<f64> {
    let mut x = vec![if sigma == 0.0 { 0.0 } else { f64::NAN }; n];
    if let Some(first) = x.first_mut().filter(|_| sigma == 0.0) {
        *first = 1.0;
    }
    x
}

/// NaN wins over infinity: a sum of squares is NaN only when an entry is.
pub(super) fn degenerate_sigma(entries: &lanczos::Entries) -> f64 {
    if entries.sum_of_squares.is_nan() {
        f64::NAN
    } else if entries.max_abs == 0.0 {
        0.0
    } else {
        f64::INFINITY
    }
}

/// Counts what is not finite, entry by entry: the slow path of matrices that are broken anyway.
fn scan(matrix: &Matrix<'_>) -> Entries {
    fn rows<T: Element>(a: MatRef<'_, T>, parts: usize) -> Entries {
        let mut entries = ZERO_ENTRIES;
        for x in (0..a.nrows()).flat_map(|i| a.row(i).chunks_exact(parts)) {
            entries.fro += x.iter().map(|x| x.to_f64() * x.to_f64()).sum::<f64>();
            let largest = x.iter().fold(0.0_f64, |m, x| m.max(x.to_f64().abs()));
            match x.iter().all(|x| x.to_f64().is_finite()) {
                true => entries.max_abs = entries.max_abs.max(largest),
                false => entries.n_nonfinite += 1,
            }
        }
        entries.fro = entries.fro.sqrt();
        entries
    }
    let entries = with_typed!(Storage, matrix.storage, a => rows(a, matrix.parts()));
    let modulus = matrix.complex.then(|| complex::largest_modulus(matrix));
    Entries { max_abs: modulus.unwrap_or(entries.max_abs), ..entries }
}
