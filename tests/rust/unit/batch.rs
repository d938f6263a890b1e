//! Jobs over the threads of a pool.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use super::super::pool::pool;
use super::{Queue, Work, run};

/// Too much for the calling thread alone.
const LARGE: usize = 1 << 23;

#[test]
fn call_does_not_wait_for_a_thread_that_is_busy_elsewhere() {
    // A pool that no other test has.
    let threads = 5;
    for sizes in [&[LARGE][..], &[LARGE; 9]] {
        let (release, held) = mpsc::channel::<()>();
        let gave_up = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&gave_up);
        pool(threads).spawn(move || {
            noted.store(held.recv_timeout(Duration::from_secs(60)).is_err(), Ordering::Relaxed);
        });
        let ran = AtomicUsize::new(0);
        let work = Work { sizes, passes: 1, whole: usize::MAX };
        run(work, Some(threads), None, &|_, _| {
            ran.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
        .unwrap();
        assert_eq!(ran.into_inner(), sizes.len());
        assert!(!gave_up.load(Ordering::Relaxed), "the call waited for the busy thread");
        release.send(()).unwrap();
    }
}

#[test]
fn any_number_of_threads_is_handed_one_job_at_least() {
    for threads in [1, 1 << 58, usize::MAX] {
        assert_eq!(Queue::new(&[1; 3], threads).chunk, 1, "{threads}");
    }
}
