//! Narrow matrices of a moderate size, which a block of vectors in single precision solves: value,
//! bound, scale and the way out when a block will not do.

use ndarray::{Array2, s};
use rsspecnorm::{Goal, Request, Solution};

use crate::common::{bits, gaussian, one};
use crate::spectrum::with_spectrum;

/// Rows and columns: tall, wide, square, with tails.
const SHAPES: [(usize, usize); 5] = [(300, 120), (120, 300), (160, 160), (777, 133), (1000, 97)];

fn single(a: &Array2<f64>) -> Array2<f32> {
    a.mapv(|x| x as f32)
}

/// A tall or wide matrix whose largest singular values are `top` and the rest decay from there.
fn spectrum(shape: (usize, usize), top: &[f64]) -> Array2<f32> {
    let n = shape.0.min(shape.1);
    let rest = (0..n - top.len()).map(|i| 0.9 * top[0] * 0.97_f64.powi(i as i32));
    let sigmas: Vec<f64> = top.iter().copied().chain(rest).collect();
    single(&with_spectrum(shape.0, shape.1, &sigmas, 5))
}

/// Sigma of the matrix as rounded, from a run in double precision that takes nothing for granted.
fn reference(a: &Array2<f32>) -> f64 {
    let request = Request { goal: Goal::Rtol(Some(1e-13)), ..Request::default() };
    one(a.mapv(f64::from).view(), &request).sigma
}

fn assert_right(a: &Array2<f32>, solution: &Solution, what: &str) {
    let sigma = reference(a);
    assert!(solution.converged, "{what}");
    assert!((solution.sigma / sigma - 1.0).abs() <= 1e-6, "{what}: {} {sigma}", solution.sigma);
    assert!(solution.lower <= sigma && sigma <= solution.upper, "{what}");
    assert!(solution.upper <= 1.0101 * solution.lower, "{what}: {}", solution.upper);
}

#[test]
fn values_bounds_and_vectors_are_right_in_every_shape() {
    let request = Request { vectors: true, ..Request::default() };
    for shape in SHAPES {
        for (name, top) in [
            ("a gap", &[2.0, 1.5][..]),
            ("a narrow gap", &[2.0, 1.99]),
            ("a tiny gap", &[2.0, 2.0 - 2e-6]),
            ("a cluster", &[2.0; 6]),
        ] {
            let a = spectrum(shape, top);
            let solution = one(a.view(), &request);
            assert_right(&a, &solution, &format!("{name}, {shape:?}"));
            assert!(solution.residual < 1e-2, "{name}, {shape:?}: {}", solution.residual);
            assert_eq!((solution.u.len(), solution.v.len()), shape);
        }
        let a = single(&gaussian(shape.0, shape.1, 3));
        assert_right(&a, &one(a.view(), &request), &format!("noise, {shape:?}"));
    }
}

#[test]
fn a_power_of_two_scales_the_result_bit_for_bit() {
    let a = single(&gaussian(200, 130, 1));
    let plain = one(a.view(), &Request::default());
    for exponent in [-80, -41, -39, -3, 1, 39, 41, 90] {
        let factor = 2.0_f32.powi(exponent);
        let scaled = one(a.mapv(|x| x * factor).view(), &Request::default());
        assert_eq!(
            scaled.sigma.to_bits(),
            (plain.sigma * f64::from(factor)).to_bits(),
            "{exponent}"
        );
        assert_eq!(scaled.n_passes - plain.n_passes, usize::from(!(-20..20).contains(&exponent)));
    }
}

#[test]
fn transposed_and_stored_by_columns_is_the_same_matrix() {
    let a = single(&gaussian(310, 140, 2));
    let request = Request { vectors: true, ..Request::default() };
    let (plain, turned) = (one(a.view(), &request), one(a.t(), &request));
    let stored = a.t().as_standard_layout().into_owned();
    assert_eq!(bits(&turned), bits(&one(a.t(), &request)));
    for other in [turned, one(stored.view(), &request)] {
        assert!((other.sigma / plain.sigma - 1.0).abs() < 1e-9);
        assert_eq!((other.u.len(), other.v.len()), (140, 310));
    }
}

#[test]
fn dependent_vectors_give_way_to_one() {
    let identity = Array2::<f32>::eye(150);
    let mut one_row = Array2::<f32>::zeros((200, 150));
    one_row.slice_mut(s![3, ..]).fill(1.0);
    let outer = Array2::from_shape_fn((200, 150), |(i, j)| (1 + i % 3) as f32 * (1 + j % 5) as f32);
    for (name, a) in [("identity", identity), ("one row", one_row), ("rank one", outer)] {
        assert_right(&a, &one(a.view(), &Request::default()), name);
    }
}

#[test]
fn values_crowded_below_the_top_give_way_at_once() {
    let n = 200;
    let rotation = |top: f64, rest: f64| {
        let sigmas: Vec<f64> = (0..n).map(|i| if i == 0 { top } else { rest }).collect();
        single(&with_spectrum(n, n, &sigmas, 3))
    };
    for (name, a) in [("orthogonal", rotation(1.0, 1.0)), ("nearly", rotation(1.0, 0.9988))] {
        let solution = one(a.view(), &Request::default());
        assert_right(&a, &solution, name);
        assert!(solution.n_passes <= 40, "{name}: {}", solution.n_passes);
    }
}

#[test]
fn few_passes_are_kept_to_and_leave_an_interval() {
    let a = single(&gaussian(400, 300, 8));
    let sigma = reference(&a);
    for maxiter in [1, 2, 3, 4, 5, 9] {
        let solution = one(a.view(), &Request { maxiter, ..Request::default() });
        assert!(!solution.converged);
        assert!(solution.n_passes <= maxiter, "{} of {maxiter}", solution.n_passes);
        assert!(solution.lower <= sigma && sigma <= solution.upper, "{maxiter}");
    }
}

#[test]
fn a_warm_start_orthogonal_to_the_top_does_no_harm() {
    let a = spectrum((240, 160), &[2.0, 1.9]);
    let request = Request { vectors: true, ..Request::default() };
    let top = one(a.view(), &request).v;
    let other: Vec<f64> = (0..160).map(|i| f64::from(i % 7) - 3.0).collect();
    let along: f64 = top.iter().zip(&other).map(|(x, y)| x * y).sum();
    let orthogonal: Vec<f64> = other.iter().zip(&top).map(|(y, x)| y - along * x).collect();
    for start in [&top, &orthogonal, &vec![0.0; 160], &vec![f64::NAN; 160]] {
        let v0 = [&start[..]];
        let solution = one(a.view(), &Request { v0: Some(&v0), ..Request::default() });
        assert_right(&a, &solution, "warm");
    }
}

#[test]
fn the_probable_bound_of_a_block_holds_as_often_as_it_says() {
    let a = spectrum((150, 110), &[2.0, 1.98]);
    let sigma = reference(&a);
    let rate = |failure_prob: f64| {
        let goal = Goal::Width { width: 0.3, failure_prob };
        let misses = (0..400).filter(|&seed| {
            let solution = one(a.view(), &Request { goal, seed, ..Request::default() });
            solution.upper < sigma
        });
        misses.count()
    };
    assert!(rate(0.5) <= 200 + 30);
    assert!(rate(0.1) <= 40 + 18);
    assert_eq!(rate(1e-6), 0);
}

#[test]
fn more_noise_than_was_thought_costs_a_few_passes_and_not_all_again() {
    for (shape, most) in [((4096, 160), 36), ((3000, 300), 44), ((1024, 1024), 48)] {
        let a = single(&gaussian(shape.0, shape.1, 4));
        for seed in 0..8 {
            let solution = one(a.view(), &Request { seed, ..Request::default() });
            assert!(solution.converged, "{shape:?}, {seed}");
            assert!(solution.n_passes <= most, "{shape:?}, {seed}: {}", solution.n_passes);
        }
    }
}

#[test]
fn a_coarser_goal_takes_no_more_passes() {
    let a = single(&gaussian(700, 600, 6));
    for seed in 0..4 {
        let passes = |rtol| {
            let goal = Goal::Rtol(Some(rtol));
            one(a.view(), &Request { goal, seed, ..Request::default() }).n_passes
        };
        let counts = [1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8, 1e-10].map(passes);
        assert!(counts.is_sorted(), "{counts:?}");
    }
}
