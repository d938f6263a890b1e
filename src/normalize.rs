//! Floor F6: power steps on many matrices, and the matrices divided by what comes of them.
//!
//! A [`Task`] is one matrix, or a packed stack of matrices of one shape, with its vectors: the
//! vectors are updated in place, the matrix is normalised into a second one, or in place, or not at
//! all. Tasks of any shapes and element types go through one call of [`normalize`].

mod cells;
mod settings;

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use half::{bf16, f16};

use crate::algorithms::power::{self, Buffers, End, Plan};
use crate::api::Control;
use crate::error::Error;
use crate::kernels::divide::Divisor;
use crate::kernels::step::StepKernels;
use crate::kernels::tiny::{MAX_SIDE, TinySteps};
use crate::matrix::{MatMut, MatRef};
use crate::operator::Runner;
use crate::operator::step::{DIVIDED_LEN, DenseStep, Scratch, StepOperator};
use crate::scalar::{ldexp, power_of_two, with_typed};
use crate::schedule::{self, Work};
use crate::simd::{Level, Load};
use crate::validate;

use cells::{cell, cells};

pub use crate::kernels::tiny::Given;
pub use settings::{Order, Steps};

/// The matrices of a task, stored by rows, and where the normalised ones go.
#[derive(Debug)]
pub enum Weights<'a, T> {
    /// Matrices side by side; normalised into the second slice where there is one.
    Packed(&'a [T], Option<&'a mut [T]>),
    /// Matrices side by side, normalised in place.
    PackedInPlace(&'a mut [T]),
    /// One matrix, normalised into the second where there is one.
    Rows(MatRef<'a, T>, Option<MatMut<'a, T>>),
    /// One matrix, normalised in place.
    RowsInPlace(MatMut<'a, T>),
}

/// One matrix, or a stack of matrices of one shape, to make power steps on.
#[derive(Debug)]
pub struct Task<'a, T: Steppable> {
    /// The matrices.
    pub weights: Weights<'a, T>,
    /// Rows and columns of each matrix as it is stored.
    pub shape: (usize, usize),
    /// Whether the caller's matrices are the transposes of the stored ones.
    pub transposed: bool,
    /// Left vectors end to end, one entry for each row of the caller's matrices; a vector of zeros,
    /// or with a NaN or an infinity, counts as none. Updated in place.
    pub u: &'a mut [T::Vector],
    /// Right vectors end to end, as `u`.
    pub v: &'a mut [T::Vector],
    /// What `u` and `v` begin with; without it, with what is in them. The thread that needs a
    /// vector copies it.
    pub given: Given<'a, T::Vector>,
    /// One coefficient for each matrix, or one for all.
    pub coefficients: &'a [f64],
    /// Where sigma of each matrix goes.
    pub sigma: &'a mut [f64],
}

/// A task of any element type.
#[derive(Debug)]
#[expect(missing_docs, reason = "the variants are the element types, named as such")]
pub enum AnyTask<'a> {
    F16(Task<'a, f16>),
    Bf16(Task<'a, bf16>),
    F32(Task<'a, f32>),
    F64(Task<'a, f64>),
}

/// Element types that power steps are made on, with the type of their vectors.
#[expect(private_bounds, reason = "the kernels are the crate's own; no one else implements this")]
pub trait Steppable: StepKernels<Acc = Self::Vector> + Load<f64, 8> + std::fmt::Debug {
    /// The precision of `u` and `v` and of the steps.
    type Vector: std::fmt::Debug + Default + Copy + Send + Sync;

    /// The largest power of two that the type holds with room to spare.
    const MAX_EXPONENT: i32;

    /// Wraps a task.
    fn task(task: Task<'_, Self>) -> AnyTask<'_>;
}

macro_rules! impl_steppable {
    ($($t:ty => $variant:ident, $vector:ty, $max:literal;)*) => {$(
        impl Steppable for $t {
            type Vector = $vector;
            const MAX_EXPONENT: i32 = $max;
            fn task(task: Task<'_, Self>) -> AnyTask<'_> {
                AnyTask::$variant(task)
            }
        }
    )*};
}

impl_steppable! {
    f16 => F16, f32, 14;
    bf16 => Bf16, f32, 125;
    f32 => F32, f32, 125;
    f64 => F64, f64, 1000;
}

/// Elements of a packed stack that are handed to a thread at a time.
const GROUP_LEN: usize = 1 << 15;

/// Makes power steps on every matrix of every task and normalises them.
///
/// # Errors
/// [`Error::InvalidParameter`] or [`Error::ShapeMismatch`] for a setting or a task that will not
/// do, [`Error::NonFinite`] when `check_finite` is set (the other matrices are then normalised, or
/// not), [`Error::LevelUnavailable`] for a tier forced in vain, [`Error::Interrupted`] when the
/// caller stopped the call.
///
/// ```
/// use rsspecnorm::{Control, Steppable, Steps, Task, Weights, normalize};
///
/// let mut a = [3.0_f32, 0.0, 0.0, 4.0];
/// let (mut u, mut v, mut sigma) = ([0.0; 2], [0.6, 0.8], [0.0]);
/// let task = Task {
///     weights: Weights::PackedInPlace(&mut a),
///     shape: (2, 2),
///     transposed: false,
///     u: &mut u,
///     v: &mut v,
///     given: (None, None),
///     coefficients: &[1.0],
///     sigma: &mut sigma,
/// };
/// let steps = Steps { n_power_iterations: 50, ..Steps::default() };
/// normalize(vec![Steppable::task(task)], &steps, Control::default())?;
/// assert!((sigma[0] - 4.0).abs() < 1e-6);
/// assert_eq!(a, [0.75, 0.0, 0.0, 1.0]);
/// # Ok::<(), rsspecnorm::Error>(())
/// ```
pub fn normalize(
    tasks: Vec<AnyTask<'_>>,
    steps: &Steps,
    control: Control<'_>,
) -> Result<(), Error> {
    validate::steps(steps)?;
    validate::num_threads(control.num_threads)?;
    let level = Level::current()?;
    let mut jobs = Vec::with_capacity(tasks.len());
    let mut index = 0;
    for task in tasks {
        with_typed!(AnyTask, task, task => {
            validate::task(&task)?;
            let count = task.sigma.len();
            task.laid_down().split(index, &mut jobs);
            index += count;
        });
    }
    let sizes: Vec<usize> =
        jobs.iter().map(|job| with_typed!(AnyTask, &job.task, task => task.len())).collect();
    let bytes: usize =
        jobs.iter().map(|job| with_typed!(AnyTask, &job.task, task => task.out_bytes())).sum();
    let stream = schedule::passes_caches(bytes);
    let jobs: Vec<Mutex<Job<'_>>> = jobs.into_iter().map(Mutex::new).collect();
    // A start without vectors and the division add a few.
    let passes = steps.n_power_iterations.saturating_add(20);
    let work = Work { sizes: &sizes, passes, whole: DIVIDED_LEN };
    schedule::run(work, control.num_threads, control.interrupted, &|i, runner| {
        let mut job = jobs[i].lock().unwrap_or_else(PoisonError::into_inner);
        let first = job.first;
        with_typed!(AnyTask, &mut job.task, task => task.run(first, (steps, stream), (level, runner)))
    })
}

/// A piece of a task that one thread takes, and the index of its first matrix in the call.
struct Job<'a> {
    task: AnyTask<'a>,
    first: usize,
}

impl<'a, T: Steppable> Task<'a, T> {
    fn len(&self) -> usize {
        self.sigma.len() * self.shape.0 * self.shape.1
    }

    /// Bytes that are written besides the matrices read.
    fn out_bytes(&self) -> usize {
        let apart = matches!(self.weights, Weights::Packed(_, Some(_)) | Weights::Rows(_, Some(_)));
        if apart { self.len() * T::SIZE } else { 0 }
    }

    /// A packed column taken as the row that it lies in memory as: rows of one element would cost as
    /// much as rows of a vector.
    fn laid_down(self) -> Self {
        let is_packed = matches!(self.weights, Weights::Packed(..) | Weights::PackedInPlace(_));
        match self.shape {
            (nrows, 1) if is_packed && nrows > 1 => {
                Self { shape: (1, nrows), transposed: !self.transposed, ..self }
            }
            _ => self,
        }
    }

    /// Cuts a packed stack into jobs of a few matrices.
    fn split(self, first: usize, jobs: &mut Vec<Job<'a>>) {
        let count = self.sigma.len();
        let size = (self.shape.0 * self.shape.1).max(1);
        let (mut rest, mut first) = (self, first);
        let group = (GROUP_LEN / size).max(1);
        while rest.sigma.len() > group && count > 1 {
            let (head, tail) = rest.split_at(group);
            jobs.push(Job { task: T::task(head), first });
            first += group;
            rest = tail;
        }
        jobs.push(Job { task: T::task(rest), first });
    }

    fn split_at(self, count: usize) -> (Self, Self) {
        let (nrows, ncols) = self.shape;
        let at = count * nrows * ncols;
        let (weights, more_weights) = match self.weights {
            Weights::Packed(a, out) => {
                let (a, more) = a.split_at(at);
                let (out, more_out) = out.map(|out| out.split_at_mut(at)).unzip();
                (Weights::Packed(a, out), Weights::Packed(more, more_out))
            }
            Weights::PackedInPlace(a) => {
                let (a, more) = a.split_at_mut(at);
                (Weights::PackedInPlace(a), Weights::PackedInPlace(more))
            }
            Weights::Rows(..) | Weights::RowsInPlace(_) => unreachable!("one matrix is not cut"),
        };
        let (m, n) = if self.transposed { (ncols, nrows) } else { (nrows, ncols) };
        let (u, more_u) = self.u.split_at_mut(count * m);
        let (v, more_v) = self.v.split_at_mut(count * n);
        let (given_u, more_given_u) = self.given.0.map(|u| u.split_at(count * m)).unzip();
        let (given_v, more_given_v) = self.given.1.map(|v| v.split_at(count * n)).unzip();
        let (sigma, more_sigma) = self.sigma.split_at_mut(count);
        let cut = if self.coefficients.len() == 1 { 0 } else { count };
        let coefficients = &self.coefficients[..self.coefficients.len().min(count)];
        let more_coefficients = &self.coefficients[cut..];
        let given = (given_u, given_v);
        let head = Self { weights, u, v, given, coefficients, sigma, ..self };
        let (shape, transposed) = (head.shape, head.transposed);
        let tail = Task {
            weights: more_weights,
            shape,
            transposed,
            u: more_u,
            v: more_v,
            given: (more_given_u, more_given_v),
            coefficients: more_coefficients,
            sigma: more_sigma,
        };
        (head, tail)
    }

    fn run<R: Runner + Copy>(
        &mut self,
        first: usize,
        (steps, stream): (&Steps, bool),
        (level, runner): (Level, R),
    ) -> Result<(), Error> {
        let plan = Plan {
            level,
            n_power_iterations: steps.n_power_iterations,
            eps: steps.eps,
            rows_first: (steps.order == Order::Uv) != self.transposed,
            seed: steps.seed,
        };
        let count = self.sigma.len();
        if plan.n_power_iterations == 0 {
            self.take_given(0..count);
        }
        let done = self.run_tiny(plan, (steps.soft, stream));
        let mut work = Default::default();
        for i in left_over(&done, T::LANES, count) {
            self.take_given(i..i + 1);
            self.run_one((i, first + i), (plan, steps, stream), runner, &mut work)?;
        }
        Ok(())
    }

    /// Copies what the vectors of these matrices begin with.
    fn take_given(&mut self, matrices: Range<usize>) {
        let count = self.sigma.len().max(1);
        for (own, given) in [(&mut *self.u, self.given.0), (&mut *self.v, self.given.1)] {
            if let Some(given) = given {
                let len = own.len() / count;
                let range = matrices.start * len..matrices.end * len;
                own[range.clone()].copy_from_slice(&given[range]);
            }
        }
    }

    /// Makes the steps on several tiny matrices at once; those that were made, as bits of a word for
    /// each vector of them.
    fn run_tiny(&mut self, plan: Plan, (soft, stream): (bool, bool)) -> Vec<u32> {
        let (nrows, ncols) = self.shape;
        let is_tiny = nrows.max(ncols) <= MAX_SIDE && nrows.min(ncols) > 0;
        let at_once = plan.n_power_iterations <= power::MOST_AT_ONCE;
        let (x, y) = sides(self.transposed, self.u, self.v);
        let given = if self.transposed { self.given } else { (self.given.1, self.given.0) };
        let cells = cells(&mut self.weights);
        let Some(cells) = cells.filter(|_| is_tiny && at_once && self.sigma.len() > 1) else {
            return Vec::new();
        };
        let mut done = vec![0; self.sigma.len().div_ceil(T::LANES)];
        let steps = TinySteps {
            cells,
            shape: self.shape,
            x,
            y,
            given,
            sigma: self.sigma,
            divisor: Divisor { coefficients: self.coefficients, soft },
            stream,
            n_power_iterations: plan.n_power_iterations,
            eps: plan.eps,
            rows_first: plan.rows_first,
            done: &mut done,
        };
        T::tiny(plan.level, steps);
        done
    }

    /// Makes the steps on matrix `i`, which is matrix `index` of the call, and divides it.
    fn run_one<R: Runner + Copy>(
        &mut self,
        (i, index): (usize, usize),
        (plan, steps, stream): (Plan, &Steps, bool),
        runner: R,
        work: &mut (Scratch<T::Vector>, Buffers<T::Vector>),
    ) -> Result<(), Error> {
        let (nrows, ncols) = self.shape;
        let (xs, ys) = sides(self.transposed, self.u, self.v);
        let (x, y) = (&mut xs[i * ncols..(i + 1) * ncols], &mut ys[i * nrows..(i + 1) * nrows]);
        let divisor = Divisor { coefficients: self.coefficients, soft: steps.soft }.from(i);
        let cell = cell(&mut self.weights, i, self.shape);
        let (end, d) = steps_on(cell.matrix(), (x, y), divisor, (plan, runner), work)?;
        self.sigma[i] = match end {
            End::Found { sigma, unit, .. } => ldexp(sigma, unit),
            End::Zero => 0.0,
            End::NonFinite(sigma) => sigma,
        };
        if steps.check_finite && matches!(end, End::NonFinite(_)) {
            return Err(Error::NonFinite { index });
        }
        cell.divide(d, stream, (plan.level, runner))
    }
}

/// Which of so many matrices are not done, given bits for `lanes` of them in each word, if any.
fn left_over(done: &[u32], lanes: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).step_by(lanes).enumerate().flat_map(move |(w, start)| {
        let left = done.get(w).map_or(u32::MAX, |word| !word) << (32 - lanes) >> (32 - lanes);
        // Most words have nothing left.
        let end = if left == 0 { start } else { count.min(start + lanes) };
        (start..end).filter(move |i| left >> (i - start) & 1 == 1)
    })
}

/// The vectors on the columns and on the rows of the stored matrices.
fn sides<'b, A>(transposed: bool, u: &'b mut [A], v: &'b mut [A]) -> (&'b mut [A], &'b mut [A]) {
    if transposed { (u, v) } else { (v, u) }
}

/// Makes the steps on one matrix; what to divide it by, and in which unit, comes with the end.
fn steps_on<T: Steppable, R: Runner + Copy>(
    a: MatRef<'_, T>,
    (x, y): (&mut [T::Vector], &mut [T::Vector]),
    divisor: Divisor<'_>,
    (plan, runner): (Plan, R),
    (scratch, buffers): &mut (Scratch<T::Vector>, Buffers<T::Vector>),
) -> Result<(End, (f64, i32)), Error> {
    let mut op = DenseStep::new(a.shorten(), plan.level, runner, scratch);
    let end = power::run(&mut op, plan, (x, y), buffers)?;
    let d = match end {
        End::Found { sigma, unit, below_eps } => {
            let one = power_of_two(-unit);
            let d = divisor.of(0, sigma, one);
            // Where eps took the place of a norm, sigma says little; the result must be finite.
            let least = power_of_two(-T::MAX_EXPONENT) * one;
            let d = match below_eps {
                true => d.max((op.max_abs()? * least).max(f64::MIN_POSITIVE)),
                false => d,
            };
            (d, unit)
        }
        End::Zero => (1.0, 0),
        End::NonFinite(_) => (f64::NAN, 0),
    };
    Ok((end, d))
}
