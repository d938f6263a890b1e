//! Rows of a long matrix laid down in double precision, column by column, whichever way they are
//! stored. Zeros fill up the last vector of a column; each function returns the largest magnitude.

use std::ops::Range;

use crate::matrix::MatRef;
use crate::simd::{LANES, Lanes, Load, Simd, Vector};

/// Rows laid down at a time at most: what a first-level cache holds of eight columns.
pub(super) const MOST_ROWS: usize = 512;

/// Lays down rows that lie one after the other, eight by eight.
#[inline(always)]
pub(super) fn by_rows<S: Simd, T: Load<f64, 8>>(
    s: S,
    a: &MatRef<'_, T>,
    rows: Range<usize>,
    columns: &mut [f64],
    depth: usize,
) -> <S as Lanes<f64, 8>>::V {
    let n = a.ncols();
    let mut max = Lanes::<f64, 8>::splat(s, 0.0);
    for (k, first) in rows.clone().step_by(LANES).enumerate() {
        let eight = first..(first + LANES).min(rows.end);
        for j in (0..n).step_by(LANES) {
            let square = Vector::transpose(load_square(s, a, eight.clone(), j));
            let columns = columns[j * depth..].chunks_exact_mut(depth);
            for (x, column) in square.into_iter().zip(columns.take(n - j)) {
                max = max.max_abs(x);
                x.store(&mut column.as_chunks_mut::<8>().0[k]);
            }
        }
    }
    max
}

/// Eight elements of each of up to eight rows, from the `j`-th on. Behind the end of a row is what
/// lies there.
#[inline(always)]
fn load_square<S: Simd, T: Load<f64, 8>>(
    s: S,
    a: &MatRef<'_, T>,
    rows: Range<usize>,
    j: usize,
) -> [<S as Lanes<f64, 8>>::V; LANES] {
    let n = a.ncols();
    let mut square = [Lanes::<f64, 8>::splat(s, 0.0); LANES];
    let rest = a.packed().map_or(&[][..], |data| &data[rows.start * n + j..]);
    if rows.len() == LANES && rest.len() >= (LANES - 1) * n + LANES {
        for r in 0..LANES {
            square[r] = T::load(s, rest[r * n..].first_chunk().expect("its length was checked"));
        }
        return square;
    }
    for (i, x) in rows.zip(&mut square) {
        *x = T::load_first(s, &a.row(i)[j..]);
    }
    square
}

/// Lays down rows whose columns lie one after the other.
#[inline(always)]
pub(super) fn by_columns<S: Simd, T: Load<f64, 8>>(
    s: S,
    a: &MatRef<'_, T>,
    rows: Range<usize>,
    columns: &mut [f64],
    depth: usize,
) -> <S as Lanes<f64, 8>>::V {
    let mut max = Lanes::<f64, 8>::splat(s, 0.0);
    for (j, column) in columns.chunks_exact_mut(depth).enumerate().take(a.nrows()) {
        max = max.max_abs(widen_to(s, &a.row(j)[rows.clone()], column));
    }
    max
}

/// Lays down rows whose columns lie one after the other, real and imaginary parts in turns.
#[inline(always)]
pub(super) fn by_pairs<S: Simd, T: Load<f64, 8>>(
    s: S,
    a: &MatRef<'_, T>,
    rows: Range<usize>,
    columns: &mut [f64],
    depth: usize,
) -> <S as Lanes<f64, 8>>::V {
    let mut max = Lanes::<f64, 8>::splat(s, 0.0);
    let mut pairs = [[0.0; 2]; MOST_ROWS];
    let end = rows.len().next_multiple_of(LANES);
    for (j, parts) in columns.chunks_exact_mut(2 * depth).enumerate().take(a.nrows()) {
        let row = &a.row(j)[2 * rows.start..2 * rows.end];
        max = max.max_abs(widen_to(s, row, pairs.as_flattened_mut()));
        // What the last vector did not reach is of the row before.
        pairs[rows.len()..end].fill([0.0; 2]);
        let (re, im) = parts.split_at_mut(depth);
        for ((pair, re), im) in pairs[..end].iter().zip(re).zip(im) {
            [*re, *im] = *pair;
        }
    }
    max
}

/// `out = row` and zeros to the end of the last vector; the largest magnitude.
#[inline(always)]
fn widen_to<S: Simd, T: Load<f64, 8>>(s: S, row: &[T], out: &mut [f64]) -> <S as Lanes<f64, 8>>::V {
    let mut max = Lanes::<f64, 8>::splat(s, 0.0);
    let (chunks, tail) = row.as_chunks::<8>();
    let outs = out.as_chunks_mut::<8>().0;
    for (chunk, out) in chunks.iter().zip(&mut *outs) {
        let x = T::load(s, chunk);
        max = max.max_abs(x);
        x.store(out);
    }
    if !tail.is_empty() {
        let x = T::load_partial(s, tail);
        max = max.max_abs(x);
        x.store(&mut outs[chunks.len()]);
    }
    max
}

/// Multiplies by both factors.
#[inline(always)]
pub(super) fn rescale<S: Simd>(s: S, factors: (f64, f64), columns: &mut [f64]) {
    let factors = (Lanes::<f64, 8>::splat(s, factors.0), Lanes::<f64, 8>::splat(s, factors.1));
    for chunk in columns.as_chunks_mut::<8>().0 {
        Lanes::<f64, 8>::load(s, chunk).mul(factors.0).mul(factors.1).store(chunk);
    }
}
