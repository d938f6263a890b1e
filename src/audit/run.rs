//! The run: duplicates once, aligned matrices in one call, misaligned ones a few at a time.

use std::collections::HashMap;

use super::elements::{Aligned, matrix};
use super::plan::{Plan, Unit};
use super::{Row, duplicates};
use crate::api::{Control, Goal, Request, Solution, solve_each};
use crate::error::Error;
use crate::matrix::Matrix;

/// Bytes of misaligned matrices that are copied at a time, unless one alone is larger.
const COPY_BUDGET: usize = 16 << 20;

/// The settings of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Relative error of sigma; `None` means 1e-6, and 1e-10 for 64-bit tensors.
    pub rtol: Option<f64>,
    /// Which upper bound the rows carry.
    pub bounds: Bounds,
    /// Threads for this run; `None` takes the process-wide setting.
    pub num_threads: Option<usize>,
}

/// The upper bound of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bounds {
    /// None.
    None,
    /// One that fails with a probability of 1e-6 over the random start.
    Probable,
    /// One that is proved, at most a percent above `sigma_max` where the proof allows.
    Rigorous,
}

/// Relative width of the interval that a rigorous bound must reach.
const RIGOROUS_WIDTH: f64 = 1e-2;

impl Settings {
    fn goal(&self) -> Goal {
        match self.bounds {
            Bounds::Rigorous => Goal::Rigorous { width: RIGOROUS_WIDTH, rtol: self.rtol },
            _ => Goal::Rtol(self.rtol),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self { rtol: None, bounds: Bounds::Probable, num_threads: None }
    }
}

impl Plan<'_> {
    /// Measures every matrix and calls `on_row` as each one finishes, on any thread.
    ///
    /// `interrupted` is asked now and then on the calling thread; `true` stops the run.
    ///
    /// # Errors
    /// [`Error::InvalidParameter`] for a setting out of range, [`Error::Interrupted`] when the
    /// caller stopped the run.
    pub fn run(
        &self,
        settings: &Settings,
        interrupted: Option<&mut dyn FnMut() -> bool>,
        on_row: &(dyn Fn(Row) + Sync),
    ) -> Result<(), Error> {
        let mut never = || false;
        let stop = interrupted.unwrap_or(&mut never);
        let same_as = duplicates::find(&self.units, stop);
        if stop() {
            return Err(Error::Interrupted);
        }
        let run = Run { units: &self.units, followers: followers(&same_as), settings, on_row };
        run.measure(&same_as, stop)
    }
}

/// For each matrix, the later ones with the same content.
fn followers(same_as: &[Option<usize>]) -> HashMap<usize, Vec<usize>> {
    let mut followers: HashMap<usize, Vec<usize>> = HashMap::new();
    for (i, first) in same_as.iter().enumerate() {
        if let Some(first) = first {
            followers.entry(*first).or_default().push(i);
        }
    }
    followers
}

struct Run<'a> {
    units: &'a [Unit<'a>],
    followers: HashMap<usize, Vec<usize>>,
    settings: &'a Settings,
    on_row: &'a (dyn Fn(Row) + Sync),
}

impl<'a> Run<'a> {
    fn measure(
        &self,
        same_as: &[Option<usize>],
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<(), Error> {
        let mut aligned: Vec<(usize, Matrix<'a>)> = Vec::new();
        let mut misaligned = Vec::new();
        for (i, unit) in self.units.iter().enumerate().filter(|(i, _)| same_as[*i].is_none()) {
            if unit.bytes.is_empty() {
                self.emit(Row::empty(i, unit, self.settings.bounds));
            } else if let Some(matrix) = matrix(&unit.dtype, unit.bytes, unit.dims) {
                aligned.push((i, matrix));
            } else {
                misaligned.push(i);
            }
        }
        self.solve(&aligned, stop)?;
        self.solve_copies(&misaligned, stop)
    }

    fn solve(
        &self,
        batch: &[(usize, Matrix<'_>)],
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        let matrices: Vec<Matrix<'_>> = batch.iter().map(|(_, m)| *m).collect();
        let request = Request { goal: self.settings.goal(), ..Request::default() };
        let control =
            Control { num_threads: self.settings.num_threads, interrupted: Some(&mut *stop) };
        let done = |k: usize, solution: Solution| {
            let index = batch[k].0;
            let unit = &self.units[index];
            self.emit(Row::new(index, unit, &solution, self.settings.bounds));
        };
        solve_each(&matrices, &request, control, &done)
    }

    fn solve_copies(
        &self,
        misaligned: &[usize],
        stop: &mut dyn FnMut() -> bool,
    ) -> Result<(), Error> {
        let mut rest = misaligned;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(self.within_budget(rest));
            let copies: Vec<Aligned> =
                now.iter().map(|&i| Aligned::copy(self.units[i].bytes)).collect();
            let mut batch = Vec::with_capacity(now.len());
            for (&i, copy) in now.iter().zip(&copies) {
                let unit = &self.units[i];
                batch.extend(matrix(&unit.dtype, copy.bytes(), unit.dims).map(|m| (i, m)));
            }
            self.solve(&batch, stop)?;
            rest = later;
        }
        Ok(())
    }

    /// How many of the matrices may be copied together; at least one.
    fn within_budget(&self, indices: &[usize]) -> usize {
        let mut total = 0;
        let fits = |i: &&usize| {
            total += self.units[**i].bytes.len();
            total <= COPY_BUDGET
        };
        indices.iter().take_while(fits).count().max(1)
    }

    /// Hands over a row and those of its duplicates.
    fn emit(&self, row: Row) {
        let followers = self.followers.get(&row.index).map_or(&[][..], Vec::as_slice);
        for &i in followers {
            (self.on_row)(row.repeat(i, &self.units[i]));
        }
        (self.on_row)(row);
    }
}
