//! The Python binding: extract, detach, wrap. One file per topic; no arithmetic here.

mod audit;

use pyo3::prelude::*;

/// The native half of the `rsspecnorm` package.
#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::audit::{Audit, audit_arrays};
}
