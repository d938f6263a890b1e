//! What a run says of one matrix.

use std::fmt;
use std::time::Duration;

use super::elements::Dtype;
use super::plan::{Kind, Unit};
use super::run::Bounds;
use crate::api::Solution;

/// Whether a row's numbers can be trusted, and if not why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// Finite, not zero, and to the tolerance asked for.
    Ok,
    /// The tolerance was not reached within the passes allowed.
    NotConverged,
    /// An entry is NaN.
    Nan,
    /// An entry is infinite, and none is NaN.
    Inf,
    /// The entries are finite but sigma, or another norm or bound of the row, exceeds the largest
    /// double.
    Overflow,
    /// Every entry is zero.
    Zero,
    /// There is no entry.
    Empty,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::NotConverged => "not_converged",
            Self::Nan => "nan",
            Self::Inf => "inf",
            Self::Overflow => "overflow",
            Self::Zero => "zero",
            Self::Empty => "empty",
        })
    }
}

/// The measurements of one matrix.
#[derive(Debug, Clone)]
pub struct Row {
    /// The matrix's place in file order.
    pub index: usize,
    /// The file it comes from.
    pub file: String,
    /// The tensor's name, with the slice's index for a stack (`"experts.w1[3]"`).
    pub name: String,
    /// The tensor's extents; a slice's own for a stack.
    pub shape: Vec<usize>,
    /// The element type.
    pub dtype: Dtype,
    /// How the matrix lies in its tensor.
    pub kind: Kind,
    /// The largest singular value: sigma, not its square.
    pub sigma_max: f64,
    /// `fro^2 / sigma_max^2`, between 1 and the rank.
    pub stable_rank: f64,
    /// The Frobenius norm.
    pub fro: f64,
    /// The second singular value over the first, as far as it was found.
    pub sigma_ratio: f64,
    /// `sigma_max / sqrt(rows / columns)`: the number that the spectral condition of
    /// maximal-update parametrisation keeps of order one.
    pub sigma_mup: f64,
    /// The upper end of the interval that holds `sigma_max`; NaN when none was asked for.
    pub upper: f64,
    /// The largest finite magnitude.
    pub max_abs: f64,
    /// How many entries are NaN or infinite.
    pub n_nonfinite: usize,
    /// Reads of the matrix.
    pub n_passes: usize,
    /// Wall time.
    pub elapsed: Duration,
    /// Whether the numbers can be trusted.
    pub status: Status,
    /// The earlier matrix with the same content, whose numbers these are.
    pub same_as: Option<String>,
}

impl Row {
    pub(super) fn new(index: usize, unit: &Unit<'_>, solution: &Solution, bounds: Bounds) -> Self {
        let (nrows, ncols) = unit.dims;
        let sigma = solution.sigma;
        let fro = solution.entries.fro;
        let ratio = (fro / sigma).powi(2);
        let sigma_mup = sigma / (nrows as f64 / ncols as f64).sqrt();
        let upper = if bounds != Bounds::None { solution.upper } else { f64::NAN };
        Self {
            index,
            file: unit.file.clone(),
            name: unit.name.clone(),
            shape: unit.shape.clone(),
            dtype: unit.dtype.clone(),
            kind: unit.kind,
            sigma_max: sigma,
            stable_rank: match sigma == 0.0 {
                true => 0.0,
                // Rounding aside it is one at least.
                false if ratio < 1.0 => 1.0,
                false => ratio,
            },
            fro,
            sigma_ratio: solution.second / sigma,
            sigma_mup,
            upper,
            max_abs: solution.entries.max_abs,
            n_nonfinite: solution.entries.n_nonfinite,
            n_passes: solution.n_passes,
            elapsed: solution.elapsed,
            status: status(solution, [fro, sigma_mup, upper]),
            same_as: None,
        }
    }

    /// The row of a matrix without entries, whose norm is 0 by definition.
    pub(super) fn empty(index: usize, unit: &Unit<'_>, bounds: Bounds) -> Self {
        Self {
            index,
            file: unit.file.clone(),
            name: unit.name.clone(),
            shape: unit.shape.clone(),
            dtype: unit.dtype.clone(),
            kind: unit.kind,
            sigma_max: 0.0,
            stable_rank: 0.0,
            fro: 0.0,
            sigma_ratio: f64::NAN,
            sigma_mup: 0.0,
            upper: if bounds != Bounds::None { 0.0 } else { f64::NAN },
            max_abs: 0.0,
            n_nonfinite: 0,
            n_passes: 0,
            elapsed: Duration::ZERO,
            status: Status::Empty,
            same_as: None,
        }
    }

    /// The same numbers for another matrix of the same content.
    pub(super) fn repeat(&self, index: usize, unit: &Unit<'_>) -> Self {
        let same_file = self.file == unit.file;
        let original =
            if same_file { self.name.clone() } else { format!("{}:{}", self.file, self.name) };
        Self {
            index,
            file: unit.file.clone(),
            name: unit.name.clone(),
            shape: unit.shape.clone(),
            kind: unit.kind,
            n_passes: 0,
            elapsed: Duration::ZERO,
            same_as: Some(original),
            ..self.clone()
        }
    }
}

fn status(solution: &Solution, others: [f64; 3]) -> Status {
    let entries = &solution.entries;
    if entries.n_nonfinite > 0 {
        return if solution.sigma.is_nan() { Status::Nan } else { Status::Inf };
    }
    match solution.sigma {
        0.0 => Status::Zero,
        sigma if !sigma.is_finite() => Status::Overflow,
        _ if !solution.converged => Status::NotConverged,
        _ if others.contains(&f64::INFINITY) => Status::Overflow,
        _ => Status::Ok,
    }
}
