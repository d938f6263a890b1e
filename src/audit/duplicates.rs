//! Equal matrices are computed once: tied weights, copies, and rows of zeros.
//!
//! A model has dozens of matrices of one shape, so reading all of them to compare would double the
//! work. Three short samples tell most apart; only those that agree are hashed whole, and only
//! equal hashes are compared. The hash is keyed at random, so a file cannot be made to collide.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};

use super::plan::Unit;

/// Bytes of one sample: enough numbers that trained weights never agree by chance.
const SAMPLE: usize = 64;

/// For each unit, the index of the earlier unit with the same content, if there is one.
pub(super) fn find(units: &[Unit<'_>], stop: &mut dyn FnMut() -> bool) -> Vec<Option<usize>> {
    let state = RandomState::new();
    let mut same_as = vec![None; units.len()];
    // A sample of a file that is not in memory waits for the disk, hence `stop` here too.
    let key = |i: usize, stop: &mut dyn FnMut() -> bool| {
        if stop() { 0 } else { state.hash_one(sample(&units[i])) }
    };
    let alike = group(0..units.len(), |i| key(i, stop));
    for candidates in alike.into_iter().filter(|g| g.len() > 1) {
        let equal = group(candidates, |i| if stop() { 0 } else { whole(&state, &units[i]) });
        for members in equal.into_iter().filter(|g| g.len() > 1) {
            mark(units, &members, &mut same_as, stop);
        }
    }
    same_as
}

/// Points every member that equals the first at it.
fn mark(
    units: &[Unit<'_>],
    members: &[usize],
    same_as: &mut [Option<usize>],
    stop: &mut dyn FnMut() -> bool,
) {
    let first = members[0];
    for &i in &members[1..] {
        if stop() {
            return;
        }
        if identity(&units[i]) == identity(&units[first]) && units[i].bytes == units[first].bytes {
            same_as[i] = Some(first);
        }
    }
}

/// Groups indices by a key, first seen first.
fn group(
    indices: impl IntoIterator<Item = usize>,
    mut key: impl FnMut(usize) -> u64,
) -> Vec<Vec<usize>> {
    let mut position = HashMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for i in indices {
        let at = *position.entry(key(i)).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[at].push(i);
    }
    groups
}

/// What must agree besides the bytes.
fn identity<'a>(unit: &'a Unit<'_>) -> impl Hash + Eq + use<'a> {
    (&unit.dtype, unit.dims)
}

fn sample<'a>(unit: &'a Unit<'_>) -> impl Hash + use<'a> {
    let bytes = unit.bytes;
    let at = |start: usize| &bytes[start..(start + SAMPLE).min(bytes.len())];
    let last = bytes.len().saturating_sub(SAMPLE);
    ((&unit.dtype, unit.dims), at(0), at(last / 2), at(last))
}

fn whole(state: &RandomState, unit: &Unit<'_>) -> u64 {
    state.hash_one((&unit.dtype, unit.dims, unit.bytes))
}
