//! A stored matrix as one power step sees it.
//!
//! The matrix is taken as it is stored, by rows; whoever wants the transposed one exchanges the
//! two vectors. Large matrices are cut into blocks of rows by their shape alone, and the partial
//! vectors added in the order of the blocks.

use crate::error::Error;
use crate::kernels::divide::Ratio;
use crate::kernels::reduce::{Moments, Survey};
use crate::kernels::step::{Rows, StepKernels, StepVectors};
use crate::matrix::{MatMut, MatRef};
use crate::scalar::power_of_two;
use crate::simd::{Level, Load, Real};

/// Calls a function on every block of some work, each exactly once and in any order.
pub(crate) trait Blocks: Copy {
    /// Runs `work` on every block.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when the caller asked to stop.
    fn each<B: Send>(&self, blocks: &mut [B], work: &(dyn Fn(&mut B) + Sync)) -> Result<(), Error>;
}

/// The powers of two that keep the products of a matrix in range.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Units {
    product: i32,
    gram: i32,
}

impl Units {
    /// The units for a matrix whose largest entry has this exponent.
    ///
    /// In double precision a vector takes the whole exponent before its product. In single, where
    /// its smaller entries would vanish, it takes half; norms are summed in double all the same.
    pub(crate) fn new<A: Real>(exponent: i32) -> Self {
        let gram = exponent.clamp(-A::SAFE_EXPONENT, A::SAFE_EXPONENT);
        Self { product: if A::IS_WIDE { gram } else { gram / 2 }, gram }
    }

    /// What the unit of `B x` and of `B' y` is.
    pub(crate) fn product(self) -> f64 {
        power_of_two(self.product)
    }

    /// What the unit of `B' (B x)` is, relative to that of `B x`.
    pub(crate) fn gram(self) -> f64 {
        power_of_two(self.gram)
    }
}

/// The products of a matrix `B` that a power step is made of.
pub(crate) trait StepOperator {
    /// The precision of the vectors.
    type Acc: StepVectors;

    /// `t = B x / product` and `z = B' t / gram`, in the [`Units`] set.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when the caller asked to stop, as for the other products.
    fn fused(
        &mut self,
        x: &[Self::Acc],
        t: &mut [Self::Acc],
        z: &mut [Self::Acc],
    ) -> Result<(), Error>;

    /// `t = B x / product`.
    fn matvec(&mut self, x: &[Self::Acc], t: &mut [Self::Acc]) -> Result<(), Error>;

    /// `z = B' y / product`.
    fn rmatvec(&mut self, y: &[Self::Acc], z: &mut [Self::Acc]) -> Result<(), Error>;

    /// The largest magnitude of the entries in their own units; NaN when an entry is.
    fn max_abs(&mut self) -> Result<f64, Error>;

    /// Sets the units of the products from now on.
    fn set_units(&mut self, units: Units);
}

/// Elements of a block of rows: a matrix of fewer than two blocks stays on one thread.
const BLOCK_LEN: usize = 1 << 18;

/// Rows of a block, at least, so that adding up the partial vectors costs little.
const MIN_BLOCK_ROWS: usize = 16;

/// Rows of each block but the last, by the shape alone.
pub(crate) fn block_rows((nrows, ncols): (usize, usize)) -> usize {
    let nblocks = (nrows * ncols / BLOCK_LEN).max(1);
    nrows.div_ceil(nblocks).next_multiple_of(MIN_BLOCK_ROWS).max(MIN_BLOCK_ROWS)
}

/// A dense matrix as a [`StepOperator`].
pub(crate) struct DenseStep<'a, T: StepKernels, R> {
    a: MatRef<'a, T>,
    level: Level,
    runner: R,
    block_rows: usize,
    /// What vectors are multiplied by before a product, and `t` between the two of a pass.
    before: T::Acc,
    between: T::Acc,
    scaled: Vec<T::Acc>,
    partials: Vec<T::Acc>,
}

/// A block of rows: their piece of `t` or `y`, and a partial `z`.
struct Block<'a, 'b, T: StepKernels, V> {
    rows: Rows<'a, T>,
    t: V,
    z: &'b mut [T::Acc],
}

impl<'a, T: StepKernels, R: Blocks> DenseStep<'a, T, R> {
    pub(crate) fn new(a: MatRef<'a, T>, level: Level, runner: R) -> Self {
        let block_rows = block_rows((a.nrows(), a.ncols()));
        let one = T::Acc::from_f64(1.0);
        let (scaled, partials) = (Vec::new(), Vec::new());
        Self { a, level, runner, block_rows, before: one, between: one, scaled, partials }
    }

    fn nblocks(&self) -> usize {
        self.a.nrows().div_ceil(self.block_rows)
    }

    fn rows(&self, start: usize, nrows: usize) -> Rows<'a, T> {
        Rows { a: self.a, range: start..start + nrows }
    }

    /// A vector in the units of the products; it belongs back into `self.scaled`.
    fn take_scaled(&mut self, x: &[T::Acc]) -> Vec<T::Acc> {
        let mut scaled = std::mem::take(&mut self.scaled);
        scaled.resize(x.len(), T::Acc::ZERO);
        T::Acc::scale(self.level, self.before, x, &mut scaled);
        scaled
    }

    /// Runs `work` on every block of `t`, with `z` as the sum of the partial vectors.
    fn summed<V: Send>(
        &mut self,
        pieces: impl Iterator<Item = (usize, V)>,
        z: &mut [T::Acc],
        work: &(dyn Fn(&mut Block<'a, '_, T, V>) + Sync),
    ) -> Result<(), Error> {
        let ncols = self.a.ncols();
        let mut partials = std::mem::take(&mut self.partials);
        partials.clear();
        partials.resize(ncols * self.nblocks(), T::Acc::ZERO);
        let mut start = 0;
        let mut blocks: Vec<_> = pieces
            .zip(partials.chunks_mut(ncols.max(1)))
            .map(|((nrows, t), z)| {
                start += nrows;
                Block { rows: self.rows(start - nrows, nrows), t, z }
            })
            .collect();
        self.runner.each(&mut blocks, work)?;
        z.fill(T::Acc::ZERO);
        blocks.iter().for_each(|block| T::Acc::add(self.level, block.z, z));
        drop(blocks);
        self.partials = partials;
        Ok(())
    }
}

impl<T, R> StepOperator for DenseStep<'_, T, R>
where
    T: StepKernels + Load<f64, 8>,
    R: Blocks,
{
    type Acc = T::Acc;

    fn fused(&mut self, x: &[T::Acc], t: &mut [T::Acc], z: &mut [T::Acc]) -> Result<(), Error> {
        let (level, between) = (self.level, self.between);
        let scaled = self.take_scaled(x);
        if self.nblocks() <= 1 {
            z.fill(T::Acc::ZERO);
            T::fused(level, self.rows(0, t.len()), &scaled, between, t, z);
        } else {
            let pieces = t.chunks_mut(self.block_rows).map(|t| (t.len(), t));
            self.summed(pieces, z, &|block| {
                T::fused(level, block.rows.clone(), &scaled, between, block.t, block.z);
            })?;
        }
        self.scaled = scaled;
        Ok(())
    }

    fn matvec(&mut self, x: &[T::Acc], t: &mut [T::Acc]) -> Result<(), Error> {
        let level = self.level;
        let scaled = self.take_scaled(x);
        let x = &scaled[..];
        let pieces = t.chunks_mut(self.block_rows).enumerate();
        let mut blocks: Vec<_> =
            pieces.map(|(i, t)| (self.rows(i * self.block_rows, t.len()), t)).collect();
        self.runner.each(&mut blocks, &|(rows, t)| T::products(level, rows.clone(), x, t))?;
        drop(blocks);
        self.scaled = scaled;
        Ok(())
    }

    fn rmatvec(&mut self, y: &[T::Acc], z: &mut [T::Acc]) -> Result<(), Error> {
        let level = self.level;
        let scaled = self.take_scaled(y);
        let pieces = scaled.chunks(self.block_rows).map(|y| (y.len(), y));
        self.summed(pieces, z, &|block| {
            T::update(level, block.rows.clone(), block.t, block.z);
        })?;
        self.scaled = scaled;
        Ok(())
    }

    fn max_abs(&mut self) -> Result<f64, Error> {
        let (a, level) = (self.a, self.level);
        let starts = (0..a.nrows()).step_by(self.block_rows);
        let mut blocks: Vec<_> = starts
            .map(|start| (start..(start + self.block_rows).min(a.nrows()), Moments::EMPTY))
            .collect();
        self.runner.each(&mut blocks, &|(rows, moments)| {
            let rows = rows.clone();
            *moments = level.run(Survey { a, rows, columns: 0..a.ncols(), scale: 1.0 });
        })?;
        let moments = blocks.iter().fold(Moments::EMPTY, |all, (_, block)| all.join(*block));
        // The maximum passes NaNs over; a sum of squares is NaN only when an entry is.
        Ok(if moments.sum_of_squares.is_nan() { f64::NAN } else { moments.max_abs })
    }

    fn set_units(&mut self, units: Units) {
        self.before = T::Acc::from_f64(1.0 / units.product());
        self.between = T::Acc::from_f64(1.0 / units.gram());
    }
}

/// Writes `a / d` to `out`, or divides `out` in place where there is no `a`.
///
/// # Errors
/// [`Error::Interrupted`] when the caller asked to stop.
pub(crate) fn divide<T: StepKernels, R: Blocks>(
    a: Option<MatRef<'_, T>>,
    out: MatMut<'_, T>,
    d: f64,
    level: Level,
    runner: R,
) -> Result<(), Error> {
    let (nrows, ncols) = (out.as_ref().nrows(), out.as_ref().ncols());
    let block_rows = block_rows((nrows, ncols));
    let ratio = Ratio::new(d);
    let out = out.into_blocks(block_rows);
    let mut blocks: Vec<_> = out.into_iter().enumerate().collect();
    runner.each(&mut blocks, &|(i, pieces)| {
        let mut row = *i * block_rows;
        for piece in pieces {
            match a.map(|a| (a, a.packed())) {
                None => T::divide_in_place(level, piece, ratio),
                Some((_, Some(packed))) => {
                    let src = &packed[row * ncols..][..piece.len()];
                    T::divide(level, src, ratio, piece);
                    row += piece.len() / ncols.max(1);
                }
                Some((a, None)) => {
                    for dst in piece.chunks_mut(ncols.max(1)) {
                        T::divide(level, a.row(row), ratio, dst);
                        row += 1;
                    }
                }
            }
        }
    })
}
