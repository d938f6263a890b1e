//! Floor F2: one operation per file, safe code over slices, no threads, no allocation.
//!
//! Every kernel takes the tier ([`Level`](crate::Level)) first and returns the same bits on each.
//! The matrix operations are built from two primitives of `rows`: dot products of several rows
//! with one vector, and the update of one vector by several rows.

pub(crate) mod divide;
pub(crate) mod fused;
pub(crate) mod matvec;
pub(crate) mod reduce;
mod rows;
pub(crate) mod step;
pub(crate) mod vector;

pub use fused::gram_matvec_f32;

#[cfg(test)]
#[path = "../../tests/rust/unit/kernels.rs"]
mod tests;

#[cfg(test)]
#[path = "../../tests/rust/unit/vectors.rs"]
mod vector_tests;
