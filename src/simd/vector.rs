//! What a tier must offer: about twenty operations on the virtual vector.
//!
//! Vectors are made by a tier's token alone, so that no operation can be reached without the proof
//! that the CPU has it.

use std::ops::{Add, Div, Mul, Sub};

use half::{bf16, f16};

use crate::scalar::Element;

/// Number types that kernels compute in.
pub(crate) trait Real:
    Element + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    const ZERO: Self;

    /// Powers of two up to this exponent, either way, leave products with ordinary numbers in range.
    const SAFE_EXPONENT: i32;

    /// Norms between this and its reciprocal come of sums that lost nothing at the ends of the
    /// range.
    const ORDINARY: f64;

    /// The nearest number of this type.
    fn from_f64(x: f64) -> Self;
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const SAFE_EXPONENT: i32 = 126;
    const ORDINARY: f64 = (1_u64 << 24) as f64;
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x as Self
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const SAFE_EXPONENT: i32 = 900;
    const ORDINARY: f64 = 1e90;
    #[inline(always)]
    fn from_f64(x: f64) -> Self {
        x
    }
}

/// A virtual vector of `L` lanes of `A`. Only a token makes one, so holding it is the proof that
/// the CPU has its instructions.
pub(crate) trait Vector<A: Real, const L: usize>: Copy {
    fn store(self, dst: &mut [A; L]);
    fn add(self, y: Self) -> Self;
    fn mul(self, y: Self) -> Self;
    /// `self * y + z`, rounded once.
    fn mul_add(self, y: Self, z: Self) -> Self;
    fn sub(self, y: Self) -> Self;
    fn div(self, y: Self) -> Self;
    fn sqrt(self) -> Self;
    /// The larger of `self`, which is not negative, and `|y|` in each lane; unspecified in a lane
    /// that holds a NaN.
    fn max_abs(self, y: Self) -> Self;
    /// `yes` in each lane where `self <= limit`, else `no`, as where either is a NaN.
    fn select_le(self, limit: Self, yes: Self, no: Self) -> Self;
    /// The lanes where `self <= limit`, as bits.
    fn le_bits(self, limit: Self) -> u32;
    /// Lane `lanes[l]`, which is below `L`, as lane `l`.
    fn permute(self, lanes: &[u32; L]) -> Self;
    /// The largest power of two that is not above `self`, a positive normal number, in each lane;
    /// unspecified in any other lane.
    fn power_below(self) -> Self;
    /// The sum of all lanes: the upper half is folded onto the lower until one lane is left.
    fn sum(self) -> A;
    /// The largest lane.
    fn max(self) -> A;

    /// Lane `i` of vector `j` as lane `j` of vector `i`.
    fn transpose(rows: [Self; L]) -> [Self; L];

    /// The sums of four vectors, each folded as by `sum`.
    #[inline(always)]
    fn sum_each(xs: [Self; 4]) -> [A; 4] {
        let [a, b, c, d] = xs;
        [a.sum(), b.sum(), c.sum(), d.sum()]
    }

    /// Stores past the caches, where `dst` is aligned for it; what follows must not read it soon.
    #[inline(always)]
    fn stream(self, dst: &mut [A; L]) {
        self.store(dst);
    }

    /// Stores the first `dst.len() < L` lanes.
    #[inline(always)]
    fn store_partial(self, dst: &mut [A]) {
        let mut lanes = [A::ZERO; L];
        self.store(&mut lanes);
        dst.copy_from_slice(&lanes[..dst.len()]);
    }
}

/// A token that makes virtual vectors of `L` lanes of `A`.
pub(crate) trait Lanes<A: Real, const L: usize>: Copy {
    type V: Vector<A, L>;

    fn splat(self, x: A) -> Self::V;
    fn load(self, src: &[A; L]) -> Self::V;

    /// Loads fewer than `L` elements; the missing lanes are zero.
    #[inline(always)]
    fn load_partial(self, src: &[A]) -> Self::V {
        let mut lanes = [A::ZERO; L];
        lanes[..src.len()].copy_from_slice(src);
        self.load(&lanes)
    }

    /// Loads few elements into the lanes from `first` on, with `first + src.len() <= L`; the others are zero.
    #[inline(always)]
    fn load_at(self, src: &[A], first: usize) -> Self::V {
        let mut lanes = [A::ZERO; L];
        lanes[first..first + src.len()].copy_from_slice(src);
        self.load(&lanes)
    }
}

/// A tier: both virtual vectors, the widening loads, and the way into a kernel.
pub(crate) trait Simd: Lanes<f32, 16> + Lanes<f64, 8> {
    /// Matrix rows a kernel takes at a time: as many as leave the accumulators in registers.
    /// It never changes a result, since each row has accumulators of its own.
    const ROWS: usize;

    /// Chunks of `z` a kernel holds in registers at a time. It never changes a result either.
    const TILE: usize;

    fn widen_f16(self, src: &[f16; 8]) -> <Self as Lanes<f64, 8>>::V;
    fn widen_bf16(self, src: &[bf16; 8]) -> <Self as Lanes<f64, 8>>::V;
    fn widen_f32(self, src: &[f32; 8]) -> <Self as Lanes<f64, 8>>::V;
    fn single_f16(self, src: &[f16; 16]) -> <Self as Lanes<f32, 16>>::V;
    fn single_bf16(self, src: &[bf16; 16]) -> <Self as Lanes<f32, 16>>::V;
    /// Words as numbers, rounded to the nearest, ties to even.
    fn single_i32(self, src: &[i32; 16]) -> <Self as Lanes<f32, 16>>::V;
    /// The same with the lower 16 bits of each in the place of the upper ones, exactly.
    fn lower_i32(self, src: &[i32; 16]) -> <Self as Lanes<f32, 16>>::V;
    fn narrow_f16(self, x: <Self as Lanes<f32, 16>>::V, dst: &mut [f16; 16]);
    fn narrow_bf16(self, x: <Self as Lanes<f32, 16>>::V, dst: &mut [bf16; 16]);

    /// Widens fewer than 8 elements; the missing lanes are zero.
    #[inline(always)]
    fn widen_f32_partial(self, src: &[f32]) -> <Self as Lanes<f64, 8>>::V {
        let mut lanes = [0.0; 8];
        lanes[..src.len()].copy_from_slice(src);
        self.widen_f32(&lanes)
    }

    /// Copies past the caches, where `dst` is aligned for it; what follows must not read it soon.
    #[inline(always)]
    fn stream_bytes(self, src: &[u8; 32], dst: &mut [u8; 32]) {
        *dst = *src;
    }

    /// Makes the stores past the caches visible to other threads, before they are told of them.
    #[inline(always)]
    fn fence(self) {}

    /// Asks for the cache line of `x`, which will be read soon. It changes no result.
    fn prefetch<T>(self, x: &T);

    /// Runs a kernel compiled for this tier.
    fn run<K: Kernel>(self, kernel: K) -> K::Output;
}

/// A kernel body, generic over the tier. `eval` must be `#[inline(always)]`: only then is it
/// compiled with the tier's instructions.
pub(crate) trait Kernel {
    type Output;
    fn eval<S: Simd>(self, s: S) -> Self::Output;
}

/// Elements that can be loaded as lanes of the accumulator type `A`, exactly.
pub(crate) trait Load<A: Real, const L: usize>: Element {
    const PAD: Self;

    /// How many vectors `L` elements make: words may hold two numbers.
    const VECTORS: usize = 1;

    fn load<S: Simd + Lanes<A, L>>(s: S, src: &[Self; L]) -> <S as Lanes<A, L>>::V;

    /// Loads vector `i` of those that the elements make.
    #[inline(always)]
    fn load_nth<S: Simd + Lanes<A, L>>(s: S, src: &[Self; L], _i: usize) -> <S as Lanes<A, L>>::V {
        Self::load(s, src)
    }

    /// Loads fewer than `L` elements; the missing lanes are zero.
    #[inline(always)]
    fn load_partial<S: Simd + Lanes<A, L>>(s: S, src: &[Self]) -> <S as Lanes<A, L>>::V {
        let mut lanes = [Self::PAD; L];
        copy_few(src, &mut lanes);
        Self::load(s, &lanes)
    }

    /// Loads the first `L` elements, or as many as there are; the missing lanes are zero.
    #[inline(always)]
    fn load_first<S: Simd + Lanes<A, L>>(s: S, src: &[Self]) -> <S as Lanes<A, L>>::V {
        match src.first_chunk() {
            Some(chunk) => Self::load(s, chunk),
            None => Self::load_partial(s, src),
        }
    }

    /// Loads few elements into the lanes from `first` on, with `first + src.len() <= L`; the others are zero.
    #[inline(always)]
    fn load_at<S: Simd + Lanes<A, L>>(s: S, src: &[Self], first: usize) -> <S as Lanes<A, L>>::V {
        let mut lanes = [Self::PAD; L];
        copy_few(src, &mut lanes[first..]);
        Self::load(s, &lanes)
    }
}

/// Copies fewer than 16 elements by moves of fixed lengths, two of which may overlap: a copy of any
/// length is a call that takes longer than what the elements are for.
#[inline(always)]
fn copy_few<T: Copy>(src: &[T], dst: &mut [T]) {
    let dst = &mut dst[..src.len()];
    if !(move_ends::<T, 8>(src, dst) || move_ends::<T, 4>(src, dst) || move_ends::<T, 2>(src, dst))
        && let ([x], [y]) = (src, dst)
    {
        *y = *x;
    }
}

/// Copies the first `N` elements and the last, which is all of `N` to `2 * N`; whether there are as
/// many.
#[inline(always)]
fn move_ends<T: Copy, const N: usize>(src: &[T], dst: &mut [T]) -> bool {
    let (Some(first), Some(last)) = (src.first_chunk::<N>(), src.last_chunk::<N>()) else {
        return false;
    };
    if let Some(to) = dst.first_chunk_mut() {
        *to = *first;
    }
    if let Some(to) = dst.last_chunk_mut() {
        *to = *last;
    }
    true
}

/// Implements [`Load`] by a tier's widening loads, the partial one where there is one.
macro_rules! impl_widening {
    ($($t:ty => $a:ty, $lanes:literal, $widen:ident, $pad:expr $(, $partial:ident)?;)*) => {$(
        impl Load<$a, $lanes> for $t {
            const PAD: Self = $pad;
            #[inline(always)]
            fn load<S: Simd>(s: S, src: &[Self; $lanes]) -> <S as Lanes<$a, $lanes>>::V {
                s.$widen(src)
            }
            $(
                #[inline(always)]
                fn load_partial<S: Simd>(s: S, src: &[Self]) -> <S as Lanes<$a, $lanes>>::V {
                    s.$partial(src)
                }
            )?
        }
    )*};
}

impl_widening! {
    f16 => f64, 8, widen_f16, f16::ZERO;
    bf16 => f64, 8, widen_bf16, bf16::ZERO;
    f32 => f64, 8, widen_f32, 0.0, widen_f32_partial;
    f16 => f32, 16, single_f16, f16::ZERO;
    bf16 => f32, 16, single_bf16, bf16::ZERO;
}

/// Two numbers of 16 bits each, in units of `2^16`: the upper one, with the lower one as its fraction, rounded as the
/// vector it is; then the lower one, exactly.
impl Load<f32, 16> for i32 {
    const PAD: Self = 0;
    const VECTORS: usize = 2;

    #[inline(always)]
    fn load<S: Simd>(s: S, src: &[Self; 16]) -> <S as Lanes<f32, 16>>::V {
        s.single_i32(src)
    }

    #[inline(always)]
    fn load_nth<S: Simd>(s: S, src: &[Self; 16], i: usize) -> <S as Lanes<f32, 16>>::V {
        if i == 0 { s.single_i32(src) } else { s.lower_i32(src) }
    }
}

/// Implements [`Load`] for elements that are the accumulator type itself.
macro_rules! impl_native {
    ($($t:ty => $lanes:literal;)*) => {$(
        impl Load<$t, $lanes> for $t {
            const PAD: Self = 0.0;
            #[inline(always)]
            fn load<S: Simd>(s: S, src: &[Self; $lanes]) -> <S as Lanes<$t, $lanes>>::V {
                <S as Lanes<$t, $lanes>>::load(s, src)
            }
            #[inline(always)]
            fn load_partial<S: Simd>(s: S, src: &[Self]) -> <S as Lanes<$t, $lanes>>::V {
                <S as Lanes<$t, $lanes>>::load_partial(s, src)
            }
            #[inline(always)]
            fn load_at<S: Simd>(s: S, src: &[Self], first: usize) -> <S as Lanes<$t, $lanes>>::V {
                <S as Lanes<$t, $lanes>>::load_at(s, src, first)
            }
        }
    )*};
}

impl_native! {
    f32 => 16;
    f64 => 8;
}

/// Elements that lanes of `A` are rounded to, ties to even, when they are stored.
pub(crate) trait Save<A: Real, const L: usize>: Load<A, L> {
    /// Stores the first `dst.len() <= L` lanes.
    fn save<S: Simd + Lanes<A, L>>(s: S, x: <S as Lanes<A, L>>::V, dst: &mut [Self]);

    /// Stores all lanes, past the caches where that can be.
    fn stream<S: Simd + Lanes<A, L>>(s: S, x: <S as Lanes<A, L>>::V, dst: &mut [Self; L]);
}

/// Implements [`Save`] by a tier's narrowing stores.
macro_rules! impl_narrowing {
    ($($t:ty => $narrow:ident;)*) => {$(
        impl Save<f32, 16> for $t {
            #[inline(always)]
            fn save<S: Simd>(s: S, x: <S as Lanes<f32, 16>>::V, dst: &mut [Self]) {
                if let Ok(whole) = dst.try_into() {
                    return s.$narrow(x, whole);
                }
                let mut lanes = [<Self as Load<f32, 16>>::PAD; 16];
                s.$narrow(x, &mut lanes);
                dst.copy_from_slice(&lanes[..dst.len()]);
            }

            #[inline(always)]
            fn stream<S: Simd>(s: S, x: <S as Lanes<f32, 16>>::V, dst: &mut [Self; 16]) {
                let mut lanes = [<Self as Load<f32, 16>>::PAD; 16];
                s.$narrow(x, &mut lanes);
                s.stream_bytes(bytemuck::cast_ref(&lanes), bytemuck::cast_mut(dst));
            }
        }
    )*};
}

impl_narrowing! {
    f16 => narrow_f16;
    bf16 => narrow_bf16;
}

/// Implements [`Save`] for elements that are the lanes themselves.
macro_rules! impl_saving {
    ($($t:ty => $lanes:literal;)*) => {$(
        impl Save<$t, $lanes> for $t {
            #[inline(always)]
            fn stream<S: Simd>(_: S, x: <S as Lanes<$t, $lanes>>::V, dst: &mut [Self; $lanes]) {
                x.stream(dst);
            }
            #[inline(always)]
            fn save<S: Simd>(_: S, x: <S as Lanes<$t, $lanes>>::V, dst: &mut [Self]) {
                match dst.try_into() {
                    Ok(whole) => x.store(whole),
                    Err(_) => x.store_partial(dst),
                }
            }
        }
    )*};
}

impl_saving! {
    f32 => 16;
    f64 => 8;
}
