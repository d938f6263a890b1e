//! Zeros, NaNs and infinities, alone and among others.

use ndarray::Array2;
use rsspecnorm::{Control, Error, Method, Request, Solution, solve};

use crate::common::{bits, gaussian, matrix, one};
use crate::spectrum::PRECISE;

const SHAPES: [(usize, usize); 5] = [(1, 1), (5, 3), (40, 60), (70, 35), (1, 40)];

fn with_entries(shape: (usize, usize), entries: &[f64]) -> Array2<f64> {
    let mut a = gaussian(shape.0, shape.1, 1);
    let last = a.len() - 1;
    let data = a.as_slice_mut().expect("standard layout");
    entries.iter().enumerate().for_each(|(i, &x)| data[last - i] = x);
    a
}

#[test]
fn zero_matrix_has_unit_vectors() {
    for shape in SHAPES {
        for zero in [0.0, -0.0] {
            let solution = one(Array2::from_elem(shape, zero).view(), &PRECISE);
            let Solution { sigma, lower, upper, second, residual, .. } = solution;
            assert_eq!([sigma, lower, upper, second, residual], [0.0; 5]);
            assert!(solution.converged && solution.method == Method::Trivial);
            assert_eq!((solution.u.len(), solution.v.len()), shape);
            for x in [&solution.u, &solution.v] {
                assert_eq!(x.iter().map(|x| x * x).sum::<f64>(), 1.0);
            }
        }
    }
}

#[test]
fn nan_gives_nan_and_infinity_gives_infinity() {
    for shape in SHAPES {
        for (entry, expected) in [
            (f64::NAN, f64::NAN),
            (f64::INFINITY, f64::INFINITY),
            (f64::NEG_INFINITY, f64::INFINITY),
        ] {
            let solution = one(with_entries(shape, &[entry]).view(), &PRECISE);
            for x in [solution.sigma, solution.lower, solution.upper] {
                assert_eq!(x.to_bits() << 1, expected.to_bits() << 1, "{shape:?} {entry}");
            }
            assert_eq!(solution.entries.n_nonfinite, 1);
            assert!(solution.entries.max_abs.is_finite());
            assert_eq!((solution.u.len(), solution.v.len()), shape);
            assert!(solution.u.iter().chain(&solution.v).all(|x| x.is_nan()));
        }
    }
}

#[test]
fn nan_wins_over_infinity() {
    for shape in [(5, 3), (40, 60), (70, 35)] {
        for entries in [[f64::NAN, f64::INFINITY], [f64::NEG_INFINITY, f64::NAN]] {
            let solution = one(with_entries(shape, &entries).view(), &PRECISE);
            assert!(solution.sigma.is_nan() && solution.upper.is_nan());
            assert_eq!(solution.entries.n_nonfinite, 2);
        }
        let infinities = with_entries(shape, &[f64::INFINITY, f64::NEG_INFINITY]);
        assert_eq!(one(infinities.view(), &PRECISE).sigma, f64::INFINITY);
    }
}

#[test]
fn narrow_types_keep_the_policy() {
    let mut a = Array2::from_elem((40, 50), half::f16::ONE);
    a[[39, 49]] = half::f16::INFINITY;
    assert_eq!(one(a.view(), &PRECISE).sigma, f64::INFINITY);
    a[[3, 4]] = half::f16::NAN;
    assert!(one(a.view(), &PRECISE).sigma.is_nan());
    let mut a = Array2::from_elem((40, 50), half::bf16::ONE);
    a[[0, 0]] = half::bf16::NEG_INFINITY;
    assert_eq!(one(a.view(), &PRECISE).sigma, f64::INFINITY);
    let mut a = Array2::from_elem((40, 50), 1.0_f32);
    a[[0, 49]] = f32::NAN;
    assert!(one(a.view(), &PRECISE).sigma.is_nan());
}

#[test]
fn rest_of_a_batch_is_served() {
    for size in [10, 120] {
        let good = gaussian(size, size + 1, 2);
        let nan = with_entries((size, size), &[f64::NAN]);
        let infinite = with_entries((size, 3), &[f64::INFINITY]);
        let zero = Array2::zeros((4, size));
        let batch = [&good, &nan, &infinite, &zero, &good].map(|a| matrix(a.view()));
        let solutions = solve(&batch, &PRECISE, Control::default()).unwrap();
        let alone = one(good.view(), &PRECISE);
        assert_eq!(bits(&solutions[0]), bits(&alone));
        assert!(solutions[1].sigma.is_nan());
        assert_eq!((solutions[2].sigma, solutions[3].sigma), (f64::INFINITY, 0.0));
        assert_eq!(bits(&solutions[4]), bits(&alone));
    }
}

#[test]
fn check_finite_names_the_first_matrix_that_is_not() {
    let request = Request { check_finite: true, ..PRECISE };
    for size in [10, 120] {
        let good = gaussian(size, size, 3);
        let nan = with_entries((size, size), &[f64::NAN]);
        let infinite = with_entries((2 * size, size), &[f64::INFINITY]);
        let overflowing = Array2::from_elem((size, size), f64::MAX);
        let batch = [&good, &overflowing, &nan, &infinite].map(|a| matrix(a.view()));
        let error = solve(&batch, &request, Control::default()).unwrap_err();
        assert_eq!(error, Error::NonFinite { index: 2 });
        assert!(error.to_string().contains("matrix 2"), "{error}");
        // Finite entries whose norm overflows are finite input.
        assert!(solve(&batch[..2], &request, Control::default()).is_ok());
    }
}
