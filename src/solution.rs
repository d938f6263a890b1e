//! Floor F6: one matrix from its layout to its answer.
//!
//! The algorithm works on an operator with its short side as columns, in units of a power of two.
//! Here the answer is turned back: vectors to the side the caller calls right, numbers to the
//! matrix's own units, degenerate input to the value the documentation promises.

use std::time::{Duration, Instant};

use crate::algorithms::certificate;
use crate::algorithms::lanczos::{self, Found, Outcome, Settings};
use crate::algorithms::stopping::Target;
use crate::api::{Goal, Request};
use crate::error::Error;
use crate::kernels::matvec::{matvec, rmatvec};
use crate::matrix::{Matrix, with_storage};
use crate::operator::{Dense, Runner};
use crate::scalar::{Element, ldexp, ldexp_down, ldexp_up};
use crate::simd::Level;

/// How sigma was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// The answer needs no arithmetic: an empty, zero or non-finite matrix.
    Trivial,
    /// Fused Lanczos.
    Lanczos,
}

/// What the first pass over a matrix learns of its entries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entries {
    /// The largest finite magnitude.
    pub max_abs: f64,
    /// The Frobenius norm, NaN or infinite when an entry is.
    pub fro: f64,
    /// How many entries are NaN or infinite.
    pub n_nonfinite: usize,
}

/// The leading singular triplet of one matrix and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// The largest singular value (sigma, never its square).
    pub sigma: f64,
    /// Left unit vector, of length `nrows`; empty unless asked for.
    pub u: Vec<f64>,
    /// Right unit vector, of length `ncols`; empty unless asked for.
    pub v: Vec<f64>,
    /// The second Ritz value, NaN when none was found.
    pub second: f64,
    /// Lower end of the interval that holds sigma.
    pub lower: f64,
    /// Upper end of the interval that holds sigma.
    pub upper: f64,
    /// `sqrt(|A v - sigma u|^2 + |A' u - sigma v|^2) / sigma`; NaN unless vectors were asked for.
    pub residual: f64,
    /// Reads of the matrix.
    pub n_passes: usize,
    /// Whether the goal was reached.
    pub converged: bool,
    /// How sigma was found.
    pub method: Method,
    /// What the first pass saw.
    pub entries: Entries,
    /// The time from the first read to the answer.
    pub elapsed: Duration,
}

/// Solves one matrix.
pub(crate) fn solve_one<R: Runner>(
    matrix: &Matrix<'_>,
    v0: Option<&[f64]>,
    request: &Request<'_>,
    level: Level,
    runner: R,
) -> Result<Solution, Error> {
    let begin = Instant::now();
    if matrix.is_empty() {
        return Ok(Solution::trivial(matrix, 0.0, request.vectors));
    }
    let mut op = Dense::new(*matrix, level, runner);
    let turned = op.is_transposed();
    let turned_v0 = v0.filter(|_| turned).map(|v0| product(matrix, v0, level));
    let settings = Settings {
        level,
        target: target(matrix, request.goal),
        maxiter: request.maxiter,
        seed: request.seed,
        v0: turned_v0.as_deref().or(v0),
        vectors: request.vectors,
    };
    let outcome = match request.goal {
        Goal::Rigorous { width, rtol } => {
            let rtol = rtol.unwrap_or_else(|| default_rtol(matrix));
            certificate::run(&mut op, settings, certificate::Goal { width, rtol })?
        }
        _ => lanczos::run(&mut op, settings)?,
    };
    let mut solution = Solution::from_outcome(matrix, outcome, turned, request.vectors);
    if let Goal::Rigorous { width, .. } = request.goal {
        // The ends may have moved on their way into the subnormal numbers.
        let is_narrow = solution.upper <= (1.0 + width) * solution.lower;
        solution.converged &= is_narrow || solution.sigma.is_nan();
    }
    Ok(Solution { elapsed: begin.elapsed(), ..solution })
}

fn target(matrix: &Matrix<'_>, goal: Goal) -> Target {
    match goal {
        Goal::Rtol(rtol) | Goal::Rigorous { rtol, .. } => {
            Target::Rtol(rtol.unwrap_or_else(|| default_rtol(matrix)))
        }
        Goal::Width { width, failure_prob } => Target::Width { width, failure_prob },
    }
}

fn default_rtol(matrix: &Matrix<'_>) -> f64 {
    if matrix.is_wide() { 1e-10 } else { 1e-6 }
}

/// `A x` in the caller's orientation.
fn product(matrix: &Matrix<'_>, x: &[f64], level: Level) -> Vec<f64> {
    let mut y = vec![0.0; matrix.shape().0];
    with_storage!(matrix.storage, a => match matrix.transposed {
        true => rmatvec(level, a, x, &mut y),
        false => matvec(level, a, x, &mut y),
    });
    y
}

impl Solution {
    fn from_outcome(matrix: &Matrix<'_>, outcome: Outcome, turned: bool, vectors: bool) -> Self {
        let Outcome { entries, n_passes, found } = outcome;
        let exponent = entries.exponent;
        let Some(found) = found else {
            let mut solution = Self::trivial(matrix, degenerate_sigma(&entries), vectors);
            solution.n_passes = n_passes;
            return solution;
        };
        let entries = Entries {
            max_abs: ldexp(entries.max_abs, exponent),
            fro: ldexp(entries.sum_of_squares.sqrt(), exponent),
            n_nonfinite: 0,
        };
        let mut solution = Self {
            sigma: ldexp(found.sigma, exponent),
            u: Vec::new(),
            v: Vec::new(),
            second: ldexp(found.second, exponent),
            lower: ldexp_down(found.lower, exponent),
            upper: ldexp_up(found.upper, exponent),
            residual: f64::NAN,
            n_passes,
            converged: found.converged,
            method: Method::Lanczos,
            entries,
            elapsed: Duration::ZERO,
        };
        solution.take_vectors(found, turned);
        solution
    }

    fn take_vectors(&mut self, found: Found, turned: bool) {
        let Some(vectors) = found.vectors else { return };
        (self.u, self.v) = match turned {
            true => (vectors.right, vectors.left),
            false => (vectors.left, vectors.right),
        };
        self.residual = vectors.residual;
        if self.sigma.is_infinite() {
            self.u.fill(f64::NAN);
            self.v.fill(f64::NAN);
        }
    }

    /// The answer for a matrix whose sigma is zero, infinite or NaN whatever its vectors.
    fn trivial(matrix: &Matrix<'_>, sigma: f64, vectors: bool) -> Self {
        let (nrows, ncols) = matrix.shape();
        let unit = |n: usize| if vectors { first_axis(n, sigma) } else { Vec::new() };
        Self {
            sigma,
            u: unit(nrows),
            v: unit(ncols),
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
fn degenerate_sigma(entries: &lanczos::Entries) -> f64 {
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
    fn rows<T: Element>(a: crate::matrix::MatRef<'_, T>) -> Entries {
        let mut entries = ZERO_ENTRIES;
        for x in (0..a.nrows()).flat_map(|i| a.row(i)).map(|x| x.to_f64()) {
            entries.fro += x * x;
            match x.is_finite() {
                true => entries.max_abs = entries.max_abs.max(x.abs()),
                false => entries.n_nonfinite += 1,
            }
        }
        entries.fro = entries.fro.sqrt();
        entries
    }
    with_storage!(matrix.storage, a => rows(a))
}
