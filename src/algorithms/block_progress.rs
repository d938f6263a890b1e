//! What the steps of a block Lanczos run tell: the value, its residual, and the noise in both.

use super::block_stopping::Criteria;
use super::bounds::Noise;

/// What single precision is taken to move the image of a Ritz vector by, relative to `sigma^2`, until a pass
/// in double has measured it.
pub(super) const NOISE: f64 = 2.4e-7;

/// How much more the next measurement may find than the last.
const NOISE_SPREAD: f64 = 1.1;

/// How much larger than measured on the Ritz vector the noise may be on any other. All of it is
/// counted as if it lay along the top singular vector, where by chance `1 / sqrt(n)` of it does.
pub(super) const NOISE_SAFETY: f64 = 3.0;

/// The share of the change before that a change is below while they fall: of a Gaussian they halve.
const FALL: f64 = 0.75;

/// What the steps so far tell.
#[derive(Debug)]
pub(super) struct Progress {
    pub(super) theta: f64,
    pub(super) residual_squared: f64,
    /// The top of the band matrix.
    pub(super) ritz: f64,
    /// The value: a lower bound of `sigma_1^2`, but for noise before the last pass.
    pub(super) lambda: f64,
    /// By what share of it the last step raised it.
    pub(super) rise: f64,
    /// What single precision moves the image of a Ritz vector by, relative to `sigma^2`.
    pub(super) noise: f64,
    /// The same of whatever blocks are multiplied with, be it a copy that is rounded.
    pub(super) blur: f64,
    pub(super) n_steps: usize,
    pub(super) calm_steps: usize,
    /// The number of steps after which the bound first met the goal.
    pub(super) bounded_at: Option<usize>,
    /// Whether the noise has been measured.
    is_known: bool,
    /// Whether value, residual and noise are those of the last pass.
    pub(super) measured: bool,
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
            blur: NOISE,
            n_steps: 0,
            calm_steps: 0,
            bounded_at: None,
            is_known: false,
            measured: false,
            converged: false,
        }
    }
}

impl Progress {
    pub(super) fn step(&mut self, theta: f64, residual_squared: f64, criteria: &Criteria) {
        let lambda = (theta + residual_squared / theta).max(self.lambda);
        let (rise, [any, falling]) = (lambda - self.lambda, criteria.calm_changes());
        // The value of a pair that is not told apart yet rises evenly, however slowly.
        let falls = rise <= FALL * self.rise * self.lambda;
        let is_calm = rise <= any * lambda || falls && rise <= falling * lambda;
        self.rise = 1.0 - self.lambda / lambda;
        self.calm_steps = if is_calm { self.calm_steps + 1 } else { 0 };
        self.n_steps += 1;
        self.measured = false;
        (self.theta, self.residual_squared, self.lambda) = (theta, residual_squared, lambda);
        self.ritz = theta;
        if !self.is_known {
            self.blur = criteria.expected_blur(lambda);
        }
    }

    /// Takes in what the pass in double precision found.
    pub(super) fn measure(&mut self, theta: f64, residual_squared: f64, noise: f64, blur: f64) {
        (self.measured, self.is_known) = (true, true);
        (self.noise, self.blur) = (noise / theta, blur / theta);
        (self.theta, self.residual_squared) = (theta, residual_squared);
        self.lambda = theta + residual_squared / theta;
    }

    /// Goes on where the last pass has found more noise than was thought.
    pub(super) fn resume(&mut self) {
        self.noise *= NOISE_SPREAD;
        self.blur *= NOISE_SPREAD;
        self.bounded_at = None;
    }

    /// The noise of so many steps.
    pub(super) fn noise(&self, n_steps: usize) -> Noise {
        let size = NOISE_SAFETY * self.noise * self.lambda * (n_steps as f64).sqrt();
        Noise { size, top: self.ritz }
    }

    /// The squared residual; before the last pass with what single precision will add to it.
    pub(super) fn whole_residual_squared(&self) -> f64 {
        let blur = if self.measured { 0.0 } else { self.blur * self.theta };
        self.residual_squared + blur * blur
    }
}

#[cfg(test)]
#[path = "../../tests/rust/unit/block_progress.rs"]
mod tests;
