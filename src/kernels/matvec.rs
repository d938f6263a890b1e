//! `A x` and `A' x`, for the products that do not come in pairs.

use crate::matrix::MatRef;
use crate::scalar::Element;
use crate::simd::{Kernel, Level, Load, Simd};

use super::rows::{Strip, products, update};

struct Matvec<'a, 'w, T> {
    a: MatRef<'a, T>,
    x: &'w [f64],
    y: &'w mut [f64],
}

impl<T: Load<f64, 8>> Kernel for Matvec<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        products::<S, T, f64, 8>(s, &whole(self.a), self.x, self.y);
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
        let strip = whole(self.a);
        update::<S, T, f64, 8>(s, self.x, &strip, &strip.no_rows(), self.y);
    }
}

fn whole<T: Element>(a: MatRef<'_, T>) -> Strip<'_, T> {
    Strip { a, rows: 0..a.nrows(), columns: 0..a.ncols() }
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
