//! Borrows of the caller's arrays for the length of a call, or why one cannot be had.

use numpy::prelude::*;
use numpy::{
    BorrowError, Element, PyArrayDyn, PyReadonlyArrayDyn, PyReadwriteArrayDyn, PyUntypedArray,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// One array, or every array of a list.
pub(crate) fn listed<'py>(object: &Bound<'py, PyAny>) -> PyResult<Vec<Bound<'py, PyUntypedArray>>> {
    if let Ok(a) = object.cast::<PyUntypedArray>() {
        return Ok(vec![a.clone()]);
    }
    object.try_iter()?.map(|a| Ok(a?.cast_into::<PyUntypedArray>()?)).collect()
}

/// Vectors, and what they begin with where it is not in them.
pub(crate) struct Side<'py, A: Element> {
    own: PyReadwriteArrayDyn<'py, A>,
    given: Option<PyReadonlyArrayDyn<'py, A>>,
}

impl<'py, A: Element> Side<'py, A> {
    pub(crate) fn borrow(
        name: &str,
        own: &Bound<'py, PyUntypedArray>,
        given: Option<&Bound<'py, PyUntypedArray>>,
    ) -> PyResult<Self> {
        let own = writable(name, own)?;
        let given = given.map(|given| readable(name, typed(name, given)?)).transpose()?;
        Ok(Self { own, given })
    }

    pub(crate) fn slices(&mut self) -> PyResult<(&mut [A], Option<&[A]>)> {
        let given = self.given.as_ref().map(|given| given.as_slice()).transpose()?;
        Ok((self.own.as_slice_mut()?, given))
    }
}

pub(crate) fn readable<'py, T: Element>(
    name: &str,
    a: &Bound<'py, PyArrayDyn<T>>,
) -> PyResult<PyReadonlyArrayDyn<'py, T>> {
    a.try_readonly().map_err(|e| refused(name, e))
}

pub(crate) fn writable<'py, T: Element>(
    name: &str,
    a: &Bound<'py, PyUntypedArray>,
) -> PyResult<PyReadwriteArrayDyn<'py, T>> {
    typed(name, a)?.try_readwrite().map_err(|e| refused(name, e))
}

/// A vector as one of the dtype that belongs to its matrix.
pub(crate) fn typed<'a, 'py, T: Element>(
    name: &str,
    a: &'a Bound<'py, PyUntypedArray>,
) -> PyResult<&'a Bound<'py, PyArrayDyn<T>>> {
    a.cast::<PyArrayDyn<T>>().map_err(|_| {
        let got = a.dtype();
        PyTypeError::new_err(format!("{name} has the wrong dtype for its matrix: {got}"))
    })
}

/// Why an array cannot be borrowed.
pub(crate) fn refused(name: &str, error: BorrowError) -> PyErr {
    PyValueError::new_err(match error {
        BorrowError::NotWriteable => format!("{name} must be writable"),
        _ => {
            format!("{name} must not overlap what this call, or one that runs meanwhile, writes to")
        }
    })
}
