//! The Python binding: extract, detach, wrap. One file per topic; no arithmetic here.

use pyo3::prelude::*;

/// The native half of the `rsspecnorm` package.
#[pymodule]
mod _core {}
