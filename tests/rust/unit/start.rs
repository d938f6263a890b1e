//! The start vector: what it depends on, and what a warm start keeps.

use super::{TAU, fill};
use crate::simd::Level;

fn start(seed: u64, n: usize, v0: Option<&[f64]>) -> (Vec<f64>, bool) {
    let mut v = vec![0.0; n];
    let warm = fill(Level::current().unwrap(), seed, v0, &mut v);
    (v, warm)
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

#[test]
fn start_is_a_unit_vector_of_its_seed_and_length() {
    for n in [1, 2, 3, 8, 63, 1000] {
        let (v, warm) = start(7, n, None);
        assert!(!warm);
        assert!((dot(&v, &v) - 1.0).abs() < 1e-14, "n = {n}");
        assert_eq!(v, start(7, n, None).0);
        assert!(n == 1 || v != start(8, n, None).0);
    }
    assert_ne!(start(7, 64, None).0[..63], start(7, 63, None).0[..]);
}

#[test]
fn coordinates_have_the_moments_of_a_uniform_direction() {
    let n = 20_000;
    let (v, _) = start(3, n, None);
    let scale = (n as f64).sqrt();
    let moment = |p: i32| v.iter().map(|x| (x * scale).powi(p)).sum::<f64>() / n as f64;
    assert!(moment(1).abs() < 5.0 / scale, "{}", moment(1));
    assert!((moment(4) - 3.0).abs() < 5.0 * 96_f64.sqrt() / scale, "{}", moment(4));
}

#[test]
fn warm_start_keeps_its_direction_at_every_scale() {
    let n = 200;
    let w: Vec<f64> = (0..n).map(|i| (i as f64).sin()).collect();
    let (expected, _) = start(1, n, Some(&w));
    for scale in [1e-300, 1e-40, 1e40, 1e300] {
        let scaled: Vec<f64> = w.iter().map(|x| x * scale).collect();
        let (v, warm) = start(1, n, Some(&scaled));
        assert!(warm);
        let cosine = dot(&v, &w) / dot(&w, &w).sqrt();
        assert!(cosine > 1.0 - 2.0 * TAU, "{cosine} at {scale}");
        assert!((dot(&v, &expected) - 1.0).abs() < 1e-12, "at {scale}");
    }
}

#[test]
fn start_without_a_direction_counts_as_none() {
    for bad in [0.0, f64::NAN, f64::INFINITY] {
        let mut w = vec![0.0; 50];
        w[3] = bad;
        let (v, warm) = start(5, 50, Some(&w));
        assert!(!warm, "{bad}");
        assert_eq!(v, start(5, 50, None).0);
    }
}
