//! Floor F4: how sigma is found, seen through a [`LinearOperator`](crate::operator) alone.
//!
//! No entry of a matrix, no thread and no intrinsic is visible from here. All numbers are in the
//! units of the scaled operator, whose largest entry lies in `[1, 2)`: nothing can overflow.

pub(crate) mod basis;
pub(crate) mod bounds;
pub(crate) mod lanczos;
pub(crate) mod power;
pub(crate) mod start;
pub(crate) mod stopping;
pub(crate) mod tridiagonal;
