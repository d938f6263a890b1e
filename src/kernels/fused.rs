//! The fused pass: `t = A x` and `z = A' (scale * t)` at one read of `A`.
//!
//! The caller scales `x`, the kernel scales `t`: together they scale `A` by a power of two, twice.
//!
//! By rows, a group of rows is dotted with `x` and, while still in the nearest cache, added to `z`
//! with the products just found. By columns, for the transposed operator, a tile of columns that
//! fits the second-level cache takes both halves.

use std::ops::Range;

use crate::matrix::MatRef;
use crate::simd::{Kernel, Lanes, Level, Load, Real, Simd};

use super::rows::{dots, for_row_groups, update};

/// Columns of a tile of the pass by columns. A multiple of every lane count; 512 doubles of the
/// intermediate stay in the first-level cache beside the rows' pieces.
pub(crate) const TILE: usize = 512;

/// A piece of a fused pass over rows: `t` has one entry per row of `range`, `z` one per column
/// and is added to.
pub(crate) struct FusedRows<'a, 'w, T, A> {
    pub(crate) a: MatRef<'a, T>,
    pub(crate) range: Range<usize>,
    pub(crate) x: &'w [A],
    pub(crate) scale: A,
    pub(crate) t: &'w mut [A],
    pub(crate) z: &'w mut [A],
}

impl<T, A> FusedRows<'_, '_, T, A> {
    #[inline(always)]
    fn body<S, const L: usize>(self, s: S)
    where
        S: Simd + Lanes<A, L>,
        T: Load<A, L>,
        A: Real + Load<A, L>,
    {
        let first = self.range.start;
        for_row_groups!(S, self.range, |i, R| {
            let rows: [&[T]; R] = std::array::from_fn(|r| self.a.row(i + r));
            let t = dots::<S, T, A, L, R>(s, rows, self.x);
            self.t[i - first..i - first + R].copy_from_slice(&t);
            update::<S, T, A, L, R>(s, t.map(|x| x * self.scale), rows, self.z);
        });
    }
}

impl<T: Load<f64, 8>> Kernel for FusedRows<'_, '_, T, f64> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        self.body::<S, 8>(s);
    }
}

impl Kernel for FusedRows<'_, '_, f32, f32> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        self.body::<S, 16>(s);
    }
}

/// A piece of a fused pass over columns, the pass by rows of the transposed matrix: `t` has one
/// entry per column of `range`, `z` one per row and is added to.
pub(crate) struct FusedCols<'a, 'w, T> {
    pub(crate) a: MatRef<'a, T>,
    pub(crate) range: Range<usize>,
    pub(crate) x: &'w [f64],
    pub(crate) scale: f64,
    pub(crate) t: &'w mut [f64],
    pub(crate) z: &'w mut [f64],
}

impl<T: Load<f64, 8>> Kernel for FusedCols<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let mut columns = self.range.start;
        for t in self.t.chunks_mut(TILE) {
            let tile = columns..columns + t.len();
            columns = tile.end;
            t.fill(0.0);
            for_row_groups!(S, 0..self.a.nrows(), |i, R| {
                let rows: [&[T]; R] = std::array::from_fn(|r| &self.a.row(i + r)[tile.clone()]);
                let x: [f64; R] = std::array::from_fn(|r| self.x[i + r]);
                update::<S, T, f64, 8, R>(s, x, rows, t);
            });
            let mut scaled = [0.0; TILE];
            for (y, x) in scaled.iter_mut().zip(&*t) {
                *y = x * self.scale;
            }
            let scaled = &scaled[..t.len()];
            for_row_groups!(S, 0..self.a.nrows(), |i, R| {
                let rows: [&[T]; R] = std::array::from_fn(|r| &self.a.row(i + r)[tile.clone()]);
                let z = dots::<S, T, f64, 8, R>(s, rows, scaled);
                for r in 0..R {
                    self.z[i + r] += z[r];
                }
            });
        }
    }
}

/// `t = A v`, `z = A' t` in single precision, at one read of `A`.
///
/// # Panics
/// When `v` and `z` are not of length `ncols`, or `t` not of length `nrows`.
pub fn gram_matvec_f32(level: Level, a: MatRef<'_, f32>, v: &[f32], t: &mut [f32], z: &mut [f32]) {
    assert_eq!((v.len(), t.len(), z.len()), (a.ncols(), a.nrows(), a.ncols()), "lengths");
    z.fill(0.0);
    level.run(FusedRows { a, range: 0..a.nrows(), x: v, scale: 1.0, t, z });
}
