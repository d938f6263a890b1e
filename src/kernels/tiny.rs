//! Power steps on a handful of tiny matrices at once, one in each lane.
//!
//! The arithmetic is that of one matrix at a time, operation by operation, so a result has the same
//! bits whichever way it was made. A lane that needs more care than is taken here (a vector without
//! a direction, a norm far from one or below `eps`) is left undone.

#![expect(clippy::needless_range_loop, reason = "one index runs over several arrays of lanes")]

use crate::simd::{Kernel, Lanes, Load, Real, Save, Simd, Vector};

use super::divide::{Divisor, Ratio};

/// The longest side of a tiny matrix: no more than the lanes a row is summed in.
pub(crate) const MAX_SIDE: usize = 8;

/// Where tiny matrices are read, and where their normalised forms go.
#[derive(Debug)]
pub(crate) enum Cells<'a, T> {
    Apart(&'a [T], Option<&'a mut [T]>),
    InPlace(&'a mut [T]),
}

/// Power steps on at most as many matrices as there are lanes.
#[derive(Debug)]
pub(crate) struct TinySteps<'a, T, A> {
    pub(crate) cells: Cells<'a, T>,
    /// Rows and columns of each matrix.
    pub(crate) shape: (usize, usize),
    /// The vectors on columns and on rows, end to end.
    pub(crate) x: &'a mut [A],
    pub(crate) y: &'a mut [A],
    pub(crate) sigma: &'a mut [f64],
    /// One coefficient for each matrix, or one for all.
    pub(crate) divisor: Divisor<'a>,
    /// At least one.
    pub(crate) n_power_iterations: usize,
    pub(crate) eps: f64,
    pub(crate) rows_first: bool,
}

/// A vector of a matrix, or the matrix itself, entry by entry: each one holds all lanes.
type Entries<A, const L: usize, const N: usize> = [[A; L]; N];

/// Matrices of sides up to `N` with `N * N = NN` entries at most.
struct Lanewise<A, const L: usize, const N: usize, const NN: usize> {
    shape: (usize, usize),
    a: Entries<A, L, NN>,
    x: Entries<A, L, N>,
    y: Entries<A, L, N>,
    norm_x: [f64; L],
    norm_y: [f64; L],
    sigma: [f64; L],
    done: [bool; L],
    eps: f64,
}

impl<T, A> TinySteps<'_, T, A> {
    #[inline(always)]
    fn body<S, const L: usize, const N: usize, const NN: usize>(mut self, s: S) -> u32
    where
        S: Simd + Lanes<A, L>,
        T: Save<A, L>,
        A: Real + Save<A, L>,
    {
        let source = match &self.cells {
            Cells::Apart(a, _) => a,
            Cells::InPlace(a) => &**a,
        };
        let (nrows, ncols) = self.shape;
        let mut lanes = Lanewise::<A, L, N, NN> {
            shape: self.shape,
            a: interleave(source, nrows * ncols),
            x: interleave(self.x, ncols),
            y: interleave(self.y, nrows),
            norm_x: [1.0; L],
            norm_y: [1.0; L],
            sigma: [0.0; L],
            done: [true; L],
            eps: self.eps,
        };
        if self.rows_first {
            lanes.rows_first(s, self.n_power_iterations);
        } else {
            lanes.columns_first(s, self.n_power_iterations);
        }
        self.hand_back(s, &lanes)
    }

    /// Writes what was done; the lanes of that, as bits.
    #[inline(always)]
    fn hand_back<S, const L: usize, const N: usize, const NN: usize>(
        &mut self,
        s: S,
        lanes: &Lanewise<A, L, N, NN>,
    ) -> u32
    where
        S: Simd + Lanes<A, L>,
        T: Save<A, L>,
        A: Real,
    {
        let (nrows, ncols) = self.shape;
        let mut done = 0;
        let (mut shift, mut divisor) = ([A::ZERO; L], [A::ZERO; L]);
        for l in 0..self.sigma.len() {
            if lanes.done[l] {
                done |= 1 << l;
                self.sigma[l] = lanes.sigma[l];
                (0..ncols).for_each(|j| self.x[l * ncols + j] = lanes.x[j][l]);
                (0..nrows).for_each(|i| self.y[l * nrows + i] = lanes.y[i][l]);
                let ratio = Ratio::new(self.divisor.of(l, lanes.sigma[l]));
                (shift[l], divisor[l]) = (ratio.shift, ratio.divisor);
            }
        }
        let out = match &mut self.cells {
            Cells::Apart(_, None) => return done,
            Cells::Apart(_, Some(out)) => &mut **out,
            Cells::InPlace(out) => &mut **out,
        };
        let (shift, divisor) = (s.load(&shift), s.load(&divisor));
        let size = nrows * ncols;
        for (e, entry) in lanes.a[..size].iter().enumerate() {
            let mut rounded = [T::PAD; L];
            T::save(s, s.load(entry).mul(shift).div(divisor), &mut rounded);
            for l in 0..self.sigma.len() {
                if lanes.done[l] {
                    out[l * size + e] = rounded[l];
                }
            }
        }
        done
    }
}

/// Entry by entry what lies matrix by matrix, each of `size` entries; missing lanes are zero.
#[inline(always)]
fn interleave<T: Load<A, L>, A: Real, const L: usize, const N: usize>(
    data: &[T],
    size: usize,
) -> Entries<A, L, N> {
    let mut entries = [[A::ZERO; L]; N];
    for (l, one) in data.chunks_exact(size).enumerate() {
        for (entry, x) in entries[..size].iter_mut().zip(one) {
            entry[l] = A::from_f64(x.to_f64());
        }
    }
    entries
}

impl<A: Real, const L: usize, const N: usize, const NN: usize> Lanewise<A, L, N, NN> {
    #[inline(always)]
    fn rows_first<S: Simd + Lanes<A, L>>(&mut self, s: S, steps: usize)
    where
        A: Save<A, L>,
    {
        let (nrows, ncols) = self.shape;
        self.norm_x = norms(&self.x, ncols);
        self.require_given(self.norm_x);
        for step in 1..=steps {
            let t = self.products(s);
            let z = self.updates(s, &t);
            let (norm_t, norm_z) = (norms(&t, nrows), norms(&z, ncols));
            self.require_ordinary(&norm_t);
            self.require_ordinary(&norm_z);
            for l in 0..L {
                let length = norm_t[l] / self.norm_x[l];
                self.sigma[l] = norm_z[l] / norm_t[l];
                self.done[l] &= length >= self.eps && self.sigma[l] >= self.eps;
            }
            divided(s, &z, &norm_z, &mut self.x);
            self.norm_x = [1.0; L];
            if step == steps {
                divided(s, &t, &norm_t, &mut self.y);
            }
        }
    }

    #[inline(always)]
    fn columns_first<S: Simd + Lanes<A, L>>(&mut self, s: S, steps: usize)
    where
        A: Save<A, L>,
    {
        let (nrows, ncols) = self.shape;
        self.norm_y = norms(&self.y, nrows);
        self.require_given(self.norm_y);
        let mut y = self.y;
        for step in 0..=steps {
            if step > 0 {
                y = self.products(s);
                let norm_t = norms(&y, nrows);
                self.require_ordinary(&norm_t);
                self.require_eps(&norm_t, &[1.0; L]);
                self.norm_y = norm_t;
            }
            if step < steps {
                let z = self.updates(s, &y);
                let norm_z = norms(&z, ncols);
                self.require_ordinary(&norm_z);
                self.require_eps(&norm_z, &self.norm_y.clone());
                divided(s, &z, &norm_z, &mut self.x);
            }
        }
        self.sigma = self.norm_y;
        divided(s, &y, &self.norm_y, &mut self.y);
    }

    /// `t = A x`, each sum folded as the lanes of a row are.
    #[inline(always)]
    fn products<S: Simd + Lanes<A, L>>(&self, s: S) -> Entries<A, L, N> {
        let (nrows, ncols) = self.shape;
        let zero = s.splat(A::ZERO);
        let mut t = [[A::ZERO; L]; N];
        for i in 0..nrows {
            let mut p = [zero; N];
            for j in 0..ncols {
                let (a, x) = (s.load(&self.a[i * ncols + j]), s.load(&self.x[j]));
                p[j] = a.mul_add(x, zero);
            }
            if N == MAX_SIDE {
                for j in 0..N / 2 {
                    p[j] = p[j].add(p[j + N / 2]);
                }
            }
            p[0].add(p[2]).add(p[1].add(p[3])).store(&mut t[i]);
        }
        t
    }

    /// `z = A' t`, the rows added in order.
    #[inline(always)]
    fn updates<S: Simd + Lanes<A, L>>(&self, s: S, t: &Entries<A, L, N>) -> Entries<A, L, N> {
        let (nrows, ncols) = self.shape;
        let mut z = [[A::ZERO; L]; N];
        for j in 0..ncols {
            let mut sum = s.splat(A::ZERO);
            for i in 0..nrows {
                sum = s.load(&t[i]).mul_add(s.load(&self.a[i * ncols + j]), sum);
            }
            sum.store(&mut z[j]);
        }
        z
    }

    #[inline(always)]
    fn require_given(&mut self, norms: [f64; L]) {
        for l in 0..L {
            self.done[l] &= (1e-3..1e3).contains(&norms[l]);
        }
    }

    #[inline(always)]
    fn require_ordinary(&mut self, norms: &[f64; L]) {
        for l in 0..L {
            self.done[l] &= norms[l] > 1.0 / A::ORDINARY && norms[l] < A::ORDINARY;
        }
    }

    #[inline(always)]
    fn require_eps(&mut self, norms: &[f64; L], units: &[f64; L]) {
        for l in 0..L {
            self.done[l] &= norms[l] / units[l] >= self.eps;
        }
    }
}

/// The norm in each lane, summed in double and folded as eight lanes are.
#[inline(always)]
fn norms<A: Real, const L: usize, const N: usize>(x: &Entries<A, L, N>, len: usize) -> [f64; L] {
    let mut squares = [[0.0; L]; N];
    for j in 0..len {
        for l in 0..L {
            squares[j][l] = x[j][l].to_f64() * x[j][l].to_f64();
        }
    }
    let mut norms = [0.0; L];
    for l in 0..L {
        if N == MAX_SIDE {
            for j in 0..N / 2 {
                squares[j][l] += squares[j + N / 2][l];
            }
        }
        norms[l] = ((squares[0][l] + squares[2][l]) + (squares[1][l] + squares[3][l])).sqrt();
    }
    norms
}

#[inline(always)]
fn divided<S: Simd + Lanes<A, L>, A: Real, const L: usize, const N: usize>(
    s: S,
    x: &Entries<A, L, N>,
    norms: &[f64; L],
    y: &mut Entries<A, L, N>,
) {
    let mut divisor = [A::ZERO; L];
    for l in 0..L {
        divisor[l] = A::from_f64(norms[l]);
    }
    let divisor = s.load(&divisor);
    // Entries beyond the vector's are zero and stay zero.
    for (x, y) in x.iter().zip(y) {
        s.load(x).div(divisor).store(y);
    }
}

impl<T: Save<f32, 16>> Kernel for TinySteps<'_, T, f32> {
    type Output = u32;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> u32 {
        if self.shape.0.max(self.shape.1) <= MAX_SIDE / 2 {
            self.body::<S, 16, { MAX_SIDE / 2 }, { MAX_SIDE * MAX_SIDE / 4 }>(s)
        } else {
            self.body::<S, 16, MAX_SIDE, { MAX_SIDE * MAX_SIDE }>(s)
        }
    }
}

impl<T: Save<f64, 8>> Kernel for TinySteps<'_, T, f64> {
    type Output = u32;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> u32 {
        if self.shape.0.max(self.shape.1) <= MAX_SIDE / 2 {
            self.body::<S, 8, { MAX_SIDE / 2 }, { MAX_SIDE * MAX_SIDE / 4 }>(s)
        } else {
            self.body::<S, 8, MAX_SIDE, { MAX_SIDE * MAX_SIDE }>(s)
        }
    }
}
