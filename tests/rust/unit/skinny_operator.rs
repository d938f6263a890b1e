//! The Gram matrix of a long matrix against naive loops, and runner against runner.

use ndarray::{Array2, ShapeBuilder};
use num_complex::Complex;

use super::gram;
use crate::kernels::symmetric::Padded;
use crate::matrix::Matrix;
use crate::operator::tests::Backwards;
use crate::operator::{InOrder, Runner};
use crate::simd::Level;

const SHAPES: [(usize, usize); 6] =
    [(5, 1), (40, 3), (2, 9), (70_000, 3), (2, 100_000), (3000, 50)];

fn number(i: usize, j: usize) -> f64 {
    ((7 * i + 3 * j) as f64).sin()
}

fn of<R: Runner>(matrix: &Matrix<'_>, runner: &R) -> (f64, Vec<Vec<f64>>) {
    let (max, gram) = gram(Level::current().unwrap(), matrix, (1.0, 1.0), runner).unwrap();
    (max, rows(&gram))
}

fn rows(a: &Padded) -> Vec<Vec<f64>> {
    (0..a.shape().0).map(|i| a.row(i).to_vec()).collect()
}

fn near(got: &[Vec<f64>], expected: impl Fn(usize, usize) -> f64, scale: f64) {
    for (i, row) in got.iter().enumerate() {
        for (j, x) in row.iter().enumerate() {
            assert!((x - expected(i, j)).abs() <= 1e-13 * scale, "{i}, {j}");
        }
    }
}

#[test]
fn real_gram_matrix_is_that_of_the_shorter_side_in_any_layout() {
    for (m, n) in SHAPES {
        let a = Array2::from_shape_fn((m, n), |(i, j)| number(i, j));
        let mut by_columns = Array2::zeros((m, n).f());
        by_columns.assign(&a);
        let upright = if m < n { a.t() } else { a.view() };
        let expected = |i, j| upright.column(i).dot(&upright.column(j));
        let matrix = Matrix::from_view(a.view()).unwrap();
        let (max, got) = of(&matrix, &InOrder);
        assert_eq!(got.len(), m.min(n));
        near(&got, expected, (m * n) as f64);
        assert_eq!(max, a.iter().fold(0.0_f64, |max, x| max.max(x.abs())));
        assert_eq!(of(&matrix, &Backwards), (max, got.clone()), "{m} x {n}");
        let other = Matrix::from_view(by_columns.view()).unwrap();
        assert_eq!(of(&other, &InOrder), (max, got), "{m} x {n}");
    }
}

#[test]
fn complex_gram_matrix_is_that_of_the_real_matrix_of_twice_the_size() {
    for (m, n) in SHAPES {
        let a =
            Array2::from_shape_fn((m, n), |(i, j)| Complex::new(number(i, j), number(j, i + 1)));
        let mut by_columns = Array2::zeros((m, n).f());
        by_columns.assign(&a);
        for (stored, view) in [(false, a.view()), (true, by_columns.view())] {
            // The adjoint where it is wide, and the conjugate where it lies by columns.
            let entry = |i: usize, j: usize| {
                let x = if m < n { a[[j, i]].conj() } else { a[[i, j]] };
                if stored { x.conj() } else { x }
            };
            let k = m.min(n);
            let product = |i: usize, j: usize| -> Complex<f64> {
                (0..m.max(n)).map(|r| entry(r, i).conj() * entry(r, j)).sum()
            };
            let expected = |i: usize, j: usize| {
                let z = product(i % k, j % k);
                match (i < k, j < k) {
                    (true, false) => -z.im,
                    (false, true) => z.im,
                    _ => z.re,
                }
            };
            let matrix = Matrix::from_complex(view).unwrap();
            let (max, got) = of(&matrix, &InOrder);
            assert_eq!(got.len(), 2 * k);
            near(&got, expected, (2 * m * n) as f64);
            assert_eq!(of(&matrix, &Backwards), (max, got), "{m} x {n}");
        }
    }
}
