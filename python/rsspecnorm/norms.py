"""The spectral norm as a number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from rsspecnorm import _core
from rsspecnorm.arrays import as_list, as_stack
from rsspecnorm.convergence import warn_list, warn_stack
from rsspecnorm.options import common

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import ArrayLike, NDArray

    from rsspecnorm.options import Rng
    from rsspecnorm.results import Floats


def spectral_norm(
    a: ArrayLike,
    *,
    rtol: float | None = None,
    num_threads: int | None = None,
    check_finite: bool = False,
    rng: Rng = None,
) -> Floats:
    """Largest singular value of a matrix, or of every matrix of a stack.

    Replaces ``np.linalg.norm(a, 2)`` and ``np.linalg.norm(a, 2, axis=(-2, -1))``.

    Parameters
    ----------
    a : array_like, shape (..., M, N)
        A matrix or a stack of matrices: float16, bfloat16 (of ``ml_dtypes``), float32, float64,
        complex64 or complex128; integers and bool are converted to float64. Arrays whose last or
        last but one axis is contiguous are read in place, whatever their order, complex ones if
        it is the last; others are copied once. An array has at most 32 axes.
    rtol : float, optional
        Relative error of the result, at most; in [1e-14, 1). Default: 1e-6, and 1e-10 for float64
        and complex128.
    num_threads : int, optional
        Threads of this call. Default: the setting in force, see `get_num_threads`.
    check_finite : bool, optional
        Whether a nan or an inf in `a` is an error.
    rng : None, int or numpy.random.Generator, optional
        Where the random start comes from. None is the fixed seed 0, so that equal calls return
        equal bits; an int is a seed in [0, 2**64); a Generator is asked for one seed.

    Returns
    -------
    float64 or ndarray of float64, shape (...)
        The largest singular value (not its square), a scalar for one matrix. An empty or a zero
        matrix has norm 0. A matrix with a nan has norm nan, else one with an inf has norm inf;
        other matrices of the stack are not affected. A norm beyond the range of float64 is inf.

    Raises
    ------
    TypeError
        If the dtype is longdouble, clongdouble, or no number at all, or an option has the wrong
        type.
    ValueError
        If `a` has fewer than two axes, an option is out of range, or `check_finite` is set and a
        matrix, which the message names, has a nan or an inf.
    MemoryError
        If there is no memory for the results.

    Warns
    -----
    ConvergenceWarning
        If `rtol` was not reached within 300 passes over a matrix; the result is the best found.

    See Also
    --------
    spectral_norms : matrices of different shapes in one call.
    leading_triplet : also the singular vectors and the interval that holds sigma.
    spectral_bounds : only as much work as an interval of a given width needs.

    Notes
    -----
    A matrix with a shorter side of up to 96, or 128 for 64-bit elements, is solved directly: its
    Gram matrix, scaled by a power of two, is reduced to tridiagonal form [3]_, and the result is
    right to a few roundings whatever `rtol` is. Matrices of up to 16 columns share the lanes of a
    vector, eight at a time, so a stack of them is much faster than a loop.

    Others go through the Lanczos process on ``A^H A`` with full reorthogonalisation, from a random
    start, where one read of the matrix serves both products of a step. It stops when an upper bound
    from the Lanczos polynomial that holds with high probability over the start [1]_ [2]_ agrees
    with the Kato-Temple estimate. Results have the same bits for any number of threads, on any CPU,
    and whether a matrix comes alone, in a stack or in a list.

    References
    ----------
    .. [1] J. Kuczynski and H. Wozniakowski, "Estimating the largest eigenvalue by the power and
       Lanczos algorithms with a random start", SIAM J. Matrix Anal. Appl. 13 (1992), 1094-1122.
    .. [2] M. E. Hochstenbach, "Probabilistic upper bounds for the matrix two-norm", J. Sci.
       Comput. 57 (2013), 464-476.
    .. [3] G. H. Golub and C. F. Van Loan, "Matrix Computations", 4th ed. (2013), section 8.3.

    Examples
    --------
    >>> import numpy as np
    >>> from rsspecnorm import spectral_norm
    >>> round(float(spectral_norm([[3.0, 0.0], [4.0, 5.0]])), 9)
    6.708203932
    >>> spectral_norm(np.zeros((10, 3, 4))).shape
    (10,)
    """
    stack = as_stack(a)
    sigma, missed = _core.norms(stack, rtol, common(num_threads, check_finite, rng))
    if missed:
        warn_stack(missed, stack)
    return np.float64(sigma) if isinstance(sigma, float) else sigma.reshape(stack.shape[:-2])


def spectral_norms(
    arrays: Iterable[ArrayLike],
    *,
    rtol: float | None = None,
    num_threads: int | None = None,
    check_finite: bool = False,
    rng: Rng = None,
) -> NDArray[np.float64]:
    """Largest singular value of every matrix of a sequence, in one parallel call.

    Parameters
    ----------
    arrays : sequence of array_like, each of shape (M, N)
        Matrices of any shapes and dtypes, as `spectral_norm` takes them.
    rtol : float, optional
        Relative error of each result, at most; in [1e-14, 1). Default: 1e-6, and 1e-10 for 64-bit
        matrices.
    num_threads : int, optional
        Threads of this call. Default: the setting in force, see `get_num_threads`.
    check_finite : bool, optional
        Whether a nan or an inf in a matrix is an error.
    rng : None, int or numpy.random.Generator, optional
        As in `spectral_norm`; a Generator is asked for one seed for the whole sequence.

    Returns
    -------
    ndarray of float64, shape (len(arrays),)
        The bits that `spectral_norm` returns for each matrix alone.

    Raises
    ------
    TypeError
        If `arrays` is a mapping or no sequence, or as in `spectral_norm`.
    ValueError
        If a matrix is not 2-D, or as in `spectral_norm`; the message names its index.

    Warns
    -----
    ConvergenceWarning
        As in `spectral_norm`.

    Notes
    -----
    Threads share the matrices out among them, the largest first; a matrix is only split when it
    is large. See `spectral_norm` for the method.

    Examples
    --------
    >>> import numpy as np
    >>> from rsspecnorm import spectral_norms
    >>> weights = {"a": np.eye(3, dtype=np.float32), "b": np.full((2, 8), 0.5)}
    >>> spectral_norms(weights.values()).round(9)
    array([1., 2.])
    """
    matrices = as_list(arrays)
    sigma, missed = _core.norms(matrices, rtol, common(num_threads, check_finite, rng))
    if missed:
        warn_list(missed)
    return np.asarray(sigma)
