//! Tiny matrices and vectors, one after the other in memory, into lanes and back.

#![expect(clippy::needless_range_loop, reason = "one index runs over several arrays of lanes")]

use crate::scalar::Element;
use crate::simd::{LINE, Lanes, Load, Real, Simd, Vector};

use super::lanewise::Entry;

/// The longest side of a tiny matrix. Beyond it, the lanes would not fit the first-level cache.
pub(crate) const MAX_SIDE: usize = 16;

/// Vectors that hold one of `MAX_SIDE` entries for every lane, or as many short ones, and whatever
/// a whole vector stored at their end leaves there.
pub(super) type Flat<A, const L: usize> = [Entry<A, L>; MAX_SIDE + 1];

/// Entry by entry what lies matrix by matrix, `size` entries each. Missing lanes are zero, and so
/// are the entries behind the last, as many as there are room for.
#[inline(always)]
pub(super) fn interleave<S, T, A, const L: usize, const M: usize>(
    s: S,
    data: &[T],
    size: usize,
    entries: &mut [Entry<A, L>; M],
) where
    S: Simd + Lanes<A, L>,
    T: Load<A, L>,
    A: Real,
{
    for start in (0..size).step_by(L) {
        fetch(s, data, L * (size + start), L * L);
        let mut rows = [<S as Lanes<A, L>>::splat(s, A::ZERO); L];
        if start + (L - 1) * size + L <= data.len() {
            for l in 0..L {
                rows[l] = T::load(s, data[l * size + start..].first_chunk().expect("it fits"));
            }
        } else {
            for l in 0..L {
                rows[l] = T::load_first(s, data.get(l * size + start..).unwrap_or(&[]));
            }
        }
        let columns = Vector::transpose(rows);
        for j in 0..L.min(M) {
            columns[j].store(&mut entries[start + j]);
        }
    }
    let behind = (size + MAX_SIDE).min(M);
    entries[size..behind].fill([A::ZERO; L]);
}

/// Asks for `len` elements of the matrices that come next: what reads one row of many matrices at a
/// time, nobody would guess.
#[inline(always)]
fn fetch<S: Simd, T: Element>(s: S, data: &[T], start: usize, len: usize) {
    if start + len <= data.len() {
        for at in (start..start + len).step_by(LINE / T::SIZE) {
            s.prefetch(&data[at]);
        }
    }
}

/// Vector by vector, for the lanes that are done, what lies entry by entry; `flat` is room for it.
#[inline(always)]
pub(super) fn hand_back<S, A, const L: usize, const N: usize>(
    s: S,
    (done, count): (u32, usize),
    entries: &[Entry<A, L>; N],
    flat: &mut Flat<A, L>,
    vectors: &mut [A],
) where
    S: Simd + Lanes<A, L>,
    A: Real + Load<A, L>,
{
    let len = vectors.len() / count;
    let zero = <S as Lanes<A, L>>::splat(s, A::ZERO);
    let mut rows = [[zero; L]; 2];
    for (block, rows) in rows.iter_mut().enumerate().take(N.div_ceil(L)) {
        let mut columns = [zero; L];
        for j in 0..L.min(N) {
            columns[j] = A::load(s, &entries[block * L + j]);
        }
        *rows = Vector::transpose(columns);
    }
    // What a store leaves behind its vector, the next one overwrites.
    for l in 0..L {
        for block in 0..N.div_ceil(L) {
            let slot = &mut flat.as_flattened_mut()[l * len + block * L..][..L];
            rows[block][l].store(slot.try_into().expect("a vector is to spare"));
        }
    }
    if done.count_ones() as usize == count {
        return copy(s, flat, vectors);
    }
    for l in (0..count).filter(|l| done >> l & 1 == 1) {
        let own = l * len..(l + 1) * len;
        vectors[own.clone()].copy_from_slice(&flat.as_flattened()[own]);
    }
}

#[inline(always)]
fn copy<S, A, const L: usize>(s: S, flat: &[Entry<A, L>], vectors: &mut [A])
where
    S: Simd + Lanes<A, L>,
    A: Real,
{
    let (slots, last) = vectors.as_chunks_mut::<L>();
    for (chunk, slot) in flat.iter().zip(&mut *slots) {
        s.load(chunk).store(slot);
    }
    if !last.is_empty() {
        s.load(&flat[slots.len()]).store_partial(last);
    }
}
