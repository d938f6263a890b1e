//! Fused Lanczos on `B'B` with full reorthogonalisation.
//!
//! One pass over the matrix per step:
//!
//! ```text
//! t = B v_k,  z = B' t,  alpha_k = |t|^2
//! z <- z - alpha_k v_k - beta_{k-1} v_{k-1}, made orthogonal to v_1 ... v_k
//! beta_k = |z|,  v_{k+1} = z / beta_k
//! ```
//!
//! With the top Ritz value `theta`, its vector `V s` and the residual `r = beta_k |s_k|`, the value
//! reported is the Rayleigh quotient of `B B'` at `B V s`, half a step further than `theta` at no
//! cost: `lambda = theta + r^2 / theta <= sigma_1^2`.
//!
//! When to stop is `stopping`'s affair. A complex operator acts on vectors of real and imaginary
//! parts side by side; `alpha` and `beta` are real all the same, and so are all norms.
//!
//! | here | Kuczynski and Wozniakowski, SIMAX 13 (1992); Saad, Numerical Methods (2011) |
//! |---|---|
//! | `theta`, `second` | the two largest Ritz values |
//! | `residual_squared` | the squared residual norm of the top Ritz pair |

use crate::error::Error;
use crate::kernels::reduce::dot;
use crate::kernels::vector::{axpy, scale};
use crate::operator::{LinearOperator, MAX_EXPONENT};
use crate::scalar::{exponent, power_of_two};
use crate::simd::{Aligned, Level};

use super::basis::Basis;
use super::start;
use super::stopping::{Criteria, State, Target};
use super::tridiagonal::Tridiagonal;

/// `beta_k` below this multiple of the largest `alpha` is rounding noise: the space is invariant.
const BREAKDOWN: f64 = 16.0 * f64::EPSILON;

/// Entries beyond this range are scaled before the first product; within it squares are safe.
const SAFE_RANGE: std::ops::RangeInclusive<f64> = 1e-140..=1e140;

/// What a run needs besides the operator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings<'a> {
    pub(crate) level: Level,
    pub(crate) target: Target,
    pub(crate) maxiter: usize,
    pub(crate) seed: u64,
    pub(crate) v0: Option<&'a [f64]>,
    pub(crate) vectors: bool,
    /// Whether the value is all that is asked for: neither the vectors nor the second value.
    pub(crate) value_alone: bool,
    /// Whether the interval and the second value are asked for where the value converged; elsewhere they are
    /// found anyway.
    pub(crate) details: bool,
    pub(crate) others: Others,
}

/// Which singular vectors beside the first are handed back: as many as it takes to leave little of
/// the Frobenius norm, or none where that asks for too many.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Others {
    pub(crate) most: usize,
    /// What may be left of its square, relative to the square of the first value.
    pub(crate) rest: f64,
    /// How often the operator has every value: what counts is one of each.
    pub(crate) copies: usize,
}

impl Others {
    /// The place of the second value where all copies of the first are found.
    pub(super) fn rank_of_second(self) -> usize {
        self.copies.max(1) + 1
    }
}

/// What the first pass learnt of the entries, in the units of `2^exponent`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entries {
    pub(crate) max_abs: f64,
    pub(crate) sum_of_squares: f64,
    pub(crate) exponent: i32,
}

/// The top singular triplet and its interval, in the units of `2^exponent`.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) sigma: f64,
    /// NaN, as is `upper`, where [`Settings::details`] are not asked for.
    pub(crate) second: f64,
    pub(crate) lower: f64,
    pub(crate) upper: f64,
    pub(crate) converged: bool,
    pub(crate) vectors: Option<Vectors>,
    /// More right vectors, of smaller values, found in passing: see [`Others`].
    pub(crate) others: Vec<Vec<f64>>,
}

/// Unit vectors with `B right ~ sigma left`, and the relative residual of the triplet.
#[derive(Debug)]
pub(crate) struct Vectors {
    pub(crate) left: Vec<f64>,
    pub(crate) right: Vec<f64>,
    pub(crate) residual: f64,
    /// The sums of squares of `right` and of its pass, `t` and `z`.
    pub(crate) squares: [f64; 3],
}

impl Vectors {
    /// From the unit vector `right` and its pass `t = B right`, `z = B' t`, which it uses up.
    pub(crate) fn from_pass(level: Level, right: Vec<f64>, t: &[f64], z: &mut [f64]) -> Self {
        let squares = [dot(level, &right, &right), dot(level, t, t), dot(level, z, z)];
        let sigma = squares[1].sqrt();
        let left = t.iter().map(|x| x / sigma).collect();
        z.iter_mut().for_each(|x| *x /= sigma);
        axpy(level, -sigma, &right, z);
        let residual = dot(level, z, z).sqrt() / sigma;
        Self { left, right, residual, squares }
    }
}

/// The end of a run: `found` is `None` for a zero or non-finite matrix.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) entries: Entries,
    pub(crate) n_passes: usize,
    pub(crate) found: Option<Found>,
}

/// Finds the top singular value of `op`.
///
/// # Errors
/// [`Error::Interrupted`] when the operator says so.
pub(crate) fn run<O: LinearOperator>(op: &mut O, settings: Settings<'_>) -> Result<Outcome, Error> {
    let mut process = Process::new(op, settings);
    let entries = process.first_pass()?;
    let finite = entries.max_abs.is_finite() && !entries.sum_of_squares.is_nan();
    if !finite || entries.max_abs == 0.0 {
        return Ok(Outcome { entries, n_passes: process.n_passes, found: None });
    }
    let ceiling = entries.sum_of_squares;
    let mut state = State::default();
    loop {
        process.absorb();
        let is_last = process.n_passes >= settings.maxiter;
        if is_last || process.is_exhausted() || !process.criteria.must_exhaust {
            state = process.look(state);
            process.criteria.judge(&mut state, &process.matrix, ceiling);
            if is_last || state.converged {
                break;
            }
        }
        process.next_pass()?;
    }
    let found = process.finish(&state, ceiling)?;
    Ok(Outcome { entries, n_passes: process.n_passes, found: Some(found) })
}

struct Process<'a, 's, O> {
    op: &'a mut O,
    settings: Settings<'s>,
    criteria: Criteria,
    /// Real numbers of one component: two where the operator is complex.
    parts: usize,
    basis: Basis,
    matrix: Tridiagonal,
    n_passes: usize,
    /// The largest `alpha`, a lower bound of the top Ritz value.
    largest: f64,
    v: Aligned,
    t: Aligned,
    z: Aligned,
}

impl<'a, 's, O: LinearOperator> Process<'a, 's, O> {
    fn new(op: &'a mut O, settings: Settings<'s>) -> Self {
        let (nrows, ncols) = op.shape();
        let mut v = Aligned::zeros(ncols);
        let is_warm = start::fill(settings.level, settings.seed, settings.v0, &mut v);
        let is_complex = op.is_complex();
        let parts = if is_complex { 2 } else { 1 };
        let (shape, Settings { target, vectors, .. }) = ((nrows / parts, ncols / parts), settings);
        Self {
            op,
            settings,
            criteria: Criteria::new(shape, is_complex, target, is_warm, vectors),
            parts,
            basis: Basis::new(ncols),
            matrix: Tridiagonal::default(),
            n_passes: 0,
            largest: 0.0,
            v,
            t: Aligned::zeros(nrows),
            z: Aligned::zeros(ncols),
        }
    }

    /// Reads the matrix for the first time, and again, scaled, when its entries ask for it.
    fn first_pass(&mut self) -> Result<Entries, Error> {
        // Whatever an earlier run has set: the same matrix always gets the same scale.
        self.op.set_exponent(0);
        let (max_abs, sum_of_squares) = self.survey()?;
        if max_abs == 0.0 || !max_abs.is_finite() || sum_of_squares.is_nan() {
            return Ok(Entries { max_abs, sum_of_squares, exponent: 0 });
        }
        let exponent = exponent(max_abs).clamp(-MAX_EXPONENT, MAX_EXPONENT);
        self.op.set_exponent(exponent);
        if !SAFE_RANGE.contains(&max_abs) {
            let (max_abs, sum_of_squares) = self.survey()?;
            return Ok(Entries { max_abs, sum_of_squares, exponent });
        }
        let unit = power_of_two(-exponent);
        self.t.iter_mut().for_each(|x| *x *= unit);
        self.z.iter_mut().for_each(|x| *x = *x * unit * unit);
        let sum_of_squares = sum_of_squares * unit * unit;
        Ok(Entries { max_abs: max_abs * unit, sum_of_squares, exponent })
    }

    fn survey(&mut self) -> Result<(f64, f64), Error> {
        self.n_passes += 1;
        self.op.survey(&self.v, &mut self.t, &mut self.z)
    }

    fn next_pass(&mut self) -> Result<(), Error> {
        self.n_passes += 1;
        let beta = self.matrix.last_beta();
        scale(self.settings.level, 1.0 / beta, &self.z, &mut self.v);
        self.op.gram_matvec(&self.v, &mut self.t, &mut self.z)
    }

    /// Takes the pass just made into the process.
    fn absorb(&mut self) {
        let level = self.settings.level;
        let alpha = dot(level, &self.t, &self.t);
        self.push();
        axpy(level, -alpha, &self.v, &mut self.z);
        if let Some(before) = self.basis.len().checked_sub(2 * self.parts) {
            let beta = self.matrix.last_beta();
            axpy(level, -beta, self.basis.vector(before), &mut self.z);
        }
        let beta = self.basis.orthogonalize(level, &mut self.z);
        self.matrix.push(alpha, beta);
        self.largest = self.largest.max(alpha);
    }

    /// Takes `v` into the basis, where it is complex with `i v`: orthogonal to both as real vectors
    /// is orthogonal to `v` as complex ones.
    fn push(&mut self) {
        self.basis.push(&self.v);
        if self.parts == 2 {
            let rotated: Vec<f64> =
                self.v.as_chunks::<2>().0.iter().flat_map(|&[re, im]| [-im, re]).collect();
            self.basis.push(&rotated);
        }
    }

    /// The vector of these coefficients, which are real also where the operator is complex.
    fn combine(&self, y: &[f64]) -> Vec<f64> {
        if self.parts == 1 {
            return self.basis.combine(self.settings.level, y);
        }
        let y: Vec<f64> = y.iter().flat_map(|&y| [y, 0.0]).collect();
        self.basis.combine(self.settings.level, &y)
    }

    /// Whether the vectors span all there is: the whole space, or one that the operator maps into
    /// itself.
    fn is_exhausted(&self) -> bool {
        let n = self.op.shape().1;
        self.basis.len() == n || self.matrix.last_beta() <= BREAKDOWN * self.largest
    }

    /// What the process now knows of the spectrum, given what it knew `before`.
    fn look(&self, before: State) -> State {
        let theta = self.matrix.top(before.theta).max(f64::MIN_POSITIVE);
        let last = self.matrix.top_vector(theta)[self.matrix.len() - 1];
        let residual_squared = (self.matrix.last_beta() * last).powi(2);
        let lambda = (theta + residual_squared / theta).max(before.lambda);
        let is_calm = lambda - before.lambda <= self.criteria.calm_change() * lambda;
        State {
            theta,
            residual_squared,
            lambda,
            exhausted: self.is_exhausted(),
            calm_steps: if is_calm { before.calm_steps + 1 } else { 0 },
            converged: false,
        }
    }

    fn finish(&mut self, state: &State, ceiling: f64) -> Result<Found, Error> {
        let vectors = self.settings.vectors.then(|| self.vectors(state)).transpose()?;
        let sigma = state.lambda.sqrt();
        let margin = self.criteria.margin;
        let (second, upper) = match self.settings.details || !state.converged {
            true => (self.second(state), self.criteria.upper(state, &self.matrix, ceiling).sqrt()),
            false => (f64::NAN, f64::NAN),
        };
        Ok(Found {
            sigma,
            second,
            lower: sigma * (1.0 - margin),
            upper: upper * (1.0 + margin),
            converged: state.converged,
            vectors,
            others: self.others(state, ceiling),
        })
    }

    fn second(&self, state: &State) -> f64 {
        // One vector meets one copy of each value, until rounding has led it on to the others.
        let others = self.settings.others;
        let meets_copies = self.matrix.len() * others.copies.max(1) > self.op.shape().1;
        let rank = if meets_copies { others.rank_of_second() } else { 2 };
        self.matrix.nth(rank, state.theta).map_or(f64::NAN, |x| x.max(0.0).sqrt())
    }

    fn others(&self, state: &State, ceiling: f64) -> Vec<Vec<f64>> {
        let Others { most, rest, copies } = self.settings.others;
        if most == 0 || self.parts == 2 {
            return Vec::new();
        }
        // One vector meets one copy of each value.
        let enough = ceiling / copies as f64 - rest * state.theta;
        let coefficients = self.matrix.as_banded().others(state.theta, enough, most);
        coefficients.iter().map(|y| self.combine(y)).collect()
    }

    /// One more pass, for the left vector and the residual.
    fn vectors(&mut self, state: &State) -> Result<Vectors, Error> {
        let level = self.settings.level;
        let mut right = self.combine(&self.matrix.top_vector(state.theta));
        let norm = dot(level, &right, &right).sqrt();
        right.iter_mut().for_each(|x| *x /= norm);
        self.n_passes += 1;
        self.op.gram_matvec(&right, &mut self.t, &mut self.z)?;
        Ok(Vectors::from_pass(level, right, &self.t, &mut self.z))
    }
}
