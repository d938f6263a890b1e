//! A matrix in single precision beside a copy of it in integers of 16 bits.
//!
//! Blocks of vectors are multiplied with the copy, at half the bytes; single vectors with the matrix itself.
//! Each row has a step of its own, so the copy is `S K` with integers `K`, and `K' (S^2 (K V))` is a pass
//! over `K` with weights.

use crate::error::Error;
use crate::kernels::fixed::{FixRows, UNIT_EXPONENT, WORDS};
use crate::kernels::panel::Panel;
use crate::kernels::reduce::Moments;
use crate::matrix::{MatRef, Storage};
use crate::scalar::ldexp;

use super::pages::Pages;
use super::{BlockOperator, BlockPartials, Dense, LinearOperator, Runner, SAFE_RANGE};

/// Words of a copy at most, a quarter of a gibibyte: a matrix that is mapped from a file may be larger than the
/// memory there is.
const MOST_WORDS: usize = 1 << 26;

/// A matrix as integers, times the step of each row.
#[derive(Debug)]
pub(crate) struct Fixed {
    words: Pages,
    /// Words of a row, whole cache lines.
    stride: usize,
    /// The square of the step of each row.
    squares: Vec<f32>,
    /// Of what was copied.
    moments: Moments,
    /// A bound on the Frobenius norm of what it is off by.
    rounding: f64,
}

/// An operator that blocks of vectors are multiplied with at a copy in integers.
pub(crate) trait Fix: BlockOperator {
    /// The copy; `None` for one that would be of no use.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when the caller asked to stop.
    fn fixed(&self) -> Result<Option<Fixed>, Error>;

    /// The operator with its copy beside it.
    fn beside_fixed<'s>(&'s mut self, copy: &'s Fixed) -> impl BlockOperator + 's;
}

impl<R: Runner + Copy> Fix for Dense<'_, R> {
    fn fixed(&self) -> Result<Option<Fixed>, Error> {
        let Storage::F32(a) = self.matrix.storage else { return Ok(None) };
        let stride = a.ncols().div_ceil(2 * WORDS) * WORDS;
        let len = a.nrows() * stride;
        let suits = !self.partition.by_columns && len <= MOST_WORDS;
        let Some(words) = suits.then(|| Pages::of(len)).flatten() else { return Ok(None) };
        let (squares, moments) = (vec![0.0; a.nrows()], Moments::EMPTY);
        let mut copy = Fixed { words, stride, squares, moments, rounding: 0.0 };
        self.round(a, &mut copy)?;
        let Moments { max_abs, .. } = copy.moments;
        // What is far from one is left to those who can scale it.
        let is_far = !SAFE_RANGE.contains(&max_abs) && max_abs > 0.0 && max_abs.is_finite();
        Ok((!is_far).then_some(copy))
    }

    fn beside_fixed<'s>(&'s mut self, copy: &'s Fixed) -> impl BlockOperator + 's {
        Beside { op: self, copy }
    }
}

impl<R: Runner> Dense<'_, R> {
    /// Rounds the rows, block by block.
    fn round(&self, a: MatRef<'_, f32>, copy: &mut Fixed) -> Result<(), Error> {
        let (level, stride, rows) = (self.level, copy.stride, self.partition.block_rows);
        let words: &mut [i32] = bytemuck::cast_slice_mut(&mut copy.words);
        let pieces = words.chunks_mut(rows * stride).zip(copy.squares.chunks_mut(rows));
        let mut pieces: Vec<_> = self
            .partition
            .ranges()
            .zip(pieces)
            .map(|(range, (out, squares))| (range, out, squares, (Moments::EMPTY, 0.0)))
            .collect();
        self.runner.run(&mut pieces, &|(range, out, squares, learnt)| {
            let rows = range.clone();
            *learnt = level.run(FixRows { a, rows, stride, out, squares });
        })?;
        for (_, _, _, (moments, off)) in pieces {
            copy.moments = copy.moments.join(moments);
            copy.rounding += off;
        }
        copy.rounding = copy.rounding.sqrt();
        Ok(())
    }
}

impl Fixed {
    fn rows(&self) -> MatRef<'_, i32> {
        let words = bytemuck::cast_slice(&self.words);
        MatRef::from_slice(words, self.squares.len(), self.stride).expect("rows of whole lines")
    }
}

struct Beside<'s, 'a, R> {
    op: &'s mut Dense<'a, R>,
    copy: &'s Fixed,
}

impl<R: Runner> LinearOperator for Beside<'_, '_, R> {
    fn shape(&self) -> (usize, usize) {
        self.op.shape()
    }

    fn gram_matvec(&mut self, v: &[f64], t: &mut [f64], z: &mut [f64]) -> Result<(), Error> {
        self.op.gram_matvec(v, t, z)
    }

    fn survey(&mut self, v: &[f64], t: &mut [f64], z: &mut [f64]) -> Result<(f64, f64), Error> {
        self.op.survey(v, t, z)
    }

    fn set_exponent(&mut self, exponent: i32) {
        self.op.set_exponent(exponent);
    }
}

impl<R: Runner> BlockOperator for Beside<'_, '_, R> {
    fn is_narrow(&self) -> bool {
        true
    }

    fn rounding(&self) -> f64 {
        ldexp(self.copy.rounding, -self.op.exponent)
    }

    fn block_gram<const N: usize>(
        &mut self,
        v: &[Panel<N>],
        z: &mut [Panel<N>],
        partials: &mut BlockPartials<N>,
    ) -> Result<(), Error> {
        let exponent = self.op.exponent + UNIT_EXPONENT;
        let rows = (self.copy.rows(), Some(&self.copy.squares[..]), exponent);
        let back = partials.goes_back(false);
        self.op.typed_pass(rows, v, z, partials, back, &|_| Moments::EMPTY).map(|_| ())
    }

    fn block_survey<const N: usize>(
        &mut self,
        v: &[Panel<N>],
        z: &mut [Panel<N>],
        partials: &mut BlockPartials<N>,
    ) -> Result<(f64, f64), Error> {
        partials.turn();
        self.block_gram(v, z, partials)?;
        let Moments { max_abs, sum_of_squares } = self.copy.moments;
        let exponent = -self.op.exponent;
        Ok((ldexp(max_abs, exponent), ldexp(sum_of_squares, 2 * exponent)))
    }
}

#[cfg(test)]
#[path = "../../tests/rust/unit/fixed.rs"]
mod tests;
