//! Floor F2: one operation per file, safe code over slices, no threads, no allocation.
//!
//! Every kernel takes the tier ([`Level`](crate::Level)) first and returns the same bits on each.
//! The matrix operations are built from two primitives of `rows`: dot products of several rows
//! with one vector, and the update of one vector by several rows. Matrices small enough to be solved
//! at one go have kernels of their own: `eight` takes eight of them at a time, one per lane, and
//! `symmetric` reduces one.

pub(crate) mod block;
mod block_products;
mod block_update;
pub(crate) mod cholesky;
pub(crate) mod divide;
pub(crate) mod eight;
pub(crate) mod entry;
pub(crate) mod fixed;
pub(crate) mod fused;
pub(crate) mod gradient;
pub(crate) mod interleave;
mod laid;
mod lanewise;
mod lift;
pub(crate) mod magnitude;
pub(crate) mod matvec;
pub(crate) mod modulus;
pub(crate) mod narrow;
pub(crate) mod normal;
pub(crate) mod norms;
pub(crate) mod outer;
pub(crate) mod pack;
pub(crate) mod panel;
pub(crate) mod product;
pub(crate) mod reduce;
mod rows;
pub(crate) mod skinny;
mod solved;
pub(crate) mod step;
mod strip;
pub(crate) mod symmetric;
pub(crate) mod three;
pub(crate) mod tiny;
mod turn;
pub(crate) mod vector;
mod weave;
pub(crate) mod whole;

pub use block::block_gram_f32;
pub use fused::gram_matvec_f32;
pub use panel::{PANEL, Panel};

#[cfg(test)]
#[path = "../../tests/rust/unit/kernels.rs"]
mod tests;

#[cfg(test)]
#[path = "../../tests/rust/unit/vectors.rs"]
mod vector_tests;

#[cfg(test)]
#[path = "../../tests/rust/unit/block.rs"]
mod block_tests;

#[cfg(test)]
#[path = "../../tests/rust/unit/gradient.rs"]
mod gradient_tests;

#[cfg(test)]
#[path = "../../tests/rust/unit/outer.rs"]
mod outer_tests;

#[cfg(test)]
#[path = "../../tests/rust/unit/divide.rs"]
mod divide_tests;

#[cfg(test)]
#[path = "../../tests/rust/unit/tiny.rs"]
mod tiny_tests;

#[cfg(test)]
#[path = "../../tests/rust/unit/words.rs"]
mod words_tests;
