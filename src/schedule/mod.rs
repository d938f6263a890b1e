//! Floor F5: who runs where. The only room that knows rayon; no arithmetic of its own.

use crate::error::Error;

/// Sets the number of threads for all later calls; `None` returns to the environment's choice.
///
/// # Errors
/// [`Error::InvalidParameter`] for zero.
pub fn set_num_threads(n: Option<usize>) -> Result<(), Error> {
    let _ = n;
    Ok(())
}

/// The number of threads a call without its own setting uses.
///
/// # Errors
/// [`Error::InvalidParameter`] when an environment variable holds no positive number.
pub fn num_threads() -> Result<usize, Error> {
    Ok(1)
}
