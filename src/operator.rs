//! Floor F3: what an algorithm sees of a matrix, and nothing more.
//!
//! [`LinearOperator`] is the seam between the algorithms and the entries of `A`. [`Dense`] lays a
//! stored matrix out for the fused pass: oriented so that the vectors of the iteration have the
//! shorter side's length, or so that its rows are read one after the other, and cut into blocks by
//! its shape alone. Who runs the blocks is the [`Runner`]'s affair: [`InOrder`] here, a thread pool
//! in `schedule/`, with the same bits.

mod block;
pub(crate) mod complex;
pub(crate) mod divide;
pub(crate) mod fixed;
pub(crate) mod gather;
pub(crate) mod gram;
pub(crate) mod narrowed;
pub(crate) mod near;
mod pages;
mod partials;
pub(crate) mod skinny;
pub(crate) mod step;
pub(crate) mod symmetric;

use std::ops::Range;

use crate::error::Error;
use crate::kernels::fused::{FusedCols, FusedRows, strip_columns};
use crate::kernels::reduce::{Moments, Survey};
use crate::kernels::vector::{axpy, scale};
use crate::matrix::{MatRef, Matrix, Storage};
use crate::scalar::{power_of_two, with_typed};
use crate::simd::{Aligned, Level, Load};

/// A matrix `B`, known by its products.
pub trait LinearOperator {
    /// Rows and columns, in real numbers.
    fn shape(&self) -> (usize, usize);

    /// Whether vectors are complex: pairs of real and imaginary parts, side by side.
    fn is_complex(&self) -> bool {
        false
    }

    /// `t = B v` and `z = B' t`.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when the caller asked to stop; `t` and `z` are then unspecified.
    fn gram_matvec(&mut self, v: &[f64], t: &mut [f64], z: &mut [f64]) -> Result<(), Error>;

    /// The same, and the largest magnitude and the sum of squares of all entries.
    ///
    /// # Errors
    /// As [`gram_matvec`](Self::gram_matvec).
    fn survey(&mut self, v: &[f64], t: &mut [f64], z: &mut [f64]) -> Result<(f64, f64), Error>;

    /// Multiplies the operator by `2^-exponent` from now on, in place of what was set before.
    fn set_exponent(&mut self, exponent: i32);
}

/// Runs the blocks of one pass, each exactly once.
pub trait Runner {
    /// Calls `work` on every block, in any order.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when the caller asked to stop.
    fn run<B: Send>(&self, blocks: &mut [B], work: &(dyn Fn(&mut B) + Sync)) -> Result<(), Error>;

    /// The same, from the last block to the first as far as a thread has the choice.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    fn run_back<B: Send>(
        &self,
        blocks: &mut [B],
        work: &(dyn Fn(&mut B) + Sync),
    ) -> Result<(), Error> {
        self.run(blocks, work)
    }
}

impl<R: Runner> Runner for &R {
    fn run<B: Send>(&self, blocks: &mut [B], work: &(dyn Fn(&mut B) + Sync)) -> Result<(), Error> {
        R::run(self, blocks, work)
    }

    fn run_back<B: Send>(
        &self,
        blocks: &mut [B],
        work: &(dyn Fn(&mut B) + Sync),
    ) -> Result<(), Error> {
        R::run_back(self, blocks, work)
    }
}

/// One block of a pass: rows of the operator and their piece of `t`.
#[derive(Debug)]
struct Block<'a> {
    index: usize,
    range: Range<usize>,
    t: &'a mut [f64],
}

impl Partial for Aligned {
    fn clear(&mut self) {
        self.fill(0.0);
    }

    fn add(&mut self, level: Level, other: &Self) {
        axpy(level, 1.0, other, self);
    }
}

/// Runs the blocks one after the other on the calling thread.
#[derive(Debug, Clone, Copy)]
pub struct InOrder;

impl Runner for InOrder {
    fn run<B: Send>(&self, blocks: &mut [B], work: &(dyn Fn(&mut B) + Sync)) -> Result<(), Error> {
        blocks.iter_mut().for_each(work);
        Ok(())
    }
}

use partials::{Partial, Partials};

pub(crate) use block::{BlockOperator, BlockPartials, SAFE_RANGE};

/// The exponents a scale may have so that both it and scaled vectors stay normal numbers.
pub(crate) const MAX_EXPONENT: i32 = 900;

/// A stored matrix as a [`LinearOperator`].
pub struct Dense<'a, R> {
    matrix: Matrix<'a>,
    level: Level,
    runner: R,
    partition: Partition,
    exponent: i32,
    factor: f64,
    scaled: Aligned,
    partials: Partials<Aligned>,
}

impl<'a, R: Runner> Dense<'a, R> {
    /// Lays out a matrix with at least as many rows as columns.
    #[must_use]
    pub fn new(matrix: Matrix<'a>, level: Level, runner: R) -> Self {
        Self::cut(matrix, Partition::of(&matrix), level, runner)
    }

    /// Lays out a matrix by its rows in memory, be they fewer than columns.
    #[must_use]
    pub fn by_rows(matrix: Matrix<'a>, level: Level, runner: R) -> Self {
        Self::cut(matrix, Partition::by_rows(&matrix), level, runner)
    }

    fn cut(matrix: Matrix<'a>, partition: Partition, level: Level, runner: R) -> Self {
        let n = partition.ncols;
        Self {
            matrix,
            level,
            runner,
            exponent: 0,
            factor: 1.0,
            scaled: Aligned::zeros(n),
            partials: Partials::default(),
            partition,
        }
    }

    /// Whether the operator is the transpose of the matrix that the caller handed in.
    #[must_use]
    pub fn is_transposed(&self) -> bool {
        self.partition.by_columns != self.matrix.transposed
    }

    /// Runs one pass; with `survey`, gathers the moments of the entries as well.
    fn pass(
        &mut self,
        v: &[f64],
        t: &mut [f64],
        z: &mut [f64],
        survey: bool,
    ) -> Result<Moments, Error> {
        let Self { matrix, level, partition, factor, .. } = *self;
        scale(level, factor, v, &mut self.scaled);
        let x = &self.scaled[..];
        let mut blocks = partition.blocks(t);
        self.partials.prepare(blocks.len());
        let room = || Aligned::zeros(partition.ncols);
        self.runner.run(&mut blocks, &|block| {
            self.partials.fill(level, block.index, room, |partial| {
                with_typed!(Storage, matrix.storage, a => {
                    let by_columns = partition.by_columns;
                    let moments = match survey {
                        true => moments(level, a, by_columns, factor, &block.range),
                        false => Moments::EMPTY,
                    };
                    fused(level, a, by_columns, x, factor, block, partial);
                    moments
                })
            });
        })?;
        z.fill(0.0);
        Ok(self.partials.collect(|sum| z.copy_from_slice(sum)))
    }
}

impl<R: Runner> LinearOperator for Dense<'_, R> {
    fn shape(&self) -> (usize, usize) {
        (self.partition.nrows, self.partition.ncols)
    }

    fn gram_matvec(&mut self, v: &[f64], t: &mut [f64], z: &mut [f64]) -> Result<(), Error> {
        self.pass(v, t, z, false).map(|_| ())
    }

    fn survey(&mut self, v: &[f64], t: &mut [f64], z: &mut [f64]) -> Result<(f64, f64), Error> {
        let moments = self.pass(v, t, z, true)?;
        Ok((moments.max_abs, moments.sum_of_squares))
    }

    fn set_exponent(&mut self, exponent: i32) {
        self.exponent = exponent;
        self.factor = power_of_two(-exponent);
    }
}

/// The fused pass over one block, by rows or by columns of the stored matrix.
///
/// `x` already carries one factor of the scale; the kernels apply the other to the product. The
/// two together scale the operator without a copy, exactly, since the scale is a power of two.
fn fused<T: Load<f64, 8>>(
    level: Level,
    a: MatRef<'_, T>,
    by_columns: bool,
    x: &[f64],
    scale: f64,
    block: &mut Block<'_>,
    z: &mut [f64],
) {
    let (range, t) = (block.range.clone(), &mut *block.t);
    if by_columns {
        level.run(FusedCols { a, range, x, scale, t, z });
    } else {
        level.run(FusedRows { a, range, x, scale, t, z });
    }
}

fn moments<T: Load<f64, 8>>(
    level: Level,
    a: MatRef<'_, T>,
    by_columns: bool,
    scale: f64,
    range: &Range<usize>,
) -> Moments {
    let (rows, columns) = match by_columns {
        true => (0..a.nrows(), range.clone()),
        false => (range.clone(), 0..a.ncols()),
    };
    level.run(Survey { a, rows, columns, scale })
}

/// How a matrix is cut: by its shape alone, so that no setting can change a result.
#[derive(Debug, Clone, Copy)]
struct Partition {
    /// Whether the operator is the transpose of the stored matrix.
    by_columns: bool,
    /// Rows of the operator: the longer side of the stored matrix, as a rule.
    nrows: usize,
    /// Columns of the operator: the shorter side.
    ncols: usize,
    /// Rows of the operator in each block but the last.
    block_rows: usize,
}

/// Elements below which a matrix stays in one block: about what a second-level cache holds.
const BLOCK_LEN: usize = 1 << 18;

/// Elements from which a pass has more than one block.
pub(crate) const DIVIDED_LEN: usize = 2 * BLOCK_LEN;

/// Blocks of a matrix of moderate size: enough to balance threads, few enough that adding up the
/// partial vectors costs little beside the pass.
const BLOCKS: usize = 32;

impl Partition {
    fn of(matrix: &Matrix<'_>) -> Self {
        let ((nrows, ncols), by_columns) = matrix.oriented();
        Self::new(nrows, ncols, by_columns)
    }

    fn by_rows(matrix: &Matrix<'_>) -> Self {
        match matrix.oriented() {
            ((long, short), true) => Self::new(short, long, false),
            ((long, short), false) => Self::new(long, short, false),
        }
    }

    fn new(nrows: usize, ncols: usize, by_columns: bool) -> Self {
        let len = nrows * ncols;
        let nblocks = (len / BLOCK_LEN).clamp(1, BLOCKS + len / (64 * BLOCK_LEN));
        let step = if by_columns { strip_columns(ncols) } else { 4 };
        let block_rows = nrows.div_ceil(nblocks).next_multiple_of(step).max(step);
        Self { by_columns, nrows, ncols, block_rows }
    }

    /// The rows of each block.
    fn ranges(self) -> impl Iterator<Item = Range<usize>> {
        let starts = (0..self.nrows).step_by(self.block_rows);
        starts.map(move |start| start..(start + self.block_rows).min(self.nrows))
    }

    /// The blocks, each with its piece of `t`.
    fn blocks(self, t: &mut [f64]) -> Vec<Block<'_>> {
        let pieces = self.ranges().zip(t.chunks_mut(self.block_rows)).enumerate();
        pieces.map(|(index, (range, t))| Block { index, range, t }).collect()
    }
}

#[cfg(test)]
#[path = "../tests/rust/unit/operator.rs"]
mod tests;
