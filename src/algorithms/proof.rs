//! The inequalities of a rigorous interval, each with its rounding terms.
//!
//! Squares and bounds are in the units of the scaled operator. `u` is the unit roundoff and
//! `gamma_k = k u / (1 - k u)`; the names (P1) ... (P6) are those of `docs/proof.md`.

use super::lanczos::Entries;
use super::rounding::{
    UNIT, add_up, div_down, div_up, gamma, mul_down, mul_up, sqrt_down, sqrt_up, sub_down, sub_up,
};

/// What may underflow, in units of the largest entry squared, for each pair of a row and a column:
/// more than `2^-1022` even where the scale has left its largest entry at `2^-174`.
const DUST: f64 = 1.0 / (1_u128 << 124) as f64 / 65_536.0;

/// What the first pass proves about a matrix.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    nrows: usize,
    ncols: usize,
    max_abs: f64,
    /// Bounds of the squared Frobenius norm.
    least_square: f64,
    largest_square: f64,
    /// All that may underflow, as an error of sigma squared.
    dust: f64,
}

/// What a pass with one vector `v` has computed.
#[derive(Debug, Clone)]
pub(super) struct Probe {
    /// Sums of squares of `v`, `t = fl(B v)` and `z = fl(B' t)`.
    pub(super) squares: [f64; 3],
    /// Inner products of `v` with the vectors of the probes before, with both parts of complex ones.
    pub(super) products: Vec<f64>,
}

/// Of a unit vector `q`, bounds of `q' M q` for `M = B'B`, and of the square of what `M q` has
/// beside `q`.
#[derive(Debug, Clone, Copy)]
struct Image {
    least: f64,
    largest: f64,
    coupling: f64,
}

impl Image {
    /// The larger eigenvalue of the order two: `rest` bounds `M` on all that is orthogonal to `q`
    /// and to the vectors before.
    fn beside(&self, rest: f64) -> f64 {
        let (theta, rest) = (self.largest.max(rest), self.largest.min(rest));
        let gap = mul_up(0.5, sub_up(theta, rest));
        let root = sqrt_up(add_up(mul_up(gap, gap), self.coupling));
        add_up(mul_up(0.5, add_up(theta, rest)), root)
    }
}

impl Facts {
    pub(super) fn new((nrows, ncols): (usize, usize), entries: &Entries) -> Self {
        let Entries { max_abs, sum_of_squares, .. } = *entries;
        let dust = mul_up(DUST * ((nrows + ncols) as f64).powi(2), max_abs * max_abs);
        // (P1) Rows are summed, then added up row after row and block after block.
        let error = gamma(ncols + 2 * nrows + 2);
        Self {
            nrows,
            ncols,
            max_abs,
            least_square: sub_down(div_down(sum_of_squares, add_up(1.0, error)), dust).max(0.0),
            largest_square: add_up(div_up(sum_of_squares, sub_down(1.0, error)), dust),
            dust,
        }
    }

    /// No singular value is needed to see that sigma is at least this.
    pub(super) fn largest_entry(&self) -> f64 {
        self.max_abs
    }

    /// (P1) `sigma <= |B|_F`.
    pub(super) fn frobenius(&self) -> f64 {
        sqrt_up(self.largest_square)
    }

    /// (P2) The lower bound that `v`, `t = fl(B v)` and `z = fl(B' t)` prove by their computed
    /// sums of squares.
    pub(super) fn product(&self, squares: [f64; 3]) -> f64 {
        let [v, t, z] = squares;
        if !squares.iter().all(|x| x.is_finite()) {
            return 0.0;
        }
        let (of_rows, of_columns) = (gamma(self.nrows), gamma(self.ncols));
        let norm = self.frobenius();
        // What may be lost where a vector takes the scale: `2^-110` of the largest entry each.
        let dust = sqrt_up(self.dust) * 0.5_f64.powi(40);
        let (_, v) = root_of_sum(v, of_columns);
        let lost = add_up(mul_up(mul_up(of_columns, norm), v), dust);
        let (least_t, t) = root_of_sum(t, of_rows);
        let by_t = div_down(sub_down(least_t, lost), v);
        let lost = add_up(mul_up(mul_up(of_rows, norm), t), dust);
        let (least_z, _) = root_of_sum(z, of_columns);
        let by_z = div_down(sub_down(least_z, lost), t);
        // A zero or lost vector proves nothing.
        [by_t, by_z].into_iter().filter(|x| x.is_finite()).fold(0.0, f64::max)
    }

    /// (P6) The upper bound that passes with some vectors prove, the leading one first: what the
    /// Frobenius norm leaves beside all of them bounds every other direction. Where the operator
    /// holds a matrix `copies` times, as the real form of a complex one does, so does its norm.
    pub(super) fn beside(&self, probes: &[Probe], copies: usize) -> f64 {
        let images: Option<Vec<Image>> = self.overlaps(probes).and_then(|overlaps| {
            probes.iter().zip(overlaps).map(|(p, o)| self.image(p, o)).collect()
        });
        let Some(images) = images else { return f64::INFINITY };
        let whole = div_up(self.largest_square, copies as f64);
        let rest = images.iter().fold(whole, |rest, image| sub_up(rest, image.least).max(0.0));
        sqrt_up(images.iter().rev().fold(rest, |rest, image| image.beside(rest)))
    }

    /// What a pass shows of the unit vector along the part of `v` that is orthogonal to the vectors
    /// before; at most `overlap` of `v` lies along them.
    fn image(&self, probe: &Probe, overlap: f64) -> Option<Image> {
        let [v, t, z] = probe.squares;
        let (of_rows, of_columns) = (gamma(self.nrows), gamma(self.ncols));
        let norm = self.frobenius();
        let dust = sqrt_up(self.dust) * 0.5_f64.powi(40);
        let (least_v, v) = root_of_sum(v, of_columns);
        let (least_t, t) = root_of_sum(t, of_rows);
        let (_, z) = root_of_sum(z, of_columns);
        let square = sub_down(mul_down(least_v, least_v), mul_up(overlap, overlap));
        let least_v = sqrt_down(square);
        // What rounding, and the vectors before, keep from `t = B v` and from `z = B' t`.
        let lost = mul_up(norm, add_up(mul_up(of_columns, v), overlap));
        let lost = add_up(lost, dust);
        let lost_after = add_up(mul_up(mul_up(of_rows, norm), t), dust);
        let least = div_down(sub_down(least_t, lost), v).max(0.0);
        let largest = div_up(add_up(t, lost), least_v);
        let image = div_up(add_up(add_up(z, lost_after), mul_up(norm, lost)), least_v);
        let least = mul_down(least, least).max(0.0);
        let least_square = mul_down(least, least).max(0.0);
        let coupling = sub_up(mul_up(image, image), least_square).max(0.0);
        let largest = mul_up(largest, largest);
        (largest.is_finite() && coupling.is_finite()).then_some(Image { least, largest, coupling })
    }

    /// Bounds of what lies of each vector along those before; `None` where the vectors are not
    /// nearly orthonormal.
    fn overlaps(&self, probes: &[Probe]) -> Option<Vec<f64>> {
        let error = gamma(self.ncols + 1);
        let mut total = 0.0;
        let mut overlaps = Vec::with_capacity(probes.len());
        for Probe { squares, products } in probes {
            let (least, largest) = root_of_sum(squares[0], error);
            if !(least >= 0.75 && largest <= 1.25) {
                return None;
            }
            // Each product is off by `error` times both lengths at most.
            let bound = |p: &f64| add_up(p.abs(), mul_up(error, 2.0));
            let sum = products.iter().map(bound).fold(0.0, |sum, p| add_up(sum, mul_up(p, p)));
            total = add_up(total, sum);
            overlaps.push(2.0 * sqrt_up(sum));
        }
        (total <= 1.0 / 32.0).then_some(overlaps)
    }

    /// (P3) Collatz and Wielandt's bound from the largest computed ratio, whose denominators are
    /// at least `least`.
    pub(super) fn magnitudes(&self, ratio: f64, least: f64) -> f64 {
        let rounded = gamma(self.nrows + self.ncols + 8);
        let square = div_up(ratio, sub_down(1.0, rounded));
        // The vectors take the scale here too: `2^-122` of the largest entry squared, each.
        sqrt_up(add_up(square, div_up(self.dust * f64::from(1 << 18), least)))
    }

    /// (P4) The upper bound that a completed factorisation of `fl(shift I - fl(B'B))` proves.
    pub(super) fn factored(&self, shift: f64) -> f64 {
        sqrt_up(add_up(shift, self.slack(shift)))
    }

    /// A shift from which [`factored`](Self::factored) comes out at most at `target`.
    pub(super) fn shift_for(&self, target: f64) -> f64 {
        let square = target * target * (1.0 - 16.0 * UNIT);
        square - self.slack(square)
    }

    /// What rounding commonly does to a pivot, relative to the shift; no proof rests on it.
    pub(super) fn rounding_of_factor(&self) -> f64 {
        8.0 * UNIT * (self.nrows.min(1 << 20) as f64).sqrt().max(self.ncols as f64)
    }

    /// psi: by how much the square of sigma may exceed the shift of a completed factorisation.
    fn slack(&self, shift: f64) -> f64 {
        let of_gram = gamma(self.nrows);
        // The trace of the shifted matrix, whose diagonal was rounded once.
        let kept = mul_down(sub_down(1.0, of_gram), self.least_square);
        let trace = sub_up(mul_up(self.ncols as f64, shift), kept).max(0.0);
        let trace = mul_up(trace, 1.0 + 2.0 * UNIT);
        let backward = gamma(self.ncols + 1);
        let backward = div_up(backward, sub_down(1.0, backward));
        let factor = mul_up(backward, trace);
        let gram = mul_up(of_gram, self.largest_square);
        add_up(add_up(factor, gram), add_up(mul_up(UNIT, shift), self.dust))
    }
}

/// Bounds of the root of a sum of squares whose terms met rounding of `error` at most.
fn root_of_sum(sum: f64, error: f64) -> (f64, f64) {
    let least = sqrt_down(div_down(sum, add_up(1.0, error)));
    (least, sqrt_up(div_up(sum, sub_down(1.0, error))))
}

#[cfg(test)]
#[path = "../../tests/rust/unit/proof.rs"]
mod tests;
