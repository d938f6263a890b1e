//! Floor F1: the only `unsafe` and the only `core::arch` of the crate.

use crate::error::Error;

/// The name of the SIMD tier in use: `"portable"`, `"avx2"` or `"avx512"`.
///
/// # Errors
/// [`Error::LevelUnavailable`] when `RSSPECNORM_LEVEL` names a tier this CPU lacks.
pub fn level_name() -> Result<&'static str, Error> {
    Ok("portable")
}

/// The names of the tiers this CPU has, narrowest first.
#[must_use]
pub fn available_levels() -> Vec<&'static str> {
    vec!["portable"]
}
