//! Floor F6: the only place where input is rejected.
//!
//! What a value may be is decided here, once, for the Rust and the Python face alike; the messages
//! name the argument as the caller wrote it, what came and what would do.

use std::fmt::Display;

use crate::api::{Goal, Request};
use crate::error::Error;
use crate::gradient::{Differentiable, Gradient};
use crate::layer::LayerGradient;
use crate::matrix::{Batch, MatMut, Matrix};
use crate::normalize::{Steppable, Steps, Task, Weights};

/// The smallest relative error that double precision can promise.
const MIN_RTOL: f64 = 1e-14;

/// Below this the rounding of the start vector, not its randomness, decides the failures.
const MIN_FAILURE_PROB: f64 = 1e-12;

/// Checks a request against the matrices it is for.
///
/// # Errors
/// [`Error::InvalidParameter`] or [`Error::ShapeMismatch`], naming the argument.
pub(crate) fn request(batch: &Batch<'_, '_>, request: &Request<'_>) -> Result<(), Error> {
    goal(request.goal)?;
    if request.maxiter == 0 {
        return Err(invalid("maxiter", "at least 1", 0));
    }
    match request.v0 {
        Some(v0) => starts(batch, v0),
        None => Ok(()),
    }
}

/// Bytes of results about which the system is asked beforehand.
const LARGE_RESULTS: usize = 1 << 30;

/// Checks that there is memory for the results, `each` bytes for every matrix besides its vectors: a
/// stack of a few bytes may stand for any number of matrices, and who allocates later cannot fail.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub(crate) fn results(batch: &Batch<'_, '_>, each: usize, vectors: bool) -> Result<(), Error> {
    let count = batch.len();
    let entries = if vectors { entries(batch) } else { 0 };
    let bytes = each.saturating_mul(count).saturating_add(entries.saturating_mul(size_of::<f64>()));
    if bytes < LARGE_RESULTS {
        return Ok(());
    }
    let refused = |_| Error::OutOfMemory { count };
    Vec::<u8>::new().try_reserve_exact(bytes).map_err(refused)
}

/// Entries of the vectors of all matrices.
fn entries(batch: &Batch<'_, '_>) -> usize {
    let own = |a: Matrix<'_>| a.parts().saturating_mul(a.shape().0.saturating_add(a.shape().1));
    match batch {
        Batch::Stack(stack) if !stack.is_empty() => own(stack.get(0)).saturating_mul(stack.len()),
        _ => batch.iter().fold(0, |sum: usize, a| sum.saturating_add(own(a))),
    }
}

fn goal(goal: Goal) -> Result<(), Error> {
    match goal {
        Goal::Rtol(wanted) => rtol(wanted),
        Goal::Width { width, failure_prob } => {
            self::width(width)?;
            self::failure_prob(failure_prob)
        }
        Goal::Rigorous { width, rtol } => {
            self::width(width)?;
            self::rtol(rtol)
        }
    }
}

fn rtol(rtol: Option<f64>) -> Result<(), Error> {
    match rtol {
        Some(rtol) if !(MIN_RTOL..1.0).contains(&rtol) => {
            let expected = "at least 1e-14 (what double precision can give) and below 1";
            Err(invalid("rtol", expected, format!("{rtol:e}")))
        }
        _ => Ok(()),
    }
}

fn width(width: f64) -> Result<(), Error> {
    if !(width > 0.0 && width.is_finite()) {
        return Err(invalid("width", "positive and finite", width));
    }
    Ok(())
}

fn failure_prob(failure_prob: f64) -> Result<(), Error> {
    if !(MIN_FAILURE_PROB..1.0).contains(&failure_prob) {
        let expected = "at least 1e-12 (below it rounding decides) and below 1";
        return Err(invalid("failure_prob", expected, format!("{failure_prob:e}")));
    }
    Ok(())
}

fn starts(batch: &Batch<'_, '_>, v0: &[&[f64]]) -> Result<(), Error> {
    if v0.len() != batch.len() {
        let expected = format!("one vector per matrix, {} in all", batch.len());
        return Err(Error::ShapeMismatch { argument: "v0", expected, got: v0.len().to_string() });
    }
    for (a, v0) in batch.iter().zip(v0) {
        let ncols = a.parts() * a.shape().1;
        if v0.len() != ncols {
            let what = if a.is_complex() { "twice the columns" } else { "the columns" };
            let expected = format!("of length {ncols}, {what} of its matrix");
            let got = format!("length {}", v0.len());
            return Err(Error::ShapeMismatch { argument: "v0", expected, got });
        }
    }
    Ok(())
}

/// Checks the settings of a call of `normalize`.
///
/// # Errors
/// [`Error::InvalidParameter`], naming the argument.
pub(crate) fn steps(steps: &Steps) -> Result<(), Error> {
    if !(steps.eps >= 0.0 && steps.eps.is_finite()) {
        return Err(invalid("eps", "finite and not negative", steps.eps));
    }
    Ok(())
}

/// Checks that the pieces of a task fit together.
///
/// # Errors
/// [`Error::InvalidParameter`] or [`Error::ShapeMismatch`], naming the argument.
pub(crate) fn task<T: Steppable>(task: &Task<'_, T>) -> Result<(), Error> {
    let count = task.sigma.len();
    let (nrows, ncols) = task.shape;
    let (m, n) = if task.transposed { (ncols, nrows) } else { (nrows, ncols) };
    let (u, v) = (task.u.len(), task.v.len());
    let given = (task.given.0.map_or(u, <[_]>::len), task.given.1.map_or(v, <[_]>::len));
    for (argument, len, each) in [("u", u, m), ("v", v, n), ("u", given.0, m), ("v", given.1, n)] {
        fits(argument, len, each.checked_mul(count), "one entry per side of each matrix")?;
    }
    let size = nrows.checked_mul(ncols).and_then(|size| size.checked_mul(count));
    let whole = "as many elements as the shape says";
    match &task.weights {
        Weights::Packed(a, out) => {
            fits("a", a.len(), size, whole)?;
            out.iter().try_for_each(|out| fits("out", out.len(), size, whole))?;
        }
        Weights::PackedInPlace(a) => fits("a", a.len(), size, whole)?,
        Weights::Rows(a, out) => {
            alone("a", (a.nrows(), a.ncols()), task.shape, count)?;
            let shape = |out: &MatMut<'_, T>| (out.as_ref().nrows(), out.as_ref().ncols());
            out.iter().try_for_each(|out| alone("out", shape(out), task.shape, count))?;
        }
        Weights::RowsInPlace(a) => {
            alone("a", (a.as_ref().nrows(), a.as_ref().ncols()), task.shape, count)?;
        }
    }
    if task.coefficients.len() != 1 && task.coefficients.len() != count {
        let got = task.coefficients.len().to_string();
        let expected = format!("a number, or one per matrix, {count} in all");
        return Err(Error::ShapeMismatch { argument: "coefficient", expected, got });
    }
    match task.coefficients.iter().find(|c| !(**c > 0.0 && c.is_finite())) {
        Some(c) => Err(invalid("coefficient", "positive and finite", c)),
        None => Ok(()),
    }
}

/// Checks that the matrices of a gradient fit its vectors.
///
/// # Errors
/// [`Error::ShapeMismatch`], naming the argument.
pub(crate) fn gradient<T: Differentiable>(gradient: &Gradient<'_, T>) -> Result<(), Error> {
    let size = gradient.u.len().checked_mul(gradient.v.len());
    let lengths = [
        ("grad", gradient.grad.len()),
        ("normalized", gradient.normalized.len()),
        ("out", gradient.out.len()),
    ];
    let what = "one element for each pair of entries of u and v";
    lengths.into_iter().try_for_each(|(argument, len)| fits(argument, len, size, what))
}

/// Checks that the matrices of a layer's gradient fit its vectors.
///
/// # Errors
/// [`Error::ShapeMismatch`], naming the argument.
pub(crate) fn layer_gradient<T>(gradient: &LayerGradient<'_, T>) -> Result<(), Error> {
    let (nrows, ncols) = (gradient.u.len(), gradient.v.len());
    let what = "one element for each pair of entries of u and v";
    fits("out", gradient.out.len(), nrows.checked_mul(ncols), what)?;
    // Rows without an entry cannot be counted.
    let by_columns = gradient.x.len() / ncols.max(1);
    let count = gradient.grad.len().checked_div(nrows).unwrap_or(by_columns);
    fits("grad", gradient.grad.len(), Some(count * nrows), "rows of one entry for each of u")?;
    let what = "one entry of v for each row of grad";
    fits("x", gradient.x.len(), count.checked_mul(ncols), what)
}

/// Checks the length of a vector.
///
/// # Errors
/// [`Error::ShapeMismatch`], naming the argument.
pub(crate) fn length(argument: &'static str, len: usize, expected: usize) -> Result<(), Error> {
    fits(argument, len, Some(expected), "of the length that its matrix asks for")
}

fn fits(argument: &'static str, len: usize, size: Option<usize>, what: &str) -> Result<(), Error> {
    if size == Some(len) {
        return Ok(());
    }
    let expected = size.map_or_else(|| what.to_owned(), |size| format!("{what}, {size} in all"));
    Err(Error::ShapeMismatch { argument, expected, got: len.to_string() })
}

fn alone(
    argument: &'static str,
    got: (usize, usize),
    shape: (usize, usize),
    count: usize,
) -> Result<(), Error> {
    if count == 1 && got == shape {
        return Ok(());
    }
    let expected = format!("one matrix of shape {shape:?} for one sigma");
    Err(Error::ShapeMismatch { argument, expected, got: format!("{got:?} for {count}") })
}

/// A thread count, from an argument or the environment.
///
/// # Errors
/// [`Error::InvalidParameter`] for zero.
pub(crate) fn num_threads(n: Option<usize>) -> Result<(), Error> {
    match n {
        Some(0) => Err(invalid("num_threads", "at least 1", 0)),
        _ => Ok(()),
    }
}

fn invalid(argument: &'static str, expected: &str, got: impl Display) -> Error {
    Error::InvalidParameter { argument, expected: expected.into(), got: got.to_string() }
}
