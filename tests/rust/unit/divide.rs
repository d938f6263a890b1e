//! Quotients against plain division in double, on every tier, past the caches or not.

use half::{bf16, f16};

use super::divide::Ratio;
use super::step::StepKernels;
use crate::scalar::Element;
use crate::simd::{Level, Real};

/// Around the lanes of both virtual vectors and beyond a few cache lines.
const LENGTHS: [usize; 13] = [0, 1, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 259];

/// Elements before the first one that is written: every place on a cache line, and between.
const OFFSETS: [usize; 5] = [0, 1, 4, 13, 16];

/// Ordinary numbers, the ends of both ranges, and what is not a number.
const DIVISORS: [f64; 10] =
    [1.0, -0.75, 3.0, 1e-3, 1e-38, 3e38, 1e-300, 1e300, f64::INFINITY, f64::NAN];

fn check<T: StepKernels + PartialEq>(of: impl Fn(f64) -> T, bits: impl Fn(T) -> u64) {
    let case = std::any::type_name::<T>();
    for (len, offset) in LENGTHS.iter().flat_map(|&n| OFFSETS.map(|offset| (n, offset))) {
        let src: Vec<T> = (0..len).map(|i| of((1.0 + (i * i % 1009) as f64).sin())).collect();
        for d in DIVISORS {
            let ratio = Ratio::<T::Acc>::new(d);
            let expected: Vec<u64> = src
                .iter()
                .map(|x| {
                    // The division in the precision of the steps, rounded to the elements' own.
                    let x = T::Acc::from_f64(x.to_f64());
                    bits(of((x * ratio.shift / ratio.divisor).to_f64()))
                })
                .collect();
            for level in Level::all() {
                for stream in [false, true] {
                    let mut out = vec![of(7.0); len + offset + 1];
                    T::divide(level, &src, ratio, &mut out[offset..offset + len], stream);
                    let got: Vec<u64> =
                        out[offset..offset + len].iter().map(|&x| bits(x)).collect();
                    assert_eq!(got, expected, "{case} {len} {offset} {d} {}", level.name());
                    let around = [&out[..offset], &out[offset + len..]].concat();
                    assert!(around.iter().all(|&x| x == of(7.0)), "{case}: writes beyond its end");
                }
                let mut in_place = src.clone();
                T::divide_in_place(level, &mut in_place, ratio);
                let got: Vec<u64> = in_place.into_iter().map(&bits).collect();
                assert_eq!(got, expected, "{case} {len} {d} in place");
            }
        }
    }
}

/// All NaNs are one: which of them comes out is not said.
fn unsigned(is_nan: bool, bits: u64) -> u64 {
    if is_nan { u64::MAX } else { bits }
}

#[test]
fn quotients_of_half_precision() {
    check(f16::from_f64, |x: f16| unsigned(x.is_nan(), x.to_bits().into()));
    check(bf16::from_f64, |x: bf16| unsigned(x.is_nan(), x.to_bits().into()));
}

#[test]
fn quotients_of_single_precision() {
    check(|x| x as f32, |x: f32| unsigned(x.is_nan(), x.to_bits().into()));
}

#[test]
fn quotients_of_double_precision() {
    check(|x| x, |x: f64| unsigned(x.is_nan(), x.to_bits()));
}

#[test]
fn a_divisor_out_of_range_is_taken_in_two_factors() {
    for d in [1e-40, 1e39, 1e-45_f64] {
        let ratio = Ratio::<f32>::new(d);
        assert!(ratio.divisor.is_normal(), "{d}");
        assert!(ratio.shift.is_normal(), "{d}");
        let product = f64::from(ratio.divisor) / f64::from(ratio.shift);
        assert!((product / d - 1.0).abs() < 1e-7, "{d}");
    }
}

#[test]
fn a_divisor_beyond_the_range_is_taken_in_its_unit() {
    let ratio = Ratio::<f64>::in_unit(2.0_f64.powi(130), 900);
    assert_eq!(1e308 * ratio.shift / ratio.divisor, 1e308 * 2.0_f64.powi(-900) / 2.0_f64.powi(130));
    assert_eq!(Ratio::<f64>::in_unit(3.0, 0), Ratio::new(3.0));
}
