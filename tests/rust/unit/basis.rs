//! The basis stays orthonormal as it grows, and its sums are those of its vectors.

use super::{Basis, CAPACITY};
use crate::simd::Level;

/// Departure of the basis from orthonormality, entry by entry of its Gram matrix.
const ORTHONORMAL: f64 = 1e-14;

/// Numbers of changing sign, a function of the phase.
fn numbers(phase: f64, len: usize) -> Vec<f64> {
    (0..len).map(|i| (phase + (1.3 + phase) * (i * i) as f64).sin()).collect()
}

fn naive_dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// A basis of `count` vectors; each new one leans on those before it.
fn grown(level: Level, n: usize, count: usize) -> Basis {
    let mut basis = Basis::new(n);
    for k in 0..count {
        let mut z = numbers(0.1 + 0.01 * k as f64, n);
        let norm = basis.orthogonalize(level, &mut z);
        z.iter_mut().for_each(|x| *x /= norm);
        basis.push(&z);
    }
    basis
}

#[test]
fn basis_stays_orthonormal_past_its_capacity() {
    let cases = [(1, 1), (3, 3), (20, 17), (64, CAPACITY + 1), (65, 2 * CAPACITY + 1), (301, 70)];
    for (n, count) in cases {
        for level in Level::all() {
            let basis = grown(level, n, count);
            assert_eq!(basis.len(), count);
            for i in 0..count {
                for j in 0..=i {
                    let expected = f64::from(u8::from(i == j));
                    let error = naive_dot(basis.vector(i), basis.vector(j)) - expected;
                    assert!(error.abs() <= ORTHONORMAL, "{n}: {i} and {j} by {error:e}");
                }
            }
        }
    }
}

#[test]
fn a_larger_basis_keeps_the_vectors_it_had() {
    let level = Level::all()[0];
    let (small, large) = (grown(level, 65, CAPACITY), grown(level, 65, 3 * CAPACITY));
    for j in 0..CAPACITY {
        assert_eq!(small.vector(j), large.vector(j), "{j}");
    }
}

#[test]
fn orthogonalizing_returns_the_norm_of_what_is_left() {
    for level in Level::all() {
        let mut basis = grown(level, 65, 5);
        let mut z = numbers(0.9, 65);
        let norm = basis.orthogonalize(level, &mut z);
        assert!((norm / naive_dot(&z, &z).sqrt() - 1.0).abs() <= ORTHONORMAL);
        for j in 0..5 {
            assert!(naive_dot(basis.vector(j), &z).abs() <= ORTHONORMAL * norm, "{j}");
        }
    }
}

#[test]
fn nothing_is_left_of_a_vector_inside_the_span() {
    for level in Level::all() {
        let mut basis = grown(level, 65, 20);
        let mut z = basis.combine(level, &numbers(0.2, 20));
        assert!(basis.orthogonalize(level, &mut z) <= ORTHONORMAL);
    }
}

#[test]
fn combining_adds_up_the_vectors() {
    for level in Level::all() {
        let basis = grown(level, 65, 20);
        let y = numbers(0.4, 20);
        for (i, x) in basis.combine(level, &y).iter().enumerate() {
            let naive: f64 = (0..20).map(|j| y[j] * basis.vector(j)[i]).sum();
            assert!((x - naive).abs() <= ORTHONORMAL, "{i}");
        }
    }
}
