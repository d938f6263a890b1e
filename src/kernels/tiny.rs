//! Power steps on tiny matrices, as many at once as there are lanes, and their division.

use std::ops::Range;

use crate::simd::{Kernel, LINE, Lanes, Load, Real, Save, Simd};

use super::divide::Divisor;
use super::lanewise::Lanewise;
use super::solved::{Solved, Spread};
use super::turn::interleave_from;
use super::weave::Weave;

pub(crate) use super::turn::MAX_SIDE;

/// Bytes of a matrix from which on stores past the caches pay: the lines that it shares with its
/// neighbours are fetched all the same.
const FEW_LINES: usize = 16 * LINE;

/// Two kinds of vectors to begin with, where they do not lie in the place of the result.
pub type Given<'a, A> = (Option<&'a [A]>, Option<&'a [A]>);

/// Where tiny matrices are read, and where their normalised forms go.
#[derive(Debug)]
pub(crate) enum Cells<'a, T> {
    Apart(&'a [T], Option<&'a mut [T]>),
    InPlace(&'a mut [T]),
}

/// Power steps on matrices of one shape, and their division.
#[derive(Debug)]
pub(crate) struct TinySteps<'a, T, A> {
    pub(crate) cells: Cells<'a, T>,
    /// Rows and columns of each matrix.
    pub(crate) shape: (usize, usize),
    /// The vectors on columns and on rows, end to end.
    pub(crate) x: &'a mut [A],
    pub(crate) y: &'a mut [A],
    /// What `x` and `y` begin with; without it, with what is in them.
    pub(crate) given: Given<'a, A>,
    /// One for each matrix.
    pub(crate) sigma: &'a mut [f64],
    pub(crate) divisor: Divisor<'a>,
    /// Whether to store what is divided past the caches, where a matrix is a few cache lines.
    pub(crate) stream: bool,
    /// Without one, sigma is that at the given vectors.
    pub(crate) n_power_iterations: usize,
    pub(crate) eps: f64,
    pub(crate) rows_first: bool,
    /// Where the matrices that were done are noted, as bits of a word for each vector of them. The
    /// others, where more care is needed, are left as they are.
    pub(crate) done: &'a mut [u32],
}

impl<T, A> TinySteps<'_, T, A> {
    #[inline(always)]
    fn body<S, const L: usize, const N: usize, const NN: usize>(mut self, s: S)
    where
        S: Simd + Lanes<A, L>,
        T: Save<A, L>,
        A: Real + Save<A, L> + Load<f64, 8>,
    {
        // A full vector costs the same, however few lanes are taken: larger ones had better be.
        let fewest = if N > MAX_SIDE / 2 { L / 4 } else { 2 };
        let mut lanes = Lanewise::<A, L, N, NN>::new(self.shape, self.eps);
        let tables = Tables::new(self.shape);
        let (count, size) = (self.sigma.len(), self.shape.0 * self.shape.1);
        let (is_spread, stream) = (size < L, self.streams());
        let mut solved = Solved::none();
        for word in 0..count.div_ceil(L) {
            let group = word * L..((word + 1) * L).min(count);
            if group.len() < fewest {
                self.done[word] = 0;
                continue;
            }
            self.exchange(s, group.start, &mut lanes, &solved);
            solved = self.group::<S, L, N, NN>(s, group, &mut lanes, &tables);
            self.done[word] = solved.done;
            if is_spread {
                solved.divide_spread(s, size, &tables.spread, &mut self.cells);
                solved = Solved::none();
            }
        }
        solved.divide(s, size, 0..L, stream, &mut self.cells);
        if self.stream {
            s.fence();
        }
    }

    /// Brings the matrices of a group into lanes, and divides those of the group before one by one meanwhile: what
    /// is stored leaves the core while the others are turned.
    #[inline(always)]
    fn exchange<S, const L: usize, const N: usize, const NN: usize>(
        &mut self,
        s: S,
        start: usize,
        lanes: &mut Lanewise<A, L, N, NN>,
        before: &Solved<A, L>,
    ) where
        S: Simd + Lanes<A, L>,
        T: Save<A, L>,
        A: Real + Save<A, L>,
    {
        let size = self.shape.0 * self.shape.1;
        let (steps, stream) = (size.div_ceil(L), self.streams());
        for k in 0..steps {
            let source = match &self.cells {
                Cells::Apart(a, _) => a,
                Cells::InPlace(a) => &**a,
            };
            interleave_from(s, &source[start * size..], size, k * L, &mut lanes.a);
            before.divide(s, size, L * k / steps..L * (k + 1) / steps, stream, &mut self.cells);
        }
    }

    /// Solves the group of matrices that is in the lanes.
    #[inline(always)]
    fn group<S, const L: usize, const N: usize, const NN: usize>(
        &mut self,
        s: S,
        group: Range<usize>,
        lanes: &mut Lanewise<A, L, N, NN>,
        tables: &Tables<A, L>,
    ) -> Solved<A, L>
    where
        S: Simd + Lanes<A, L>,
        T: Save<A, L>,
        A: Real + Save<A, L> + Load<f64, 8>,
    {
        let ((nrows, ncols), start) = (self.shape, group.start);
        let moves = self.n_power_iterations > 0;
        if self.rows_first || !moves {
            let x = self.given.0.unwrap_or(self.x);
            tables.x.interleave(s, &x[start * ncols..], &mut lanes.x);
        }
        if !self.rows_first || !moves {
            let y = self.given.1.unwrap_or(self.y);
            tables.y.interleave(s, &y[start * nrows..], &mut lanes.y);
        }
        let present = u32::MAX >> (32 - group.len());
        let coefficients = self.coefficients(group.clone());
        let divisor = (coefficients.as_ref(), self.divisor.soft);
        let done = present & lanes.run(s, self.n_power_iterations, self.rows_first, divisor);
        self.keep_sigma(done, group.clone(), &lanes.sigma);
        if moves {
            let end = group.end;
            let (x, y) =
                (&mut self.x[start * ncols..end * ncols], &mut self.y[start * nrows..end * nrows]);
            tables.x.hand_back(s, done, &lanes.x, x);
            tables.y.hand_back(s, done, &lanes.y, y);
        }
        Solved { group, done, divisors: lanes.divisor }
    }

    /// Whether quotients are stored past the caches.
    #[inline(always)]
    fn streams(&self) -> bool {
        self.stream && self.shape.0 * self.shape.1 * size_of::<T>() >= FEW_LINES
    }

    /// The coefficients of a group, one where there is no matrix; none where all are one.
    #[inline(always)]
    fn coefficients<const L: usize>(&self, group: Range<usize>) -> Option<[f64; L]> {
        match self.divisor.coefficients {
            [1.0] => None,
            [c] => Some([*c; L]),
            each => {
                let mut own = [1.0; L];
                own[..group.len()].copy_from_slice(&each[group]);
                Some(own)
            }
        }
    }

    /// Stores sigma of the lanes that are done.
    #[inline(always)]
    fn keep_sigma<const L: usize>(&mut self, done: u32, group: Range<usize>, sigma: &[f64; L]) {
        let own = &mut self.sigma[group];
        if done.count_ones() as usize == L
            && let Ok(own) = <&mut [f64; L]>::try_from(&mut *own)
        {
            *own = *sigma;
            return;
        }
        for (l, (own, sigma)) in own.iter_mut().zip(sigma).enumerate() {
            if done >> l & 1 == 1 {
                *own = *sigma;
            }
        }
    }
}

/// What depends on the shape alone.
struct Tables<A, const L: usize> {
    x: Weave<A, L>,
    y: Weave<A, L>,
    spread: Spread<L>,
}

impl<A: Real + Save<A, L>, const L: usize> Tables<A, L> {
    fn new((nrows, ncols): (usize, usize)) -> Self {
        Self { x: Weave::new(ncols), y: Weave::new(nrows), spread: Spread::new(nrows * ncols) }
    }
}

/// Implements the kernel for the two accumulators.
macro_rules! impl_tiny {
    ($($a:ty, $lanes:literal;)*) => {$(
        impl<T: Save<$a, $lanes>> Kernel for TinySteps<'_, T, $a> {
            type Output = ();
            #[inline(always)]
            fn eval<S: Simd>(self, s: S) {
                match self.shape.0.max(self.shape.1) {
                    0..=4 => self.body::<S, $lanes, 4, 20>(s),
                    5..=8 => self.body::<S, $lanes, 8, 72>(s),
                    _ => self.body::<S, $lanes, 16, 272>(s),
                }
            }
        }
    )*};
}

impl_tiny! {
    f32, 16;
    f64, 8;
}
