"""Intervals that hold the spectral norm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

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
    kind: Literal["probable", "rigorous"] = "probable",
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
    kind : {"probable", "rigorous"}, optional
        ``"probable"``: `lower` holds up to rounding, `upper` fails with probability
        `failure_prob` at most, over the random start and for any matrix. ``"rigorous"``: both
        ends hold whatever the start was, every rounding error accounted for; where no cheaper
        bound is near enough it takes a factorisation of ``N**3 / 3`` operations and twice the
        memory of an ``N`` by ``N`` triangle, ``N`` being the shorter side.
    width : float, optional
        Relative width to reach: ``upper <= (1 + width) * lower``. The proof of ``"rigorous"``
        needs room for rounding, about ``1e-16 * N**2 / 2``, and five times that for complex
        matrices; a smaller width is answered by the interval that was reached, with
        ``converged=False``.
    failure_prob : float, optional
        In [1e-12, 1), for ``"probable"``; see `kind`.
    v0 : array_like, shape (..., N) or (N,), optional
        Where to start from, as in `leading_triplet`.
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
    MemoryError
        If there is no memory for the results.

    Warns
    -----
    ConvergenceWarning
        If `width` was not reached, within `maxiter` passes or at all; the interval holds all the
        same.

    Notes
    -----
    The upper end is where the last Lanczos polynomial, which is small on the singular values
    found, would have to be for the random start to have missed a larger one: a probability
    that follows from the start's distribution alone, through the Christoffel function of the
    process [1]_ [2]_.

    The rigorous upper end is the least of the Frobenius norm, a bound by row and column sums of
    magnitudes, and the c for which a Cholesky factorisation of ``c**2 * I - A.T @ A`` ran to its
    end in floating point, enlarged by all that rounding may have done on the way [3]_. It
    assumes IEEE arithmetic rounded to nearest.

    References
    ----------
    .. [1] J. Kuczynski and H. Wozniakowski, "Estimating the largest eigenvalue by the power and
       Lanczos algorithms with a random start", SIAM J. Matrix Anal. Appl. 13 (1992), 1094-1122.
    .. [2] M. E. Hochstenbach, "Probabilistic upper bounds for the matrix two-norm", J. Sci.
       Comput. 57 (2013), 464-476.
    .. [3] S. M. Rump, "Verification of positive definiteness", BIT Numer. Math. 46 (2006),
       433-452.

    Examples
    --------
    >>> import numpy as np
    >>> from rsspecnorm import spectral_bounds
    >>> bounds = spectral_bounds(np.diag([1.0, 2.0, 3.0]))
    >>> bool(bounds.lower <= 3.0 <= bounds.upper <= 1.01 * bounds.lower)
    True
    >>> proved = spectral_bounds(np.diag([1.0, 2.0, 3.0]), kind="rigorous", width=1e-12)
    >>> bool(proved.lower <= 3.0 <= proved.upper), proved.failure_prob
    (True, 0.0)
    """
    _check_kind(kind)
    stack = as_stack(a)
    start, options = start_vectors(v0, stack), common(num_threads, check_finite, rng)
    chance = None if kind == "rigorous" else _given(failure_prob)
    columns = _core.bounds(stack, width, chance, start, maxiter, options)
    lower, upper, converged = columns["lower"], columns["upper"], columns["converged"]
    if not converged.all():
        warn_stack(missed_of(converged, lower, upper), stack)
    batch = stack.shape[:-2]
    return SpectralBounds(
        lower=shaped(lower, batch),
        upper=shaped(upper, batch),
        kind=kind,
        failure_prob=0.0 if chance is None else float(chance),
        n_passes=shaped(columns["n_passes"], batch),
        converged=shaped(converged, batch),
    )


def _given(failure_prob: object) -> Any:  # noqa: ANN401 - the core looks at its type
    """Return the probability, of which the core takes None for "rigorous"."""
    if failure_prob is None:
        message = "failure_prob must be a real number, got None"
        raise TypeError(message)
    return failure_prob


def _check_kind(kind: str) -> None:
    if kind not in ("probable", "rigorous"):
        message = f'kind must be "probable" or "rigorous", got {kind!r}'
        raise ValueError(message)
