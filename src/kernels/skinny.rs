//! The products of the columns of a long matrix with each other, at one read of it.
//!
//! Some rows at a time are widened and laid down column by column; from there on it is the same
//! whichever way the matrix is stored. A sum runs along the lanes of a column, and ends with the
//! rows that were laid down: how many products are held in registers never shows in it.

use std::ops::Range;

use crate::matrix::MatRef;
use crate::simd::{Aligned, Kernel, LANES, Lanes, Level, Load, Simd, Vector};

use super::laid::{MOST_ROWS, by_columns, by_pairs, by_rows, rescale};

/// Columns are taken by fours and by twos; what is missing to a whole two is zero.
const FOUR: usize = 4;
const TWO: usize = 2;

/// Entries laid down at a time: what a second-level cache holds easily.
const ROOM_LEN: usize = 1 << 14;

/// How the rows of the operator lie in the stored matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// As its rows.
    Rows,
    /// As its columns.
    Columns,
    /// As its columns taken by twos, real and imaginary part.
    Pairs,
}

/// The products of the columns, and room to form them.
#[derive(Debug)]
pub(crate) struct ColumnProducts {
    ncols: usize,
    depth: usize,
    columns: Aligned,
    sums: Aligned,
}

impl ColumnProducts {
    /// Zeros, for a number of columns, of which `nrows` entries come at a time.
    pub(crate) fn zeros(nrows: usize, ncols: usize) -> Self {
        let width = ncols.next_multiple_of(TWO);
        let depth = (ROOM_LEN / width / LANES * LANES).clamp(LANES, MOST_ROWS);
        let depth = depth.min(nrows.next_multiple_of(LANES));
        let (columns, sums) = (Aligned::zeros(width * depth), Aligned::zeros(width * width));
        Self { ncols, depth, columns, sums }
    }

    /// The product of column `i` with column `j`, in either order.
    pub(crate) fn get(&self, i: usize, j: usize) -> f64 {
        self.sums[i.min(j) * self.width() + i.max(j)]
    }

    pub(crate) fn sums_mut(&mut self) -> &mut [f64] {
        &mut self.sums
    }

    pub(crate) fn sums(&self) -> &[f64] {
        &self.sums
    }

    fn width(&self) -> usize {
        self.ncols.next_multiple_of(TWO)
    }
}

/// Rows of an operator, as they are stored, and two exact factors of each entry.
#[derive(Debug)]
pub(crate) struct Stored<'a, T> {
    pub(crate) a: MatRef<'a, T>,
    pub(crate) lie: Lie,
    pub(crate) range: Range<usize>,
    pub(crate) factors: (f64, f64),
}

struct Add<'a, 'w, T> {
    stored: Stored<'a, T>,
    products: &'w mut ColumnProducts,
}

impl<T: Load<f64, 8>> Kernel for Add<'_, '_, T> {
    type Output = f64;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> f64 {
        let Self { stored, products: ColumnProducts { ncols, depth, columns, sums } } = self;
        let (n, depth) = (*ncols, *depth);
        columns[n * depth..].fill(0.0);
        let mut max = Lanes::<f64, 8>::splat(s, 0.0);
        for start in stored.range.clone().step_by(depth) {
            let rows = start..(start + depth).min(stored.range.end);
            if n == 1 && stored.lie == Lie::Columns {
                let (largest, sum) = one_column(s, &stored.a.row(0)[rows], stored.factors);
                max = max.max_abs(largest);
                sums[0] += sum;
                continue;
            }
            let len = rows.len().next_multiple_of(LANES);
            let largest = match stored.lie {
                Lie::Rows => by_rows(s, &stored.a, rows, columns, depth),
                Lie::Columns => by_columns(s, &stored.a, rows, columns, depth),
                Lie::Pairs => by_pairs(s, &stored.a, rows, columns, depth),
            };
            max = max.max_abs(largest);
            if stored.factors != (1.0, 1.0) {
                rescale(s, stored.factors, columns);
            }
            add_products(s, Columns { data: columns, depth, len }, sums);
        }
        max.max()
    }
}

/// Adds the products of the columns over some rows; the largest magnitude of their entries, if all
/// are finite.
pub(crate) fn add_products_of<T: Load<f64, 8>>(
    level: Level,
    stored: Stored<'_, T>,
    products: &mut ColumnProducts,
) -> f64 {
    level.run(Add { stored, products })
}

/// The largest magnitude of a piece of a lone column, and the sum of its squares: what the column
/// would come to if it were laid down.
#[inline(always)]
fn one_column<S: Simd, T: Load<f64, 8>>(
    s: S,
    column: &[T],
    factors: (f64, f64),
) -> (<S as Lanes<f64, 8>>::V, f64) {
    let zero = Lanes::<f64, 8>::splat(s, 0.0);
    let factors = (Lanes::<f64, 8>::splat(s, factors.0), Lanes::<f64, 8>::splat(s, factors.1));
    let (mut max, mut squares) = (zero, zero);
    let (chunks, tail) = column.as_chunks::<8>();
    for chunk in chunks {
        let x = T::load(s, chunk);
        max = max.max_abs(x);
        let x = x.mul(factors.0).mul(factors.1);
        squares = x.mul_add(x, squares);
    }
    if !tail.is_empty() {
        let x = T::load_partial(s, tail);
        max = max.max_abs(x);
        let x = x.mul(factors.0).mul(factors.1);
        squares = x.mul_add(x, squares);
    }
    (max, squares.sum())
}

/// Columns side by side, `depth` entries from one to the next, of which `len` are laid down.
#[derive(Clone, Copy)]
struct Columns<'a> {
    data: &'a [f64],
    depth: usize,
    len: usize,
}

impl<'a> Columns<'a> {
    #[inline(always)]
    fn some<const C: usize>(self, j: usize) -> [&'a [[f64; 8]]; C] {
        let mut columns = [&[][..]; C];
        for (c, column) in columns.iter_mut().enumerate() {
            *column = self.data[(j + c) * self.depth..][..self.len].as_chunks().0;
        }
        columns
    }
}

/// Adds the products of all columns on and above the diagonal.
#[inline(always)]
fn add_products<S: Simd>(s: S, columns: Columns<'_>, sums: &mut [f64]) {
    let width = columns.data.len() / columns.depth;
    // The widest tier has registers for a square of four; each sum is the same either way.
    let fours = if S::ROWS >= FOUR { width / FOUR * FOUR } else { 0 };
    for i in (0..fours).step_by(FOUR) {
        for j in (i..fours).step_by(FOUR) {
            add_square::<S, FOUR, FOUR>(s, columns, (i, j), sums);
        }
        for j in (fours..width).step_by(TWO) {
            add_square::<S, FOUR, TWO>(s, columns, (i, j), sums);
        }
    }
    for i in (fours..width).step_by(TWO) {
        for j in (i..width).step_by(TWO) {
            add_square::<S, TWO, TWO>(s, columns, (i, j), sums);
        }
    }
}

#[inline(always)]
fn add_square<S: Simd, const R: usize, const C: usize>(
    s: S,
    columns: Columns<'_>,
    (i, j): (usize, usize),
    sums: &mut [f64],
) {
    let width = columns.data.len() / columns.depth;
    let (left, right) = (columns.some::<R>(i), columns.some::<C>(j));
    let zero = Lanes::<f64, 8>::splat(s, 0.0);
    let mut square = [[zero; FOUR]; R];
    for k in 0..columns.len / LANES {
        let mut y = [zero; C];
        for c in 0..C {
            y[c] = Lanes::<f64, 8>::load(s, &right[c][k]);
        }
        for r in 0..R {
            let x = Lanes::<f64, 8>::load(s, &left[r][k]);
            for c in 0..C {
                square[r][c] = x.mul_add(y[c], square[r][c]);
            }
        }
    }
    for (r, row) in square.into_iter().enumerate() {
        let row = <<S as Lanes<f64, 8>>::V as Vector<f64, 8>>::sum_each(row);
        for (sum, x) in sums[(i + r) * width + j..][..C].iter_mut().zip(row) {
            *sum += x;
        }
    }
}

#[cfg(test)]
#[path = "../../tests/rust/unit/skinny.rs"]
mod tests;
