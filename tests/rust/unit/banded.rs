//! The band matrix against closed forms, naive products and counts.

use super::{Banded, Pair};

/// The path of `2 k` vertices, whose eigenvalues are `2 cos(pi j / (2 k + 1))`, cut into blocks of
/// two and shifted so that all are positive.
fn path(k: usize) -> Banded<2> {
    let mut matrix = Banded::default();
    for _ in 0..k {
        matrix.push(&[[3.0, 1.0], [1.0, 3.0]], &[[0.0, 1.0], [0.0, 0.0]]);
    }
    matrix
}

fn eigenvalue(n: usize, j: usize) -> f64 {
    3.0 + 2.0 * (std::f64::consts::PI * j as f64 / (n + 1) as f64).cos()
}

#[test]
fn the_top_and_the_second_of_a_path_are_the_closed_form() {
    let mut pair = Pair::default();
    for k in 1..40 {
        let matrix = path(k);
        pair = matrix.top(&pair);
        let n = 2 * k;
        assert!((pair.theta - eigenvalue(n, 1)).abs() < 1e-12, "k = {k}: {}", pair.theta);
        let second = matrix.nth(2, pair.theta);
        assert!((second - eigenvalue(n, 2)).abs() < 1e-10, "k = {k}: {second}");
        let image = matrix.matvec(&pair.vector);
        let residual = image.iter().zip(&pair.vector).map(|(y, x)| (y - pair.theta * x).abs());
        assert!(residual.fold(0.0, f64::max) < 1e-5, "k = {k}");
    }
}

#[test]
fn a_start_orthogonal_to_the_top_is_no_trap() {
    // The antisymmetric vectors of a path are an invariant space without the top.
    let matrix = path(10);
    let antisymmetric = (0..20).map(|i| if i < 10 { 1.0 } else { -1.0 }).collect();
    let pair = matrix.top(&Pair { theta: 0.0, vector: antisymmetric });
    assert!((pair.theta - eigenvalue(20, 1)).abs() < 1e-12);
}

#[test]
fn counts_step_at_every_eigenvalue() {
    let matrix = path(8);
    for j in 1..=16 {
        let x = eigenvalue(16, j);
        assert_eq!(matrix.count_above(x + 1e-9), j - 1);
        assert_eq!(matrix.count_above(x - 1e-9), j);
    }
}

#[test]
fn the_image_includes_what_leads_out_of_the_matrix() {
    let mut matrix = Banded::default();
    matrix.push(&[[1.0, 2.0], [2.0, 5.0]], &[[3.0, 4.0], [0.0, 6.0]]);
    assert_eq!(matrix.matvec(&[1.0, 10.0]), [21.0, 52.0, 43.0, 60.0]);
}

#[test]
fn others_are_the_next_eigenvectors_as_many_as_it_takes() {
    let (matrix, n) = (path(10), 20);
    let top = eigenvalue(n, 1);
    let sum = |k: usize| (1..=k).map(|j| eigenvalue(n, j)).sum::<f64>();
    for k in 1..8 {
        let others = matrix.others(top, sum(k) - 0.1, 7);
        assert_eq!(others.len(), k - 1);
        for (j, x) in others.iter().enumerate() {
            let value = eigenvalue(n, j + 2);
            let image = matrix.matvec(x);
            let error = image.iter().zip(x).map(|(y, x)| (y - value * x).abs());
            assert!(error.fold(0.0, f64::max) < 1e-6, "{k} {j}");
            assert!((x.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }
}

#[test]
fn others_that_do_not_suffice_are_none() {
    let (matrix, n) = (path(10), 20);
    let (top, trace) = (eigenvalue(n, 1), 3.0 * n as f64);
    assert!(matrix.others(top, trace + 1.0, 100).is_empty());
    assert!(matrix.others(top, trace - 0.1, 5).is_empty());
    assert_eq!(matrix.others(top, trace - 0.1, 100).len(), n - 1);
    assert!(matrix.others(top, top - 0.1, 5).is_empty());
}
