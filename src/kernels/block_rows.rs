//! The two primitives of a pass with several vectors: products of rows with all of them, and the
//! update of all of them by rows.
//!
//! How many rows, vectors or panels are held in registers at a time never shows in the result. No
//! closure here may touch a vector: it would be compiled without the tier's instructions.

use crate::simd::{Lanes, Load, Simd, Vector};

use super::panel::{PANEL, Panel};
use super::rows::Strip;

/// Vectors' worth of panels over which a product is summed in lanes, before a scalar takes it: what a
/// first-level cache holds beside the rows.
const TILE: usize = 256;

/// Rows that pass by while panels stay in registers.
const GROUP: usize = 64;

/// Loads elements in single precision, multiplied by a power of two if `SCALED`.
#[derive(Clone, Copy)]
pub(super) struct Lift<S: Simd, const SCALED: bool> {
    s: S,
    first: <S as Lanes<f32, 16>>::V,
    rest: <S as Lanes<f32, 16>>::V,
}

impl<S: Simd, const SCALED: bool> Lift<S, SCALED> {
    #[inline(always)]
    pub(super) fn new(s: S, (first, rest): (f32, f32)) -> Self {
        let splat = <S as Lanes<f32, 16>>::splat;
        Self { s, first: splat(s, first), rest: splat(s, rest) }
    }

    #[inline(always)]
    fn load<T: Load<f32, 16>>(self, src: &[T; 16]) -> <S as Lanes<f32, 16>>::V {
        let x = T::load(self.s, src);
        if SCALED { x.mul(self.first).mul(self.rest) } else { x }
    }

    #[inline(always)]
    fn load_partial<T: Load<f32, 16>>(self, src: &[T]) -> <S as Lanes<f32, 16>>::V {
        let x = T::load_partial(self.s, src);
        if SCALED { x.mul(self.first).mul(self.rest) } else { x }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> <S as Lanes<f32, 16>>::V {
        <S as Lanes<f32, 16>>::splat(self.s, x)
    }

    #[inline(always)]
    fn panel(self, src: &[f32; 16]) -> <S as Lanes<f32, 16>>::V {
        <S as Lanes<f32, 16>>::load(self.s, src)
    }
}

/// `t[i] += row_i . X` for every row of the strip.
///
/// The rows `ahead` from the middle on are fetched meanwhile; [`update`] fetches the others.
#[inline(always)]
pub(super) fn products<S, T, const SCALED: bool, const B: usize>(
    lift: Lift<S, SCALED>,
    strip: &Strip<'_, T>,
    ahead: &Strip<'_, T>,
    x: &[Panel<B>],
    t: &mut [[f32; B]],
) where
    S: Simd,
    T: Load<f32, 16>,
{
    let panels = TILE / B;
    for (k, x) in x.chunks(panels).enumerate() {
        let cut = |strip: &Strip<'_, T>| {
            let start = strip.columns.start + k * panels * PANEL;
            start..(start + x.len() * PANEL).min(strip.columns.end)
        };
        let tile = Strip { columns: cut(strip), ..strip.clone() };
        let ahead = Strip { columns: cut(ahead), ..ahead.clone() };
        tile_products(lift, &tile, &ahead, x, t);
    }
}

#[inline(always)]
fn tile_products<S, T, const SCALED: bool, const B: usize>(
    lift: Lift<S, SCALED>,
    tile: &Strip<'_, T>,
    ahead: &Strip<'_, T>,
    x: &[Panel<B>],
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
    x: &[Panel<B>],
    t: &mut [[f32; B]],
) where
    S: Simd,
    T: Load<f32, 16>,
{
    let rows: [&[T]; R] = std::array::from_fn(|r| tile.row(i + r));
    // Half as many rows as the product takes: those from the middle on, by the end of the strip.
    let first = ahead.nrows() / 2 + i / 2;
    let mut next = [&[][..]; 2];
    for (r, next) in (first..ahead.nrows()).take(R / 2).zip(&mut next) {
        *next = ahead.row(r).as_chunks::<PANEL>().0;
    }
    let mut c = 0;
    while S::ROWS == 4 && c + 4 <= B {
        dot_columns::<S, T, SCALED, B, R, 4>(lift, rows, &next[..R / 2], x, c, t);
        next = [&[]; 2];
        c += 4;
    }
    while c + 2 <= B {
        dot_columns::<S, T, SCALED, B, R, 2>(lift, rows, &next[..R / 2], x, c, t);
        next = [&[]; 2];
        c += 2;
    }
}

#[inline(always)]
fn dot_columns<S, T, const SCALED: bool, const B: usize, const R: usize, const C: usize>(
    lift: Lift<S, SCALED>,
    rows: [&[T]; R],
    next: &[&[[T; PANEL]]],
    x: &[Panel<B>],
    first: usize,
    t: &mut [[f32; B]],
) where
    S: Simd,
    T: Load<f32, 16>,
{
    let n = rows[0].len() / PANEL;
    let body = rows.map(|row| &row.as_chunks::<PANEL>().0[..n]);
    let mut sums = [[lift.splat(0.0); C]; R];
    for (k, panel) in x[..n].iter().enumerate() {
        for chunk in next.iter().filter_map(|row| row.get(k)) {
            lift.s.prefetch(chunk);
        }
        let mut y = [lift.splat(0.0); C];
        for (y, column) in y.iter_mut().zip(&panel.0[first..first + C]) {
            *y = lift.panel(column);
        }
        for r in 0..R {
            let a = lift.load(&body[r][k]);
            for c in 0..C {
                sums[r][c] = a.mul_add(y[c], sums[r][c]);
            }
        }
    }
    if let Some(panel) = x.get(n) {
        for r in 0..R {
            let a = lift.load_partial(&rows[r][n * PANEL..]);
            for (sum, column) in sums[r].iter_mut().zip(&panel.0[first..first + C]) {
                *sum = a.mul_add(lift.panel(column), *sum);
            }
        }
    }
    for r in 0..R {
        for c in 0..C {
            t[r][first + c] += sums[r][c].sum();
        }
    }
}

/// `Z += sum_i row_i t[i]`, the rows added in order, each by one fused multiply-add.
///
/// Some panels of `Z` stay in registers while up to [`GROUP`] rows pass by. The rows `ahead` are
/// fetched meanwhile, up to the middle; [`products`] fetches the others.
#[inline(always)]
pub(super) fn update<S, T, const SCALED: bool, const B: usize>(
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
    if !strip.columns.len().is_multiple_of(PANEL) {
        update_tail(lift, t, strip, &mut z[strip.columns.len() / PANEL]);
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
    let n = rows.first().map_or(0, |row| row.len());
    let mut k = 0;
    while S::TILE == 8 && B == 2 && k + 8 <= n {
        update_panels::<S, T, SCALED, B, 8>(lift, t, rows, next, k, z);
        k += 8;
    }
    while S::TILE == 8 && k + 4 <= n {
        update_panels::<S, T, SCALED, B, 4>(lift, t, rows, next, k, z);
        k += 4;
    }
    while B == 2 && k + 2 <= n {
        update_panels::<S, T, SCALED, B, 2>(lift, t, rows, next, k, z);
        k += 2;
    }
    while k < n {
        update_panels::<S, T, SCALED, B, 1>(lift, t, rows, next, k, z);
        k += 1;
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
    let mut sums = [[lift.splat(0.0); B]; W];
    for w in 0..W {
        for (sum, column) in sums[w].iter_mut().zip(&z[w].0) {
            *sum = lift.panel(column);
        }
    }
    for (i, (row, t)) in rows.iter().zip(t).enumerate() {
        let row = &row[k..k + W];
        if let Some(next) = next.get(i) {
            for x in &next[k..k + W] {
                lift.s.prefetch(x);
            }
        }
        for w in 0..W {
            let a = lift.load(&row[w]);
            for (sum, &t) in sums[w].iter_mut().zip(t) {
                *sum = a.mul_add(lift.splat(t), *sum);
            }
        }
    }
    for w in 0..W {
        for (sum, column) in sums[w].iter().zip(&mut z[w].0) {
            sum.store(column);
        }
    }
}

/// The update of the last panel of `Z`, in which the rows end.
#[inline(always)]
fn update_tail<S, T, const SCALED: bool, const B: usize>(
    lift: Lift<S, SCALED>,
    t: &[[f32; B]],
    strip: &Strip<'_, T>,
    panel: &mut Panel<B>,
) where
    S: Simd,
    T: Load<f32, 16>,
{
    let start = strip.columns.len() / PANEL * PANEL;
    let mut sums = [lift.splat(0.0); B];
    for (sum, column) in sums.iter_mut().zip(&panel.0) {
        *sum = lift.panel(column);
    }
    for (i, t) in t.iter().enumerate() {
        let a = lift.load_partial(&strip.row(i)[start..]);
        for (sum, &t) in sums.iter_mut().zip(t) {
            *sum = a.mul_add(lift.splat(t), *sum);
        }
    }
    for (sum, column) in sums.iter().zip(&mut panel.0) {
        sum.store(column);
    }
}
