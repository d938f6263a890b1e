//! The blocks of one matrix, shared so that a thread meets the same ones again in the next pass.
//!
//! A solver reads its matrix dozens of times. Cores have caches of their own, and often not even a
//! last-level one in common: a thread that keeps to its blocks finds them there, where a block that
//! wanders is fetched anew. So every thread has a *home*, a run of consecutive blocks; only when that
//! is done it helps the others, from the end of theirs.
//!
//! Between two passes the solver has the work of a moment for one thread. The others linger meanwhile,
//! as does this one at the end of a pass: waking a thread that sleeps takes about as long.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long a thread waits for the next pass, or the end of this one, before it may sleep.
const LINGER: Duration = Duration::from_micros(100);

/// Counts the passes begun and the solves ended, all of which end the lingering.
static TURNS: AtomicUsize = AtomicUsize::new(0);

/// Calls `work` on every block from the threads of the current pool, each of which goes through its home
/// from the first block to the last, or back.
pub(super) fn share<B: Send>(blocks: &mut [B], back: bool, work: &(dyn Fn(&mut B) + Sync)) {
    let threads = rayon::current_num_threads();
    let unclaimed: Vec<_> = blocks.iter_mut().map(|block| Mutex::new(Some(block))).collect();
    let (turn, done) = (next_turn(), AtomicUsize::new(0));
    let take_part = || {
        let home = home(unclaimed.len(), threads, rayon::current_thread_index().unwrap_or(0));
        for i in itinerary(unclaimed.len(), home, back) {
            // A lock that is held is a block that another thread is about to take.
            let block = unclaimed[i].try_lock().ok().and_then(|mut block| block.take());
            if let Some(block) = block {
                work(block);
                done.fetch_add(1, Ordering::Release);
            }
        }
    };
    let (leader, helpers) = (rayon::current_thread_index(), AtomicUsize::new(0));
    rayon::scope(|scope| {
        for _ in 1..threads.min(unclaimed.len()) {
            scope.spawn(|_| {
                if rayon::current_thread_index() != leader {
                    helpers.fetch_add(1, Ordering::Relaxed);
                }
                take_part();
            });
        }
        take_part();
        linger(|| done.load(Ordering::Acquire) < unclaimed.len());
    });
    // Where nobody came to help, all have work of their own.
    for _ in 0..helpers.into_inner() {
        rayon::spawn(move || linger(|| TURNS.load(Ordering::Relaxed) == turn));
    }
}

/// Ends all lingering, since there is work or no more to come.
pub(super) fn next_turn() -> usize {
    TURNS.fetch_add(1, Ordering::Relaxed) + 1
}

/// Keeps a thread awake as long as it may be needed any moment, for a while.
fn linger(may_be_needed: impl Fn() -> bool) {
    let start = Instant::now();
    while may_be_needed() && start.elapsed() < LINGER {
        (0..16).for_each(|_| std::hint::spin_loop());
    }
}

/// The blocks that are thread `i`'s own.
fn home(nblocks: usize, threads: usize, i: usize) -> Range<usize> {
    nblocks * i / threads..nblocks * (i + 1) / threads
}

/// All blocks in the order in which a thread looks for work: its own, then those of the other homes,
/// each from the end that its owner reaches last.
fn itinerary(nblocks: usize, home: Range<usize>, back: bool) -> Vec<usize> {
    let others = (home.end..nblocks).chain(0..home.start);
    match back {
        false => home.chain(others.rev()).collect(),
        true => home.rev().chain(others).collect(),
    }
}

#[cfg(test)]
#[path = "../../tests/rust/unit/share.rs"]
mod tests;
