//! Floor F6: power steps on many matrices, and the matrices divided by what comes of them.
//!
//! A [`Task`] is one matrix, or a packed stack of matrices of one shape, with its vectors: the
//! vectors are updated in place, the matrix is normalised into a second one, or in place, or not at
//! all. Tasks of any shapes and element types go through one call of [`normalize`].

use std::sync::{Mutex, PoisonError};

use half::{bf16, f16};

use crate::algorithms::power::{self, End, Plan};
use crate::api::Control;
use crate::error::Error;
use crate::kernels::step::StepKernels;
use crate::matrix::{MatMut, MatRef};
use crate::operator::step::{Blocks, DenseStep, StepOperator, divide};
use crate::scalar::power_of_two;
use crate::schedule;
use crate::simd::{Level, Load};
use crate::validate;

/// Which of the two products of a step comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// `u` from `A v`, then `v` from `A' u`, as `torch.nn.utils.parametrizations` does.
    #[default]
    Uv,
    /// `v` from `A' u`, then `u` from `A v`, as the older hook in `torch.nn.utils` does.
    Vu,
}

/// The settings of a call of [`normalize`], the same for every matrix in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Steps {
    /// Power steps; zero evaluates sigma at the given vectors.
    pub n_power_iterations: usize,
    /// The smallest norm a vector is divided by.
    pub eps: f64,
    /// Which product of a step comes first.
    pub order: Order,
    /// Whether to divide by `max(1, sigma / coefficient)` in place of `sigma / coefficient`.
    pub soft: bool,
    /// Seed of the start where neither vector has a direction.
    pub seed: u64,
    /// Whether a NaN or an infinity is an error instead of a NaN result.
    pub check_finite: bool,
}

impl Default for Steps {
    fn default() -> Self {
        Self {
            n_power_iterations: 1,
            eps: 1e-12,
            order: Order::Uv,
            soft: false,
            seed: 0,
            check_finite: false,
        }
    }
}

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

/// Runs one expression with `$task` bound to the typed [`Task`] of an [`AnyTask`].
macro_rules! with_task {
    ($any:expr, $task:ident => $body:expr) => {
        match $any {
            AnyTask::F16($task) => $body,
            AnyTask::Bf16($task) => $body,
            AnyTask::F32($task) => $body,
            AnyTask::F64($task) => $body,
        }
    };
}

/// Element types that power steps are made on, with the type of their vectors.
#[expect(private_bounds, reason = "the kernels are the crate's own; no one else implements this")]
pub trait Steppable: StepKernels<Acc = Self::Vector> + Load<f64, 8> + std::fmt::Debug {
    /// The precision of `u` and `v` and of the steps.
    type Vector: std::fmt::Debug + Send + Sync;

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
const GROUP_LEN: usize = 1 << 14;

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
        with_task!(task, task => {
            validate::task(&task)?;
            let count = task.sigma.len();
            task.split(index, &mut jobs);
            index += count;
        });
    }
    let sizes: Vec<usize> =
        jobs.iter().map(|job| with_task!(&job.task, task => task.len())).collect();
    let jobs: Vec<Mutex<Job<'_>>> = jobs.into_iter().map(Mutex::new).collect();
    schedule::run(&sizes, control.num_threads, control.interrupted, &|i, runner| {
        let mut job = jobs[i].lock().unwrap_or_else(PoisonError::into_inner);
        let first = job.first;
        with_task!(&mut job.task, task => task.run(first, steps, level, runner))
    })
}

/// A piece of a task that one thread takes, and the index of its first matrix in the call.
struct Job<'a> {
    task: AnyTask<'a>,
    first: usize,
}

/// One matrix of a task, and where its normalised form goes.
enum Cell<'a, T: Steppable> {
    Apart(MatRef<'a, T>, Option<MatMut<'a, T>>),
    InPlace(MatMut<'a, T>),
}

impl<'a, T: Steppable> Task<'a, T> {
    fn len(&self) -> usize {
        self.sigma.len() * self.shape.0 * self.shape.1
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
        let (sigma, more_sigma) = self.sigma.split_at_mut(count);
        let cut = if self.coefficients.len() == 1 { 0 } else { count };
        let coefficients = &self.coefficients[..self.coefficients.len().min(count)];
        let more_coefficients = &self.coefficients[cut..];
        let head = Self { weights, u, v, coefficients, sigma, ..self };
        let (shape, transposed) = (head.shape, head.transposed);
        let tail = Task {
            weights: more_weights,
            shape,
            transposed,
            u: more_u,
            v: more_v,
            coefficients: more_coefficients,
            sigma: more_sigma,
        };
        (head, tail)
    }

    fn run<R: Blocks>(
        &mut self,
        first: usize,
        steps: &Steps,
        level: Level,
        runner: R,
    ) -> Result<(), Error> {
        let (nrows, ncols) = self.shape;
        let (xs, ys) = if self.transposed {
            (&mut *self.u, &mut *self.v)
        } else {
            (&mut *self.v, &mut *self.u)
        };
        let plan = Plan {
            level,
            n_power_iterations: steps.n_power_iterations,
            eps: steps.eps,
            rows_first: (steps.order == Order::Uv) != self.transposed,
            seed: steps.seed,
        };
        for i in 0..self.sigma.len() {
            let cell = cell(&mut self.weights, i, self.shape);
            let x = &mut xs[i * ncols..(i + 1) * ncols];
            let y = &mut ys[i * nrows..(i + 1) * nrows];
            let coefficient = self.coefficients[i.min(self.coefficients.len() - 1)];
            let (end, d) =
                steps_on(cell.matrix(), (x, y), (coefficient, steps.soft), plan, runner)?;
            self.sigma[i] = match end {
                End::Found { sigma, .. } => sigma,
                End::Zero => 0.0,
                End::NonFinite(sigma) => sigma,
            };
            if steps.check_finite && matches!(end, End::NonFinite(_)) {
                return Err(Error::NonFinite { index: first + i });
            }
            cell.divide(d, level, runner)?;
        }
        Ok(())
    }
}

/// Matrix `i` of a task.
fn cell<'b, T: Steppable>(
    weights: &'b mut Weights<'_, T>,
    i: usize,
    (nrows, ncols): (usize, usize),
) -> Cell<'b, T> {
    const FITS: &str = "the task was checked";
    let size = nrows * ncols;
    let range = i * size..(i + 1) * size;
    match weights {
        Weights::Packed(a, out) => {
            let out = out.as_mut().map(|out| &mut out[range.clone()]);
            let out = out.map(|out| MatMut::from_slice(out, nrows, ncols).expect(FITS));
            Cell::Apart(MatRef::from_slice(&a[range], nrows, ncols).expect(FITS), out)
        }
        Weights::PackedInPlace(a) => {
            Cell::InPlace(MatMut::from_slice(&mut a[range], nrows, ncols).expect(FITS))
        }
        Weights::Rows(a, out) => Cell::Apart(a.shorten(), out.as_mut().map(MatMut::reborrow)),
        Weights::RowsInPlace(a) => Cell::InPlace(a.reborrow()),
    }
}

impl<T: Steppable> Cell<'_, T> {
    fn matrix(&self) -> MatRef<'_, T> {
        match self {
            Self::Apart(a, _) => a.shorten(),
            Self::InPlace(a) => a.as_ref(),
        }
    }

    fn divide<R: Blocks>(self, d: f64, level: Level, runner: R) -> Result<(), Error> {
        match self {
            Self::Apart(_, None) => Ok(()),
            Self::Apart(a, Some(out)) => divide(Some(a), out, d, level, runner),
            Self::InPlace(a) => divide(None, a, d, level, runner),
        }
    }
}

/// Makes the steps on one matrix; what to divide it by comes with the end.
fn steps_on<T: Steppable, R: Blocks>(
    a: MatRef<'_, T>,
    (x, y): (&mut [T::Vector], &mut [T::Vector]),
    (coefficient, soft): (f64, bool),
    plan: Plan,
    runner: R,
) -> Result<(End, f64), Error> {
    let mut op = DenseStep::new(a, plan.level, runner);
    let end = power::run(&mut op, plan, x, y)?;
    let d = match end {
        End::Found { sigma, below_eps } => {
            let d = divisor(sigma, coefficient, soft);
            // Where eps took the place of a norm, sigma says little; the result must be finite.
            if below_eps { d.max(op.max_abs()? * power_of_two(-T::MAX_EXPONENT)) } else { d }
        }
        End::Zero => 1.0,
        End::NonFinite(_) => f64::NAN,
    };
    Ok((end, d))
}

fn divisor(sigma: f64, coefficient: f64, soft: bool) -> f64 {
    let d = sigma / coefficient;
    // Not `max`, which would hide a NaN.
    if soft && d < 1.0 { 1.0 } else { d }
}
