//! Floor F6: a matrix with few columns or few rows, from its entries to its outcome.
//!
//! Its Gram matrix is formed at one read and solved by the direct method, at whatever length of the
//! other side; a second read is for vectors.

use crate::algorithms::direct::{self, Raw, Shape, Wanted};
use crate::algorithms::lanczos::{Outcome, Vectors};
use crate::complex;
use crate::error::Error;
use crate::matrix::Matrix;
use crate::operator::skinny::gram;
use crate::operator::{Dense, LinearOperator, MAX_EXPONENT, Runner};
use crate::simd::Level;

/// Largest entries of which the squares, and the sums of those, are far from the ends of the range.
const SAFE_RANGE: std::ops::Range<f64> = 1e-100..1e100;

/// Solves a matrix of a `shape` as the direct method sees it.
///
/// # Errors
/// [`Error::Interrupted`] when the runner says so.
pub(crate) fn solve<R: Runner + Copy>(
    matrix: &Matrix<'_>,
    shape: Shape,
    wanted: Wanted,
    level: Level,
    runner: R,
) -> Result<Outcome, Error> {
    let (max_abs, mut products) = gram(level, matrix, (1.0, 1.0), &runner)?;
    let raw = Raw { max_abs, sum_of_squares: products.trace() / shape.copies as f64 };
    let is_far = raw.is_regular() && !SAFE_RANGE.contains(&max_abs);
    if is_far {
        products = gram(level, matrix, raw.factors(), &runner)?.1;
    } else if raw.is_regular() {
        let (factor, _) = raw.factors();
        products.scale(factor * factor);
    }
    let pass = |right: Vec<f64>| {
        let exponent = raw.exponent().clamp(-MAX_EXPONENT, MAX_EXPONENT);
        match matrix.complex {
            true => complex::pass(matrix, &right, exponent, level, runner),
            false => pass(Dense::new(*matrix, level, runner), right, exponent, level),
        }
    };
    let mut outcome = direct::by_gram(level, &mut products, raw, shape, wanted, pass)?;
    outcome.n_passes += usize::from(is_far);
    Ok(outcome)
}

/// The vectors of a right one, by one pass in the units of `2^exponent`.
pub(crate) fn pass(
    mut op: impl LinearOperator,
    right: Vec<f64>,
    exponent: i32,
    level: Level,
) -> Result<Vectors, Error> {
    let (nrows, ncols) = op.shape();
    let (mut t, mut z) = (vec![0.0; nrows], vec![0.0; ncols]);
    op.set_exponent(exponent);
    op.gram_matvec(&right, &mut t, &mut z)?;
    Ok(Vectors::from_pass(level, right, &t, &mut z))
}
