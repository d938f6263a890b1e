//! The spectral norm of matrices: fast, accurate to a stated tolerance, with an upper bound.

pub mod kernels;
pub mod operator;

mod algorithms;
mod api;
pub mod audit;
mod error;
mod matrix;
mod scalar;
mod schedule;
mod simd;
mod solution;
mod validate;

pub use api::{Control, Entries, Goal, Method, Request, Solution};
pub use api::{set_num_threads, solve, solve_each, spectral_norm};
pub use error::Error;
pub use matrix::{MatRef, Matrix, Storage, Store};
pub use scalar::Element;
pub use schedule::num_threads;
pub use simd::{Level, available_levels, level_name};
