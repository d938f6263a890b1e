//! Floor F6: which method serves which matrix, and which matrices are solved together.
//!
//! The method follows from a matrix's shape and element type alone, so neither its neighbours nor
//! any setting can change a result. Matrices of one shape that are small enough to share the lanes
//! of a vector become one unit of work.

use std::ops::Range;

use crate::algorithms::direct::Shape;
use crate::api::Goal;
use crate::matrix::{Batch, Matrix, Storage};
use crate::operator::DIVIDED_LEN;
use crate::operator::skinny::SHARED_LEN;

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

/// Times as many rows as columns from which the products of the columns are had sooner without a
/// copy, and from which even of so many columns, for elements of up to 32 bits and of 64.
const LONG: usize = 4;
const VERY_LONG: usize = 32;
const LONG_COLUMNS: usize = 128;
const LONG_COLUMNS_WIDE: usize = 192;

/// Matrices of one unit at most, and elements if they are tiny: enough to spread the cost of its
/// room, few enough to share out.
const UNIT_LEN: usize = 64;
const UNIT_ELEMENTS: usize = 1 << 12;

/// How a matrix is solved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// There is no entry.
    Nothing,
    /// The direct method, eight matrices at a time.
    Eight,
    /// The direct method, one matrix at a time.
    One,
    /// The direct method, without a copy of the matrix.
    Skinny,
    /// Fused Lanczos.
    Lanczos,
}

/// The method for one matrix. A proof is about iteration, whatever the size.
pub(crate) fn route(matrix: &Matrix<'_>, goal: Goal) -> Route {
    let Shape { nrows, ncols, .. } = shape(matrix);
    let (limit, of_long) = match matrix.is_wide() {
        true => (DIRECT_COLUMNS_WIDE, LONG_COLUMNS_WIDE),
        false => (DIRECT_COLUMNS, LONG_COLUMNS),
    };
    match nrows * ncols {
        0 => Route::Nothing,
        _ if matches!(goal, Goal::Rigorous { .. }) => Route::Lanczos,
        len if ncols <= EIGHT_COLUMNS && len <= EIGHT_LEN => Route::Eight,
        len if ncols <= limit && nrows < LONG * ncols && len <= DIRECT_LEN => Route::One,
        _ if ncols <= limit || ncols <= of_long && nrows >= VERY_LONG * ncols => Route::Skinny,
        _ => Route::Lanczos,
    }
}

/// The size of a matrix as the direct method sees it: twice as large for a complex one.
pub(crate) fn shape(matrix: &Matrix<'_>) -> Shape {
    let ((nrows, ncols), _) = matrix.upright();
    let copies = matrix.parts();
    Shape { nrows: copies * nrows, ncols: copies * ncols, copies }
}

/// Elements of a matrix below which one thread works on it alone.
pub(crate) fn least_shared(matrix: &Matrix<'_>, goal: Goal) -> usize {
    match route(matrix, goal) {
        // The products of a proof are divided whatever the size.
        _ if matches!(goal, Goal::Rigorous { .. }) => 0,
        Route::Nothing | Route::Eight | Route::One => usize::MAX,
        Route::Skinny => SHARED_LEN / matrix.parts(),
        Route::Lanczos => DIVIDED_LEN / matrix.parts(),
    }
}

/// The units of work of one call.
pub(crate) struct Units {
    /// Indices of the matrices, each unit's side by side, where that is not their own order.
    order: Option<Vec<usize>>,
    units: Vec<Range<usize>>,
}

/// The matrices of one unit, by their indices, which rise.
#[derive(Clone, Copy)]
pub(crate) struct Unit<'u> {
    order: Option<&'u [usize]>,
    start: usize,
    len: usize,
}

impl Unit<'_> {
    pub(crate) fn len(self) -> usize {
        self.len
    }

    /// The index of matrix `k` of the unit.
    pub(crate) fn index(self, k: usize) -> usize {
        self.order.map_or(self.start + k, |order| order[self.start + k])
    }

    /// The matrices of the unit, eight at a time.
    pub(crate) fn eights(self) -> impl Iterator<Item = Self> {
        let eight =
            move |k: usize| Self { start: self.start + k, len: 8.min(self.len - k), ..self };
        (0..self.len).step_by(8).map(eight)
    }
}

impl Units {
    pub(crate) fn of(batch: &Batch<'_, '_>, goal: Goal) -> Self {
        match batch {
            Batch::Each(matrices) => Self::of_each(matrices, goal),
            Batch::Stack(stack) => {
                let step = if stack.is_empty() { 1 } else { unit_len(&stack.get(0), goal) };
                Self { order: None, units: cut(0..stack.len(), step).collect() }
            }
        }
    }

    fn of_each(matrices: &[Matrix<'_>], goal: Goal) -> Self {
        let keys: Vec<u64> = matrices.iter().map(|matrix| key(matrix, goal)).collect();
        let mut order: Vec<usize> = (0..matrices.len()).collect();
        let is_sorted = keys.is_sorted();
        if !is_sorted {
            order.sort_by_key(|&i| keys[i]);
        }
        let mut units = Vec::new();
        let mut start = 0;
        for same in order.chunk_by(|&i, &j| keys[i] == keys[j]) {
            let end = start + same.len();
            units.extend(cut(start..end, unit_len(&matrices[same[0]], goal)));
            start = end;
        }
        Self { order: (!is_sorted).then_some(order), units }
    }

    pub(crate) fn unit(&self, i: usize) -> Unit<'_> {
        let Range { start, end } = self.units[i];
        Unit { order: self.order.as_deref(), start, len: end - start }
    }

    /// The size of each unit in elements.
    pub(crate) fn sizes(&self, batch: &Batch<'_, '_>) -> Vec<usize> {
        let first = (!batch.is_empty()).then(|| batch.get(0).len());
        let size = |i: usize| match (batch, first) {
            (Batch::Stack(_), Some(len)) => self.unit(i).len() * len,
            _ => self.unit(i).len() * batch.get(self.unit(i).index(0)).len(),
        };
        (0..self.units.len()).map(size).collect()
    }
}

fn cut(Range { start, end }: Range<usize>, step: usize) -> impl Iterator<Item = Range<usize>> {
    (start..end).step_by(step).map(move |at| at..(at + step).min(end))
}

/// The most matrices like this one that make up a unit.
fn unit_len(matrix: &Matrix<'_>, goal: Goal) -> usize {
    match key(matrix, goal) {
        ALONE => 1,
        _ => (UNIT_ELEMENTS / matrix.len()).max(UNIT_LEN),
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
