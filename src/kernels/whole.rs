//! All power steps on one matrix in a single kernel: for matrices that stay in a near cache, where
//! going back and forth would cost as much as the arithmetic.
//!
//! The arithmetic is that of the steps taken one by one, operation by operation. A matrix that needs
//! more care (a vector without a direction, a norm far from one or below `eps`) is left undone.

use crate::matrix::MatRef;
use crate::simd::{Kernel, Lanes, Load, Real, Save, Simd, Vector};

use super::rows::{Strip, update};
use super::step::wide_dot;
use super::strip::{fused, products};

/// Power steps on one matrix; without one, sigma is that at the given vectors.
pub(crate) struct WholeSteps<'a, 'w, T, A> {
    pub(crate) a: MatRef<'a, T>,
    /// The vectors on columns and on rows.
    pub(crate) x: &'w mut [A],
    pub(crate) y: &'w mut [A],
    /// Work vectors: one entry per row, and two times one per column.
    pub(crate) t: &'w mut [A],
    pub(crate) z: &'w mut [A],
    pub(crate) next: &'w mut [A],
    pub(crate) n_power_iterations: usize,
    pub(crate) eps: f64,
    pub(crate) rows_first: bool,
}

impl<T, A> WholeSteps<'_, '_, T, A> {
    /// Sigma, or nothing where the vectors were left as they are.
    #[inline(always)]
    fn body<S, const L: usize>(self, s: S) -> Option<f64>
    where
        S: Simd + Lanes<A, L>,
        T: Load<A, L>,
        A: Real + Save<A, L> + Load<f64, 8>,
    {
        match (self.n_power_iterations, self.rows_first) {
            (0, _) => self.evaluate::<S, L>(s),
            (_, true) => self.rows_first::<S, L>(s),
            (_, false) => self.columns_first::<S, L>(s),
        }
    }

    #[inline(always)]
    fn evaluate<S, const L: usize>(self, s: S) -> Option<f64>
    where
        S: Simd + Lanes<A, L>,
        T: Load<A, L>,
        A: Real + Save<A, L> + Load<f64, 8>,
    {
        let Self { a, x, y, t, .. } = self;
        let (norm_x, norm_y) = (given(wide_dot(s, x, x))?, given(wide_dot(s, y, y))?);
        let rows = Strip { a, rows: 0..a.nrows(), columns: 0..a.ncols() };
        products::<S, T, A, L>(s, &rows, x, t);
        ordinary::<A>(wide_dot(s, t, t))?;
        Some(wide_dot(s, y, t) / norm_x / norm_y)
    }

    #[inline(always)]
    fn rows_first<S, const L: usize>(self, s: S) -> Option<f64>
    where
        S: Simd + Lanes<A, L>,
        T: Load<A, L>,
        A: Real + Save<A, L> + Load<f64, 8>,
    {
        let Self { a, x, y, t, z, next, eps, .. } = self;
        let one = A::from_f64(1.0);
        let rows = Strip { a, rows: 0..a.nrows(), columns: 0..a.ncols() };
        let mut norm_x = given(wide_dot(s, x, x))?;
        let (mut norm_t, mut sigma) = (0.0, 0.0);
        for step in 0..self.n_power_iterations {
            z.fill(A::ZERO);
            let from = if step == 0 { &*x } else { &*next };
            fused::<S, T, A, L>(s, &rows, (from, one), t, z, step == 0);
            norm_t = ordinary::<A>(wide_dot(s, t, t))?;
            let norm_z = ordinary::<A>(wide_dot(s, z, z))?;
            sigma = norm_z / norm_t;
            if norm_t / norm_x < eps || sigma < eps {
                return None;
            }
            divided::<S, A, L>(s, z, norm_z, next);
            norm_x = 1.0;
        }
        divided::<S, A, L>(s, t, norm_t, y);
        x.copy_from_slice(next);
        Some(sigma)
    }

    #[inline(always)]
    fn columns_first<S, const L: usize>(self, s: S) -> Option<f64>
    where
        S: Simd + Lanes<A, L>,
        T: Load<A, L>,
        A: Real + Save<A, L> + Load<f64, 8>,
    {
        let Self { a, x, y, t, z, next, eps, .. } = self;
        let one = A::from_f64(1.0);
        let rows = Strip { a, rows: 0..a.nrows(), columns: 0..a.ncols() };
        let mut length = given(wide_dot(s, y, y))?;
        z.fill(A::ZERO);
        update::<S, T, A, L>(s, y, &rows, &rows.no_rows(), z);
        for _ in 1..self.n_power_iterations {
            length = below(ordinary::<A>(wide_dot(s, z, z))?, length, eps)?;
            divided::<S, A, L>(s, z, length, next);
            z.fill(A::ZERO);
            fused::<S, T, A, L>(s, &rows, (next, one), t, z, false);
            length = below(ordinary::<A>(wide_dot(s, t, t))?, 1.0, eps)?;
        }
        let norm_z = below(ordinary::<A>(wide_dot(s, z, z))?, length, eps)?;
        divided::<S, A, L>(s, z, norm_z, next);
        products::<S, T, A, L>(s, &rows, next, t);
        let sigma = below(ordinary::<A>(wide_dot(s, t, t))?, 1.0, eps)?;
        divided::<S, A, L>(s, t, sigma, y);
        x.copy_from_slice(next);
        Some(sigma)
    }
}

/// The norm of a vector that came with a direction.
#[inline(always)]
fn given(square: f64) -> Option<f64> {
    (1e-6..1e6).contains(&square).then(|| square.sqrt())
}

/// A norm that lost nothing at the ends of the range.
#[inline(always)]
fn ordinary<A: Real>(square: f64) -> Option<f64> {
    let norm = square.sqrt();
    (A::ORDINARY.recip()..A::ORDINARY).contains(&norm).then_some(norm)
}

/// A norm, unless it falls below `eps` in its unit.
#[inline(always)]
fn below(norm: f64, unit: f64, eps: f64) -> Option<f64> {
    (norm / unit >= eps).then_some(norm)
}

/// `y = x / norm`.
#[inline(always)]
fn divided<S, A, const L: usize>(s: S, x: &[A], norm: f64, y: &mut [A])
where
    S: Simd + Lanes<A, L>,
    A: Real + Save<A, L>,
{
    let divisor = s.splat(A::from_f64(norm));
    let (xs, x_tail) = x.as_chunks::<L>();
    let (ys, y_tail) = y.as_chunks_mut::<L>();
    for (x, y) in xs.iter().zip(ys) {
        <S as Lanes<A, L>>::load(s, x).div(divisor).store(y);
    }
    if !x_tail.is_empty() {
        <S as Lanes<A, L>>::load_partial(s, x_tail).div(divisor).store_partial(y_tail);
    }
}

impl<T: Load<f32, 16>> Kernel for WholeSteps<'_, '_, T, f32> {
    type Output = Option<f64>;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> Option<f64> {
        self.body::<S, 16>(s)
    }
}

impl<T: Load<f64, 8>> Kernel for WholeSteps<'_, '_, T, f64> {
    type Output = Option<f64>;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> Option<f64> {
        self.body::<S, 8>(s)
    }
}
