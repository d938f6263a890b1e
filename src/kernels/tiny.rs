//! Power steps on tiny matrices, as many at once as there are lanes, and their division.

#![expect(clippy::needless_range_loop, reason = "one index runs over several arrays of lanes")]

use crate::simd::{Kernel, LINE, Lanes, Load, Real, Save, Simd, Vector};

use super::divide::{Divisor, Ratio, divide_streaming};
use super::entry::Entry;
use super::lanewise::Lanewise;
use super::turn::interleave;
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
        let count = self.sigma.len();
        for word in 0..count.div_ceil(L) {
            let group = word * L..((word + 1) * L).min(count);
            let few = group.len() < fewest;
            let done = match few {
                true => 0,
                false => self.group::<S, L, N, NN>(s, group, &mut lanes, &tables),
            };
            self.done[word] = done;
        }
        if self.stream {
            s.fence();
        }
    }

    #[inline(always)]
    fn group<S, const L: usize, const N: usize, const NN: usize>(
        &mut self,
        s: S,
        group: std::ops::Range<usize>,
        lanes: &mut Lanewise<A, L, N, NN>,
        tables: &Tables<A, L>,
    ) -> u32
    where
        S: Simd + Lanes<A, L>,
        T: Save<A, L>,
        A: Real + Save<A, L> + Load<f64, 8>,
    {
        let ((nrows, ncols), start) = (self.shape, group.start);
        let source = match &self.cells {
            Cells::Apart(a, _) => a,
            Cells::InPlace(a) => &**a,
        };
        interleave(s, &source[start * nrows * ncols..], nrows * ncols, &mut lanes.a);
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
        self.divide(s, done, group, &lanes.divisor, &tables.spread);
        done
    }

    /// The coefficients of a group, one where there is no matrix; none where all are one.
    #[inline(always)]
    fn coefficients<const L: usize>(&self, group: std::ops::Range<usize>) -> Option<[f64; L]> {
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
    fn keep_sigma<const L: usize>(
        &mut self,
        done: u32,
        group: std::ops::Range<usize>,
        sigma: &[f64; L],
    ) {
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

    /// Divides the matrices of the lanes that are done.
    #[inline(always)]
    fn divide<S, const L: usize>(
        &mut self,
        s: S,
        done: u32,
        group: std::ops::Range<usize>,
        divisors: &[A; L],
        spread: &Spread<L>,
    ) where
        S: Simd + Lanes<A, L>,
        T: Save<A, L>,
        A: Real + Load<A, L>,
    {
        let (size, count) = (self.shape.0 * self.shape.1, group.len());
        let range = group.start * size..group.end * size;
        let (a, out) = match &mut self.cells {
            Cells::Apart(_, None) => return,
            Cells::Apart(a, Some(out)) => (Some(&a[range.clone()]), &mut out[range]),
            Cells::InPlace(out) => (None, &mut out[range]),
        };
        if size < L {
            // The others are divided by one: they stay what they are, or are written again later.
            return divide(s, a, out, s.load(divisors), Some(spread));
        }
        let stream = self.stream && size * T::SIZE >= FEW_LINES;
        for l in 0..count {
            let own = l * size..(l + 1) * size;
            match a.map(|a| &a[own.clone()]) {
                _ if done >> l & 1 == 0 => {}
                Some(a) if stream => {
                    divide_streaming(s, a, Ratio::ordinary(divisors[l]), &mut out[own]);
                }
                a => divide(s, a, &mut out[own], s.splat(divisors[l]), None),
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

/// Whose element each lane holds of vectors that go over matrices of fewer than `L` elements.
struct Spread<const L: usize>([Entry<u32, L>; L]);

impl<const L: usize> Spread<L> {
    fn new(size: usize) -> Self {
        let matrix_of = |k: usize, l: usize| ((k * L + l) / size) as u32;
        let chunks = if size < L { size } else { 0 };
        let mut lanes = [Entry([0; L]); L];
        for (k, chunk) in lanes.iter_mut().enumerate().take(chunks) {
            *chunk = Entry(std::array::from_fn(|l| matrix_of(k, l)));
        }
        Self(lanes)
    }
}

/// The divisors of chunk `k`, which are those of the lanes unless they are spread.
#[inline(always)]
fn divisor_of<A: Real, V: Vector<A, L>, const L: usize>(
    divisors: V,
    spread: Option<&Spread<L>>,
    k: usize,
) -> V {
    match spread {
        Some(spread) => divisors.permute(&spread.0[k]),
        None => divisors,
    }
}

/// `out = a / divisors`, or `out /= divisors` where there is no `a`: lane by lane, or each matrix by its
/// lane when they are spread.
#[inline(always)]
fn divide<S, T, A, const L: usize>(
    s: S,
    a: Option<&[T]>,
    out: &mut [T],
    divisors: <S as Lanes<A, L>>::V,
    spread: Option<&Spread<L>>,
) where
    S: Simd + Lanes<A, L>,
    T: Save<A, L>,
    A: Real,
{
    let (slots, last) = out.as_chunks_mut::<L>();
    let (chunks, tail) = a.map_or((None, None), |a| {
        let (chunks, tail) = a.as_chunks::<L>();
        (Some(chunks), Some(tail))
    });
    let n = slots.len();
    for k in 0..n {
        let x = T::load(s, chunks.map_or(&slots[k], |chunks| &chunks[k]));
        T::save(s, x.div(divisor_of(divisors, spread, k)), &mut slots[k]);
    }
    if !last.is_empty() {
        let x = T::load_partial(s, tail.unwrap_or(last));
        T::save(s, x.div(divisor_of(divisors, spread, n)), last);
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
