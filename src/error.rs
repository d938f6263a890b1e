//! Floor F0: the one error type of the crate.
//!
//! Messages are lowercase sentences without a full stop and name the argument as the caller wrote
//! it. Non-convergence is not here: it is data (`converged == false`), never an error.

use std::fmt;

/// Everything that can go wrong in a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// An argument has the wrong number of dimensions or the wrong length.
    ShapeMismatch {
        /// The argument's name.
        argument: &'static str,
        /// What would be accepted.
        expected: String,
        /// What came.
        got: String,
    },
    /// An argument's value lies outside its range.
    InvalidParameter {
        /// The argument's name.
        argument: &'static str,
        /// What would be accepted.
        expected: String,
        /// What came.
        got: String,
    },
    /// A matrix holds a NaN or an infinity and `check_finite` was asked for.
    NonFinite {
        /// The matrix's flat index in the call's sequence.
        index: usize,
    },
    /// There is no memory for the results of a call.
    OutOfMemory {
        /// How many matrices it has.
        count: usize,
    },
    /// A SIMD tier was forced that this CPU, or this build, lacks.
    LevelUnavailable {
        /// The tier that was asked for.
        level: String,
        /// The tiers that are at hand.
        available: String,
    },
    /// A checkpoint cannot be read.
    Checkpoint {
        /// The file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The caller asked for the work to stop (Ctrl-C).
    Interrupted,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShapeMismatch { argument, expected, got }
            | Self::InvalidParameter { argument, expected, got } => {
                write!(f, "{argument} must be {expected}, got {got}")
            }
            Self::NonFinite { index } => {
                write!(f, "a must hold finite values only, but matrix {index} has a nan or an inf")
            }
            Self::OutOfMemory { count: 1 } => {
                write!(f, "not enough memory for the results of one matrix")
            }
            Self::OutOfMemory { count } => {
                write!(f, "not enough memory for the results of {count} matrices")
            }
            Self::LevelUnavailable { level, available } => {
                write!(f, "RSSPECNORM_LEVEL must be one of {available} on this CPU, got '{level}'")
            }
            Self::Checkpoint { path, reason } => write!(f, "{path}: {reason}"),
            Self::Interrupted => write!(f, "interrupted"),
        }
    }
}

impl std::error::Error for Error {}
