"""A fixed number of power steps, with the arithmetic of torch's spectral norm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rsspecnorm.arrays import as_stack, as_stepped
from rsspecnorm.options import common
from rsspecnorm.results import shaped
from rsspecnorm.stepping import Steps, coefficients, run_stack, vectors
from rsspecnorm.targets import like, target_for

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from rsspecnorm.options import Rng
    from rsspecnorm.stepping import Order, Vectors


class PowerIteration(NamedTuple):
    """An estimate of sigma and the vectors it was made with, in the dtype of the matrix.

    For a stack of shape ``(..., M, N)``, `sigma` has the batch shape ``(...)``, `u` is
    ``(..., M)`` and `v` is ``(..., N)``.
    """

    sigma: Any
    """``u . A v``, an estimate from below of the largest singular value (not its square)."""
    u: NDArray[Any]
    """Left vector."""
    v: NDArray[Any]
    """Right vector."""


class Normalized(NamedTuple):
    """A normalised matrix or stack, and the estimate it was made with, in the dtype of the input.

    The shapes are those of `PowerIteration`; `weight` has the shape of the input.
    """

    weight: NDArray[Any]
    """The input divided by ``sigma / coefficient``."""
    sigma: Any
    """``u . A v``, not divided by the coefficient."""
    u: NDArray[Any]
    """Left vector, for the next call."""
    v: NDArray[Any]
    """Right vector, for the next call."""


def power_iteration(
    a: ArrayLike,
    u: ArrayLike | None = None,
    v: ArrayLike | None = None,
    *,
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    order: Order = "uv",
    num_threads: int | None = None,
    check_finite: bool = False,
    rng: Rng = None,
) -> PowerIteration:
    """Sigma, u and v of a matrix, or of every matrix of a stack, after a number of power steps.

    The arithmetic of torch's spectral norm, step by step. To know sigma to a tolerance use
    `spectral_norm`: after a few steps sigma is usually some percent too low, and nothing here says
    by how much.

    Parameters
    ----------
    a : array_like, shape (..., M, N)
        A matrix or a stack of matrices, as `spectral_norm` takes them.
    u : array_like, shape (..., M) or (M,), optional
        Left vectors of an earlier call. Their length does not matter; zeros, a nan or an inf count
        as no vector.
    v : array_like, shape (..., N) or (N,), optional
        Right vectors, in the same way. With one of the two, the other is made from it, by one
        product that counts as no step. With neither, the start is random (see `rng`) and 15 steps
        are made before the `n_power_iterations`, as torch's parametrization does on registration.
    n_power_iterations : int, optional
        Number of steps. 0 evaluates ``u . A v`` at the given vectors and leaves them as they are.
    eps : float, optional
        Vectors are divided by ``max(norm, eps)``. Where a norm falls below it, sigma and the
        lengths of `u` and `v` say little; pass a smaller one for smaller matrices.
    order : {"uv", "vu"}, optional
        What a step does first: "uv" takes u from ``A v`` and then v from ``A' u``, as
        ``torch.nn.utils.parametrizations.spectral_norm`` does; "vu" the other way round, as the
        older ``torch.nn.utils.spectral_norm`` does.
    num_threads : int, optional
        Threads of this call. Default: the setting in force, see `get_num_threads`.
    check_finite : bool, optional
        Whether a nan or an inf in `a` is an error.
    rng : None, int or numpy.random.Generator, optional
        Where the start comes from when neither `u` nor `v` is given, as in `spectral_norm`.

    Returns
    -------
    PowerIteration
        ``sigma``, ``u`` and ``v`` in the dtype of `a` (float64 for integers and bool). Steps are
        made in float32 for matrices of up to 32 bits, with norms in float64, else in float64. A
        zero matrix has sigma 0, one with a nan has sigma nan, else one with an inf has sigma inf;
        their `u` and `v` are returned as they came, or as zeros, which count as none, where neither
        was given. A sigma beyond the range of the dtype is inf
        as well, with `u` and `v` as for any other matrix.

    Raises
    ------
    TypeError
        If the dtype of `a`, `u` or `v` is not accepted, or an option has the wrong type.
    ValueError
        If a shape does not fit, an option is out of range, or `check_finite` is set and a matrix,
        which the message names, has a nan or an inf.
    MemoryError
        If there is no memory for the results.

    Notes
    -----
    Order "uv" reads each matrix once per step, "vu" once per step and once more; a matrix that fits
    the second-level cache is read from memory once. The result has the same bits for any number of
    threads, any SIMD tier, and for a stack as for its matrices one by one.

    Miyato, Kataoka, Koyama and Yoshida, *Spectral Normalization for Generative Adversarial
    Networks*, ICLR 2018, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> from rsspecnorm import power_iteration
    >>> a = np.array([[.2538, .3196, .3380], [.4946, .0519, .1022], [-.5549, -.0401, .1654]])
    >>> sigma, u, v = power_iteration(a, v=[-.3650, .2870, .8857], n_power_iterations=0)
    >>> (sigma * u).round(4)  # A v
    array([ 0.2984, -0.0751,  0.3375])
    >>> float(sigma.round(4)), u.round(4)
    (0.4568, array([ 0.6534, -0.1644,  0.7389]))
    """
    stack = as_stepped(as_stack(a), "a")
    state = vectors(u, "u", stack, -2), vectors(v, "v", stack, -1)
    settings = Steps(n_power_iterations, eps, order), common(num_threads, check_finite, rng)
    sigma = run_stack(stack, state, None, np.ones(1), settings)
    return PowerIteration(*_in_dtype(sigma, state, stack))


def spectral_normalize(  # noqa: PLR0913 - keyword-only, as torch's and more
    a: ArrayLike,
    u: ArrayLike | None = None,
    v: ArrayLike | None = None,
    *,
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    order: Order = "uv",
    coefficient: ArrayLike = 1.0,
    soft: bool = False,
    out: NDArray[Any] | None = None,
    num_threads: int | None = None,
    check_finite: bool = False,
    rng: Rng = None,
) -> Normalized:
    """Divide a matrix, or every matrix of a stack, by its sigma after a number of power steps.

    Parameters
    ----------
    a : array_like, shape (..., M, N)
        A matrix or a stack of matrices, as `spectral_norm` takes them.
    u : array_like, shape (..., M) or (M,), optional
        Left vectors of an earlier call, as in `power_iteration`.
    v : array_like, shape (..., N) or (N,), optional
        Right vectors of an earlier call; without `u` and `v`, 15 steps come first.
    n_power_iterations : int, optional
        Number of steps; 0 takes sigma at the given vectors.
    eps : float, optional
        Vectors are divided by ``max(norm, eps)``.
    order : {"uv", "vu"}, optional
        What a step does first, as in `power_iteration`.
    coefficient : float or array_like, shape (...), optional
        The norm to give each matrix: it is divided by ``sigma / coefficient``. For example
        ``np.sqrt(M / N)``.
    soft : bool, optional
        Whether to leave a matrix alone whose sigma is below its coefficient: it is then divided by
        ``max(1, sigma / coefficient)``.
    out : ndarray, shape (..., M, N), optional
        Where the normalised matrices go, of the dtype of the result. It may be `a`, which is then
        normalised in place, and must not overlap `a` otherwise.
    num_threads : int, optional
        Threads of this call. Default: the setting in force, see `get_num_threads`.
    check_finite : bool, optional
        Whether a nan or an inf in `a` is an error; other matrices may be normalised by then.
    rng : None, int or numpy.random.Generator, optional
        Where the start comes from when neither `u` nor `v` is given.

    Returns
    -------
    Normalized
        ``weight``, ``sigma``, ``u`` and ``v`` in the dtype of `a` (float64 for integers and bool);
        ``weight`` is `out` where that is given. A zero matrix stays zero. One with a nan or an inf
        becomes nan all over, without harm to the rest of a stack. Where a norm fell below `eps` the
        result is finite and says little. A matrix whose sigma is beyond the range of the dtype is
        divided by what it would be in a larger one.

    Raises
    ------
    TypeError
        If the dtype of `a`, `u`, `v` or `out` is not accepted, or an option has the wrong type.
    ValueError
        If a shape does not fit, `out` is read-only or overlaps `a`, an option is out of range, or
        `check_finite` is set and a matrix, which the message names, has a nan or an inf.
    MemoryError
        If there is no memory for the results.

    Notes
    -----
    See `power_iteration` for the method. For a stack that fits no cache, `out` saves the time of
    asking the system for fresh memory.

    Examples
    --------
    >>> import numpy as np
    >>> from rsspecnorm import spectral_normalize
    >>> a = np.array([[3.0, 0.0], [0.0, 4.0]])
    >>> u, v = [0.6, 0.8], [0.6, 0.8]
    >>> weight, sigma, u, v = spectral_normalize(a, u, v, n_power_iterations=30)
    >>> weight.round(4)
    array([[0.75, 0.  ],
           [0.  , 1.  ]])
    """
    stack = as_stepped(as_stack(a), "a")
    state = vectors(u, "u", stack, -2, out), vectors(v, "v", stack, -1, out)
    scales = coefficients(coefficient, stack.shape[:-2])
    settings = Steps(n_power_iterations, eps, order, soft), common(num_threads, check_finite, rng)
    if out is None:
        weight = target = like(stack)
    else:
        weight, target = out, target_for(out, a, stack)
    sigma = run_stack(stack, state, target, scales, settings)
    if weight is not target:
        np.copyto(weight, target)
    return Normalized(weight, *_in_dtype(sigma, state, stack))


def _in_dtype(
    sigma: NDArray[np.float64], state: tuple[Vectors, Vectors], a: NDArray[Any]
) -> tuple[Any, NDArray[Any], NDArray[Any]]:
    """Return sigma, in the batch shape, and the vectors in the dtype of the matrices."""
    u, v = state
    with np.errstate(over="ignore"):  # a sigma beyond the range of a narrow dtype is inf
        narrow = sigma.astype(a.dtype, copy=False)
    return (
        shaped(narrow, a.shape[:-2]),
        u.own.astype(a.dtype, copy=False),
        v.own.astype(a.dtype, copy=False),
    )
