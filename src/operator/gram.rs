//! What a proof asks of an operator beyond its products: the factorisation of `c^2 I - B'B`, and the
//! products with `|B|`.

use ndarray::{ArrayView2, Axis, Slice};

use crate::error::Error;
use crate::kernels::magnitude::{abs_axpy, abs_dot, widen};
use crate::kernels::reduce::Moments;
use crate::matrix::{MatRef, Storage};
use crate::scalar::{Element, with_typed};
use crate::simd::Aligned;

use super::narrowed::Narrow;
use super::symmetric::{Factored, Placed, Symmetric, TILE, subtract_rows};
use super::{Block, Dense, LinearOperator, Runner};

/// Rows of the operator that are widened at a time: the depth at which the library packs.
const DEPTH: usize = 256;

/// An operator whose entries may be multiplied with each other.
pub(crate) trait Gram: Narrow {
    /// Forms `shift * I - B'B`, each entry by one product per row, and factors it; `None` when
    /// there is no memory for the triangle.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when the caller asked to stop.
    fn factor_shifted(&mut self, shift: f64) -> Result<Option<Factored>, Error>;

    /// `z = |B|' |B| x` for `x >= 0`.
    ///
    /// # Errors
    /// As [`factor_shifted`](Self::factor_shifted).
    fn abs_gram_matvec(&mut self, x: &[f64], z: &mut [f64]) -> Result<(), Error>;
}

impl<R: Runner + Copy> Gram for Dense<'_, R> {
    fn factor_shifted(&mut self, shift: f64) -> Result<Option<Factored>, Error> {
        let (nrows, ncols) = self.shape();
        let Some(mut s) = Symmetric::zeros(ncols) else { return Ok(None) };
        let mut entries = vec![0.0; DEPTH.min(nrows) * ncols];
        for start in (0..nrows).step_by(DEPTH) {
            let depth = DEPTH.min(nrows - start);
            let panel = self.widened(start, &mut entries[..depth * ncols])?;
            self.runner.run(&mut s.tiles(), &|placed| {
                let Placed { row, column, tile } = placed;
                subtract_rows(tile, (*row, *column), |tile| tile_rows(panel, tile));
            })?;
        }
        s.shift_diagonal(shift);
        s.factor(self.level, &self.runner).map(Some)
    }

    fn abs_gram_matvec(&mut self, x: &[f64], z: &mut [f64]) -> Result<(), Error> {
        let Self { matrix, level, partition, factor, .. } = *self;
        let x: Vec<f64> = x.iter().map(|x| x * factor).collect();
        let mut t = vec![0.0; partition.nrows];
        let mut blocks = partition.blocks(&mut t);
        self.partials.prepare(blocks.len());
        let room = || Aligned::zeros(partition.ncols);
        self.runner.run(&mut blocks, &|block| {
            self.partials.fill(level, block.index, room, |part| {
                let by_columns = partition.by_columns;
                with_typed!(Storage, matrix.storage, a => abs_block(a, by_columns, &x, factor, block, part));
                Moments::EMPTY
            });
        })?;
        z.fill(0.0);
        self.partials.collect(|sum| z.copy_from_slice(sum));
        Ok(())
    }
}

impl<R: Runner> Dense<'_, R> {
    /// Some rows of the operator, in double precision and scaled, transposed: one row for each
    /// column of the operator.
    fn widened<'p>(
        &self,
        start: usize,
        panel: &'p mut [f64],
    ) -> Result<ArrayView2<'p, f64>, Error> {
        let Self { matrix, partition, factor, .. } = *self;
        let depth = panel.len() / partition.ncols;
        let width = if partition.by_columns { depth } else { partition.ncols };
        let mut lines: Vec<_> = panel.chunks_mut(width).enumerate().collect();
        self.runner.run(&mut lines, &|(i, line)| {
            let (row, columns) = match partition.by_columns {
                true => (*i, start..start + depth),
                false => (start + *i, 0..width),
            };
            with_typed!(Storage, matrix.storage, a => widen(&a.row(row)[columns], factor, line));
        })?;
        let lines = ArrayView2::from_shape((panel.len() / width, width), panel);
        let lines = lines.expect("the panel has as many elements as the shape");
        Ok(if partition.by_columns { lines } else { lines.reversed_axes() })
    }
}

/// The rows of one tile row.
fn tile_rows(panel: ArrayView2<'_, f64>, tile: usize) -> ArrayView2<'_, f64> {
    let end = panel.nrows().min((tile + 1) * TILE);
    let mut rows = panel;
    rows.slice_axis_inplace(Axis(0), Slice::from(tile * TILE..end));
    rows
}

/// `t = |B| x` and `z = |B|' t` over one block, where `x` already carries one factor of the scale.
fn abs_block<T: Element>(
    a: MatRef<'_, T>,
    by_columns: bool,
    x: &[f64],
    factor: f64,
    block: &mut Block<'_>,
    z: &mut [f64],
) {
    let (range, t) = (block.range.clone(), &mut *block.t);
    if by_columns {
        t.fill(0.0);
        (0..a.nrows()).for_each(|i| abs_axpy(x[i], &a.row(i)[range.clone()], t));
        t.iter_mut().for_each(|t| *t *= factor);
        z.iter_mut().enumerate().for_each(|(i, z)| *z = abs_dot(&a.row(i)[range.clone()], t));
    } else {
        for (i, t) in range.zip(t) {
            *t = factor * abs_dot(a.row(i), x);
            abs_axpy(*t, a.row(i), z);
        }
    }
}

#[cfg(test)]
#[path = "../../tests/rust/unit/gram.rs"]
mod tests;
