//! Settings that every call takes, and counts that must be positive.

use pyo3::exceptions::{PyOverflowError, PyTypeError, PyValueError};
use pyo3::prelude::*;

/// The settings of any call: `(seed, num_threads, check_finite)` in Python.
///
/// One tuple rather than three arguments keeps every signature short.
pub(crate) struct Common {
    pub(crate) seed: u64,
    pub(crate) num_threads: Option<usize>,
    pub(crate) check_finite: bool,
}

/// Takes [`Common`] out of its tuple.
pub(crate) fn common(object: &Bound<'_, PyAny>) -> PyResult<Common> {
    let (seed, num_threads, check_finite): (u64, Bound<'_, PyAny>, Bound<'_, PyAny>) =
        object.extract()?;
    let check_finite =
        check_finite.extract().map_err(|_| wrong_type("check_finite", "a bool", &check_finite))?;
    Ok(Common { seed, num_threads: self::num_threads(&num_threads)?, check_finite })
}

/// A thread count, or `None` for the setting of a wider scope.
pub(crate) fn num_threads(object: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
    if object.is_none() { Ok(None) } else { positive("num_threads", object).map(Some) }
}

/// The most passes over a matrix.
pub(crate) fn maxiter(object: &Bound<'_, PyAny>) -> PyResult<usize> {
    positive("maxiter", object)
}

/// The relative error to reach, or `None` for the default.
pub(crate) fn rtol(object: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    if object.is_none() { Ok(None) } else { real("rtol", object).map(Some) }
}

/// The relative width of an interval.
pub(crate) fn width(object: &Bound<'_, PyAny>) -> PyResult<f64> {
    real("width", object)
}

/// The probability that a bound fails, or `None` for one that cannot.
pub(crate) fn failure_prob(object: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    if object.is_none() { Ok(None) } else { real("failure_prob", object).map(Some) }
}

/// A count that may be zero.
pub(crate) fn natural(argument: &str, object: &Bound<'_, PyAny>) -> PyResult<usize> {
    count(argument, "not be negative", object)
}

/// A count that may not.
pub(crate) fn positive(argument: &str, object: &Bound<'_, PyAny>) -> PyResult<usize> {
    match count(argument, "be positive", object)? {
        0 => Err(PyValueError::new_err(format!("{argument} must be positive, got 0"))),
        n => Ok(n),
    }
}

/// A count; `must` says what a negative number is not.
fn count(argument: &str, must: &str, object: &Bound<'_, PyAny>) -> PyResult<usize> {
    object.extract::<usize>().map_err(|e| {
        if !e.is_instance_of::<PyOverflowError>(object.py()) {
            return wrong_type(argument, "an int", object);
        }
        let most = format!("be below 2**{}", usize::BITS);
        let must = if object.lt(0).unwrap_or(true) { must } else { &most };
        PyValueError::new_err(format!("{argument} must {must}, got {object}"))
    })
}

pub(crate) fn real(argument: &str, object: &Bound<'_, PyAny>) -> PyResult<f64> {
    object.extract().map_err(|_| wrong_type(argument, "a real number", object))
}

pub(crate) fn wrong_type(argument: &str, expected: &str, object: &Bound<'_, PyAny>) -> PyErr {
    let got = object.get_type().name().map_or_else(|_| "?".to_owned(), |name| name.to_string());
    PyTypeError::new_err(format!("{argument} must be {expected}, got {got}"))
}
