//! Eight small matrices of one shape at a time, one in each lane of the virtual vector.
//!
//! Entry `(i, j)` of all eight lies in one array of eight doubles, so no operation ever crosses
//! lanes: a matrix gets the same bits whatever its neighbours are, and an unused lane costs nothing
//! but itself. Matrices have at least as many rows as columns. No sum is split: each runs over its
//! terms in order, by fused multiply-adds.
//!
//! From the entries to the top singular value: the Gram matrix `B'B`, Householder's reduction to a
//! tridiagonal matrix, and Laguerre's iteration from above on its ratios (`algorithms/tridiagonal`
//! has the same recurrences for one matrix).

use crate::simd::{Kernel, Lanes, Simd, Vector};

/// One entry of eight matrices.
pub(crate) type Entry = super::entry::Entry<f64, 8>;

/// Squares below this are rounding noise beside a largest entry of one, and so far down that their
/// own precision may be gone: such a column is taken as reduced already.
pub(crate) const NEGLIGIBLE: f64 = 1e-280;

/// Steps after which a root finder that converges cubically has long arrived.
const MAX_STEPS: usize = 100;

/// Largest magnitude and sum of squares of the entries of each matrix.
pub(crate) struct Survey<'w> {
    pub(crate) entries: &'w [Entry],
}

impl Kernel for Survey<'_> {
    type Output = (Entry, Entry);
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> (Entry, Entry) {
        let zero = Lanes::<f64, 8>::splat(s, 0.0);
        let (mut max, mut sum) = (zero, zero);
        for x in self.entries {
            let x = Lanes::<f64, 8>::load(s, x);
            max = max.max_abs(x);
            sum = x.mul_add(x, sum);
        }
        (lanes(max), lanes(sum))
    }
}

/// Multiplies every matrix by the two factors of its lane, one after the other.
pub(crate) struct Rescale<'w> {
    pub(crate) factors: (Entry, Entry),
    pub(crate) entries: &'w mut [Entry],
}

impl Kernel for Rescale<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let first = Lanes::<f64, 8>::load(s, &self.factors.0);
        let second = Lanes::<f64, 8>::load(s, &self.factors.1);
        for x in self.entries {
            Lanes::<f64, 8>::load(s, x).mul(first).mul(second).store(x);
        }
    }
}

/// The lower triangle of the Gram matrix `B'B`, in place `(i, j)` of a full square.
pub(crate) struct Gram<'w> {
    pub(crate) ncols: usize,
    pub(crate) entries: &'w [Entry],
    pub(crate) gram: &'w mut [Entry],
}

impl Kernel for Gram<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self { ncols: n, entries, gram } = self;
        for i in 0..n {
            let mut j = 0;
            // Four sums at a time hide the latency of the multiply-add and share one load.
            while j + 4 <= i + 1 {
                let mut sums = [Lanes::<f64, 8>::splat(s, 0.0); 4];
                for row in entries.chunks_exact(n) {
                    let x = Lanes::<f64, 8>::load(s, &row[i]);
                    for (k, sum) in sums.iter_mut().enumerate() {
                        *sum = x.mul_add(Lanes::<f64, 8>::load(s, &row[j + k]), *sum);
                    }
                }
                for (k, sum) in sums.into_iter().enumerate() {
                    sum.store(&mut gram[i * n + j + k]);
                }
                j += 4;
            }
            while j <= i {
                let mut sum = Lanes::<f64, 8>::splat(s, 0.0);
                for row in entries.chunks_exact(n) {
                    let x = Lanes::<f64, 8>::load(s, &row[i]);
                    sum = x.mul_add(Lanes::<f64, 8>::load(s, &row[j]), sum);
                }
                sum.store(&mut gram[i * n + j]);
                j += 1;
            }
        }
    }
}

/// Householder's reduction of the lower triangle in `gram` to tridiagonal form.
///
/// `alpha` and `beta` receive the diagonal and the off-diagonal, signed; column `j` of the square
/// keeps, below the diagonal, the vector of reflector `j`, and `tau` its factor.
pub(crate) struct Reduce<'w> {
    pub(crate) n: usize,
    pub(crate) gram: &'w mut [Entry],
    pub(crate) alpha: &'w mut [Entry],
    pub(crate) beta: &'w mut [Entry],
    pub(crate) tau: &'w mut [Entry],
    /// Room for two vectors.
    pub(crate) work: &'w mut [Entry],
}

impl Kernel for Reduce<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        let Self { n, gram, alpha, beta, tau, work } = self;
        let (v, w) = work.split_at_mut(n);
        for j in 0..n.saturating_sub(2) {
            let (off, factor) = reflector(s, gram, n, j, v);
            off.store(&mut beta[j]);
            factor.store(&mut tau[j]);
            symmetric_product(s, gram, n, j, v, w);
            // w = tau p - (tau^2 / 2) (v.p) v, with which the reflection is - v w' - w v'.
            let mut inner = Lanes::<f64, 8>::splat(s, 0.0);
            for i in j + 1..n {
                let p = factor.mul(Lanes::<f64, 8>::load(s, &w[i]));
                p.store(&mut w[i]);
                inner = p.mul_add(Lanes::<f64, 8>::load(s, &v[i]), inner);
            }
            let half = Lanes::<f64, 8>::splat(s, -0.5).mul(factor).mul(inner);
            for i in j + 1..n {
                let x =
                    half.mul_add(Lanes::<f64, 8>::load(s, &v[i]), Lanes::<f64, 8>::load(s, &w[i]));
                x.store(&mut w[i]);
            }
            rank_two_update(s, gram, n, j, v, w);
            for i in j + 1..n {
                gram[i * n + j] = v[i];
            }
        }
        for j in 0..n {
            alpha[j] = gram[j * n + j];
        }
        if n >= 2 {
            beta[n - 2] = gram[(n - 1) * n + n - 2];
        }
    }
}

/// The reflector that clears column `j` below the off-diagonal: its vector in `v`, and returned
/// the off-diagonal entry that results and the factor `tau` of `I - tau v v'`.
#[inline(always)]
fn reflector<S: Simd>(s: S, gram: &[Entry], n: usize, j: usize, v: &mut [Entry]) -> (V<S>, V<S>) {
    let (zero, one) = (Lanes::<f64, 8>::splat(s, 0.0), Lanes::<f64, 8>::splat(s, 1.0));
    let head = Lanes::<f64, 8>::load(s, &gram[(j + 1) * n + j]);
    let mut tail = zero;
    for i in j + 2..n {
        let x = Lanes::<f64, 8>::load(s, &gram[i * n + j]);
        tail = x.mul_add(x, tail);
    }
    let norm = head.mul_add(head, tail).sqrt();
    let sign = zero.select_le(head, one, zero.sub(one));
    let size = norm.add(zero.max_abs(head));
    let limit = Lanes::<f64, 8>::splat(s, NEGLIGIBLE);
    // Where there is nothing to clear, the reflector is the identity.
    let factor = tail.select_le(limit, zero, one.div(norm.mul(size)));
    let keep = tail.select_le(limit, zero, one);
    keep.mul(sign).mul(size).store(&mut v[j + 1]);
    for i in j + 2..n {
        keep.mul(Lanes::<f64, 8>::load(s, &gram[i * n + j])).store(&mut v[i]);
    }
    (tail.select_le(limit, head, zero.sub(sign.mul(norm))), factor)
}

/// `w = G v` over the rows and columns after `j`.
#[inline(always)]
fn symmetric_product<S: Simd>(
    s: S,
    gram: &[Entry],
    n: usize,
    j: usize,
    v: &[Entry],
    w: &mut [Entry],
) {
    for i in j + 1..n {
        // Even and odd terms have sums of their own, to hide the latency.
        let mut sums = [Lanes::<f64, 8>::splat(s, 0.0); 2];
        for l in j + 1..=i {
            let g = Lanes::<f64, 8>::load(s, &gram[i * n + l]);
            sums[l % 2] = g.mul_add(Lanes::<f64, 8>::load(s, &v[l]), sums[l % 2]);
        }
        for l in i + 1..n {
            let g = Lanes::<f64, 8>::load(s, &gram[l * n + i]);
            sums[l % 2] = g.mul_add(Lanes::<f64, 8>::load(s, &v[l]), sums[l % 2]);
        }
        sums[0].add(sums[1]).store(&mut w[i]);
    }
}

/// `G -= v w' + w v'` in the lower triangle after row and column `j`.
#[inline(always)]
fn rank_two_update<S: Simd>(
    s: S,
    gram: &mut [Entry],
    n: usize,
    j: usize,
    v: &[Entry],
    w: &[Entry],
) {
    let zero = Lanes::<f64, 8>::splat(s, 0.0);
    for i in j + 1..n {
        let minus_v = zero.sub(Lanes::<f64, 8>::load(s, &v[i]));
        let minus_w = zero.sub(Lanes::<f64, 8>::load(s, &w[i]));
        for l in j + 1..=i {
            let g = Lanes::<f64, 8>::load(s, &gram[i * n + l]);
            let g = minus_v.mul_add(Lanes::<f64, 8>::load(s, &w[l]), g);
            minus_w.mul_add(Lanes::<f64, 8>::load(s, &v[l]), g).store(&mut gram[i * n + l]);
        }
    }
}

/// The largest eigenvalue of each tridiagonal matrix: a closed form up to order 2, then Laguerre's
/// iteration from above.
pub(crate) struct Top<'w> {
    pub(crate) alpha: &'w [Entry],
    pub(crate) beta: &'w [Entry],
}

impl Kernel for Top<'_> {
    type Output = Entry;
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) -> Entry {
        match *self.alpha {
            [alpha] => alpha,
            [first, last] => {
                let [first, last, off] =
                    [first, last, self.beta[0]].map(|x| Lanes::<f64, 8>::load(s, &x));
                lanes(top_of_two(s, first, last, off))
            }
            _ => lanes(top(s, self.alpha, self.beta)),
        }
    }
}

/// `(a + c) / 2 + sqrt(((a - c) / 2)^2 + b^2)`.
#[inline(always)]
pub(super) fn top_of_two<S: Simd>(s: S, first: V<S>, last: V<S>, off: V<S>) -> V<S> {
    let half = Lanes::<f64, 8>::splat(s, 0.5);
    let (a, c) = (half.mul(first), half.mul(last));
    let gap = a.sub(c);
    a.add(c).add(gap.mul_add(gap, off.mul(off)).sqrt())
}

/// Each lane stops for itself, so that no lane takes a step for another's sake.
#[inline(always)]
fn top<S: Simd>(s: S, alpha: &[Entry], beta: &[Entry]) -> V<S> {
    let (zero, one) = (Lanes::<f64, 8>::splat(s, 0.0), Lanes::<f64, 8>::splat(s, 1.0));
    let order = alpha.len() as f64;
    let (k, less) = (Lanes::<f64, 8>::splat(s, order), Lanes::<f64, 8>::splat(s, order - 1.0));
    let epsilon = Lanes::<f64, 8>::splat(s, f64::EPSILON);
    let mut x = upper_end(s, alpha, beta);
    let mut active = one;
    for _ in 0..MAX_STEPS {
        let (first, second, above) = sums(s, alpha, beta, x);
        let spread = less.mul(k.mul(second).sub(first.mul(first)));
        let spread = zero.select_le(spread, spread, zero);
        let next = x.sub(k.div(first.add(spread.sqrt())));
        // `above` is one where x lies above the spectrum as far as rounding can tell.
        let lower = one.select_le(above, next.select_le(x, next, x), x);
        let lower = one.select_le(active, lower, x);
        let moves = x.sub(lower).select_le(epsilon.mul(x), zero, one);
        active = active.mul(moves);
        x = lower;
        if active.max() == 0.0 {
            break;
        }
    }
    x
}

/// The lower of two upper ends of each spectrum: Gershgorin's, and Samuelson's, which is where
/// Laguerre's first step from infinity lands: `mean + sqrt((k - 1) / k * (|T|_F^2 - k mean^2))`.
#[inline(always)]
fn upper_end<S: Simd>(s: S, alpha: &[Entry], beta: &[Entry]) -> V<S> {
    let zero = Lanes::<f64, 8>::splat(s, 0.0);
    let k = alpha.len() as f64;
    let (share, ratio) =
        (Lanes::<f64, 8>::splat(s, 1.0 / k), Lanes::<f64, 8>::splat(s, (k - 1.0) / k));
    let (mut end, mut before) = (zero, zero);
    let (mut sum, mut squares, mut off_squares) = (zero, zero, zero);
    for j in 0..alpha.len() {
        let a = Lanes::<f64, 8>::load(s, &alpha[j]);
        let after = match j + 1 < alpha.len() {
            true => zero.max_abs(Lanes::<f64, 8>::load(s, &beta[j])),
            false => zero,
        };
        end = end.max_abs(a.add(before).add(after));
        sum = sum.add(a);
        squares = a.mul_add(a, squares);
        off_squares = after.mul_add(after, off_squares);
        before = after;
    }
    let mean = share.mul(sum);
    let squares = squares.add(off_squares).add(off_squares);
    // The difference of two large numbers gets back what rounding may have taken from it.
    let slack = Lanes::<f64, 8>::splat(s, 4.0 * k * f64::EPSILON);
    let spread = squares.sub(mean.mul(sum)).add(slack.mul(squares));
    let samuelson = mean.add(ratio.mul(zero.select_le(spread, spread, zero)).sqrt());
    let end = samuelson.select_le(end, samuelson, end);
    // Rounding must not push the end below the top, least of all for a matrix of one number.
    end.mul(Lanes::<f64, 8>::splat(s, 1.0 + 4.0 * k * f64::EPSILON))
}

/// `sum 1 / (x - theta)` and `sum 1 / (x - theta)^2` over all eigenvalues, and one where all ratios
/// are positive, else zero.
#[inline(always)]
fn sums<S: Simd>(s: S, alpha: &[Entry], beta: &[Entry], x: V<S>) -> (V<S>, V<S>, V<S>) {
    let (zero, one) = (Lanes::<f64, 8>::splat(s, 0.0), Lanes::<f64, 8>::splat(s, 1.0));
    let two = one.add(one);
    let (mut slope, mut curve, mut inverse) = (one, zero, zero);
    let (mut first, mut second, mut above) = (zero, zero, one);
    for j in 0..alpha.len() {
        let mut d = x.sub(Lanes::<f64, 8>::load(s, &alpha[j]));
        if j > 0 {
            let off = Lanes::<f64, 8>::load(s, &beta[j - 1]);
            let ratio = off.mul(inverse);
            let square = ratio.mul(ratio);
            let bend = two.mul(slope).mul(slope).mul(inverse);
            curve = square.mul(curve.sub(bend));
            slope = square.mul_add(slope, one);
            d = d.sub(off.mul(ratio));
        }
        above = d.select_le(zero, zero, above);
        inverse = one.div(d);
        let log_slope = slope.mul(inverse);
        first = first.add(log_slope);
        second = second.add(log_slope.mul(log_slope)).sub(curve.mul(inverse));
    }
    (first, second, above)
}

/// `t = B x` and `z = B' t`.
pub(crate) struct Pass<'w> {
    pub(crate) entries: &'w [Entry],
    pub(crate) x: &'w [Entry],
    pub(crate) t: &'w mut [Entry],
    pub(crate) z: &'w mut [Entry],
}

impl Kernel for Pass<'_> {
    type Output = ();
    #[inline(always)]
    fn eval<S: Simd>(self, s: S) {
        self.z.fill([0.0; 8].into());
        for (row, t) in self.entries.chunks_exact(self.x.len()).zip(self.t) {
            let mut sum = Lanes::<f64, 8>::splat(s, 0.0);
            for (a, x) in row.iter().zip(self.x) {
                sum = Lanes::<f64, 8>::load(s, a).mul_add(Lanes::<f64, 8>::load(s, x), sum);
            }
            sum.store(t);
            for (a, z) in row.iter().zip(&mut *self.z) {
                let a = Lanes::<f64, 8>::load(s, a);
                a.mul_add(sum, Lanes::<f64, 8>::load(s, z)).store(z);
            }
        }
    }
}

pub(super) type V<S> = <S as Lanes<f64, 8>>::V;

#[inline(always)]
pub(super) fn lanes<X: Vector<f64, 8>>(x: X) -> Entry {
    let mut out = [0.0; 8];
    x.store(&mut out);
    out.into()
}

#[cfg(test)]
#[path = "../../tests/rust/unit/eight.rs"]
mod tests;
