//! One tile of a Cholesky factorisation `S = L L'`: the factor of a diagonal tile, and the tiles
//! below it by substitution.
//!
//! Both go by columns, `l_ij = (s_ij - sum_{k<j} l_ik l_jk) / l_jj`, each with a division of its
//! own; the part of a sum that lies left of a block of columns is a product of matrices. The proof
//! of a rigorous bound counts these roundings (Higham, Accuracy and Stability of Numerical
//! Algorithms, 2nd ed., Lemma 8.4 and Theorem 10.3).

use ndarray::{ArrayViewMut2, Axis, s};

use crate::simd::{Kernel, Level, Simd};

use super::product::subtract_product;
use super::rows::dots;

/// Columns of a block: few, so that most of the work is done by products.
const BLOCK: usize = 32;

/// Factors the lower triangle of a packed square tile in place; `Err(j)` when the pivot of column
/// `j` is not positive. The first `j` columns then hold the factor, in row `j` too.
pub(crate) fn factor(level: Level, tile: &mut [f64], n: usize) -> Result<(), usize> {
    for start in (0..n).step_by(BLOCK) {
        let end = n.min(start + BLOCK);
        let (left, mut block) = view(tile, n).split_at(Axis(1), start);
        let left = left.slice(s![start.., ..]);
        let mut block = block.slice_mut(s![start.., ..end - start]);
        subtract_product(&mut block, left, left.slice(s![..end - start, ..]));
        level.run(Factor { tile: &mut *tile, n, start, end })?;
    }
    Ok(())
}

/// `X <- X L'^{-1}`: the rows of `x` become rows of the factor, below the diagonal tile `l`.
pub(crate) fn substitute(level: Level, l: &[f64], n: usize, x: &mut [f64]) {
    let rows_of_l = ndarray::ArrayView2::from_shape((n, n), l).expect("a square tile");
    for start in (0..n).step_by(BLOCK) {
        let end = n.min(start + BLOCK);
        let (left, mut block) = view(x, n).split_at(Axis(1), start);
        let mut block = block.slice_mut(s![.., ..end - start]);
        subtract_product(&mut block, left.view(), rows_of_l.slice(s![start..end, ..start]));
        level.run(Substitute { l, n, start, end, x: &mut *x });
    }
}

fn view(x: &mut [f64], n: usize) -> ArrayViewMut2<'_, f64> {
    ArrayViewMut2::from_shape((x.len() / n, n), x).expect("whole rows")
}

struct Factor<'a> {
    tile: &'a mut [f64],
    n: usize,
    start: usize,
    end: usize,
}

impl Kernel for Factor<'_> {
    type Output = Result<(), usize>;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> Result<(), usize> {
        let Self { tile, n, start, end } = self;
        for j in start..end {
            let (above, below) = tile.split_at_mut((j + 1) * n);
            let row = &mut above[j * n + start..];
            let [sum] = dots::<S, f64, f64, 8, 1>(s, [&*row], &row[..j - start]);
            let pivot = row[j - start] - sum;
            // A NaN is no positive pivot either.
            if pivot.is_nan() || pivot <= 0.0 {
                return Err(j);
            }
            row[j - start] = pivot.sqrt();
            column::<S>(s, &row[..=j - start], n, start, below);
        }
        Ok(())
    }
}

struct Substitute<'a> {
    l: &'a [f64],
    n: usize,
    start: usize,
    end: usize,
    x: &'a mut [f64],
}

impl Kernel for Substitute<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self { l, n, start, end, x } = self;
        for j in start..end {
            column::<S>(s, &l[j * n..][start..=j], n, start, x);
        }
    }
}

/// One column of the factor in all rows of `x`, from the factor's row between `start` and its
/// diagonal.
#[inline(always)]
fn column<S: Simd>(s: S, row: &[f64], n: usize, start: usize, x: &mut [f64]) {
    let (&diagonal, row) = row.split_last().expect("a row holds its diagonal");
    let j = start + row.len();
    let mut fours = x.chunks_exact_mut(4 * n);
    for four in &mut fours {
        let rows: [&[f64]; 4] = std::array::from_fn(|r| &four[r * n + start..(r + 1) * n]);
        let sums = dots::<S, f64, f64, 8, 4>(s, rows, row);
        for r in 0..4 {
            four[r * n + j] = (four[r * n + j] - sums[r]) / diagonal;
        }
    }
    for one in fours.into_remainder().chunks_exact_mut(n) {
        let [sum] = dots::<S, f64, f64, 8, 1>(s, [&one[start..]], row);
        one[j] = (one[j] - sum) / diagonal;
    }
}
