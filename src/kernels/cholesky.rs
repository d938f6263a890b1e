//! One tile of a Cholesky factorisation `S = L L'`: the factor of a diagonal tile, and the tiles
//! below it by substitution.
//!
//! Both go by columns: `l_ij = (s_ij - sum_{k<j} l_ik l_jk) / l_jj`, each with a division of its
//! own. The proof of a rigorous bound counts these roundings (Higham, Accuracy and Stability of
//! Numerical Algorithms, 2nd ed., Lemma 8.4 and Theorem 10.3).

use crate::simd::{Kernel, Level, Simd};

use super::rows::dots;

/// Factors the lower triangle of the `n x n` tile in place; `Err(j)` when the pivot of column `j`
/// is not positive. The first `j` columns then hold the factor, in row `j` too.
pub(crate) fn factor(level: Level, tile: &mut [f64], n: usize) -> Result<(), usize> {
    level.run(Factor { tile, n })
}

/// `X <- X L'^{-1}`: the rows of `x` become rows of the factor, below the diagonal tile `l`.
pub(crate) fn substitute(level: Level, l: &[f64], n: usize, x: &mut [f64]) {
    level.run(Substitute { l, n, x });
}

struct Factor<'a> {
    tile: &'a mut [f64],
    n: usize,
}

impl Kernel for Factor<'_> {
    type Output = Result<(), usize>;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> Result<(), usize> {
        let Self { tile, n } = self;
        for j in 0..n {
            let (above, below) = tile.split_at_mut((j + 1) * n);
            let row = &mut above[j * n..];
            let [sum] = dots::<S, f64, f64, 8, 1>(s, [&*row], &row[..j]);
            let pivot = row[j] - sum;
            // A NaN is no positive pivot either.
            if pivot.is_nan() || pivot <= 0.0 {
                return Err(j);
            }
            row[j] = pivot.sqrt();
            column::<S>(s, &row[..=j], n, below);
        }
        Ok(())
    }
}

struct Substitute<'a> {
    l: &'a [f64],
    n: usize,
    x: &'a mut [f64],
}

impl Kernel for Substitute<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        for j in 0..self.n {
            column::<S>(s, &self.l[j * self.n..][..=j], self.n, self.x);
        }
    }
}

/// Column `j` of the factor in all rows of `x`, from row `j` of the factor up to its diagonal.
#[inline(always)]
fn column<S: Simd>(s: S, row: &[f64], n: usize, x: &mut [f64]) {
    let (&diagonal, row) = row.split_last().expect("a row holds its diagonal");
    let j = row.len();
    let mut fours = x.chunks_exact_mut(4 * n);
    for four in &mut fours {
        let rows: [&[f64]; 4] = std::array::from_fn(|r| &four[r * n..][..n]);
        let sums = dots::<S, f64, f64, 8, 4>(s, rows, row);
        for (r, sum) in sums.into_iter().enumerate() {
            four[r * n + j] = (four[r * n + j] - sum) / diagonal;
        }
    }
    for one in fours.into_remainder().chunks_exact_mut(n) {
        let [sum] = dots::<S, f64, f64, 8, 1>(s, [&*one], row);
        one[j] = (one[j] - sum) / diagonal;
    }
}
