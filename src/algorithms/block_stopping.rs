//! When a block Lanczos run has reached its goal: the rule of `stopping`, with a witness for every
//! random vector of the block and an allowance for the noise of single precision.
//!
//! As many random vectors show as many values of a cluster. A top with fewer Ritz values in reach
//! hides none; where there are more, the witnesses must exclude that one lies above the value. They
//! do so without an allowance for the noise: along the top vector the start is as small as the noise
//! is, and this is no bound anyone is handed.

use std::cell::OnceCell;

use super::banded::Banded;
use super::bounds::{Christoffel, Noise, bisect};
use super::stopping::{
    Target, VALUE_FAILURE_PROB, VALUE_WIDTH, crowd_failure_prob, rounding_margin,
};
use super::witness::Witness;

/// What single precision is taken to move the image of a Ritz vector by, relative to `sigma^2`, until a pass
/// in double has measured it.
const NOISE: f64 = 2.4e-7;

/// How much more the next measurement may find than the last.
const NOISE_SPREAD: f64 = 1.1;

/// How much larger than measured on the Ritz vector the noise may be on any other. All of it is
/// counted as if it lay along the top singular vector, where by chance `1 / sqrt(n)` of it does.
pub(super) const NOISE_SAFETY: f64 = 3.0;

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

/// How many times its last rise a value may rise yet.
const FAR: f64 = 30.0;

/// Share of its width by which the upper bound may lie above what the witnesses prove.
const TIGHT: f64 = 1e-3;

/// What the steps so far tell.
#[derive(Debug)]
pub(super) struct Progress {
    theta: f64,
    residual_squared: f64,
    /// The top of the band matrix.
    ritz: f64,
    /// The value: a lower bound of `sigma_1^2`, but for noise before the last pass.
    pub(super) lambda: f64,
    /// By what share of it the last step raised it.
    rise: f64,
    /// What single precision moves the image of a Ritz vector by, relative to `sigma^2`.
    noise: f64,
    n_steps: usize,
    calm_steps: usize,
    /// The number of steps after which the bound first met the goal.
    bounded_at: Option<usize>,
    /// Whether value, residual and noise are those of the last pass.
    measured: bool,
    pub(super) converged: bool,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            theta: 0.0,
            residual_squared: 0.0,
            ritz: 0.0,
            lambda: 0.0,
            rise: 0.0,
            noise: NOISE,
            n_steps: 0,
            calm_steps: 0,
            bounded_at: None,
            measured: false,
            converged: false,
        }
    }
}

impl Progress {
    pub(super) fn step(&mut self, theta: f64, residual_squared: f64, criteria: &Criteria) {
        let lambda = (theta + residual_squared / theta).max(self.lambda);
        let is_calm = lambda - self.lambda <= criteria.calm_change() * lambda;
        self.rise = 1.0 - self.lambda / lambda;
        self.calm_steps = if is_calm { self.calm_steps + 1 } else { 0 };
        self.n_steps += 1;
        self.measured = false;
        (self.theta, self.residual_squared, self.lambda) = (theta, residual_squared, lambda);
        self.ritz = theta;
    }

    /// Takes in what the pass in double precision found.
    pub(super) fn measure(&mut self, theta: f64, residual_squared: f64, noise: f64) {
        self.measured = true;
        self.noise = noise / theta;
        (self.theta, self.residual_squared) = (theta, residual_squared);
        self.lambda = theta + residual_squared / theta;
    }

    /// Goes on where the last pass has found more noise than was thought.
    pub(super) fn resume(&mut self) {
        self.noise *= NOISE_SPREAD;
        self.bounded_at = None;
    }

    /// The noise of so many steps.
    fn noise(&self, n_steps: usize) -> Noise {
        let size = NOISE_SAFETY * self.noise * self.lambda * (n_steps as f64).sqrt();
        Noise { size, top: self.ritz }
    }

    /// The squared residual; before the last pass with what single precision will add to it.
    fn whole_residual_squared(&self) -> f64 {
        let noise = if self.measured { 0.0 } else { self.noise * self.theta };
        self.residual_squared + noise * noise
    }
}

/// The goal of a run and what it takes to tell that it is reached.
#[derive(Debug)]
pub(super) struct Criteria {
    target: Target,
    bound: Christoffel,
    /// The same for a crowd at the top, made when one is met: its threshold takes as long as a step.
    crowd: OnceCell<Christoffel>,
    ncols: usize,
    n_witnesses: usize,
    /// What rounding in double precision may do to sigma, relative.
    pub(super) margin: f64,
    /// The square of the Frobenius norm, a bound whatever the start.
    pub(super) ceiling: f64,
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
            ncols,
            n_witnesses,
            margin: rounding_margin(nrows.max(ncols)),
            ceiling: f64::INFINITY,
        }
    }

    /// A relative change of sigma squared that counts as none.
    fn calm_change(&self) -> f64 {
        match self.target {
            Target::Rtol(rtol) | Target::Candidate(rtol) => 2.0 * rtol / 10.0,
            Target::Width { .. } => 0.0,
        }
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
                    has_small_error(progress, matrix, rtol)
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
        let excludes = |w: &Witness| !self.is_fine() && self.crowd().excludes(&w.matrix, x);
        matrix.count_above(theta - reach) < witnesses.len()
            || self.ceiling <= x
            || witnesses.iter().all(excludes)
    }

    fn crowd(&self) -> &Christoffel {
        let Self { ncols, n_witnesses, .. } = *self;
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
        let Progress { theta, residual_squared, noise, .. } = *progress;
        let residual = residual_squared.sqrt() / theta;
        let gap = noise * noise / (2.0 * rtol);
        self.is_fine()
            && (residual <= gap && matrix.count_above(theta * (1.0 - gap)) > 1
                || residual <= noise && !self.is_alone(progress, matrix, witnesses, rtol))
    }

    /// Whether nothing but the noise stands between the bound and the goal. A few steps more get most
    /// bounds clear of it, but not where most singular values lie within the width of the top.
    pub(super) fn is_drowned(&self, progress: &Progress, witnesses: &[Witness]) -> bool {
        let (width, has_width) = (self.width(), matches!(self.target, Target::Width { .. }));
        let x = self.within(progress, width);
        (has_width || progress.calm_steps >= 2)
            && witnesses.iter().all(|w| self.bound.excludes(&w.matrix, x))
            && !self.is_bounded(progress, witnesses)
    }

    /// Whether the noise outweighs the start and will go on to: both it and its weight grow from step to
    /// step, and only where the value has far to rise may the bound get clear of it.
    pub(super) fn is_sunk(&self, progress: &Progress, witnesses: &[Witness]) -> bool {
        let x = self.within(progress, self.width()) * (1.0 + FAR * progress.rise);
        let noise = progress.noise(progress.n_steps);
        let drowns = |w: &Witness| self.bound.is_drowned(&w.matrix, x, noise);
        progress.bounded_at.is_none() && self.ceiling > x && witnesses.iter().any(drowns)
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
        self.ceiling <= x || self.excludes(progress, witnesses, x)
    }

    /// Whether all witnesses exclude `x`, now or when the bound first met the goal.
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
        bisect(low + 0.5 * width, low + width, TIGHT, excludes)
    }
}

/// The bound for each of so many start vectors, all of which fail together with this probability.
fn christoffel(ncols: usize, failure_prob: f64, n_witnesses: usize) -> Christoffel {
    Christoffel::new(ncols, failure_prob.powf(1.0 / n_witnesses as f64), 1.0)
}

/// Whether Kato-Temple's bound on the error of sigma is below `rtol`, given that the value belongs
/// to the top.
fn has_small_error<const B: usize>(progress: &Progress, matrix: &Banded<B>, rtol: f64) -> bool {
    let (theta, residual_squared) = (progress.theta, progress.whole_residual_squared());
    let gap = residual_squared / (2.0 * rtol * theta);
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
