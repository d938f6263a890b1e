"""What is refused, with which exception, and what the message names."""

import numpy as np
import pytest

import rsspecnorm as rn
from processes import run_python
from rsspecnorm import spectral_norm, spectral_norms

A = np.eye(3)
NAN = np.array([[1.0, np.nan], [0.0, 1.0]])
NAN_STACK = np.stack([np.eye(2)] * 6).reshape(2, 3, 2, 2)
NAN_STACK[1, 2, 0, 0] = np.inf

INPUTS = [
    ("number", 3.0, ValueError, "a must be 2-D or a stack of matrices"),
    ("vector", np.ones(3), ValueError, r"got shape \(3,\)"),
    ("empty list", [], ValueError, r"got shape \(0,\)"),
    ("33 axes", np.ones((1,) * 33), ValueError, "at most 32 axes"),
    ("ragged", [[1.0], [1.0, 2.0]], ValueError, "inhomogeneous"),
    ("None", None, TypeError, "dtype object"),
    ("text", "abc", TypeError, "real numbers"),
    ("objects", np.array([[1, None]]), TypeError, r"cast it first: a.astype\(np.float64\)"),
    ("clongdouble", A.astype(np.clongdouble), TypeError, "complex ones of at most 128"),
    ("longdouble", A.astype(np.longdouble), TypeError, "dtype longdouble|dtype float128"),
    ("dates", np.zeros((2, 2), "M8[s]"), TypeError, "real numbers"),
    ("records", np.zeros((2, 2), "f8,f8"), TypeError, "real numbers"),
]


@pytest.mark.parametrize(
    ("a", "exception", "fragment"), [row[1:] for row in INPUTS], ids=[row[0] for row in INPUTS]
)
@pytest.mark.parametrize("function", ["spectral_norm", "leading_triplet", "spectral_bounds"])
def test_function_of_bad_input_raises(function, a, exception, fragment):
    with pytest.raises(exception, match=fragment):
        getattr(rn, function)(a)


OPTIONS = [
    ("spectral_norm", {"rtol": 0.0}, ValueError, "rtol"),
    ("spectral_norm", {"rtol": -1e-3}, ValueError, "rtol"),
    ("spectral_norm", {"rtol": np.nan}, ValueError, "rtol"),
    ("spectral_norm", {"rtol": 1.0}, ValueError, "rtol"),
    ("spectral_norm", {"rtol": np.inf}, ValueError, "rtol"),
    ("spectral_norm", {"rtol": 1e-40}, ValueError, "rtol"),
    ("spectral_norm", {"rtol": "1e-6"}, TypeError, "rtol must be a real number, got str"),
    ("spectral_norm", {"num_threads": 0}, ValueError, "num_threads must be positive, got 0"),
    ("spectral_norm", {"num_threads": -2}, ValueError, "num_threads must be positive, got -2"),
    ("spectral_norm", {"num_threads": 2**64}, ValueError, r"num_threads must be below 2\*\*64"),
    ("spectral_norm", {"num_threads": -(2**64)}, ValueError, "num_threads must be positive"),
    ("spectral_norm", {"num_threads": 1.5}, TypeError, "num_threads must be an int, got float"),
    ("spectral_norm", {"check_finite": "yes"}, TypeError, "check_finite must be a bool, got str"),
    ("spectral_norm", {"rng": -1}, ValueError, "rng must be in"),
    ("spectral_norm", {"rng": 2**64}, ValueError, "rng must be in"),
    ("spectral_norm", {"rng": "seed"}, TypeError, "rng must be None, an int or"),
    ("spectral_norm", {"rng": np.random.RandomState(0)}, TypeError, "got RandomState"),
    ("leading_triplet", {"maxiter": 0}, ValueError, "maxiter must be positive"),
    ("leading_triplet", {"maxiter": -1}, ValueError, "maxiter must be positive, got -1"),
    ("leading_triplet", {"maxiter": 2**64}, ValueError, r"maxiter must be below 2\*\*64, got 18"),
    ("leading_triplet", {"maxiter": 2.0}, TypeError, "maxiter must be an int"),
    ("leading_triplet", {"v0": np.ones(4)}, ValueError, r"v0 must have shape \(3,\), got \(4,\)"),
    ("leading_triplet", {"v0": np.ones((1, 3))}, ValueError, r"got \(1, 3\)"),
    ("leading_triplet", {"v0": 3}, ValueError, r"v0 must have shape \(3,\), got \(\)"),
    ("leading_triplet", {"v0": [[1], [1, 2]]}, ValueError, "v0 must be an array.* inhomogeneous"),
    ("leading_triplet", {"v0": np.ones(3, complex)}, TypeError, "v0 must hold real numbers"),
    ("spectral_bounds", {"width": 0.0}, ValueError, "width"),
    ("spectral_bounds", {"width": -0.1}, ValueError, "width"),
    ("spectral_bounds", {"width": np.nan}, ValueError, "width"),
    ("spectral_bounds", {"width": None}, TypeError, "width must be a real number"),
    ("spectral_bounds", {"failure_prob": 0.0}, ValueError, "failure_prob"),
    ("spectral_bounds", {"failure_prob": 1.0}, ValueError, "failure_prob"),
    ("spectral_bounds", {"failure_prob": np.nan}, ValueError, "failure_prob"),
    ("spectral_bounds", {"kind": "rigorous", "width": 0.0}, ValueError, "width"),
    ("spectral_bounds", {"kind": "rigorous", "width": "x"}, TypeError, "width must be a real"),
    ("spectral_bounds", {"kind": "sure"}, ValueError, "or \"rigorous\", got 'sure'"),
    ("spectral_bounds", {"kind": None}, ValueError, 'or "rigorous", got None'),
    ("spectral_bounds", {"v0": np.ones(2)}, ValueError, "v0"),
]


@pytest.mark.parametrize(("function", "options", "exception", "fragment"), OPTIONS)
def test_function_with_bad_option_raises(function, options, exception, fragment):
    with pytest.raises(exception, match=fragment):
        getattr(rn, function)(A, **options)


@pytest.mark.parametrize(
    ("function", "options", "exception", "fragment"),
    [row for row in OPTIONS if "v0" not in row[1]],  # its shape is that of the batch
)
def test_empty_stack_with_bad_option_raises(function, options, exception, fragment):
    with pytest.raises(exception, match=fragment):
        getattr(rn, function)(np.empty((0, 3, 3)), **options)


@pytest.mark.parametrize(
    ("arrays", "exception", "fragment"),
    [
        ({"w": A}, TypeError, "arrays must be a sequence of matrices, got dict"),
        (3.0, TypeError, "arrays must be a sequence of matrices, got float"),
        ([A, np.ones(3)], ValueError, r"arrays\[1\] must be 2-D, got shape \(3,\)"),
        ([A, A, np.ones((2, 3, 3))], ValueError, r"arrays\[2\] must be 2-D, got shape \(2, 3, 3\)"),
        ([A, A.astype("G")], TypeError, r"arrays\[1\] must hold real numbers"),
        ([A.astype(object)], TypeError, r"arrays\[0\] must hold real numbers"),
        ([A, [[1.0], [1.0, 2.0]]], ValueError, r"arrays\[1\] must be an array.* inhomogeneous"),
    ],
)
@pytest.mark.parametrize("function", ["spectral_norms", "leading_triplets"])
def test_function_of_bad_sequence_raises(function, arrays, exception, fragment):
    with pytest.raises(exception, match=fragment):
        getattr(rn, function)(arrays)


@pytest.mark.parametrize(
    ("v0", "fragment"),
    [
        ([np.ones(3)], "one vector per matrix, 2, got 1"),
        ([np.ones(3), np.ones(2)], r"v0\[1\] must have shape \(3,\), got \(2,\)"),
    ],
)
def test_triplets_with_bad_start_vectors_raises(v0, fragment):
    with pytest.raises(ValueError, match=fragment):
        rn.leading_triplets([A, A], v0=v0)


def test_triplets_with_start_vectors_that_are_none_raises():
    with pytest.raises(TypeError, match="v0 must be a sequence of vectors, got int"):
        rn.leading_triplets([A], v0=3)


BEYOND_MEMORY = {
    "broadcast": np.broadcast_to(A, (2**50, 3, 3)),
    "broadcast batch": np.broadcast_to(A[:, None], (2**30, 2**20, 3, 1, 3)),
    "empty matrices": np.zeros((2**50, 0, 0)),
    "no rows": np.zeros((0, 2**55)),
    "no columns": np.zeros((2**55, 0)),
}


@pytest.mark.parametrize("name", BEYOND_MEMORY)
def test_results_beyond_memory_raise(name):
    a = BEYOND_MEMORY[name]
    functions = [rn.leading_triplet, rn.power_iteration, rn.spectral_normalize]
    # One matrix without entries has a norm of a few bytes.
    functions += [rn.spectral_norm, rn.spectral_bounds] if a.ndim > 2 else []
    for function in functions:
        with pytest.raises(MemoryError):
            function(a)


def test_check_finite_of_matrix_raises():
    with pytest.raises(ValueError, match="a must hold finite values only, but it has"):
        spectral_norm(NAN, check_finite=True)


@pytest.mark.parametrize("function", ["spectral_norm", "leading_triplet", "spectral_bounds"])
def test_check_finite_of_stack_names_index_tuple(function):
    with pytest.raises(ValueError, match=r"but a\[1, 2\] has a nan or an inf"):
        getattr(rn, function)(NAN_STACK, check_finite=True)


def test_check_finite_of_sequence_names_flat_index():
    with pytest.raises(ValueError, match=r"but arrays\[2\] has a nan or an inf"):
        spectral_norms([A, A, NAN, A], check_finite=True)


def test_check_finite_of_finite_input_passes():
    assert spectral_norm(A, check_finite=True) == spectral_norm(A)


def test_options_are_keyword_only():
    with pytest.raises(TypeError, match="positional"):
        spectral_norm(A, 1e-6)


def test_sparse_matrix_is_refused_by_name():
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match="dtype object"):
        spectral_norm(sparse.eye_array(3))


def test_unknown_level_raises():
    done = run_python("import rsspecnorm; rsspecnorm.build_info()", RSSPECNORM_LEVEL="mmx")
    assert done.returncode == 1
    assert "RuntimeError: RSSPECNORM_LEVEL must be one of" in done.stderr
    assert "'mmx'" in done.stderr


def test_unknown_attribute_raises():
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        _ = rn.no_such_name
