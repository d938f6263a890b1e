//! The top of a tridiagonal matrix against Jacobi's method, closed forms and residuals.

use super::Tridiagonal;

/// Error of an eigenvalue, in units of epsilon times the top one.
const VALUE_EPSILONS: f64 = 32.0;

/// Residual of an eigenvector, in the same units.
const RESIDUAL_EPSILONS: f64 = 16.0;

/// Relative error of each component of an eigenvector that decays.
const COMPONENT_EPSILONS: f64 = 32.0;

fn tridiagonal(alpha: &[f64], beta: &[f64]) -> Tridiagonal {
    let mut t = Tridiagonal::default();
    for (j, &alpha) in alpha.iter().enumerate() {
        // The entry that leads out of the matrix must never matter.
        t.push(alpha, beta.get(j).copied().unwrap_or(1e3));
    }
    t
}

/// All eigenvalues, largest first, by cyclic Jacobi rotations of the dense matrix.
fn naive_eigenvalues(t: &Tridiagonal) -> Vec<f64> {
    let k = t.len();
    let mut a = vec![vec![0.0; k]; k];
    for j in 0..k {
        a[j][j] = t.alpha[j];
        if j + 1 < k {
            (a[j][j + 1], a[j + 1][j]) = (t.beta[j], t.beta[j]);
        }
    }
    for _ in 0..60 {
        for p in 0..k {
            for q in p + 1..k {
                rotate(&mut a, p, q);
            }
        }
    }
    let mut values: Vec<f64> = (0..k).map(|j| a[j][j]).collect();
    values.sort_by(|x, y| y.total_cmp(x));
    values
}

/// The rotation that makes entry `(p, q)` zero.
fn rotate(a: &mut [Vec<f64>], p: usize, q: usize) {
    if a[p][q] == 0.0 {
        return;
    }
    let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
    let tan = theta.signum() / (theta.abs() + theta.hypot(1.0));
    let cos = 1.0 / tan.hypot(1.0);
    let sin = tan * cos;
    for row in a.iter_mut() {
        (row[p], row[q]) = (cos * row[p] - sin * row[q], sin * row[p] + cos * row[q]);
    }
    let (head, tail) = a.split_at_mut(q);
    for (x, y) in head[p].iter_mut().zip(&mut tail[0]) {
        (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y);
    }
}

/// The matrix of a chain of springs, whose spectrum has a closed form.
fn chain(k: usize) -> Tridiagonal {
    tridiagonal(&vec![2.0; k], &vec![1.0; k - 1])
}

/// Matrices with no negative eigenvalue that matters, by name.
fn matrices() -> Vec<(&'static str, Tridiagonal)> {
    let graded = |base: f64| {
        let alpha: Vec<_> = (0..20).map(|j| base.powi(-j)).collect();
        let beta: Vec<_> = alpha.windows(2).map(|pair| 0.4 * (pair[0] * pair[1]).sqrt()).collect();
        tridiagonal(&alpha, &beta)
    };
    let wilkinson: Vec<_> = (0..21).map(|j| (10.0 - j as f64).abs()).collect();
    let mixed: Vec<_> = (0..20).map(|j| 2.0 + (3.0 * j as f64).sin()).collect();
    let couplings: Vec<_> = (0..19).map(|j| 0.6 + 0.5 * (5.0 * j as f64).cos()).collect();
    vec![
        ("of order one", tridiagonal(&[3.0], &[])),
        ("of order two", tridiagonal(&[1.0, 2.0], &[0.5])),
        ("of order two, nearly diagonal", tridiagonal(&[1.0, 1.0], &[1e-9])),
        ("of order three", tridiagonal(&[1.0, 2.0, 0.5], &[0.5, 0.25])),
        ("chain of two", chain(2)),
        ("chain of three", chain(3)),
        ("chain of twenty", chain(20)),
        ("mixed", tridiagonal(&mixed, &couplings)),
        ("graded downwards", graded(3.0)),
        ("graded upwards", graded(1.0 / 3.0)),
        ("clustered pairs", tridiagonal(&wilkinson, &[1.0; 20])),
        ("clustered all", tridiagonal(&[1.0; 20], &[1e-8; 19])),
        ("nearly converged", tridiagonal(&[1.0, 0.5, 0.4, 0.3], &[1e-4, 1e-4, 1e-4])),
        ("large", tridiagonal(&[1e60, 2e60, 1e59], &[1e60, 1e59])),
        ("small", tridiagonal(&[1e-60, 2e-60, 1e-61], &[1e-60, 1e-61])),
    ]
}

#[test]
fn top_and_second_equal_naive_eigenvalues() {
    for (name, t) in matrices() {
        let naive = naive_eigenvalues(&t);
        let allowed = VALUE_EPSILONS * f64::EPSILON * naive[0];
        let top = t.top(0.0);
        assert!((top - naive[0]).abs() <= allowed, "{name}: {top:e} {:e}", naive[0]);
        match t.second(top) {
            Some(second) => assert!((second - naive[1]).abs() <= allowed, "{name}: {second:e}"),
            None => assert_eq!(t.len(), 1, "{name}"),
        }
    }
}

#[test]
fn top_and_second_of_a_chain_have_a_closed_form() {
    for k in [1, 2, 3, 20, 200] {
        let exact = |j: f64| 2.0 + 2.0 * (j * std::f64::consts::PI / (k as f64 + 1.0)).cos();
        let (t, allowed) = (chain(k), VALUE_EPSILONS * f64::EPSILON * exact(1.0));
        let top = t.top(0.0);
        assert!((top - exact(1.0)).abs() <= allowed, "{k}: {top}");
        if let Some(second) = t.second(top) {
            assert!((second - exact(2.0)).abs() <= allowed, "{k}: {second}");
        }
    }
}

#[test]
fn top_respects_its_floor() {
    for (name, t) in matrices() {
        let top = t.top(0.0);
        let again = t.top(top);
        let allowed = VALUE_EPSILONS * f64::EPSILON * top;
        assert!(again >= top && again - top <= allowed, "{name}: {again:e} from {top:e}");
    }
}

#[test]
fn top_of_zero_is_zero() {
    assert_eq!(tridiagonal(&[0.0], &[]).top(0.0), 0.0);
    assert_eq!(tridiagonal(&[0.0, 0.0], &[0.0]).top(0.0), 0.0);
}

#[test]
fn top_vector_is_a_unit_vector_with_a_small_residual() {
    for (name, t) in matrices() {
        let (k, top) = (t.len(), t.top(0.0));
        let y = t.top_vector(top);
        let norm = y.iter().map(|x| x * x).sum::<f64>().sqrt();
        assert!((norm - 1.0).abs() <= RESIDUAL_EPSILONS * f64::EPSILON, "{name}: {norm}");
        assert!(y.iter().all(|x| *x >= 0.0), "{name}: {y:?}");
        for j in 0..k {
            let before = if j > 0 { t.beta[j - 1] * y[j - 1] } else { 0.0 };
            let after = if j + 1 < k { t.beta[j] * y[j + 1] } else { 0.0 };
            let residual = (before + t.alpha[j] * y[j] + after - top * y[j]).abs();
            let allowed = RESIDUAL_EPSILONS * f64::EPSILON * top;
            assert!(residual <= allowed, "{name}: {:.1} epsilons", residual / allowed * 16.0);
        }
    }
}

#[test]
fn top_vector_of_order_two_is_accurate_in_its_last_component() {
    for coupling in [0.3, 1e-3, 5e-7, 5e-13, 1e-100] {
        let t = tridiagonal(&[1.0, 0.5], &[coupling]);
        let y = t.top_vector(t.top(0.0));
        let tan = 2.0 * coupling / (0.5 + 0.5_f64.hypot(2.0 * coupling));
        let error = (y[1] / y[0] / tan - 1.0).abs();
        assert!(error <= COMPONENT_EPSILONS * f64::EPSILON, "{coupling:e}: {error:e}");
    }
}

#[test]
fn top_vector_of_a_nearly_converged_matrix_is_accurate_in_every_component() {
    // The matrix is built around its eigenvector, whose last component is 1e-12 or less.
    for decay in [1e-3, 1e-4, 1e-20] {
        let (top, beta) = (2.0, 0.5 * decay);
        let y: Vec<f64> = (0..5).map(|j| f64::powi(decay, j)).collect();
        let alpha = |j: usize| {
            let before = if j > 0 { beta * (y[j - 1] / y[j]) } else { 0.0 };
            let after = if j < 4 { beta * (y[j + 1] / y[j]) } else { 0.0 };
            top - before - after
        };
        let t = tridiagonal(&(0..5).map(alpha).collect::<Vec<_>>(), &[beta; 4]);
        let got = t.top_vector(t.top(0.0));
        let norm = y.iter().map(|x| x * x).sum::<f64>().sqrt();
        for (j, (got, y)) in got.iter().zip(&y).enumerate() {
            let error = (got / (y / norm) - 1.0).abs();
            let allowed = COMPONENT_EPSILONS * f64::EPSILON;
            assert!(error <= allowed, "{decay:e}, component {j}: {error:e}");
        }
    }
}

#[test]
fn pushing_grows_the_matrix() {
    let mut t = Tridiagonal::default();
    assert_eq!(t.len(), 0);
    t.push(1.0, 0.25);
    t.push(2.0, 0.5);
    assert_eq!((t.len(), t.last_beta()), (2, 0.5));
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
