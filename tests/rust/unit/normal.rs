//! Normal numbers: the functions they are made of, their distribution, and the same bits on every tier.

use super::{COS, SIN, ln, mix, normals, series};
use crate::simd::Level;

fn drawn(level: Level, key: u64, n: usize) -> Vec<f64> {
    let mut out = vec![f64::NAN; n];
    normals(level, key, &mut out);
    out
}

#[test]
fn the_logarithm_is_that_of_the_library() {
    let close = |x: f64| (ln(x) - x.ln()).abs() <= 4.0 * f64::EPSILON * x.ln().abs();
    for x in [1.0, 2.0, 0.5, 1.0 - f64::EPSILON, f64::EPSILON, std::f64::consts::FRAC_1_SQRT_2] {
        assert!(close(x), "{x}: {} and {}", ln(x), x.ln());
    }
    for i in 0..10_000 {
        let x = (i as f64 + 0.37) / 10_000.0;
        assert!(close(x), "{x}: {} and {}", ln(x), x.ln());
    }
}

#[test]
fn sine_and_cosine_are_those_of_the_library() {
    for i in -1000..=1000 {
        let x = f64::from(i) / 1000.0 * std::f64::consts::FRAC_PI_4;
        assert!((x * series(&SIN, x * x) - x.sin()).abs() <= 2.0 * f64::EPSILON, "{x}");
        assert!((series(&COS, x * x) - x.cos()).abs() <= 2.0 * f64::EPSILON, "{x}");
    }
}

#[test]
fn every_tier_draws_the_same_numbers() {
    for n in [0, 1, 2, 15, 16, 17, 1000] {
        let expected = drawn(Level::all()[0], 5, n);
        assert!(expected.iter().all(|x| x.is_finite()), "n = {n}");
        for &level in &Level::all()[1..] {
            assert_eq!(drawn(level, 5, n), expected, "n = {n}, {}", level.name());
        }
        // What is drawn at a place does not depend on how many there are.
        assert_eq!(drawn(Level::all()[0], 5, 2000)[..n], expected[..]);
    }
}

#[test]
fn numbers_fill_the_quantiles_of_the_normal_distribution() {
    // P(x < q), to five digits.
    let quantiles = [
        (-3.0, 0.00135),
        (-2.0, 0.02275),
        (-1.0, 0.15866),
        (-0.5, 0.30854),
        (0.0, 0.5),
        (0.5, 0.69146),
        (1.0, 0.84134),
        (2.0, 0.97725),
        (3.0, 0.99865),
    ];
    let n = 400_000;
    for key in [mix(1), mix(2)] {
        let x = drawn(Level::current().unwrap(), key, n);
        for (q, expected) in quantiles {
            let share = x.iter().filter(|&&x| x < q).count() as f64 / n as f64;
            let deviation = (expected * (1.0 - expected) / n as f64).sqrt();
            assert!((share - expected).abs() < 4.5 * deviation + 1e-5, "{q}: {share}");
        }
    }
}

#[test]
fn pairs_and_neighbours_are_uncorrelated() {
    let n = 200_000;
    let x = drawn(Level::current().unwrap(), mix(3), n);
    for lag in [1, 2, 4, 7, 8, 9, 16] {
        for power in [1, 2] {
            let centred = |x: f64| if power == 1 { x } else { (x * x - 1.0) / 2.0_f64.sqrt() };
            let pairs = x.iter().zip(&x[lag..]);
            let sum: f64 = pairs.map(|(&x, &y)| centred(x) * centred(y)).sum();
            assert!(sum.abs() < 4.5 * (n as f64).sqrt(), "lag {lag}, power {power}: {sum}");
        }
    }
}
