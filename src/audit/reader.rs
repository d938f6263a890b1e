//! One checkpoint file: mapped, its header checked, its tensors as byte slices.
//!
//! The map is taken through `mmap-guard`, which also holds a shared advisory lock. A file that
//! another process holds exclusively is being written, so that contention is an error rather than
//! something to read around. A file that shrinks while it is mapped raises SIGBUS, which no library
//! can answer; the command guards against it with a process of its own.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use mmap_guard::FileData;
use safetensors::tensor::TensorInfo;

use super::elements::Dtype;
use super::plan::Tensor;
use super::{header, refuse};
use crate::error::Error;

/// A memory-mapped safetensors file.
#[derive(Debug)]
pub struct Checkpoint {
    file: String,
    data: FileData,
    data_start: usize,
    tensors: Vec<(String, TensorInfo)>,
}

impl Checkpoint {
    /// Maps a safetensors file and checks its header.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] when the file cannot be opened, is no regular file, is locked by
    /// another process, or is not a valid safetensors file.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if cfg!(target_endian = "big") {
            return Err(refuse(path, "checkpoints are read on little-endian machines only"));
        }
        check_regular(path)?;
        let data = mmap_guard::map_file(path).map_err(|e| refuse(path, open_reason(&e)))?;
        let header = header::parse(&data).map_err(|reason| refuse(path, reason))?;
        Ok(Self {
            file: path.display().to_string(),
            data,
            data_start: header.data_start,
            tensors: header.tensors,
        })
    }

    /// The path this file was opened by.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Every tensor, in the order its data lies in the file.
    #[must_use]
    pub fn tensors(&self) -> Vec<Tensor<'_>> {
        let data = &self.data[self.data_start..];
        let tensor = |(name, info): &(String, TensorInfo)| Tensor {
            file: self.file.clone(),
            name: name.clone(),
            dtype: Dtype::from(info.dtype),
            shape: info.shape.clone(),
            // The header's check established that every range lies inside the file.
            bytes: &data[info.data_offsets.0..info.data_offsets.1],
        };
        self.tensors.iter().map(tensor).collect()
    }
}

/// Refuses what could block or is not a file, before it is opened: opening a FIFO waits forever.
pub(super) fn check_regular(path: &Path) -> Result<(), Error> {
    let metadata = fs::metadata(path).map_err(|e| refuse(path, open_reason(&e)))?;
    if metadata.is_dir() {
        return Err(refuse(path, "is a directory, not a safetensors file"));
    }
    if !metadata.is_file() {
        return Err(refuse(path, "is not a regular file"));
    }
    if metadata.len() == 0 {
        return Err(refuse(path, "is empty"));
    }
    Ok(())
}

/// Says in a few words why a file cannot be mapped.
pub(super) fn open_reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "no such file or directory".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        ErrorKind::WouldBlock => {
            "another process holds a lock on it; wait until it is written".to_owned()
        }
        ErrorKind::Unsupported => {
            "the file system grants no shared lock; copy the file to a local disk".to_owned()
        }
        _ => error.to_string(),
    }
}
