//! The operator of a complex matrix against naive complex arithmetic, in every layout.

use ndarray::{Array2, ShapeBuilder};
use num_complex::Complex;

use super::{ComplexDense, adjoint_product};
use crate::matrix::Matrix;
use crate::operator::gather::fill_lane;
use crate::operator::{InOrder, LinearOperator};
use crate::simd::Level;

type C64 = Complex<f64>;

fn matrix(nrows: usize, ncols: usize) -> Array2<C64> {
    let entry = |(i, j): (usize, usize)| {
        C64::new(((7 * i + 3 * j) as f64).sin(), ((2 * i + 5 * j) as f64).cos())
    };
    Array2::from_shape_fn((nrows, ncols), entry)
}

fn numbers(x: &[f64]) -> Vec<C64> {
    x.as_chunks::<2>().0.iter().map(|&[re, im]| C64::new(re, im)).collect()
}

fn near(x: &[C64], y: &[C64]) -> bool {
    x.len() == y.len() && x.iter().zip(y).all(|(x, y)| (x - y).norm() <= 1e-11)
}

#[test]
fn pass_is_the_product_and_the_product_of_the_adjoint() {
    for (m, n) in [(1, 1), (3, 2), (4, 4), (9, 5), (40, 33)] {
        let a = matrix(m, n);
        let matrix = Matrix::from_complex(a.view()).unwrap();
        let v: Vec<f64> = (0..2 * n).map(|j| (j as f64).cos()).collect();
        for level in Level::all() {
            let mut op = ComplexDense::new(matrix, level, InOrder);
            assert_eq!(op.shape(), (2 * m, 2 * n));
            let (mut t, mut z) = (vec![9.0; 2 * m], vec![9.0; 2 * n]);
            let (max, squares) = op.survey(&v, &mut t, &mut z).unwrap();
            let x = numbers(&v);
            let row = |i: usize| (0..n).map(|j| a[(i, j)] * x[j]).sum::<C64>();
            let product: Vec<C64> = (0..m).map(row).collect();
            let column = |j: usize| (0..m).map(|i| a[(i, j)].conj() * product[i]).sum::<C64>();
            assert!(near(&numbers(&t), &product), "{m} x {n}");
            assert!(near(&numbers(&z), &(0..n).map(column).collect::<Vec<_>>()), "{m} x {n}");
            let sum: f64 = a.iter().map(|x| x.norm_sqr()).sum();
            assert!((squares - sum).abs() <= 1e-12 * sum && max <= 1.0);
            op.set_exponent(1);
            let mut half = vec![9.0; 2 * m];
            op.gram_matvec(&v, &mut half, &mut z).unwrap();
            assert!(half.iter().zip(&t).all(|(half, t)| 2.0 * half == *t));
        }
    }
}

#[test]
fn adjoint_product_joins_the_products_of_the_parts() {
    // A = [2 + 3i], t = 5 + 7i: conj(A) t = 31 - i.
    let mut z = [0.0; 2];
    adjoint_product(&[10.0, 15.0], &[14.0, 21.0], &mut z);
    assert_eq!(z, [31.0, -1.0]);
}

#[test]
fn embedding_is_the_same_in_either_order() {
    for (m, n) in [(1, 1), (4, 3), (3, 4), (5, 5)] {
        let a = matrix(m, n);
        let mut columns = Array2::from_elem((m, n).f(), C64::default());
        columns.assign(&a);
        let (rows, ncols) = (m.max(n), m.min(n));
        let embedded = |a: &Array2<C64>| {
            let mut entries = vec![[0.0; 8].into(); 4 * m * n];
            fill_lane(&Matrix::from_complex(a.view()).unwrap(), 3, &mut entries);
            entries.iter().map(|entry| entry[3]).collect::<Vec<f64>>()
        };
        assert_eq!(embedded(&a), embedded(&columns), "{m} x {n}");
        let got = embedded(&a);
        for i in 0..rows {
            for j in 0..ncols {
                // A wide matrix is taken by its adjoint.
                let x = if m < n { a[(j, i)].conj() } else { a[(i, j)] };
                let at = |i: usize, j: usize| got[i * 2 * ncols + j];
                let (re, im) = (x.re, x.im);
                assert_eq!([at(i, j), at(i, ncols + j)], [re, -im]);
                assert_eq!([at(rows + i, j), at(rows + i, ncols + j)], [im, re]);
            }
        }
    }
}

#[test]
fn views_that_are_not_packed_are_refused() {
    let a = matrix(6, 6);
    assert!(Matrix::from_complex(a.slice(ndarray::s![.., ..3])).is_none());
    assert!(Matrix::from_complex(a.slice(ndarray::s![2..4, ..])).is_some());
    assert_eq!(Matrix::from_complex(a.t()).unwrap().shape(), (6, 6));
    assert!(Matrix::from_slice(&[1.0_f32; 6], 2, 3).unwrap().paired().is_none());
}
