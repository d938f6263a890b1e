//! Private thread pools that survive `fork`.
//!
//! A forked child inherits the memory of its parent's pools but none of their threads, so a pool
//! is only ever used by the process that made it. Rayon's global pool is never touched.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, TryLockError};
use std::time::Duration;

use rayon::{ThreadPool, ThreadPoolBuilder};

/// The pools of one process, by their number of threads.
struct Pools {
    process: u32,
    by_size: HashMap<usize, Arc<ThreadPool>>,
}

static POOLS: Mutex<Option<Pools>> = Mutex::new(None);

/// A stack of 2 MiB holds the deepest division of a pass many times over.
const STACK_SIZE: usize = 2 << 20;

/// Threads of a pool at most, unless there are more CPUs: a thousand on two of them took minutes to do the work
/// of a moment.
const MOST_THREADS: usize = 256;

/// The pool of `num_threads` threads of this process, or of as many as are of use.
pub(super) fn pool(num_threads: usize) -> Arc<ThreadPool> {
    let num_threads = if num_threads > MOST_THREADS { of_use(num_threads) } else { num_threads };
    // A fork in the middle of another thread's call leaves the lock held for ever in the child:
    // wait a moment for a living owner, then do without the cache.
    for _ in 0..50 {
        match POOLS.try_lock() {
            Ok(mut pools) => return cached(&mut pools, num_threads),
            Err(TryLockError::Poisoned(poisoned)) => {
                return cached(&mut poisoned.into_inner(), num_threads);
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    Arc::new(build(num_threads))
}

/// Asks the system for its CPUs, which takes as long as a short call.
fn of_use(num_threads: usize) -> usize {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    num_threads.min(MOST_THREADS.max(cpus))
}

fn cached(pools: &mut Option<Pools>, num_threads: usize) -> Arc<ThreadPool> {
    let process = std::process::id();
    if pools.as_ref().is_some_and(|pools| pools.process != process) {
        // Dropping the parent's pools would wait for threads that are not here.
        std::mem::forget(pools.take());
    }
    let pools = pools.get_or_insert_with(|| Pools { process, by_size: HashMap::new() });
    let pool = pools.by_size.entry(num_threads).or_insert_with(|| Arc::new(build(num_threads)));
    Arc::clone(pool)
}

fn build(num_threads: usize) -> ThreadPool {
    let build = |n| {
        ThreadPoolBuilder::new()
            .num_threads(n)
            .stack_size(STACK_SIZE)
            .thread_name(|i| format!("rsspecnorm-{i}"))
            .build()
    };
    // Under a limit on threads or memory, one is better than none.
    build(num_threads).or_else(|_| build(1)).expect("the system grants at least one thread")
}
