//! The vector kernels against naive loops, and tier against tier bit for bit.

use super::reduce::{Moments, dot, nrm2};
use super::vector::{axpy, scale};
use crate::simd::Level;

/// Error of a sum of `n` terms, in units of roundoff times `n` times the sum of magnitudes.
const SUM_ROUNDOFFS: f64 = 2.0;

/// Relative error of a norm of at most a thousand entries, in units of roundoff.
const NORM_ROUNDOFFS: f64 = 64.0;

const UNIT: f64 = f64::EPSILON / 2.0;

/// Around the lengths of a vector, of two, and of a tile.
const LENGTHS: [usize; 16] = [0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 257, 1000];

/// Numbers of changing sign and size, a function of the phase.
fn numbers(phase: f64, len: usize) -> Vec<f64> {
    (0..len).map(|i| (phase + 1.7 * i as f64).sin() * (1.0 + (i % 5) as f64)).collect()
}

/// Every level-1 kernel on slices that start `offset` elements late.
fn outputs(level: Level, offset: usize, len: usize) -> Vec<f64> {
    let (x, y) = (numbers(0.1, offset + len), numbers(0.6, offset + len));
    let (x, y) = (&x[offset..], &y[offset..]);
    let mut all = vec![dot(level, x, y), nrm2(level, x)];
    let mut z = numbers(0.6, offset + len);
    axpy(level, 0.3, x, &mut z[offset..]);
    all.extend(&z[offset..]);
    scale(level, -0.7, x, &mut z[offset..]);
    all.extend(&z[offset..]);
    all
}

#[test]
fn vector_kernels_equal_naive_loops_and_each_other() {
    for len in LENGTHS {
        for offset in 0..4 {
            let got = outputs(Level::all()[0], offset, len);
            let (x, y) = (numbers(0.1, offset + len), numbers(0.6, offset + len));
            let pairs = || x[offset..].iter().zip(&y[offset..]);
            let naive_dot: f64 = pairs().map(|(x, y)| x * y).sum();
            let magnitude: f64 = pairs().map(|(x, y)| (x * y).abs()).sum();
            let allowed = SUM_ROUNDOFFS * len as f64 * UNIT * magnitude;
            assert!((got[0] - naive_dot).abs() <= allowed, "dot of {len} from {offset}");
            let naive_norm = pairs().map(|(x, _)| x * x).sum::<f64>().sqrt();
            let allowed = SUM_ROUNDOFFS * (len + 1) as f64 * UNIT * naive_norm;
            assert!((got[1] - naive_norm).abs() <= allowed, "nrm2 of {len} from {offset}");
            let naive_axpy: Vec<_> = pairs().map(|(x, y)| 0.3_f64.mul_add(*x, *y)).collect();
            assert_eq!(got[2..2 + len], naive_axpy, "axpy of {len} from {offset}");
            let naive_scale: Vec<_> = pairs().map(|(x, _)| -0.7 * x).collect();
            assert_eq!(got[2 + len..], naive_scale, "scale of {len} from {offset}");
            let bits = |x: Vec<f64>| x.into_iter().map(f64::to_bits).collect::<Vec<_>>();
            for level in Level::all() {
                let (got, expected) = (bits(outputs(level, offset, len)), bits(got.clone()));
                assert_eq!(got, expected, "{len} from {offset} on {}", level.name());
            }
        }
    }
}

#[test]
fn nrm2_neither_overflows_nor_underflows() {
    let least = f64::from_bits(1);
    // The vector and what scales `naive` to its norm.
    let cases: [(Vec<f64>, f64); 11] = [
        (vec![3e300, 4e300], 5e300),
        (vec![3e-300, -4e-300], 5e-300),
        (vec![1e300; 100], 1e301),
        (vec![1e-300; 400], 2e-299),
        (vec![f64::MAX], f64::MAX),
        (vec![f64::MAX / 4.0; 4], f64::MAX / 2.0),
        (vec![f64::MIN_POSITIVE; 9], 3.0 * f64::MIN_POSITIVE),
        (vec![3.0 * least, 4.0 * least], 5.0 * least),
        (vec![-least], least),
        (vec![1e300, 1e-300, 0.0], 1e300),
        (vec![1e-200, 1e-250], 1e-200),
    ];
    for (x, expected) in cases {
        for level in Level::all() {
            let error = (nrm2(level, &x) / expected - 1.0).abs();
            assert!(error <= NORM_ROUNDOFFS * UNIT, "{:e} of {}", expected, level.name());
        }
    }
}

#[test]
fn nrm2_scales_with_powers_of_two_from_end_to_end() {
    let x = numbers(0.3, 65);
    for level in Level::all() {
        for e in (-1000..=1000).step_by(50) {
            let power = crate::scalar::power_of_two(e);
            let scaled: Vec<_> = x.iter().map(|x| x * power).collect();
            let error = (nrm2(level, &scaled) / power / nrm2(level, &x) - 1.0).abs();
            assert!(error <= NORM_ROUNDOFFS * UNIT, "2^{e} on {}", level.name());
        }
    }
}

#[test]
fn nrm2_of_what_has_no_finite_norm() {
    for level in Level::all() {
        for len in [1, 8, 17] {
            let with = |value: f64| {
                let mut x = vec![1.0; len];
                x[len / 2] = value;
                nrm2(level, &x)
            };
            assert_eq!(with(f64::INFINITY), f64::INFINITY);
            assert_eq!(with(f64::NEG_INFINITY), f64::INFINITY);
            assert!(with(f64::NAN).is_nan());
            assert_eq!(nrm2(level, &vec![f64::MAX; len + 3]), f64::INFINITY);
            assert_eq!(nrm2(level, &vec![-0.0; len]).to_bits(), 0);
        }
        assert_eq!(nrm2(level, &[f64::INFINITY, 1e300]), f64::INFINITY);
        assert!(nrm2(level, &[f64::NAN, 1e300]).is_nan());
        assert_eq!(nrm2(level, &[]).to_bits(), 0);
    }
}

#[test]
fn moments_join_to_the_moments_of_both() {
    let one = Moments { max_abs: 2.0, sum_of_squares: 5.0 };
    let other = Moments { max_abs: 3.0, sum_of_squares: 9.0 };
    assert_eq!(one.join(other), Moments { max_abs: 3.0, sum_of_squares: 14.0 });
    assert_eq!(Moments::EMPTY.join(one), one);
    assert_eq!(one.join(Moments::EMPTY), one);
}
