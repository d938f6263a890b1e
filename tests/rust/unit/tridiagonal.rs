//! The tridiagonal eigenproblem against closed forms and its own residual.

use super::Tridiagonal;

fn tridiagonal(alpha: &[f64], beta: &[f64]) -> Tridiagonal {
    let mut t = Tridiagonal::default();
    for (j, &a) in alpha.iter().enumerate() {
        t.push(a, beta.get(j).copied().unwrap_or(0.0));
    }
    t
}

/// `|T y - theta y|`, with the matrix cut off after its last row.
fn residual(t: &Tridiagonal, theta: f64, y: &[f64]) -> f64 {
    let k = t.len();
    let row = |j: usize| {
        let left = if j > 0 { t.beta[j - 1] * y[j - 1] } else { 0.0 };
        let right = if j + 1 < k { t.beta[j] * y[j + 1] } else { 0.0 };
        left + t.alpha[j] * y[j] + right - theta * y[j]
    };
    (0..k).map(|j| row(j).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn order_one_is_its_entry() {
    let t = tridiagonal(&[3.0], &[]);
    assert_eq!(t.top(0.0), 3.0);
    assert_eq!(t.second(3.0), None);
    assert_eq!(t.top_vector(3.0), [1.0]);
}

#[test]
fn order_two_has_the_eigenvalues_of_the_quadratic() {
    let t = tridiagonal(&[2.0, 2.0], &[1.0]);
    assert!((t.top(0.0) - 3.0).abs() < 1e-15);
    assert!((t.second(3.0).unwrap() - 1.0).abs() < 1e-14);
    let y = t.top_vector(3.0);
    assert!((y[0] - 0.5_f64.sqrt()).abs() < 1e-15 && (y[1] - y[0]).abs() < 1e-15);
}

#[test]
fn second_difference_has_its_cosines() {
    for k in [3, 20, 100, 300] {
        let t = tridiagonal(&vec![2.0; k], &vec![1.0; k - 1]);
        let value = |i: usize| 2.0 + 2.0 * (std::f64::consts::PI * i as f64 / (k + 1) as f64).cos();
        let top = t.top(0.0);
        assert!((top / value(1) - 1.0).abs() < 4e-15, "k = {k}: {top}");
        assert!((t.second(top).unwrap() / value(2) - 1.0).abs() < 1e-14, "k = {k}");
        let y = t.top_vector(top);
        assert!((y.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-13);
        assert!(residual(&t, top, &y) < 1e-13, "k = {k}: {}", residual(&t, top, &y));
    }
}

#[test]
fn top_starts_from_a_floor_without_leaving_the_root() {
    let t = tridiagonal(&[5.0, 4.0, 3.0, 2.0], &[0.1, 0.2, 0.3]);
    let top = t.top(0.0);
    assert!((t.top(4.9) - top).abs() <= 2.0 * f64::EPSILON * top);
    assert!(t.top(top) >= top);
}

#[test]
fn tiny_last_component_is_relatively_accurate() {
    // Each coupling is small beside the gap, so the components fall by beta / gap to first order:
    // far below what the difference of rounded eigenvalues could show.
    let k = 12;
    let alpha: Vec<f64> = (0..k).map(|j| if j == 0 { 4.0 } else { 1.0 }).collect();
    let beta = vec![1e-3; k - 1];
    let t = tridiagonal(&alpha, &beta);
    let top = t.top(0.0);
    let y = t.top_vector(top);
    // y_j = beta / (top - alpha - ...) y_{j-1}, exactly, from the far end.
    let mut below = top - 1.0;
    let mut expected = 1.0;
    for _ in 1..k {
        expected *= 1e-3 / below;
        below = top - 1.0 - 1e-6 / below;
    }
    assert!(y[k - 1] < 1e-35, "{}", y[k - 1]);
    assert!((y[k - 1] / expected - 1.0).abs() < 1e-3, "{} {expected}", y[k - 1]);
}

#[test]
fn graded_and_clustered_matrices_keep_a_small_residual() {
    let graded: Vec<f64> = (0..30).map(|j| 10_f64.powi(-j)).collect();
    let t = tridiagonal(&graded, &vec![1e-3; 29]);
    let top = t.top(0.0);
    assert!(residual(&t, top, &t.top_vector(top)) < 1e-15);
    let clustered: Vec<f64> = (0..6).map(|j| 1.0 + f64::from(j) * 1e-9).collect();
    let t = tridiagonal(&clustered, &[1e-10; 5]);
    let top = t.top(0.0);
    assert!((1.0 + 5e-9..1.0 + 6e-9).contains(&top), "{top}");
    assert!(t.second(top).unwrap() < top);
}
