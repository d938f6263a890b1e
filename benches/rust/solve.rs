//! Whole solves to the default tolerance, named by the SIMD tier of the process.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use rsspecnorm::{Control, Level, Matrix, Request, solve};

/// Shapes of the workloads: small, one block, rectangular, and larger than a second-level cache.
const SHAPES: [(usize, usize); 4] = [(64, 64), (384, 384), (1536, 384), (2048, 2048)];

/// Elements between -1 and 1, the same in each run.
fn noise(len: usize) -> Vec<f32> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(len).collect()
}

fn main() {
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    let level = Level::current().expect("a tier that this CPU has").name();
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3))
        .configure_from_args();
    let mut group = criterion.benchmark_group(format!("solve float32, {level}"));
    for (nrows, ncols) in SHAPES {
        // Unmeasured, one solve of a small matrix shows that the benchmark runs.
        let (nrows, ncols) = if is_measured { (nrows, ncols) } else { (nrows / 16, ncols / 16) };
        let data = noise(nrows * ncols);
        let a = [Matrix::from_slice(&data, nrows, ncols).expect("as many elements as the shape")];
        let id = BenchmarkId::from_parameter(format!("{nrows}x{ncols}"));
        group.throughput(Throughput::Elements((nrows * ncols) as u64));
        group.bench_with_input(id, &a, |bencher, a| {
            bencher.iter(|| {
                let solutions = solve(black_box(a), &Request::default(), Control::default());
                let sigma = solutions.expect("the request is valid")[0].sigma;
                assert!(sigma > 0.0, "noise has a norm");
                sigma
            });
        });
    }
    group.finish();
    criterion.final_summary();
}
