//! Work vectors that start on a cache line.
//!
//! A virtual vector is as long as a cache line, so on a misaligned vector every load and store of
//! the widest tier touches two lines; the update of `z` then runs at less than half its speed.

use std::ops::{Deref, DerefMut};

/// Bytes of a cache line and of a virtual vector.
const LINE: usize = 64;

/// Doubles of a virtual vector.
pub(crate) const LANES: usize = LINE / size_of::<f64>();

/// A vector of doubles that starts on a cache line. Its length is fixed.
#[derive(Debug)]
pub(crate) struct Aligned {
    buffer: Vec<f64>,
    start: usize,
    len: usize,
}

impl Aligned {
    /// A vector of zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let buffer = vec![0.0; len + LANES - 1];
        let start = buffer.as_ptr().align_offset(LINE);
        // `align_offset` may decline to answer; a misaligned vector is slow, not wrong.
        let start = if start < LANES { start } else { 0 };
        Self { buffer, start, len }
    }
}

impl Deref for Aligned {
    type Target = [f64];
    #[inline]
    fn deref(&self) -> &[f64] {
        &self.buffer[self.start..self.start + self.len]
    }
}

impl DerefMut for Aligned {
    #[inline]
    fn deref_mut(&mut self) -> &mut [f64] {
        &mut self.buffer[self.start..self.start + self.len]
    }
}
