//! The two primitives of every pass over a matrix.
//!
//! Both take a fixed number of rows at a time so that the vector is loaded once for all of them.
//! How many never shows in the result: a row's dot product has its own accumulators, and an update
//! adds the rows one after the other.

use crate::simd::{Lanes, Load, Real, Simd, Vector};

/// `[row . v for row in rows]`, each with two accumulators: even and odd chunks of `L` lanes.
///
/// Two are needed to cover the latency of the multiply-add when few rows are at hand.
#[inline(always)]
pub(super) fn dots<S, T, A, const L: usize, const R: usize>(
    s: S,
    rows: [&[T]; R],
    v: &[A],
) -> [A; R]
where
    S: Simd + Lanes<A, L>,
    T: Load<A, L>,
    A: Real + Load<A, L>,
{
    let (chunks, tail) = v.as_chunks::<L>();
    let n = chunks.len();
    let body = rows.map(|row| &row.as_chunks::<L>().0[..n]);
    let mut even = [s.splat(A::ZERO); R];
    let mut odd = even;
    let mut k = 0;
    while k + 2 <= n {
        let (x, y) = (A::load(s, &chunks[k]), A::load(s, &chunks[k + 1]));
        for r in 0..R {
            even[r] = T::load(s, &body[r][k]).mul_add(x, even[r]);
            odd[r] = T::load(s, &body[r][k + 1]).mul_add(y, odd[r]);
        }
        k += 2;
    }
    if k < n {
        let x = A::load(s, &chunks[k]);
        for r in 0..R {
            even[r] = T::load(s, &body[r][k]).mul_add(x, even[r]);
        }
    }
    if !tail.is_empty() {
        let x = A::load_partial(s, tail);
        for r in 0..R {
            let row_tail = &rows[r][n * L..n * L + tail.len()];
            odd[r] = T::load_partial(s, row_tail).mul_add(x, odd[r]);
        }
    }
    std::array::from_fn(|r| even[r].add(odd[r]).sum())
}

/// `z += sum_r t[r] * rows[r]`, the rows added in order, each by one fused multiply-add.
#[inline(always)]
pub(super) fn update<S, T, A, const L: usize, const R: usize>(
    s: S,
    t: [A; R],
    rows: [&[T]; R],
    z: &mut [A],
) where
    S: Simd + Lanes<A, L>,
    T: Load<A, L>,
    A: Real + Load<A, L>,
{
    let t = t.map(|x| s.splat(x));
    let (chunks, tail) = z.as_chunks_mut::<L>();
    let n = chunks.len();
    let body = rows.map(|row| &row.as_chunks::<L>().0[..n]);
    for k in 0..n {
        let mut x = A::load(s, &chunks[k]);
        for r in 0..R {
            x = t[r].mul_add(T::load(s, &body[r][k]), x);
        }
        x.store(&mut chunks[k]);
    }
    if !tail.is_empty() {
        let mut x = A::load_partial(s, tail);
        for r in 0..R {
            let row_tail = &rows[r][n * L..n * L + tail.len()];
            x = t[r].mul_add(T::load_partial(s, row_tail), x);
        }
        x.store_partial(tail);
    }
}

/// Calls `$body` for groups of `S::ROWS` rows of `$range`, then row by row: `$i` is the first row
/// and `$R` the number of rows, a constant.
macro_rules! for_row_groups {
    ($s:ty, $range:expr, |$i:ident, $R:ident| $body:block) => {{
        let range = $range;
        let mut $i = range.start;
        if <$s as Simd>::ROWS == 4 {
            const $R: usize = 4;
            while $i + $R <= range.end {
                $body
                $i += $R;
            }
        } else {
            const $R: usize = 2;
            while $i + $R <= range.end {
                $body
                $i += $R;
            }
        }
        const $R: usize = 1;
        while $i < range.end {
            $body
            $i += $R;
        }
    }};
}
pub(super) use for_row_groups;
