//! A sum of a few outer products, written once: the gradient of a weight whose layer saw few rows of input.

use std::ops::Range;

use crate::simd::{Aligned, Kernel, LINE, Lanes, Level, Real, Simd, Vector};

/// Rows that are written at a time, for one read of the right side.
pub(crate) const ROWS: usize = 4;

/// The vectors `l_k` and `r_k` of `sum_k l_k r_k'` in the order in which they are read: all `l_k` of a few
/// rows, all `r_k` of a vector of columns. Zeros fill what the last of these has to spare.
#[derive(Debug)]
pub(crate) struct Sides<A> {
    left: Vec<A>,
    right: Aligned<A>,
    shape: (usize, usize),
    count: usize,
}

impl<A: Real> Sides<A> {
    /// Columns of a vector.
    const LANES: usize = LINE / A::SIZE;

    /// So many vectors of zeros on each side, at least one.
    pub(crate) fn zeros((nrows, ncols): (usize, usize), count: usize) -> Self {
        let left = vec![A::ZERO; nrows.next_multiple_of(ROWS) * count];
        let right = Aligned::zeros(ncols.next_multiple_of(Self::LANES) * count);
        Self { left, right, shape: (nrows, ncols), count }
    }

    /// Sets vectors of number `k`: the left one to `factor` times `left`.
    pub(crate) fn set(&mut self, k: usize, (factor, left): (A, &[A]), right: &[A]) {
        assert_eq!((left.len(), right.len()), self.shape, "lengths of both sides");
        let count = self.count;
        let places = self.left[k * ROWS..].chunks_mut(count * ROWS);
        for (place, some) in places.zip(left.chunks(ROWS)) {
            place.iter_mut().zip(some).for_each(|(own, &y)| *own = factor * y);
        }
        let places = self.right[k * Self::LANES..].chunks_mut(count * Self::LANES);
        for (place, some) in places.zip(right.chunks(Self::LANES)) {
            place[..some.len()].copy_from_slice(some);
        }
    }
}

/// Some rows of the sum, packed.
pub(crate) struct Outer<'a, A> {
    pub(crate) sides: &'a Sides<A>,
    /// They begin at a multiple of [`ROWS`].
    pub(crate) rows: Range<usize>,
    pub(crate) out: &'a mut [A],
    /// Whether to store past the caches.
    pub(crate) stream: bool,
}

/// Sums of outer products, for each precision.
pub(crate) trait OuterKernels: Real {
    /// Writes the rows.
    fn outer(level: Level, outer: Outer<'_, Self>);
}

#[inline(always)]
fn outer<S: Simd + Lanes<A, L>, A: Real, const L: usize>(s: S, outer: Outer<'_, A>) {
    let Outer { sides, rows, out, stream } = outer;
    let (count, ncols) = (sides.count, sides.shape.1);
    let panels = sides.left[rows.start * count..].chunks_exact(ROWS * count);
    for (left, out) in panels.zip(out.chunks_mut(ROWS * ncols)) {
        for (right, j) in sides.right.chunks_exact(L * count).zip((0..).step_by(L)) {
            let sums = sums::<S, A, L>(s, left.as_chunks().0, right.as_chunks().0);
            for (row, sum) in out.chunks_mut(ncols).zip(sums) {
                match row[j..].first_chunk_mut() {
                    Some(slot) if stream => sum.stream(slot),
                    Some(slot) => sum.store(slot),
                    None => sum.store_partial(&mut row[j..]),
                }
            }
        }
    }
    if stream {
        s.fence();
    }
}

/// A vector of columns of each row.
#[inline(always)]
fn sums<S: Simd + Lanes<A, L>, A: Real, const L: usize>(
    s: S,
    left: &[[A; ROWS]],
    right: &[[A; L]],
) -> [<S as Lanes<A, L>>::V; ROWS] {
    let mut sums = [s.splat(A::ZERO); ROWS];
    for (left, right) in left.iter().zip(right) {
        let x = s.load(right);
        for (sum, &y) in sums.iter_mut().zip(left) {
            *sum = s.splat(y).mul_add(x, *sum);
        }
    }
    sums
}

macro_rules! impl_outer {
    ($($a:ty, $lanes:literal;)*) => {$(
        impl OuterKernels for $a {
            fn outer(level: Level, outer: Outer<'_, Self>) {
                let Outer { sides, rows, out, .. } = &outer;
                assert!(rows.start.is_multiple_of(ROWS) && rows.end <= sides.shape.0, "rows");
                assert_eq!(out.len(), rows.len() * sides.shape.1, "size of out");
                level.run(outer);
            }
        }

        impl Kernel for Outer<'_, $a> {
            type Output = ();
            #[inline(always)]
            fn eval<S: Simd>(self, s: S) {
                outer::<S, $a, $lanes>(s, self);
            }
        }
    )*};
}

impl_outer! {
    f32, 16;
    f64, 8;
}
