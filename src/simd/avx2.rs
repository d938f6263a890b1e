//! The AVX2 tier: two 256-bit registers hold the virtual vector.
#![expect(unsafe_code, reason = "this floor is where intrinsics are called")]

use core::arch::x86_64::*;

use half::{bf16, f16};

use super::integer::{lower_i32, narrow_bf16, single_bf16};
use super::masks::{mask_pd, mask_ps, window_ps};
use super::ops::{memory_ops, ops};
use super::permute::{pair_pd, pair_ps};
use super::sums::{sum_each_pd, sum_each_ps, sum_pd, sum_ps};
use super::transpose::{eight_by_eight, four_by_four};
use super::vector::{Kernel, Lanes, Simd, Vector};

/// Proof that the CPU has AVX2, FMA and F16C: only [`Avx2::new`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx2(());

impl Avx2 {
    /// The token, when the CPU has the features that `run` enables.
    #[must_use]
    pub fn new() -> Option<Self> {
        // The list must equal the one on `enter` below.
        (is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c"))
        .then_some(Self(()))
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn enter<K: Kernel>(token: Avx2, kernel: K) -> K::Output {
    kernel.eval(token)
}

/// Splits eight f32 lanes into two registers of four f64.
#[target_feature(enable = "avx2")]
#[inline]
fn widen(x: __m256) -> F64s {
    let high = _mm256_extractf128_ps::<1>(x);
    F64s(_mm256_cvtps_pd(_mm256_castps256_ps128(x)), _mm256_cvtps_pd(high))
}

/// Sixteen lanes of f32, made by [`Avx2`] alone.
#[derive(Clone, Copy)]
pub(crate) struct F32s(__m256, __m256);

/// Eight lanes of f64, made by [`Avx2`] alone.
#[derive(Clone, Copy)]
pub(crate) struct F64s(__m256d, __m256d);

impl Lanes<f32, 16> for Avx2 {
    type V = F32s;

    ops! {
        fn splat(self, x: f32) -> F32s = F32s(_mm256_set1_ps(x), _mm256_set1_ps(x));
        fn load(self, src: &[f32; 16]) -> F32s =
            F32s(_mm256_loadu_ps(src.as_ptr()), _mm256_loadu_ps(src[8..].as_ptr()));
    }

    #[inline(always)]
    fn load_partial(self, src: &[f32]) -> F32s {
        assert!(src.len() < 16, "a partial load holds less than a vector");
        // SAFETY: the token proves AVX2; the masks keep the loads inside `src`, and masked-off
        // lanes are neither read nor faulted on, so the second address is not used beyond it.
        unsafe {
            let (low, high) = mask_ps(src.len());
            let upper = src.as_ptr().wrapping_add(8);
            F32s(_mm256_maskload_ps(src.as_ptr(), low), _mm256_maskload_ps(upper, high))
        }
    }

    #[inline(always)]
    fn load_at(self, src: &[f32], first: usize) -> F32s {
        let start = src.as_ptr().wrapping_sub(first);
        // SAFETY: as above, the masks being those of the lanes of `src`.
        unsafe {
            let (low, high) = window_ps(first, first + src.len());
            F32s(_mm256_maskload_ps(start, low), _mm256_maskload_ps(start.wrapping_add(8), high))
        }
    }
}

impl Vector<f32, 16> for F32s {
    ops! {
        fn store(self, dst: &mut [f32; 16]) -> () = {
            _mm256_storeu_ps(dst.as_mut_ptr(), self.0);
            _mm256_storeu_ps(dst[8..].as_mut_ptr(), self.1);
        };
        fn add(self, y: Self) -> Self =
            Self(_mm256_add_ps(self.0, y.0), _mm256_add_ps(self.1, y.1));
        fn mul(self, y: Self) -> Self =
            Self(_mm256_mul_ps(self.0, y.0), _mm256_mul_ps(self.1, y.1));
        fn sub(self, y: Self) -> Self =
            Self(_mm256_sub_ps(self.0, y.0), _mm256_sub_ps(self.1, y.1));
        fn div(self, y: Self) -> Self =
            Self(_mm256_div_ps(self.0, y.0), _mm256_div_ps(self.1, y.1));
        fn sqrt(self) -> Self = Self(_mm256_sqrt_ps(self.0), _mm256_sqrt_ps(self.1));
        fn select_le(self, limit: Self, yes: Self, no: Self) -> Self = {
            let low = _mm256_cmp_ps::<_CMP_LE_OQ>(self.0, limit.0);
            let high = _mm256_cmp_ps::<_CMP_LE_OQ>(self.1, limit.1);
            Self(_mm256_blendv_ps(no.0, yes.0, low), _mm256_blendv_ps(no.1, yes.1, high))
        };
        fn le_bits(self, limit: Self) -> u32 = {
            let low = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LE_OQ>(self.0, limit.0));
            let high = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LE_OQ>(self.1, limit.1));
            (low | high << 8).cast_unsigned()
        };
        fn permute(self, lanes: &[u32; 16]) -> Self = {
            let (low, high) = pair_ps(self.0, self.1, lanes);
            Self(low, high)
        };
        fn mul_add(self, y: Self, z: Self) -> Self =
            Self(_mm256_fmadd_ps(self.0, y.0, z.0), _mm256_fmadd_ps(self.1, y.1, z.1));
        fn max_abs(self, y: Self) -> Self = {
            let sign = _mm256_set1_ps(-0.0);
            let (low, high) = (_mm256_andnot_ps(sign, y.0), _mm256_andnot_ps(sign, y.1));
            Self(_mm256_max_ps(self.0, low), _mm256_max_ps(self.1, high))
        };
        fn power_below(self) -> Self = {
            let exponent = _mm256_set1_ps(f32::INFINITY);
            Self(_mm256_and_ps(self.0, exponent), _mm256_and_ps(self.1, exponent))
        };
        fn sum(self) -> f32 = sum_ps(_mm256_add_ps(self.0, self.1));
        fn max(self) -> f32 = {
            let x = _mm256_max_ps(self.0, self.1);
            let x = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let x = _mm_max_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)))
        };
    }

    #[inline(always)]
    fn transpose(rows: [Self; 16]) -> [Self; 16] {
        // SAFETY: the vectors were made by a token, which proves AVX2.
        unsafe {
            let mut out = rows;
            let (mut low, mut high) = ([rows[0].0; 8], [rows[0].0; 8]);
            for upper in [false, true] {
                for i in 0..8 {
                    (low[i], high[i]) =
                        if upper { (rows[i].1, rows[i + 8].1) } else { (rows[i].0, rows[i + 8].0) };
                }
                let (low, high) = (eight_by_eight(low), eight_by_eight(high));
                for i in 0..8 {
                    out[i + if upper { 8 } else { 0 }] = Self(low[i], high[i]);
                }
            }
            out
        }
    }

    #[inline(always)]
    fn sum_each(xs: [Self; 4]) -> [f32; 4] {
        // SAFETY: the vectors were made by a token, which proves AVX2.
        unsafe {
            let [a, b, c, d] = xs;
            sum_each_ps([
                _mm256_add_ps(a.0, a.1),
                _mm256_add_ps(b.0, b.1),
                _mm256_add_ps(c.0, c.1),
                _mm256_add_ps(d.0, d.1),
            ])
        }
    }

    #[inline(always)]
    fn stream(self, dst: &mut [f32; 16]) {
        if !dst.as_ptr().addr().is_multiple_of(32) {
            return self.store(dst);
        }
        // SAFETY: `self` was made by a token, which proves AVX2; `dst` is aligned to 32 bytes and
        // holds both registers.
        unsafe {
            _mm256_stream_ps(dst.as_mut_ptr(), self.0);
            _mm256_stream_ps(dst[8..].as_mut_ptr(), self.1);
        }
    }

    #[inline(always)]
    fn store_partial(self, dst: &mut [f32]) {
        assert!(dst.len() < 16, "a partial store holds less than a vector");
        // SAFETY: `self` was made by a token, which proves AVX2; the masks keep the stores inside
        // `dst`, so the second address is not used beyond it.
        unsafe {
            let (low, high) = mask_ps(dst.len());
            _mm256_maskstore_ps(dst.as_mut_ptr(), low, self.0);
            _mm256_maskstore_ps(dst.as_mut_ptr().wrapping_add(8), high, self.1);
        }
    }
}

impl Lanes<f64, 8> for Avx2 {
    type V = F64s;

    ops! {
        fn splat(self, x: f64) -> F64s = F64s(_mm256_set1_pd(x), _mm256_set1_pd(x));
        fn load(self, src: &[f64; 8]) -> F64s =
            F64s(_mm256_loadu_pd(src.as_ptr()), _mm256_loadu_pd(src[4..].as_ptr()));
    }

    #[inline(always)]
    fn load_partial(self, src: &[f64]) -> F64s {
        assert!(src.len() < 8, "a partial load holds less than a vector");
        // SAFETY: the token proves AVX2; the masks keep the loads inside `src`, and masked-off
        // lanes are neither read nor faulted on, so the second address is not used beyond it.
        unsafe {
            let (low, high) = mask_pd(src.len());
            let upper = src.as_ptr().wrapping_add(4);
            F64s(_mm256_maskload_pd(src.as_ptr(), low), _mm256_maskload_pd(upper, high))
        }
    }
}

impl Vector<f64, 8> for F64s {
    ops! {
        fn store(self, dst: &mut [f64; 8]) -> () = {
            _mm256_storeu_pd(dst.as_mut_ptr(), self.0);
            _mm256_storeu_pd(dst[4..].as_mut_ptr(), self.1);
        };
        fn add(self, y: Self) -> Self =
            Self(_mm256_add_pd(self.0, y.0), _mm256_add_pd(self.1, y.1));
        fn mul(self, y: Self) -> Self =
            Self(_mm256_mul_pd(self.0, y.0), _mm256_mul_pd(self.1, y.1));
        fn sub(self, y: Self) -> Self =
            Self(_mm256_sub_pd(self.0, y.0), _mm256_sub_pd(self.1, y.1));
        fn div(self, y: Self) -> Self =
            Self(_mm256_div_pd(self.0, y.0), _mm256_div_pd(self.1, y.1));
        fn sqrt(self) -> Self = Self(_mm256_sqrt_pd(self.0), _mm256_sqrt_pd(self.1));
        fn select_le(self, limit: Self, yes: Self, no: Self) -> Self = {
            let low = _mm256_cmp_pd::<_CMP_LE_OQ>(self.0, limit.0);
            let high = _mm256_cmp_pd::<_CMP_LE_OQ>(self.1, limit.1);
            Self(_mm256_blendv_pd(no.0, yes.0, low), _mm256_blendv_pd(no.1, yes.1, high))
        };
        fn le_bits(self, limit: Self) -> u32 = {
            let low = _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_LE_OQ>(self.0, limit.0));
            let high = _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_LE_OQ>(self.1, limit.1));
            (low | high << 4).cast_unsigned()
        };
        fn permute(self, lanes: &[u32; 8]) -> Self = {
            let (low, high) = pair_pd(self.0, self.1, lanes);
            Self(low, high)
        };
        fn mul_add(self, y: Self, z: Self) -> Self =
            Self(_mm256_fmadd_pd(self.0, y.0, z.0), _mm256_fmadd_pd(self.1, y.1, z.1));
        fn max_abs(self, y: Self) -> Self = {
            let sign = _mm256_set1_pd(-0.0);
            let (low, high) = (_mm256_andnot_pd(sign, y.0), _mm256_andnot_pd(sign, y.1));
            Self(_mm256_max_pd(self.0, low), _mm256_max_pd(self.1, high))
        };
        fn power_below(self) -> Self = {
            let exponent = _mm256_set1_pd(f64::INFINITY);
            Self(_mm256_and_pd(self.0, exponent), _mm256_and_pd(self.1, exponent))
        };
        fn sum(self) -> f64 = sum_pd(_mm256_add_pd(self.0, self.1));
        fn max(self) -> f64 = {
            let x = _mm256_max_pd(self.0, self.1);
            let x = _mm_max_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd::<1>(x));
            _mm_cvtsd_f64(_mm_max_sd(x, _mm_unpackhi_pd(x, x)))
        };
    }

    #[inline(always)]
    fn transpose(rows: [Self; 8]) -> [Self; 8] {
        // SAFETY: the vectors were made by a token, which proves AVX2.
        unsafe {
            let mut out = rows;
            for upper in [false, true] {
                let (mut low, mut high) = ([rows[0].0; 4], [rows[0].0; 4]);
                for i in 0..4 {
                    (low[i], high[i]) =
                        if upper { (rows[i].1, rows[i + 4].1) } else { (rows[i].0, rows[i + 4].0) };
                }
                let (low, high) = (four_by_four(low), four_by_four(high));
                for i in 0..4 {
                    out[i + if upper { 4 } else { 0 }] = Self(low[i], high[i]);
                }
            }
            out
        }
    }

    #[inline(always)]
    fn sum_each(xs: [Self; 4]) -> [f64; 4] {
        // SAFETY: the vectors were made by a token, which proves AVX2.
        unsafe {
            let [a, b, c, d] = xs;
            sum_each_pd([
                _mm256_add_pd(a.0, a.1),
                _mm256_add_pd(b.0, b.1),
                _mm256_add_pd(c.0, c.1),
                _mm256_add_pd(d.0, d.1),
            ])
        }
    }

    #[inline(always)]
    fn stream(self, dst: &mut [f64; 8]) {
        if !dst.as_ptr().addr().is_multiple_of(32) {
            return self.store(dst);
        }
        // SAFETY: `self` was made by a token, which proves AVX2; `dst` is aligned to 32 bytes and
        // holds both registers.
        unsafe {
            _mm256_stream_pd(dst.as_mut_ptr(), self.0);
            _mm256_stream_pd(dst[4..].as_mut_ptr(), self.1);
        }
    }

    #[inline(always)]
    fn store_partial(self, dst: &mut [f64]) {
        assert!(dst.len() < 8, "a partial store holds less than a vector");
        // SAFETY: `self` was made by a token, which proves AVX2; the masks keep the stores inside
        // `dst`, so the second address is not used beyond it.
        unsafe {
            let (low, high) = mask_pd(dst.len());
            _mm256_maskstore_pd(dst.as_mut_ptr(), low, self.0);
            _mm256_maskstore_pd(dst.as_mut_ptr().wrapping_add(4), high, self.1);
        }
    }
}

impl Simd for Avx2 {
    const ROWS: usize = 2;
    const TILE: usize = 4;

    ops! {
        fn widen_f16(self, src: &[f16; 8]) -> F64s =
            widen(_mm256_cvtph_ps(_mm_loadu_si128(src.as_ptr().cast())));
        fn widen_bf16(self, src: &[bf16; 8]) -> F64s =
            widen(single_bf16(_mm_loadu_si128(src.as_ptr().cast())));
        fn widen_f32(self, src: &[f32; 8]) -> F64s = F64s(
            _mm256_cvtps_pd(_mm_loadu_ps(src.as_ptr())),
            _mm256_cvtps_pd(_mm_loadu_ps(src[4..].as_ptr())),
        );
        fn single_f16(self, src: &[f16; 16]) -> F32s = F32s(
            _mm256_cvtph_ps(_mm_loadu_si128(src.as_ptr().cast())),
            _mm256_cvtph_ps(_mm_loadu_si128(src[8..].as_ptr().cast())),
        );
        fn single_bf16(self, src: &[bf16; 16]) -> F32s = F32s(
            single_bf16(_mm_loadu_si128(src.as_ptr().cast())),
            single_bf16(_mm_loadu_si128(src[8..].as_ptr().cast())),
        );
        fn single_i32(self, src: &[i32; 16]) -> F32s = F32s(
            _mm256_cvtepi32_ps(_mm256_loadu_si256(src.as_ptr().cast())),
            _mm256_cvtepi32_ps(_mm256_loadu_si256(src[8..].as_ptr().cast())),
        );
        fn lower_i32(self, src: &[i32; 16]) -> F32s = F32s(
            lower_i32(_mm256_loadu_si256(src.as_ptr().cast())),
            lower_i32(_mm256_loadu_si256(src[8..].as_ptr().cast())),
        );
        fn narrow_f16(self, x: F32s, dst: &mut [f16; 16]) -> () = {
            const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT;
            let (low, high) = (_mm256_cvtps_ph::<NEAREST>(x.0), _mm256_cvtps_ph::<NEAREST>(x.1));
            _mm_storeu_si128(dst.as_mut_ptr().cast(), low);
            _mm_storeu_si128(dst[8..].as_mut_ptr().cast(), high);
        };
        fn narrow_bf16(self, x: F32s, dst: &mut [bf16; 16]) -> () = {
            _mm_storeu_si128(dst.as_mut_ptr().cast(), narrow_bf16(x.0));
            _mm_storeu_si128(dst[8..].as_mut_ptr().cast(), narrow_bf16(x.1));
        };
    }

    #[inline(always)]
    fn widen_f32_partial(self, src: &[f32]) -> F64s {
        assert!(src.len() < 8, "a partial load holds less than a vector");
        // SAFETY: the token proves AVX2; the mask keeps the load inside `src`: masked-off lanes are
        // neither read nor faulted on.
        unsafe {
            let (mask, _) = mask_ps(src.len());
            widen(_mm256_maskload_ps(src.as_ptr(), mask))
        }
    }

    memory_ops!();

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` proves that the CPU has every feature `enter` enables.
        unsafe { enter(self, kernel) }
    }
}
