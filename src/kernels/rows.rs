//! The two primitives of every pass over a matrix: products of rows with a vector, and the update
//! of a vector by rows.
//!
//! How many rows or columns are taken at a time never shows in the result: each row's product has
//! accumulators of its own, and an update adds the rows one after the other, whatever it holds in
//! registers meanwhile.
//!
//! No closure here may touch a vector: it would be compiled without the tier's instructions, and
//! each operation in it become a call.

use std::ops::Range;

use crate::matrix::MatRef;
use crate::scalar::Element;
use crate::simd::{Lanes, Load, Real, Simd, Vector};

/// Some rows of a matrix, or the same columns of some rows.
#[derive(Debug, Clone)]
pub(super) struct Strip<'a, T> {
    pub(super) a: MatRef<'a, T>,
    pub(super) rows: Range<usize>,
    pub(super) columns: Range<usize>,
}

impl<'a, T: Element> Strip<'a, T> {
    pub(super) fn nrows(&self) -> usize {
        self.rows.len()
    }

    /// A strip without rows, for an update that has nothing to fetch.
    pub(super) fn no_rows(&self) -> Self {
        Self { rows: 0..0, ..self.clone() }
    }

    /// The rows as one slice, where they are whole and lie side by side: walking along it costs a
    /// fraction of looking every row up.
    #[inline(always)]
    pub(super) fn packed(&self) -> Option<&'a [T]> {
        let ncols = self.a.ncols();
        let data = self.a.packed().filter(|_| self.columns == (0..ncols))?;
        Some(&data[self.rows.start * ncols..self.rows.end * ncols])
    }

    #[inline(always)]
    pub(super) fn row(&self, i: usize) -> &'a [T] {
        &self.a.row(self.rows.start + i)[self.columns.clone()]
    }

    #[inline(always)]
    pub(super) fn group<const R: usize>(&self, i: usize) -> [&'a [T]; R] {
        let mut rows = [&[][..]; R];
        for (r, row) in rows.iter_mut().enumerate() {
            *row = self.row(i + r);
        }
        rows
    }
}

/// `t[i] = row_i . v` for every row of the strip.
#[inline(always)]
pub(super) fn products<S, T, A, const L: usize>(s: S, strip: &Strip<'_, T>, v: &[A], t: &mut [A])
where
    S: Simd + Lanes<A, L>,
    T: Load<A, L>,
    A: Real + Load<A, L>,
{
    let n = strip.nrows();
    let mut i = 0;
    while S::ROWS == 4 && i + 4 <= n {
        t[i..i + 4].copy_from_slice(&dots::<S, T, A, L, 4>(s, strip.group(i), v));
        i += 4;
    }
    while i + 2 <= n {
        t[i..i + 2].copy_from_slice(&dots::<S, T, A, L, 2>(s, strip.group(i), v));
        i += 2;
    }
    if i < n {
        t[i..i + 1].copy_from_slice(&dots::<S, T, A, L, 1>(s, strip.group(i), v));
    }
}

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
    let mut sums = [A::ZERO; R];
    for r in 0..R {
        sums[r] = even[r].add(odd[r]).sum();
    }
    sums
}

/// `z += sum_i t[i] * row_i`, the rows added in order, each by one fused multiply-add.
///
/// A tile of `z` stays in registers while all rows of the strip pass by. The rows `ahead` are
/// fetched meanwhile, as many as there are rows in the strip at most.
#[inline(always)]
pub(super) fn update<S, T, A, const L: usize>(
    s: S,
    t: &[A],
    strip: &Strip<'_, T>,
    ahead: &Strip<'_, T>,
    z: &mut [A],
) where
    S: Simd + Lanes<A, L>,
    T: Load<A, L>,
    A: Real + Load<A, L>,
{
    assert_eq!(z.len(), strip.columns.len(), "entries of z");
    match strip.packed() {
        Some(data) if !z.is_empty() => {
            let rows = data.chunks_exact(z.len());
            Update { t, rows, ahead }.run::<S, L>(s, z);
        }
        _ => {
            let rows = Walk { strip: strip.clone(), next: 0 };
            Update { t, rows, ahead }.run_plainly::<S, L>(s, z);
        }
    }
}

/// The rows of a strip one by one, however they lie.
#[derive(Clone)]
struct Walk<'a, T> {
    strip: Strip<'a, T>,
    next: usize,
}

impl<'a, T: Element> Iterator for Walk<'a, T> {
    type Item = &'a [T];

    #[inline(always)]
    fn next(&mut self) -> Option<&'a [T]> {
        let i = self.next;
        self.next += 1;
        (i < self.strip.nrows()).then(|| self.strip.row(i))
    }
}

/// The rows of an update, and their factors.
struct Update<'b, 'w, T, A, I> {
    t: &'w [A],
    rows: I,
    ahead: &'w Strip<'b, T>,
}

impl<'a, T: Element + 'a, A: Real, I: Iterator<Item = &'a [T]> + Clone> Update<'_, '_, T, A, I> {
    #[inline(always)]
    fn run<S, const L: usize>(&self, s: S, z: &mut [A])
    where
        S: Simd + Lanes<A, L>,
        T: Load<A, L>,
        A: Load<A, L>,
    {
        let (chunks, tail) = z.as_chunks_mut::<L>();
        let mut k = 0;
        while S::TILE == 8 && k + 8 <= chunks.len() {
            self.tile::<S, L, 8, false>(s, k, &mut chunks[k..k + 8], &mut []);
            k += 8;
        }
        while k + 5 < chunks.len() + usize::from(!tail.is_empty()) {
            self.tile::<S, L, 4, false>(s, k, &mut chunks[k..k + 4], &mut []);
            k += 4;
        }
        // What is left goes together, and with the tail: alone, each would wait for its own sums.
        let chunks = &mut chunks[k..];
        match (chunks.len(), tail.is_empty()) {
            (0, true) => {}
            (1, true) => self.tile::<S, L, 1, false>(s, k, chunks, &mut []),
            (2, true) => self.tile::<S, L, 2, false>(s, k, chunks, &mut []),
            (3, true) => self.tile::<S, L, 3, false>(s, k, chunks, &mut []),
            (4, true) => self.tile::<S, L, 4, false>(s, k, chunks, &mut []),
            (_, true) => self.tile::<S, L, 5, false>(s, k, chunks, &mut []),
            (0, false) => self.tile::<S, L, 0, true>(s, k, chunks, tail),
            (1, false) => self.tile::<S, L, 1, true>(s, k, chunks, tail),
            (2, false) => self.tile::<S, L, 2, true>(s, k, chunks, tail),
            (3, false) => self.tile::<S, L, 3, true>(s, k, chunks, tail),
            (_, false) => self.tile::<S, L, 4, true>(s, k, chunks, tail),
        }
    }

    /// As `run`, compiled in a third of the time.
    #[inline(always)]
    fn run_plainly<S, const L: usize>(&self, s: S, z: &mut [A])
    where
        S: Simd + Lanes<A, L>,
        T: Load<A, L>,
        A: Load<A, L>,
    {
        let (chunks, tail) = z.as_chunks_mut::<L>();
        let mut k = 0;
        while k + 4 <= chunks.len() {
            self.tile::<S, L, 4, false>(s, k, &mut chunks[k..k + 4], &mut []);
            k += 4;
        }
        while k < chunks.len() {
            self.tile::<S, L, 1, false>(s, k, &mut chunks[k..k + 1], &mut []);
            k += 1;
        }
        if !tail.is_empty() {
            self.tile::<S, L, 0, true>(s, k, &mut [], tail);
        }
    }

    /// The update of `W` chunks of `z`, the first of which is chunk `k`, and with `TAIL` of the
    /// entries behind the last.
    #[inline(always)]
    fn tile<S, const L: usize, const W: usize, const TAIL: bool>(
        &self,
        s: S,
        k: usize,
        z: &mut [[A; L]],
        tail: &mut [A],
    ) where
        S: Simd + Lanes<A, L>,
        T: Load<A, L>,
        A: Load<A, L>,
    {
        let z: &mut [[A; L]; W] = z.try_into().expect("the caller cuts W chunks");
        let (start, end) = ((k + W) * L, (k + W) * L + tail.len());
        let mut x = [s.splat(A::ZERO); W];
        for w in 0..W {
            x[w] = A::load(s, &z[w]);
        }
        let mut last = if TAIL { A::load_partial(s, tail) } else { s.splat(A::ZERO) };
        for ((i, &factor), row) in self.t.iter().enumerate().zip(self.rows.clone()) {
            let factor = s.splat(factor);
            let chunks: &[[T; L]; W] = chunks_at(row, k);
            self.fetch::<S, L, W>(s, i, k);
            for w in 0..W {
                x[w] = factor.mul_add(T::load(s, &chunks[w]), x[w]);
            }
            if TAIL {
                last = factor.mul_add(T::load_partial(s, &row[start..end]), last);
            }
        }
        for w in 0..W {
            x[w].store(&mut z[w]);
        }
        if TAIL {
            last.store_partial(tail);
        }
    }

    /// Asks for the same chunks of the row that comes after as many.
    #[inline(always)]
    fn fetch<S: Simd, const L: usize, const W: usize>(&self, s: S, i: usize, k: usize) {
        if i < self.ahead.nrows() {
            let next: &[[T; L]; W] = chunks_at(self.ahead.row(i), k);
            for w in (0..W).step_by(lines_apart::<T, L>()) {
                s.prefetch(&next[w]);
            }
        }
    }
}

/// Chunks `k .. k + W` of a row.
#[inline(always)]
pub(super) fn chunks_at<T, const L: usize, const W: usize>(row: &[T], k: usize) -> &[[T; L]; W] {
    row.as_chunks::<L>().0[k..k + W].try_into().expect("the range has W chunks")
}

/// How many chunks begin on the same cache line.
const fn lines_apart<T, const L: usize>() -> usize {
    let chunks = 64 / size_of::<[T; L]>();
    if chunks == 0 { 1 } else { chunks }
}
