//! What the core's errors are in Python.
//!
//! Both the core's error and `PyErr` are foreign here, so `?` goes through [`Failure`].

use pyo3::PyErr;
use pyo3::exceptions::{
    PyKeyboardInterrupt, PyMemoryError, PyOSError, PyRuntimeError, PyValueError,
};
use rsspecnorm::Error;

use crate::arrays::Input;

/// The error type of every function of the module.
pub(crate) struct Failure(PyErr);

impl Failure {
    /// As `From<Error>`, but names a matrix the way its caller would write it.
    pub(crate) fn in_input(error: Error, input: &Input<'_>) -> Self {
        let Error::NonFinite { index } = error else { return error.into() };
        Self::not_finite(input.argument(), &input.name(index))
    }

    /// The matrix at `place` has a NaN or an infinity and must not.
    pub(crate) fn not_finite(argument: &str, place: &str) -> Self {
        Self(PyValueError::new_err(format!(
            "{argument} must hold finite values only, but {place} has a nan or an inf"
        )))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        Self(match error {
            Error::LevelUnavailable { .. } => PyRuntimeError::new_err(message),
            Error::OutOfMemory { .. } => PyMemoryError::new_err(message),
            Error::Checkpoint { .. } => PyOSError::new_err(message),
            Error::Interrupted => PyKeyboardInterrupt::new_err(()),
            _ => PyValueError::new_err(message),
        })
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self(error)
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> Self {
        failure.0
    }
}
