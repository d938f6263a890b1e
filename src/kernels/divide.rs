//! `a / d`, element by element: the last thing that happens to a normalised matrix.

use crate::scalar::{exponent, power_of_two};
use crate::simd::{Kernel, LINE, Lanes, Real, Save, Simd, Vector};

/// What every element is divided by: `a / d` is computed as `(a * shift) / divisor`, where `shift`
/// is one unless `d` lies near the edge of the range of `A`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ratio<A> {
    pub(super) shift: A,
    pub(super) divisor: A,
}

impl<A: Real> Ratio<A> {
    /// The ratio for a divisor that lies far from the ends of the range.
    #[inline(always)]
    pub(super) fn ordinary(divisor: A) -> Self {
        Self { shift: A::from_f64(1.0), divisor }
    }

    /// The ratio for a divisor of any size, zero, infinity and NaN included.
    pub(crate) fn new(d: f64) -> Self {
        let limit = A::SAFE_EXPONENT;
        if d == 0.0 || !d.is_finite() || exponent(d).abs() <= limit {
            return Self::ordinary(A::from_f64(d));
        }
        let shift = power_of_two(-exponent(d).clamp(-limit, limit));
        Self { shift: A::from_f64(shift), divisor: A::from_f64(d * shift) }
    }

    /// The ratio for `d` in a unit of `2^unit`, which may be beyond the range.
    pub(crate) fn in_unit(d: f64, unit: i32) -> Self {
        match unit {
            0 => Self::new(d),
            _ => Self { shift: A::from_f64(power_of_two(-unit)), divisor: A::from_f64(d) },
        }
    }
}

/// What the matrices of a stack are divided by, given their sigma.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Divisor<'a> {
    /// One coefficient for each matrix, or one for all.
    pub(crate) coefficients: &'a [f64],
    /// Whether no matrix is made larger.
    pub(crate) soft: bool,
}

impl Divisor<'_> {
    /// The same for the matrices from `start` on.
    pub(crate) fn from(self, start: usize) -> Self {
        let cut = if self.coefficients.len() == 1 { 0 } else { start };
        Self { coefficients: &self.coefficients[cut..], ..self }
    }

    /// What matrix `i` is divided by, in the unit of its sigma, of which `one` is 1.
    #[inline(always)]
    pub(crate) fn of(self, i: usize, sigma: f64, one: f64) -> f64 {
        let d = sigma / self.coefficients[if self.coefficients.len() == 1 { 0 } else { i }];
        // Not `max`, which would hide a NaN.
        if self.soft && d < one { one } else { d }
    }
}

/// `dst = src / d`.
pub(crate) struct Divide<'a, T, A> {
    pub(crate) src: &'a [T],
    pub(crate) ratio: Ratio<A>,
    pub(crate) dst: &'a mut [T],
    /// Whether to store past the caches.
    pub(crate) stream: bool,
}

/// `data /= d`.
pub(crate) struct DivideInPlace<'a, T, A> {
    pub(crate) data: &'a mut [T],
    pub(crate) ratio: Ratio<A>,
}

#[inline(always)]
fn divide<S, T, A, const L: usize>(s: S, src: &[T], ratio: Ratio<A>, dst: &mut [T])
where
    S: Simd + Lanes<A, L>,
    T: Save<A, L>,
    A: Real,
{
    let (shift, divisor) = (s.splat(ratio.shift), s.splat(ratio.divisor));
    let (chunks, tail) = src.as_chunks::<L>();
    let (slots, last) = dst.as_chunks_mut::<L>();
    for (chunk, slot) in chunks.iter().zip(slots) {
        T::save(s, T::load(s, chunk).mul(shift).div(divisor), slot);
    }
    if !tail.is_empty() {
        T::save(s, T::load_partial(s, tail).mul(shift).div(divisor), last);
    }
}

/// As [`divide`], with aligned stores past the caches; the caller ends with a fence.
#[inline(always)]
pub(super) fn divide_streaming<S, T, A, const L: usize>(
    s: S,
    src: &[T],
    ratio: Ratio<A>,
    dst: &mut [T],
) where
    S: Simd + Lanes<A, L>,
    T: Save<A, L>,
    A: Real,
{
    let head = dst.as_ptr().align_offset(LINE).min(dst.len());
    let (head_src, src) = src.split_at(head);
    let (head_dst, dst) = dst.split_at_mut(head);
    divide::<S, T, A, L>(s, head_src, ratio, head_dst);
    let (shift, divisor) = (s.splat(ratio.shift), s.splat(ratio.divisor));
    let (chunks, tail) = src.as_chunks::<L>();
    let (slots, last) = dst.as_chunks_mut::<L>();
    for (chunk, slot) in chunks.iter().zip(slots) {
        T::stream(s, T::load(s, chunk).mul(shift).div(divisor), slot);
    }
    divide::<S, T, A, L>(s, tail, ratio, last);
}

#[inline(always)]
fn divide_in_place<S, T, A, const L: usize>(s: S, data: &mut [T], ratio: Ratio<A>)
where
    S: Simd + Lanes<A, L>,
    T: Save<A, L>,
    A: Real,
{
    let (shift, divisor) = (s.splat(ratio.shift), s.splat(ratio.divisor));
    let (slots, last) = data.as_chunks_mut::<L>();
    for slot in slots {
        T::save(s, T::load(s, slot).mul(shift).div(divisor), slot);
    }
    if !last.is_empty() {
        T::save(s, T::load_partial(s, last).mul(shift).div(divisor), last);
    }
}

/// Implements the kernels for the two accumulators.
macro_rules! impl_divide {
    ($($a:ty, $lanes:literal;)*) => {$(
        impl<T: Save<$a, $lanes>> Kernel for Divide<'_, T, $a> {
            type Output = ();
            #[inline(always)]
            fn eval<S: Simd>(self, s: S) {
                if self.stream {
                    divide_streaming::<S, T, $a, $lanes>(s, self.src, self.ratio, self.dst);
                    s.fence();
                } else {
                    divide::<S, T, $a, $lanes>(s, self.src, self.ratio, self.dst);
                }
            }
        }

        impl<T: Save<$a, $lanes>> Kernel for DivideInPlace<'_, T, $a> {
            type Output = ();
            #[inline(always)]
            fn eval<S: Simd>(self, s: S) {
                divide_in_place::<S, T, $a, $lanes>(s, self.data, self.ratio);
            }
        }
    )*};
}

impl_divide! {
    f32, 16;
    f64, 8;
}
