//! Floor F1: the only `unsafe` and the only `core::arch` of the crate.
//!
//! Kernels are written once, against one *virtual vector*: 16 lanes of f32 or 8 lanes of f64. A
//! tier token ([`avx512::Avx512`], [`avx2::Avx2`], [`portable::Portable`]) is the proof that the
//! CPU has the instructions, and gives that vector its operations ([`Lanes`], [`Simd`]): one
//! register on AVX-512, two on AVX2, an array elsewhere. Every tier rounds alike (fused
//! multiply-add, the same reduction tree), so a kernel returns the same bits on each.
//!
//! No algorithm lives here; the floor above is `kernels/`.

mod aligned;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod integer;
mod level;
#[cfg(target_arch = "x86_64")]
mod masks;
#[cfg(target_arch = "x86_64")]
mod ops;
#[cfg(target_arch = "x86_64")]
mod permute;
mod portable;
#[cfg(target_arch = "x86_64")]
mod sums;
#[cfg(target_arch = "x86_64")]
mod transpose;
mod vector;
mod vendor;

pub(crate) use aligned::{Aligned, LANES, LINE};
pub use level::{Level, available_levels, level_name};
pub(crate) use vector::{Kernel, Lanes, Load, Real, Save, Simd, Vector};
pub use vendor::cpu_vendor;

#[cfg(test)]
#[path = "../../tests/rust/unit/simd.rs"]
mod tests;
