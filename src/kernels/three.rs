//! The largest eigenvalue of symmetric matrices of order 3, eight at a time, without an iteration.
//!
//! The trace is taken off and the rest scaled, which leaves `t^3 - 3 t = det`: of its three roots
//! the one farthest from the other two is well conditioned. Its eigenvector, a column of the
//! adjugate, is turned onto the first axis by one reflection; what is left is a number and a block
//! of order 2, whose eigenvalues are right to a few roundings of the matrix even where they
//! coincide. Roots alone would lose half the digits there.
//!
//! | here | Eberly, A Robust Eigensolver for 3 x 3 Symmetric Matrices (2014) |
//! |---|---|
//! | [`isolated_root`] | the trigonometric form `2 cos(acos(det / 2) / 3)` |
//! | [`top_of_turned`] | the block of the orthogonal complement |

use crate::simd::{Kernel, Lanes, Simd, Vector};

use super::eight::{Entry, V, lanes, top_of_two};

/// A spread below this part of the mean, both squared, is lost in it.
const LOST: f64 = 1e-40;

/// `2 cos(acos(s) / 3)` for `s` in `[0, 1]`, by Chebyshev interpolation: off by 2e-7 at most.
const ROOT: [f64; 7] = [
    1.732_050_986_836_823_7,
    0.333_315_627_231_413_4,
    -0.095_930_334_082_723_83,
    0.047_469_153_632_475_426,
    -0.024_887_065_416_700_29,
    0.009_991_079_901_859_786,
    -0.002_009_550_238_848_793,
];

/// The largest eigenvalue of each matrix, from the lower triangle in a full square.
pub(crate) struct TopOfThree<'w> {
    pub(crate) gram: &'w [Entry],
}

impl Kernel for TopOfThree<'_> {
    type Output = Entry;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> Entry {
        let entry = |i: usize, j: usize| Lanes::<f64, 8>::load(s, &self.gram[3 * i + j]);
        let diagonal = [entry(0, 0), entry(1, 1), entry(2, 2)];
        lanes(top_of_three(s, diagonal, [entry(1, 0), entry(2, 0), entry(2, 1)]))
    }
}

/// The largest eigenvalue, from the diagonal and the entries (1, 0), (2, 0) and (2, 1).
///
/// Closures and iterators over vectors are avoided here: not all of them would be compiled with the
/// instructions of the tier.
#[inline(always)]
pub(super) fn top_of_three<S: Simd>(s: S, diagonal: [V<S>; 3], off: [V<S>; 3]) -> V<S> {
    let (zero, one) = (splat(s, 0.0), splat(s, 1.0));
    let mean = splat(s, 1.0 / 3.0).mul(diagonal[0].add(diagonal[1]).add(diagonal[2]));
    let [a, b, c] = diagonal;
    let diagonal = [a.sub(mean), b.sub(mean), c.sub(mean)];
    let (squares, off_squares) = (dot::<S>(diagonal, diagonal), dot::<S>(off, off));
    let square = splat(s, 1.0 / 6.0).mul(off_squares.mul_add(splat(s, 2.0), squares));
    let size = square.sqrt();
    let is_lost = mean.mul(mean).mul(splat(s, LOST));
    let unit = square.select_le(is_lost, zero, one.div(size));
    let scaled =
        Symmetric::<S> { diagonal: times::<S>(unit, diagonal), off: times::<S>(unit, off) };
    let half = splat(s, 0.5).mul(scaled.determinant());
    let sign = zero.select_le(half, one, zero.sub(one));
    let root = sign.mul(isolated_root(s, zero.max_abs(half)));
    let vector = scaled.null_vector(s, root);
    size.mul_add(top_of_turned(s, &scaled, vector, sign), mean)
}

/// Eight symmetric matrices: the diagonal, and the entries (1, 0), (2, 0) and (2, 1).
struct Symmetric<S: Simd> {
    diagonal: [V<S>; 3],
    off: [V<S>; 3],
}

impl<S: Simd> Symmetric<S> {
    #[inline(always)]
    fn determinant(&self) -> V<S> {
        let ([a, b, c], [d, e, f]) = (self.diagonal, self.off);
        let first = a.mul(minor::<S>(b, c, f, f));
        let second = d.mul(minor::<S>(d, c, f, e));
        first.sub(second).add(e.mul(minor::<S>(d, f, b, e)))
    }

    /// The unit eigenvector of the isolated eigenvalue `root`: the column of the adjugate of
    /// `A - root I` with the largest diagonal entry. All of them are multiples of it, and that one
    /// is not small.
    #[inline(always)]
    fn null_vector(&self, s: S, root: V<S>) -> [V<S>; 3] {
        let ([a, b, c], [d, e, f]) = (self.diagonal, self.off);
        let (a, b, c) = (a.sub(root), b.sub(root), c.sub(root));
        let first = [minor::<S>(b, c, f, f), minor::<S>(e, f, d, c), minor::<S>(d, f, e, b)];
        let second = [first[1], minor::<S>(a, c, e, e), minor::<S>(d, e, f, a)];
        let third = [first[2], second[2], minor::<S>(a, b, d, d)];
        let mut column = first;
        let mut largest = first[0];
        for (k, other) in [(1, second), (2, third)] {
            for (x, y) in column.iter_mut().zip(other) {
                *x = other[k].select_le(largest, *x, y);
            }
            largest = other[k].select_le(largest, largest, other[k]);
        }
        times::<S>(splat(s, 1.0).div(dot::<S>(column, column).sqrt()), column)
    }
}

#[inline(always)]
fn splat<S: Simd>(s: S, x: f64) -> V<S> {
    Lanes::<f64, 8>::splat(s, x)
}

/// `x y - z w`.
#[inline(always)]
fn minor<S: Simd>(x: V<S>, y: V<S>, z: V<S>, w: V<S>) -> V<S> {
    x.mul(y).sub(z.mul(w))
}

#[inline(always)]
fn dot<S: Simd>(x: [V<S>; 3], y: [V<S>; 3]) -> V<S> {
    x[2].mul_add(y[2], x[1].mul_add(y[1], x[0].mul(y[0])))
}

#[inline(always)]
fn times<S: Simd>(factor: V<S>, x: [V<S>; 3]) -> [V<S>; 3] {
    [factor.mul(x[0]), factor.mul(x[1]), factor.mul(x[2])]
}

/// The root of `t^3 - 3 t = 2 half` in `[sqrt(3), 2]`, which is farther from the others than they
/// can be from each other.
#[inline(always)]
fn isolated_root<S: Simd>(s: S, half: V<S>) -> V<S> {
    let (one, three) = (splat(s, 1.0), splat(s, 3.0));
    let half = half.select_le(one, half, one);
    let mut t = splat(s, ROOT[6]);
    for &coefficient in ROOT[..6].iter().rev() {
        t = half.mul_add(t, splat(s, coefficient));
    }
    // One step of Newton's; what it leaves is squared once more on the way to the eigenvalue.
    let square = t.mul(t);
    let value = t.mul(square.sub(three)).sub(half.add(half));
    t.sub(value.div(three.mul(square.sub(one))))
}

/// The largest eigenvalue, given the eigenvector of the isolated one and on which side that lies.
///
/// `H = I - tau h h'` takes the vector to the first axis, up to sign; `H A H` is formed as
/// `A - h w' - w h'`.
#[inline(always)]
fn top_of_turned<S: Simd>(s: S, a: &Symmetric<S>, vector: [V<S>; 3], sign: V<S>) -> V<S> {
    let (zero, one) = (splat(s, 0.0), splat(s, 1.0));
    let first = zero.select_le(vector[0], one, zero.sub(one));
    let h = [vector[0].add(first), vector[1], vector[2]];
    let tau = one.div(one.add(zero.max_abs(vector[0])));
    let ([a, b, c], [d, e, f]) = (a.diagonal, a.off);
    let p = [dot::<S>([a, d, e], h), dot::<S>([d, b, f], h), dot::<S>([e, f, c], h)];
    let p = times::<S>(tau, p);
    let half = splat(s, -0.5).mul(tau).mul(dot::<S>(h, p));
    let w = [half.mul_add(h[0], p[0]), half.mul_add(h[1], p[1]), half.mul_add(h[2], p[2])];
    let turned = [
        a.sub(h[0].add(h[0]).mul(w[0])),
        b.sub(h[1].add(h[1]).mul(w[1])),
        c.sub(h[2].add(h[2]).mul(w[2])),
    ];
    let off = f.sub(h[1].mul(w[2])).sub(h[2].mul(w[1]));
    zero.select_le(sign, turned[0], top_of_two(s, turned[1], turned[2], off))
}

#[cfg(test)]
#[path = "../../tests/rust/unit/three.rs"]
mod tests;
