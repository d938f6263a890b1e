//! Every kernel against naive loops in double precision, and tier against tier bit for bit.

use std::ops::Range;

use half::{bf16, f16};
use ndarray::{ArrayView2, s};

use super::fused::{FusedCols, FusedRows};
use super::matvec::{matvec, rmatvec};
use super::reduce::Survey;
use crate::matrix::MatRef;
use crate::simd::{Level, Load};

/// Error of a sum of `n` terms, in units of roundoff times `n` times the sum of magnitudes: one
/// for the kernel, one for the naive loop, and room for the rounding of the scale.
const ROUNDOFFS: f64 = 3.0;

/// Unit roundoff of double and of single precision.
const UNIT_F64: f64 = f64::EPSILON / 2.0;

/// Around the lengths of a vector, of two, and of a tile.
const NCOLS: [usize; 16] = [0, 1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 257, 1000];

/// Around the rows taken at a time and the rows of a strip.
const NROWS: [usize; 10] = [0, 1, 2, 3, 4, 5, 8, 63, 64, 65];

/// A matrix that outgrows the second-level cache in every type, so that rows are fetched ahead.
const LARGE: (usize, usize) = (130, 4100);

/// Elements by which rows with gaps lie apart, beyond their length.
const GAP: usize = 3;

/// How the rows of a matrix lie in memory.
#[derive(Debug, Clone, Copy)]
enum Layout {
    Packed,
    Gaps,
    Reversed,
}

#[derive(Debug, Clone, Copy)]
struct Case {
    nrows: usize,
    ncols: usize,
    layout: Layout,
    /// Elements by which matrix and vectors start late.
    offset: usize,
    scale: f64,
    /// Whether a kernel takes all rows and columns or an inner range.
    whole: bool,
}

impl Case {
    fn stride(&self) -> usize {
        if matches!(self.layout, Layout::Packed) { self.ncols } else { self.ncols + GAP }
    }

    /// Where entry `(i, j)` lies.
    fn position(&self, i: usize, j: usize) -> usize {
        let i = if matches!(self.layout, Layout::Reversed) { self.nrows - 1 - i } else { i };
        self.offset + i * self.stride() + j
    }

    fn range(&self, len: usize) -> Range<usize> {
        if self.whole { 0..len } else { len / 3..len - len / 4 }
    }
}

/// The case table: all shapes, with the other properties in turn.
fn cases() -> Vec<Case> {
    let mut shapes: Vec<_> = NROWS.iter().flat_map(|&m| NCOLS.map(|n| (m, n))).collect();
    shapes.push(LARGE);
    let case = |(i, (nrows, ncols))| Case {
        nrows,
        ncols,
        layout: [Layout::Packed, Layout::Gaps, Layout::Reversed][i % 3],
        offset: i % 4,
        scale: [1.0, -1.0, 0.125, 0.7, -3.3][i % 5],
        whole: i % 7 < 4,
    };
    shapes.into_iter().enumerate().map(case).collect()
}

/// Numbers in [-1, 1), a function of the seed.
fn numbers(seed: u64, len: usize) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    (0..4).for_each(|_| _ = next());
    (0..len).map(|_| next()).collect()
}

/// Element types made from doubles.
trait Sample: Load<f64, 8> {
    fn of(x: f64) -> Self;
}

impl Sample for f16 {
    fn of(x: f64) -> Self {
        f16::from_f64(x)
    }
}

impl Sample for bf16 {
    fn of(x: f64) -> Self {
        bf16::from_f64(x)
    }
}

impl Sample for f32 {
    fn of(x: f64) -> Self {
        x as f32
    }
}

impl Sample for f64 {
    fn of(x: f64) -> Self {
        x
    }
}

/// The elements in memory; gaps and the room before the first element hold NaNs.
fn stored<T: Sample>(case: &Case) -> Vec<T> {
    let mut data = vec![T::of(f64::NAN); case.offset + case.nrows * case.stride()];
    let values = numbers(7, case.nrows * case.ncols);
    for i in 0..case.nrows {
        for j in 0..case.ncols {
            data[case.position(i, j)] = T::of(values[i * case.ncols + j]);
        }
    }
    data
}

fn matrix<'a, T: Sample>(case: &Case, data: &'a [T]) -> MatRef<'a, T> {
    let shape = (case.nrows, case.stride());
    let view = ArrayView2::from_shape(shape, &data[case.offset..]).unwrap();
    let view = match case.layout {
        Layout::Packed => view,
        Layout::Gaps => view.slice_move(s![.., ..case.ncols]),
        Layout::Reversed => view.slice_move(s![..;-1, ..case.ncols]),
    };
    MatRef::from_view(view).unwrap()
}

/// A naive sum with what its rounding is measured by.
#[derive(Debug, Clone, Copy)]
struct Sum {
    value: f64,
    magnitude: f64,
    terms: usize,
}

fn naive_sum(terms: impl Iterator<Item = f64>) -> Sum {
    terms.fold(Sum { value: 0.0, magnitude: 0.0, terms: 1 }, |sum, x| Sum {
        value: sum.value + x,
        magnitude: sum.magnitude + x.abs(),
        terms: sum.terms + 1,
    })
}

/// `A x` over ranges of rows and columns.
fn naive_matvec<T: Sample>(
    case: &Case,
    data: &[T],
    rows: Range<usize>,
    columns: Range<usize>,
    x: &[f64],
) -> Vec<Sum> {
    let entry = |i, j| data[case.position(i, j)].to_f64();
    let row = |i| naive_sum(columns.clone().zip(x).map(|(j, x)| entry(i, j) * x));
    rows.map(row).collect()
}

/// `z + scale * A' t` over ranges of rows and columns.
fn naive_rmatvec<T: Sample>(
    case: &Case,
    data: &[T],
    rows: Range<usize>,
    columns: Range<usize>,
    t: &[f64],
    z: &[f64],
    scale: f64,
) -> Vec<Sum> {
    let entry = |i, j| data[case.position(i, j)].to_f64();
    let products = |j| rows.clone().zip(t).map(move |(i, t)| entry(i, j) * (t * scale));
    columns.zip(z).map(|(j, z)| naive_sum(std::iter::once(*z).chain(products(j)))).collect()
}

/// `z + scale * A t` over all rows and a range of columns.
fn naive_update_by_columns<T: Sample>(
    case: &Case,
    data: &[T],
    columns: Range<usize>,
    t: &[f64],
    z: &[f64],
    scale: f64,
) -> Vec<Sum> {
    let entry = |i, j| data[case.position(i, j)].to_f64();
    let products = |i| columns.clone().zip(t).map(move |(j, t)| entry(i, j) * (t * scale));
    let row = |(i, z): (usize, &f64)| naive_sum(std::iter::once(*z).chain(products(i)));
    z.iter().enumerate().map(row).collect()
}

#[track_caller]
fn assert_near(name: &str, case: &Case, unit: f64, got: &[f64], expected: &[Sum]) {
    assert_eq!(got.len(), expected.len(), "{name} {case:?}");
    for (k, (got, sum)) in got.iter().zip(expected).enumerate() {
        let allowed = ROUNDOFFS * sum.terms as f64 * unit * sum.magnitude;
        let error = (got - sum.value).abs();
        assert!(error <= allowed, "{name} {case:?} entry {k}: {got} against {}", sum.value);
    }
}

/// A vector that starts `offset` elements late, after NaNs.
fn shifted(offset: usize, values: &[f64]) -> Vec<f64> {
    std::iter::repeat_n(f64::NAN, offset).chain(values.iter().copied()).collect()
}

/// What one kernel gave: its name and its numbers.
type Output = (&'static str, Vec<f64>);

/// The input vectors of a case: long enough for any kernel.
struct Inputs {
    x: Vec<f64>,
    z: Vec<f64>,
}

impl Inputs {
    fn of(case: &Case) -> Self {
        let len = case.nrows.max(case.ncols);
        Self { x: numbers(11, len), z: numbers(13, len) }
    }
}

/// Every kernel that reads a matrix, on one tier.
fn outputs<T: Sample>(level: Level, case: &Case, data: &[T]) -> Vec<Output> {
    let (a, o, inputs) = (matrix(case, data), case.offset, Inputs::of(case));
    let (rows, columns) = (case.range(case.nrows), case.range(case.ncols));
    let (x, z0) = (shifted(o, &inputs.x), shifted(o, &inputs.z));
    let run = |name_t, name_z, nt: usize, nz: usize, f: &dyn Fn(&mut [f64], &mut [f64])| {
        let (mut t, mut z) = (shifted(o, &vec![0.5; nt]), z0[..o + nz].to_vec());
        f(&mut t[o..], &mut z[o..]);
        [(name_t, t[o..].to_vec()), (name_z, z[o..].to_vec())]
    };
    let (m, n, scale) = (case.nrows, case.ncols, case.scale);
    let mut all = Vec::new();
    all.extend(run("rows t", "rows z", rows.len(), n, &|t, z| {
        level.run(FusedRows { a, range: rows.clone(), x: &x[o..o + n], scale, t, z });
    }));
    all.extend(run("columns t", "columns z", columns.len(), m, &|t, z| {
        level.run(FusedCols { a, range: columns.clone(), x: &x[o..o + m], scale, t, z });
    }));
    all.extend(run("matvec", "rmatvec", m, n, &|t, z| {
        matvec(level, a, &x[o..o + n], t);
        rmatvec(level, a, &x[o..o + m], z);
    }));
    let moments = level.run(Survey { a, rows, columns, scale });
    all.push(("survey max", vec![moments.max_abs]));
    all.push(("survey sum", vec![moments.sum_of_squares]));
    all
}

/// Checks one tier's outputs against the naive loops.
fn assert_outputs_near<T: Sample>(case: &Case, data: &[T], outputs: &[Output]) {
    let Inputs { x, z } = Inputs::of(case);
    let (rows, columns) = (case.range(case.nrows), case.range(case.ncols));
    let (m, n, scale) = (case.nrows, case.ncols, case.scale);
    let got = |name| &outputs.iter().find(|output| output.0 == name).unwrap().1[..];
    let near = |name, expected: Vec<Sum>| assert_near(name, case, UNIT_F64, got(name), &expected);
    near("rows t", naive_matvec(case, data, rows.clone(), 0..n, &x));
    let t = got("rows t");
    near("rows z", naive_rmatvec(case, data, rows.clone(), 0..n, t, &z, scale));
    near("columns t", naive_rmatvec(case, data, 0..m, columns.clone(), &x, &vec![0.0; n], 1.0));
    let t = got("columns t");
    near("columns z", naive_update_by_columns(case, data, columns.clone(), t, &z[..m], scale));
    near("matvec", naive_matvec(case, data, 0..m, 0..n, &x));
    near("rmatvec", naive_rmatvec(case, data, 0..m, 0..n, &x, &z, 1.0));
    let entries = rows.flat_map(|i| columns.clone().map(move |j| (i, j)));
    let entries: Vec<_> =
        entries.map(|(i, j)| scale * data[case.position(i, j)].to_f64()).collect();
    let largest = entries.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
    assert_eq!(got("survey max"), [largest], "{case:?}");
    near("survey sum", vec![naive_sum(entries.iter().map(|x| x * x))]);
}

#[track_caller]
fn assert_same_bits(level: Level, case: &Case, got: &[Output], expected: &[Output]) {
    for ((name, got), (_, expected)) in got.iter().zip(expected) {
        let bits = |x: &[f64]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(got), bits(expected), "{name} on {} {case:?}", level.name());
    }
}

/// Runs the case table: the first tier against the naive loops, every other against the first.
fn check<T: Sample>() {
    for case in cases() {
        let data = stored::<T>(&case);
        let expected = outputs(Level::all()[0], &case, &data);
        assert_outputs_near(&case, &data, &expected);
        for level in Level::all() {
            assert_same_bits(level, &case, &outputs(level, &case, &data), &expected);
        }
    }
}

#[test]
fn float16_kernels_equal_naive_loops_and_each_other() {
    check::<f16>();
}

#[test]
fn bfloat16_kernels_equal_naive_loops_and_each_other() {
    check::<bf16>();
}

#[test]
fn float32_kernels_equal_naive_loops_and_each_other() {
    check::<f32>();
}

#[test]
fn float64_kernels_equal_naive_loops_and_each_other() {
    check::<f64>();
}
