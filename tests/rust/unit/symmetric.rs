//! The kernels of one symmetric matrix against naive loops, and tier against tier.

use half::f16;

use super::{Padded, Reduced, gram, reduce, widen};
use crate::simd::Level;

const ORDERS: [usize; 13] = [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 40, 65];

/// A matrix of numbers in [-1, 1).
fn matrix(nrows: usize, ncols: usize) -> Padded {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    let mut a = Padded::zeros(nrows, ncols);
    (0..nrows).for_each(|i| a.row_mut(i).iter_mut().for_each(|x| *x = next()));
    a
}

fn gram_of(level: Level, b: &Padded) -> Padded {
    let mut out = Padded::zeros(b.shape().1, b.shape().1);
    gram(level, b, &mut out);
    out
}

fn rows(a: &Padded) -> Vec<Vec<f64>> {
    (0..a.shape().0).map(|i| a.row(i).to_vec()).collect()
}

#[test]
fn gram_equals_naive_loops_on_every_tier() {
    for n in ORDERS {
        for m in [n, n + 1, 2 * n + 3] {
            let b = matrix(m, n);
            let expected = gram_of(Level::all()[0], &b);
            for i in 0..n {
                for j in 0..n {
                    let sum: f64 = (0..m).map(|r| b.row(r)[i] * b.row(r)[j]).sum();
                    assert!((expected.row(i)[j] - sum).abs() <= 1e-13, "{m} x {n}: {i}, {j}");
                }
            }
            for level in Level::all() {
                assert_eq!(rows(&gram_of(level, &b)), rows(&expected), "{}", level.name());
            }
        }
    }
}

/// `Q T Q'` from the reflectors, the tridiagonal matrix and the factors.
fn rebuilt(reduced: &Reduced, vectors: &Padded) -> Vec<Vec<f64>> {
    let n = reduced.alpha.len();
    let mut a = vec![vec![0.0; n]; n];
    for j in 0..n {
        a[j][j] = reduced.alpha[j];
        if j + 1 < n {
            a[j][j + 1] = reduced.beta[j];
            a[j + 1][j] = reduced.beta[j];
        }
    }
    for j in (0..n.saturating_sub(2)).rev() {
        let v = |i: usize| if i > j { vectors.row(j)[i] } else { 0.0 };
        for _ in 0..2 {
            for row in &mut a {
                let inner: f64 = (0..n).map(|i| row[i] * v(i)).sum();
                (0..n).for_each(|i| row[i] -= reduced.tau[j] * inner * v(i));
            }
            a = (0..n).map(|i| a.iter().map(|row| row[i]).collect()).collect();
        }
    }
    a
}

#[test]
fn reduction_is_undone_by_its_reflectors_on_every_tier() {
    for n in ORDERS {
        let a = gram_of(Level::all()[0], &matrix(n + 2, n));
        let mut bits = Vec::new();
        for level in Level::all() {
            let mut copy = Padded::zeros(n, n);
            (0..n).for_each(|i| copy.row_mut(i).copy_from_slice(a.row(i)));
            let mut reduced = Reduced::zeros(n);
            reduce(level, &mut copy, &mut reduced);
            let back = rebuilt(&reduced, &copy);
            for (i, row) in back.iter().enumerate() {
                for (x, y) in row.iter().zip(a.row(i)) {
                    let error = (x - y).abs();
                    assert!(error <= 1e-13 * n as f64, "order {n}, row {i}: {error:e}");
                }
            }
            bits.push((reduced.alpha, reduced.beta, reduced.tau));
        }
        assert!(bits.iter().all(|other| *other == bits[0]), "order {n}");
    }
}

#[test]
fn reduction_of_a_diagonal_leaves_it() {
    let mut a = Padded::zeros(9, 9);
    (0..9).for_each(|i| a.row_mut(i)[i] = i as f64);
    let mut reduced = Reduced::zeros(9);
    reduce(Level::all()[0], &mut a, &mut reduced);
    assert_eq!(reduced.alpha, (0..9).map(f64::from).collect::<Vec<_>>());
    assert!(reduced.beta.iter().all(|&x| x == 0.0));
}

#[test]
fn widening_is_exact_for_any_length() {
    for level in Level::all() {
        for n in [0, 1, 7, 8, 9, 30] {
            let row: Vec<f16> = (0..n).map(|i| f16::from_f64(f64::from(i) - 3.5)).collect();
            let mut out = vec![0.0; n as usize];
            widen(level, &row, (4.0, 0.5), &mut out);
            let expected: Vec<f64> = row.iter().map(|x| 2.0 * x.to_f64()).collect();
            assert_eq!(out, expected);
        }
    }
}
