"""The leading singular triplet, and what is known of its error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rsspecnorm import _core
from rsspecnorm.arrays import as_list, as_stack, start_list, start_vectors, vector_dtype
from rsspecnorm.convergence import missed_of, warn_list, warn_stack
from rsspecnorm.options import common
from rsspecnorm.results import LeadingTriplet, shaped

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import ArrayLike, NDArray

    from rsspecnorm.options import Rng


def leading_triplet(
    a: ArrayLike,
    *,
    rtol: float | None = None,
    v0: ArrayLike | None = None,
    maxiter: int = 300,
    num_threads: int | None = None,
    check_finite: bool = False,
    rng: Rng = None,
) -> LeadingTriplet:
    """Largest singular value with its vectors, an interval that holds it, and a residual.

    Parameters
    ----------
    a : array_like, shape (..., M, N)
        A matrix or a stack of matrices, as `spectral_norm` takes them.
    rtol : float, optional
        Relative error of sigma, at most; in [1e-14, 1). Default: 1e-6, and 1e-10 for 64-bit input.
    v0 : array_like, shape (..., N) or (N,), optional
        Where to start from, for example the `v` of an earlier call: any multiple of a guess at the
        right singular vector. It is mixed with a random vector, so that a wrong guess costs time
        and not the result; zeros, a nan or an inf count as no guess. One vector of shape (N,)
        serves every matrix of a stack.
    maxiter : int, optional
        The most passes of the search. Those in single precision that led nowhere are not counted.
        Vectors take one pass more, a proof some more.
    num_threads : int, optional
        Threads of this call. Default: the setting in force, see `get_num_threads`.
    check_finite : bool, optional
        Whether a nan or an inf in `a` is an error.
    rng : None, int or numpy.random.Generator, optional
        Where the random start comes from, as in `spectral_norm`.

    Returns
    -------
    LeadingTriplet
        ``sigma``, ``u``, ``v``, ``second``, ``lower``, ``upper``, ``residual``, ``n_passes``,
        ``converged``, ``method``: scalars and vectors for one matrix, arrays of the batch shape
        for a stack (``method`` an array of str). All numbers are float64, but the vectors of a
        complex matrix complex128.

    Raises
    ------
    TypeError
        If the dtype of `a` or `v0` or the type of an option is not accepted.
    ValueError
        If `a` has fewer than two axes, `v0` has the wrong shape, an option is out of range, or
        `check_finite` is set and a matrix, which the message names, has a nan or an inf.
    MemoryError
        If there is no memory for the results.

    Warns
    -----
    ConvergenceWarning
        If `rtol` was not reached within `maxiter` passes; ``converged`` is False there.

    Notes
    -----
    See `spectral_norm` for the method. ``upper`` holds with a probability of at least 1 - 1e-6
    over the random start; `spectral_bounds` lets that probability be chosen. The sign of `v`, for a
    complex matrix its phase, is arbitrary but fixed, and that of `u` goes with it: ``A @ v`` is
    close to ``sigma * u``, so ``u.conj() @ A @ v`` is sigma.

    Examples
    --------
    >>> import numpy as np
    >>> from rsspecnorm import leading_triplet
    >>> a = np.array([[3.0, 0.0], [4.0, 5.0]])
    >>> top = leading_triplet(a)
    >>> bool(np.allclose(a @ top.v, top.sigma * top.u))
    True
    >>> bool(top.lower <= top.sigma <= top.upper)
    True
    """
    stack = as_stack(a)
    options = common(num_threads, check_finite, rng)
    columns = _core.triplets(stack, rtol, start_vectors(v0, stack), maxiter, options)
    if not columns["converged"].all():
        missed = missed_of(columns["converged"], columns["lower"], columns["upper"])
        warn_stack(missed, stack)
    return _stacked(columns, stack)


def leading_triplets(
    arrays: Iterable[ArrayLike],
    *,
    rtol: float | None = None,
    v0: Iterable[ArrayLike] | None = None,
    maxiter: int = 300,
    num_threads: int | None = None,
    check_finite: bool = False,
    rng: Rng = None,
) -> list[LeadingTriplet]:
    """Leading singular triplet of every matrix of a sequence, in one parallel call.

    Parameters
    ----------
    arrays : sequence of array_like, each of shape (M, N)
        Matrices of any shapes and dtypes.
    rtol : float, optional
        Relative error of each sigma, at most; in [1e-14, 1). Default: 1e-6, and 1e-10 for 64-bit
        matrices.
    v0 : sequence of array_like, optional
        One start vector of length N per matrix, as in `leading_triplet`.
    maxiter : int, optional
        The most passes of the search. Those in single precision that led nowhere are not counted.
        Vectors take one pass more, a proof some more.
    num_threads : int, optional
        Threads of this call. Default: the setting in force, see `get_num_threads`.
    check_finite : bool, optional
        Whether a nan or an inf in a matrix is an error.
    rng : None, int or numpy.random.Generator, optional
        As in `spectral_norm`; a Generator is asked for one seed for the whole sequence.

    Returns
    -------
    list of LeadingTriplet
        The bits that `leading_triplet` returns for each matrix alone.

    Raises
    ------
    TypeError
        If `arrays` is a mapping or no sequence, or as in `leading_triplet`.
    ValueError
        If a matrix is not 2-D, or as in `leading_triplet`; the message names its index.

    Warns
    -----
    ConvergenceWarning
        As in `leading_triplet`.

    Notes
    -----
    See `spectral_norms` for how threads share the work.

    Examples
    --------
    >>> import numpy as np
    >>> from rsspecnorm import leading_triplets
    >>> tops = leading_triplets([np.eye(3), np.full((2, 8), 0.5)])
    >>> [top.u.shape for top in tops]
    [(3,), (2,)]
    """
    matrices = as_list(arrays)
    options = common(num_threads, check_finite, rng)
    columns = _core.triplets(matrices, rtol, start_list(v0, matrices), maxiter, options)
    if not columns["converged"].all():
        warn_list(missed_of(columns["converged"], columns["lower"], columns["upper"]))
    return _listed(columns, matrices)


def _stacked(columns: Mapping[str, Any], stack: NDArray[Any]) -> LeadingTriplet:
    """Give every column the batch shape, and the vectors their own axis."""
    *batch, nrows, ncols = stack.shape
    dtype = vector_dtype(stack)
    return LeadingTriplet(
        u=columns["u"].view(dtype).reshape(*batch, nrows),
        v=columns["v"].view(dtype).reshape(*batch, ncols),
        **{name: shaped(column, tuple(batch)) for name, column in _scalars(columns).items()},
    )


def _scalars(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns with one entry per matrix."""
    return {name: column for name, column in columns.items() if name not in {"u", "v"}}


def _listed(columns: Mapping[str, Any], matrices: list[NDArray[Any]]) -> list[LeadingTriplet]:
    """Cut the columns into one result per matrix, each with vectors of its own."""
    scalars = _scalars(columns)
    us = _cut(columns["u"], [a.shape[0] for a in matrices], matrices)
    vs = _cut(columns["v"], [a.shape[1] for a in matrices], matrices)
    return [
        LeadingTriplet(u=u, v=v, **{name: column[i] for name, column in scalars.items()})
        for i, (u, v) in enumerate(zip(us, vs, strict=True))
    ]


def _cut(
    joined: NDArray[np.float64], lengths: list[int], matrices: list[NDArray[Any]]
) -> list[NDArray[Any]]:
    """Return copies, so that one vector does not keep the memory of all the others."""
    dtypes = [vector_dtype(a) for a in matrices]
    sizes = [n * dtype.itemsize // 8 for n, dtype in zip(lengths, dtypes, strict=True)]
    ends = np.cumsum(sizes, dtype=np.intp)
    cuts = zip(sizes, ends, dtypes, strict=True)
    return [joined[end - n : end].copy().view(dtype) for n, end, dtype in cuts]
