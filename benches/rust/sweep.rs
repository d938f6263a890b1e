//! One fused pass beside the machine's own read sweep of the same matrix.
//!
//! A pass cannot be faster than reading the matrix once, so its cost is counted in sweeps. The
//! engines take turns, round by round, and every ratio is of two times of one round: what disturbs
//! the machine then disturbs both sides. `--quick` measures little, and without `--bench`, as under
//! `cargo test`, everything runs once on small matrices.

use std::hint::black_box;
use std::ops::{Deref, DerefMut};
use std::time::Instant;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use rsspecnorm::kernels::{Panel, block_gram_f32, gram_matvec_f32};
use rsspecnorm::operator::{Dense, LinearOperator, Runner};
use rsspecnorm::{Error, Level, MatRef, Matrix};

mod reading;

/// Bytes that one sample of an engine reads at least, by repeating short passes.
const SAMPLE_BYTES: usize = 64 << 20;

/// Bytes of a cache line.
const LINE: usize = 64;

/// Where a matrix begins: on a cache line, or 16 bytes beyond one, as NumPy places large arrays.
const OFFSETS: [usize; 2] = [0, 16];

/// Squares up to this size are one block, which the scheduler gives to one thread.
const ONE_BLOCK: usize = 512;

/// How much to measure.
struct Plan {
    sizes: &'static [usize],
    rounds: usize,
    /// Bytes per sample.
    bytes: usize,
}

impl Plan {
    fn from_args() -> Self {
        let has = |flag: &str| std::env::args().any(|argument| argument == flag);
        let sizes = &[512, 4096, 8192];
        match (has("--bench") && !has("--test"), has("--quick")) {
            (false, _) => Self { sizes: &[24, 96], rounds: 1, bytes: 1 },
            (true, true) => Self { sizes, rounds: 3, bytes: SAMPLE_BYTES / 4 },
            (true, false) => Self { sizes, rounds: 31, bytes: SAMPLE_BYTES },
        }
    }
}

/// Numbers of which the first lies `offset` bytes beyond a cache line.
struct Placed<T> {
    buffer: Vec<T>,
    start: usize,
    len: usize,
}

impl<T> Placed<T> {
    fn new(len: usize, offset: usize, mut next: impl FnMut() -> T) -> Self {
        let buffer: Vec<T> = (0..len + 2 * LINE / size_of::<T>()).map(|_| next()).collect();
        let line = buffer.as_ptr().align_offset(LINE).min(LINE / size_of::<T>());
        Self { buffer, start: line + offset / size_of::<T>(), len }
    }
}

impl<T> Deref for Placed<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.buffer[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for Placed<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.buffer[self.start..self.start + self.len]
    }
}

/// Elements between -1 and 1, the same in each run.
fn noise(len: usize, offset: usize) -> Placed<f32> {
    let mut state = 1_u32;
    Placed::new(len, offset, move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    })
}

/// The vectors of a pass, on cache lines as the solver keeps its own: the input, `t` and `z`.
fn vectors<T: Copy>(nrows: usize, ncols: usize, value: T) -> [Placed<T>; 3] {
    [ncols, nrows, ncols].map(|len| Placed::new(len, 0, || value))
}

/// Shares the blocks of a pass out among threads, as the library's scheduler does.
struct Shared<'a>(&'a ThreadPool);

impl Runner for Shared<'_> {
    fn run<B: Send>(&self, blocks: &mut [B], work: &(dyn Fn(&mut B) + Sync)) -> Result<(), Error> {
        if blocks.len() == 1 || self.0.current_num_threads() == 1 {
            blocks.iter_mut().for_each(work);
        } else {
            self.0.install(|| blocks.par_iter_mut().with_max_len(1).for_each(work));
        }
        Ok(())
    }
}

/// A way to go over a matrix: repeats it, and returns a number that depends on every element.
struct Engine<'a> {
    name: &'static str,
    run: Box<dyn FnMut(usize) -> f64 + 'a>,
    /// Seconds for one pass, one entry per round.
    seconds: Vec<f64>,
}

/// Runs `work` on every thread of the pool, each on its own rows and with vectors of its own.
fn on_rows(
    pool: &ThreadPool,
    data: &[f32],
    n: usize,
    work: impl Fn(&[f32], usize) -> f64 + Sync,
) -> f64 {
    let threads = pool.current_num_threads();
    let rows = n.div_ceil(threads);
    let piece = |i: usize| &data[(i * rows).min(n) * n..((i + 1) * rows).min(n) * n];
    if threads == 1 {
        return work(piece(0), n);
    }
    let sums = pool.broadcast(|context| {
        let piece = piece(context.index());
        work(piece, piece.len() / n)
    });
    sums.into_iter().sum()
}

/// The pass with `B` vectors, each thread on its own rows.
fn block<const B: usize>(
    data: &[f32],
    n: usize,
    level: Level,
    pool: &ThreadPool,
    passes: usize,
) -> f64 {
    on_rows(pool, data, n, |rows, nrows| {
        let a = MatRef::from_slice(rows, nrows, n).expect("whole rows");
        let v = vec![Panel([[1e-3; 16]; B]); n.div_ceil(16)];
        let (mut t, mut z) = (vec![[0.0; B]; nrows], Panel::<B>::zeros(n));
        for _ in 0..passes {
            block_gram_f32(level, black_box(a), &v, &mut t, &mut z);
        }
        z.iter().flat_map(|panel| panel.0.as_flattened()).map(|&x| f64::from(x)).sum()
    })
}

fn engines<'a>(data: &'a [f32], n: usize, level: Level, pool: &'a ThreadPool) -> Vec<Engine<'a>> {
    let sweep = move |passes: usize| {
        on_rows(pool, data, n, |rows, _| {
            (0..passes).map(|_| f64::from(reading::sweep(black_box(rows)))).sum()
        })
    };
    let single = move |passes: usize| {
        on_rows(pool, data, n, |rows, nrows| {
            let a = MatRef::from_slice(rows, nrows, n).expect("whole rows");
            let [v, mut t, mut z] = vectors(nrows, n, 1e-3);
            for _ in 0..passes {
                gram_matvec_f32(level, black_box(a), &v, &mut t, &mut z);
            }
            f64::from(z.iter().sum::<f32>())
        })
    };
    let all = Matrix::from_slice(data, n, n).expect("a square");
    let mut operator = Dense::new(all, level, Shared(pool));
    let [v, mut t, mut z] = vectors(n, n, 1e-3);
    let double = move |passes: usize| {
        for _ in 0..passes {
            operator.gram_matvec(black_box(&v), &mut t, &mut z).expect("nobody interrupts");
        }
        z.iter().sum()
    };
    vec![
        Engine { name: "read sweep", run: Box::new(sweep), seconds: Vec::new() },
        Engine { name: "fused pass, f32 vectors", run: Box::new(single), seconds: Vec::new() },
        Engine {
            name: "block pass, 2 f32 vectors",
            run: Box::new(move |passes| block::<2>(data, n, level, pool, passes)),
            seconds: Vec::new(),
        },
        Engine {
            name: "block pass, 4 f32 vectors",
            run: Box::new(move |passes| block::<4>(data, n, level, pool, passes)),
            seconds: Vec::new(),
        },
        Engine { name: "fused pass, f64 vectors", run: Box::new(double), seconds: Vec::new() },
    ]
}

/// Runs every engine in each round, after one round that is not counted.
fn measure(engines: &mut [Engine<'_>], plan: &Plan, bytes: usize) {
    let passes = (plan.bytes / bytes).max(1);
    for round in 0..=plan.rounds {
        for engine in &mut *engines {
            let start = Instant::now();
            black_box((engine.run)(passes));
            let seconds = start.elapsed().as_secs_f64() / passes as f64;
            if round > 0 {
                engine.seconds.push(seconds);
            }
        }
    }
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Prints one row for each engine; the first is what the others are counted in.
fn print_rows(engines: &[Engine<'_>], case: &str, bytes: usize) {
    for engine in engines {
        let pairs = engine.seconds.iter().zip(&engines[0].seconds);
        let sweeps = median(pairs.map(|(seconds, sweep)| seconds / sweep));
        let typical = median(engine.seconds.iter().copied());
        let best = engine.seconds.iter().copied().fold(f64::INFINITY, f64::min);
        assert!(sweeps.is_finite() && sweeps > 0.0, "{case}: a time of zero");
        let rate = |seconds: f64| bytes as f64 / seconds / 1e9;
        println!(
            "| {case} | {} | {sweeps:.2} | {:.2} | {:.1} | {:.1} |",
            engine.name,
            1.0 / sweeps,
            rate(typical),
            rate(best),
        );
    }
}

fn main() {
    let plan = Plan::from_args();
    let level = Level::current().expect("a tier that this CPU has");
    println!("Tier of the passes: {}; of the sweep: {}.", level.name(), reading::name());
    println!("Rounds: {}, after one that is not counted; engines take turns.\n", plan.rounds);
    println!(
        "| float32 matrix | threads | offset, bytes | engine | sweeps per pass, median | \
              share of the sweep's rate | GB/s, median | GB/s, best |"
    );
    println!("|---|---:|---:|---|---:|---:|---:|---:|");
    for &n in plan.sizes {
        let bytes = 4 * n * n;
        for offset in OFFSETS {
            let matrix = noise(n * n, offset);
            for threads in [1, 2] {
                let pool = ThreadPoolBuilder::new().num_threads(threads).build();
                let pool = pool.expect("the system grants threads");
                let mut engines = engines(&matrix, n, level, &pool);
                if threads > 1 && n <= ONE_BLOCK {
                    engines.pop();
                }
                measure(&mut engines, &plan, bytes);
                let case = format!("{n} x {n} | {threads} | {offset}");
                print_rows(&engines, &case, bytes);
            }
        }
    }
}
