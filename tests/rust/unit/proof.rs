//! The inequalities of a rigorous interval where their right side is known.

use super::Facts;
use crate::algorithms::lanczos::Entries;
use crate::algorithms::rounding::{UNIT, gamma};

const SHAPES: [(usize, usize); 5] = [(1, 1), (10, 10), (1000, 7), (4096, 4096), (100_000, 300)];

/// The facts of a matrix of ones, whose norms are all known.
fn ones((nrows, ncols): (usize, usize)) -> Facts {
    let sum_of_squares = (nrows * ncols) as f64;
    Facts::new((nrows, ncols), &Entries { max_abs: 1.0, sum_of_squares, exponent: 0 })
}

#[test]
fn gamma_is_an_upper_bound_and_close() {
    for k in [0, 1, 2, 10, 1_000, 1 << 20, 1 << 30] {
        let ku = k as f64 * UNIT;
        assert!(gamma(k) >= ku / (1.0 - ku));
        assert!(gamma(k) <= ku / (1.0 - ku) * (1.0 + 1e-14) + f64::MIN_POSITIVE);
    }
}

#[test]
fn frobenius_bound_holds_the_exact_norm() {
    for shape in SHAPES {
        let exact = ((shape.0 * shape.1) as f64).sqrt();
        let bound = ones(shape).frobenius();
        assert!(bound > exact && bound < exact * (1.0 + 1e-10), "{shape:?}: {bound}");
    }
}

#[test]
fn product_bound_stays_below_the_exact_norm() {
    for shape in SHAPES {
        let (m, n) = (shape.0 as f64, shape.1 as f64);
        // v = 1 / sqrt(n), t = sqrt(n), z = m sqrt(n), all exact on paper.
        let bound = ones(shape).product([1.0, m * n, m * m * n * n]);
        let exact = (m * n).sqrt();
        assert!(bound < exact && bound > exact * (1.0 - 1e-9), "{shape:?}: {bound}");
    }
}

#[test]
fn product_bound_of_nothing_is_zero() {
    let facts = ones((10, 10));
    for squares in [[0.0; 3], [1.0, 0.0, 0.0], [f64::NAN; 3], [1.0, f64::INFINITY, 1.0]] {
        let bound = facts.product(squares);
        assert!(bound == 0.0, "{squares:?}: {bound}");
    }
}

#[test]
fn magnitude_bound_holds_the_exact_norm() {
    for shape in SHAPES {
        let square = (shape.0 * shape.1) as f64;
        let bound = ones(shape).magnitudes(square, 1.0);
        assert!(bound > square.sqrt() && bound < square.sqrt() * (1.0 + 1e-10), "{shape:?}");
    }
}

#[test]
fn factored_bound_exceeds_the_shift_by_the_backward_error_at_least() {
    for shape in SHAPES {
        let (m, n) = (shape.0 as f64, shape.1 as f64);
        let shift = 2.0 * m * n;
        // The trace of the shifted matrix is n * shift - m n.
        let least = (n + 1.0) * UNIT * (n * shift - m * n) + m * UNIT * m * n;
        let slack = ones(shape).factored(shift).powi(2) - shift;
        // The square of the root is rounded.
        let rounded = 8.0 * UNIT * shift;
        assert!(slack >= least - rounded, "{shape:?}: {slack} {least}");
        assert!(slack <= 1.01 * least + 2.0 * rounded, "{shape:?}: {slack} {least}");
    }
}

#[test]
fn shift_for_a_target_reaches_it() {
    for shape in SHAPES {
        let facts = ones(shape);
        for factor in [1.0 + 1e-6, 1.01, 2.0, 1e3] {
            let target = factor * facts.frobenius();
            let reached = facts.factored(facts.shift_for(target));
            assert!(reached <= target, "{shape:?} {factor}");
            assert!(reached >= target * (1.0 - 1e-12), "{shape:?} {factor}");
        }
    }
}

#[test]
fn more_rows_or_columns_never_sharpen_a_bound() {
    let smaller = ones((1000, 500)).factored(1e6);
    let entries = Entries { max_abs: 1.0, sum_of_squares: 5e5, exponent: 0 };
    assert!(Facts::new((2000, 500), &entries).factored(1e6) >= smaller);
    assert!(Facts::new((1000, 600), &entries).factored(1e6) >= smaller);
}

#[test]
fn bound_beside_a_vector_holds_the_exact_norm() {
    // v is the leading vector of a matrix of ones, whose norm is all there is.
    for shape in SHAPES {
        let (m, n) = (shape.0 as f64, shape.1 as f64);
        let bound = ones(shape).beside([1.0, m * n, m * m * n * n]);
        let exact = (m * n).sqrt();
        assert!(bound > exact && bound < exact * (1.0 + 1e-9), "{shape:?}: {bound}");
    }
}

#[test]
fn bound_beside_any_vector_holds_the_larger_of_two_values() {
    // A diagonal of a and b <= a, the vector turned by an angle from the first axis.
    for (a, b) in [(1.0_f64, 1.0_f64), (1.5, 1.0), (1.9, 0.25), (1.0, 0.0)] {
        let entries = Entries { max_abs: a, sum_of_squares: a * a + b * b, exponent: 0 };
        let facts = Facts::new((2, 2), &entries);
        for k in 0..=32 {
            let (y, x) = (std::f64::consts::FRAC_PI_2 * f64::from(k) / 32.0).sin_cos();
            let (p, q) = (a * x, b * y);
            let squares = [x * x + y * y, p * p + q * q, (a * p).powi(2) + (b * q).powi(2)];
            let bound = facts.beside(squares);
            // Two dimensions leave no slack: the other direction is the whole tail.
            assert!(bound >= a && bound <= a * (1.0 + 1e-7), "{a} {b} {k}: {bound}");
        }
    }
}

#[test]
fn bound_beside_nothing_says_nothing() {
    for squares in [[0.0; 3], [f64::NAN; 3], [1.0, f64::INFINITY, 1.0]] {
        assert!(ones((10, 10)).beside(squares) == f64::INFINITY, "{squares:?}");
    }
}
