//! Floor F6: gradients that come back to matrices through their division by sigma.

use std::sync::{Mutex, PoisonError};

use half::{bf16, f16};

use crate::api::Control;
use crate::error::Error;
use crate::kernels::gradient::{Correction, GradientKernels};
use crate::normalize::Steppable;
use crate::operator::Runner;
use crate::operator::step::block_rows;
use crate::scalar::with_typed;
use crate::schedule::{self, Work};
use crate::simd::Level;
use crate::validate;

/// A gradient `G` with respect to `Y = W / d(sigma)`, and where that with respect to `W` goes:
/// `s G - a <G, Y> u v'`, with `s = 1 / d` and `a = d' / d`. All matrices are packed rows.
#[derive(Debug)]
pub struct Gradient<'a, T: Steppable> {
    /// `G`.
    pub grad: &'a [T],
    /// `Y`, the normalised matrix.
    pub normalized: &'a [T],
    /// Left vector, one entry for each row; taken as a constant.
    pub u: &'a [T::Vector],
    /// Right vector, one entry for each column.
    pub v: &'a [T::Vector],
    /// `s`.
    pub scale: f64,
    /// `a`; where it is zero, `Y` is not read.
    pub slope: f64,
    /// The result.
    pub out: &'a mut [T],
}

/// A gradient of any element type.
#[derive(Debug)]
#[expect(missing_docs, reason = "the variants are the element types, named as such")]
pub enum AnyGradient<'a> {
    F16(Gradient<'a, f16>),
    Bf16(Gradient<'a, bf16>),
    F32(Gradient<'a, f32>),
    F64(Gradient<'a, f64>),
}

/// Element types of matrices that gradients come back to.
#[expect(private_bounds, reason = "the kernels are the crate's own; no one else implements this")]
pub trait Differentiable: Steppable + GradientKernels {
    /// Wraps a gradient.
    fn gradient(gradient: Gradient<'_, Self>) -> AnyGradient<'_>;
}

macro_rules! impl_differentiable {
    ($($t:ty => $variant:ident),*) => {$(
        impl Differentiable for $t {
            fn gradient(gradient: Gradient<'_, Self>) -> AnyGradient<'_> {
                AnyGradient::$variant(gradient)
            }
        }
    )*};
}
impl_differentiable!(f16 => F16, bf16 => Bf16, f32 => F32, f64 => F64);

/// How many results of its size a large matrix is taken for one of: backward passes hand them in one
/// by one, and none is read before all are there.
const MANY: usize = 16;

/// Whether a result of so many bytes, one of those of a backward pass, is stored past the caches.
pub(crate) fn stores_past(bytes: usize) -> bool {
    schedule::passes_caches(MANY * bytes)
}

/// Computes every gradient, at two reads of each `G` and one of each `Y`.
///
/// # Errors
/// [`Error::ShapeMismatch`] for matrices that do not fit their vectors, [`Error::InvalidParameter`]
/// for a number of threads that will not do, [`Error::LevelUnavailable`] for a tier forced in vain,
/// [`Error::Interrupted`] when the caller stopped the call.
///
/// ```
/// use rsspecnorm::{Control, Differentiable, Gradient, gradient};
///
/// // W = diag(4, 2), so sigma = 4, Y = diag(1, 0.5) and u = v = (1, 0).
/// let (grad, normalized) = ([1.0_f32, 0.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.5]);
/// let (u, v, mut out) = ([1.0, 0.0], [1.0, 0.0], [0.0; 4]);
/// let (scale, slope) = (0.25, 0.25);
/// let one =
///     Gradient { grad: &grad, normalized: &normalized, u: &u, v: &v, scale, slope, out: &mut out };
/// gradient(vec![Differentiable::gradient(one)], Control::default())?;
/// assert_eq!(out, [-0.125, 0.0, 0.0, 0.25]);
/// # Ok::<(), rsspecnorm::Error>(())
/// ```
pub fn gradient(gradients: Vec<AnyGradient<'_>>, control: Control<'_>) -> Result<(), Error> {
    validate::num_threads(control.num_threads)?;
    let level = Level::current()?;
    let mut sizes = Vec::with_capacity(gradients.len());
    let mut bytes = 0;
    for gradient in &gradients {
        with_typed!(AnyGradient, gradient, gradient => {
            validate::gradient(gradient)?;
            sizes.push(gradient.out.len());
            bytes += size_of_val(gradient.out);
        });
    }
    let stream = schedule::passes_caches(bytes);
    let gradients: Vec<Mutex<AnyGradient<'_>>> = gradients.into_iter().map(Mutex::new).collect();
    let work = Work { sizes: &sizes, passes: 2, whole: 0 };
    schedule::run(work, control.num_threads, control.interrupted, &|i, runner| {
        let mut gradient = gradients[i].lock().unwrap_or_else(PoisonError::into_inner);
        with_typed!(AnyGradient, &mut *gradient, gradient => gradient.run(stream, (level, runner)))
    })
}

impl<T: Differentiable> Gradient<'_, T> {
    fn run<R: Runner + Copy>(
        &mut self,
        stream: bool,
        (level, runner): (Level, R),
    ) -> Result<(), Error> {
        let (nrows, ncols) = (self.u.len(), self.v.len());
        if self.out.is_empty() {
            return Ok(());
        }
        let block_rows = block_rows((nrows, ncols));
        let len = block_rows * ncols;
        let pull = match self.slope {
            0.0 => 0.0,
            slope => -slope * self.inner(len, (level, runner))?,
        };
        let (scale, v) = (self.scale, self.v);
        let stream = stream || stores_past(size_of_val(self.out));
        let rows = self.grad.chunks(len).zip(self.u.chunks(block_rows));
        let mut blocks: Vec<_> = rows.zip(self.out.chunks_mut(len)).collect();
        // What the inner product read last is in the nearest cache.
        blocks.reverse();
        runner.run(&mut blocks, &|((g, u), out)| {
            T::correct(level, Correction { g, scale, pull, u, v, out, stream });
        })
    }

    /// `<G, Y>`, summed in the order of the blocks.
    fn inner<R: Runner>(&self, len: usize, (level, runner): (Level, R)) -> Result<f64, Error> {
        let pairs = self.grad.chunks(len).zip(self.normalized.chunks(len));
        let mut blocks: Vec<_> = pairs.map(|pair| (pair, 0.0)).collect();
        runner.run(&mut blocks, &|((g, y), sum)| *sum = T::inner(level, g, y))?;
        Ok(blocks.iter().map(|(_, sum)| sum).sum())
    }
}
