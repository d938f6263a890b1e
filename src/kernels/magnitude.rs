//! Rows of `|A|` in place of `A`, and rows in double precision.
//!
//! Plain loops, multiplied and added apart on every tier alike; the order of the sums is that of
//! the entries in eight lanes.

use crate::scalar::Element;

const LANES: usize = 8;

/// `sum_j |row_j| x_j`.
pub(crate) fn abs_dot<T: Element>(row: &[T], x: &[f64]) -> f64 {
    assert_eq!(row.len(), x.len(), "lengths of row and x");
    let (rows, row_tail) = row.as_chunks::<LANES>();
    let (xs, x_tail) = x.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for (row, x) in rows.iter().zip(xs) {
        for lane in 0..LANES {
            sums[lane] += row[lane].to_f64().abs() * x[lane];
        }
    }
    let tail: f64 = row_tail.iter().zip(x_tail).map(|(a, x)| a.to_f64().abs() * x).sum();
    sums.iter().sum::<f64>() + tail
}

/// `z_j += t |row_j|`.
pub(crate) fn abs_axpy<T: Element>(t: f64, row: &[T], z: &mut [f64]) {
    assert_eq!(row.len(), z.len(), "lengths of row and z");
    for (z, a) in z.iter_mut().zip(row) {
        *z += t * a.to_f64().abs();
    }
}

/// The row in double precision, times a power of two.
pub(crate) fn widen<T: Element>(row: &[T], scale: f64, out: &mut [f64]) {
    for (y, x) in out.iter_mut().zip(row) {
        *y = x.to_f64() * scale;
    }
}
