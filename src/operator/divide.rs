//! A matrix divided by a number, block by block.

use super::Runner;
use super::step::block_rows;
use crate::error::Error;
use crate::kernels::divide::Ratio;
use crate::kernels::step::StepKernels;
use crate::matrix::{MatMut, MatRef};
use crate::simd::Level;

/// Bytes that are divided at a time, from the end of a block to its beginning: what was read last
/// is in the nearest cache.
const PIECE: usize = 1 << 15;

/// Writes `a / d` to `out`, or divides `out` in place where there is no `a`; `d` comes in a unit of
/// `2^unit`. With `stream` the stores go past the caches.
///
/// # Errors
/// [`Error::Interrupted`] when the caller asked to stop.
pub(crate) fn divide<T: StepKernels, R: Runner + Copy>(
    a: Option<MatRef<'_, T>>,
    out: MatMut<'_, T>,
    (d, unit): (f64, i32),
    stream: bool,
    (level, runner): (Level, R),
) -> Result<(), Error> {
    let (nrows, ncols) = (out.nrows(), out.ncols());
    let block_rows = block_rows((nrows, ncols));
    let ratio = Ratio::in_unit(d, unit);
    let out = match out.into_packed() {
        Ok(out) if nrows <= block_rows => {
            divide_block(a, 0, out, ratio, (level, stream));
            return Ok(());
        }
        Ok(out) => MatMut::from_slice(out, nrows, ncols).expect("it was that shape"),
        Err(out) => out,
    };
    let mut blocks: Vec<_> = out.into_blocks(block_rows).into_iter().enumerate().collect();
    runner.run(&mut blocks, &|(i, pieces)| {
        let mut row = *i * block_rows;
        for piece in pieces {
            let nrows = piece.len() / ncols.max(1);
            divide_block(a, row, piece, ratio, (level, stream));
            row += nrows;
        }
    })
}

/// Divides the rows of `a` from `row` on into packed rows, or packed rows in place.
fn divide_block<T: StepKernels>(
    a: Option<MatRef<'_, T>>,
    row: usize,
    out: &mut [T],
    ratio: Ratio<T::Acc>,
    (level, stream): (Level, bool),
) {
    let step = PIECE / T::SIZE;
    let Some(a) = a else {
        out.chunks_mut(step).rev().for_each(|out| T::divide_in_place(level, out, ratio));
        return;
    };
    if let Some(packed) = a.packed() {
        let src = &packed[row * a.ncols()..][..out.len()];
        let pieces = src.chunks(step).zip(out.chunks_mut(step)).rev();
        pieces.for_each(|(src, out)| T::divide(level, src, ratio, out, stream));
    } else {
        let rows = out.chunks_mut(a.ncols().max(1)).enumerate().rev();
        rows.for_each(|(i, out)| T::divide(level, a.row(row + i), ratio, out, stream));
    }
}
