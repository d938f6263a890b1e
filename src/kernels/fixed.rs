//! Rows rounded to integers of 16 bits, and what the same read learns of their entries.
//!
//! Two integers share a word, so that one conversion makes single precision of sixteen upper ones: of a
//! cache line of words, the upper halves are sixteen numbers and the lower ones the sixteen that follow. What
//! lies below an upper half counts as its fraction, and it is rounded with that in mind.

use std::ops::Range;

use crate::matrix::MatRef;
use crate::simd::{Kernel, LINE, Lanes, Load, Simd, Vector};

use super::reduce::{Moments, row_moments};

/// Words of a cache line, which hold twice as many numbers.
pub(crate) const WORDS: usize = LINE / size_of::<i32>();

/// The exponent of the unit that numbers are loaded in.
pub(crate) const UNIT_EXPONENT: i32 = 16;

/// The integer that the largest entry of a row becomes.
const LARGEST: f32 = i16::MAX as f32;

/// `x + SHIFT` has the integer nearest to `x` in its last bits, while that fits 16 of them.
const SHIFT: f32 = 1.5 * (1 << 23) as f32;

/// Rows of smaller entries become zeros: the squares of their steps would be no normal numbers.
const LEAST: f64 = 1e-14;

/// What an entry is off by at most, in steps of its row, since both the step and its reciprocal are rounded.
const OFF_BY_STEPS: f64 = 0.004;

/// The lower half of a word.
const LOWER: u32 = 0xffff;

/// What may be lost of a sum of squares in single precision.
const LOST: f64 = 1e-3;

/// Numbers of a row that are looked at before more of the next one are fetched: few, since a core waits for few
/// lines at a time.
const PIECE: usize = 256;

/// Makes integers of `rows` of `A`, each row in steps of its own, and gathers the [`Moments`] of what
/// they were.
pub(crate) struct FixRows<'a, 'w> {
    pub(crate) a: MatRef<'a, f32>,
    pub(crate) rows: Range<usize>,
    /// Words from a row to the next, whole lines.
    pub(crate) stride: usize,
    pub(crate) out: &'w mut [i32],
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
        let end = self.rows.end;
        let out = self.out.chunks_mut(self.stride).zip(self.squares);
        for (i, (out, square)) in self.rows.zip(out) {
            let row = self.a.row(i);
            // One half of the next row is fetched as this one is looked at, the other as it is rounded.
            let next = if i + 1 < end { self.a.row(i + 1) } else { &[] };
            let (early, late) = next.split_at(next.len() / 2);
            let of_row = look(s, row, early);
            moments = moments.join(of_row);
            let Moments { max_abs, .. } = of_row;
            if max_abs < LEAST {
                out.fill(0);
                (*square, off) = (0.0, off + ncols * max_abs * max_abs);
                continue;
            }
            let (step, steps) = (max_abs as f32 / LARGEST, LARGEST / max_abs as f32);
            *square = step * step;
            let sum = f64::from(fix_row(s, (row, late), steps, out)) * (1.0 + LOST);
            let of_row = f64::from(step) * (sum.sqrt() + OFF_BY_STEPS * ncols.sqrt());
            off += of_row * of_row;
        }
        (moments, off)
    }
}

/// The moments of a row; what comes `next` is fetched meanwhile.
#[inline(always)]
fn look<S: Simd>(s: S, row: &[f32], next: &[f32]) -> Moments {
    let mut moments = Moments::EMPTY;
    let mut ahead = next.chunks(PIECE / 2);
    for piece in row.chunks(PIECE) {
        for line in ahead.next().unwrap_or_default().chunks(WORDS) {
            s.prefetch(&line[0]);
        }
        let (max_abs, sum_of_squares) = row_moments::<S, f32, f64, 8>(s, piece, 1.0);
        moments = moments.join(Moments { max_abs, sum_of_squares });
    }
    moments
}

/// Stores the integers nearest to `steps * row`; the sum of the squares of what they are off by. What comes
/// `next` is fetched meanwhile.
#[inline(always)]
fn fix_row<S: Simd>(s: S, (row, next): (&[f32], &[f32]), steps: f32, words: &mut [i32]) -> f32 {
    let splat = <S as Lanes<f32, 16>>::splat;
    let (steps, shift, minus) = (splat(s, steps), splat(s, SHIFT), splat(s, -1.0));
    let mut sums = [splat(s, 0.0); 2];
    let (mut upper, mut lower, mut fractions) = ([0.0; WORDS], [0.0; WORDS], [0.0; WORDS]);
    let pairs = row.chunks(2 * WORDS).zip(words.as_chunks_mut::<WORDS>().0);
    for (k, (pair, words)) in pairs.enumerate() {
        if let Some(number) = next.get(WORDS * k) {
            s.prefetch(number);
        }
        let (first, second) = pair.split_at(pair.len().min(WORDS));
        let x = <f32 as Load<f32, 16>>::load_first(s, second);
        let shifted = x.mul(steps).add(shift);
        let off = x.mul_add(steps, shifted.sub(shift).mul(minus));
        sums[1] = off.mul_add(off, sums[1]);
        shifted.store(&mut lower);
        for (fraction, x) in fractions.iter_mut().zip(&lower) {
            *fraction = (x.to_bits() & LOWER) as i32 as f32 / (LOWER + 1) as f32;
        }
        let fraction = <S as Lanes<f32, 16>>::load(s, &fractions);
        let x = <f32 as Load<f32, 16>>::load_first(s, first);
        let shifted = x.mul_add(steps, fraction.mul(minus)).add(shift);
        // The sum is rounded as the load of the word will be.
        let off = x.mul_add(steps, shifted.sub(shift).add(fraction).mul(minus));
        sums[0] = off.mul_add(off, sums[0]);
        shifted.store(&mut upper);
        for ((word, x), y) in words.iter_mut().zip(&upper).zip(&lower) {
            *word = (x.to_bits() << 16 | y.to_bits() & LOWER) as i32;
        }
    }
    sums[0].add(sums[1]).sum()
}
