//! Floor F6: one matrix from its layout to its answer.
//!
//! The algorithm works on an operator with its short side as columns, in units of a power of two.
//! Here the answer is turned back: vectors to the side the caller calls right, numbers to the
//! matrix's own units, degenerate input to the value the documentation promises.

mod degenerate;

use std::time::{Duration, Instant};

use crate::algorithms::certificate;
use crate::algorithms::direct::{self, Eight, Raw, Wanted};
use crate::algorithms::krylov;
use crate::algorithms::lanczos::{Found, Others, Outcome, Settings};
use crate::algorithms::stopping::Target;
use crate::api::{Goal, Request};
use crate::complex;
use crate::error::Error;
use crate::kernels::matvec::{matvec, rmatvec};
use crate::matrix::{Batch, Matrix, Storage};
use crate::operator::gather::{fill_lanes, survey, widened};
use crate::operator::near::NearCopy;
use crate::operator::{Dense, Runner};
use crate::route::{Route, Unit, route, shape};
use crate::scalar::{ldexp, ldexp_down, ldexp_up, with_typed};
use crate::simd::Level;
use crate::skinny;

use degenerate::degenerate_sigma;

/// How sigma was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// The answer needs no arithmetic: an empty, zero or non-finite matrix.
    Trivial,
    /// The Gram matrix and its tridiagonal form, for a small matrix.
    Direct,
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
    /// Left unit vector, of length `nrows`; empty unless asked for. Vectors of a complex matrix hold
    /// the real and imaginary part of each component side by side.
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

/// Where results go.
pub(crate) struct Sink<'a> {
    /// Takes a solution, and may refuse it.
    pub(crate) solution: &'a dyn Fn(usize, Solution) -> Result<(), Error>,
    /// Takes the norm alone of a finite matrix, where no more is wanted.
    pub(crate) sigma: Option<&'a dyn Fn(usize, f64)>,
}

/// Solves the matrices of a unit, which share one route.
pub(crate) fn solve_unit<R: Runner + Copy>(
    batch: &Batch<'_, '_>,
    unit: Unit<'_>,
    request: &Request<'_>,
    level: Level,
    runner: R,
    sink: &Sink<'_>,
) -> Result<(), Error> {
    let wanted = Wanted {
        second: request.second || request.vectors,
        vectors: request.vectors,
        details: sink.sigma.is_none() || !matches!(request.goal, Goal::Rtol(_)),
    };
    for i in (0..unit.len()).map(|k| unit.index(k)) {
        let matrix = &batch.get(i);
        let solution = match route(matrix, request.goal) {
            Route::Nothing => Solution::trivial(matrix, 0.0, request.vectors),
            Route::Eight => return eights(batch, unit, (request.goal, wanted), level, sink),
            Route::One => one(matrix, wanted, level)?,
            Route::Skinny => skinny(matrix, wanted, level, runner)?,
            Route::Lanczos => {
                let (begin, v0) = (Instant::now(), request.v0.map(|v0| v0[i]));
                let on =
                    |matrix: &Matrix<'_>| iterate(matrix, v0, (request, wanted), level, runner);
                let solution = match NearCopy::of(matrix) {
                    Some(copy) => on(&copy.view(matrix))?,
                    None => on(matrix)?,
                };
                Solution { elapsed: begin.elapsed(), ..solution }
            }
        };
        (sink.solution)(i, solution.held_to(request.goal))?;
    }
    Ok(())
}

/// Solves small matrices of one shape, eight at a time.
fn eights(
    batch: &Batch<'_, '_>,
    unit: Unit<'_>,
    (goal, wanted): (Goal, Wanted),
    level: Level,
    sink: &Sink<'_>,
) -> Result<(), Error> {
    let mut eight = Eight::new(level, shape(&batch.get(unit.index(0))));
    for unit in unit.eights() {
        let begin = sink.sigma.is_none().then(Instant::now);
        let indices = (0..unit.len()).map(|k| unit.index(k));
        fill_lanes(level, batch, indices, eight.entries_mut());
        if let Some(sigma) = sink.sigma
            && let Some(norms) = eight.norms()
        {
            norms[..unit.len()].iter().enumerate().for_each(|(k, &x)| sigma(unit.index(k), x));
            continue;
        }
        eight.solve();
        if let Some(sigma) = sink.sigma {
            let mut all = 0..unit.len();
            if all.all(|k| eight.sigma(k).map(|x| sigma(unit.index(k), x)).is_some()) {
                continue;
            }
        }
        let elapsed = begin.map_or(Duration::ZERO, |begin| begin.elapsed() / unit.len() as u32);
        for (k, mut outcome) in eight.outcomes(unit.len(), wanted).enumerate() {
            let matrix = &batch.get(unit.index(k));
            if matrix.complex {
                complex::pair_up(&mut outcome);
            }
            let mut solution =
                Solution::from_outcome(matrix, outcome, wanted, level, Source::direct(matrix));
            solution.elapsed = elapsed;
            (sink.solution)(unit.index(k), solution.held_to(goal))?;
        }
    }
    Ok(())
}

/// Solves one small matrix.
fn one(matrix: &Matrix<'_>, wanted: Wanted, level: Level) -> Result<Solution, Error> {
    let begin = Instant::now();
    let (max_abs, sum_of_squares) = survey(level, matrix);
    let raw = Raw { max_abs, sum_of_squares };
    let copy = widened(level, matrix, raw.factors());
    let mut outcome = direct::one(level, &copy, raw, matrix.parts(), wanted)?;
    if matrix.complex {
        complex::pair_up(&mut outcome);
    }
    let solution = Solution::from_outcome(matrix, outcome, wanted, level, Source::direct(matrix));
    Ok(Solution { elapsed: begin.elapsed(), ..solution })
}

/// Solves one matrix by its Gram matrix.
fn skinny<R: Runner + Copy>(
    matrix: &Matrix<'_>,
    wanted: Wanted,
    level: Level,
    runner: R,
) -> Result<Solution, Error> {
    let begin = Instant::now();
    let outcome = skinny::solve(matrix, shape(matrix), wanted, level, runner)?;
    let solution = Solution::from_outcome(matrix, outcome, wanted, level, Source::direct(matrix));
    Ok(Solution { elapsed: begin.elapsed(), ..solution })
}

/// Solves one matrix by iteration.
fn iterate<R: Runner + Copy>(
    matrix: &Matrix<'_>,
    v0: Option<&[f64]>,
    (request, wanted): (&Request<'_>, Wanted),
    level: Level,
    runner: R,
) -> Result<Solution, Error> {
    let settings = Settings {
        level,
        target: target(matrix, request.goal),
        maxiter: request.maxiter,
        seed: request.seed,
        v0,
        vectors: request.vectors,
        value_alone: !wanted.second && !matches!(request.goal, Goal::Rigorous { .. }),
        details: wanted.details,
        others: Others::default(),
    };
    let upright = matrix.upright().1;
    let (outcome, turned) = match request.goal {
        Goal::Rigorous { width, rtol } => {
            let rtol = rtol.unwrap_or_else(|| default_rtol(matrix));
            let goal = certificate::Goal { width, rtol, copies: matrix.parts() };
            match matrix.complex {
                true => (complex::prove(matrix, settings, goal, runner)?, upright),
                false => {
                    let op = Dense::new(*matrix, level, runner);
                    run_on(op, matrix, settings, |op, settings| {
                        certificate::run(op, settings, goal)
                    })?
                }
            }
        }
        _ if matrix.complex => (complex::iterate(matrix, settings, runner)?, upright),
        _ => run_on(operator(matrix, level, runner), matrix, settings, krylov::run)?,
    };
    let wanted = Wanted { second: true, ..wanted };
    let source = Source { method: Method::Lanczos, turned };
    Ok(Solution::from_outcome(matrix, outcome, wanted, level, source))
}

/// A real matrix as it is iterated fastest.
fn operator<'a, R: Runner>(matrix: &Matrix<'a>, level: Level, runner: R) -> Dense<'a, R> {
    let ((long, short), by_columns) = matrix.oriented();
    match by_columns && krylov::bears_long_vectors(short, long) {
        true => Dense::by_rows(*matrix, level, runner),
        false => Dense::new(*matrix, level, runner),
    }
}

/// Runs a method on a real matrix, from the start in the operator's orientation; what it found, and
/// whether that is of the transpose.
fn run_on<'a, R: Runner>(
    mut op: Dense<'a, R>,
    matrix: &Matrix<'_>,
    settings: Settings<'_>,
    run: impl FnOnce(&mut Dense<'a, R>, Settings<'_>) -> Result<Outcome, Error>,
) -> Result<(Outcome, bool), Error> {
    let turned = op.is_transposed();
    let v0 = settings.v0.map(|v0| match turned {
        true => product(matrix, v0, settings.level),
        false => v0.to_vec(),
    });
    let outcome = run(&mut op, Settings { v0: v0.as_deref(), ..settings })?;
    Ok((outcome, turned))
}

/// Where an outcome comes from.
#[derive(Debug, Clone, Copy)]
struct Source {
    method: Method,
    /// Whether its left vector is the caller's right one.
    turned: bool,
}

impl Source {
    /// The direct method, which works on a copy that stands upright.
    fn direct(matrix: &Matrix<'_>) -> Self {
        Self { method: Method::Direct, turned: matrix.upright().1 }
    }
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
    with_typed!(Storage, matrix.storage, a => match matrix.transposed {
        true => rmatvec(level, a, x, &mut y),
        false => matvec(level, a, x, &mut y),
    });
    y
}

impl Solution {
    /// Takes back that an interval is as narrow as was asked for, where it is not: no method comes
    /// nearer than rounding, and the ends may have moved on their way into the subnormal numbers.
    fn held_to(mut self, goal: Goal) -> Self {
        if let Goal::Width { width, .. } | Goal::Rigorous { width, .. } = goal {
            let is_narrow = self.upper <= (1.0 + width) * self.lower;
            self.converged &= is_narrow || self.sigma.is_nan();
        }
        self
    }

    fn from_outcome(
        matrix: &Matrix<'_>,
        outcome: Outcome,
        wanted: Wanted,
        level: Level,
        source: Source,
    ) -> Self {
        let Outcome { entries, n_passes, found } = outcome;
        let exponent = entries.exponent;
        let Some(found) = found else {
            let mut solution = Self::trivial(matrix, degenerate_sigma(&entries), wanted.vectors);
            solution.n_passes = n_passes;
            return solution;
        };
        let entries = Entries {
            max_abs: match ldexp(entries.max_abs, exponent) {
                part if matrix.complex && wanted.details => complex::modulus(level, matrix, part),
                part => part,
            },
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
            method: source.method,
            entries,
            elapsed: Duration::ZERO,
        };
        solution.take_vectors(found, source.turned);
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
}
