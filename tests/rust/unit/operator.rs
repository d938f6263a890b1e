//! The dense operator: its blocks, its orientation, its scale.

use std::sync::atomic::{AtomicUsize, Ordering};

use ndarray::{Array2, ShapeBuilder};

use super::{Dense, InOrder, LinearOperator, Runner};
use crate::error::Error;
use crate::matrix::Matrix;
use crate::simd::Level;

/// Runs the blocks from the last to the first.
#[derive(Clone, Copy)]
pub(super) struct Backwards;

impl Runner for Backwards {
    fn run<B: Send>(&self, blocks: &mut [B], work: &(dyn Fn(&mut B) + Sync)) -> Result<(), Error> {
        blocks.iter_mut().rev().for_each(work);
        Ok(())
    }
}

/// Gives up after some passes.
struct Impatient(AtomicUsize);

impl Runner for Impatient {
    fn run<B: Send>(&self, blocks: &mut [B], work: &(dyn Fn(&mut B) + Sync)) -> Result<(), Error> {
        if self.0.fetch_sub(1, Ordering::Relaxed) == 0 {
            return Err(Error::Interrupted);
        }
        InOrder.run(blocks, work)
    }
}

fn matrix(nrows: usize, ncols: usize) -> Array2<f64> {
    Array2::from_shape_fn((nrows, ncols), |(i, j)| ((7 * i + 3 * j) as f64).sin())
}

/// `t` and `z` of one pass with a fixed vector.
fn pass<R: Runner>(a: Matrix<'_>, runner: R, exponent: i32) -> (Vec<f64>, Vec<f64>) {
    pass_of(Dense::new(a, Level::current().unwrap(), runner), exponent)
}

fn pass_of<R: Runner>(mut op: Dense<'_, R>, exponent: i32) -> (Vec<f64>, Vec<f64>) {
    op.set_exponent(exponent);
    let (m, n) = op.shape();
    let v: Vec<f64> = (0..n).map(|j| (j as f64).cos()).collect();
    let (mut t, mut z) = (vec![9.0; m], vec![9.0; n]);
    op.gram_matvec(&v, &mut t, &mut z).unwrap();
    (t, z)
}

#[test]
fn operator_has_the_longer_side_as_rows_whatever_the_layout() {
    for (nrows, ncols) in [(5, 3), (3, 5), (4, 4), (1, 9), (9, 1)] {
        let a = matrix(nrows, ncols);
        let f =
            Array2::from_shape_vec((nrows, ncols).f(), a.t().iter().copied().collect()).unwrap();
        for a in [a.view(), f.view()] {
            let a = Matrix::from_view(a).unwrap();
            let op = Dense::new(a, Level::current().unwrap(), InOrder);
            assert_eq!(op.shape(), (nrows.max(ncols), nrows.min(ncols)));
            if nrows != ncols {
                assert_eq!(op.is_transposed(), nrows < ncols);
            }
        }
    }
}

#[test]
fn operator_by_rows_is_the_matrix_as_it_lies() {
    let level = Level::current().unwrap();
    for (nrows, ncols) in [(39, 70), (70, 39), (300, 2000)] {
        let a = matrix(nrows, ncols);
        let view = Matrix::from_view(a.view()).unwrap();
        let (t, z) = pass_of(Dense::by_rows(view, level, InOrder), 0);
        assert_eq!((t.len(), z.len()), (nrows, ncols));
        let v: Vec<f64> = (0..ncols).map(|j| (j as f64).cos()).collect();
        let naive_t = a.dot(&ndarray::aview1(&v));
        let naive_z = a.t().dot(&naive_t);
        let is_close = |(x, y): (&f64, &f64)| (x - y).abs() <= 1e-12 * (nrows * ncols) as f64;
        assert!(t.iter().zip(&naive_t).all(is_close) && z.iter().zip(&naive_z).all(is_close));
    }
}

#[test]
fn blocks_in_any_order_give_the_same_bits() {
    // Large enough for several blocks, by rows and by columns.
    for (nrows, ncols) in [(6000, 300), (300, 6000)] {
        let a = matrix(nrows, ncols);
        let a = Matrix::from_view(a.view()).unwrap();
        assert!(Dense::new(a, Level::current().unwrap(), InOrder).partition.ranges().count() > 3);
        assert_eq!(pass(a, InOrder, 0), pass(a, Backwards, 0));
    }
}

#[test]
fn exponents_scale_the_operator_exactly() {
    for (nrows, ncols) in [(70, 40), (40, 70)] {
        let a = matrix(nrows, ncols);
        let a = Matrix::from_view(a.view()).unwrap();
        let (t, z) = pass(a, InOrder, 0);
        for exponent in [-300, 7, 300] {
            let factor = 2.0_f64.powi(-exponent);
            let (scaled_t, scaled_z) = pass(a, InOrder, exponent);
            assert!(t.iter().zip(&scaled_t).all(|(x, y)| x * factor == *y));
            assert!(z.iter().zip(&scaled_z).all(|(x, y)| x * factor * factor == *y));
        }
    }
}

#[test]
fn survey_sees_every_entry_once() {
    for (nrows, ncols) in [(6000, 300), (300, 6000), (3, 5)] {
        let mut a = matrix(nrows, ncols);
        a[(nrows - 1, ncols - 1)] = -8.0;
        let view = Matrix::from_view(a.view()).unwrap();
        let mut op = Dense::new(view, Level::current().unwrap(), InOrder);
        let (m, n) = op.shape();
        let (mut t, mut z) = (vec![0.0; m], vec![0.0; n]);
        let (max_abs, sum) = op.survey(&vec![1.0; n], &mut t, &mut z).unwrap();
        assert_eq!(max_abs, 8.0);
        let naive: f64 = a.iter().map(|x| x * x).sum();
        assert!((sum / naive - 1.0).abs() < 1e-12);
    }
}

#[test]
fn runner_that_stops_stops_the_pass() {
    let a = matrix(8, 5);
    let a = Matrix::from_view(a.view()).unwrap();
    let mut op = Dense::new(a, Level::current().unwrap(), Impatient(AtomicUsize::new(1)));
    let (mut t, mut z) = (vec![0.0; 8], vec![0.0; 5]);
    assert_eq!(op.gram_matvec(&[1.0; 5], &mut t, &mut z), Ok(()));
    assert_eq!(op.gram_matvec(&[1.0; 5], &mut t, &mut z), Err(Error::Interrupted));
}

#[test]
fn empty_matrices_have_an_operator_that_does_nothing() {
    for (nrows, ncols) in [(0, 0), (0, 5), (5, 0)] {
        let a = matrix(nrows, ncols);
        let a = Matrix::from_view(a.view()).unwrap();
        let (t, z) = pass(a, InOrder, 0);
        assert_eq!((t.len(), z.len()), (nrows.max(ncols), 0));
        assert!(t.iter().all(|&x| x == 0.0 || x == 9.0));
    }
}
