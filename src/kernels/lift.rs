//! Elements in single precision, and those that are fetched before they are needed.

use crate::simd::{Lanes, Load, Simd, Vector};

use super::panel::PANEL;
use super::rows::Strip;

/// Loads elements in single precision, multiplied by a power of two if `SCALED`.
#[derive(Clone, Copy)]
pub(super) struct Lift<S: Simd, const SCALED: bool> {
    pub(super) s: S,
    first: <S as Lanes<f32, 16>>::V,
    rest: <S as Lanes<f32, 16>>::V,
}

impl<S: Simd, const SCALED: bool> Lift<S, SCALED> {
    #[inline(always)]
    pub(super) fn new(s: S, (first, rest): (f32, f32)) -> Self {
        let splat = <S as Lanes<f32, 16>>::splat;
        Self { s, first: splat(s, first), rest: splat(s, rest) }
    }

    /// Vector `i` of those that the elements make.
    #[inline(always)]
    pub(super) fn load_nth<T: Load<f32, 16>>(
        self,
        src: &[T; 16],
        i: usize,
    ) -> <S as Lanes<f32, 16>>::V {
        let x = T::load_nth(self.s, src, i);
        if SCALED { x.mul(self.first).mul(self.rest) } else { x }
    }

    #[inline(always)]
    pub(super) fn load_partial<T: Load<f32, 16>>(self, src: &[T]) -> <S as Lanes<f32, 16>>::V {
        let x = T::load_partial(self.s, src);
        if SCALED { x.mul(self.first).mul(self.rest) } else { x }
    }

    #[inline(always)]
    pub(super) fn load_at<T: Load<f32, 16>>(
        self,
        src: &[T],
        first: usize,
    ) -> <S as Lanes<f32, 16>>::V {
        let x = T::load_at(self.s, src, first);
        if SCALED { x.mul(self.first).mul(self.rest) } else { x }
    }

    #[inline(always)]
    pub(super) fn splat(self, x: f32) -> <S as Lanes<f32, 16>>::V {
        <S as Lanes<f32, 16>>::splat(self.s, x)
    }

    #[inline(always)]
    pub(super) fn panel(self, src: &[f32; 16]) -> <S as Lanes<f32, 16>>::V {
        <S as Lanes<f32, 16>>::load(self.s, src)
    }
}

/// Up to two rows of the strip to come, fetched chunk by chunk as they lie in memory.
#[derive(Clone, Copy)]
pub(super) struct Ahead<'a, T> {
    rows: [&'a [[T; PANEL]]; 2],
    n: usize,
}

impl<'a, T: Load<f32, 16>> Ahead<'a, T> {
    /// No rows, where they have been fetched already.
    pub(super) const fn nothing() -> Self {
        Self { rows: [&[]; 2], n: 0 }
    }

    /// `count` rows from row `i` on, as far as the strip has them.
    #[inline(always)]
    pub(super) fn of(strip: &Strip<'a, T>, i: usize, count: usize) -> Self {
        let mut rows = [&[][..]; 2];
        for (r, row) in rows[..count].iter_mut().enumerate() {
            if i + r < strip.nrows() {
                *row = strip.row(i + r).as_chunks::<PANEL>().0;
            }
        }
        Self { rows, n: rows[0].len() }
    }

    /// Fetches chunks `first .. first + W` of all, if one row has them: an answer for each of them would
    /// take longer than what it saves.
    #[inline(always)]
    pub(super) fn fetch<S: Simd, const W: usize>(self, s: S, first: usize) {
        let (row, at) = match first.checked_sub(self.n) {
            None => (self.rows[0], first),
            Some(at) => (self.rows[1], at),
        };
        if let Some(chunks) = row.get(at..at + W) {
            for chunk in chunks {
                s.prefetch(chunk);
            }
        }
    }
}
