//! A fixed number of power steps, with the arithmetic of torch's spectral norm.
//!
//! ```text
//! u <- A v  / max(|A v|,  eps)        order "uv"; order "vu" takes the two lines in turn
//! v <- A' u / max(|A' u|, eps)
//! sigma = u . A v
//! ```
//!
//! Here the vectors are kept at unit length, and their lengths in torch's arithmetic, which differ
//! from one only where a norm falls below `eps`, beside them in double precision. Hence one fused
//! pass is one step: with `t = A v` and `z = A' t`, `|A' u| = |u| |z| / |t|` and
//! `sigma = |A' u| |v|`.
//!
//! The matrix is `B`, as stored; `x` lies on its columns and `y` on its rows.
//!
//! Miyato, Kataoka, Koyama and Yoshida, Spectral Normalization for Generative Adversarial Networks
//! (ICLR 2018), algorithm 1.

use crate::error::Error;
use crate::kernels::step::StepVectors;
use crate::operator::step::{StepOperator, Units, Whole};
use crate::scalar::{exponent, power_of_two};
use crate::simd::{Level, Real};

use super::side::Side;

/// Steps made on a matrix that neither `u` nor `v` came with, as torch makes.
pub(crate) const INITIAL_STEPS: usize = 15;

/// The most steps made in one go: between two goes a caller may stop them.
pub(crate) const MOST_AT_ONCE: usize = 4096;

/// How often a start that the matrix maps to nothing is drawn again.
const MAX_DRAWS: u64 = 8;

/// What to do with a matrix.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) level: Level,
    pub(crate) n_power_iterations: usize,
    pub(crate) eps: f64,
    /// Whether a step takes `y = B x` first.
    pub(crate) rows_first: bool,
    pub(crate) seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum End {
    /// Sigma in a unit of `2^unit`, and whether a norm fell below `eps` on the way.
    Found { sigma: f64, unit: i32, below_eps: bool },
    /// Every entry is zero.
    Zero,
    /// An entry is infinite, or NaN.
    NonFinite(f64),
}

/// Makes the steps; `x` and `y` are updated in place, and kept when the matrix is zero or not
/// finite.
///
/// # Errors
/// [`Error::Interrupted`] when the operator says so; the vectors are then as they were.
pub(crate) fn run<O: StepOperator>(
    op: &mut O,
    plan: Plan,
    (x, y): (&mut [O::Acc], &mut [O::Acc]),
    buffers: &mut Buffers<O::Acc>,
) -> Result<End, Error> {
    if let Some(sigma) = at_once(op, plan, (x, y), buffers) {
        return Ok(End::Found { sigma, unit: 0, below_eps: false });
    }
    let mut process = Process::new(op, plan, (x, y), std::mem::take(buffers));
    let outcome = process.run();
    let end = match outcome {
        Ok(sigma) => {
            let below_eps = process.x.length != 1.0 || process.y.length != 1.0;
            process.x.hand_back(plan.level, x);
            process.y.hand_back(plan.level, y);
            Ok(End::Found { sigma, unit: process.units.unwrap_or_default().norm(), below_eps })
        }
        Err(Stop::Degenerate(end)) => {
            process.keep(x, y);
            Ok(end)
        }
        Err(Stop::Error(error)) => Err(error),
    };
    let Process { x, y, t, z, .. } = process;
    *buffers = Buffers { x: x.values, y: y.values, t, z };
    end
}

/// Sigma, where all steps can be made in one go.
fn at_once<O: StepOperator>(
    op: &mut O,
    plan: Plan,
    (x, y): (&mut [O::Acc], &mut [O::Acc]),
    buffers: &mut Buffers<O::Acc>,
) -> Option<f64> {
    let Plan { n_power_iterations, eps, rows_first, .. } = plan;
    if n_power_iterations > MOST_AT_ONCE {
        return None;
    }
    let (t, z) = (&mut buffers.t, &mut buffers.z);
    t.resize(y.len(), O::Acc::ZERO);
    z.resize(x.len(), O::Acc::ZERO);
    op.whole(Whole { x, y, t, z, n_power_iterations, eps, rows_first })
}

/// Why the steps ended early.
enum Stop {
    Degenerate(End),
    Error(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// Work vectors, kept from one matrix to the next.
#[derive(Debug, Default)]
pub(crate) struct Buffers<A> {
    x: Vec<A>,
    y: Vec<A>,
    t: Vec<A>,
    z: Vec<A>,
}

struct Process<'a, O: StepOperator> {
    op: &'a mut O,
    plan: Plan,
    x: Side<O::Acc>,
    y: Side<O::Acc>,
    t: Vec<O::Acc>,
    z: Vec<O::Acc>,
    units: Option<Units>,
    n_draws: u64,
}

impl<'a, O: StepOperator> Process<'a, O> {
    fn new(
        op: &'a mut O,
        plan: Plan,
        (x, y): (&[O::Acc], &[O::Acc]),
        buffers: Buffers<O::Acc>,
    ) -> Self {
        let Buffers { x: xs, y: ys, mut t, mut z } = buffers;
        t.resize(y.len(), O::Acc::ZERO);
        z.resize(x.len(), O::Acc::ZERO);
        Self {
            op,
            plan,
            x: Side::new(plan.level, x, xs),
            y: Side::new(plan.level, y, ys),
            t,
            z,
            units: None,
            n_draws: 0,
        }
    }

    fn run(&mut self) -> Result<f64, Stop> {
        let mut steps = self.plan.n_power_iterations;
        if !self.x.given && !self.y.given {
            steps += INITIAL_STEPS;
            self.draw();
        }
        match (steps, self.plan.rows_first) {
            (0, _) => self.evaluate(),
            (_, true) => self.rows_first(steps),
            (_, false) => self.columns_first(steps),
        }
    }

    /// The start that a step begins with.
    fn draw(&mut self) {
        let Plan { level, seed, rows_first, .. } = self.plan;
        let side = if rows_first { &mut self.x } else { &mut self.y };
        side.draw(level, seed.wrapping_add(self.n_draws));
        self.n_draws += 1;
    }

    fn rows_first(&mut self, steps: usize) -> Result<f64, Stop> {
        let level = self.plan.level;
        if self.x.norm == 0.0 {
            self.x_from_y()?;
        }
        let mut sigma = 0.0;
        for step in 1..=steps {
            let (norm_t, norm_z) = self.fused()?;
            let eps = self.eps();
            let length = self.x.length * (norm_t / self.x.norm) * self.product();
            let y_length = length / length.max(eps);
            let length = y_length * (norm_z / norm_t) * self.gram();
            self.x.take(level, &mut self.z, norm_z, length, eps);
            sigma = length * self.x.length;
            if step == steps {
                self.y.take(level, &mut self.t, norm_t, 1.0, 0.0);
                self.y.length = y_length;
            }
        }
        Ok(sigma)
    }

    fn columns_first(&mut self, steps: usize) -> Result<f64, Stop> {
        let level = self.plan.level;
        if self.y.norm == 0.0 {
            self.y_from_x()?;
        }
        let norm_z = self.rmatvec()?;
        let eps = self.eps();
        let length = norm_z / self.y.norm * self.product();
        self.x.take(level, &mut self.z, norm_z, length, eps);
        for _ in 1..steps {
            let (norm_t, norm_z) = self.fused()?;
            let eps = self.eps();
            let length = self.x.length * (norm_t / self.x.norm) * self.product();
            let length = length / length.max(eps) * (norm_z / norm_t) * self.gram();
            self.x.take(level, &mut self.z, norm_z, length, eps);
        }
        let norm_t = self.matvec()?;
        let eps = self.eps();
        let length = self.x.length * (norm_t / self.x.norm) * self.product();
        self.y.take(level, &mut self.t, norm_t, length, eps);
        Ok(length * self.y.length)
    }

    /// Sigma at the given vectors; a missing one is what the other one makes of it.
    fn evaluate(&mut self) -> Result<f64, Stop> {
        if !self.x.given {
            return self.x_from_y();
        }
        if !self.y.given {
            return self.y_from_x();
        }
        self.op.matvec(&self.x.values, &mut self.t)?;
        let norm = self.norm_t();
        if !self.is_ordinary(norm) && self.set_units()? {
            self.op.matvec(&self.x.values, &mut self.t)?;
        }
        let product = O::Acc::dot(self.plan.level, &self.y.values, &self.t);
        Ok(product / self.x.norm / self.y.norm * self.product())
    }

    /// `x` as the direction of `B' y`; the norm of `B' y` for unit `y`.
    fn x_from_y(&mut self) -> Result<f64, Stop> {
        let norm = self.rmatvec()?;
        self.x.take(self.plan.level, &mut self.z, norm, 1.0, 0.0);
        Ok(norm / self.y.norm * self.product())
    }

    fn y_from_x(&mut self) -> Result<f64, Stop> {
        let norm = self.matvec()?;
        self.y.take(self.plan.level, &mut self.t, norm, 1.0, 0.0);
        Ok(norm / self.x.norm * self.product())
    }
}

/// Products that cannot overflow or vanish.
impl<O: StepOperator> Process<'_, O> {
    /// `|t|` and `|z|` of a fused pass.
    fn fused(&mut self) -> Result<(f64, f64), Stop> {
        loop {
            self.op.fused(&self.x.values, &mut self.t, &mut self.z)?;
            let norms = (self.norm_t(), self.norm_z());
            let is_ordinary = self.is_ordinary(norms.0) && self.is_ordinary(norms.1);
            if is_ordinary || self.judge(norms.0.min(norms.1))? {
                return Ok(norms);
            }
        }
    }

    fn matvec(&mut self) -> Result<f64, Stop> {
        loop {
            self.op.matvec(&self.x.values, &mut self.t)?;
            let norm = self.norm_t();
            if self.is_ordinary(norm) || self.judge(norm)? {
                return Ok(norm);
            }
        }
    }

    fn rmatvec(&mut self) -> Result<f64, Stop> {
        loop {
            self.op.rmatvec(&self.y.values, &mut self.z)?;
            let norm = self.norm_z();
            if self.is_ordinary(norm) || self.judge(norm)? {
                return Ok(norm);
            }
        }
    }

    /// Whether a product of unusual norm may stand: it is then in units of its own, and not zero.
    fn judge(&mut self, norm: f64) -> Result<bool, Stop> {
        if self.set_units()? {
            return Ok(false);
        }
        if norm > 0.0 || self.n_draws >= MAX_DRAWS {
            return Ok(true);
        }
        // A start without any part along what the matrix does not map to zero.
        self.x.draw(self.plan.level, self.plan.seed.wrapping_add(self.n_draws));
        self.y.draw(self.plan.level, self.plan.seed.wrapping_add(self.n_draws));
        self.n_draws += 1;
        Ok(false)
    }

    /// Looks at the entries, once, and sets the units by the largest; whether that was done now.
    fn set_units(&mut self) -> Result<bool, Stop> {
        if self.units.is_some() {
            return Ok(false);
        }
        let max_abs = self.op.max_abs()?;
        if !max_abs.is_finite() {
            return Err(Stop::Degenerate(End::NonFinite(max_abs)));
        }
        if max_abs == 0.0 {
            return Err(Stop::Degenerate(End::Zero));
        }
        let units = Units::new::<O::Acc>(exponent(max_abs));
        self.op.set_units(units);
        self.units = Some(units);
        Ok(true)
    }

    /// Whether a norm is so far from the ends of the range that nothing can have been lost.
    fn is_ordinary(&self, norm: f64) -> bool {
        (O::Acc::ORDINARY.recip()..O::Acc::ORDINARY).contains(&norm)
    }

    /// What the norm of `t` is multiplied by, in the unit of norms; so are the next two.
    fn product(&self) -> f64 {
        self.in_norms(self.units.unwrap_or_default().product())
    }

    fn gram(&self) -> f64 {
        self.in_norms(self.units.unwrap_or_default().gram())
    }

    fn eps(&self) -> f64 {
        self.in_norms(self.plan.eps)
    }

    fn in_norms(&self, x: f64) -> f64 {
        x * power_of_two(-self.units.unwrap_or_default().norm())
    }

    fn norm_t(&self) -> f64 {
        O::Acc::dot(self.plan.level, &self.t, &self.t).sqrt()
    }

    fn norm_z(&self) -> f64 {
        O::Acc::dot(self.plan.level, &self.z, &self.z).sqrt()
    }

    /// Leaves the caller's vectors as they are, and puts a start where one of them had no direction. Where
    /// neither had, both become zeros, so that the first matrix to give them one is given its steps more.
    fn keep(&mut self, x: &mut [O::Acc], y: &mut [O::Acc]) {
        let Plan { level, seed, .. } = self.plan;
        if !self.x.given && !self.y.given {
            x.fill(O::Acc::ZERO);
            y.fill(O::Acc::ZERO);
            return;
        }
        for (side, values) in [(&mut self.x, x), (&mut self.y, y)] {
            if !side.given {
                side.draw(level, seed);
                side.hand_back(level, values);
            }
        }
    }
}
