//! Orthonormal blocks of vectors in single precision, and the reorthogonalisation against all.
//!
//! A block is made orthogonal by classical Gram-Schmidt, at one read of the basis a sweep, and
//! orthonormal by Cholesky's method on its Gram matrix, twice (Yamamoto, Nakatsukasa, Yanagisawa
//! and Fukaya, ETNA 44, 2015): every sum in double precision, every vector in single.

use ndarray::{ArrayView2, s};

use crate::kernels::block::{BlockRows, Scaling};
use crate::kernels::matvec::rmatvec;
use crate::kernels::panel::{PANEL, Panel, gram, multiply};
use crate::matrix::MatRef;
use crate::simd::{Aligned, Level};

use super::small::{self, Small};

/// A block is swept again when one of its vectors was left with less than this share of its length.
const SHRINK: f64 = 0.1;

/// A block still shrinking after this many sweeps is noise within the span.
const SWEEPS: usize = 4;

/// Blocks that room is made for at first; most matrices need no more.
const CAPACITY: usize = 12;

/// Numbers of a vector from which on room costs nothing until it is used: the system hands it out a page at
/// a time.
const LONG: usize = 1024;

/// What a block was before it was made orthonormal: `Z = Q alpha + ... + Q_next beta`.
pub(super) struct Coefficients<const B: usize> {
    /// The part along the block before, symmetric.
    pub(super) alpha: Small<B>,
    /// The upper triangular rest.
    pub(super) beta: Small<B>,
}

/// Blocks of `B` orthonormal vectors of one length, each vector a row.
pub(super) struct BlockBasis<const B: usize> {
    n: usize,
    stride: usize,
    len: usize,
    rows: Aligned<f32>,
    before: Vec<Panel<B>>,
    products: Vec<[f32; B]>,
}

impl<const B: usize> BlockBasis<B> {
    /// No vectors, of length `n`.
    pub(super) fn new(n: usize) -> Self {
        let stride = n.next_multiple_of(PANEL);
        let capacity = if n < LONG { CAPACITY } else { 4 * CAPACITY };
        let rows = Aligned::with_capacity(stride * B * capacity);
        Self { n, stride, len: 0, rows, before: Vec::new(), products: Vec::new() }
    }

    /// Number of vectors.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Appends a block of orthonormal vectors.
    pub(super) fn push(&mut self, block: &[Panel<B>]) {
        let used = self.len * self.stride;
        self.rows.grow(B * self.stride);
        let vectors = self.rows[used..].chunks_exact_mut(self.stride);
        for (c, vector) in vectors.enumerate() {
            for (chunk, panel) in vector.as_chunks_mut::<PANEL>().0.iter_mut().zip(block) {
                *chunk = panel.0[c];
            }
        }
        self.len += B;
    }

    /// Makes `z`, the image of the last block, orthogonal to all blocks and orthonormal. `None`
    /// where its vectors are dependent.
    pub(super) fn orthonormalize(
        &mut self,
        level: Level,
        z: &mut [Panel<B>],
    ) -> Option<Coefficients<B>> {
        let mut alpha = [[0.0; B]; B];
        let near = self.len.saturating_sub(2 * B);
        let first = self.len - B - near;
        // The large components lie along the last two blocks: once for them, then for all.
        self.project_out(level, near, z);
        self.collect(first, &mut alpha);
        let mut length = diagonal(&gram(level, z));
        let mut beta = identity();
        for _ in 0..SWEEPS {
            self.project_out(level, 0, z);
            self.collect(self.len - B, &mut alpha);
            let r = orthonormal(level, z)?;
            beta = small::multiply(&r, &beta);
            if (0..B).all(|c| r[c][c] * r[c][c] >= SHRINK * SHRINK * length[c]) {
                break;
            }
            length = [1.0; B];
        }
        Some(Coefficients { alpha: symmetric(&alpha), beta })
    }

    /// `sum_j y[j] * vector(j)` over the first vectors.
    pub(super) fn combine(&self, level: Level, y: &[f64]) -> Vec<f64> {
        let mut x = vec![0.0; self.n];
        rmatvec(level, self.matrix(0, y.len(), self.n), y, &mut x);
        x
    }

    /// Vectors from `first` on, of which `columns` entries are looked at.
    fn matrix(&self, first: usize, end: usize, columns: usize) -> MatRef<'_, f32> {
        let shape = (end - first, self.stride);
        let rows = &self.rows[first * self.stride..end * self.stride];
        let rows = ArrayView2::from_shape(shape, rows).expect("as many elements as the shape has");
        MatRef::from_view(rows.slice_move(s![.., ..columns])).expect("its rows are contiguous")
    }

    /// Classical Gram-Schmidt against the vectors from `first` on.
    fn project_out(&mut self, level: Level, first: usize, z: &mut [Panel<B>]) {
        let mut products = std::mem::take(&mut self.products);
        let mut before = std::mem::take(&mut self.before);
        before.clear();
        before.extend_from_slice(z);
        products.clear();
        products.resize(self.len - first, [0.0; B]);
        let (a, range) = (self.matrix(first, self.len, self.stride), 0..self.len - first);
        let (x, t) = (&before[..], &mut products[..]);
        let scaling = Scaling { products: -1.0, elements: None };
        // Between two blocks the pass over the matrix has sent long vectors out of the near caches.
        let (lead, weights, back, far) = (0, None, false, self.n >= LONG);
        level.run(BlockRows { a, range, x, lead, scaling, weights, back, far, t, z });
        self.products = products;
        self.before = before;
    }

    /// Adds the products with the block that starts at vector `first` of the last sweep.
    fn collect(&self, first: usize, alpha: &mut Small<B>) {
        for (sums, products) in alpha.iter_mut().zip(&self.products[first..first + B]) {
            for c in 0..B {
                sums[c] += f64::from(products[c]);
            }
        }
    }
}

/// Makes the vectors orthonormal: `Z = Q R`. `None` where they are dependent.
pub(super) fn orthonormal<const B: usize>(level: Level, z: &mut [Panel<B>]) -> Option<Small<B>> {
    let mut total = identity();
    for _ in 0..2 {
        let r = small::cholesky(&gram(level, z))?;
        multiply(level, z, small::to_single(&small::invert(&r)));
        total = small::multiply(&r, &total);
    }
    Some(total)
}

fn identity<const B: usize>() -> Small<B> {
    std::array::from_fn(|i| std::array::from_fn(|j| if i == j { 1.0 } else { 0.0 }))
}

fn diagonal<const B: usize>(x: &Small<B>) -> [f64; B] {
    std::array::from_fn(|i| x[i][i])
}

fn symmetric<const B: usize>(x: &Small<B>) -> Small<B> {
    std::array::from_fn(|i| std::array::from_fn(|j| 0.5 * (x[i][j] + x[j][i])))
}
