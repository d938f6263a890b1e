//! Vectors that lie end to end in memory, into lanes and back. Short ones go by lookups: of the squares
//! that `turn` turns for the others, most would be empty.

use crate::simd::{Lanes, Real, Save, Simd, Vector};

use super::entry::Entry;
use super::turn;

/// Entries of the longest vectors for which lookups are cheaper.
const MAX_WOVEN: usize = 4;

/// Where the lanes of a few vectors come from: the lane, and of which vector.
struct Routes<A, const L: usize>([(Entry<u32, L>, Entry<A, L>); MAX_WOVEN]);

impl<A: Real, const L: usize> Routes<A, L> {
    /// Lane `l` of vector `k` is lane `place(k, l).1` of vector `place(k, l).0`.
    fn new(place: impl Fn(usize, usize) -> (usize, usize)) -> Self {
        Self(std::array::from_fn(|k| {
            let places: [_; L] = std::array::from_fn(|l| place(k, l));
            let lanes = places.map(|(_, lane)| (lane % L) as u32);
            (lanes.into(), places.map(|(row, _)| A::from_f64(row as f64)).into())
        }))
    }

    /// Vector `k` of those made of `rows`.
    #[inline(always)]
    fn vector<'r, S: Simd + Lanes<A, L>>(
        &self,
        s: S,
        k: usize,
        rows: impl Iterator<Item = &'r [A; L]>,
    ) -> <S as Lanes<A, L>>::V {
        let (lanes, numbers) = &self.0[k];
        let numbers = <S as Lanes<A, L>>::load(s, numbers);
        let mut number = <S as Lanes<A, L>>::splat(s, A::ZERO);
        let one = <S as Lanes<A, L>>::splat(s, A::from_f64(1.0));
        let mut out = number;
        for row in rows {
            let row = <S as Lanes<A, L>>::load(s, row).permute(lanes);
            out = number.select_le(numbers, row, out);
            number = number.add(one);
        }
        out
    }
}

/// How vectors of one length are dealt to lanes.
pub(super) struct Weave<A, const L: usize> {
    len: usize,
    /// Into lanes, and back.
    routes: Option<[Routes<A, L>; 2]>,
}

impl<A: Real + Save<A, L>, const L: usize> Weave<A, L> {
    pub(super) fn new(len: usize) -> Self {
        let into_lanes = |j: usize, l: usize| ((l * len + j) / L, (l * len + j) % L);
        let back = |k: usize, l: usize| ((k * L + l) % len, (k * L + l) / len);
        let is_short = (1..=MAX_WOVEN).contains(&len);
        Self { len, routes: is_short.then(|| [Routes::new(into_lanes), Routes::new(back)]) }
    }

    /// Entry by entry the vectors that `data` begins with. Missing lanes are zero, and so are the entries
    /// behind the last.
    #[inline(always)]
    pub(super) fn interleave<S: Simd + Lanes<A, L>, const N: usize>(
        &self,
        s: S,
        data: &[A],
        entries: &mut [Entry<A, L>; N],
    ) {
        let (Some([routes, _]), Some(data)) = (&self.routes, data.get(..L * self.len)) else {
            return turn::interleave(s, data, self.len, entries);
        };
        for (j, entry) in entries.iter_mut().enumerate() {
            if j < self.len {
                routes.vector(s, j, data.as_chunks().0.iter()).store(entry);
            } else {
                <S as Lanes<A, L>>::splat(s, A::ZERO).store(entry);
            }
        }
    }

    /// The same back again, for the lanes that are done.
    #[inline(always)]
    pub(super) fn hand_back<S: Simd + Lanes<A, L>, const N: usize>(
        &self,
        s: S,
        done: u32,
        entries: &[Entry<A, L>; N],
        vectors: &mut [A],
    ) {
        let Some([_, routes]) = self.routes.as_ref().filter(|_| done.count_ones() as usize == L)
        else {
            return turn::hand_back(s, done, self.len, entries, vectors);
        };
        for (k, vector) in vectors.as_chunks_mut().0.iter_mut().enumerate() {
            let rows = entries[..self.len].iter().map(|entry| &entry.0);
            routes.vector(s, k, rows).store(vector);
        }
    }
}
