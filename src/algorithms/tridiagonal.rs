//! The symmetric tridiagonal matrix of the Lanczos process and the little that is asked of it.
//!
//! With the diagonal `alpha` and off-diagonal `beta`, the ratios of its leading characteristic
//! polynomials at `x` are `d_1 = x - alpha_1`, `d_j = x - alpha_j - beta_{j-1}^2 / d_{j-1}`: all
//! positive exactly when `x` lies above every eigenvalue. Their derivatives follow by recurrences
//! whose terms never cancel, so each question costs O(k).

use super::banded::Banded;

/// Steps after which a root finder that converges cubically has long arrived.
const MAX_STEPS: usize = 100;

/// The same for Laguerre's iteration towards a simple root.
const LAGUERRE_STEPS: usize = 40;

/// Steps of the inverse iteration, each of which gains most digits that can be had.
const INVERSE_STEPS: usize = 3;

/// The matrix: `alpha` of length k, `beta` of length k, the last one leading out of the matrix.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tridiagonal {
    pub(crate) alpha: Vec<f64>,
    pub(crate) beta: Vec<f64>,
}

/// The sums over all eigenvalues `theta` that Laguerre's iteration asks for.
struct Sums {
    /// `sum 1 / (x - theta)`.
    first: f64,
    /// `sum 1 / (x - theta)^2`.
    second: f64,
}

impl Tridiagonal {
    pub(crate) fn push(&mut self, alpha: f64, beta: f64) {
        self.alpha.push(alpha);
        self.beta.push(beta);
    }

    /// Order of the matrix.
    pub(crate) fn len(&self) -> usize {
        self.alpha.len()
    }

    /// The matrix as it was when its order was `k`.
    pub(super) fn leading(&self, k: usize) -> Self {
        Self { alpha: self.alpha[..k].to_vec(), beta: self.beta[..k].to_vec() }
    }

    /// The off-diagonal entry that leads out of the matrix.
    pub(crate) fn last_beta(&self) -> f64 {
        self.beta[self.len() - 1]
    }

    /// The largest eigenvalue; `floor` is a lower bound of it, such as the one a step before.
    ///
    /// Laguerre's iteration from above: monotone for polynomials whose roots are all real, cubic
    /// for a simple one. On a root of high multiplicity it creeps, and bisection takes over.
    pub(crate) fn top(&self, floor: f64) -> f64 {
        let k = self.len() as f64;
        let mut x = self.upper_end().max(floor);
        for _ in 0..LAGUERRE_STEPS {
            let Some(sums) = self.sums(x) else { return x.max(floor) };
            let spread = ((k - 1.0) * (k * sums.second - sums.first * sums.first)).max(0.0);
            let next = x - k / (sums.first + spread.sqrt());
            if next >= x || x - next <= f64::EPSILON * x.abs() {
                return next.min(x).max(floor);
            }
            x = next;
        }
        self.nth(1, x).unwrap_or(x).max(floor)
    }

    /// The second largest eigenvalue.
    pub(crate) fn second(&self, top: f64) -> Option<f64> {
        self.nth(2, top)
    }

    /// The `n`-th largest eigenvalue, by bisection on the count of eigenvalues above `x`; `None`
    /// when there are fewer.
    pub(crate) fn nth(&self, n: usize, top: f64) -> Option<f64> {
        if self.len() < n {
            return None;
        }
        let (mut low, mut high) = (0.0_f64, top);
        for _ in 0..MAX_STEPS {
            let middle = 0.5 * (low + high);
            if middle <= low || middle >= high {
                break;
            }
            *(if self.count_above(middle) >= n { &mut low } else { &mut high }) = middle;
        }
        Some(high)
    }

    /// The unit eigenvector of the top eigenvalue, from its twisted factorisation: the ratios are
    /// run from both ends and met where they agree best, so that no component is the difference
    /// of large numbers (Parlett and Dhillon, Linear Algebra Appl. 267, 1997).
    ///
    /// A top that stands twice may leave no row where both ends come through; any vector of its
    /// space will do then.
    pub(crate) fn top_vector(&self, top: f64) -> Vec<f64> {
        let twisted = Twisted::new(self, top);
        if twisted.is_sound() {
            return unit(twisted.vector());
        }
        // So far above the top that no rounding makes a pivot negative, and near enough that each
        // step leaves a few roundings of the rest. No entry of the vector is negative, so ones
        // cannot miss it.
        let x = top * (1.0 + 8.0 * self.len() as f64 * f64::EPSILON);
        (0..INVERSE_STEPS).fold(vec![1.0; self.len()], |y, _| unit(self.resolve(x, y).1))
    }

    /// The pivots of `x - T` and the solution of `(x - T) y = rhs`, of use where all are positive.
    fn resolve(&self, x: f64, rhs: Vec<f64>) -> (Vec<f64>, Vec<f64>) {
        let k = self.len();
        let (mut pivots, mut y) = (vec![0.0; k], rhs);
        pivots[0] = x - self.alpha[0];
        for j in 1..k {
            let ratio = self.beta[j - 1] / pivots[j - 1];
            pivots[j] = x - self.alpha[j] - self.beta[j - 1] * ratio;
            y[j] += ratio * y[j - 1];
        }
        for j in (0..k).rev() {
            let right = if j + 1 < k { self.beta[j] * y[j + 1] } else { 0.0 };
            y[j] = (y[j] + right) / pivots[j];
        }
        (pivots, y)
    }

    /// `|(x - T)^-1 e_1|` for an `x` above the spectrum, infinite elsewhere. Every term is positive.
    pub(crate) fn resolvent_norm(&self, x: f64) -> f64 {
        let mut first = vec![0.0; self.len()];
        first[0] = 1.0;
        let (pivots, y) = self.resolve(x, first);
        if pivots.iter().any(|&pivot| pivot <= 0.0) {
            return f64::INFINITY;
        }
        y.iter().map(|y| y * y).sum::<f64>().sqrt()
    }

    /// The same matrix, as one whose band is as wide as a block of one vector.
    pub(super) fn as_banded(&self) -> Banded<1> {
        let mut banded = Banded::default();
        self.alpha.iter().zip(&self.beta).for_each(|(&a, &b)| banded.push(&[[a]], &[[b]]));
        banded
    }

    /// Gershgorin's upper end of the spectrum.
    fn upper_end(&self) -> f64 {
        let k = self.len();
        let off = |j: usize| if j < k - 1 { self.beta[j] } else { 0.0 };
        let disc = |j: usize| self.alpha[j] + off(j) + if j > 0 { off(j - 1) } else { 0.0 };
        let end = (0..k).map(disc).fold(0.0_f64, f64::max);
        end * (1.0 + 4.0 * f64::EPSILON)
    }

    /// `None` when `x` does not lie above the spectrum, as far as rounding can tell.
    fn sums(&self, x: f64) -> Option<Sums> {
        let (mut d, mut slope, mut curve) = (x - self.alpha[0], 1.0, 0.0);
        let mut sums = Sums { first: 0.0, second: 0.0 };
        for j in 0..self.len() {
            if j > 0 {
                let ratio = self.beta[j - 1] / d;
                let square = ratio * ratio;
                curve = square * (curve - 2.0 * slope * slope / d);
                slope = 1.0 + square * slope;
                d = x - self.alpha[j] - self.beta[j - 1] * ratio;
            }
            if d <= 0.0 {
                return None;
            }
            let log_slope = slope / d;
            sums.first += log_slope;
            sums.second += log_slope * log_slope - curve / d;
        }
        Some(sums)
    }

    fn count_above(&self, x: f64) -> usize {
        let mut d = x - self.alpha[0];
        let mut count = usize::from(d < 0.0);
        for j in 1..self.len() {
            let pivot = if d == 0.0 { f64::MIN_POSITIVE } else { d };
            d = x - self.alpha[j] - self.beta[j - 1] * (self.beta[j - 1] / pivot);
            count += usize::from(d < 0.0);
        }
        count
    }
}

/// `y` at unit length; its entries are not negative and may be far out of range for squares.
fn unit(mut y: Vec<f64>) -> Vec<f64> {
    let largest = y.iter().fold(0.0_f64, |m, x| m.max(*x));
    let norm = largest * y.iter().map(|x| (x / largest) * (x / largest)).sum::<f64>().sqrt();
    y.iter_mut().for_each(|x| *x /= norm);
    y
}

/// `top - T`, eliminated from both ends towards row `twist`.
struct Twisted<'t> {
    matrix: &'t Tridiagonal,
    top: f64,
    /// What the rows before row `j` carry into it.
    above: Vec<f64>,
    /// What the rows after row `j` carry into it.
    below: Vec<f64>,
    twist: usize,
}

impl<'t> Twisted<'t> {
    fn new(matrix: &'t Tridiagonal, top: f64) -> Self {
        let k = matrix.len();
        let beta = &matrix.beta;
        let mut new = Self { matrix, top, above: vec![0.0; k], below: vec![0.0; k], twist: 0 };
        for j in 1..k {
            new.above[j] = beta[j - 1] * (beta[j - 1] / new.pivot(j - 1, new.above[j - 1]));
        }
        for j in (0..k - 1).rev() {
            new.below[j] = beta[j] * (beta[j] / new.pivot(j + 1, new.below[j + 1]));
        }
        let mismatch = |j: usize| new.rest(j, new.above[j] + new.below[j]).abs();
        let twist = (0..k).min_by(|&i, &j| mismatch(i).total_cmp(&mismatch(j))).unwrap_or(0);
        Self { twist, ..new }
    }

    fn rest(&self, j: usize, carried: f64) -> f64 {
        self.top - self.matrix.alpha[j] - carried
    }

    /// A pivot that rounding made negative counts as tiny, but never in the mismatch, where it would
    /// pass for agreement.
    fn pivot(&self, j: usize, carried: f64) -> f64 {
        self.rest(j, carried).max(self.top * f64::EPSILON * f64::EPSILON)
    }

    /// Whether every pivot on the way to the twist stands clear of rounding: one that does not
    /// belongs to a part of the matrix that has the top value for itself.
    fn is_sound(&self) -> bool {
        let least = 4.0 * f64::EPSILON * self.top;
        let before = (0..self.twist).all(|j| self.rest(j, self.above[j]) >= least);
        before && (self.twist + 1..self.matrix.len()).all(|j| self.rest(j, self.below[j]) >= least)
    }

    /// The eigenvector with a one where the ends meet.
    fn vector(&self) -> Vec<f64> {
        let k = self.matrix.len();
        let beta = &self.matrix.beta;
        let mut y = vec![1.0; k];
        for j in (0..self.twist).rev() {
            y[j] = y[j + 1] * (beta[j] / self.pivot(j, self.above[j]));
        }
        for j in self.twist + 1..k {
            y[j] = y[j - 1] * (beta[j - 1] / self.pivot(j, self.below[j]));
        }
        y
    }
}

#[cfg(test)]
#[path = "../../tests/rust/unit/tridiagonal.rs"]
mod tests;

#[cfg(test)]
#[path = "../../tests/rust/unit/top_vector.rs"]
mod top_vector_tests;
