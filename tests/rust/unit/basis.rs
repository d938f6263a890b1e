//! The basis stays orthonormal, past the room it begins with.

use super::{Basis, CAPACITY};
use crate::simd::Level;

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// Vectors that are far from orthogonal: each is mostly the one before it.
fn filled(n: usize, len: usize, level: Level) -> Basis {
    let mut basis = Basis::new(n);
    for j in 0..len {
        let mut z: Vec<f64> = (0..n).map(|i| 1.0 + 1e-3 * ((i * (j + 1)) as f64).sin()).collect();
        let norm = basis.orthogonalize(level, &mut z);
        z.iter_mut().for_each(|x| *x /= norm);
        basis.push(&z);
    }
    basis
}

#[test]
fn vectors_stay_orthonormal_past_the_first_room() {
    for n in [41, 64, 100] {
        let len = 2 * CAPACITY + 3;
        let basis = filled(n, len, Level::current().unwrap());
        assert_eq!(basis.len(), len);
        for i in 0..len {
            for j in 0..=i {
                let expected = f64::from(u8::from(i == j));
                let product = dot(basis.vector(i), basis.vector(j));
                assert!((product - expected).abs() < 1e-14, "{i} {j}: {product}");
            }
        }
    }
}

#[test]
fn vector_inside_the_span_shrinks_to_rounding() {
    let level = Level::current().unwrap();
    let mut basis = filled(50, 10, level);
    let weights: Vec<f64> = (0..10).map(|j| f64::from(j) - 4.5).collect();
    let mut z = basis.combine(level, &weights);
    let before = dot(&z, &z).sqrt();
    assert!((before / dot(&weights, &weights).sqrt() - 1.0).abs() < 1e-14);
    assert!(basis.orthogonalize(level, &mut z) < 1e-14 * before);
}

#[test]
fn every_tier_gives_the_same_bits() {
    let levels = Level::all();
    let expected = filled(45, 20, levels[0]);
    for &level in &levels[1..] {
        let basis = filled(45, 20, level);
        assert!((0..20).all(|j| basis.vector(j) == expected.vector(j)), "{}", level.name());
    }
}
