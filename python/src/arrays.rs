//! Borrows NumPy arrays as matrices, without a copy.
//!
//! A *ready* array is what this file can borrow as it is: a native, aligned float array of 2 to 32
//! axes, one of whose last two axes is contiguous; the last one if it is complex, since it is
//! borrowed as the real array of its parts. `arrays.py` makes every other input ready, or
//! says why it cannot; here an array that is not ready is only refused.

use half::{bf16, f16};
use ndarray::{ArrayD, ArrayView3, ArrayViewD, Axis, Ix2, Ix3};
use numpy::npyffi::NPY_TYPES;
use numpy::prelude::*;
use numpy::{Element, PyArrayDescr, PyArrayDyn, PyReadonlyArrayDyn, PyUntypedArray};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use rsspecnorm::{Batch, Error, Matrix, Stack, Store};

use crate::borrow::refused;
use crate::errors::Failure;

/// The numpy crate refuses to view an array of more axes, and does so by a panic.
const MAX_NDIM: usize = 32;

/// Elements of a matrix that is copied out of a list: far less work than its norm.
const MAX_COPIED: usize = 1 << 12;

/// Whether an object is an array that the other functions of this module take as it is.
#[pyfunction]
#[pyo3(signature = (a, /))]
pub(crate) fn is_ready(a: &Bound<'_, PyAny>) -> bool {
    a.cast::<PyUntypedArray>().is_ok_and(|a| dtype_of(a).is_some() && has_ready_layout(a))
}

/// Element types that can be borrowed.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Dtype {
    F16,
    Bf16,
    F32,
    F64,
    /// Complex numbers, with the name of the dtype of their parts.
    Complex(&'static str),
}

pub(crate) fn dtype_of(a: &Bound<'_, PyUntypedArray>) -> Option<Dtype> {
    let dtype = a.dtype();
    if dtype.is_native_byteorder() == Some(false) {
        return None;
    }
    match dtype.num() {
        num if num == NPY_TYPES::NPY_DOUBLE as i32 => Some(Dtype::F64),
        num if num == NPY_TYPES::NPY_FLOAT as i32 => Some(Dtype::F32),
        num if num == NPY_TYPES::NPY_HALF as i32 => Some(Dtype::F16),
        num if num == NPY_TYPES::NPY_CFLOAT as i32 => Some(Dtype::Complex("float32")),
        num if num == NPY_TYPES::NPY_CDOUBLE as i32 => Some(Dtype::Complex("float64")),
        num if num >= NPY_TYPES::NPY_USERDEF as i32 && is_bfloat16(&dtype) => Some(Dtype::Bf16),
        _ => None,
    }
}

/// NumPy has no bfloat16 of its own; a package that brings one registers it under that name.
/// The name is looked up here first because the numpy crate panics where it is missing.
fn is_bfloat16(dtype: &Bound<'_, PyArrayDescr>) -> bool {
    dtype.itemsize() == 2
        && PyArrayDescr::new(dtype.py(), "bfloat16").is_ok_and(|known| known.is_equiv_to(dtype))
}

/// The rule of `Matrix::from_view`, asked of strides in bytes.
pub(crate) fn has_ready_layout(a: &Bound<'_, PyUntypedArray>) -> bool {
    let (shape, strides, ndim) = (a.shape(), a.strides(), a.ndim());
    if !(2..=MAX_NDIM).contains(&ndim) {
        return false;
    }
    let itemsize = a.dtype().itemsize() as isize;
    if matches!(dtype_of(a), Some(Dtype::Complex(_))) {
        return a.is_empty() || (a.is_aligned() && strides[ndim - 1] == itemsize);
    }
    let is_contiguous = |axis: usize| shape[axis] <= 1 || strides[axis] == itemsize;
    a.is_empty() || (a.is_aligned() && (is_contiguous(ndim - 1) || is_contiguous(ndim - 2)))
}

/// One array, borrowed for the length of a call.
enum Borrowed<'py> {
    F16(Held<'py, f16>),
    Bf16(Held<'py, bf16>),
    F32(Held<'py, f32>),
    F64(Held<'py, f64>),
    /// The real and imaginary parts of a complex array, side by side.
    Pairs(Box<Borrowed<'py>>),
    /// Arrays without elements are never viewed: their pointers and strides mean nothing.
    Empty {
        nrows: usize,
        ncols: usize,
        complex: bool,
    },
}

impl<'py> Borrowed<'py> {
    /// Borrows an array, or one of a list, which is copied if it is small.
    fn new(a: &Bound<'py, PyUntypedArray>, index: Option<usize>) -> PyResult<Self> {
        let dtype = dtype_of(a).filter(|_| has_ready_layout(a));
        let dtype = dtype.ok_or_else(|| PyTypeError::new_err("the array is not ready"))?;
        let shape = a.shape();
        if a.is_empty() {
            let [.., nrows, ncols] = *shape else { unreachable!("ready arrays have two axes") };
            let complex = matches!(dtype, Dtype::Complex(_));
            return Ok(Self::Empty { nrows, ncols, complex });
        }
        Ok(match dtype {
            Dtype::F16 => Self::F16(Held::new(a, index)?),
            Dtype::Bf16 => Self::Bf16(Held::new(a, index)?),
            Dtype::F32 => Self::F32(Held::new(a, index)?),
            Dtype::F64 => Self::F64(Held::new(a, index)?),
            Dtype::Complex(part) => {
                let parts = a.call_method1("view", (part,))?;
                Self::Pairs(Box::new(Self::new(parts.cast::<PyUntypedArray>()?, index)?))
            }
        })
    }

    /// The array as one stack, where its leading axes allow.
    fn stack(&self) -> Option<Stack<'_>> {
        match self {
            Self::F16(a) => stack_of(a.as_array()),
            Self::Bf16(a) => stack_of(a.as_array()),
            Self::F32(a) => stack_of(a.as_array()),
            Self::F64(a) => stack_of(a.as_array()),
            Self::Pairs(parts) => parts.stack()?.paired(),
            Self::Empty { .. } => None,
        }
    }

    fn push_matrices<'a>(&'a self, count: usize, matrices: &mut Vec<Matrix<'a>>) {
        match self {
            Self::F16(a) => push_stack(a.as_array(), matrices),
            Self::Bf16(a) => push_stack(a.as_array(), matrices),
            Self::F32(a) => push_stack(a.as_array(), matrices),
            Self::F64(a) => push_stack(a.as_array(), matrices),
            Self::Pairs(parts) => {
                let start = matrices.len();
                parts.push_matrices(count, matrices);
                for a in &mut matrices[start..] {
                    *a = a.paired().expect("every complex number has two parts");
                }
            }
            Self::Empty { nrows, ncols, complex } => {
                let parts = if *complex { 2 } else { 1 };
                let empty = Matrix::from_slice::<f64>(&[], *nrows, parts * *ncols);
                let empty = if *complex { empty.and_then(Matrix::paired) } else { empty };
                matrices.extend(std::iter::repeat_n(empty, count).flatten());
            }
        }
    }
}

/// A stack whose leading axes make up one; `None` where their strides forbid it.
fn stack_of<'a, T: Store>(mut a: ArrayViewD<'a, T>) -> Option<Stack<'a>> {
    while a.ndim() > 3 {
        if !a.merge_axes(Axis(0), Axis(1)) {
            return None;
        }
        a = a.index_axis_move(Axis(0), 0);
    }
    Stack::from_view(a.into_dimensionality::<Ix3>().ok()?)
}

/// The elements of one array for the length of a call.
enum Held<'py, T: Element> {
    Borrowed(PyReadonlyArrayDyn<'py, T>),
    /// Every borrow of a part of an array is compared with all others of that array, so many views
    /// of one would take the square of their number.
    Copied(ArrayD<T>),
}

impl<'py, T: Element + Copy> Held<'py, T> {
    fn new(a: &Bound<'py, PyUntypedArray>, index: Option<usize>) -> PyResult<Self> {
        let name = || index.map_or_else(|| "a".to_owned(), item);
        let borrowed = a.cast::<PyArrayDyn<T>>()?;
        let borrowed = borrowed.try_readonly().map_err(|e| refused(&name(), e))?;
        let view = borrowed.as_array();
        let is_small = index.is_some() && view.len() <= MAX_COPIED;
        // A copy of what has gaps would have another layout.
        Ok(match is_small && view.as_slice_memory_order().is_some() {
            true => Self::Copied(view.to_owned()),
            false => Self::Borrowed(borrowed),
        })
    }

    fn as_array(&self) -> ArrayViewD<'_, T> {
        match self {
            Self::Borrowed(a) => a.as_array(),
            Self::Copied(a) => a.view(),
        }
    }
}

/// Walks the leading axes in C order; the last of them without a heap or a dynamic dimension.
fn push_stack<'a, T: Store>(stack: ArrayViewD<'a, T>, matrices: &mut Vec<Matrix<'a>>) {
    match stack.ndim() {
        2 => {
            let a = stack.into_dimensionality::<Ix2>().expect("two axes were counted");
            matrices.push(Matrix::from_view(a).expect("the layout was checked"));
        }
        3 => {
            let stack: ArrayView3<'a, T> =
                stack.into_dimensionality::<Ix3>().expect("three axes were counted");
            matrices.extend((0..stack.len_of(Axis(0))).map(|i| {
                let a = stack.index_axis_move(Axis(0), i);
                Matrix::from_view(a).expect("the layout was checked")
            }));
        }
        _ => {
            for i in 0..stack.len_of(Axis(0)) {
                push_stack(stack.clone().index_axis_move(Axis(0), i), matrices);
            }
        }
    }
}

/// Views of all matrices of one call.
pub(crate) enum Matrices<'a> {
    Each(Vec<Matrix<'a>>),
    Stack(Stack<'a>),
}

impl<'a> Matrices<'a> {
    pub(crate) fn batch(&self) -> Batch<'_, 'a> {
        match self {
            Self::Each(matrices) => Batch::from(matrices),
            Self::Stack(stack) => Batch::from(*stack),
        }
    }
}

/// The matrices of one call: a matrix, a stack, or a list of matrices.
pub(crate) struct Input<'py> {
    arrays: Vec<Borrowed<'py>>,
    form: Form,
}

enum Form {
    /// One array; its leading axes, which a lone matrix has none of.
    Stack(Vec<usize>),
    List,
}

impl<'py> Input<'py> {
    /// Borrows one ready array, or a list of ready 2-D arrays.
    pub(crate) fn extract(object: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(a) = object.cast::<PyUntypedArray>() {
            let arrays = vec![Borrowed::new(a, None)?];
            let batch = a.shape()[..a.ndim() - 2].to_vec();
            return Ok(Self { arrays, form: Form::Stack(batch) });
        }
        let borrowed = |(i, a): (usize, PyResult<Bound<'py, PyAny>>)| -> PyResult<_> {
            Borrowed::new(a?.cast::<PyUntypedArray>()?, Some(i))
        };
        let arrays: PyResult<_> = object.try_iter()?.enumerate().map(borrowed).collect();
        Ok(Self { arrays: arrays?, form: Form::List })
    }

    /// Whether the input is one matrix, not a stack and not a list.
    pub(crate) fn is_matrix(&self) -> bool {
        matches!(&self.form, Form::Stack(batch) if batch.is_empty())
    }

    /// Every matrix, in C order.
    pub(crate) fn matrices(&self) -> PyResult<Matrices<'_>> {
        let count = match &self.form {
            Form::Stack(batch) => batch.iter().product(),
            Form::List => self.arrays.len(),
        };
        if let (Form::Stack(batch), [array]) = (&self.form, &*self.arrays)
            && !batch.is_empty()
            && let Some(stack) = array.stack()
        {
            return Ok(Matrices::Stack(stack));
        }
        let mut matrices = Vec::new();
        // A stack of empty matrices can be longer than memory while its array takes none.
        matrices
            .try_reserve_exact(count)
            .map_err(|_| Failure::from(Error::OutOfMemory { count }))?;
        let each = if matches!(self.form, Form::List) { 1 } else { count };
        self.arrays.iter().for_each(|a| a.push_matrices(each, &mut matrices));
        Ok(Matrices::Each(matrices))
    }

    /// What the caller would write for the matrix of this flat index.
    pub(crate) fn name(&self, index: usize) -> String {
        match &self.form {
            Form::Stack(batch) => place(batch, index),
            Form::List => item(index),
        }
    }

    /// The name of the argument that holds the matrices.
    pub(crate) fn argument(&self) -> &'static str {
        if matches!(self.form, Form::List) { "arrays" } else { "a" }
    }
}

/// What the caller of a list would write for one of its matrices.
fn item(index: usize) -> String {
    format!("arrays[{index}]")
}

/// What the caller of a stack with these leading axes would write for the matrix of a flat index.
pub(crate) fn place(batch: &[usize], mut index: usize) -> String {
    if batch.is_empty() {
        return "it".to_owned();
    }
    let mut place = Vec::with_capacity(batch.len());
    for &len in batch.iter().rev() {
        place.push((index % len).to_string());
        index /= len;
    }
    place.reverse();
    format!("a[{}]", place.join(", "))
}
