//! Floor F6: the public Rust face.
//!
//! One engine serves every call: [`solve_each`] takes matrices and a [`Request`] and hands back a
//! [`Solution`] per matrix, in whatever order they finish. The other functions are short forms.

use std::sync::OnceLock;

use ndarray::ArrayView2;

use crate::error::Error;
use crate::matrix::{Matrix, Store};
use crate::schedule;
use crate::simd::Level;
use crate::solution::solve_one;
use crate::validate;

pub use crate::solution::{Entries, Method, Solution};

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
    /// An interval `upper <= (1 + width) * lower` that holds whatever the start, rounding included.
    Rigorous {
        /// Relative width of the interval.
        width: f64,
        /// Relative error of sigma itself; `None` as for [`Goal::Rtol`].
        rtol: Option<f64>,
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

/// Solves every matrix and calls `done(index, solution)` as each one finishes, on any thread.
///
/// # Errors
/// [`Error::InvalidParameter`] or [`Error::ShapeMismatch`] for a setting that will not do,
/// [`Error::NonFinite`] when `check_finite` is set, [`Error::LevelUnavailable`] for a tier forced
/// in vain, [`Error::Interrupted`] when the caller stopped the call.
pub fn solve_each(
    matrices: &[Matrix<'_>],
    request: &Request<'_>,
    control: Control<'_>,
    done: &(dyn Fn(usize, Solution) + Sync),
) -> Result<(), Error> {
    validate::request(matrices, request)?;
    validate::num_threads(control.num_threads)?;
    let level = Level::current()?;
    let sizes: Vec<usize> = matrices.iter().map(Matrix::len).collect();
    schedule::run(&sizes, control.num_threads, control.interrupted, &|i, runner| {
        let v0 = request.v0.map(|v0| v0[i]);
        let solution = solve_one(&matrices[i], v0, request, level, runner)?;
        if request.check_finite && solution.entries.n_nonfinite > 0 {
            return Err(Error::NonFinite { index: i });
        }
        done(i, solution);
        Ok(())
    })
}

/// Solves every matrix, in order.
///
/// # Errors
/// As [`solve_each`].
///
/// ```
/// use ndarray::array;
/// use rsspecnorm::{Control, Matrix, Request, solve};
///
/// let a = array![[3.0, 0.0], [0.0, 4.0]];
/// let a = Matrix::from_view(a.view()).unwrap();
/// let request = Request { vectors: true, ..Request::default() };
/// let solutions = solve(&[a], &request, Control::default())?;
/// assert!((solutions[0].sigma - 4.0).abs() < 1e-12);
/// assert!(solutions[0].residual < 1e-12);
/// # Ok::<(), rsspecnorm::Error>(())
/// ```
pub fn solve(
    matrices: &[Matrix<'_>],
    request: &Request<'_>,
    control: Control<'_>,
) -> Result<Vec<Solution>, Error> {
    let solutions: Vec<OnceLock<Solution>> = matrices.iter().map(|_| OnceLock::new()).collect();
    solve_each(matrices, request, control, &|i, solution| {
        // Each index comes once, so the cell is empty.
        let _ = solutions[i].set(solution);
    })?;
    Ok(solutions.into_iter().filter_map(OnceLock::into_inner).collect())
}

/// The largest singular value of a matrix, to the default relative error.
///
/// # Errors
/// As [`solve_each`].
///
/// ```
/// let a = ndarray::array![[1.0_f32, 0.0], [1.0, 2.0]];
/// let sigma = rsspecnorm::spectral_norm(a.view())?;
/// assert!((sigma - 2.288245611).abs() < 1e-6);
/// # Ok::<(), rsspecnorm::Error>(())
/// ```
pub fn spectral_norm<T: Store>(a: ArrayView2<'_, T>) -> Result<f64, Error> {
    let copy;
    let matrix = match Matrix::from_view(a) {
        Some(matrix) => matrix,
        None => {
            copy = a.as_standard_layout();
            Matrix::from_view(copy.view()).expect("a copy in standard layout has packed rows")
        }
    };
    let solutions = solve(&[matrix], &Request::default(), Control::default())?;
    Ok(solutions[0].sigma)
}

/// Sets the number of threads of all later calls; `None` returns to the environment's choice.
///
/// # Errors
/// [`Error::InvalidParameter`] for zero.
pub fn set_num_threads(n: Option<usize>) -> Result<(), Error> {
    validate::num_threads(n)?;
    schedule::set_num_threads(n);
    Ok(())
}
