//! What one power step needs of a matrix and of its two vectors, in the precision of the step:
//! single for elements of up to 32 bits, double for 64. Norms are always summed in double.

use std::ops::Range;

use half::{bf16, f16};

use crate::matrix::{MatRef, Store};
use crate::simd::{Kernel, Level, Load, Real, Simd, Vector};

use super::divide::{Divide, DivideInPlace, Ratio};
use super::pack::Pack;
use super::rows::{Strip, update};
use super::strip::{fused, products};
use super::tiny::TinySteps;
use super::vector::{Axpy, Scale};
use super::whole::WholeSteps;

/// Rows `range` of a matrix.
#[derive(Debug, Clone)]
pub(crate) struct Rows<'a, T> {
    pub(crate) a: MatRef<'a, T>,
    pub(crate) range: Range<usize>,
}

/// The kernels of the step, for each element type.
pub(crate) trait StepKernels: Store {
    /// The precision of the step.
    type Acc: StepVectors + StepKernels<Acc = Self::Acc>;

    /// Copies a matrix to `rows`, each of whole vectors of `LANES` entries; see [`Pack`].
    fn pack(level: Level, a: MatRef<'_, Self>, rows: &mut [Self::Acc]);

    /// `t = A x` and `z += A' (scale * t)` at one read of the rows.
    fn fused(
        level: Level,
        rows: Rows<'_, Self>,
        x: &[Self::Acc],
        scale: Self::Acc,
        t: &mut [Self::Acc],
        z: &mut [Self::Acc],
    );

    /// `t = A x`.
    fn products(level: Level, rows: Rows<'_, Self>, x: &[Self::Acc], t: &mut [Self::Acc]);

    /// `z += A' y`.
    fn update(level: Level, rows: Rows<'_, Self>, y: &[Self::Acc], z: &mut [Self::Acc]);

    /// `dst = src / d`, past the caches when told so.
    fn divide(level: Level, src: &[Self], ratio: Ratio<Self::Acc>, dst: &mut [Self], stream: bool);

    /// `data /= d`.
    fn divide_in_place(level: Level, data: &mut [Self], ratio: Ratio<Self::Acc>);

    /// All steps on one matrix, at least one; nothing where more care is needed.
    fn whole(level: Level, steps: WholeSteps<'_, '_, Self, Self::Acc>) -> Option<f64>;

    /// Lanes of a vector, and matrices that `tiny` takes at a time.
    const LANES: usize;

    /// Power steps on tiny matrices.
    fn tiny(level: Level, steps: TinySteps<'_, Self, Self::Acc>);
}

macro_rules! impl_step {
    ($($t:ty => $a:ty, $lanes:literal;)*) => {$(
        impl StepKernels for $t {
            type Acc = $a;

            fn fused(
                level: Level,
                rows: Rows<'_, Self>,
                x: &[$a],
                scale: $a,
                t: &mut [$a],
                z: &mut [$a],
            ) {
                level.run(Fused { rows, x, scale, t, z });
            }

            fn products(level: Level, rows: Rows<'_, Self>, x: &[$a], t: &mut [$a]) {
                level.run(Products { rows, x, t });
            }

            fn update(level: Level, rows: Rows<'_, Self>, y: &[$a], z: &mut [$a]) {
                level.run(Update { rows, y, z });
            }

            fn divide(
                level: Level,
                src: &[Self],
                ratio: Ratio<$a>,
                dst: &mut [Self],
                stream: bool,
            ) {
                assert_eq!(src.len(), dst.len(), "lengths of src and dst");
                level.run(Divide { src, ratio, dst, stream });
            }

            fn divide_in_place(level: Level, data: &mut [Self], ratio: Ratio<$a>) {
                level.run(DivideInPlace { data, ratio });
            }

            fn pack(level: Level, a: MatRef<'_, Self>, rows: &mut [$a]) {
                level.run(Pack { a, rows });
            }

            fn whole(level: Level, steps: WholeSteps<'_, '_, Self, $a>) -> Option<f64> {
                level.run(steps)
            }

            const LANES: usize = $lanes;

            fn tiny(level: Level, steps: TinySteps<'_, Self, $a>) {
                level.run(steps);
            }
        }

        impl Kernel for Fused<'_, '_, $t, $a> {
            type Output = ();
            #[inline(always)]
            fn eval<S: Simd>(self, s: S) {
                let Self { rows, x, scale, t, z } = self;
                fused::<S, $t, $a, $lanes>(s, &whole(&rows), (x, scale), t, z, true);
            }
        }

        impl Kernel for Products<'_, '_, $t, $a> {
            type Output = ();
            #[inline(always)]
            fn eval<S: Simd>(self, s: S) {
                let strip = whole(&self.rows);
                products::<S, $t, $a, $lanes>(s, &strip, self.x, self.t);
            }
        }

        impl Kernel for Update<'_, '_, $t, $a> {
            type Output = ();
            #[inline(always)]
            fn eval<S: Simd>(self, s: S) {
                let strip = whole(&self.rows);
                update::<S, $t, $a, $lanes>(s, self.y, &strip, &strip.no_rows(), self.z);
            }
        }
    )*};
}

impl_step! {
    f16 => f32, 16;
    bf16 => f32, 16;
    f32 => f32, 16;
    f64 => f64, 8;
}

fn whole<'a, T: Store>(rows: &Rows<'a, T>) -> Strip<'a, T> {
    Strip { a: rows.a, rows: rows.range.clone(), columns: 0..rows.a.ncols() }
}

struct Fused<'a, 'w, T, A> {
    rows: Rows<'a, T>,
    x: &'w [A],
    scale: A,
    t: &'w mut [A],
    z: &'w mut [A],
}

struct Products<'a, 'w, T, A> {
    rows: Rows<'a, T>,
    x: &'w [A],
    t: &'w mut [A],
}

struct Update<'a, 'w, T, A> {
    rows: Rows<'a, T>,
    y: &'w [A],
    z: &'w mut [A],
}

/// Vectors in the precision of a step.
pub(crate) trait StepVectors: Real + Default {
    /// `x /= d`.
    fn divide(level: Level, x: &mut [Self], ratio: Ratio<Self>);

    /// `y = alpha * x`.
    fn scale(level: Level, alpha: Self, x: &[Self], y: &mut [Self]);

    /// `y += alpha * x`.
    fn axpy(level: Level, alpha: Self, x: &[Self], y: &mut [Self]);

    /// `x . y`, multiplied and summed in double.
    fn dot(level: Level, x: &[Self], y: &[Self]) -> f64;
}

macro_rules! impl_vectors {
    ($($a:ty;)*) => {$(
        impl StepVectors for $a {
            fn divide(level: Level, x: &mut [Self], ratio: Ratio<Self>) {
                level.run(DivideInPlace { data: x, ratio });
            }

            fn scale(level: Level, alpha: Self, x: &[Self], y: &mut [Self]) {
                assert_eq!(x.len(), y.len(), "lengths of x and y");
                level.run(Scale { alpha, x, y });
            }

            fn axpy(level: Level, alpha: Self, x: &[Self], y: &mut [Self]) {
                assert_eq!(x.len(), y.len(), "lengths of x and y");
                level.run(Axpy { alpha, x, y });
            }

            fn dot(level: Level, x: &[Self], y: &[Self]) -> f64 {
                assert_eq!(x.len(), y.len(), "lengths of x and y");
                level.run(WideDot { x, y })
            }
        }
    )*};
}

impl_vectors! {
    f32;
    f64;
}

struct WideDot<'a, A> {
    x: &'a [A],
    y: &'a [A],
}

impl<A: Load<f64, 8>> Kernel for WideDot<'_, A> {
    type Output = f64;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> f64 {
        wide_dot(s, self.x, self.y)
    }
}

/// `x . y`, multiplied and summed in double.
#[inline(always)]
pub(super) fn wide_dot<S: Simd, A: Load<f64, 8>>(s: S, x: &[A], y: &[A]) -> f64 {
    let (xs, x_tail) = x.as_chunks::<8>();
    let (ys, y_tail) = y.as_chunks::<8>();
    let (x_pairs, x_last) = xs.as_chunks::<2>();
    let (y_pairs, y_last) = ys.as_chunks::<2>();
    let (mut even, mut odd) = (s.splat(0.0), s.splat(0.0));
    for ([x0, x1], [y0, y1]) in x_pairs.iter().zip(y_pairs) {
        even = A::load(s, x0).mul_add(A::load(s, y0), even);
        odd = A::load(s, x1).mul_add(A::load(s, y1), odd);
    }
    if let ([x], [y]) = (x_last, y_last) {
        even = A::load(s, x).mul_add(A::load(s, y), even);
        // What follows takes its turn as a whole chunk would: zeros behind it change nothing.
        std::mem::swap(&mut even, &mut odd);
    }
    if !x_tail.is_empty() {
        even = A::load_partial(s, x_tail).mul_add(A::load_partial(s, y_tail), even);
    }
    even.add(odd).sum()
}
