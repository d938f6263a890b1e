//! Powers of two against the bits of a double, and the exact values of the element types.

use half::{bf16, f16};

use super::{Element, exponent, halved_power, ldexp, power_of_two};

/// `2^e` from its bits, subnormals included.
fn naive_power(e: i32) -> f64 {
    if e >= -1022 {
        f64::from_bits(((e + 1023) as u64) << 52)
    } else {
        f64::from_bits(1 << (e + 1074))
    }
}

/// `x * 2^e` by integers, a subnormal result rounded once, half to even.
fn naive_ldexp(x: f64, e: i32) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return x;
    }
    const HIDDEN: u64 = 1 << 52;
    let (field, fraction) = ((x.to_bits() >> 52 & 0x7ff) as i32, x.to_bits() & (HIDDEN - 1));
    // |x| = mantissa * 2^power.
    let mut mantissa = if field == 0 { fraction } else { fraction | HIDDEN };
    let mut power = field.max(1) - 1075 + e;
    while mantissa < HIDDEN && power > -1074 {
        (mantissa, power) = (2 * mantissa, power - 1);
    }
    let bits = if power < -1074 {
        let shift = (-1074 - power) as u32;
        if shift > 54 {
            0
        } else {
            let (kept, lost) = (mantissa >> shift, mantissa & ((1 << shift) - 1));
            let half = 1 << (shift - 1);
            kept + u64::from(lost > half || lost == half && kept % 2 == 1)
        }
    } else if power == -1074 {
        mantissa
    } else if power + 1075 >= 2047 {
        f64::INFINITY.to_bits()
    } else {
        ((power + 1075) as u64) << 52 | (mantissa & (HIDDEN - 1))
    };
    f64::from_bits(bits).copysign(x)
}

/// Ordinary, extreme and subnormal numbers of both signs.
fn numbers() -> Vec<f64> {
    let positive = [
        1.0,
        1.5,
        1.0 + f64::EPSILON,
        2.0 - f64::EPSILON,
        std::f64::consts::PI,
        1.0 / 3.0,
        1e300,
        1e-300,
        f64::MAX,
        f64::MIN_POSITIVE,
        f64::MIN_POSITIVE.next_down(),
        f64::from_bits(1),
        f64::from_bits(3),
        f64::from_bits(0x000a_5a5a_5a5a_5a5b),
    ];
    positive.iter().flat_map(|&x| [x, -x]).collect()
}

#[test]
fn exponent_brackets_every_finite_number() {
    for e in -1074..=1023 {
        let x = naive_power(e);
        assert_eq!(exponent(x), e);
        assert_eq!(exponent(-x), e);
        assert_eq!(exponent(x.next_up()), e + i32::from(e == -1074), "above 2^{e}");
        if e > -1074 {
            assert_eq!(exponent(x.next_down()), e - 1, "below 2^{e}");
        }
    }
    assert_eq!(exponent(f64::MAX), 1023);
}

#[test]
fn power_of_two_is_exact_at_every_normal_exponent() {
    for e in -1022..=1023 {
        assert_eq!(power_of_two(e).to_bits(), naive_power(e).to_bits(), "{e}");
    }
}

#[test]
fn halves_of_a_power_multiply_to_it() {
    for e in -1074..=1023 {
        let (half, rest) = halved_power(e);
        assert!(half.is_normal() && rest.is_normal(), "{e}");
        assert_eq!((half * rest).to_bits(), naive_power(e).to_bits(), "{e}");
    }
    // Beyond the range of one double they still bring an extreme number to one.
    let (half, rest) = halved_power(1074);
    assert_eq!(f64::from_bits(1) * half * rest, 1.0);
}

#[test]
fn ldexp_rounds_at_most_once() {
    for x in numbers() {
        for e in (-2200..=2200).chain([-100_000, 100_000]) {
            let (got, expected) = (ldexp(x, e), naive_ldexp(x, e));
            assert_eq!(got.to_bits(), expected.to_bits(), "{x:e} * 2^{e}: {got:e}, {expected:e}");
        }
    }
}

#[test]
fn ldexp_keeps_zeros_and_what_is_not_finite() {
    for x in [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY] {
        for e in [-3000, -1, 0, 1, 3000] {
            assert_eq!(ldexp(x, e).to_bits(), x.to_bits(), "{x} * 2^{e}");
        }
    }
    assert!(ldexp(f64::NAN, 3).is_nan());
}

#[test]
fn ldexp_meets_the_ends_of_the_range() {
    assert_eq!(ldexp(1.0, 1024), f64::INFINITY);
    assert_eq!(ldexp(-1.0, 1024), f64::NEG_INFINITY);
    assert_eq!(ldexp(f64::MAX, 0), f64::MAX);
    assert_eq!(ldexp(1.0, -1074), f64::from_bits(1));
    // Half of the least subnormal goes to even, which is zero; anything above it does not.
    assert_eq!(ldexp(1.0, -1075).to_bits(), 0);
    assert_eq!(ldexp(-1.0, -1075).to_bits(), (-0.0_f64).to_bits());
    assert_eq!(ldexp(1.0 + f64::EPSILON, -1075), f64::from_bits(1));
    assert_eq!(ldexp(f64::from_bits(1), 2097), naive_power(1023));
}

#[test]
fn elements_convert_exactly() {
    assert_eq!(Element::to_f64(f16::MAX), 65504.0);
    assert_eq!(Element::to_f64(f16::from_bits(1)), naive_power(-24));
    assert_eq!(Element::to_f64(bf16::MAX), (2.0 - naive_power(-7)) * naive_power(127));
    assert_eq!(Element::to_f64(bf16::from_bits(1)), naive_power(-133));
    assert_eq!(Element::to_f64(f32::MAX), (2.0 - naive_power(-23)) * naive_power(127));
    assert_eq!(Element::to_f64(f32::from_bits(1)), naive_power(-149));
    assert_eq!(Element::to_f64(f64::from_bits(1)), naive_power(-1074));
}

#[test]
fn elements_keep_the_sign_of_zero_infinities_and_nans() {
    fn check<T: Element>(zero: T, infinity: T, nan: T) {
        assert_eq!(zero.to_f64().to_bits(), (-0.0_f64).to_bits(), "{}", T::NAME);
        assert_eq!(infinity.to_f64(), f64::NEG_INFINITY, "{}", T::NAME);
        assert!(nan.to_f64().is_nan(), "{}", T::NAME);
    }
    check(f16::NEG_ZERO, f16::NEG_INFINITY, f16::NAN);
    check(bf16::NEG_ZERO, bf16::NEG_INFINITY, bf16::NAN);
    check(-0.0_f32, f32::NEG_INFINITY, f32::NAN);
    check(-0.0_f64, f64::NEG_INFINITY, f64::NAN);
}

#[test]
fn elements_know_their_size_name_and_width() {
    fn facts<T: Element>() -> (usize, &'static str, bool) {
        (T::SIZE, T::NAME, T::IS_WIDE)
    }
    assert_eq!(facts::<f16>(), (2, "float16", false));
    assert_eq!(facts::<bf16>(), (2, "bfloat16", false));
    assert_eq!(facts::<f32>(), (4, "float32", false));
    assert_eq!(facts::<f64>(), (8, "float64", true));
}
