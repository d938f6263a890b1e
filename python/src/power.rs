//! Power steps: borrow matrices, vectors and results, let go of the interpreter.

use half::{bf16, f16};
use ndarray::{ArrayView2, ArrayViewMut2, Ix2};
use numpy::prelude::*;
use numpy::{
    Element, PyArray1, PyArrayDyn, PyReadonlyArray1, PyReadonlyArrayDyn, PyReadwriteArrayDyn,
    PyUntypedArray,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use rsspecnorm::{AnyTask, Control, Error, MatMut, MatRef, Order, Steppable, Steps, Task, Weights};

use crate::arrays::{self, Dtype, dtype_of, has_ready_layout};
use crate::borrow::{Side, listed, readable, writable};
use crate::errors::Failure;
use crate::options::{self, Common};

/// Of `u` and of `v`.
type Given<'py> = (Option<Bound<'py, PyUntypedArray>>, Option<Bound<'py, PyUntypedArray>>);

/// Makes power steps on a matrix, a packed stack or a list of matrices, updates `u` and `v` in
/// place, writes the normalised matrices to `out` where there is one, and returns every sigma.
///
/// With one array of matrices, `given` may hold what `u` and `v` begin with.
#[pyfunction]
#[pyo3(signature = (matrices, u, v, out, coefficient, settings, common, given = (None, None), /))]
#[expect(clippy::too_many_arguments, reason = "the arguments of the Python face, as they come")]
pub(crate) fn normalize<'py>(
    py: Python<'py>,
    matrices: &Bound<'py, PyAny>,
    u: &Bound<'py, PyAny>,
    v: &Bound<'py, PyAny>,
    out: Option<&Bound<'py, PyAny>>,
    coefficient: PyReadonlyArray1<'py, f64>,
    #[pyo3(from_py_with = Settings::extract)] settings: Settings,
    #[pyo3(from_py_with = options::common)] common: Common,
    given: Given<'py>,
) -> Result<Bound<'py, PyArray1<f64>>, Failure> {
    let mut call = Call::borrow(matrices, u, v, out, &given)?;
    let mut sigma = zeros(call.count)?;
    let tasks = call.tasks(&coefficient, &mut sigma)?;
    let steps = settings.steps(&common);
    let call = |control: Control<'_>| rsspecnorm::normalize(tasks, &steps, control);
    let done = py.detach(|| detached(common.num_threads, call))?;
    done.map_err(|error| settings.failure(error))?;
    Ok(PyArray1::from_vec(py, sigma))
}

/// Room for every sigma; empty matrices can be more than fit in memory.
fn zeros(count: usize) -> Result<Vec<f64>, Error> {
    let mut sigma = Vec::new();
    sigma.try_reserve_exact(count).map_err(|_| Error::OutOfMemory { count })?;
    sigma.resize(count, 0.0);
    Ok(sigma)
}

/// What the Python face hands over as `(n_power_iterations, eps, order, soft, batch)`: `batch` is
/// the shape of the leading axes of the caller's stack, or `None` for a list.
pub(crate) struct Settings {
    n_power_iterations: usize,
    eps: f64,
    order: Order,
    soft: bool,
    batch: Option<Vec<usize>>,
}

impl Settings {
    fn extract(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        type Tuple<'py> = (
            Bound<'py, PyAny>,
            Bound<'py, PyAny>,
            Bound<'py, PyAny>,
            Bound<'py, PyAny>,
            Option<Vec<usize>>,
        );
        let (n_power_iterations, eps, order, soft, batch): Tuple<'_> = object.extract()?;
        Ok(Self {
            n_power_iterations: options::natural("n_power_iterations", &n_power_iterations)?,
            eps: options::real("eps", &eps)?,
            order: self::order(&order)?,
            soft: soft.extract().map_err(|_| options::wrong_type("soft", "a bool", &soft))?,
            batch,
        })
    }

    fn steps(&self, common: &Common) -> Steps {
        Steps {
            n_power_iterations: self.n_power_iterations,
            eps: self.eps,
            order: self.order,
            soft: self.soft,
            seed: common.seed,
            check_finite: common.check_finite,
        }
    }

    /// As `From<Error>`, but names a matrix the way its caller would write it.
    fn failure(&self, error: Error) -> Failure {
        match (error, &self.batch) {
            (Error::NonFinite { index }, Some(batch)) => {
                Failure::not_finite("a", &arrays::place(batch, index))
            }
            (Error::NonFinite { index }, None) => {
                Failure::not_finite("weights", &format!("weights[{index}]"))
            }
            (error, _) => error.into(),
        }
    }
}

fn order(object: &Bound<'_, PyAny>) -> PyResult<Order> {
    match object.extract::<&str>().map_err(|_| options::wrong_type("order", "a str", object))? {
        "uv" => Ok(Order::Uv),
        "vu" => Ok(Order::Vu),
        got => Err(PyValueError::new_err(format!("order must be 'uv' or 'vu', got '{got}'"))),
    }
}

/// The core's verdict, or the exception that a signal handler raised meanwhile.
pub(crate) fn detached(
    num_threads: Option<usize>,
    call: impl FnOnce(Control<'_>) -> Result<(), Error>,
) -> PyResult<Result<(), Error>> {
    let mut raised = Ok(());
    let mut poll = || {
        raised = Python::attach(|py| py.check_signals());
        raised.is_err()
    };
    let control = Control { num_threads, interrupted: Some(&mut poll) };
    let done = call(control);
    raised.map(|()| done)
}

/// The arrays of one call.
struct Call<'py> {
    held: Vec<Held<'py>>,
    count: usize,
}

impl<'py> Call<'py> {
    fn borrow(
        matrices: &Bound<'py, PyAny>,
        u: &Bound<'py, PyAny>,
        v: &Bound<'py, PyAny>,
        out: Option<&Bound<'py, PyAny>>,
        given: &Given<'py>,
    ) -> PyResult<Self> {
        let matrices = listed(matrices)?;
        if matrices.len() != 1 && (given.0.is_some() || given.1.is_some()) {
            return Err(PyValueError::new_err("given belongs to one array of matrices"));
        }
        let (u, v) = (listed(u)?, listed(v)?);
        let out = out.map(listed).transpose()?;
        let lengths = [u.len(), v.len(), out.as_ref().map_or(matrices.len(), Vec::len)];
        if lengths.iter().any(|&len| len != matrices.len()) {
            let message = "u, v and out must hold one array for each matrix";
            return Err(PyValueError::new_err(message));
        }
        let mut call = Self { held: Vec::with_capacity(matrices.len()), count: 0 };
        for (i, a) in matrices.iter().enumerate() {
            let out = out.as_ref().map(|out| &out[i]);
            let held = Held::borrow(a, (&u[i], &v[i]), out, given)?;
            call.count += held.count;
            call.held.push(held);
        }
        Ok(call)
    }

    fn tasks<'a>(
        &'a mut self,
        coefficients: &'a PyReadonlyArray1<'_, f64>,
        mut sigma: &'a mut [f64],
    ) -> PyResult<Vec<AnyTask<'a>>> {
        let coefficients = coefficients.as_slice()?;
        if ![1, self.count].contains(&coefficients.len()) {
            let message = "coefficient must hold one number, or one for each matrix";
            return Err(PyValueError::new_err(message));
        }
        let mut rest = coefficients;
        let mut tasks = Vec::with_capacity(self.held.len());
        for held in &mut self.held {
            let (own, more) = sigma.split_at_mut(held.count);
            sigma = more;
            let cut = if coefficients.len() == 1 { 0 } else { held.count };
            let own_coefficients = if cut == 0 { rest } else { &rest[..cut] };
            rest = &rest[cut..];
            tasks.push(held.task(own_coefficients, own)?);
        }
        Ok(tasks)
    }
}

type Vectors<'a, 'py> = (&'a Bound<'py, PyUntypedArray>, &'a Bound<'py, PyUntypedArray>);

/// A matrix or a stack with its vectors, borrowed for the length of a call.
struct Held<'py> {
    typed: AnyHeld<'py>,
    /// Matrices in the array.
    count: usize,
    /// Rows and columns of each.
    shape: (usize, usize),
}

enum AnyHeld<'py> {
    F16(Typed<'py, f16>),
    Bf16(Typed<'py, bf16>),
    F32(Typed<'py, f32>),
    F64(Typed<'py, f64>),
}

/// The borrows of an element type; arrays without elements are not viewed.
struct Typed<'py, T: Steppable + Element>
where
    T::Vector: Element,
{
    a: Option<PyReadonlyArrayDyn<'py, T>>,
    out: Option<PyReadwriteArrayDyn<'py, T>>,
    u: Side<'py, T::Vector>,
    v: Side<'py, T::Vector>,
}

impl<'py> Held<'py> {
    fn borrow(
        a: &Bound<'py, PyUntypedArray>,
        vectors: Vectors<'_, 'py>,
        out: Option<&Bound<'py, PyUntypedArray>>,
        given: &Given<'py>,
    ) -> PyResult<Self> {
        let dtype = dtype_of(a).filter(|_| has_ready_layout(a));
        let dtype = dtype.ok_or_else(|| PyTypeError::new_err("the array is not ready"))?;
        if let Some(out) = out
            && (out.shape() != a.shape() || dtype_of(out) != Some(dtype))
        {
            return Err(PyValueError::new_err(
                "out must have the shape and the dtype of its matrix",
            ));
        }
        let [batch @ .., nrows, ncols] = a.shape() else { unreachable!("it has two axes or more") };
        let typed = match dtype {
            Dtype::F16 => AnyHeld::F16(Typed::borrow(a, vectors, out, given)?),
            Dtype::Bf16 => AnyHeld::Bf16(Typed::borrow(a, vectors, out, given)?),
            Dtype::F32 => AnyHeld::F32(Typed::borrow(a, vectors, out, given)?),
            Dtype::F64 => AnyHeld::F64(Typed::borrow(a, vectors, out, given)?),
            Dtype::Complex(_) => return Err(PyTypeError::new_err("power steps take real numbers")),
        };
        Ok(Self { typed, count: batch.iter().product(), shape: (*nrows, *ncols) })
    }

    fn task<'a>(&'a mut self, c: &'a [f64], sigma: &'a mut [f64]) -> PyResult<AnyTask<'a>> {
        match &mut self.typed {
            AnyHeld::F16(typed) => typed.task(self.shape, c, sigma),
            AnyHeld::Bf16(typed) => typed.task(self.shape, c, sigma),
            AnyHeld::F32(typed) => typed.task(self.shape, c, sigma),
            AnyHeld::F64(typed) => typed.task(self.shape, c, sigma),
        }
    }
}

impl<'py, T: Steppable + Element> Typed<'py, T>
where
    T::Vector: Element,
{
    fn borrow(
        a: &Bound<'py, PyUntypedArray>,
        vectors: Vectors<'_, 'py>,
        out: Option<&Bound<'py, PyUntypedArray>>,
        given: &Given<'py>,
    ) -> PyResult<Self> {
        let u = Side::borrow("u", vectors.0, given.0.as_ref())?;
        let v = Side::borrow("v", vectors.1, given.1.as_ref())?;
        if a.is_empty() {
            return Ok(Self { a: None, out: None, u, v });
        }
        let a = a.cast::<PyArrayDyn<T>>()?;
        let Some(out) = out else {
            return Ok(Self { a: Some(readable("a", a)?), out: None, u, v });
        };
        let out = out.cast::<PyArrayDyn<T>>()?;
        let in_place = a.data() == out.data() && a.strides() == out.strides();
        let a = if in_place { None } else { Some(readable("a", a)?) };
        Ok(Self { a, out: Some(writable("out", out.as_untyped())?), u, v })
    }

    fn task<'a>(
        &'a mut self,
        shape: (usize, usize),
        coefficients: &'a [f64],
        sigma: &'a mut [f64],
    ) -> PyResult<AnyTask<'a>> {
        let Self { a, out, u, v } = self;
        let laid_out = match (a, out) {
            (None, None) => Some((Weights::Packed(&[][..], None), false)),
            (a, out) if shape.0 * shape.1 * sigma.len() > 0 => weights(a.as_ref(), out.as_mut()),
            _ => None,
        };
        let layout = "a and out must both be C-contiguous, or 2-D with the same contiguous axis";
        let (weights, transposed) = laid_out.ok_or_else(|| PyValueError::new_err(layout))?;
        let shape = if transposed { (shape.1, shape.0) } else { shape };
        let ((u, given_u), (v, given_v)) = (u.slices()?, v.slices()?);
        let given = (given_u, given_v);
        Ok(T::task(Task { weights, shape, transposed, u, v, given, coefficients, sigma }))
    }
}

/// The matrices as the core takes them, and whether as their transposes.
fn weights<'a, T: Steppable + Element>(
    a: Option<&'a PyReadonlyArrayDyn<'_, T>>,
    out: Option<&'a mut PyReadwriteArrayDyn<'_, T>>,
) -> Option<(Weights<'a, T>, bool)> {
    let a = a.map(|a| a.as_array());
    let out = out.map(|out| out.as_array_mut());
    let is_packed = a.as_ref().is_none_or(|a| a.is_standard_layout())
        && out.as_ref().is_none_or(|out| out.is_standard_layout());
    if is_packed {
        let out = out.map(|out| out.into_slice()).map(|out| out.expect("it is contiguous"));
        let a = a.map(|a| a.to_slice().expect("it is contiguous"));
        return Some((
            match (a, out) {
                (Some(a), out) => Weights::Packed(a, out),
                (None, Some(out)) => Weights::PackedInPlace(out),
                (None, None) => return None,
            },
            false,
        ));
    }
    let a = a.map(|a| a.into_dimensionality::<Ix2>()).transpose().ok()?;
    let out = out.map(|out| out.into_dimensionality::<Ix2>()).transpose().ok()?;
    let transposed = !by_rows(a.as_ref(), out.as_ref());
    let (a, out) = match transposed {
        true => (a.map(ArrayView2::reversed_axes), out.map(ArrayViewMut2::reversed_axes)),
        false => (a, out),
    };
    if !by_rows(a.as_ref(), out.as_ref()) {
        return None;
    }
    let out = out.and_then(MatMut::from_view);
    Some((
        match (a.and_then(MatRef::from_view), out) {
            (Some(a), out) => Weights::Rows(a, out),
            (None, Some(out)) => Weights::RowsInPlace(out),
            (None, None) => return None,
        },
        transposed,
    ))
}

fn by_rows<T: Steppable>(
    a: Option<&ArrayView2<'_, T>>,
    out: Option<&ArrayViewMut2<'_, T>>,
) -> bool {
    a.is_none_or(|a| MatRef::from_view(*a).is_some())
        && out.is_none_or(|out| MatRef::from_view(out.view()).is_some())
}
