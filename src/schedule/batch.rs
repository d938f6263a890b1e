//! Many matrices over many threads, watched by the caller.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use crate::error::Error;
use crate::operator::Runner;

use super::pool::pool;
use super::share::{next_turn, share};
use super::threads::num_threads;

/// How often the caller is asked whether to stop.
const WATCH_INTERVAL: Duration = Duration::from_millis(50);

/// Work below this many matrix elements runs on the calling thread: handing it over and waiting
/// would cost more than it takes.
const INLINE_WORK: usize = 1 << 14;

/// The same where one thread is asked for, or of use: the caller is as good as any.
const INLINE_ALONE: usize = 1 << 22;

/// Reads of an element, all in all, that are over before anybody could ask for a stop, which the
/// calling thread would not hear.
const PROMPT: usize = 1 << 28;

/// Runs the blocks of a pass in the current pool, unless the call was stopped.
#[derive(Clone, Copy)]
pub(crate) struct BlockRunner<'a> {
    stopped: &'a AtomicBool,
    divide: bool,
}

impl Runner for BlockRunner<'_> {
    fn run<B: Send>(&self, pieces: &mut [B], work: &(dyn Fn(&mut B) + Sync)) -> Result<(), Error> {
        self.run_along(pieces, false, work)
    }

    fn run_back<B: Send>(
        &self,
        pieces: &mut [B],
        work: &(dyn Fn(&mut B) + Sync),
    ) -> Result<(), Error> {
        self.run_along(pieces, true, work)
    }
}

impl BlockRunner<'_> {
    fn run_along<B: Send>(
        &self,
        pieces: &mut [B],
        back: bool,
        work: &(dyn Fn(&mut B) + Sync),
    ) -> Result<(), Error> {
        let unless_stopped = |piece: &mut B| {
            if !self.stopped.load(Ordering::Relaxed) {
                work(piece);
            }
        };
        if self.divide && pieces.len() > 1 {
            share(pieces, back, &unless_stopped);
        } else if back {
            pieces.iter_mut().rev().for_each(unless_stopped);
        } else {
            pieces.iter_mut().for_each(unless_stopped);
        }
        if self.stopped.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }
}

/// What a call has to do.
#[derive(Clone, Copy)]
pub(crate) struct Work<'a> {
    /// The size of each job in matrix elements.
    pub(crate) sizes: &'a [usize],
    /// How often a job reads them at most.
    pub(crate) passes: usize,
    /// The size below which no job is divided: another thread has nothing to do for it.
    pub(crate) whole: usize,
}

/// Runs `job(i, runner)` for every `i`.
///
/// # Errors
/// The error of the lowest matrix or, where it names none, job among those that failed; [`Error::Interrupted`] when
/// `interrupted` said so.
pub(crate) fn run(
    Work { sizes, passes, whole }: Work<'_>,
    threads: Option<usize>,
    interrupted: Option<&mut dyn FnMut() -> bool>,
    job: &(dyn Fn(usize, BlockRunner<'_>) -> Result<(), Error> + Sync),
) -> Result<(), Error> {
    let stopped = AtomicBool::new(false);
    let work = sizes.iter().sum::<usize>();
    let is_alone = threads == Some(1) || (sizes.len() == 1 && work < whole);
    let few = if is_alone { INLINE_ALONE } else { INLINE_WORK };
    if work <= few && work.saturating_mul(passes) <= PROMPT {
        let runner = BlockRunner { stopped: &stopped, divide: false };
        let queue = Queue::new(sizes, 1);
        queue.drain(&|i| job(i, runner), &stopped);
        return queue.result(false);
    }
    let threads = threads.unwrap_or_else(num_threads);
    let queue = Queue::new(sizes, threads);
    let runner = BlockRunner { stopped: &stopped, divide: threads > 1 };
    let pool = pool(threads);
    // The system may have granted fewer threads than were asked for.
    let done = Latch::new(pool.current_num_threads());
    let take_part = || {
        // The latch must open whatever happens, or the caller would wait for ever.
        let _counted = CountOnDrop(&done);
        if queue.drain(&|i| job(i, runner), &stopped) {
            next_turn();
        }
    };
    let is_divided = sizes.iter().any(|&size| size >= whole);
    pool.in_place_scope(|scope| {
        // Every thread is woken by the caller: one waking the next would take twice as long.
        if is_divided && sizes.len() > 1 {
            // Who waits for others in the midst of a job must not come upon the rest of the queue.
            scope.spawn_broadcast(|_, _| take_part());
        } else {
            // Whoever is there takes the part of a thread whose core is busy with something else.
            (0..pool.current_num_threads()).for_each(|_| scope.spawn(|_| take_part()));
        }
        watch(&done, &stopped, interrupted);
    });
    queue.result(stopped.into_inner())
}

/// Waits for the work to end and asks the caller now and then.
fn watch(done: &Latch, stopped: &AtomicBool, interrupted: Option<&mut dyn FnMut() -> bool>) {
    let Some(interrupted) = interrupted else {
        return; // the scope itself waits
    };
    while !done.wait(WATCH_INTERVAL) {
        if interrupted() {
            stopped.store(true, Ordering::Relaxed);
            return;
        }
    }
}

/// Jobs in order of falling size, handed out in chunks.
struct Queue {
    order: Vec<usize>,
    chunk: usize,
    next: AtomicUsize,
    failure: Mutex<Option<(usize, Error)>>,
}

impl Queue {
    fn new(sizes: &[usize], threads: usize) -> Self {
        let mut order: Vec<usize> = (0..sizes.len()).collect();
        order.sort_by_key(|&i| std::cmp::Reverse(sizes[i]));
        // Chunks keep the counter cheap for many tiny jobs and still leave each thread plenty.
        let chunk = (sizes.len() / threads.saturating_mul(64)).max(1);
        Self { order, chunk, next: AtomicUsize::new(0), failure: Mutex::new(None) }
    }

    /// Runs jobs until there are no more; whether there was one.
    fn drain(&self, job: &dyn Fn(usize) -> Result<(), Error>, stopped: &AtomicBool) -> bool {
        let mut has_run = false;
        loop {
            let start = self.next.fetch_add(self.chunk, Ordering::Relaxed);
            if start >= self.order.len() || stopped.load(Ordering::Relaxed) {
                return has_run;
            }
            has_run = true;
            let end = (start + self.chunk).min(self.order.len());
            for &i in &self.order[start..end] {
                if let Err(error) = job(i) {
                    self.fail(i, error);
                }
            }
        }
    }

    fn fail(&self, job: usize, error: Error) {
        let i = if let Error::NonFinite { index } = error { index } else { job };
        let mut failure = self.failure.lock().unwrap_or_else(|e| e.into_inner());
        if failure.as_ref().is_none_or(|(first, _)| i < *first) {
            *failure = Some((i, error));
        }
    }

    fn result(self, stopped: bool) -> Result<(), Error> {
        let failure = self.failure.into_inner().unwrap_or_else(|e| e.into_inner());
        match failure {
            Some((_, error)) => Err(error),
            // A stop between two jobs leaves no failed one behind.
            None if stopped => Err(Error::Interrupted),
            None => Ok(()),
        }
    }
}

/// A gate that opens when every thread has passed by.
struct Latch {
    working: Mutex<usize>,
    opened: Condvar,
}

impl Latch {
    fn new(threads: usize) -> Self {
        Self { working: Mutex::new(threads), opened: Condvar::new() }
    }

    /// Waits for at most `timeout`; whether the latch is open.
    fn wait(&self, timeout: Duration) -> bool {
        let working = self.working.lock().unwrap_or_else(|e| e.into_inner());
        let waited = self.opened.wait_timeout_while(working, timeout, |working| *working > 0);
        *waited.unwrap_or_else(|e| e.into_inner()).0 == 0
    }
}

struct CountOnDrop<'a>(&'a Latch);

impl Drop for CountOnDrop<'_> {
    fn drop(&mut self) {
        let mut working = self.0.working.lock().unwrap_or_else(|e| e.into_inner());
        *working -= 1;
        if *working == 0 {
            self.0.opened.notify_all();
        }
    }
}

#[cfg(test)]
#[path = "../../tests/rust/unit/batch.rs"]
mod tests;
