//! From tensors to matrices: which are read, how, and which are skipped and why.

use std::fmt;

use super::elements::Dtype;
use crate::error::Error;

/// The most matrices of one run. A stack's length comes from the file, and a row costs memory.
const MAX_MATRICES: usize = 1_000_000;

/// A tensor of a checkpoint: its data is row-major and little-endian.
#[derive(Debug, Clone)]
pub struct Tensor<'a> {
    /// The file it comes from.
    pub file: String,
    /// Its name in that file.
    pub name: String,
    /// Its element type.
    pub dtype: Dtype,
    /// Its extents.
    pub shape: Vec<usize>,
    /// Its data.
    pub bytes: &'a [u8],
}

/// How a matrix lies in its tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The tensor is the matrix.
    Matrix,
    /// One slice along the first axis of a 3-D tensor.
    Stack,
    /// A convolution kernel flattened to `(out, in * kh * kw)`: the norm of that matrix, not of the
    /// convolution.
    ConvFlattened,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Matrix => "matrix",
            Self::Stack => "stack",
            Self::ConvFlattened => "conv_flattened",
        })
    }
}

/// A tensor that has no row, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// The file it comes from.
    pub file: String,
    /// Its name in that file.
    pub name: String,
    /// Its element type.
    pub dtype: Dtype,
    /// Its extents.
    pub shape: Vec<usize>,
    /// Why, in two or three words.
    pub reason: String,
}

/// One matrix to measure.
#[derive(Debug)]
pub(super) struct Unit<'a> {
    pub(super) file: String,
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    pub(super) kind: Kind,
    pub(super) dims: (usize, usize),
    pub(super) bytes: &'a [u8],
}

/// The matrices of a run, in file order.
#[derive(Debug)]
pub struct Plan<'a> {
    pub(super) units: Vec<Unit<'a>>,
    skipped: Vec<Skipped>,
}

impl<'a> Plan<'a> {
    /// Lists the matrices in `tensors`, and what is skipped.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when a tensor's data does not fit its shape, or the tensors hold more
    /// than a million matrices.
    pub fn new(tensors: Vec<Tensor<'a>>) -> Result<Self, Error> {
        let mut plan = Self { units: Vec::new(), skipped: Vec::new() };
        for tensor in tensors {
            match skip_reason(&tensor) {
                Some(reason) => plan.skipped.push(skip(tensor, reason)),
                None => plan.push(tensor)?,
            }
        }
        Ok(plan)
    }

    /// How many rows a run will give.
    #[must_use]
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// Whether there is no matrix at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// The tensors that have no row.
    #[must_use]
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    fn push(&mut self, tensor: Tensor<'a>) -> Result<(), Error> {
        let n_elements = tensor.shape.iter().try_fold(1_usize, |n, &d| n.checked_mul(d));
        let n_bytes = n_elements.and_then(|n| n.checked_mul(tensor.dtype.size()?));
        if n_bytes != Some(tensor.bytes.len()) {
            return Err(tensor.refuse("its data does not fit its shape"));
        }
        // An empty stack is one row: its first extent is not backed by data and may be anything.
        let count = if n_bytes == Some(0) { 1 } else { stack_len(&tensor.shape) };
        if count > MAX_MATRICES - self.units.len() {
            return Err(tensor.refuse(&format!("more than {MAX_MATRICES} matrices in one run")));
        }
        if tensor.shape.len() == 3 && n_bytes != Some(0) {
            self.units.extend((0..count).map(|i| slice_of(&tensor, i, count)));
        } else {
            self.units.push(whole(tensor));
        }
        Ok(())
    }
}

impl Tensor<'_> {
    fn refuse(&self, reason: &str) -> Error {
        Error::Checkpoint {
            path: self.file.clone(),
            reason: format!("tensor {:?}: {reason}", self.name),
        }
    }
}

fn skip_reason(tensor: &Tensor<'_>) -> Option<String> {
    if tensor.dtype.size().is_none() {
        return Some(format!("dtype {}", tensor.dtype));
    }
    match tensor.shape.len() {
        2..=5 => None,
        rank => Some(format!("{rank}-D")),
    }
}

fn skip(tensor: Tensor<'_>, reason: String) -> Skipped {
    let Tensor { file, name, dtype, shape, .. } = tensor;
    Skipped { file, name, dtype, shape, reason }
}

fn stack_len(shape: &[usize]) -> usize {
    if let [count, _, _] = *shape { count } else { 1 }
}

fn whole(tensor: Tensor<'_>) -> Unit<'_> {
    let kind = match tensor.shape.len() {
        2 => Kind::Matrix,
        3 => Kind::Stack,
        _ => Kind::ConvFlattened,
    };
    // The product is checked unless an extent is zero, where any finite number will do.
    let ncols = tensor.shape[1..].iter().fold(1_usize, |n, &d| n.saturating_mul(d));
    let Tensor { file, name, dtype, shape, bytes } = tensor;
    Unit { dims: (shape[0], ncols), file, name, dtype, shape, kind, bytes }
}

fn slice_of<'a>(tensor: &Tensor<'a>, index: usize, count: usize) -> Unit<'a> {
    let n_bytes = tensor.bytes.len() / count;
    Unit {
        file: tensor.file.clone(),
        name: format!("{}[{index}]", tensor.name),
        dtype: tensor.dtype.clone(),
        shape: tensor.shape[1..].to_vec(),
        kind: Kind::Stack,
        dims: (tensor.shape[1], tensor.shape[2]),
        bytes: &tensor.bytes[index * n_bytes..(index + 1) * n_bytes],
    }
}
