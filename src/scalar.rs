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
