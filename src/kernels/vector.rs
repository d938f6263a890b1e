//! Level-1 operations on vectors.

use crate::simd::{Kernel, Lanes, Level, Real, Simd, Vector};

/// `y += alpha * x`.
pub(super) struct Axpy<'a, A> {
    pub(super) alpha: A,
    pub(super) x: &'a [A],
    pub(super) y: &'a mut [A],
}

impl<A: Real> Axpy<'_, A> {
    #[inline(always)]
    fn body<S: Simd + Lanes<A, L>, const L: usize>(self, s: S) {
        let Self { alpha, x, y } = self;
        let factor = s.splat(alpha);
        let (xs, x_tail) = x.as_chunks::<L>();
        let (ys, y_tail) = y.as_chunks_mut::<L>();
        for (x, y) in xs.iter().zip(ys) {
            factor.mul_add(s.load(x), s.load(y)).store(y);
        }
        if !x_tail.is_empty() {
            let sum = factor.mul_add(s.load_partial(x_tail), s.load_partial(y_tail));
            sum.store_partial(y_tail);
        }
    }
}

impl Kernel for Axpy<'_, f64> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        self.body::<S, 8>(s);
    }
}

impl Kernel for Axpy<'_, f32> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        self.body::<S, 16>(s);
    }
}

/// `y += alpha * x`.
pub(crate) fn axpy(level: Level, alpha: f64, x: &[f64], y: &mut [f64]) {
    assert_eq!(x.len(), y.len(), "lengths of x and y");
    level.run(Axpy { alpha, x, y });
}

/// `y = alpha * x`.
pub(super) struct Scale<'a, A> {
    pub(super) alpha: A,
    pub(super) x: &'a [A],
    pub(super) y: &'a mut [A],
}

impl<A: Real> Scale<'_, A> {
    #[inline(always)]
    fn body<S: Simd + Lanes<A, L>, const L: usize>(self, s: S) {
        let Self { alpha, x, y } = self;
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

impl Kernel for Scale<'_, f64> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        self.body::<S, 8>(s);
    }
}

impl Kernel for Scale<'_, f32> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        self.body::<S, 16>(s);
    }
}

/// `y = alpha * x`.
pub(crate) fn scale(level: Level, alpha: f64, x: &[f64], y: &mut [f64]) {
    assert_eq!(x.len(), y.len(), "lengths of x and y");
    level.run(Scale { alpha, x, y });
}
