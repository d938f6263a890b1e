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
        wide_dot(s, self.x, self.y)
    }
}

#[inline(always)]
fn correct<S, T, A, const L: usize>(s: S, correction: Correction<'_, T, A>)
where
    S: Simd + Lanes<A, L>,
    T: Save<A, L>,
    A: Real + Load<A, L>,
{
    let Correction { g, scale, pull, u, v, out } = correction;
    let (scale, pull) = (s.splat(A::from_f64(scale)), A::from_f64(pull));
    let (vs, v_tail) = v.as_chunks::<L>();
    for ((g, out), &u) in g.chunks(v.len()).zip(out.chunks_mut(v.len())).zip(u) {
        let factor = s.splat(pull * u);
        let (gs, g_tail) = g.as_chunks::<L>();
        let (outs, out_tail) = out.as_chunks_mut::<L>();
        for ((g, v), out) in gs.iter().zip(vs).zip(outs) {
            let y = factor.mul_add(A::load(s, v), scale.mul(T::load(s, g)));
            T::save(s, y, out);
        }
        if !g_tail.is_empty() {
            let (v, g) = (A::load_partial(s, v_tail), T::load_partial(s, g_tail));
            T::save(s, factor.mul_add(v, scale.mul(g)), out_tail);
        }
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
