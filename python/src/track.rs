//! Following norms: borrow matrices and states, let go of the interpreter.

use half::{bf16, f16};
use ndarray::Ix2;
use numpy::prelude::*;
use numpy::{
    Element, PyArray1, PyArrayDyn, PyReadonlyArrayDyn, PyReadwriteArrayDyn, PyUntypedArray,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use rsspecnorm::{AnyTrack, MatRef, Track, Trackable};

use crate::arrays::{Dtype, dtype_of};
use crate::borrow::{listed, readable, writable};
use crate::errors::Failure;
use crate::options::{self, Common};
use crate::power::detached;

/// Follows every matrix, stored by rows, by one pass; states of shape (3, N) are updated in place.
#[pyfunction]
#[pyo3(signature = (matrices, states, common, /))]
pub(crate) fn track<'py>(
    py: Python<'py>,
    matrices: &Bound<'py, PyAny>,
    states: &Bound<'py, PyAny>,
    #[pyo3(from_py_with = options::common)] common: Common,
) -> Result<Bound<'py, PyArray1<f64>>, Failure> {
    let mut held = borrow(matrices, states)?;
    let mut sigma = vec![0.0; held.len()];
    let pairs = held.iter_mut().zip(&mut sigma);
    let tracks: PyResult<Vec<_>> = pairs.map(|(held, sigma)| held.track(sigma)).collect();
    let tracks = tracks?;
    let seed = common.seed;
    py.detach(|| {
        detached(common.num_threads, |control| rsspecnorm::track(tracks, seed, control))
    })??;
    Ok(PyArray1::from_vec(py, sigma))
}

fn borrow<'py>(
    matrices: &Bound<'py, PyAny>,
    states: &Bound<'py, PyAny>,
) -> PyResult<Vec<Held<'py>>> {
    let (matrices, states) = (listed(matrices)?, listed(states)?);
    if matrices.len() != states.len() {
        return Err(PyValueError::new_err("there must be one state for each matrix"));
    }
    matrices.iter().zip(&states).map(|(a, state)| Held::borrow(a, state)).collect()
}

/// A matrix and its state, borrowed for the length of a call.
enum Held<'py> {
    F16(Typed<'py, f16>),
    Bf16(Typed<'py, bf16>),
    F32(Typed<'py, f32>),
    F64(Typed<'py, f64>),
}

struct Typed<'py, T: Trackable + Element>
where
    T::Vector: Element,
{
    /// Nothing for a matrix without elements, which is not viewed.
    a: Option<PyReadonlyArrayDyn<'py, T>>,
    shape: (usize, usize),
    state: PyReadwriteArrayDyn<'py, T::Vector>,
}

impl<'py> Held<'py> {
    fn borrow(
        a: &Bound<'py, PyUntypedArray>,
        state: &Bound<'py, PyUntypedArray>,
    ) -> PyResult<Self> {
        match dtype_of(a) {
            Some(Dtype::F16) => Typed::borrow(a, state).map(Self::F16),
            Some(Dtype::Bf16) => Typed::borrow(a, state).map(Self::Bf16),
            Some(Dtype::F32) => Typed::borrow(a, state).map(Self::F32),
            Some(Dtype::F64) => Typed::borrow(a, state).map(Self::F64),
            Some(Dtype::Complex(_)) => Err(PyTypeError::new_err("a tracker takes real numbers")),
            None => Err(PyTypeError::new_err("the array is not ready")),
        }
    }

    fn track<'a>(&'a mut self, sigma: &'a mut f64) -> PyResult<AnyTrack<'a>> {
        match self {
            Self::F16(typed) => typed.track(sigma),
            Self::Bf16(typed) => typed.track(sigma),
            Self::F32(typed) => typed.track(sigma),
            Self::F64(typed) => typed.track(sigma),
        }
    }
}

impl<'py, T: Trackable + Element> Typed<'py, T>
where
    T::Vector: Element,
{
    fn borrow(
        a: &Bound<'py, PyUntypedArray>,
        state: &Bound<'py, PyUntypedArray>,
    ) -> PyResult<Self> {
        let &[nrows, ncols] = a.shape() else {
            return Err(PyValueError::new_err("each matrix must be 2-D"));
        };
        let state = writable("state", state)?;
        let a = if a.is_empty() { None } else { Some(readable("a", a.cast::<PyArrayDyn<T>>()?)?) };
        Ok(Self { a, shape: (nrows, ncols), state })
    }

    fn track<'a>(&'a mut self, sigma: &'a mut f64) -> PyResult<AnyTrack<'a>> {
        let (nrows, ncols) = self.shape;
        let a = match &self.a {
            None => MatRef::from_slice(&[], nrows, ncols),
            Some(a) => a.as_array().into_dimensionality::<Ix2>().ok().and_then(MatRef::from_view),
        };
        let a = a.ok_or_else(|| PyValueError::new_err("each matrix must have contiguous rows"))?;
        Ok(T::wrap(Track { a, state: self.state.as_slice_mut()?, sigma }))
    }
}
