//! Lanes brought to any places, for the AVX2 and AVX-512 tiers.
#![expect(unsafe_code, reason = "this floor is where intrinsics are called")]

use core::arch::x86_64::*;

/// Lane `lanes[l]` of sixteen as lane `l`.
#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn sixteen(x: __m512, lanes: &[u32; 16]) -> __m512 {
    // SAFETY: the array holds sixteen indices, whatever its alignment.
    let lanes = unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) };
    _mm512_permutexvar_ps(lanes, x)
}

/// Lane `lanes[l]` of eight as lane `l`.
#[target_feature(enable = "avx512f,avx2")]
#[inline]
pub(super) fn eight(x: __m512d, lanes: &[u32; 8]) -> __m512d {
    // SAFETY: the array holds eight indices, whatever its alignment.
    let lanes = unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) };
    _mm512_permutexvar_pd(_mm512_cvtepu32_epi64(lanes), x)
}

/// The same for sixteen lanes in two registers.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn pair_ps(low: __m256, high: __m256, lanes: &[u32; 16]) -> (__m256, __m256) {
    // SAFETY: the halves of the array hold eight indices each, whatever their alignment.
    let (first, second) = unsafe {
        let second = lanes[8..].as_ptr();
        (_mm256_loadu_si256(lanes.as_ptr().cast()), _mm256_loadu_si256(second.cast()))
    };
    (of_pair_ps(low, high, first), of_pair_ps(low, high, second))
}

/// A permutation looks at the last three bits of an index; the fourth tells the register.
#[target_feature(enable = "avx2")]
#[inline]
fn of_pair_ps(low: __m256, high: __m256, lanes: __m256i) -> __m256 {
    let is_high = _mm256_castsi256_ps(_mm256_slli_epi32::<28>(lanes));
    let low = _mm256_permutevar8x32_ps(low, lanes);
    _mm256_blendv_ps(low, _mm256_permutevar8x32_ps(high, lanes), is_high)
}

/// The same for eight lanes in two registers.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn pair_pd(low: __m256d, high: __m256d, lanes: &[u32; 8]) -> (__m256d, __m256d) {
    // SAFETY: the halves of the array hold four indices each, whatever their alignment.
    let (first, second) = unsafe {
        let second = lanes[4..].as_ptr();
        (_mm_loadu_si128(lanes.as_ptr().cast()), _mm_loadu_si128(second.cast()))
    };
    (of_pair_pd(low, high, first), of_pair_pd(low, high, second))
}

/// Lanes move as two halves of 32 bits; the third bit of an index tells the register.
#[target_feature(enable = "avx2")]
#[inline]
fn of_pair_pd(low: __m256d, high: __m256d, lanes: __m128i) -> __m256d {
    let lanes = _mm256_cvtepu32_epi64(lanes);
    let is_high = _mm256_castsi256_pd(_mm256_slli_epi64::<61>(lanes));
    let first = _mm256_slli_epi64::<1>(lanes);
    let second = _mm256_slli_epi64::<32>(_mm256_add_epi64(first, _mm256_set1_epi64x(1)));
    let halves = _mm256_or_si256(first, second);
    let low = _mm256_permutevar8x32_ps(_mm256_castpd_ps(low), halves);
    let high = _mm256_permutevar8x32_ps(_mm256_castpd_ps(high), halves);
    _mm256_blendv_pd(_mm256_castps_pd(low), _mm256_castps_pd(high), is_high)
}
