//! Where a proof should look: a top singular vector found at a single-precision copy.
//!
//! What is found here is checked by a factorisation, so it may be found by cheaper means than a
//! value that stands for itself. A block of vectors over a copy in single precision needs a fraction
//! of the time; one pass over the operator itself then gives the value, whose error is the square of
//! the vector's. Where the residual says that this is not enough, `lanczos` does the work.

use crate::error::Error;
use crate::kernels::reduce::dot;
use crate::operator::LinearOperator;
use crate::operator::gram::Gram;
use crate::scalar::ldexp;

use super::block_lanczos::{Attempt, attempt};
use super::lanczos::{self, Found, Outcome, Settings, Vectors};
use super::stopping::Target;

/// The least relative error of sigma that the vector of a copy is good for.
const LEAST_RTOL: f64 = 1e-9;

/// What a copy is asked for at most: beyond, the noise of single precision drowns all.
const RTOL_OF_COPY: f64 = 1e-8;

/// Vectors of the block. Two take as long, but the noise of single precision drowns more bounds.
const VECTORS: usize = 4;

/// Columns and passes from which a copy pays.
const LEAST_COLUMNS: usize = 96;
const LEAST_PASSES: usize = 16;

/// The distance to the second value that is counted on, relative to sigma squared. Where there is
/// less, the factorisation breaks down and the search goes on.
const LEAST_GAP: f64 = 1e-2;

/// Finds a candidate for the top singular triplet of `op`, with vectors.
///
/// # Errors
/// [`Error::Interrupted`] when the operator says so.
pub(super) fn run<O: Gram>(op: &mut O, settings: Settings<'_>) -> Result<Outcome, Error> {
    let rtol = match settings.target {
        Target::Candidate(rtol) if rtol >= LEAST_RTOL => rtol,
        _ => return lanczos::run(op, settings),
    };
    if op.shape().1 < LEAST_COLUMNS || settings.maxiter < LEAST_PASSES {
        return lanczos::run(op, settings);
    }
    // One pass tells the scale and what the proof must know of the entries.
    let survey = Settings { maxiter: 1, vectors: false, ..settings };
    let mut outcome = lanczos::run(op, survey)?;
    if outcome.found.is_none() {
        return Ok(outcome);
    }
    let rows = op.narrowed()?;
    let wanted = Target::Candidate((0.4 * rtol).max(RTOL_OF_COPY));
    let maxiter = settings.maxiter - 2;
    let of_copy = Settings { target: wanted, maxiter, vectors: true, ..settings };
    let attempt = attempt::<_, VECTORS>(&mut op.beside(&rows), of_copy)?;
    match attempt {
        Attempt::Declined(n_passes) => outcome.n_passes += n_passes,
        Attempt::Found(copy) => {
            outcome.n_passes += copy.n_passes + 1;
            let exponent = copy.entries.exponent;
            let found = copy.found.map(|found| confirmed(op, &settings, found, exponent));
            if let Some((found, error)) = found.transpose()?
                && error <= 2.0 * rtol
            {
                return Ok(Outcome { found: Some(found), ..outcome });
            }
        }
    }
    let left = settings.maxiter.saturating_sub(outcome.n_passes).max(1);
    let whole = lanczos::run(op, Settings { maxiter: left, ..settings })?;
    Ok(Outcome { n_passes: whole.n_passes + outcome.n_passes, ..whole })
}

/// What was found at a copy, as one pass over the operator sees it, and the relative error of its
/// square that the residual leaves room for.
fn confirmed<O: LinearOperator>(
    op: &mut O,
    settings: &Settings<'_>,
    found: Found,
    exponent: i32,
) -> Result<(Found, f64), Error> {
    let (nrows, ncols) = op.shape();
    let level = settings.level;
    let (mut t, mut z) = (vec![0.0; nrows], vec![0.0; ncols]);
    let right = found.vectors.map_or_else(|| vec![0.0; ncols], |vectors| vectors.right);
    op.gram_matvec(&right, &mut t, &mut z)?;
    let sigma = (dot(level, &z, &z) / dot(level, &t, &t)).sqrt();
    let second = ldexp(found.second, exponent);
    let vectors = Vectors::from_pass(level, right, &t, &mut z);
    let gap = (1.0 - (second / sigma).powi(2)).max(LEAST_GAP);
    let error = vectors.residual * vectors.residual / gap;
    Ok((Found { sigma, second, vectors: Some(vectors), ..found }, error))
}
