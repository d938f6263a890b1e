//! One entry of several matrices, a lane each.

use std::ops::{Deref, DerefMut};

/// The lanes lie on a cache line. If they did not, every load and store would touch two, and now and then two
/// pages, which takes far longer.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct Entry<A, const L: usize>(pub(crate) [A; L]);

impl<A, const L: usize> Deref for Entry<A, L> {
    type Target = [A; L];
    #[inline(always)]
    fn deref(&self) -> &[A; L] {
        &self.0
    }
}

impl<A, const L: usize> DerefMut for Entry<A, L> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [A; L] {
        &mut self.0
    }
}

impl<A, const L: usize> From<[A; L]> for Entry<A, L> {
    #[inline(always)]
    fn from(lanes: [A; L]) -> Self {
        Self(lanes)
    }
}
