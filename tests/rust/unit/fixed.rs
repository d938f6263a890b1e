//! The copy in integers: how far its entries are off, what it learns of them, and which operator answers what.

use ndarray::{Array2, ArrayView2, s};

use super::{Fix, Fixed};
use crate::kernels::panel::{Panel, entry, set_column};
use crate::kernels::reduce::Moments;
use crate::matrix::Matrix;
use crate::operator::tests::Backwards;
use crate::operator::{BlockOperator, BlockPartials, Dense, InOrder, LinearOperator, Runner};
use crate::simd::Level;

/// Shapes with tails and without, one of several blocks and one of rows of several tiles.
const SHAPES: [(usize, usize); 6] = [(1, 1), (7, 5), (40, 17), (64, 64), (3000, 190), (5, 4100)];

fn entries(nrows: usize, ncols: usize) -> Array2<f32> {
    Array2::from_shape_fn((nrows, ncols), |(i, j)| {
        let size = 2.0_f32.powi(i as i32 % 5 - 2);
        size * ((1 + 7 * i + 3 * j) as f32).sin()
    })
}

fn dense<R: Runner>(a: ArrayView2<'_, f32>, level: Level, runner: R) -> Dense<'_, R> {
    Dense::by_rows(Matrix::from_view(a).unwrap(), level, runner)
}

fn fixed(a: ArrayView2<'_, f32>) -> Option<Fixed> {
    dense(a, Level::current().unwrap(), InOrder).fixed().unwrap()
}

/// The entries that a copy stands for: of sixteen words, the upper halves and then the lower ones.
fn copied(copy: &Fixed, ncols: usize) -> Array2<f64> {
    let rows = copy.rows();
    Array2::from_shape_fn((rows.nrows(), ncols), |(i, j)| {
        let word = rows.row(i)[j / 32 * 16 + j % 16];
        let number = if j % 32 < 16 { word as f32 } else { f32::from(word as i16) * 65536.0 };
        f64::from(number) / 65536.0 * f64::from(copy.squares[i]).sqrt()
    })
}

fn norm(a: &Array2<f64>) -> f64 {
    a.iter().map(|x| x * x).sum::<f64>().sqrt()
}

#[test]
fn entries_are_off_by_half_a_step_and_the_bound_says_by_how_much_all_are() {
    for (nrows, ncols) in SHAPES {
        let a = entries(nrows, ncols);
        let copy = fixed(a.view()).unwrap();
        let off = &copied(&copy, ncols) - &a.mapv(f64::from);
        for (i, row) in off.outer_iter().enumerate() {
            let step = f64::from(copy.squares[i]).sqrt();
            let largest = a.row(i).iter().fold(0.0_f32, |m, x| m.max(x.abs()));
            assert!((step * 32767.0 / f64::from(largest) - 1.0).abs() < 1e-6, "row {i}");
            assert!(row.iter().all(|x| x.abs() <= 0.51 * step), "row {i} of {nrows} x {ncols}");
        }
        let all = norm(&off);
        assert!(all <= copy.rounding, "{nrows} x {ncols}: {all:e}, {:e}", copy.rounding);
        let steps = f64::from(copy.squares.iter().sum::<f32>()).sqrt();
        let slack = 0.006 * steps * (ncols as f64).sqrt();
        assert!(copy.rounding <= 1.01 * all + slack, "{nrows} x {ncols}");
        let Moments { max_abs, sum_of_squares } = copy.moments;
        let naive = norm(&a.mapv(f64::from)).powi(2);
        assert_eq!(max_abs, a.iter().fold(0.0, |m: f64, &x| m.max(f64::from(x.abs()))));
        assert!((sum_of_squares / naive - 1.0).abs() < 1e-12, "{nrows} x {ncols}");
    }
}

#[test]
fn bits_depend_on_neither_tier_nor_order_nor_padding() {
    for (nrows, ncols) in SHAPES {
        let a = entries(nrows, ncols + 3);
        let a = a.slice(s![.., 1..=ncols]);
        let first = fixed(a).unwrap();
        let packed = a.to_owned();
        let others = Level::all()
            .into_iter()
            .map(|level| dense(a, level, Backwards).fixed().unwrap().unwrap())
            .chain([fixed(packed.view()).unwrap()]);
        for other in others {
            assert!((0..nrows).all(|i| first.rows().row(i) == other.rows().row(i)));
            assert_eq!(first.squares, other.squares);
            assert_eq!((first.moments, first.rounding), (other.moments, other.rounding));
        }
    }
}

#[test]
fn a_power_of_two_changes_nothing_but_the_steps() {
    let a = entries(40, 17);
    let plain = fixed(a.view()).unwrap();
    for exponent in [-15, -1, 1, 15] {
        let copy = fixed((&a * 2.0_f32.powi(exponent)).view()).unwrap();
        assert!((0..40).all(|i| copy.rows().row(i) == plain.rows().row(i)));
        assert_eq!(copy.rounding, plain.rounding * 2.0_f64.powi(exponent));
    }
}

#[test]
fn what_is_far_from_one_or_stored_otherwise_is_left_alone() {
    let a = entries(40, 17);
    for scale in [1e-20, 1e-8, 1e8, 1e30] {
        assert!(fixed((&a * scale).view()).is_none(), "{scale:e}");
    }
    let wide = a.mapv(f64::from);
    let (level, view) = (Level::current().unwrap(), Matrix::from_view(wide.view()).unwrap());
    assert!(Dense::new(view, level, InOrder).fixed().unwrap().is_none());
    // The transposed operator of a matrix that is read by columns.
    let by_columns = Dense::new(Matrix::from_view(a.t()).unwrap(), level, InOrder);
    assert!(by_columns.fixed().unwrap().is_some());
    let turned = a.t().as_standard_layout().into_owned();
    let by_columns = Dense::new(Matrix::from_view(turned.view()).unwrap(), level, InOrder);
    assert!(by_columns.fixed().unwrap().is_none());
}

#[test]
fn rows_of_next_to_nothing_become_zeros_and_count_as_off() {
    let mut a = entries(9, 50);
    a.row_mut(3).fill(1e-35);
    a.row_mut(4).fill(0.0);
    // The memory of a copy that was there before is not zero.
    for _ in 0..2 {
        let copy = fixed(a.view()).unwrap();
        for i in [3, 4] {
            assert!(copy.squares[i] == 0.0 && copy.rows().row(i).iter().all(|&x| x == 0));
        }
    }
    let tiny = Array2::from_elem((2, 3), 0.0_f32);
    let copy = fixed(tiny.view()).unwrap();
    assert_eq!((copy.rounding, copy.moments), (0.0, Moments::EMPTY));
}

#[test]
fn what_is_not_finite_shows_in_the_moments() {
    for (entry, shows) in [
        (f32::NAN, (|m| m.sum_of_squares.is_nan()) as fn(Moments) -> bool),
        (f32::INFINITY, |m| m.sum_of_squares == f64::INFINITY),
    ] {
        let mut a = entries(40, 17);
        a[[20, 3]] = entry;
        assert!(fixed(a.view()).is_some_and(|copy| shows(copy.moments)), "{entry}");
    }
}

/// One block through an operator: the products, or the moments as well.
fn block<O: BlockOperator>(op: &mut O, survey: bool) -> (Vec<Panel<3>>, Option<(f64, f64)>) {
    let n = op.shape().1;
    let (mut v, mut z) = (Panel::<3>::zeros(n), Panel::<3>::zeros(n));
    for c in 0..3 {
        set_column(&mut v, c, &wave(c, n));
    }
    let mut partials = BlockPartials::default();
    let moments = match survey {
        true => Some(op.block_survey(&v, &mut z, &mut partials).unwrap()),
        false => op.block_gram(&v, &mut z, &mut partials).map(|()| None).unwrap(),
    };
    (z, moments)
}

fn wave(c: usize, n: usize) -> Vec<f64> {
    (0..n).map(|j| f64::from(((1 + c) as f32 * j as f32).cos())).collect()
}

#[test]
fn blocks_meet_the_copy_and_single_vectors_the_matrix() {
    let level = Level::current().unwrap();
    for ((nrows, ncols), exponent) in [((40, 17), 0), ((70, 160), 3), ((3000, 190), -2)] {
        let a = entries(nrows, ncols);
        let mut op = dense(a.view(), level, InOrder);
        let copy = op.fixed().unwrap().unwrap();
        let unit = 2.0_f64.powi(-exponent);
        let scaled = copied(&copy, ncols) * unit;
        let mut beside = op.beside_fixed(&copy);
        beside.set_exponent(exponent);
        assert!(beside.is_narrow() && beside.shape() == (nrows, ncols));
        assert_eq!(beside.rounding(), copy.rounding * unit);
        let ((z, _), (first, moments)) = (block(&mut beside, false), block(&mut beside, true));
        for c in 0..3 {
            let x = ndarray::Array1::from(wave(c, ncols));
            let expected = scaled.t().dot(&scaled.dot(&x));
            let size = norm(&scaled) * norm(&scaled) * (ncols as f64).sqrt();
            let is_near = |z: &[Panel<3>], j: usize| {
                (f64::from(entry(z, j)[c]) - expected[j]).abs() < 1e-6 * size
            };
            assert!((0..ncols).all(|j| is_near(&z, j) && is_near(&first, j)), "{nrows} x {ncols}");
        }
        let Moments { max_abs, sum_of_squares } = copy.moments;
        assert_eq!(moments, Some((max_abs * unit, sum_of_squares * unit * unit)));
        let v = vec![0.25; ncols];
        let images = |op: &mut dyn LinearOperator| {
            let (mut t, mut z) = (vec![0.0; nrows], vec![0.0; ncols]);
            op.gram_matvec(&v, &mut t, &mut z).unwrap();
            (t, z)
        };
        let of_beside = images(&mut beside);
        drop(beside);
        op.set_exponent(exponent);
        assert_eq!(of_beside, images(&mut op));
    }
}
