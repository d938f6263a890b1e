//! Floor F6: the public Rust face.
//!
//! One engine serves every call: [`solve_each`] takes matrices and a [`Request`] and hands back a
//! [`Solution`] per matrix, in whatever order they finish. The other functions are short forms.

use ndarray::ArrayView2;

use crate::error::Error;
use crate::matrix::{Matrix, Store};

/// What a call must reach before it stops.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// Relative error of sigma; `None` means 1e-6 for 32-bit and narrower, 1e-10 for 64-bit input.
    Rtol(Option<f64>),
    /// An interval `upper <= (1 + width) * lower` that holds but for `failure_prob`.
    Width {
        /// Relative width of the interval.
        width: f64,
        /// The probability, over the random start, that `upper` is too low.
        failure_prob: f64,
    },
}

/// The settings of a call, the same for every matrix in it.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// When to stop.
    pub goal: Goal,
    /// The most passes over a matrix.
    pub maxiter: usize,
    /// Seed of the random start vectors.
    pub seed: u64,
    /// Whether `u`, `v` and `residual` are wanted (one more pass).
    pub vectors: bool,
    /// Whether a NaN or an infinity is an error instead of a NaN or infinite result.
    pub check_finite: bool,
    /// Starting right vectors, one per matrix, or none at all.
    pub v0: Option<&'a [&'a [f64]]>,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            goal: Goal::Rtol(None),
            maxiter: 300,
            seed: 0,
            vectors: false,
            check_finite: false,
            v0: None,
        }
    }
}

/// How a call runs, which never changes its result.
#[derive(Default)]
pub struct Control<'a> {
    /// Threads for this call; `None` takes the process-wide setting.
    pub num_threads: Option<usize>,
    /// Asked now and then on the calling thread; `true` stops the call with
    /// [`Error::Interrupted`].
    pub interrupted: Option<&'a mut dyn FnMut() -> bool>,
}

/// How sigma was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// The answer needs no arithmetic: an empty, zero or non-finite matrix.
    Trivial,
    /// Fused Lanczos.
    Lanczos,
}

/// What the first pass over a matrix learns of its entries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entries {
    /// The largest finite magnitude.
    pub max_abs: f64,
    /// The Frobenius norm, NaN or infinite when an entry is.
    pub fro: f64,
    /// How many entries are NaN or infinite.
    pub n_nonfinite: usize,
}

/// The leading singular triplet of one matrix and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// The largest singular value (sigma, never its square).
    pub sigma: f64,
    /// Left unit vector, of length `nrows`; empty unless asked for.
    pub u: Vec<f64>,
    /// Right unit vector, of length `ncols`; empty unless asked for.
    pub v: Vec<f64>,
    /// The second Ritz value, NaN when none was found.
    pub second: f64,
    /// Lower end of the interval that holds sigma.
    pub lower: f64,
    /// Upper end of the interval that holds sigma.
    pub upper: f64,
    /// `sqrt(|A v - sigma u|^2 + |A' u - sigma v|^2) / sigma`; NaN unless vectors were asked for.
    pub residual: f64,
    /// Reads of the matrix.
    pub n_passes: usize,
    /// Whether the goal was reached.
    pub converged: bool,
    /// How sigma was found.
    pub method: Method,
    /// What the first pass saw.
    pub entries: Entries,
}

/// Solves every matrix and calls `done(index, solution)` as each one finishes, on any thread.
///
/// # Errors
/// [`Error::InvalidParameter`] for a setting out of range, [`Error::NonFinite`] when
/// `check_finite` is set, [`Error::Interrupted`] when the caller stopped the call.
pub fn solve_each(
    matrices: &[Matrix<'_>],
    request: &Request<'_>,
    control: Control<'_>,
    done: &(dyn Fn(usize, Solution) + Sync),
) -> Result<(), Error> {
    let _ = (matrices, request, control, done); // replaced with the engine
    Ok(())
}

/// Solves every matrix, in order.
///
/// # Errors
/// As [`solve_each`].
pub fn solve(
    matrices: &[Matrix<'_>],
    request: &Request<'_>,
    control: Control<'_>,
) -> Result<Vec<Solution>, Error> {
    let _ = (matrices, request, control);
    Ok(Vec::new())
}

/// The largest singular value of a matrix, to the default relative error.
///
/// # Errors
/// As [`solve_each`].
pub fn spectral_norm<T: Store>(a: ArrayView2<'_, T>) -> Result<f64, Error> {
    let _ = a;
    Ok(0.0)
}
