//! The gradient of a normalised matrix: the inner product of two matrices, and a matrix scaled and
//! corrected by a matrix of rank one.

use half::{bf16, f16};

use crate::simd::{Kernel, Lanes, Level, Load, Real, Save, Simd, Vector};

use super::step::{StepKernels, wide_dot};

/// Some packed rows of a correction: `out = scale * g + pull * u v'`.
pub(crate) struct Correction<'a, T, A> {
    pub(crate) g: &'a [T],
    pub(crate) scale: f64,
    pub(crate) pull: f64,
    /// One entry for each row.
    pub(crate) u: &'a [A],
    /// One entry for each column, at least one.
    pub(crate) v: &'a [A],
    pub(crate) out: &'a mut [T],
    /// Whether to store past the caches.
    pub(crate) stream: bool,
}

/// The kernels of the gradient, for each element type.
pub(crate) trait GradientKernels: StepKernels {
    /// `<x, y>`, multiplied and summed in double.
    fn inner(level: Level, x: &[Self], y: &[Self]) -> f64;

    /// Writes a correction.
    fn correct(level: Level, correction: Correction<'_, Self, Self::Acc>);
}

struct Inner<'a, T> {
    x: &'a [T],
    y: &'a [T],
}

impl<T: Load<f64, 8>> Kernel for Inner<'_, T> {
    type Output = f64;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> f64 {
        inner(s, self.x, self.y)
    }
}

/// Elements that are multiplied at a time.
const STRETCH: usize = 32;

/// How many stretches before its use a stretch is fetched: both matrices may lie in memory.
const AHEAD: usize = 16;

#[inline(always)]
fn inner<S: Simd, T: Load<f64, 8>>(s: S, x: &[T], y: &[T]) -> f64 {
    let (xs, x_tail) = x.as_chunks::<STRETCH>();
    let (ys, y_tail) = y.as_chunks::<STRETCH>();
    let mut sums = [<S as Lanes<f64, 8>>::splat(s, 0.0); STRETCH / 8];
    for (k, (x, y)) in xs.iter().zip(ys).enumerate() {
        if let (Some(x), Some(y)) = (xs.get(k + AHEAD), ys.get(k + AHEAD)) {
            s.prefetch(&x[0]);
            s.prefetch(&x[STRETCH / 2]);
            s.prefetch(&y[0]);
            s.prefetch(&y[STRETCH / 2]);
        }
        let (x, _) = x.as_chunks::<8>();
        let (y, _) = y.as_chunks::<8>();
        for (sum, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
            *sum = T::load(s, x).mul_add(T::load(s, y), *sum);
        }
    }
    let [a, b, c, d] = sums;
    a.add(b).add(c.add(d)).sum() + wide_dot(s, x_tail, y_tail)
}

#[inline(always)]
fn correct<S, T, A, const L: usize>(s: S, correction: Correction<'_, T, A>)
where
    S: Simd + Lanes<A, L>,
    T: Save<A, L>,
    A: Real + Load<A, L>,
{
    let Correction { g, scale, pull, u, v, out, stream } = correction;
    let (scale, pull) = (s.splat(A::from_f64(scale)), A::from_f64(pull));
    let (vs, v_tail) = v.as_chunks::<L>();
    for ((g, out), &u) in g.chunks(v.len()).zip(out.chunks_mut(v.len())).zip(u) {
        let factor = s.splat(pull * u);
        let (gs, g_tail) = g.as_chunks::<L>();
        let (outs, out_tail) = out.as_chunks_mut::<L>();
        for ((g, v), out) in gs.iter().zip(vs).zip(outs) {
            let y = factor.mul_add(A::load(s, v), scale.mul(T::load(s, g)));
            if stream { T::stream(s, y, out) } else { T::save(s, y, out) }
        }
        if !g_tail.is_empty() {
            let (v, g) = (A::load_partial(s, v_tail), T::load_partial(s, g_tail));
            T::save(s, factor.mul_add(v, scale.mul(g)), out_tail);
        }
    }
    if stream {
        s.fence();
    }
}

macro_rules! impl_gradient {
    ($($t:ty => $a:ty, $lanes:literal;)*) => {$(
        impl GradientKernels for $t {
            fn inner(level: Level, x: &[Self], y: &[Self]) -> f64 {
                assert_eq!(x.len(), y.len(), "lengths of x and y");
                level.run(Inner { x, y })
            }

            fn correct(level: Level, correction: Correction<'_, Self, $a>) {
                let size = correction.u.len() * correction.v.len();
                assert_eq!([correction.g.len(), correction.out.len()], [size; 2], "sizes");
                level.run(correction);
            }
        }

        impl Kernel for Correction<'_, $t, $a> {
            type Output = ();
            #[inline(always)]
            fn eval<S: Simd>(self, s: S) {
                correct::<S, $t, $a, $lanes>(s, self);
            }
        }
    )*};
}

impl_gradient! {
    f16 => f32, 16;
    bf16 => f32, 16;
    f32 => f32, 16;
    f64 => f64, 8;
}
