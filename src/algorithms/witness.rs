//! What each start vector of a block proves by itself.
//!
//! Every start vector runs a Lanczos process of its own, on the band matrix instead of the operator:
//! the Krylov space of one vector lies within that of its block, so the process costs no read. It
//! yields the scalars of the Christoffel bound (`bounds`), which holds for this vector unless it is
//! almost orthogonal to the top singular vector. That befalls *all* of `B` independent vectors with
//! the `B`-th power of the probability for one: a threshold of `eta^(1/B)` each is enough.
//!
//! Blocks in single precision carry rounding noise: `M Q = Q T + Q_next beta + F`. With `y` the top
//! singular vector and `J` the matrix of a witness, the component `g` along the start obeys the
//! recurrence of the bound but for `f = F' y`, and shifting the solution by `h = (x - J)^-1 f` takes
//! the noise out: the bound holds with `|g| - |h_1|` in place of `|g|` and `1 + |h|` in place of 1.

use crate::kernels::reduce::dot;
use crate::kernels::vector::{axpy, scale};
use crate::simd::Level;

use super::banded::Banded;
use super::tridiagonal::Tridiagonal;

/// A vector is swept again when it was left with less than this share of its length, as often as this at
/// most.
const SHRINK: f64 = 0.1;
const SWEEPS: usize = 2;

/// The Lanczos process of one start vector within the space of its block.
#[derive(Debug)]
pub(super) struct Witness {
    vectors: Vec<Vec<f64>>,
    pub(super) matrix: Tridiagonal,
}

impl Witness {
    /// From the coordinates of a start vector in the first block.
    pub(super) fn new(level: Level, start: &[f64]) -> Self {
        Self { vectors: vec![unit(level, start)], matrix: Tridiagonal::default() }
    }

    /// One step, once the band matrix has grown by a block.
    pub(super) fn advance<const B: usize>(&mut self, level: Level, matrix: &Banded<B>) {
        let v = &self.vectors[self.vectors.len() - 1];
        let mut z = matrix.matvec(v);
        let alpha = dot(level, v, &z[..v.len()]);
        // The large components lie along the last two vectors; what is left of the others is rounding.
        let near = self.vectors.len().saturating_sub(2);
        self.sweep(level, near, &mut z);
        let mut square = dot(level, &z, &z);
        for _ in 0..SWEEPS {
            self.sweep(level, 0, &mut z);
            let before = std::mem::replace(&mut square, dot(level, &z, &z));
            if square >= SHRINK * SHRINK * before {
                break;
            }
        }
        self.matrix.push(alpha, square.sqrt());
        self.vectors.push(unit(level, &z));
    }

    /// Classical Gram-Schmidt against the vectors from `first` on; earlier ones are shorter, and zero beyond.
    fn sweep(&self, level: Level, first: usize, z: &mut [f64]) {
        for v in &self.vectors[first..] {
            let z = &mut z[..v.len()];
            axpy(level, -dot(level, v, z), v, z);
        }
    }
}

/// `x` scaled to length one, unless it has none.
fn unit(level: Level, x: &[f64]) -> Vec<f64> {
    let norm = dot(level, x, x).sqrt().max(f64::MIN_POSITIVE);
    let mut unit = vec![0.0; x.len()];
    scale(level, 1.0 / norm, x, &mut unit);
    unit
}
