//! A symmetric matrix by the tiles of its lower triangle, and its Cholesky factorisation.
//!
//! Tiles are cut by the order alone and each is worked on by one piece of work at a time, so who
//! runs the pieces cannot change a bit, and a run can stop between any two of them.

use ndarray::{Array2, ArrayView2};

use crate::error::Error;
use crate::kernels::cholesky;
use crate::kernels::product::{subtract_product, subtract_square};
use crate::kernels::vector::axpy;
use crate::simd::Level;

use super::Runner;

/// Rows and columns of a tile: two fit a second-level cache, and a product of two outweighs the
/// packing before it.
pub(super) const TILE: usize = 128;

/// The lower triangle, by columns of tiles: tile `i` of column `j` covers the rows from
/// `TILE * (i + j)` and the columns from `TILE * j`.
#[derive(Debug, Clone)]
pub(crate) struct Symmetric {
    n: usize,
    columns: Vec<Vec<Array2<f64>>>,
}

/// The end of a factorisation.
#[derive(Debug)]
pub(crate) enum Factored {
    /// Every pivot was positive.
    Completed,
    /// A vector `x` with `x' S x <= 0`, up to rounding.
    Indefinite(Vec<f64>),
}

/// A tile with its place among the rows and columns of tiles.
pub(super) struct Placed<'a> {
    pub(super) row: usize,
    pub(super) column: usize,
    pub(super) tile: &'a mut Array2<f64>,
}

impl Symmetric {
    /// All zeros, of order `n`; `None` when there is no memory for it.
    pub(crate) fn zeros(n: usize) -> Option<Self> {
        let count = n.div_ceil(TILE);
        let column = |j: usize| (j..count).map(|i| zero_tile(n, i, j)).collect::<Option<Vec<_>>>();
        Some(Self { n, columns: (0..count).map(column).collect::<Option<_>>()? })
    }

    /// Every tile with its place.
    pub(super) fn tiles(&mut self) -> Vec<Placed<'_>> {
        let columns = self.columns.iter_mut().enumerate();
        columns.flat_map(|(j, tiles)| placed(j, tiles)).collect()
    }

    /// Adds to the diagonal: one rounding in each of its entries.
    pub(super) fn shift_diagonal(&mut self, shift: f64) {
        for tiles in &mut self.columns {
            tiles[0].diag_mut().mapv_inplace(|x| shift + x);
        }
    }

    /// Overwrites the triangle with its Cholesky factor, as far as its pivots are positive.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when the runner says so.
    pub(super) fn factor<R: Runner>(
        &mut self,
        level: Level,
        runner: &R,
    ) -> Result<Factored, Error> {
        for k in 0..self.columns.len() {
            let (done, rest) = self.columns.split_at_mut(k + 1);
            let (diagonal, panel) = done[k].split_first_mut().expect("a column has its diagonal");
            let order = diagonal.nrows();
            if let Err(j) = cholesky::factor(level, packed(diagonal), order) {
                let pivot = k * TILE + j;
                return Ok(Factored::Indefinite(self.negative_curvature(level, pivot)));
            }
            let diagonal = &*packed(diagonal);
            runner.run(panel, &|tile| {
                cholesky::substitute(level, diagonal, order, packed(tile));
            })?;
            let columns = rest.iter_mut().enumerate();
            let mut trailing: Vec<_> = columns.flat_map(|(j, tiles)| placed(j, tiles)).collect();
            let panel = &*panel;
            runner.run(&mut trailing, &|placed| {
                let place = (placed.row, placed.column);
                subtract_rows(placed.tile, place, |tile| panel[tile].view());
            })?;
        }
        Ok(Factored::Completed)
    }

    /// The `x` with `x' S x` equal to the pivot that was not positive: `x = (-L'^{-1} l, 1, 0)`,
    /// where `L` is the factor above and `l` its last, incomplete row.
    fn negative_curvature(&self, level: Level, pivot: usize) -> Vec<f64> {
        let mut x = vec![0.0; self.n];
        x[pivot] = 1.0;
        self.eliminate(level, pivot, &mut x);
        for i in (0..pivot).rev() {
            x[i] /= self.row(i, i / TILE)[i % TILE];
            self.eliminate(level, i, &mut x);
        }
        x
    }

    /// Subtracts `x[i]` times row `i` of the factor, up to its diagonal, from the entries before.
    fn eliminate(&self, level: Level, i: usize, x: &mut [f64]) {
        let factor = -x[i];
        for (j, x) in x[..i].chunks_mut(TILE).enumerate() {
            axpy(level, factor, &self.row(i, j)[..x.len()], x);
        }
    }

    /// Row `i` in tile column `j`.
    fn row(&self, i: usize, j: usize) -> &[f64] {
        let tile = &self.columns[j][i / TILE - j];
        let ncols = tile.ncols();
        let entries = tile.as_slice().expect("a tile is packed");
        &entries[i % TILE * ncols..][..ncols]
    }
}

/// Subtracts the products of the rows of two tile rows; on the diagonal, those of its lower triangle.
pub(super) fn subtract_rows<'r>(
    tile: &mut Array2<f64>,
    (row, column): (usize, usize),
    rows: impl Fn(usize) -> ArrayView2<'r, f64>,
) {
    if row == column {
        subtract_square(tile, rows(row));
    } else {
        subtract_product(tile, rows(row), rows(column));
    }
}

/// The tiles of column `j` of a triangle.
fn placed(j: usize, tiles: &mut [Array2<f64>]) -> impl Iterator<Item = Placed<'_>> {
    let place = move |(i, tile)| Placed { row: i + j, column: j, tile };
    tiles.iter_mut().enumerate().map(place)
}

fn packed(tile: &mut Array2<f64>) -> &mut [f64] {
    tile.as_slice_mut().expect("a tile is packed")
}

fn zero_tile(n: usize, i: usize, j: usize) -> Option<Array2<f64>> {
    let extent = |k: usize| TILE.min(n - k * TILE);
    let shape = (extent(i), extent(j));
    let mut entries = Vec::new();
    entries.try_reserve_exact(shape.0 * shape.1).ok()?;
    entries.resize(shape.0 * shape.1, 0.0);
    Array2::from_shape_vec(shape, entries).ok()
}

#[cfg(test)]
#[path = "../../tests/rust/unit/factorisation.rs"]
mod tests;
