//! Masks for the first lanes of the virtual vector, in the registers of the AVX2 tier.
#![expect(unsafe_code, reason = "this floor is where intrinsics are called")]

use core::arch::x86_64::*;

/// Where a window of ones before zeros begins to have `len` ones.
const ONES: usize = 16;
static MASK: [i32; 2 * ONES] = {
    let mut mask = [0; 2 * ONES];
    let mut i = 0;
    while i < ONES {
        mask[i] = -1;
        i += 1;
    }
    mask
};
static WIDE_MASK: [i64; ONES] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

/// Masks for the first `len <= 16` of sixteen f32 lanes.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn mask_ps(len: usize) -> (__m256i, __m256i) {
    let window: &[i32; 16] = MASK[ONES - len..][..16].try_into().expect("it has 16 entries");
    // SAFETY: both halves of the window are eight integers, and loads need no alignment.
    unsafe {
        (
            _mm256_loadu_si256(window.as_ptr().cast()),
            _mm256_loadu_si256(window[8..].as_ptr().cast()),
        )
    }
}

/// Masks for the lanes `first .. end <= 16` of sixteen f32 lanes.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn window_ps(first: usize, end: usize) -> (__m256i, __m256i) {
    let ((low, high), (before_low, before_high)) = (mask_ps(end), mask_ps(first));
    (_mm256_andnot_si256(before_low, low), _mm256_andnot_si256(before_high, high))
}

/// Masks for the first `len <= 8` of eight f64 lanes.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn mask_pd(len: usize) -> (__m256i, __m256i) {
    let window: &[i64; 8] = WIDE_MASK[8 - len..][..8].try_into().expect("it has 8 entries");
    // SAFETY: both halves of the window are four integers, and loads need no alignment.
    unsafe {
        (
            _mm256_loadu_si256(window.as_ptr().cast()),
            _mm256_loadu_si256(window[4..].as_ptr().cast()),
        )
    }
}
