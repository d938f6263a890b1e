//! The copy in single precision: its entries, what it learns of them, and which operator answers what.

use ndarray::{Array2, ArrayView2, s};

use super::{Narrow, Narrowed, Pages};
use crate::kernels::panel::{Panel, set_column};
use crate::kernels::reduce::Moments;
use crate::matrix::Matrix;
use crate::operator::tests::Backwards;
use crate::operator::{BlockOperator, BlockPartials, Dense, InOrder, LinearOperator, Runner};
use crate::simd::Level;

/// Shapes with tails, one wide, one of several pieces and one whose row is a piece.
const SHAPES: [(usize, usize); 6] = [(1, 1), (7, 5), (5, 37), (40, 17), (3000, 190), (2, 300_000)];

fn entries(nrows: usize, ncols: usize) -> Array2<f64> {
    Array2::from_shape_fn((nrows, ncols), |(i, j)| ((1 + 7 * i + 3 * j) as f64).sin())
}

fn dense<R: Runner>(a: ArrayView2<'_, f64>, level: Level, runner: R) -> Dense<'_, R> {
    Dense::new(Matrix::from_view(a).unwrap(), level, runner)
}

fn narrowed(a: ArrayView2<'_, f64>) -> Option<Narrowed> {
    dense(a, Level::current().unwrap(), InOrder).narrowed().unwrap()
}

#[test]
fn copy_rounds_each_entry_and_sums_what_it_was() {
    for (nrows, ncols) in SHAPES {
        let a = entries(nrows, ncols);
        let copy = narrowed(a.view()).unwrap();
        let rounded: Vec<f32> = a.iter().map(|&x| x as f32).collect();
        assert!(copy.rows[..] == rounded[..], "{nrows} x {ncols}");
        let Moments { max_abs, sum_of_squares } = copy.moments;
        let naive: f64 = a.iter().map(|x| x * x).sum();
        assert_eq!(max_abs, a.iter().fold(0.0, |m: f64, x| m.max(x.abs())));
        assert!((sum_of_squares / naive - 1.0).abs() < 1e-12, "{nrows} x {ncols}");
    }
}

#[test]
fn bits_depend_on_neither_tier_nor_order_nor_padding() {
    for (nrows, ncols) in SHAPES {
        let a = entries(nrows, ncols + 3);
        let a = a.slice(s![.., 1..=ncols]);
        let first = narrowed(a).unwrap();
        for level in Level::all() {
            let other = dense(a, level, Backwards).narrowed().unwrap().unwrap();
            assert!(first.rows[..] == other.rows[..] && first.moments == other.moments);
        }
        let packed = narrowed(a.to_owned().view()).unwrap();
        assert!(first.rows[..] == packed.rows[..] && first.moments == packed.moments);
    }
}

#[test]
fn entries_beyond_single_precision_are_brought_near_one() {
    let a = entries(40, 17);
    let plain = narrowed(a.view()).unwrap();
    for exponent in [-800, -300, -30, 30, 300, 800] {
        let copy = narrowed((&a * 2.0_f64.powi(exponent)).view()).unwrap();
        assert_eq!(copy.exponent, exponent - 1, "the largest entry is just below one");
        assert!(copy.rows.iter().zip(&plain.rows[..]).all(|(x, y)| *x == 2.0 * y));
        assert_eq!(copy.moments.max_abs, 2.0 * plain.moments.max_abs);
    }
    for exponent in [-1010, 1010] {
        assert!(narrowed((&a * 2.0_f64.powi(exponent)).view()).is_none(), "{exponent}");
    }
}

#[test]
fn what_is_not_finite_shows_in_the_moments() {
    for (entry, check) in [
        (f64::NAN, (|m| m.sum_of_squares.is_nan()) as fn(Moments) -> bool),
        (f64::INFINITY, |m| m.sum_of_squares == f64::INFINITY || m.max_abs == f64::INFINITY),
        (f64::MAX, |m| m.max_abs.is_finite() && m.sum_of_squares.is_finite()),
    ] {
        let mut a = entries(40, 17);
        a[[20, 3]] = entry;
        // The largest double is beyond what a scale may undo.
        assert!(narrowed(a.view()).is_none_or(|copy| check(copy.moments)), "{entry}");
    }
}

#[test]
fn single_precision_is_not_copied() {
    let a = entries(40, 17).mapv(|x| x as f32);
    let op = Dense::new(Matrix::from_view(a.view()).unwrap(), Level::current().unwrap(), InOrder);
    assert!(op.narrowed().unwrap().is_none());
}

/// One block through an operator: the products, or the moments as well.
fn block<O: BlockOperator>(op: &mut O, survey: bool) -> (Vec<Panel<2>>, Option<(f64, f64)>) {
    let n = op.shape().1;
    let (mut v, mut z) = (Panel::<2>::zeros(n), Panel::<2>::zeros(n));
    for c in 0..2 {
        let column: Vec<f64> = (0..n).map(|j| ((1 + c) as f64 * j as f64).cos()).collect();
        set_column(&mut v, c, &column);
    }
    let mut partials = BlockPartials::default();
    let moments = match survey {
        true => Some(op.block_survey(&v, &mut z, &mut partials).unwrap()),
        false => op.block_gram(&v, &mut z, &mut partials).map(|()| None).unwrap(),
    };
    (z, moments)
}

/// `t` and `z` of a pass with one vector.
fn single<O: LinearOperator>(op: &mut O) -> (Vec<f64>, Vec<f64>) {
    let (m, n) = op.shape();
    let v: Vec<f64> = (0..n).map(|j| (j as f64).sin()).collect();
    let (mut t, mut z) = (vec![0.0; m], vec![0.0; n]);
    op.gram_matvec(&v, &mut t, &mut z).unwrap();
    (t, z)
}

fn bits(z: &[Panel<2>]) -> Vec<u32> {
    z.iter().flat_map(|panel| panel.0.as_flattened()).map(|x| x.to_bits()).collect()
}

#[test]
fn blocks_meet_the_copy_and_single_vectors_the_matrix() {
    let level = Level::current().unwrap();
    for ((nrows, ncols), exponent) in [((40, 17), 0), ((17, 40), 3), ((3000, 190), -2)] {
        let a = entries(nrows, ncols);
        let rounded = a.mapv(|x| x as f32);
        let mut wide = dense(a.view(), level, InOrder);
        let copy = wide.narrowed().unwrap().unwrap();
        let mut of_copy = Dense::new(Matrix::from_view(rounded.view()).unwrap(), level, InOrder);
        of_copy.set_exponent(exponent);
        let expected = [false, true].map(|survey| bits(&block(&mut of_copy, survey).0));
        let (m, n) = wide.shape();
        let mut beside = wide.beside(&copy);
        beside.set_exponent(exponent);
        assert!(beside.is_narrow() && beside.shape() == (m, n));
        assert!(bits(&block(&mut beside, false).0) == expected[0], "{nrows} x {ncols}");
        let (z, moments) = block(&mut beside, true);
        assert!(bits(&z) == expected[1], "{nrows} x {ncols}");
        let unit = 2.0_f64.powi(-exponent);
        let Moments { max_abs, sum_of_squares } = copy.moments;
        assert_eq!(moments, Some((max_abs * unit, sum_of_squares * unit * unit)));
        let of_beside = single(&mut beside);
        drop(beside);
        wide.set_exponent(exponent);
        assert_eq!(of_beside, single(&mut wide));
    }
}

#[test]
fn pages_begin_a_cache_line_whatever_their_number_and_those_of_a_copy_serve_the_next() {
    for len in [0, 1, 1 << 10, (1 << 20) - 1, 1 << 20, (1 << 20) + 5, 1 << 22] {
        for _ in 0..2 {
            let mut pages = Pages::of(len).unwrap();
            assert_eq!(pages.len(), len);
            assert!(len == 0 || pages.as_ptr().addr().is_multiple_of(64), "{len}");
            if let Some(last) = pages.last_mut() {
                *last = 1.0;
            }
            let other = Pages::of(len).unwrap();
            assert!(len == 0 || other.as_ptr() != pages.as_ptr(), "two copies share memory");
        }
    }
    assert!(Pages::of(usize::MAX).is_none() && Pages::of(usize::MAX / 8).is_none());
}
