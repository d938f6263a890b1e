//! Thread counts, SIMD tiers and the version.

use pyo3::prelude::*;

use crate::errors::Failure;
use crate::options;

/// Sets the number of threads of all later calls; `None` returns to the environment's choice.
#[pyfunction]
#[pyo3(signature = (n, /))]
pub(crate) fn set_num_threads(n: Option<Bound<'_, PyAny>>) -> Result<(), Failure> {
    let n = n.map(|n| options::positive("n", &n)).transpose()?;
    Ok(rsspecnorm::set_num_threads(n)?)
}

/// The number of threads of a call without a setting of its own.
#[pyfunction]
pub(crate) fn num_threads() -> usize {
    rsspecnorm::num_threads()
}

/// The package's version.
#[pyfunction]
pub(crate) fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// Who made this CPU, as it says itself.
#[pyfunction]
pub(crate) fn cpu_vendor() -> String {
    rsspecnorm::cpu_vendor()
}

/// The SIMD tier in use, and the tiers that this CPU has.
#[pyfunction]
pub(crate) fn levels() -> Result<(&'static str, Vec<&'static str>), Failure> {
    Ok((rsspecnorm::level_name()?, rsspecnorm::available_levels()))
}
