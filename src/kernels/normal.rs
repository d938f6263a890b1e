//! Independent standard normal numbers: the Box-Muller transform of a counter-based generator.
//!
//! Logarithm, sine and cosine are their series, in additions and multiplications that round alike wherever they
//! run: a key gives the same numbers on every tier and machine. The compiler makes vectors of the loops.

use std::f64::consts::{FRAC_PI_2, LN_2};

use crate::simd::{Kernel, Level, Simd};

/// Pairs that are made at a time.
const PAIRS: usize = 8;

/// The bits of one, which are those of any number from there to two above the mantissa.
const ONE: u64 = 1.0_f64.to_bits();
const MANTISSA: u64 = (1 << 52) - 1;

/// `0x433` above an integer is 2^52 more than it.
const INTEGER: f64 = (1_u64 << 52) as f64;

/// Fills `out` with independent standard normal numbers, a function of the key and of the place.
pub(crate) fn normals(level: Level, key: u64, out: &mut [f64]) {
    level.run(Normals { key, out });
}

struct Normals<'a> {
    key: u64,
    out: &'a mut [f64],
}

impl Kernel for Normals<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, _: S) {
        for (i, out) in self.out.chunks_mut(2 * PAIRS).enumerate() {
            let numbers = numbers(self.key, (2 * PAIRS * i) as u64);
            out.copy_from_slice(&numbers[..out.len()]);
        }
    }
}

/// The numbers from place `first` on.
#[inline(always)]
fn numbers(key: u64, first: u64) -> [f64; 2 * PAIRS] {
    let (mut bits, mut numbers) = ([[0; PAIRS]; 2], [0.0; 2 * PAIRS]);
    for (half, bits) in bits.iter_mut().enumerate() {
        for (k, bits) in bits.iter_mut().enumerate() {
            *bits = random(key, first + (PAIRS * half + k) as u64);
        }
    }
    let (x, y) = numbers.split_at_mut(PAIRS);
    for k in 0..PAIRS {
        let radius = (-2.0 * ln(2.0 - one_to_two(bits[0][k]))).sqrt();
        // Two bits that are not in the number turn a quarter of the circle into all of it.
        let (swaps, turns) = (bits[1][k] & 1, bits[1][k] >> 1 & 1);
        let radius = f64::from_bits(radius.to_bits() | turns << 63);
        let angle = (one_to_two(bits[1][k]) - 1.5) * FRAC_PI_2;
        let square = angle * angle;
        let (sin, cos) = (angle * series(&SIN, square), series(&COS, square));
        x[k] = radius * if swaps == 0 { cos } else { sin };
        y[k] = radius * if swaps == 0 { sin } else { cos };
    }
    numbers
}

/// A number between one and two, of the upper 52 bits.
#[inline(always)]
fn one_to_two(bits: u64) -> f64 {
    f64::from_bits(ONE | bits >> 12)
}

/// The logarithm of a positive normal number.
#[inline(always)]
fn ln(x: f64) -> f64 {
    // x = m 2^e with m from sqrt(1/2) to sqrt(2), and ln m = 2 artanh((m - 1) / (m + 1)).
    const LEAST: u64 = std::f64::consts::FRAC_1_SQRT_2.to_bits();
    let bits = x.to_bits() + (ONE - LEAST);
    let e = f64::from_bits(INTEGER.to_bits() | bits >> 52) - (INTEGER + 1023.0);
    let m = f64::from_bits((bits & MANTISSA) + LEAST);
    let s = (m - 1.0) / (m + 1.0);
    e * LN_2 + 2.0 * s * series(&ARTANH, s * s)
}

/// `artanh x / x`, `sin x / x` and `cos x` by powers of `x^2`, as many as a double tells apart here.
const ARTANH: [f64; 10] = {
    let (mut terms, mut k) = ([1.0; 10], 1);
    while k < terms.len() {
        terms[k] = 1.0 / (2 * k + 1) as f64;
        k += 1;
    }
    terms
};
const SIN: [f64; 8] = alternating(1);
const COS: [f64; 9] = alternating(0);

/// `1 / first!`, `-1 / (first + 2)!`, ...
const fn alternating<const N: usize>(first: usize) -> [f64; N] {
    let (mut terms, mut k) = ([1.0; N], 1);
    while k < N {
        let i = 2 * k + first;
        terms[k] = -terms[k - 1] / (i * (i - 1)) as f64;
        k += 1;
    }
    terms
}

#[inline(always)]
fn series<const N: usize>(terms: &[f64; N], x: f64) -> f64 {
    let mut sum = terms[N - 1];
    for &term in terms[..N - 1].iter().rev() {
        sum = sum * x + term;
    }
    sum
}

#[inline(always)]
fn random(key: u64, counter: u64) -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    mix(key.wrapping_add(counter.wrapping_add(1).wrapping_mul(STEP)))
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
#[inline(always)]
pub(crate) fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
#[path = "../../tests/rust/unit/normal.rs"]
mod tests;
