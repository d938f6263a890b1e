//! How many threads a call uses.
//!
//! The call's own argument comes first, then [`set_num_threads`], then `RSSPECNORM_NUM_THREADS`,
//! `RAYON_NUM_THREADS`, `OMP_NUM_THREADS`, then the CPUs this process may run on. Job systems set
//! `OMP_NUM_THREADS` alone, so it must count.

use std::sync::atomic::{AtomicUsize, Ordering};

const VARIABLES: [&str; 3] = ["RSSPECNORM_NUM_THREADS", "RAYON_NUM_THREADS", "OMP_NUM_THREADS"];

/// The process-wide setting; zero means none.
static SETTING: AtomicUsize = AtomicUsize::new(0);

/// Sets the threads of all later calls; `None` returns to the environment's choice.
pub(crate) fn set_num_threads(n: Option<usize>) {
    SETTING.store(n.unwrap_or(0), Ordering::Relaxed);
}

/// The threads that a call without a setting of its own uses.
#[must_use]
pub fn num_threads() -> usize {
    match SETTING.load(Ordering::Relaxed) {
        0 => from_environment(),
        n => n,
    }
}

/// Variables without a positive number are passed over, as their owners do.
fn from_environment() -> usize {
    let set = VARIABLES.iter().find_map(|name| parse(&std::env::var(name).ok()?));
    set.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1)
}

/// The first number of an OpenMP list: `"4"`, or `"4,2"` for nested levels.
fn parse(value: &str) -> Option<usize> {
    value.split(',').next()?.trim().parse().ok().filter(|&n| n > 0)
}
