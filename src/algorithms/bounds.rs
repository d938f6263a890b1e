//! The upper bound that the Lanczos scalars give for free.
//!
//! Let `v_1` be uniform on the unit sphere of R^n and `y` the top right singular vector. The
//! Lanczos vectors are `p_j(B'B) v_1` with orthonormal polynomials `p_j`, so `y.v_{j+1} =
//! p_j(lambda) g` with `g = y.v_1`, and Bessel's inequality says `g^2 K_k(lambda) <= 1` for the
//! Christoffel sum `K_k(x) = p_0(x)^2 + ... + p_k(x)^2`. Right of the Ritz values `K_k` increases,
//! so whenever `g^2 >= delta^2` the top eigenvalue lies left of the `x` with `K_k(x) = delta^-2`.
//! The event does not depend on k: the bound may be read off at any step without a union bound.
//!
//! | here | Hochstenbach, J. Sci. Comput. 57 (2013), van Dorsselaer et al., SIMAX 22 (2000) |
//! |---|---|
//! | `delta` | delta, the component that the start vector has along `y` at least |
//! | [`Christoffel::excludes`] | the Lanczos polynomial exceeds 1/delta; here the sum of squares |

use super::tridiagonal::Tridiagonal;

/// Halvings of a bracket that exhaust a double's precision.
const BISECTIONS: usize = 64;

/// Above this failure probability the density of `g` is integrated, below it is taken as flat.
const FLAT: f64 = 1e-3;

/// The upper bound for one start vector.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Christoffel {
    /// `delta^-2`, infinite for a failure probability of zero.
    threshold: f64,
}

impl Christoffel {
    /// The bound that fails with probability `failure_prob` for a start uniform on the sphere of
    /// R^n, or for one whose threshold is scaled by `factor`.
    pub(crate) fn new(n: usize, failure_prob: f64, factor: f64) -> Self {
        let delta = factor * component(n, failure_prob);
        Self { threshold: 1.0 / (delta * delta) }
    }

    /// The same for a start uniform on the sphere of C^n, whose components are small more rarely.
    pub(crate) fn complex(n: usize, failure_prob: f64, factor: f64) -> Self {
        Self { threshold: 1.0 / (factor * factor * complex_component_squared(n, failure_prob)) }
    }

    /// Whether `lambda < x` holds but for the failure probability. `x` must lie above the top
    /// Ritz value.
    pub(crate) fn excludes(&self, t: &Tridiagonal, x: f64) -> bool {
        exceeds(t, x, self.threshold)
    }

    /// The same where each step of the recurrence is off by noise, `noise.size` at most over all.
    pub(crate) fn excludes_despite(&self, t: &Tridiagonal, x: f64, noise: Noise) -> bool {
        if !self.excludes(t, x) || x <= noise.top {
            return false;
        }
        let delta = 1.0 / self.threshold.sqrt() - noise.size * t.resolvent_norm(x);
        let whole = 1.0 + noise.size / (x - noise.top);
        delta > 0.0 && exceeds(t, x, (whole / delta) * (whole / delta))
    }

    /// Whether the noise outweighs at `x` what the start has along the top vector at least.
    pub(crate) fn is_drowned(&self, t: &Tridiagonal, x: f64, noise: Noise) -> bool {
        let (weight, distance) = (self.threshold.sqrt() * noise.size, x - noise.top);
        // No resolvent is larger than the reciprocal of the distance, which costs nothing.
        distance > 0.0 && weight >= distance && weight * t.resolvent_norm(x) >= 1.0
    }

    /// The upper bound on `lambda`, given the top Ritz value and a deterministic bound.
    pub(crate) fn upper(&self, t: &Tridiagonal, top: f64, ceiling: f64) -> f64 {
        if !self.excludes(t, ceiling) {
            return ceiling;
        }
        bisect(top, ceiling, 0.0, |x| self.excludes(t, x))
    }
}

/// What rounding does to a recurrence.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Noise {
    /// The length of the vector of what each step is off by, along the top singular vector.
    pub(crate) size: f64,
    /// The top Ritz value.
    pub(crate) top: f64,
}

/// Whether the Christoffel sum at `x` reaches `threshold`.
fn exceeds(t: &Tridiagonal, x: f64, threshold: f64) -> bool {
    let (mut before, mut p, mut sum) = (0.0, 1.0, 1.0);
    for j in 0..t.len() {
        let beta_before = if j > 0 { t.beta[j - 1] } else { 0.0 };
        let next = ((x - t.alpha[j]) * p - beta_before * before) / t.beta[j];
        // Left of the top Ritz value the polynomials oscillate, and nothing is excluded.
        if next.is_nan() || next < 0.0 {
            return false;
        }
        (before, p) = (p, next);
        sum += p * p;
        // Terms are non-negative: leaving here avoids any overflow.
        if sum >= threshold {
            return true;
        }
    }
    false
}

/// The smallest `x` between `low` and `high` that is excluded, as `high` is, but for a share of
/// their distance.
pub(super) fn bisect(low: f64, high: f64, share: f64, excludes: impl Fn(f64) -> bool) -> f64 {
    let least = share * (high - low);
    let (mut low, mut high) = (low, high);
    for _ in 0..BISECTIONS {
        let middle = low + 0.5 * (high - low);
        if middle <= low || middle >= high || high - low <= least {
            break;
        }
        *(if excludes(middle) { &mut high } else { &mut low }) = middle;
    }
    high
}

/// The `delta` with `P(|g| < delta) = failure_prob`, `g` a coordinate of a uniform unit vector of
/// R^n; from below where it is rounded.
fn component(n: usize, failure_prob: f64) -> f64 {
    if n == 1 {
        return 1.0;
    }
    // P(|g| < sin phi) = I(phi) / W with I(phi) the integral of cos^(n-2) from 0 to phi.
    let target = failure_prob * wallis(n - 2);
    if n == 2 {
        return target.sin();
    }
    if failure_prob <= FLAT {
        return target; // the integrand is at most one, so sin phi >= target
    }
    // I is increasing and concave, so Newton's steps from the left stay left of the root: wherever
    // they end, the result is a valid, smaller delta.
    let mut phi = target;
    for _ in 0..BISECTIONS {
        let step = (target - integral(n - 2, phi)) / phi.cos().powf((n - 2) as f64);
        if step <= f64::EPSILON * phi {
            break;
        }
        phi += step;
    }
    phi.sin()
}

/// The `delta^2` with `P(|g|^2 < delta^2) = failure_prob`, `g` a coordinate of a uniform unit vector
/// of C^n: `|g|^2` has the distribution Beta(1, n - 1), so `1 - (1 - failure_prob)^(1 / (n - 1))`.
fn complex_component_squared(n: usize, failure_prob: f64) -> f64 {
    if n == 1 {
        return 1.0;
    }
    -((-failure_prob).ln_1p() / (n - 1) as f64).exp_m1()
}

/// The integral of `cos^k` from 0 to `phi`, by Simpson's rule on the part that is not negligible.
fn integral(k: usize, phi: f64) -> f64 {
    const PANELS: usize = 256;
    // Beyond ten standard deviations cos^k is below 1e-21.
    let end = phi.min(10.0 / (k as f64).sqrt());
    let h = end / PANELS as f64;
    let f = |i: usize| (i as f64 * h).cos().powf(k as f64);
    let inner = |i: usize| if i % 2 == 1 { 4.0 * f(i) } else { 2.0 * f(i) };
    h / 3.0 * (f(0) + f(PANELS) + (1..PANELS).map(inner).sum::<f64>())
}

/// Wallis' integral of `cos^k` from 0 to pi/2.
fn wallis(k: usize) -> f64 {
    // W(k) W(k-1) = pi / (2k) brings large k down to an asymptotic series, small k to a product.
    if k < 64 {
        let start = if k.is_multiple_of(2) { std::f64::consts::FRAC_PI_2 } else { 1.0 };
        let first = if k.is_multiple_of(2) { 2 } else { 3 };
        return (first..=k).step_by(2).fold(start, |w, j| w * (j - 1) as f64 / j as f64);
    }
    let x = k as f64;
    let series = 1.0 - 1.0 / (4.0 * x) + 1.0 / (32.0 * x * x) + 5.0 / (128.0 * x * x * x);
    (std::f64::consts::FRAC_PI_2 / x).sqrt() * series
}

#[cfg(test)]
#[path = "../../tests/rust/unit/bounds.rs"]
mod tests;
