//! A sum of a few outer products, written once: the gradient of a weight whose layer saw few rows of input.

use std::ops::Range;

use crate::simd::{Kernel, Lanes, Level, Real, Simd, Vector};

/// Rows that are written at a time, for one read of the right side.
const ROWS: usize = 4;

/// Some rows of `sum_k left_k right_k'`, packed.
pub(crate) struct Outer<'a, A> {
    /// The vectors of the left side one after the other, of `nrows` entries each.
    pub(crate) left: &'a [A],
    pub(crate) nrows: usize,
    /// As many vectors of the right side, at least one, none of them empty.
    pub(crate) right: &'a [&'a [A]],
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
    let Outer { left, nrows, right, rows, out, stream } = outer;
    let ncols = right[0].len();
    let some = out.chunks_mut(ROWS * ncols).zip(rows.clone().step_by(ROWS));
    for (some, first) in some {
        if first + ROWS <= rows.end {
            write::<S, A, L, ROWS>(s, (&left[first..], nrows), right, some, stream);
            continue;
        }
        for (row, i) in some.chunks_mut(ncols).zip(first..) {
            write::<S, A, L, 1>(s, (&left[i..], nrows), right, row, stream);
        }
    }
    if stream {
        s.fence();
    }
}

/// Writes `R` rows, whose entries of the left side are the first of every `nrows`.
#[inline(always)]
fn write<S: Simd + Lanes<A, L>, A: Real, const L: usize, const R: usize>(
    s: S,
    (left, nrows): (&[A], usize),
    right: &[&[A]],
    out: &mut [A],
    stream: bool,
) {
    let ncols = right[0].len();
    for j in (0..ncols).step_by(L) {
        let mut sums = [s.splat(A::ZERO); R];
        for (left, right) in left.chunks(nrows).zip(right) {
            let x = match right[j..].first_chunk() {
                Some(chunk) => s.load(chunk),
                None => s.load_partial(&right[j..]),
            };
            for (sum, &y) in sums.iter_mut().zip(&left[..R]) {
                *sum = s.splat(y).mul_add(x, *sum);
            }
        }
        for (row, sum) in out.chunks_mut(ncols).zip(sums) {
            match row[j..].first_chunk_mut() {
                Some(slot) if stream => sum.stream(slot),
                Some(slot) => sum.store(slot),
                None => sum.store_partial(&mut row[j..]),
            }
        }
    }
}

macro_rules! impl_outer {
    ($($a:ty, $lanes:literal;)*) => {$(
        impl OuterKernels for $a {
            fn outer(level: Level, outer: Outer<'_, Self>) {
                let Outer { left, nrows, right, rows, out, .. } = &outer;
                assert!(rows.end <= *nrows, "rows of out");
                assert_eq!(left.len(), right.len() * nrows, "vectors of both sides");
                assert!(right.iter().all(|x| x.len() == right[0].len()), "lengths of right");
                assert_eq!(out.len(), rows.len() * right[0].len(), "size of out");
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
