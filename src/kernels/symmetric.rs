//! One symmetric matrix at a time: the Gram matrix and its reduction to tridiagonal form.
//!
//! Rows are padded with zeros to whole virtual vectors, so that no kernel has a tail: a column that
//! a step has finished with, or the padding, meets zeros and keeps its value. Every row of the
//! symmetric matrix is stored in full, which keeps all reads along rows.

use ndarray::ArrayView2;

use crate::matrix::MatRef;
use crate::simd::{Aligned, Kernel, LANES, Lanes, Level, Load, Simd, Vector};

use super::eight::NEGLIGIBLE;
use super::rows::chunks_at;

/// A square or tall matrix of doubles whose rows are padded to whole virtual vectors.
pub(crate) struct Padded {
    nrows: usize,
    ncols: usize,
    data: Aligned,
}

impl Padded {
    /// A matrix of zeros.
    pub(crate) fn zeros(nrows: usize, ncols: usize) -> Self {
        Self { nrows, ncols, data: Aligned::zeros(nrows * ncols.next_multiple_of(LANES)) }
    }

    /// Rows and columns, without the padding.
    pub(crate) fn shape(&self) -> (usize, usize) {
        (self.nrows, self.ncols)
    }

    /// Row `i` without its padding.
    pub(crate) fn row(&self, i: usize) -> &[f64] {
        &self.data[i * self.stride()..][..self.ncols]
    }

    /// Row `i` without its padding.
    pub(crate) fn row_mut(&mut self, i: usize) -> &mut [f64] {
        let (stride, ncols) = (self.stride(), self.ncols);
        &mut self.data[i * stride..][..ncols]
    }

    /// The matrix with its padding.
    pub(crate) fn padded(&self) -> MatRef<'_, f64> {
        let view = ArrayView2::from_shape((self.nrows, self.stride()), &self.data);
        MatRef::from_view(view.expect("rows times stride")).expect("its rows are contiguous")
    }

    /// The sum of the diagonal.
    pub(crate) fn trace(&self) -> f64 {
        (0..self.ncols).map(|i| self.row(i)[i]).sum()
    }

    /// Multiplies every entry.
    pub(crate) fn scale(&mut self, factor: f64) {
        self.data.iter_mut().for_each(|x| *x *= factor);
    }

    /// Elements from one row to the next.
    pub(crate) fn stride(&self) -> usize {
        self.ncols.next_multiple_of(LANES)
    }
}

struct Widen<'a, 'w, T> {
    row: &'a [T],
    factors: (f64, f64),
    out: &'w mut [f64],
}

impl<T: Load<f64, 8>> Kernel for Widen<'_, '_, T> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let (first, second) = self.factors;
        let first = Lanes::<f64, 8>::splat(s, first);
        let second = Lanes::<f64, 8>::splat(s, second);
        let (chunks, tail) = self.row.as_chunks::<8>();
        let (outs, out_tail) = self.out.as_chunks_mut::<8>();
        for (x, out) in chunks.iter().zip(outs) {
            T::load(s, x).mul(first).mul(second).store(out);
        }
        if !tail.is_empty() {
            T::load_partial(s, tail).mul(first).mul(second).store_partial(out_tail);
        }
    }
}

/// `out = row * factors.0 * factors.1`, element by element.
pub(crate) fn widen<T: Load<f64, 8>>(
    level: Level,
    row: &[T],
    factors: (f64, f64),
    out: &mut [f64],
) {
    assert_eq!(row.len(), out.len(), "lengths of row and out");
    level.run(Widen { row, factors, out });
}

struct Gram<'w> {
    b: &'w Padded,
    gram: &'w mut Padded,
}

impl Kernel for Gram<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self { b, gram } = self;
        let (n, stride) = (gram.nrows, gram.stride());
        // How many sums are held in registers never shows in the result: each runs over the rows
        // of `B` in order.
        let mut i = 0;
        while i + 2 <= n {
            gram_rows::<S, 2>(s, b, i, &mut gram.data[i * stride..(i + 2) * stride]);
            i += 2;
        }
        if i < n {
            gram_rows::<S, 1>(s, b, i, &mut gram.data[i * stride..(i + 1) * stride]);
        }
        for i in 0..n {
            for j in 0..i {
                gram.data[i * stride + j] = gram.data[j * stride + i];
            }
        }
    }
}

/// Rows `i .. i + R` of the Gram matrix, from the chunk of the diagonal on.
#[inline(always)]
fn gram_rows<S: Simd, const R: usize>(s: S, b: &Padded, i: usize, out: &mut [f64]) {
    let nchunks = b.stride() / LANES;
    let mut k = i / LANES;
    while k + 2 <= nchunks {
        gram_tile::<S, R, 2>(s, b, i, k, out);
        k += 2;
    }
    if k < nchunks {
        gram_tile::<S, R, 1>(s, b, i, k, out);
    }
}

#[inline(always)]
fn gram_tile<S: Simd, const R: usize, const W: usize>(
    s: S,
    b: &Padded,
    i: usize,
    k: usize,
    out: &mut [f64],
) {
    let stride = b.stride();
    let mut sums = [[Lanes::<f64, 8>::splat(s, 0.0); W]; R];
    for row in b.data.chunks_exact(stride) {
        let tile: &[[f64; 8]; W] = chunks_at(row, k);
        let factors = &row[i..i + R];
        for r in 0..R {
            let factor = Lanes::<f64, 8>::splat(s, factors[r]);
            for w in 0..W {
                sums[r][w] = factor.mul_add(Lanes::<f64, 8>::load(s, &tile[w]), sums[r][w]);
            }
        }
    }
    for r in 0..R {
        let row = &mut out[r * stride..(r + 1) * stride];
        for (sum, out) in sums[r].into_iter().zip(&mut row.as_chunks_mut::<8>().0[k..]) {
            sum.store(out);
        }
    }
}

/// The Gram matrix `B'B`.
pub(crate) fn gram(level: Level, b: &Padded, gram: &mut Padded) {
    assert_eq!(gram.shape(), (b.ncols, b.ncols), "shape of the Gram matrix");
    level.run(Gram { b, gram });
}

/// A symmetric matrix in tridiagonal form: `alpha` the diagonal, `beta` the signed off-diagonal,
/// `tau` the factors of the reflectors, whose vectors stand in the rows of the reduced matrix, row
/// `j` of them after its entry `j`.
pub(crate) struct Reduced {
    pub(crate) alpha: Vec<f64>,
    pub(crate) beta: Vec<f64>,
    pub(crate) tau: Vec<f64>,
    work: [Aligned; 4],
}

impl Reduced {
    /// Room for the reduction of a matrix of order `n`.
    pub(crate) fn zeros(n: usize) -> Self {
        let zeros = || vec![0.0; n];
        let work = std::array::from_fn(|_| Aligned::zeros(n.next_multiple_of(LANES)));
        Self { alpha: zeros(), beta: zeros(), tau: zeros(), work }
    }
}

struct Reduce<'w> {
    a: &'w mut Padded,
    out: &'w mut Reduced,
}

impl Kernel for Reduce<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self { a, out: Reduced { alpha, beta, tau, work } } = self;
        let (n, stride) = (a.nrows, a.stride());
        let [mut minus_v, mut w, mut v, mut p] = work.each_mut().map(|x| &mut x[..]);
        // The rank-two update `- v w' - w v'` of one step waits for the product of the next, so
        // that each step reads and writes the matrix once.
        for j in 0..n {
            let row = &mut a.data[j * stride..(j + 1) * stride];
            rank_two_update(s, (minus_v[j], &*w), (w[j], &*minus_v), row);
            alpha[j] = row[j];
            if j + 2 >= n {
                beta[j] = if j + 1 < n { row[j + 1] } else { 0.0 };
                continue;
            }
            v[..=j].fill(0.0);
            v[j + 1..].copy_from_slice(&row[j + 1..]);
            (beta[j], tau[j]) = reflector(s, j, v);
            row[j + 1..].copy_from_slice(&v[j + 1..]);
            let step = Step { from: j + 1, minus_v, w, v };
            step.update_and_multiply(s, &mut a.data[(j + 1) * stride..], p);
            p[..=j].fill(0.0);
            finish_update_vector(tau[j], &v[j + 1..n], &mut p[j + 1..n]);
            v.iter_mut().for_each(|x| *x = -*x);
            (minus_v, w, v, p) = (v, p, minus_v, w);
        }
    }
}

/// The rows from `from` on, with an update pending and a vector to be multiplied.
struct Step<'w> {
    from: usize,
    minus_v: &'w [f64],
    w: &'w [f64],
    v: &'w [f64],
}

impl Step<'_> {
    /// `A -= v_old w' + w v_old'`, then `p = A v`, over the columns from the chunk of `from` on.
    #[inline(always)]
    fn update_and_multiply<S: Simd>(&self, s: S, rows: &mut [f64], p: &mut [f64]) {
        let nchunks = p.len() / LANES;
        let mut k = self.from / LANES;
        while k + 2 <= nchunks {
            self.tile::<S, 2>(s, k, rows, p);
            k += 2;
        }
        if k < nchunks {
            self.tile::<S, 1>(s, k, rows, p);
        }
    }

    /// The matrix is symmetric, so its product with `v` is a sum of rows, which no step splits.
    #[inline(always)]
    fn tile<S: Simd, const W: usize>(&self, s: S, k: usize, rows: &mut [f64], p: &mut [f64]) {
        let stride = p.len();
        let mut sums = [Lanes::<f64, 8>::splat(s, 0.0); W];
        let (mut minus_v, mut w) = (sums, sums);
        let old: (&[[f64; 8]; W], &[[f64; 8]; W]) =
            (chunks_at(self.minus_v, k), chunks_at(self.w, k));
        for t in 0..W {
            minus_v[t] = Lanes::<f64, 8>::load(s, &old.0[t]);
            w[t] = Lanes::<f64, 8>::load(s, &old.1[t]);
        }
        let factors = self.minus_v[self.from..].iter().zip(&self.w[self.from..]);
        let factors = factors.zip(&self.v[self.from..]);
        for (row, ((&minus_v_i, &w_i), &v_i)) in rows.chunks_exact_mut(stride).zip(factors) {
            let tile = &mut row.as_chunks_mut::<8>().0[k..k + W];
            let first = Lanes::<f64, 8>::splat(s, minus_v_i);
            let second = Lanes::<f64, 8>::splat(s, w_i);
            let factor = Lanes::<f64, 8>::splat(s, v_i);
            for t in 0..W {
                let x = first.mul_add(w[t], Lanes::<f64, 8>::load(s, &tile[t]));
                let x = second.mul_add(minus_v[t], x);
                x.store(&mut tile[t]);
                sums[t] = factor.mul_add(x, sums[t]);
            }
        }
        let out = &mut p.as_chunks_mut::<8>().0[k..k + W];
        for (sum, out) in sums.into_iter().zip(out) {
            sum.store(out);
        }
    }
}

/// Turns column `j`, which `v` holds below the diagonal, into the vector of a reflector; returns
/// the off-diagonal entry that results and the factor `tau` of `I - tau v v'`.
#[inline(always)]
fn reflector<S: Simd>(s: S, j: usize, v: &mut [f64]) -> (f64, f64) {
    let head = v[j + 1];
    v[j + 1] = 0.0;
    let start = (j + 1) / LANES * LANES;
    let mut sums = Lanes::<f64, 8>::splat(s, 0.0);
    for chunk in v[start..].as_chunks::<8>().0 {
        let x = Lanes::<f64, 8>::load(s, chunk);
        sums = x.mul_add(x, sums);
    }
    let tail = sums.sum();
    if tail <= NEGLIGIBLE {
        v.fill(0.0);
        return (head, 0.0);
    }
    let norm = head.mul_add(head, tail).sqrt();
    let size = norm + head.abs();
    v[j + 1] = size.copysign(head);
    ((-norm).copysign(-head), 1.0 / (norm * size))
}

/// `w = tau p - (tau^2 / 2) (v.p) v`, with which the reflection is `- v w' - w v'`.
#[inline(always)]
fn finish_update_vector(tau: f64, v: &[f64], w: &mut [f64]) {
    let mut inner = 0.0;
    for (v, p) in v.iter().zip(&mut *w) {
        *p *= tau;
        inner = p.mul_add(*v, inner);
    }
    let half = -0.5 * tau * inner;
    for (v, p) in v.iter().zip(w) {
        *p = half.mul_add(*v, *p);
    }
}

/// `row += first.0 * first.1 + second.0 * second.1`, over whole chunks.
#[inline(always)]
fn rank_two_update<S: Simd>(s: S, first: (f64, &[f64]), second: (f64, &[f64]), row: &mut [f64]) {
    let factors = (Lanes::<f64, 8>::splat(s, first.0), Lanes::<f64, 8>::splat(s, second.0));
    let (xs, ys) = (first.1.as_chunks::<8>().0, second.1.as_chunks::<8>().0);
    for ((x, y), z) in xs.iter().zip(ys).zip(row.as_chunks_mut::<8>().0) {
        let sum = factors.0.mul_add(Lanes::<f64, 8>::load(s, x), Lanes::<f64, 8>::load(s, z));
        factors.1.mul_add(Lanes::<f64, 8>::load(s, y), sum).store(z);
    }
}

/// Reduces a symmetric matrix to tridiagonal form by Householder's reflections, in place.
pub(crate) fn reduce(level: Level, a: &mut Padded, out: &mut Reduced) {
    assert_eq!(a.shape(), (out.alpha.len(), out.alpha.len()), "shapes");
    level.run(Reduce { a, out });
}

#[cfg(test)]
#[path = "../../tests/rust/unit/symmetric.rs"]
mod tests;
