//! The AVX-512 tier: one 512-bit register holds the virtual vector.
//!
//! Only AVX512F is asked for (with AVX2, FMA and F16C, which every such CPU has), so the first
//! generation counts too.
#![expect(unsafe_code, reason = "this floor is where intrinsics are called")]

use core::arch::x86_64::*;

use half::{bf16, f16};

use super::integer::{narrow_bf16, single_bf16};
use super::ops::{memory_ops, ops};
use super::permute::{eight, sixteen};
use super::sums::{sum_each_pd, sum_each_ps, sum_pd, sum_ps};
use super::transpose::{eight_by_eight_wide, sixteen_by_sixteen};
use super::vector::{Kernel, Lanes, Simd, Vector};

/// Proof that the CPU has AVX512F, AVX2, FMA and F16C: only [`Avx512::new`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Avx512(());

impl Avx512 {
    /// The token, when the CPU has the features that `run` enables.
    #[must_use]
    pub fn new() -> Option<Self> {
        // The list must equal the one on `enter` below.
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c"))
        .then_some(Self(()))
    }
}

#[target_feature(enable = "avx512f,avx2,fma,f16c")]
fn enter<K: Kernel>(token: Avx512, kernel: K) -> K::Output {
    kernel.eval(token)
}

/// The upper half of sixteen f32 lanes added to the lower.
#[target_feature(enable = "avx512f,avx2")]
#[inline]
fn halved_ps(x: __m512) -> __m256 {
    let high = _mm512_extractf64x4_pd::<1>(_mm512_castps_pd(x));
    _mm256_add_ps(_mm512_castps512_ps256(x), _mm256_castpd_ps(high))
}

/// The upper half of eight f64 lanes added to the lower.
#[target_feature(enable = "avx512f,avx2")]
#[inline]
fn halved_pd(x: __m512d) -> __m256d {
    _mm256_add_pd(_mm512_castpd512_pd256(x), _mm512_extractf64x4_pd::<1>(x))
}

/// Sixteen lanes of f32, made by [`Avx512`] alone.
#[derive(Clone, Copy)]
pub(crate) struct F32s(__m512);

/// Eight lanes of f64, made by [`Avx512`] alone.
#[derive(Clone, Copy)]
pub(crate) struct F64s(__m512d);

impl Lanes<f32, 16> for Avx512 {
    type V = F32s;

    ops! {
        fn splat(self, x: f32) -> F32s = F32s(_mm512_set1_ps(x));
        fn load(self, src: &[f32; 16]) -> F32s = F32s(_mm512_loadu_ps(src.as_ptr()));
    }

    #[inline(always)]
    fn load_partial(self, src: &[f32]) -> F32s {
        assert!(src.len() < 16, "a partial load holds less than a vector");
        let mask = (1_u16 << src.len()) - 1;
        // SAFETY: the token proves AVX512F; the mask keeps the load inside `src`, and masked-off
        // lanes are neither read nor faulted on.
        unsafe { F32s(_mm512_maskz_loadu_ps(mask, src.as_ptr())) }
    }

    #[inline(always)]
    fn load_at(self, src: &[f32], first: usize) -> F32s {
        assert!(first + src.len() <= 16, "a load fills a vector at most");
        let mask = (((1_u32 << src.len()) - 1) << first) as u16;
        // SAFETY: as above; the address before `src` is that of a lane which is masked off.
        unsafe { F32s(_mm512_maskz_loadu_ps(mask, src.as_ptr().wrapping_sub(first))) }
    }
}

impl Vector<f32, 16> for F32s {
    ops! {
        fn store(self, dst: &mut [f32; 16]) -> () = _mm512_storeu_ps(dst.as_mut_ptr(), self.0);
        fn add(self, y: Self) -> Self = Self(_mm512_add_ps(self.0, y.0));
        fn mul(self, y: Self) -> Self = Self(_mm512_mul_ps(self.0, y.0));
        fn sub(self, y: Self) -> Self = Self(_mm512_sub_ps(self.0, y.0));
        fn div(self, y: Self) -> Self = Self(_mm512_div_ps(self.0, y.0));
        fn sqrt(self) -> Self = Self(_mm512_sqrt_ps(self.0));
        fn select_le(self, limit: Self, yes: Self, no: Self) -> Self = {
            let mask = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(self.0, limit.0);
            Self(_mm512_mask_blend_ps(mask, no.0, yes.0))
        };
        fn le_bits(self, limit: Self) -> u32 =
            u32::from(_mm512_cmp_ps_mask::<_CMP_LE_OQ>(self.0, limit.0));
        fn permute(self, lanes: &[u32; 16]) -> Self = Self(sixteen(self.0, lanes));
        fn mul_add(self, y: Self, z: Self) -> Self = Self(_mm512_fmadd_ps(self.0, y.0, z.0));
        fn max_abs(self, y: Self) -> Self = Self(_mm512_max_ps(self.0, _mm512_abs_ps(y.0)));
        fn power_below(self) -> Self = {
            let exponent = _mm512_castps_si512(_mm512_set1_ps(f32::INFINITY));
            Self(_mm512_castsi512_ps(_mm512_and_si512(_mm512_castps_si512(self.0), exponent)))
        };
        fn sum(self) -> f32 = sum_ps(halved_ps(self.0));
        fn max(self) -> f32 = _mm512_reduce_max_ps(self.0);
    }

    #[inline(always)]
    fn store_partial(self, dst: &mut [f32]) {
        assert!(dst.len() < 16, "a partial store holds less than a vector");
        let mask = (1_u16 << dst.len()) - 1;
        // SAFETY: `self` was made by a token, which proves AVX512F; the mask keeps the store
        // inside `dst`.
        unsafe { _mm512_mask_storeu_ps(dst.as_mut_ptr(), mask, self.0) }
    }

    #[inline(always)]
    fn transpose(rows: [Self; 16]) -> [Self; 16] {
        // SAFETY: the vectors were made by a token, which proves AVX512F.
        unsafe {
            let (mut out, mut registers) = (rows, [rows[0].0; 16]);
            for i in 0..16 {
                registers[i] = rows[i].0;
            }
            let turned = sixteen_by_sixteen(registers);
            for i in 0..16 {
                out[i] = Self(turned[i]);
            }
            out
        }
    }

    #[inline(always)]
    fn sum_each(xs: [Self; 4]) -> [f32; 4] {
        // SAFETY: the vectors were made by a token, which proves AVX512F and AVX2.
        unsafe {
            let [a, b, c, d] = xs;
            sum_each_ps([halved_ps(a.0), halved_ps(b.0), halved_ps(c.0), halved_ps(d.0)])
        }
    }

    #[inline(always)]
    fn stream(self, dst: &mut [f32; 16]) {
        if !dst.as_ptr().addr().is_multiple_of(64) {
            return self.store(dst);
        }
        // SAFETY: `self` was made by a token, which proves AVX512F; `dst` is aligned to 64 bytes
        // and holds the register.
        unsafe { _mm512_stream_ps(dst.as_mut_ptr().cast(), self.0) }
    }
}

impl Lanes<f64, 8> for Avx512 {
    type V = F64s;

    ops! {
        fn splat(self, x: f64) -> F64s = F64s(_mm512_set1_pd(x));
        fn load(self, src: &[f64; 8]) -> F64s = F64s(_mm512_loadu_pd(src.as_ptr()));
    }

    #[inline(always)]
    fn load_partial(self, src: &[f64]) -> F64s {
        assert!(src.len() < 8, "a partial load holds less than a vector");
        let mask = (1_u8 << src.len()) - 1;
        // SAFETY: the token proves AVX512F; the mask keeps the load inside `src`, and masked-off
        // lanes are neither read nor faulted on.
        unsafe { F64s(_mm512_maskz_loadu_pd(mask, src.as_ptr())) }
    }
}

impl Vector<f64, 8> for F64s {
    ops! {
        fn store(self, dst: &mut [f64; 8]) -> () = _mm512_storeu_pd(dst.as_mut_ptr(), self.0);
        fn add(self, y: Self) -> Self = Self(_mm512_add_pd(self.0, y.0));
        fn mul(self, y: Self) -> Self = Self(_mm512_mul_pd(self.0, y.0));
        fn sub(self, y: Self) -> Self = Self(_mm512_sub_pd(self.0, y.0));
        fn div(self, y: Self) -> Self = Self(_mm512_div_pd(self.0, y.0));
        fn sqrt(self) -> Self = Self(_mm512_sqrt_pd(self.0));
        fn select_le(self, limit: Self, yes: Self, no: Self) -> Self = {
            let mask = _mm512_cmp_pd_mask::<_CMP_LE_OQ>(self.0, limit.0);
            Self(_mm512_mask_blend_pd(mask, no.0, yes.0))
        };
        fn le_bits(self, limit: Self) -> u32 =
            u32::from(_mm512_cmp_pd_mask::<_CMP_LE_OQ>(self.0, limit.0));
        fn permute(self, lanes: &[u32; 8]) -> Self = Self(eight(self.0, lanes));
        fn mul_add(self, y: Self, z: Self) -> Self = Self(_mm512_fmadd_pd(self.0, y.0, z.0));
        fn max_abs(self, y: Self) -> Self = Self(_mm512_max_pd(self.0, _mm512_abs_pd(y.0)));
        fn power_below(self) -> Self = {
            let exponent = _mm512_castpd_si512(_mm512_set1_pd(f64::INFINITY));
            Self(_mm512_castsi512_pd(_mm512_and_si512(_mm512_castpd_si512(self.0), exponent)))
        };
        fn sum(self) -> f64 = sum_pd(halved_pd(self.0));
        fn max(self) -> f64 = _mm512_reduce_max_pd(self.0);
    }

    #[inline(always)]
    fn store_partial(self, dst: &mut [f64]) {
        assert!(dst.len() < 8, "a partial store holds less than a vector");
        let mask = (1_u8 << dst.len()) - 1;
        // SAFETY: `self` was made by a token, which proves AVX512F; the mask keeps the store
        // inside `dst`.
        unsafe { _mm512_mask_storeu_pd(dst.as_mut_ptr(), mask, self.0) }
    }

    #[inline(always)]
    fn transpose(rows: [Self; 8]) -> [Self; 8] {
        // SAFETY: the vectors were made by a token, which proves AVX512F.
        unsafe {
            let (mut out, mut registers) = (rows, [rows[0].0; 8]);
            for i in 0..8 {
                registers[i] = rows[i].0;
            }
            let turned = eight_by_eight_wide(registers);
            for i in 0..8 {
                out[i] = Self(turned[i]);
            }
            out
        }
    }

    #[inline(always)]
    fn sum_each(xs: [Self; 4]) -> [f64; 4] {
        // SAFETY: the vectors were made by a token, which proves AVX512F and AVX2.
        unsafe {
            let [a, b, c, d] = xs;
            sum_each_pd([halved_pd(a.0), halved_pd(b.0), halved_pd(c.0), halved_pd(d.0)])
        }
    }

    #[inline(always)]
    fn stream(self, dst: &mut [f64; 8]) {
        if !dst.as_ptr().addr().is_multiple_of(64) {
            return self.store(dst);
        }
        // SAFETY: `self` was made by a token, which proves AVX512F; `dst` is aligned to 64 bytes
        // and holds the register.
        unsafe { _mm512_stream_pd(dst.as_mut_ptr().cast(), self.0) }
    }
}

impl Simd for Avx512 {
    const ROWS: usize = 4;
    const TILE: usize = 8;

    ops! {
        fn widen_f16(self, src: &[f16; 8]) -> F64s = {
            let bits = _mm_loadu_si128(src.as_ptr().cast());
            F64s(_mm512_cvtps_pd(_mm256_cvtph_ps(bits)))
        };
        fn widen_bf16(self, src: &[bf16; 8]) -> F64s =
            F64s(_mm512_cvtps_pd(single_bf16(_mm_loadu_si128(src.as_ptr().cast()))));
        fn widen_f32(self, src: &[f32; 8]) -> F64s =
            F64s(_mm512_cvtps_pd(_mm256_loadu_ps(src.as_ptr())));
        fn single_f16(self, src: &[f16; 16]) -> F32s =
            F32s(_mm512_cvtph_ps(_mm256_loadu_si256(src.as_ptr().cast())));
        fn single_bf16(self, src: &[bf16; 16]) -> F32s = {
            let bits = _mm512_cvtepu16_epi32(_mm256_loadu_si256(src.as_ptr().cast()));
            F32s(_mm512_castsi512_ps(_mm512_slli_epi32::<16>(bits)))
        };
        fn single_i32(self, src: &[i32; 16]) -> F32s =
            F32s(_mm512_cvtepi32_ps(_mm512_loadu_si512(src.as_ptr().cast())));
        fn lower_i32(self, src: &[i32; 16]) -> F32s = {
            let words = _mm512_loadu_si512(src.as_ptr().cast());
            F32s(_mm512_cvtepi32_ps(_mm512_slli_epi32::<16>(words)))
        };
        fn narrow_f16(self, x: F32s, dst: &mut [f16; 16]) -> () = {
            const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
            _mm256_storeu_si256(dst.as_mut_ptr().cast(), _mm512_cvtps_ph::<NEAREST>(x.0));
        };
        fn narrow_bf16(self, x: F32s, dst: &mut [bf16; 16]) -> () = {
            let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(x.0)));
            let low = narrow_bf16(_mm512_castps512_ps256(x.0));
            _mm_storeu_si128(dst.as_mut_ptr().cast(), low);
            _mm_storeu_si128(dst[8..].as_mut_ptr().cast(), narrow_bf16(high));
        };
    }

    #[inline(always)]
    fn widen_f32_partial(self, src: &[f32]) -> F64s {
        assert!(src.len() < 8, "a partial load holds less than a vector");
        let mask = (1_u16 << src.len()) - 1;
        // SAFETY: the token proves AVX512F; the mask keeps the load inside `src`, and masked-off
        // lanes are neither read nor faulted on.
        unsafe {
            let low = _mm512_castps512_ps256(_mm512_maskz_loadu_ps(mask, src.as_ptr()));
            F64s(_mm512_cvtps_pd(low))
        }
    }

    memory_ops!();

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` proves that the CPU has every feature `enter` enables.
        unsafe { enter(self, kernel) }
    }
}
