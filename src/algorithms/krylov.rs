//! Which Lanczos process a matrix gets: a block in single precision, or one vector in double.

use crate::error::Error;
use crate::operator::BlockOperator;

use super::block_lanczos::{Attempt, attempt};
use super::lanczos::{self, Outcome, Settings};
use super::stopping::Target;

/// Columns below which a block soon fills the space.
const LEAST_COLUMNS: usize = 96;

/// The most columns at which the probability that two vectors miss the top stands clear of the noise
/// of single precision; four vectors ask for far less of each.
const MOST_COLUMNS_OF_TWO: usize = 8192;

/// The same for four.
const MOST_COLUMNS_OF_FOUR: usize = 1 << 17;

/// Elements above which memory is so much the bottleneck that four vectors cost what two do.
const MOST_ELEMENTS_OF_TWO: usize = 1 << 23;

/// Rows from which vectors longer than these are many cost little beside a pass (decision 0025): blocks
/// of two, and blocks of four.
const LEAST_ROWS_OF_TWO: usize = 512;
const LEAST_ROWS_OF_FOUR: usize = 1024;

/// Whether a matrix that has fewer rows in memory than columns had better be read along them, by vectors
/// of their length, than in strips of columns, by shorter ones.
pub(crate) fn bears_long_vectors(nrows: usize, ncols: usize) -> bool {
    let is_short = ncols <= MOST_COLUMNS_OF_TWO;
    let least = if is_short { LEAST_ROWS_OF_TWO } else { LEAST_ROWS_OF_FOUR };
    nrows >= least && ncols <= MOST_COLUMNS_OF_FOUR
}

/// Finds the top singular value of `op`.
///
/// # Errors
/// [`Error::Interrupted`] when the operator says so.
pub(crate) fn run<O: BlockOperator>(op: &mut O, settings: Settings<'_>) -> Result<Outcome, Error> {
    let attempt = match block_size(op, &settings) {
        2 => attempt::<O, 2>(op, settings)?,
        4 => attempt::<O, 4>(op, settings)?,
        _ => Attempt::Declined(0),
    };
    let spent = match attempt {
        Attempt::Found(outcome) => return Ok(outcome),
        Attempt::Declined(n_passes) => n_passes,
    };
    let maxiter = settings.maxiter.saturating_sub(spent).max(1);
    let outcome = lanczos::run(op, Settings { maxiter, ..settings })?;
    Ok(Outcome { n_passes: outcome.n_passes + spent, ..outcome })
}

/// Vectors of the block, zero for none.
fn block_size<O: BlockOperator>(op: &O, settings: &Settings<'_>) -> usize {
    let (nrows, ncols) = op.shape();
    let is_small = ncols <= MOST_COLUMNS_OF_TWO && nrows * ncols <= MOST_ELEMENTS_OF_TWO;
    let suits = match settings.target {
        Target::Rtol(rtol) | Target::Candidate(rtol) => rtol >= 5e-7,
        Target::Width { width, failure_prob } => width >= 5e-3 && failure_prob >= 1e-6,
    };
    if !op.is_narrow() || !suits || settings.maxiter < 4 || ncols < LEAST_COLUMNS {
        0
    } else if settings.v0.is_none() && is_small {
        2
    } else if ncols <= MOST_COLUMNS_OF_FOUR {
        4
    } else {
        0
    }
}

#[cfg(test)]
#[path = "../../tests/rust/unit/krylov.rs"]
mod tests;
