//! When a Lanczos run has reached its goal.
//!
//! A small change, a small residual or Kato-Temple's bound alone may come from the second singular
//! value while the first has not emerged. `rtol` is therefore reached only when, with probability
//! `1 - VALUE_FAILURE_PROB` over the start, `sigma_1` lies within a percent of the value (or within
//! `rtol`, if that is larger) *and*
//! Kato-Temple's bound is below `rtol` *and* two steps in a row changed the value by less than a
//! tenth of it *and* nothing unseen lies within the percent: `sigma_1` is within `rtol` of the value
//! with probability `1 - CROWD_FAILURE_PROB` (decision 0012).
//!
//! | here | Saad, Numerical Methods for Large Eigenvalue Problems (2011), 3.2 |
//! |---|---|
//! | Kato-Temple | `lambda_1 - theta <= r^2 / (theta - second)` |

use super::bounds::Christoffel;
use super::start::warm_factor;
use super::tridiagonal::Tridiagonal;

/// Probability, over the start vector, that an `rtol` is met for a smaller singular value than the
/// first. The price of a smaller one is a few more passes.
pub(crate) const VALUE_FAILURE_PROB: f64 = 1e-6;

/// Probability, over the start vector, that values which lie closer together than Kato-Temple's
/// bound supposes are taken for one.
const CROWD_FAILURE_PROB: f64 = 1e-3;

/// The same for an `rtol` below [`FINE`]: each of the last steps brings more than a digit, and the
/// one that excludes the rest of the crowd has as a rule gone past what was asked.
const FINE_CROWD_FAILURE_PROB: f64 = 1e-2;
const FINE: f64 = 1e-6;

/// The nearest distance at which rounding still lets the recurrence of the bound grow.
const NEAREST: f64 = 1e-13;

/// Probability that a value which something else will check belongs to a smaller singular value.
const CANDIDATE_FAILURE_PROB: f64 = 1e-2;

/// Width of the interval that must hold `sigma_1` before an `rtol` may count as reached.
pub(crate) const VALUE_WIDTH: f64 = 1e-2;

/// Columns up to which the whole space is always taken in: it costs next to nothing, leaves nothing
/// to chance and resolves clusters that no residual shows.
const ALWAYS_EXHAUSTED: usize = 32;

/// When to stop.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Target {
    Rtol(f64),
    /// As `Rtol`, for a value that a proof will check: less is done to make sure of it.
    Candidate(f64),
    Width {
        width: f64,
        failure_prob: f64,
    },
}

/// What one step knows of the spectrum.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct State {
    pub(crate) theta: f64,
    pub(crate) residual_squared: f64,
    /// The value: a lower bound of `sigma_1^2`.
    pub(crate) lambda: f64,
    /// The space holds all there is to know: it is the whole space or invariant.
    pub(crate) exhausted: bool,
    /// Steps in a row that changed the value by less than a tenth of `rtol`.
    pub(crate) calm_steps: usize,
    pub(crate) converged: bool,
}

/// The goal of a run and what it takes to tell that it is reached.
#[derive(Debug)]
pub(crate) struct Criteria {
    target: Target,
    bound: Christoffel,
    /// The same for a crowd at the top.
    crowd: Christoffel,
    /// What rounding may do to sigma, relative.
    pub(crate) margin: f64,
    /// Whether the whole space is to be taken in before a look at the spectrum.
    pub(crate) must_exhaust: bool,
    vectors: bool,
}

impl Criteria {
    /// For an operator of so many rows and columns, which count once also where they are complex.
    pub(crate) fn new(
        (nrows, ncols): (usize, usize),
        is_complex: bool,
        target: Target,
        is_warm: bool,
        vectors: bool,
    ) -> Self {
        let failure_prob = match target {
            Target::Rtol(_) => VALUE_FAILURE_PROB,
            Target::Candidate(_) => CANDIDATE_FAILURE_PROB,
            Target::Width { failure_prob, .. } => failure_prob,
        };
        let christoffel = |p| match is_complex {
            true => Christoffel::complex(ncols, p, warm_factor(is_warm)),
            false => Christoffel::new(ncols, p, warm_factor(is_warm)),
        };
        let (bound, crowd) = (christoffel(failure_prob), christoffel(crowd_failure_prob(&target)));
        let must_exhaust = ncols <= ALWAYS_EXHAUSTED;
        Self {
            target,
            bound,
            crowd,
            margin: rounding_margin(nrows.max(ncols)),
            must_exhaust,
            vectors,
        }
    }

    /// A relative change of sigma squared that counts as none.
    pub(crate) fn calm_change(&self) -> f64 {
        match self.target {
            Target::Rtol(rtol) | Target::Candidate(rtol) => {
                (2.0 * rtol / 10.0).max(8.0 * f64::EPSILON)
            }
            Target::Width { .. } => 0.0,
        }
    }

    /// Notes in the state whether the goal is reached.
    pub(crate) fn judge(&self, state: &mut State, matrix: &Tridiagonal, ceiling: f64) {
        state.converged = state.exhausted
            || match self.target {
                Target::Rtol(rtol) => {
                    self.reaches_rtol(state, matrix, ceiling, rtol)
                        && self.is_alone(state, matrix, ceiling, rtol)
                }
                Target::Candidate(rtol) => self.reaches_rtol(state, matrix, ceiling, rtol),
                Target::Width { width, .. } => self.is_within(state, matrix, ceiling, width),
            };
    }

    /// The tests are in order of their price.
    fn reaches_rtol(&self, state: &State, matrix: &Tridiagonal, ceiling: f64, rtol: f64) -> bool {
        // The Frobenius norm bounds sigma whatever the start was. Its vectors may still be poor.
        if !self.vectors && ceiling <= (1.0 + rtol) * (1.0 + rtol) * state.lambda {
            return true;
        }
        let is_candidate = matches!(self.target, Target::Candidate(_));
        (is_candidate || state.calm_steps >= 2)
            && self.is_within(state, matrix, ceiling, rtol.max(VALUE_WIDTH))
            && kato_temple(state, matrix) <= 2.0 * rtol
    }

    /// Whether no larger value lies unresolved beside the one found.
    fn is_alone(&self, state: &State, matrix: &Tridiagonal, ceiling: f64, rtol: f64) -> bool {
        let x = state.lambda * (1.0 + 2.0 * rtol.max(NEAREST));
        ceiling <= x || self.crowd.excludes(matrix, x)
    }

    /// Whether `sigma_1 <= (1 + width) * sqrt(lambda)`, rounding included, but for the failure
    /// probability.
    fn is_within(&self, state: &State, matrix: &Tridiagonal, ceiling: f64, width: f64) -> bool {
        let factor = (1.0 + width) * (1.0 - self.margin) / (1.0 + self.margin);
        let x = factor * factor * state.lambda;
        x > state.lambda && (ceiling <= x || self.bound.excludes(matrix, x))
    }

    /// The upper bound on `sigma_1^2` that holds at the end.
    pub(crate) fn upper(&self, state: &State, matrix: &Tridiagonal, ceiling: f64) -> f64 {
        let top = match state.exhausted {
            true => state.lambda,
            false => self.bound.upper(matrix, state.lambda, ceiling),
        };
        top.min(ceiling).max(state.lambda)
    }
}

/// Probability that a run with this target takes a crowd at the top for one value.
pub(super) fn crowd_failure_prob(target: &Target) -> f64 {
    match *target {
        Target::Rtol(rtol) if rtol < FINE => FINE_CROWD_FAILURE_PROB,
        _ => CROWD_FAILURE_PROB,
    }
}

/// A bound on the relative error of `theta`, given that it belongs to the top.
fn kato_temple(state: &State, matrix: &Tridiagonal) -> f64 {
    let plain = state.residual_squared.sqrt() / state.theta;
    let gap = state.theta - matrix.second(state.theta).unwrap_or(state.theta);
    plain.min(state.residual_squared / (state.theta * gap.max(0.0)))
}

/// What rounding may do to sigma, relative: a few units per square root of the length summed.
pub(crate) fn rounding_margin(n: usize) -> f64 {
    f64::EPSILON * (8.0 + 2.0 * (n as f64).sqrt())
}
