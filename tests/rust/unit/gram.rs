//! What a proof asks of a dense operator, against naive sums, in every layout and number type.

use half::{bf16, f16};
use ndarray::{Array2, ArrayView2, ShapeBuilder};

use super::Gram;
use crate::matrix::{Matrix, Store};
use crate::operator::symmetric::Factored;
use crate::operator::{Dense, InOrder, LinearOperator};
use crate::scalar::power_of_two;
use crate::simd::Level;

const SHAPES: [(usize, usize); 9] =
    [(1, 1), (5, 3), (3, 5), (40, 40), (300, 20), (20, 300), (130, 129), (600, 140), (140, 600)];

fn entries(nrows: usize, ncols: usize) -> Array2<f64> {
    Array2::from_shape_fn((nrows, ncols), |(i, j)| ((1 + 7 * i + 3 * j) as f64).sin())
}

/// `|B|'|B| x` by its definition.
fn naive_abs_gram(b: ArrayView2<'_, f64>, x: &[f64]) -> Vec<f64> {
    let abs = b.mapv(f64::abs);
    abs.t().dot(&abs.dot(&ndarray::ArrayView1::from(x))).to_vec()
}

/// The largest squared singular value, by many power steps on the Gram matrix.
fn naive_square(a: ArrayView2<'_, f64>) -> f64 {
    let g = a.t().dot(&a);
    let mut x = ndarray::Array1::from_shape_fn(a.ncols(), |i| 1.0 + (i as f64).cos());
    for _ in 0..5000 {
        x = g.dot(&x);
        x /= x.dot(&x).sqrt();
    }
    x.dot(&g.dot(&x))
}

fn check_magnitudes<T: Store>(a: ArrayView2<'_, T>, exact: ArrayView2<'_, f64>) {
    for exponent in [0, 3] {
        let unit = power_of_two(-exponent);
        let mut op = Dense::new(Matrix::from_view(a).unwrap(), Level::current().unwrap(), InOrder);
        op.set_exponent(exponent);
        let n = op.shape().1;
        let x: Vec<f64> = (0..n).map(|i| 1.0 + (i % 3) as f64).collect();
        let mut z = vec![9.0; n];
        op.abs_gram_matvec(&x, &mut z).unwrap();
        let b = if op.is_transposed() { exact.t() } else { exact };
        for (z, expected) in z.iter().zip(naive_abs_gram(b, &x)) {
            let expected = expected * unit * unit;
            assert!((z - expected).abs() <= 1e-13 * expected, "{:?} {z} {expected}", a.dim());
        }
    }
}

#[test]
fn magnitudes_match_naive_sums_in_every_layout_and_type() {
    for (nrows, ncols) in SHAPES {
        let a = entries(nrows, ncols);
        check_magnitudes(a.view(), a.view());
        let by_columns = a.t().iter().copied().collect();
        let f = Array2::from_shape_vec((nrows, ncols).f(), by_columns).unwrap();
        check_magnitudes(f.view(), a.view());
        let narrow = a.mapv(|x| x as f32);
        check_magnitudes(narrow.view(), narrow.mapv(f64::from).view());
        let half = a.mapv(f16::from_f64);
        check_magnitudes(half.view(), half.mapv(f16::to_f64).view());
        let brain = a.mapv(bf16::from_f64);
        check_magnitudes(brain.view(), brain.mapv(bf16::to_f64).view());
    }
}

#[test]
fn shift_decides_whether_the_factorisation_completes() {
    for (nrows, ncols) in SHAPES {
        let a = entries(nrows, ncols);
        let square = naive_square(a.view());
        for a in [a.view(), a.clone().reversed_axes().view()] {
            let matrix = Matrix::from_view(a).unwrap();
            let mut op = Dense::new(matrix, Level::current().unwrap(), InOrder);
            for exponent in [0, -2] {
                op.set_exponent(exponent);
                let square = square * power_of_two(-exponent) * power_of_two(-exponent);
                let mut completes = |factor: f64| {
                    let factored = op.factor_shifted(factor * square).unwrap().unwrap();
                    matches!(factored, Factored::Completed)
                };
                assert!(completes(1.0 + 1e-11), "{:?}", a.dim());
                assert!(!completes(1.0 - 1e-11), "{:?}", a.dim());
            }
        }
    }
}

#[test]
fn breakdown_yields_a_vector_beyond_the_shift() {
    for (nrows, ncols) in SHAPES.into_iter().filter(|shape| shape.0.min(shape.1) > 1) {
        let a = entries(nrows, ncols);
        let matrix = Matrix::from_view(a.view()).unwrap();
        let mut op = Dense::new(matrix, Level::current().unwrap(), InOrder);
        let shift = 0.9 * naive_square(a.view());
        let Some(Factored::Indefinite(x)) = op.factor_shifted(shift).unwrap() else {
            panic!("{nrows} {ncols}: the factorisation completed");
        };
        let (m, n) = op.shape();
        let (mut t, mut z) = (vec![0.0; m], vec![0.0; n]);
        op.gram_matvec(&x, &mut t, &mut z).unwrap();
        let square = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
        assert!(square(&t) > (1.0 - 1e-10) * shift * square(&x), "{nrows} {ncols}");
    }
}
