//! Floor F0: matrices that are written to.

use ndarray::{ArrayViewMut2, Axis};

use crate::matrix::MatRef;
use crate::scalar::Element;

/// A matrix stored by rows, each row a contiguous slice that may be written to.
#[derive(Debug)]
pub struct MatMut<'a, T> {
    rows: Rows<'a, T>,
    nrows: usize,
    ncols: usize,
}

#[derive(Debug)]
enum Rows<'a, T> {
    /// All rows lie side by side.
    Packed(&'a mut [T]),
    /// Rows lie a stride apart, which may be negative.
    Strided(ArrayViewMut2<'a, T>),
}

impl<'a, T: Element> MatMut<'a, T> {
    /// Wraps `nrows * ncols` packed elements; `None` when the length does not fit the shape.
    #[must_use]
    pub fn from_slice(data: &'a mut [T], nrows: usize, ncols: usize) -> Option<Self> {
        (nrows.checked_mul(ncols)? == data.len()).then_some(Self {
            rows: Rows::Packed(data),
            nrows,
            ncols,
        })
    }

    /// Wraps a view whose rows are contiguous; `None` for any other layout.
    #[must_use]
    pub fn from_view(view: ArrayViewMut2<'a, T>) -> Option<Self> {
        let (nrows, ncols) = view.dim();
        let rows = if view.is_standard_layout() {
            Rows::Packed(view.into_slice()?)
        } else if ncols <= 1 || view.stride_of(Axis(1)) == 1 {
            Rows::Strided(view)
        } else {
            return None;
        };
        Some(Self { rows, nrows, ncols })
    }

    /// The same matrix for a shorter time.
    #[must_use]
    pub fn reborrow(&mut self) -> MatMut<'_, T> {
        let rows = match &mut self.rows {
            Rows::Packed(data) => Rows::Packed(data),
            Rows::Strided(view) => Rows::Strided(view.view_mut()),
        };
        MatMut { rows, nrows: self.nrows, ncols: self.ncols }
    }

    /// The same matrix, to be read.
    #[must_use]
    pub fn as_ref(&self) -> MatRef<'_, T> {
        let a = match &self.rows {
            Rows::Packed(data) => MatRef::from_slice(data, self.nrows, self.ncols),
            Rows::Strided(view) => MatRef::from_view(view.view()),
        };
        a.expect("what is contiguous to write is contiguous to read")
    }

    /// Cuts the rows into blocks of `block_rows`, the last one shorter. The rows of a block come
    /// as one slice where they lie side by side, else one by one.
    pub(crate) fn into_blocks(self, block_rows: usize) -> Vec<Vec<&'a mut [T]>> {
        match self.rows {
            Rows::Packed(data) => {
                let len = (block_rows * self.ncols).max(1);
                data.chunks_mut(len).map(|block| vec![block]).collect()
            }
            Rows::Strided(view) => {
                let mut rows = view.into_outer_iter_mut().map(|row| {
                    row.into_slice().expect("from_view checked that rows are contiguous")
                });
                let block = |_| rows.by_ref().take(block_rows).collect();
                (0..self.nrows.div_ceil(block_rows)).map(block).collect()
            }
        }
    }
}
