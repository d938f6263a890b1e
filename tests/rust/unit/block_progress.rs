//! Which changes of a value count as none.

use super::Progress;
use crate::algorithms::block_stopping::Criteria;
use crate::algorithms::stopping::Target;

const RTOL: f64 = 1e-6;

/// The calm steps after each of several rises of sigma squared, given in units of `2 * RTOL`.
fn calm_steps<const N: usize>(rises: [f64; N], rounding: f64) -> [usize; N] {
    let mut criteria = Criteria::new((2048, 2048), Target::Rtol(RTOL), 3);
    criteria.rounding = rounding;
    let (mut progress, mut lambda) = (Progress::default(), 1.0);
    progress.step(lambda, 0.0, &criteria);
    rises.map(|rise| {
        lambda *= 1.0 + 2.0 * RTOL * rise;
        progress.step(lambda, 0.0, &criteria);
        progress.calm_steps
    })
}

#[test]
fn a_tenth_of_the_tolerance_is_calm_whatever_came_before() {
    for rounding in [0.0, 1e-3] {
        assert_eq!(calm_steps([0.09, 0.09, 0.09, 0.3, 0.09], rounding), [1, 2, 3, 0, 1]);
        assert_eq!(calm_steps([0.02, 0.05, 0.08, 0.21], rounding), [1, 2, 3, 0]);
    }
}

#[test]
fn a_fifth_is_calm_at_a_copy_while_changes_fall() {
    let halving = [0.7, 0.35, 0.18, 0.09];
    assert_eq!(calm_steps(halving, 1e-3), [0, 0, 1, 2]);
    assert_eq!(calm_steps(halving, 0.0), [0, 0, 0, 1]);
    let even = [0.18, 0.18, 0.17, 0.16, 0.15];
    assert_eq!(calm_steps(even, 1e-3), [1, 0, 0, 0, 0]);
}
