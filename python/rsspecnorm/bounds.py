"""Intervals that hold the spectral norm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from rsspecnorm import _core
from rsspecnorm.arrays import as_stack, start_vectors
from rsspecnorm.convergence import missed_of, warn_stack
from rsspecnorm.options import common
from rsspecnorm.results import SpectralBounds, shaped

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from rsspecnorm.options import Rng


def spectral_bounds(
    a: ArrayLike,
    *,
    kind: Literal["probable"] = "probable",
    width: float = 1e-2,
    failure_prob: float = 1e-6,
    v0: ArrayLike | None = None,
    maxiter: int = 300,
    num_threads: int | None = None,
    check_finite: bool = False,
    rng: Rng = None,
) -> SpectralBounds:
    """Interval that holds the largest singular value, ``lower <= sigma <= upper``.

    For step sizes and Lipschitz constants, where a value that is too low does harm.

    Parameters
    ----------
    a : array_like, shape (..., M, N)
        A matrix or a stack of matrices, as `spectral_norm` takes them.
    kind : {"probable"}, optional
        ``"probable"``: `lower` holds up to rounding, `upper` fails with probability
        `failure_prob` at most, over the random start and for any matrix. ``"rigorous"`` is
        reserved.
    width : float, optional
        Relative width to reach: ``upper <= (1 + width) * lower``.
    failure_prob : float, optional
        In (0, 1); see `kind`.
    v0 : array_like, shape (..., N) or (N,), optional
        Where to start from, as in `leading_triplet`.
    maxiter : int, optional
        The most passes over a matrix.
    num_threads : int, optional
        Threads of this call. Default: the setting in force, see `get_num_threads`.
    check_finite : bool, optional
        Whether a nan or an inf in `a` is an error.
    rng : None, int or numpy.random.Generator, optional
        Where the random start comes from, as in `spectral_norm`.

    Returns
    -------
    SpectralBounds
        ``lower``, ``upper``, ``kind``, ``failure_prob``, ``n_passes``, ``converged``: scalars for
        one matrix, arrays of the batch shape for a stack. Bounds of a matrix with a nan are
        (nan, nan), with an inf (inf, inf).

    Raises
    ------
    TypeError
        If the dtype of `a` or `v0` or the type of an option is not accepted.
    ValueError
        If `a` has fewer than two axes, `v0` has the wrong shape, `kind` is unknown, an option is
        out of range, or `check_finite` is set and a matrix has a nan or an inf.

    Warns
    -----
    ConvergenceWarning
        If `width` was not reached within `maxiter` passes; the interval holds all the same.

    Notes
    -----
    The upper end is where the last Lanczos polynomial, which is small on the singular values
    found, would have to be for the random start to have missed a larger one: a probability
    that follows from the start's distribution alone, through the Christoffel function of the
    process [1]_ [2]_.

    References
    ----------
    .. [1] J. Kuczynski and H. Wozniakowski, "Estimating the largest eigenvalue by the power and
       Lanczos algorithms with a random start", SIAM J. Matrix Anal. Appl. 13 (1992), 1094-1122.
    .. [2] M. E. Hochstenbach, "Probabilistic upper bounds for the matrix two-norm", J. Sci.
       Comput. 57 (2013), 464-476.

    Examples
    --------
    >>> import numpy as np
    >>> from rsspecnorm import spectral_bounds
    >>> bounds = spectral_bounds(np.diag([1.0, 2.0, 3.0]))
    >>> bool(bounds.lower <= 3.0 <= bounds.upper <= 1.01 * bounds.lower)
    True
    """
    _check_kind(kind)
    stack = as_stack(a)
    start, options = start_vectors(v0, stack), common(num_threads, check_finite, rng)
    columns = _core.bounds(stack, width, failure_prob, start, maxiter, options)
    lower, upper, converged = columns["lower"], columns["upper"], columns["converged"]
    if not converged.all():
        warn_stack(missed_of(converged, lower, upper), stack)
    batch = stack.shape[:-2]
    return SpectralBounds(
        lower=shaped(lower, batch),
        upper=shaped(upper, batch),
        kind=kind,
        failure_prob=float(failure_prob),
        n_passes=shaped(columns["n_passes"], batch),
        converged=shaped(converged, batch),
    )


def _check_kind(kind: str) -> None:
    if kind == "rigorous":
        message = 'kind="rigorous" is not available yet; the only kind so far is "probable"'
        raise ValueError(message)
    if kind != "probable":
        message = f'kind must be "probable", got {kind!r}'
        raise ValueError(message)
