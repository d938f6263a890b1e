//! The partial results of a pass, one per block, added up in groups.
//!
//! Every block adds to a `z` of its own, so that no thread waits for another and the order of the
//! sums is that of the shape. Whoever ends the last block of a group adds the group up, in the order
//! of its blocks, while it lies in that thread's cache; the caller has one sum per group left to add.

use std::sync::{Mutex, MutexGuard};

use crate::kernels::reduce::Moments;
use crate::simd::Level;

/// Blocks of a group: few enough that two threads seldom share one.
const GROUP: usize = 4;

/// A partial result that others of its kind can be added to.
pub(crate) trait Partial: Send {
    /// Sets it to zero.
    fn clear(&mut self);

    /// `self += other`, entry by entry.
    fn add(&mut self, level: Level, other: &Self);
}

/// The partial results of all blocks, kept from pass to pass.
#[derive(Debug)]
pub(crate) struct Partials<P> {
    groups: Vec<Mutex<Group<P>>>,
    back: bool,
}

#[derive(Debug)]
struct Group<P> {
    /// `None` while a block is at work on its own.
    slots: Vec<Option<P>>,
    moments: Vec<Moments>,
    missing: usize,
}

impl<P> Default for Partials<P> {
    fn default() -> Self {
        Self { groups: Vec::new(), back: false }
    }
}

impl<P> Default for Group<P> {
    fn default() -> Self {
        Self { slots: Vec::new(), moments: Vec::new(), missing: 0 }
    }
}

impl<P: Partial> Partials<P> {
    /// Gets ready for a pass of so many blocks, whatever became of the one before.
    pub(super) fn prepare(&mut self, nblocks: usize, make: impl Fn() -> P) {
        self.groups.resize_with(nblocks.div_ceil(GROUP), Mutex::default);
        for (g, group) in self.groups.iter_mut().enumerate() {
            let group = group.get_mut().unwrap_or_else(|e| e.into_inner());
            group.missing = GROUP.min(nblocks - g * GROUP);
            group.moments.resize(group.missing, Moments::EMPTY);
            group.slots.resize_with(group.missing, || None);
            for slot in &mut group.slots {
                slot.get_or_insert_with(&make);
            }
        }
    }

    /// Whether the pass to come had better go back, from the last block to the first: every other one
    /// does, to begin with what the caches have kept. One that is `first` never does, nor if it is made anew.
    pub(super) fn goes_back(&mut self, first: bool) -> bool {
        self.back = !first && !self.back;
        self.back
    }

    /// Has `work` fill the partial result of block `i`, from zero.
    pub(super) fn fill(&self, level: Level, i: usize, work: impl FnOnce(&mut P) -> Moments) {
        let mut partial = self.group(i).slots[i % GROUP].take().expect("a block runs once a pass");
        partial.clear();
        let moments = work(&mut partial);
        let mut group = self.group(i);
        group.slots[i % GROUP] = Some(partial);
        group.moments[i % GROUP] = moments;
        group.missing -= 1;
        if group.missing == 0 {
            group.add_up(level);
        }
    }

    fn group(&self, i: usize) -> MutexGuard<'_, Group<P>> {
        self.groups[i / GROUP].lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Hands out the sum of every group, in order, once all blocks have run.
    pub(super) fn collect(&mut self, mut take: impl FnMut(&P)) -> Moments {
        let mut moments = Moments::EMPTY;
        for group in &mut self.groups {
            let group = group.get_mut().unwrap_or_else(|e| e.into_inner());
            take(group.slots[0].as_ref().expect("its block has run"));
            moments = group.moments.iter().fold(moments, |sum, &of_block| sum.join(of_block));
        }
        moments
    }
}

impl<P: Partial> Group<P> {
    fn add_up(&mut self, level: Level) {
        let (first, rest) = self.slots.split_at_mut(1);
        let sum = first[0].as_mut().expect("all blocks have run");
        for other in rest {
            sum.add(level, other.as_ref().expect("all blocks have run"));
        }
    }
}

#[cfg(test)]
#[path = "../../tests/rust/unit/partials.rs"]
mod tests;
