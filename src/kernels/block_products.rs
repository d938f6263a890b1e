//! Products of rows with several vectors at once.
//!
//! How many rows or vectors are held in registers at a time never shows in the result. No closure here
//! may touch a vector: it would be compiled without the tier's instructions.

use crate::simd::{Load, Simd, Vector};

use super::lift::{Ahead, Lift};
use super::panel::{PANEL, Panel, head};
use super::rows::Strip;

/// Panels of a row over which a product is summed in lanes, before a scalar takes it: those of `X` stay in a
/// first-level cache while the rows of a strip pass by.
const TILE: usize = 64;

/// `t[i] += row_i . X` for every row of the strip, the first entry of `X` in lane `lead`.
///
/// The rows `ahead` from the middle on are fetched meanwhile; `block_update` fetches the others.
#[inline(always)]
pub(super) fn products<S, T, const SCALED: bool, const B: usize>(
    lift: Lift<S, SCALED>,
    strip: &Strip<'_, T>,
    ahead: &Strip<'_, T>,
    (x, lead): (&[Panel<B>], usize),
    t: &mut [[f32; B]],
) where
    S: Simd,
    T: Load<f32, 16>,
{
    for k in (0..strip.columns.len().div_ceil(PANEL)).step_by(TILE) {
        let (tile, ahead) = (cut(strip, k), cut(ahead, k));
        let first = k * T::VECTORS;
        // With lanes before the first entry, two tiles share the panel in which the first of them ends.
        let end = first + (lead + tile.columns.len() * T::VECTORS).div_ceil(PANEL);
        tile_products(lift, &tile, &ahead, (&x[first..end], lead), t);
    }
}

/// The columns of a tile, whose first is the first of panel `k` of the row.
#[inline(always)]
fn cut<'a, T: Load<f32, 16>>(strip: &Strip<'a, T>, k: usize) -> Strip<'a, T> {
    let start = strip.columns.start + k * PANEL;
    let end = start + TILE * PANEL;
    Strip { columns: start..end.min(strip.columns.end), ..strip.clone() }
}

#[inline(always)]
fn tile_products<S, T, const SCALED: bool, const B: usize>(
    lift: Lift<S, SCALED>,
    tile: &Strip<'_, T>,
    ahead: &Strip<'_, T>,
    x: (&[Panel<B>], usize),
    t: &mut [[f32; B]],
) where
    S: Simd,
    T: Load<f32, 16>,
{
    let n = t.len();
    let mut i = 0;
    while S::ROWS == 4 && i + 4 <= n {
        dots::<S, T, SCALED, B, 4>(lift, tile, ahead, i, x, &mut t[i..i + 4]);
        i += 4;
    }
    while i + 2 <= n {
        dots::<S, T, SCALED, B, 2>(lift, tile, ahead, i, x, &mut t[i..i + 2]);
        i += 2;
    }
    if i < n {
        dots::<S, T, SCALED, B, 1>(lift, tile, ahead, i, x, &mut t[i..i + 1]);
    }
}

/// The products of `R` rows, as many vectors at a time as leave the accumulators in registers.
#[inline(always)]
fn dots<S, T, const SCALED: bool, const B: usize, const R: usize>(
    lift: Lift<S, SCALED>,
    tile: &Strip<'_, T>,
    ahead: &Strip<'_, T>,
    i: usize,
    x: (&[Panel<B>], usize),
    t: &mut [[f32; B]],
) where
    S: Simd,
    T: Load<f32, 16>,
{
    let rows = tile.group::<R>(i);
    // Half as many rows as the product takes: those from the middle on, by the end of the strip.
    let mut ahead = Ahead::of(ahead, ahead.nrows() / 2 + i / 2, R / 2);
    let mut c = 0;
    while S::ROWS == 4 && c + 4 <= B {
        some_columns::<S, T, SCALED, B, R, 4>(lift, rows, ahead, x, c, t);
        ahead = Ahead::nothing();
        c += 4;
    }
    while S::ROWS == 4 && c + 3 <= B {
        some_columns::<S, T, SCALED, B, R, 3>(lift, rows, ahead, x, c, t);
        ahead = Ahead::nothing();
        c += 3;
    }
    while c + 2 <= B {
        some_columns::<S, T, SCALED, B, R, 2>(lift, rows, ahead, x, c, t);
        ahead = Ahead::nothing();
        c += 2;
    }
    if c < B {
        some_columns::<S, T, SCALED, B, R, 1>(lift, rows, ahead, x, c, t);
    }
}

#[inline(always)]
fn some_columns<S, T, const SCALED: bool, const B: usize, const R: usize, const C: usize>(
    lift: Lift<S, SCALED>,
    rows: [&[T]; R],
    ahead: Ahead<'_, T>,
    x: (&[Panel<B>], usize),
    first: usize,
    t: &mut [[f32; B]],
) where
    S: Simd,
    T: Load<f32, 16>,
{
    match x.1 {
        0 => dot_columns::<S, T, SCALED, B, R, C, false>(lift, rows, ahead, x, first, t),
        _ => dot_columns::<S, T, SCALED, B, R, C, true>(lift, rows, ahead, x, first, t),
    }
}

/// `LEADS` tells whether there are lanes before the first entry.
#[inline(always)]
fn dot_columns<
    S,
    T,
    const SCALED: bool,
    const B: usize,
    const R: usize,
    const C: usize,
    const LEADS: bool,
>(
    lift: Lift<S, SCALED>,
    rows: [&[T]; R],
    ahead: Ahead<'_, T>,
    (x, lead): (&[Panel<B>], usize),
    first: usize,
    t: &mut [[f32; B]],
) where
    S: Simd,
    T: Load<f32, 16>,
{
    let mut sums = [[lift.splat(0.0); C]; R];
    let before = if LEADS { head(lead, rows[0].len()) } else { 0 };
    let (edge, x) = x.split_at(usize::from(before > 0));
    if let [panel] = edge {
        for r in 0..R {
            let a = lift.load_at(&rows[r][..before], lead);
            for (sum, column) in sums[r].iter_mut().zip(&panel.0[first..first + C]) {
                *sum = a.mul_add(lift.panel(column), *sum);
            }
        }
    }
    let n = (rows[0].len() - before) / PANEL;
    let mut body = [&[][..]; R];
    for r in 0..R {
        body[r] = &rows[r][before..].as_chunks::<PANEL>().0[..n];
    }
    for (k, panels) in x[..n * T::VECTORS].chunks_exact(T::VECTORS).enumerate() {
        match R {
            4 => ahead.fetch::<S, 2>(lift.s, 2 * k),
            _ => ahead.fetch::<S, 1>(lift.s, k),
        }
        for (i, panel) in panels.iter().enumerate() {
            let mut y = [lift.splat(0.0); C];
            for (y, column) in y.iter_mut().zip(&panel.0[first..first + C]) {
                *y = lift.panel(column);
            }
            for r in 0..R {
                let a = lift.load_nth(&body[r][k], i);
                for c in 0..C {
                    sums[r][c] = a.mul_add(y[c], sums[r][c]);
                }
            }
        }
    }
    if LEADS {
        // Rows that begin within a panel have one chunk more than whole panels.
        ahead.fetch::<S, 2>(lift.s, 2 * n);
    }
    if let Some(panel) = x.get(n * T::VECTORS) {
        for r in 0..R {
            let a = lift.load_partial(&rows[r][before + n * PANEL..]);
            for (sum, column) in sums[r].iter_mut().zip(&panel.0[first..first + C]) {
                *sum = a.mul_add(lift.panel(column), *sum);
            }
        }
    }
    add_sums(&sums, first, t);
}

/// `t[r][first + c] += sums[r][c]`, the lanes of four rows folded at once.
#[inline(always)]
fn add_sums<V: Vector<f32, 16>, const B: usize, const R: usize, const C: usize>(
    sums: &[[V; C]; R],
    first: usize,
    t: &mut [[f32; B]],
) {
    for c in 0..C {
        if R == 4 {
            let four = V::sum_each([sums[0][c], sums[1][c], sums[2][c], sums[3][c]]);
            for r in 0..R {
                t[r][first + c] += four[r];
            }
        } else {
            for r in 0..R {
                t[r][first + c] += sums[r][c].sum();
            }
        }
    }
}
