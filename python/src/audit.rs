//! Checkpoints: opened, listed, and measured with the interpreter let go.
//!
//! Workers put finished rows into a queue; the calling thread, which the core asks now and then
//! whether to stop, takes them out and hands them to Python. NumPy is needed for arrays only.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use numpy::PyReadonlyArray1;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rsspecnorm::Error;
use rsspecnorm::audit::{Bounds, Checkpoint, Dtype, Plan, Row, Settings, Skipped, Tensor, resolve};

use crate::errors::Failure;

/// Name, dtype, shape and file of a tensor.
type Listed = (String, String, Vec<usize>, String);

/// File, name, dtype, shape and bytes of an array.
type Array<'py> = (String, String, String, Vec<usize>, PyReadonlyArray1<'py, u8>);

/// `(rtol, bounds, num_threads)` in Python.
type SettingsTuple = (Option<f64>, String, Option<usize>);

/// The mapped safetensors files of a checkpoint.
#[pyclass(frozen, module = "rsspecnorm._core")]
pub(crate) struct Audit {
    files: Vec<Checkpoint>,
}

#[pymethods]
impl Audit {
    #[new]
    #[pyo3(signature = (files, /))]
    fn new(py: Python<'_>, files: Vec<PathBuf>) -> PyResult<Self> {
        let open = || files.iter().map(|file| Checkpoint::open(file)).collect();
        let files: Result<_, Error> = py.detach(open);
        Ok(Self { files: files.map_err(Failure::from)? })
    }

    /// Every tensor, in file order.
    fn tensors(&self) -> Vec<Listed> {
        let listed = |t: Tensor<'_>| (t.name, t.dtype.to_string(), t.shape, t.file);
        self.files.iter().flat_map(Checkpoint::tensors).map(listed).collect()
    }

    /// Measures the tensors at the indices `keep` and returns those that have no row.
    ///
    /// `on_rows` is called about every 50 ms with the rows that finished meanwhile.
    #[pyo3(signature = (keep, settings, on_rows, /))]
    fn run<'py>(
        &self,
        py: Python<'py>,
        keep: Vec<usize>,
        settings: SettingsTuple,
        on_rows: &Bound<'py, PyAny>,
    ) -> PyResult<Vec<Bound<'py, PyDict>>> {
        let mut all: Vec<_> = self.files.iter().flat_map(Checkpoint::tensors).map(Some).collect();
        let kept = keep.iter().filter_map(|&i| all.get_mut(i)?.take()).collect();
        measure(py, kept, settings, on_rows)
    }
}

/// The safetensors files behind a path, in name order.
#[pyfunction]
#[pyo3(signature = (path, /))]
pub(crate) fn shards(path: PathBuf) -> Result<Vec<OsString>, Failure> {
    Ok(resolve(&path)?.into_iter().map(PathBuf::into_os_string).collect())
}

/// Measures arrays: `(file, name, dtype, shape, bytes)` each, the bytes row-major.
#[pyfunction]
#[pyo3(signature = (arrays, settings, on_rows, /))]
pub(crate) fn audit_arrays<'py>(
    py: Python<'py>,
    arrays: Vec<Array<'py>>,
    settings: SettingsTuple,
    on_rows: &Bound<'py, PyAny>,
) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let tensors = arrays.iter().map(tensor).collect::<PyResult<_>>()?;
    measure(py, tensors, settings, on_rows)
}

fn tensor<'a>((file, name, dtype, shape, bytes): &'a Array<'_>) -> PyResult<Tensor<'a>> {
    let (file, name, shape) = (file.clone(), name.clone(), shape.clone());
    Ok(Tensor { file, name, dtype: Dtype::from_name(dtype), shape, bytes: bytes.as_slice()? })
}

fn measure<'py>(
    py: Python<'py>,
    tensors: Vec<Tensor<'_>>,
    (rtol, bounds, num_threads): SettingsTuple,
    on_rows: &Bound<'py, PyAny>,
) -> PyResult<Vec<Bound<'py, PyDict>>> {
    let plan = Plan::new(tensors).map_err(Failure::from)?;
    let settings = Settings { rtol, bounds: bound(&bounds)?, num_threads };
    let on_rows = on_rows.clone().unbind();
    py.detach(|| run_detached(&plan, &settings, &on_rows))?;
    plan.skipped().iter().map(|s| skipped_dict(py, s)).collect()
}

fn bound(name: &str) -> PyResult<Bounds> {
    match name {
        "none" => Ok(Bounds::None),
        "probable" => Ok(Bounds::Probable),
        "rigorous" => Ok(Bounds::Rigorous),
        _ => Err(PyValueError::new_err(format!("no kind of bounds is called {name:?}"))),
    }
}

/// Runs the plan; an exception of the callback or of a signal handler stops it.
fn run_detached(plan: &Plan<'_>, settings: &Settings, on_rows: &Py<PyAny>) -> PyResult<()> {
    let queue = Mutex::new(Vec::new());
    let mut raised = Ok(());
    let mut poll = || {
        if raised.is_ok() {
            raised = hand_over(&queue, on_rows);
        }
        raised.is_err()
    };
    let push = |row| queue.lock().unwrap_or_else(PoisonError::into_inner).push(row);
    let outcome = plan.run(settings, Some(&mut poll), &push);
    raised?;
    outcome.map_err(Failure::from)?;
    hand_over(&queue, on_rows)
}

fn hand_over(queue: &Mutex<Vec<Row>>, on_rows: &Py<PyAny>) -> PyResult<()> {
    let rows = std::mem::take(&mut *queue.lock().unwrap_or_else(PoisonError::into_inner));
    Python::attach(|py| {
        py.check_signals()?;
        let dicts = rows.iter().map(|row| row_dict(py, row)).collect::<PyResult<Vec<_>>>()?;
        on_rows.call1(py, (dicts,)).map(drop)
    })
}

fn row_dict<'py>(py: Python<'py>, row: &Row) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("name", &row.name)?;
    dict.set_item("shape", &row.shape)?;
    dict.set_item("dtype", row.dtype.to_string())?;
    dict.set_item("sigma_max", row.sigma_max)?;
    dict.set_item("stable_rank", row.stable_rank)?;
    dict.set_item("fro", row.fro)?;
    dict.set_item("sigma_ratio", row.sigma_ratio)?;
    dict.set_item("sigma_mup", row.sigma_mup)?;
    dict.set_item("upper", row.upper)?;
    dict.set_item("max_abs", row.max_abs)?;
    dict.set_item("n_nonfinite", row.n_nonfinite)?;
    dict.set_item("n_passes", row.n_passes)?;
    dict.set_item("ms", row.elapsed.as_secs_f64() * 1e3)?;
    dict.set_item("status", row.status.to_string())?;
    dict.set_item("kind", row.kind.to_string())?;
    dict.set_item("same_as", row.same_as.as_deref())?;
    dict.set_item("file", &row.file)?;
    dict.set_item("index", row.index)?;
    Ok(dict)
}

fn skipped_dict<'py>(py: Python<'py>, skipped: &Skipped) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("name", &skipped.name)?;
    dict.set_item("shape", &skipped.shape)?;
    dict.set_item("dtype", skipped.dtype.to_string())?;
    dict.set_item("reason", &skipped.reason)?;
    dict.set_item("file", &skipped.file)?;
    Ok(dict)
}
