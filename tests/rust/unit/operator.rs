//! The operator of a stored matrix: its products in every layout, and its blocks in any order.

use std::sync::Mutex;

use ndarray::{Array2, ShapeBuilder};

use super::{Block, Dense, InOrder, LinearOperator, Runner};
use crate::error::Error;
use crate::matrix::Matrix;
use crate::simd::Level;

/// Error of a product, in units of roundoff times its terms times the sum of their magnitudes.
const ROUNDOFFS: f64 = 3.0;

const UNIT: f64 = f64::EPSILON / 2.0;

/// Shapes of one block and of several, by rows and by columns.
const SHAPES: [(usize, usize); 9] =
    [(1, 1), (5, 3), (3, 5), (64, 64), (65, 7), (7, 1000), (1100, 501), (501, 1100), (900, 900)];

/// Runs the blocks last to first.
struct Reversed;

impl Runner for Reversed {
    fn run(
        &self,
        blocks: &mut [Block<'_>],
        work: &(dyn Fn(&mut Block<'_>) + Sync),
    ) -> Result<(), Error> {
        blocks.iter_mut().rev().for_each(work);
        Ok(())
    }
}

/// Stops before the last block.
struct Failing;

impl Runner for Failing {
    fn run(
        &self,
        blocks: &mut [Block<'_>],
        work: &(dyn Fn(&mut Block<'_>) + Sync),
    ) -> Result<(), Error> {
        let done = blocks.len() - 1;
        blocks[..done].iter_mut().for_each(work);
        Err(Error::Interrupted)
    }
}

/// Writes down which rows each block has.
struct Recording<'a>(&'a Mutex<Vec<(usize, usize)>>);

impl Runner for Recording<'_> {
    fn run(
        &self,
        blocks: &mut [Block<'_>],
        work: &(dyn Fn(&mut Block<'_>) + Sync),
    ) -> Result<(), Error> {
        let ranges = blocks.iter().map(|block| (block.range.start, block.range.end));
        self.0.lock().unwrap().extend(ranges);
        InOrder.run(blocks, work)
    }
}

/// A matrix in C or in Fortran order.
fn entries((nrows, ncols): (usize, usize), fortran: bool) -> Array2<f64> {
    let entry = |(i, j): (usize, usize)| ((1 + 37 * i + 101 * j + i * j % 17) as f64).sin();
    Array2::from_shape_fn((nrows, ncols).set_f(fortran), entry)
}

fn numbers(len: usize) -> Vec<f64> {
    (0..len).map(|i| (0.4 + 1.9 * i as f64).cos()).collect()
}

/// `t`, `z` and the moments that a survey gives.
type Pass = (Vec<f64>, Vec<f64>, (f64, f64));

fn survey<R: Runner>(operator: &mut Dense<'_, R>) -> Pass {
    let (nrows, ncols) = operator.shape();
    let (mut t, mut z) = (vec![f64::NAN; nrows], vec![f64::NAN; ncols]);
    let moments = operator.survey(&numbers(ncols), &mut t, &mut z).unwrap();
    let (mut again_t, mut again_z) = (vec![f64::NAN; nrows], vec![f64::NAN; ncols]);
    operator.gram_matvec(&numbers(ncols), &mut again_t, &mut again_z).unwrap();
    assert_eq!((&t, &z), (&again_t, &again_z), "a survey changes no product");
    (t, z, moments)
}

fn dense<R: Runner>(a: &Array2<f64>, level: Level, runner: R) -> Dense<'_, R> {
    Dense::new(Matrix::from_view(a.view()).unwrap(), level, runner)
}

fn level() -> Level {
    Level::all()[Level::all().len() - 1]
}

/// Runs `check` on every shape in both orders.
fn for_each_matrix(check: impl Fn(&Array2<f64>, &str)) {
    for shape in SHAPES {
        for fortran in [false, true] {
            let order = if fortran { "fortran" } else { "c" };
            check(&entries(shape, fortran), &format!("{shape:?} in {order} order"));
        }
    }
}

#[track_caller]
fn assert_near(name: &str, got: f64, terms: impl Iterator<Item = f64>) {
    let naive = |(sum, size, n): (f64, f64, f64), x: f64| (sum + x, size + x.abs(), n + 1.0);
    let (sum, magnitude, n) = terms.fold((0.0, 0.0, 1.0), naive);
    assert!((got - sum).abs() <= ROUNDOFFS * n * UNIT * magnitude, "{name}: {got} for {sum}");
}

#[test]
fn products_and_survey_equal_naive_loops() {
    for_each_matrix(|a, name| {
        let mut operator = dense(a, level(), InOrder);
        let b = if operator.is_transposed() { a.t() } else { a.view() };
        assert_eq!(operator.shape(), b.dim(), "{name}");
        let (t, z, (max_abs, squares)) = survey(&mut operator);
        let v = numbers(b.ncols());
        for (i, row) in b.outer_iter().enumerate() {
            assert_near(name, t[i], row.iter().zip(&v).map(|(b, v)| b * v));
        }
        for (j, column) in b.columns().into_iter().enumerate() {
            assert_near(name, z[j], column.iter().zip(&t).map(|(b, t)| b * t));
        }
        assert_eq!(max_abs, a.iter().fold(0.0_f64, |m, x| m.max(x.abs())), "{name}");
        assert_near(name, squares, a.iter().map(|x| x * x));
    });
}

#[test]
fn blocks_in_any_order_on_any_tier_give_the_same_bits() {
    for_each_matrix(|a, name| {
        let expected = survey(&mut dense(a, Level::all()[0], InOrder));
        for level in Level::all() {
            assert_eq!(survey(&mut dense(a, level, InOrder)), expected, "{name}");
            assert_eq!(survey(&mut dense(a, level, Reversed)), expected, "{name}");
        }
    });
}

#[test]
fn blocks_hold_every_row_once_and_in_order() {
    for_each_matrix(|a, name| {
        let ranges = Mutex::new(Vec::new());
        let mut operator = dense(a, level(), Recording(&ranges));
        let (nrows, ncols) = operator.shape();
        let (mut t, mut z) = (vec![0.0; nrows], vec![0.0; ncols]);
        operator.gram_matvec(&numbers(ncols), &mut t, &mut z).unwrap();
        let ranges = ranges.into_inner().unwrap();
        assert_eq!((ranges[0].0, ranges[ranges.len() - 1].1), (0, nrows), "{name}");
        assert!(ranges.windows(2).all(|pair| pair[0].1 == pair[1].0), "{name}: {ranges:?}");
        assert_eq!(ranges.len() > 1, a.len() > 1 << 19, "{name}: {ranges:?}");
    });
}

#[test]
fn exponents_scale_exactly() {
    for_each_matrix(|a, name| {
        let mut operator = dense(a, level(), InOrder);
        let (t, z, (max_abs, squares)) = survey(&mut operator);
        for exponent in [1, -1, 40, -200, 300] {
            operator.set_exponent(exponent);
            let power = 2.0_f64.powi(-exponent);
            let by = |x: &[f64], factor: f64| x.iter().map(|x| x * factor).collect::<Vec<_>>();
            let scaled = (max_abs * power, squares * power * power);
            let expected = (by(&t, power), by(&z, power * power), scaled);
            assert_eq!(survey(&mut operator), expected, "{name} by 2^{exponent}");
        }
        operator.set_exponent(0);
        assert_eq!(survey(&mut operator), (t, z, (max_abs, squares)), "{name}");
    });
}

#[test]
fn the_operator_has_at_least_as_many_rows_as_columns() {
    // Rows and columns, Fortran order, whether the operator is the transpose.
    let cases = [
        ((5, 3), false, false),
        ((3, 5), false, true),
        ((5, 3), true, false),
        ((3, 5), true, true),
        ((4, 4), false, false),
        ((4, 4), true, true),
    ];
    for (shape, fortran, transposed) in cases {
        let a = entries(shape, fortran);
        let operator = dense(&a, level(), InOrder);
        let (nrows, ncols) = operator.shape();
        assert!(nrows >= ncols, "{shape:?} {fortran}");
        assert_eq!(operator.is_transposed(), transposed, "{shape:?} {fortran}");
    }
}

#[test]
fn a_runner_that_fails_passes_its_error_on() {
    for_each_matrix(|a, name| {
        let mut operator = dense(a, level(), Failing);
        let (nrows, ncols) = operator.shape();
        let (v, mut t, mut z) = (numbers(ncols), vec![0.0; nrows], vec![0.0; ncols]);
        let error = operator.gram_matvec(&v, &mut t, &mut z).unwrap_err();
        assert_eq!(error, Error::Interrupted, "{name}");
        assert_eq!(operator.survey(&v, &mut t, &mut z).unwrap_err(), Error::Interrupted, "{name}");
    });
}
