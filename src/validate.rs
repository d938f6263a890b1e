//! Floor F6: the only place where input is rejected.
//!
//! What a value may be is decided here, once, for the Rust and the Python face alike; the messages
//! name the argument as the caller wrote it, what came and what would do.

use std::fmt::Display;

use crate::api::{Goal, Request};
use crate::error::Error;
use crate::matrix::Matrix;

/// The smallest relative error that double precision can promise.
const MIN_RTOL: f64 = 1e-14;

/// Below this the rounding of the start vector, not its randomness, decides the failures.
const MIN_FAILURE_PROB: f64 = 1e-12;

/// Checks a request against the matrices it is for.
///
/// # Errors
/// [`Error::InvalidParameter`] or [`Error::ShapeMismatch`], naming the argument.
pub(crate) fn request(matrices: &[Matrix<'_>], request: &Request<'_>) -> Result<(), Error> {
    goal(request.goal)?;
    if request.maxiter == 0 {
        return Err(invalid("maxiter", "at least 1", 0));
    }
    match request.v0 {
        Some(v0) => starts(matrices, v0),
        None => Ok(()),
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

fn starts(matrices: &[Matrix<'_>], v0: &[&[f64]]) -> Result<(), Error> {
    if v0.len() != matrices.len() {
        let expected = format!("one vector per matrix, {} in all", matrices.len());
        return Err(Error::ShapeMismatch { argument: "v0", expected, got: v0.len().to_string() });
    }
    for (a, v0) in matrices.iter().zip(v0) {
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
