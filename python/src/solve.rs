//! The solving calls: borrow the arrays, let go of the interpreter, wrap what comes back.

use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use rsspecnorm::{Batch, Control, Error, Goal, Method, Norms, Request, Solution};

use crate::arrays::Input;
use crate::errors::Failure;
use crate::options::{self, Common};
use crate::start;

type F64s<'py> = Bound<'py, PyArray1<f64>>;

/// A matrix that did not converge: its flat index and the interval reached.
type Missed = (usize, f64, f64);

/// Sigma of every matrix, and the matrices that did not converge, if any.
///
/// A lone matrix gives a plain float: an array around it would cost as much as a small norm.
#[pyfunction]
#[pyo3(signature = (matrices, rtol, common, /))]
pub(crate) fn norms<'py>(
    matrices: &Bound<'py, PyAny>,
    #[pyo3(from_py_with = options::rtol)] rtol: Option<f64>,
    #[pyo3(from_py_with = options::common)] common: Common,
) -> Result<(Sigma<'py>, Option<Vec<Missed>>), Failure> {
    let request = Request { goal: Goal::Rtol(rtol), ..Request::default() };
    let input = Input::extract(matrices)?;
    let Norms { sigma, missed } =
        run(matrices.py(), &input, None, request, &common, |a, r, c| rsspecnorm::norms(a, r, c))?;
    let sigma = match sigma.as_slice() {
        &[sigma] if input.is_matrix() => Sigma::One(sigma),
        _ => Sigma::Many(PyArray1::from_vec(matrices.py(), sigma)),
    };
    Ok((sigma, Some(missed).filter(|missed| !missed.is_empty())))
}

/// What [`norms`] returns for one matrix and for many.
#[derive(IntoPyObject)]
pub(crate) enum Sigma<'py> {
    One(f64),
    Many(F64s<'py>),
}

/// The leading triplet of every matrix, by columns.
#[pyfunction]
#[pyo3(signature = (matrices, rtol, v0, maxiter, common, /))]
pub(crate) fn triplets<'py>(
    matrices: &Bound<'py, PyAny>,
    #[pyo3(from_py_with = options::rtol)] rtol: Option<f64>,
    v0: Option<PyReadonlyArray1<'py, f64>>,
    #[pyo3(from_py_with = options::maxiter)] maxiter: usize,
    #[pyo3(from_py_with = options::common)] common: Common,
) -> Result<Triplets<'py>, Failure> {
    let goal = Goal::Rtol(rtol);
    let request = Request { goal, maxiter, vectors: true, ..Request::default() };
    let input = Input::extract(matrices)?;
    let solutions = run(matrices.py(), &input, v0.as_ref(), request, &common, |a, r, c| {
        rsspecnorm::solve(a, r, c)
    })?;
    Ok(Triplets::new(matrices.py(), &solutions))
}

/// An interval around sigma of every matrix, by columns; rigorous without a `failure_prob`.
#[pyfunction]
#[pyo3(signature = (matrices, width, failure_prob, v0, maxiter, common, /))]
pub(crate) fn bounds<'py>(
    matrices: &Bound<'py, PyAny>,
    #[pyo3(from_py_with = options::width)] width: f64,
    #[pyo3(from_py_with = options::failure_prob)] failure_prob: Option<f64>,
    v0: Option<PyReadonlyArray1<'py, f64>>,
    #[pyo3(from_py_with = options::maxiter)] maxiter: usize,
    #[pyo3(from_py_with = options::common)] common: Common,
) -> Result<Bounds<'py>, Failure> {
    let goal = match failure_prob {
        Some(failure_prob) => Goal::Width { width, failure_prob },
        // Sigma itself is not returned: it need be no nearer than the interval.
        None => Goal::Rigorous { width, rtol: Some(width.clamp(1e-14, 0.5)) },
    };
    let request = Request { goal, maxiter, ..Request::default() };
    let input = Input::extract(matrices)?;
    let solutions = run(matrices.py(), &input, v0.as_ref(), request, &common, |a, r, c| {
        rsspecnorm::solve(a, r, c)
    })?;
    Ok(Bounds::new(matrices.py(), &solutions))
}

/// A call of the core: `solve`, or its short form `norms`.
type Solver<T> = fn(Batch<'_, '_>, &Request<'_>, Control<'_>) -> Result<T, Error>;

/// Solves without the interpreter, and says what went wrong in the caller's words.
fn run<T: Send>(
    py: Python<'_>,
    input: &Input<'_>,
    v0: Option<&PyReadonlyArray1<'_, f64>>,
    request: Request<'_>,
    common: &Common,
    solver: Solver<T>,
) -> Result<T, Failure> {
    let matrices = input.matrices()?;
    let batch = matrices.batch();
    let starts = v0.map(|v0| start::split(v0, &batch)).transpose()?;
    let &Common { seed, num_threads, check_finite } = common;
    let request = Request { seed, check_finite, v0: starts.as_deref(), ..request };
    let solved = py.detach(|| solve_detached(batch, &request, num_threads, solver));
    solved?.map_err(|e| Failure::in_input(e, input))
}

/// The core's answer, or the exception that a signal handler raised meanwhile.
fn solve_detached<T>(
    batch: Batch<'_, '_>,
    request: &Request<'_>,
    num_threads: Option<usize>,
    solver: Solver<T>,
) -> PyResult<Result<T, Error>> {
    let mut raised = Ok(());
    let mut poll = || {
        raised = Python::attach(|py| py.check_signals());
        raised.is_err()
    };
    let control = Control { num_threads, interrupted: Some(&mut poll) };
    let solved = solver(batch, request, control);
    raised.map(|()| solved)
}

fn column<'py, T: numpy::Element>(
    py: Python<'py>,
    solutions: &[Solution],
    field: impl Fn(&Solution) -> T,
) -> Bound<'py, PyArray1<T>> {
    PyArray1::from_iter(py, solutions.iter().map(field))
}

/// Vectors of all matrices, end to end.
fn joined<'py>(
    py: Python<'py>,
    solutions: &[Solution],
    vector: impl Fn(&Solution) -> &[f64],
) -> F64s<'py> {
    PyArray1::from_vec(py, solutions.iter().flat_map(vector).copied().collect())
}

/// One field per column, one entry per matrix; a dict in Python.
#[derive(IntoPyObject)]
pub(crate) struct Triplets<'py> {
    sigma: F64s<'py>,
    u: F64s<'py>,
    v: F64s<'py>,
    second: F64s<'py>,
    lower: F64s<'py>,
    upper: F64s<'py>,
    residual: F64s<'py>,
    n_passes: Bound<'py, PyArray1<i64>>,
    converged: Bound<'py, PyArray1<bool>>,
    method: Vec<&'static str>,
}

impl<'py> Triplets<'py> {
    fn new(py: Python<'py>, solutions: &[Solution]) -> Self {
        Self {
            sigma: column(py, solutions, |s| s.sigma),
            u: joined(py, solutions, |s| &s.u),
            v: joined(py, solutions, |s| &s.v),
            second: column(py, solutions, |s| s.second),
            lower: column(py, solutions, |s| s.lower),
            upper: column(py, solutions, |s| s.upper),
            residual: column(py, solutions, |s| s.residual),
            n_passes: column(py, solutions, |s| s.n_passes as i64),
            converged: column(py, solutions, |s| s.converged),
            method: solutions.iter().map(|s| method_name(s.method)).collect(),
        }
    }
}

/// One field per column, one entry per matrix; a dict in Python.
#[derive(IntoPyObject)]
pub(crate) struct Bounds<'py> {
    lower: F64s<'py>,
    upper: F64s<'py>,
    n_passes: Bound<'py, PyArray1<i64>>,
    converged: Bound<'py, PyArray1<bool>>,
}

impl<'py> Bounds<'py> {
    fn new(py: Python<'py>, solutions: &[Solution]) -> Self {
        Self {
            lower: column(py, solutions, |s| s.lower),
            upper: column(py, solutions, |s| s.upper),
            n_passes: column(py, solutions, |s| s.n_passes as i64),
            converged: column(py, solutions, |s| s.converged),
        }
    }
}

fn method_name(method: Method) -> &'static str {
    match method {
        Method::Trivial => "trivial",
        Method::Direct => "direct",
        Method::Lanczos => "lanczos",
        _ => "other",
    }
}
