//! The kernels of eight matrices against naive loops, lane against lane and tier against tier.

use super::{Entry, Gram, Pass, Reduce, Rescale, Survey, Top};
use crate::simd::Level;

/// Numbers in [-1, 1), a function of the seed.
fn numbers(seed: u64, len: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    (0..4).for_each(|_| _ = next());
    (0..len).map(|_| next()).collect()
}

fn entries(seed: u64, len: usize) -> Vec<Entry> {
    numbers(seed, 8 * len).as_chunks::<8>().0.iter().map(|&lanes| lanes.into()).collect()
}

/// What all kernels make of eight matrices, in the order of a solve.
#[derive(Debug, PartialEq, Clone)]
struct Solved {
    survey: (Entry, Entry),
    gram: Vec<Entry>,
    alpha: Vec<Entry>,
    beta: Vec<Entry>,
    top: Entry,
    t: Vec<Entry>,
    z: Vec<Entry>,
}

fn solve(level: Level, nrows: usize, n: usize, entries: &[Entry]) -> Solved {
    let zeros = |len: usize| vec![Entry::from([0.0; 8]); len];
    let survey = level.run(Survey { entries });
    let mut gram = zeros(n * n);
    level.run(Gram { ncols: n, entries, gram: &mut gram });
    let mut reduced = gram.clone();
    let (mut alpha, mut beta, mut tau, mut work) = (zeros(n), zeros(n), zeros(n), zeros(2 * n));
    level.run(Reduce {
        n,
        gram: &mut reduced,
        alpha: &mut alpha,
        beta: &mut beta,
        tau: &mut tau,
        work: &mut work,
    });
    let top = level.run(Top { alpha: &alpha, beta: &beta });
    let (mut t, mut z) = (zeros(nrows), zeros(n));
    level.run(Pass { entries, x: &entries[..n], t: &mut t, z: &mut z });
    Solved { survey, gram, alpha, beta, top, t, z }
}

const SHAPES: [(usize, usize); 9] =
    [(1, 1), (5, 1), (2, 2), (3, 3), (7, 4), (5, 5), (9, 8), (16, 16), (40, 11)];

#[test]
fn gram_and_products_equal_naive_loops() {
    for (m, n) in SHAPES {
        let a = entries(3, m * n);
        let solved = solve(Level::all()[0], m, n, &a);
        for lane in 0..8 {
            let entry = |i: usize, j: usize| a[i * n + j][lane];
            for i in 0..n {
                for j in 0..=i {
                    let sum: f64 = (0..m).map(|r| entry(r, i) * entry(r, j)).sum();
                    assert!((solved.gram[i * n + j][lane] - sum).abs() <= 1e-14, "{m} x {n}");
                }
            }
            for i in 0..m {
                let sum: f64 = (0..n).map(|j| entry(i, j) * a[j][lane]).sum();
                assert!((solved.t[i][lane] - sum).abs() <= 1e-14, "{m} x {n}");
            }
            for j in 0..n {
                let sum: f64 = (0..m).map(|i| entry(i, j) * solved.t[i][lane]).sum();
                assert!((solved.z[j][lane] - sum).abs() <= 1e-13, "{m} x {n}");
            }
            let largest = a.iter().fold(0.0_f64, |x, a| x.max(a[lane].abs()));
            assert_eq!(solved.survey.0[lane], largest);
        }
    }
}

#[test]
fn reduction_keeps_the_trace_and_the_frobenius_norm() {
    for (m, n) in SHAPES {
        let solved = solve(Level::all()[0], m, n, &entries(5, m * n));
        for lane in 0..8 {
            let gram = |i: usize, j: usize| solved.gram[i.max(j) * n + i.min(j)][lane];
            let trace: f64 = (0..n).map(|i| gram(i, i)).sum();
            let squares: f64 = (0..n * n).map(|k| gram(k / n, k % n).powi(2)).sum();
            let diagonal: f64 = solved.alpha.iter().map(|x| x[lane]).sum();
            let alphas: f64 = solved.alpha.iter().map(|x| x[lane].powi(2)).sum();
            let betas: f64 = solved.beta.iter().map(|x| x[lane].powi(2)).sum();
            assert!((diagonal - trace).abs() <= 1e-13 * trace, "{m} x {n}");
            assert!((alphas + 2.0 * betas - squares).abs() <= 1e-13 * squares, "{m} x {n}");
        }
    }
}

/// The top eigenvalue of one lane by bisection on the sign of the ratios.
fn naive_top(alpha: &[Entry], beta: &[Entry], lane: usize) -> f64 {
    let is_above = |x: f64| {
        let mut d = 1.0;
        (0..alpha.len()).all(|j| {
            let off = if j > 0 { beta[j - 1][lane].powi(2) / d } else { 0.0 };
            d = x - alpha[j][lane] - off;
            d > 0.0
        })
    };
    let (mut low, mut high) = (0.0, 1e9);
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        *(if is_above(middle) { &mut high } else { &mut low }) = middle;
    }
    high
}

#[test]
fn top_equals_bisection_also_where_eigenvalues_meet() {
    for (m, n) in SHAPES {
        let solved = solve(Level::all()[0], m, n, &entries(7, m * n));
        for lane in 0..8 {
            let expected = naive_top(&solved.alpha, &solved.beta, lane);
            assert!((solved.top[lane] - expected).abs() <= 1e-15 * expected * 4.0, "{m} x {n}");
        }
    }
    // One lane each: all equal, nearly equal, split in the middle, one far above, one of many.
    let diagonals: [[f64; 5]; 8] = [
        [1.0; 5],
        [1.0 + 1e-8, 1.0, 1.0, 1.0, 1.0],
        [1.0, 1.0 + 2e-16, 1.0 - 1e-12, 1.0, 1.0],
        [2.0, 1.0, 0.0, 1.0, 2.0],
        [1e8, 1.0, 1e-8, 1e-300, 0.0],
        [0.0, 0.0, 3.0, 0.0, 0.0],
        [5.0, 4.0, 3.0, 2.0, 1.0],
        [1e-9, 1e-9, 1e-9, 1e-9, 1.0],
    ];
    let offs: [f64; 8] = [0.0, 1e-9, 0.0, 0.5, 1e-4, 0.0, 1.0, 1e-12];
    let diagonal = |j: usize| Entry::from(std::array::from_fn(|lane| diagonals[lane][j]));
    let alpha: Vec<Entry> = (0..5).map(diagonal).collect();
    let beta: Vec<Entry> = (0..5).map(|j| if j < 4 { offs } else { [0.0; 8] }.into()).collect();
    let top = Level::all()[0].run(Top { alpha: &alpha, beta: &beta });
    for (lane, top) in top.iter().enumerate() {
        let expected = naive_top(&alpha, &beta, lane);
        let error = (top / expected - 1.0).abs();
        assert!(error <= 1e-15, "lane {lane}: {top} and {expected}");
    }
}

#[test]
fn every_tier_returns_the_same_bits() {
    for (m, n) in SHAPES {
        let a = entries(11, m * n);
        let expected = solve(Level::all()[0], m, n, &a);
        for level in Level::all() {
            assert_eq!(solve(level, m, n, &a), expected, "{m} x {n} on {}", level.name());
        }
    }
}

#[test]
fn a_lane_does_not_see_its_neighbours() {
    for level in Level::all() {
        for (m, n) in SHAPES {
            let a = entries(13, m * n);
            let expected = solve(level, m, n, &a);
            let mut other = entries(17, m * n);
            for (other, a) in other.iter_mut().zip(&a) {
                (other[0], other[1], other[5]) = (f64::NAN, 0.0, a[2]);
            }
            let got = solve(level, m, n, &other);
            assert_eq!(got.top[5].to_bits(), expected.top[2].to_bits(), "{m} x {n}");
            assert!(got.alpha.iter().zip(&expected.alpha).all(|(a, b)| a[5] == b[2]));
        }
    }
}

#[test]
fn rescaling_takes_both_factors_in_turn() {
    let mut a = [[2.0_f64.powi(1000); 8].into()];
    let factors = ([2.0_f64.powi(-500); 8].into(), [2.0_f64.powi(-501); 8].into());
    Level::all()[0].run(Rescale { factors, entries: &mut a });
    assert_eq!(*a[0], [0.5; 8]);
}
