//! Start vectors: one buffer, cut along the matrices' columns.

use numpy::PyReadonlyArray1;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use rsspecnorm::Batch;

/// Cuts the buffer into one vector per matrix.
pub(crate) fn split<'a>(
    v0: &'a PyReadonlyArray1<'_, f64>,
    batch: &Batch<'_, '_>,
) -> PyResult<Vec<&'a [f64]>> {
    let mut rest = v0.as_slice()?;
    let mut starts = Vec::with_capacity(batch.len());
    for a in batch.iter() {
        let parts = if a.is_complex() { 2 } else { 1 };
        let (start, tail) = rest.split_at_checked(parts * a.shape().1).ok_or_else(wrong_length)?;
        starts.push(start);
        rest = tail;
    }
    if rest.is_empty() { Ok(starts) } else { Err(wrong_length()) }
}

/// `arrays.py` checks shapes with better words; this only guards the cut.
fn wrong_length() -> PyErr {
    PyValueError::new_err("v0 must hold one entry per column of every matrix")
}
