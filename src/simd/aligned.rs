//! Work vectors that start on a cache line.
//!
//! A virtual vector is as long as a cache line, so on a misaligned vector every load and store of
//! the widest tier touches two lines; the update of `z` then runs at less than half its speed.

use std::ops::{Deref, DerefMut};

use super::vector::Real;

/// Bytes of a cache line and of a virtual vector.
pub(crate) const LINE: usize = 64;

/// Doubles of a virtual vector.
pub(crate) const LANES: usize = LINE / size_of::<f64>();

/// A vector that starts on a cache line. Its length is fixed.
#[derive(Debug)]
pub(crate) struct Aligned<A = f64> {
    buffer: Vec<A>,
    start: usize,
    len: usize,
}

impl<A: Real> Aligned<A> {
    /// A vector of zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let slack = LINE / A::SIZE - 1;
        let buffer = vec![A::ZERO; len + slack];
        let start = buffer.as_ptr().align_offset(LINE);
        // `align_offset` may decline to answer; a misaligned vector is slow, not wrong.
        let start = if start <= slack { start } else { 0 };
        Self { buffer, start, len }
    }
}

impl<A> Deref for Aligned<A> {
    type Target = [A];
    #[inline]
    fn deref(&self) -> &[A] {
        &self.buffer[self.start..self.start + self.len]
    }
}

impl<A> DerefMut for Aligned<A> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [A] {
        &mut self.buffer[self.start..self.start + self.len]
    }
}
