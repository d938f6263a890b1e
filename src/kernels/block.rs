//! The fused pass with several vectors: `T = A X` and `Z += A' (scale * T)` at one read of `A`, in
//! single precision.
//!
//! By rows, a strip of rows is multiplied with `X` and, while still in a near cache, added
//! to `Z`. By columns, for the transposed operator, a strip of columns takes both halves in the
//! other order. Each number of `T` is summed in lanes over a tile of columns and from tile to tile
//! by a scalar, each number of `Z` row by row; neither depends on what a tier holds in registers, nor on
//! where the rows begin in memory.

use std::ops::Range;

use crate::matrix::MatRef;
use crate::scalar::Element;
use crate::simd::{Kernel, Level, Load, Simd};

use super::block_products::products;
use super::block_update::update;
use super::lift::Lift;
use super::panel::{PANEL, Panel, QUAD, shift_back, shifted};
use super::rows::Strip;

/// Rows of a strip at most: their products fit a small array.
const MAX_ROWS: usize = 64;

/// Rows of a strip at least, to spread the cost of reading and writing `Z`.
const MIN_ROWS: usize = 4;

/// Bytes of a strip of short rows, which is read twice and stays in the first-level cache meanwhile.
const NEAR: usize = 24 << 10;

/// Bytes of a row up to which such a strip has rows enough.
const SHORT: usize = 1 << 10;

/// Bytes of a strip of longer rows, times the vectors. It stays in the second-level cache: with strips for the first
/// level, `X` and `Z` would be read as often as the matrix.
const FAR: usize = 256 << 10;

/// Bytes above which a matrix is worth fetching ahead of its use: closer caches need no help.
const LARGE: usize = 4 << 20;

/// Columns from which on a panel more costs less than loads across cache lines.
const LONG: usize = 256;

/// Bytes of a matrix up to which such loads show: a larger one goes at the pace of memory.
const CACHED: usize = 32 << 20;

/// How a pass multiplies the matrix by a power of two.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scaling {
    /// What every product of a row is multiplied with; the caller has scaled `X` alike.
    pub(crate) products: f32,
    /// What every element is multiplied with, in two steps, when one would leave the range.
    pub(crate) elements: Option<(f32, f32)>,
}

/// Lanes to leave free before the first entry of a row, so that panels begin on cache lines: a load across the
/// border of two takes the time of two.
///
/// No bit of a result depends on it, since the lanes of a sum are folded by halves.
pub(crate) fn lead<T: Element>(a: &MatRef<'_, T>) -> usize {
    const LINE: usize = PANEL * size_of::<f32>();
    let (nrows, ncols) = (a.nrows(), a.ncols());
    let place = |i: usize| a.row(i).as_ptr().addr() % LINE;
    let pays = T::SIZE == size_of::<f32>() && ncols >= LONG && nrows * ncols * T::SIZE <= CACHED;
    if pays && nrows > 1 && place(0) == place(1) { place(0) / T::SIZE / QUAD * QUAD } else { 0 }
}

/// Whether a matrix is so large that its rows are worth fetching ahead of their use.
pub(crate) fn is_far<T: Element>(a: &MatRef<'_, T>) -> bool {
    a.nrows() * a.ncols() * T::SIZE > LARGE
}

/// A piece of a pass over rows: `t` has an entry per row of `range`.
pub(crate) struct BlockRows<'a, 'w, T, const B: usize> {
    pub(crate) a: MatRef<'a, T>,
    pub(crate) range: Range<usize>,
    /// `x` and `z` have [`lead`] lanes before their first entry.
    pub(crate) x: &'w [Panel<B>],
    pub(crate) lead: usize,
    pub(crate) scaling: Scaling,
    /// What the products of every row of `a` are multiplied with besides, if with anything.
    pub(crate) weights: Option<&'w [f32]>,
    /// Whether the strips are taken from the last to the first.
    pub(crate) back: bool,
    /// Whether rows are fetched ahead of their use.
    pub(crate) far: bool,
    pub(crate) t: &'w mut [[f32; B]],
    pub(crate) z: &'w mut [Panel<B>],
}

impl<T: Load<f32, 16>, const B: usize> Kernel for BlockRows<'_, '_, T, B> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        match self.scaling.elements {
            None => self.body::<S, false>(s, (1.0, 1.0)),
            Some(factors) => self.body::<S, true>(s, factors),
        }
    }
}

impl<'a, T: Load<f32, 16>, const B: usize> BlockRows<'a, '_, T, B> {
    #[inline(always)]
    fn body<S: Simd, const SCALED: bool>(self, s: S, factors: (f32, f32)) {
        let Self { a, range, x, lead, scaling, weights, back, far, t, z } = self;
        let lift = Lift::<S, SCALED>::new(s, factors);
        let step = strip_rows::<T>(a.ncols(), B);
        let count = range.len().div_ceil(step);
        let cut = |rows: Range<usize>| Strip { a, rows, columns: 0..a.ncols() };
        // Past its end a block goes on to fetch what most likely comes next.
        let beyond = match back {
            true => range.start.saturating_sub(step)..range.start,
            false => range.end..a.nrows().min(range.end + step),
        };
        let rows = |i: usize| {
            if i < count { piece(&range, step, i, back) } else { beyond.clone() }
        };
        let mut scaled = [[0.0; B]; MAX_ROWS];
        for i in 0..count {
            let strip = cut(rows(i));
            let ahead = if far { cut(rows(i + 1)) } else { strip.no_rows() };
            let t = &mut t[strip.rows.start - range.start..strip.rows.end - range.start];
            t.fill([0.0; B]);
            products(lift, &strip, &ahead, (x, lead), t);
            for (i, (y, x)) in scaled.iter_mut().zip(&*t).enumerate() {
                let weight = weights.map_or(1.0, |weights| weights[strip.rows.start + i]);
                for c in 0..B {
                    y[c] = x[c] * (scaling.products * weight);
                }
            }
            update(lift, &scaled[..t.len()], &strip, &ahead, (&mut *z, lead));
        }
    }
}

/// The `i`-th piece of a range that is cut every `step`, counted from the end when going `back`.
fn piece(range: &Range<usize>, step: usize, i: usize, back: bool) -> Range<usize> {
    let i = if back { range.len().div_ceil(step) - 1 - i } else { i };
    let start = range.start + i * step;
    start..range.end.min(start + step)
}

/// As many rows as a near cache holds beside `vectors` of them, within limits.
fn strip_rows<T: Element>(ncols: usize, vectors: usize) -> usize {
    let row = (ncols * T::SIZE).max(1);
    let rows = if row <= SHORT { NEAR / row } else { FAR / vectors / row };
    rows.clamp(MIN_ROWS, MAX_ROWS) / 4 * 4
}

/// A piece of a pass over columns, the pass by rows of the transposed matrix: `x` and `z` have an
/// entry per row of the stored matrix.
pub(crate) struct BlockCols<'a, 'w, T, const B: usize> {
    pub(crate) a: MatRef<'a, T>,
    pub(crate) range: Range<usize>,
    pub(crate) x: &'w [[f32; B]],
    pub(crate) scaling: Scaling,
    /// Whether the strips are taken from the last to the first.
    pub(crate) back: bool,
    pub(crate) z: &'w mut [[f32; B]],
}

/// Columns of a strip that goes through a pass by columns: a function of nothing, since `z` adds up
/// one product per strip.
const COLUMN_STRIP: usize = 128;

impl<T: Load<f32, 16>, const B: usize> Kernel for BlockCols<'_, '_, T, B> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        match self.scaling.elements {
            None => self.body::<S, false>(s, (1.0, 1.0)),
            Some(factors) => self.body::<S, true>(s, factors),
        }
    }
}

impl<T: Load<f32, 16>, const B: usize> BlockCols<'_, '_, T, B> {
    #[inline(always)]
    fn body<S: Simd, const SCALED: bool>(self, s: S, factors: (f32, f32)) {
        let Self { a, range, x, scaling, back, z } = self;
        let lift = Lift::<S, SCALED>::new(s, factors);
        let count = range.len().div_ceil(COLUMN_STRIP);
        let cut = |i: usize| {
            let columns = piece(&range, COLUMN_STRIP, i, back);
            Strip { a, rows: 0..a.nrows(), columns }
        };
        for i in 0..count {
            let strip = cut(i);
            // What is fetched ahead has the width of the strip that fetches.
            let ahead = match i + 1 < count {
                true if cut(i + 1).columns.len() == strip.columns.len() => cut(i + 1),
                _ => strip.no_rows(),
            };
            let mut t = [Panel::<B>::ZERO; COLUMN_STRIP / PANEL];
            let t = &mut t[..strip.columns.len().div_ceil(PANEL)];
            update(lift, x, &strip, &ahead, (&mut *t, 0));
            for panel in &mut *t {
                for column in &mut panel.0 {
                    column.iter_mut().for_each(|x| *x *= scaling.products);
                }
            }
            products(lift, &strip, &strip.no_rows(), (t, 0), z);
        }
    }
}

/// `T = A V`, `Z = A' T` in single precision for `B` vectors, at one read of `A`.
///
/// # Panics
/// When `v` and `z` are not panels of vectors of length `ncols`, or `t` not of length `nrows`.
pub fn block_gram_f32<const B: usize>(
    level: Level,
    a: MatRef<'_, f32>,
    v: &[Panel<B>],
    t: &mut [[f32; B]],
    z: &mut [Panel<B>],
) {
    let panels = a.ncols().div_ceil(PANEL);
    assert_eq!((v.len(), t.len(), z.len()), (panels, a.nrows(), panels), "lengths");
    let (lead, range) = (lead(&a), 0..a.nrows());
    let (x, sum) = (&shifted(v, a.ncols(), lead)[..], &mut Panel::zeros(lead + a.ncols())[..]);
    let scaling = Scaling { products: 1.0, elements: None };
    let (weights, back, far) = (None, false, is_far(&a));
    level.run(BlockRows { a, range, x, lead, scaling, weights, back, far, t, z: sum });
    shift_back(sum, lead, z);
}
