//! The partial results of a pass, one per block, added up in pairs.
//!
//! Every block adds to a `z` of its own, so that no thread waits for another. Two neighbours are added by
//! whoever ends the later of them, then two such pairs, and so on: a tree that the shape alone gives. A
//! sum is the same either way round, so it matters to no bit which of the two came first.
//!
//! Room that has been added to another is used again for the next block: it is still in a near cache.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::kernels::reduce::Moments;
use crate::simd::Level;

/// A partial result that others of its kind can be added to.
pub(crate) trait Partial: Send {
    /// Sets it to zero.
    fn clear(&mut self);

    /// `self += other`, entry by entry.
    fn add(&mut self, level: Level, other: &Self);
}

/// The partial results of all blocks, the room for them kept from pass to pass.
#[derive(Debug)]
pub(crate) struct Partials<P> {
    shelf: Mutex<Shelf<P>>,
    nblocks: usize,
    back: bool,
}

#[derive(Debug)]
struct Shelf<P> {
    /// What waits for its neighbour, by the place of the pair in the tree; the last place is the root's.
    waiting: Vec<Option<(P, Moments)>>,
    spare: Vec<P>,
}

impl<P> Default for Partials<P> {
    fn default() -> Self {
        let shelf = Shelf { waiting: Vec::new(), spare: Vec::new() };
        Self { shelf: Mutex::new(shelf), nblocks: 0, back: false }
    }
}

impl<P: Partial> Partials<P> {
    /// Gets ready for a pass of so many blocks, whatever became of the one before.
    pub(super) fn prepare(&mut self, nblocks: usize) {
        let shelf = self.shelf.get_mut().unwrap_or_else(PoisonError::into_inner);
        shelf.spare.extend(shelf.waiting.drain(..).flatten().map(|(partial, _)| partial));
        shelf.waiting.resize_with(nblocks, || None);
        self.nblocks = nblocks;
    }

    /// Whether the pass to come had better go back, from the last block to the first: every other one
    /// does, to begin with what the caches have kept. One that is `first` never does, nor if it is made anew.
    pub(super) fn goes_back(&mut self, first: bool) -> bool {
        self.back = !first && !self.back;
        self.back
    }

    /// Has the next pass go forward, whatever the one before did.
    pub(super) fn turn(&mut self) {
        self.back = true;
    }

    /// Has `work` fill the partial result of block `i`, from zero; `make` makes room where there is none.
    pub(super) fn fill(
        &self,
        level: Level,
        i: usize,
        make: impl Fn() -> P,
        work: impl FnOnce(&mut P) -> Moments,
    ) {
        let spare = self.shelf().spare.pop();
        let mut partial = spare.unwrap_or_else(make);
        partial.clear();
        let moments = work(&mut partial);
        self.climb(level, i, (partial, moments));
    }

    /// Adds up pairs for as long as the other of the pair is there.
    fn climb(&self, level: Level, mut i: usize, (mut sum, mut moments): (P, Moments)) {
        let (mut width, mut first) = (self.nblocks, 0);
        while width > 1 {
            // The last one of an odd number has no neighbour and goes up as it is.
            if i ^ 1 < width {
                let mut shelf = self.shelf();
                let place = &mut shelf.waiting[first + i / 2];
                let Some((other, of_other)) = place.take() else {
                    *place = Some((sum, moments));
                    return;
                };
                drop(shelf);
                sum.add(level, &other);
                moments = moments.join(of_other);
                self.shelf().spare.push(other);
            }
            (first, i, width) = (first + width / 2, i / 2, width.div_ceil(2));
        }
        *self.shelf().waiting.last_mut().expect("a pass has blocks") = Some((sum, moments));
    }

    fn shelf(&self) -> MutexGuard<'_, Shelf<P>> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands out the sum, once all blocks have run.
    pub(super) fn collect(&mut self, take: impl FnOnce(&P)) -> Moments {
        let shelf = self.shelf.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Some(root) = shelf.waiting.last() else {
            return Moments::EMPTY;
        };
        let (sum, moments) = root.as_ref().expect("all blocks have run");
        take(sum);
        *moments
    }
}

#[cfg(test)]
#[path = "../../tests/rust/unit/partials.rs"]
mod tests;
