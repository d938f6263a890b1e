//! The fused pass of a power step: products of rows with `x`, and the rows added up by them.
//!
//! Each product has one accumulator of `L` lanes, folded with those of three neighbours at once.
//! How many rows are taken at a time never shows in a result.

use crate::simd::{Lanes, Load, Real, Simd, Vector};

use super::rows::{Strip, chunks_at, update};

/// Rows of a strip: at most so many, that their products fit a small array.
const MAX_ROWS: usize = 64;

/// Bytes of a strip, which is read twice and should stay in the first-level cache.
const NEAR: usize = 16 << 10;

/// `t = A x` and `z += A' (scale * t)` over the rows of a strip.
///
/// A matrix that is `far`, beyond the second-level cache, is fetched a step ahead: the CPU's own
/// fetching ends with each page, which a few rows fill.
#[inline(always)]
pub(super) fn fused<S, T, A, const L: usize>(
    s: S,
    rows: &Strip<'_, T>,
    (x, scale): (&[A], A),
    t: &mut [A],
    z: &mut [A],
    far: bool,
) where
    S: Simd + Lanes<A, L>,
    T: Load<A, L>,
    A: Real + Load<A, L>,
{
    let step = (NEAR / (x.len() * T::SIZE).max(1)).clamp(4, MAX_ROWS) / 4 * 4;
    let mut scaled = [A::ZERO; MAX_ROWS];
    let mut start = rows.rows.start;
    for t in t.chunks_mut(step) {
        let strip = Strip { rows: start..start + t.len(), ..rows.clone() };
        products::<S, T, A, L>(s, &strip, x, t);
        for (y, &x) in scaled.iter_mut().zip(&*t) {
            *y = x * scale;
        }
        start = strip.rows.end;
        let ahead = if far { start..(start + step).min(rows.rows.end) } else { 0..0 };
        let ahead = Strip { rows: ahead, ..rows.clone() };
        update::<S, T, A, L>(s, &scaled[..t.len()], &strip, &ahead, z);
    }
}

/// `t[i] = row_i . x` for every row of the strip.
#[inline(always)]
pub(super) fn products<S, T, A, const L: usize>(s: S, strip: &Strip<'_, T>, x: &[A], t: &mut [A])
where
    S: Simd + Lanes<A, L>,
    T: Load<A, L>,
    A: Real + Load<A, L>,
{
    let (fours, rest) = t.as_chunks_mut::<4>();
    let mut i = 0;
    if let Some(data) = strip.packed()
        && !x.is_empty()
    {
        let rows = data.chunks_exact(4 * x.len());
        i = 4 * fours.len();
        for (four, rows) in fours.iter_mut().zip(rows) {
            let (front, back) = rows.split_at(2 * x.len());
            let (a, b) = front.split_at(x.len());
            let (c, d) = back.split_at(x.len());
            *four = <S as Lanes<A, L>>::V::sum_each(dots::<S, T, A, L, 4>(s, [a, b, c, d], x));
        }
    } else {
        for four in fours {
            *four = <S as Lanes<A, L>>::V::sum_each(dots::<S, T, A, L, 4>(s, strip.group(i), x));
            i += 4;
        }
    }
    for one in rest {
        let [sum] = dots::<S, T, A, L, 1>(s, strip.group(i), x);
        *one = sum.sum();
        i += 1;
    }
}

/// The lanes of `row . x` for every row.
#[inline(always)]
fn dots<S, T, A, const L: usize, const R: usize>(
    s: S,
    rows: [&[T]; R],
    x: &[A],
) -> [<S as Lanes<A, L>>::V; R]
where
    S: Simd + Lanes<A, L>,
    T: Load<A, L>,
    A: Real + Load<A, L>,
{
    let (chunks, tail) = x.as_chunks::<L>();
    let n = chunks.len();
    let mut sums = [s.splat(A::ZERO); R];
    let mut k = 0;
    while k + 4 <= n {
        add_products::<S, T, A, L, R, 4>(s, &rows, chunks, k, &mut sums);
        k += 4;
    }
    while k < n {
        add_products::<S, T, A, L, R, 1>(s, &rows, chunks, k, &mut sums);
        k += 1;
    }
    if !tail.is_empty() {
        let x = A::load_partial(s, tail);
        for r in 0..R {
            let row_tail = &rows[r][n * L..n * L + tail.len()];
            sums[r] = T::load_partial(s, row_tail).mul_add(x, sums[r]);
        }
    }
    sums
}

/// Adds the products of `W` chunks, the first of which is chunk `k`, to the sums of the rows.
#[inline(always)]
fn add_products<S, T, A, const L: usize, const R: usize, const W: usize>(
    s: S,
    rows: &[&[T]; R],
    x: &[[A; L]],
    k: usize,
    sums: &mut [<S as Lanes<A, L>>::V; R],
) where
    S: Simd + Lanes<A, L>,
    T: Load<A, L>,
    A: Real + Load<A, L>,
{
    let x: &[[A; L]; W] = x[k..k + W].try_into().expect("the caller leaves W chunks");
    let mut parts: [&[[T; L]; W]; R] = [chunks_at(rows[0], k); R];
    for r in 1..R {
        parts[r] = chunks_at(rows[r], k);
    }
    for w in 0..W {
        let x = A::load(s, &x[w]);
        for r in 0..R {
            sums[r] = T::load(s, &parts[r][w]).mul_add(x, sums[r]);
        }
    }
}
