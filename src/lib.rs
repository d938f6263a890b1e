//! The spectral norm of matrices: fast, accurate to a stated tolerance, with an upper bound.

mod api;
pub mod audit;
mod error;
mod matrix;
mod scalar;
mod schedule;
mod simd;

pub use api::{
    Control, Entries, Goal, Method, Request, Solution, solve, solve_each, spectral_norm,
};
pub use error::Error;
pub use matrix::{MatRef, Matrix, Storage, Store};
pub use scalar::Element;
pub use schedule::{num_threads, set_num_threads};
pub use simd::{available_levels, level_name};
