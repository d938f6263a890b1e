//! Many matrices at once: each of its own, or all of one shape a stride apart.

use half::{bf16, f16};
use ndarray::{ArrayView3, Axis};

use crate::scalar::{Element, with_typed};

use super::{Matrix, Store};

/// Matrices of one shape, element type and layout, a stride apart, made one by one when asked for.
///
/// ```
/// use ndarray::Array3;
/// use rsspecnorm::{Control, Request, Stack, norms};
///
/// let a = Array3::from_shape_fn((1000, 3, 3), |(k, i, j)| if i == j { k as f64 } else { 0.0 });
/// let stack = Stack::from_view(a.view()).unwrap();
/// let norms = norms(stack, &Request::default(), Control::default())?;
/// assert_eq!(norms.sigma[7], 7.0);
/// # Ok::<(), rsspecnorm::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Stack<'a> {
    pub(crate) storage: StackStorage<'a>,
    complex: bool,
}

/// The element types a [`Stack`] may be stored in.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the variants are the element types, named as such")]
pub enum StackStorage<'a> {
    F16(Slab<'a, f16>),
    Bf16(Slab<'a, bf16>),
    F32(Slab<'a, f32>),
    F64(Slab<'a, f64>),
}

/// A stack of one element type.
#[derive(Debug, Clone, Copy)]
pub struct Slab<'a, T> {
    view: ArrayView3<'a, T>,
    /// All elements, where matrix follows matrix without a gap.
    packed: Option<&'a [T]>,
}

impl<'a, T: Element> Slab<'a, T> {
    pub(super) fn new(view: ArrayView3<'a, T>) -> Self {
        let (count, nrows, ncols) = view.dim();
        let follows = count <= 1 || view.stride_of(Axis(0)) == (nrows * ncols) as isize;
        let is_plain = follows && has_positive_strides(view.strides(), view.shape());
        Self { view, packed: view.to_slice_memory_order().filter(|_| is_plain) }
    }

    /// Rows and columns of each matrix.
    pub(crate) fn shape(&self) -> (usize, usize) {
        let (_, nrows, ncols) = self.view.dim();
        (nrows, ncols)
    }

    /// The elements of matrix `i` where they lie side by side, and the distances from one row and
    /// from one column to the next.
    pub(crate) fn elements(&self, i: usize) -> Option<(&'a [T], (usize, usize))> {
        let (_, nrows, ncols) = self.view.dim();
        let data = match self.packed {
            Some(data) => &data[i * nrows * ncols..][..nrows * ncols],
            None => {
                let a = self.view.index_axis_move(Axis(0), i);
                let is_plain = has_positive_strides(a.strides(), a.shape());
                a.to_slice_memory_order().filter(|_| is_plain)?
            }
        };
        let stride = |axis: usize| match self.view.shape()[axis] {
            0 | 1 => 0,
            _ => self.view.stride_of(Axis(axis)) as usize,
        };
        Some((data, (stride(1), stride(2))))
    }
}

fn has_positive_strides(strides: &[isize], shape: &[usize]) -> bool {
    strides.iter().zip(shape).all(|(&stride, &len)| len <= 1 || stride > 0)
}

impl<'a> Stack<'a> {
    /// Borrows a view without a copy, its first axis the matrices; `None` when neither of the other
    /// axes is contiguous.
    #[must_use]
    pub fn from_view<T: Store>(view: ArrayView3<'a, T>) -> Option<Self> {
        let is_contiguous = |axis: usize| {
            view.is_empty() || view.shape()[axis] <= 1 || view.stride_of(Axis(axis)) == 1
        };
        let storage = T::store_stack(Slab::new(view));
        (is_contiguous(1) || is_contiguous(2)).then_some(Self { storage, complex: false })
    }

    /// Takes the elements of each row as pairs, as [`Matrix::paired`] does.
    #[must_use]
    pub fn paired(self) -> Option<Self> {
        let paired = Self { complex: true, ..self };
        let first = Self { complex: false, ..self };
        (!self.complex && (self.is_empty() || first.get(0).paired().is_some())).then_some(paired)
    }

    /// Number of matrices.
    #[must_use]
    pub fn len(&self) -> usize {
        with_typed!(StackStorage, &self.storage, slab => slab.view.len_of(Axis(0)))
    }

    /// Whether there is no matrix.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Matrix `i`.
    ///
    /// # Panics
    /// When `i >= len`.
    #[must_use]
    pub fn get(&self, i: usize) -> Matrix<'a> {
        let a = with_typed!(StackStorage, &self.storage, slab => {
            Matrix::from_view(slab.view.index_axis_move(Axis(0), i))
        });
        let a = a.expect("from_view checked the layout");
        if self.complex { a.paired().expect("paired checked the rows") } else { a }
    }

    pub(crate) fn is_complex(&self) -> bool {
        self.complex
    }
}

/// The matrices of one call.
#[derive(Debug, Clone, Copy)]
pub enum Batch<'m, 'a> {
    /// Of any shapes and element types.
    Each(&'m [Matrix<'a>]),
    /// All alike.
    Stack(Stack<'a>),
}

impl<'a> Batch<'_, 'a> {
    /// Number of matrices.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Each(matrices) => matrices.len(),
            Self::Stack(stack) => stack.len(),
        }
    }

    /// Whether there is no matrix.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Matrix `i`.
    ///
    /// # Panics
    /// When `i >= len`.
    #[must_use]
    pub fn get(&self, i: usize) -> Matrix<'a> {
        match self {
            Self::Each(matrices) => matrices[i],
            Self::Stack(stack) => stack.get(i),
        }
    }

    /// Every matrix, in order.
    pub fn iter(&self) -> impl Iterator<Item = Matrix<'a>> + '_ {
        (0..self.len()).map(|i| self.get(i))
    }
}

impl<'m, 'a> From<&'m [Matrix<'a>]> for Batch<'m, 'a> {
    fn from(matrices: &'m [Matrix<'a>]) -> Self {
        Self::Each(matrices)
    }
}

impl<'m, 'a, const N: usize> From<&'m [Matrix<'a>; N]> for Batch<'m, 'a> {
    fn from(matrices: &'m [Matrix<'a>; N]) -> Self {
        Self::Each(matrices)
    }
}

impl<'m, 'a> From<&'m Vec<Matrix<'a>>> for Batch<'m, 'a> {
    fn from(matrices: &'m Vec<Matrix<'a>>) -> Self {
        Self::Each(matrices)
    }
}

impl<'a> From<Stack<'a>> for Batch<'_, 'a> {
    fn from(stack: Stack<'a>) -> Self {
        Self::Stack(stack)
    }
}
