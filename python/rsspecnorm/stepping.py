"""What the calls that make power steps share: vectors, coefficients, results, the call itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

import numpy as np

from rsspecnorm import _core
from rsspecnorm.arrays import as_array
from rsspecnorm.memory import fresh
from rsspecnorm.options import common

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from rsspecnorm.options import Rng

Order: TypeAlias = Literal["uv", "vu"]

_MATRIX_NDIM = 2
# Vectors of doubles beyond these are brought near one before they are made single precision.
_SINGLE_RANGE = (1e-30, 1e30)


# Vectors of at least as many bytes are copied by the threads that move them.
_WORTH_SHARING = 1 << 16


class Vectors(NamedTuple):
    """The vectors of a call: where they go, and what they begin with if that is not in there."""

    own: NDArray[Any]
    given: NDArray[Any] | None = None

    def filled(self) -> NDArray[Any]:
        """Return `own` with what it begins with in it."""
        if self.given is not None:
            np.copyto(self.own, self.given)
        return self.own


class Steps(NamedTuple):
    """The settings of a call, as the caller gave them."""

    n_power_iterations: int
    eps: float
    order: Order
    soft: bool = False


def vector_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the precision of the steps on matrices of this dtype."""
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def vectors(
    x: ArrayLike | None, name: str, a: NDArray[Any], axis: int, out: object = None
) -> Vectors:
    """Return a fresh packed array of one vector per matrix; zeros where there is none.

    `out` is what else the call writes to.
    """
    expected = (*a.shape[:-2], a.shape[axis])
    dtype = vector_dtype(a.dtype)
    if x is None:
        return Vectors(np.zeros(expected, dtype))
    given = as_array(x, name)
    if given.dtype.name != "bfloat16" and given.dtype.kind not in "fbiu":
        message = f"{name} must hold real numbers, got dtype {given.dtype}"
        raise TypeError(message)
    if given.shape not in {expected, expected[-1:]}:
        message = f"{name} must have shape {expected}, got {given.shape}"
        raise ValueError(message)
    if given.dtype.itemsize > dtype.itemsize:
        given = _near_one(given.astype(np.float64, copy=False))
    if given.shape != expected:
        given = np.broadcast_to(given, expected)
    if given.nbytes >= _WORTH_SHARING and _serves(given, dtype, out):
        return Vectors(fresh(expected, dtype), given)
    return Vectors(np.array(given, dtype, order="C"))


def _serves(given: NDArray[Any], dtype: np.dtype[Any], out: object) -> bool:
    """Whether the core can read the caller's vectors as they are, during a call."""
    return (
        given.dtype == dtype
        and given.flags.c_contiguous
        and given.flags.aligned
        and not (isinstance(out, np.ndarray) and np.may_share_memory(given, out))
    )


def _near_one(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale vectors whose entries leave the range of single precision, keeping directions."""
    peak = np.abs(x).max(axis=-1, keepdims=True, initial=0.0)
    low, high = _SINGLE_RANGE
    strange = (peak > 0) & np.isfinite(peak) & ((peak < low) | (peak > high))
    return x / np.where(strange, peak, 1.0) if strange.any() else x


def coefficients(coefficient: ArrayLike, batch: tuple[int, ...]) -> NDArray[np.float64]:
    """Return one coefficient for all matrices, or one for each, end to end."""
    given = as_array(coefficient, "coefficient")
    if given.dtype.kind not in "fiu":
        message = f"coefficient must be a real number or an array of them, got {coefficient!r}"
        raise TypeError(message)
    given = given.astype(np.float64, copy=False)
    if given.ndim == 0:
        return given.reshape(1)
    try:
        return np.ascontiguousarray(np.broadcast_to(given, batch)).reshape(-1)
    except ValueError:
        message = f"coefficient must be a number or have shape {batch}, got shape {given.shape}"
        raise ValueError(message) from None


def run_stack(
    a: NDArray[Any],
    vectors: tuple[Vectors, Vectors],
    out: NDArray[Any] | None,
    coefficient: NDArray[np.float64],
    settings: tuple[Steps, tuple[int, int | None, bool]],
) -> NDArray[np.float64]:
    """Make the steps on a ready matrix or stack; return every sigma, end to end.

    The vectors' own arrays are updated. `out` must have the shape, the dtype and the layout of `a`.
    """
    steps, options = settings
    tuple_of = (steps.n_power_iterations, steps.eps, steps.order, steps.soft, a.shape[:-2])
    u, v = vectors
    if a.ndim == _MATRIX_NDIM or _is_packed(a, out):
        given = u.given, v.given
        return _core.normalize(a, u.own, v.own, out, coefficient, tuple_of, options, given)
    matrices, us, vs = (_flat(x, a) for x in (a, u.filled(), v.filled()))
    outs = None if out is None else _flat(out, a)
    return _core.normalize(matrices, us, vs, outs, coefficient, tuple_of, options)


def _flat(x: NDArray[Any], a: NDArray[Any]) -> list[NDArray[Any]]:
    """Return views of what `x` has for every matrix of the stack `a`."""
    return [x[index] for index in np.ndindex(a.shape[:-2])]


def _is_packed(a: NDArray[Any], out: NDArray[Any] | None) -> bool:
    return a.flags.c_contiguous and (out is None or out.flags.c_contiguous)


def normalize_arrays(  # noqa: PLR0913 - all of `spectral_normalize`, for many matrices
    weights: Sequence[NDArray[Any]],
    us: Sequence[NDArray[Any]],
    vs: Sequence[NDArray[Any]],
    outs: Sequence[NDArray[Any]] | None = None,
    *,
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    order: Order = "uv",
    coefficient: float | Sequence[float] | NDArray[np.float64] = 1.0,
    soft: bool = False,
    num_threads: int | None = None,
    check_finite: bool = False,
    rng: Rng = None,
) -> NDArray[np.float64]:
    """Make power steps on many matrices of any shapes and dtypes in one native call.

    The form that adapters call; `spectral_normalize` and `SpectralNormalizer` are for users.
    Nothing is copied and little is checked: what the core cannot take as it is, it refuses.

    Parameters
    ----------
    weights : sequence of ndarray, each of shape (M, N)
        Native, aligned float16, bfloat16, float32 or float64, with one contiguous axis.
    us, vs : sequences of ndarray, each of shape (M,) and (N,)
        Contiguous; float64 for float64 matrices, float32 for all others. Updated in place. A
        vector of zeros, or with a nan or an inf, counts as none; a matrix with neither starts from
        the seed and is given 15 steps more. Kept where the matrix is zero or not finite.
    outs : sequence of ndarray, optional
        Where the normalised matrices go: the shape and the dtype of each weight, and the same
        contiguous axis. An entry may be the weight itself. None computes sigma, u and v alone.
    n_power_iterations, eps, order, soft, num_threads, check_finite, rng
        As in `spectral_normalize`.
    coefficient : float or sequence of float
        One for all matrices, or one for each.

    Returns
    -------
    ndarray of float64, shape (len(weights),)
        Sigma of every matrix, not divided by `coefficient`.

    Raises
    ------
    TypeError
        If an array has a dtype or a layout that the core does not take.
    ValueError
        If shapes do not fit, an output overlaps another array or is read-only, or an option is out
        of range.
    """
    return _core.normalize(
        weights,
        us,
        vs,
        outs,
        coefficients(coefficient, (len(weights),)),
        (n_power_iterations, eps, order, soft, None),
        common(num_threads, check_finite, rng),
    )
