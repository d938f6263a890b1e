//! Matrices in double precision whose top is looked for at a copy in single: they are as right as by one
//! vector in double, and that one still serves where the copy cannot tell.

use ndarray::{Array2, s};
use rsspecnorm::{Goal, Request, Solution};

use crate::common::{bits, gaussian, one};
use crate::spectrum::{PRECISE, check, check_triplet, with_spectrum};

/// More than 2^18 elements each: square, tall, wide, with tails.
const SHAPES: [(usize, usize); 5] = [(520, 520), (2100, 131), (131, 2100), (700, 601), (601, 700)];

/// Values from `top` on, the rest below nine tenths of it.
fn sigmas(top: &[f64], n: usize) -> Vec<f64> {
    let rest = (0..n - top.len()).map(|i| 0.9 * top[0] * 0.98_f64.powi(i as i32));
    top.iter().copied().chain(rest).collect()
}

#[test]
fn ten_digits_an_interval_and_vectors_in_every_shape() {
    for (k, shape) in SHAPES.into_iter().enumerate() {
        for (name, top) in [
            ("a gap", &[2.0, 1.5][..]),
            ("a narrow gap", &[2.0, 1.999]),
            ("a tiny gap", &[2.0, 2.0 - 2e-6]),
            ("a gap that single precision does not see", &[2.0, 2.0 - 2e-9]),
            ("a cluster", &[2.0; 6]),
        ] {
            let values = sigmas(top, shape.0.min(shape.1));
            let a = with_spectrum(shape.0, shape.1, &values, k as u64);
            check(&format!("{name}, {shape:?}"), &a, 2.0);
        }
    }
}

#[test]
fn an_open_top_takes_far_fewer_passes_than_one_vector() {
    for seed in 0..4 {
        let a = gaussian(640, 600, seed);
        let found = one(a.view(), &PRECISE);
        // What is asked beyond what a copy is good for, one vector finds.
        let goal = Goal::Rtol(Some(1e-13));
        let sure = one(a.view(), &Request { goal, ..PRECISE });
        assert!((found.sigma / sure.sigma - 1.0).abs() <= 1e-10, "{seed}");
        assert!((found.second / sure.second - 1.0).abs() <= 1e-4, "{seed}");
        assert!(2 * found.n_passes < sure.n_passes + 20, "{} {}", found.n_passes, sure.n_passes);
        assert!(found.converged && sure.converged && found.residual < 1e-5, "{seed}");
        check_triplet("noise", &a, &found);
    }
}

#[test]
fn entries_are_those_of_the_matrix_and_not_of_its_copy() {
    let mut a = gaussian(530, 520, 1);
    a[[3, 4]] = 77.123_456_789;
    let Solution { entries, .. } = one(a.view(), &PRECISE);
    assert_eq!(entries.max_abs, 77.123_456_789);
    let fro = a.iter().map(|x| x * x).sum::<f64>().sqrt();
    assert!((entries.fro / fro - 1.0).abs() < 1e-13);
}

#[test]
fn a_power_of_two_scales_the_result_bit_for_bit() {
    let a = gaussian(540, 510, 2);
    let plain = one(a.view(), &PRECISE);
    for exponent in [-900, -300, -41, -3, 1, 41, 300, 880] {
        let factor = 2.0_f64.powi(exponent);
        let scaled = one(a.mapv(|x| x * factor).view(), &PRECISE);
        assert_eq!(scaled.sigma.to_bits(), (plain.sigma * factor).to_bits(), "{exponent}");
        assert_eq!(scaled.upper.to_bits(), (plain.upper * factor).to_bits(), "{exponent}");
    }
}

#[test]
fn the_ends_of_the_range_are_left_to_double_precision() {
    let a = gaussian(540, 510, 3);
    let plain = one(a.view(), &PRECISE).sigma;
    for exponent in [-1021, 1015] {
        let scaled = one(a.mapv(|x| x * 2.0_f64.powi(exponent)).view(), &PRECISE);
        assert!(scaled.converged);
        assert!((scaled.sigma * 2.0_f64.powi(-exponent) / plain - 1.0).abs() < 1e-9, "{exponent}");
    }
    let subnormal = Array2::from_elem((530, 520), 3.0 * f64::from_bits(1));
    let found = one(subnormal.view(), &PRECISE);
    let expected = 3.0 * f64::from_bits(1) * (530.0_f64 * 520.0).sqrt();
    assert!((found.sigma / expected - 1.0).abs() < 1e-2, "{:e} {expected:e}", found.sigma);
}

#[test]
fn entries_of_very_different_size_lose_nothing_that_shows() {
    let mut a = gaussian(600, 520, 4) * 1e-30;
    a.row_mut(7).mapv_inplace(|x| x * 1e60);
    let norm = a.row(7).dot(&a.row(7)).sqrt();
    let found = one(a.view(), &PRECISE);
    assert!((found.sigma / norm - 1.0).abs() < 1e-12 && found.converged);
}

#[test]
fn degenerate_entries_are_seen() {
    let zero = Array2::<f64>::zeros((600, 520));
    assert_eq!(one(zero.view(), &PRECISE).sigma, 0.0);
    let mut a = gaussian(600, 520, 5);
    a[[599, 519]] = f64::INFINITY;
    assert_eq!(one(a.view(), &PRECISE).sigma, f64::INFINITY);
    a[[0, 519]] = f64::NAN;
    let found = one(a.view(), &PRECISE);
    assert!(found.sigma.is_nan());
    assert_eq!(found.entries.n_nonfinite, 2);
}

#[test]
fn layout_and_padding_show_in_no_bit() {
    let a = gaussian(700, 520, 6);
    let plain = one(a.view(), &PRECISE);
    let mut padded = Array2::zeros((710, 533));
    padded.slice_mut(s![4..704, 5..525]).assign(&a);
    assert_eq!(bits(&plain), bits(&one(padded.slice(s![4..704, 5..525]), &PRECISE)));
    let turned = one(a.t(), &PRECISE);
    assert_eq!((turned.u.len(), turned.v.len()), (520, 700));
    assert!((turned.sigma / plain.sigma - 1.0).abs() <= 1e-10);
}

#[test]
fn a_warm_start_and_few_passes_are_kept_to() {
    let a = gaussian(700, 520, 7);
    let best = one(a.view(), &PRECISE);
    let v0 = [&best.v[..]];
    for maxiter in [1, 2, 3, 4, 5, 9] {
        let cold = one(a.view(), &Request { maxiter, ..PRECISE });
        assert!(!cold.converged && cold.n_passes <= maxiter + 1, "{} {maxiter}", cold.n_passes);
        assert!(cold.lower <= best.sigma && best.sigma <= cold.upper * (1.0 + 1e-10));
        let warm = one(a.view(), &Request { maxiter, v0: Some(&v0), ..PRECISE });
        assert!(warm.sigma > 0.95 * best.sigma, "{maxiter}: {} {}", warm.sigma, best.sigma);
    }
    let warm = one(a.view(), &Request { v0: Some(&v0), ..PRECISE });
    assert!(warm.converged && (warm.sigma / best.sigma - 1.0).abs() <= 1e-10);
}

#[test]
fn probable_intervals_hold() {
    for seed in 0..6 {
        let a = gaussian(540, 500, seed);
        let sigma = one(a.view(), &PRECISE).sigma;
        let goal = Goal::Width { width: 0.01, failure_prob: 1e-6 };
        let found = one(a.view(), &Request { goal, seed, ..Request::default() });
        assert!(found.converged && found.upper <= 1.0101 * found.lower, "{seed}");
        assert!(found.lower <= sigma && sigma <= found.upper, "{seed}");
    }
}
