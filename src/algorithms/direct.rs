//! The top singular triplet of a small matrix without an iteration on it.
//!
//! The Gram matrix `B'B` is formed, brought to tridiagonal form `Q T Q'` by Householder's
//! reflections, and the largest eigenvalue of `T` found from above. Squaring costs accuracy only
//! far below the top: relative to `sigma_1` the error stays at a few roundings. Range is lost by
//! squaring, so the matrix is first scaled to a largest entry in `[1, 2)`, exactly.
//!
//! A complex matrix comes as the real one of twice the size, `[[Re, -Im], [Im, Re]]`, in which
//! every singular value stands twice; `copies` says so.
//!
//! | here | Golub and Van Loan, Matrix Computations (2013), 8.3 |
//! |---|---|
//! | `alpha`, `beta`, `tau` | the diagonal and off-diagonal of `T`, the factors of the reflectors |

use crate::error::Error;
use crate::kernels::eight::{self, Entry};
use crate::kernels::matvec::{matvec, rmatvec};
use crate::kernels::norms::Norms;
use crate::kernels::symmetric::{self, Padded, Reduced};
use crate::kernels::three::TopOfThree;
use crate::scalar::{exponent, halved_power, ldexp, power_of_two};
use crate::simd::Level;

use super::lanczos::{Entries, Found, Outcome, Vectors};
use super::stopping::rounding_margin;
use super::tridiagonal::Tridiagonal;

/// What is asked for besides the largest singular value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) second: bool,
    pub(crate) vectors: bool,
    /// What is known besides of a matrix that converged: its interval, and the largest modulus of a complex
    /// one, which costs a sweep of its own.
    pub(crate) details: bool,
}

/// The size of an operator, and how often each of its singular values is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) nrows: usize,
    pub(crate) ncols: usize,
    pub(crate) copies: usize,
}

/// Largest magnitude and sum of squares of a matrix as it came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw {
    pub(crate) max_abs: f64,
    pub(crate) sum_of_squares: f64,
}

impl Raw {
    /// Whether there is something to solve: neither zero nor broken.
    pub(crate) fn is_regular(self) -> bool {
        self.max_abs != 0.0 && self.max_abs.is_finite() && !self.sum_of_squares.is_nan()
    }

    /// The exponent of the largest entry.
    pub(crate) fn exponent(self) -> i32 {
        if self.is_regular() { exponent(self.max_abs) } else { 0 }
    }

    /// Two normal factors whose product brings the largest entry into `[1, 2)`, the second of them
    /// one where the first can do alone.
    pub(crate) fn factors(self) -> (f64, f64) {
        match -self.exponent() {
            e @ -900..=900 => (power_of_two(e), 1.0),
            e => halved_power(e),
        }
    }

    /// What was found, in the units of `2^exponent`, with the sum of squares in these units.
    fn outcome(self, found: Found, sum_of_squares: f64) -> Outcome {
        let (first, second) = self.factors();
        let max_abs = self.max_abs * first * second;
        let entries = Entries { max_abs, sum_of_squares, exponent: self.exponent() };
        let n_passes = if found.vectors.is_some() { 2 } else { 1 };
        Outcome { entries, n_passes, found: Some(found) }
    }

    /// The end of a matrix that is not regular.
    fn nothing_found(self) -> Outcome {
        let Self { max_abs, sum_of_squares } = self;
        Outcome {
            entries: Entries { max_abs, sum_of_squares, exponent: 0 },
            n_passes: 1,
            found: None,
        }
    }
}

/// Eight matrices of one shape, solved in the lanes of one vector: each gets the bits that it gets
/// alone.
pub(crate) struct Eight {
    level: Level,
    shape: Shape,
    entries: Vec<Entry>,
    gram: Vec<Entry>,
    alpha: Vec<Entry>,
    beta: Vec<Entry>,
    tau: Vec<Entry>,
    work: Vec<Entry>,
    raw: [Raw; 8],
    trace: Entry,
    top: Entry,
}

impl Eight {
    /// Room for eight matrices, all zeros.
    pub(crate) fn new(level: Level, shape: Shape) -> Self {
        let zeros = |len: usize| vec![[0.0; 8].into(); len];
        let Shape { nrows, ncols, .. } = shape;
        Self {
            level,
            shape,
            entries: zeros(nrows * ncols),
            gram: zeros(ncols * ncols),
            alpha: zeros(ncols),
            beta: zeros(ncols),
            tau: zeros(ncols),
            work: zeros(2 * ncols),
            raw: [Raw { max_abs: 0.0, sum_of_squares: 0.0 }; 8],
            trace: [0.0; 8].into(),
            top: [0.0; 8].into(),
        }
    }

    /// The entries, row by row, to be filled before each call of [`solve`](Self::solve).
    pub(crate) fn entries_mut(&mut self) -> &mut [Entry] {
        &mut self.entries
    }

    /// The largest singular values alone, by a shorter way and with the same bits; `None` where some
    /// lane cannot go it. The entries stay as they are.
    pub(crate) fn norms(&self) -> Option<[f64; 8]> {
        let Self { level, shape: Shape { ncols, .. }, entries, .. } = self;
        level.run(Norms { ncols: *ncols, entries }).map(|norms| *norms)
    }

    /// Solves the matrices in all lanes.
    pub(crate) fn solve(&mut self) {
        let n = self.shape.ncols;
        let Self { level, entries, gram, alpha, beta, tau, work, .. } = self;
        let (max, sum) = level.run(eight::Survey { entries });
        self.raw = std::array::from_fn(|k| Raw { max_abs: max[k], sum_of_squares: sum[k] });
        let factors = self.raw.map(Raw::factors);
        let factors = (factors.map(|f| f.0).into(), factors.map(|f| f.1).into());
        level.run(eight::Rescale { factors, entries });
        level.run(eight::Gram { ncols: n, entries, gram });
        self.trace = trace(gram, n);
        if n == 3 {
            self.top = level.run(TopOfThree { gram });
            return;
        }
        level.run(eight::Reduce { n, gram, alpha, beta, tau, work });
        self.top = level.run(eight::Top { alpha, beta });
    }

    /// The largest singular value of one lane, in the matrix's own units; `None` when it is zero or
    /// broken.
    pub(crate) fn sigma(&self, lane: usize) -> Option<f64> {
        let raw = self.raw[lane];
        raw.is_regular().then(|| ldexp(self.top[lane].sqrt(), raw.exponent()))
    }

    /// All that is wanted of the matrices in the first `used` lanes.
    pub(crate) fn outcomes(
        &mut self,
        used: usize,
        wanted: Wanted,
    ) -> impl Iterator<Item = Outcome> + '_ {
        if self.shape.ncols == 3 && (wanted.second || wanted.vectors) {
            let Self { level, gram, alpha, beta, tau, work, .. } = self;
            level.run(eight::Reduce { n: 3, gram, alpha, beta, tau, work });
        }
        let this = &*self;
        let mut vectors = wanted.vectors.then(|| this.vectors(used));
        (0..used).map(move |lane| {
            let raw = this.raw[lane];
            if !raw.is_regular() {
                return raw.nothing_found();
            }
            let vectors = vectors.as_mut().and_then(|vectors| vectors[lane].take());
            let tridiagonal = wanted.second.then(|| this.tridiagonal(lane).0);
            let found = found(this.shape, this.top[lane], tridiagonal.as_ref(), vectors);
            raw.outcome(found, this.trace[lane] / this.shape.copies as f64)
        })
    }

    /// The tridiagonal matrix of one lane, its signs and the factors of its reflectors.
    fn tridiagonal(&self, lane: usize) -> (Tridiagonal, Signs, Vec<f64>) {
        let (alpha, beta) = (lane_of(&self.alpha, lane), lane_of(&self.beta, lane));
        let (tridiagonal, signs) = unsigned(&alpha, &beta);
        (tridiagonal, signs, lane_of(&self.tau, lane))
    }

    /// The vectors of the lanes that have any, with one pass over all of them.
    fn vectors(&self, used: usize) -> [Option<Vectors>; 8] {
        let Shape { nrows, ncols: n, .. } = self.shape;
        let zeros = |len: usize| vec![Entry::from([0.0; 8]); len];
        let (mut x, mut t, mut z) = (zeros(n), zeros(nrows), zeros(n));
        let is_solved = |lane: usize| lane < used && self.raw[lane].is_regular();
        for lane in (0..used).filter(|&lane| is_solved(lane)) {
            let (tridiagonal, signs, tau) = self.tridiagonal(lane);
            let reflector = |j: usize, i: usize| self.gram[i * n + j][lane];
            let right = top_vector(&tridiagonal, &signs, self.top[lane], &tau, reflector);
            x.iter_mut().zip(right).for_each(|(x, right)| x[lane] = right);
        }
        let level = self.level;
        level.run(eight::Pass { entries: &self.entries, x: &x, t: &mut t, z: &mut z });
        std::array::from_fn(|lane| {
            let (right, t, mut z) = (lane_of(&x, lane), lane_of(&t, lane), lane_of(&z, lane));
            is_solved(lane).then(|| Vectors::from_pass(level, right, &t, &mut z))
        })
    }
}

fn lane_of(x: &[Entry], lane: usize) -> Vec<f64> {
    x.iter().map(|x| x[lane]).collect()
}

/// The sums of the diagonals.
fn trace(gram: &[Entry], n: usize) -> Entry {
    let mut sums = [0.0; 8];
    for i in 0..n {
        for (sum, x) in sums.iter_mut().zip(*gram[i * n + i]) {
            *sum += x;
        }
    }
    sums.into()
}

/// Solves one matrix, which `b` holds scaled by [`Raw::factors`] unless `raw` is not regular.
///
/// # Errors
/// As [`by_gram`].
pub(crate) fn one(
    level: Level,
    b: &Padded,
    raw: Raw,
    copies: usize,
    wanted: Wanted,
) -> Result<Outcome, Error> {
    let (nrows, ncols) = b.shape();
    let mut gram = Padded::zeros(ncols, ncols);
    symmetric::gram(level, b, &mut gram);
    let shape = Shape { nrows, ncols, copies };
    by_gram(level, &mut gram, raw, shape, wanted, |mut right| {
        let (mut t, mut z) = (vec![0.0; nrows], vec![0.0; b.stride()]);
        right.resize(b.stride(), 0.0);
        matvec(level, b.padded(), &right, &mut t);
        rmatvec(level, b.padded(), &t, &mut z);
        right.truncate(ncols);
        Ok(Vectors::from_pass(level, right, &t, &mut z[..ncols]))
    })
}

/// Solves one matrix by its Gram matrix, both in units that [`Raw::factors`] leads to; `pass` makes
/// the vectors of a right one.
///
/// # Errors
/// Those of `pass`.
pub(crate) fn by_gram(
    level: Level,
    gram: &mut Padded,
    raw: Raw,
    shape: Shape,
    wanted: Wanted,
    pass: impl FnOnce(Vec<f64>) -> Result<Vectors, Error>,
) -> Result<Outcome, Error> {
    if !raw.is_regular() {
        return Ok(raw.nothing_found());
    }
    let trace = gram.trace();
    let mut reduced = Reduced::zeros(shape.ncols);
    symmetric::reduce(level, gram, &mut reduced);
    let (tridiagonal, signs) = unsigned(&reduced.alpha, &reduced.beta);
    let top = tridiagonal.top(0.0);
    let vectors = match wanted.vectors {
        true => {
            let reflector = |j: usize, i: usize| gram.row(j)[i];
            Some(pass(top_vector(&tridiagonal, &signs, top, &reduced.tau, reflector))?)
        }
        false => None,
    };
    let second = wanted.second.then_some(&tridiagonal);
    Ok(raw.outcome(found(shape, top, second, vectors), trace / shape.copies as f64))
}

fn found(shape: Shape, top: f64, reduced: Option<&Tridiagonal>, vectors: Option<Vectors>) -> Found {
    let sigma = top.sqrt();
    let margin = rounding_margin(shape.nrows + shape.ncols);
    let second = reduced.and_then(|t| t.nth(shape.copies + 1, top));
    Found {
        sigma,
        second: second.map_or(f64::NAN, |x| x.max(0.0).sqrt()),
        lower: sigma * (1.0 - margin),
        upper: sigma * (1.0 + margin),
        converged: true,
        vectors,
        others: Vec::new(),
    }
}

/// The signs that turn the eigenvectors of a tridiagonal matrix without negative off-diagonal
/// entries into those of the matrix as it was.
type Signs = Vec<f64>;

/// A tridiagonal matrix with the magnitudes of its off-diagonal, similar by a diagonal of signs.
fn unsigned(alpha: &[f64], beta: &[f64]) -> (Tridiagonal, Signs) {
    let mut tridiagonal = Tridiagonal::default();
    let mut sign = 1.0_f64;
    let mut signs = Vec::with_capacity(alpha.len());
    for (&alpha, &beta) in alpha.iter().zip(beta) {
        tridiagonal.push(alpha, beta.abs());
        signs.push(sign);
        sign *= 1.0_f64.copysign(beta);
    }
    (tridiagonal, signs)
}

/// The top eigenvector before the reduction: that of the tridiagonal matrix, through the
/// reflectors, the last one first. `reflector(j, i)` is entry `i` of the vector of reflector `j`.
fn top_vector(
    tridiagonal: &Tridiagonal,
    signs: &Signs,
    top: f64,
    tau: &[f64],
    reflector: impl Fn(usize, usize) -> f64,
) -> Vec<f64> {
    let n = signs.len();
    let mut y = tridiagonal.top_vector(top);
    y.iter_mut().zip(signs).for_each(|(y, sign)| *y *= sign);
    for j in (0..n.saturating_sub(2)).rev() {
        let inner: f64 = (j + 1..n).map(|i| reflector(j, i) * y[i]).sum();
        for (i, y) in y.iter_mut().enumerate().skip(j + 1) {
            *y -= tau[j] * inner * reflector(j, i);
        }
    }
    normalized(y)
}

/// Rounding leaves the length of a reflected vector a little off one.
fn normalized(mut x: Vec<f64>) -> Vec<f64> {
    let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt();
    x.iter_mut().for_each(|x| *x /= norm);
    x
}

#[cfg(test)]
#[path = "../../tests/rust/unit/direct.rs"]
mod tests;
