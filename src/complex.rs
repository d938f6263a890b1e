//! Floor F6: complex matrices in, complex vectors out.
//!
//! Algorithms know complex matrices in one of two real forms: the operator of the stored parts,
//! with vectors of pairs, or the real matrix of twice the size. What differs from a real matrix on
//! the way in and out is here. Vectors outside are pairs too: real and imaginary parts side by
//! side.

use std::ops::Neg;

use crate::algorithms::certificate;
use crate::algorithms::lanczos::{self, Outcome, Settings, Vectors};
use crate::error::Error;
use crate::kernels::matvec::rmatvec;
use crate::kernels::modulus::largest_square;
use crate::matrix::{MatRef, Matrix, Storage, Store};
use crate::operator::complex::{ComplexDense, adjoint_product};
use crate::operator::gather::{adjoint, widened};
use crate::operator::{Dense, Runner};
use crate::scalar::{Element, exponent, halved_power, ldexp, with_typed};
use crate::simd::{Level, Load};
use crate::skinny;

/// Runs Lanczos on a complex matrix; the start of `settings` is the caller's right vector.
///
/// The operator is the stored rows where there are enough of them, else their adjoint, copied once.
/// For a matrix stored by columns that is the conjugate of what the caller has, or of its adjoint:
/// the same singular values, conjugate vectors.
///
/// # Errors
/// [`Error::Interrupted`] when the runner says so.
pub(crate) fn iterate<R: Runner>(
    matrix: &Matrix<'_>,
    settings: Settings<'_>,
    runner: R,
) -> Result<Outcome, Error> {
    let mut outcome = with_typed!(Storage, matrix.storage, a => {
        on_rows(matrix, a, |rows| upright(matrix, rows, settings, runner))
    })?;
    let vectors = outcome.found.as_mut().and_then(|found| found.vectors.as_mut());
    if let Some(vectors) = vectors {
        turn_back(matrix, vectors);
    }
    Ok(outcome)
}

/// The vectors of a right one, which comes with all real parts before all imaginary ones, by one
/// pass of the same operator in the units of `2^exponent`.
///
/// # Errors
/// As [`iterate`].
pub(crate) fn pass<R: Runner>(
    matrix: &Matrix<'_>,
    right: &[f64],
    exponent: i32,
    level: Level,
    runner: R,
) -> Result<Vectors, Error> {
    let right = pairs(right);
    let mut vectors = with_typed!(Storage, matrix.storage, a => on_rows(matrix, a, |rows| {
        skinny::pass(ComplexDense::new(parts(rows), level, runner), right, exponent, level)
    }))?;
    turn_back(matrix, &mut vectors);
    Ok(vectors)
}

/// Has `f` look at the rows of the operator for `matrix`.
fn on_rows<T: Element + Neg<Output = T>, Out>(
    matrix: &Matrix<'_>,
    a: MatRef<'_, T>,
    f: impl FnOnce(MatRef<'_, T>) -> Out,
) -> Out {
    let ((nrows, ncols), turned) = matrix.upright();
    if turned == matrix.transposed {
        return f(a);
    }
    let copy = adjoint(a);
    f(MatRef::from_slice(&copy, nrows, 2 * ncols).expect("as many pairs as entries"))
}

/// Rows of pairs as a real matrix.
fn parts<T: Store>(rows: MatRef<'_, T>) -> Matrix<'_> {
    Matrix { storage: T::store(rows), transposed: false, complex: false }
}

/// The vectors of the operator as those of the matrix.
fn turn_back(matrix: &Matrix<'_>, vectors: &mut Vectors) {
    if matrix.transposed {
        conjugate(&mut vectors.left);
        conjugate(&mut vectors.right);
    }
}

/// `rows` are those of the operator for `matrix`.
fn upright<T: Store + Load<f64, 8>, R: Runner>(
    matrix: &Matrix<'_>,
    rows: MatRef<'_, T>,
    settings: Settings<'_>,
    runner: R,
) -> Result<Outcome, Error> {
    let turned = matrix.upright().1;
    let start = settings.v0.map(|v0| {
        let mut v0 = v0.to_vec();
        if matrix.transposed {
            conjugate(&mut v0);
        }
        if turned { adjoint_times(settings.level, rows, &v0) } else { v0 }
    });
    let mut op = ComplexDense::new(parts(rows), settings.level, runner);
    lanczos::run(&mut op, Settings { v0: start.as_deref(), ..settings })
}

/// Proves an interval by way of the real matrix of twice the size, which has every singular value
/// twice. The proof does not speak of the start, so none is taken over.
///
/// # Errors
/// [`Error::Interrupted`] when the runner says so.
pub(crate) fn prove<R: Runner + Copy>(
    matrix: &Matrix<'_>,
    settings: Settings<'_>,
    goal: certificate::Goal,
    runner: R,
) -> Result<Outcome, Error> {
    let copy = widened(settings.level, matrix, (1.0, 1.0));
    let (nrows, ncols) = copy.shape();
    let rows: Vec<f64> = (0..nrows).flat_map(|i| copy.row(i)).copied().collect();
    let doubled = Matrix::from_slice(&rows, nrows, ncols).expect("as many entries as the shape");
    let mut op = Dense::new(doubled, settings.level, runner);
    let mut outcome = certificate::run(&mut op, Settings { v0: None, ..settings }, goal)?;
    outcome.entries.sum_of_squares *= 0.5;
    pair_up(&mut outcome);
    Ok(outcome)
}

/// `B^H x`, where `rows` are the parts of `B`.
fn adjoint_times<T: Load<f64, 8>>(level: Level, rows: MatRef<'_, T>, x: &[f64]) -> Vec<f64> {
    let product = |part: usize| {
        let x: Vec<f64> = x.as_chunks::<2>().0.iter().map(|pair| pair[part]).collect();
        let mut y = vec![0.0; rows.ncols()];
        rmatvec(level, rows, &x, &mut y);
        y
    };
    let mut z = vec![0.0; rows.ncols()];
    adjoint_product(&product(0), &product(1), &mut z);
    z
}

fn conjugate(x: &mut [f64]) {
    x.as_chunks_mut::<2>().0.iter_mut().for_each(|[_, im]| *im = -*im);
}

/// Turns vectors of the real matrix of twice the size, all real parts before all imaginary ones,
/// into pairs.
pub(crate) fn pair_up(outcome: &mut Outcome) {
    let vectors = outcome.found.as_mut().and_then(|found| found.vectors.as_mut());
    if let Some(Vectors { left, right, .. }) = vectors {
        *left = pairs(left);
        *right = pairs(right);
    }
}

fn pairs(x: &[f64]) -> Vec<f64> {
    let (re, im) = x.split_at(x.len() / 2);
    re.iter().zip(im).flat_map(|(&re, &im)| [re, im]).collect()
}

/// The largest modulus of an entry, all of which are finite, by the largest magnitude of a part.
pub(crate) fn modulus(level: Level, matrix: &Matrix<'_>, part: f64) -> f64 {
    let factors = halved_power(-exponent(part));
    let square = with_typed!(Storage, matrix.storage, a => {
        let rows = || (0..a.nrows()).map(|i| a.row(i));
        let whole = a.packed().into_iter().chain(rows().filter(|_| a.packed().is_none()));
        whole.map(|pairs| largest_square(level, pairs, factors)).fold(0.0, f64::max)
    });
    ldexp(square.sqrt(), exponent(part))
}

/// The largest modulus of an entry that is finite, whatever the others are.
pub(crate) fn largest_modulus(matrix: &Matrix<'_>) -> f64 {
    fn largest<T: Element>(a: MatRef<'_, T>) -> f64 {
        let pairs = || (0..a.nrows()).flat_map(|i| a.row(i).as_chunks::<2>().0);
        let parts = || pairs().map(|pair| pair.map(T::to_f64)).filter(is_finite);
        let part = parts().flatten().fold(0.0_f64, |m, x| m.max(x.abs()));
        if part == 0.0 {
            return 0.0;
        }
        // Squares of numbers near one neither overflow nor vanish.
        let (first, second) = halved_power(-exponent(part));
        let square = |pair: [f64; 2]| pair.map(|x| x * first * second).map(|x| x * x);
        let squares = parts().map(square).fold(0.0_f64, |m, [re, im]| m.max(re + im));
        ldexp(squares.sqrt(), exponent(part))
    }
    with_typed!(Storage, matrix.storage, a => largest(a))
}

fn is_finite(pair: &[f64; 2]) -> bool {
    pair.iter().all(|x| x.is_finite())
}
