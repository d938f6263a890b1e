//! Squares of lanes turned about their diagonal, for the AVX2 and AVX-512 tiers.
//!
//! Blocks of 128 bits go to their places first: of the moves for columns that nobody asks for, none
//! is left once the compiler has inlined this.

use core::arch::x86_64::*;

/// Four rows of a 4 x 4 square in each block of 128 bits, turned.
macro_rules! turned {
    ($rows:expr, $low:ident, $high:ident, $to_pd:ident, $to_ps:ident, $low_pd:ident, $high_pd:ident) => {{
        let [a, b, c, d] = $rows;
        let (ab, cd) = ($to_pd($low(a, b)), $to_pd($low(c, d)));
        let (ab_high, cd_high) = ($to_pd($high(a, b)), $to_pd($high(c, d)));
        [
            $to_ps($low_pd(ab, cd)),
            $to_ps($high_pd(ab, cd)),
            $to_ps($low_pd(ab_high, cd_high)),
            $to_ps($high_pd(ab_high, cd_high)),
        ]
    }};
}

/// Four registers, each with the block of all that lies in one place.
macro_rules! blocks {
    ($rows:expr, $shuffle:ident) => {{
        let [a, b, c, d] = $rows;
        let (ab, cd) = ($shuffle::<0x44>(a, b), $shuffle::<0x44>(c, d));
        let (ab_high, cd_high) = ($shuffle::<0xee>(a, b), $shuffle::<0xee>(c, d));
        [
            $shuffle::<0x88>(ab, cd),
            $shuffle::<0xdd>(ab, cd),
            $shuffle::<0x88>(ab_high, cd_high),
            $shuffle::<0xdd>(ab_high, cd_high),
        ]
    }};
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn sixteen_by_sixteen(r: [__m512; 16]) -> [__m512; 16] {
    let mut out = r;
    let p = blocks!([r[0], r[4], r[8], r[12]], _mm512_shuffle_f32x4);
    let q = blocks!([r[1], r[5], r[9], r[13]], _mm512_shuffle_f32x4);
    let s = blocks!([r[2], r[6], r[10], r[14]], _mm512_shuffle_f32x4);
    let t = blocks!([r[3], r[7], r[11], r[15]], _mm512_shuffle_f32x4);
    let mut k = 0;
    while k < 4 {
        [out[4 * k], out[4 * k + 1], out[4 * k + 2], out[4 * k + 3]] = turned!(
            [p[k], q[k], s[k], t[k]],
            _mm512_unpacklo_ps,
            _mm512_unpackhi_ps,
            _mm512_castps_pd,
            _mm512_castpd_ps,
            _mm512_unpacklo_pd,
            _mm512_unpackhi_pd
        );
        k += 1;
    }
    out
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn eight_by_eight_wide(r: [__m512d; 8]) -> [__m512d; 8] {
    let mut out = r;
    let p = blocks!([r[0], r[2], r[4], r[6]], _mm512_shuffle_f64x2);
    let q = blocks!([r[1], r[3], r[5], r[7]], _mm512_shuffle_f64x2);
    let mut k = 0;
    while k < 4 {
        out[2 * k] = _mm512_unpacklo_pd(p[k], q[k]);
        out[2 * k + 1] = _mm512_unpackhi_pd(p[k], q[k]);
        k += 1;
    }
    out
}

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn eight_by_eight(r: [__m256; 8]) -> [__m256; 8] {
    let mut out = r;
    let mut low = [r[0], r[1], r[2], r[3]];
    let mut high = low;
    let mut i = 0;
    while i < 4 {
        low[i] = _mm256_permute2f128_ps::<0x20>(r[i], r[i + 4]);
        high[i] = _mm256_permute2f128_ps::<0x31>(r[i], r[i + 4]);
        i += 1;
    }
    [out[0], out[1], out[2], out[3]] = turned_256(low);
    [out[4], out[5], out[6], out[7]] = turned_256(high);
    out
}

#[target_feature(enable = "avx2")]
#[inline]
fn turned_256(rows: [__m256; 4]) -> [__m256; 4] {
    turned!(
        rows,
        _mm256_unpacklo_ps,
        _mm256_unpackhi_ps,
        _mm256_castps_pd,
        _mm256_castpd_ps,
        _mm256_unpacklo_pd,
        _mm256_unpackhi_pd
    )
}

#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn four_by_four([a, b, c, d]: [__m256d; 4]) -> [__m256d; 4] {
    let (ac, bd) = (_mm256_permute2f128_pd::<0x20>(a, c), _mm256_permute2f128_pd::<0x20>(b, d));
    let (ac_high, bd_high) =
        (_mm256_permute2f128_pd::<0x31>(a, c), _mm256_permute2f128_pd::<0x31>(b, d));
    [
        _mm256_unpacklo_pd(ac, bd),
        _mm256_unpackhi_pd(ac, bd),
        _mm256_unpacklo_pd(ac_high, bd_high),
        _mm256_unpackhi_pd(ac_high, bd_high),
    ]
}
