//! Element types of a checkpoint, and bytes seen as matrices without `unsafe`.

use std::fmt;

use bytemuck::{AnyBitPattern, cast_slice_mut, try_cast_slice};
use half::{bf16, f16};

use crate::matrix::{Matrix, Store};

/// The element type of a tensor, spelled as safetensors spells it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dtype {
    /// IEEE half precision.
    F16,
    /// The upper half of a single.
    Bf16,
    /// Single precision.
    F32,
    /// Double precision.
    F64,
    /// Complex numbers of two singles.
    C64,
    /// Complex numbers of two doubles, which NumPy's files may hold.
    C128,
    /// A type that has no spectral norm here: integers, booleans and 8-bit numbers.
    Other(String),
}

impl Dtype {
    /// The type of a safetensors spelling (`"BF16"`).
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        match name {
            "F16" => Self::F16,
            "BF16" => Self::Bf16,
            "F32" => Self::F32,
            "F64" => Self::F64,
            "C64" => Self::C64,
            "C128" => Self::C128,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Bytes of one element; `None` for a type that is not read.
    #[must_use]
    pub fn size(&self) -> Option<usize> {
        match self {
            Self::F16 | Self::Bf16 => Some(2),
            Self::F32 => Some(4),
            Self::F64 | Self::C64 => Some(8),
            Self::C128 => Some(16),
            Self::Other(_) => None,
        }
    }
}

impl From<safetensors::Dtype> for Dtype {
    fn from(dtype: safetensors::Dtype) -> Self {
        Self::from_name(&dtype.to_string())
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F16 => "F16",
            Self::Bf16 => "BF16",
            Self::F32 => "F32",
            Self::F64 => "F64",
            Self::C64 => "C64",
            Self::C128 => "C128",
            Self::Other(name) => name,
        })
    }
}

/// Sees bytes as a matrix; `None` when they are misaligned or do not fit the shape.
pub(super) fn matrix<'a>(
    dtype: &Dtype,
    bytes: &'a [u8],
    (nrows, ncols): (usize, usize),
) -> Option<Matrix<'a>> {
    match dtype {
        Dtype::F16 => typed::<f16>(bytes, nrows, ncols),
        Dtype::Bf16 => typed::<bf16>(bytes, nrows, ncols),
        Dtype::F32 => typed::<f32>(bytes, nrows, ncols),
        Dtype::F64 => typed::<f64>(bytes, nrows, ncols),
        Dtype::C64 => typed::<f32>(bytes, nrows, ncols.checked_mul(2)?)?.paired(),
        Dtype::C128 => typed::<f64>(bytes, nrows, ncols.checked_mul(2)?)?.paired(),
        Dtype::Other(_) => None,
    }
}

fn typed<T: Store + AnyBitPattern>(bytes: &[u8], nrows: usize, ncols: usize) -> Option<Matrix<'_>> {
    Matrix::from_slice(try_cast_slice::<u8, T>(bytes).ok()?, nrows, ncols)
}

/// A copy of a tensor's bytes, aligned for every element type.
///
/// Old writers did not pad the header, so the data of a whole file may be misaligned; the runner
/// copies such matrices a few at a time.
pub(super) struct Aligned {
    words: Vec<u64>,
    len: usize,
}

impl Aligned {
    pub(super) fn copy(bytes: &[u8]) -> Self {
        let mut words = vec![0_u64; bytes.len().div_ceil(size_of::<u64>())];
        cast_slice_mut::<u64, u8>(&mut words)[..bytes.len()].copy_from_slice(bytes);
        Self { words, len: bytes.len() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice::<u64, u8>(&self.words)[..self.len]
    }
}
