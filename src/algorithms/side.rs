//! One of the two vectors of a power step.

use crate::kernels::divide::Ratio;
use crate::kernels::step::StepVectors;
use crate::scalar::{exponent, halved_power};
use crate::simd::Level;

use super::start;

/// A vector whose length is a norm over `eps` is handed back no shorter than this, or its direction
/// would not survive.
const MIN_LENGTH: f64 = 1.0 / (1_u64 << 60) as f64;

/// A vector by direction, with the length it has in torch's arithmetic.
pub(super) struct Side<A> {
    pub(super) values: Vec<A>,
    /// The norm of `values`.
    pub(super) norm: f64,
    pub(super) length: f64,
    /// Whether the caller handed in a direction.
    pub(super) given: bool,
    /// Whether `values` are no longer the caller's.
    changed: bool,
}

impl<A: StepVectors> Side<A> {
    /// Takes the caller's vector, scaled by a power of two when its norm is far from one.
    pub(super) fn new(level: Level, x: &[A], mut values: Vec<A>) -> Self {
        values.clear();
        values.extend_from_slice(x);
        let mut sum = A::dot(level, x, x);
        if !(1e-6..1e6).contains(&sum) {
            let largest = x.iter().fold(0.0_f64, |m, x| m.max(x.to_f64().abs()));
            let usable = largest > 0.0 && x.iter().all(|x| x.to_f64().is_finite());
            if !usable {
                return Self { values, norm: 0.0, length: 1.0, given: false, changed: false };
            }
            let (half, rest) = halved_power(-exponent(largest));
            values.iter_mut().for_each(|x| *x = A::from_f64(x.to_f64() * half * rest));
            sum = A::dot(level, &values, &values);
        }
        Self { values, norm: sum.sqrt(), length: 1.0, given: true, changed: false }
    }

    pub(super) fn draw(&mut self, level: Level, seed: u64) {
        let mut drawn = vec![0.0; self.values.len()];
        start::fill(level, seed, None, &mut drawn);
        self.values.iter_mut().zip(drawn).for_each(|(x, g)| *x = A::from_f64(g));
        (self.norm, self.length, self.changed) = (1.0, 1.0, true);
    }

    /// Takes `values` of this norm as the direction; `length` is a norm of torch's arithmetic.
    pub(super) fn take(
        &mut self,
        level: Level,
        values: &mut Vec<A>,
        norm: f64,
        length: f64,
        eps: f64,
    ) {
        std::mem::swap(&mut self.values, values);
        A::divide(level, &mut self.values, Ratio::new(norm));
        (self.norm, self.changed) = (1.0, true);
        self.length = length / length.max(eps);
    }

    pub(super) fn hand_back(&self, level: Level, x: &mut [A]) {
        if !self.changed {
            return;
        }
        if self.length == 1.0 {
            x.copy_from_slice(&self.values);
        } else {
            A::scale(level, A::from_f64(self.length.max(MIN_LENGTH)), &self.values, x);
        }
    }
}
