//! Memory for a copy that is read dozens of times.
//!
//! A large one asks the system for huge pages: they are had sooner, and a read finds its place with fewer
//! tables on the way.

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

use crate::simd::Aligned;

/// Bytes below which a copy lies in what the allocator has at hand: whole pages of 2 MiB would have to be
/// cleared for parts of them.
const MANY: usize = 1 << 22;

/// Single-precision numbers from a cache line on, at first zero.
#[derive(Debug)]
pub(super) enum Pages {
    Few(Aligned<f32>),
    Many(MmapMut),
}

impl Pages {
    /// So many zeros; `None` where there is no memory for them.
    pub(super) fn zeros(len: usize) -> Option<Self> {
        let bytes = len.checked_mul(size_of::<f32>())?;
        if bytes < MANY {
            return Some(Self::Few(Aligned::zeros(len)));
        }
        let map = MmapMut::map_anon(bytes).ok()?;
        // Advice that is not taken costs time alone.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Some(Self::Many(map))
    }
}

impl Deref for Pages {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        match self {
            Self::Few(numbers) => numbers,
            Self::Many(map) => bytemuck::cast_slice(map),
        }
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [f32] {
        match self {
            Self::Few(numbers) => numbers,
            Self::Many(map) => bytemuck::cast_slice_mut(map),
        }
    }
}
