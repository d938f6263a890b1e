//! Tiny matrices and vectors, one after the other in memory, into lanes and back.

#![expect(clippy::needless_range_loop, reason = "one index runs over several arrays of lanes")]

use crate::scalar::Element;
use crate::simd::{LINE, Lanes, Load, Real, Save, Simd, Vector};

use super::entry::Entry;

/// The longest side of a tiny matrix. Beyond it, the lanes would not fit the first-level cache.
pub(crate) const MAX_SIDE: usize = 16;

/// Entry by entry what lies vector by vector, `size` entries each. Missing lanes are zero, and so
/// are the entries behind the last.
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
        interleave_from(s, data, size, start, entries);
    }
    // What is made of vectors takes their place, and may have left more.
    for entry in &mut entries[size.next_multiple_of(L).min(M)..] {
        <S as Lanes<A, L>>::splat(s, A::ZERO).store(entry);
    }
}

/// The `L` entries from `start` on, and zeros behind the last.
#[inline(always)]
pub(super) fn interleave_from<S, T, A, const L: usize, const M: usize>(
    s: S,
    data: &[T],
    size: usize,
    start: usize,
    entries: &mut [Entry<A, L>; M],
) where
    S: Simd + Lanes<A, L>,
    T: Load<A, L>,
    A: Real,
{
    let zero = <S as Lanes<A, L>>::splat(s, A::ZERO);
    fetch(s, data, L * (size + start), L * L);
    let mut rows = [zero; L];
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
        let column = if start + j < size { columns[j] } else { zero };
        column.store(&mut entries[start + j]);
    }
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

/// Vector by vector, for the lanes that are done, what lies entry by entry.
///
/// Each goes where it belongs by a store of its own: whoever stored all of them side by side and
/// loaded that again would wait until the last of the stores has gone through.
#[inline(always)]
pub(super) fn hand_back<S, A, const L: usize, const N: usize>(
    s: S,
    done: u32,
    len: usize,
    entries: &[Entry<A, L>; N],
    vectors: &mut [A],
) where
    S: Simd + Lanes<A, L>,
    A: Real + Save<A, L>,
{
    for start in (0..len).step_by(L) {
        let mut columns = [<S as Lanes<A, L>>::splat(s, A::ZERO); L];
        for j in 0..L.min(N) {
            columns[j] = <S as Lanes<A, L>>::load(s, &entries[start + j]);
        }
        let rows = Vector::transpose(columns);
        for l in 0..L {
            if done >> l & 1 == 1 {
                let end = len.min(start + L);
                A::save(s, rows[l], &mut vectors[l * len + start..l * len + end]);
            }
        }
    }
}
