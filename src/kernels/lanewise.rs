//! Power steps on tiny matrices, one in each lane: what lies in a lane never meets another.
//!
//! The arithmetic is that of one matrix at a time, operation by operation, so a result has the same
//! bits whichever way it was made. A lane that may need more care than is taken here (a vector
//! without a direction, a norm far from one or near `eps`) is marked as not done.
//!
//! Loops run to the constant `N`, not to the sides of the matrix: that keeps the sums in registers.
//! What they meet beyond an end is multiplied by a zero of `x`, or not stored.

#![expect(clippy::needless_range_loop, reason = "one index runs over several arrays of lanes")]

use crate::simd::{Lanes, Load, Real, Simd, Vector};

use super::entry::Entry;

/// Double-precision lanes of up to two registers; those of eight matrices take the first alone.
type Wide<S> = [<S as Lanes<f64, 8>>::V; 2];

/// Matrices of sides up to `N`; `NN` is `N * (N + 1)`, a row more than they need.
pub(super) struct Lanewise<A, const L: usize, const N: usize, const NN: usize> {
    pub(super) shape: (usize, usize),
    pub(super) a: [Entry<A, L>; NN],
    /// The vectors on columns and on rows; zeros beyond.
    pub(super) x: [Entry<A, L>; N],
    pub(super) y: [Entry<A, L>; N],
    pub(super) sigma: [f64; L],
    pub(super) divisor: Entry<A, L>,
    pub(super) eps: f64,
}

/// One in every lane that needs no more care, else zero.
struct Done<S: Simd>(Wide<S>);

impl<S: Simd> Done<S> {
    /// Keeps the lanes with `low <= x <= high`.
    #[inline(always)]
    fn require(&mut self, s: S, x: Wide<S>, low: Wide<S>, high: f64) {
        let (zero, high) = (Lanes::<f64, 8>::splat(s, 0.0), Lanes::<f64, 8>::splat(s, high));
        for h in 0..2 {
            self.0[h] = x[h].select_le(high, self.0[h], zero);
            self.0[h] = low[h].select_le(x[h], self.0[h], zero);
        }
    }

    /// `x` in the lanes that are kept, one in the others.
    #[inline(always)]
    fn or_one(&self, s: S, x: Wide<S>) -> Wide<S> {
        let one = Lanes::<f64, 8>::splat(s, 1.0);
        [one.select_le(self.0[0], x[0], one), one.select_le(self.0[1], x[1], one)]
    }

    /// The lanes that are kept, as bits.
    #[inline(always)]
    fn bits(&self, s: S) -> u32 {
        let one = Lanes::<f64, 8>::splat(s, 1.0);
        one.le_bits(self.0[0]) | one.le_bits(self.0[1]) << 8
    }

    /// Keeps the lanes whose squared norm is ordinary and not near `eps` in its unit.
    #[inline(always)]
    fn require_ordinary<A: Real>(&mut self, s: S, square: Wide<S>, unit: Wide<S>, eps: f64) {
        // Twice as narrow as it need be: who compares norms, rounded, is never stricter.
        let end = A::ORDINARY * A::ORDINARY / 2.0;
        self.require(s, square, wide(s, 1.0 / end), end);
        let limit = Lanes::<f64, 8>::splat(s, 2.0 * eps * eps);
        self.require(s, square, [limit.mul(unit[0]), limit.mul(unit[1])], f64::INFINITY);
    }
}

#[inline(always)]
fn wide<S: Simd>(s: S, x: f64) -> Wide<S> {
    [Lanes::<f64, 8>::splat(s, x); 2]
}

#[inline(always)]
fn roots<S: Simd>(x: Wide<S>) -> Wide<S> {
    [x[0].sqrt(), x[1].sqrt()]
}

impl<A, const L: usize, const N: usize, const NN: usize> Lanewise<A, L, N, NN>
where
    A: Real + Load<f64, 8> + Load<A, L>,
{
    pub(super) fn new(shape: (usize, usize), eps: f64) -> Self {
        let zero = Entry([A::ZERO; L]);
        Self {
            shape,
            a: [zero; NN],
            x: [zero; N],
            y: [zero; N],
            sigma: [0.0; L],
            divisor: zero,
            eps,
        }
    }

    /// Makes the steps, or evaluates where there are none, and finds what to divide by: sigma over
    /// its coefficient, where that is not one. Returns the lanes that are done, as bits. In the others
    /// the vectors and sigma mean nothing, and the divisor is one.
    #[inline(always)]
    pub(super) fn run<S: Simd + Lanes<A, L>>(
        &mut self,
        s: S,
        steps: usize,
        rows_first: bool,
        (coefficients, soft): (Option<&[f64; L]>, bool),
    ) -> u32 {
        let mut done = Done::<S>(wide(s, 1.0));
        let sigma = match (steps, rows_first) {
            (0, _) => self.evaluate(s, &mut done),
            (_, true) => self.rows_first(s, steps, &mut done),
            (_, false) => self.columns_first(s, steps, &mut done),
        };
        self.sigma = lanes(s, sigma);
        let d = quotients::<S, L>(s, sigma, coefficients, soft);
        let zero = Lanes::<f64, 8>::splat(s, 0.0);
        let size = [zero.max_abs(d[0]), zero.max_abs(d[1])];
        done.require(s, size, wide(s, 1.0 / A::ORDINARY), A::ORDINARY);
        self.divisor = narrowed(s, done.or_one(s, d));
        done.bits(s)
    }

    #[inline(always)]
    fn rows_first<S>(&mut self, s: S, steps: usize, done: &mut Done<S>) -> Wide<S>
    where
        S: Simd + Lanes<A, L>,
    {
        let mut unit = squares(s, &self.x);
        done.require(s, unit, wide(s, 1e-6), 1e6);
        let mut step = 1;
        loop {
            let t = self.products(s);
            let z = self.updates(s, &t);
            let (square_t, square_z) = (squares(s, &t), squares(s, &z));
            done.require_ordinary::<A>(s, square_t, unit, self.eps);
            done.require_ordinary::<A>(s, square_z, square_t, self.eps);
            let norm_z = roots::<S>(square_z);
            divided(s, &z, norm_z, &mut self.x);
            if step == steps {
                let norm_t = roots::<S>(square_t);
                divided(s, &t, norm_t, &mut self.y);
                return [norm_z[0].div(norm_t[0]), norm_z[1].div(norm_t[1])];
            }
            unit = wide(s, 1.0);
            step += 1;
        }
    }

    #[inline(always)]
    fn columns_first<S>(&mut self, s: S, steps: usize, done: &mut Done<S>) -> Wide<S>
    where
        S: Simd + Lanes<A, L>,
    {
        let mut unit = squares(s, &self.y);
        done.require(s, unit, wide(s, 1e-6), 1e6);
        let mut t = self.y;
        for _ in 0..steps {
            let z = self.updates(s, &t);
            let square_z = squares(s, &z);
            done.require_ordinary::<A>(s, square_z, unit, self.eps);
            divided(s, &z, roots::<S>(square_z), &mut self.x);
            t = self.products(s);
            unit = squares(s, &t);
            done.require_ordinary::<A>(s, unit, wide(s, 1.0), self.eps);
        }
        let sigma = roots::<S>(unit);
        divided(s, &t, sigma, &mut self.y);
        sigma
    }

    /// `y . A x` for the directions of `x` and `y`.
    #[inline(always)]
    fn evaluate<S>(&self, s: S, done: &mut Done<S>) -> Wide<S>
    where
        S: Simd + Lanes<A, L>,
    {
        let (square_x, square_y) = (squares(s, &self.x), squares(s, &self.y));
        done.require(s, square_x, wide(s, 1e-6), 1e6);
        done.require(s, square_y, wide(s, 1e-6), 1e6);
        let t = self.products(s);
        done.require_ordinary::<A>(s, squares(s, &t), wide(s, 0.0), 0.0);
        let (mut sigma, norm_x, norm_y) =
            (inner(s, &self.y, &t), roots::<S>(square_x), roots::<S>(square_y));
        for h in 0..2 {
            sigma[h] = sigma[h].div(norm_x[h]).div(norm_y[h]);
        }
        sigma
    }

    /// `t = A x`, each sum in as many parts as a row has lanes, and folded as they are.
    #[inline(always)]
    fn products<S: Simd + Lanes<A, L>>(&self, s: S) -> [Entry<A, L>; N] {
        let (nrows, ncols) = self.shape;
        let zero = <S as Lanes<A, L>>::splat(s, A::ZERO);
        let mut t = [Entry([A::ZERO; L]); N];
        for i in 0..nrows {
            let row: &[Entry<A, L>; N] =
                self.a[i * ncols..][..N].try_into().expect("a row is to spare");
            let mut parts = [zero; N];
            for j in 0..N {
                let (a, x) = (A::load(s, &row[j]), A::load(s, &self.x[j]));
                parts[j % L] = a.mul_add(x, parts[j % L]);
            }
            let sum = folded::<A, _, L>(&mut parts, N.min(L));
            // Lanes that no column reaches add a zero, which leaves no negative one.
            let sum = if N < L { sum.add(zero) } else { sum };
            sum.store(&mut t[i]);
        }
        t
    }

    /// `z = A' t`, the rows added in order.
    #[inline(always)]
    fn updates<S: Simd + Lanes<A, L>>(&self, s: S, t: &[Entry<A, L>; N]) -> [Entry<A, L>; N] {
        const AT_ONCE: usize = 4;
        let (nrows, ncols) = self.shape;
        let mut z = [Entry([A::ZERO; L]); N];
        for start in (0..ncols).step_by(AT_ONCE) {
            let mut sums = [<S as Lanes<A, L>>::splat(s, A::ZERO); AT_ONCE];
            for i in 0..nrows {
                let t = A::load(s, &t[i]);
                let row: &[Entry<A, L>; AT_ONCE] =
                    self.a[i * ncols + start..][..AT_ONCE].try_into().expect("a row is to spare");
                for j in 0..AT_ONCE {
                    sums[j] = t.mul_add(A::load(s, &row[j]), sums[j]);
                }
            }
            for j in 0..AT_ONCE.min(ncols - start) {
                sums[j].store(&mut z[start + j]);
            }
        }
        z
    }
}

/// The sum of the first `n` vectors, the upper half of them added to the lower until one is left.
#[inline(always)]
fn folded<A: Real, V: Vector<A, L>, const L: usize>(x: &mut [V], n: usize) -> V {
    let mut half = n / 2;
    while half > 0 {
        for j in 0..half {
            x[j] = x[j].add(x[j + half]);
        }
        half /= 2;
    }
    x[0]
}

/// The squared norm in each lane, in double precision.
#[inline(always)]
fn squares<S, A, const L: usize, const N: usize>(s: S, x: &[Entry<A, L>; N]) -> Wide<S>
where
    S: Simd,
    A: Real + Load<f64, 8>,
{
    inner(s, x, x)
}

/// The product `x . y` in each lane, in double precision.
#[inline(always)]
fn inner<S, A, const L: usize, const N: usize>(
    s: S,
    x: &[Entry<A, L>; N],
    y: &[Entry<A, L>; N],
) -> Wide<S>
where
    S: Simd,
    A: Real + Load<f64, 8>,
{
    let zero = Lanes::<f64, 8>::splat(s, 0.0);
    let mut sums = [zero; 2];
    for h in 0..L / 8 {
        let mut parts = [zero; N];
        for j in 0..N {
            let x = <A as Load<f64, 8>>::load(s, &x[j].as_chunks::<8>().0[h]);
            let y = <A as Load<f64, 8>>::load(s, &y[j].as_chunks::<8>().0[h]);
            parts[j] = x.mul(y);
        }
        // The sum of one alone begins at zero, which leaves no negative one.
        sums[h] = folded::<f64, _, 8>(&mut parts, N).add(zero);
    }
    sums
}

/// `y = x / norm`; entries beyond the vector are zeros and stay zeros.
#[inline(always)]
fn divided<S, A, const L: usize, const N: usize>(
    s: S,
    x: &[Entry<A, L>; N],
    norm: Wide<S>,
    y: &mut [Entry<A, L>; N],
) where
    S: Simd + Lanes<A, L>,
    A: Real + Load<A, L>,
{
    let divisor = A::load(s, &narrowed(s, norm));
    for j in 0..N {
        A::load(s, &x[j]).div(divisor).store(&mut y[j]);
    }
}

/// What each lane is divided by, as [`Divisor`](super::divide::Divisor) has it for one.
#[inline(always)]
fn quotients<S: Simd, const L: usize>(
    s: S,
    sigma: Wide<S>,
    coefficients: Option<&[f64; L]>,
    soft: bool,
) -> Wide<S> {
    let one = Lanes::<f64, 8>::splat(s, 1.0);
    let mut d = sigma;
    if let Some(coefficients) = coefficients {
        for (h, chunk) in coefficients.as_chunks::<8>().0.iter().enumerate() {
            d[h] = d[h].div(Lanes::<f64, 8>::load(s, chunk));
        }
    }
    if soft {
        // A NaN stays one.
        d = [d[0].select_le(one, one, d[0]), d[1].select_le(one, one, d[1])];
    }
    d
}

/// Lanes rounded to the type of the vectors.
#[inline(always)]
fn narrowed<S: Simd, A: Real, const L: usize>(s: S, x: Wide<S>) -> Entry<A, L> {
    let x: [f64; L] = lanes(s, x);
    let mut out = Entry([A::ZERO; L]);
    for l in 0..L {
        out[l] = A::from_f64(x[l]);
    }
    out
}

#[inline(always)]
fn lanes<S: Simd, const L: usize>(_: S, x: Wide<S>) -> [f64; L] {
    let mut out = [0.0; L];
    for (x, out) in x.into_iter().zip(out.as_chunks_mut::<8>().0) {
        x.store(out);
    }
    out
}
