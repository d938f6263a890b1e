//! The largest eigenvalue of order 3 where it is known, tier against tier.

use super::TopOfThree;
use crate::kernels::eight::Entry;
use crate::simd::Level;

/// `Q diag(values) Q'` with `Q` a reflection that fills every entry, as lower triangles.
fn turned(values: [f64; 3]) -> Vec<Entry> {
    let h = [0.48, -0.6, 0.64];
    let q = |i: usize, j: usize| f64::from(u8::from(i == j)) - 2.0 * h[i] * h[j];
    let entry = |i: usize, j: usize| (0..3).map(|k| q(i, k) * values[k] * q(j, k)).sum::<f64>();
    let lanes =
        |at: usize| [if at % 3 <= at / 3 { entry(at / 3, at % 3) } else { f64::NAN }; 8].into();
    (0..9).map(lanes).collect()
}

const SPECTRA: [[f64; 3]; 12] = [
    [1.0, 2.0, 3.0],
    [3.0, 0.5, 1e-3],
    [2.0, 2.0, 0.1],
    [2.0, 0.1, 0.1],
    [1.0, 1.0, 1.0],
    [1.0, 1.0 - 1e-9, 1e-3],
    [1.0, 1.0 - 1e-15, 1.0 - 2e-15],
    [1.0, 1.0 - 1e-6, 1.0 - 1e-6],
    [5.0, 0.0, 0.0],
    [1.0, 1e-8, 1e-16],
    [1.0, 1e-300, 0.0],
    [2.0, 1.0, 0.0],
];

#[test]
fn top_of_any_spectrum_is_right_to_a_few_roundings() {
    for values in SPECTRA {
        let expected = values.iter().fold(0.0_f64, |m, x| m.max(*x));
        for level in Level::all() {
            let top = level.run(TopOfThree { gram: &turned(values) })[5];
            let error = (top / expected - 1.0).abs();
            // The matrix itself was rounded, too.
            assert!(error <= 16.0 * f64::EPSILON, "{values:?}: {error:e}");
        }
    }
}

#[test]
fn top_of_a_diagonal_is_exact_or_nearly() {
    for values in SPECTRA {
        let gram: Vec<Entry> =
            (0..9).map(|at| [if at % 4 == 0 { values[at / 4] } else { 0.0 }; 8].into()).collect();
        let expected = values.iter().fold(0.0_f64, |m, x| m.max(*x));
        let top = Level::all()[0].run(TopOfThree { gram: &gram })[0];
        assert!((top / expected - 1.0).abs() <= 4.0 * f64::EPSILON, "{values:?}: {top}");
    }
}

#[test]
fn tiers_return_the_same_bits() {
    for values in SPECTRA {
        let gram = turned(values);
        let expected = Level::all()[0].run(TopOfThree { gram: &gram });
        for level in Level::all() {
            assert_eq!(level.run(TopOfThree { gram: &gram }), expected, "{}", level.name());
        }
    }
}
