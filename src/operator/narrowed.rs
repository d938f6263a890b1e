//! A matrix in double precision beside a copy of it in single.
//!
//! Blocks of vectors are multiplied with the copy, at half the bytes; single vectors in double
//! precision with the matrix itself.

use crate::error::Error;
use crate::kernels::narrow::NarrowRows;
use crate::kernels::panel::Panel;
use crate::kernels::reduce::Moments;
use crate::matrix::{MatRef, Matrix, Storage};
use crate::scalar::{exponent, ldexp, power_of_two};

use super::fixed::Fix;
use super::pages::Pages;
use super::{
    BLOCK_LEN, BlockOperator, BlockPartials, Dense, LinearOperator, MAX_EXPONENT, Runner,
    SAFE_RANGE,
};

/// Elements of a copy at most, half a gibibyte: a matrix that is mapped from a file may be larger
/// than the memory there is.
const MOST_ELEMENTS: usize = 1 << 27;

/// The elements of a stored matrix times `2^-exponent`, in single precision.
#[derive(Debug)]
pub(crate) struct Narrowed {
    rows: Pages,
    exponent: i32,
    /// Of what was copied, before it was rounded.
    moments: Moments,
}

/// An operator that blocks of vectors are multiplied with at a copy.
pub(crate) trait Narrow: Fix {
    /// The copy; `None` for one that would be too large, or of no use.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when the caller asked to stop.
    fn narrowed(&self) -> Result<Option<Narrowed>, Error>;

    /// The operator with its copy beside it.
    fn beside<'s>(&'s mut self, copy: &'s Narrowed) -> impl BlockOperator + 's;
}

impl<R: Runner + Copy> Narrow for Dense<'_, R> {
    fn narrowed(&self) -> Result<Option<Narrowed>, Error> {
        let Storage::F64(a) = self.matrix.storage else { return Ok(None) };
        let len = a.nrows() * a.ncols();
        let room = (len <= MOST_ELEMENTS).then(|| Pages::of(len)).flatten();
        let Some(rows) = room else { return Ok(None) };
        let mut copy = Narrowed { rows, exponent: 0, moments: Moments::EMPTY };
        self.fill(a, &mut copy)?;
        let Moments { max_abs, .. } = copy.moments;
        // A matrix beyond the safe range is brought near one.
        let is_far = !SAFE_RANGE.contains(&max_abs) && max_abs > 0.0 && max_abs.is_finite();
        if is_far {
            copy.exponent = exponent(max_abs);
            if copy.exponent.abs() > MAX_EXPONENT {
                return Ok(None);
            }
            self.fill(a, &mut copy)?;
        }
        Ok(Some(copy))
    }

    fn beside<'s>(&'s mut self, copy: &'s Narrowed) -> impl BlockOperator + 's {
        let Storage::F64(a) = self.matrix.storage else { unreachable!("only doubles are copied") };
        let rows = MatRef::from_slice(&copy.rows, a.nrows(), a.ncols());
        let storage = Storage::F32(rows.expect("a copy has as many elements"));
        let matrix = Matrix { storage, ..self.matrix };
        let narrow = Dense::cut(matrix, self.partition, self.level, self.runner);
        let mut beside = Beside { wide: self, narrow, copy, exponent: 0 };
        beside.set_exponent(0);
        beside
    }
}

impl<R: Runner> Dense<'_, R> {
    /// Copies in pieces that the shape gives.
    fn fill(&self, a: MatRef<'_, f64>, copy: &mut Narrowed) -> Result<(), Error> {
        let (level, scale) = (self.level, power_of_two(-copy.exponent));
        let nrows = (BLOCK_LEN / a.ncols()).max(1);
        let pieces = copy.rows.chunks_mut(nrows * a.ncols()).enumerate();
        let mut pieces: Vec<_> = pieces.map(|(k, out)| (k, out, Moments::EMPTY)).collect();
        self.runner.run(&mut pieces, &|(k, out, moments)| {
            let first = *k * nrows;
            let rows = first..(first + nrows).min(a.nrows());
            *moments = level.run(NarrowRows { a, rows, scale, out });
        })?;
        let moments = pieces.iter().map(|piece| piece.2);
        copy.moments = moments.fold(Moments::EMPTY, Moments::join);
        Ok(())
    }
}

struct Beside<'s, 'a, R> {
    wide: &'s mut Dense<'a, R>,
    narrow: Dense<'s, R>,
    copy: &'s Narrowed,
    exponent: i32,
}

impl<R: Runner> LinearOperator for Beside<'_, '_, R> {
    fn shape(&self) -> (usize, usize) {
        self.wide.shape()
    }

    fn gram_matvec(&mut self, v: &[f64], t: &mut [f64], z: &mut [f64]) -> Result<(), Error> {
        self.wide.gram_matvec(v, t, z)
    }

    fn survey(&mut self, v: &[f64], t: &mut [f64], z: &mut [f64]) -> Result<(f64, f64), Error> {
        self.wide.survey(v, t, z)
    }

    fn set_exponent(&mut self, exponent: i32) {
        self.exponent = exponent;
        self.wide.set_exponent(exponent);
        self.narrow.set_exponent(exponent - self.copy.exponent);
    }
}

impl<R: Runner> BlockOperator for Beside<'_, '_, R> {
    fn is_narrow(&self) -> bool {
        true
    }

    fn block_gram<const N: usize>(
        &mut self,
        v: &[Panel<N>],
        z: &mut [Panel<N>],
        partials: &mut BlockPartials<N>,
    ) -> Result<(), Error> {
        self.narrow.block_gram(v, z, partials)
    }

    fn block_survey<const N: usize>(
        &mut self,
        v: &[Panel<N>],
        z: &mut [Panel<N>],
        partials: &mut BlockPartials<N>,
    ) -> Result<(f64, f64), Error> {
        partials.turn();
        self.narrow.block_gram(v, z, partials)?;
        let Moments { max_abs, sum_of_squares } = self.copy.moments;
        let exponent = self.copy.exponent - self.exponent;
        Ok((ldexp(max_abs, exponent), ldexp(sum_of_squares, 2 * exponent)))
    }
}

#[cfg(test)]
#[path = "../../tests/rust/unit/narrowed.rs"]
mod tests;
