//! bf16 and pairs of 16-bit integers, which the AVX2 and AVX-512 tiers convert by integer operations.

use core::arch::x86_64::*;

/// Eight bf16 are the upper halves of eight f32.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn single_bf16(bits: __m128i) -> __m256 {
    _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(bits)))
}

/// What the lower halves of eight words are in the place of the upper ones.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn lower_i32(words: __m256i) -> __m256 {
    _mm256_cvtepi32_ps(_mm256_slli_epi32::<16>(words))
}

/// The upper halves of eight f32, rounded to the nearest, ties to even; a NaN stays one.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn narrow_bf16(x: __m256) -> __m128i {
    let bits = _mm256_castps_si256(x);
    let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
    let half = _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff));
    let rounded = _mm256_add_epi32(bits, half);
    let quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x40_0000));
    let is_nan = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_UNORD_Q>(x, x));
    let upper = _mm256_srli_epi32::<16>(_mm256_blendv_epi8(rounded, quiet, is_nan));
    _mm_packus_epi32(_mm256_castsi256_si128(upper), _mm256_extracti128_si256::<1>(upper))
}
