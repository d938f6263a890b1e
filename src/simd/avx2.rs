//! The AVX2 tier: two 256-bit registers hold the virtual vector.
#![expect(unsafe_code, reason = "this floor is where intrinsics are called")]

use core::arch::x86_64::*;

use half::{bf16, f16};

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

/// Defines operations of a tier, one line each.
macro_rules! ops {
    ($(fn $name:ident($self:ident $(, $arg:ident: $ty:ty)*) -> $ret:ty = $body:expr;)*) => {$(
        #[inline(always)]
        fn $name($self $(, $arg: $ty)*) -> $ret {
            // SAFETY: `self` is a token or a vector made by one, and the token's `new` found
            // every feature of the tier; loads and stores go through references to arrays of
            // exactly the lanes they touch.
            unsafe { $body }
        }
    )*};
}
pub(super) use ops;

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

/// Splits eight f32 lanes into two registers of four f64.
#[target_feature(enable = "avx2")]
#[inline]
fn widen(x: __m256) -> F64s {
    let high = _mm256_extractf128_ps::<1>(x);
    F64s(_mm256_cvtps_pd(_mm256_castps256_ps128(x)), _mm256_cvtps_pd(high))
}

/// Eight bf16 are the upper halves of eight f32.
#[target_feature(enable = "avx2")]
#[inline]
pub(super) fn single_bf16(bits: __m128i) -> __m256 {
    _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(bits)))
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
        fn div(self, y: Self) -> Self =
            Self(_mm256_div_ps(self.0, y.0), _mm256_div_ps(self.1, y.1));
        fn mul_add(self, y: Self, z: Self) -> Self =
            Self(_mm256_fmadd_ps(self.0, y.0, z.0), _mm256_fmadd_ps(self.1, y.1, z.1));
        fn max_abs(self, y: Self) -> Self = {
            let sign = _mm256_set1_ps(-0.0);
            Self(
                _mm256_max_ps(self.0, _mm256_andnot_ps(sign, y.0)),
                _mm256_max_ps(self.1, _mm256_andnot_ps(sign, y.1)),
            )
        };
        fn sum(self) -> f32 = sum_ps(_mm256_add_ps(self.0, self.1));
        fn max(self) -> f32 = {
            let x = _mm256_max_ps(self.0, self.1);
            let x = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let x = _mm_max_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)))
        };
    }
}

impl Lanes<f64, 8> for Avx2 {
    type V = F64s;

    ops! {
        fn splat(self, x: f64) -> F64s = F64s(_mm256_set1_pd(x), _mm256_set1_pd(x));
        fn load(self, src: &[f64; 8]) -> F64s =
            F64s(_mm256_loadu_pd(src.as_ptr()), _mm256_loadu_pd(src[4..].as_ptr()));
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
        fn div(self, y: Self) -> Self =
            Self(_mm256_div_pd(self.0, y.0), _mm256_div_pd(self.1, y.1));
        fn mul_add(self, y: Self, z: Self) -> Self =
            Self(_mm256_fmadd_pd(self.0, y.0, z.0), _mm256_fmadd_pd(self.1, y.1, z.1));
        fn max_abs(self, y: Self) -> Self = {
            let sign = _mm256_set1_pd(-0.0);
            Self(
                _mm256_max_pd(self.0, _mm256_andnot_pd(sign, y.0)),
                _mm256_max_pd(self.1, _mm256_andnot_pd(sign, y.1)),
            )
        };
        fn sum(self) -> f64 = sum_pd(_mm256_add_pd(self.0, self.1));
        fn max(self) -> f64 = {
            let x = _mm256_max_pd(self.0, self.1);
            let x = _mm_max_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd::<1>(x));
            _mm_cvtsd_f64(_mm_max_sd(x, _mm_unpackhi_pd(x, x)))
        };
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
    }

    #[inline(always)]
    fn widen_f32_partial(self, src: &[f32]) -> F64s {
        assert!(src.len() < 8, "a partial load holds less than a vector");
        let mask: [i32; 8] = std::array::from_fn(|i| -i32::from(i < src.len()));
        // SAFETY: the token proves AVX2; the mask array is one vector long, and it keeps the load
        // inside `src`: masked-off lanes are neither read nor faulted on.
        unsafe {
            let mask = _mm256_loadu_si256(mask.as_ptr().cast());
            widen(_mm256_maskload_ps(src.as_ptr(), mask))
        }
    }

    #[inline(always)]
    fn prefetch<T>(self, x: &T) {
        // SAFETY: a prefetch of any address is a hint that cannot fault, and every CPU of this
        // tier has SSE.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(std::ptr::from_ref(x).cast()) }
    }

    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: `self` proves that the CPU has every feature `enter` enables.
        unsafe { enter(self, kernel) }
    }
}
