//! The whole range of the exponents, in every element type.

use half::{bf16, f16};
use ndarray::{Array2, array};
use rsspecnorm::{Method, Solution};

use crate::common::{bits, gaussian, one};
use crate::spectrum::{PRECISE, check_triplet, with_spectrum};

/// `x 2^k`, rounded at most once where `x 2^(k/2)` is normal.
fn times_power(x: f64, k: i32) -> f64 {
    x * 2.0_f64.powi(k / 2) * 2.0_f64.powi(k - k / 2)
}

#[test]
fn powers_of_two_change_no_bit_but_the_exponents() {
    for (nrows, ncols) in [(12, 9), (60, 50), (40, 70)] {
        let a = gaussian(nrows, ncols, 1);
        let plain = one(a.view(), &PRECISE);
        for k in [-900, -465, -464, -400, -1, 1, 400, 464, 465, 900] {
            let scaled = one(a.mapv(|x| times_power(x, k)).view(), &PRECISE);
            let expected = Solution {
                sigma: times_power(plain.sigma, k),
                second: times_power(plain.second, k),
                lower: times_power(plain.lower, k),
                upper: times_power(plain.upper, k),
                ..plain.clone()
            };
            assert_eq!(bits(&scaled), bits(&expected), "2^{k}, {nrows} x {ncols}");
            assert_eq!(scaled.entries.fro, times_power(plain.entries.fro, k), "2^{k}");
        }
    }
}

#[test]
fn largest_doubles_with_a_norm_that_fits() {
    for n in [2, 40] {
        let x = f64::MAX / 64.0;
        let a = Array2::from_elem((n, n), x);
        let solution = one(a.view(), &PRECISE);
        let expected = x * n as f64;
        assert!((solution.sigma / expected - 1.0).abs() <= 1e-13, "{}", solution.sigma);
        assert!(solution.converged && solution.upper >= expected);
    }
}

#[test]
fn norm_beyond_the_largest_double_is_infinite_without_vectors() {
    for a in [Array2::from_elem((2, 2), f64::MAX), Array2::from_elem((40, 50), 1e308)] {
        let solution = one(a.view(), &PRECISE);
        assert_eq!((solution.sigma, solution.upper), (f64::INFINITY, f64::INFINITY));
        assert!(solution.u.iter().chain(&solution.v).all(|x| x.is_nan()));
        assert_eq!((solution.u.len(), solution.v.len()), a.dim());
        assert_eq!(solution.entries.n_nonfinite, 0);
    }
}

#[test]
fn entries_of_1e300_have_a_norm() {
    let a = Array2::from_elem((36, 49), 1e300);
    let solution = one(a.view(), &PRECISE);
    assert!((solution.sigma / 4.2e301 - 1.0).abs() <= 1e-13, "{}", solution.sigma);
    assert!(solution.residual <= 1e-10 && solution.converged);
}

#[test]
fn smallest_double_is_counted_exactly() {
    let tiny = f64::from_bits(1);
    assert_eq!(one(array![[tiny]].view(), &PRECISE).sigma, tiny);
    assert_eq!(one(array![[tiny, 0.0], [0.0, -tiny]].view(), &PRECISE).sigma, tiny);
    assert_eq!(one(Array2::from_elem((3, 3), tiny).view(), &PRECISE).sigma, 3.0 * tiny);
    let solution = one(Array2::from_elem((140, 140), tiny).view(), &PRECISE);
    assert_eq!((solution.sigma, solution.method), (140.0 * tiny, Method::Lanczos));
    let squares: f64 = solution.u.iter().chain(&solution.v).map(|x| x * x).sum();
    assert!((squares - 2.0).abs() <= 1e-13);
}

#[test]
fn subnormal_matrix_has_the_rounded_norm_of_its_multiple() {
    let tiny = gaussian(50, 40, 2).mapv(|x| times_power(x, -1060));
    let large = tiny.mapv(|x| times_power(x, 1000));
    let expected = one(large.view(), &PRECISE);
    let solution = one(tiny.view(), &PRECISE);
    assert_eq!(solution.sigma, times_power(expected.sigma, -1000));
    assert_eq!((solution.u, solution.v), (expected.u, expected.v));
}

#[test]
fn single_precision_has_no_edges() {
    for x in [f32::MAX, f32::MIN_POSITIVE, f32::from_bits(1), 1e-30, 1e30] {
        for n in [2, 40] {
            let solution = one(Array2::from_elem((n, n), -x).view(), &PRECISE);
            let expected = f64::from(x) * n as f64;
            assert!((solution.sigma / expected - 1.0).abs() <= 1e-13, "{x:e}");
            assert!(solution.lower <= expected && expected <= solution.upper, "{x:e}");
            assert_eq!(solution.entries.max_abs, f64::from(x));
        }
    }
}

#[test]
fn half_precision_is_read_exactly() {
    let a = gaussian(60, 45, 3);
    let half = a.mapv(f16::from_f64);
    let brain = a.mapv(bf16::from_f64);
    for (storage, exact, solution) in [
        ("f16", half.mapv(f16::to_f64), one(half.view(), &PRECISE)),
        ("bf16", brain.mapv(bf16::to_f64), one(brain.view(), &PRECISE)),
    ] {
        let expected = one(exact.view(), &PRECISE).sigma;
        assert!((solution.sigma / expected - 1.0).abs() <= 1e-12, "{storage}");
        check_triplet(storage, &exact, &solution);
    }
}

#[test]
fn half_precision_has_no_edges() {
    let solution = one(Array2::from_elem((40, 40), f16::MAX).view(), &PRECISE);
    assert!((solution.sigma / (40.0 * 65504.0) - 1.0).abs() <= 1e-13);
    let solution = one(Array2::from_elem((40, 40), f16::from_bits(1)).view(), &PRECISE);
    assert!((solution.sigma / (40.0 * 2.0_f64.powi(-24)) - 1.0).abs() <= 1e-13);
    let solution = one(Array2::from_elem((40, 40), bf16::MAX).view(), &PRECISE);
    assert!((solution.sigma / (40.0 * bf16::MAX.to_f64()) - 1.0).abs() <= 1e-13);
    let solution = one(Array2::from_elem((40, 40), bf16::from_bits(1)).view(), &PRECISE);
    assert!((solution.sigma / (40.0 * 2.0_f64.powi(-133)) - 1.0).abs() <= 1e-13);
}

#[test]
fn entries_of_every_size_in_one_matrix() {
    let values: Vec<f64> = (0..40).map(|i| 0.5_f64.powi(i)).collect();
    let mut a = with_spectrum(50, 40, &values, 4).mapv(|x| x * 1e-300);
    a[[0, 0]] = 1e305;
    let solution = one(a.view(), &PRECISE);
    assert!((solution.sigma / 1e305 - 1.0).abs() <= 1e-13 && solution.converged);
}
