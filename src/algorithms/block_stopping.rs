//! When a block Lanczos run has reached its goal: the rule of `stopping`, with a witness for every
//! random vector of the block and an allowance for the noise of single precision.
//!
//! As many random vectors show as many values of a cluster. A top with fewer Ritz values in reach
//! hides none; where there are more, the witnesses must exclude that one lies above the value. They
//! do so without an allowance for the noise: along the top vector the start is as small as the noise
//! is, and this is no bound anyone is handed.

use super::banded::Banded;
use super::bounds::{Christoffel, Noise, bisect};
use super::stopping::{
    Target, VALUE_FAILURE_PROB, VALUE_WIDTH, crowd_failure_prob, rounding_margin,
};
use super::witness::Witness;

/// What a step is taken to be off by, relative to `sigma^2`, until the last pass has measured it.
const NOISE: f64 = 7e-7;

/// How much larger than measured on the Ritz vector the noise may be on any other. All of it is
/// counted as if it lay along the top singular vector, where by chance `1 / sqrt(n)` of it does.
pub(super) const NOISE_SAFETY: f64 = 3.0;

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
#[derive(Debug, Default)]
pub(super) struct Progress {
    theta: f64,
    residual_squared: f64,
    /// The top of the band matrix.
    ritz: f64,
    /// The value: a lower bound of `sigma_1^2`, but for noise before the last pass.
    pub(super) lambda: f64,
    /// By what share of it the last step raised it.
    rise: f64,
    /// Noise of all steps together.
    noise: f64,
    n_steps: usize,
    calm_steps: usize,
    pub(super) converged: bool,
}

impl Progress {
    pub(super) fn step(&mut self, theta: f64, residual_squared: f64, criteria: &Criteria) {
        let lambda = (theta + residual_squared / theta).max(self.lambda);
        let is_calm = lambda - self.lambda <= criteria.calm_change() * lambda;
        self.rise = 1.0 - self.lambda / lambda;
        self.calm_steps = if is_calm { self.calm_steps + 1 } else { 0 };
        self.n_steps += 1;
        self.noise = NOISE * lambda * (self.n_steps as f64).sqrt();
        (self.theta, self.residual_squared, self.lambda) = (theta, residual_squared, lambda);
        self.ritz = theta;
    }

    /// Takes in what the pass in double precision found.
    pub(super) fn measure(&mut self, theta: f64, residual_squared: f64, noise: f64) {
        self.noise = NOISE_SAFETY * noise * (self.n_steps as f64).sqrt();
        (self.theta, self.residual_squared) = (theta, residual_squared);
        self.lambda = theta + residual_squared / theta;
    }
}

/// The goal of a run and what it takes to tell that it is reached.
#[derive(Debug)]
pub(super) struct Criteria {
    target: Target,
    bound: Christoffel,
    /// The same for a crowd at the top.
    crowd: Christoffel,
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
        let each = |p: f64| Christoffel::new(ncols, p.powf(1.0 / n_witnesses as f64), 1.0);
        let (bound, crowd) = (each(failure_prob), each(crowd_failure_prob(&target)));
        Self {
            target,
            bound,
            crowd,
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

    /// Whether the goal is reached; the tests are in order of their price.
    pub(super) fn is_reached<const B: usize>(
        &self,
        progress: &Progress,
        matrix: &Banded<B>,
        witnesses: &[Witness],
    ) -> bool {
        let is_candidate = matches!(self.target, Target::Candidate(_));
        match self.target {
            Target::Rtol(rtol) | Target::Candidate(rtol) => {
                progress.calm_steps >= 2
                    && has_small_error(progress, matrix, rtol)
                    && self.is_within(progress, witnesses, self.width())
                    && (is_candidate || self.is_alone(progress, matrix, witnesses, rtol))
            }
            Target::Width { width, .. } => self.is_within(progress, witnesses, width),
        }
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
        let Progress { theta, residual_squared, lambda, .. } = *progress;
        let reach = REACH * residual_squared.sqrt().max(2.0 * rtol * theta);
        let x = lambda * (1.0 + 2.0 * rtol);
        matrix.count_above(theta - reach) < witnesses.len()
            || self.ceiling <= x
            || witnesses.iter().all(|w| self.crowd.excludes(&w.matrix, x))
    }

    /// Whether nothing but the noise stands between the bound and the goal. A few steps more get most
    /// bounds clear of it, but not where most singular values lie within the width of the top.
    pub(super) fn is_drowned(&self, progress: &Progress, witnesses: &[Witness]) -> bool {
        let (width, has_width) = (self.width(), matches!(self.target, Target::Width { .. }));
        let x = self.within(progress, width);
        (has_width || progress.calm_steps >= 2)
            && witnesses.iter().all(|w| self.bound.excludes(&w.matrix, x))
            && !self.is_within(progress, witnesses, width)
    }

    /// Whether the noise outweighs the start and will go on to: both it and its weight grow from step to
    /// step, and only where the value has far to rise may the bound get clear of it.
    pub(super) fn is_sunk(&self, progress: &Progress, witnesses: &[Witness]) -> bool {
        let x = self.within(progress, self.width()) * (1.0 + FAR * progress.rise);
        let noise = progress.noise();
        self.ceiling > x && witnesses.iter().any(|w| self.bound.is_drowned(&w.matrix, x, noise))
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
        let noise = progress.noise();
        let excludes = |w: &Witness| self.bound.excludes_despite(&w.matrix, x, noise);
        self.ceiling <= x || witnesses.iter().all(excludes)
    }

    /// The upper bound on `sigma_1^2`: what every witness excludes, and hence the one that counts.
    pub(super) fn upper(&self, progress: &Progress, witnesses: &[Witness]) -> f64 {
        let (low, noise) = (progress.ritz.max(progress.lambda), progress.noise());
        let excludes =
            |x: f64| witnesses.iter().all(|w| self.bound.excludes_despite(&w.matrix, x, noise));
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

impl Progress {
    fn noise(&self) -> Noise {
        Noise { size: self.noise, top: self.ritz }
    }
}

/// Whether Kato-Temple's bound on the error of sigma is below `rtol`, given that the value belongs
/// to the top.
fn has_small_error<const B: usize>(progress: &Progress, matrix: &Banded<B>, rtol: f64) -> bool {
    let Progress { theta, residual_squared, .. } = *progress;
    let gap = residual_squared / (2.0 * rtol * theta);
    residual_squared.sqrt() <= 2.0 * rtol * theta || matrix.count_above(theta - gap) <= 1
}
