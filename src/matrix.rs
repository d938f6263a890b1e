//! Floor F0: borrowed matrices, valid by construction.
//!
//! [`MatRef`] is what kernels read: rows that are contiguous slices. [`Matrix`] is what the public
//! face passes around: a `MatRef` of any element type, with a flag that says whether the caller's
//! matrix is the transpose of the stored one (Fortran order). A complex matrix is stored as its real
//! and imaginary parts side by side, twice as many columns. No maths lives here.

mod mutable;
mod stack;

use bytemuck::Pod;
use half::{bf16, f16};
use ndarray::{ArrayView2, Axis};
use num_complex::Complex;

use crate::scalar::{Element, with_typed};

pub use mutable::MatMut;
pub use stack::{Batch, Slab, Stack, StackStorage};

/// A matrix stored by rows, each row a contiguous slice.
#[derive(Debug, Clone, Copy)]
pub struct MatRef<'a, T> {
    rows: Rows<'a, T>,
    nrows: usize,
    ncols: usize,
}

#[derive(Debug, Clone, Copy)]
enum Rows<'a, T> {
    /// All rows lie side by side.
    Packed(&'a [T]),
    /// Rows lie a stride apart, which may be negative.
    Strided(ArrayView2<'a, T>),
}

impl<'a, T: Element> MatRef<'a, T> {
    /// Wraps `nrows * ncols` packed elements; `None` when the length does not fit the shape.
    #[must_use]
    pub fn from_slice(data: &'a [T], nrows: usize, ncols: usize) -> Option<Self> {
        (nrows.checked_mul(ncols)? == data.len()).then_some(Self {
            rows: Rows::Packed(data),
            nrows,
            ncols,
        })
    }

    /// Wraps a view whose rows are contiguous; `None` for any other layout.
    #[must_use]
    pub fn from_view(view: ArrayView2<'a, T>) -> Option<Self> {
        let (nrows, ncols) = view.dim();
        let rows = match view.to_slice() {
            Some(data) => Rows::Packed(data),
            None if ncols <= 1 || view.stride_of(Axis(1)) == 1 => Rows::Strided(view),
            None => return None,
        };
        Some(Self { rows, nrows, ncols })
    }

    /// Number of rows.
    #[must_use]
    pub fn nrows(&self) -> usize {
        self.nrows
    }

    /// Number of columns.
    #[must_use]
    pub fn ncols(&self) -> usize {
        self.ncols
    }

    /// The same matrix for a shorter time.
    pub(crate) fn shorten<'b>(self) -> MatRef<'b, T>
    where
        'a: 'b,
    {
        let rows = match self.rows {
            Rows::Packed(data) => Rows::Packed(data),
            Rows::Strided(view) => Rows::Strided(view.reborrow()),
        };
        MatRef { rows, nrows: self.nrows, ncols: self.ncols }
    }

    /// All elements side by side, row after row, where they lie so.
    pub(crate) fn packed(&self) -> Option<&'a [T]> {
        match self.rows {
            Rows::Packed(data) => Some(data),
            Rows::Strided(_) => None,
        }
    }

    /// Row `i` as a slice of length `ncols`.
    ///
    /// # Panics
    /// When `i >= nrows`.
    #[inline(always)]
    #[must_use]
    pub fn row(&self, i: usize) -> &'a [T] {
        match self.rows {
            Rows::Packed(data) => &data[i * self.ncols..(i + 1) * self.ncols],
            Rows::Strided(view) => {
                let row = view.index_axis_move(Axis(0), i);
                row.to_slice().expect("from_view checked that rows are contiguous")
            }
        }
    }
}

/// A matrix of any element type, in row-major or column-major order.
///
/// ```
/// use ndarray::array;
/// use rsspecnorm::Matrix;
///
/// let a = array![[1.0_f32, 2.0], [3.0, 4.0], [5.0, 6.0]];
/// assert_eq!(Matrix::from_view(a.view()).unwrap().shape(), (3, 2));
/// assert_eq!(Matrix::from_view(a.t()).unwrap().shape(), (2, 3));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    /// The stored rows; the caller's columns when `transposed`.
    pub(crate) storage: Storage<'a>,
    /// Whether the caller's matrix is the transpose of the stored one.
    pub(crate) transposed: bool,
    /// Whether stored elements are pairs, a real and an imaginary part, side by side in a row.
    pub(crate) complex: bool,
}

/// The element types a [`Matrix`] may be stored in.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the variants are the element types, named as such")]
pub enum Storage<'a> {
    F16(MatRef<'a, f16>),
    Bf16(MatRef<'a, bf16>),
    F32(MatRef<'a, f32>),
    F64(MatRef<'a, f64>),
}

/// Element types that have a [`Storage`] variant.
pub trait Store: Element {
    /// Wraps a typed matrix.
    fn store(a: MatRef<'_, Self>) -> Storage<'_>;

    /// Wraps a typed stack.
    fn store_stack(a: Slab<'_, Self>) -> StackStorage<'_>;
}

macro_rules! impl_store {
    ($($t:ty => $variant:ident),*) => {$(
        impl Store for $t {
            fn store(a: MatRef<'_, Self>) -> Storage<'_> {
                Storage::$variant(a)
            }
            fn store_stack(a: Slab<'_, Self>) -> StackStorage<'_> {
                StackStorage::$variant(a)
            }
        }
    )*};
}
impl_store!(f16 => F16, bf16 => Bf16, f32 => F32, f64 => F64);

impl<'a> Matrix<'a> {
    /// Borrows a view without a copy; `None` when neither axis is contiguous.
    #[must_use]
    pub fn from_view<T: Store>(view: ArrayView2<'a, T>) -> Option<Self> {
        if let Some(a) = MatRef::from_view(view) {
            return Some(Self { storage: T::store(a), transposed: false, complex: false });
        }
        let a = MatRef::from_view(view.reversed_axes())?;
        Some(Self { storage: T::store(a), transposed: true, complex: false })
    }

    /// Borrows packed row-major elements; `None` when the length does not fit the shape.
    #[must_use]
    pub fn from_slice<T: Store>(data: &'a [T], nrows: usize, ncols: usize) -> Option<Self> {
        let a = MatRef::from_slice(data, nrows, ncols)?;
        Some(Self { storage: T::store(a), transposed: false, complex: false })
    }

    /// Borrows a complex view without a copy; `None` when its elements, or those of its transpose,
    /// are not packed row-major.
    ///
    /// ```
    /// use ndarray::array;
    /// use num_complex::Complex;
    /// use rsspecnorm::Matrix;
    ///
    /// let a = array![[Complex::new(3.0, 4.0), Complex::new(0.0, 1.0)]];
    /// assert_eq!(Matrix::from_complex(a.view()).unwrap().shape(), (1, 2));
    /// assert_eq!(Matrix::from_complex(a.t()).unwrap().dtype(), "complex128");
    /// ```
    #[must_use]
    pub fn from_complex<T: Store + Pod>(view: ArrayView2<'a, Complex<T>>) -> Option<Self> {
        let (nrows, ncols) = view.dim();
        let transposed = view.to_slice().is_none();
        let (data, stored) = match view.to_slice() {
            Some(data) => (data, (nrows, ncols)),
            None => (view.reversed_axes().to_slice()?, (ncols, nrows)),
        };
        let parts = bytemuck::cast_slice::<Complex<T>, T>(data);
        let matrix = Self::from_slice(parts, stored.0, 2 * stored.1)?.paired()?;
        Some(Self { transposed, ..matrix })
    }

    /// Takes the elements of each row as pairs, real and imaginary parts of complex numbers;
    /// `None` for rows of odd length, and for columns.
    ///
    /// ```
    /// use rsspecnorm::Matrix;
    ///
    /// let a = Matrix::from_slice(&[3.0, 4.0, 0.0, 1.0], 1, 4).unwrap().paired().unwrap();
    /// assert_eq!(a.shape(), (1, 2));
    /// ```
    #[must_use]
    pub fn paired(self) -> Option<Self> {
        let ncols = with_typed!(Storage, self.storage, a => a.ncols());
        let is_rows = !self.complex && !self.transposed && ncols.is_multiple_of(2);
        is_rows.then_some(Self { complex: true, ..self })
    }

    /// Whether the elements are complex numbers.
    #[must_use]
    pub fn is_complex(&self) -> bool {
        self.complex
    }

    /// Real numbers that make up one element.
    pub(crate) fn parts(&self) -> usize {
        if self.complex { 2 } else { 1 }
    }

    /// Rows and columns as the caller sees them.
    #[must_use]
    pub fn shape(&self) -> (usize, usize) {
        let (nrows, ncols) = with_typed!(Storage, self.storage, a => (a.nrows(), a.ncols()));
        let ncols = ncols / self.parts();
        if self.transposed { (ncols, nrows) } else { (nrows, ncols) }
    }

    /// Rows and columns of the operator that algorithms work on, the longer side first, and
    /// whether it is the transpose of the stored matrix.
    pub(crate) fn oriented(&self) -> ((usize, usize), bool) {
        let (nrows, ncols) = with_typed!(Storage, self.storage, a => (a.nrows(), a.ncols()));
        let by_columns = nrows < ncols;
        (if by_columns { (ncols, nrows) } else { (nrows, ncols) }, by_columns)
    }

    /// Rows and columns, the longer side first, and whether that is the transpose of the caller's
    /// matrix: for methods that work on a copy, whose bits should not depend on the layout.
    pub(crate) fn upright(&self) -> ((usize, usize), bool) {
        let (nrows, ncols) = self.shape();
        if nrows < ncols { ((ncols, nrows), true) } else { ((nrows, ncols), false) }
    }

    /// The element type's name, as NumPy spells it.
    #[must_use]
    pub fn dtype(&self) -> &'static str {
        fn name<T: Element>(_: MatRef<'_, T>) -> &'static str {
            T::NAME
        }
        match (&self.storage, self.complex) {
            (Storage::F32(_), true) => "complex64",
            (Storage::F64(_), true) => "complex128",
            _ => with_typed!(Storage, self.storage, a => name(a)),
        }
    }

    /// Whether the elements, or their parts, are 64-bit, which decides the default `rtol`.
    #[must_use]
    pub fn is_wide(&self) -> bool {
        matches!(self.storage, Storage::F64(_))
    }

    /// Elements in the matrix.
    #[must_use]
    pub fn len(&self) -> usize {
        let (nrows, ncols) = self.shape();
        nrows * ncols
    }

    /// Whether the matrix has no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
