//! The start vector: what it depends on, and what a warm start keeps.

use super::{TAU, fill};
use crate::kernels::reduce::{dot, nrm2};
use crate::simd::Level;

/// Error of a norm or a cosine of the vectors here.
const ROUNDING: f64 = 1e-14;

const LENGTHS: [usize; 6] = [1, 2, 7, 8, 65, 1000];

fn level() -> Level {
    Level::all()[0]
}

fn start(seed: u64, v0: Option<&[f64]>, len: usize) -> Vec<f64> {
    let mut v = vec![0.0; len];
    let used = fill(level(), seed, v0, &mut v);
    assert_eq!(used, v0.is_some());
    v
}

#[test]
fn start_depends_on_seed_and_length_alone() {
    for len in LENGTHS {
        for level in Level::all() {
            let mut v = vec![f64::NAN; len];
            assert!(!fill(level, 5, None, &mut v));
            assert_eq!(v, start(5, None, len), "{len} on {}", level.name());
        }
    }
}

#[test]
fn start_is_a_unit_vector() {
    for len in LENGTHS {
        for seed in [0, 1, u64::MAX] {
            let norm = nrm2(level(), &start(seed, None, len));
            assert!((norm - 1.0).abs() <= ROUNDING, "{len} {seed}");
        }
    }
}

#[test]
fn starts_of_other_seeds_and_lengths_differ() {
    let v = start(0, None, 64);
    for seed in [1, 2, 1 << 32, u64::MAX] {
        assert!(dot(level(), &v, &start(seed, None, 64)).abs() < 0.9, "{seed}");
    }
    assert!(dot(level(), &v, &start(0, None, 65)[..64]).abs() < 0.9);
}

#[test]
fn a_coordinate_of_the_start_in_space_is_uniform() {
    // Archimedes again; five standard deviations of the count.
    const SEEDS: u64 = 4000;
    for coordinate in 0..3 {
        let below = |seed: &u64| start(*seed, None, 3)[coordinate].abs() < 0.5;
        let share = (0..SEEDS).filter(below).count() as f64 / SEEDS as f64;
        assert!((share - 0.5).abs() < 5.0 * 0.5 / (SEEDS as f64).sqrt(), "{coordinate}: {share}");
    }
}

#[test]
fn a_warm_start_keeps_its_direction() {
    for len in LENGTHS {
        for seed in 0..5 {
            let w = start(100 + seed, None, len);
            let v = start(seed, Some(&w), len);
            assert!((nrm2(level(), &v) - 1.0).abs() <= ROUNDING, "{len}");
            // The random part turns a unit vector by an angle whose sine is at most its length.
            let cosine = dot(level(), &w, &v);
            assert!(cosine >= (1.0 - TAU * TAU).sqrt() - ROUNDING, "{len}: {cosine}");
        }
    }
}

#[test]
fn a_warm_start_of_any_size_counts_the_same() {
    let w = start(9, None, 65);
    let expected = start(3, Some(&w), 65);
    for power in [1e-290, 1e-5, 1e10, 1e300].map(|x: f64| 2.0_f64.powf(x.log2().round())) {
        let scaled: Vec<_> = w.iter().map(|x| x * power).collect();
        assert_eq!(start(3, Some(&scaled), 65), expected, "{power:e}");
    }
}

#[test]
fn a_subnormal_warm_start_has_a_direction() {
    let mut w = [0.0; 9];
    w[4] = f64::from_bits(1);
    assert!(start(0, Some(&w), 9)[4] >= (1.0 - TAU * TAU).sqrt() - ROUNDING);
}

#[test]
fn a_warm_start_without_a_direction_counts_as_none() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut w = vec![1.0; 17];
        w[16] = bad;
        assert_no_direction(&w);
    }
    assert_no_direction(&[0.0; 17]);
    assert_no_direction(&[-0.0; 17]);
}

#[track_caller]
fn assert_no_direction(w: &[f64]) {
    for level in Level::all() {
        let mut v = vec![0.0; w.len()];
        assert!(!fill(level, 4, Some(w), &mut v));
        assert_eq!(v, start(4, None, w.len()));
    }
}
