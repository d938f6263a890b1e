//! `A x` and `A' x`, for the products that do not come in pairs.

use crate::matrix::MatRef;
use crate::simd::{Kernel, Level, Load, Simd};

use super::rows::{dots, for_row_groups, update};

struct Matvec<'a, 'w, T> {
    a: MatRef<'a, T>,
    x: &'w [f64],
    y: &'w mut [f64],
}

impl<T: Load<f64, 8>> Kernel for Matvec<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        for_row_groups!(S, 0..self.a.nrows(), |i, R| {
            let rows: [&[T]; R] = std::array::from_fn(|r| self.a.row(i + r));
            self.y[i..i + R].copy_from_slice(&dots::<S, T, f64, 8, R>(s, rows, self.x));
        });
    }
}

struct Rmatvec<'a, 'w, T> {
    a: MatRef<'a, T>,
    x: &'w [f64],
    y: &'w mut [f64],
}

impl<T: Load<f64, 8>> Kernel for Rmatvec<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        for_row_groups!(S, 0..self.a.nrows(), |i, R| {
            let rows: [&[T]; R] = std::array::from_fn(|r| self.a.row(i + r));
            let x: [f64; R] = std::array::from_fn(|r| self.x[i + r]);
            update::<S, T, f64, 8, R>(s, x, rows, self.y);
        });
    }
}

/// `y = A x`.
pub(crate) fn matvec<T: Load<f64, 8>>(level: Level, a: MatRef<'_, T>, x: &[f64], y: &mut [f64]) {
    assert_eq!((x.len(), y.len()), (a.ncols(), a.nrows()), "lengths of x and y");
    level.run(Matvec { a, x, y });
}

/// `y += A' x`.
pub(crate) fn rmatvec<T: Load<f64, 8>>(level: Level, a: MatRef<'_, T>, x: &[f64], y: &mut [f64]) {
    assert_eq!((x.len(), y.len()), (a.nrows(), a.ncols()), "lengths of x and y");
    level.run(Rmatvec { a, x, y });
}
