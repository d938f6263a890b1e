//! `a / d`, element by element: the last thing that happens to a normalised matrix.

use crate::scalar::{exponent, power_of_two};
use crate::simd::{Kernel, Lanes, Real, Save, Simd, Vector};

/// What every element is divided by: `a / d` is computed as `(a * shift) / divisor`, where `shift`
/// is one unless `d` lies near the edge of the range of `A`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ratio<A> {
    shift: A,
    divisor: A,
}

impl<A: Real> Ratio<A> {
    /// The ratio for a divisor of any size, zero, infinity and NaN included.
    pub(crate) fn new(d: f64) -> Self {
        let limit = A::SAFE_EXPONENT;
        if d == 0.0 || !d.is_finite() || exponent(d).abs() <= limit {
            return Self { shift: A::from_f64(1.0), divisor: A::from_f64(d) };
        }
        let shift = power_of_two(-exponent(d).clamp(-limit, limit));
        Self { shift: A::from_f64(shift), divisor: A::from_f64(d * shift) }
    }
}

/// `dst = src / d`.
pub(crate) struct Divide<'a, T, A> {
    pub(crate) src: &'a [T],
    pub(crate) ratio: Ratio<A>,
    pub(crate) dst: &'a mut [T],
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
        T::save(T::load(s, chunk).mul(shift).div(divisor), slot);
    }
    if !tail.is_empty() {
        T::save(T::load_partial(s, tail).mul(shift).div(divisor), last);
    }
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
        T::save(T::load(s, slot).mul(shift).div(divisor), slot);
    }
    if !last.is_empty() {
        T::save(T::load_partial(s, last).mul(shift).div(divisor), last);
    }
}

/// Implements the kernels for the two accumulators.
macro_rules! impl_divide {
    ($($a:ty, $lanes:literal;)*) => {$(
        impl<T: Save<$a, $lanes>> Kernel for Divide<'_, T, $a> {
            type Output = ();
            #[inline(always)]
            fn eval<S: Simd>(self, s: S) {
                divide::<S, T, $a, $lanes>(s, self.src, self.ratio, self.dst);
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
