//! The largest modulus among complex numbers that lie as pairs of real and imaginary parts.

use crate::simd::{Kernel, LANES, Lanes, Level, Load, Simd, Vector};

struct LargestSquare<'a, T> {
    pairs: &'a [T],
    factors: (f64, f64),
}

impl<T: Load<f64, 8>> Kernel for LargestSquare<'_, T> {
    type Output = f64;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> f64 {
        let Self { pairs, factors } = self;
        let factors = (Lanes::<f64, 8>::splat(s, factors.0), Lanes::<f64, 8>::splat(s, factors.1));
        let firsts = Lanes::<f64, 8>::load(s, &std::array::from_fn(|i| (1 - i % 2) as f64));
        let mut max = Lanes::<f64, 8>::splat(s, 0.0);
        for at in (0..pairs.len()).step_by(LANES) {
            // Beside every part the one that follows it: in each second lane, that of its own pair.
            let part = T::load_first(s, &pairs[at..]).mul(factors.0).mul(factors.1);
            let next = T::load_first(s, &pairs[at + 1..]).mul(factors.0).mul(factors.1);
            let square = next.mul_add(next, part.mul(part));
            max = max.max_abs(square.mul(firsts));
        }
        max.max()
    }
}

/// The square of the largest modulus of finite numbers, each multiplied by both factors.
pub(crate) fn largest_square<T: Load<f64, 8>>(
    level: Level,
    pairs: &[T],
    factors: (f64, f64),
) -> f64 {
    level.run(LargestSquare { pairs, factors })
}
