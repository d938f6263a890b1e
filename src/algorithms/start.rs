//! The start vector: uniform on the sphere, a function of the seed and the length alone.
//!
//! The upper bound is a statement about this randomness, so nothing of the matrix may enter. A
//! warm start `w` is mixed as `w + TAU g` with `g` uniform: whatever `w` is, even chosen by an
//! adversary, the component along the top vector is small with no more than the probability that
//! `g` alone would give at a threshold scaled by [`warm_factor`].

use crate::kernels::normal::{mix, normals};
use crate::kernels::reduce::nrm2;
use crate::kernels::vector::{axpy, scale};
use crate::simd::Level;

/// The weight of the random part of a warm start.
pub(crate) const TAU: f64 = 0.1;

/// What a warm start multiplies the threshold on the top vector's component by.
///
/// From `|y.(w + TAU g)| / |w + TAU g| <= d` follows `|y.g - c| <= d (1 + TAU) / TAU` for some
/// `c`, and a symmetric unimodal variable is least likely to be missed at `c = 0`.
pub(crate) fn warm_factor(is_warm: bool) -> f64 {
    if is_warm { TAU / (1.0 + TAU) } else { 1.0 }
}

/// Fills `v` with a unit vector, uniform on the sphere, or mixed with the warm start.
///
/// A warm start without a direction (zero or not finite) counts as none; the return value says
/// whether it was used.
pub(crate) fn fill(level: Level, seed: u64, v0: Option<&[f64]>, v: &mut [f64]) -> bool {
    gaussian(level, seed, v);
    normalize(level, v);
    let Some((w, factor)) = v0.and_then(|w| Some((w, direction(level, w)?))) else {
        return false;
    };
    let random = v.to_vec();
    scale(level, factor, w, v);
    normalize(level, v);
    axpy(level, TAU, &random, v);
    normalize(level, v);
    true
}

/// Fills `v` with a unit vector that is uniform on the sphere, one of several independent ones.
pub(super) fn column(level: Level, seed: u64, index: u64, v: &mut [f64]) {
    gaussian(level, mix(seed).wrapping_add(index), v);
    normalize(level, v);
}

/// Fills `v` with the unit vector of a warm start; `false` where it has no direction.
pub(super) fn warm_column(level: Level, w: &[f64], v: &mut [f64]) -> bool {
    let factor = direction(level, w);
    scale(level, factor.unwrap_or(0.0), w, v);
    normalize(level, v);
    factor.is_some()
}

/// The power of two that brings the largest entry near one; `None` when there is no direction.
fn direction(level: Level, w: &[f64]) -> Option<f64> {
    let norm = nrm2(level, w);
    let usable = norm > 0.0 && w.iter().all(|x| x.is_finite());
    let largest = w.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    usable
        .then(|| crate::scalar::power_of_two(-crate::scalar::exponent(largest).clamp(-1000, 1000)))
}

fn normalize(level: Level, v: &mut [f64]) {
    let norm = nrm2(level, v);
    if norm > 0.0 {
        v.iter_mut().for_each(|x| *x /= norm);
    }
}

/// Independent standard normal numbers of a seed and a length.
fn gaussian(level: Level, seed: u64, out: &mut [f64]) {
    normals(level, mix(seed ^ mix(out.len() as u64)), out);
}

#[cfg(test)]
#[path = "../../tests/rust/unit/start.rs"]
mod tests;
