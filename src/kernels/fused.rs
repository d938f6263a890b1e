//! The fused pass: `t = A x` and `z = A' (scale * t)` at one read of `A`.
//!
//! The caller scales `x`, the kernel scales `t`: together they scale `A` by a power of two, twice.
//! By rows, a strip of rows is multiplied with `x` and, while still in a near cache, added to `z`
//! with the products just found. By columns, for the transposed operator, a strip of columns takes
//! both halves in the other order.

use std::ops::Range;

use crate::matrix::MatRef;
use crate::scalar::Element;
use crate::simd::{Kernel, Lanes, Level, Load, Real, Simd};

use super::rows::{Strip, products, update};

/// Rows of a strip: at most so many, that their products fit a small array.
const MAX_ROWS: usize = 64;

/// Rows of a strip: at least so many, to spread the cost of reading and writing `z`. Measured on
/// rows of 8 and 16 KiB: eight leave the first-level cache and lose 15 %.
const MIN_ROWS: usize = 4;

/// Bytes of a strip that stays in the first-level cache.
const NEAR: usize = 32 << 10;

/// Bytes above which a matrix does not stay in the second-level cache between passes, so that
/// rows are worth fetching ahead of their use.
const LARGE: usize = 1 << 20;

/// Elements of a strip of columns, which is read twice and should stay in the second-level cache.
const COLUMN_STRIP: usize = 1 << 18;

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

impl<'a, T: Element, A: Real> FusedRows<'a, '_, T, A> {
    #[inline(always)]
    fn body<S, const L: usize>(self, s: S)
    where
        S: Simd + Lanes<A, L>,
        T: Load<A, L>,
        A: Load<A, L>,
    {
        let Self { a, range, x, scale, t, z } = self;
        let cut = |start: usize, nrows: usize| Strip {
            a,
            rows: start..(start + nrows).min(range.end),
            columns: 0..a.ncols(),
        };
        let step = strip_rows::<T>(a.ncols());
        let fetches = a.nrows() * a.ncols() * T::SIZE > LARGE;
        let mut scaled = [A::ZERO; MAX_ROWS];
        let mut strip = cut(range.start, step);
        for t in t.chunks_mut(step) {
            products::<S, T, A, L>(s, &strip, x, t);
            for (y, &x) in scaled.iter_mut().zip(&*t) {
                *y = x * scale;
            }
            let next = cut(strip.rows.end, step);
            // The other half arrives while the next strip's products are taken.
            let ahead = cut(strip.rows.end, if fetches { step / 2 } else { 0 });
            update::<S, T, A, L>(s, &scaled[..t.len()], &strip, &ahead, z);
            strip = next;
        }
    }
}

/// As many rows as the first-level cache holds, within limits.
fn strip_rows<T: Element>(ncols: usize) -> usize {
    (NEAR / (ncols * T::SIZE).max(1)).clamp(MIN_ROWS, MAX_ROWS) / 4 * 4
}

impl<T: Load<f64, 8>> Kernel for FusedRows<'_, '_, T, f64> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        self.body::<S, 8>(s);
    }
}

impl<T: Load<f32, 16>> Kernel for FusedRows<'_, '_, T, f32> {
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

/// Columns of a strip, a function of the shape alone since `z` adds up one product per strip.
pub(crate) fn strip_columns(nrows: usize) -> usize {
    (COLUMN_STRIP / nrows.max(1)).clamp(64, 512) / 64 * 64
}

impl<T: Load<f64, 8>> Kernel for FusedCols<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let nrows = self.a.nrows();
        let mut start = self.range.start;
        for t in self.t.chunks_mut(strip_columns(nrows)) {
            let columns = start..start + t.len();
            start = columns.end;
            t.fill(0.0);
            let strip = Strip { a: self.a, rows: 0..nrows, columns: columns.clone() };
            update::<S, T, f64, 8>(s, self.x, &strip, &strip.no_rows(), t);
            let mut scaled = [0.0; 512];
            for (y, x) in scaled.iter_mut().zip(&*t) {
                *y = x * self.scale;
            }
            for (i, z) in self.z.chunks_mut(MAX_ROWS).enumerate() {
                let rows = i * MAX_ROWS..i * MAX_ROWS + z.len();
                let mut sums = [0.0; MAX_ROWS];
                let part = Strip { a: self.a, rows, columns: columns.clone() };
                products::<S, T, f64, 8>(s, &part, &scaled[..t.len()], &mut sums[..z.len()]);
                z.iter_mut().zip(sums).for_each(|(z, sum)| *z += sum);
            }
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
