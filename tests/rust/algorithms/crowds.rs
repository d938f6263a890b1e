//! Spectra whose largest values crowd: what a residual takes for one value is several.
//!
//! Lanczos from a random start sees the singular values alone, so diagonal matrices do for all.

use ndarray::{Array1, Array2};
use rsspecnorm::{Goal, Request, Store};

use crate::common::{Noise, one};

/// Matrices of each kind.
const ROUNDS: usize = 100;

/// The probability with which a crowd may be taken for one value (`algorithms/stopping.rs`).
const FAILURE_PROB: f64 = 1e-3;

/// What lies at the top: values relative to the largest one, `gap` apart as it were.
type Top = fn(gap: f64, noise: &mut Noise) -> Vec<f64>;

const TOPS: [(&str, Top); 6] = [
    ("pair", |gap, _| vec![1.0, 1.0 - gap]),
    ("triple", |gap, _| vec![1.0, 1.0 - gap, 1.0 - 2.0 * gap]),
    ("cluster", |gap, noise| crowd(1.0, gap, noise)),
    ("one above a cluster", |gap, noise| {
        [1.0].into_iter().chain(crowd(1.0 - gap, 1e-3 * gap, noise)).collect()
    }),
    ("ladder", |gap, _| (0..12).map(|i| 1.0 - gap * f64::from(i)).collect()),
    ("equal values", |_, noise| vec![1.0; 2 + noise.bits() as usize % 8]),
];

/// Three to thirty values from `top` down to `top - width`.
fn crowd(top: f64, width: f64, noise: &mut Noise) -> Vec<f64> {
    let below = 2 + noise.bits() as usize % 28;
    [top].into_iter().chain((0..below).map(|_| top - width * noise.unit())).collect()
}

/// A diagonal matrix of a side above 96 over rows of zeros, and its norm.
fn crowded(top: Top, least_len: usize, noise: &mut Noise) -> (Array2<f64>, f64) {
    let side = 97 + noise.bits() as usize % 150;
    let gap = 10.0_f64.powf(-7.0 + 5.5 * noise.unit());
    let mut values = top(gap, noise);
    values.resize_with(side, || 0.98 * noise.unit());
    let scale = 10.0_f64.powf(6.0 * noise.unit() - 3.0);
    let diagonal = Array1::from(values) * scale;
    let mut a = Array2::zeros((side.max(least_len / side + 1), side));
    a.diag_mut().assign(&diagonal);
    (a, scale)
}

/// How many of the matrices, of so many elements and as `round` leaves them, miss the tolerance.
fn misses<T: Store>(
    rtol: f64,
    least_len: usize,
    round: fn(f64) -> T,
    widen: fn(T) -> f64,
) -> usize {
    let mut noise = Noise::new(17);
    let mut missed = 0;
    for (name, top) in TOPS {
        for seed in 0..ROUNDS as u64 {
            let (a, scale) = crowded(top, least_len, &mut noise);
            let goal = Goal::Rtol(Some(rtol));
            let solution = one(a.mapv(round).view(), &Request { goal, seed, ..Request::default() });
            let error = (solution.sigma / widen(round(scale)) - 1.0).abs();
            let holds = solution.lower <= widen(round(scale)) * (1.0 + 1e-14);
            assert!(solution.converged && holds, "{name}, {seed}: {error:e}");
            missed += usize::from(error > rtol);
        }
    }
    missed
}

/// The expected number and three deviations.
fn allowed() -> usize {
    let expected = FAILURE_PROB * (TOPS.len() * ROUNDS) as f64;
    (expected + 3.0 * expected.sqrt()) as usize
}

#[test]
fn block_in_single_precision_does_not_take_a_crowd_for_one_value() {
    for rtol in [1e-4, 1e-6, 1e-9] {
        let missed = misses(rtol, 0, |x| x as f32, f64::from);
        assert!(missed <= allowed(), "rtol {rtol:e}: {missed}");
    }
}

#[test]
fn one_vector_in_double_precision_does_not_take_a_crowd_for_one_value() {
    for rtol in [1e-4, 1e-6, 1e-10] {
        let missed = misses(rtol, 0, |x| x, |x| x);
        assert!(missed <= allowed(), "rtol {rtol:e}: {missed}");
    }
}

#[test]
fn copy_in_single_precision_does_not_take_a_crowd_for_one_value() {
    // Larger matrices, in the slowest tier too: one goal of six digits and the default.
    for rtol in [1e-6, 1e-10] {
        let missed = misses(rtol, 1 << 18, |x| x, |x| x);
        assert!(missed <= allowed(), "rtol {rtol:e}: {missed}");
    }
}
