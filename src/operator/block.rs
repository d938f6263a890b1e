//! A stored matrix times several vectors at once, in single precision.

use std::ops::Range;

use crate::error::Error;
use crate::kernels::block::{BlockCols, BlockRows, Scaling};
use crate::kernels::panel::{Panel, add, entry, set_entry};
use crate::kernels::reduce::Moments;
use crate::matrix::{MatRef, Storage};
use crate::scalar::{ldexp, power_of_two};
use crate::simd::Load;

use super::{Dense, LinearOperator, Runner, moments};

/// Exponents of a scale up to which vectors can carry it in single precision. Beyond, every element
/// is multiplied: slower, with the same bits.
const MAX_CARRIED: i32 = 40;

/// A [`LinearOperator`] that can be multiplied with several vectors at one read.
pub(crate) trait BlockOperator: LinearOperator {
    /// Whether the elements are no wider than single precision.
    fn is_narrow(&self) -> bool;

    /// `Z = B' (B V)` in single precision.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when the caller asked to stop; `Z` is then unspecified.
    fn block_gram<const N: usize>(
        &mut self,
        v: &[Panel<N>],
        z: &mut [Panel<N>],
    ) -> Result<(), Error>;

    /// The same, and the largest magnitude and the sum of squares of all entries.
    ///
    /// # Errors
    /// As [`block_gram`](Self::block_gram).
    fn block_survey<const N: usize>(
        &mut self,
        v: &[Panel<N>],
        z: &mut [Panel<N>],
    ) -> Result<(f64, f64), Error>;
}

impl<R: Runner> BlockOperator for Dense<'_, R> {
    fn is_narrow(&self) -> bool {
        !self.matrix.is_wide()
    }

    fn block_gram<const N: usize>(
        &mut self,
        v: &[Panel<N>],
        z: &mut [Panel<N>],
    ) -> Result<(), Error> {
        self.block_pass(v, z, false).map(|_| ())
    }

    fn block_survey<const N: usize>(
        &mut self,
        v: &[Panel<N>],
        z: &mut [Panel<N>],
    ) -> Result<(f64, f64), Error> {
        let moments = self.block_pass(v, z, true)?;
        Ok((moments.max_abs, moments.sum_of_squares))
    }
}

/// A piece of a pass: rows of the operator and a partial `Z`.
struct Piece<const N: usize> {
    range: Range<usize>,
    z: Partial<N>,
    moments: Moments,
}

/// Part of `Z`, laid out as the kernel of its orientation writes it.
enum Partial<const N: usize> {
    Panels(Vec<Panel<N>>),
    Entries(Vec<[f32; N]>),
}

impl<R: Runner> Dense<'_, R> {
    fn block_pass<const N: usize>(
        &mut self,
        v: &[Panel<N>],
        z: &mut [Panel<N>],
        survey: bool,
    ) -> Result<Moments, Error> {
        match self.matrix.storage {
            Storage::F16(a) => self.typed_pass(a, v, z, survey),
            Storage::Bf16(a) => self.typed_pass(a, v, z, survey),
            Storage::F32(a) => self.typed_pass(a, v, z, survey),
            Storage::F64(_) => {
                unreachable!("a wide matrix is never multiplied in single precision")
            }
        }
    }

    fn typed_pass<T: Load<f32, 16> + Load<f64, 8>, const N: usize>(
        &mut self,
        a: MatRef<'_, T>,
        v: &[Panel<N>],
        z: &mut [Panel<N>],
        survey: bool,
    ) -> Result<Moments, Error> {
        let (level, partition, factor) = (self.level, self.partition, self.factor);
        let by_columns = partition.by_columns;
        let (carried, scaling) = scaling(self.exponent);
        let x = Scaled::of(v, carried, by_columns.then_some(partition.ncols));
        let mut pieces = self.pieces::<N>();
        self.runner.run(&mut pieces, &|piece| {
            if survey {
                piece.moments = moments(level, a, by_columns, factor, &piece.range);
            }
            let range = piece.range.clone();
            match &mut piece.z {
                Partial::Entries(z) => {
                    level.run(BlockCols { a, range, x: &x.entries, scaling, z });
                }
                Partial::Panels(z) => {
                    let t = &mut vec![[0.0; N]; range.len()][..];
                    level.run(BlockRows { a, range, x: &x.panels, scaling, t, z });
                }
            }
        })?;
        z.fill(Panel::ZERO);
        let mut moments = Moments::EMPTY;
        for piece in pieces {
            moments = moments.join(piece.moments);
            match piece.z {
                Partial::Panels(partial) => add(level, &partial, z),
                Partial::Entries(partial) => add_entries(&partial, z),
            }
        }
        Ok(moments)
    }

    fn pieces<const N: usize>(&self) -> Vec<Piece<N>> {
        let partition = &self.partition;
        let piece = |i: usize| {
            let start = i * partition.block_rows;
            Piece {
                range: start..(start + partition.block_rows).min(partition.nrows),
                z: match partition.by_columns {
                    true => Partial::Entries(vec![[0.0; N]; partition.ncols]),
                    false => Partial::Panels(Panel::zeros(partition.ncols)),
                },
                moments: Moments::EMPTY,
            }
        };
        (0..partition.nblocks()).map(piece).collect()
    }
}

/// The vectors that a pass multiplies with, times what they carry of the scale.
struct Scaled<const N: usize> {
    panels: Vec<Panel<N>>,
    entries: Vec<[f32; N]>,
}

impl<const N: usize> Scaled<N> {
    fn of(v: &[Panel<N>], factor: f32, by_entry: Option<usize>) -> Self {
        let mut panels = v.to_vec();
        for x in panels.iter_mut().flat_map(|panel| panel.0.as_flattened_mut()) {
            *x *= factor;
        }
        let entries = (0..by_entry.unwrap_or(0)).map(|i| entry(&panels, i)).collect();
        Self { panels, entries }
    }
}

fn add_entries<const N: usize>(partial: &[[f32; N]], z: &mut [Panel<N>]) {
    for (i, x) in partial.iter().enumerate() {
        let before = entry(z, i);
        set_entry(z, i, std::array::from_fn(|c| before[c] + x[c]));
    }
}

/// What the vectors carry of the scale `2^-exponent`, and what the kernel does about the rest.
fn scaling(exponent: i32) -> (f32, Scaling) {
    if exponent.abs() <= MAX_CARRIED {
        let factor = power_of_two(-exponent) as f32;
        return (factor, Scaling { products: factor, elements: None });
    }
    let half = -exponent / 2;
    let factors = (ldexp(1.0, half) as f32, ldexp(1.0, -exponent - half) as f32);
    (1.0, Scaling { products: 1.0, elements: Some(factors) })
}
