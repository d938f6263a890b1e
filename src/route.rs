//! Floor F6: which method serves which matrix, and which matrices are solved together.
//!
//! The method follows from a matrix's shape and element type alone, so neither its neighbours nor
//! any setting can change a result. Matrices of one shape that are small enough to share the lanes
//! of a vector become one unit of work.

use std::ops::Range;

use crate::algorithms::direct::Shape;
use crate::api::Goal;
use crate::matrix::{Matrix, Storage};

/// Columns and entries up to which eight matrices share the lanes of a vector. Beyond, the copy of
/// eight leaves the near caches, and a matrix that comes alone pays for seven empty lanes.
const EIGHT_COLUMNS: usize = 16;
const EIGHT_LEN: usize = 512;

/// Columns up to which the direct method beats Lanczos (decision 0009), for elements of up to 32
/// bits, which ask for fewer digits, and for 64-bit ones.
const DIRECT_COLUMNS: usize = 96;
const DIRECT_COLUMNS_WIDE: usize = 128;

/// Entries beyond which a matrix is worth several threads and its copy too large for the caches.
const DIRECT_LEN: usize = 1 << 17;

/// Matrices of one unit at most: enough to spread the cost of its room, few enough to share out.
const UNIT_LEN: usize = 64;

/// How a matrix is solved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// There is no entry.
    Nothing,
    /// The direct method, eight matrices at a time.
    Eight,
    /// The direct method, one matrix at a time.
    One,
    /// Fused Lanczos.
    Lanczos,
}

/// The method for one matrix. A proof is about iteration, whatever the size.
pub(crate) fn route(matrix: &Matrix<'_>, goal: Goal) -> Route {
    let Shape { nrows, ncols, .. } = shape(matrix);
    let limit = if matrix.is_wide() { DIRECT_COLUMNS_WIDE } else { DIRECT_COLUMNS };
    match nrows * ncols {
        0 => Route::Nothing,
        _ if matches!(goal, Goal::Rigorous { .. }) => Route::Lanczos,
        len if ncols <= EIGHT_COLUMNS && len <= EIGHT_LEN => Route::Eight,
        len if ncols <= limit && len <= DIRECT_LEN => Route::One,
        _ => Route::Lanczos,
    }
}

/// The size of a matrix as the direct method sees it: twice as large for a complex one.
pub(crate) fn shape(matrix: &Matrix<'_>) -> Shape {
    let ((nrows, ncols), _) = matrix.upright();
    let copies = matrix.parts();
    Shape { nrows: copies * nrows, ncols: copies * ncols, copies }
}

/// The units of work of one call.
pub(crate) struct Units {
    /// Indices of the matrices, each unit's side by side.
    order: Vec<usize>,
    units: Vec<Range<usize>>,
}

impl Units {
    pub(crate) fn of(matrices: &[Matrix<'_>], goal: Goal) -> Self {
        let keys: Vec<u64> = matrices.iter().map(|matrix| key(matrix, goal)).collect();
        let mut order: Vec<usize> = (0..matrices.len()).collect();
        // The matrices of a stack are in order already.
        if !keys.is_sorted() {
            order.sort_by_key(|&i| keys[i]);
        }
        let mut units = Vec::new();
        let mut start = 0;
        for same in order.chunk_by(|&i, &j| keys[i] == keys[j]) {
            let end = start + same.len();
            let step = if keys[same[0]] == ALONE { 1 } else { UNIT_LEN };
            units.extend((start..end).step_by(step).map(|at| at..(at + step).min(end)));
            start = end;
        }
        Self { order, units }
    }

    /// The matrices of unit `i`, in rising order.
    pub(crate) fn unit(&self, i: usize) -> &[usize] {
        &self.order[self.units[i].clone()]
    }

    /// The size of each unit in elements.
    pub(crate) fn sizes(&self, matrices: &[Matrix<'_>]) -> Vec<usize> {
        let size = |unit: &Range<usize>| unit.len() * matrices[self.order[unit.start]].len();
        self.units.iter().map(size).collect()
    }
}

/// The key of matrices that share no unit.
const ALONE: u64 = 0;

/// Matrices of an equal key, which is not [`ALONE`], may share a unit.
fn key(matrix: &Matrix<'_>, goal: Goal) -> u64 {
    if route(matrix, goal) != Route::Eight {
        return ALONE;
    }
    let Shape { nrows, ncols, copies } = shape(matrix);
    let kind = match matrix.storage {
        Storage::F16(_) => 1,
        Storage::Bf16(_) => 2,
        Storage::F32(_) => 3,
        Storage::F64(_) => 4,
    };
    // Neither side is longer than EIGHT_LEN.
    (kind << 40) + ((copies << 32) + (nrows << 16) + ncols) as u64
}
