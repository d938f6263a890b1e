//! The symmetric band matrix of a block Lanczos process and what is asked of it.
//!
//! Its blocks `alpha_1, beta_1', alpha_2, ...` have upper triangular `beta`, so the band is as wide
//! as a block. Every question is answered through the factorisation `T - x = L D L'`, whose pivots
//! count the eigenvalues on either side of `x` (Sylvester); it costs O(order * band^2).

use super::small::Small;

/// Vectors of the widest block.
const MAX_BAND: usize = 4;

/// A relative change of the top below which its iteration has arrived: far below any change that
/// counts, and its vector is still good to the square root of that.
const SETTLED: f64 = 1e-13;

/// A relative residual with which it has arrived as well.
const SMALL_RESIDUAL: f64 = 1e-9;

/// Steps after which an iteration that converges cubically has long arrived.
const MAX_STEPS: usize = 12;

/// Steps of an inverse iteration from a value that bisection found.
const INVERSE_STEPS: usize = 2;

/// Halvings of a bracket that leave nothing anyone could see.
const BISECTIONS: usize = 40;

/// The lower half of a row: entry `d` is `d` places left of the diagonal.
type Row = [f64; MAX_BAND + 1];

/// The matrix, with the rows that lead out of it into the block to come.
#[derive(Debug, Default)]
pub(super) struct Banded<const B: usize> {
    order: usize,
    rows: Vec<Row>,
}

/// An eigenvalue and its unit vector.
#[derive(Debug, Clone, Default)]
pub(super) struct Pair {
    pub(super) theta: f64,
    pub(super) vector: Vec<f64>,
}

/// `T - x = L D L'`.
#[derive(Default)]
struct Factors<const B: usize> {
    lower: Vec<Row>,
    pivots: Vec<f64>,
}

impl<const B: usize> Banded<B> {
    /// Order of the matrix.
    pub(super) fn order(&self) -> usize {
        self.order
    }

    /// Appends a block of the diagonal and the one that leads out of the matrix.
    pub(super) fn push(&mut self, alpha: &Small<B>, beta: &Small<B>) {
        if self.rows.is_empty() {
            self.rows.resize(B, [0.0; MAX_BAND + 1]);
        }
        for (i, alpha) in alpha.iter().enumerate() {
            for (j, &entry) in alpha[..=i].iter().enumerate() {
                self.rows[self.order + i][i - j] = entry;
            }
        }
        for (i, beta) in beta.iter().enumerate() {
            let mut row = [0.0; MAX_BAND + 1];
            for (j, &entry) in beta.iter().enumerate().skip(i) {
                row[B + i - j] = entry;
            }
            self.rows.push(row);
        }
        self.order += B;
    }

    /// `T x`, the rows that lead out of the matrix included: longer than `x` by a block.
    pub(super) fn matvec(&self, x: &[f64]) -> Vec<f64> {
        let mut y = vec![0.0; x.len() + B];
        for i in 0..y.len() {
            for d in 0..=B.min(i) {
                let (j, entry) = (i - d, self.rows[i][d]);
                if j < x.len() {
                    y[i] += entry * x[j];
                }
                if d > 0 && i < x.len() {
                    y[j] += entry * x[i];
                }
            }
        }
        y
    }

    /// The top eigenpair, sought from that of the matrix one block smaller.
    ///
    /// Rayleigh quotient iteration may settle on another eigenvalue; a count of those above tells,
    /// and bisection with inverse iteration then finds the top.
    pub(super) fn top(&self, before: &Pair) -> Pair {
        let mut start = before.vector.clone();
        start.resize(self.order, if before.vector.is_empty() { 1.0 } else { 0.0 });
        let pair = self.rayleigh_iteration(start, before.theta);
        if self.count_above(pair.theta * (1.0 + 64.0 * SETTLED)) == 0 {
            return pair;
        }
        let theta = self.bisect(1, pair.theta, self.upper_end());
        self.rayleigh_iteration(vec![1.0; self.order], theta)
    }

    /// The `n`-th largest eigenvalue; zero when there are fewer.
    pub(super) fn nth(&self, n: usize, top: f64) -> f64 {
        if self.order < n { 0.0 } else { self.bisect(n, 0.0, top) }
    }

    /// Unit vectors of the largest eigenvalues beside the top, as many as it takes until all of them
    /// together exceed `enough`, at most `most`; none where that many do not.
    pub(super) fn others(&self, top: f64, enough: f64, most: usize) -> Vec<Vec<f64>> {
        let trace: f64 = self.rows[..self.order].iter().map(|row| row[0]).sum();
        if trace <= enough {
            return Vec::new();
        }
        let (mut sum, mut values) = (top, Vec::new());
        for rank in (2..=self.order).take(most) {
            if sum > enough {
                break;
            }
            let value = self.bisect(rank, 0.0, values.last().copied().unwrap_or(top));
            sum += value;
            values.push(value);
        }
        if sum > enough { self.vectors(&values) } else { Vec::new() }
    }

    /// Inverse iteration for each value. Equal values may give equal vectors.
    fn vectors(&self, values: &[f64]) -> Vec<Vec<f64>> {
        let (mut vectors, mut factors) = (Vec::<Vec<f64>>::new(), Factors::default());
        for (k, &value) in values.iter().enumerate() {
            self.factor(value, &mut factors);
            // No start is orthogonal to all that came before.
            let entry = |i: usize| 1.0 + ((i * (k + 1)) % 7) as f64;
            let mut x: Vec<f64> = (0..self.order).map(entry).collect();
            for _ in 0..INVERSE_STEPS {
                factors.solve(&mut x);
                normalize(&mut x);
                for y in &vectors {
                    let product: f64 = x.iter().zip(y).map(|(x, y)| x * y).sum();
                    x.iter_mut().zip(y).for_each(|(x, y)| *x -= product * y);
                }
                normalize(&mut x);
            }
            vectors.push(x);
        }
        vectors
    }

    /// How many eigenvalues lie above `x`.
    pub(super) fn count_above(&self, x: f64) -> usize {
        let mut count = 0;
        self.eliminate(x, |_, pivot| count += usize::from(pivot > 0.0));
        count
    }

    /// Iterates from a shift, then with Rayleigh quotients.
    fn rayleigh_iteration(&self, start: Vec<f64>, shift: f64) -> Pair {
        let mut x = start;
        normalize(&mut x);
        let mut theta = self.quotient(&x);
        let mut shift = if shift > theta { shift } else { theta };
        let mut factors = Factors::default();
        for _ in 0..MAX_STEPS {
            self.factor(shift, &mut factors);
            factors.solve(&mut x);
            // A unit vector is solved for, so the length of the solution is one over its residual at the shift.
            let length = normalize(&mut x);
            let next = self.quotient(&x);
            let done = (next - theta).abs() <= SETTLED * next.abs()
                || length * SMALL_RESIDUAL * next.abs() >= 1.0;
            (theta, shift) = (next, next);
            if done {
                break;
            }
        }
        Pair { theta, vector: x }
    }

    /// `x' T x`.
    fn quotient(&self, x: &[f64]) -> f64 {
        let mut sum = 0.0;
        for (i, (row, &x_i)) in self.rows.iter().zip(x).enumerate() {
            let left: f64 = (1..=B.min(i)).map(|d| row[d] * x[i - d]).sum();
            sum += x_i * (row[0] * x_i + 2.0 * left);
        }
        sum
    }

    /// The eigenvalue that has `rank - 1` above it, between `low` and `high`.
    fn bisect(&self, rank: usize, mut low: f64, mut high: f64) -> f64 {
        for _ in 0..BISECTIONS {
            let middle = 0.5 * (low + high);
            if middle <= low || middle >= high {
                break;
            }
            *(if self.count_above(middle) >= rank { &mut low } else { &mut high }) = middle;
        }
        high
    }

    /// A bound on all eigenvalues: the largest sum of magnitudes of a row.
    fn upper_end(&self) -> f64 {
        let mut sums = vec![0.0; self.order];
        for i in 0..self.order {
            for d in 0..=B.min(i) {
                sums[i] += self.rows[i][d].abs();
                if d > 0 {
                    sums[i - d] += self.rows[i][d].abs();
                }
            }
        }
        sums.into_iter().fold(0.0, f64::max) * (1.0 + 8.0 * f64::EPSILON)
    }

    /// The factorisation at `x`, in the room of another.
    fn factor(&self, x: f64, factors: &mut Factors<B>) {
        let Factors { lower, pivots } = factors;
        lower.clear();
        pivots.clear();
        lower.reserve(self.order);
        pivots.reserve(self.order);
        self.eliminate(x, |row, pivot| {
            lower.push(row);
            pivots.push(pivot);
        });
    }

    /// Hands out the rows of `L` and the pivots one after the other.
    fn eliminate(&self, x: f64, mut each: impl FnMut(Row, f64)) {
        // An exact zero counts as an eigenvalue at x, which is not above it.
        let least = f64::EPSILON * f64::EPSILON * x.abs().max(f64::MIN_POSITIVE);
        // The last B rows of L and their reciprocal pivots, the nearest first.
        let (mut near, mut reciprocals) = ([[0.0; MAX_BAND + 1]; B], [0.0; B]);
        for entries in &self.rows[..self.order] {
            let (mut row, mut scaled) = ([0.0; MAX_BAND + 1], [0.0; MAX_BAND + 1]);
            let mut pivot = entries[0] - x;
            for d in (1..=B).rev() {
                let mut sum = entries[d];
                for e in 1..=B - d {
                    sum -= scaled[d + e] * near[d - 1][e];
                }
                scaled[d] = sum;
                row[d] = sum * reciprocals[d - 1];
                pivot -= sum * row[d];
            }
            let pivot = if pivot.abs() < least { -least } else { pivot };
            each(row, pivot);
            near.rotate_right(1);
            reciprocals.rotate_right(1);
            (near[0], reciprocals[0]) = (row, 1.0 / pivot);
        }
    }
}

impl<const B: usize> Factors<B> {
    fn solve(&self, x: &mut [f64]) {
        let n = x.len();
        for i in 0..n {
            for d in 1..=B.min(i) {
                x[i] -= self.lower[i][d] * x[i - d];
            }
        }
        x.iter_mut().zip(&self.pivots).for_each(|(x, pivot)| *x /= pivot);
        for i in (0..n).rev() {
            for d in 1..=B.min(i) {
                x[i - d] -= self.lower[i][d] * x[i];
            }
        }
    }
}

/// Scales to a unit vector and returns the length there was; a vector without a direction becomes the first
/// axis, of no length.
fn normalize(x: &mut [f64]) -> f64 {
    let largest = x.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    if !(largest > 0.0 && largest.is_finite()) {
        x.fill(0.0);
        x[0] = 1.0;
        return 0.0;
    }
    x.iter_mut().for_each(|x| *x /= largest);
    let norm = x.iter().map(|x| x * x).sum::<f64>().sqrt();
    x.iter_mut().for_each(|x| *x /= norm);
    largest * norm
}

#[cfg(test)]
#[path = "../../tests/rust/unit/banded.rs"]
mod tests;
