//! Floor F4: how sigma is found, seen through a [`LinearOperator`](crate::operator) alone.
//!
//! No entry of a matrix, no thread and no intrinsic is visible from here. All numbers are in the
//! units of the scaled operator, whose largest entry lies in `[1, 2)`: nothing can overflow.

mod banded;
pub(crate) mod basis;
mod block_basis;
mod block_lanczos;
mod block_progress;
mod block_stopping;
pub(crate) mod bounds;
pub(crate) mod certificate;
pub(crate) mod direct;
pub(crate) mod krylov;
pub(crate) mod lanczos;
pub(crate) mod power;
mod proof;
mod rounding;
mod side;
mod small;
pub(crate) mod start;
pub(crate) mod stopping;
pub(crate) mod tracker;
pub(crate) mod tridiagonal;
mod witness;
