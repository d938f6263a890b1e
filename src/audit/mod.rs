//! Floor F6: the spectral norm of every weight in a checkpoint.
//!
//! [`resolve`] turns a path into checkpoint files, [`Checkpoint`] maps one file and checks its
//! header, [`Plan`] lists the matrices in it, and [`Plan::run`] hands back one [`Row`] per matrix
//! as it finishes. Files are read through a memory map and never held: peak memory is the vectors
//! of the solver, whatever the model's size. Printing and rules belong to the caller.
//!
//! ```no_run
//! use rsspecnorm::audit::{Checkpoint, Plan, Settings};
//!
//! # fn main() -> Result<(), rsspecnorm::Error> {
//! let file = Checkpoint::open("model.safetensors".as_ref())?;
//! let plan = Plan::new(file.tensors())?;
//! plan.run(&Settings::default(), None, &|row| println!("{} {}", row.name, row.sigma_max))?;
//! # Ok(())
//! # }
//! ```

mod duplicates;
mod elements;
mod header;
mod plan;
mod reader;
mod row;
mod run;
mod shards;

pub use elements::Dtype;
pub use plan::{Kind, Plan, Skipped, Tensor};
pub use reader::Checkpoint;
pub use row::{Row, Status};
pub use run::{Bounds, Settings};
pub use shards::resolve;

use std::path::Path;

use crate::error::Error;

/// A checkpoint error that names the file.
fn refuse(path: &Path, reason: impl Into<String>) -> Error {
    Error::Checkpoint { path: path.display().to_string(), reason: reason.into() }
}
