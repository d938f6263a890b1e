//! Matrices of the order of a block: a handful of numbers, worked on in double precision.

/// A square matrix, by rows.
pub(super) type Small<const B: usize> = [[f64; B]; B];

/// A pivot of Cholesky's method below this share of its diagonal entry is rounding noise of a Gram
/// matrix whose vectors are in single precision.
const DEPENDENT: f64 = 1e-12;

/// The upper triangular `R` with `R' R = G`; `None` where the vectors are dependent.
pub(super) fn cholesky<const B: usize>(gram: &Small<B>) -> Option<Small<B>> {
    let mut r = [[0.0; B]; B];
    for j in 0..B {
        for i in 0..j {
            let sum: f64 = (0..i).map(|k| r[k][i] * r[k][j]).sum();
            r[i][j] = (gram[i][j] - sum) / r[i][i];
        }
        let sum: f64 = (0..j).map(|k| r[k][j] * r[k][j]).sum();
        let pivot = gram[j][j] - sum;
        if !(pivot > DEPENDENT * gram[j][j] && pivot.is_finite()) {
            return None;
        }
        r[j][j] = pivot.sqrt();
    }
    Some(r)
}

/// The inverse of an upper triangular matrix.
pub(super) fn invert<const B: usize>(r: &Small<B>) -> Small<B> {
    let mut inverse = [[0.0; B]; B];
    for j in 0..B {
        inverse[j][j] = 1.0 / r[j][j];
        for i in (0..j).rev() {
            let sum: f64 = (i + 1..=j).map(|k| r[i][k] * inverse[k][j]).sum();
            inverse[i][j] = -sum / r[i][i];
        }
    }
    inverse
}

/// `X Y`.
pub(super) fn multiply<const B: usize>(x: &Small<B>, y: &Small<B>) -> Small<B> {
    let entry = |i: usize, j: usize| (0..B).map(|k| x[i][k] * y[k][j]).sum();
    std::array::from_fn(|i| std::array::from_fn(|j| entry(i, j)))
}

/// Every entry in single precision.
pub(super) fn to_single<const B: usize>(x: &Small<B>) -> [[f32; B]; B] {
    x.map(|row| row.map(|x| x as f32))
}
