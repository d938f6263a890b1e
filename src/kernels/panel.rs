//! Several vectors of single precision side by side, and what a block method asks of them.
//!
//! A *panel* holds sixteen entries of each of `B` vectors, entry by entry of one vector first: the
//! lanes of a virtual vector. A vector that ends within a panel is padded by zeros, so that no
//! kernel needs a tail for it.

use crate::simd::{Kernel, Lanes, Level, Load, Simd, Vector};

/// Entries of each vector that a panel holds.
pub const PANEL: usize = 16;

/// Sixteen entries of `B` vectors. It fills `B` cache lines.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub struct Panel<const B: usize>(pub [[f32; PANEL]; B]);

impl<const B: usize> Panel<B> {
    /// Nothing but zeros.
    pub const ZERO: Self = Self([[0.0; PANEL]; B]);

    /// Panels of zeros for vectors of length `n`.
    #[must_use]
    pub fn zeros(n: usize) -> Vec<Self> {
        vec![Self::ZERO; n.div_ceil(PANEL)]
    }
}

/// Entry `i` of every vector.
pub(crate) fn entry<const B: usize>(panels: &[Panel<B>], i: usize) -> [f32; B] {
    let panel = &panels[i / PANEL].0;
    std::array::from_fn(|c| panel[c][i % PANEL])
}

/// Sets entry `i` of every vector.
pub(crate) fn set_entry<const B: usize>(panels: &mut [Panel<B>], i: usize, x: [f32; B]) {
    let panel = &mut panels[i / PANEL].0;
    for c in 0..B {
        panel[c][i % PANEL] = x[c];
    }
}

/// How many of `len` entries, the first of which takes lane `lead`, lie in a panel before the first that is whole.
#[inline(always)]
pub(super) fn head(lead: usize, len: usize) -> usize {
    if lead == 0 { 0 } else { len.min(PANEL - lead) }
}

/// Lanes that move together: vectors are shifted by a multiple of so many.
pub(crate) const QUAD: usize = 4;

/// The panels of vectors of length `n` with `lead` lanes before their first entry.
pub(crate) fn shifted<const B: usize>(v: &[Panel<B>], n: usize, lead: usize) -> Vec<Panel<B>> {
    let mut panels = Panel::zeros(lead + n);
    if lead == 0 {
        panels[..v.len()].copy_from_slice(v);
        return panels;
    }
    move_lanes(v, &mut panels, -((lead / QUAD) as isize));
    panels
}

/// The same back again.
pub(crate) fn shift_back<const B: usize>(x: &[Panel<B>], lead: usize, z: &mut [Panel<B>]) {
    match lead {
        0 => z.copy_from_slice(&x[..z.len()]),
        _ => move_lanes(x, z, (lead / QUAD) as isize),
    }
}

/// Quad `k` of every vector becomes quad `k + by` of `from`, or zeros where there is none.
fn move_lanes<const B: usize>(from: &[Panel<B>], to: &mut [Panel<B>], by: isize) {
    const QUADS: usize = PANEL / QUAD;
    for (i, panel) in to.iter_mut().enumerate() {
        for j in 0..QUADS {
            let k = (i * QUADS + j).wrapping_add_signed(by);
            let source = from.get(k / QUADS).unwrap_or(&Panel::ZERO);
            for c in 0..B {
                let quads = source.0[c].as_chunks::<QUAD>().0;
                panel.0[c].as_chunks_mut::<QUAD>().0[j] = quads[k % QUADS];
            }
        }
    }
}

/// Sets vector `c`, rounded to single precision.
pub(crate) fn set_column<const B: usize>(panels: &mut [Panel<B>], c: usize, x: &[f64]) {
    for (panel, x) in panels.iter_mut().zip(x.chunks(PANEL)) {
        for (entry, &x) in panel.0[c].iter_mut().zip(x) {
            *entry = x as f32;
        }
    }
}

struct Gram<'a, const B: usize> {
    z: &'a [Panel<B>],
}

impl<const B: usize> Kernel for Gram<'_, B> {
    type Output = [[f64; B]; B];
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> [[f64; B]; B] {
        let zero = <S as Lanes<f64, 8>>::splat(s, 0.0);
        let mut sums = [[zero; B]; B];
        for panel in self.z {
            for half in 0..2 {
                let mut x = [zero; B];
                for (x, column) in x.iter_mut().zip(&panel.0) {
                    *x = <f32 as Load<f64, 8>>::load(s, &column.as_chunks::<8>().0[half]);
                }
                for c in 0..B {
                    for d in 0..=c {
                        sums[c][d] = x[c].mul_add(x[d], sums[c][d]);
                    }
                }
            }
        }
        let mut gram = [[0.0; B]; B];
        for c in 0..B {
            for d in 0..=c {
                gram[c][d] = sums[c][d].sum();
                gram[d][c] = gram[c][d];
            }
        }
        gram
    }
}

/// `Z' Z`, each product exact and the sums in double precision.
pub(crate) fn gram<const B: usize>(level: Level, z: &[Panel<B>]) -> [[f64; B]; B] {
    level.run(Gram { z })
}

struct Multiply<'a, const B: usize> {
    z: &'a mut [Panel<B>],
    w: [[f32; B]; B],
}

impl<const B: usize> Kernel for Multiply<'_, B> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        for panel in self.z {
            let mut x = [<S as Lanes<f32, 16>>::splat(s, 0.0); B];
            for (x, column) in x.iter_mut().zip(&panel.0) {
                *x = <S as Lanes<f32, 16>>::load(s, column);
            }
            for (c, column) in panel.0.iter_mut().enumerate() {
                let mut y = <S as Lanes<f32, 16>>::splat(s, 0.0);
                for (x, w) in x.iter().zip(&self.w) {
                    y = x.mul_add(<S as Lanes<f32, 16>>::splat(s, w[c]), y);
                }
                y.store(column);
            }
        }
    }
}

/// `Z <- Z W`.
pub(crate) fn multiply<const B: usize>(level: Level, z: &mut [Panel<B>], w: [[f32; B]; B]) {
    level.run(Multiply { z, w });
}

struct Add<'a, const B: usize> {
    x: &'a [Panel<B>],
    y: &'a mut [Panel<B>],
}

impl<const B: usize> Kernel for Add<'_, B> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        for (x, y) in self.x.iter().zip(self.y) {
            for c in 0..B {
                let sum = <S as Lanes<f32, 16>>::load(s, &x.0[c]);
                sum.add(<S as Lanes<f32, 16>>::load(s, &y.0[c])).store(&mut y.0[c]);
            }
        }
    }
}

/// `Y <- Y + X`.
pub(crate) fn add<const B: usize>(level: Level, x: &[Panel<B>], y: &mut [Panel<B>]) {
    level.run(Add { x, y });
}
