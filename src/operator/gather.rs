//! Small matrices copied out of their storage, for the methods that work on a copy.
//!
//! A copy is the caller's matrix or, where that is wide, its transpose, whatever the layout. Narrow
//! elements are widened, exactly.

use crate::kernels::eight::Entry;
use crate::kernels::symmetric::{Padded, widen};
use crate::matrix::{MatRef, Matrix, with_storage};
use crate::scalar::Element;
use crate::simd::{Level, Load};

use super::moments;

/// Copies a matrix into one lane of `entries`.
pub(crate) fn fill_lane(matrix: &Matrix<'_>, lane: usize, entries: &mut [Entry]) {
    let by_columns = matrix.upright().1 != matrix.transposed;
    with_storage!(matrix.storage, a => interleave(a, by_columns, lane, entries));
}

fn interleave<T: Element>(a: MatRef<'_, T>, by_columns: bool, lane: usize, entries: &mut [Entry]) {
    let (nrows, ncols) = (a.nrows(), a.ncols());
    if by_columns {
        for i in 0..nrows {
            let column = entries[i..].iter_mut().step_by(nrows);
            column.zip(a.row(i)).for_each(|(entry, x)| entry[lane] = x.to_f64());
        }
    } else if let Some(data) = a.packed() {
        entries.iter_mut().zip(data).for_each(|(entry, x)| entry[lane] = x.to_f64());
    } else {
        for (i, row) in entries.chunks_exact_mut(ncols).enumerate() {
            row.iter_mut().zip(a.row(i)).for_each(|(entry, x)| entry[lane] = x.to_f64());
        }
    }
}

/// The largest magnitude and the sum of squares of all entries.
pub(crate) fn survey(level: Level, matrix: &Matrix<'_>) -> (f64, f64) {
    let ((nrows, _), by_columns) = matrix.oriented();
    let moments =
        with_storage!(matrix.storage, a => moments(level, a, by_columns, 1.0, &(0..nrows)));
    (moments.max_abs, moments.sum_of_squares)
}

/// A copy of a matrix, each element multiplied by both factors, one after the other.
pub(crate) fn widened(level: Level, matrix: &Matrix<'_>, factors: (f64, f64)) -> Padded {
    let ((nrows, ncols), turned) = matrix.upright();
    let by_columns = turned != matrix.transposed;
    let mut copy = Padded::zeros(nrows, ncols);
    with_storage!(matrix.storage, a => copy_rows(level, a, by_columns, factors, &mut copy));
    copy
}

fn copy_rows<T: Load<f64, 8>>(
    level: Level,
    a: MatRef<'_, T>,
    by_columns: bool,
    factors: (f64, f64),
    copy: &mut Padded,
) {
    if !by_columns {
        return (0..a.nrows()).for_each(|i| widen(level, a.row(i), factors, copy.row_mut(i)));
    }
    let mut row = vec![0.0; a.ncols()];
    for j in 0..a.nrows() {
        widen(level, a.row(j), factors, &mut row);
        row.iter().enumerate().for_each(|(i, &x)| copy.row_mut(i)[j] = x);
    }
}
