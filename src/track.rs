//! Floor F6: the norms of matrices that change a little between calls.

use std::sync::{Mutex, PoisonError};

use half::{bf16, f16};

use crate::algorithms::tracker::{self, WIDTH};
use crate::api::Control;
use crate::error::Error;
use crate::matrix::MatRef;
use crate::normalize::Steppable;
use crate::operator::step::{DenseStep, Scratch};
use crate::scalar::with_typed;
use crate::schedule::{self, Work};
use crate::simd::Level;
use crate::validate;

/// A matrix that is followed, and its state.
#[derive(Debug)]
pub struct Track<'a, T: Steppable> {
    /// The matrix as it is now.
    pub a: MatRef<'a, T>,
    /// Three vectors of one entry per column, end to end: zeros to begin with, updated in place.
    pub state: &'a mut [T::Vector],
    /// Where sigma goes.
    pub sigma: &'a mut f64,
}

/// A matrix of any element type that is followed.
#[derive(Debug)]
#[expect(missing_docs, reason = "the variants are the element types, named as such")]
pub enum AnyTrack<'a> {
    F16(Track<'a, f16>),
    Bf16(Track<'a, bf16>),
    F32(Track<'a, f32>),
    F64(Track<'a, f64>),
}

/// Element types whose matrices can be followed.
pub trait Trackable: Steppable {
    /// Wraps a matrix.
    fn wrap(track: Track<'_, Self>) -> AnyTrack<'_>;
}

macro_rules! impl_trackable {
    ($($t:ty => $variant:ident),*) => {$(
        impl Trackable for $t {
            fn wrap(track: Track<'_, Self>) -> AnyTrack<'_> {
                AnyTrack::$variant(track)
            }
        }
    )*};
}
impl_trackable!(f16 => F16, bf16 => Bf16, f32 => F32, f64 => F64);

/// Follows every matrix by one pass, or by fifteen where it has no state yet.
///
/// # Errors
/// [`Error::ShapeMismatch`] for a state that does not fit its matrix, [`Error::InvalidParameter`]
/// for a number of threads that will not do, [`Error::LevelUnavailable`] for a tier forced in vain,
/// [`Error::Interrupted`] when the caller stopped the call.
///
/// ```
/// use rsspecnorm::{Control, MatRef, Track, Trackable, track};
///
/// let a = [3.0_f32, 0.0, 0.0, 4.0];
/// let (mut state, mut sigma) = ([0.0; 6], 0.0);
/// let a = MatRef::from_slice(&a, 2, 2).unwrap();
/// let followed = Track { a, state: &mut state, sigma: &mut sigma };
/// track(vec![Trackable::wrap(followed)], 0, Control::default())?;
/// assert!((sigma - 4.0).abs() < 1e-6);
/// # Ok::<(), rsspecnorm::Error>(())
/// ```
pub fn track(tracks: Vec<AnyTrack<'_>>, seed: u64, control: Control<'_>) -> Result<(), Error> {
    validate::num_threads(control.num_threads)?;
    let level = Level::current()?;
    let mut sizes = Vec::with_capacity(tracks.len());
    for track in &tracks {
        with_typed!(AnyTrack, track, track => {
            validate::length("state", track.state.len(), WIDTH * track.a.ncols())?;
            sizes.push(track.a.nrows() * track.a.ncols());
        });
    }
    let tracks: Vec<Mutex<AnyTrack<'_>>> = tracks.into_iter().map(Mutex::new).collect();
    let work = Work { sizes: &sizes, passes: 1, whole: 0 };
    schedule::run(work, control.num_threads, control.interrupted, &|i, runner| {
        let mut track = tracks[i].lock().unwrap_or_else(PoisonError::into_inner);
        with_typed!(AnyTrack, &mut *track, track => {
            let shape = (track.a.nrows(), track.a.ncols());
            let mut scratch = Scratch::default();
            let mut op = DenseStep::new(track.a.shorten(), level, runner, &mut scratch);
            *track.sigma = tracker::run(&mut op, level, seed, shape, track.state)?;
            Ok(())
        })
    })
}
