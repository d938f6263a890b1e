//! A stored matrix as one power step sees it.
//!
//! The matrix is taken as it is stored, by rows; whoever wants the transposed one exchanges the
//! two vectors. Large matrices are cut into blocks of rows by their shape alone, and the partial
//! vectors added in the order of the blocks.

use super::Runner;
use crate::error::Error;
use crate::kernels::reduce::{Moments, Survey};
use crate::kernels::step::{Rows, StepKernels, StepVectors};
use crate::kernels::whole::WholeSteps;
use crate::matrix::MatRef;
use crate::scalar::power_of_two;
use crate::simd::{Aligned, Level, Load, Real};

/// The powers of two that keep the products of a matrix in range.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Units {
    product: i32,
    gram: i32,
    norm: i32,
}

impl Units {
    /// The units for a matrix whose largest entry has this exponent.
    ///
    /// In double precision a vector takes the whole exponent before its product. In single, where
    /// its smaller entries would vanish, it takes half; norms are summed in double all the same.
    pub(crate) fn new<A: Real>(exponent: i32) -> Self {
        let gram = exponent.clamp(-A::SAFE_EXPONENT, A::SAFE_EXPONENT);
        let may_overflow = A::IS_WIDE && exponent > A::SAFE_EXPONENT;
        Self {
            product: if A::IS_WIDE { gram } else { gram / 2 },
            gram,
            norm: if may_overflow { gram } else { 0 },
        }
    }

    /// The exponent of the unit in which a norm of the matrix cannot overflow.
    pub(crate) fn norm(self) -> i32 {
        self.norm
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

    /// As `fused` for several vectors end to end, at one read of the matrix.
    fn fused_block(
        &mut self,
        x: &[Self::Acc],
        t: &mut [Self::Acc],
        z: &mut [Self::Acc],
    ) -> Result<(), Error>;

    /// `t = B x / product`.
    fn matvec(&mut self, x: &[Self::Acc], t: &mut [Self::Acc]) -> Result<(), Error>;

    /// `z = B' y / product`.
    fn rmatvec(&mut self, y: &[Self::Acc], z: &mut [Self::Acc]) -> Result<(), Error>;

    /// All steps in one go, where the matrix is small and nothing stands out; see [`WholeSteps`].
    fn whole(&mut self, steps: Whole<'_, Self::Acc>) -> Option<f64>;

    /// The largest magnitude of the entries in their own units; NaN when an entry is.
    fn max_abs(&mut self) -> Result<f64, Error>;

    /// Sets the units of the products from now on.
    fn set_units(&mut self, units: Units);
}

/// What [`StepOperator::whole`] needs: the two vectors, and work vectors for `t` and `z`.
pub(crate) struct Whole<'w, A> {
    pub(crate) x: &'w mut [A],
    pub(crate) y: &'w mut [A],
    pub(crate) t: &'w mut [A],
    pub(crate) z: &'w mut [A],
    pub(crate) n_power_iterations: usize,
    pub(crate) eps: f64,
    pub(crate) rows_first: bool,
}

/// Bytes of rows that several vectors are multiplied with before the next ones are read.
const STRIP: usize = 128 << 10;

/// Cuts vectors of `len` entries, end to end, into the pieces that belong to each block.
fn cut_columns<A>(vectors: &mut [A], len: usize, block: usize) -> Vec<Vec<&mut [A]>> {
    let mut pieces: Vec<Vec<&mut [A]>> = (0..len.div_ceil(block)).map(|_| Vec::new()).collect();
    for vector in vectors.chunks_mut(len.max(1)) {
        vector.chunks_mut(block).zip(&mut pieces).for_each(|(piece, own)| own.push(piece));
    }
    pieces
}

/// Elements of a block of rows: a matrix of fewer than two blocks stays on one thread.
const BLOCK_LEN: usize = 1 << 18;
pub(crate) const DIVIDED_LEN: usize = 2 * BLOCK_LEN;

/// Rows of a block, at least, so that adding up the partial vectors costs little.
const MIN_BLOCK_ROWS: usize = 16;

/// Rows of each block but the last, by the shape alone.
pub(crate) fn block_rows((nrows, ncols): (usize, usize)) -> usize {
    let nblocks = (nrows * ncols / BLOCK_LEN).max(1);
    nrows.div_ceil(nblocks).next_multiple_of(MIN_BLOCK_ROWS).max(MIN_BLOCK_ROWS)
}

/// Steps from which on a copy of the matrix pays; it costs two passes.
const MIN_PACKED_STEPS: usize = 4;

/// Bytes of a copy that stays in the second-level cache. Larger ones were no faster.
const MAX_PACKED: usize = 3 << 17;

/// A dense matrix as a [`StepOperator`].
pub(crate) struct DenseStep<'a, T: StepKernels, R> {
    a: MatRef<'a, T>,
    level: Level,
    runner: R,
    block_rows: usize,
    /// What vectors are multiplied by before a product, and `t` between the two of a pass.
    before: T::Acc,
    between: T::Acc,
    scratch: &'a mut Scratch<T::Acc>,
}

/// Work vectors, kept from one matrix to the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch<A> {
    scaled: Vec<A>,
    partials: Vec<A>,
    packed: Option<Aligned<A>>,
}

/// A block of rows: their piece of `t` or `y`, and a partial `z`.
struct Block<'a, 'b, T: StepKernels, V> {
    rows: Rows<'a, T>,
    t: V,
    z: &'b mut [T::Acc],
}

impl<'a, T: StepKernels, R: Runner + Copy> DenseStep<'a, T, R> {
    pub(crate) fn new(
        a: MatRef<'a, T>,
        level: Level,
        runner: R,
        scratch: &'a mut Scratch<T::Acc>,
    ) -> Self {
        let block_rows = block_rows((a.nrows(), a.ncols()));
        let one = T::Acc::from_f64(1.0);
        Self { a, level, runner, block_rows, before: one, between: one, scratch }
    }

    fn nblocks(&self) -> usize {
        self.a.nrows().div_ceil(self.block_rows)
    }

    fn rows(&self, start: usize, nrows: usize) -> Rows<'a, T> {
        Rows { a: self.a, range: start..start + nrows }
    }

    /// Entries of a row of the packed copy.
    fn packed_ncols(&self) -> usize {
        self.a.ncols().next_multiple_of(T::LANES)
    }

    /// Entries of the packed copy and of three vectors on its columns.
    fn packed_len(&self) -> usize {
        (self.a.nrows() + 3) * self.packed_ncols()
    }

    /// Whether a copy stays near and is not mostly padding.
    fn is_packed_near(&self) -> bool {
        let fits = self.packed_len() * size_of::<T::Acc>() <= MAX_PACKED;
        fits && 2 * self.packed_ncols() <= 3 * self.a.ncols()
    }

    /// As `whole`, on the matrix as it lies.
    fn whole_plain(&mut self, steps: Whole<'_, T::Acc>) -> Option<f64> {
        let Whole { x, y, t, z, n_power_iterations, eps, rows_first } = steps;
        self.scratch.scaled.resize(x.len(), T::Acc::ZERO);
        let (a, next) = (self.a, &mut self.scratch.scaled[..]);
        let steps = WholeSteps { a, x, y, t, z, next, n_power_iterations, eps, rows_first };
        T::whole(self.level, steps)
    }

    /// As `whole`, on a copy whose rows lie on cache lines of their own.
    fn whole_packed(&mut self, steps: Whole<'_, T::Acc>) -> Option<f64> {
        let Whole { x, y, t, n_power_iterations, eps, rows_first, .. } = steps;
        let (ncols, len) = (self.packed_ncols(), self.packed_len());
        let kept = self.scratch.packed.take().filter(|packed| packed.len() >= len);
        let packed = self.scratch.packed.insert(kept.unwrap_or_else(|| Aligned::zeros(len)));
        let (vectors, rows) = packed[..len].split_at_mut(3 * ncols);
        let (own_x, rest) = vectors.split_at_mut(ncols);
        let (z, next) = rest.split_at_mut(ncols);
        T::pack(self.level, self.a, rows);
        own_x[..x.len()].copy_from_slice(x);
        own_x[x.len()..].fill(T::Acc::ZERO);
        let a = MatRef::from_slice(rows, y.len(), ncols)?;
        let steps = WholeSteps { a, x: own_x, y, t, z, next, n_power_iterations, eps, rows_first };
        let sigma = T::Acc::whole(self.level, steps)?;
        x.copy_from_slice(&own_x[..x.len()]);
        Some(sigma)
    }

    /// A vector in the units of the products; it belongs back into `self.scratch.scaled`.
    fn take_scaled(&mut self, x: &[T::Acc]) -> Vec<T::Acc> {
        let mut scaled = std::mem::take(&mut self.scratch.scaled);
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
        let mut partials = std::mem::take(&mut self.scratch.partials);
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
        self.runner.run(&mut blocks, work)?;
        z.fill(T::Acc::ZERO);
        let one = T::Acc::from_f64(1.0);
        blocks.iter().for_each(|block| T::Acc::axpy(self.level, one, block.z, z));
        drop(blocks);
        self.scratch.partials = partials;
        Ok(())
    }
}

impl<T, R> StepOperator for DenseStep<'_, T, R>
where
    T: StepKernels + Load<f64, 8>,
    R: Runner + Copy,
{
    type Acc = T::Acc;

    fn fused(&mut self, x: &[T::Acc], t: &mut [T::Acc], z: &mut [T::Acc]) -> Result<(), Error> {
        let (level, between) = (self.level, self.between);
        let scaled = self.take_scaled(x);
        if self.nblocks() <= 1 {
            z.fill(T::Acc::ZERO);
            let rows = self.rows(0, t.len());
            // Through the runner, which knows when to stop.
            self.runner.run(&mut [(t, z)], &|(t, z)| {
                T::fused(level, rows.clone(), &scaled, between, t, z);
            })?;
        } else {
            let pieces = t.chunks_mut(self.block_rows).map(|t| (t.len(), t));
            self.summed(pieces, z, &|block| {
                T::fused(level, block.rows.clone(), &scaled, between, block.t, block.z);
            })?;
        }
        self.scratch.scaled = scaled;
        Ok(())
    }

    fn fused_block(
        &mut self,
        x: &[T::Acc],
        t: &mut [T::Acc],
        z: &mut [T::Acc],
    ) -> Result<(), Error> {
        let (level, between) = (self.level, self.between);
        let (nrows, ncols) = (self.a.nrows(), self.a.ncols());
        let scaled = self.take_scaled(x);
        let strip_rows = (STRIP / (ncols * T::SIZE).max(1)).clamp(4, self.block_rows) / 4 * 4;
        let mut pieces = cut_columns(t, nrows, self.block_rows);
        let mut partials = vec![T::Acc::ZERO; x.len() * pieces.len()];
        let zs = partials.chunks_mut(x.len().max(1));
        let mut blocks: Vec<_> = pieces.iter_mut().zip(zs).enumerate().collect();
        let (a, block_rows) = (self.a, self.block_rows);
        self.runner.run(&mut blocks, &|(i, (ts, z))| {
            let first = *i * block_rows;
            let len = ts.first().map_or(0, |t| t.len());
            for start in (0..len).step_by(strip_rows) {
                let end = (start + strip_rows).min(len);
                let rows = Rows { a, range: first + start..first + end };
                let columns = scaled.chunks(ncols).zip(z.chunks_mut(ncols));
                for ((x, z), t) in columns.zip(ts.iter_mut()) {
                    T::fused(level, rows.clone(), x, between, &mut t[start..end], z);
                }
            }
        })?;
        z.fill(T::Acc::ZERO);
        let one = T::Acc::from_f64(1.0);
        blocks.iter().for_each(|(_, (_, partial))| T::Acc::axpy(level, one, partial, z));
        drop(blocks);
        self.scratch.scaled = scaled;
        Ok(())
    }

    fn matvec(&mut self, x: &[T::Acc], t: &mut [T::Acc]) -> Result<(), Error> {
        let level = self.level;
        let scaled = self.take_scaled(x);
        let x = &scaled[..];
        let pieces = t.chunks_mut(self.block_rows).enumerate();
        let mut blocks: Vec<_> =
            pieces.map(|(i, t)| (self.rows(i * self.block_rows, t.len()), t)).collect();
        self.runner.run(&mut blocks, &|(rows, t)| T::products(level, rows.clone(), x, t))?;
        drop(blocks);
        self.scratch.scaled = scaled;
        Ok(())
    }

    fn rmatvec(&mut self, y: &[T::Acc], z: &mut [T::Acc]) -> Result<(), Error> {
        let level = self.level;
        let scaled = self.take_scaled(y);
        let pieces = scaled.chunks(self.block_rows).map(|y| (y.len(), y));
        self.summed(pieces, z, &|block| {
            T::update(level, block.rows.clone(), block.t, block.z);
        })?;
        self.scratch.scaled = scaled;
        Ok(())
    }

    fn whole(&mut self, steps: Whole<'_, T::Acc>) -> Option<f64> {
        if self.nblocks() != 1 {
            return None;
        }
        if steps.n_power_iterations >= MIN_PACKED_STEPS && self.is_packed_near() {
            self.whole_packed(steps)
        } else {
            self.whole_plain(steps)
        }
    }

    fn max_abs(&mut self) -> Result<f64, Error> {
        let (a, level) = (self.a, self.level);
        let starts = (0..a.nrows()).step_by(self.block_rows);
        let mut blocks: Vec<_> = starts
            .map(|start| (start..(start + self.block_rows).min(a.nrows()), Moments::EMPTY))
            .collect();
        self.runner.run(&mut blocks, &|(rows, moments)| {
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

#[cfg(test)]
#[path = "../../tests/rust/unit/steps.rs"]
mod tests;
