//! The inequalities of a rigorous interval where their right side is known.

use super::{Facts, Probe};
use crate::algorithms::lanczos::Entries;
use crate::algorithms::rounding::{UNIT, gamma};

const SHAPES: [(usize, usize); 5] = [(1, 1), (10, 10), (1000, 7), (4096, 4096), (100_000, 300)];

/// The facts of a matrix of ones, whose norms are all known.
fn ones((nrows, ncols): (usize, usize)) -> Facts {
    let sum_of_squares = (nrows * ncols) as f64;
    Facts::new((nrows, ncols), &Entries { max_abs: 1.0, sum_of_squares, exponent: 0 })
}

/// The bound beside one vector.
fn beside(facts: &Facts, squares: [f64; 3]) -> f64 {
    facts.beside(&[Probe { squares, products: Vec::new() }], 1)
}

/// The probe of a vector of the plane or space whose axes are singular vectors.
fn probe<const N: usize>(sigmas: [f64; N], v: [f64; N], before: &[[f64; N]]) -> Probe {
    let square = |power: i32| (0..N).map(|i| (sigmas[i].powi(power) * v[i]).powi(2)).sum();
    let product = |w: &[f64; N]| (0..N).map(|i| v[i] * w[i]).sum();
    Probe {
        squares: [square(0), square(1), square(2)],
        products: before.iter().map(product).collect(),
    }
}

/// The facts of a diagonal matrix.
fn diagonal<const N: usize>(sigmas: [f64; N]) -> Facts {
    let sum_of_squares = sigmas.iter().map(|x| x * x).sum();
    Facts::new((N, N), &Entries { max_abs: sigmas[0], sum_of_squares, exponent: 0 })
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
        let bound = beside(&ones(shape), [1.0, m * n, m * m * n * n]);
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
            let bound = beside(&facts, squares);
            // Two dimensions leave no slack: the other direction is the whole tail.
            assert!(bound >= a && bound <= a * (1.0 + 1e-7), "{a} {b} {k}: {bound}");
        }
    }
}

#[test]
fn bound_beside_nothing_says_nothing() {
    for squares in [[0.0; 3], [f64::NAN; 3], [1.0, f64::INFINITY, 1.0]] {
        assert!(beside(&ones((10, 10)), squares) == f64::INFINITY, "{squares:?}");
    }
}

#[test]
fn bound_beside_all_singular_vectors_is_the_largest_value() {
    let sigmas = [1.5, 1.4, 1.3, 1.2];
    let axes: [[f64; 4]; 4] =
        std::array::from_fn(|i| std::array::from_fn(|j| f64::from(u8::from(i == j))));
    let mut last = f64::INFINITY;
    for k in 1..=4 {
        let probes: Vec<_> = (0..k).map(|i| probe(sigmas, axes[i], &axes[..i])).collect();
        let bound = diagonal(sigmas).beside(&probes, 1);
        assert!(bound >= 1.5 && bound <= last, "{k}: {bound}");
        last = bound;
    }
    assert!(last <= 1.5 * (1.0 + 1e-6), "{last}");
}

#[test]
fn bound_beside_crude_or_leaning_vectors_holds_the_largest_value() {
    let sigmas = [1.5, 1.0, 0.5];
    for k in 0..=64 {
        let (sin, cos) = (f64::from(k) * 0.05).sin_cos();
        let (first, second) = ([cos, sin, 0.0], [-sin * cos, cos * cos, sin]);
        for lean in [0.0, 1e-9, 1e-3, 0.1] {
            let leaning = std::array::from_fn(|i| second[i] + lean * first[i]);
            let probes = [probe(sigmas, first, &[]), probe(sigmas, leaning, &[first])];
            let bound = diagonal(sigmas).beside(&probes, 1);
            assert!(bound >= 1.5, "{k} {lean}: {bound}");
        }
    }
}

#[test]
fn bound_beside_dependent_vectors_says_nothing() {
    let probes = [probe([1.0, 0.5], [1.0, 0.0], &[]), probe([1.0, 0.5], [1.0, 0.0], &[[1.0, 0.0]])];
    assert!(diagonal([1.0, 0.5]).beside(&probes, 1) == f64::INFINITY);
}

#[test]
fn bound_of_a_matrix_held_twice_counts_its_norm_once() {
    // The real form of a complex matrix with one value: twice one, and twice its square sum.
    let (facts, probes) = (diagonal([1.0, 1.0]), [probe([1.0, 1.0], [1.0, 0.0], &[])]);
    let (real, complex) = (facts.beside(&probes, 1), facts.beside(&probes, 2));
    assert!((1.0..=1.0 + 1e-7).contains(&complex), "{complex}");
    assert!(real >= complex);
}
