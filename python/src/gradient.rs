//! Gradients of normalised matrices: borrow arrays, let go of the interpreter.

use half::{bf16, f16};
use numpy::{Element, PyArrayDyn, PyReadonlyArrayDyn, PyReadwriteArrayDyn, PyUntypedArray};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use rsspecnorm::{AnyGradient, Differentiable, Error, Gradient, LayerElement, LayerGradient};

use crate::arrays::{Dtype, dtype_of};
use crate::borrow::{readable, typed, writable};
use crate::errors::Failure;
use crate::options;
use crate::power::detached;

/// `(grad, normalized, u, v, out, scale, slope)` of one matrix.
type Row<'py> = (
    Bound<'py, PyUntypedArray>,
    Bound<'py, PyUntypedArray>,
    Bound<'py, PyUntypedArray>,
    Bound<'py, PyUntypedArray>,
    Bound<'py, PyUntypedArray>,
    f64,
    f64,
);

/// Writes `scale * grad - slope * <grad, normalized> u v'` to `out`, for every row of a list.
/// Matrices are C-contiguous, of any number of axes; `u` and `v` say how many rows and columns.
#[pyfunction]
#[pyo3(signature = (rows, num_threads, /))]
pub(crate) fn gradient<'py>(
    py: Python<'py>,
    rows: Vec<Row<'py>>,
    #[pyo3(from_py_with = options::num_threads)] num_threads: Option<usize>,
) -> Result<(), Failure> {
    let held: PyResult<Vec<_>> = rows.iter().map(Held::borrow).collect();
    let mut held = held?;
    let gradients: PyResult<Vec<_>> = held.iter_mut().map(Held::gradient).collect();
    let gradients = gradients?;
    py.detach(|| detached(num_threads, |control| rsspecnorm::gradient(gradients, control)))??;
    Ok(())
}

/// The arrays of one matrix, borrowed for the length of a call.
enum Held<'py> {
    F16(Typed<'py, f16>),
    Bf16(Typed<'py, bf16>),
    F32(Typed<'py, f32>),
    F64(Typed<'py, f64>),
}

struct Typed<'py, T: Differentiable + Element>
where
    T::Vector: Element,
{
    grad: PyReadonlyArrayDyn<'py, T>,
    normalized: PyReadonlyArrayDyn<'py, T>,
    u: PyReadonlyArrayDyn<'py, T::Vector>,
    v: PyReadonlyArrayDyn<'py, T::Vector>,
    out: PyReadwriteArrayDyn<'py, T>,
    scale: f64,
    slope: f64,
}

impl<'py> Held<'py> {
    fn borrow(row: &Row<'py>) -> PyResult<Self> {
        match dtype_of(&row.0) {
            Some(Dtype::F16) => Typed::borrow(row).map(Self::F16),
            Some(Dtype::Bf16) => Typed::borrow(row).map(Self::Bf16),
            Some(Dtype::F32) => Typed::borrow(row).map(Self::F32),
            Some(Dtype::F64) => Typed::borrow(row).map(Self::F64),
            _ => Err(PyTypeError::new_err("gradients are native arrays of real numbers")),
        }
    }

    fn gradient(&mut self) -> PyResult<AnyGradient<'_>> {
        match self {
            Self::F16(typed) => typed.gradient(),
            Self::Bf16(typed) => typed.gradient(),
            Self::F32(typed) => typed.gradient(),
            Self::F64(typed) => typed.gradient(),
        }
    }
}

impl<'py, T: Differentiable + Element> Typed<'py, T>
where
    T::Vector: Element,
{
    fn borrow((grad, normalized, u, v, out, scale, slope): &Row<'py>) -> PyResult<Self> {
        Ok(Self {
            grad: readable("grad", grad.cast::<PyArrayDyn<T>>()?)?,
            normalized: readable("normalized", normalized.cast::<PyArrayDyn<T>>()?)?,
            u: readable("u", u.cast::<PyArrayDyn<T::Vector>>()?)?,
            v: readable("v", v.cast::<PyArrayDyn<T::Vector>>()?)?,
            out: writable("out", out)?,
            scale: *scale,
            slope: *slope,
        })
    }

    fn gradient(&mut self) -> PyResult<AnyGradient<'_>> {
        Ok(T::gradient(Gradient {
            grad: self.grad.as_slice()?,
            normalized: self.normalized.as_slice()?,
            u: self.u.as_slice()?,
            v: self.v.as_slice()?,
            scale: self.scale,
            slope: self.slope,
            out: self.out.as_slice_mut()?,
        }))
    }
}

/// Writes `scale * grad' x + pull * u v'` to `out`, in float32 or float64. `grad` and `x` have one row for each row
/// of a layer's input; all are C-contiguous, and `u` and `v` say how many rows and columns `out` has.
#[pyfunction]
#[pyo3(signature = (grad, x, u, v, out, scale, pull, num_threads, /))]
#[expect(clippy::too_many_arguments, reason = "a tuple would have to be built and taken apart")]
pub(crate) fn layer_gradient<'py>(
    py: Python<'py>,
    grad: Bound<'py, PyUntypedArray>,
    x: Bound<'py, PyUntypedArray>,
    u: Bound<'py, PyUntypedArray>,
    v: Bound<'py, PyUntypedArray>,
    out: Bound<'py, PyUntypedArray>,
    scale: f64,
    pull: f64,
    #[pyo3(from_py_with = options::num_threads)] num_threads: Option<usize>,
) -> Result<(), Failure> {
    let given = ([&grad, &x, &u, &v], &out, (scale, pull));
    match dtype_of(&grad) {
        Some(Dtype::F32) => of_layer::<f32>(py, given, num_threads)?,
        Some(Dtype::F64) => of_layer::<f64>(py, given, num_threads)?,
        _ => return Err(PyTypeError::new_err("grad must be float32 or float64").into()),
    }?;
    Ok(())
}

/// What is read, what is written, and the two factors.
type Given<'a, 'py> =
    ([&'a Bound<'py, PyUntypedArray>; 4], &'a Bound<'py, PyUntypedArray>, (f64, f64));

fn of_layer<T: LayerElement + Element>(
    py: Python<'_>,
    ([grad, x, u, v], out, (scale, pull)): Given<'_, '_>,
    num_threads: Option<usize>,
) -> PyResult<Result<(), Error>> {
    let (grad, x) = (read::<T>("grad", grad)?, read::<T>("x", x)?);
    let (u, v) = (read::<T>("u", u)?, read::<T>("v", v)?);
    let mut out = writable::<T>("out", out)?;
    let gradient = LayerGradient {
        grad: grad.as_slice()?,
        x: x.as_slice()?,
        u: u.as_slice()?,
        v: v.as_slice()?,
        scale,
        pull,
        out: out.as_slice_mut()?,
    };
    py.detach(|| detached(num_threads, |control| rsspecnorm::layer_gradient(gradient, control)))
}

fn read<'py, T: Element>(
    name: &str,
    array: &Bound<'py, PyUntypedArray>,
) -> PyResult<PyReadonlyArrayDyn<'py, T>> {
    readable(name, typed(name, array)?)
}
