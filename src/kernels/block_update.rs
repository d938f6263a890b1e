//! The update of several vectors at once by rows.
//!
//! How many rows or panels are held in registers at a time never shows in the result. No closure here
//! may touch a vector: it would be compiled without the tier's instructions.

use std::ops::Range;

use crate::simd::{Lanes, Load, Simd, Vector};

use super::lift::{Ahead, Lift};
use super::panel::{PANEL, Panel, head};
use super::rows::Strip;

/// Rows that pass by while panels stay in registers, where there are many.
const GROUP: usize = 64;

/// `Z += sum_i row_i t[i]`, the rows added in order, each by one fused multiply-add, the first entry of `Z` in
/// lane `lead`.
///
/// Some panels of `Z` stay in registers while the rows pass by. The rows `ahead` are fetched meanwhile,
/// up to the middle; `block_products` fetches the others.
#[inline(always)]
pub(super) fn update<S, T, const SCALED: bool, const B: usize>(
    lift: Lift<S, SCALED>,
    t: &[[f32; B]],
    strip: &Strip<'_, T>,
    ahead: &Strip<'_, T>,
    (z, lead): (&mut [Panel<B>], usize),
) where
    S: Simd,
    T: Load<f32, 16>,
{
    let before = head(lead, strip.columns.len());
    let (edge, z) = z.split_at_mut(usize::from(before > 0));
    if let [panel] = edge {
        update_edge(lift, t, (strip, 0..before), lead, panel);
    }
    let strip =
        &Strip { columns: strip.columns.start + before..strip.columns.end, ..strip.clone() };
    match <&[[f32; B]; 4]>::try_from(t) {
        Ok(four) if S::TILE == 8 => update_by_four(lift, four, strip, ahead, z),
        _ => update_by_many(lift, t, strip, ahead, z),
    }
    let (n, len) = (strip.columns.len() / PANEL, strip.columns.len());
    if n * PANEL < len {
        update_edge(lift, t, (strip, n * PANEL..len), 0, &mut z[n]);
    }
}

/// The update by the four rows of a wide matrix, whose coefficients stay in registers too.
#[inline(always)]
fn update_by_four<S, T, const SCALED: bool, const B: usize>(
    lift: Lift<S, SCALED>,
    t: &[[f32; B]; 4],
    strip: &Strip<'_, T>,
    ahead: &Strip<'_, T>,
    z: &mut [Panel<B>],
) where
    S: Simd,
    T: Load<f32, 16>,
{
    let mut y = [[lift.splat(0.0); B]; 4];
    for r in 0..4 {
        for c in 0..B {
            y[r][c] = lift.splat(t[r][c]);
        }
    }
    let (rows, ahead) = (strip.group::<4>(0), Ahead::of(ahead, 0, 2));
    let n = strip.columns.len() / PANEL * T::VECTORS;
    let mut k = 0;
    while B == 2 && k + 8 <= n {
        ahead.fetch::<S, 16>(lift.s, 2 * k);
        four_panels::<S, T, SCALED, B, 8>(lift, &y, &rows, k, z);
        k += 8;
    }
    while k + 2 <= n {
        ahead.fetch::<S, 4>(lift.s, 2 * k);
        four_panels::<S, T, SCALED, B, 2>(lift, &y, &rows, k, z);
        k += 2;
    }
    if k < n {
        four_panels::<S, T, SCALED, B, 1>(lift, &y, &rows, k, z);
    }
    ahead.fetch::<S, 2>(lift.s, 2 * n);
}

/// The update of `W` panels of `Z`, the first of which is panel `k`, by four rows.
#[inline(always)]
fn four_panels<S, T, const SCALED: bool, const B: usize, const W: usize>(
    lift: Lift<S, SCALED>,
    y: &[[<S as Lanes<f32, 16>>::V; B]; 4],
    rows: &[&[T]; 4],
    k: usize,
    z: &mut [Panel<B>],
) where
    S: Simd,
    T: Load<f32, 16>,
{
    let z: &mut [Panel<B>; W] = (&mut z[k..k + W]).try_into().expect("the range has W panels");
    let mut parts = [chunks_of::<T, W>(rows[0], k); 4];
    for r in 1..4 {
        parts[r] = chunks_of::<T, W>(rows[r], k);
    }
    let mut sums = loaded(lift, z);
    for (part, y) in parts.iter().zip(y) {
        for w in 0..W {
            let a = lift.load_nth(&part[w / T::VECTORS], w % T::VECTORS);
            for (sum, y) in sums[w].iter_mut().zip(y) {
                *sum = a.mul_add(*y, *sum);
            }
        }
    }
    store(&sums, z);
}

/// What `W` panels are updated by, the first of which is panel `k`.
#[inline(always)]
fn chunks_of<T: Load<f32, 16>, const W: usize>(row: &[T], k: usize) -> &[[T; PANEL]] {
    &row.as_chunks().0[k / T::VECTORS..(k + W) / T::VECTORS]
}

/// Panels of `Z` in registers.
#[inline(always)]
fn loaded<S: Simd, const SCALED: bool, const B: usize, const W: usize>(
    lift: Lift<S, SCALED>,
    z: &[Panel<B>; W],
) -> [[<S as Lanes<f32, 16>>::V; B]; W] {
    let mut sums = [[lift.splat(0.0); B]; W];
    for (sums, panel) in sums.iter_mut().zip(z) {
        for (sum, column) in sums.iter_mut().zip(&panel.0) {
            *sum = lift.panel(column);
        }
    }
    sums
}

#[inline(always)]
fn store<V: Vector<f32, 16>, const B: usize, const W: usize>(
    sums: &[[V; B]; W],
    z: &mut [Panel<B>; W],
) {
    for (sums, panel) in sums.iter().zip(z) {
        for (sum, column) in sums.iter().zip(&mut panel.0) {
            sum.store(column);
        }
    }
}

/// The update by rows of any number, of which up to [`GROUP`] pass by at a time.
#[inline(always)]
fn update_by_many<S, T, const SCALED: bool, const B: usize>(
    lift: Lift<S, SCALED>,
    t: &[[f32; B]],
    strip: &Strip<'_, T>,
    ahead: &Strip<'_, T>,
    z: &mut [Panel<B>],
) where
    S: Simd,
    T: Load<f32, 16>,
{
    for (g, t) in t.chunks(GROUP).enumerate() {
        let first = g * GROUP;
        // The rows are looked up once for all panels.
        let (mut rows, mut next) = ([&[][..]; GROUP], [&[][..]; GROUP]);
        for (i, row) in rows[..t.len()].iter_mut().enumerate() {
            *row = strip.row(first + i).as_chunks::<PANEL>().0;
        }
        let fetched = t.len().min((ahead.nrows() / 2).saturating_sub(first));
        for (i, row) in next[..fetched].iter_mut().enumerate() {
            *row = ahead.row(first + i).as_chunks::<PANEL>().0;
        }
        update_group(lift, t, &rows[..t.len()], &next[..fetched], z);
    }
}

#[inline(always)]
fn update_group<S, T, const SCALED: bool, const B: usize>(
    lift: Lift<S, SCALED>,
    t: &[[f32; B]],
    rows: &[&[[T; PANEL]]],
    next: &[&[[T; PANEL]]],
    z: &mut [Panel<B>],
) where
    S: Simd,
    T: Load<f32, 16>,
{
    let n = rows.first().map_or(0, |row| row.len()) * T::VECTORS;
    let mut k = 0;
    while S::TILE == 8 && B == 2 && k + 8 <= n {
        update_panels::<S, T, SCALED, B, 8>(lift, t, rows, next, k, z);
        k += 8;
    }
    while S::TILE == 8 && k + 4 <= n {
        update_panels::<S, T, SCALED, B, 4>(lift, t, rows, next, k, z);
        k += 4;
    }
    while (B == 2 || T::VECTORS == 2) && k + 2 <= n {
        update_panels::<S, T, SCALED, B, 2>(lift, t, rows, next, k, z);
        k += 2;
    }
    while k < n {
        update_panels::<S, T, SCALED, B, 1>(lift, t, rows, next, k, z);
        k += 1;
    }
    for chunk in next.iter().filter_map(|row| row.get(n / T::VECTORS)) {
        lift.s.prefetch(chunk);
    }
}

/// The update of `W` panels of `Z`, the first of which is panel `k`.
#[inline(always)]
fn update_panels<S, T, const SCALED: bool, const B: usize, const W: usize>(
    lift: Lift<S, SCALED>,
    t: &[[f32; B]],
    rows: &[&[[T; PANEL]]],
    next: &[&[[T; PANEL]]],
    k: usize,
    z: &mut [Panel<B>],
) where
    S: Simd,
    T: Load<f32, 16>,
{
    let z: &mut [Panel<B>; W] = (&mut z[k..k + W]).try_into().expect("the range has W panels");
    let mut sums = loaded(lift, z);
    for (i, (row, t)) in rows.iter().zip(t).enumerate() {
        let row = &row[k / T::VECTORS..(k + W) / T::VECTORS];
        if let Some(next) = next.get(i) {
            for x in &next[k / T::VECTORS..(k + W) / T::VECTORS] {
                lift.s.prefetch(x);
            }
        }
        for w in 0..W {
            let a = lift.load_nth(&row[w / T::VECTORS], w % T::VECTORS);
            for (sum, &t) in sums[w].iter_mut().zip(t) {
                *sum = a.mul_add(lift.splat(t), *sum);
            }
        }
    }
    store(&sums, z);
}

/// The update of a panel of `Z` in which the rows begin, at lane `first`, or end.
#[inline(always)]
fn update_edge<S, T, const SCALED: bool, const B: usize>(
    lift: Lift<S, SCALED>,
    t: &[[f32; B]],
    (strip, columns): (&Strip<'_, T>, Range<usize>),
    first: usize,
    panel: &mut Panel<B>,
) where
    S: Simd,
    T: Load<f32, 16>,
{
    let mut sums = [lift.splat(0.0); B];
    for (sum, column) in sums.iter_mut().zip(&panel.0) {
        *sum = lift.panel(column);
    }
    for (i, t) in t.iter().enumerate() {
        let a = lift.load_at(&strip.row(i)[columns.clone()], first);
        for (sum, &t) in sums.iter_mut().zip(t) {
            *sum = a.mul_add(lift.splat(t), *sum);
        }
    }
    for (sum, column) in sums.iter().zip(&mut panel.0) {
        sum.store(column);
    }
}
