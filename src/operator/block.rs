//! A stored matrix times several vectors at once, in single precision.

use std::ops::Range;

use crate::error::Error;
use crate::kernels::block::{BlockCols, BlockRows, Scaling, is_far, lead};
use crate::kernels::panel::{Panel, add, entry, set_entry, shift_back, shifted};
use crate::kernels::reduce::Moments;
use crate::matrix::{MatRef, Storage};
use crate::scalar::{ldexp, power_of_two};
use crate::simd::{Level, Load};

use super::partials::{Partial, Partials};
use super::{Dense, LinearOperator, Runner, moments};

/// Largest magnitudes of entries whose squares are safe in single precision.
pub(crate) const SAFE_RANGE: std::ops::RangeInclusive<f64> = 1e-6..=1e6;

/// Exponents of a scale up to which vectors can carry it in single precision. Beyond, every element
/// is multiplied: slower, with the same bits.
const MAX_CARRIED: i32 = 40;

/// A [`LinearOperator`] that can be multiplied with several vectors at one read.
pub(crate) trait BlockOperator: LinearOperator {
    /// Whether the elements are no wider than single precision.
    fn is_narrow(&self) -> bool;

    /// How far what blocks are multiplied with may be from the operator beyond what single precision makes of it:
    /// a bound on the Frobenius norm of the difference, in the units of the scale that is set.
    fn rounding(&self) -> f64 {
        0.0
    }

    /// `Z = B' (B V)` in single precision. `partials` is room that is kept from pass to pass.
    ///
    /// # Errors
    /// [`Error::Interrupted`] when the caller asked to stop; `Z` is then unspecified.
    fn block_gram<const N: usize>(
        &mut self,
        v: &[Panel<N>],
        z: &mut [Panel<N>],
        partials: &mut BlockPartials<N>,
    ) -> Result<(), Error>;

    /// The same, and the largest magnitude and the sum of squares of all entries.
    ///
    /// # Errors
    /// As [`block_gram`](Self::block_gram).
    fn block_survey<const N: usize>(
        &mut self,
        v: &[Panel<N>],
        z: &mut [Panel<N>],
        partials: &mut BlockPartials<N>,
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
        partials: &mut BlockPartials<N>,
    ) -> Result<(), Error> {
        self.block_pass(v, z, partials, false).map(|_| ())
    }

    fn block_survey<const N: usize>(
        &mut self,
        v: &[Panel<N>],
        z: &mut [Panel<N>],
        partials: &mut BlockPartials<N>,
    ) -> Result<(f64, f64), Error> {
        let moments = self.block_pass(v, z, partials, true)?;
        Ok((moments.max_abs, moments.sum_of_squares))
    }
}

/// Part of `Z`, laid out as the kernel of its orientation writes it.
#[derive(Debug)]
pub(crate) enum Part<const N: usize> {
    Panels(Vec<Panel<N>>),
    Entries(Vec<[f32; N]>),
}

/// Room for the partial results of a block pass.
pub(crate) type BlockPartials<const N: usize> = Partials<Part<N>>;

impl<const N: usize> Partial for Part<N> {
    fn clear(&mut self) {
        match self {
            Self::Panels(z) => z.fill(Panel::ZERO),
            Self::Entries(z) => z.fill([0.0; N]),
        }
    }

    fn add(&mut self, level: Level, other: &Self) {
        match (self, other) {
            (Self::Panels(z), Self::Panels(x)) => add(level, x, z),
            (Self::Entries(z), Self::Entries(x)) => {
                for (z, x) in z.iter_mut().zip(x) {
                    (0..N).for_each(|c| z[c] += x[c]);
                }
            }
            _ => unreachable!("all blocks of a matrix have one orientation"),
        }
    }
}

impl<R: Runner> Dense<'_, R> {
    fn block_pass<const N: usize>(
        &mut self,
        v: &[Panel<N>],
        z: &mut [Panel<N>],
        partials: &mut BlockPartials<N>,
        survey: bool,
    ) -> Result<Moments, Error> {
        match self.matrix.storage {
            Storage::F16(a) => self.surveying_pass(a, v, z, partials, survey),
            Storage::Bf16(a) => self.surveying_pass(a, v, z, partials, survey),
            Storage::F32(a) => self.surveying_pass(a, v, z, partials, survey),
            Storage::F64(_) => {
                unreachable!("a wide matrix is never multiplied in single precision")
            }
        }
    }

    fn surveying_pass<T: Load<f32, 16> + Load<f64, 8>, const N: usize>(
        &self,
        a: MatRef<'_, T>,
        v: &[Panel<N>],
        z: &mut [Panel<N>],
        partials: &mut BlockPartials<N>,
        survey: bool,
    ) -> Result<Moments, Error> {
        let (level, by_columns, factor) = (self.level, self.partition.by_columns, self.factor);
        let learn = |range: &Range<usize>| match survey {
            true => moments(level, a, by_columns, factor, range),
            false => Moments::EMPTY,
        };
        let back = partials.goes_back(survey);
        self.typed_pass((a, None, self.exponent), v, z, partials, back, &learn)
    }

    /// The pass over rows that may have weights, times `2^-exponent`; `learn` is asked for the moments of every
    /// block.
    pub(super) fn typed_pass<T: Load<f32, 16>, const N: usize>(
        &self,
        (a, weights, exponent): (MatRef<'_, T>, Option<&[f32]>, i32),
        v: &[Panel<N>],
        z: &mut [Panel<N>],
        partials: &mut BlockPartials<N>,
        back: bool,
        learn: &(dyn Fn(&Range<usize>) -> Moments + Sync),
    ) -> Result<Moments, Error> {
        let (level, partition) = (self.level, self.partition);
        let by_columns = partition.by_columns;
        let (carried, scaling) = scaling(exponent);
        // Rows of words may hold more numbers than the operator has columns.
        let (ncols, lead) = match by_columns {
            true => (partition.ncols, 0),
            false => (a.ncols() * T::VECTORS, lead(&a)),
        };
        let (x, far) = (Scaled::of(v, carried, (ncols, lead), by_columns), is_far(&a));
        let mut blocks: Vec<_> = partition.ranges().enumerate().collect();
        partials.prepare(blocks.len());
        let room = || match by_columns {
            true => Part::Entries(vec![[0.0; N]; ncols]),
            false => Part::Panels(Panel::zeros(lead + ncols)),
        };
        let work = |(i, range): &mut (usize, Range<usize>)| {
            partials.fill(level, *i, room, |z| {
                let moments = learn(range);
                let range = range.clone();
                match z {
                    Part::Entries(z) => {
                        level.run(BlockCols { a, range, x: &x.entries, scaling, back, z });
                    }
                    Part::Panels(z) => {
                        let t = &mut vec![[0.0; N]; range.len()][..];
                        let x = &x.panels[..];
                        level.run(BlockRows {
                            a,
                            range,
                            x,
                            lead,
                            scaling,
                            weights,
                            back,
                            far,
                            t,
                            z,
                        });
                    }
                }
                moments
            });
        };
        match back {
            true => self.runner.run_back(&mut blocks, &work)?,
            false => self.runner.run(&mut blocks, &work)?,
        }
        z.fill(Panel::ZERO);
        Ok(partials.collect(|part| match part {
            Part::Panels(sum) => shift_back(sum, lead, z),
            Part::Entries(sum) => set_entries(sum, z),
        }))
    }
}

/// The vectors that a pass multiplies with, times what they carry of the scale.
struct Scaled<const N: usize> {
    panels: Vec<Panel<N>>,
    entries: Vec<[f32; N]>,
}

impl<const N: usize> Scaled<N> {
    fn of(v: &[Panel<N>], factor: f32, (n, lead): (usize, usize), by_entry: bool) -> Self {
        let mut panels = shifted(v, n, lead);
        for x in panels.iter_mut().flat_map(|panel| panel.0.as_flattened_mut()) {
            *x *= factor;
        }
        let n_entries = if by_entry { n } else { 0 };
        let entries = (0..n_entries).map(|i| entry(&panels, i)).collect();
        Self { panels, entries }
    }
}

fn set_entries<const N: usize>(entries: &[[f32; N]], z: &mut [Panel<N>]) {
    for (i, &x) in entries.iter().enumerate() {
        set_entry(z, i, x);
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
