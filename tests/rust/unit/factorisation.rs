//! The tiled factorisation against its definition, on orders around the edges of tiles and blocks.

use ndarray::Array2;

use super::{Factored, Symmetric, TILE};
use crate::error::Error;
use crate::operator::tests::Backwards;
use crate::operator::{InOrder, Runner};
use crate::simd::Level;

const ORDERS: [usize; 12] = [1, 2, 7, 31, 32, 33, 64, 127, 128, 129, 257, 300];

/// `shift I - C'C` with `C` of bounded entries.
fn shifted(n: usize, shift: f64) -> Array2<f64> {
    let c = Array2::from_shape_fn((n, n), |(i, j)| ((7 * i + 3 * j * j) as f64).sin());
    Array2::from_diag_elem(n, shift) - c.t().dot(&c)
}

fn symmetric(a: &Array2<f64>) -> Symmetric {
    let mut s = Symmetric::zeros(a.nrows()).unwrap();
    for placed in s.tiles() {
        let (i, j) = (placed.row * TILE, placed.column * TILE);
        placed.tile.indexed_iter_mut().for_each(|((k, l), x)| *x = a[(i + k, j + l)]);
    }
    s
}

fn lower(s: &Symmetric) -> Array2<f64> {
    let entry = |(i, j)| if i >= j { s.row(i, j / TILE)[j % TILE] } else { 0.0 };
    Array2::from_shape_fn((s.n, s.n), entry)
}

#[test]
fn completed_factor_multiplies_to_the_matrix() {
    for n in ORDERS {
        let a = shifted(n, (n * n) as f64);
        let mut s = symmetric(&a);
        let factored = s.factor(Level::current().unwrap(), &InOrder).unwrap();
        assert!(matches!(factored, Factored::Completed), "{n}");
        let l = lower(&s);
        let product = l.dot(&l.t());
        for ((i, j), x) in product.indexed_iter() {
            // Twice the bound of the theorem, for the product taken here.
            let bound = 2.0 * (n + 1) as f64 * f64::EPSILON * (a[(i, i)] * a[(j, j)]).sqrt();
            assert!((x - a[(i, j)]).abs() <= bound, "{n}: {i} {j}");
        }
    }
}

#[test]
fn indefinite_matrix_yields_a_vector_of_negative_curvature() {
    for n in ORDERS.into_iter().filter(|n| *n > 1) {
        let mut a = shifted(n, (n * n) as f64);
        // The sum of some rows and columns turns the matrix indefinite at a late pivot.
        let last = n - 1;
        a[(last, last)] = -1.0;
        let mut s = symmetric(&a);
        let Factored::Indefinite(x) = s.factor(Level::current().unwrap(), &InOrder).unwrap() else {
            panic!("{n}: the factorisation completed");
        };
        let x = ndarray::Array1::from(x);
        let curvature = x.dot(&a.dot(&x));
        assert!(curvature < 0.0, "{n}: {curvature}");
        assert_eq!(x[last], 1.0);
    }
}

#[test]
fn first_pivot_that_is_not_positive_ends_the_factorisation() {
    for (n, pivot) in [(1, 0), (40, 0), (40, 39), (200, 127), (200, 128), (300, 280)] {
        for value in [0.0, -1.0, f64::NAN] {
            let mut a = Array2::from_diag_elem(n, 4.0);
            a[(pivot, pivot)] = value;
            let mut s = symmetric(&a);
            let factored = s.factor(Level::current().unwrap(), &InOrder).unwrap();
            let mut expected = vec![0.0; n];
            expected[pivot] = 1.0;
            assert!(matches!(factored, Factored::Indefinite(x) if x == expected), "{n} {pivot}");
        }
    }
}

#[test]
fn factor_has_same_bits_in_any_order_and_on_any_tier() {
    for n in ORDERS {
        let a = shifted(n, (n * n) as f64);
        let mut first = symmetric(&a);
        first.factor(Level::current().unwrap(), &InOrder).unwrap();
        for level in Level::all() {
            let mut other = symmetric(&a);
            other.factor(level, &Backwards).unwrap();
            assert_eq!(lower(&first), lower(&other), "{n} {}", level.name());
        }
    }
}

#[test]
fn stopped_runner_stops_the_factorisation() {
    struct Stopped;
    impl Runner for Stopped {
        fn run<B: Send>(&self, _: &mut [B], _: &(dyn Fn(&mut B) + Sync)) -> Result<(), Error> {
            Err(Error::Interrupted)
        }
    }
    let mut s = symmetric(&shifted(200, 1e6));
    let factored = s.factor(Level::current().unwrap(), &Stopped);
    assert!(matches!(factored, Err(Error::Interrupted)));
}
