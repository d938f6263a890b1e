//! Floor F6: gradients that come back to the weight of a layer which divides its output by sigma.

use std::sync::{Mutex, PoisonError};

use crate::api::Control;
use crate::error::Error;
use crate::gradient::stores_past;
use crate::kernels::outer::{Outer, OuterKernels, ROWS, Sides};
use crate::operator::Runner;
use crate::operator::step::block_rows;
use crate::scalar::Element;
use crate::schedule::{self, Work};
use crate::simd::Level;
use crate::validate;

/// A gradient `D` with respect to a layer's output `(W x) / d(sigma)`, and where that with respect to `W` goes:
/// `s D' X + p u v'`, for few rows of input `X`. All matrices are packed rows.
#[derive(Debug)]
pub struct LayerGradient<'a, T> {
    /// `D`, one row for each row of `x`.
    pub grad: &'a [T],
    /// `X`, the input.
    pub x: &'a [T],
    /// Left vector, one entry for each row of the weight; taken as a constant.
    pub u: &'a [T],
    /// Right vector, one entry for each column.
    pub v: &'a [T],
    /// `s`.
    pub scale: f64,
    /// `p`.
    pub pull: f64,
    /// The result.
    pub out: &'a mut [T],
}

/// Element types of weights that such gradients come back to.
#[expect(private_bounds, reason = "the kernels are the crate's own; no one else implements this")]
pub trait LayerElement: Element + OuterKernels {}
impl LayerElement for f32 {}
impl LayerElement for f64 {}

/// Writes the gradient once, where a product and a correction of rank one would write it twice.
///
/// # Errors
/// [`Error::ShapeMismatch`] for matrices that do not fit the vectors, [`Error::InvalidParameter`]
/// for a number of threads that will not do, [`Error::LevelUnavailable`] for a tier forced in vain,
/// [`Error::Interrupted`] when the caller stopped the call.
///
/// ```
/// use rsspecnorm::{Control, LayerGradient, layer_gradient};
///
/// let (grad, x, u, v) = ([1.0_f32, 2.0], [3.0, 4.0, 5.0], [1.0, 0.0], [0.0, 0.0, 1.0]);
/// let mut out = [0.0; 6];
/// let (scale, pull) = (0.5, -1.0);
/// let one = LayerGradient { grad: &grad, x: &x, u: &u, v: &v, scale, pull, out: &mut out };
/// layer_gradient(one, Control::default())?;
/// assert_eq!(out, [1.5, 2.0, 1.5, 3.0, 4.0, 5.0]);
/// # Ok::<(), rsspecnorm::Error>(())
/// ```
pub fn layer_gradient<T: LayerElement>(
    gradient: LayerGradient<'_, T>,
    control: Control<'_>,
) -> Result<(), Error> {
    validate::num_threads(control.num_threads)?;
    validate::layer_gradient(&gradient)?;
    let level = Level::current()?;
    let LayerGradient { grad, x, u, v, scale, pull, out } = gradient;
    if out.is_empty() {
        return Ok(());
    }
    let (nrows, ncols) = (u.len(), v.len());
    let sides = sides((grad, x), (u, v), (scale, pull));
    let stream = stores_past(size_of_val(out));
    let step = block_rows((nrows, ncols)).next_multiple_of(ROWS);
    let starts = (0..nrows).step_by(step);
    let blocks = Mutex::new(starts.zip(out.chunks_mut(step * ncols)).collect::<Vec<_>>());
    let work = Work { sizes: &[nrows * ncols], passes: 1, whole: 0 };
    schedule::run(work, control.num_threads, control.interrupted, &|_, runner| {
        let mut blocks = blocks.lock().unwrap_or_else(PoisonError::into_inner);
        runner.run(&mut blocks, &|(start, out)| {
            let rows = *start..*start + out.len() / ncols;
            T::outer(level, Outer { sides: &sides, rows, out, stream });
        })
    })
}

/// The vectors of which the gradient is the sum of outer products; `u` and `v` come last.
fn sides<T: LayerElement>(
    (grad, x): (&[T], &[T]),
    (u, v): (&[T], &[T]),
    (scale, pull): (f64, f64),
) -> Sides<T> {
    let (scale, pull) = (T::from_f64(scale), T::from_f64(pull));
    let count = grad.len() / u.len();
    let mut sides = Sides::zeros((u.len(), v.len()), count + 1);
    for (k, (left, right)) in grad.chunks(u.len()).zip(x.chunks(v.len())).enumerate() {
        sides.set(k, (scale, left), right);
    }
    sides.set(count, (pull, u), v);
    sides
}
