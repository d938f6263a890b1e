//! The spectral norms of eight matrices of up to three columns, at one go.
//!
//! The arithmetic is that of `eight` and `three`, step by step, so the bits are theirs; what is
//! saved is the way through memory and the work of scaling each lane for itself.

use crate::simd::{Kernel, Lanes, Simd, Vector};

use super::eight::{Entry, V, lanes, top_of_two};
use super::three::top_of_three;

/// Largest entries between this and its reciprocal are scaled by a single power of two.
const ORDINARY: f64 = power_of_two(500);

/// Sums of squares beyond this, or none at all, come of entries that are not ordinary.
const LARGEST_SUM: f64 = power_of_two(1020);

const fn power_of_two(e: u64) -> f64 {
    f64::from_bits((1023 + e) << 52)
}

/// The norms, unless some matrix is zero, broken or near the ends of the range; `None` as well for
/// more than three columns.
pub(crate) struct Norms<'w> {
    pub(crate) ncols: usize,
    pub(crate) entries: &'w [Entry],
}

impl Kernel for Norms<'_> {
    type Output = Option<Entry>;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> Option<Entry> {
        match self.ncols {
            1 => norms::<S, 1>(s, self.entries),
            2 => norms::<S, 2>(s, self.entries),
            3 => norms::<S, 3>(s, self.entries),
            _ => None,
        }
    }
}

#[inline(always)]
fn norms<S: Simd, const N: usize>(s: S, entries: &[Entry]) -> Option<Entry> {
    let (zero, one) = (splat(s, 0.0), splat(s, 1.0));
    let rows = entries.as_chunks::<N>().0;
    let (mut max, mut sum) = (zero, zero);
    for row in rows {
        for x in row {
            let x = Lanes::<f64, 8>::load(s, x);
            max = max.max_abs(x);
            sum = x.mul_add(x, sum);
        }
    }
    let is_odd = sum.select_le(splat(s, LARGEST_SUM), zero, one);
    let is_odd = max.select_le(splat(s, ORDINARY), is_odd, one);
    let is_odd = splat(s, 1.0 / ORDINARY).select_le(max, is_odd, one);
    if is_odd.max() != 0.0 {
        return None;
    }
    let unit = max.power_below();
    let factor = one.div(unit);
    // The lower triangle of the Gram matrix.
    let mut gram = [[zero; N]; N];
    for row in rows {
        let mut scaled = [zero; N];
        for j in 0..N {
            scaled[j] = Lanes::<f64, 8>::load(s, &row[j]).mul(factor);
            for i in 0..=j {
                gram[j][i] = scaled[j].mul_add(scaled[i], gram[j][i]);
            }
        }
    }
    Some(lanes(top(s, gram.as_flattened()).sqrt().mul(unit)))
}

#[inline(always)]
fn splat<S: Simd>(s: S, x: f64) -> V<S> {
    Lanes::<f64, 8>::splat(s, x)
}

/// The largest eigenvalue of the symmetric matrix whose rows are given, up to the diagonal each.
#[inline(always)]
fn top<S: Simd>(s: S, gram: &[V<S>]) -> V<S> {
    match *gram {
        [a] => a,
        [a, _, b, c] => top_of_two(s, a, c, b),
        [a, _, _, d, b, _, e, f, c] => top_of_three(s, [a, b, c], [d, e, f]),
        _ => unreachable!("there are one, two or three columns"),
    }
}

#[cfg(test)]
#[path = "../../tests/rust/unit/norms.rs"]
mod tests;
