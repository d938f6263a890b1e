//! An interval that holds sigma whatever was rounded and whatever the random start was.
//!
//! The lower end is the norm of one product, less what its rounding may have added. The upper end
//! is the least of four: the Frobenius norm, and what it leaves beside the leading vector, or beside
//! a few more (the Frobenius-Lanczos bound); the largest ratio `(|B|'|B| x)_i / x_i` over a
//! positive `x` (Collatz and Wielandt; `x = 1` is at least as good as the product of the 1-norm and
//! the infinity-norm); and `sqrt(c^2 + psi)` where the Cholesky factorisation of `c^2 I - B'B` runs
//! to its end in floating point, `psi` being the sum of all errors on the way (Rump, BIT 46
//! (2006)). The statements, the constants and what they assume are in `docs/proof.md`.
//!
//! Lanczos finds where to look. A factorisation that breaks down has met a vector on which sigma
//! exceeds `c`: Lanczos goes on from there.
//!
//! No reported number but the number of attempts depends on the bits of the factorisation: the
//! ends are functions of Lanczos' result and of `c`.

use crate::error::Error;
use crate::kernels::reduce::dot;
use crate::kernels::vector::axpy;
use crate::operator::gram::Gram;
use crate::operator::symmetric::Factored;
use crate::scalar::ldexp;
use crate::simd::Level;

use super::krylov;
use super::lanczos::{self, Found, Others, Outcome, Settings};
use super::proof::{Facts, Probe};
use super::stopping::Target;

/// Lanczos is asked for sigma to this part of the width: its error must not use up the interval.
const PART_OF_WIDTH: f64 = 0.25;

/// The accuracy that Lanczos is asked for, whatever the width.
const RTOL: std::ops::RangeInclusive<f64> = 1e-14..=1e-2;

/// Factorisations that are tried, each with a larger `c` than the one before.
const ATTEMPTS: usize = 12;

/// What a failed attempt widens the interval by, unless it is the first and sigma has grown.
const WIDENING: f64 = 16.0;

/// Vectors beside the leading one that are looked at: each costs a pass, which takes as long as a
/// factorisation takes for this many columns.
const MOST_OTHERS: usize = 16;
const COLUMNS_OF_OTHER: usize = 24;

/// What they should leave of the Frobenius norm's square, relative to sigma squared.
const REST: f64 = 0.7;

/// A unit vector with less than this beside the others is one of them.
const LEAST_BESIDE: f64 = 0.1;

/// What is to be proved, and to which accuracy sigma itself is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goal {
    pub(crate) width: f64,
    pub(crate) rtol: f64,
    /// How often the operator holds the matrix: twice as the real form of a complex one.
    pub(crate) copies: usize,
}

/// Finds the top singular value of `op` and proves an interval around it.
///
/// # Errors
/// [`Error::Interrupted`] when the operator says so.
pub(crate) fn run<O: Gram>(
    op: &mut O,
    settings: Settings<'_>,
    goal: Goal,
) -> Result<Outcome, Error> {
    let enough = (PART_OF_WIDTH * goal.width).clamp(*RTOL.start(), *RTOL.end());
    let target = match goal.rtol < enough {
        true => Target::Rtol(goal.rtol),
        false => Target::Candidate(enough),
    };
    let others = others(op.shape().1, goal.copies);
    let first = Settings { target, vectors: true, others, ..settings };
    let outcome = krylov::run(op, first)?;
    let Some(found) = outcome.found else { return Ok(outcome) };
    let facts = Facts::new(op.shape(), &outcome.entries);
    let (lower, upper) = (facts.largest_entry(), facts.frobenius());
    let exponent = outcome.entries.exponent;
    let quantum = ldexp(f64::from_bits(1), -exponent);
    let n_passes = outcome.n_passes;
    let mut search = Search {
        op,
        settings: first,
        goal,
        facts,
        found,
        lower,
        upper,
        quantum,
        exponent,
        n_passes,
        vectors: Vec::new(),
        probes: Vec::new(),
    };
    search.run()?;
    let n_passes = search.n_passes;
    Ok(Outcome { n_passes, found: Some(search.finish(settings.vectors)), ..outcome })
}

struct Search<'a, 's, O> {
    op: &'a mut O,
    settings: Settings<'s>,
    goal: Goal,
    facts: Facts,
    found: Found,
    lower: f64,
    upper: f64,
    /// The spacing of the subnormal numbers, in the units of the operator.
    quantum: f64,
    exponent: i32,
    n_passes: usize,
    /// The vectors of the probes, times the imaginary unit too where they are complex.
    vectors: Vec<Vec<f64>>,
    probes: Vec<Probe>,
}

/// As many vectors beside the first as take less time than a factorisation.
fn others(ncols: usize, copies: usize) -> Others {
    let most = (ncols / copies / COLUMNS_OF_OTHER).min(MOST_OTHERS);
    Others { most, rest: REST, copies }
}

impl<O: Gram> Search<'_, '_, O> {
    /// Bounds in the order of their price, until the interval is narrow enough.
    fn run(&mut self) -> Result<(), Error> {
        self.raise();
        self.look_beside()?;
        if self.is_narrow() {
            return Ok(());
        }
        let right = self.right();
        let square = self.lower_by_magnitudes(&vec![1.0; right.len()])?;
        // The norm of |B| itself may be too large already, as with entries of mixed signs.
        if square <= self.target().powi(2) {
            self.lower_by_magnitudes(&right)?;
        }
        if self.is_narrow() {
            return Ok(());
        }
        self.factor()
    }

    fn is_narrow(&self) -> bool {
        self.upper <= self.target()
    }

    /// The upper end that the width asks for, less what rounding into the subnormal numbers may
    /// take from either end.
    fn target(&self) -> f64 {
        (1.0 + self.goal.width) * (self.lower - self.quantum) - self.quantum
    }

    fn right(&self) -> Vec<f64> {
        self.found.vectors.as_ref().map_or_else(Vec::new, |vectors| vectors.right.clone())
    }

    /// Raises the lower end, and lowers the upper one, to what the pass with the leading vector
    /// proves.
    fn raise(&mut self) {
        let Some(found) = &self.found.vectors else { return };
        self.lower = self.lower.max(self.facts.product(found.squares));
        let (right, squares) = (found.right.clone(), found.squares);
        self.vectors.clear();
        self.probes.clear();
        self.keep(right, squares);
    }

    /// Takes in a pass with a vector orthogonal to those before.
    fn keep(&mut self, v: Vec<f64>, squares: [f64; 3]) {
        let level = self.settings.level;
        let products = self.vectors.iter().map(|w| dot(level, w, &v)).collect();
        self.probes.push(Probe { squares, products });
        if self.goal.copies == 2 {
            self.vectors.push(turned(&v));
        }
        self.vectors.push(v);
        self.upper = self.upper.min(self.facts.beside(&self.probes, self.goal.copies));
    }

    /// Lowers the upper end by passes with the vectors that leave less beside them.
    fn look_beside(&mut self) -> Result<(), Error> {
        let (nrows, ncols) = self.op.shape();
        let level = self.settings.level;
        for mut v in std::mem::take(&mut self.found.others) {
            if self.is_narrow() {
                break;
            }
            // Of a complex vector, another copy may come as well.
            if !orthonormalize(level, &self.vectors, &mut v) {
                continue;
            }
            let (mut t, mut z) = (vec![0.0; nrows], vec![0.0; ncols]);
            self.n_passes += 1;
            self.op.gram_matvec(&v, &mut t, &mut z)?;
            let squares = [&v, &t, &z].map(|x| dot(level, x, x));
            self.keep(v, squares);
        }
        Ok(())
    }

    /// Lowers the upper end to the largest ratio of `|B|'|B| x` and `x`; returns what no ratio
    /// can be below, whatever `x`: the Rayleigh quotient.
    fn lower_by_magnitudes(&mut self, v: &[f64]) -> Result<f64, Error> {
        // Every entry must be positive; a small one does little harm where |B| has no large one.
        let least = 0.5_f64.powi(30) / (v.len() as f64).sqrt();
        let x: Vec<f64> = v.iter().map(|v| v.abs().max(least)).collect();
        let mut z = vec![0.0; x.len()];
        self.n_passes += 1;
        self.op.abs_gram_matvec(&x, &mut z)?;
        let ratio = z.iter().zip(&x).fold(0.0_f64, |m, (z, x)| m.max(z / x));
        self.upper = self.upper.min(self.facts.magnitudes(ratio, least));
        let level = self.settings.level;
        Ok(dot(level, &x, &z) / dot(level, &x, &x))
    }

    /// Lowers the upper end by factorisations, until one runs to its end.
    fn factor(&mut self) -> Result<(), Error> {
        let mut widening = 1.0;
        for attempt in 0..ATTEMPTS {
            let shift = self.shift(widening);
            let upper = self.facts.factored(shift);
            if upper >= self.upper {
                break;
            }
            self.n_passes += 1;
            match self.op.factor_shifted(shift)? {
                None => break,
                Some(Factored::Completed) => {
                    self.upper = upper;
                    break;
                }
                Some(Factored::Indefinite(x)) if self.learn(&x)? && attempt == 0 => {}
                Some(Factored::Indefinite(_)) => widening *= WIDENING,
            }
        }
        Ok(())
    }

    /// The `c^2` to try: what the width leaves room for, or, where that is less than the proof
    /// can reach, a little more than sigma squared.
    fn shift(&self, widening: f64) -> f64 {
        let sigma = self.found.sigma.max(self.lower);
        let least = sigma * sigma * (1.0 + self.facts.rounding_of_factor());
        let wanted = self.facts.shift_for(self.target());
        least + (wanted.max(least) - least).max(least - sigma * sigma) * widening
    }

    /// Goes on from a vector that a factorisation broke down on; whether sigma has grown.
    fn learn(&mut self, x: &[f64]) -> Result<bool, Error> {
        let before = self.found.sigma.max(self.lower);
        let left = self.settings.maxiter.saturating_sub(self.n_passes);
        if left == 0 || !x.iter().all(|x| x.is_finite()) {
            return Ok(false);
        }
        // What was missed once may be missed again: no candidate will do now.
        let target = match self.settings.target {
            Target::Candidate(rtol) => Target::Rtol(rtol),
            target => target,
        };
        let settings = Settings { target, v0: Some(x), maxiter: left, ..self.settings };
        let outcome = lanczos::run(self.op, settings)?;
        self.n_passes += outcome.n_passes;
        debug_assert_eq!(outcome.entries.exponent, self.exponent, "the units of all runs");
        if let Some(found) = outcome.found.filter(|found| found.sigma > self.found.sigma) {
            self.found = found;
            self.raise();
            self.look_beside()?;
        }
        Ok(self.found.sigma.max(self.lower) > before * (1.0 + 4.0 * f64::EPSILON))
    }

    fn finish(self, vectors: bool) -> Found {
        debug_assert!(self.lower <= self.upper, "{} {}", self.lower, self.upper);
        let is_narrow = self.is_narrow();
        let is_accurate = self.found.converged || self.upper <= (1.0 + self.goal.rtol) * self.lower;
        let sigma = self.found.sigma.clamp(self.lower, self.upper.max(self.lower));
        Found {
            sigma,
            lower: self.lower,
            upper: self.upper,
            converged: is_narrow && is_accurate,
            vectors: self.found.vectors.filter(|_| vectors),
            ..self.found
        }
    }
}

/// Makes a unit vector of what `v` has beside all others; whether that is much.
fn orthonormalize(level: Level, others: &[Vec<f64>], v: &mut [f64]) -> bool {
    for _ in 0..2 {
        for w in others {
            let product = dot(level, w, v);
            axpy(level, -product, w, v);
        }
        let norm = dot(level, v, v).sqrt();
        if norm.is_nan() || norm < LEAST_BESIDE {
            return false;
        }
        v.iter_mut().for_each(|x| *x /= norm);
    }
    true
}

/// A complex vector, all real parts before all imaginary ones, times the imaginary unit.
fn turned(v: &[f64]) -> Vec<f64> {
    let (re, im) = v.split_at(v.len() / 2);
    im.iter().map(|x| -x).chain(re.iter().copied()).collect()
}
