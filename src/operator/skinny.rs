//! The Gram matrix of a matrix with few columns, formed at one read by all threads.

use std::ops::Range;

use crate::error::Error;
use crate::kernels::reduce::Moments;
use crate::kernels::skinny::{ColumnProducts, Lie, Stored, add_products_of};
use crate::kernels::symmetric::Padded;
use crate::kernels::vector::axpy;
use crate::matrix::{MatRef, Matrix, Storage};
use crate::scalar::{Element, with_typed};
use crate::simd::Level;

use super::Runner;
use super::partials::{Partial, Partials};

/// Elements of the matrix that one thread takes at a time.
const BLOCK_LEN: usize = 1 << 15;

/// Elements from which threads share a matrix.
pub(crate) const SHARED_LEN: usize = 4 * BLOCK_LEN;

impl Partial for ColumnProducts {
    fn clear(&mut self) {
        self.sums_mut().fill(0.0);
    }

    fn add(&mut self, level: Level, other: &Self) {
        axpy(level, 1.0, other.sums(), self.sums_mut());
    }
}

/// The Gram matrix of the operator for `matrix`, each entry of which is multiplied by both factors,
/// and the largest magnitude of an entry before that. For a complex matrix it is the Gram matrix of
/// the real one of twice the size, `[[Re, -Im], [Im, Re]]`.
///
/// The operator is the caller's matrix or, where that is wide, its adjoint; for a complex matrix that
/// is stored by columns, the conjugate of these.
///
/// # Errors
/// [`Error::Interrupted`] when the runner says so.
pub(crate) fn gram<R: Runner>(
    level: Level,
    matrix: &Matrix<'_>,
    factors: (f64, f64),
    runner: &R,
) -> Result<(f64, Padded), Error> {
    let ((nrows, ncols), turned) = matrix.upright();
    let lie = match (turned != matrix.transposed, matrix.complex) {
        (false, _) => Lie::Rows,
        (true, false) => Lie::Columns,
        (true, true) => Lie::Pairs,
    };
    let parts = matrix.parts();
    let mut partials = Partials::default();
    let mut blocks = blocks(nrows, parts * ncols);
    let step = blocks.first().map_or(0, |(_, range)| range.len());
    partials.prepare(blocks.len());
    runner.run(&mut blocks, &|(i, range)| {
        partials.fill(
            level,
            *i,
            || ColumnProducts::zeros(step, parts * ncols),
            |products| {
                with_typed!(Storage, matrix.storage, a => {
                    let (a, lie) = laid_down(a, lie);
                    let stored = Stored { a, lie, range: range.clone(), factors };
                    let max_abs = add_products_of(level, stored, products);
                    Moments { max_abs, sum_of_squares: 0.0 }
                })
            },
        );
    })?;
    let mut gram = Padded::zeros(parts * ncols, parts * ncols);
    let moments = partials.collect(|products| match matrix.complex {
        // The adjoint of what is stored has its imaginary parts negated.
        true => embed(products, if lie == Lie::Pairs { -1.0 } else { 1.0 }, &mut gram),
        false => copy(products, &mut gram),
    });
    Ok((moments.max_abs, gram))
}

/// A packed column taken as the row that it lies in memory as.
fn laid_down<T: Element>(a: MatRef<'_, T>, lie: Lie) -> (MatRef<'_, T>, Lie) {
    let row = a.packed().filter(|_| lie == Lie::Rows && a.ncols() == 1);
    match row.and_then(|data| MatRef::from_slice(data, 1, data.len())) {
        Some(row) => (row, Lie::Columns),
        None => (a, lie),
    }
}

/// The blocks, by number: rows by the shape alone.
fn blocks(nrows: usize, ncols: usize) -> Vec<(usize, Range<usize>)> {
    let step = match nrows * ncols {
        len if len < SHARED_LEN => nrows,
        _ => (BLOCK_LEN / ncols).max(1),
    };
    let starts = (0..nrows).step_by(step);
    starts.map(|start| start..(start + step).min(nrows)).enumerate().collect()
}

fn copy(products: &ColumnProducts, gram: &mut Padded) {
    for i in 0..gram.shape().0 {
        for (j, x) in gram.row_mut(i).iter_mut().enumerate() {
            *x = products.get(i, j);
        }
    }
}

/// `[[P, -Q], [Q, P]]`, where `P + iQ` is the Gram matrix of columns of which each is two here, the
/// real and the imaginary part.
fn embed(products: &ColumnProducts, sign: f64, gram: &mut Padded) {
    let n = gram.shape().0 / 2;
    for i in 0..n {
        for j in 0..n {
            let p = products.get(2 * i, 2 * j) + products.get(2 * i + 1, 2 * j + 1);
            let q = products.get(2 * i, 2 * j + 1) - products.get(2 * i + 1, 2 * j);
            gram.row_mut(i)[j] = p;
            gram.row_mut(n + i)[n + j] = p;
            gram.row_mut(i)[n + j] = -sign * q;
            gram.row_mut(n + i)[j] = sign * q;
        }
    }
}

#[cfg(test)]
#[path = "../../tests/rust/unit/skinny_operator.rs"]
mod tests;
