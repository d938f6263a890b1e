//! Sums and maxima: the dot product, the 2-norm, and what a pass learns of a matrix's entries.

use std::ops::Range;

use crate::matrix::MatRef;
use crate::simd::{Kernel, Lanes, Level, Load, Real, Simd, Vector};

use super::rows::dots;

struct Dot<'a> {
    x: &'a [f64],
    y: &'a [f64],
}

impl Kernel for Dot<'_> {
    type Output = f64;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> f64 {
        let [sum] = dots::<S, f64, f64, 8, 1>(s, [self.x], self.y);
        sum
    }
}

/// `x . y`.
pub(crate) fn dot(level: Level, x: &[f64], y: &[f64]) -> f64 {
    assert_eq!(x.len(), y.len(), "lengths of x and y");
    level.run(Dot { x, y })
}

/// The 2-norm of a finite vector, without overflow or underflow of the squares.
pub(crate) fn nrm2(level: Level, x: &[f64]) -> f64 {
    let sum = dot(level, x, x);
    if (1e-280..1e280).contains(&sum) || !sum.is_finite() && x.iter().any(|x| !x.is_finite()) {
        return sum.sqrt();
    }
    let largest = x.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    if largest == 0.0 {
        return 0.0;
    }
    // Dividing by the largest entry would round; two exact powers of two reach any exponent.
    let (half, rest) = crate::scalar::halved_power(-crate::scalar::exponent(largest));
    let sum: f64 = x.iter().map(|x| (x * half * rest) * (x * half * rest)).sum();
    sum.sqrt() / half / rest
}

/// Largest magnitude and sum of squares of a range of rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Moments {
    pub(crate) max_abs: f64,
    pub(crate) sum_of_squares: f64,
}

impl Moments {
    /// The moments of nothing.
    pub(crate) const EMPTY: Self = Self { max_abs: 0.0, sum_of_squares: 0.0 };

    /// The moments of two disjoint pieces, `self` the earlier one.
    pub(crate) fn join(self, later: Self) -> Self {
        Self {
            max_abs: self.max_abs.max(later.max_abs),
            sum_of_squares: self.sum_of_squares + later.sum_of_squares,
        }
    }
}

/// Gathers [`Moments`] of `scale * A` over `columns` of `rows`.
pub(crate) struct Survey<'a, T> {
    pub(crate) a: MatRef<'a, T>,
    pub(crate) rows: Range<usize>,
    pub(crate) columns: Range<usize>,
    pub(crate) scale: f64,
}

impl<T: Load<f64, 8>> Kernel for Survey<'_, T> {
    type Output = Moments;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> Moments {
        let mut moments = Moments::EMPTY;
        for i in self.rows {
            let row = &self.a.row(i)[self.columns.clone()];
            let (max_abs, sum_of_squares) = row_moments::<S, T, f64, 8>(s, row, self.scale);
            moments = moments.join(Moments { max_abs, sum_of_squares });
        }
        moments
    }
}

/// Independent accumulators of a survey.
const CHAINS: usize = 4;

/// The largest magnitude and the sum of squares of `scale * row`.
#[inline(always)]
pub(super) fn row_moments<S, T, A, const L: usize>(s: S, row: &[T], scale: A) -> (A, A)
where
    S: Simd + Lanes<A, L>,
    T: Load<A, L>,
    A: Real,
{
    let scale = s.splat(scale);
    let zero = s.splat(A::ZERO);
    // One chain of maxima, or two of sums, would wait for itself.
    let (mut max, mut sums) = ([zero; CHAINS], [zero; CHAINS]);
    let (chunks, tail) = row.as_chunks::<L>();
    let (groups, rest) = chunks.as_chunks::<CHAINS>();
    for group in groups {
        for k in 0..CHAINS {
            let x = T::load(s, &group[k]).mul(scale);
            max[k] = max[k].max_abs(x);
            sums[k] = x.mul_add(x, sums[k]);
        }
    }
    for (k, chunk) in rest.iter().enumerate() {
        let x = T::load(s, chunk).mul(scale);
        max[k] = max[k].max_abs(x);
        sums[k] = x.mul_add(x, sums[k]);
    }
    if !tail.is_empty() {
        let x = T::load_partial(s, tail).mul(scale);
        max[CHAINS - 1] = max[CHAINS - 1].max_abs(x);
        sums[CHAINS - 1] = x.mul_add(x, sums[CHAINS - 1]);
    }
    let max = max[0].max_abs(max[1]).max_abs(max[2].max_abs(max[3]));
    (max.max(), sums[0].add(sums[1]).add(sums[2].add(sums[3])).sum())
}
