//! Level-1 operations on vectors of doubles.

use crate::simd::{Kernel, Lanes, Level, Real, Simd, Vector};

use super::rows::update;

struct Axpy<'a> {
    alpha: f64,
    x: &'a [f64],
    y: &'a mut [f64],
}

impl Kernel for Axpy<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        update::<S, f64, f64, 8, 1>(s, [self.alpha], [self.x], self.y);
    }
}

/// `y += alpha * x`.
pub(crate) fn axpy(level: Level, alpha: f64, x: &[f64], y: &mut [f64]) {
    assert_eq!(x.len(), y.len(), "lengths of x and y");
    level.run(Axpy { alpha, x, y });
}

struct Scale<'a> {
    alpha: f64,
    x: &'a [f64],
    y: &'a mut [f64],
}

impl Scale<'_> {
    #[inline(always)]
    fn body<S: Simd + Lanes<A, L>, A: Real, const L: usize>(s: S, alpha: A, x: &[A], y: &mut [A]) {
        let factor = s.splat(alpha);
        let (xs, x_tail) = x.as_chunks::<L>();
        let (ys, y_tail) = y.as_chunks_mut::<L>();
        for (x, y) in xs.iter().zip(ys) {
            factor.mul(s.load(x)).store(y);
        }
        if !x_tail.is_empty() {
            factor.mul(s.load_partial(x_tail)).store_partial(y_tail);
        }
    }
}

impl Kernel for Scale<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        Self::body::<S, f64, 8>(s, self.alpha, self.x, self.y);
    }
}

/// `y = alpha * x`.
pub(crate) fn scale(level: Level, alpha: f64, x: &[f64], y: &mut [f64]) {
    assert_eq!(x.len(), y.len(), "lengths of x and y");
    level.run(Scale { alpha, x, y });
}
