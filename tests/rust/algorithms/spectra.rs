//! Closed forms, and spectra made to measure.

use std::f64::consts::PI;

use ndarray::linalg::kron;
use ndarray::{Array1, Array2, s};
use rsspecnorm::{Control, Matrix, Request, solve};

use crate::common::{Noise, gaussian, one};
use crate::spectrum::{PRECISE, check, direction, with_spectrum};

/// Sizes on both sides of the one up to which the whole space is taken in.
const SIZES: [usize; 5] = [2, 7, 32, 33, 90];

fn from_fn(nrows: usize, ncols: usize, f: impl Fn(usize, usize) -> f64) -> Array2<f64> {
    Array2::from_shape_fn((nrows, ncols), |(i, j)| f(i, j))
}

fn hadamard(doublings: u32) -> Array2<f64> {
    let n = 1 << doublings;
    from_fn(n, n, |i, j| if (i & j).count_ones() % 2 == 0 { 1.0 } else { -1.0 })
}

#[test]
fn matrix_of_ones() {
    for (m, n) in [(1, 1), (3, 5), (40, 40), (70, 35), (35, 70), (1, 100)] {
        check("ones", &Array2::ones((m, n)), ((m * n) as f64).sqrt());
    }
}

#[test]
fn outer_product_of_two_vectors() {
    for (m, n) in [(2, 2), (50, 40), (33, 120)] {
        let mut noise = Noise::new(1);
        let (u, v) = (direction(m, &mut noise), direction(n, &mut noise));
        check("u v'", &from_fn(m, n, |i, j| 7.5 * u[i] * v[j]), 7.5);
    }
}

#[test]
fn identity_and_its_rectangular_parts() {
    for (m, n) in [(1, 1), (5, 5), (40, 40), (60, 36), (36, 60)] {
        check("eye", &from_fn(m, n, |i, j| f64::from(i == j)), 1.0);
    }
}

#[test]
fn orthogonal_matrices() {
    for n in SIZES {
        let w = direction(n, &mut Noise::new(n as u64));
        let reflector = from_fn(n, n, |i, j| f64::from(i == j) - 2.0 * w[i] * w[j]);
        check("Householder", &reflector, 1.0);
        check("permutation", &from_fn(n, n, |i, j| f64::from((i + n / 2 + 1) % n == j)), 1.0);
    }
    for doublings in [1, 3, 6] {
        check("Hadamard", &hadamard(doublings), f64::from(1 << doublings).sqrt());
    }
}

#[test]
fn hilbert_matrices() {
    let values = [
        (5, 1.567_050_691_098_230_8),
        (10, 1.751_919_670_265_177_5),
        (12, 1.795_372_059_561_996_7),
    ];
    for (n, sigma) in values {
        check("Hilbert", &from_fn(n, n, |i, j| 1.0 / (i + j + 1) as f64), sigma);
    }
}

#[test]
fn bands_with_sines_for_values() {
    for n in SIZES {
        let size = n as f64;
        let band = |below: f64, diagonal: f64, above: f64| {
            from_fn(n, n, |i, j| match (i + 1).checked_sub(j) {
                Some(0) => above,
                Some(1) => diagonal,
                Some(2) => below,
                _ => 0.0,
            })
        };
        check("Jordan", &band(0.0, 1.0, 1.0), 2.0 * (PI / (2.0 * size + 1.0)).cos());
        check("second difference", &band(-1.0, 2.0, -1.0), 2.0 + 2.0 * (PI / (size + 1.0)).cos());
        check("path", &band(1.0, 0.0, 1.0), 2.0 * (PI / (size + 1.0)).cos());
        let difference = from_fn(n - 1, n, |i, j| f64::from(j == i + 1) - f64::from(j == i));
        check("forward difference", &difference, 2.0 * (PI / (2.0 * size)).cos());
    }
}

#[test]
fn sums_with_sines_for_values() {
    for n in SIZES {
        let sine = (PI / (4 * n + 2) as f64).sin();
        check("lower triangle", &from_fn(n, n, |i, j| f64::from(j <= i)), 1.0 / (2.0 * sine));
        let least = from_fn(n, n, |i, j| (i.min(j) + 1) as f64);
        check("minij", &least, 1.0 / (4.0 * sine * sine));
        check("Pei", &from_fn(n, n, |i, j| 1.0 + 3.0 * f64::from(i == j)), n as f64 + 3.0);
    }
}

#[test]
fn kronecker_product_multiplies_the_norms() {
    let a = with_spectrum(6, 4, &[3.0, 2.0, 1.0], 1);
    let b = with_spectrum(9, 11, &[5.0, 4.9, 1.0], 2);
    check("Kronecker", &kron(&a, &b), 15.0);
}

#[test]
fn hermitian_dilation_has_the_norm_of_its_block() {
    let a = with_spectrum(30, 22, &[2.5, 2.4, 1.0, 0.5], 3);
    let mut dilation = Array2::zeros((52, 52));
    dilation.slice_mut(s![..30, 30..]).assign(&a);
    dilation.slice_mut(s![30.., ..30]).assign(&a.t());
    check("dilation", &dilation, 2.5);
}

#[test]
fn second_value_close_to_the_first_is_not_taken_for_it() {
    for n in [40, 100, 150] {
        let mut values = vec![1.0, 0.9988];
        values.extend((2..n).map(|i| 0.99 * (1.0 - i as f64 / n as f64)));
        let diagonal = Array2::from_diag(&Array1::from(values));
        for seed in 0..8 {
            let solution = one(diagonal.view(), &Request { seed, ..PRECISE });
            assert!((solution.sigma - 1.0).abs() <= 1e-10, "{n}, {seed}: {}", solution.sigma);
        }
        check("diagonal", &diagonal, 1.0);
    }
}

#[test]
fn any_gap_below_the_top() {
    for gap in [1e-1, 1e-2, 1e-3] {
        for (m, n) in [(80, 80), (150, 60), (60, 150)] {
            let rest = (1..m.min(n)).map(|i| (1.0 - gap) * (1.0 - (i - 1) as f64 / 200.0));
            let values: Vec<f64> = [1.0].into_iter().chain(rest).collect();
            let solution = check("gap", &with_spectrum(m, n, &values, 4), 1.0);
            let second = (solution.second - (1.0 - gap)).abs();
            assert!(solution.second < 1.0 && second < 0.1, "gap {gap}: second {}", solution.second);
        }
    }
}

#[test]
fn fivefold_top_value() {
    for (m, n) in [(20, 20), (90, 60)] {
        let values: Vec<f64> =
            (0..n).map(|i| if i < 5 { 3.0 } else { 2.0 - i as f64 / n as f64 }).collect();
        check("fivefold", &with_spectrum(m, n, &values, 5), 3.0);
        let close: Vec<f64> =
            (0..n).map(|i| if i < 5 { 3.0 - 1e-9 * i as f64 } else { 1.0 }).collect();
        check("cluster", &with_spectrum(m, n, &close, 6), 3.0);
    }
}

#[test]
fn few_nonzero_values() {
    for rank in 1..=4 {
        let values: Vec<f64> = (0..rank).map(|i| 4.0 - 0.5 * i as f64).collect();
        let solution = check("low rank", &with_spectrum(100, 80, &values, 7), 4.0);
        assert!(solution.n_passes <= rank + 4, "rank {rank}: {} passes", solution.n_passes);
    }
}

#[test]
fn values_graded_down_to_nothing() {
    for (n, exponent) in [(10, 300.0), (60, 300.0), (60, 16.0)] {
        let values: Vec<f64> =
            (0..n).map(|i| 10.0_f64.powf(-exponent * i as f64 / (n - 1) as f64)).collect();
        check("graded", &with_spectrum(n + 5, n, &values, 8), 1.0);
        check("graded diagonal", &Array2::from_diag(&Array1::from(values)), 1.0);
    }
}

#[test]
fn default_tolerance_follows_the_width_of_the_elements() {
    let values: Vec<f64> = (0..50).map(|i| 1.0 - 0.01 * f64::from(i)).collect();
    let wide = with_spectrum(70, 50, &values, 9);
    let narrow = wide.mapv(|x| x as f32);
    let matrices = [&wide].map(|a| Matrix::from_view(a.view()).unwrap());
    let of_wide = &solve(&matrices, &Request::default(), Control::default()).unwrap()[0];
    assert!((of_wide.sigma - 1.0).abs() <= 1e-10 && of_wide.converged);
    let of_narrow = one(narrow.view(), &Request::default());
    // Rounding the entries moves the norm by less than the Frobenius norm of what is rounded.
    assert!((of_narrow.sigma - 1.0).abs() <= 1e-6 + 1e-6 && of_narrow.converged);
    assert!(of_narrow.n_passes <= of_wide.n_passes);
}

#[test]
fn long_matrix_of_noise_agrees_with_its_gram_matrix() {
    let a = gaussian(400, 34, 10);
    let gram = a.t().dot(&a);
    let sigma = check("Gram matrix", &gram, one(gram.view(), &PRECISE).sigma).sigma.sqrt();
    check("noise", &a, sigma);
}
