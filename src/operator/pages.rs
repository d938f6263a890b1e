//! Memory for a copy that is read dozens of times.
//!
//! A large one asks the system for huge pages: they are had sooner, and a read finds its place with fewer
//! tables on the way.

use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

use memmap2::MmapMut;

use crate::simd::Aligned;

/// Bytes below which a copy lies in what the allocator has at hand: whole pages of 2 MiB would have to be
/// cleared for parts of them.
const MANY: usize = 1 << 22;

/// Bytes up to which the memory of the last copy is kept for the next: the system hands out cleared pages, and to
/// clear them takes as long as to fill them.
const KEPT: usize = 1 << 24;

static SPARE: Mutex<Option<MmapMut>> = Mutex::new(None);

/// Single-precision numbers from a cache line on, of any values at first.
#[derive(Debug)]
pub(super) struct Pages {
    memory: Memory,
    len: usize,
}

#[derive(Debug)]
enum Memory {
    Few(Aligned<f32>),
    Many(MmapMut),
    Returned,
}

impl Pages {
    /// So many numbers; `None` where there is no memory for them.
    pub(super) fn of(len: usize) -> Option<Self> {
        let bytes = len.checked_mul(size_of::<f32>())?;
        if bytes < MANY {
            return Some(Self { memory: Memory::Few(Aligned::zeros(len)), len });
        }
        let spare = SPARE.try_lock().ok().and_then(|mut spare| spare.take());
        let map = match spare.filter(|map| map.len() >= bytes) {
            Some(map) => map,
            None => map_huge(bytes)?,
        };
        Some(Self { memory: Memory::Many(map), len })
    }
}

fn map_huge(bytes: usize) -> Option<MmapMut> {
    let map = MmapMut::map_anon(bytes).ok()?;
    // Advice that is not taken costs time alone.
    #[cfg(target_os = "linux")]
    let _ = map.advise(memmap2::Advice::HugePage);
    Some(map)
}

impl Drop for Pages {
    fn drop(&mut self) {
        if let Memory::Many(map) = std::mem::replace(&mut self.memory, Memory::Returned)
            && map.len() <= KEPT
            && let Ok(mut spare) = SPARE.try_lock()
        {
            *spare = Some(map);
        }
    }
}

impl Deref for Pages {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        match &self.memory {
            Memory::Few(numbers) => numbers,
            Memory::Many(map) => &bytemuck::cast_slice(map)[..self.len],
            Memory::Returned => &[],
        }
    }
}

impl DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [f32] {
        match &mut self.memory {
            Memory::Few(numbers) => numbers,
            Memory::Many(map) => &mut bytemuck::cast_slice_mut(map)[..self.len],
            Memory::Returned => &mut [],
        }
    }
}
