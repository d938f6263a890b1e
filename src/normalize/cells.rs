//! Floor F6: the matrices of a task, one by one or a few at a time.

use super::{Steppable, Weights};
use crate::error::Error;
use crate::kernels::tiny::Cells;
use crate::matrix::{MatMut, MatRef};
use crate::operator::Runner;
use crate::operator::divide::divide;
use crate::simd::Level;

/// One matrix of a task, and where its normalised form goes.
pub(super) enum Cell<'a, T: Steppable> {
    Apart(MatRef<'a, T>, Option<MatMut<'a, T>>),
    InPlace(MatMut<'a, T>),
}

/// The matrices of a packed task.
pub(super) fn cells<'b, T: Steppable>(weights: &'b mut Weights<'_, T>) -> Option<Cells<'b, T>> {
    match weights {
        Weights::Packed(a, out) => Some(Cells::Apart(a, out.as_deref_mut())),
        Weights::PackedInPlace(a) => Some(Cells::InPlace(a)),
        Weights::Rows(..) | Weights::RowsInPlace(_) => None,
    }
}

/// Matrix `i` of a task.
pub(super) fn cell<'b, T: Steppable>(
    weights: &'b mut Weights<'_, T>,
    i: usize,
    (nrows, ncols): (usize, usize),
) -> Cell<'b, T> {
    const FITS: &str = "the task was checked";
    let size = nrows * ncols;
    let range = i * size..(i + 1) * size;
    match weights {
        Weights::Packed(a, out) => {
            let out = out.as_mut().map(|out| &mut out[range.clone()]);
            let out = out.map(|out| MatMut::from_slice(out, nrows, ncols).expect(FITS));
            Cell::Apart(MatRef::from_slice(&a[range], nrows, ncols).expect(FITS), out)
        }
        Weights::PackedInPlace(a) => {
            Cell::InPlace(MatMut::from_slice(&mut a[range], nrows, ncols).expect(FITS))
        }
        Weights::Rows(a, out) => Cell::Apart(a.shorten(), out.as_mut().map(MatMut::reborrow)),
        Weights::RowsInPlace(a) => Cell::InPlace(a.reborrow()),
    }
}

impl<T: Steppable> Cell<'_, T> {
    pub(super) fn matrix(&self) -> MatRef<'_, T> {
        match self {
            Self::Apart(a, _) => a.shorten(),
            Self::InPlace(a) => a.as_ref(),
        }
    }

    pub(super) fn divide<R: Runner + Copy>(
        self,
        d: (f64, i32),
        stream: bool,
        (level, runner): (Level, R),
    ) -> Result<(), Error> {
        match self {
            Self::Apart(_, None) => Ok(()),
            Self::Apart(a, Some(out)) => divide(Some(a), out, d, stream, (level, runner)),
            Self::InPlace(a) => divide(None, a, d, false, (level, runner)),
        }
    }
}
