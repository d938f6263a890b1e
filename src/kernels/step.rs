//! What one power step needs of a matrix and of its two vectors, in the precision of the step:
//! single for elements of up to 32 bits, double for 64. Norms are always summed in double.

use std::ops::Range;

use half::{bf16, f16};

use crate::matrix::{MatRef, Store};
use crate::simd::{Kernel, Lanes, Level, Load, Real, Simd, Vector};

use super::divide::{Divide, DivideInPlace, Ratio};
use super::fused::FusedRows;
use super::rows::{Strip, products, update};
use super::vector::{Axpy, Scale};

/// Rows `range` of a matrix.
#[derive(Debug, Clone)]
pub(crate) struct Rows<'a, T> {
    pub(crate) a: MatRef<'a, T>,
    pub(crate) range: Range<usize>,
}

/// The kernels of the step, for each element type.
pub(crate) trait StepKernels: Store {
    /// The precision of the step.
    type Acc: StepVectors;

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

    /// `dst = src / d`.
    fn divide(level: Level, src: &[Self], ratio: Ratio<Self::Acc>, dst: &mut [Self]);

    /// `data /= d`.
    fn divide_in_place(level: Level, data: &mut [Self], ratio: Ratio<Self::Acc>);
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
                level.run(FusedRows { a: rows.a, range: rows.range, x, scale, t, z });
            }

            fn products(level: Level, rows: Rows<'_, Self>, x: &[$a], t: &mut [$a]) {
                level.run(Products { rows, x, t });
            }

            fn update(level: Level, rows: Rows<'_, Self>, y: &[$a], z: &mut [$a]) {
                level.run(Update { rows, y, z });
            }

            fn divide(level: Level, src: &[Self], ratio: Ratio<$a>, dst: &mut [Self]) {
                level.run(Divide { src, ratio, dst });
            }

            fn divide_in_place(level: Level, data: &mut [Self], ratio: Ratio<$a>) {
                level.run(DivideInPlace { data, ratio });
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
pub(crate) trait StepVectors: Real {
    /// `x /= d`.
    fn divide(level: Level, x: &mut [Self], ratio: Ratio<Self>);

    /// `y = alpha * x`.
    fn scale(level: Level, alpha: Self, x: &[Self], y: &mut [Self]);

    /// `y += x`.
    fn add(level: Level, x: &[Self], y: &mut [Self]);

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

            fn add(level: Level, x: &[Self], y: &mut [Self]) {
                assert_eq!(x.len(), y.len(), "lengths of x and y");
                level.run(Axpy { alpha: 1.0, x, y });
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
        let (xs, x_tail) = self.x.as_chunks::<8>();
        let (ys, y_tail) = self.y.as_chunks::<8>();
        let mut sums = [<S as Lanes<f64, 8>>::splat(s, 0.0); 2];
        for (k, (x, y)) in xs.iter().zip(ys).enumerate() {
            sums[k % 2] = A::load(s, x).mul_add(A::load(s, y), sums[k % 2]);
        }
        if !x_tail.is_empty() {
            let (x, y) = (A::load_partial(s, x_tail), A::load_partial(s, y_tail));
            sums[0] = x.mul_add(y, sums[0]);
        }
        sums[0].add(sums[1]).sum()
    }
}
