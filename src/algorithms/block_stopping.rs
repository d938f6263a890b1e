//! When a block Lanczos run has reached its goal: the rule of `stopping`, with a witness for every
//! random vector of the block and an allowance for the noise of single precision.
//!
//! As many random vectors show as many values of a cluster. A top with fewer Ritz values in reach
//! hides none; where there are more, the witnesses must exclude that one lies above the value. They
//! do so without an allowance for the noise: along the top vector the start is as small as the noise
//! is, and this is no bound anyone is handed.

use std::cell::OnceCell;

use super::banded::Banded;
use super::block_progress::{NOISE, Progress};
use super::bounds::{Christoffel, bisect};
use super::stopping::{
    Target, VALUE_FAILURE_PROB, VALUE_WIDTH, crowd_failure_prob, rounding_margin,
};
use super::witness::Witness;

/// What share of the width asked for the rounding of a copy may take.
const ROUNDING_SHARE: f64 = 0.4;

/// The `rtol` from which on single precision has digits to spare.
const COARSE: f64 = 5e-7;

/// A goal that may be met before a coarser one is.
const DEFAULT_RTOL: f64 = 1e-6;

/// What the steps ask for of a value that a proof will check: a part of the `rtol` that the last pass asks
/// for, and no more than single precision can tell.
const PART_OF_CANDIDATE: f64 = 0.4;
const LEAST_OF_CANDIDATE: f64 = 1e-8;

/// The distance of such a value to the next that is counted on, relative to `sigma^2`. Where there is
/// less, the proof fails and the search goes on.
const LEAST_GAP: f64 = 1e-2;

/// Where the search for the upper bound begins, relative to the lower one.
const FIRST_WIDTH: f64 = 1e-6;

/// Residuals of the top within which other Ritz values crowd it. Of 29,500 runs on hard spectra 17
/// missed their tolerance with 10 of them and 2 with 60, which cost a Gaussian one pass in 100.
const REACH: f64 = 60.0;

/// How far short of its goal a value may still be thought to be.
struct Margins {
    /// A change of sigma that counts as none while changes fall from step to step, relative to `rtol`.
    falling: f64,
    /// Kato-Temple's bound, relative to `rtol`.
    error: f64,
}

/// A change of sigma that counts as none, relative to `rtol`.
const CALM: f64 = 0.1;

const MARGINS: Margins = Margins { falling: CALM, error: 1.0 };

/// The same at a copy in integers, which gives way where values crowd (decision 0016).
const MARGINS_AT_COPY: Margins = Margins { falling: 2.0 * CALM, error: 5.0 };

/// How many times its last rise a value may rise yet.
const FAR: f64 = 30.0;

/// Share of its width by which the upper bound may lie above what the witnesses prove.
const TIGHT: f64 = 1e-3;

/// The goal of a run and what it takes to tell that it is reached.
#[derive(Debug)]
pub(super) struct Criteria {
    target: Target,
    bound: Christoffel,
    /// The same for a crowd at the top, made when one is met: its threshold takes as long as a step.
    crowd: OnceCell<Christoffel>,
    shape: (usize, usize),
    n_witnesses: usize,
    /// What rounding in double precision may do to sigma, relative.
    pub(super) margin: f64,
    /// The square of the Frobenius norm, a bound whatever the start.
    pub(super) ceiling: f64,
    /// How far a copy that is multiplied with in place of the operator may be from it, in the Frobenius norm.
    pub(super) rounding: f64,
}

impl Criteria {
    pub(super) fn new(shape: (usize, usize), target: Target, n_witnesses: usize) -> Self {
        let (nrows, ncols) = shape;
        let failure_prob = match target {
            Target::Rtol(_) | Target::Candidate(_) => VALUE_FAILURE_PROB,
            Target::Width { failure_prob, .. } => failure_prob,
        };
        Self {
            target,
            bound: christoffel(ncols, failure_prob, n_witnesses),
            crowd: OnceCell::new(),
            shape,
            n_witnesses,
            margin: rounding_margin(nrows.max(ncols)),
            ceiling: f64::INFINITY,
            rounding: 0.0,
        }
    }

    /// Relative changes of sigma squared that count as none: at any time, and while they fall.
    pub(super) fn calm_changes(&self) -> [f64; 2] {
        match self.target {
            Target::Rtol(rtol) | Target::Candidate(rtol) => {
                [CALM, self.margins().falling].map(|share| 2.0 * share * rtol)
            }
            Target::Width { .. } => [0.0; 2],
        }
    }

    fn margins(&self) -> &'static Margins {
        if self.rounding > 0.0 { &MARGINS_AT_COPY } else { &MARGINS }
    }

    /// Whether the digits asked for are those that single precision takes pains to give.
    fn is_fine(&self) -> bool {
        matches!(self.target, Target::Rtol(rtol) | Target::Candidate(rtol) if rtol < COARSE)
    }

    /// Notes the step at which the bound first meets the goal: what is excluded stays so, while every step
    /// from then on adds to the noise.
    pub(super) fn note_bound(&self, progress: &mut Progress, witnesses: &[Witness]) {
        if progress.bounded_at.is_none() && self.is_within(progress, witnesses, self.width()) {
            progress.bounded_at = Some(progress.n_steps);
        }
    }

    /// Whether the goal is reached; the tests are in order of their price.
    pub(super) fn is_reached<const B: usize>(
        &self,
        progress: &Progress,
        matrix: &Banded<B>,
        witnesses: &[Witness],
    ) -> bool {
        match self.target {
            Target::Rtol(rtol) => {
                // Of a crowd that is far narrower than what is asked for, the finer goal makes less.
                let meets = |rtol| {
                    has_small_error(progress, matrix, rtol, self.margins().error)
                        && self.is_alone(progress, matrix, witnesses, rtol)
                };
                progress.calm_steps >= 2
                    && self.is_bounded(progress, witnesses)
                    && (meets(rtol) || rtol > DEFAULT_RTOL && meets(DEFAULT_RTOL))
            }
            Target::Candidate(rtol) => {
                progress.calm_steps >= 2
                    && may_have_small_error(progress, matrix, rtol)
                    && self.is_bounded(progress, witnesses)
            }
            Target::Width { .. } => self.is_bounded(progress, witnesses),
        }
    }

    /// Whether the bound meets the goal, or has met it before.
    fn is_bounded(&self, progress: &Progress, witnesses: &[Witness]) -> bool {
        let is_known = progress.bounded_at.is_some() && !progress.measured;
        is_known || self.is_within(progress, witnesses, self.width())
    }

    /// The width of the interval that must hold `sigma_1`.
    fn width(&self) -> f64 {
        match self.target {
            Target::Rtol(rtol) | Target::Candidate(rtol) => rtol.max(VALUE_WIDTH),
            Target::Width { width, .. } => width,
        }
    }

    /// Whether no larger value lies unresolved beside the one found.
    fn is_alone<const B: usize>(
        &self,
        progress: &Progress,
        matrix: &Banded<B>,
        witnesses: &[Witness],
        rtol: f64,
    ) -> bool {
        let Progress { theta, lambda, .. } = *progress;
        let residual = progress.whole_residual_squared().sqrt();
        let reach = REACH * residual.max(2.0 * rtol * theta);
        let x = lambda * (1.0 + 2.0 * rtol);
        // Single precision cannot tell apart what lies as near as this to a fine goal.
        let excludes =
            |w: &Witness| !self.is_fine() && self.crowd().excludes(&w.matrix, self.at_copy(x));
        matrix.count_above(theta - reach) < witnesses.len()
            || self.ceiling <= x
            || witnesses.iter().all(excludes)
    }

    fn crowd(&self) -> &Christoffel {
        let Self { shape: (_, ncols), n_witnesses, .. } = *self;
        let failure_prob = crowd_failure_prob(&self.target);
        self.crowd.get_or_init(|| christoffel(ncols, failure_prob, n_witnesses))
    }

    /// Whether the value is as good as single precision makes it and yet not good enough, since others lie too
    /// near.
    pub(super) fn is_blurred<const B: usize>(
        &self,
        progress: &Progress,
        matrix: &Banded<B>,
        witnesses: &[Witness],
    ) -> bool {
        let Target::Rtol(rtol) = self.target else { return false };
        let Progress { theta, residual_squared, blur, .. } = *progress;
        let residual = residual_squared.sqrt() / theta;
        let gap = blur * blur / (2.0 * rtol);
        if self.rounding > 0.0 {
            // What will be too near to tell apart at a copy shows long before the digits are there.
            let reach = REACH * blur;
            return residual <= reach
                && (matrix.count_above(theta * (1.0 - gap)) > 1
                    || matrix.count_above(theta * (1.0 - reach)) >= witnesses.len());
        }
        self.is_fine()
            && (residual <= gap && matrix.count_above(theta * (1.0 - gap)) > 1
                || residual <= blur && !self.is_alone(progress, matrix, witnesses, rtol))
    }

    /// Whether nothing but the noise stands between the bound and the goal. A few steps more get most
    /// bounds clear of it, but not where most singular values lie within the width of the top.
    pub(super) fn is_drowned(&self, progress: &Progress, witnesses: &[Witness]) -> bool {
        let (width, has_width) = (self.width(), matches!(self.target, Target::Width { .. }));
        let x = self.at_copy(self.within(progress, width));
        (has_width || progress.calm_steps >= 2)
            && witnesses.iter().all(|w| self.bound.excludes(&w.matrix, x))
            && !self.is_bounded(progress, witnesses)
    }

    /// Whether the noise outweighs the start and will go on to: both it and its weight grow from step to
    /// step, and only where the value has far to rise may the bound get clear of it.
    pub(super) fn is_sunk(&self, progress: &Progress, witnesses: &[Witness]) -> bool {
        let x = self.within(progress, self.width()) * (1.0 + FAR * progress.rise);
        let noise = progress.noise(progress.n_steps);
        let drowns = |w: &Witness| self.bound.is_drowned(&w.matrix, self.at_copy(x), noise);
        progress.bounded_at.is_none() && self.ceiling > x && witnesses.iter().any(drowns)
    }

    /// Whether a copy is too far from the operator to say anything of use.
    pub(super) fn is_coarse(&self, progress: &Progress) -> bool {
        self.rounding > ROUNDING_SHARE * self.width() * progress.lambda.sqrt()
    }

    /// What single precision, or the rounding of a copy, is taken to move the image of a Ritz vector by. Entries are off
    /// by even chances: the image of a unit vector by as much as a row or a column of theirs.
    pub(super) fn expected_blur(&self, lambda: f64) -> f64 {
        let (nrows, ncols) = (self.shape.0 as f64, self.shape.1 as f64);
        NOISE.max(self.rounding * (1.0 / nrows + 1.0 / ncols).sqrt() / lambda.sqrt())
    }

    /// What the square of the copy's norm must lie below for that of the operator to lie below `x`.
    fn at_copy(&self, x: f64) -> f64 {
        let norm = x.sqrt() - self.rounding;
        if self.rounding > 0.0 { norm.max(0.0) * norm } else { x }
    }

    /// What `sigma_1^2` must lie below for `sigma_1 <= (1 + width) * sqrt(lambda)`, rounding
    /// included.
    fn within(&self, progress: &Progress, width: f64) -> f64 {
        let factor = (1.0 + width) * (1.0 - self.margin) / (1.0 + self.margin);
        factor * factor * progress.lambda
    }

    /// Whether `sigma_1 <= (1 + width) * sqrt(lambda)`, but for the failure probability.
    fn is_within(&self, progress: &Progress, witnesses: &[Witness], width: f64) -> bool {
        let x = self.within(progress, width);
        self.ceiling <= x || self.excludes(progress, witnesses, self.at_copy(x))
    }

    /// Whether all witnesses exclude `x` for what blocks are multiplied with, now or when the bound first met the goal.
    fn excludes(&self, progress: &Progress, witnesses: &[Witness], x: f64) -> bool {
        let now = progress.noise(progress.n_steps);
        let before = |k: usize| {
            let excludes = |w: &Witness| {
                self.bound.excludes_despite(&w.matrix.leading(k), x, progress.noise(k))
            };
            witnesses.iter().all(excludes)
        };
        witnesses.iter().all(|w| self.bound.excludes_despite(&w.matrix, x, now))
            || progress.bounded_at.is_some_and(before)
    }

    /// The upper bound on `sigma_1^2`: what every witness excludes, and hence the one that counts.
    pub(super) fn upper(&self, progress: &Progress, witnesses: &[Witness]) -> f64 {
        let low = progress.ritz.max(progress.lambda);
        let excludes = |x: f64| self.excludes(progress, witnesses, x);
        // Doubling the distance finds a bracket within a few steps of where the bound lies.
        let mut width = FIRST_WIDTH * low;
        while low + width < self.ceiling && !excludes(low + width) {
            width *= 2.0;
        }
        if low + width >= self.ceiling {
            return self.ceiling.max(low);
        }
        let upper = bisect(low + 0.5 * width, low + width, TIGHT, excludes);
        if self.rounding == 0.0 {
            return upper;
        }
        let norm = upper.sqrt() + self.rounding;
        (norm * norm).min(self.ceiling.max(low))
    }
}

/// The bound for each of so many start vectors, all of which fail together with this probability.
fn christoffel(ncols: usize, failure_prob: f64, n_witnesses: usize) -> Christoffel {
    Christoffel::new(ncols, failure_prob.powf(1.0 / n_witnesses as f64), 1.0)
}

/// Whether Kato-Temple's bound on the error of sigma is below `rtol`, or so many times as much, given that the
/// value belongs to the top.
fn has_small_error<const B: usize>(
    progress: &Progress,
    matrix: &Banded<B>,
    rtol: f64,
    factor: f64,
) -> bool {
    let (theta, residual_squared) = (progress.theta, progress.whole_residual_squared());
    let gap = residual_squared / (2.0 * factor * rtol * theta);
    residual_squared.sqrt() <= 2.0 * rtol * theta || matrix.count_above(theta - gap) <= 1
}

/// The same for a value that a proof will check, which need not be the best of a crowd.
fn may_have_small_error<const B: usize>(
    progress: &Progress,
    matrix: &Banded<B>,
    rtol: f64,
) -> bool {
    let Progress { theta, residual_squared, measured, .. } = *progress;
    let rtol = if measured { rtol } else { (PART_OF_CANDIDATE * rtol).max(LEAST_OF_CANDIDATE) };
    let gap = residual_squared / (2.0 * rtol * theta);
    measured && gap <= LEAST_GAP * theta || matrix.count_above(theta - gap) <= 1
}
