//! Tiny matrices whose norms are known, and their division.

use std::ops::Range;

use crate::simd::{Lanes, Load, Real, Save, Simd, Vector};

use super::divide::{Ratio, divide_streaming};
use super::entry::Entry;
use super::tiny::Cells;

/// A group of matrices whose division is still to be made.
pub(super) struct Solved<A, const L: usize> {
    pub(super) group: Range<usize>,
    /// The lanes that were done, as bits.
    pub(super) done: u32,
    pub(super) divisors: Entry<A, L>,
}

impl<A: Real, const L: usize> Solved<A, L> {
    /// No matrices.
    pub(super) fn none() -> Self {
        Self { group: 0..0, done: 0, divisors: Entry([A::ZERO; L]) }
    }

    /// Divides the matrices of some of the lanes, where they are done.
    #[inline(always)]
    pub(super) fn divide<S, T>(
        &self,
        s: S,
        size: usize,
        some: Range<usize>,
        stream: bool,
        cells: &mut Cells<'_, T>,
    ) where
        S: Simd + Lanes<A, L>,
        T: Save<A, L>,
        A: Load<A, L>,
    {
        let Self { group, done, divisors } = self;
        for l in some.start..some.end.min(group.len()) {
            let own = (group.start + l) * size..(group.start + l + 1) * size;
            match cells {
                _ if done >> l & 1 == 0 => {}
                Cells::Apart(_, None) => {}
                Cells::Apart(a, Some(out)) if stream => {
                    let ratio = Ratio::ordinary(divisors[l]);
                    divide_streaming(s, &a[own.clone()], ratio, &mut out[own]);
                }
                Cells::Apart(a, Some(out)) => {
                    divide(s, Some(&a[own.clone()]), &mut out[own], s.splat(divisors[l]), None);
                }
                Cells::InPlace(out) => {
                    divide(s, None, &mut out[own], s.splat(divisors[l]), None);
                }
            }
        }
    }

    /// Divides the matrices of a group, of which a vector goes over several. Those that are not done are divided by
    /// one: they stay what they are, or are written again later.
    #[inline(always)]
    pub(super) fn divide_spread<S, T>(
        &self,
        s: S,
        size: usize,
        spread: &Spread<L>,
        cells: &mut Cells<'_, T>,
    ) where
        S: Simd + Lanes<A, L>,
        T: Save<A, L>,
        A: Load<A, L>,
    {
        let Self { group, divisors, .. } = self;
        let range = group.start * size..group.end * size;
        let (a, out) = match cells {
            Cells::Apart(_, None) => return,
            Cells::Apart(a, Some(out)) => (Some(&a[range.clone()]), &mut out[range]),
            Cells::InPlace(out) => (None, &mut out[range]),
        };
        divide(s, a, out, s.load(divisors), Some(spread));
    }
}

/// Whose element each lane holds of vectors that go over matrices of fewer than `L` elements.
pub(super) struct Spread<const L: usize>([Entry<u32, L>; L]);

impl<const L: usize> Spread<L> {
    pub(super) fn new(size: usize) -> Self {
        let matrix_of = |k: usize, l: usize| ((k * L + l) / size) as u32;
        let chunks = if size < L { size } else { 0 };
        let mut lanes = [Entry([0; L]); L];
        for (k, chunk) in lanes.iter_mut().enumerate().take(chunks) {
            *chunk = Entry(std::array::from_fn(|l| matrix_of(k, l)));
        }
        Self(lanes)
    }
}

/// The divisors of chunk `k`, which are those of the lanes unless they are spread.
#[inline(always)]
fn divisor_of<A: Real, V: Vector<A, L>, const L: usize>(
    divisors: V,
    spread: Option<&Spread<L>>,
    k: usize,
) -> V {
    match spread {
        Some(spread) => divisors.permute(&spread.0[k]),
        None => divisors,
    }
}

/// `out = a / divisors`, or `out /= divisors` where there is no `a`: lane by lane, or each matrix by its
/// lane when they are spread.
#[inline(always)]
fn divide<S, T, A, const L: usize>(
    s: S,
    a: Option<&[T]>,
    out: &mut [T],
    divisors: <S as Lanes<A, L>>::V,
    spread: Option<&Spread<L>>,
) where
    S: Simd + Lanes<A, L>,
    T: Save<A, L>,
    A: Real,
{
    let (slots, last) = out.as_chunks_mut::<L>();
    let (chunks, tail) = a.map_or((None, None), |a| {
        let (chunks, tail) = a.as_chunks::<L>();
        (Some(chunks), Some(tail))
    });
    let n = slots.len();
    for k in 0..n {
        let x = T::load(s, chunks.map_or(&slots[k], |chunks| &chunks[k]));
        T::save(s, x.div(divisor_of(divisors, spread, k)), &mut slots[k]);
    }
    if !last.is_empty() {
        let x = T::load_partial(s, tail.unwrap_or(last));
        T::save(s, x.div(divisor_of(divisors, spread, n)), last);
    }
}
