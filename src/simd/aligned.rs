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

/// A vector that starts on a cache line.
#[derive(Debug)]
pub(crate) struct Aligned<A = f64> {
    buffer: Vec<A>,
    start: usize,
    len: usize,
}

impl<A: Real> Aligned<A> {
    /// A vector of zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let buffer = vec![A::ZERO; len + Self::SLACK];
        Self { start: Self::start(&buffer), buffer, len }
    }

    /// An empty vector with room for so many elements, which costs nothing until it is used.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        let mut buffer = Vec::with_capacity(capacity + Self::SLACK);
        let start = Self::start(&buffer);
        buffer.resize(start, A::ZERO);
        Self { buffer, start, len: 0 }
    }

    /// Appends zeros, and moves to twice the room where there is none.
    pub(crate) fn grow(&mut self, count: usize) {
        let len = self.len + count;
        if self.start + len > self.buffer.capacity() {
            let mut larger = Self::with_capacity(2 * len);
            larger.buffer.extend_from_slice(self);
            *self = larger;
        }
        self.buffer.resize(self.start + len, A::ZERO);
        self.len = len;
    }

    /// Elements before the first cache line at most.
    const SLACK: usize = LINE / A::SIZE - 1;

    /// The element at which a cache line starts.
    fn start(buffer: &[A]) -> usize {
        let start = buffer.as_ptr().align_offset(LINE);
        // `align_offset` may decline to answer; a misaligned vector is slow, not wrong.
        if start <= Self::SLACK { start } else { 0 }
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
