//! The two direct methods against each other, and the vectors they give.

use super::{Eight, Raw, Shape, Wanted, one};
use crate::algorithms::lanczos::{Found, Outcome};
use crate::kernels::symmetric::Padded;
use crate::simd::Level;

const ALL: Wanted = Wanted { second: true, vectors: true, details: true };

fn entry(i: usize, j: usize) -> f64 {
    ((31 * i * i + 17 * j * j * j + 5 * i * j) % 29) as f64 / 16.0 - 0.9
}

fn by_one(shape: Shape, entry: impl Fn(usize, usize) -> f64) -> Outcome {
    let mut raw = Raw { max_abs: 0.0, sum_of_squares: 0.0 };
    let mut b = Padded::zeros(shape.nrows, shape.ncols);
    for i in 0..shape.nrows {
        for j in 0..shape.ncols {
            let x = entry(i, j);
            raw.max_abs = raw.max_abs.max(x.abs());
            raw.sum_of_squares += x * x;
            b.row_mut(i)[j] = x;
        }
    }
    let (first, second) = raw.factors();
    (0..shape.nrows).for_each(|i| b.row_mut(i).iter_mut().for_each(|x| *x *= first * second));
    one(Level::all()[0], &b, raw, shape.copies, ALL).unwrap()
}

fn by_eight(shape: Shape, entry: impl Fn(usize, usize) -> f64) -> Outcome {
    let mut eight = Eight::new(Level::all()[0], shape);
    for (k, lanes) in eight.entries_mut().iter_mut().enumerate() {
        lanes[3] = entry(k / shape.ncols, k % shape.ncols);
    }
    eight.solve();
    let outcome = eight.outcomes(8, ALL).nth(3);
    outcome.expect("eight lanes are used")
}

fn found(outcome: Outcome) -> Found {
    outcome.found.expect("the matrix is regular")
}

#[test]
fn both_methods_agree_to_rounding() {
    for (nrows, ncols) in [(1, 1), (6, 2), (5, 3), (8, 8), (20, 13)] {
        let shape = Shape { nrows, ncols, copies: 1 };
        let (a, b) = (by_one(shape, entry), by_eight(shape, entry));
        assert_eq!(a.entries.exponent, b.entries.exponent);
        assert!((a.entries.sum_of_squares / b.entries.sum_of_squares - 1.0).abs() <= 1e-14);
        let (a, b) = (found(a), found(b));
        assert!((a.sigma / b.sigma - 1.0).abs() <= 2e-15, "{nrows} x {ncols}");
        assert!(ncols == 1 || (a.second - b.second).abs() <= 1e-7, "{nrows} x {ncols}");
        for found in [&a, &b] {
            let vectors = found.vectors.as_ref().expect("vectors were wanted");
            assert!(vectors.residual <= 1e-14, "{nrows} x {ncols}: {}", vectors.residual);
        }
    }
}

#[test]
fn matrix_of_zeros_or_with_a_nan_finds_nothing() {
    let shape = Shape { nrows: 4, ncols: 3, copies: 1 };
    for x in [0.0, f64::NAN, f64::INFINITY] {
        assert!(by_one(shape, |i, j| if (i, j) == (2, 1) { x } else { 0.0 }).found.is_none());
        assert!(by_eight(shape, |i, j| if (i, j) == (2, 1) { x } else { 0.0 }).found.is_none());
    }
}

#[test]
fn second_of_a_doubled_spectrum_is_the_third_number() {
    let diagonal = |i: usize, j: usize| if i == j { [3.0, 3.0, 2.0, 2.0][i] } else { 0.0 };
    let shape = Shape { nrows: 4, ncols: 4, copies: 2 };
    for outcome in [by_one(shape, diagonal), by_eight(shape, diagonal)] {
        let found = found(outcome);
        assert_eq!(found.sigma, 1.5);
        assert!((found.second - 1.0).abs() <= 1e-14, "{}", found.second);
    }
}
