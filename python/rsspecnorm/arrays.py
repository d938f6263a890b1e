"""Making a caller's input ready for the core, or saying why it cannot be.

A *ready* array is one that the core borrows as it is: native byte order, aligned, float16,
bfloat16, float32 or float64, with a contiguous axis among the last two, or complex64 or complex128,
with a contiguous last axis. Everything else costs one copy, made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from rsspecnorm import _core

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

MAX_NDIM = 32
_MATRIX_NDIM = 2


def as_stack(a: ArrayLike) -> NDArray[Any]:
    """Return `a` as a ready array of at least two axes."""
    if isinstance(a, np.ndarray) and _core.is_ready(a):
        return a
    return _made_ready(a, "a", range(2, MAX_NDIM + 1))


def as_list(arrays: Iterable[ArrayLike]) -> list[NDArray[Any]]:
    """Return every item as a ready array of exactly two axes."""
    if isinstance(arrays, Mapping) or not isinstance(arrays, Iterable):
        message = f"arrays must be a sequence of matrices, got {type(arrays).__name__}"
        raise TypeError(message)
    return [as_matrix(a, f"arrays[{i}]") for i, a in enumerate(arrays)]


def as_stepped(a: NDArray[Any], name: str) -> NDArray[Any]:
    """Return `a`, which is ready, as power steps take it: real, single rows and columns packed."""
    if a.dtype.kind == "c":
        message = f"{name} must hold real numbers, got dtype {a.dtype}"
        raise TypeError(message)
    return np.ascontiguousarray(a) if has_gaps(a) else a


def has_gaps(a: NDArray[Any]) -> bool:
    """Whether the matrices are single rows or columns with gaps, of which the bits would differ."""
    if 1 not in a.shape[-2:]:
        return False
    axis = -1 if a.shape[-2] == 1 else -2
    return a.shape[axis] > 1 and a.strides[axis] != a.itemsize


def as_array(a: ArrayLike, name: str) -> NDArray[Any]:
    """Return `a`, which messages call `name`, as an array."""
    try:
        return np.asarray(a)
    except ValueError as error:
        message = f"{name} must be an array or make one: {error}"
        raise ValueError(message) from error


def as_matrix(a: ArrayLike, name: str) -> NDArray[Any]:
    """Return `a`, which messages call `name`, as a ready array of exactly two axes."""
    if isinstance(a, np.ndarray) and a.ndim == _MATRIX_NDIM and _core.is_ready(a):
        return a
    return _made_ready(a, name, range(_MATRIX_NDIM, _MATRIX_NDIM + 1))


def _made_ready(a: ArrayLike, name: str, ndims: range) -> NDArray[Any]:
    array = as_array(a, name)
    dtype = _ready_dtype(array.dtype, name)
    if array.ndim not in ndims:
        stack = f" or a stack of matrices (at most {MAX_NDIM} axes)" if len(ndims) > 1 else ""
        message = f"{name} must be 2-D{stack}, got shape {array.shape}"
        raise ValueError(message)
    if array.dtype != dtype:
        # In one order, whatever the layout: a matrix has the bits that it has within a stack.
        array = array.astype(dtype, order="C")
    return array if _core.is_ready(array) else np.array(array, order="C")


def _ready_dtype(dtype: np.dtype[Any], name: str) -> np.dtype[Any]:
    """Return the native dtype that the core reads in place of `dtype`."""
    if dtype.char in "efdFD" or dtype.name == "bfloat16":
        return dtype.newbyteorder("=")
    if dtype.kind in "biu":
        return np.dtype(np.float64)
    message = (
        f"{name} must hold real numbers of at most 64 bits or complex ones of at most 128, "
        f"got dtype {dtype}; cast it first: a.astype(np.float64)"
    )
    raise TypeError(message)


def start_vectors(v0: ArrayLike | None, a: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return the start vectors of a stack, end to end; one vector serves every matrix."""
    if v0 is None:
        return None
    vectors = _as_vectors(v0, "v0", a)
    expected = (*a.shape[:-2], a.shape[-1])
    if vectors.shape not in {expected, expected[-1:]}:
        message = f"v0 must have shape {expected}, got {vectors.shape}"
        raise ValueError(message)
    return np.ascontiguousarray(np.broadcast_to(vectors, expected)).reshape(-1).view(np.float64)


def start_list(
    v0: Iterable[ArrayLike] | None, arrays: list[NDArray[Any]]
) -> NDArray[np.float64] | None:
    """Return the start vectors of a list of matrices, end to end."""
    if v0 is None:
        return None
    if isinstance(v0, Mapping) or not isinstance(v0, Iterable):
        message = f"v0 must be a sequence of vectors, got {type(v0).__name__}"
        raise TypeError(message)
    given = list(v0)
    if len(given) != len(arrays):
        message = f"v0 must hold one vector per matrix, {len(arrays)}, got {len(given)}"
        raise ValueError(message)
    pairs = enumerate(zip(given, arrays, strict=True))
    vectors = [_as_vectors(v, f"v0[{i}]", a) for i, (v, a) in pairs]
    for i, (v, a) in enumerate(zip(vectors, arrays, strict=True)):
        if v.shape != a.shape[1:]:
            message = f"v0[{i}] must have shape {a.shape[1:]}, got {v.shape}"
            raise ValueError(message)
    return np.concatenate([np.empty(0), *(v.view(np.float64) for v in vectors)])


def _as_vectors(v0: ArrayLike, name: str, a: NDArray[Any]) -> NDArray[Any]:
    """Return vectors of the numbers that the matrices `a` are made of, in double precision."""
    vectors = as_array(v0, name)
    kinds = "fbiuc" if a.dtype.kind == "c" else "fbiu"
    if vectors.dtype.name != "bfloat16" and vectors.dtype.kind not in kinds:
        numbers = "numbers" if a.dtype.kind == "c" else "real numbers for a real matrix"
        message = f"{name} must hold {numbers}, got dtype {vectors.dtype}"
        raise TypeError(message)
    return np.asarray(vectors, dtype=vector_dtype(a), order="C")


def vector_dtype(a: NDArray[Any]) -> np.dtype[Any]:
    """Return the dtype of the singular vectors of `a`."""
    return np.dtype(np.complex128 if a.dtype.kind == "c" else np.float64)
