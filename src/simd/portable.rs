//! The portable tier: lanes in an array, for any CPU.
//!
//! On aarch64 the compiler turns these loops into NEON. On x86-64 without FMA, `mul_add` is a
//! library call: slow, but the same bits, which is what this tier is for.

use half::{bf16, f16};

use super::vector::{Kernel, Lanes, Simd, Vector};

/// Proof of nothing: every CPU can run this tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Portable;

/// Implements the virtual vector as an array, lane by lane.
macro_rules! impl_lanes {
    ($a:ty, $lanes:literal) => {
        impl Lanes<$a, $lanes> for Portable {
            type V = [$a; $lanes];

            #[inline(always)]
            fn splat(self, x: $a) -> Self::V {
                [x; $lanes]
            }
            #[inline(always)]
            fn load(self, src: &[$a; $lanes]) -> Self::V {
                *src
            }
        }

        impl Vector<$a, $lanes> for [$a; $lanes] {
            #[inline(always)]
            fn store(self, dst: &mut [$a; $lanes]) {
                *dst = self;
            }
            #[inline(always)]
            fn add(self, y: Self) -> Self {
                std::array::from_fn(|i| self[i] + y[i])
            }
            #[inline(always)]
            fn mul(self, y: Self) -> Self {
                std::array::from_fn(|i| self[i] * y[i])
            }
            #[inline(always)]
            fn mul_add(self, y: Self, z: Self) -> Self {
                std::array::from_fn(|i| self[i].mul_add(y[i], z[i]))
            }
            #[inline(always)]
            fn sub(self, y: Self) -> Self {
                std::array::from_fn(|i| self[i] - y[i])
            }
            #[inline(always)]
            fn div(self, y: Self) -> Self {
                std::array::from_fn(|i| self[i] / y[i])
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                self.map(<$a>::sqrt)
            }
            #[inline(always)]
            fn select_le(self, limit: Self, yes: Self, no: Self) -> Self {
                std::array::from_fn(|i| if self[i] <= limit[i] { yes[i] } else { no[i] })
            }
            #[inline(always)]
            fn le_bits(self, limit: Self) -> u32 {
                (0..$lanes).fold(0, |bits, i| bits | u32::from(self[i] <= limit[i]) << i)
            }
            #[inline(always)]
            fn permute(self, lanes: &[u32; $lanes]) -> Self {
                lanes.map(|i| self[i as usize])
            }
            #[inline(always)]
            fn max_abs(self, y: Self) -> Self {
                std::array::from_fn(|i| self[i].max(y[i].abs()))
            }
            #[inline(always)]
            fn power_below(self) -> Self {
                self.map(|x| <$a>::from_bits(x.to_bits() & <$a>::INFINITY.to_bits()))
            }
            #[inline(always)]
            fn transpose(rows: [Self; $lanes]) -> [Self; $lanes] {
                std::array::from_fn(|j| std::array::from_fn(|i| rows[i][j]))
            }
            #[inline(always)]
            fn sum(mut self) -> $a {
                let mut half = $lanes / 2;
                while half > 0 {
                    for i in 0..half {
                        self[i] += self[i + half];
                    }
                    half /= 2;
                }
                self[0]
            }
            #[inline(always)]
            fn max(self) -> $a {
                self.into_iter().fold(self[0], <$a>::max)
            }
        }
    };
}

impl_lanes!(f32, 16);
impl_lanes!(f64, 8);

impl Simd for Portable {
    const ROWS: usize = 2;
    const TILE: usize = 4;

    #[inline(always)]
    fn widen_f16(self, src: &[f16; 8]) -> [f64; 8] {
        src.map(f16::to_f64)
    }
    #[inline(always)]
    fn widen_bf16(self, src: &[bf16; 8]) -> [f64; 8] {
        src.map(bf16::to_f64)
    }
    #[inline(always)]
    fn widen_f32(self, src: &[f32; 8]) -> [f64; 8] {
        src.map(f64::from)
    }
    #[inline(always)]
    fn single_f16(self, src: &[f16; 16]) -> [f32; 16] {
        src.map(f16::to_f32)
    }
    #[inline(always)]
    fn single_bf16(self, src: &[bf16; 16]) -> [f32; 16] {
        src.map(bf16::to_f32)
    }
    #[inline(always)]
    fn single_i32(self, src: &[i32; 16]) -> [f32; 16] {
        src.map(|x| x as f32)
    }
    #[inline(always)]
    fn lower_i32(self, src: &[i32; 16]) -> [f32; 16] {
        src.map(|x| (x << 16) as f32)
    }
    #[inline(always)]
    fn narrow_f16(self, x: [f32; 16], dst: &mut [f16; 16]) {
        *dst = x.map(f16::from_f32);
    }
    #[inline(always)]
    fn narrow_bf16(self, x: [f32; 16], dst: &mut [bf16; 16]) {
        *dst = x.map(bf16::from_f32);
    }
    #[inline(always)]
    fn prefetch<T>(self, _: &T) {}
    #[inline(always)]
    fn run<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.eval(self)
    }
}
