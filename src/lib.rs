//! The spectral norm of matrices: fast, accurate to a stated tolerance, with an upper bound.
//!
//! ```
//! let a = ndarray::array![[3.0_f32, 0.0], [0.0, -4.0]];
//! let sigma = rsspecnorm::spectral_norm(a.view())?;
//! assert!((sigma - 4.0).abs() < 1e-6);
//! # Ok::<(), rsspecnorm::Error>(())
//! ```
//!
//! [`solve`] takes many matrices of any shapes and element types at once and returns a
//! [`Solution`] for each: the singular vectors, the interval that holds sigma, how many reads of
//! the matrix it took. [`audit`] does the same for the weights of a checkpoint, read through a
//! memory map. [`operator`] and [`kernels`] are the floors below: one fused pass over a matrix.
//!
//! Results have the same bits for every SIMD tier, number of threads and batch form.

pub mod kernels;
pub mod operator;

mod algorithms;
mod api;
pub mod audit;
mod complex;
mod error;
mod gradient;
mod layer;
mod matrix;
mod normalize;
mod route;
mod scalar;
mod schedule;
mod simd;
mod skinny;
mod solution;
mod track;
mod validate;

pub use api::{Control, Entries, Goal, Method, Norms, Request, Solution};
pub use api::{norms, set_num_threads, solve, solve_each, spectral_norm};
pub use error::Error;
pub use gradient::{AnyGradient, Differentiable, Gradient, gradient};
pub use layer::{LayerElement, LayerGradient, layer_gradient};
pub use matrix::{Batch, MatMut, MatRef, Matrix, Slab, Stack, StackStorage, Storage, Store};
pub use normalize::{AnyTask, Given, Order, Steppable, Steps, Task, Weights, normalize};
pub use scalar::Element;
pub use schedule::num_threads;
pub use simd::{Level, available_levels, cpu_vendor, level_name};
pub use track::{AnyTrack, Track, Trackable, track};
