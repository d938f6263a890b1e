//! Floor F5: who runs where. The only room that knows rayon; no arithmetic of its own.
//!
//! Work goes across matrices first, the largest first, each on one thread and in its cache; the
//! blocks of a large matrix are shared with whoever is idle. The calling thread never computes in
//! the pool: it waits and asks now and then whether to stop.

mod batch;
mod cache;
mod pool;
mod share;
mod threads;

pub(crate) use batch::{Work, run};
pub(crate) use cache::passes_caches;
pub use threads::num_threads;
pub(crate) use threads::set_num_threads;
