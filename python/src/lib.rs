//! The Python binding: extract, detach, wrap. One file per topic; no arithmetic here.

mod arrays;
mod audit;
mod borrow;
mod errors;
mod gradient;
mod options;
mod power;
mod solve;
mod start;
mod threads;
mod track;

use pyo3::prelude::*;

/// The native half of the `rsspecnorm` package.
#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::arrays::is_ready;
    #[pymodule_export]
    use crate::audit::{Audit, audit_arrays, shards};
    #[pymodule_export]
    use crate::gradient::{gradient, layer_gradient};
    #[pymodule_export]
    use crate::power::normalize;
    #[pymodule_export]
    use crate::solve::{bounds, norms, triplets};
    #[pymodule_export]
    use crate::threads::{cpu_vendor, levels, num_threads, set_num_threads, version};
    #[pymodule_export]
    use crate::track::track;
}
