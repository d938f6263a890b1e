//! Matrices of a given spectrum, and what every answer about a matrix must satisfy.

use ndarray::{Array1, Array2, ArrayView1, Axis};
use rsspecnorm::{Goal, Request, Solution};

use crate::common::{Noise, one};

/// A request for the triplet to nearly all that the value can give.
pub(crate) const PRECISE: Request<'static> = Request {
    goal: Goal::Rtol(Some(1e-10)),
    maxiter: 300,
    seed: 0,
    vectors: true,
    second: true,
    check_finite: false,
    v0: None,
};

/// What building a matrix from its spectrum may do to its norm, relative.
const BUILD: f64 = 1e-14;

/// A unit vector in a random direction.
pub(crate) fn direction(n: usize, noise: &mut Noise) -> Array1<f64> {
    let w = Array1::from_shape_simple_fn(n, || noise.normal());
    let length = w.dot(&w).sqrt();
    w / length
}

/// `a <- (I - 2 w w') a`.
fn reflect(a: &mut Array2<f64>, w: ArrayView1<'_, f64>) {
    let image = w.dot(a);
    for (mut row, w) in a.axis_iter_mut(Axis(0)).zip(w) {
        row.scaled_add(-2.0 * w, &image);
    }
}

/// An `nrows x ncols` matrix with the singular values `s`: reflections of `diag(s)` from both
/// sides.
pub(crate) fn with_spectrum(nrows: usize, ncols: usize, s: &[f64], seed: u64) -> Array2<f64> {
    assert!(s.len() <= nrows.min(ncols), "more values than the shape has room for");
    let mut noise = Noise::new(seed);
    let mut a = Array2::zeros((nrows, ncols));
    s.iter().enumerate().for_each(|(i, &s)| a[[i, i]] = s);
    for _ in 0..3 {
        reflect(&mut a, direction(nrows, &mut noise).view());
        a = a.reversed_axes().as_standard_layout().into_owned();
        reflect(&mut a, direction(ncols, &mut noise).view());
        a = a.reversed_axes().as_standard_layout().into_owned();
    }
    a
}

fn norm(x: &Array1<f64>) -> f64 {
    x.dot(x).sqrt()
}

/// Checks the interval, the vectors and the residual against the matrix itself.
pub(crate) fn check_triplet(name: &str, a: &Array2<f64>, solution: &Solution) {
    let Solution { sigma, lower, upper, residual, .. } = *solution;
    assert!(lower <= sigma && sigma <= upper, "{name}: {lower} {sigma} {upper}");
    let u = Array1::from(solution.u.clone());
    let v = Array1::from(solution.v.clone());
    assert_eq!((u.len(), v.len()), a.dim(), "{name}: lengths of u and v");
    for x in [&u, &v] {
        assert!((norm(x) - 1.0).abs() <= 1e-13, "{name}: a vector of length {}", norm(x));
    }
    let left = norm(&(a.dot(&v) - sigma * &u)) / sigma;
    let right = norm(&(a.t().dot(&u) - sigma * &v)) / sigma;
    // The value is right to the square of what its vectors are.
    assert!(left <= 1e-4 && right <= 1e-4, "{name}: residuals {left:e} and {right:e}");
    let total = left.hypot(right);
    assert!((total - residual).abs() <= 1e-9, "{name}: residual {residual:e}, found {total:e}");
}

/// Solves to `1e-10` and checks everything that `expected` says of the answer.
pub(crate) fn check(name: &str, a: &Array2<f64>, expected: f64) -> Solution {
    let solution = one(a.view(), &PRECISE);
    let Solution { sigma, lower, upper, .. } = solution;
    assert!(solution.converged, "{name}: not converged after {} passes", solution.n_passes);
    let error = (sigma - expected).abs() / expected;
    assert!(error <= 1e-10, "{name}: {sigma:e} instead of {expected:e}, off by {error:e}");
    assert!(lower <= expected * (1.0 + BUILD), "{name}: lower end {lower:e} above {expected:e}");
    assert!(upper >= expected * (1.0 - BUILD), "{name}: upper end {upper:e} below {expected:e}");
    check_triplet(name, a, &solution);
    solution
}
