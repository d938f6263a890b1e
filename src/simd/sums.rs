//! Sums of the lanes of a register, and of four registers at once, for the AVX2 and AVX-512 tiers.
use core::arch::x86_64::*;

/// Folds eight f32 lanes: halves of 4, 2 and 1, as every tier does.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn sum_ps(x: __m256) -> f32 {
    let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
    let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)))
}

/// Folds four f64 lanes: halves of 2 and 1, as every tier does.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn sum_pd(x: __m256d) -> f64 {
    let x = _mm_add_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd::<1>(x));
    _mm_cvtsd_f64(_mm_add_sd(x, _mm_unpackhi_pd(x, x)))
}

/// Sums of four registers of eight f32 lanes, each folded as by [`sum_ps`].
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn sum_each_ps([a, b, c, d]: [__m256; 4]) -> [f32; 4] {
    let ab =
        _mm256_add_ps(_mm256_permute2f128_ps::<0x20>(a, b), _mm256_permute2f128_ps::<0x31>(a, b));
    let cd =
        _mm256_add_ps(_mm256_permute2f128_ps::<0x20>(c, d), _mm256_permute2f128_ps::<0x31>(c, d));
    let (ab, cd) = (_mm256_castps_pd(ab), _mm256_castps_pd(cd));
    let x = _mm256_add_ps(
        _mm256_castpd_ps(_mm256_unpacklo_pd(ab, cd)),
        _mm256_castpd_ps(_mm256_unpackhi_pd(ab, cd)),
    );
    // Lane by lane: a0 a1 c0 c1, b0 b1 d0 d1.
    let x = _mm256_add_ps(x, _mm256_movehdup_ps(x));
    let (ac, bd) = (_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
    let high = |x| _mm_cvtss_f32(_mm_movehl_ps(x, x));
    [_mm_cvtss_f32(ac), _mm_cvtss_f32(bd), high(ac), high(bd)]
}

/// Sums of four registers of four f64 lanes, each folded as by [`sum_pd`].
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn sum_each_pd([a, b, c, d]: [__m256d; 4]) -> [f64; 4] {
    let ab =
        _mm256_add_pd(_mm256_permute2f128_pd::<0x20>(a, b), _mm256_permute2f128_pd::<0x31>(a, b));
    let cd =
        _mm256_add_pd(_mm256_permute2f128_pd::<0x20>(c, d), _mm256_permute2f128_pd::<0x31>(c, d));
    // Lane by lane: a c, b d.
    let x = _mm256_add_pd(_mm256_unpacklo_pd(ab, cd), _mm256_unpackhi_pd(ab, cd));
    let (ac, bd) = (_mm256_castpd256_pd128(x), _mm256_extractf128_pd::<1>(x));
    let high = |x| _mm_cvtsd_f64(_mm_unpackhi_pd(x, x));
    [_mm_cvtsd_f64(ac), _mm_cvtsd_f64(bd), high(ac), high(bd)]
}
