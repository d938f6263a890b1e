//! Small matrices copied out of their storage, for the methods that work on a copy.
//!
//! A copy is the caller's matrix or, where that is wide, its transpose, whatever the layout. Narrow
//! elements are widened, exactly.

use std::ops::Neg;

use crate::kernels::eight::Entry;
use crate::kernels::interleave::interleave;
use crate::kernels::symmetric::{Padded, widen};
use crate::matrix::{Batch, MatRef, Matrix, Slab, StackStorage, Storage};
use crate::scalar::{Element, with_typed};
use crate::simd::{Level, Load};

use super::moments;

/// Copies eight matrices of a batch, or as many as there are indices, into the lanes of `entries`.
/// Lanes without a matrix hold a copy of the last one.
pub(crate) fn fill_lanes(
    level: Level,
    batch: &Batch<'_, '_>,
    indices: impl Iterator<Item = usize> + Clone,
    entries: &mut [Entry],
) {
    if let Batch::Stack(stack) = batch
        && !stack.is_complex()
        && with_typed!(StackStorage, &stack.storage, slab => fill_from(level, slab, indices.clone(), entries))
    {
        return;
    }
    let mut used = 0;
    for i in indices {
        fill_lane(&batch.get(i), used, entries);
        used += 1;
    }
    if (1..8).contains(&used) {
        for entry in entries {
            let last = entry[used - 1];
            entry[used..].fill(last);
        }
    }
}

/// Copies straight from where the matrices lie, if each lies there without a gap.
fn fill_from<T: Load<f64, 8>>(
    level: Level,
    slab: &Slab<'_, T>,
    indices: impl Iterator<Item = usize>,
    entries: &mut [Entry],
) -> bool {
    let (mut sources, mut strides) = ([&[][..]; 8], (0, 0));
    for (lane, i) in indices.enumerate() {
        let Some((elements, distances)) = slab.elements(i) else { return false };
        sources[lane..].fill(elements);
        strides = distances;
    }
    let (nrows, ncols) = slab.shape();
    let (ncols, strides) = match nrows < ncols {
        true => (nrows, (strides.1, strides.0)),
        false => (ncols, strides),
    };
    interleave(level, sources, ncols, strides, entries);
    true
}

/// Copies a matrix into one lane of `entries`.
pub(crate) fn fill_lane(matrix: &Matrix<'_>, lane: usize, entries: &mut [Entry]) {
    let ((nrows, ncols), turned) = matrix.upright();
    if matrix.complex {
        let ncols = 2 * ncols;
        return with_typed!(Storage, matrix.storage, a => {
            embed(a, nrows, turned, matrix.transposed, |i, j, x| entries[i * ncols + j][lane] = x);
        });
    }
    with_typed!(Storage, matrix.storage, a => place(a, turned != matrix.transposed, lane, entries));
}

/// Visits the entries of `[[Re, -Im], [Im, Re]]`, which has every singular value of the caller's
/// matrix twice, or of its adjoint where it is `turned`. `nrows` are the rows of each block.
fn embed<T: Element>(
    a: MatRef<'_, T>,
    nrows: usize,
    turned: bool,
    transposed: bool,
    mut place: impl FnMut(usize, usize, f64),
) {
    let ncols = a.nrows() * a.ncols() / 2 / nrows;
    for r in 0..a.nrows() {
        for (c, [re, im]) in a.row(r).as_chunks::<2>().0.iter().enumerate() {
            let (i, j) = if turned != transposed { (c, r) } else { (r, c) };
            let (re, im) = (re.to_f64(), if turned { -im.to_f64() } else { im.to_f64() });
            place(i, j, re);
            place(i, ncols + j, -im);
            place(nrows + i, j, im);
            place(nrows + i, ncols + j, re);
        }
    }
}

fn place<T: Element>(a: MatRef<'_, T>, by_columns: bool, lane: usize, entries: &mut [Entry]) {
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
        with_typed!(Storage, matrix.storage, a => moments(level, a, by_columns, 1.0, &(0..nrows)));
    (moments.max_abs, moments.sum_of_squares)
}

/// The adjoint of the stored rows of a complex matrix, packed.
pub(crate) fn adjoint<T: Element + Neg<Output = T>>(a: MatRef<'_, T>) -> Vec<T> {
    let (nrows, ncols) = (a.nrows(), a.ncols() / 2);
    let mut out = Vec::with_capacity(nrows * a.ncols());
    for c in 0..ncols {
        for r in 0..nrows {
            let pair = &a.row(r)[2 * c..2 * c + 2];
            out.extend([pair[0], -pair[1]]);
        }
    }
    out
}

/// A copy of a matrix, each element multiplied by both factors, one after the other.
pub(crate) fn widened(level: Level, matrix: &Matrix<'_>, factors: (f64, f64)) -> Padded {
    let ((nrows, ncols), turned) = matrix.upright();
    if matrix.complex {
        let mut copy = Padded::zeros(2 * nrows, 2 * ncols);
        with_typed!(Storage, matrix.storage, a => {
            embed(a, nrows, turned, matrix.transposed, |i, j, x| {
                copy.row_mut(i)[j] = x * factors.0 * factors.1;
            });
        });
        return copy;
    }
    let by_columns = turned != matrix.transposed;
    let mut copy = Padded::zeros(nrows, ncols);
    with_typed!(Storage, matrix.storage, a => copy_rows(level, a, by_columns, factors, &mut copy));
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
