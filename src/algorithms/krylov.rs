//! Which Lanczos process a matrix gets: a block in single precision, or one vector in double.

use crate::error::Error;
use crate::operator::BlockOperator;
use crate::operator::narrowed::Narrow;
use crate::operator::near;

use super::block_lanczos::{Attempt, attempt};
use super::lanczos::{self, Outcome, Settings};
use super::stopping::Target;

/// Columns below which a block soon fills the space.
const LEAST_COLUMNS: usize = 96;

/// What single precision and one pass in double can tell at best.
const LEAST_RTOL: f64 = 1e-11;

/// The same of a copy in integers of 16 bits, and the elements from which one pays: those that a second-level cache
/// holds are read fast enough as they are.
const LEAST_RTOL_OF_INTEGERS: f64 = 5e-7;
const LEAST_ELEMENTS_OF_INTEGERS: usize = 1 << 22;

/// The most vectors of a block at such a copy, where a pass waits for its arithmetic, not for memory: a fourth
/// costs as much as the first.
const MOST_OF_INTEGERS: usize = 3;

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

/// Finds the top singular value of `op`. The passes of a block that gives way are reported but not counted
/// against `maxiter`: one vector may need all there is, where a crowd is to be told apart.
///
/// # Errors
/// [`Error::Interrupted`] when the operator says so.
pub(crate) fn run<O: Narrow>(op: &mut O, settings: Settings<'_>) -> Result<Outcome, Error> {
    let spent = match by_block(op, settings)? {
        Attempt::Found(outcome) => return Ok(outcome),
        Attempt::Declined(n_passes) => n_passes,
    };
    let outcome = lanczos::run(op, settings)?;
    Ok(Outcome { n_passes: outcome.n_passes + spent, ..outcome })
}

/// Tries a block, at the operator itself or at a copy of it.
fn by_block<O: Narrow>(op: &mut O, settings: Settings<'_>) -> Result<Attempt, Error> {
    let size = block_size(op, &settings);
    if size == 0 {
        return Ok(Attempt::Declined(0));
    }
    if op.is_narrow() {
        return match by_integers(size, op, settings)? {
            Attempt::Declined(spent) => Ok(by_block_of(size, op, settings)?.after(spent)),
            found => Ok(found),
        };
    }
    match op.narrowed()? {
        Some(copy) => by_block_of(size, &mut op.beside(&copy), settings),
        None => Ok(Attempt::Declined(0)),
    }
}

/// Tries a block at a copy in integers, where no more is asked for than six digits of the value.
fn by_integers<O: Narrow>(
    size: usize,
    op: &mut O,
    settings: Settings<'_>,
) -> Result<Attempt, Error> {
    let is_value = settings.value_alone && settings.v0.is_none();
    let (nrows, ncols) = op.shape();
    let is_large = nrows * ncols >= LEAST_ELEMENTS_OF_INTEGERS;
    let suits = matches!(settings.target, Target::Rtol(rtol) if rtol >= LEAST_RTOL_OF_INTEGERS);
    if !is_value || !is_large || !suits {
        return Ok(Attempt::Declined(0));
    }
    match op.fixed()? {
        Some(copy) => {
            by_block_of(size.min(MOST_OF_INTEGERS), &mut op.beside_fixed(&copy), settings)
        }
        None => Ok(Attempt::Declined(0)),
    }
}

fn by_block_of<O: BlockOperator>(
    size: usize,
    op: &mut O,
    settings: Settings<'_>,
) -> Result<Attempt, Error> {
    match size {
        2 => attempt::<O, 2>(op, settings),
        3 => attempt::<O, 3>(op, settings),
        _ => attempt::<O, 4>(op, settings),
    }
}

/// Vectors of the block, zero for none.
fn block_size<O: BlockOperator>(op: &O, settings: &Settings<'_>) -> usize {
    let (nrows, ncols) = op.shape();
    let rtol = match settings.target {
        Target::Rtol(rtol) | Target::Candidate(rtol) => rtol,
        Target::Width { width, failure_prob } if failure_prob >= 1e-6 && width >= 5e-3 => width,
        Target::Width { .. } => 0.0,
    };
    // Near the core a copy in single precision costs more than it gains, but for what a proof asks for.
    let is_candidate = matches!(settings.target, Target::Candidate(_));
    let suits = op.is_narrow() || is_candidate || nrows * ncols > near::MAX_ELEMENTS;
    let is_small = ncols <= MOST_COLUMNS_OF_TWO && nrows * ncols <= MOST_ELEMENTS_OF_TWO;
    if !suits || rtol < LEAST_RTOL || settings.maxiter < 4 || ncols < LEAST_COLUMNS {
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
