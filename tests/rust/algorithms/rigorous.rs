//! The proved interval through the public face: it holds, is as narrow as asked or says so, and
//! has the same bits however it is computed.

use ndarray::{Array2, ShapeBuilder};
use rsspecnorm::{Control, Error, Goal, Request, Solution, solve};

use crate::common::{bits, gaussian, matrix, one, try_one};

fn rigorous(width: f64) -> Request<'static> {
    Request { goal: Goal::Rigorous { width, rtol: None }, ..Request::default() }
}

fn holds(solution: &Solution, sigma: f64) -> bool {
    solution.lower <= sigma && sigma <= solution.upper
}

/// `2 I - E - E'`, whose top values lie close together, and its norm.
fn second_difference(n: usize) -> (Array2<f64>, f64) {
    let entry = |(i, j): (usize, usize)| match i.abs_diff(j) {
        0 => 2.0,
        1 => -1.0,
        _ => 0.0,
    };
    let sigma = 2.0 + 2.0 * (std::f64::consts::PI / (n + 1) as f64).cos();
    (Array2::from_shape_fn((n, n), entry), sigma)
}

#[test]
fn interval_holds_known_norm_at_every_width() {
    for n in [2, 3, 33, 127, 128, 129, 260] {
        let (a, sigma) = second_difference(n);
        for width in [0.5, 1e-2, 1e-6, 1e-9] {
            let solution = one(a.view(), &rigorous(width));
            assert!(holds(&solution, sigma), "{n} {width}");
            assert!(solution.converged, "{n} {width}");
            assert!(solution.upper <= (1.0 + width) * solution.lower, "{n} {width}");
            assert!(solution.lower <= solution.sigma && solution.sigma <= solution.upper);
        }
    }
}

#[test]
fn interval_below_the_floor_holds_and_says_that_it_is_wider() {
    let (a, sigma) = second_difference(300);
    let solution = one(a.view(), &rigorous(1e-15));
    assert!(holds(&solution, sigma));
    assert!(!solution.converged);
    assert!(solution.upper <= (1.0 + 1e-11) * solution.lower);
}

/// Orthogonal and symmetric, so that `H D H` has the spectrum of `D`.
fn householder(n: usize) -> Array2<f64> {
    let w: Vec<f64> = (0..n).map(|i| 1.0 + ((i * i) as f64).cos()).collect();
    let square: f64 = w.iter().map(|w| w * w).sum();
    Array2::from_diag_elem(n, 1.0)
        - Array2::from_shape_fn((n, n), |(i, j)| 2.0 * w[i] * w[j] / square)
}

#[test]
fn hidden_top_vector_is_not_overlooked() {
    // The top vector is all but missing from the start: Lanczos finds the second value first.
    let n = 150;
    let mut diagonal = vec![1.0; n];
    diagonal[n - 1] = 1.0 + 1e-4;
    let h = householder(n);
    let a = h.dot(&Array2::from_diag(&ndarray::Array1::from(diagonal))).dot(&h);
    let start: Vec<f64> = h.column(0).to_vec();
    let v0: [&[f64]; 1] = [&start];
    for scale in [0.01, 0.3, 1.0, 5.0, 1e200, 1e-200] {
        for (width, maxiter) in [(1e-6, 300), (1e-9, 300), (1e-6, 4), (1e-9, 20), (1e-2, 1)] {
            let request = Request { v0: Some(&v0), maxiter, ..rigorous(width) };
            let solution = one(a.mapv(|x| x * scale).view(), &request);
            let sigma = scale * (1.0 + 1e-4);
            assert!(solution.lower <= sigma * (1.0 + 1e-14), "{scale} {width} {maxiter}");
            assert!(solution.upper >= sigma * (1.0 - 1e-14), "{scale} {width} {maxiter}");
        }
    }
}

#[test]
fn too_few_passes_leave_a_wider_interval_that_holds() {
    let a = gaussian(90, 80, 5);
    let sigma = one(a.view(), &Request { goal: Goal::Rtol(Some(1e-13)), ..rigorous(1.0) }).sigma;
    let solution = one(a.view(), &Request { maxiter: 3, ..rigorous(1e-6) });
    assert!(solution.lower < sigma && sigma < solution.upper);
    assert!(!solution.converged);
    assert!(solution.upper < 0.99 * solution.entries.fro);
}

#[test]
fn narrow_types_and_layouts_hold_the_norm_of_their_values() {
    let a = gaussian(150, 140, 6).mapv(|x| x as f32);
    let wide = a.mapv(f64::from);
    let precise = Request { goal: Goal::Rtol(Some(1e-13)), ..Request::default() };
    let sigma = one(wide.view(), &precise).sigma;
    let by_columns = a.t().iter().copied().collect();
    let fortran = Array2::from_shape_vec((150, 140).f(), by_columns).unwrap();
    for a in [a.view(), fortran.view(), a.t(), fortran.t()] {
        let solution = one(a, &rigorous(1e-6));
        assert!(solution.lower < sigma && sigma < solution.upper && solution.converged);
    }
}

#[test]
fn interval_scales_with_the_matrix_to_the_bit() {
    let a = gaussian(60, 50, 7);
    let plain = one(a.view(), &rigorous(1e-6));
    for exponent in [-960, -500, -40, 1, 500, 1000] {
        let unit = 2.0_f64.powi(exponent);
        let scaled = one(a.mapv(|x| x * unit).view(), &rigorous(1e-6));
        assert_eq!(scaled.lower, plain.lower * unit, "{exponent}");
        assert_eq!(scaled.upper, plain.upper * unit, "{exponent}");
    }
}

#[test]
fn ends_of_the_range_are_covered() {
    let tiny = f64::from_bits(1);
    let cases: [(Array2<f64>, f64, f64); 4] = [
        (ndarray::arr2(&[[tiny]]), tiny, tiny),
        (ndarray::arr2(&[[3.0 * tiny, 4.0 * tiny]]), 5.0 * tiny, 5.0 * tiny),
        (ndarray::arr2(&[[f64::MAX], [0.0]]), f64::MAX, f64::MAX),
        (ndarray::arr2(&[[f64::MAX, f64::MAX]]), f64::INFINITY, f64::INFINITY),
    ];
    for (a, least, largest) in cases {
        let solution = one(a.view(), &rigorous(1e-3));
        assert!(solution.lower <= least && largest <= solution.upper, "{a}");
        assert!(solution.lower <= solution.upper, "{a}");
    }
}

#[test]
fn degenerate_matrices_follow_the_policy() {
    let request = rigorous(1e-3);
    for (value, expected) in [(0.0, 0.0), (f64::NAN, f64::NAN), (f64::INFINITY, f64::INFINITY)] {
        let mut a = Array2::zeros((5, 4));
        a[(1, 2)] = value;
        let solution = one(a.view(), &request);
        assert_eq!(solution.lower.to_bits(), f64::to_bits(expected), "{value}");
        assert_eq!(solution.upper.to_bits(), f64::to_bits(expected), "{value}");
        assert!(solution.converged);
    }
    let empty = one(Array2::<f64>::zeros((0, 3)).view(), &request);
    assert_eq!((empty.lower, empty.upper), (0.0, 0.0));
}

#[test]
fn bits_are_those_of_one_thread_for_any_number_and_in_any_batch() {
    let matrices = [gaussian(400, 300, 8), gaussian(20, 30, 9), gaussian(260, 260, 10)];
    let views: Vec<_> = matrices.iter().map(|a| matrix(a.view())).collect();
    let request = rigorous(1e-6);
    let alone: Vec<_> = matrices.iter().map(|a| bits(&one(a.view(), &request))).collect();
    for num_threads in [1, 2, 3, 8] {
        let control = Control { num_threads: Some(num_threads), interrupted: None };
        let solutions = solve(&views, &request, control).unwrap();
        assert_eq!(solutions.iter().map(bits).collect::<Vec<_>>(), alone, "{num_threads}");
    }
}

#[test]
fn triplet_of_a_rigorous_call_is_accurate() {
    let a = gaussian(70, 60, 11);
    let goal = Goal::Rigorous { width: 1e-2, rtol: Some(1e-12) };
    let solution = one(a.view(), &Request { goal, vectors: true, ..Request::default() });
    let precise = Request { goal: Goal::Rtol(Some(1e-14)), ..Request::default() };
    let sigma = one(a.view(), &precise).sigma;
    assert!((solution.sigma / sigma - 1.0).abs() < 1e-12);
    assert!(solution.residual < 1e-5 && solution.u.len() == 70 && solution.v.len() == 60);
}

#[test]
fn interruption_is_an_error() {
    let a = gaussian(900, 800, 12);
    let mut calls = 0;
    let mut interrupted = || {
        calls += 1;
        calls > 1
    };
    let control = Control { num_threads: Some(2), interrupted: Some(&mut interrupted) };
    let solved = solve(&[matrix(a.view())], &rigorous(1e-14), control);
    assert!(matches!(solved, Err(Error::Interrupted)) || calls <= 1);
}

#[test]
fn bad_width_and_rtol_are_named() {
    let a = gaussian(3, 3, 1);
    for (width, rtol, name) in [
        (0.0, None, "width"),
        (f64::NAN, None, "width"),
        (f64::INFINITY, None, "width"),
        (0.1, Some(1e-15), "rtol"),
    ] {
        let request = Request { goal: Goal::Rigorous { width, rtol }, ..Request::default() };
        let Err(Error::InvalidParameter { argument, .. }) = try_one(a.view(), &request) else {
            panic!("{width} {rtol:?} was accepted");
        };
        assert_eq!(argument, name);
    }
}
