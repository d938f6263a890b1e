//! A matrix copied for many passes: in the precision of the steps, rows on cache lines of their own.
//!
//! Memory from an allocator lies 16 bytes past a cache line as a rule, so every second load touches
//! two lines; that and the tails of the rows cost a third of a pass. The entries behind a row are
//! zeros and add nothing, so the passes give the same bits.

use crate::matrix::MatRef;
use crate::simd::{Kernel, Lanes, Load, Real, Simd, Vector};

/// Copies a matrix to rows that are whole vectors long.
pub(crate) struct Pack<'a, 'w, T, A> {
    pub(crate) a: MatRef<'a, T>,
    pub(crate) rows: &'w mut [A],
}

impl<T, A> Pack<'_, '_, T, A> {
    #[inline(always)]
    fn body<S, const L: usize>(self, s: S)
    where
        S: Simd + Lanes<A, L>,
        T: Load<A, L>,
        A: Real,
    {
        let (rows, _) = self.rows.as_chunks_mut::<L>();
        let width = self.a.ncols().div_ceil(L).max(1);
        for (i, row) in rows.chunks_exact_mut(width).enumerate() {
            let (chunks, tail) = self.a.row(i).as_chunks::<L>();
            for (chunk, slot) in chunks.iter().zip(&mut *row) {
                T::load(s, chunk).store(slot);
            }
            if !tail.is_empty() {
                T::load_partial(s, tail).store(&mut row[width - 1]);
            }
        }
    }
}

impl<T: Load<f32, 16>> Kernel for Pack<'_, '_, T, f32> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        self.body::<S, 16>(s);
    }
}

impl<T: Load<f64, 8>> Kernel for Pack<'_, '_, T, f64> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        self.body::<S, 8>(s);
    }
}
