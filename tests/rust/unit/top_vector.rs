//! The top vector, component by component: against Jacobi's method, and against a matrix whose top
//! vector decays geometrically, which is known exactly. The eigenvalue handed in is a rounded one,
//! and the vector must not care which way it was rounded.

use super::Tridiagonal;

/// Relative error of an eigenvalue.
const VALUE_ERROR: f64 = 1e-14;

/// Error of a component times the relative gap.
const VECTOR_ERROR: f64 = 1e-13;

/// Relative error of a component, per row of the matrix.
const COMPONENT_ERROR: f64 = 2e-15;

/// Uniform on `[0, 1)`, the same numbers every time (SplitMix64).
fn numbers(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 11) as f64 * 0.5_f64.powi(53)
    }
}

fn naive_dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// Eigenvalues, largest first, and their vectors (as rows) of a symmetric matrix, by cyclic Jacobi
/// rotations.
fn naive_eigen(a: &[Vec<f64>]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = a.len();
    let mut a = a.to_vec();
    let mut vectors: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| f64::from(u8::from(i == j))).collect()).collect();
    for _ in 0..60 {
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut vectors, p, q);
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[j][j].total_cmp(&a[i][i]));
    let values = order.iter().map(|&i| a[i][i]).collect();
    (values, order.iter().map(|&i| vectors[i].clone()).collect())
}

fn rotate(a: &mut [Vec<f64>], vectors: &mut [Vec<f64>], p: usize, q: usize) {
    if a[p][q] == 0.0 {
        return;
    }
    let zeta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let sign = if zeta < 0.0 { -1.0 } else { 1.0 };
    let tangent = sign / (zeta.abs() + zeta.hypot(1.0));
    let cosine = 1.0 / tangent.hypot(1.0);
    let sine = cosine * tangent;
    for row in a.iter_mut() {
        (row[p], row[q]) = (cosine * row[p] - sine * row[q], sine * row[p] + cosine * row[q]);
    }
    for rows in [a, vectors] {
        let (low, high) = rows.split_at_mut(q);
        for (x, y) in low[p].iter_mut().zip(&mut high[0]) {
            (*x, *y) = (cosine * *x - sine * *y, sine * *x + cosine * *y);
        }
    }
}

/// The matrix of order `alpha.len()`; nothing leads out of it.
fn tridiagonal(alpha: &[f64], beta: &[f64]) -> Tridiagonal {
    let mut t = Tridiagonal::default();
    for (j, &alpha) in alpha.iter().enumerate() {
        t.push(alpha, beta.get(j).copied().unwrap_or(0.0));
    }
    t
}

fn dense(t: &Tridiagonal) -> Vec<Vec<f64>> {
    let k = t.len();
    let mut a = vec![vec![0.0; k]; k];
    for j in 0..k {
        a[j][j] = t.alpha[j];
        if j + 1 < k {
            (a[j][j + 1], a[j + 1][j]) = (t.beta[j], t.beta[j]);
        }
    }
    a
}

/// `B B'` of a bidiagonal `B` with entries of `size(j)`, so that no eigenvalue is negative.
fn random(k: usize, seed: u64, size: impl Fn(usize) -> f64) -> Tridiagonal {
    let mut number = numbers(seed);
    let mut entries = || (0..k).map(|j| number() * size(j)).collect::<Vec<f64>>();
    let (diagonal, lower) = (entries(), entries());
    let before = |j: usize| if j > 0 { lower[j - 1] } else { 0.0 };
    let mut t = Tridiagonal::default();
    for j in 0..k {
        t.push(diagonal[j].powi(2) + before(j).powi(2), diagonal[j] * lower[j]);
    }
    t
}

/// The value, the second value and the vector, also for a top that is rounded up or down.
fn assert_agrees_with_jacobi(t: &Tridiagonal, context: &str) {
    let (values, vectors) = naive_eigen(&dense(t));
    let top = t.top(0.0);
    assert!((top - values[0]).abs() <= VALUE_ERROR * values[0], "{context}: {top}");
    let second = t.second(top).expect("there are two");
    assert!((second - values[1]).abs() <= VALUE_ERROR * values[0], "{context}: {second}");
    let gap = (values[0] - values[1]) / values[0];
    for ulps in [-2.0, -1.0, 0.0, 1.0, 2.0] {
        let y = t.top_vector(top * (1.0 + ulps * f64::EPSILON));
        let norm = naive_dot(&y, &y).sqrt();
        assert!((norm - 1.0).abs() <= VALUE_ERROR, "{context}, {ulps} ulps: length {norm}");
        let sign = naive_dot(&y, &vectors[0]).signum();
        for (y, expected) in y.iter().zip(&vectors[0]) {
            let error = (y - sign * expected).abs();
            assert!(error * gap <= VECTOR_ERROR, "{context}, {ulps} ulps: off by {error:e}");
        }
    }
}

#[test]
fn random_matrices_agree_with_jacobi() {
    for k in [2, 3, 4, 7, 12, 30] {
        for seed in 0..20 {
            let t = random(k, seed, |_| 1.0);
            assert_agrees_with_jacobi(&t, &format!("order {k}, seed {seed}"));
        }
    }
}

#[test]
fn matrices_graded_either_way_agree_with_jacobi() {
    for seed in 0..20 {
        let falling = random(20, seed, |j| 0.5_f64.powi(j as i32));
        assert_agrees_with_jacobi(&falling, &format!("falling, seed {seed}"));
        let rising = random(20, seed, |j| 0.5_f64.powi(20 - j as i32));
        assert_agrees_with_jacobi(&rising, &format!("rising, seed {seed}"));
    }
}

/// The matrix whose top vector is `1, r, r^2, ...` with `r = 1/4`, exactly: the diagonal makes up
/// for the missing neighbours at both ends. Its top eigenvalue is 12.25.
fn decaying(k: usize) -> Tridiagonal {
    let mut alpha = vec![8.0; k];
    (alpha[0], alpha[k - 1]) = (12.0, 8.25);
    tridiagonal(&alpha, &vec![1.0; k - 1])
}

/// Every component of `y`, as small as it may be, relative to itself.
fn assert_decays<'a>(y: impl ExactSizeIterator<Item = &'a f64>, context: &str) {
    let k = y.len();
    let squared = (1.0 - 16.0_f64.powi(-(k as i32))) / (1.0 - 1.0 / 16.0);
    for (j, y) in y.enumerate() {
        let expected = 0.25_f64.powi(j as i32) / squared.sqrt();
        let error = (y / expected - 1.0).abs();
        let allowed = COMPONENT_ERROR * (k + 10) as f64;
        assert!(error <= allowed, "{context} {k}, component {j}: {error:e}");
    }
}

#[test]
fn tiny_components_at_either_end_are_right_relative_to_themselves() {
    // The last one is what Lanczos reads its residual off; the top may also emerge last.
    for k in [2, 5, 20, 60, 200, 400] {
        let forwards = decaying(k);
        let mut backwards = decaying(k);
        backwards.alpha.reverse();
        for ulps in [-2.0, -1.0, 0.0, 1.0, 2.0] {
            let top = 12.25 * (1.0 + ulps * f64::EPSILON);
            let context = format!("{ulps} ulps, order");
            assert_decays(forwards.top_vector(top).iter(), &context);
            assert_decays(backwards.top_vector(top).iter().rev(), &format!("reversed, {context}"));
        }
    }
}

#[test]
fn nearly_detached_component_is_right_whatever_its_coupling() {
    // y_2 / y_1 = beta / (top - alpha_2).
    for beta in [1e-3, 1e-8, 1e-16, 1e-30, 1e-100] {
        let t = tridiagonal(&[1.0, 0.5], &[beta]);
        let y = t.top_vector(t.top(0.0));
        let gap = 0.5 * (0.5 + (0.25 + 4.0 * beta * beta).sqrt());
        assert!((y[1] / y[0] / (beta / gap) - 1.0).abs() <= 1e-14, "beta {beta:e}");
    }
}

#[test]
fn top_that_stands_twice_yields_some_vector_of_its_space() {
    // Two copies, hardly coupled, one of them perhaps reversed: what the doubled form of a complex
    // matrix is reduced to.
    for k in [2, 5, 20, 45] {
        for seed in 0..50 {
            for coupling in [0.0, 1e-30, 1e-17, 1e-15, 1e-12] {
                let one = random(k, seed, |_| 1.0);
                let (mut alpha, mut beta) = (one.alpha.clone(), one.beta[..k - 1].to_vec());
                if seed % 2 == 1 {
                    alpha.reverse();
                    beta.reverse();
                }
                let off = [&one.beta[..k - 1], &[coupling], &beta].concat();
                let twice = tridiagonal(&[one.alpha, alpha].concat(), &off);
                for ulps in [-2.0, 0.0, 2.0] {
                    let top = twice.top(0.0);
                    let y = twice.top_vector(top * (1.0 + ulps * f64::EPSILON));
                    let image = dense(&twice).into_iter().map(|row| naive_dot(&row, &y));
                    let residual: f64 = image.zip(&y).map(|(z, y)| (z - top * y).powi(2)).sum();
                    let context = format!("order {k}, seed {seed}, coupling {coupling:e}");
                    assert!(residual.sqrt() <= 1e-13 * top, "{context}: {residual:e}");
                }
            }
        }
    }
}
