//! Floor F0: the element types a matrix may hold.

use half::{bf16, f16};

/// A number type that a matrix may be stored in.
///
/// Every value converts to f64 exactly, so algorithms that accumulate in f64 see the matrix as it
/// is, whatever its storage.
pub trait Element: Copy + Send + Sync + 'static {
    /// Bytes of one element.
    const SIZE: usize = size_of::<Self>();
    /// The name NumPy and safetensors users know (`"float32"`).
    const NAME: &'static str;
    /// Unit roundoff of 64-bit or narrower storage decides the default `rtol`.
    const IS_WIDE: bool = false;

    /// The exact value in double precision.
    fn to_f64(self) -> f64;
}

impl Element for f16 {
    const NAME: &'static str = "float16";
    fn to_f64(self) -> f64 {
        f16::to_f64(self)
    }
}

impl Element for bf16 {
    const NAME: &'static str = "bfloat16";
    fn to_f64(self) -> f64 {
        bf16::to_f64(self)
    }
}

/// What a copy may hold, two numbers in a word (`kernels::fixed`); nobody's matrix does.
impl Element for i32 {
    const NAME: &'static str = "int32";
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Element for f32 {
    const NAME: &'static str = "float32";
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
}

impl Element for f64 {
    const NAME: &'static str = "float64";
    const IS_WIDE: bool = true;
    fn to_f64(self) -> f64 {
        self
    }
}

/// The exponent `e` of a finite `x != 0`: `2^e <= |x| < 2^(e + 1)`.
pub(crate) fn exponent(x: f64) -> i32 {
    const SUBNORMAL_SHIFT: i32 = 54;
    let biased = |x: f64| ((x.to_bits() >> 52) & 0x7ff) as i32;
    match biased(x) {
        0 => biased(x * power_of_two(SUBNORMAL_SHIFT)) - 1023 - SUBNORMAL_SHIFT,
        e => e - 1023,
    }
}

/// `2^e` for an exponent of a normal double.
pub(crate) fn power_of_two(e: i32) -> f64 {
    debug_assert!((-1022..=1023).contains(&e), "2^{e} is not a normal double");
    f64::from_bits(((e + 1023) as u64) << 52)
}

/// Two factors whose product is `2^e`, each a normal double.
pub(crate) fn halved_power(e: i32) -> (f64, f64) {
    (power_of_two(e / 2), power_of_two(e - e / 2))
}

/// `x * 2^e`, rounded at most once: infinite above the range, subnormal or zero below it.
pub(crate) fn ldexp(x: f64, e: i32) -> f64 {
    // By far the most calls: both factors and the product are normal, so nothing rounds.
    if (-900..=900).contains(&e) && (1e-30..1e30).contains(&x.abs()) {
        return x * power_of_two(e);
    }
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    // The first step brings the exponent to where the last multiplication alone may round.
    let target = exponent(x).saturating_add(e);
    if target > 1023 {
        return f64::INFINITY.copysign(x);
    }
    if target < -1100 {
        return 0.0_f64.copysign(x);
    }
    let (half, rest) = halved_power(-exponent(x));
    let unit = x * half * rest;
    if target >= -1022 {
        return unit * power_of_two(target);
    }
    unit * power_of_two(target + 200) * power_of_two(-200)
}

/// `x * 2^e` for `x >= 0`, or the next double above it.
pub(crate) fn ldexp_up(x: f64, e: i32) -> f64 {
    let y = ldexp(x, e);
    // Only a subnormal result was rounded, and scaling that back is exact.
    if y < f64::MIN_POSITIVE && ldexp(y, -e) < x { y.next_up() } else { y }
}

/// `x * 2^e` for `x >= 0`, or the next double below it; infinite above the range.
pub(crate) fn ldexp_down(x: f64, e: i32) -> f64 {
    let y = ldexp(x, e);
    if y < f64::MIN_POSITIVE && ldexp(y, -e) > x { y.next_down() } else { y }
}

/// Runs one expression with `$x` bound to what a value of the enum `$any` holds, the variants of
/// which are the element types of stored matrices.
macro_rules! with_typed {
    ($any:ident, $value:expr, $x:ident => $body:expr) => {
        match $value {
            $any::F16($x) => $body,
            $any::Bf16($x) => $body,
            $any::F32($x) => $body,
            $any::F64($x) => $body,
        }
    };
}
pub(crate) use with_typed;

#[cfg(test)]
#[path = "../tests/rust/unit/scalar.rs"]
mod tests;
