//! The level-1 kernels and the pass in single precision against naive loops, on every tier.

use super::gram_matvec_f32;
use super::reduce::{dot, nrm2};
use super::vector::{axpy, scale};
use crate::matrix::MatRef;
use crate::simd::Level;

/// Around the lanes of both virtual vectors, four of them, and beyond.
const LENGTHS: [usize; 17] = [0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 257, 1000];

fn noise(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let step = |state: &mut u64| {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    (0..n).map(|_| step(&mut state)).collect()
}

/// Runs `kernel` on every tier, asserts equal bits, and returns what they are.
fn on_every_tier(kernel: impl Fn(Level) -> Vec<f64>) -> Vec<f64> {
    let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let levels = Level::all();
    let expected = kernel(levels[0]);
    for &level in &levels[1..] {
        assert_eq!(bits(&kernel(level)), bits(&expected), "{}", level.name());
    }
    expected
}

#[test]
fn dot_equals_the_naive_sum() {
    for n in LENGTHS {
        for offset in 0..3 {
            let (x, y) = (noise(n + offset, 1), noise(n + offset, 2));
            let (x, y) = (&x[offset..], &y[offset..]);
            let got = on_every_tier(|level| vec![dot(level, x, y)])[0];
            let naive: f64 = x.iter().zip(y).map(|(x, y)| x * y).sum();
            let magnitude: f64 = x.iter().zip(y).map(|(x, y)| (x * y).abs()).sum();
            assert!((got - naive).abs() <= f64::EPSILON * n as f64 * magnitude, "n = {n}");
        }
    }
}

#[test]
fn axpy_and_scale_equal_the_naive_loops_exactly() {
    for n in LENGTHS {
        let (x, y) = (noise(n, 3), noise(n, 4));
        let sum = on_every_tier(|level| {
            let mut y = y.clone();
            axpy(level, -1.7, &x, &mut y);
            y
        });
        let scaled = on_every_tier(|level| {
            let mut y = y.clone();
            scale(level, -1.7, &x, &mut y);
            y
        });
        for i in 0..n {
            assert_eq!(sum[i], (-1.7_f64).mul_add(x[i], y[i]), "n = {n}");
            assert_eq!(scaled[i], -1.7 * x[i], "n = {n}");
        }
    }
}

#[test]
fn nrm2_neither_overflows_nor_underflows() {
    for n in LENGTHS {
        let x = noise(n, 5);
        let plain = on_every_tier(|level| vec![nrm2(level, &x)])[0];
        for exponent in [-1050, -600, 600, 1010] {
            let factor = |e: i32| 2.0_f64.powi(e / 2) * 2.0_f64.powi(e - e / 2);
            let scaled: Vec<f64> = x.iter().map(|x| x * factor(exponent)).collect();
            let got = on_every_tier(|level| vec![nrm2(level, &scaled)])[0];
            // What is scaled below the normal range was rounded on the way there.
            let bound = if exponent < -1000 { 1e-6 } else { 1e-13 };
            let expected = plain * factor(exponent);
            assert!((got - expected).abs() <= bound * expected, "n = {n}, 2^{exponent}: {got}");
        }
    }
    let five = on_every_tier(|level| vec![nrm2(level, &[3e200, 4e200])])[0];
    assert!((five / 5e200 - 1.0).abs() <= 2.0 * f64::EPSILON);
    assert_eq!(on_every_tier(|level| vec![nrm2(level, &[5e-324])]), [5e-324]);
    assert_eq!(on_every_tier(|level| vec![nrm2(level, &[0.0, -0.0])]), [0.0]);
    let level = Level::current().unwrap();
    assert_eq!(nrm2(level, &[1.0, f64::NEG_INFINITY]), f64::INFINITY);
    assert!(nrm2(level, &[1.0, f64::NAN]).is_nan());
}

#[test]
fn single_precision_pass_is_near_the_exact_one_and_the_same_on_every_tier() {
    for ncols in LENGTHS {
        for nrows in [0, 1, 2, 3, 4, 5, 9, 65] {
            let single = |x: f64| x as f32;
            let data: Vec<f32> = noise(nrows * ncols, 6).into_iter().map(single).collect();
            let v: Vec<f32> = noise(ncols, 7).into_iter().map(single).collect();
            let a = MatRef::from_slice(&data, nrows, ncols).unwrap();
            let got = on_every_tier(|level| {
                let (mut t, mut z) = (vec![9.0; nrows], vec![9.0; ncols]);
                gram_matvec_f32(level, a, &v, &mut t, &mut z);
                t.iter().chain(&z).map(|&x| f64::from(x)).collect()
            });
            let row = |i: usize| a.row(i).iter().map(|&x| f64::from(x));
            let product = |i: usize| row(i).zip(&v).map(|(a, &v)| a * f64::from(v)).sum();
            let t: Vec<f64> = (0..nrows).map(product).collect();
            let mut z = vec![0.0; ncols];
            for (i, t) in t.iter().enumerate() {
                row(i).zip(&mut z).for_each(|(a, z)| *z += a * t);
            }
            let bound = f64::from(f32::EPSILON) * (ncols + nrows + 2) as f64 * ncols as f64;
            for (got, expected) in got.iter().zip(t.iter().chain(&z)) {
                assert!((got - expected).abs() <= bound, "{nrows} x {ncols}: {got} {expected}");
            }
        }
    }
}
