//! Following the norm of a matrix that changes a little at a time, at one pass per change.
//!
//! The state is three orthonormal vectors: the right singular vector so far, the residual it had,
//! and the direction it last moved in. The new matrix is applied to all three in one fused pass,
//! and the top of the three-dimensional space becomes the new vector:
//!
//! ```text
//! T = B X,  Z = B' T,  T'T s = theta s   (theta the largest)
//! x = X s,  r = Z s - theta x,  p = X s without its first term
//! sigma = |Z s| / sqrt(theta)
//! ```
//!
//! This is the locally optimal method of Knyazev, *Toward the optimal preconditioned eigensolver*
//! (SISC 23, 2001), with the residual one matrix late.

#![expect(clippy::needless_range_loop, reason = "one index runs over several small arrays")]

use crate::error::Error;
use crate::kernels::divide::Ratio;
use crate::kernels::step::StepVectors;
use crate::operator::step::{StepOperator, Units};
use crate::scalar::exponent;
use crate::simd::{Level, Real};

use super::start;

/// Vectors in the state.
pub(crate) const WIDTH: usize = 3;

/// Passes over a matrix that comes without a state.
const FIRST_PASSES: usize = 15;

type Square = [[f64; WIDTH]; WIDTH];

/// Follows the matrix by one pass; sigma. The state, three vectors end to end, is updated in place,
/// and kept when the matrix is zero or not finite.
///
/// # Errors
/// [`Error::Interrupted`] when the operator says so; the state is then as it was.
pub(crate) fn run<O: StepOperator>(
    op: &mut O,
    level: Level,
    seed: u64,
    (nrows, ncols): (usize, usize),
    state: &mut [O::Acc],
) -> Result<f64, Error> {
    if nrows * ncols == 0 {
        return Ok(0.0);
    }
    let mut space = Space::<O::Acc>::new(level, seed, (nrows, ncols), state);
    let passes = if space.is_new { FIRST_PASSES } else { 1 };
    let mut sigma = 0.0;
    for _ in 0..passes {
        match space.pass(op)? {
            Ok(found) => sigma = found,
            Err(degenerate) => return Ok(degenerate),
        }
    }
    state.copy_from_slice(&space.x);
    Ok(sigma)
}

struct Space<A> {
    level: Level,
    seed: u64,
    nrows: usize,
    ncols: usize,
    is_new: bool,
    units: Option<Units>,
    x: Vec<A>,
    t: Vec<A>,
    z: Vec<A>,
}

impl<A: StepVectors> Space<A> {
    fn new(level: Level, seed: u64, (nrows, ncols): (usize, usize), state: &[A]) -> Self {
        let mut space = Self {
            level,
            seed,
            nrows,
            ncols,
            is_new: false,
            units: None,
            x: state.to_vec(),
            t: vec![A::ZERO; WIDTH * nrows],
            z: vec![A::ZERO; WIDTH * ncols],
        };
        let norm = A::dot(level, space.column(0), space.column(0));
        space.is_new = !(norm > 0.25 && norm < 4.0) || space.x.iter().any(|x| !is_finite(*x));
        if space.is_new {
            space.x.fill(A::ZERO);
        }
        (0..WIDTH).for_each(|k| space.orthonormalize(k));
        space
    }

    fn column(&self, k: usize) -> &[A] {
        &self.x[k * self.ncols..(k + 1) * self.ncols]
    }

    /// One fused pass and the new space; the outer error is an interruption, the inner one sigma of
    /// a matrix that has no vectors.
    fn pass<O: StepOperator<Acc = A>>(&mut self, op: &mut O) -> Result<Result<f64, f64>, Error> {
        op.fused_block(&self.x, &mut self.t, &mut self.z)?;
        if !self.is_ordinary() && self.units.is_none() {
            let max_abs = op.max_abs()?;
            if max_abs == 0.0 || !max_abs.is_finite() {
                return Ok(Err(max_abs));
            }
            let units = Units::new::<A>(exponent(max_abs));
            op.set_units(units);
            self.units = Some(units);
            op.fused_block(&self.x, &mut self.t, &mut self.z)?;
        }
        Ok(Ok(self.advance()))
    }

    fn is_ordinary(&self) -> bool {
        let range = A::ORDINARY.recip()..A::ORDINARY;
        let norm = |x: &[A]| A::dot(self.level, x, x).sqrt();
        range.contains(&norm(&self.t)) && range.contains(&norm(&self.z))
    }

    /// Takes the top of the space, from the products just made; sigma.
    fn advance(&mut self) -> f64 {
        let units = self.units.unwrap_or_default();
        let (theta, s) = top(self.gram());
        let mut z = vec![A::ZERO; self.ncols];
        let mut x = vec![A::ZERO; self.ncols];
        for k in 0..WIDTH {
            let range = k * self.ncols..(k + 1) * self.ncols;
            A::axpy(self.level, A::from_f64(s[k]), &self.z[range.clone()], &mut z);
            A::axpy(self.level, A::from_f64(s[k]), &self.x[range], &mut x);
        }
        let norm_z = A::dot(self.level, &z, &z).sqrt();
        let sigma = if theta > 0.0 { norm_z / theta.sqrt() * units.gram() } else { 0.0 };
        let shift = A::dot(self.level, &z, &x);
        let mut p = vec![A::ZERO; self.ncols];
        for k in 1..WIDTH {
            A::axpy(self.level, A::from_f64(s[k]), self.column(k), &mut p);
        }
        A::axpy(self.level, A::from_f64(-shift), &x, &mut z);
        let size = norm_z.max(f64::MIN_POSITIVE);
        A::divide(self.level, &mut z, Ratio::new(size));
        for (k, column) in [x, z, p].iter().enumerate() {
            self.x[k * self.ncols..(k + 1) * self.ncols].copy_from_slice(column);
        }
        (0..WIDTH).for_each(|k| self.orthonormalize(k));
        sigma
    }

    /// `T'T`.
    fn gram(&self) -> Square {
        let t = |k: usize| &self.t[k * self.nrows..(k + 1) * self.nrows];
        let mut gram = [[0.0; WIDTH]; WIDTH];
        for i in 0..WIDTH {
            for j in 0..=i {
                gram[i][j] = A::dot(self.level, t(i), t(j));
                gram[j][i] = gram[i][j];
            }
        }
        gram
    }

    /// Makes vector `k` orthogonal to those before it and of unit length; where nothing is left of
    /// it, a random vector takes its place, or none when the space is full.
    fn orthonormalize(&mut self, k: usize) {
        if k >= self.ncols {
            return self.x[k * self.ncols..(k + 1) * self.ncols].fill(A::ZERO);
        }
        for draw in 0..4 {
            let (before, rest) = self.x.split_at_mut(k * self.ncols);
            let column = &mut rest[..self.ncols];
            if draw > 0 {
                let mut drawn = vec![0.0; self.ncols];
                let seed = self.seed.wrapping_add((WIDTH * draw + k) as u64);
                start::fill(self.level, seed, None, &mut drawn);
                column.iter_mut().zip(drawn).for_each(|(x, g)| *x = A::from_f64(g));
            }
            let mut norm = 0.0;
            for _ in 0..2 {
                for other in before.chunks(self.ncols) {
                    let part = A::dot(self.level, other, column);
                    A::axpy(self.level, A::from_f64(-part), other, column);
                }
                norm = A::dot(self.level, column, column).sqrt();
                if norm > LEAST {
                    A::divide(self.level, column, Ratio::new(norm));
                }
            }
            if norm > 0.5 {
                return;
            }
        }
        self.x[k * self.ncols..(k + 1) * self.ncols].fill(A::ZERO);
    }
}

/// What is left of a vector below this norm is rounding.
const LEAST: f64 = 1e-12;

fn is_finite<A: Real>(x: A) -> bool {
    x.to_f64().is_finite()
}

/// The largest eigenvalue of a symmetric matrix and its unit vector, by Jacobi's rotations.
fn top(mut a: Square) -> (f64, [f64; WIDTH]) {
    let mut v = [[0.0; WIDTH]; WIDTH];
    (0..WIDTH).for_each(|k| v[k][k] = 1.0);
    for sweep in 0..12 {
        for (p, q) in [(0, 1), (0, 2), (1, 2)] {
            rotate(&mut a, &mut v, p, q);
        }
        let off = a[0][1].abs() + a[0][2].abs() + a[1][2].abs();
        if sweep > 2 && off == 0.0 {
            break;
        }
    }
    let largest = (1..WIDTH).fold(0, |best, k| if a[k][k] > a[best][best] { k } else { best });
    (a[largest][largest], std::array::from_fn(|i| v[i][largest]))
}

/// Rotates rows and columns `p` and `q` so that their common entry vanishes.
fn rotate(a: &mut Square, v: &mut Square, p: usize, q: usize) {
    if a[p][q] == 0.0 {
        return;
    }
    let tau = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let t = tau.signum() / (tau.abs() + tau.hypot(1.0));
    let cos = 1.0 / t.hypot(1.0);
    let sin = t * cos;
    for k in 0..WIDTH {
        (a[k][p], a[k][q]) = (cos * a[k][p] - sin * a[k][q], sin * a[k][p] + cos * a[k][q]);
    }
    for k in 0..WIDTH {
        (a[p][k], a[q][k]) = (cos * a[p][k] - sin * a[q][k], sin * a[p][k] + cos * a[q][k]);
        (v[k][p], v[k][q]) = (cos * v[k][p] - sin * v[k][q], sin * v[k][p] + cos * v[k][q]);
    }
    (a[p][q], a[q][p]) = (0.0, 0.0);
}
