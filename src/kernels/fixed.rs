//! Rows rounded to integers of 16 bits, and what the same read learns of their entries.

use std::ops::Range;

use crate::matrix::MatRef;
use crate::simd::{Kernel, Lanes, Load, Simd, Vector};

use super::reduce::{Moments, row_moments};

/// The integer that the largest entry of a row becomes.
const LARGEST: f32 = i16::MAX as f32;

/// `x + SHIFT` has the integer nearest to `x` in its last bits, while that fits 16 of them.
const SHIFT: f32 = 1.5 * (1 << 23) as f32;

/// Rows of smaller entries become zeros: their steps would be no normal numbers.
const LEAST: f64 = 1e-30;

/// What an entry is off by at most, in steps of its row, since both the step and its reciprocal are rounded.
const OFF_BY_STEPS: f64 = 0.004;

/// What may be lost of a sum of squares in single precision.
const LOST: f64 = 1e-3;

/// Makes integers of `rows` of `A`, each row in steps of its own, and gathers the [`Moments`] of what
/// they were.
pub(crate) struct FixRows<'a, 'w> {
    pub(crate) a: MatRef<'a, f32>,
    pub(crate) rows: Range<usize>,
    /// Numbers from a row to the next.
    pub(crate) stride: usize,
    pub(crate) out: &'w mut [i16],
    /// The square of the step of each row.
    pub(crate) squares: &'w mut [f32],
}

impl Kernel for FixRows<'_, '_> {
    /// The moments, and a bound on the sum of the squares of what the entries are off by.
    type Output = (Moments, f64);
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> (Moments, f64) {
        let (mut moments, mut off) = (Moments::EMPTY, 0.0);
        let ncols = self.a.ncols() as f64;
        let out = self.out.chunks_mut(self.stride).zip(self.squares);
        for (i, (out, square)) in self.rows.zip(out) {
            let row = self.a.row(i);
            let (max_abs, sum_of_squares) = row_moments::<S, f32, f64, 8>(s, row, 1.0);
            moments = moments.join(Moments { max_abs, sum_of_squares });
            if max_abs < LEAST {
                out.fill(0);
                (*square, off) = (0.0, off + ncols * max_abs * max_abs);
                continue;
            }
            let (step, steps) = (max_abs as f32 / LARGEST, LARGEST / max_abs as f32);
            *square = step * step;
            let sum = f64::from(fix_row(s, row, steps, out)) * (1.0 + LOST);
            let of_row = f64::from(step) * (sum.sqrt() + OFF_BY_STEPS * ncols.sqrt());
            off += of_row * of_row;
        }
        (moments, off)
    }
}

/// Stores the integers nearest to `steps * row`; the sum of the squares of what they are off by.
#[inline(always)]
fn fix_row<S: Simd>(s: S, row: &[f32], steps: f32, out: &mut [i16]) -> f32 {
    let splat = <S as Lanes<f32, 16>>::splat;
    let (steps, shift, minus) = (splat(s, steps), splat(s, SHIFT), splat(s, -1.0));
    let mut sums = [splat(s, 0.0); 2];
    let mut lanes = [0.0; 16];
    for (k, (chunk, out)) in row.chunks(16).zip(out.chunks_mut(16)).enumerate() {
        let x = <f32 as Load<f32, 16>>::load_first(s, chunk);
        let shifted = x.mul(steps).add(shift);
        let off = x.mul_add(steps, shifted.sub(shift).mul(minus));
        sums[k % 2] = off.mul_add(off, sums[k % 2]);
        shifted.store(&mut lanes);
        for (out, x) in out.iter_mut().zip(&lanes) {
            *out = x.to_bits() as i16;
        }
    }
    sums[0].add(sums[1]).sum()
}
