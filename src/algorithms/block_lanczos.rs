//! Block Lanczos in single precision, closed by one pass in double.
//!
//! ```text
//! Z = B'(B Q_k) = Q_{k-1} beta_{k-1}' + Q_k alpha_k + Q_{k+1} beta_k
//! ```
//!
//! A narrow matrix costs most to widen, a large one most to read: a block of vectors in single
//! precision needs fewer reads than one vector in double, each hardly dearer. Its Ritz vector is
//! good to the square root of what is asked, and the value of one pass in double precision with it
//! is good to the square of that. The upper bound is `witness`'s; how large the noise of single
//! precision is, the last pass measures. Where that is more than was thought, the block goes on; where it
//! finds its means too weak, it declines, and `lanczos` goes to work.
//!
//! Blocks of a matrix in double precision are multiplied with a copy in single (`operator::narrowed`), and the
//! last pass is over the matrix itself. Large ones in single precision have a copy in integers
//! (`operator::fixed`), whose rounding counts towards the bound; the noise is then what it is taken to be.
//!
//! | here | Golub and Underwood, The block Lanczos method (1977) |
//! |---|---|
//! | `alpha`, `beta` | M_s and R_s, the blocks of the band matrix |

use crate::error::Error;
use crate::kernels::panel::{Panel, set_column};
use crate::kernels::reduce::dot;
use crate::operator::{BlockOperator, BlockPartials, SAFE_RANGE};
use crate::scalar::{exponent, power_of_two};
use crate::simd::Aligned;

use super::banded::{Banded, Pair};
use super::block_basis::{BlockBasis, orthonormal};
use super::block_progress::{NOISE, NOISE_SAFETY, Progress};
use super::block_stopping::Criteria;
use super::lanczos::{Entries, Found, Others, Outcome, Settings, Vectors};
use super::start;
use super::witness::Witness;

/// Steps for which nothing but noise may stand between the bound and the goal. Most bounds get clear
/// of it within a few; giving way costs as many passes as have been made.
const PATIENCE: usize = 8;

/// Passes in double precision that may speak against what single precision took for converged.
const MEASUREMENTS: usize = 3;

/// How an attempt ended.
pub(crate) enum Attempt {
    /// With an answer, converged or out of passes.
    Found(Outcome),
    /// Without one: after so many passes this method gives way to another.
    Declined(usize),
}

impl Attempt {
    /// The same after another attempt, which took so many passes.
    pub(super) fn after(self, spent: usize) -> Self {
        match self {
            Self::Found(outcome) => {
                Self::Found(Outcome { n_passes: outcome.n_passes + spent, ..outcome })
            }
            Self::Declined(n_passes) => Self::Declined(n_passes + spent),
        }
    }
}

/// Looks for the top singular value of `op` with a block of `B` vectors.
///
/// # Errors
/// [`Error::Interrupted`] when the operator says so.
pub(crate) fn attempt<O: BlockOperator, const B: usize>(
    op: &mut O,
    settings: Settings<'_>,
) -> Result<Attempt, Error> {
    let Some(mut process) = Process::<'_, '_, O, B>::new(op, settings) else {
        return Ok(Attempt::Declined(0));
    };
    let entries = process.first_pass()?;
    let finite = entries.max_abs.is_finite() && !entries.sum_of_squares.is_nan();
    if !finite || entries.max_abs == 0.0 {
        let n_passes = process.n_passes;
        return Ok(Attempt::Found(Outcome { entries, n_passes, found: None }));
    }
    process.criteria.ceiling = entries.sum_of_squares;
    process.criteria.rounding = process.op.rounding();
    loop {
        if !process.absorb() {
            return Ok(Attempt::Declined(process.n_passes));
        }
        let is_last = process.n_passes + 1 >= settings.maxiter;
        if process.converges() || is_last {
            if let Some(found) = process.finish()? {
                let n_passes = process.n_passes;
                return Ok(Attempt::Found(Outcome { entries, n_passes, found: Some(found) }));
            }
            process.progress.resume();
        }
        if is_last || process.is_hopeless() {
            return Ok(Attempt::Declined(process.n_passes));
        }
        process.next_pass()?;
    }
}

struct Process<'a, 's, O, const B: usize> {
    op: &'a mut O,
    settings: Settings<'s>,
    criteria: Criteria,
    basis: BlockBasis<B>,
    matrix: Banded<B>,
    witnesses: Vec<Witness>,
    top: Pair,
    progress: Progress,
    drowned_steps: usize,
    /// Passes in double precision so far.
    n_measured: usize,
    n_passes: usize,
    v: Vec<Panel<B>>,
    z: Vec<Panel<B>>,
    partials: BlockPartials<B>,
}

impl<'a, 's, O: BlockOperator, const B: usize> Process<'a, 's, O, B> {
    /// `None` where the start vectors are dependent.
    fn new(op: &'a mut O, settings: Settings<'s>) -> Option<Self> {
        // An attempt at a copy may have left its scale behind.
        op.set_exponent(0);
        let n = op.shape().1;
        let mut v = Panel::zeros(n);
        let is_warm = fill(settings, n, &mut v);
        let r = orthonormal(settings.level, &mut v)?;
        let coordinates = |c: usize| r.map(|row| row[c]);
        let witnesses: Vec<_> = (usize::from(is_warm)..B)
            .map(|c| Witness::new(settings.level, &coordinates(c)))
            .collect();
        let mut basis = BlockBasis::new(n);
        basis.push(&v);
        Some(Self {
            criteria: Criteria::new(op.shape(), settings.target, witnesses.len()),
            op,
            settings,
            basis,
            matrix: Banded::default(),
            witnesses,
            top: Pair::default(),
            progress: Progress::default(),
            drowned_steps: 0,
            n_measured: 0,
            n_passes: 0,
            z: Panel::zeros(n),
            partials: BlockPartials::default(),
            v,
        })
    }

    /// Reads the matrix for the first time, and again, scaled, when its entries ask for it.
    fn first_pass(&mut self) -> Result<Entries, Error> {
        let (max_abs, sum_of_squares) = self.survey()?;
        if max_abs == 0.0 || !max_abs.is_finite() || sum_of_squares.is_nan() {
            return Ok(Entries { max_abs, sum_of_squares, exponent: 0 });
        }
        let exponent = exponent(max_abs);
        self.op.set_exponent(exponent);
        if !SAFE_RANGE.contains(&max_abs) {
            let (max_abs, sum_of_squares) = self.survey()?;
            return Ok(Entries { max_abs, sum_of_squares, exponent });
        }
        let unit = power_of_two(-exponent);
        let factor = (unit * unit) as f32;
        for x in self.z.iter_mut().flat_map(|panel| panel.0.as_flattened_mut()) {
            *x *= factor;
        }
        let sum_of_squares = sum_of_squares * unit * unit;
        Ok(Entries { max_abs: max_abs * unit, sum_of_squares, exponent })
    }

    fn survey(&mut self) -> Result<(f64, f64), Error> {
        self.n_passes += 1;
        self.op.block_survey(&self.v, &mut self.z, &mut self.partials)
    }

    fn next_pass(&mut self) -> Result<(), Error> {
        self.n_passes += 1;
        self.op.block_gram(&self.v, &mut self.z, &mut self.partials)
    }

    /// Takes the pass just made into the process; `false` where its vectors are dependent.
    fn absorb(&mut self) -> bool {
        let Some(block) = self.basis.orthonormalize(self.settings.level, &mut self.z) else {
            return false;
        };
        self.matrix.push(&block.alpha, &block.beta);
        let level = self.settings.level;
        self.witnesses.iter_mut().for_each(|witness| witness.advance(level, &self.matrix));
        std::mem::swap(&mut self.v, &mut self.z);
        self.basis.push(&self.v);
        true
    }

    /// Whether the goal is reached, as far as single precision can tell.
    fn converges(&mut self) -> bool {
        self.top = self.matrix.top(&self.top);
        let image = self.matrix.matvec(&self.top.vector);
        let residual_squared: f64 = image[self.matrix.order()..].iter().map(|x| x * x).sum();
        self.progress.step(self.top.theta, residual_squared, &self.criteria);
        self.criteria.note_bound(&mut self.progress, &self.witnesses);
        let reached = self.is_reached();
        self.progress.converged = reached;
        reached
    }

    /// Whether the space has no room for another block, or the noise is and stays too loud for the bound or
    /// for the digits asked for.
    fn is_hopeless(&mut self) -> bool {
        let is_drowned = self.criteria.is_drowned(&self.progress, &self.witnesses);
        self.drowned_steps = if is_drowned { self.drowned_steps + 1 } else { 0 };
        self.drowned_steps > PATIENCE
            || self.n_measured >= MEASUREMENTS
            || self.criteria.is_coarse(&self.progress)
            || self.criteria.is_sunk(&self.progress, &self.witnesses)
            || self.criteria.is_blurred(&self.progress, &self.matrix, &self.witnesses)
            || self.basis.len() + B > self.op.shape().1
    }

    fn is_reached(&self) -> bool {
        self.criteria.is_reached(&self.progress, &self.matrix, &self.witnesses)
    }

    /// One pass in double precision: the value, its vectors, and the noise of all passes before.
    /// `None` where they speak against what single precision took for converged.
    fn finish(&mut self) -> Result<Option<Found>, Error> {
        let level = self.settings.level;
        let (nrows, ncols) = self.op.shape();
        let mut right = self.basis.combine(level, &self.top.vector);
        let norm = dot(level, &right, &right).sqrt();
        right.iter_mut().for_each(|x| *x /= norm);
        let (mut t, mut z) = (Aligned::zeros(nrows), Aligned::zeros(ncols));
        self.n_passes += 1;
        self.n_measured += 1;
        self.op.gram_matvec(&right, &mut t, &mut z)?;
        let believed = self.progress.converged;
        let theta = dot(level, &t, &t);
        let lambda = dot(level, &z, &z) / theta;
        let blur = self.distance(&z, norm);
        let residual_squared = theta * (lambda - theta).max(0.0);
        // What a copy is off by tells nothing of the noise of single precision.
        let noise = if self.op.rounding() > 0.0 { NOISE * theta } else { blur };
        self.progress.measure(theta, residual_squared, noise, blur);
        if believed && !self.is_reached() {
            return Ok(None);
        }
        let (second, upper) = match self.settings.details || !believed {
            true => {
                (self.second(blur), self.criteria.upper(&self.progress, &self.witnesses).sqrt())
            }
            false => (f64::NAN, f64::NAN),
        };
        let sigma = self.progress.lambda.sqrt();
        let margin = self.criteria.margin;
        Ok(Some(Found {
            sigma,
            second,
            lower: sigma * (1.0 - margin),
            upper: upper * (1.0 + margin),
            converged: believed,
            vectors: self.settings.vectors.then(|| Vectors::from_pass(level, right, &t, &mut z)),
            others: self.others(),
        }))
    }

    /// A Ritz value lies below the singular value it approaches; noise must not lift it above.
    fn second(&self, blur: f64) -> f64 {
        let rank = self.settings.others.rank_of_second();
        let second = self.matrix.nth(rank, self.top.theta) - NOISE_SAFETY * blur;
        second.max(0.0).sqrt()
    }

    fn others(&self) -> Vec<Vec<f64>> {
        let Others { most, rest, copies } = self.settings.others;
        if most == 0 {
            return Vec::new();
        }
        let theta = self.top.theta;
        let enough = self.criteria.ceiling - copies as f64 * rest * theta;
        let coefficients = self.matrix.others(theta, enough, copies * most);
        coefficients.iter().map(|y| self.basis.combine(self.settings.level, y)).collect()
    }

    /// How far the image of the Ritz vector is from where the band matrix has it.
    fn distance(&self, z: &[f64], norm: f64) -> f64 {
        let expected =
            self.basis.combine(self.settings.level, &self.matrix.matvec(&self.top.vector));
        let square = |(x, z): (&f64, &f64)| (x / norm - z) * (x / norm - z);
        expected.iter().zip(z).map(square).sum::<f64>().sqrt()
    }
}

/// Fills `v` with unit vectors, the first of them the warm start if there is one; whether it was.
fn fill<const B: usize>(settings: Settings<'_>, n: usize, v: &mut [Panel<B>]) -> bool {
    let Settings { level, seed, v0, .. } = settings;
    let mut column = vec![0.0; n];
    for c in 0..B {
        start::column(level, seed, c as u64, &mut column);
        set_column(v, c, &column);
    }
    let is_warm = v0.is_some_and(|w| start::warm_column(level, w, &mut column));
    if is_warm {
        set_column(v, 0, &column);
    }
    is_warm
}
