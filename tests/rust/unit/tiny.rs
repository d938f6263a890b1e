//! Tiny matrices in lanes: the bits of one alone, on every tier, and naive loops in double.

use half::{bf16, f16};

use super::divide::{Divisor, Ratio};
use super::step::StepKernels;
use super::tiny::{Cells, Given, MAX_SIDE, TinySteps};
use super::whole::WholeSteps;
use crate::matrix::MatRef;
use crate::simd::{Level, Real};

/// Around the sides that the lanes are cut for.
const SIDES: [usize; 10] = [1, 2, 3, 4, 5, 7, 8, 9, 13, MAX_SIDE];

const STEPS: [usize; 2] = [0, 3];
const EPS: f64 = 1e-12;

/// Matrices of one shape with their vectors, before the steps or after.
#[derive(Debug, Clone)]
struct Stack<T: StepKernels> {
    shape: (usize, usize),
    a: Vec<T>,
    x: Vec<T::Acc>,
    y: Vec<T::Acc>,
    sigma: Vec<f64>,
    coefficients: Vec<f64>,
}

/// Which of the matrices were done, in the order of the stack.
type Done = Vec<bool>;

impl<T: StepKernels> Stack<T> {
    fn new(count: usize, (nrows, ncols): (usize, usize), of: impl Fn(f64) -> T) -> Self {
        let wave = |i: usize, factor: usize| (1.0 + (factor * i * i % 1009) as f64).sin();
        let vector = |len: usize, factor: usize| -> Vec<T::Acc> {
            (0..len).map(|i| T::Acc::from_f64(wave(i, factor))).collect()
        };
        Self {
            shape: (nrows, ncols),
            a: (0..count * nrows * ncols).map(|i| of(wave(i, 1))).collect(),
            x: vector(count * ncols, 3),
            y: vector(count * nrows, 5),
            sigma: vec![-1.0; count],
            coefficients: (0..count).map(|i| 1.0 + i as f64 / 8.0).collect(),
        }
    }

    fn size(&self) -> usize {
        self.shape.0 * self.shape.1
    }

    /// The steps in lanes, normalised in place or into what is returned first.
    fn in_lanes(
        &mut self,
        level: Level,
        steps: usize,
        (rows_first, in_place): (bool, bool),
    ) -> (Vec<T>, Done) {
        self.in_lanes_from((None, None), level, steps, (rows_first, in_place))
    }

    /// The same from other vectors than those that take the result.
    fn in_lanes_from(
        &mut self,
        given: Given<'_, T::Acc>,
        level: Level,
        steps: usize,
        (rows_first, in_place): (bool, bool),
    ) -> (Vec<T>, Done) {
        let count = self.sigma.len();
        let mut words = vec![0; count.div_ceil(T::LANES)];
        let mut out = self.a.clone();
        let cells = match in_place {
            true => Cells::InPlace(&mut out),
            false => Cells::Apart(&self.a, Some(&mut out)),
        };
        let task = TinySteps {
            cells,
            shape: self.shape,
            x: &mut self.x,
            y: &mut self.y,
            given,
            sigma: &mut self.sigma,
            divisor: Divisor { coefficients: &self.coefficients, soft: false },
            // It shows in no bit.
            stream: rows_first,
            n_power_iterations: steps,
            eps: EPS,
            rows_first,
            done: &mut words,
        };
        T::tiny(level, task);
        let done = (0..count).map(|i| words[i / T::LANES] >> (i % T::LANES) & 1 == 1).collect();
        (out, done)
    }

    /// The steps on matrix `i` alone, and its normalised form.
    fn alone(&mut self, i: usize, steps: usize, rows_first: bool) -> Option<Vec<T>> {
        let ((nrows, ncols), size) = (self.shape, self.size());
        let data = &self.a[i * size..(i + 1) * size];
        let zeros = |len| vec![T::Acc::ZERO; len];
        let (mut t, mut z, mut next) = (zeros(nrows), zeros(ncols), zeros(ncols));
        let task = WholeSteps {
            a: MatRef::from_slice(data, nrows, ncols).expect("the lengths fit"),
            x: &mut self.x[i * ncols..(i + 1) * ncols],
            y: &mut self.y[i * nrows..(i + 1) * nrows],
            t: &mut t,
            z: &mut z,
            next: &mut next,
            n_power_iterations: steps,
            eps: EPS,
            rows_first,
        };
        let level = Level::all()[0];
        self.sigma[i] = T::whole(level, task)?;
        let mut out = data.to_vec();
        let ratio = Ratio::new(self.sigma[i] / self.coefficients[i]);
        T::divide(level, data, ratio, &mut out, false);
        Some(out)
    }
}

fn doubles<A: Real>(x: &[A]) -> Vec<u64> {
    x.iter().map(|x| x.to_f64().to_bits()).collect()
}

/// Every matrix that was done has the bits of one alone, and the others are as they were.
fn check_bits<T: StepKernels + PartialEq>(of: impl Fn(f64) -> T + Copy) {
    for shape in SIDES.iter().flat_map(|&m| SIDES.map(|n| (m, n))) {
        let count = 2 * T::LANES + 5;
        let mut start = Stack::new(count, shape, of);
        let size = start.size();
        start.a[size..2 * size].fill(of(0.0));
        start.a[2 * size] = of(f64::INFINITY);
        for (level, steps) in Level::all().iter().flat_map(|&l| STEPS.map(|k| (l, k))) {
            for (rows_first, in_place) in
                [(true, true), (true, false), (false, true), (false, false)]
            {
                let (mut got, mut expected) = (start.clone(), start.clone());
                let (out, done) = got.in_lanes(level, steps, (rows_first, in_place));
                assert!(!done[1] && !done[2], "a zero and an infinite matrix need more care");
                for i in (0..count).filter(|&i| done[i]) {
                    let own = expected.alone(i, steps, rows_first).expect("it was done in lanes");
                    assert!(out[i * size..(i + 1) * size] == own, "{shape:?} {i} {}", level.name());
                }
                assert_eq!(doubles(&got.x), doubles(&expected.x), "{shape:?} {}", level.name());
                assert_eq!(doubles(&got.y), doubles(&expected.y), "{shape:?} {}", level.name());
                assert_eq!(doubles(&got.sigma), doubles(&expected.sigma), "{shape:?}");
                assert!(!in_place || out[size..3 * size] == start.a[size..3 * size], "{shape:?}");
            }
        }
    }
}

#[test]
fn lanes_of_half_precision_have_the_bits_of_one_alone() {
    check_bits(f16::from_f64);
    check_bits(bf16::from_f64);
}

#[test]
fn lanes_of_single_precision_have_the_bits_of_one_alone() {
    check_bits(|x| x as f32);
}

#[test]
fn lanes_of_double_precision_have_the_bits_of_one_alone() {
    check_bits(|x| x);
}

/// Sigma of naive steps in double.
fn naive(stack: &Stack<f64>, i: usize, steps: usize) -> f64 {
    let ((nrows, ncols), size) = (stack.shape, stack.size());
    let a = &stack.a[i * size..(i + 1) * size];
    let mut x = stack.x[i * ncols..(i + 1) * ncols].to_vec();
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let image = |x: &[f64]| -> Vec<f64> {
        a.chunks(ncols).map(|row| row.iter().zip(x).map(|(a, x)| a * x).sum()).collect()
    };
    let y = &stack.y[i * nrows..(i + 1) * nrows];
    let product: f64 = image(&x).iter().zip(y).map(|(t, y)| t * y).sum();
    let mut sigma = product / norm(&x) / norm(y);
    for _ in 0..steps {
        let y = image(&x);
        x = (0..ncols).map(|j| (0..nrows).map(|i| a[i * ncols + j] * y[i]).sum()).collect();
        let norm_x = norm(&x);
        sigma = norm_x / norm(&y);
        x.iter_mut().for_each(|x| *x /= norm_x);
    }
    sigma
}

#[test]
fn sigma_is_that_of_naive_loops() {
    for shape in SIDES.iter().flat_map(|&m| SIDES.map(|n| (m, n))) {
        let start = Stack::new(3 * f64::LANES, shape, |x| x);
        for steps in STEPS {
            let mut got = start.clone();
            let (_, done) = got.in_lanes(Level::all()[0], steps, (true, false));
            // Without a step both vectors are looked at, and a short one asks for more care.
            let n_done = done.iter().filter(|&&done| done).count();
            assert!(n_done == done.len() || steps == 0 && 2 * n_done > done.len(), "{shape:?}");
            for (i, &sigma) in got.sigma.iter().enumerate().filter(|&(i, _)| done[i]) {
                let expected = naive(&start, i, steps);
                // A product of any two directions may all but vanish.
                let error = (sigma - expected).abs() / expected.abs().max(0.1);
                assert!(error < 1e-13, "{shape:?} {i}");
            }
        }
    }
}

#[test]
fn a_divisor_that_needs_a_shift_is_left_to_others() {
    let start = Stack::<f32>::new(f32::LANES, (3, 3), |x| x as f32);
    let mut got = start.clone();
    got.coefficients[5] = 1e-39;
    let (out, done) = got.in_lanes(Level::all()[0], 3, (true, true));
    assert_eq!(done.iter().filter(|&&done| !done).count(), 1);
    assert!(!done[5]);
    assert_eq!((&out[45..54], &got.x[15..18]), (&start.a[45..54], &start.x[15..18]));
}

/// Vectors that the steps begin with may lie apart: what is not done keeps its own.
fn check_given<T: StepKernels + PartialEq>(of: impl Fn(f64) -> T + Copy) {
    for (shape, level) in [(1, 1), (3, 3), (5, 2), (16, 13)]
        .into_iter()
        .flat_map(|s| Level::all().into_iter().map(move |l| (s, l)))
    {
        let count = T::LANES + 3;
        let mut start = Stack::new(count, shape, of);
        let size = start.size();
        start.a[size..2 * size].fill(of(0.0));
        for (steps, rows_first) in STEPS.into_iter().flat_map(|k| [(k, true), (k, false)]) {
            let (mut got, mut expected) = (start.clone(), start.clone());
            got.x.fill(T::Acc::from_f64(7.0));
            got.y.fill(T::Acc::from_f64(7.0));
            let own = (got.x.clone(), got.y.clone());
            let given = (Some(&start.x[..]), Some(&start.y[..]));
            let (out, done) = got.in_lanes_from(given, level, steps, (rows_first, false));
            assert_eq!(done, expected.in_lanes(level, steps, (rows_first, false)).1);
            let (m, n) = shape;
            for (i, is_moved) in done.iter().map(|&done| done && steps > 0).enumerate() {
                let ours = [&got.x[i * n..(i + 1) * n], &got.y[i * m..(i + 1) * m]].map(doubles);
                let from = if is_moved { (&expected.x, &expected.y) } else { (&own.0, &own.1) };
                let wanted = [&from.0[i * n..(i + 1) * n], &from.1[i * m..(i + 1) * m]];
                assert_eq!(ours, wanted.map(doubles), "{shape:?} {i} {}", level.name());
            }
            assert_eq!(doubles(&got.sigma), doubles(&expected.sigma), "{shape:?}");
            assert!(!done[1] && out[size..2 * size] == start.a[size..2 * size], "{shape:?}");
        }
    }
}

#[test]
fn vectors_may_be_given_apart() {
    check_given(|x| x as f32);
    check_given(|x| x);
}
