//! Floor F6: the public Rust face.
//!
//! One engine serves every call: [`solve_each`] takes matrices and a [`Request`] and hands back a
//! [`Solution`] per matrix, in whatever order they finish. The other functions are short forms.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use ndarray::ArrayView2;

use crate::error::Error;
use crate::matrix::{Batch, Matrix, Store};
use crate::route::{Units, least_shared};
use crate::schedule::{self, Work};
use crate::simd::Level;
use crate::solution::{Sink, solve_unit};
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
    /// The most passes over a matrix; those in single precision that led nowhere are not counted.
    pub maxiter: usize,
    /// Seed of the random start vectors.
    pub seed: u64,
    /// Whether `u`, `v` and `residual` are wanted (one more pass).
    pub vectors: bool,
    /// Whether `second` is wanted where it costs work of its own; it comes with the vectors anyway.
    pub second: bool,
    /// Whether a NaN or an infinity is an error instead of a NaN or infinite result.
    pub check_finite: bool,
    /// Starting right vectors, one per matrix, or none at all; for a complex matrix the real and
    /// imaginary part of each component side by side.
    pub v0: Option<&'a [&'a [f64]]>,
}

impl Default for Request<'_> {
    fn default() -> Self {
        Self {
            goal: Goal::Rtol(None),
            maxiter: 300,
            seed: 0,
            vectors: false,
            second: true,
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
/// The matrices come as a slice of [`Matrix`] or as one [`Stack`](crate::Stack).
///
/// # Errors
/// [`Error::InvalidParameter`] or [`Error::ShapeMismatch`] for a setting that will not do,
/// [`Error::NonFinite`] when `check_finite` is set, [`Error::LevelUnavailable`] for a tier forced
/// in vain, [`Error::Interrupted`] when the caller stopped the call.
pub fn solve_each<'m, 'a: 'm>(
    matrices: impl Into<Batch<'m, 'a>>,
    request: &Request<'_>,
    control: Control<'_>,
    done: &(dyn Fn(usize, Solution) + Sync),
) -> Result<(), Error> {
    run(&matrices.into(), request, control, None, done)
}

/// The engine of every call; `sigma` takes the norms of finite matrices that need no [`Solution`].
fn run(
    batch: &Batch<'_, '_>,
    request: &Request<'_>,
    control: Control<'_>,
    sigma: Option<&(dyn Fn(usize, f64) + Sync)>,
    done: &(dyn Fn(usize, Solution) + Sync),
) -> Result<(), Error> {
    validate::request(batch, request)?;
    validate::num_threads(control.num_threads)?;
    let level = Level::current()?;
    let units = Units::of(batch, request.goal);
    let sizes = units.sizes(batch);
    let solution = |i: usize, solution: Solution| {
        if request.check_finite && solution.entries.n_nonfinite > 0 {
            return Err(Error::NonFinite { index: i });
        }
        done(i, solution);
        Ok(())
    };
    schedule::run(
        Work { sizes: &sizes, passes: request.maxiter, whole: whole(batch, request.goal) },
        control.num_threads,
        control.interrupted,
        &|i, runner| {
            let sink = Sink { solution: &solution, sigma: sigma.map(|f| f as &dyn Fn(usize, f64)) };
            solve_unit(batch, units.unit(i), request, level, runner, &sink)
        },
    )
}

/// Solves every matrix, in order.
///
/// # Errors
/// As [`solve_each`]; [`Error::OutOfMemory`] where there is no memory for the results.
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
pub fn solve<'m, 'a: 'm>(
    matrices: impl Into<Batch<'m, 'a>>,
    request: &Request<'_>,
    control: Control<'_>,
) -> Result<Vec<Solution>, Error> {
    let batch = matrices.into();
    validate::results(&batch, size_of::<OnceLock<Solution>>(), request.vectors)?;
    let solutions: Vec<OnceLock<Solution>> = (0..batch.len()).map(|_| OnceLock::new()).collect();
    solve_each(batch, request, control, &|i, solution| {
        // Each index comes once, so the cell is empty.
        let _ = solutions[i].set(solution);
    })?;
    Ok(solutions.into_iter().filter_map(OnceLock::into_inner).collect())
}

/// What [`norms`] returns: numbers alone, at eight bytes a matrix.
#[derive(Debug, Clone, PartialEq)]
pub struct Norms {
    /// The largest singular value of each matrix.
    pub sigma: Vec<f64>,
    /// The matrices that missed the goal: index, lower and upper end of the interval reached.
    pub missed: Vec<(usize, f64, f64)>,
}

/// The largest singular value of every matrix, in order: the short form of [`solve`] for batches
/// so large that a [`Solution`] for each would take longer than its norm.
///
/// # Errors
/// As [`solve_each`]; [`Error::OutOfMemory`] where there is no memory for the results.
///
/// ```
/// use rsspecnorm::{Control, Matrix, Request, norms};
///
/// let stack: Vec<f64> = (0..900_000).map(f64::from).collect();
/// let matrices: Option<Vec<Matrix>> =
///     stack.chunks(9).map(|a| Matrix::from_slice(a, 3, 3)).collect();
/// let norms = norms(&matrices.unwrap(), &Request::default(), Control::default())?;
/// assert_eq!(norms.sigma.len(), 100_000);
/// assert!(norms.missed.is_empty());
/// # Ok::<(), rsspecnorm::Error>(())
/// ```
pub fn norms<'m, 'a: 'm>(
    matrices: impl Into<Batch<'m, 'a>>,
    request: &Request<'_>,
    control: Control<'_>,
) -> Result<Norms, Error> {
    let batch = matrices.into();
    validate::results(&batch, size_of::<AtomicU64>(), false)?;
    let sigma: Vec<AtomicU64> = (0..batch.len()).map(|_| AtomicU64::new(0)).collect();
    let missed = Mutex::new(Vec::new());
    let request = Request { vectors: false, second: false, ..*request };
    let store = |i: usize, x: f64| sigma[i].store(x.to_bits(), Ordering::Relaxed);
    run(&batch, &request, control, Some(&store), &|i, solution| {
        store(i, solution.sigma);
        if !solution.converged {
            let mut missed = missed.lock().unwrap_or_else(PoisonError::into_inner);
            missed.push((i, solution.lower, solution.upper));
        }
    })?;
    let mut missed = missed.into_inner().unwrap_or_else(PoisonError::into_inner);
    missed.sort_by_key(|missed| missed.0);
    let sigma = sigma.into_iter().map(|bits| f64::from_bits(bits.into_inner())).collect();
    Ok(Norms { sigma, missed })
}

/// The size below which every matrix is the work of one thread.
fn whole(batch: &Batch<'_, '_>, goal: Goal) -> usize {
    let least = match batch {
        Batch::Each(matrices) => matrices.iter().map(|a| least_shared(a, goal)).min(),
        Batch::Stack(stack) => (!stack.is_empty()).then(|| least_shared(&stack.get(0), goal)),
    };
    least.unwrap_or(0)
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
    Ok(norms(&[matrix], &Request::default(), Control::default())?.sigma[0])
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
